//! Requests this client has no method for.

use bytes::Bytes;
use serde::Serialize;

use crate::client::Client;
use crate::error::Error;
use crate::meta::Answer;
use crate::query::Query;
use crate::request::Request;

/// Requests this client has no method for: ACLs, intentions, configuration entries. See [`Client::raw`].
///
/// Paths begin with `/v1/` and are sent as they are: encode what must be. They must not hold secrets,
/// which would appear in errors.
#[derive(Clone, Copy, Debug)]
pub struct RawRequests<'a>(&'a Client);

impl<'a> RawRequests<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self(client)
    }

    /// The body of a GET.
    ///
    /// # Errors
    /// If there is no usable answer.
    pub async fn get(self, path: &str, query: &Query) -> Result<Answer<Bytes>, Error> {
        let request = Request::get(path).query(query, self.0.consistency());
        self.send(request).await
    }

    /// The answer's body to a PUT of JSON.
    ///
    /// # Errors
    /// If it is not known to have happened.
    pub async fn put(self, path: &str, json: &impl Serialize) -> Result<Answer<Bytes>, Error> {
        self.send(Request::put(path).json(json)).await
    }

    /// The answer's body to a DELETE.
    ///
    /// # Errors
    /// If it is not known to have happened.
    pub async fn delete(self, path: &str) -> Result<Answer<Bytes>, Error> {
        self.send(Request::delete(path)).await
    }

    async fn send(self, mut request: Request) -> Result<Answer<Bytes>, Error> {
        if !request.path.starts_with("/v1/") {
            request.problem = Some("a path begins with /v1/".to_owned());
        }
        let raw = self.0.send(&request).await?;
        let body = raw.body.clone();
        Ok(raw.answer(body))
    }
}
