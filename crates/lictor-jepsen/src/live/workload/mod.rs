//! What clients do while faults are done to the servers.
//!
//! A workload gives each logical process an *actor*: it says what to do next, does it, and says what came of it. The
//! runner writes both down, around the call, and gives an actor another number when nobody knows what came of a call.

pub mod alerts;
pub mod append;
pub mod failover;
pub mod lock;
pub mod peers;
pub mod register;
pub mod remedy;
pub mod replication;
pub mod session;
pub mod set;
pub mod snapshots;
mod store;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lictor_consul::{Client, Consistency, Error};
use serde_json::Value;

use super::client::Failure;
use super::scene::Scene;
use super::world::agent::Asker;
use crate::dice::Dice;

/// What is about to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What: `read`, `write`.
    pub f: &'static str,
    /// On what.
    pub key: Option<Value>,
    /// With what.
    pub value: Value,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It happened.
    Ok {
        /// What was found, or what was done.
        value: Value,
        /// Consul's index that came with it.
        index: Option<u64>,
    },
    /// It did not happen and never will.
    Fail(String),
    /// Nobody knows.
    Info(String),
}

/// One logical process: it does one thing at a time.
#[async_trait]
pub trait Actor: Send {
    /// What it does next; `None` if there is nothing just now. It may ask its server before it says so; what it learns by
    /// that is not part of the history.
    async fn next(&mut self) -> Option<Call>;

    /// Does what it said.
    async fn perform(&mut self, call: &Call) -> Outcome;

    /// What it does after all faults are over and the servers are well again: asked until there is nothing more.
    async fn last(&mut self) -> Option<Call> {
        None
    }
}

/// What an actor works with.
#[derive(Debug)]
pub struct Hand {
    /// Its number among the actors, from 0.
    pub number: usize,
    /// The host of its server.
    pub host: usize,
    /// Asks the agent of Lictor there, if there is one.
    pub agent: Option<Asker>,
    /// Asks its server; each request is sent once.
    pub client: Client,
    /// What it draws.
    pub dice: Dice,
}

/// What a workload may be told.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// How many actors there are.
    pub actors: usize,
    /// How many servers there are; actor 0 is at the first.
    pub nodes: usize,
    /// Whether there are faults.
    pub faults: bool,
    /// Whether these leave most hosts alone at any time, so that another one can take over.
    pub spared: bool,
    /// Where the programs of agents leave what they have to say.
    pub left: PathBuf,
    /// How sure reads are.
    pub reads: Consistency,
    /// How many operations a key sees before another one takes its place.
    pub per_key: u32,
}

/// The workloads by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Keys that are read, written, and compared and set.
    Register,
    /// The same with Consul's index, which has to grow.
    Versioned,
    /// Registers of several keys each, which transactions keep the same.
    Multi,
    /// Elements that are added to a set.
    Set,
    /// Transactions on lists.
    Append,
    /// Locks that are believed in.
    Lock,
    /// Locks whose tokens are looked at.
    FencedLock,
    /// Elections of leaders that renew their sessions.
    Leader,
    /// How long sessions live, and their locks wait.
    Session,
    /// A service of Lictor's that runs on one of the hosts.
    Failover,
    /// What Lictor tells of checks of Consul's.
    Alerts,
    /// Steps that Lictor does when a check fails.
    Remedy,
    /// Keys that Lictor copies to another datacenter.
    Replication,
    /// What agents tell of each other.
    Peers,
    /// Snapshots of a set that grows.
    Snapshots,
}

/// What clients do in a run.
#[async_trait]
pub trait Workload: Send + Sync {
    /// Brings about what has to be there before the actors begin.
    ///
    /// # Errors
    /// If the servers refuse.
    async fn prepare(&self, client: &Client) -> Result<(), Error>;

    /// One of the actors.
    fn actor(&self, hand: Hand) -> Box<dyn Actor>;

    /// What judges the history, as in [`crate::check::catalog`].
    fn checks(&self) -> Vec<String>;

    /// What never ends as ok, by its nature.
    fn never_ok(&self) -> &'static [&'static str] {
        &[]
    }

    /// How many datacenters the hosts are in: the first ones in the first, and so on.
    fn datacenters(&self) -> usize {
        1
    }

    /// What it has besides, if Lictor is tested.
    fn scene(&self) -> Option<&dyn Scene> {
        None
    }

    /// How long an actor rests between two calls, on average.
    fn rest(&self) -> Duration {
        Duration::from_millis(20)
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Register,
        Self::Versioned,
        Self::Multi,
        Self::Set,
        Self::Append,
        Self::Lock,
        Self::FencedLock,
        Self::Leader,
        Self::Session,
        Self::Failover,
        Self::Alerts,
        Self::Remedy,
        Self::Replication,
        Self::Peers,
        Self::Snapshots,
    ];

    /// Whether agents of Lictor are tested by it, and not servers of Consul alone.
    #[must_use]
    pub const fn tests_lictor(self) -> bool {
        match self {
            Self::Failover
            | Self::Alerts
            | Self::Remedy
            | Self::Replication
            | Self::Peers
            | Self::Snapshots => true,
            Self::Register
            | Self::Versioned
            | Self::Multi
            | Self::Set
            | Self::Append
            | Self::Lock
            | Self::FencedLock
            | Self::Leader
            | Self::Session => false,
        }
    }

    /// What it is, on one line.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Register => "keys that are read, written, and compared and set",
            Self::Versioned => "the same with Consul's index, which has to grow",
            Self::Multi => "registers of three keys each, which transactions keep the same",
            Self::Set => "elements that are added to a set, and read",
            Self::Append => "transactions that read lists and append to them",
            Self::Lock => "locks that are believed in; their sections must not overlap",
            Self::FencedLock => "locks whose tokens are looked at; what counts must not overlap",
            Self::Leader => "elections of leaders that renew their sessions, by their own clocks",
            Self::Session => {
                "how long sessions live, and how long nobody gets the locks of one that was ended"
            }
            Self::Failover => "a service that runs on one of the hosts, and moves; it never runs twice",
            Self::Alerts => "checks of Consul's that fail and pass again; each is told, and its end once",
            Self::Remedy => "checks that fail and are cured in three steps, each done once and in order",
            Self::Replication => "keys that are copied to another datacenter; nothing else is touched there",
            Self::Peers => {
                "agents that watch each other; each tells each fault of another once, and its end once"
            }
            Self::Snapshots => "snapshots while a set grows; each has the set as it was at one moment",
        }
    }

    /// The workload, told what is wished for.
    #[must_use]
    pub fn workload(self, wishes: Wishes) -> Arc<dyn Workload> {
        match self {
            Self::Register => Arc::new(register::Register::plain(wishes)),
            Self::Versioned => Arc::new(register::Register::versioned(wishes)),
            Self::Multi => Arc::new(register::Register::spread(wishes)),
            Self::Set => Arc::new(set::Set::new(wishes)),
            Self::Append => Arc::new(append::Append::new(wishes)),
            Self::Lock => Arc::new(lock::Lock::bare(wishes)),
            Self::FencedLock => Arc::new(lock::Lock::fenced(wishes)),
            Self::Leader => Arc::new(lock::Lock::leader(wishes)),
            Self::Session => Arc::new(session::Sessions::new(wishes)),
            Self::Failover => Arc::new(failover::Failover::new(wishes)),
            Self::Alerts => Arc::new(alerts::Alerts::listen()),
            Self::Remedy => Arc::new(remedy::Remedy::new(wishes)),
            Self::Replication => Arc::new(replication::Replication::new(&wishes)),
            Self::Peers => Arc::new(peers::Peers::new(wishes)),
            Self::Snapshots => Arc::new(snapshots::Snapshots::new(wishes)),
        }
    }
}

impl Call {
    /// A call without a key.
    #[must_use]
    pub fn new(f: &'static str, value: Value) -> Self {
        Self { f, key: None, value }
    }

    /// The same on a key.
    #[must_use]
    pub fn on(self, key: impl Into<Value>) -> Self {
        Self { key: Some(key.into()), ..self }
    }
}

impl Outcome {
    /// It happened, and this was found or done.
    #[must_use]
    pub fn ok(value: Value) -> Self {
        Self::Ok { value, index: None }
    }

    /// What a request's error says of the call it was made for.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match Failure::of(error) {
            Failure::Not(why) => Self::Fail(why),
            Failure::Unknown(why) => Self::Info(why),
        }
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.to_string() == name);
        found.ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(ToString::to_string).collect();
            format!("there is no workload `{name}`; there are {}", names.join(", "))
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Register => "register",
            Self::Versioned => "versioned",
            Self::Multi => "multi",
            Self::Set => "set",
            Self::Append => "append",
            Self::Lock => "lock",
            Self::FencedLock => "fenced-lock",
            Self::Leader => "leader",
            Self::Session => "session",
            Self::Failover => "failover",
            Self::Alerts => "alerts",
            Self::Remedy => "remedy",
            Self::Replication => "replication",
            Self::Peers => "peers",
            Self::Snapshots => "snapshots",
        })
    }
}
