//! sentinèlla: the programs `probe` and `watcher`, whose places Lictor takes when it is called by those
//! names, and `sentinel`, which was before them.
//!
//! [`Watcher`] and [`Probe`] read what the programs were told by their environment, [`State`] what it kept of a peer, and
//! [`Told`] says the same as it did. [`import`] makes configuration of it.

mod cksum;
mod env;
mod envfile;
mod import;
mod probe;
mod start;
mod state;
mod words;

pub use cksum::cksum;
pub use env::{
    EXIT_ENVIRONMENT, EnvError, Named, OLD_STATE_DIR, PORT, STATE_DIR, Sentinel, TG_API_URL, Watcher,
};
pub use envfile::variables;
pub use import::{ImportError, import};
pub use probe::Probe;
pub use start::{NOTIFIER, configuration};
pub use state::{State, StateError, file_name, key_of_address, keys_of_hosts};
pub use words::{Told, label, span};
