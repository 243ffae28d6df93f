//! One request and its answer over a connection that is there.
//!
//! Written here rather than taken from a library: a look sends one request and reads one answer,
//! so a third of the time and memory of a general client does, each phase can be timed, and what
//! went wrong can be said exactly. [`httparse`] reads the heads.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::body::Body;
use super::head::{Head, NotHttp};
use super::request::Request;
use super::{Kept, Measured, add};
use crate::watch::fault::{Fault, Plain, Stage};
use crate::watch::stream::Stream;
use crate::watch::tls;

/// The head of an answer has at most this many bytes.
const HEAD: usize = 64 * 1024;

/// What is read at once, at first and of a long body.
const FIRST: usize = 4 * 1024;
const PIECE: usize = 16 * 1024;

/// Informational answers (100 to 199) that may come before the real one.
const INFORMATIONAL: usize = 16;

/// An answer, its body read as far as it may be.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: Head,
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

/// Sends the request and reads the answer. The connection is kept when `keep` is set and both
/// sides are done with it.
pub(super) async fn exchange(
    over: Kept,
    request: &Request,
    keep: bool,
    limits: Limits,
    shown: &str,
    stage: &mut Stage,
    measured: &mut Measured,
) -> Result<Answer, Broken> {
    let mut over = over;
    let begun = stage.enter(format!("the answer of {shown}"));
    let sent = send(&mut over.stream, &request.bytes).await;
    let mut reader = Reader { stream: &mut over.stream, bytes: Vec::new() };

    // Even if not all could be sent there may be an answer: a server need not read all it is sent.
    let more = match reader.more(FIRST).await {
        Ok(more) => more,
        Err(error) => return Err(Broken::BeforeAnswer(broke(shown, "before it answered", &error))),
    };
    if !more {
        return Err(Broken::BeforeAnswer(match sent {
            Ok(()) => closed(shown, "before it answered"),
            Err(error) => Fault::io(format_args!("cannot send the request to {shown}"), &error),
        }));
    }
    add(&mut measured.first_byte, begun);
    let mut head = reader.head(request.bodiless, shown).await.map_err(Broken::Late)?;

    stage.enter(format!("the body of {shown}"));
    let mut body = Body::default();
    let read = reader.body(&mut head, &mut body, limits, shown).await;
    read.map_err(Broken::Late)?;

    let whole = head.framing.is_done() && !body.is_cut() && reader.bytes.is_empty();
    let kept = (keep && whole && sent.is_ok() && head.stays_open).then_some(over);
    Ok(Answer { head, body, kept })
}

async fn send(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Reads from a connection; `bytes` came and were not used yet.
struct Reader<'a> {
    stream: &'a mut Stream,
    bytes: Vec<u8>,
}

impl Reader<'_> {
    /// Reads once; `false` when the connection has ended.
    async fn more(&mut self, size: usize) -> io::Result<bool> {
        // A look may wait here for long: it needs no buffer until there is something to read.
        self.stream.readable().await?;
        self.bytes.reserve(size);
        Ok(self.stream.read_buf(&mut self.bytes).await? > 0)
    }

    async fn head(&mut self, bodiless: bool, shown: &str) -> Result<Head, Fault> {
        let mut informational = 0;
        loop {
            let parsed = Head::parse(&self.bytes, bodiless);
            let parsed = parsed.map_err(|NotHttp(why)| {
                Fault::critical(format!("{shown} answered with something that is not HTTP: {why}"))
            })?;
            if let Some((head, length)) = parsed {
                self.bytes.drain(..length);
                // A switch of protocols (101) is the last of it.
                if head.status >= 200 || head.status == 101 {
                    return Ok(head);
                }
                informational += 1;
                if informational > INFORMATIONAL {
                    return Err(Fault::critical(format!("{shown} sends informational answers without end")));
                }
                continue;
            }
            if self.bytes.len() >= HEAD {
                return Err(Fault::critical(format!("the head of the answer of {shown} is over 64 KiB")));
            }
            match self.more(FIRST).await {
                Ok(true) => {}
                Ok(false) => return Err(closed(shown, "within the head of its answer")),
                Err(error) => return Err(broke(shown, "within the head of its answer", &error)),
            }
        }
    }

    async fn body(
        &mut self,
        head: &mut Head,
        body: &mut Body,
        limits: Limits,
        shown: &str,
    ) -> Result<(), Fault> {
        let until_close = head.framing.is_until_close();
        loop {
            let used =
                head.framing.feed(&self.bytes, |piece| body.push(piece, limits.max_body, limits.wants_body));
            let used =
                used.map_err(|why| Fault::critical(format!("the body of {shown} is garbled: {why}")))?;
            self.bytes.drain(..used);
            if head.framing.is_done() || body.is_cut() {
                return Ok(());
            }
            match self.more(PIECE).await {
                Ok(true) => {}
                Ok(false) if until_close => return Ok(()),
                // TLS should be ended in good order, but many servers do not.
                Err(error) if until_close && error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Ok(false) => return Err(closed(shown, "within the body")),
                Err(error) => return Err(broke(shown, "within the body", &error)),
            }
        }
    }
}

fn closed(shown: &str, when: &str) -> Fault {
    Fault::critical(format!("{shown} closed the connection {when}"))
}

fn broke(shown: &str, when: &str, error: &io::Error) -> Fault {
    if let Some(alert) = tls::alert(error) {
        return Fault::critical(format!("{shown} ended the TLS session {when}: {alert}"));
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return closed(shown, when);
    }
    Fault::critical(format!("{shown} broke the connection {when}: {}", Plain(error)))
}
