//! What runs on one node at a time, and how the nodes speak about it.

use std::net::SocketAddr;
use std::time::Duration;

use lictor_core::lease::Params;
use lictor_core::{CheckName, ServiceName};

use super::UnitName;
use crate::secret::Secret;

/// `cluster { … }`: how the nodes of the services reach each other. Without it no node can ask the others to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Where this node hears the others (UDP), and where they are told to find it.
    pub address: SocketAddr,
    /// Where the others find it, when that is another address than the one it listens at.
    pub advertise: Option<SocketAddr>,
    /// What proves a word to be from a node of the cluster; the same on all nodes.
    pub key: Secret,
    /// A key that is accepted besides, while the nodes change from one to the other.
    pub old_key: Option<Secret>,
}

/// `service "NAME" { … }`: units that run on one of several nodes at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterService {
    /// Its name, the same on all nodes.
    pub name: ServiceName,
    /// The nodes between which it passes, the preferred one first.
    pub nodes: Vec<String>,
    /// The units of it, in the order in which they are started.
    pub units: Vec<UnitName>,
    /// A program in the place of units: `units` names the one that is made of it.
    pub command: Option<ServiceCommand>,
    /// The datacenter of Consul in which its lease lies; `None`: the one that the block `consul` means.
    pub datacenter: Option<String>,
    /// Whether another node takes it over by itself.
    pub automatic: bool,
    /// The times of its lease, and those while one of the nodes is silent.
    pub times: (Params, Params),
    /// How much later than the one before it in `nodes` a node takes it over.
    pub stagger: Duration,
    /// How often it may fail on a node before another one is to try.
    pub attempts: u32,
    /// How long that node does without it then.
    pub rest: Duration,
    /// How long each unit may take to start, and to stop until it is killed.
    pub start_limit: Duration,
    /// See `start_limit`.
    pub stop_limit: Duration,
    /// A check of this node that must not be critical for the service to come here.
    pub check: Option<CheckName>,
    /// The record of powerconsul that says which nodes are active and which standby, as `CLUSTER_KEY/SERVICE`.
    pub roles: Option<String>,
}

/// A program that a service consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCommand {
    /// The program, from the root, and its arguments. No shell reads them.
    pub argv: Vec<String>,
    /// Under whose name it runs; `None`: root's.
    pub user: Option<String>,
}

impl ClusterService {
    /// Which place this node has among those of the service, from 0; `None`: it is not one of them.
    pub fn place(&self, node: &str) -> Option<usize> {
        self.nodes.iter().position(|one| one == node)
    }
}
