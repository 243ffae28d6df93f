//! What is known of one peer.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::mesh::{Peer, Verdict};
use super::plan::MeshPlan;
use super::seen::Seen;
use super::view::Opinion;
use crate::check::Status;
use crate::time::Now;

/// What is known of a peer.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) peer: Peer,
    /// The address that answered last.
    pub(super) address: Option<IpAddr>,
    /// The name it gives itself.
    pub(super) node: Option<String>,
    /// Whether this node looks at it.
    pub(super) watched: bool,
    /// Whether this node asks it what it sees of a peer that both watch.
    pub(super) asked: bool,
    pub(super) seen: Option<(Seen, Now)>,
    /// Looks in a row of the other kind than `stood` says, or since the first.
    pub(super) streak: u32,
    /// Whether that row is of good ones, and when it began.
    pub(super) turned: Option<(bool, Now)>,
    pub(super) stood: Option<(Status, Now)>,
    /// What it says of others, as of then.
    pub(super) says: BTreeMap<String, Opinion>,
    /// Answers of discovery in a row in which it was missing.
    pub(super) missing: u32,
    pub(super) vanished: Option<Now>,
    /// What those who are to be told know.
    pub(super) verdict: Option<Verdict>,
    /// Whether this node took it upon itself to tell that it is down.
    pub(super) told: bool,
    /// Nobody has accepted that word since then.
    pub(super) waits: Option<Now>,
}

impl Entry {
    pub(super) fn new(peer: Peer) -> Self {
        Self {
            peer,
            address: None,
            node: None,
            watched: true,
            asked: false,
            seen: None,
            streak: 0,
            turned: None,
            stood: None,
            says: BTreeMap::new(),
            missing: 0,
            vanished: None,
            verdict: None,
            told: false,
            waits: None,
        }
    }

    pub(super) fn is_looked_at(&self) -> bool {
        self.watched && self.vanished.is_none()
    }

    /// Whether it answered with a report when it was looked at or asked last.
    pub(super) fn is_there(&self) -> bool {
        (self.watched || self.asked)
            && self.vanished.is_none()
            && self.seen.as_ref().is_some_and(|(seen, _)| seen.is_there())
    }

    /// Whether it counts as down and does not report.
    pub(super) fn is_lost(&self) -> bool {
        self.stood.is_some_and(|(status, _)| status != Status::Passing) && !self.is_there()
    }

    /// Whether it counts as down and does not answer at all.
    pub(super) fn is_silent(&self) -> bool {
        self.is_lost() && !matches!(self.seen, Some((Seen::Refused { .. } | Seen::Junk { .. }, _)))
    }

    /// Whether the last looks differ from how it stands.
    pub(super) fn is_turning(&self) -> bool {
        self.streak > 0
    }

    /// Others look at it from now on.
    pub(super) fn unwatch(&mut self) {
        (self.seen, self.stood, self.verdict, self.told) = (None, None, None, false);
        (self.streak, self.turned, self.waits) = (0, None, None);
        self.says.clear();
    }

    /// What a look found.
    pub(super) fn take(&mut self, seen: Seen, plan: &MeshPlan, now: Now) {
        let well = seen.is_well();
        let stands_well = self.stood.map(|(status, _)| status == Status::Passing);
        self.seen = Some((seen, now));
        if stands_well == Some(well) {
            (self.streak, self.turned) = (0, None);
            return;
        }
        if self.turned.is_none_or(|(good, _)| good != well) {
            (self.streak, self.turned) = (0, Some((well, now)));
        }
        self.streak = self.streak.saturating_add(1);
        let begun = self.turned.map_or(now, |(_, begun)| begun);
        let needed = match (well, stands_well) {
            // Nothing is told of one that was never down.
            (true, None) => 1,
            (true, Some(_)) => plan.pass_after.get(),
            (false, _) => plan.fail_after.get(),
        };
        if self.streak >= needed {
            let status = if well { Status::Passing } else { Status::Critical };
            self.stood = Some((status, begun));
            (self.streak, self.turned) = (0, None);
        }
    }

    /// See [`Verdict::detail`].
    pub(super) fn detail(&self, seen: &Seen) -> String {
        if !seen.is_there() {
            return "down".to_owned();
        }
        let mut failing: Vec<_> = seen.failing().iter().map(|one| one.url.as_str()).collect();
        failing.sort_unstable();
        format!("failing {}", failing.join(" "))
    }
}
