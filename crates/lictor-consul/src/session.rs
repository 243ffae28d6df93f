//! Sessions.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::Error;
use crate::meta::{Answer, Index};
use crate::query::Query;
use crate::request::Request;
use crate::wire;

/// Sessions (`/v1/session`), which hold keys. See [`Client::session`].
#[derive(Clone, Copy, Debug)]
pub struct Sessions<'a>(&'a Client);

/// The id of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(String);

impl SessionId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SessionId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What becomes of the keys of a session that ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Behavior {
    /// They are let go of.
    #[default]
    Release,
    /// They are deleted.
    Delete,
}

/// A session to be made. What is not set is as Consul has it: on the agent's node, bound to its
/// `serfHealth`, without a time to live, with a lock delay of 15 s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewSession {
    /// A name for people.
    pub name: Option<String>,
    /// The node it belongs to, if not the agent's own.
    pub node: Option<String>,
    /// How long it lives without being renewed: 10 s to 24 h. Consul ends it at about twice that,
    /// and counts from the beginning when it changes its leader.
    pub ttl: Option<Duration>,
    /// How long nobody may acquire a key whose session ended: up to 60 s.
    pub lock_delay: Option<Duration>,
    /// What becomes of its keys.
    pub behavior: Behavior,
    /// The node checks it ends with; an empty list is none, not even `serfHealth`. When its node is removed it ends all
    /// the same, whatever is left of its time.
    pub node_checks: Option<Vec<String>>,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Session {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: SessionId,
    /// Its name for people.
    #[serde(default)]
    pub name: String,
    /// The node it belongs to.
    #[serde(default)]
    pub node: String,
    /// How long it lives without being renewed, if not for ever.
    #[serde(rename = "TTL", default, deserialize_with = "wire::optional_duration")]
    pub ttl: Option<Duration>,
    /// How long nobody may acquire a key after it ended.
    #[serde(default, deserialize_with = "wire::duration")]
    pub lock_delay: Duration,
    /// What becomes of its keys.
    #[serde(default, deserialize_with = "wire::null_is_default")]
    pub behavior: Behavior,
    /// The node checks it ends with.
    #[serde(default, deserialize_with = "wire::null_is_default")]
    pub node_checks: Vec<String>,
    /// When it was made.
    #[serde(default)]
    pub create_index: Index,
    /// When it was last changed; renewing does not count.
    #[serde(default)]
    pub modify_index: Index,
}

impl<'a> Sessions<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self(client)
    }

    /// Makes a session.
    ///
    /// # Errors
    /// If it is not known to have been made. One that was made unheard of ends with its time to
    /// live or its node.
    pub async fn create(self, session: &NewSession) -> Result<SessionId, Error> {
        #[derive(Deserialize)]
        struct Created {
            #[serde(rename = "ID")]
            id: SessionId,
        }
        let wire = NewSessionWire {
            name: session.name.as_deref(),
            node: session.node.as_deref(),
            ttl: session.ttl.map(wire::to_go),
            lock_delay: session.lock_delay.map(wire::to_go),
            behavior: session.behavior,
            node_checks: session.node_checks.as_deref(),
        };
        let request = Request::put("/v1/session/create").json(&wire);
        let created: Created = self.0.send(&request).await?.json()?;
        Ok(created.id)
    }

    /// Lets a session live on. `None` if there is no such session any more: what it held is lost.
    ///
    /// # Errors
    /// If it is not known to have been renewed. Count from before the last renewal that succeeded.
    pub async fn renew(self, id: &SessionId) -> Result<Option<Session>, Error> {
        const LOST: u16 = 404;
        let request = Request::put("/v1/session/renew/").name(id.as_str()).accepts(LOST);
        let raw = self.0.send(&request).await?;
        if raw.status == LOST {
            return Ok(None);
        }
        let sessions: Vec<Session> = raw.json()?;
        Ok(sessions.into_iter().next())
    }

    /// Ends a session; that there is none is success.
    ///
    /// # Errors
    /// If it is not known to have ended.
    pub async fn destroy(self, id: &SessionId) -> Result<(), Error> {
        let request = Request::put("/v1/session/destroy/").name(id.as_str());
        self.0.perform(request).await
    }

    /// One session, if there is such a one.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn info(self, id: &SessionId, query: &Query) -> Result<Answer<Option<Session>>, Error> {
        let request = Request::get("/v1/session/info/").name(id.as_str());
        let sessions: Answer<Vec<Session>> = self.read(request, query).await?;
        Ok(sessions.map(|sessions| sessions.into_iter().next()))
    }

    /// All sessions.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn list(self, query: &Query) -> Result<Answer<Vec<Session>>, Error> {
        self.read(Request::get("/v1/session/list"), query).await
    }

    /// The sessions of one node.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn node(self, node: &str, query: &Query) -> Result<Answer<Vec<Session>>, Error> {
        let request = Request::get("/v1/session/node/").name(node);
        self.read(request, query).await
    }

    async fn read(self, request: Request, query: &Query) -> Result<Answer<Vec<Session>>, Error> {
        let request = request.query(query, self.0.consistency());
        self.0.fetch(request).await
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NewSessionWire<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    #[serde(rename = "TTL", skip_serializing_if = "Option::is_none")]
    ttl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock_delay: Option<String>,
    behavior: Behavior,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_checks: Option<&'a [String]>,
}
