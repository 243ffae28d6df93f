//! Tests of the program as its users start it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod clock;
mod consul;
mod crash;
mod full_disk;
mod help;
mod life;
mod monitor;
mod monitor_faults;
mod monitor_play;
mod node;
mod site;
mod trouble;
