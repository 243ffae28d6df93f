//! The running node: watchers feed the decide loop, the loop records, then acts.

pub mod act;
mod agent;
pub mod alert;
pub mod backtest;
mod clock;
mod consul;
mod control;
mod copies;
mod decide;
mod fault;
mod hearts;
mod inbox;
pub mod journal;
mod keys;
mod lease;
mod ledger;
pub mod lines;
mod monitor;
mod notify;
pub mod peers;
pub mod probe;
pub mod qbittorrent;
mod redis;
mod remote;
pub mod service;
mod systemd;
mod task;
pub mod text;
pub mod watch;
pub mod web;

pub use agent::{Agent, Loader, Reloads, Settings, StartError, TellMaker};
pub use clock::{Anchor, Clock, boot_id};
pub use decide::Recorded;
pub use inbox::{Gone, Inbox, Inputs, NoAnswer, View};
pub use lease::{Lease, LeaseState};
pub use task::{OnEnd, Tasks};
