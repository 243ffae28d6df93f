//! The `snapshot agent` of Consul Enterprise: the program whose place Lictor takes when it is called so.
//!
//! [`flags`] and [`Given`] read how it was called and its files, and [`Start`] puts them together; [`import`] shows that as
//! configuration of ours. [`text`] says the same as it did. All of it is written by its public manual.

mod file;
pub mod flags;
mod import;
mod options;
mod start;
pub mod text;

pub use file::FileError;
pub use flags::{Flags, Request};
pub use import::import;
pub use options::Given;
pub use start::{Mode, Start, StartError};
pub use text::USAGE;
