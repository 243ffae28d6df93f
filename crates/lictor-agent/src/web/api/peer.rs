//! The mesh of peers as JSON.

use lictor_core::Now;
use lictor_core::peers::{Failing, MeshView, Opinion, PeerView, Seen};
use serde::Serialize;

use crate::web::text::{count, millis, rfc3339, visible};

/// `GET /v1/peers`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Peers {
    /// Whether this node watches peers.
    pub(in crate::web) watching: bool,
    /// The node whose view it is.
    pub(in crate::web) node: String,
    /// When its last round was over; none before the first is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) at: Option<String>,
    pub(in crate::web) counts: PeerCounts,
    /// Since when it sees so few that it is itself cut off, for all it can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) cut_off: Option<CutOff>,
    /// Why peers cannot be found: the last known ones are watched on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) lost: Option<NotFound>,
    /// Nodes that see each other, this one's first; more than one group is a partition.
    pub(in crate::web) groups: Vec<Vec<String>>,
    /// The same in words, when it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) partition: Option<String>,
    /// What the others say of this node.
    pub(in crate::web) opinions: Vec<Said>,
    /// By their ids.
    pub(in crate::web) peers: Vec<Peer>,
}

/// How many peers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::web) struct PeerCounts {
    /// Those that discovery names.
    pub(in crate::web) known: usize,
    /// Those of them that this node looks at; others look at the rest.
    pub(in crate::web) watched: usize,
    /// Those of them that answer with a report.
    pub(in crate::web) seen: usize,
    /// Watched ones that are well: they are seen, and all their checks are good.
    pub(in crate::web) passing: usize,
}

/// This node is cut off.
#[derive(Debug, Serialize)]
pub(in crate::web) struct CutOff {
    pub(in crate::web) since: String,
    pub(in crate::web) lasts_ms: u64,
}

/// Peers cannot be found.
#[derive(Debug, Serialize)]
pub(in crate::web) struct NotFound {
    pub(in crate::web) why: String,
    pub(in crate::web) since: String,
    pub(in crate::web) lasts_ms: u64,
}

/// One peer.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Peer {
    /// `host:port`, the same on every node.
    pub(in crate::web) peer: String,
    /// The name it gives itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) node: Option<String>,
    /// The address that answered last, or the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) address: Option<String>,
    /// `passing` or `critical`; none while it was not judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) lasts_ms: Option<u64>,
    /// What the last look found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) seen: Option<Found>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) seen_at: Option<String>,
    /// Since when discovery no longer names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) vanished: Option<String>,
    /// Whether this node looks at it.
    pub(in crate::web) watched: bool,
    /// What the others say of it.
    pub(in crate::web) opinions: Vec<Said>,
}

/// What a look found.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Found {
    /// In words.
    pub(in crate::web) text: String,
    /// Whether it answered with a report.
    pub(in crate::web) up: bool,
    /// So many of its checks are good …
    pub(in crate::web) good: u32,
    /// … of so many.
    pub(in crate::web) total: u32,
    /// The status of its answer; 0 for none.
    pub(in crate::web) code: u16,
    pub(in crate::web) failing: Vec<Bad>,
}

/// A check of a peer that is not good.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Bad {
    pub(in crate::web) url: String,
    pub(in crate::web) code: u16,
}

/// What another node says of a peer.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Said {
    pub(in crate::web) node: String,
    /// Whether it sees it.
    pub(in crate::web) up: bool,
    pub(in crate::web) since: String,
    pub(in crate::web) lasts_ms: u64,
    /// When it looked.
    pub(in crate::web) at: String,
    /// It took it upon itself to tell that it does not.
    pub(in crate::web) told: bool,
}

/// Longest text, characters.
const TEXT: usize = 1_000;

/// Longest name, characters.
const NAME: usize = 130;

impl Peers {
    pub(in crate::web) fn new(mesh: &MeshView, now: Now) -> Self {
        let lasts = |since: Now| millis(now.boot.since(since.boot));
        Self {
            watching: mesh.watching,
            node: mesh.node.clone(),
            at: mesh.at.map(|at| rfc3339(at.wall)),
            counts: PeerCounts::new(mesh),
            cut_off: mesh.cut_off.map(|since| CutOff { since: rfc3339(since.wall), lasts_ms: lasts(since) }),
            lost: mesh.lost.as_ref().map(|(why, since)| NotFound {
                why: visible(why, TEXT),
                since: rfc3339(since.wall),
                lasts_ms: lasts(*since),
            }),
            groups: mesh.groups.clone(),
            partition: partition(&mesh.groups),
            opinions: mesh.of_us.iter().map(|opinion| Said::new(opinion, now)).collect(),
            peers: mesh.peers.iter().map(|peer| Peer::new(peer, now)).collect(),
        }
    }
}

impl PeerCounts {
    pub(in crate::web) fn new(mesh: &MeshView) -> Self {
        let known = || mesh.peers.iter().filter(|peer| peer.vanished.is_none());
        let watched = || known().filter(|peer| peer.watched);
        Self {
            known: known().count(),
            watched: watched().count(),
            seen: watched().filter(|peer| sees(peer) == Some(true)).count(),
            passing: watched().filter(|peer| peer.status == Some(lictor_core::Status::Passing)).count(),
        }
    }
}

/// Whether this node sees a peer: it answered the last look with a report. `None`: nobody looked.
pub(in crate::web) fn sees(peer: &PeerView) -> Option<bool> {
    peer.seen.as_ref().map(|(seen, _)| seen.is_there())
}

impl Peer {
    fn new(peer: &PeerView, now: Now) -> Self {
        Self {
            peer: peer.id.clone(),
            node: peer.node.clone(),
            address: peer.address.map(|address| address.to_string()),
            status: peer.status.map(lictor_core::Status::as_str),
            since: peer.since.map(|since| rfc3339(since.wall)),
            lasts_ms: peer.since.map(|since| millis(now.boot.since(since.boot))),
            seen: peer.seen.as_ref().map(|(seen, _)| Found::new(seen)),
            seen_at: peer.seen.as_ref().map(|(_, at)| rfc3339(at.wall)),
            vanished: peer.vanished.map(|since| rfc3339(since.wall)),
            watched: peer.watched,
            opinions: peer.opinions.iter().map(|opinion| Said::new(opinion, now)).collect(),
        }
    }
}

impl Found {
    fn new(seen: &Seen) -> Self {
        let (good, total) = seen.counts();
        let bad = |one: &Failing| Bad { url: visible(&one.url, TEXT), code: one.code };
        Self {
            text: visible(&seen.to_string(), TEXT),
            up: seen.is_there(),
            good,
            total,
            code: seen.code(),
            failing: seen.failing().iter().map(bad).collect(),
        }
    }
}

impl Said {
    fn new(opinion: &Opinion, now: Now) -> Self {
        Self {
            node: opinion.node.clone(),
            up: opinion.up,
            since: rfc3339(opinion.since.wall),
            lasts_ms: millis(now.boot.since(opinion.since.boot)),
            at: rfc3339(opinion.at.wall),
            told: opinion.told,
        }
    }
}

/// `n1 and n2 see each other, neither sees n3`; nothing when all see each other.
pub(in crate::web) fn partition(groups: &[Vec<String>]) -> Option<String> {
    let (ours, others) = groups.split_first()?;
    let unseen: Vec<&String> = others.iter().flatten().collect();
    let (first, more) = ours.split_first()?;
    if unseen.is_empty() {
        return None;
    }
    let mut said = match (more.len(), unseen.as_slice()) {
        (0, [one]) => format!("{} does not see {}", visible(first, NAME), visible(one, NAME)),
        (0, _) => format!("{} sees none of {}", visible(first, NAME), listed(&unseen, "and")),
        (1, _) => format!("{}, neither sees {}", each_other(ours), listed(&unseen, "or")),
        (_, _) => format!("{}, none of them sees {}", each_other(ours), listed(&unseen, "or")),
    };
    for group in others.iter().filter(|group| group.len() > 1) {
        said = format!("{said}; {}", each_other(group));
    }
    Some(said)
}

fn each_other(group: &[String]) -> String {
    format!("{} see each other", listed(&group.iter().collect::<Vec<_>>(), "and"))
}

/// Names that are written out; the others are counted.
const NAMES: usize = 6;

/// `a, b and c`.
fn listed(names: &[&String], word: &str) -> String {
    let mut shown: Vec<_> = names.iter().take(NAMES).map(|name| visible(name, NAME)).collect();
    match names.len() - shown.len() {
        0 => {}
        // The same number of words for it, and it says more.
        1 => shown.extend(names.last().map(|name| visible(name, NAME))),
        left => shown.push(count(left, "other")),
    }
    match shown.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} {word} {last}", before.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(groups: &[&[&str]]) -> Option<String> {
        let names = |group: &&[&str]| group.iter().map(|&name| name.to_owned()).collect();
        partition(&groups.iter().map(names).collect::<Vec<_>>())
    }

    #[test]
    fn a_partition_is_said_in_words() {
        for (groups, words) in [
            (&[&["n1", "n2"][..], &["n3"]][..], "n1 and n2 see each other, neither sees n3"),
            (&[&["n1", "n2"], &["n3"], &["n4"]], "n1 and n2 see each other, neither sees n3 or n4"),
            (&[&["n1", "n2", "n5"], &["n3"]], "n1, n2 and n5 see each other, none of them sees n3"),
            (&[&["n1"], &["n2"]], "n1 does not see n2"),
            (&[&["n1"], &["n2"], &["n3"], &["n4"]], "n1 sees none of n2, n3 and n4"),
            (
                &[&["n1", "n2"], &["n3", "n4"]],
                "n1 and n2 see each other, neither sees n3 or n4; n3 and n4 see each other",
            ),
            (
                &[&["a", "b", "c", "d", "e", "f", "g"], &["x"]],
                "a, b, c, d, e, f and g see each other, none of them sees x",
            ),
            (
                &[&["a", "b", "c", "d", "e", "f", "g", "h"], &["x\u{1b}"]],
                "a, b, c, d, e, f and 2 others see each other, none of them sees x\\u{1b}",
            ),
        ] {
            assert_eq!(said(groups).as_deref(), Some(words));
        }
    }

    #[test]
    fn nodes_that_all_see_each_other_are_no_partition() {
        assert_eq!(said(&[&["n1", "n2", "n3"]]), None);
        assert_eq!(said(&[&["n1"]]), None);
        assert_eq!(said(&[]), None);
    }
}
