//! User events.

use bytes::Bytes;
use serde::Deserialize;

use crate::client::Client;
use crate::error::Error;
use crate::meta::Answer;
use crate::query::{Consistency, Query};
use crate::request::Request;
use crate::wire;

/// User events (`/v1/event`), spread by gossip: without order, without a guarantee, and the longer the
/// rarer; keep payloads under 100 bytes. See [`Client::event`].
#[derive(Clone, Copy, Debug)]
pub struct Events<'a>(&'a Client);

/// An event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    /// Its id.
    #[serde(rename = "ID", default)]
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// What it carries.
    #[serde(default, deserialize_with = "wire::base64")]
    pub payload: Bytes,
    /// The nodes it is for, as a regular expression; empty for all.
    #[serde(default)]
    pub node_filter: String,
    /// The services it is for, as a regular expression; empty for all.
    #[serde(default)]
    pub service_filter: String,
    /// The service tags it is for, as a regular expression; empty for all.
    #[serde(default)]
    pub tag_filter: String,
    /// Serf's logical time; 0 in the answer to firing it.
    #[serde(rename = "LTime", default)]
    pub ltime: u64,
}

/// Whom an event is for; each is a regular expression, and unset is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// The nodes.
    pub node: Option<String>,
    /// Nodes with such a service.
    pub service: Option<String>,
    /// Nodes with a service that has such a tag; needs `service`.
    pub tag: Option<String>,
}

impl<'a> Events<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self(client)
    }

    /// Fires an event.
    ///
    /// # Errors
    /// If it is not known to have been fired.
    pub async fn fire(
        self,
        name: &str,
        payload: impl Into<Bytes>,
        audience: &Audience,
    ) -> Result<Event, Error> {
        let request = Request::put("/v1/event/fire/")
            .name(name)
            .option("node", audience.node.clone())
            .option("service", audience.service.clone())
            .option("tag", audience.tag.clone())
            .body(payload);
        Ok(self.0.fetch(request).await?.value)
    }

    /// The last events the agent has seen, at most 256, the newest last; of one name if given.
    ///
    /// The index is a hash: it says only that something is new. Give it to [`Query::index`] as it
    /// is, and never compare which of two is greater.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn list(self, name: Option<&str>, query: &Query) -> Result<Answer<Vec<Event>>, Error> {
        let request = Request::get("/v1/event/list")
            .option("name", name.map(ToOwned::to_owned))
            .query(query, Consistency::Default);
        self.0.fetch(request).await
    }
}
