//! consul-snapshot: the program whose place Lictor takes when it is called by that name.
//!
//! [`Request`] is what it was asked for and [`Start`] what its environment says; [`import`] shows that as configuration of
//! ours. [`health`] is what it answers about itself, and [`text`] what it says.

mod command;
pub mod health;
mod import;
mod start;
pub mod text;

pub use command::{CommandError, Request};
pub use import::{ImportError, import};
pub use start::{ACCEPTANCE_FILE, Start, StartError};
