//! Keys of one datacenter of Consul, kept the same in others.
//!
//! ```text
//!   board.rs: a seat for each block and datacenter it is copied to      alone.rs: one block, without an agent
//!     seat.rs: waits for the lease `replicate/NAME` in that datacenter, begins a term (term.rs), looks for ways that come back
//!       copy.rs, pass.rs, prove.rs: one prefix; what is to be done says lictor_core::replicate
//!         source.rs: listings, row by row      writer.rs: transactions      note.rs: how far it is
//! ```
//!
//! Nothing of it is stored on this machine: what a copy must remember is noted beside it.

mod alone;
mod board;
mod copy;
mod note;
mod pass;
mod prove;
mod seat;
mod source;
mod tell;
mod term;
mod view;
mod writer;

pub use crate::consul::client;
pub use alone::{Alone, Copies};
pub use board::{Means, OrderError, Replication};
pub use prove::words;
pub(crate) use tell::verdict;
pub use view::{CopyState, CopyView, Phase, Would};
