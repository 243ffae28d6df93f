//! What is told of, when, and what is kept quiet.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lictor_core::NotifierName;
use lictor_core::alert::{AlertPlan, Matchers};
use url::Url;

use super::calendar::Calendar;

/// `alerts { … }`, the routes and the maintenance windows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alerts {
    /// What the desk decides by. Its cluster is empty when neither `alerts` nor `node` nor `consul`
    /// names one: then messages say the name of the node.
    pub plan: Arc<AlertPlan>,
    /// Whether Consul's checks are watched, and where.
    pub consul: Option<ConsulChecks>,
    /// Signs of life that others wait for.
    pub heartbeats: Vec<LifeSign>,
    /// Regular summaries.
    pub digests: Vec<Digest>,
    /// Planned times in which nobody is told.
    pub maintenance: Vec<Maintenance>,
}

/// `consul { … }` of `alerts`: the checks of Consul are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsulChecks {
    /// In these datacenters. Empty: in that of the Consul agent, or the one the block `consul` names.
    pub datacenters: Vec<String>,
    /// Any server may answer, not only the leader (default no).
    pub stale: bool,
    /// A node that could hand on nothing for so long tells of its own checks alone (default 30 s).
    pub alone_after: Duration,
    /// They are not looked at for now: how they stood last is how they stand. No attribute says so.
    pub paused: bool,
}

/// `heartbeat { … }` of `alerts`: says regularly that we live, so that our silence is noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifeSign {
    /// Who hears it.
    pub to: LifeSignTo,
    /// How often (default 1 min).
    pub every: Duration,
}

/// Who hears a sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LifeSignTo {
    /// These notifiers tell it.
    Notifiers(Vec<NotifierName>),
    /// A GET of this address.
    Url(Url),
}

/// `digest "NAME" { … }` of `alerts`: a summary of everything that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Digest {
    /// Its name, unique among the digests.
    pub name: String,
    /// Of which alerts.
    pub when: Matchers,
    /// Who tells.
    pub to: Vec<NotifierName>,
    /// When.
    pub at: Calendar,
    /// Whether it is also told that nothing is wrong (default yes: its silence would say something else).
    pub also_when_well: bool,
}

/// `maintenance "NAME" { … }`: planned times in which nobody is told of some alerts.
#[derive(Clone, Debug, PartialEq)]
pub struct Maintenance {
    /// Its name, unique among them.
    pub name: String,
    /// Of which alerts.
    pub when: Matchers,
    /// When it begins.
    pub begins: Begins,
    /// How long it lasts each time, in real time also when the clocks change; not zero.
    pub lasts: Duration,
    /// What is done then, for people.
    pub comment: String,
}

/// When a maintenance window begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Begins {
    /// Once.
    Once(Timestamp),
    /// Again and again.
    Each(Calendar),
}

impl Maintenance {
    /// Start and end of the first window that begins after that instant.
    pub fn next(&self, after: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let start = match &self.begins {
            Begins::Once(start) => Some(*start).filter(|start| *start > after),
            Begins::Each(calendar) => calendar.next(after),
        };
        start.and_then(|start| self.from(start))
    }

    /// Start and end of the window that an instant lies in; of the latest one when several overlap.
    /// The start belongs to it, the end does not.
    pub fn active(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let earlier = now.checked_sub(self.lasts).unwrap_or(Timestamp::MIN);
        let mut found = None;
        let mut next = self.next(earlier);
        while let Some(window) = next.filter(|(start, _)| *start <= now) {
            found = Some(window);
            next = self.next(window.0);
        }
        found
    }

    fn from(&self, start: Timestamp) -> Option<(Timestamp, Timestamp)> {
        start.checked_add(self.lasts).ok().map(|end| (start, end))
    }
}

impl fmt::Display for Begins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once(start) => write!(f, "{start}"),
            Self::Each(calendar) => write!(f, "{calendar}"),
        }
    }
}
