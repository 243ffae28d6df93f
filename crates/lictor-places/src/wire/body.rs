//! Bodies that are watched while they move.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::client::{HttpError, HttpErrorKind, HttpRequestBody};
use tokio::time::{Instant, Sleep, sleep};

use super::fault::{self, Fault};

/// How many pieces of a request were taken so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Moved(Arc<AtomicU64>);

impl Moved {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is sent; each piece that the connection takes is counted.
#[derive(Debug)]
pub(super) struct Watched {
    body: HttpRequestBody,
    moved: Moved,
}

impl Watched {
    pub(super) const fn new(body: HttpRequestBody, moved: Moved) -> Self {
        Self { body, moved }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        self.moved.0.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What is received; it fails when nothing comes for too long.
#[derive(Debug)]
pub(super) struct Guarded {
    body: reqwest::Body,
    idle: Duration,
    limit: Pin<Box<Sleep>>,
}

impl Guarded {
    pub(super) fn new(body: reqwest::Body, idle: Duration) -> Self {
        Self { body, idle, limit: Box::pin(sleep(idle)) }
    }
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            let idle = self.idle;
            self.limit.as_mut().reset(Instant::now() + idle);
            let broken = |error| HttpError::new(HttpErrorKind::Interrupted, fault::of_transport(&error));
            return Poll::Ready(frame.map(|frame| frame.map_err(broken)));
        }
        ready!(self.limit.as_mut().poll(context));
        let late = Fault::TimedOut(self.idle);
        Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, late))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
