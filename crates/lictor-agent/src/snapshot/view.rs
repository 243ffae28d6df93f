//! How the snapshots stand, for whoever asks.

use std::sync::Arc;

use jiff::Timestamp;
use lictor_config::Snapshot;
use lictor_core::snapshot::Jump;
use lictor_core::{Boot, Now};

/// One block.
#[derive(Clone, Debug)]
pub struct SnapshotView {
    /// The block.
    pub config: Arc<Snapshot>,
    /// How it stands.
    pub state: SnapshotState,
}

/// How the snapshots of a block stand on this node.
#[derive(Clone, Debug, Default)]
pub struct SnapshotState {
    /// What is being done.
    pub phase: Phase,
    /// Whether this node knows how it stands: it has looked into the places, or another node works.
    pub known: bool,
    /// The latest snapshot.
    pub latest: Option<Latest>,
    /// When the next one is due.
    pub next: Option<Timestamp>,
    /// The places, in the order of the block.
    pub places: Vec<PlaceState>,
    /// Failures since the last one that was taken.
    pub failures: u32,
    /// That nothing can be taken or sent anywhere, or nobody be found who does; until one is somewhere.
    pub failing: Option<Failing>,
    /// That the latest one is oddly large or small.
    pub jump: Option<Jump>,
    /// The latest drill.
    pub drill: Option<DrillState>,
    /// What was done since this agent was started.
    pub tally: Tally,
}

/// That no snapshots come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Since when, by this machine's own clock.
    pub since: Boot,
    /// The same by the wall clock.
    pub at: Timestamp,
    /// Why it failed last.
    pub why: String,
    /// Whether it was tried: then it is over when a place has one, else already when somebody can try it.
    pub tried: bool,
}

impl SnapshotState {
    /// It fails, now or still.
    pub(super) fn fails(&mut self, why: &str, tried: bool, now: Now) {
        let (since, at) = (now.boot, super::due::wall(now));
        let why = why.to_owned();
        self.failing = Some(match self.failing.take() {
            Some(before) => Failing { why, tried: before.tried || tried, ..before },
            None => Failing { since, at, why, tried },
        });
    }

    /// Somebody can try it again.
    pub(super) fn begins(&mut self) {
        self.failing = self.failing.take().filter(|failing| failing.tried);
    }

    /// A place has got one that was begun then.
    pub(super) fn is_somewhere(&mut self, at: Timestamp) {
        // Names have seconds.
        let later = |failing: &Failing| failing.at.as_second() > at.as_second();
        self.failing = self.failing.take().filter(later);
        if self.failing.is_none() {
            self.failures = 0;
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Snapshots that were taken and found sound.
    pub taken: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Files that were removed because newer ones are there.
    pub removed: u64,
    /// How long the latest one took to be taken and checked, milliseconds.
    pub took_ms: u64,
}

/// The latest snapshot of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// What it is called.
    pub file: String,
    /// When it was begun.
    pub at: Timestamp,
    /// The index of its state.
    pub index: u64,
    /// Bytes of the archive, before encryption.
    pub bytes: u64,
    /// The node that has taken it.
    pub node: String,
}

/// A place of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceState {
    /// Its name.
    pub name: String,
    /// Where it is, without secrets.
    pub shown: String,
    /// How many snapshots of this block are there, if that is known.
    pub count: Option<u64>,
    /// Bytes of them.
    pub bytes: u64,
    /// The newest of them.
    pub newest: Option<Timestamp>,
    /// The latest of those whose time is to come: they count for nothing.
    pub ahead: Option<Timestamp>,
    /// Since when this node looks after it.
    pub since: Boot,
    /// What this process has sent there last, by its name.
    pub sent: Option<String>,
    /// Why nothing can be sent there or found out about it.
    pub trouble: Option<String>,
    /// How much of the present one has been sent, and of how much, while it is.
    pub sending: Option<(u64, u64)>,
}

/// The latest drill of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillState {
    /// When it was begun; `None`: none came to an end yet.
    pub at: Option<Timestamp>,
    /// When one was last sound.
    pub sound: Option<Timestamp>,
    /// Which snapshot was tried.
    pub file: String,
    /// Why it failed, if it did.
    pub failed: Option<String>,
    /// Why a later one did not come about, if so: that says nothing of the snapshot.
    pub untried: Option<String>,
}

/// What is being done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Another node works, or nobody is known to.
    Standby(String),
    /// It is looked what there is.
    #[default]
    Looking,
    /// It waits until the next one is due.
    Waiting,
    /// One is taken and checked.
    Taking,
    /// One is sent.
    Sending,
    /// One is tried.
    Drilling,
    /// It is tried again soon.
    Failing(String),
    /// It will not be done as it is configured.
    Refused(String),
}

impl Phase {
    /// One word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Standby(_) => "standby",
            Self::Looking => "looking",
            Self::Waiting => "waiting",
            Self::Taking => "taking",
            Self::Sending => "sending",
            Self::Drilling => "drilling",
            Self::Failing(_) => "failing",
            Self::Refused(_) => "refused",
        }
    }

    /// Why, if it is not as it should be.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Standby(why) | Self::Failing(why) | Self::Refused(why) => Some(why),
            Self::Looking | Self::Waiting | Self::Taking | Self::Sending | Self::Drilling => None,
        }
    }
}
