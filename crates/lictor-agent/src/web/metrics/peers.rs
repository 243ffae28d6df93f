//! Gauges of the mesh of peers.

use lictor_core::peers::MeshView;

use super::Gauges;
use crate::web::api::{PeerCounts, peer_is_seen};

/// Peers with a gauge of their own: those of whom most nodes watch only some.
const PEERS: usize = 1_000;

/// Nothing where no peers are watched.
pub(super) fn render(gauges: &mut Gauges<'_>, mesh: &MeshView) {
    if mesh.at.is_none() {
        return;
    }
    let counts = PeerCounts::new(mesh);
    gauges.family("lictor_peers_known", "Peers that discovery names");
    gauges.line("lictor_peers_known", &[], counts.known);
    gauges.family("lictor_peers_watched", "Peers that this node looks at");
    gauges.line("lictor_peers_watched", &[], counts.watched);
    gauges.family("lictor_peers_seen", "Peers that this node looks at and that answer with a report");
    gauges.line("lictor_peers_seen", &[], counts.seen);
    gauges.family("lictor_peer_up", "Whether a peer answers with a report");
    let looked_at = mesh.peers.iter().filter(|peer| peer.watched && peer.vanished.is_none());
    let seen = looked_at.filter_map(|peer| Some((peer, peer_is_seen(peer)?)));
    for (peer, up) in seen.take(PEERS) {
        gauges.line("lictor_peer_up", &[("peer", &peer.id)], u8::from(up));
    }
    gauges.family(
        "lictor_peers_lost",
        "Whether peers cannot be found, so that the last known ones are watched",
    );
    gauges.line("lictor_peers_lost", &[], u8::from(mesh.lost.is_some()));
    gauges.family("lictor_peers_cut_off", "Whether this node sees so few peers that it is itself cut off");
    gauges.line("lictor_peers_cut_off", &[], u8::from(mesh.cut_off.is_some()));
}
