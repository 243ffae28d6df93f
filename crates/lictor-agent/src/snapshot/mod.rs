//! Snapshots of all that Consul knows: taken regularly, sent to places, tried.
//!
//! ```text
//!   board.rs: a seat for each block      alone.rs: one block, without an agent
//!     seat.rs: waits for the lease `snapshot/NAME` (lock.rs: and for the lock of other programs)
//!       work.rs: takes one when it is due (take.rs), sends it (send.rs, place.rs), tries one (trial.rs, drill/)
//! ```
//!
//! What is due follows from what is in the places, so nothing must be remembered; what was taken and not yet sent lies in
//! the scratch folder, and is sent by the next process.

mod alone;
mod board;
pub mod drill;
mod lock;
mod place;
mod seat;
mod send;
mod service;
mod stored;
mod take;
mod tell;
mod trial;
mod view;
mod work;

pub use alone::SnapshotAlone;
pub use board::{Means as SnapshotMeans, SnapshotOrderError, Snapshots};
pub use stored::{FetchError, Stored, StoredFile, is_one};
pub use take::{DownloadError, download};
pub use view::{
    DrillState, Latest, Phase as SnapshotPhase, PlaceState, SnapshotState, SnapshotView,
    Tally as SnapshotTally,
};
