//! consul-replicate: the program whose place Lictor takes when it is called by that name.
//!
//! [`flags`] and [`Given`] read how it was called and its files, and [`Start`] puts them together. [`Note`] is what it kept in
//! Consul of each prefix. [`text`] says the same as it did, and [`Exit`] is how it ended.

mod destinations;
mod exit;
mod file;
pub mod flags;
mod given;
mod import;
mod note;
mod prefix;
mod signal;
mod start;
pub mod text;

pub use exit::Exit;
pub use file::FileError;
pub use flags::{Flags, Request};
pub use given::Given;
pub use import::import;
pub use note::{Note, NoteError};
pub use signal::{Signal, SignalError};
pub use start::{Connection, Retry, STATUS_DIR, Start, StartError, Syslog};
pub use text::USAGE;

pub use crate::goflags::FlagError;
pub use crate::log::LogLevel;
