//! Who is active and who stands by.

use std::fmt;
use std::num::NonZeroUsize;

use regex::Regex;

use super::ClusterError;

/// How a service is spread over nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cluster {
    /// Nothing is agreed on: each node runs it by itself.
    Alone,
    /// The same holds for all nodes.
    Whole(Share),
    /// Nodes are divided by their names; each must belong to exactly one group.
    Groups(Vec<Group>),
}

/// The nodes whose names match, and what holds for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Which nodes.
    pub hosts: HostPattern,
    /// What holds for them.
    pub share: Share,
}

/// What holds for the nodes of a service, or for those of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Who is active.
    pub placement: Placement,
    /// Whether the roles were set by a person and are not to be exchanged by a check.
    pub locked: bool,
    /// So many active nodes must pass for the others to stand by. With 1, which is the default, a second active
    /// node that is lost is covered by nobody.
    pub enough: NonZeroUsize,
}

/// Who is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Every node; nobody stands by.
    Everywhere,
    /// Some nodes by name, and others stand by. No node is in both lists.
    Nodes {
        /// Those that run it.
        active: Vec<String>,
        /// Those that take over.
        standby: Vec<String>,
    },
    /// All nodes of one datacenter, and those of another stand by.
    Datacenters {
        /// The one that runs it.
        active: String,
        /// The one that takes over.
        standby: String,
    },
}

/// What a node is to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It runs it by itself; nothing is agreed on.
    Standalone,
    /// It runs it.
    Active,
    /// It takes over.
    Standby,
}

/// Which node asks.
#[derive(Clone, Copy, Debug)]
pub struct Here<'a> {
    /// Its name.
    pub host: &'a str,
    /// Its datacenter.
    pub datacenter: &'a str,
    /// All datacenters there are.
    pub datacenters: &'a [String],
}

/// A regular expression that is matched at the start of a node's name.
#[derive(Clone)]
pub struct HostPattern {
    written: String,
    regex: Regex,
}

impl Cluster {
    /// What holds for this node; `None` if nothing is agreed on.
    ///
    /// # Errors
    /// If it belongs to no group, or to several.
    pub fn share_of(&self, host: &str) -> Result<Option<&Share>, ClusterError> {
        match self {
            Self::Alone => Ok(None),
            Self::Whole(share) => Ok(Some(share)),
            Self::Groups(groups) => group_of(groups, host).map(|at| groups.get(at).map(|group| &group.share)),
        }
    }

    /// What this node is.
    ///
    /// # Errors
    /// If what is agreed on says nothing of it, or makes no sense.
    pub fn role_of(&self, here: Here<'_>) -> Result<Role, ClusterError> {
        match self.share_of(here.host)? {
            None => Ok(Role::Standalone),
            Some(share) => share.placement.role_of(here),
        }
    }

    /// The same with the roles of this node's group exchanged; those of other groups stay.
    ///
    /// # Errors
    /// As [`Self::share_of`].
    pub fn exchanged(&self, host: &str) -> Result<Self, ClusterError> {
        self.with_share(host, |share| Share { placement: share.placement.exchanged(), ..share })
    }

    /// The same without the lock of this node's group.
    ///
    /// # Errors
    /// As [`Self::share_of`].
    pub fn unlocked(&self, host: &str) -> Result<Self, ClusterError> {
        self.with_share(host, |share| Share { locked: false, ..share })
    }

    /// Whether both give everybody the same role, whatever is locked.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let unlocked = |share: &Share| Share { locked: false, ..share.clone() };
        let without_locks = |cluster: &Self| match cluster {
            Self::Alone => Self::Alone,
            Self::Whole(share) => Self::Whole(unlocked(share)),
            Self::Groups(groups) => {
                let open =
                    |group: &Group| Group { hosts: group.hosts.clone(), share: unlocked(&group.share) };
                Self::Groups(groups.iter().map(open).collect())
            }
        };
        without_locks(self) == without_locks(other)
    }

    fn with_share(&self, host: &str, change: impl FnOnce(Share) -> Share) -> Result<Self, ClusterError> {
        Ok(match self {
            Self::Alone => Self::Alone,
            Self::Whole(share) => Self::Whole(change(share.clone())),
            Self::Groups(groups) => {
                let at = group_of(groups, host)?;
                let mut groups = groups.clone();
                if let Some(group) = groups.get_mut(at) {
                    group.share = change(group.share.clone());
                }
                Self::Groups(groups)
            }
        })
    }
}

/// Where the only group is to which a node belongs.
fn group_of(groups: &[Group], host: &str) -> Result<usize, ClusterError> {
    let fits = |at: &usize| groups.get(*at).is_some_and(|group| group.hosts.matches(host));
    let found: Vec<usize> = (0..groups.len()).filter(fits).collect();
    match found.as_slice() {
        [] => Err(ClusterError::NoGroup),
        [only] => Ok(*only),
        several => Err(ClusterError::SeveralGroups {
            host: host.to_owned(),
            groups: several.iter().filter_map(|at| Some(groups.get(*at)?.hosts.to_string())).collect(),
        }),
    }
}

impl Share {
    /// One in which one active node that passes is enough.
    #[must_use]
    pub fn new(placement: Placement) -> Self {
        Self { placement, locked: false, enough: NonZeroUsize::MIN }
    }
}

impl Placement {
    /// The placement that lists of nodes or names of datacenters stand for; `None` is what is not given.
    ///
    /// # Errors
    /// If only one of a pair is given, or both pairs are, or a node is in both lists.
    pub fn new(
        nodes: (Option<Vec<String>>, Option<Vec<String>>),
        datacenters: (Option<String>, Option<String>),
    ) -> Result<Self, ClusterError> {
        let of_nodes = match nodes {
            (None, None) => None,
            (Some(active), Some(standby)) => Some(Self::nodes(active, standby)?),
            (Some(_), None) | (None, Some(_)) => return Err(ClusterError::HalfOf { what: "nodes" }),
        };
        let of_datacenters = match datacenters {
            (None, None) => None,
            (Some(active), Some(standby)) => Some(Self::Datacenters { active, standby }),
            (Some(_), None) | (None, Some(_)) => return Err(ClusterError::HalfOf { what: "datacenters" }),
        };
        match (of_nodes, of_datacenters) {
            (Some(_), Some(_)) => Err(ClusterError::BothPairs),
            (None, None) => Ok(Self::Everywhere),
            (Some(placement), None) | (None, Some(placement)) => Ok(placement),
        }
    }

    fn nodes(active: Vec<String>, standby: Vec<String>) -> Result<Self, ClusterError> {
        match active.iter().find(|node| standby.contains(node)) {
            Some(both) => Err(ClusterError::BothRoles { host: both.clone() }),
            None => Ok(Self::Nodes { active, standby }),
        }
    }

    /// What this node is.
    ///
    /// # Errors
    /// If it is in neither list, its datacenter is neither of both, or one of them does not exist.
    pub fn role_of(&self, here: Here<'_>) -> Result<Role, ClusterError> {
        match self {
            Self::Everywhere => Ok(Role::Active),
            Self::Nodes { active, standby } => {
                let is_in = |list: &[String]| list.iter().any(|node| node == here.host);
                match (is_in(active), is_in(standby)) {
                    (true, _) => Ok(Role::Active),
                    (false, true) => Ok(Role::Standby),
                    (false, false) => Err(ClusterError::NotListed {
                        host: here.host.to_owned(),
                        active: active.clone(),
                        standby: standby.clone(),
                    }),
                }
            }
            Self::Datacenters { active, standby } => {
                for (role, name) in [("Active", active), ("Standby", standby)] {
                    if !here.datacenters.contains(name) {
                        let available = here.datacenters.to_vec();
                        return Err(ClusterError::NoSuchDatacenter { role, name: name.clone(), available });
                    }
                }
                // Compared as a whole: `dc1` is another one than `dc10`.
                if here.datacenter == active {
                    Ok(Role::Active)
                } else if here.datacenter == standby {
                    Ok(Role::Standby)
                } else {
                    Err(ClusterError::OtherDatacenter {
                        name: here.datacenter.to_owned(),
                        active: active.clone(),
                        standby: standby.clone(),
                    })
                }
            }
        }
    }

    /// Whether anybody stands by at all.
    #[must_use]
    pub const fn has_standby(&self) -> bool {
        match self {
            Self::Everywhere => false,
            Self::Nodes { standby, .. } => !standby.is_empty(),
            Self::Datacenters { .. } => true,
        }
    }

    fn exchanged(self) -> Self {
        match self {
            Self::Everywhere => Self::Everywhere,
            Self::Nodes { active, standby } => Self::Nodes { active: standby, standby: active },
            Self::Datacenters { active, standby } => Self::Datacenters { active: standby, standby: active },
        }
    }
}

impl HostPattern {
    /// The pattern that this text is.
    ///
    /// # Errors
    /// If it is no regular expression, or one that looks around or back.
    pub fn new(written: &str) -> Result<Self, ClusterError> {
        match Regex::new(&format!("^(?:{written})")) {
            Ok(regex) => Ok(Self { written: written.to_owned(), regex }),
            Err(why) => {
                let why = why.to_string().lines().last().unwrap_or_default().trim().to_owned();
                Err(ClusterError::Pattern { written: written.to_owned(), why })
            }
        }
    }

    /// Whether a name begins with it.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        self.regex.is_match(host)
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

impl PartialEq for HostPattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for HostPattern {}

impl fmt::Debug for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostPattern").field(&self.written).finish()
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}
