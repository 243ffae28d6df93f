//! What can be wrong with what is agreed on about a service.

use std::fmt;

/// Why nothing follows from what is agreed on. The texts are looked for by scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterError {
    /// Of two lists or two datacenters only one is given.
    HalfOf {
        /// `nodes` or `datacenters`.
        what: &'static str,
    },
    /// Both nodes and datacenters are given.
    BothPairs,
    /// A node is active and stands by.
    BothRoles {
        /// The node.
        host: String,
    },
    /// A node is in neither list.
    NotListed {
        /// The node.
        host: String,
        /// Those that are active.
        active: Vec<String>,
        /// Those that stand by.
        standby: Vec<String>,
    },
    /// A datacenter does not exist.
    NoSuchDatacenter {
        /// What it would be, with a capital letter.
        role: &'static str,
        /// Its name.
        name: String,
        /// Those that exist.
        available: Vec<String>,
    },
    /// A node's datacenter is neither of both.
    OtherDatacenter {
        /// The node's.
        name: String,
        /// The active one.
        active: String,
        /// The one that stands by.
        standby: String,
    },
    /// A node belongs to no group.
    NoGroup,
    /// A node belongs to several groups.
    SeveralGroups {
        /// The node.
        host: String,
        /// Their patterns.
        groups: Vec<String>,
    },
    /// A group's pattern cannot be used.
    Pattern {
        /// The pattern.
        written: String,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HalfOf { what } => write!(f, "Must specify both active/standby {what} attributes"),
            Self::BothPairs => {
                f.write_str("Active/standby datacenters and nodes options are mutually exclusive!")
            }
            Self::BothRoles { host } => {
                write!(f, "Node [{host}] must not be in both the active and the standby node list!")
            }
            Self::NotListed { host, active, standby } => write!(
                f,
                "Local node address [{host}] must be in either active {active:?} or standby {standby:?} node list!"
            ),
            Self::NoSuchDatacenter { role, name, available } => {
                write!(f, "{role} datacenter [{name}] not valid, available datacenters: {available:?}")
            }
            Self::OtherDatacenter { name, active, standby } => write!(
                f,
                "Local server's datacenter [{name}] must be either the active [{active}] or standby [{standby}] datacenter!"
            ),
            Self::NoGroup => f.write_str("Host must match at least one cluster filter!"),
            Self::SeveralGroups { host, groups } => {
                write!(f, "Host [{host}] must match only one cluster filter, not several: {groups:?}")
            }
            Self::Pattern { written, why } => {
                write!(f, "Cluster filter [{written}] is no regular expression: {why}")
            }
        }
    }
}

impl std::error::Error for ClusterError {}
