//! The mesh on the page: who sees whom, and since when.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use lictor_core::peers::{MeshView, Opinion, PeerView};
use lictor_core::{Now, Status};

use super::model::TEXT;
use crate::web::api::{PeerCounts, partition, peer_is_seen};
use crate::web::text::{count, rfc3339, span, thousands, visible};

/// Peers shown without `?all`.
const PEERS: usize = 50;

/// The largest mesh of which it is shown who sees whom, and the largest with `?all`.
const MATRIX: usize = 16;
const MATRIX_ALL: usize = 100;

/// Longest name, characters.
const NAME: usize = 130;

/// The section of the peers.
#[derive(Debug)]
pub(super) struct Section {
    /// Whether peers are watched; else there is nothing to be shown.
    pub(super) watching: bool,
    /// The first round is over.
    looked: bool,
    /// Those that say what they see of this node all see it.
    heard: bool,
    pub(super) counts: PeerCounts,
    /// How many are seen, in words.
    pub(super) summary: String,
    /// For how long this node sees so few.
    pub(super) cut_off: Option<String>,
    /// Why peers cannot be found, and for how long.
    pub(super) lost: Option<(String, String)>,
    pub(super) partition: Option<String>,
    pub(super) rows: Vec<PeerRow>,
    /// So many more.
    pub(super) more: usize,
    pub(super) matrix: Option<Matrix>,
}

/// One peer.
#[derive(Debug)]
pub(super) struct PeerRow {
    pub(super) name: String,
    /// Its id and address.
    pub(super) place: String,
    /// The shape of its status.
    pub(super) status: &'static str,
    pub(super) word: &'static str,
    /// Since when, and for how long.
    pub(super) since: Option<(String, String)>,
    pub(super) vanished: bool,
    pub(super) text: String,
    /// How many others see it, in words.
    pub(super) others: String,
}

/// Who sees whom.
#[derive(Debug)]
pub(super) struct Matrix {
    /// Who is looked at: this node first.
    pub(super) peers: Vec<String>,
    pub(super) rows: Vec<Observer>,
}

/// What one node sees: of this node, and of each peer.
#[derive(Debug)]
pub(super) struct Observer {
    pub(super) name: String,
    pub(super) ours: bool,
    pub(super) cells: Vec<Cell>,
}

/// What one node sees of one peer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// It is the peer.
    Itself,
    /// It says nothing of it.
    Nothing,
    /// It sees it, or does not.
    Looked {
        /// Whether.
        up: bool,
        /// Since when.
        since: String,
        /// For how long.
        lasts: String,
    },
}

impl Section {
    pub(super) fn new(mesh: &MeshView, now: Now, all: bool) -> Self {
        let counts = PeerCounts::new(mesh);
        let mut peers: Vec<_> = mesh.peers.iter().collect();
        // By id already; the sort is stable.
        peers.sort_by_key(|peer| Reverse(peer.status));
        let few = if all { usize::MAX } else { PEERS };
        let lasts = |since: Now| span(now.boot.since(since.boot));
        Self {
            watching: mesh.watching,
            looked: mesh.at.is_some(),
            heard: mesh.of_us.iter().all(|opinion| opinion.up),
            counts,
            summary: if mesh.at.is_some() { summary(counts) } else { FIRST.to_owned() },
            cut_off: mesh.cut_off.map(lasts),
            lost: mesh.lost.as_ref().map(|(why, since)| (visible(why, TEXT), lasts(*since))),
            partition: partition(&mesh.groups),
            more: peers.len().saturating_sub(few),
            rows: peers.into_iter().take(few).map(|peer| PeerRow::new(peer, now)).collect(),
            matrix: matrix(mesh, now, if all { MATRIX_ALL } else { MATRIX }),
        }
    }

    /// Whether there is nothing that somebody should look at.
    pub(super) fn is_well(&self) -> bool {
        self.cut_off.is_none()
            && self.lost.is_none()
            && self.partition.is_none()
            && self.heard
            && (self.counts.passing == self.counts.watched || !self.looked)
    }
}

/// How many are seen is not known yet.
const FIRST: &str = "The first round of looks at the peers is not over yet.";

/// `4 of 5 peers are seen, 3 are well.`
fn summary(counts: PeerCounts) -> String {
    let PeerCounts { known, watched, seen, passing } = counts;
    if known == 0 {
        return "No other node is known.".to_owned();
    }
    let verb = |number| if number == 1 { "is" } else { "are" };
    let seen_of = format!("{} of {} {} seen", thousands(seen), count(watched, "peer"), verb(seen));
    let well = match passing < seen {
        true => format!(", {} {} well", thousands(passing), verb(passing)),
        false => String::new(),
    };
    let others = match known - watched {
        0 => String::new(),
        more => format!("; {} more {} watched by others", thousands(more), verb(more)),
    };
    format!("{seen_of}{well}{others}.")
}

impl PeerRow {
    fn new(peer: &PeerView, now: Now) -> Self {
        let (status, word) = match peer.status {
            Some(status) => (status.as_str(), status.as_str()),
            None if peer.watched => (Status::Unknown.as_str(), "not judged yet"),
            None => (Status::Unknown.as_str(), "by others"),
        };
        let text = match (&peer.seen, peer.watched) {
            (Some((seen, _)), _) => visible(&seen.to_string(), TEXT),
            (None, true) => "not looked at yet".to_owned(),
            (None, false) => "other nodes look at it".to_owned(),
        };
        let place = peer.address.map(|address| format!(", {address}")).unwrap_or_default();
        let up = peer.opinions.iter().filter(|opinion| opinion.up).count();
        Self {
            name: name(peer),
            place: format!("{}{place}", visible(&peer.id, NAME)),
            status,
            word,
            since: peer.since.map(|since| (rfc3339(since.wall), span(now.boot.since(since.boot)))),
            vanished: peer.vanished.is_some(),
            text,
            others: match peer.opinions.len() {
                0 => String::new(),
                said => format!("{up} of {said}"),
            },
        }
    }
}

/// The name it gives itself, or its id.
fn name(peer: &PeerView) -> String {
    visible(peer.node.as_ref().unwrap_or(&peer.id), NAME)
}

/// Who sees whom: this node, and each that says so. `None` when there are too many for it, or nobody says anything.
fn matrix(mesh: &MeshView, now: Now, most: usize) -> Option<Matrix> {
    if mesh.peers.len() > most {
        return None;
    }
    let mut said: BTreeMap<&str, BTreeMap<&str, &Opinion>> = BTreeMap::new();
    for peer in &mesh.peers {
        for opinion in &peer.opinions {
            said.entry(&opinion.node).or_default().insert(&peer.id, opinion);
        }
    }
    let of_us: BTreeMap<&str, &Opinion> =
        mesh.of_us.iter().map(|opinion| (opinion.node.as_str(), opinion)).collect();
    for node in of_us.keys() {
        said.entry(node).or_default();
    }
    if said.is_empty() {
        return None;
    }
    let ours = Observer {
        name: visible(&mesh.node, NAME),
        ours: true,
        cells: std::iter::once(Cell::Itself)
            .chain(mesh.peers.iter().map(|peer| own_cell(peer, now)))
            .collect(),
    };
    // In the order of the peers, so that what is seen of oneself lies on the diagonal; then whoever else spoke.
    let named: Vec<&str> = mesh.peers.iter().filter_map(|peer| peer.node.as_deref()).collect();
    let mut shown = BTreeSet::new();
    let order = named.into_iter().chain(said.keys().copied()).filter(|node| shown.insert(*node));
    let spoke: Vec<_> = order.filter_map(|node| Some((node, said.get(node)?))).collect();
    let others = spoke.into_iter().map(|(node, opinions)| {
        let of_us = of_us.get(node).map_or(Cell::Nothing, |said| looked(said.up, said.since, now));
        let of_peers = mesh.peers.iter().map(|peer| cell(node, peer, opinions, now));
        Observer {
            name: visible(node, NAME),
            ours: false,
            cells: std::iter::once(of_us).chain(of_peers).collect(),
        }
    });
    let rows = std::iter::once(ours).chain(others).collect();
    let peers = std::iter::once(visible(&mesh.node, NAME)).chain(mesh.peers.iter().map(name)).collect();
    Some(Matrix { peers, rows })
}

fn own_cell(peer: &PeerView, now: Now) -> Cell {
    let (Some((seen, at)), Some(up)) = (&peer.seen, peer_is_seen(peer)) else { return Cell::Nothing };
    // It may have turned, and not for long enough to be judged so.
    let judged = peer.status.is_some_and(|status| (status == Status::Passing) == seen.is_well());
    looked(up, peer.since.filter(|_| judged).unwrap_or(*at), now)
}

fn cell(node: &str, peer: &PeerView, opinions: &BTreeMap<&str, &Opinion>, now: Now) -> Cell {
    match opinions.get(peer.id.as_str()) {
        Some(opinion) => looked(opinion.up, opinion.since, now),
        None if peer.node.as_deref() == Some(node) => Cell::Itself,
        None => Cell::Nothing,
    }
}

fn looked(up: bool, since: Now, now: Now) -> Cell {
    Cell::Looked { up, since: rfc3339(since.wall), lasts: span(now.boot.since(since.boot)) }
}
