//! Clustered services: which nodes have which role, what is expected of each, and which one may run
//! a service now.
//!
//! [`Cluster`] is what is agreed on, [`expected`] what follows from it for one node that sees how the
//! active ones are, and [`Patience`] keeps roles from being exchanged at the first bad look.
//!
//! What runs where is another matter: [`member`] decides what a node does with a service under a
//! [lease](crate::lease), and [`operation`] is what a person has asked for.

mod cluster;
mod error;
mod expect;
pub mod member;
pub mod operation;
mod patience;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_member;

pub use cluster::{Cluster, Group, Here, HostPattern, Placement, Role, Share};
pub use error::ClusterError;
pub use expect::{Change, Expected, Sight, Standing, change, expected};
pub use patience::{Patience, Vacancy};
