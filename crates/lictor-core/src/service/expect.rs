//! What is expected of a node.

use std::collections::BTreeMap;

use super::{Placement, Role, Share};

/// How one instance of a service is, its node and all its checks taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It does not work, its node does not, or it is not there.
    Failing,
    /// It cannot be told: nobody answered, or its own check could not be made.
    Unknown,
    /// It works, and so does its node.
    Passing,
}

/// How the active side was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// How many pass.
    pub passing: usize,
    /// How many fail.
    pub failing: usize,
    /// Of how many it cannot be told.
    pub unknown: usize,
}

/// What is expected of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expected {
    /// It runs the service.
    Running,
    /// It does not.
    Stopped,
    /// It cannot be told: as things are, they stay.
    Unknown,
}

/// What is to be changed of what is agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The lock is taken away: what a person ordered has come about.
    Unlock,
    /// Active and standby are exchanged, once that has been so for long enough.
    Exchange,
}

impl Sight {
    /// The sight of these nodes. One that was not seen has failed if all was looked at, and is unknown if not.
    #[must_use]
    pub fn of_nodes(nodes: &[String], seen: &BTreeMap<String, Standing>, all_looked_at: bool) -> Self {
        let unseen = if all_looked_at { Standing::Failing } else { Standing::Unknown };
        Self::of(nodes.iter().map(|node| seen.get(node).copied().unwrap_or(unseen)))
    }

    /// The sight of these instances.
    #[must_use]
    pub fn of(standings: impl IntoIterator<Item = Standing>) -> Self {
        let mut sight = Self::default();
        for standing in standings {
            match standing {
                Standing::Passing => sight.passing += 1,
                Standing::Failing => sight.failing += 1,
                Standing::Unknown => sight.unknown += 1,
            }
        }
        sight
    }
}

/// What is expected of a node with this role. `sight` is of the active side; only for a standby it matters.
///
/// A standby is expected to run it when certainly fewer active ones pass than are [enough](Share::enough): one of
/// which it cannot be told may pass.
#[must_use]
pub fn expected(role: Role, share: Option<&Share>, sight: Sight) -> Expected {
    let Some(share) = share.filter(|_| role == Role::Standby) else { return Expected::Running };
    let enough = match &share.placement {
        Placement::Nodes { active, .. } => share.enough.get().min(active.len()).max(1),
        Placement::Everywhere | Placement::Datacenters { .. } => share.enough.get(),
    };
    if sight.passing >= enough {
        Expected::Stopped
    } else if sight.passing + sight.unknown >= enough {
        Expected::Unknown
    } else {
        Expected::Running
    }
}

/// What a node with this role changes of what is agreed on, if it may (`may_exchange`: that is wanted, and nobody on the
/// active side passes). It takes the other role only
/// when it `runs` the service: roles follow what is so, and who does not run it has nothing to take over with.
#[must_use]
pub fn change(
    role: Role,
    share: Option<&Share>,
    expected: Expected,
    runs: bool,
    may_exchange: bool,
) -> Option<Change> {
    let share = share.filter(|_| role == Role::Standby)?;
    match expected {
        Expected::Stopped => share.locked.then_some(Change::Unlock),
        Expected::Running => (may_exchange && runs && !share.locked).then_some(Change::Exchange),
        Expected::Unknown => None,
    }
}
