//! Real Consul servers on loopback: one by itself, or a cluster that loses its leader.
//!
//! Nothing leaves the machine: each server has a loopback address of its own, joins nobody but its
//! own cluster, and neither WAN gossip nor the look for updates is switched on.

mod binary;
mod cluster;
mod http;
mod server;
mod tls;

pub use cluster::Cluster;
pub use server::{MANAGEMENT_TOKEN, Options, Server, Tls, shared};
pub use tls::Certificates;
