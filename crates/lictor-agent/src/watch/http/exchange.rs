//! One request and its answer over a connection that is there.

use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderMap, Request, Version, response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, Connection};
use hyper_util::rt::TokioIo;

use super::body::Body;
use super::{Kept, Measured, add};
use crate::watch::fault::{Fault, Stage};
use crate::watch::stream::Stream;
use crate::watch::tls;

/// The head of an answer has at most this many bytes; also what is read at once of its body.
const HEAD: usize = 64 * 1024;

/// An answer, its body read as far as it may be.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: response::Parts,
    pub(super) body: Body,
    /// The connection, if it can be used again.
    pub(super) kept: Option<Kept>,
}

/// How an exchange failed.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection ended before any of the answer came: over a kept one that means it had
    /// been closed.
    BeforeAnswer(Fault),
    /// Anything else.
    Late(Fault),
}

impl Broken {
    pub(super) fn into_fault(self) -> Fault {
        match self {
            Self::BeforeAnswer(fault) | Self::Late(fault) => fault,
        }
    }
}

/// How much of a body is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_body: usize,
    pub(super) wants_body: bool,
}

type Conn = Connection<TokioIo<Stream>, Full<Bytes>>;

pub(super) async fn exchange(
    over: Kept,
    request: Request<Full<Bytes>>,
    keep: bool,
    limits: Limits,
    shown: &str,
    stage: &mut Stage,
    measured: &mut Measured,
) -> Result<Answer, Broken> {
    let Kept { stream, validity, origin } = over;
    let begun = stage.enter(format!("the answer of {shown}"));
    let handshake = http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) =
        handshake.map_err(|error| Broken::Late(Fault::critical(format!("{shown}: {error}"))))?;
    let mut driver = Driver { connection, ended: false };

    let answered = driver.run(sender.send_request(request)).await;
    let (head, mut incoming) = match answered {
        Ok(answer) => answer.into_parts(),
        Err(error) => {
            let fault = explain(shown, "before it answered", &error);
            let closed = error.is_incomplete_message() || error.is_canceled() || io_error(&error).is_some();
            return Err(if closed { Broken::BeforeAnswer(fault) } else { Broken::Late(fault) });
        }
    };
    add(&mut measured.first_byte, begun);

    stage.enter(format!("the body of {shown}"));
    let mut body = Body::default();
    while let Some(frame) = driver.run(incoming.frame()).await {
        let frame = frame.map_err(|error| Broken::Late(explain(shown, "within the body", &error)))?;
        let Some(piece) = frame.data_ref() else { continue };
        if !body.push(piece, limits.max_body, limits.wants_body) {
            break;
        }
    }

    let reusable = keep && !body.is_cut() && !driver.ended && stays_open(&head.headers, head.version);
    let kept = reusable
        .then(|| driver.connection.into_parts())
        .filter(|parts| parts.read_buf.is_empty())
        .map(|parts| Kept { stream: parts.io.into_inner(), validity, origin });
    Ok(Answer { head, body, kept })
}

/// Whether the server means to keep the connection.
fn stays_open(headers: &HeaderMap, version: Version) -> bool {
    let says = |word: &str| {
        headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.split(',').any(|token| token.trim().eq_ignore_ascii_case(word)))
    };
    if version == Version::HTTP_11 { !says("close") } else { says("keep-alive") }
}

/// Moves the connection along while something is waited for, in the same task: a look needs
/// no second one.
struct Driver {
    connection: Conn,
    ended: bool,
}

impl Driver {
    async fn run<F: Future>(&mut self, wanted: F) -> F::Output {
        let mut wanted = pin!(wanted);
        poll_fn(|cx| {
            if let Poll::Ready(output) = wanted.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            if self.ended {
                return Poll::Pending;
            }
            // Its error also reaches whoever waits for the answer or the body.
            if Pin::new(&mut self.connection).poll(cx).is_ready() {
                self.ended = true;
            }
            wanted.as_mut().poll(cx)
        })
        .await
    }
}

/// The operating system's error within one of hyper's.
fn io_error(error: &hyper::Error) -> Option<&io::Error> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref() {
            return Some(found);
        }
        cause = inner.source();
    }
    None
}

fn explain(shown: &str, when: &str, error: &hyper::Error) -> Fault {
    if error.is_incomplete_message() {
        return Fault::critical(format!("{shown} closed the connection {when}"));
    }
    if error.is_parse_too_large() {
        return Fault::critical(format!("the head of the answer of {shown} is over 64 KiB"));
    }
    if error.is_parse() {
        return Fault::critical(format!("{shown} answered with something that is not HTTP: {error}"));
    }
    match io_error(error) {
        Some(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            Fault::critical(format!("{shown} closed the connection {when}"))
        }
        Some(cause) if let Some(alert) = tls::alert(cause) => {
            Fault::critical(format!("{shown} ended the TLS session {when}: {alert}"))
        }
        Some(cause) => Fault::io(format_args!("{shown} broke the connection {when}"), cause),
        None => Fault::critical(format!("{shown}: {error}")),
    }
}
