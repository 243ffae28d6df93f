//! The running node: watchers feed the decide loop, the loop records, then acts.

pub mod act;
mod agent;
mod clock;
mod consul;
mod control;
mod copies;
mod decide;
mod fault;
mod hearts;
mod inbox;
mod keys;
mod lease;
mod ledger;
mod monitor;
mod notify;
pub mod qbittorrent;
mod remote;
mod task;
pub mod text;
pub mod watch;
pub mod web;

pub use agent::{Agent, Loader, Settings, StartError};
pub use clock::{Anchor, Clock, boot_id};
pub use decide::Recorded;
pub use inbox::{Gone, Inbox, Inputs, NoAnswer, View};
pub use lease::{Lease, LeaseState};
pub use task::{OnEnd, Tasks};
