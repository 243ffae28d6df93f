//! One look at a peer: its probe is asked how it stands, and what it sees of the others.

mod answer;
mod mesh;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::HeaderValue;
use lictor_config::Peers;
use lictor_core::peers::Seen;
use tokio::time::Instant;

pub(crate) use mesh::{MESH, MeshView, Sight};

use super::discover::Found;
use crate::watch::{Fetch, Unanswered, World, fetch};

const AGENT: &str = concat!("lictor/", env!("CARGO_PKG_VERSION"));

/// Of an answer, bytes that are read.
const ANSWER: usize = 1 << 20;

/// A look that takes so much longer than it may was not waited for: this process, or its machine, stood still.
const STOOD_STILL: Duration = Duration::from_millis(250);

/// What a look found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Looked {
    /// How the peer stands.
    pub(crate) seen: Seen,
    /// What it sees of the others, if it says so.
    pub(crate) mesh: Option<MeshView>,
    /// The address that answered, or else the first that was tried.
    pub(crate) address: Option<IpAddr>,
    /// How long it took.
    pub(crate) took: Duration,
    /// Whether something of ours kept us from asking: then it says nothing about the peer.
    pub(crate) ours: bool,
}

/// Looks at a peer, within the time limit of a look. Its addresses are tried in their order until one
/// can be connected to, each with an equal share of the time that is left; that one has all of it.
///
/// It looks once more when it heard nothing while it stood still (a machine that was paused or slept): that
/// says nothing of the peer.
pub(crate) async fn look(found: &Found, peers: &Peers, world: &World) -> Looked {
    let begun = world.boot();
    let looked = look_once(found, peers, world).await;
    let late = world.boot().since(begun) > peers.timeout + STOOD_STILL;
    if late && matches!(looked.seen, Seen::Silent { .. }) {
        return look_once(found, peers, world).await;
    }
    looked
}

async fn look_once(found: &Found, peers: &Peers, world: &World) -> Looked {
    let begun = Instant::now();
    let deadline = begun + peers.timeout;
    let mut looked = Looked {
        seen: Seen::Silent { why: String::new() },
        mesh: None,
        address: found.addresses.first().map(SocketAddr::ip),
        took: Duration::ZERO,
        ours: false,
    };
    match ask(found, peers, world, deadline).await {
        Ok((address, read)) => {
            looked.address = Some(address.ip());
            (looked.seen, looked.mesh) = (read.seen, read.mesh);
        }
        Err(Unanswered { why, ours }) => {
            looked.seen = Seen::Silent { why };
            looked.ours = ours;
        }
    }
    looked.took = begun.elapsed();
    looked
}

async fn ask(
    found: &Found,
    peers: &Peers,
    world: &World,
    deadline: Instant,
) -> Result<(SocketAddr, answer::Read), Unanswered> {
    let request = request(found, peers).map_err(|why| Unanswered { why, ours: true })?;
    let mut failed: Vec<Unanswered> = Vec::new();
    for (tried, address) in found.addresses.iter().enumerate() {
        let left = u32::try_from(found.addresses.len() - tried).unwrap_or(u32::MAX);
        // The first has had nothing taken from its time yet, and is told of by the time that was written.
        let limit =
            if tried == 0 { peers.timeout } else { deadline.saturating_duration_since(Instant::now()) };
        let wanted = Fetch {
            address: *address,
            host: &found.host,
            tls: peers.https.then_some(&peers.tls),
            request: &request,
            max_body: ANSWER,
            // Who has a connection has all the time that is left: a probe may need most of it.
            connect: limit / left,
            limit,
        };
        match fetch(wanted, world).await {
            Ok(fetched) => return Ok((*address, answer::read(fetched.status, &fetched.body, fetched.cut))),
            Err(why) => failed.push(why),
        }
    }
    if failed.is_empty() {
        return Err(Unanswered { why: "it is not known where it is".to_owned(), ours: false });
    }
    // One address that was tried in earnest is enough to judge the peer.
    let ours = failed.iter().all(|failed| failed.ours);
    let why: Vec<String> = failed.into_iter().map(|failed| failed.why).collect();
    Err(Unanswered { why: why.join("; "), ours })
}

/// The request. The token is read now, so that a rotated one is used.
fn request(found: &Found, peers: &Peers) -> Result<Vec<u8>, String> {
    let authority = match found.host.parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, found.port).to_string(),
        Err(_name) => format!("{}:{}", found.host, found.port),
    };
    let mut headers = vec![
        ("Host", authority),
        ("User-Agent", AGENT.to_owned()),
        ("Accept", format!("{MESH}, application/json")),
        ("Connection", "close".to_owned()),
    ];
    if let Some(token) = &peers.token {
        let token = token.reveal().map_err(|error| error.to_string())?;
        headers.push(("Authorization", format!("Basic {}", token.trim())));
    }
    let mut text = String::from("GET /status HTTP/1.1\r\n");
    for (name, value) in headers {
        // Nothing in it may end the header.
        HeaderValue::from_str(&value).map_err(|_invalid| format!("the header {name} cannot be sent"))?;
        for part in [name, ": ", &value, "\r\n"] {
            text.push_str(part);
        }
    }
    text.push_str("\r\n");
    Ok(text.into_bytes())
}

#[cfg(test)]
#[path = "look/tests.rs"]
mod tests;
