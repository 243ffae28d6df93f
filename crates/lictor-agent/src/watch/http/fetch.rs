//! One request for who is no watcher, to one address, its answer not judged.

use std::net::SocketAddr;
use std::time::Duration;

use lictor_config::Tls;
use lictor_core::Status;
use tokio::time::timeout;
use url::Origin;

use super::exchange::{Broken, Limits, exchange};
use super::request::Request;
use super::{Kept, Measured};
use crate::watch::fault::{Fault, Stage};
use crate::watch::look::World;
use crate::watch::stream::{Stream, connect};

/// What is fetched from where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fetch<'a> {
    /// To whom the connection is made.
    pub(crate) address: SocketAddr,
    /// The name that the certificate must have.
    pub(crate) host: &'a str,
    /// TLS; `None` for plain.
    pub(crate) tls: Option<&'a Tls>,
    /// The request as it goes over the wire: one that has an answer with a body.
    pub(crate) request: &'a [u8],
    /// Of the body, bytes that are read.
    pub(crate) max_body: usize,
    /// Time limit of the connection.
    pub(crate) connect: Duration,
    /// Time limit of the whole.
    pub(crate) limit: Duration,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Whether there was more of it than was read.
    pub(crate) cut: bool,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unanswered {
    /// In words.
    pub(crate) why: String,
    /// Whether it is something of ours that kept us from asking.
    pub(crate) ours: bool,
}

/// Makes the request over a connection of its own.
///
/// # Errors
/// When there is no whole answer in time.
pub(crate) async fn fetch(fetch: Fetch<'_>, world: &World) -> Result<Fetched, Unanswered> {
    let mut stage = Stage::start();
    let ended = match timeout(fetch.limit, make(fetch, world, &mut stage)).await {
        Ok(ended) => ended,
        Err(_late) => Err(stage.late(fetch.limit)),
    };
    ended.map_err(|fault| Unanswered { ours: fault.status == Status::Unknown, why: fault.message })
}

async fn make(fetch: Fetch<'_>, world: &World, stage: &mut Stage) -> Result<Fetched, Fault> {
    let Fetch { address, host, .. } = fetch;
    let tcp = timeout(fetch.connect, connect(&[address], stage.started() + fetch.connect, stage)).await;
    let tcp = tcp.map_err(|_late| stage.late(fetch.connect))??;
    let stream = match fetch.tls {
        None => Stream::Plain(tcp),
        Some(profile) => {
            stage.enter(format!("the TLS handshake with {address}"));
            let secured = world.tls.secure(profile, host, tcp).await.map_err(|failed| failed.fault)?;
            Stream::Tls(Box::new(secured.stream))
        }
    };
    let over = Kept { stream, validity: None, origin: Origin::new_opaque() };
    let request = Request { bytes: fetch.request.to_vec(), bodiless: false };
    let limits = Limits { max_body: fetch.max_body, wants_body: true };
    let shown = address.to_string();
    let answer = exchange(over, &request, false, limits, &shown, stage, &mut Measured::default()).await;
    let answer = answer.map_err(Broken::into_fault)?;
    let (body, cut) = (answer.body.bytes().to_vec(), answer.body.is_cut());
    Ok(Fetched { status: answer.head.status, body, cut })
}
