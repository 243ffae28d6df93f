//! The other nodes: how they are found, how each is looked at, and who is told of what.
//!
//! ```text
//! discover ─▶ round ─▶ looks (all at once) ─▶ lictor_core::peers::Mesh ─▶ keep (records) ─▶ report ─▶ alerts
//!                                                     └─▶ what our probe says to those who ask it
//! ```

mod discover;
mod keep;
mod look;
mod looks;
mod report;
mod round;
mod watching;

pub use report::{Customs, ToldBefore};
pub(crate) use watching::{Means, Watching};
