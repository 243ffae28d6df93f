//! One Consul server.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use super::tls::Certificates;
use super::{binary, http};
use crate::process::Child;
use crate::{ports, wait};

/// The token with all rights on a server started with [`Options::acl`].
pub const MANAGEMENT_TOKEN: &str = "b1f0d7a2-6f2e-4a35-9f0e-1c7a50a5c0de";

/// How long a server may take to be ready. It takes about 0.2 s in memory and 1.5 s on disk; a
/// machine that compiles at the same time is many times slower.
const READY: Duration = Duration::from_secs(60);

/// What kind of server is wanted.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Everything in memory: starts at once, forgets everything when it is restarted.
    pub in_memory: bool,
    /// Access control with "deny" as the default; [`MANAGEMENT_TOKEN`] may do everything.
    pub acl: bool,
    /// Whether an https port is served beside http, and to whom.
    pub tls: Tls,
    /// More configuration, in Consul's HCL.
    pub config: String,
}

/// Whether an https port is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// No https.
    #[default]
    Off,
    /// https for everyone.
    On,
    /// https for clients with a certificate of the same authority.
    Mutual,
}

/// One real Consul server on a loopback address of its own. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Server {
    // The fields are dropped in this order: the process must be gone before its directory.
    child: Option<Child>,
    dir: TempDir,
    name: String,
    address: Ipv4Addr,
    ports: Ports,
    options: Options,
    certificates: Option<Certificates>,
    /// The gossip addresses of the cluster's other servers; empty for a server by itself.
    join: Vec<SocketAddr>,
    federation: Option<Federation>,
}

/// Which of several datacenters a server is.
#[derive(Debug)]
struct Federation {
    datacenter: String,
    /// The gossip addresses of the servers of the others.
    join: Vec<SocketAddr>,
}

/// The ports of one server, all on its address.
#[derive(Clone, Copy, Debug)]
struct Ports {
    http: u16,
    https: u16,
    rpc: u16,
    gossip: u16,
    wan: u16,
}

/// A server in memory that the tests of one process share: they keep to keys of their own and leave
/// it running.
///
/// # Panics
/// If it cannot be started.
pub fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| Server::with(Options { in_memory: true, ..Options::default() }))
}

impl Server {
    /// Starts a server with its data on disk and waits until it is ready: it leads, and its own node
    /// is registered, so that sessions can be made.
    ///
    /// # Panics
    /// If it is not ready in time; the message has the end of its log.
    #[must_use]
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// Starts a server of the kind that is wanted and waits until it is ready.
    ///
    /// # Panics
    /// If it is not ready in time; the message has the end of its log.
    #[must_use]
    pub fn with(options: Options) -> Self {
        let mut server = Self::prepare("n1", options);
        server.launch(1);
        server.await_ready();
        server
    }

    /// Everything but the process.
    pub(super) fn prepare(name: &str, options: Options) -> Self {
        let dir = TempDir::with_prefix("lictor-consul-")
            .unwrap_or_else(|error| panic!("cannot make a directory for consul: {error}"));
        let certificates = (options.tls != Tls::Off).then(|| Certificates::make(dir.path()));
        let address = ports::loopback();
        Self {
            child: None,
            dir,
            name: name.to_owned(),
            address,
            ports: Ports::free(address),
            options,
            certificates,
            join: Vec::new(),
            federation: None,
        }
    }

    /// Makes it a datacenter of that name, one of several.
    pub(super) fn federate(&mut self, datacenter: &str, others: Vec<SocketAddr>) {
        self.federation = Some(Federation { datacenter: datacenter.to_owned(), join: others });
    }

    pub(super) fn wan_address(&self) -> SocketAddr {
        (self.address, self.ports.wan).into()
    }

    pub(super) fn join(&mut self, others: Vec<SocketAddr>) {
        self.join = others;
    }

    pub(super) fn gossip_address(&self) -> SocketAddr {
        (self.address, self.ports.gossip).into()
    }

    pub(super) fn rpc_address(&self) -> SocketAddr {
        (self.address, self.ports.rpc).into()
    }

    /// Starts the process; `expect` is the number of servers that must have met before they elect.
    pub(super) fn launch(&mut self, expect: usize) {
        let config = self.dir.path().join("server.hcl");
        fs::write(&config, self.config(expect))
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", config.display()));
        let mut command = Command::new(binary::find());
        command.arg("agent").arg("-config-file").arg(&config);
        if self.options.in_memory {
            command.arg("-dev");
        } else {
            command.arg("-data-dir").arg(self.data_dir());
        }
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env_remove(name);
        }
        let child = Child::spawn(&self.name, command, self.dir.path())
            .unwrap_or_else(|error| panic!("cannot start consul: {error}"));
        self.child = Some(child);
    }

    fn config(&self, expect: usize) -> String {
        let Self { name, address, ports, federation, .. } = self;
        let (datacenter, wan) = match federation {
            Some(Federation { datacenter, .. }) => (datacenter.as_str(), i32::from(ports.wan)),
            None => ("dc1", -1),
        };
        let mut sections = vec![format!(
            r#"
            node_name = "{name}"
            datacenter = "{datacenter}"
            server = true
            bind_addr = "{address}"
            advertise_addr = "{address}"
            client_addr = "{address}"
            addresses {{ http = "{address} unix://{socket}" }}
            ports {{
              http = {http} https = {https} server = {rpc} serf_lan = {gossip}
              dns = -1 grpc = -1 serf_wan = {wan}
            }}
            performance {{ raft_multiplier = 1 }}
            disable_host_node_id = true
            disable_update_check = true
            leave_on_terminate = false
            skip_leave_on_interrupt = true
            "#,
            socket = self.socket().display(),
            http = ports.http,
            https = if self.certificates.is_some() { i32::from(ports.https) } else { -1 },
            rpc = ports.rpc,
            gossip = ports.gossip,
        )];
        if !self.options.in_memory {
            sections.push(format!("bootstrap_expect = {expect}"));
        }
        if !self.join.is_empty() {
            let others: Vec<String> = self.join.iter().map(ToString::to_string).collect();
            sections.push(format!("retry_join = {others:?}"));
            sections.push(r#"retry_interval = "200ms""#.to_owned());
        }
        if let Some(Federation { join, .. }) = federation {
            let others: Vec<String> = join.iter().map(ToString::to_string).collect();
            sections.push(format!("retry_join_wan = {others:?}"));
            sections.push(r#"retry_interval_wan = "200ms""#.to_owned());
        }
        if self.options.acl {
            sections.push(format!(
                r#"
                acl {{
                  enabled = true
                  default_policy = "deny"
                  tokens {{ master = "{MANAGEMENT_TOKEN}" agent = "{MANAGEMENT_TOKEN}" }}
                }}
                "#
            ));
        }
        if let Some(files) = &self.certificates {
            sections.push(format!(
                r#"
                ca_file = {:?}
                cert_file = {:?}
                key_file = {:?}
                verify_incoming_https = {}
                "#,
                files.ca,
                files.server,
                files.server_key,
                self.options.tls == Tls::Mutual
            ));
        }
        sections.push(self.options.config.clone());
        sections.join("\n")
    }

    /// Waits until this server knows a leader and its own node is registered.
    pub(super) fn await_ready(&mut self) {
        let ready = wait::until(READY, || self.is_ready().then_some(()));
        assert!(
            ready.is_some(),
            "consul {} was not ready within {READY:?}; its log ends:\n{}",
            self.name,
            self.log_tail()
        );
    }

    fn is_ready(&mut self) -> bool {
        if let Some(child) = &mut self.child
            && let Ok(Some(status)) = child.status()
        {
            panic!("consul {} ended: {status}\n{}", self.name, self.log_tail());
        }
        let node = format!("/v1/health/node/{}?consistent", self.name);
        self.leader().is_some()
            && self.get(&node).is_some_and(|(status, body)| status == 200 && body.contains("serfHealth"))
    }

    /// The leader's Raft address as this server sees it; `None` without a leader or without an answer.
    #[must_use]
    pub fn leader(&self) -> Option<SocketAddr> {
        let (_, body) = self.get("/v1/status/leader")?;
        body.trim().trim_matches('"').parse().ok()
    }

    /// Status and body of a GET with full rights, by hand; `None` without an answer.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        http::get(self.http_address(), path, self.token()).ok()
    }

    /// Status and body of a PUT with full rights, by hand; `None` without an answer.
    pub fn put(&self, path: &str, body: &str) -> Option<(u16, String)> {
        http::ask(self.http_address(), "PUT", path, body, self.token()).ok()
    }

    /// The name of the server's node.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where http is served.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        (self.address, self.ports.http).into()
    }

    /// The base address of http, as in `CONSUL_HTTP_ADDR`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.http_address())
    }

    /// The base address of https. Its certificate does not name this address but `server.dc1.consul`.
    ///
    /// # Panics
    /// If the server was started without TLS.
    #[must_use]
    pub fn https_url(&self) -> String {
        assert!(self.certificates.is_some(), "this server has no https");
        format!("https://{}:{}", self.address, self.ports.https)
    }

    /// Where it keeps its data, unless in memory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The unix socket on which http is served as well.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("http.sock")
    }

    /// The certificates of a server started with TLS.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// The token with all rights, if the server asks for one.
    #[must_use]
    pub fn token(&self) -> Option<&'static str> {
        self.options.acl.then_some(MANAGEMENT_TOKEN)
    }

    /// All that the server has logged since it was made.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = fs::read(self.dir.path().join(format!("{}.log", self.name))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The end of the server's log, for messages.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.child.as_ref().map(Child::log_tail).unwrap_or_default()
    }

    /// Ends the server as a power cut would (SIGKILL).
    ///
    /// # Panics
    /// If the operating system refuses.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap_or_else(|error| panic!("cannot end consul: {error}"));
        }
    }

    /// Ends the server if it runs, starts it again with the same data, address and ports, and waits
    /// until it is ready.
    ///
    /// # Panics
    /// If it is not ready in time.
    pub fn restart(&mut self) {
        self.kill();
        self.launch_again();
        self.await_ready();
    }

    /// Starts a server that was ended again, and does not wait.
    pub fn launch_again(&mut self) {
        self.launch(1 + self.join.len());
    }

    /// Freezes the server (SIGSTOP): it accepts connections and never answers.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pause(&mut self) {
        self.running().pause().unwrap_or_else(|error| panic!("cannot pause consul: {error}"));
    }

    /// Lets a frozen server go on (SIGCONT).
    ///
    /// # Panics
    /// If it does not run.
    pub fn resume(&mut self) {
        self.running().resume().unwrap_or_else(|error| panic!("cannot resume consul: {error}"));
    }

    fn running(&mut self) -> &mut Child {
        self.child.as_mut().unwrap_or_else(|| panic!("consul {} does not run", self.name))
    }
}

impl Ports {
    fn free(address: Ipv4Addr) -> Self {
        let mut found = BTreeSet::new();
        while found.len() < 5 {
            found.insert(ports::free_on(address));
        }
        let mut found = found.into_iter();
        let mut next = || found.next().unwrap_or_default();
        Self { http: next(), https: next(), rpc: next(), gossip: next(), wan: next() }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_restarted_server_is_where_it_was() {
        let mut server = Server::start();
        let (url, leader) = (server.url(), server.leader());
        server.kill();
        assert_eq!(server.leader(), None);
        server.restart();
        assert_eq!((server.url(), server.leader()), (url, leader));
    }

    #[test]
    fn a_paused_server_is_silent_until_it_is_resumed() {
        let mut server = Server::with(Options { in_memory: true, ..Options::default() });
        server.pause();
        assert_eq!(server.leader(), None);
        server.resume();
        server.await_ready();
    }

    #[test]
    fn a_server_with_certificates_serves_https() {
        let server = Server::with(Options { in_memory: true, tls: Tls::Mutual, ..Options::default() });
        let https = server.https_url().replace("https://", "");
        assert!(TcpStream::connect(https).is_ok());
        assert!(server.certificates().unwrap().ca.is_file());
    }

    #[test]
    fn access_control_denies_by_default() {
        let server = Server::with(Options { in_memory: true, acl: true, ..Options::default() });
        let key = "/v1/kv/secret";
        let anonymous = http::get(server.http_address(), key, None).unwrap();
        assert_eq!((anonymous.0, server.get(key).unwrap().0), (403, 404));
    }
}
