//! Snapshots of all that Consul knows: taken regularly, sent to places, tried.
//!
//! ```text
//!   board.rs: a seat for each block      alone.rs: one block, without an agent (lone.rs: and without the lease)
//!     seat.rs: waits for the lease `snapshot/NAME` (lock.rs: and for the lock of other programs)
//!       work.rs: side by side, for a term (term.rs)
//!         round.rs: one is taken (take.rs) when it is due (due.rs), and put on the shelf (shelf.rs)
//!         courier.rs: each place gets what is there (send.rs, place.rs), and what need not stay is removed
//!         trial.rs: the newest is tried (drill/)
//! ```
//!
//! What is due follows from what is in the places, so nothing must be remembered; what was taken and not yet sent lies in
//! the scratch folder, and is sent by the next process.

mod alone;
mod board;
mod courier;
pub mod drill;
mod due;
mod lock;
mod lone;
mod place;
mod round;
mod seat;
mod send;
mod service;
mod shelf;
mod stored;
mod take;
mod tell;
mod term;
mod trial;
mod view;
mod work;

pub use alone::SnapshotAlone;
pub use board::{Means as SnapshotMeans, SnapshotOrderError, Snapshots};
pub use stored::{FetchError, Stored, StoredFile, Taken};
pub use take::{DownloadError, download};
pub(crate) use tell::{Verdict, verdicts};
pub use view::{
    DrillState, Failing as SnapshotFailing, Latest, Phase as SnapshotPhase, PlaceState, SnapshotState,
    SnapshotView, Tally as SnapshotTally,
};
