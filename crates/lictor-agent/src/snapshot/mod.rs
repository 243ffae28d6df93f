//! Snapshots of Consul on the running node.

pub mod drill;
