//! `with-consul`, which keeps an agent of Consul and Lictor in one container.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use lictor_testkit::consul;
use lictor_testkit::process::Child;
use lictor_testkit::{ports, wait};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::node::LONG;

const WITH_CONSUL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/container/with-consul");

/// What is process 1 of the container, with a real Consul and the real program, each on its own port.
struct Pair {
    dir: TempDir,
    child: Child,
    consul: u16,
}

impl Pair {
    /// Starts it and waits until the agent tells of alerts under a lease.
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [port, rpc, gossip, page] = [(); 4].map(|()| ports::free());
        let lictor = env!("CARGO_BIN_EXE_lictor");
        let agent = format!(
            "{} agent -dev -node one -bind 127.0.0.1 -http-port {port} -server-port {rpc} -serf-lan-port {gossip} \
             -serf-wan-port -1 -dns-port -1 -grpc-port -1",
            consul::binary().display()
        );
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        program(&bin.join("consul"), &agent);
        program(&bin.join("lictor"), &format!("{lictor} \"$@\""));
        let config = dir.path().join("lictor.hcl");
        let state = dir.path().join("state");
        let blocks = format!(
            "node {{\n  name = \"one\"\n  state_dir = \"{}\"\n}}\nhttp {{\n  address = \"127.0.0.1:{page}\"\n}}\n\
             consul {{\n  address = \"http://127.0.0.1:{port}\"\n}}\nalerts {{\n  consul {{\n  }}\n}}\n",
            state.display()
        );
        fs::write(&config, blocks).unwrap();
        let mut command = Command::new(WITH_CONSUL);
        command
            .args(["run", "--config"])
            .arg(&config)
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        let child = Child::spawn("pair", command, dir.path()).unwrap();
        let pair = Self { dir, child, consul: port };
        let tells = wait::until(LONG, || pair.log().contains("this node tells of alerts").then_some(()));
        assert!(tells.is_some(), "{}", pair.log());
        pair
    }

    fn log(&self) -> String {
        let log = fs::read(self.dir.path().join("pair.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The process id of one of the two.
    fn of(&self, name: &str) -> Pid {
        let parent = self.child.pid();
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
        let called = |pid: &&str| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
        };
        let pid = children.split_whitespace().find(called).unwrap();
        Pid::from_raw(pid.parse().unwrap()).unwrap()
    }

    /// The exit code of the whole.
    fn ends(&mut self) -> i32 {
        let status = self.child.wait(LONG).unwrap();
        let Some(status) = status else { panic!("it goes on:\n{}", self.log()) };
        let gone = TcpStream::connect(("127.0.0.1", self.consul)).is_err();
        assert!(gone, "Consul is left behind");
        status.code().unwrap()
    }
}

/// A program that goes when its parent does, also when that is killed.
fn program(at: &Path, what: &str) {
    fs::write(at, format!("#!/bin/sh\nexec setpriv --pdeathsig KILL {what}\n")).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn when_consul_is_killed_the_agent_stops_in_order_and_the_container_ends() {
    let mut pair = Pair::start();
    kill_process(pair.of("consul"), Signal::KILL).unwrap();
    assert_eq!(pair.ends(), 128 + 9);
    assert!(pair.log().contains("agent stopped"), "{}", pair.log());
}

#[test]
fn when_the_agent_is_killed_consul_stops_and_the_container_ends() {
    let mut pair = Pair::start();
    kill_process(pair.of("lictor"), Signal::KILL).unwrap();
    assert_eq!(pair.ends(), 128 + 9);
}

#[test]
fn a_container_that_is_stopped_gives_its_leases_back_while_consul_is_there() {
    let mut pair = Pair::start();
    pair.child.signal(Signal::TERM).unwrap();
    assert_eq!(pair.ends(), 0);
    let log = pair.log();
    assert!(log.contains("this node has given it back") && log.contains("agent stopped"), "{log}");
}
