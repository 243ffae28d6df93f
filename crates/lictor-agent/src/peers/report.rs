//! How peers stand, as the alerts are told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lictor_config::{Announce, Peers};
use lictor_core::alert::{Report, Subject, SubjectKey, Told, digest, label, text};
use lictor_core::peers::{Change, Changes, Peer, Seen, Verdict};
use lictor_core::{NotifierName, Now, Status, Wall};

/// The port of a probe that is named nowhere.
const PORT: &str = "5988";

/// What a program whose place we take said in other words, and what it told before us.
pub trait Customs: Send + Sync {
    /// How a peer stands, in its words.
    fn output(&self, peer: &Peer, address: Option<IpAddr>, seen: &Seen, verdict: &Verdict) -> String;

    /// What it told of a peer, among all of these. Where we have told of it ourselves, that counts if it is the other
    /// way round and came later: that program had its place back for a while.
    fn told(&self, peer: &Peer, all: &[Peer], address: Option<IpAddr>, seen: &Seen) -> Option<ToldBefore>;
}

/// What was told of a peer by another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToldBefore {
    /// That it is down.
    pub down: bool,
    /// That is still so, in all that would be told.
    pub same: bool,
    /// When, if that is known.
    pub at: Option<Wall>,
}

impl ToldBefore {
    /// Whether it is news to one who remembers that the peer stood so since then.
    fn overrides(self, (status, since): (Status, Now)) -> bool {
        let was_down = status != Status::Passing;
        self.down != was_down && self.at.is_some_and(|at| at > since.wall)
    }
}

/// Turns what changed into reports.
pub(super) struct Reporter {
    node: String,
    announce: Announce,
    notifiers: Vec<NotifierName>,
    customs: Option<Arc<dyn Customs>>,
    /// How peers stood, and since when, of which there was a record.
    recorded: BTreeMap<String, (Status, Now)>,
    /// Peers of which it was asked what was told elsewhere.
    asked: BTreeSet<String>,
}

impl Reporter {
    pub(super) fn new(
        node: &str,
        peers: &Peers,
        notifiers: Vec<NotifierName>,
        customs: Option<Arc<dyn Customs>>,
        recorded: BTreeMap<String, (Status, Now)>,
    ) -> Self {
        let (announce, asked) = (peers.announce, BTreeSet::new());
        Self { node: node.to_owned(), announce, notifiers, customs, recorded, asked }
    }

    /// Reports of what changed, and what is no more.
    pub(super) fn of(&mut self, changes: Changes, all: &[Peer], now: Now) -> (Vec<Report>, Vec<SubjectKey>) {
        let Changes { peers, gone, finding, alone } = changes;
        let mut reports: Vec<Report> = peers.into_iter().map(|change| self.peer(change, all, now)).collect();
        for (what, verdict) in [("finding peers", finding), ("sight of peers", alone)] {
            reports.extend(verdict.map(|verdict| self.of_itself(what, verdict)));
        }
        let gone = gone.into_iter().map(|peer| {
            self.recorded.remove(&peer.id);
            self.asked.remove(&peer.id);
            self.key(&peer)
        });
        (reports, gone.collect())
    }

    fn peer(&mut self, change: Change, all: &[Peer], now: Now) -> Report {
        let Change { peer, address, seen, verdict } = change;
        let (host, port) = peer.id.rsplit_once(':').unwrap_or((&peer.id, PORT));
        let check = if port == PORT { "peer".to_owned() } else { format!("peer :{port}") };
        let labels = text(&[
            (label::SOURCE, "peers"),
            (label::NODE, host.trim_start_matches('[').trim_end_matches(']')),
            (label::CHECK, &check),
            ("peer", &peer.id),
            ("observer", &self.node),
        ]);
        let subject = Subject { key: self.key(&peer), labels, tags: [].into() };
        let customs = self.customs.as_ref().zip(seen.as_ref());
        let output = customs.map(|(customs, seen)| customs.output(&peer, address, seen, &verdict));
        let news = match self.announce {
            Announce::No => None,
            Announce::Changes => Some(digest(&verdict.detail)),
            Announce::Always => Some(digest(&verdict.detail).wrapping_add(rand::random())),
        };
        let mut told = BTreeMap::new();
        if let Some((customs, seen)) = customs
            && self.asked.insert(peer.id.clone())
            && let Some(before) = customs.told(&peer, all, address, seen)
            && self.recorded.get(&peer.id).is_none_or(|ours| before.overrides(*ours))
        {
            let status = if before.down { Status::Critical } else { Status::Passing };
            let known = before.same.then_some(()).and(news);
            let at = Now { wall: before.at.unwrap_or(now.wall), ..now };
            let word = Told { status, firing: before.down, at, reminders: 0, news: known };
            told = self.notifiers.iter().map(|name| (name.clone(), word.clone())).collect();
        }
        let report = Report::new(subject, verdict.status, output.unwrap_or(verdict.output));
        Report { judged: true, news, told, ..report }
    }

    fn of_itself(&self, what: &str, verdict: Verdict) -> Report {
        let labels = text(&[(label::SOURCE, "peers"), (label::NODE, &self.node), (label::CHECK, what)]);
        let subject = Subject { key: SubjectKey::of(&["peers", &self.node, what]), labels, tags: [].into() };
        Report { judged: true, ..Report::new(subject, verdict.status, verdict.output) }
    }

    /// What is told of a peer is about this.
    pub(super) fn key(&self, peer: &Peer) -> SubjectKey {
        SubjectKey::of(&["peer", &self.node, &peer.id])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_elsewhere_later_and_the_other_way_round_counts() {
        let at = |millis| Wall::from_unix_millis(millis);
        let ours = |status| (status, Now { wall: at(1_000), ..Now::default() });
        let told = |down, millis| ToldBefore { down, same: true, at: Some(at(millis)) };
        assert!(told(true, 2_000).overrides(ours(Status::Passing)));
        assert!(told(false, 2_000).overrides(ours(Status::Critical)));
        assert!(!told(false, 2_000).overrides(ours(Status::Passing)), "it says the same");
        // As a crash leaves it, between the record and the file.
        assert!(!told(false, 500).overrides(ours(Status::Critical)));
        assert!(!ToldBefore { at: None, ..told(true, 0) }.overrides(ours(Status::Passing)));
    }
}
