//! What part this node has in a clustered service, and what was done when that changed.

use std::fmt;

use crate::name::{RemedyName, RunId, ServiceName};

/// What part this node has in a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It runs here, under a lease that this node holds.
    Active {
        /// The token of the lease.
        token: u64,
    },
    /// It does not run here.
    #[default]
    Standby,
}

impl fmt::Display for Role {
    /// In one word, as programs get it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active { .. } => "active",
            Self::Standby => "standby",
        })
    }
}

/// What follows a change of the role of this node in a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Runs when the service has come to run here.
    pub promote: Option<RemedyName>,
    /// Runs when it does not run here any more.
    pub demote: Option<RemedyName>,
}

impl Hooks {
    /// What follows when this is the role.
    pub fn of(&self, role: Role) -> Option<&RemedyName> {
        match role {
            Role::Active { .. } => self.promote.as_ref(),
            Role::Standby => self.demote.as_ref(),
        }
    }
}

/// The change of role that a run follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The service.
    pub service: ServiceName,
    /// The role of this node since.
    pub role: Role,
    /// The token under which the service runs here, or under which it ran here last.
    pub token: u64,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, role, token } = self;
        match role {
            Role::Active { .. } => write!(f, "service {service} has come to run here, token {token}"),
            Role::Standby => write!(f, "service {service} does not run here any more; its token was {token}"),
        }
    }
}

/// What is remembered of the role of this node in a service: a row of the store. It is recorded together with
/// the start of what follows a change, so that each change is followed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    /// As it was seen last.
    pub seen: Role,
    /// The one that was followed last: what follows it was started, or nothing was to be. `None`: that was called
    /// off, because the role was another one meanwhile.
    pub followed: Option<Role>,
    /// The token under which it was seen to run here last; 0: it never was.
    pub token: u64,
    /// The latest run that followed a change.
    pub run: Option<RunId>,
}

impl Default for Roles {
    /// A service that never was here.
    fn default() -> Self {
        Self { seen: Role::Standby, followed: Some(Role::Standby), token: 0, run: None }
    }
}
