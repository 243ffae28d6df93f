//! The role of the node in clustered services, and what followed when it changed.

use lictor_core as core;
use serde::{Deserialize, Serialize};

use super::{WireError, name};

/// What part the node has in a service, told apart by `is`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Role {
    /// It runs here.
    Active {
        /// The token of the lease.
        token: u64,
    },
    /// It does not run here.
    Standby,
}

impl From<core::Role> for Role {
    fn from(role: core::Role) -> Self {
        match role {
            core::Role::Active { token } => Self::Active { token },
            core::Role::Standby => Self::Standby,
        }
    }
}

impl From<Role> for core::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Active { token } => Self::Active { token },
            Role::Standby => Self::Standby,
        }
    }
}

/// The change of role that a run follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The service.
    pub service: String,
    /// The role since.
    pub role: Role,
    /// The token under which the service runs on the node, or under which it ran there last.
    pub token: u64,
}

impl From<&core::Change> for Change {
    fn from(change: &core::Change) -> Self {
        Self { service: change.service.to_string(), role: change.role.into(), token: change.token }
    }
}

impl TryFrom<Change> for core::Change {
    type Error = WireError;
    fn try_from(change: Change) -> Result<Self, WireError> {
        Ok(Self { service: name(&change.service)?, role: change.role.into(), token: change.token })
    }
}

/// What is remembered of the role of the node in a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// The service.
    pub service: String,
    /// As it was seen last.
    pub seen: Role,
    /// The one that was followed last; nothing when that was called off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed: Option<Role>,
    /// The token under which the service was seen to run on the node last; 0: it never was.
    pub token: u64,
    /// The number of the latest run that followed a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
}

impl Roles {
    /// The stored form of what is remembered of a service.
    pub fn new(service: &core::ServiceName, roles: &core::Roles) -> Self {
        Self {
            service: service.to_string(),
            seen: roles.seen.into(),
            followed: roles.followed.map(Into::into),
            token: roles.token,
            run: roles.run.map(|id| id.0),
        }
    }
}

impl TryFrom<Roles> for core::Row {
    type Error = WireError;
    fn try_from(roles: Roles) -> Result<Self, WireError> {
        let remembered = core::Roles {
            seen: roles.seen.into(),
            followed: roles.followed.map(Into::into),
            token: roles.token,
            run: roles.run.map(core::RunId),
        };
        Ok(Self::Role(name(&roles.service)?, remembered))
    }
}
