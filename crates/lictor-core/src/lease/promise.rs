//! Going on without the record: the holder asks those who could take the lease to wait.
//!
//! A promise is worth what a change of the record is worth: whoever gives it waits a full length from then.
//! So when *all* have given it, the holder believes in its lease as if it had renewed it when it asked. It need not
//! outlive the process that gave it, since a process that has just come waits a full length anyway.
//!
//! A node that is silent cannot promise, and is not struck off: it might come back and take the
//! lease, knowing nothing of what was promised. While one is silent the holder writes a longer
//! length instead, so that it may believe for longer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Belief, Stamp};

/// After so long without a promise a node is silent.
const SILENT: Duration = Duration::from_secs(10);

/// To whom a holder turns, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Another number each time.
    pub number: u64,
    /// Under which the holder acts.
    pub token: u64,
    /// For how long nobody else may take the lease from when they are asked.
    pub length: Duration,
    /// Who is asked.
    pub to: BTreeSet<String>,
}

/// What one of them said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number of the question.
    pub number: u64,
    /// Who says so.
    pub by: String,
    /// It waits. Otherwise it knows better.
    pub promises: bool,
}

/// A promise that was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    pub(super) at: Stamp,
    /// To whoever acts under this token.
    pub(super) token: u64,
    pub(super) length: Duration,
}

impl Given {
    /// How much longer nothing may be taken.
    pub(super) fn left(&self, now: Stamp) -> Duration {
        self.length.saturating_sub(now.shortest_since(self.at))
    }
}

/// What a holder knows of the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Voices {
    /// Who may take the lease by any version of the record that may be there.
    pub(super) in_force: BTreeSet<String>,
    number: u64,
    asking: Option<Asking>,
    /// When the lease was taken.
    since: Option<Stamp>,
    heard: BTreeMap<String, Stamp>,
}

#[derive(Clone, Debug)]
struct Asking {
    sent: Stamp,
    token: u64,
    lasts: Duration,
    asked: BTreeSet<String>,
    left: BTreeSet<String>,
}

impl Voices {
    /// Everybody but this node who may take the lease.
    fn others(&self, node: &str) -> impl Iterator<Item = &String> {
        self.in_force.iter().filter(move |one| *one != node)
    }

    /// Whether nobody else may take the lease.
    pub(super) fn is_alone(&self, node: &str) -> bool {
        self.others(node).next().is_none()
    }

    /// Whether one of the others has said nothing for long.
    pub(super) fn is_one_silent(&self, node: &str, now: Stamp) -> bool {
        self.others(node).any(|one| {
            let last = self.heard.get(one).copied().or(self.since);
            last.is_some_and(|last| now.longest_since(last) > SILENT)
        })
    }

    /// When it was asked last.
    pub(super) fn asked(&self) -> Option<Stamp> {
        self.asking.as_ref().map(|asking| asking.sent)
    }

    /// Asks all others.
    pub(super) fn ask(&mut self, node: &str, belief: Belief, length: Duration, now: Stamp) -> Question {
        self.number += 1;
        let to: BTreeSet<String> = self.others(node).cloned().collect();
        let Belief { token, lasts, .. } = belief;
        self.asking = Some(Asking { sent: now, token, lasts, asked: to.clone(), left: to.clone() });
        Question { number: self.number, token, length, to }
    }

    /// Takes an answer in; if all have promised, what the holder may believe.
    pub(super) fn answered(&mut self, answer: &super::Answer, node: &str, now: Stamp) -> Option<Belief> {
        let asking = self.asking.as_mut().filter(|_| answer.number == self.number && answer.promises)?;
        // One that refuses, or always comes too late, would not carry this node either.
        self.heard.insert(answer.by.clone(), now);
        if !asking.left.remove(&answer.by) || !asking.left.is_empty() {
            return None;
        }
        let Asking { sent, token, lasts, ref asked, .. } = *asking;
        // One that may have come to the roll since was not asked.
        let all = self.in_force.iter().all(|one| one == node || asked.contains(one));
        all.then_some(Belief { token, since: sent, lasts })
    }

    /// A lease is held anew: nobody has said anything under it.
    pub(super) fn begin(&mut self, now: Stamp) {
        (self.asking, self.since, self.heard) = (None, Some(now), BTreeMap::new());
    }
}
