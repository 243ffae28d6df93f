//! The configuration as typed values: what the agent is built from.

mod alerts;
mod calendar;
mod host;
mod journal;
mod lines;
mod metrics;
mod monitor;
mod notify;
mod peers;
mod replicate;
mod service;
mod snapshot;
mod status_page;
mod systemd;
mod torrent;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lictor_core::{
    ActionName, CheckName, NotifierName, PatternName, Plan, ReplicateName, ServiceName, SnapshotName,
};
use regex::Regex;
use url::Url;

pub use alerts::{Alerts, Begins, ConsulChecks, Digest, LifeSign, LifeSignTo, Maintenance};
pub use calendar::Calendar;
pub(crate) use calendar::instant;
pub use host::{ClockSource, HostClock, HostMemory, Load, LoadMinutes, Pressure, Swap, Temperature};
pub use journal::{Journal, JournalFrom};
pub use lines::{File, Joined, Missing, Multiline, Restart, Stream};
pub use metrics::{
    Limit, Limits, Prometheus, Redis, RedisAction, RedisPlace, RedisQuestion, RedisServer, Webhook,
    WebhookFormat,
};
pub use monitor::{Monitor, Phase};
pub use notify::{
    Email, Endpoint, LogFile, MailSecurity, Notifier, NotifierKind, NotifyProgram, OwnBody, OwnRequest,
    Service, Setting,
};
pub use peers::{Announce, Discovery, DnsPrograms, Peers, Probe, ProbeTls, WhoTells};
pub use replicate::{Notes, Replicate};
pub use service::{Cluster, ClusterService, ServiceCommand};
pub use snapshot::{
    Azure, AzureCredentials, Drill, Encrypt, Google, GoogleCredentials, Names, Place, PlaceKind, S3,
    S3Credentials, S3Encryption, S3Keys, Snapshot, When,
};
pub(crate) use status_page::slug;
pub use status_page::{Announcement, StatusGroup, StatusPage, StatusPart};
pub use systemd::{
    Reboot, SignalAction, SignalTo, SwapAction, SystemdAction, SystemdBus, Unit, UnitExpect, UnitName,
    UnitNameError, UnitVerb,
};
pub use torrent::{
    Control, IpRange, IpSource, NomadAction, NomadApi, NomadHow, NomadTarget, PublicIp, Qbittorrent,
    QbittorrentAction, QbittorrentApi, TorrentWork, Vpn, VpnAction, VpnSource,
};

use crate::secret::Secret;

/// A whole configuration; a value that exists is valid.
#[derive(Clone, Debug)]
pub struct Config {
    /// This machine.
    pub node: Node,
    /// The listener of API, metrics and page.
    pub http: Listen,
    /// What everybody may see, on a listener of its own.
    pub status_page: Option<Arc<StatusPage>>,
    /// The Consul agent to use, if any.
    pub consul: Option<Consul>,
    /// The watchers by the name of the check they feed. Shared, because the configuration
    /// and each running watcher hold one.
    pub watches: BTreeMap<CheckName, Arc<Watch>>,
    /// What the steps of remedies do, by the name the plan has for it.
    pub actions: BTreeMap<ActionName, Action>,
    /// The connection monitors. What they stand for is among the watchers and in the plan.
    pub monitors: Vec<Monitor>,
    /// What the engine judges and decides by.
    pub plan: Arc<Plan>,
    /// Who tells, by name. Shared, because the configuration and each running notifier hold one.
    pub notifiers: BTreeMap<NotifierName, Arc<Notifier>>,
    /// Who is told of what, and when nobody is.
    pub alerts: Arc<Alerts>,
    /// What this node shows of itself to others.
    pub probe: Option<Arc<Probe>>,
    /// How it watches the other nodes.
    pub peers: Option<Arc<Peers>>,
    /// How the nodes of the services reach each other.
    pub cluster: Option<Cluster>,
    /// What runs on one of several nodes at a time, by name.
    pub services: BTreeMap<ServiceName, Arc<ClusterService>>,
    /// What is copied from one datacenter of Consul to others, by name.
    pub replicates: BTreeMap<ReplicateName, Arc<Replicate>>,
    /// What snapshots are taken, by name.
    pub snapshots: BTreeMap<SnapshotName, Arc<Snapshot>>,
    /// The digest of each block by what it defines, such as `watch shop` or `node`: the
    /// same as long as what is written there is, comments and layout aside. A reload
    /// compares them.
    pub blocks: BTreeMap<String, String>,
}

/// `node { … }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The name of this node, unique in its fleet (default: the host's name).
    pub name: String,
    /// The datacenter, for display and for Consul.
    pub datacenter: Option<String>,
    /// Where the state lies (default `/var/lib/lictor`, or systemd's STATE_DIRECTORY).
    pub state_dir: PathBuf,
}

/// `http { … }`: the listener.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The address (default 127.0.0.1:8510). One that is not loopback needs a token.
    pub address: SocketAddr,
    /// What a caller must show as `Authorization: Bearer …`. `None`: loopback only.
    pub token: Option<Secret>,
    /// Host names under which browsers may reach the page, besides the address and `localhost`.
    pub allowed_hosts: Vec<String>,
}

/// `consul { … }`. Unset values come from the `CONSUL_*` environment as for the consul program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consul {
    /// `http://127.0.0.1:8500`, `https://…` or `unix:///path`.
    pub address: String,
    /// ACL token.
    pub token: Option<Secret>,
    /// The datacenter, when it is not the agent's own.
    pub datacenter: Option<String>,
    /// Namespace (Consul Enterprise).
    pub namespace: Option<String>,
    /// Where our keys lie, with a trailing slash (default `lictor/`).
    pub prefix: String,
    /// Whether the agent registers itself as a service with a TTL check, and its name.
    pub register: Option<String>,
    /// TLS to the agent.
    pub tls: Tls,
}

/// TLS as a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// A file of CA certificates (PEM) in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Our certificate (PEM).
    pub cert_file: Option<PathBuf>,
    /// Its key (PEM).
    pub key_file: Option<PathBuf>,
    /// The name the certificate must have, when it is not the host's.
    pub server_name: Option<String>,
    /// Accept any certificate.
    pub insecure: bool,
}

/// A watcher: how one check gets its results.
#[derive(Clone, Debug)]
pub struct Watch {
    /// What is looked at.
    pub kind: WatchKind,
    /// Time from one look to the next (default 10 s).
    pub every: Duration,
    /// Time limit of one look (default: 5 s, at most `every`).
    pub timeout: Duration,
    /// Patterns looked for in what it reads (exec: each line of output; http: each line of the body).
    pub patterns: Vec<Pattern>,
}

/// `match "name" { … }` of a watcher.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// Its name.
    pub name: PatternName,
    /// What a line must contain.
    pub regex: Regex,
}

/// What a watcher looks at.
#[derive(Clone, Debug)]
pub enum WatchKind {
    /// An HTTP request.
    Http(Box<Http>),
    /// A TCP connection.
    Tcp(Tcp),
    /// A DNS question.
    Dns(Dns),
    /// A program with Nagios exit codes.
    Exec(Command),
    /// Space on file systems.
    Disk(Disk),
    /// A process.
    Process(Process),
    /// Something that must call in (`POST /v1/heartbeat/NAME`).
    Heartbeat(Heartbeat),
    /// A qBittorrent: whether it is reached, and reaches others.
    Qbittorrent(Box<Qbittorrent>),
    /// A tunnel.
    Vpn(Box<Vpn>),
    /// The address under which others see us.
    PublicIp(Box<PublicIp>),
    /// A query of a Prometheus.
    Prometheus(Box<Prometheus>),
    /// A Redis, or a key of it.
    Redis(Box<Redis>),
    /// Others say what is wrong (`POST /v1/webhook/NAME`).
    Webhook(Box<Webhook>),
    /// The memory of this machine.
    Memory(HostMemory),
    /// Its swap.
    Swap(Swap),
    /// Its load.
    Load(Load),
    /// Its temperatures.
    Temperature(Temperature),
    /// Its clock.
    Clock(HostClock),
    /// Lines appended to files.
    File(File),
    /// Lines that a program prints.
    Stream(Stream),
    /// The systemd journal.
    Journal(Box<Journal>),
    /// A unit of systemd.
    Unit(Box<Unit>),
}

impl WatchKind {
    /// Whether it follows something all the time; a look then only asks how that stands.
    pub const fn follows(&self) -> bool {
        match self {
            Self::Http(_)
            | Self::Tcp(_)
            | Self::Dns(_)
            | Self::Exec(_)
            | Self::Disk(_)
            | Self::Process(_)
            | Self::Heartbeat(_)
            | Self::Qbittorrent(_)
            | Self::Vpn(_)
            | Self::PublicIp(_)
            | Self::Prometheus(_)
            | Self::Redis(_)
            | Self::Webhook(_)
            | Self::Memory(_)
            | Self::Swap(_)
            | Self::Load(_)
            | Self::Temperature(_)
            | Self::Clock(_) => false,
            Self::Journal(_) | Self::File(_) | Self::Stream(_) | Self::Unit(_) => true,
        }
    }

    /// The word for it in the configuration.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp(_) => "tcp",
            Self::Dns(_) => "dns",
            Self::Exec(_) => "exec",
            Self::Disk(_) => "disk",
            Self::Process(_) => "process",
            Self::Heartbeat(_) => "heartbeat",
            Self::Qbittorrent(_) => "qbittorrent",
            Self::Vpn(_) => "vpn",
            Self::PublicIp(_) => "public_ip",
            Self::Prometheus(_) => "prometheus",
            Self::Redis(_) => "redis",
            Self::Webhook(_) => "webhook",
            Self::Memory(_) => "memory",
            Self::Swap(_) => "swap",
            Self::Load(_) => "load",
            Self::Temperature(_) => "temperature",
            Self::Clock(_) => "clock",
            Self::File(_) => "file",
            Self::Stream(_) => "stream",
            Self::Journal(_) => "journal",
            Self::Unit(_) => "unit",
        }
    }
}

/// `watch "http"`: one request; passing when everything expected is there.
#[derive(Clone, Debug)]
pub struct Http {
    /// The address.
    pub url: Url,
    /// The method (default GET).
    pub method: String,
    /// Headers to send; values may be secrets.
    pub headers: Vec<(String, Secret)>,
    /// Body to send.
    pub body: Option<String>,
    /// HTTP basic authentication: user and password.
    pub basic_auth: Option<(String, Secret)>,
    /// Bearer token.
    pub bearer: Option<Secret>,
    /// Statuses that pass, as inclusive ranges (default 200 to 299).
    pub status: Vec<(u16, u16)>,
    /// Headers that must be there and match.
    pub expect_headers: Vec<(String, Regex)>,
    /// The body must match.
    pub body_matches: Option<Regex>,
    /// The body must not match.
    pub body_lacks: Option<Regex>,
    /// JSON pointers into the body and what they must be (text compares as text, numbers as numbers).
    pub json: Vec<(String, JsonExpect)>,
    /// Slower than this in all is a warning.
    pub warn_slower: Option<Duration>,
    /// A certificate that ends sooner than this is a warning (default 14 days).
    pub warn_expiry: Duration,
    /// A certificate that ends sooner than this is critical (default 3 days).
    pub critical_expiry: Duration,
    /// Redirects followed (default 0: a redirect is judged by its status).
    pub redirects: u8,
    /// Keep the connection for the next look. A kept one tests neither DNS nor accept nor TLS.
    pub keep_alive: bool,
    /// Addresses to use.
    pub family: Family,
    /// Body bytes read at most (default 1 MiB); more is cut, not failed.
    pub max_body: usize,
    /// TLS.
    pub tls: Tls,
}

/// What a JSON pointer must lead to.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonExpect {
    /// Exactly this value.
    Equals(serde_json::Value),
    /// Anything at all.
    Present,
}

/// Which addresses of a host are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// The first that answers, in the system's order.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// `watch "tcp"`: passing when the port accepts (and answers as expected).
#[derive(Clone, Debug)]
pub struct Tcp {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Addresses to use.
    pub family: Family,
    /// Bytes to send after connecting.
    pub send: Option<Vec<u8>>,
    /// What the answer must match (as text; invalid UTF-8 is replaced).
    pub expect: Option<Regex>,
    /// Slower than this in all is a warning.
    pub warn_slower: Option<Duration>,
    /// Whether to speak TLS, and how.
    pub tls: Option<Tls>,
}

/// `watch "dns"`: passing when the name has an answer (the expected one).
#[derive(Clone, Debug)]
pub struct Dns {
    /// The name to ask for.
    pub name: String,
    /// The record type.
    pub record: DnsRecord,
    /// The server to ask; `None`: the system's resolver by getaddrinfo (A and AAAA only).
    pub server: Option<SocketAddr>,
    /// Answers that must be among those given, as text.
    pub expect: Vec<String>,
    /// Whether others than those may be given too (default true).
    pub others: bool,
    /// Slower than this in all is a warning.
    pub warn_slower: Option<Duration>,
}

/// A DNS record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsRecord {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// An alias.
    Cname,
    /// Mail exchangers, as `10 mail.example.`.
    Mx,
    /// Name servers.
    Ns,
    /// Reverse names.
    Ptr,
    /// Services, as `0 0 8080 host.example.`.
    Srv,
    /// Texts.
    Txt,
    /// Start of authority: the serial is a value.
    Soa,
}

/// A program to run: never through a shell unless it names one.
#[derive(Clone, Debug)]
pub struct Command {
    /// Program and arguments; not empty.
    pub argv: Vec<String>,
    /// Arguments (by their place, never the program) that are what a named group captured in the line
    /// that started the remedy. Empty for a watcher.
    pub captured: Vec<(usize, String)>,
    /// Environment added to the agent's own few (PATH, HOME, LANG).
    pub env: Vec<(String, Secret)>,
    /// Working directory.
    pub cwd: Option<PathBuf>,
}

/// `watch "disk"`: space and inodes of file systems, as df sees them.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Paths on the file systems; empty: every mounted one that lies on a device.
    pub paths: Vec<PathBuf>,
    /// Used space above this is a warning, percent (default 85).
    pub warn_used_percent: f64,
    /// Used space above this is critical, percent (default 95).
    pub critical_used_percent: f64,
    /// Less available than this is critical, bytes.
    pub critical_available_bytes: Option<u64>,
    /// Used inodes above this are critical, percent (default 98).
    pub critical_inodes_percent: f64,
}

/// `watch "process"`: passing when the wanted number of processes is there.
#[derive(Clone, Debug)]
pub struct Process {
    /// How they are found.
    pub by: ProcessBy,
    /// At least so many (default 1).
    pub at_least: u32,
    /// At most so many.
    pub at_most: Option<u32>,
    /// Resident memory of all together above this is a warning, bytes.
    pub warn_memory_bytes: Option<u64>,
}

/// How processes are found.
#[derive(Clone, Debug)]
pub enum ProcessBy {
    /// The number in this file must be that of a living process.
    PidFile(PathBuf),
    /// The command line (arguments joined by spaces) matches.
    CommandLine(Regex),
    /// The name (`comm`, at most 15 bytes) is this.
    Name(String),
}

/// `watch "heartbeat"`: something that must call in every so often.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// It must call in within this time of its last call; then the check is critical.
    pub within: Duration,
    /// What the caller must show, besides or in place of the listener's token.
    pub token: Option<Secret>,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Run a program.
    Exec(Command),
    /// Make an HTTP request.
    Http(Box<HttpAction>),
    /// Write or delete a key.
    Kv(KvAction),
    /// Stop or start torrents, or have the ports opened anew.
    Qbittorrent(Box<QbittorrentAction>),
    /// Restart an allocation or tasks of it.
    Nomad(Box<NomadAction>),
    /// Restart a tunnel.
    Vpn(Box<VpnAction>),
    /// Write to a Redis.
    Redis(Box<RedisAction>),
    /// Do something to a unit of systemd.
    Systemd(Box<SystemdAction>),
    /// Send a signal to a process.
    Signal(Box<SignalAction>),
    /// Have a swap file in use.
    Swap(SwapAction),
    /// Restart this machine.
    Reboot(Reboot),
}

impl Action {
    /// Whether it finds out and has recorded what it will change before it does.
    pub const fn prepares(&self) -> bool {
        match self {
            Self::Qbittorrent(_) | Self::Nomad(_) | Self::Systemd(_) | Self::Reboot(_) => true,
            Self::Exec(_)
            | Self::Http(_)
            | Self::Kv(_)
            | Self::Vpn(_)
            | Self::Redis(_)
            | Self::Signal(_)
            | Self::Swap(_) => false,
        }
    }

    /// What it works on, where that has a name: the target of a rule that says none.
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::Exec(_)
            | Self::Http(_)
            | Self::Kv(_)
            | Self::Qbittorrent(_)
            | Self::Nomad(_)
            | Self::Vpn(_)
            | Self::Redis(_)
            | Self::Swap(_) => None,
            Self::Systemd(action) => Some(action.unit.as_str()),
            Self::Signal(action) => match &action.to {
                SignalTo::Unit(unit, _) => Some(unit.as_str()),
                SignalTo::PidFile(_) | SignalTo::Name(_) => None,
            },
            Self::Reboot(_) => Some(Reboot::TARGET),
        }
    }

    /// The word for it in the configuration.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Exec(_) => "exec",
            Self::Http(_) => "http",
            Self::Kv(_) => "kv",
            Self::Qbittorrent(_) => "qbittorrent",
            Self::Nomad(_) => "nomad",
            Self::Vpn(_) => "vpn",
            Self::Redis(_) => "redis",
            Self::Systemd(_) => "systemd",
            Self::Signal(_) => "signal",
            Self::Swap(_) => "swap",
            Self::Reboot(_) => "reboot",
        }
    }
}

/// `act "http"`.
#[derive(Clone, Debug)]
pub struct HttpAction {
    /// The address.
    pub url: Url,
    /// The method (default POST).
    pub method: String,
    /// Headers to send.
    pub headers: Vec<(String, Secret)>,
    /// Body to send.
    pub body: Option<String>,
    /// HTTP basic authentication: user and password.
    pub basic_auth: Option<(String, Secret)>,
    /// Bearer token.
    pub bearer: Option<Secret>,
    /// Statuses that mean done, as inclusive ranges (default 200 to 299).
    pub status: Vec<(u16, u16)>,
    /// TLS.
    pub tls: Tls,
}

/// `act "kv"`: in the local store, or in Consul when there is a `consul` block.
#[derive(Clone, Debug)]
pub struct KvAction {
    /// The key, as it is: not under our prefix.
    pub key: String,
    /// The value; `None` deletes the key.
    pub value: Option<Secret>,
}
