//! Server-sent events: the ledger as it grows.

use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio_util::sync::CancellationToken;

use super::Site;
use super::api;
use super::error::Failure;
use super::follow::Follow;
use super::history::EventQuery;

/// Silence after which a comment is sent, so that both ends notice a broken connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What a client should wait before it connects again.
const RETRY: Duration = Duration::from_secs(2);

/// Answers with the events that match `query` (its number, limit and end aside) after
/// `after`, then with each as it happens.
pub(super) async fn events(
    site: &Arc<Site>,
    query: EventQuery,
    after: Option<u64>,
) -> Result<Response, Failure> {
    let permit = Arc::clone(&site.streams).try_acquire_owned().map_err(|_none_left| {
        let message = format!("{} clients follow the events already", site.limits.streams);
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", message)
            .help("poll /v1/events?after=NUMBER instead, or close another client")
    })?;
    let follow = Follow::new(site.archive.clone(), &site.events, after).await?;
    let filter = EventQuery { after: None, before: None, ..query };
    let stop: CancellationToken = site.stop.clone();
    let metrics = site.metrics.clone();
    metrics.streams(1);
    let state = Streaming { follow, filter, _permit: permit, _counted: Counted(metrics) };
    let stream = futures::stream::unfold(state, |mut state| async move {
        loop {
            let entry = match state.follow.next().await {
                Ok(Some(entry)) => entry,
                Ok(None) => return None,
                Err(failure) => {
                    // The client comes back with the last number it has.
                    tracing::debug!(error = failure.message, "a stream of events ends");
                    return None;
                }
            };
            if !state.filter.matches(entry.0, &entry.1) {
                continue;
            }
            let event = api::Event::new(entry.0, &entry.1);
            let Ok(data) = serde_json::to_string(&event) else { continue };
            // Without an event name, so that a browser's `onmessage` sees every kind.
            let sent = sse::Event::default().id(entry.0.to_string()).data(data);
            return Some((Ok::<_, std::convert::Infallible>(sent), state));
        }
    });
    // Sent at once, so that a client knows that it is connected.
    let hello = sse::Event::default().retry(RETRY).comment("lictor events");
    let stream = futures::stream::iter([Ok(hello)]).chain(stream);
    let stream = stream.take_until(stop.cancelled_owned());
    let body = Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    let mut response = body.into_response();
    // Tells nginx not to collect events before it passes them on.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response.headers_mut().extend([unbuffered]);
    Ok(response)
}

struct Streaming {
    follow: Follow,
    filter: EventQuery,
    _permit: tokio::sync::OwnedSemaphorePermit,
    _counted: Counted,
}

/// Counts a stream as open until it is dropped.
struct Counted(super::Metrics);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.streams(-1);
    }
}

/// The number after which a client wants the events: `Last-Event-ID`, which a browser
/// sends when it comes back, goes before `?after=`.
pub(super) fn resume(headers: &HeaderMap, after: Option<u64>) -> Result<Option<u64>, Failure> {
    let Some(last) = headers.get("last-event-id") else { return Ok(after) };
    let number = last.to_str().ok().and_then(|last| last.trim().parse().ok());
    number.map(Some).ok_or_else(|| Failure::bad_request("Last-Event-ID is not a number"))
}
