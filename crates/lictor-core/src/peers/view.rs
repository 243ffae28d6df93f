//! How the mesh stands, for readers.

use std::collections::BTreeSet;

use super::mesh::Mesh;
use super::seen::Seen;
use crate::check::Status;
use crate::time::Now;

/// What a node sees of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshView {
    /// The node whose view it is.
    pub node: String,
    /// Whether it watches peers at all.
    pub watching: bool,
    /// When its last round was over. `None`: the first is not.
    pub at: Option<Now>,
    /// The peers, by their ids.
    pub peers: Vec<PeerView>,
    /// What the others say of this node.
    pub of_us: Vec<Opinion>,
    /// Why peers cannot be found, and since when: the last known ones are watched on.
    pub lost: Option<(String, Now)>,
    /// It sees so few that it is itself cut off, for all it can tell; and since when.
    pub cut_off: Option<Now>,
    /// Nodes that see each other, as far as they say so: more than one group is a partition.
    pub groups: Vec<Vec<String>>,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// `host:port`.
    pub id: String,
    /// The address that answered last, or the first.
    pub address: Option<std::net::IpAddr>,
    /// The name it gives itself.
    pub node: Option<String>,
    /// How it stands. `None`: it was not judged yet.
    pub status: Option<Status>,
    /// Since when.
    pub since: Option<Now>,
    /// What the last look found, and when. `None`: another node watches it, or it was not looked at yet.
    pub seen: Option<(Seen, Now)>,
    /// Discovery no longer names it since then.
    pub vanished: Option<Now>,
    /// This node looks at it.
    pub watched: bool,
    /// What the others say of it.
    pub opinions: Vec<Opinion>,
}

/// What another node says of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    /// The node.
    pub node: String,
    /// Whether it sees it.
    pub up: bool,
    /// Since when.
    pub since: Now,
    /// When it looked.
    pub at: Now,
    /// It took it upon itself to tell that it is down.
    pub told: bool,
    /// Nobody has accepted that word since then.
    pub waits: Option<Now>,
}

impl Mesh {
    /// How it stands, for readers.
    pub fn view(&self, now: Now) -> MeshView {
        let peers = self.entries.values().map(|entry| PeerView {
            id: entry.peer.id.clone(),
            address: entry.address.or_else(|| entry.peer.addresses.first().copied()),
            node: entry.node.clone(),
            status: entry.stood.map(|(status, _)| status),
            since: entry.stood.map(|(_, since)| since),
            seen: entry.seen.clone(),
            vanished: entry.vanished,
            watched: entry.watched,
            opinions: self.opinions(&entry.peer.id, now).cloned().collect(),
        });
        MeshView {
            node: self.plan.node.clone(),
            watching: true,
            at: self.at,
            peers: peers.collect(),
            of_us: self.own.iter().flat_map(|own| self.opinions(own, now)).cloned().collect(),
            lost: self.lost.clone(),
            cut_off: self.cut_off,
            groups: self.groups(now),
        }
    }

    /// What the others say of a peer, as far as it is not too old; those who do not answer us are not heard.
    pub(super) fn opinions<'a>(&'a self, id: &'a str, now: Now) -> impl Iterator<Item = &'a Opinion> {
        let memory = self.plan.memory();
        let others = self.entries.values().filter(move |entry| entry.is_there() && entry.peer.id != id);
        let mut heard = BTreeSet::from([self.plan.node.as_str()]);
        let said = others.filter_map(move |entry| entry.says.get(id));
        let said = said.filter(move |opinion| now.boot.since(opinion.at.boot) <= memory);
        // A node may be found under several names, and we may ask ourselves.
        said.filter(move |opinion| heard.insert(&opinion.node))
    }

    /// Nodes that see each other, as far as they say so: ours first, and each that nobody in it sees.
    fn groups(&self, now: Now) -> Vec<Vec<String>> {
        let (mut ours, mut others) = (vec![self.plan.node.clone()], Vec::new());
        for entry in self.entries.values().filter(|entry| entry.vanished.is_none()) {
            let name = entry.node.clone().unwrap_or_else(|| entry.peer.id.clone());
            let seen_from_here = entry.is_there();
            // Not seen from here, but from there: the way is cut, and the node is not.
            if seen_from_here || self.opinions(&entry.peer.id, now).any(|opinion| opinion.up) {
                ours.push(name);
            } else if entry.seen.is_some() {
                others.push(vec![name]);
            }
        }
        others.insert(0, ours);
        others
    }
}
