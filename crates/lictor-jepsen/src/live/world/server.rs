//! One server of Consul on its host.

use std::fs;
use std::net::SocketAddr;
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
    /// How many datacenters the hosts are in, the first ones in the first; each has servers of its own.
    pub datacenters: usize,
}

/// The datacenter of a host among so many, from 0: equal parts, as far as that goes.
#[must_use]
pub fn datacenter(host: usize, hosts: usize, datacenters: usize) -> usize {
    host * datacenters.max(1) / hosts.max(1)
}

/// What a datacenter is called: `dc1` is the first.
#[must_use]
pub fn datacenter_name(datacenter: usize) -> String {
    format!("dc{}", datacenter + 1)
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
    let own = datacenter(host, count, setup.datacenters);
    let there = |other: &usize| datacenter(*other, count, setup.datacenters) == own;
    let addresses = |hosts: &mut dyn Iterator<Item = usize>| -> Vec<String> {
        hosts.filter(|&other| other != host).map(|other| net::address(other).to_string()).collect()
    };
    let others = addresses(&mut (0..count).filter(there));
    let elsewhere = addresses(&mut (0..count).filter(|other| !there(other)));
    let serf_wan = if elsewhere.is_empty() { "serf_wan = -1 " } else { "" };
    format!(
        r#"
node_name = "{name}"
datacenter = "{datacenter}"
server = true
bootstrap_expect = {expected}
data_dir = {data:?}
bind_addr = "{address}"
client_addr = "{address}"
retry_join = {others:?}
retry_interval = "1s"
ports {{ http = {HTTP} server = {RPC} dns = -1 grpc = -1 {serf_wan}}}
retry_join_wan = {elsewhere:?}
retry_interval_wan = "1s"
performance {{ raft_multiplier = {raft_multiplier} }}
disable_host_node_id = true
disable_update_check = true
leave_on_terminate = false
skip_leave_on_interrupt = true
rejoin_after_leave = true
{more}
"#,
        datacenter = datacenter_name(own),
        expected = (0..count).filter(there).count(),
        raft_multiplier = setup.raft_multiplier,
        more = setup.more,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_of_all_others_and_not_of_itself() {
        let setup =
            Setup { program: "consul".into(), raft_multiplier: 1, more: String::new(), datacenters: 1 };
        let text = configuration(1, 3, &setup, Path::new("/data/n2"));
        assert!(text.contains(r#"retry_join = ["10.77.1.2", "10.77.3.2"]"#), "{text}");
        assert!(text.contains(r#"bind_addr = "10.77.2.2""#), "{text}");
        assert!(text.contains(r#"data_dir = "/data/n2""#), "{text}");
    }

    #[test]
    fn each_datacenter_has_servers_of_its_own_that_know_the_others_over_the_wan() {
        let setup =
            Setup { program: "consul".into(), raft_multiplier: 1, more: String::new(), datacenters: 2 };
        let text = configuration(2, 3, &setup, Path::new("/data/n3"));
        assert!(text.contains(r#"datacenter = "dc2""#) && text.contains("bootstrap_expect = 1\n"), "{text}");
        assert!(text.contains(r#"retry_join_wan = ["10.77.1.2", "10.77.2.2"]"#), "{text}");
        assert!(!text.contains("serf_wan = -1"), "{text}");
        assert_eq!((0..5).map(|host| datacenter(host, 5, 2)).collect::<Vec<_>>(), [0, 0, 0, 1, 1]);
        assert_eq!((0..5).map(|host| datacenter(host, 5, 1)).collect::<Vec<_>>(), [0; 5]);
    }

    #[test]
    fn a_raft_address_names_its_host() {
        assert_eq!(by_raft_address("10.77.3.2:8300", 3), Some(2));
        assert_eq!(by_raft_address("10.77.4.2:8300", 3), None);
        assert_eq!(by_raft_address("", 3), None);
    }
}
