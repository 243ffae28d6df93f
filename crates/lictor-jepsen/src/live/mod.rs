//! Runs: servers on hosts of their own, clients that work on them, faults that are done to them meanwhile.
//!
//! A run is made in namespaces of its own ([`cell`]), where hosts, their network and the servers on them are the
//! [`world`]. Actors of a [`workload`] work there while the [`nemesis`] does faults, in the phases of the [`runner`], and the
//! [`record`] has all of it in one total order. Where Lictor is tested, hosts have agents too: what a workload makes of them is its
//! [`scene`], and what they did is added to the history by the [`witness`] when all is over.

pub mod cell;
pub mod client;
pub mod command;
pub mod hook;
pub mod nemesis;
pub mod record;
pub mod runner;
pub mod say;
pub mod scene;
pub mod scratch;
pub mod tool;
pub mod witness;
pub mod workload;
pub mod world;
