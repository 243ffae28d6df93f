//! The lease: one of several nodes may act, decided by one record that is written by
//! compare-and-set. No session, no synchronized clocks, no limit on how late a message may be.
//!
//! A [`Candidate`] is one node's side of it. It does nothing itself: it is told what was read
//! and written, says what to read or write next, and knows until when this node may believe
//! that it holds the lease.
//!
//! ```text
//!  holder     t0 ── renewal sent ── done ──────────────── belief ends ── margin ──┤ all is still
//!                        │                                  t0 + H        G + S
//!  record            a new beat
//!                        │
//!  observer              └── seen ─────────────────── L without a change ─────────┤ takes it
//! ```
//!
//! - The holder's belief is counted from before the renewal was *sent*, and only a definite
//!   success lengthens it. After an unclear answer it reads, writes again, and counts from that
//!   attempt if it succeeds.
//! - An observer takes the lease when it has not *seen* the record change for `L`, by replacing
//!   exactly the revision it timed: a renewal that it missed makes that fail. What it sees for
//!   the first time, and a missing record too, is waited for from then on.
//! - A holder past its belief forgets which revision it wrote, and is an observer like others.
//! - Each write differs from the one before in its `beat`: writing the same again would succeed
//!   without being a change for anybody.
//!
//! So `(H + G + S)(1 + r) <= L (1 - r)` keeps two nodes from acting at once, where no clock
//! runs more than `r` too fast or too slow; [`Params`] refuses what breaks it.
//!
//! # When no wait is needed
//!
//! After a [released](Record::released) record; after a record of an earlier process of this
//! node, if that was there when this one came; and after a late write of our own.
//!
//! # What is not covered
//!
//! A machine that is frozen as a whole goes on for a moment after it is thawed, and what its
//! clocks do not count (the pause of a virtual machine) is not known to it: give the token to
//! whatever is written to. Two running processes that call themselves the same node may overlap
//! once, when the second starts. Where Consul's records are put back to an older state, the three
//! cases above and a wait that began before are no proof any more: no node may act on a lease for
//! `L` after that.

mod candidate;
mod claim;
mod params;
mod promise;
mod stamp;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_among;

use std::collections::BTreeSet;
use std::time::Duration;

pub use candidate::Candidate;
pub use params::{LONGEST, Params, ParamsError, Timing};
pub use promise::{Answer, Question};
pub use stamp::Stamp;

/// Which write a record is from. Two are only ever compared for being the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

/// What the record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The node that holds the lease, or held it.
    pub holder: String,
    /// Which process of that node wrote it: another one after each start.
    pub incarnation: String,
    /// Grows with each taking of the lease; at least 1. What is written under a lower token
    /// is from a holder of the past.
    pub token: u64,
    /// Another number in each write of a process.
    pub beat: u64,
    /// How long an observer waits for a change at least, as the holder has it configured.
    pub length: Duration,
    /// The holder has stopped in order and acts no more; who is to be the next one.
    pub released: Option<Next>,
    /// Who else may take it. `None`: whoever sees it.
    pub roll: Option<Roll>,
}

/// Who may take a lease that was given back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Whoever comes first, at once.
    Anyone,
    /// This node at once; others when it has not done so for a full length.
    Node(String),
    /// Nobody before a person says so: what it stands for was stopped on purpose.
    Nobody,
}

/// Between which nodes a lease passes. Only its holder changes that, with a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roll {
    /// All of them, the holder too.
    pub nodes: BTreeSet<String>,
    /// Which boot of its machine the holder is from.
    pub boot: String,
}

/// What a lease between named nodes has beside its times.
///
/// Its holder asks all others directly when it cannot renew it in time: each that promises to wait
/// as if it had seen a change lets it go on ([`Question`]). While one of them is silent nobody
/// could go on so; then the record says that they wait for longer, as `steady` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Among {
    /// The nodes, as this one has them configured.
    pub nodes: BTreeSet<String>,
    /// Which boot of its machine this process is from.
    pub boot: String,
    /// The times while one of the nodes does not answer.
    pub steady: Params,
}

/// What a node would do with a lease that it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Neither take it nor keep it: what this node holds is not renewed any more and runs out, and what an
    /// earlier process of it held is not gone on with.
    Lapse,
    /// Nothing; what it holds it keeps.
    Watch,
    /// Take it when it was given back for this node.
    Given,
    /// Take it when it was given back for this node or anybody.
    Free,
    /// Take it also when nobody renews it any more; so much later than it may, for others to be
    /// first.
    Expired {
        /// How much later.
        after: Duration,
    },
    /// A person wants this node to have it: as soon as it is safe, and also when it was given
    /// back for nobody.
    Ordered,
}

/// Something that a [`Candidate`] is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The answer to [`Effect::Read`].
    Read(Reading),
    /// The answer to [`Effect::Write`].
    Written(Written),
    /// This node acts no more: the lease is to be given back.
    Release {
        /// Who is to be the next one.
        next: Next,
        /// This node goes on watching it. Otherwise it takes no part any more.
        stay: bool,
    },
    /// What this node would do with it from now on.
    Wish(Wish),
    /// Something about the record has changed: it is to be looked at soon.
    Hint,
    /// What one of the others said to [`Candidate::question`].
    Answered(Answer),
}

/// What a read gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The record.
    Found {
        /// What it says.
        record: Record,
        /// Which write it is from.
        revision: Revision,
    },
    /// There is certainly no record.
    Absent,
    /// There is a record, but not one that this program understands.
    Unreadable {
        /// Which write it is from.
        revision: Revision,
        /// What is wrong with it.
        why: String,
    },
    /// No answer, or a refusal.
    Failed {
        /// Why.
        why: String,
    },
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is done.
    Done {
        /// Which write the record is from now.
        revision: Revision,
    },
    /// Not done: the record was not as expected.
    Conflict,
    /// Certainly not done, and it never will be.
    NotDone {
        /// Why.
        why: String,
    },
    /// It may be done, or may be done later.
    Unclear {
        /// What is known.
        why: String,
    },
}

/// Something to be done. There is never more than one at a time: what is not answered within
/// [`Params::request`] is given up, and answered with [`Reading::Failed`] or
/// [`Written::Unclear`]. An answer that comes later than that is not handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read the record as it is now, not as it may have been.
    Read,
    /// Write the record if it is as expected.
    Write {
        /// Which write it must be from; `None`: there must be no record.
        expect: Option<Revision>,
        /// What it is to say.
        record: Record,
    },
}

/// That this node holds the lease, and how long it may believe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belief {
    /// The token under which it acts.
    pub token: u64,
    /// When the renewal that proves it was sent.
    pub since: Stamp,
    /// How long it holds from then.
    pub lasts: Duration,
}

impl Belief {
    /// Whether it holds now. To be asked immediately before each act.
    pub fn holds(&self, now: Stamp) -> bool {
        !self.left(now).is_zero()
    }

    /// How much of it is left; zero when it is over.
    pub fn left(&self, now: Stamp) -> Duration {
        self.lasts.saturating_sub(now.longest_since(self.since))
    }
}

/// How the lease stands for one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing<'a> {
    /// This node holds it.
    Held(Belief),
    /// Somebody else does, for all that this node has seen.
    Other {
        /// The node. It has our name if another process calls itself the same.
        holder: &'a str,
        /// When the record was last seen to change.
        changed: Stamp,
    },
    /// Nobody does, and this node will try to when it has waited long enough.
    Free,
    /// That cannot be said.
    Unknown {
        /// Why, in words.
        why: &'a str,
    },
}
