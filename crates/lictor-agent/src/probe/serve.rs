//! The listener and its connections: bounded in number, size and time.
//!
//! A hand-written exchange in place of a library's: the bytes of the answers are fixed, no body is
//! ever read, and a connection that says nothing costs a task and a kilobyte.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Site;
use super::answer::Answer;
use super::request::{HEAD, Request, end};
use super::seats::{Seat, Seats};
use super::tls::Certificate;
use crate::{OnEnd, Tasks};

/// Open connections, of which one source has a quarter at most. A new one takes the place of one that waits for a request.
const CONNECTIONS: usize = 512;

/// Time for TLS and the head of the first request together, and for the head of each later one.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);

/// How long a kept connection may say nothing: longer than peers take from one look to the next.
const KEPT: Duration = Duration::from_secs(75);

/// How long a request may be on its way that was sent before the client knew that the connection ends.
const ON_ITS_WAY: Duration = Duration::from_millis(250);

/// Time for the client to take its answer.
const TAKEN: Duration = Duration::from_secs(5);

/// How long, and how many bytes, what a client goes on to send is thrown away so that it can read its answer.
const FAREWELL: (Duration, u64) = (Duration::from_secs(1), 64 * 1024);

/// Connections the kernel keeps until they are accepted.
const BACKLOG: u32 = 4_096;

/// What is read of a head at once.
const PIECE: usize = 1_024;

/// Binds the listener of a probe; `[::]` is for IPv4 as well.
///
/// # Errors
/// What the system says.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        rustix::net::sockopt::set_ipv6_v6only(&socket, false)?;
    }
    // A restart must not wait for old connections to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections until `stop`. Those that are answered then are answered to their end, and so is
/// the first request of each and one that has begun, unless everything stops: nobody is cut off by a reload.
pub(super) async fn accept(
    listener: Arc<TcpListener>,
    site: Arc<Site>,
    stop: CancellationToken,
    tasks: Tasks,
) {
    let seats = Seats::new(CONNECTIONS);
    loop {
        let accepted = tokio::select! {
            // First: who comes after it is left to whoever listens next.
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) =>
            {
                continue;
            }
            Err(error) => {
                // Mostly: no more file descriptors. One place is made, then tried again.
                warn!(%error, "the probe cannot accept a connection");
                seats.evict();
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(seat) = seats.sit(from.ip()) else { continue };
        let site = Arc::clone(&site);
        let ends = Ends { stop: stop.clone(), all: tasks.stopping() };
        tasks.spawn_draining("probe connection", OnEnd::Fine, async move {
            tokio::select! {
                () = seat.evicted() => debug!("a connection made place for another one"),
                () = serve(stream, &site, &seat, &ends) => {}
            }
        });
    }
}

/// What ends a connection that waits.
struct Ends {
    /// For a later request.
    stop: CancellationToken,
    /// For the first one.
    all: CancellationToken,
}

async fn serve(stream: TcpStream, site: &Site, seat: &Seat, ends: &Ends) {
    let deadline = Instant::now() + HEAD_PATIENCE;
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot switch off Nagle's algorithm");
    }
    let Some(certificate) = &site.certificate else {
        return converse(stream, site, seat, ends, deadline, None).await;
    };
    let handshake = async {
        let acceptor = certificate.acceptor().await;
        let config = Arc::clone(acceptor.config());
        acceptor.accept(stream).await.map(|stream| (stream, config))
    };
    let secured = tokio::select! {
        () = ends.all.cancelled() => return,
        secured = timeout_at(deadline, handshake) => secured,
    };
    match secured {
        Ok(Ok((stream, config))) => {
            converse(stream, site, seat, ends, deadline, Some((certificate, config))).await;
        }
        Ok(Err(error)) => debug!(%error, "a TLS handshake with the probe failed"),
        Err(_late) => debug!("a TLS handshake with the probe took too long"),
    }
}

/// How reading a head ended.
enum Came {
    Head(Request),
    TooLarge,
    /// The client has left, or is to.
    Over,
}

/// Answers one request after the other; the head of the first one must be there by `deadline`. Over TLS, as long as
/// what the client was let in by is in force.
async fn converse<S>(
    mut stream: S,
    site: &Site,
    seat: &Seat,
    ends: &Ends,
    deadline: Instant,
    let_in: Option<(&Certificate, Arc<ServerConfig>)>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut bytes = Vec::new();
    let (mut first, mut ending) = (Some(deadline), &ends.all);
    let bare = site.manner.is_literal();
    loop {
        let came = tokio::select! {
            biased;
            came = head(&mut stream, &mut bytes, first, bare) => Some(came),
            () = ending.cancelled() => None,
        };
        let came = match came {
            Some(came) => came,
            None => tokio::select! {
                biased;
                () = ends.all.cancelled() => return,
                came = last(&mut stream, &mut bytes, bare) => came,
            },
        };
        if !seat.work() {
            return;
        }
        if first.is_none()
            && let Some((certificate, config)) = &let_in
            && !certificate.still_lets_in(config).await
        {
            return;
        }
        let (answer, stays) = match came {
            Came::Head(request) => {
                let (answer, bodiless) = site.answer(&request).await;
                let stays = request.stays() && !bare && !matches!(answer, Answer::Junk);
                let stays = stays && !ends.stop.is_cancelled();
                (answer.bytes(bodiless, !stays), stays)
            }
            Came::TooLarge => (Answer::TooLarge.bytes(false, true), false),
            Came::Over => return,
        };
        let written = async {
            stream.write_all(&answer).await?;
            stream.flush().await
        };
        if !matches!(timeout(TAKEN, written).await, Ok(Ok(()))) {
            return;
        }
        seat.wait();
        if !stays {
            // What was sent and not read would make the system cut the connection, and the answer with it.
            drop(timeout(FAREWELL.0, part(stream)).await);
            return;
        }
        (first, ending) = (None, &ends.stop);
    }
}

/// Reads the last head of a connection that ends: what has come of it, or is on its way.
async fn last<S: AsyncRead + Unpin>(stream: &mut S, bytes: &mut Vec<u8>, bare: bool) -> Came {
    if bytes.is_empty() && !matches!(timeout(ON_ITS_WAY, more(stream, bytes)).await, Ok(Ok(true))) {
        return Came::Over;
    }
    head(stream, bytes, Some(Instant::now() + HEAD_PATIENCE), bare).await
}

/// Closes our side and throws away what still comes.
async fn part<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(FAREWELL.1), &mut tokio::io::sink()).await?;
    Ok(())
}

/// Reads the next head by `deadline`; without one its first byte must come while the connection is
/// kept, the rest within the usual time.
async fn head<S: AsyncRead + Unpin>(
    stream: &mut S,
    bytes: &mut Vec<u8>,
    deadline: Option<Instant>,
    bare: bool,
) -> Came {
    // Empty lines between requests mean nothing.
    let skip = |bytes: &mut Vec<u8>| {
        let empty = bytes.iter().take_while(|byte| matches!(**byte, b'\r' | b'\n')).count();
        bytes.drain(..empty);
    };
    skip(bytes);
    if bytes.is_empty() {
        let first = deadline.unwrap_or_else(|| Instant::now() + KEPT);
        match timeout_at(first, more(stream, bytes)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false) | Err(_)) | Err(_) => return Came::Over,
        }
    }
    let rest = async {
        let mut known = 0;
        loop {
            skip(bytes);
            if let Some(at) = end(bytes, known) {
                let head: Vec<u8> = bytes.drain(..at).collect();
                return if at > HEAD { Came::TooLarge } else { Came::Head(Request::parse(&head)) };
            }
            known = bytes.len();
            if known > HEAD {
                return Came::TooLarge;
            }
            match more(stream, bytes).await {
                Ok(true) => {}
                // A whole line and then nothing more is asked by hand.
                Ok(false) if bare && bytes.contains(&b'\n') => {
                    return Came::Head(Request::parse(&std::mem::take(bytes)));
                }
                Ok(false) | Err(_) => return Came::Over,
            }
        }
    };
    let whole = deadline.unwrap_or_else(|| Instant::now() + HEAD_PATIENCE);
    timeout_at(whole, rest).await.unwrap_or(Came::Over)
}

/// Reads once; `false` when there is no more.
async fn more<S: AsyncRead + Unpin>(stream: &mut S, bytes: &mut Vec<u8>) -> io::Result<bool> {
    bytes.reserve(PIECE);
    Ok(stream.read_buf(bytes).await? > 0)
}

#[cfg(test)]
mod tests;
