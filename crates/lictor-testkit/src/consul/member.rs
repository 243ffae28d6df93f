//! A machine of a datacenter: a Consul agent that is no server.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::server::Server;
use super::{binary, http};
use crate::process::Child;
use crate::{ports, wait};

/// How long it may take to join, or to come back.
const READY: Duration = Duration::from_secs(60);

/// A Consul agent on a loopback address of its own that has joined a server. Dropping it ends it as a
/// power cut would.
#[derive(Debug)]
pub struct Member {
    // The fields are dropped in this order: the process must be gone before its directory.
    child: Option<Child>,
    dir: TempDir,
    name: String,
    address: Ipv4Addr,
    http: u16,
}

impl Member {
    /// How servers and members look after each other, as [`super::Options::config`]: a dead one is held
    /// for dead after about 3 s.
    pub const GOSSIP: &str =
        r#"gossip_lan { probe_interval = "500ms" probe_timeout = "300ms" suspicion_mult = 4 }"#;

    /// Starts one with this node name and waits until the server says that it is alive.
    ///
    /// # Panics
    /// If that does not come about in time.
    #[must_use]
    pub fn join(server: &Server, name: &str) -> Self {
        let dir = TempDir::with_prefix("lictor-consul-")
            .unwrap_or_else(|error| panic!("cannot make a directory for consul: {error}"));
        let address = ports::loopback();
        let (http, gossip) = (ports::free_on(address), ports::free_on(address));
        let config = format!(
            r#"
            node_name = "{name}"
            datacenter = "dc1"
            server = false
            data_dir = {data:?}
            bind_addr = "{address}"
            client_addr = "{address}"
            ports {{ http = {http} https = -1 serf_lan = {gossip} dns = -1 grpc = -1 serf_wan = -1 }}
            retry_join = ["{}"]
            retry_interval = "200ms"
            disable_host_node_id = true
            disable_update_check = true
            leave_on_terminate = false
            skip_leave_on_interrupt = true
            {}
            "#,
            server.gossip_address(),
            Self::GOSSIP,
            data = dir.path().join("data"),
        );
        let file = dir.path().join("agent.hcl");
        fs::write(&file, config).unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
        let mut member = Self { child: None, dir, name: name.to_owned(), address, http };
        member.start(server);
        member
    }

    /// Ends it as a power cut would (SIGKILL).
    pub fn kill(&mut self) {
        self.child = None;
    }

    /// Starts it after its end, with all that it knew, and waits until the server says that it is alive.
    ///
    /// # Panics
    /// If that does not come about in time.
    pub fn start(&mut self, server: &Server) {
        let mut command = Command::new(binary::find());
        command.arg("agent").arg("-config-file").arg(self.dir.path().join("agent.hcl"));
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            command.env_remove(name);
        }
        let child = Child::spawn(&self.name, command, self.dir.path())
            .unwrap_or_else(|error| panic!("cannot start consul: {error}"));
        self.child = Some(child);
        let alive = wait::until(READY, || (self.health(server)? == "passing").then_some(()));
        let tail = self.child.as_ref().map(Child::log_tail).unwrap_or_default();
        assert!(alive.is_some(), "{} is not alive; its log ends:\n{tail}", self.name);
        // It takes requests when it is a member a moment later.
        let answers = wait::until(READY, || self.put("/v1/agent/checks", "").map(drop));
        assert!(answers.is_some(), "{} does not answer:\n{tail}", self.name);
    }

    /// Status and body of a PUT to it; `None` without an answer.
    pub fn put(&self, path: &str, body: &str) -> Option<(u16, String)> {
        let address: SocketAddr = (self.address, self.http).into();
        http::ask(address, "PUT", path, body, None).ok()
    }

    /// What the server says of it.
    fn health(&self, server: &Server) -> Option<String> {
        let (_, body) = server.get(&format!("/v1/health/node/{}?consistent", self.name))?;
        let checks: serde_json::Value = serde_json::from_str(&body).ok()?;
        let serf = checks.as_array()?.iter().find(|check| check["CheckID"] == "serfHealth")?;
        serf["Status"].as_str().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;

    #[test]
    fn a_member_that_is_killed_is_held_for_dead_until_it_is_back() {
        let options = Options { in_memory: true, config: Member::GOSSIP.to_owned(), ..Options::default() };
        let server = Server::with(options);
        let mut member = Member::join(&server, "web1");
        member.kill();
        let dead = wait::until(READY, || (member.health(&server)? == "critical").then_some(()));
        assert!(dead.is_some(), "{:?}", member.health(&server));
        member.start(&server);
        assert_eq!(member.health(&server).as_deref(), Some("passing"));
    }
}
