//! The cluster: its leader, its servers.

use std::time::Duration;

use serde::Deserialize;

use crate::client::Client;
use crate::error::Error;
use crate::meta::Index;
use crate::query::{Consistency, Query};
use crate::request::Request;
use crate::wire;

/// What the asked agent knows of the cluster (`/v1/status`). See [`Client::status`].
#[derive(Clone, Copy, Debug)]
pub struct Cluster<'a>(&'a Client);

/// What an operator of the cluster sees (`/v1/operator`). See [`Client::operator`].
#[derive(Clone, Copy, Debug)]
pub struct Operator<'a>(&'a Client);

/// The servers that vote and follow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RaftConfiguration {
    /// The servers.
    #[serde(default, deserialize_with = "wire::null_is_default")]
    pub servers: Vec<RaftServer>,
    /// The Raft index of this configuration; 0 in Consul 1.8.
    #[serde(default)]
    pub index: Index,
}

/// A server of the cluster, as Raft sees it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RaftServer {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its node's name; `(unknown)` if it has left.
    #[serde(default)]
    pub node: String,
    /// Its address for Raft.
    #[serde(default)]
    pub address: String,
    /// Whether it leads.
    #[serde(default)]
    pub leader: bool,
    /// Whether it votes.
    #[serde(default)]
    pub voter: bool,
}

/// The health of the servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServersHealth {
    /// Whether all are healthy.
    #[serde(default)]
    pub healthy: bool,
    /// How many may be lost before the cluster stops.
    #[serde(default)]
    pub failure_tolerance: u32,
    /// The servers.
    #[serde(default, deserialize_with = "wire::null_is_default")]
    pub servers: Vec<ServerHealth>,
}

/// The health of one server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServerHealth {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its node's name.
    #[serde(default)]
    pub name: String,
    /// Its address for Raft.
    #[serde(default)]
    pub address: String,
    /// Whether it is healthy.
    #[serde(default)]
    pub healthy: bool,
    /// Whether it leads.
    #[serde(default)]
    pub leader: bool,
    /// Whether it votes.
    #[serde(default)]
    pub voter: bool,
    /// The version of Consul.
    #[serde(default)]
    pub version: String,
    /// How long ago it heard of the leader.
    #[serde(default, deserialize_with = "wire::optional_duration")]
    pub last_contact: Option<Duration>,
    /// The last Raft index it has.
    #[serde(default)]
    pub last_index: Index,
}

impl<'a> Cluster<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self(client)
    }

    /// The leader's address for Raft; `None` without one.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn leader(self) -> Result<Option<String>, Error> {
        let request = Request::get("/v1/status/leader");
        let leader: String = self.0.fetch(request).await?.value;
        Ok(Some(leader).filter(|leader| !leader.is_empty()))
    }

    /// The servers' addresses for Raft.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn peers(self) -> Result<Vec<String>, Error> {
        Ok(self.0.fetch(Request::get("/v1/status/peers")).await?.value)
    }
}

impl<'a> Operator<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self(client)
    }

    /// The servers that vote and follow. Of the query, only the datacenter and `stale` count.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn raft_configuration(self, query: &Query) -> Result<RaftConfiguration, Error> {
        let request = Request::get("/v1/operator/raft/configuration");
        let request = request.query(query, Consistency::Default);
        Ok(self.0.fetch(request).await?.value)
    }

    /// How the servers are, as the leader judges.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn health(self) -> Result<ServersHealth, Error> {
        // 429 says that a server is not healthy; the answer says which.
        const NOT_HEALTHY: u16 = 429;
        let request = Request::get("/v1/operator/autopilot/health").accepts(NOT_HEALTHY);
        Ok(self.0.fetch(request).await?.value)
    }
}
