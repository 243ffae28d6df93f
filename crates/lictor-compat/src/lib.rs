//! The room for what old programs left behind: their arguments, environment, stored records,
//! templates and message texts, as pure functions. No I/O, no clock, no randomness.
//!
//! The product builds without this crate, and nothing of the product knows an old program: an
//! old habit is read here and becomes a named setting there.

pub mod consul_alerts;
pub mod consul_replicate;
pub mod consul_snapshot;
pub mod gotemplate;
pub mod powerconsul;
pub mod sentinella;
pub mod snapshot_agent;
pub mod stores;

mod goduration;
mod goflags;
mod gojson;
mod gotime;
mod hcl;
mod hcl1;
mod log;
mod reach;
mod secret;

pub use goflags::FlagError;
pub use gotime::{Moment, MomentError};
pub use log::LogLevel;
pub use reach::Reach;
pub use secret::Secret;

/// Appends what is formatted.
fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    use std::fmt::Write as _;
    let written = text.write_fmt(what);
    debug_assert!(written.is_ok(), "a text takes everything");
}
