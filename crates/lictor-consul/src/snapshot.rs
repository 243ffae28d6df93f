//! Snapshots: the whole state of a cluster, as a stream of bytes.

use bytes::Bytes;
use futures::stream::{self, Stream, TryStream};
use reqwest::{Body, Response};
use tokio::time::{Instant, timeout_at};

use crate::client::{Client, deadline_in};
use crate::error::{Call, Error};
use crate::meta::Meta;
use crate::query::Query;
use crate::request::Request;

/// Snapshots of a cluster's whole state (`/v1/snapshot`). See [`Client::snapshot`].
///
/// An archive holds secrets: tokens, private keys of certificate authorities.
#[derive(Clone, Copy, Debug)]
pub struct Snapshots<'a>(&'a Client);

/// An archive on its way: gzipped tar, as the `consul` program saves it.
///
/// It has no length, so that an archive that was cut off is only known by checking its sums.
#[derive(Debug)]
pub struct Archive {
    call: Call,
    meta: Meta,
    response: Response,
    client: Client,
    deadline: Instant,
}

impl<'a> Snapshots<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self(client)
    }

    /// Begins to save a snapshot. The server writes one to its own disk for each request: do not
    /// poll.
    ///
    /// # Errors
    /// If the server does not begin to send one.
    pub async fn save(self, query: &Query) -> Result<Archive, Error> {
        let request = Request::get("/v1/snapshot").query(query, self.0.consistency());
        let limits = self.0.limits();
        let deadline = deadline_in(limits.transfer);
        // The whole snapshot is taken before the first byte is sent.
        let begin = deadline.min(deadline_in(limits.stall));
        let response = match timeout_at(begin, self.0.open(&request, None)).await {
            Ok(response) => response?,
            Err(_) => {
                return Err(Error::TimedOut { call: request.call, limit: limits.stall });
            }
        };
        Ok(Archive {
            call: request.call,
            meta: Meta::of(response.headers()),
            response,
            client: self.0.clone(),
            deadline,
        })
    }

    /// Puts the state of an archive in the place of all there is: keys, sessions, tokens.
    ///
    /// Check an archive before: one with the right sums and the wrong content was seen to kill the
    /// leader of Consul 1.8. Afterwards indexes go back, and a compare-and-set with an index from
    /// before may succeed.
    ///
    /// # Errors
    /// If it is not known to have happened.
    pub async fn restore<S>(self, archive: S) -> Result<(), Error>
    where
        S: TryStream + Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        Bytes: From<S::Ok>,
    {
        let request = Request::put("/v1/snapshot");
        let limit = self.0.limits().transfer;
        let body = Body::wrap_stream(archive);
        let sent = tokio::time::timeout(limit, async {
            let response = self.0.open(&request, Some(body)).await?;
            let read = response.bytes().await;
            read.map_err(|error| self.0.broken(&request.call, error))
        });
        match sent.await {
            Ok(answer) => answer.map(drop),
            Err(_) => Err(Error::TimedOut { call: request.call.clone(), limit }),
        }
    }
}

impl Archive {
    /// What came with the archive; the index is the state's.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// If the connection breaks, or nothing came for too long; then the archive is of no use.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let limits = *self.client.limits();
        let stalled = deadline_in(limits.stall);
        let (deadline, limit) =
            if stalled < self.deadline { (stalled, limits.stall) } else { (self.deadline, limits.transfer) };
        match timeout_at(deadline, self.response.chunk()).await {
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(self.client.broken(&self.call, error)),
            Err(_) => Err(Error::TimedOut { call: self.call.clone(), limit }),
        }
    }

    /// The archive as a stream, which ends after the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        stream::unfold(Some(self), async |archive| {
            let mut archive = archive?;
            match archive.chunk().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(archive))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}
