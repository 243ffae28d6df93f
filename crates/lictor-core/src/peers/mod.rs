//! Nodes that watch each other: what each sees, what they agree on, and who tells of it.
//!
//! ```text
//! discovery ─▶ peers ─▶ looks of a round ─▶ judged, when the round is over ─▶ verdicts (for the alerts)
//!                          └ with each answer: what that peer sees of the others ─┘
//! ```
//!
//! [`Mesh`] is one node's part: it is fed with what was found and seen, and has no clock and no network.

mod agree;
mod early;
mod entry;
mod mesh;
mod plan;
mod rank;
mod seen;
#[cfg(test)]
mod tests;
mod verdict;
mod view;

pub use mesh::{Change, Changes, Known, Looked, Mesh, Peer, Sight, Verdict};
pub use plan::{MeshPlan, WhoTells};
pub use rank::{nearest, rank};
pub use seen::{Failing, Seen};
pub use view::{MeshView, Opinion, PeerView};
