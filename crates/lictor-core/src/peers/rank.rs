//! Who stands nearest to what: rendezvous hashing (Thaler and Ravishankar, 1998). All who know the same
//! nodes agree without asking, and a node that comes or goes moves only what was its own.

use std::cmp::Reverse;

use crate::alert::digest;

/// The place of `node` among `others` for a subject; 0 is the nearest. It need not be among them.
pub fn rank<'a>(subject: &str, node: &str, others: impl IntoIterator<Item = &'a str>) -> usize {
    let subject = digest(subject);
    let own = (weight(subject, digest(node)), node);
    let nearer = |other: &&str| *other != node && (weight(subject, digest(other)), *other) > own;
    others.into_iter().filter(nearer).count()
}

/// Nodes with their digests, to be asked about many subjects.
pub(super) struct Ring<'a>(Vec<(u64, &'a str)>);

impl<'a> Ring<'a> {
    pub(super) fn new(nodes: impl IntoIterator<Item = &'a str>) -> Self {
        Self(nodes.into_iter().map(|node| (digest(node), node)).collect())
    }

    /// Whether `node` is one of the `count` that stand nearest to a subject, itself left out. It looks no
    /// further than it takes to know.
    pub(super) fn is_near(&self, subject: &str, node: &str, count: usize) -> bool {
        let of = digest(subject);
        let own = (weight(of, digest(node)), node);
        let others = self.0.iter().filter(|(_, other)| *other != node && *other != subject);
        let nearer = others.filter(|(other_digest, other)| (weight(of, *other_digest), *other) > own);
        nearer.take(count).count() < count
    }
}

/// The `count` nodes that stand nearest to a subject, nearest first.
pub fn nearest<'a>(subject: &str, count: usize, nodes: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let subject = digest(subject);
    let mut weighed: Vec<_> =
        nodes.into_iter().map(|node| Reverse((weight(subject, digest(node)), node))).collect();
    weighed.sort_unstable();
    weighed.into_iter().take(count).map(|Reverse((_, node))| node).collect()
}

/// Two digests mixed by the finalizer of `SplitMix64` (Steele, Lea and Flood, 2014): names that differ in their
/// last letter only must not have weights that are close.
fn weight(subject: u64, node: u64) -> u64 {
    let mut mixed = subject.rotate_left(32) ^ node;
    mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
