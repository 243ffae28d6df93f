//! Connections: accepted, counted, bounded in number and time, closed when the agent stops or what is shown goes.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Response, StatusCode, header};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Limits;
use super::audit::Peer;
use super::metrics::Metrics;
use crate::{OnEnd, Tasks};

/// The largest head of a request, bytes; more is answered with 431.
const HEAD: usize = 64 * 1024;

/// How long connections may go on with their present request when they are to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// Accepts connections until `stop`, with which those that are open end as well. When `limits.connections` are open, a new
/// one takes the place of the one that has kept us waiting longest for a request; so
/// clients that connect and say nothing never shut others out. While all of them are
/// being answered a new one is closed at once.
pub(super) async fn accept(
    listener: TcpListener,
    router: Router,
    metrics: Metrics,
    load: Load,
    limits: Limits,
    tasks: Tasks,
    stop: CancellationToken,
) {
    let table = Arc::new(Table::default());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if gone_already(&error) => continue,
            Err(error) => {
                // Mostly: no more file descriptors. One place is made, then tried again.
                warn!(%error, "cannot accept a connection");
                table.evict(limits.busy);
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while table.len() >= limits.connections && table.evict(limits.busy) {}
        if table.len() >= limits.connections {
            metrics.refused();
            continue;
        }
        let seat = table.sit();
        metrics.connections(table.len());
        let answerer = Answerer {
            router: TowerToHyperService::new(router.clone()),
            place: Arc::clone(&seat.place),
            load: load.clone(),
            from: Peer(from.ip().to_canonical()),
        };
        let answering = serve_one(stream, answerer, stop.clone(), limits);
        let metrics = metrics.clone();
        tasks.spawn_draining("http connection", OnEnd::Fine, async move {
            tokio::select! {
                () = seat.place.evicted.cancelled() => metrics.evicted(),
                () = answering => {}
            }
            let table = Arc::clone(&seat.table);
            drop(seat);
            metrics.connections(table.len());
        });
    }
}

fn gone_already(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

async fn serve_one(stream: TcpStream, answerer: Answerer, stop: CancellationToken, limits: Limits) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot switch off Nagle's algorithm");
    }
    let io = TokioIo::new(Patient { stream, limit: limits.stall, stalled: None });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD)
        .serve_connection(io, answerer);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(FAREWELL, connection).await {
                Ok(ended) => ended,
                Err(_late) => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
}

/// The open connections.
#[derive(Debug, Default)]
struct Table {
    places: Mutex<BTreeMap<u64, Arc<Place>>>,
    next: AtomicU64,
}

/// What is known of one connection.
#[derive(Debug)]
struct Place {
    phase: AtomicU8,
    /// Since when it has the phase, milliseconds after `born`.
    since: AtomicU64,
    born: Instant,
    evicted: CancellationToken,
}

/// Waiting for (the rest of) a request, its body included.
const WAITING: u8 = 0;
/// A request is being answered.
const BUSY: u8 = 1;
/// A stream of events is being sent; their number has its own bound.
const STREAMING: u8 = 2;

impl Place {
    fn enter(&self, phase: u8) {
        self.since.store(super::text::millis(self.born.elapsed()), Ordering::Relaxed);
        self.phase.store(phase, Ordering::Relaxed);
    }

    /// For how long it has had its phase.
    fn lasted(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_millis(self.since.load(Ordering::Relaxed)))
    }
}

/// A connection's entry in the table, given back when dropped.
struct Seat {
    table: Arc<Table>,
    id: u64,
    place: Arc<Place>,
}

impl Table {
    fn len(&self) -> usize {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn sit(self: &Arc<Self>) -> Seat {
        let place = Arc::new(Place {
            phase: AtomicU8::new(WAITING),
            since: AtomicU64::new(0),
            born: Instant::now(),
            evicted: CancellationToken::new(),
        });
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.places.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&place));
        Seat { table: Arc::clone(self), id, place }
    }

    /// Closes the connection that has waited longest for a request, or else the one
    /// that has been answered longest if that is longer than `busy`; whether there was one.
    fn evict(&self, busy: Duration) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = |phase: u8| {
            let of_phase = places.iter().filter(|(_, place)| place.phase.load(Ordering::Relaxed) == phase);
            of_phase.map(|(id, place)| (place.lasted(), *id)).max()
        };
        let slow = || longest(BUSY).filter(|(lasted, _)| *lasted > busy);
        let Some((_, id)) = longest(WAITING).or_else(slow) else { return false };
        if let Some(place) = places.remove(&id) {
            place.evicted.cancel();
        }
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.table.places.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// The bytes of answers that are made but not yet taken, over all connections: what
/// slow clients hold of our memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Load(Arc<AtomicUsize>);

impl Load {
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Answers the requests of one connection and notes what it is doing.
struct Answerer {
    router: TowerToHyperService<Router>,
    place: Arc<Place>,
    load: Load,
    from: Peer,
}

impl Service<http::Request<Incoming>> for Answerer {
    type Response = Response<Watched>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        if head_of(&request) > HEAD {
            self.place.enter(BUSY);
            return Box::pin(std::future::ready(Ok(self.too_large())));
        }
        if request.body().is_end_stream() {
            self.place.enter(BUSY);
        }
        let place = Arc::clone(&self.place);
        let mut request = request.map(|body| Arriving { body, place });
        request.extensions_mut().insert(self.from);
        let answer = self.router.call(request);
        let place = Arc::clone(&self.place);
        let load = self.load.clone();
        Box::pin(async move {
            let response = answer.await?;
            place.enter(BUSY);
            let events = HeaderValue::from_static("text/event-stream");
            if response.headers().get(header::CONTENT_TYPE) == Some(&events) {
                place.enter(STREAMING);
            }
            Ok(response.map(|body| Watched::new(body, place, load)))
        })
    }
}

/// How large the head of a request is, bytes. What is read at once may hold more of it than the buffer is to have, and
/// would be let through.
fn head_of(request: &http::Request<Incoming>) -> usize {
    let length = |text: Option<&str>| text.map_or(0, str::len);
    let target = request.uri();
    let target = length(target.authority().map(Authority::as_str))
        + length(target.path_and_query().map(PathAndQuery::as_str));
    let fields = request.headers().iter();
    // With what parts a name from its value and the line from the next.
    target + fields.map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>()
}

impl Answerer {
    /// That the head of a request is too large; then the connection is closed, as it is where that was seen sooner.
    fn too_large(&self) -> Response<Watched> {
        let mut response =
            Response::new(Watched::new(Body::empty(), Arc::clone(&self.place), self.load.clone()));
        *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// The body of a request: until it has arrived, its connection is one that waits.
struct Arriving {
    body: Incoming,
    place: Arc<Place>,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        // Read, or not wanted.
        self.place.enter(BUSY);
    }
}

/// The body of an answer, whose end is the end of its request. It is handed out in
/// pieces, so that it ends when the client has taken it and not when it was begun.
struct Watched {
    body: Body,
    /// Taken from `body`, not yet handed out.
    piece: Bytes,
    place: Arc<Place>,
    load: Load,
    bytes: usize,
}

/// The largest piece handed out at once, bytes.
const PIECE: usize = 64 * 1024;

impl Watched {
    fn new(body: Body, place: Arc<Place>, load: Load) -> Self {
        let bytes = body.size_hint().exact().and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
        load.0.fetch_add(bytes, Ordering::Relaxed);
        Self { body, piece: Bytes::new(), place, load, bytes }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.piece.is_empty() {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => frame,
                other => return other,
            };
            match frame.into_data() {
                Ok(data) => self.piece = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let length = self.piece.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.piece.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.piece.len() as u64;
        let inner = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(left));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(left));
        }
        hint
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.load.0.fetch_sub(self.bytes, Ordering::Relaxed);
        self.place.enter(WAITING);
    }
}

/// A stream that fails when its peer takes nothing for `limit`.
struct Patient {
    stream: TcpStream,
    limit: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn patience<T>(&mut self, done: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.stalled = None;
            return done;
        }
        let limit = self.limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.patience(done, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.patience(done, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_waits_longest_makes_place() {
        let table = Arc::new(Table::default());
        let first = table.sit();
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = table.sit();
        first.place.enter(BUSY);
        tokio::time::advance(Duration::from_secs(1)).await;
        let third = table.sit();
        assert!(table.evict(Duration::from_secs(10)));
        let evicted = [&first, &second, &third].map(|seat| seat.place.evicted.is_cancelled());
        assert_eq!(evicted, [false, true, false]);
        assert_eq!(table.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_answered_makes_place_only_when_it_takes_too_long() {
        let table = Arc::new(Table::default());
        let busy = table.sit();
        busy.place.enter(BUSY);
        let stream = table.sit();
        stream.place.enter(STREAMING);
        assert!(!table.evict(Duration::from_secs(10)));
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(table.evict(Duration::from_secs(10)));
        assert!(busy.place.evicted.is_cancelled() && !stream.place.evicted.is_cancelled());
        assert!(!table.evict(Duration::from_secs(10)), "a stream has a bound of its own");
    }

    #[tokio::test]
    async fn a_seat_is_given_back() {
        let table = Arc::new(Table::default());
        let seat = table.sit();
        assert_eq!(table.len(), 1);
        drop(seat);
        assert_eq!(table.len(), 0);
    }
}
