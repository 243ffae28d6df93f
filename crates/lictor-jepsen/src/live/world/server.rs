//! One server of Consul on its host.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::net::{self, Net};
use super::process::{PATH, Process, ProcessError};

/// Where Consul serves HTTP, on each host.
const HTTP: u16 = 8500;

/// Where Consul speaks Raft, on each host.
const RPC: u16 = 8300;

/// How the servers of a run are set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program.
    pub program: PathBuf,
    /// Consul's `raft_multiplier`: 1 has the quickest elections, 5 is its default.
    pub raft_multiplier: u8,
    /// More of Consul's configuration, in its HCL.
    pub more: String,
}

/// A server of Consul on a host.
#[derive(Debug)]
pub struct Server {
    /// Its process, which is called as its host.
    pub process: Process,
    host: usize,
    program: PathBuf,
    config: PathBuf,
}

impl Server {
    /// One of `count`, on this host; its data lies in `data`, its log is `log`, and its configuration is put beside its data.
    ///
    /// # Errors
    /// If the configuration cannot be written.
    pub fn prepare(
        host: usize,
        count: usize,
        setup: &Setup,
        data: &Path,
        log: PathBuf,
    ) -> Result<Self, ProcessError> {
        let name = net::name(host);
        let config = data.with_extension("hcl");
        fs::write(&config, configuration(host, count, setup, data))
            .map_err(|source| ProcessError::new("configure", &name, source))?;
        let process = Process::new(name, log);
        Ok(Self { process, host, program: setup.program.clone(), config })
    }

    /// Starts it if it does not run, and does not wait until it answers.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&mut self, net: &Net) -> Result<(), ProcessError> {
        let mut command = net.command(self.host, &self.program);
        command.arg("agent").arg("-config-file").arg(&self.config);
        command.env_clear().env("PATH", PATH);
        self.process.start(command)
    }
}

/// Where the server of a host serves HTTP.
#[must_use]
pub fn http(host: usize) -> SocketAddr {
    (net::address(host), HTTP).into()
}

/// The host whose server has this address for Raft.
#[must_use]
pub fn by_raft_address(address: &str, count: usize) -> Option<usize> {
    let address: SocketAddr = address.parse().ok()?;
    (0..count).find(|&host| address == SocketAddr::from((net::address(host), RPC)))
}

fn configuration(host: usize, count: usize, setup: &Setup, data: &Path) -> String {
    let (name, address) = (net::name(host), net::address(host));
    let others: Vec<Ipv4Addr> = (0..count).filter(|&other| other != host).map(net::address).collect();
    format!(
        r#"
node_name = "{name}"
datacenter = "dc1"
server = true
bootstrap_expect = {count}
data_dir = {data:?}
bind_addr = "{address}"
client_addr = "{address}"
retry_join = {others:?}
retry_interval = "1s"
ports {{ http = {HTTP} server = {RPC} dns = -1 grpc = -1 serf_wan = -1 }}
performance {{ raft_multiplier = {raft_multiplier} }}
disable_host_node_id = true
disable_update_check = true
leave_on_terminate = false
skip_leave_on_interrupt = true
rejoin_after_leave = true
{more}
"#,
        others = others.iter().map(ToString::to_string).collect::<Vec<_>>(),
        raft_multiplier = setup.raft_multiplier,
        more = setup.more,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_of_all_others_and_not_of_itself() {
        let setup = Setup { program: "consul".into(), raft_multiplier: 1, more: String::new() };
        let text = configuration(1, 3, &setup, Path::new("/data/n2"));
        assert!(text.contains(r#"retry_join = ["10.77.1.2", "10.77.3.2"]"#), "{text}");
        assert!(text.contains(r#"bind_addr = "10.77.2.2""#), "{text}");
        assert!(text.contains(r#"data_dir = "/data/n2""#), "{text}");
    }

    #[test]
    fn a_raft_address_names_its_host() {
        assert_eq!(by_raft_address("10.77.3.2:8300", 3), Some(2));
        assert_eq!(by_raft_address("10.77.4.2:8300", 3), None);
        assert_eq!(by_raft_address("", 3), None);
    }
}
