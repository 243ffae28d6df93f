//! What a node may make of a record that is not its own: when it may take the lease.

use std::time::Duration;

use super::{Next, Record, Revision, Stamp, Wish};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Absent,
    Record(Record, Revision),
    Unreadable(String, Revision),
}

impl Seen {
    pub(super) const fn revision(&self) -> Option<Revision> {
        match self {
            Self::Absent => None,
            Self::Record(_, revision) | Self::Unreadable(_, revision) => Some(*revision),
        }
    }
}

/// What was seen, unchanged since.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub(super) seen: Seen,
    /// When it was seen first.
    pub(super) since: Stamp,
    /// When it was seen last.
    pub(super) looked: Stamp,
    /// The number of the look that saw it last.
    pub(super) look: u64,
    pub(super) claim: Claim,
    /// A write of ours with this token may have changed it: it must be read before it is
    /// written again.
    pub(super) doubtful: Option<u64>,
}

/// On what grounds the lease may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// On none.
    Never,
    /// It was given back for nobody.
    Closed,
    /// It was given back for anybody.
    Free,
    /// Nobody else can act under it: it was given back for this node, or names it, and what
    /// wrote that acts no more.
    Ours {
        /// What it stands for may still run, under the same token, since the node is the same and so
        /// is its boot: until an earlier process's belief ends, which others wait out for so long.
        goes_on: Option<Duration>,
    },
    /// When nobody has changed it for so long.
    Expired(Duration),
}

impl Claim {
    /// For how long what was seen must stay as it is before a node with this wish takes it;
    /// `None`: for ever.
    pub(super) fn wait(self, wish: Wish) -> Option<Duration> {
        match (self, wish) {
            (_, Wish::Lapse) => None,
            // It goes on; whoever does not want that stops it in order.
            (Self::Ours { goes_on: Some(_) }, _) => Some(Duration::ZERO),
            (Self::Never, _)
            | (_, Wish::Watch)
            | (Self::Closed, Wish::Given | Wish::Free | Wish::Expired { .. }) => None,
            (Self::Free | Self::Expired(_), Wish::Given) => None,
            (Self::Ours { .. }, _) | (Self::Free, Wish::Free | Wish::Ordered) => Some(Duration::ZERO),
            (Self::Closed, Wish::Ordered) => Some(Duration::ZERO),
            (Self::Free, Wish::Expired { after }) => Some(after),
            (Self::Expired(_), Wish::Free) => None,
            (Self::Expired(length), Wish::Expired { after }) => Some(length.saturating_add(after)),
            (Self::Expired(length), Wish::Ordered) => Some(length),
        }
    }
}

/// On what grounds a node may take what a record says that was given back.
pub(super) fn released(next: &Next, node: &str, length: Duration) -> Claim {
    match next {
        Next::Anyone => Claim::Free,
        Next::Node(name) if name == node => Claim::Ours { goes_on: None },
        Next::Node(_) => Claim::Expired(length),
        Next::Nobody => Claim::Closed,
    }
}
