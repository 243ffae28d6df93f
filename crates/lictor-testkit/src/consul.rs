//! Real Consul servers on loopback: one by itself, a cluster that loses its leader, or several
//! datacenters; and machines with a Consul agent that die.
//!
//! Nothing leaves the machine: each server has a loopback address of its own and joins nobody but those
//! of its own test, and the look for updates is not switched on.

mod binary;
mod cluster;
mod datacenters;
mod http;
mod member;
mod server;
mod tls;

pub use binary::find as binary;
pub use cluster::Cluster;
pub use datacenters::{Datacenters, Site};
pub use member::Member;
pub use server::{MANAGEMENT_TOKEN, Options, Server, Tls, shared};
pub use tls::Certificates;
