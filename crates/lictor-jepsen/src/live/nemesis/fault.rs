//! The faults by their names.

use std::fmt;
use std::str::FromStr;

use super::shape::Shape;
use super::who::Who;

/// What of a host something happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// All that is tested: the server of Consul, and the agent of Lictor where there is one.
    Host,
    /// The agent alone.
    Agent,
    /// The server of Consul alone, where there is an agent too.
    Consul,
}

impl Part {
    /// All of them.
    const ALL: [Self; 3] = [Self::Host, Self::Agent, Self::Consul];
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "",
            Self::Agent => "agent-",
            Self::Consul => "consul-",
        })
    }
}

/// Something bad that is begun and ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Ways between hosts are cut.
    Partition(Shape),
    /// Hosts are killed, or a part of them, and started again.
    Kill(Part, Who),
    /// What runs on hosts is stopped where it stands, and goes on.
    Pause(Part, Who),
    /// All is killed and started again at once.
    RestartAll,
    /// Packets to and from hosts are late.
    Slow(Who),
    /// Packets to and from hosts get lost.
    Lossy(Who),
    /// Disks of servers let nobody write.
    DiskFreeze(Who),
    /// Disks of servers are full.
    DiskFull(Who),
    /// A snapshot is taken, and restored later.
    Restore,
    /// A follower leaves the cluster, and joins it again.
    Membership,
}

/// Why there is no such fault.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// Nothing is called so.
    #[error("there is no fault `{name}`; there are {}", listed())]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// It cannot be done here, and is not faked.
    #[error(
        "the clocks cannot be stepped: the hosts of a run share this machine's, and Consul's program takes the time past \
         every library that could change it; use machines of their own for that"
    )]
    Clock,
}

impl Fault {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let by_who = [Self::Slow, Self::Lossy, Self::DiskFreeze, Self::DiskFull];
        let mut all: Vec<Self> = Shape::ALL.into_iter().map(Self::Partition).collect();
        for fault in [Self::Kill as fn(Part, Who) -> Self, Self::Pause] {
            all.extend(Part::ALL.into_iter().flat_map(|part| Who::ALL.map(|who| fault(part, who))));
        }
        all.extend(by_who.into_iter().flat_map(|fault: fn(Who) -> Self| Who::ALL.into_iter().map(fault)));
        all.extend([Self::RestartAll, Self::Restore, Self::Membership]);
        all
    }

    /// Whether servers need disks of their own for it.
    #[must_use]
    pub fn needs_disks(self) -> bool {
        match self {
            Self::DiskFreeze(_) | Self::DiskFull(_) => true,
            Self::Partition(_)
            | Self::Kill(..)
            | Self::Pause(..)
            | Self::RestartAll
            | Self::Slow(_)
            | Self::Lossy(_)
            | Self::Restore
            | Self::Membership => false,
        }
    }

    /// Whether there has to be an agent of Lictor for it.
    #[must_use]
    pub fn needs_agents(self) -> bool {
        let active = self.who() == Some(Who::Active) || self == Self::Partition(Shape::Active);
        active
            || matches!(
                self,
                Self::Kill(Part::Agent | Part::Consul, _) | Self::Pause(Part::Agent | Part::Consul, _)
            )
    }

    /// Whether most hosts, and the ways between them, stay as they are: others can go on.
    #[must_use]
    pub fn spares_most(self) -> bool {
        match (self, self.who()) {
            (Self::Partition(shape), _) => matches!(shape, Shape::One | Shape::Leader | Shape::Active),
            (_, Some(who)) => matches!(who, Who::One | Who::Minority | Who::Leader | Who::Active),
            (_, None) => false,
        }
    }

    /// Whom it is done to, where that is so many hosts.
    fn who(self) -> Option<Who> {
        match self {
            Self::Kill(_, who)
            | Self::Pause(_, who)
            | Self::Slow(who)
            | Self::Lossy(who)
            | Self::DiskFreeze(who)
            | Self::DiskFull(who) => Some(who),
            Self::Partition(_) | Self::RestartAll | Self::Restore | Self::Membership => None,
        }
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(name: &str) -> Result<Self, FaultError> {
        if name == "clock" || name.starts_with("clock-") {
            return Err(FaultError::Clock);
        }
        let found = Self::all().into_iter().find(|fault| fault.to_string() == name);
        found.ok_or_else(|| FaultError::Unknown { name: name.to_owned() })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition(shape) => write!(f, "partition-{shape}"),
            Self::Kill(part, who) => write!(f, "kill-{part}{who}"),
            Self::Pause(part, who) => write!(f, "pause-{part}{who}"),
            Self::RestartAll => f.write_str("restart-all"),
            Self::Slow(who) => write!(f, "slow-{who}"),
            Self::Lossy(who) => write!(f, "lossy-{who}"),
            Self::DiskFreeze(who) => write!(f, "disk-freeze-{who}"),
            Self::DiskFull(who) => write!(f, "disk-full-{who}"),
            Self::Restore => f.write_str("restore"),
            Self::Membership => f.write_str("membership"),
        }
    }
}

/// The faults by what is done, for people: their names, and what it is.
#[must_use]
pub fn families() -> Vec<(Vec<String>, &'static str)> {
    let of = |prefix: &str| {
        let names = Fault::all().into_iter().map(|fault| fault.to_string());
        names.filter(|name| name.starts_with(prefix)).collect::<Vec<_>>()
    };
    let whole = |prefix: &str| {
        let part = |name: &String| name.contains("-agent-") || name.contains("-consul-");
        of(prefix).into_iter().filter(|name| !part(name)).collect::<Vec<_>>()
    };
    vec![
        (of("partition-"), "ways between hosts are cut; clients still reach each of them"),
        (
            whole("kill-"),
            "hosts are killed (SIGKILL, or a power cut where they are booted), and started again",
        ),
        (whole("pause-"), "servers and agents are stopped where they stand (SIGSTOP), and go on"),
        (of("kill-agent-"), "only agents of Lictor are killed"),
        (of("pause-agent-"), "only agents of Lictor are stopped"),
        (of("kill-consul-"), "only servers of Consul are killed, where there are agents too"),
        (of("pause-consul-"), "only servers of Consul are stopped, where there are agents too"),
        (of("slow-"), "packets of hosts are 50 to 300 ms late"),
        (of("lossy-"), "10 to 40 of a hundred packets of hosts get lost"),
        (of("disk-freeze-"), "disks of hosts let nobody write"),
        (of("disk-full-"), "disks of hosts are full"),
        (of("re"), "all are killed and started at once; a snapshot is taken, and restored under load"),
        (of("membership"), "a follower leaves the cluster, and joins it again"),
    ]
}

fn listed() -> String {
    let names: Vec<_> = Fault::all().iter().map(ToString::to_string).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_fault_is_found_by_its_name() {
        for fault in Fault::all() {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
        let names: BTreeSet<_> = Fault::all().iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), Fault::all().len());
    }

    #[test]
    fn what_there_is_not_is_answered_with_what_there_is() {
        let error = "kill-everybody".parse::<Fault>().unwrap_err().to_string();
        assert!(
            error.starts_with("there is no fault `kill-everybody`; there are partition-one, "),
            "{error}"
        );
        assert!(error.contains("disk-freeze-leader"), "{error}");
    }

    #[test]
    fn each_fault_is_in_one_family() {
        let mut names: Vec<String> = families().into_iter().flat_map(|(names, _)| names).collect();
        names.sort_unstable();
        let mut all: Vec<String> = Fault::all().iter().map(ToString::to_string).collect();
        all.sort_unstable();
        assert_eq!(names, all);
    }

    #[test]
    fn what_is_done_to_agents_needs_them() {
        let needs = |name: &str| name.parse::<Fault>().unwrap().needs_agents();
        assert!(
            ["kill-active", "partition-active", "pause-agent-one", "kill-consul-all"].map(needs) == [true; 4]
        );
        assert!(["kill-one", "partition-leader", "restart-all", "disk-full-one"].map(needs) == [false; 4]);
    }

    #[test]
    fn most_are_spared_by_what_happens_to_few() {
        let spares = |name: &str| name.parse::<Fault>().unwrap().spares_most();
        assert!(["kill-active", "partition-one", "pause-agent-minority"].map(spares) == [true; 3]);
        assert!(["kill-all", "partition-halves", "restart-all", "slow-majority"].map(spares) == [false; 4]);
    }

    #[test]
    fn clocks_are_refused_and_not_faked() {
        assert_eq!("clock".parse::<Fault>(), Err(FaultError::Clock));
        assert_eq!("clock-step".parse::<Fault>(), Err(FaultError::Clock));
    }
}
