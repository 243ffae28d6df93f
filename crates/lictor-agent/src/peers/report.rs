//! How peers stand, as the alerts are told of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lictor_config::{Announce, Peers};
use lictor_core::alert::{Report, Source, Subject, SubjectKey, Told, digest, label, text};
use lictor_core::peers::{Change, Changes, Peer, Seen, Verdict};
use lictor_core::{NotifierName, Now, Status};

/// The port of a probe that is named nowhere.
const PORT: &str = "5988";

/// What a program whose place we take said in other words, and what it told before us.
pub trait Customs: Send + Sync {
    /// How a peer stands, in its words.
    fn output(&self, peer: &Peer, address: Option<IpAddr>, seen: &Seen, verdict: &Verdict) -> String;

    /// What it told of a peer of which we know nothing, among all of these.
    fn told(&self, peer: &Peer, all: &[Peer], address: Option<IpAddr>, seen: &Seen) -> Option<ToldBefore>;
}

/// What was told of a peer by another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToldBefore {
    /// That it is down.
    pub down: bool,
    /// That is still so, in all that would be told.
    pub same: bool,
}

/// Turns what changed into reports.
pub(super) struct Reporter {
    node: String,
    announce: Announce,
    notifiers: Vec<NotifierName>,
    customs: Option<Arc<dyn Customs>>,
    /// Peers of which there is a record, or what was told elsewhere was asked.
    known: BTreeSet<String>,
}

impl Reporter {
    pub(super) fn new(
        node: &str,
        peers: &Peers,
        notifiers: Vec<NotifierName>,
        customs: Option<Arc<dyn Customs>>,
        known: BTreeSet<String>,
    ) -> Self {
        let announce = peers.announce;
        Self { node: node.to_owned(), announce, notifiers, customs, known }
    }

    /// Who reports.
    pub(super) fn source(&self) -> Source {
        source()
    }

    /// Reports of what changed, and what is no more.
    pub(super) fn of(&mut self, changes: Changes, all: &[Peer], now: Now) -> (Vec<Report>, Vec<SubjectKey>) {
        let Changes { peers, gone, finding, alone } = changes;
        let mut reports: Vec<Report> = peers.into_iter().map(|change| self.peer(change, all, now)).collect();
        for (what, verdict) in [("finding peers", finding), ("sight of peers", alone)] {
            reports.extend(verdict.map(|verdict| self.of_itself(what, verdict)));
        }
        let gone = gone.into_iter().map(|peer| {
            self.known.remove(&peer.id);
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
            && self.known.insert(peer.id.clone())
            && let Some(before) = customs.told(&peer, all, address, seen)
        {
            let status = if before.down { Status::Critical } else { Status::Passing };
            let known = before.same.then_some(()).and(news);
            let word = Told { status, firing: before.down, at: now, reminders: 0, news: known };
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

    fn key(&self, peer: &Peer) -> SubjectKey {
        SubjectKey::of(&["peer", &self.node, &peer.id])
    }
}

/// Who reports how peers stand.
pub(super) fn source() -> Source {
    Source::new("peers")
}
