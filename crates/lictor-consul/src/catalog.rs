//! The catalog: nodes and services.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::Error;
use crate::health::{Node, Service, Status};
use crate::meta::{Answer, Index};
use crate::query::Query;
use crate::request::Request;
use crate::wire;

/// Nodes and services (`/v1/catalog`). See [`Client::catalog`].
///
/// What runs an agent registers with that agent ([`Agent`](crate::Agent)), which then keeps the catalog
/// up to date; the writes here are for what has none.
#[derive(Clone, Copy, Debug)]
pub struct Catalog<'a>(&'a Client);

/// A service of the catalog with its node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CatalogService {
    /// The node's name.
    pub node: String,
    /// The node's address.
    #[serde(default)]
    pub address: String,
    /// The node's datacenter.
    #[serde(default)]
    pub datacenter: String,
    /// The service's id, unique on its node.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// The service's name.
    pub service_name: String,
    /// The service's address; empty for the node's.
    #[serde(default)]
    pub service_address: String,
    /// The service's port; 0 if it has none, or a number that cannot be one.
    #[serde(default, deserialize_with = "wire::port")]
    pub service_port: u16,
    /// The service's tags.
    #[serde(default, deserialize_with = "wire::null_is_default")]
    pub service_tags: Vec<String>,
    /// What the service's maker noted about it.
    #[serde(default, deserialize_with = "wire::null_is_default")]
    pub service_meta: BTreeMap<String, String>,
    /// When the service was made.
    #[serde(default)]
    pub create_index: Index,
    /// When the service last changed.
    #[serde(default)]
    pub modify_index: Index,
}

/// A node with its services, by their ids.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NodeServices {
    /// The node.
    pub node: Node,
    /// Its services, by their ids.
    #[serde(default, deserialize_with = "wire::null_is_default")]
    pub services: BTreeMap<String, Service>,
}

/// A node to be registered, with a service or a check on it if wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Registration {
    /// The node's name.
    pub node: String,
    /// The node's address.
    pub address: String,
    /// What is noted about the node.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub node_meta: BTreeMap<String, String>,
    /// A service on the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<RegisteredService>,
    /// A check of the node or of one of its services. Nothing runs it: it says what it is set to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<RegisteredCheck>,
    /// Leaves what is known of the node as it is.
    pub skip_node_update: bool,
}

/// A service in a [`Registration`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RegisteredService {
    /// Its id, unique on its node.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its name.
    #[serde(rename = "Service")]
    pub name: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its address; empty for the node's.
    pub address: String,
    /// Its port; 0 if it has none.
    pub port: u16,
    /// What is noted about it.
    pub meta: BTreeMap<String, String>,
}

/// A check in a [`Registration`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RegisteredCheck {
    /// Its id, unique on its node.
    #[serde(rename = "CheckID")]
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it says.
    pub status: Status,
    /// What it puts out.
    pub output: String,
    /// The service it is for; empty for the node.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
}

/// What is taken out of the catalog: a check or a service of a node if named, else the whole node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Deregistration {
    /// The node.
    pub node: String,
    /// The service.
    #[serde(rename = "ServiceID", skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// The check.
    #[serde(rename = "CheckID", skip_serializing_if = "Option::is_none")]
    pub check_id: Option<String>,
}

impl<'a> Catalog<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self(client)
    }

    /// All datacenters, the nearest first.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn datacenters(self) -> Result<Vec<String>, Error> {
        let request = Request::get("/v1/catalog/datacenters");
        Ok(self.0.fetch(request).await?.value)
    }

    /// All nodes.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn nodes(self, query: &Query) -> Result<Answer<Vec<Node>>, Error> {
        let request = Request::get("/v1/catalog/nodes");
        self.0.fetch(request.query(query, self.0.consistency())).await
    }

    /// The names of all services, with all tags any of each name has.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn services(self, query: &Query) -> Result<Answer<BTreeMap<String, BTreeSet<String>>>, Error> {
        let request = Request::get("/v1/catalog/services");
        self.0.fetch(request.query(query, self.0.consistency())).await
    }

    /// Where a service is, whatever its checks say.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn service(self, service: &str, query: &Query) -> Result<Answer<Vec<CatalogService>>, Error> {
        let request = Request::get("/v1/catalog/service/").name(service);
        self.0.fetch(request.query(query, self.0.consistency())).await
    }

    /// A node with its services, if there is such a node.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn node(self, node: &str, query: &Query) -> Result<Answer<Option<NodeServices>>, Error> {
        let request = Request::get("/v1/catalog/node/").name(node);
        self.0.fetch(request.query(query, self.0.consistency())).await
    }

    /// Registers a node, or changes what is registered.
    ///
    /// # Errors
    /// If it is not known to have happened.
    pub async fn register(self, registration: &Registration) -> Result<(), Error> {
        let request = Request::put("/v1/catalog/register").json(registration);
        self.0.perform(request).await
    }

    /// Takes out a node, a service or a check. One that has an agent is registered again by it.
    ///
    /// # Errors
    /// If it is not known to have happened.
    pub async fn deregister(self, deregistration: &Deregistration) -> Result<(), Error> {
        let request = Request::put("/v1/catalog/deregister").json(deregistration);
        self.0.perform(request).await
    }
}
