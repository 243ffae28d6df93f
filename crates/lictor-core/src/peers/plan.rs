//! How peers are judged.

use std::num::NonZeroU32;
use std::time::Duration;

/// How a node judges its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshPlan {
    /// The name under which this node answers its peers.
    pub node: String,
    /// Time from one round to the next.
    pub every: Duration,
    /// Time limit of a look.
    pub timeout: Duration,
    /// So many looks in a row must fail until a peer counts as down.
    pub fail_after: NonZeroU32,
    /// So many must succeed until it counts as up again.
    pub pass_after: NonZeroU32,
    /// So many nodes, this one among them, must see it down until it is told.
    pub confirm: NonZeroU32,
    /// Who tells.
    pub tell: WhoTells,
    /// Each peer is watched by so many nodes. `None`: by all.
    pub watchers: Option<NonZeroU32>,
    /// A peer that discovery no longer names is told of.
    pub vanished: bool,
}

/// Who tells of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhoTells {
    /// Every node that watches it.
    #[default]
    Each,
    /// The nearest of them by rank; the next one after a while if that one does not say that it did.
    One,
}

impl MeshPlan {
    /// The longest that a round takes, from its beginning to that of the next.
    pub fn round(&self) -> Duration {
        self.every.max(self.timeout)
    }

    /// How long the others may take to look for themselves and be asked: two rounds.
    pub(super) fn patience(&self) -> Duration {
        (self.round() + self.timeout).saturating_mul(2)
    }

    /// How old what another says may be and still count.
    pub(super) fn memory(&self) -> Duration {
        self.patience() + self.round()
    }
}
