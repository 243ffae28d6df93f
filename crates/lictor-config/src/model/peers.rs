//! What a node shows of itself to others, and how it watches them.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use lictor_core::CheckName;
pub use lictor_core::peers::WhoTells;
use url::Url;

use super::Tls;
use crate::secret::Secret;

/// `probe { … }`: what this node answers about itself, to its peers and to whoever may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Where it listens (default 127.0.0.1:5988). Anywhere else it asks for a password, a client
    /// certificate, or is `open`.
    pub address: SocketAddr,
    /// URLs that are looked at, in this order; a status from 200 to 399 is good. Redirects are not followed.
    pub urls: Vec<Url>,
    /// Mount points that are reported. `None`: all that `df` shows.
    pub volumes: Option<Vec<PathBuf>>,
    /// Checks of the agent that are reported beside the URLs, as `check:NAME`.
    pub checks: Vec<CheckName>,
    /// Time limit of one look at a URL (default 5 s).
    pub timeout: Duration,
    /// Results younger than this are answered as they are (default 5 s); older ones are looked at
    /// anew, once for all who wait.
    pub fresh: Duration,
    /// File of `user:password` lines, read again when it changed. `None`: nobody is asked.
    pub auth_file: Option<PathBuf>,
    /// Whether anybody may ask although the address is not loopback (default no).
    pub open: bool,
    /// TLS. `None`: plain.
    pub tls: Option<ProbeTls>,
}

/// TLS of the probe's listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeTls {
    /// Its certificate, with those between it and the root (PEM).
    pub cert_file: PathBuf,
    /// Its key (PEM).
    pub key_file: PathBuf,
    /// Who asks must show a certificate of one of these authorities (PEM).
    pub client_ca_file: Option<PathBuf>,
}

/// `peers { … }`: the other nodes, each watched by each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers {
    /// How they are found, in every round anew.
    pub discovery: Discovery,
    /// `http` or `https`.
    pub https: bool,
    /// Our own addresses, in place of those of the interfaces: a peer that has one is this node.
    pub own: Vec<IpAddr>,
    /// Time from one round to the next (default 10 s).
    pub every: Duration,
    /// Time limit of one look (default 5 s).
    pub timeout: Duration,
    /// What is shown to each peer as `Authorization: Basic …`, encoded already.
    pub token: Option<Secret>,
    /// TLS to the peers.
    pub tls: Tls,
    /// So many looks in a row must fail until a peer counts as down (default 2).
    pub fail_after: NonZeroU32,
    /// So many must succeed until it counts as up again (default 1).
    pub pass_after: NonZeroU32,
    /// So many nodes, this one among them, must see a peer down until it is told (default 1).
    /// Fewer that can be asked say so instead.
    pub confirm: NonZeroU32,
    /// Whether each node tells, or one of them (default each).
    pub tell: WhoTells,
    /// Each peer is watched by so many nodes. `None`: by all.
    pub watchers: Option<NonZeroU32>,
    /// What is told besides that a peer is down and is up again.
    pub announce: Announce,
    /// A peer that discovery no longer names is told of (default yes).
    pub vanished: bool,
}

/// What is told besides that a peer is down and is up again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Announce {
    /// Nothing.
    #[default]
    No,
    /// How a peer stands that was never seen before, and each change of which of its checks fail.
    Changes,
    /// How each peer stands, in every round.
    Always,
}

/// How peers are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// An SRV record: a host and a port for each peer.
    Srv {
        /// Its name, such as `_sentinella._tcp.example.com`.
        name: String,
        /// The name server to ask. `None`: those of the system.
        server: Option<SocketAddr>,
        /// Programs to ask in place of name servers.
        programs: Option<DnsPrograms>,
    },
    /// A name with an A or AAAA record for each peer.
    Addresses {
        /// The name.
        name: String,
        /// The port of all of them (default 5988).
        port: u16,
        /// The name server to ask. `None`: the system's resolver.
        server: Option<SocketAddr>,
        /// Programs to ask in place of name servers.
        programs: Option<DnsPrograms>,
    },
    /// The instances of a service in Consul's catalog.
    Consul {
        /// The service.
        service: String,
    },
    /// These: host (or address) and port.
    Static(Vec<(String, u16)>),
}

/// The programs that answer questions of DNS in place of name servers: for tests, and for
/// resolvers that only a program can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsPrograms {
    /// Called as `dig +short +time=3 +tries=2 SRV NAME`. `None`: name servers are asked.
    pub dig: Option<PathBuf>,
    /// Called as `getent hosts NAME`. `None`: the system's resolver is asked.
    pub getent: Option<PathBuf>,
}
