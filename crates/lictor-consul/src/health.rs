//! Health: the checks of nodes and services.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::Error;
use crate::meta::{Answer, Index};
use crate::query::Query;
use crate::request::Request;
use crate::wire;

/// The checks of nodes and services (`/v1/health`). See [`Client::health`].
///
/// An empty list is no proof that there is nothing: what the token may not see is left out.
#[derive(Clone, Copy, Debug)]
pub struct Health<'a>(&'a Client);

/// What a check says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Status {
    /// All is well.
    Passing,
    /// Something is not as it should be.
    Warning,
    /// It does not work.
    Critical,
    /// A word this client does not know.
    Other(String),
}

impl Status {
    /// Consul's word for it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for Status {
    fn from(word: String) -> Self {
        match word.as_str() {
            "passing" => Self::Passing,
            "warning" => Self::Warning,
            "critical" => Self::Critical,
            _ => Self::Other(word),
        }
    }
}

impl From<Status> for String {
    fn from(status: Status) -> Self {
        status.as_str().to_owned()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A check of a node, or of a service on it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Check {
    /// The node.
    #[serde(default)]
    pub node: String,
    /// The check's id, unique on its node.
    #[serde(rename = "CheckID")]
    pub id: String,
    /// Its name for people.
    #[serde(default)]
    pub name: String,
    /// What it says.
    pub status: Status,
    /// What its maker noted about it.
    #[serde(default)]
    pub notes: String,
    /// What it last put out.
    #[serde(default)]
    pub output: String,
    /// The service it is for; empty for the node.
    #[serde(rename = "ServiceID", default)]
    pub service_id: String,
    /// That service's name.
    #[serde(default)]
    pub service_name: String,
    /// That service's tags.
    #[serde(default, deserialize_with = "wire::null_is_default")]
    pub service_tags: Vec<String>,
    /// How it is made: `ttl`, `http`, `tcp`, `script` …; empty before Consul 1.7 and for `serfHealth`.
    #[serde(rename = "Type", default)]
    pub kind: String,
    /// When it was made.
    #[serde(default)]
    pub create_index: Index,
    /// When it last changed.
    #[serde(default)]
    pub modify_index: Index,
}

/// A node of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Node {
    /// Its id; empty if it has none.
    #[serde(rename = "ID", default)]
    pub id: String,
    /// Its name.
    #[serde(rename = "Node")]
    pub name: String,
    /// Its address.
    #[serde(default)]
    pub address: String,
    /// Its datacenter.
    #[serde(default)]
    pub datacenter: String,
    /// What its maker noted about it.
    #[serde(default, deserialize_with = "wire::null_is_default")]
    pub meta: BTreeMap<String, String>,
    /// When it was made.
    #[serde(default)]
    pub create_index: Index,
    /// When it last changed.
    #[serde(default)]
    pub modify_index: Index,
}

/// A service on a node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Service {
    /// Its id, unique on its node.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its name.
    #[serde(rename = "Service")]
    pub name: String,
    /// Its tags.
    #[serde(default, deserialize_with = "wire::null_is_default")]
    pub tags: Vec<String>,
    /// Its address; empty for the node's.
    #[serde(default)]
    pub address: String,
    /// Its port; 0 if it has none, or a number that cannot be one.
    #[serde(default, deserialize_with = "wire::port")]
    pub port: u16,
    /// What its maker noted about it.
    #[serde(default, deserialize_with = "wire::null_is_default")]
    pub meta: BTreeMap<String, String>,
    /// When it was made; 0 in an agent's own list.
    #[serde(default)]
    pub create_index: Index,
    /// When it last changed; 0 in an agent's own list.
    #[serde(default)]
    pub modify_index: Index,
}

/// A service with its node and all checks of both.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceHealth {
    /// The node.
    pub node: Node,
    /// The service.
    pub service: Service,
    /// The checks of the node and of the service.
    #[serde(default, deserialize_with = "wire::null_is_default")]
    pub checks: Vec<Check>,
}

impl<'a> Health<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self(client)
    }

    pub(crate) fn client(&self) -> &'a Client {
        self.0
    }

    /// The checks of a node and of the services on it.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn node(self, node: &str, query: &Query) -> Result<Answer<Vec<Check>>, Error> {
        let request = Request::get("/v1/health/node/").name(node);
        self.0.fetch(request.query(query, self.0.consistency())).await
    }

    /// The checks of a service, on all nodes.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn checks(self, service: &str, query: &Query) -> Result<Answer<Vec<Check>>, Error> {
        let request = Request::get("/v1/health/checks/").name(service);
        self.0.fetch(request.query(query, self.0.consistency())).await
    }

    /// Where a service is, with all checks that matter for it. A service nobody has is an empty list.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn service(self, service: &str, query: &Query) -> Result<Answer<Vec<ServiceHealth>>, Error> {
        let request = Request::get("/v1/health/service/").name(service);
        self.0.fetch(request.query(query, self.0.consistency())).await
    }

    /// Where a service is and all its checks, and those of its node, are passing.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn passing(self, service: &str, query: &Query) -> Result<Answer<Vec<ServiceHealth>>, Error> {
        let request = Request::get("/v1/health/service/").name(service);
        let request = request.query(query, self.0.consistency());
        self.0.fetch(request.switch("passing")).await
    }

    /// All checks that say this; `None` is all checks.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn state(self, status: Option<&Status>, query: &Query) -> Result<Answer<Vec<Check>>, Error> {
        let word = status.map_or("any", Status::as_str);
        let request = Request::get("/v1/health/state/").name(word);
        self.0.fetch(request.query(query, self.0.consistency())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_status_is_kept() {
        let status: Status = serde_json::from_str(r#""maintenance""#).unwrap();
        assert_eq!(status, Status::Other("maintenance".to_owned()));
        assert_eq!(serde_json::to_string(&status).unwrap(), r#""maintenance""#);
    }

    #[test]
    fn a_port_that_cannot_be_one_spoils_nothing() {
        let port = |number: &str| {
            let text = format!(r#"{{"ID":"s","Service":"s","Port":{number}}}"#);
            serde_json::from_str::<Service>(&text).unwrap().port
        };
        assert_eq!(["8080", "-1", "70000", "null"].map(port), [8080, 0, 0, 0]);
    }

    #[test]
    fn a_check_needs_only_an_id_and_a_status() {
        let text = r#"{"CheckID":"c","Status":"warning","ServiceTags":null,"New":{}}"#;
        let check: Check = serde_json::from_str(text).unwrap();
        assert_eq!(check.status, Status::Warning);
        assert!(check.service_tags.is_empty());
    }
}
