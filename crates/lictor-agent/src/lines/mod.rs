//! Lines: which patterns they match, and how they are brought together.
//!
//! Nothing here reads a clock. Only [`files`] touches a disk; whoever else reads hands in what it read.

pub mod files;
mod found;
mod literals;
mod matcher;
mod records;
mod sink;

pub use files::Files;
pub use found::Found;
pub use matcher::{LINE, Matcher};
pub use records::Records;
pub use sink::Sink;
