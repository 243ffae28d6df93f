//! Records of the systemd journal: taken apart, and told whether a watcher wants them.
//!
//! Nothing here does I/O. Whoever replays what `journalctl -o export` or `-o json` wrote makes a
//! [`Filter`] of each `watch "journal"`, a [`Decoder`] that keeps the fields these ask for
//! ([`Filter::names`]), hands it what it reads, and gives each record to the watchers whose filter
//! [accepts](Filter::accepts) it. That is what journalctl does for a running watcher.

mod decoder;
mod filter;
mod json;
mod own;
mod record;

pub use decoder::{Decoder, Garbage};
pub use filter::{Filter, uid};
pub(crate) use own::Own;
pub use record::Record;
