//! One of the machines: a Consul server, an agent, and the unit of the service.

use std::path::{Path, PathBuf};

use lictor_testkit::consul;
use lictor_testkit::host::{Host, Options};
use lictor_testkit::net::v4;

use super::rig::{name, others};

/// Where the agent keeps its state: on a small disk of its own.
pub(super) const STATE: &str = "/var/lib/lictor";

/// How long the unit of the service takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Seconds until it writes.
    pub(super) start: u8,
    /// Seconds for which it goes on writing when it is stopped.
    pub(super) stop: u8,
}

/// Writes a line with its token and the time, fifty times a second, where the tests see it.
const WRITER: &str = r#"
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC_RAW sleep);
open(my $log, '>>', $ARGV[0]) or die; select($log); $| = 1;
$SIG{TERM} = sub { exit 0 };
while (1) { printf("%s %.6f\n", $ENV{LICTOR_TOKEN}, clock_gettime(CLOCK_MONOTONIC_RAW)); sleep(0.02) }
"#;

/// Boots a machine that writes into a directory, and sets it up. It has no network yet.
pub(super) fn boot(node: usize, pace: Pace, shared: &Path) -> Host {
    let host = Host::with(&Options {
        programs: vec![PathBuf::from(env!("CARGO_BIN_EXE_lictor")), consul::binary()],
        small_disk: Some((STATE, "48m")),
        nspawn: vec![format!("--bind={}:/shared", shared.display())],
        ..Options::default()
    });
    set_up(&host, node, pace);
    host
}

fn set_up(host: &Host, node: usize, pace: Pace) {
    let (own, own_name) = (v4(node), name(node));
    let others: Vec<String> = others(node).map(|other| format!("\"{}\"", v4(other))).collect();
    host.write(
        "/etc/consul.hcl",
        &format!(
            "server = true\nbootstrap_expect = 3\nnode_name = \"{own_name}\"\ndata_dir = \"/var/lib/consul\"\n\
             bind_addr = \"{own}\"\nclient_addr = \"127.0.0.1\"\nretry_join = [{}]\nretry_interval = \"1s\"\n\
             disable_update_check = true\nleave_on_terminate = false\nperformance {{\n  raft_multiplier = 1\n}}\n\
             autopilot {{\n  cleanup_dead_servers = false\n}}\n",
            others.join(", ")
        ),
    );
    host.unit(
        "consul.service",
        "[Service]\nExecStart=/usr/local/bin/consul agent -config-file /etc/consul.hcl\nRestart=always\nRestartSec=1s\n",
    );
    host.write(
        "/etc/lictor.hcl",
        &format!(
            "node {{\n  name = \"{own_name}\"\n}}\nhttp {{\n  address = \"127.0.0.1:8510\"\n}}\nconsul {{}}\n\
             cluster {{\n  address = \"{own}\"\n  key_file = \"/etc/cluster-key\"\n}}\n\
             service \"web\" {{\n  nodes = [\"n1\", \"n2\", \"n3\"]\n  units = [\"web.service\"]\n  \
             failover = \"automatic\"\n  rest = \"5s\"\n}}\n"
        ),
    );
    host.write("/etc/cluster-key", "a key that the machines share\n");
    host.unit(
        "lictor.service",
        "[Service]\nType=notify\nExecStart=/usr/local/bin/lictor run --config /etc/lictor.hcl\nStateDirectory=lictor\n\
         KillMode=process\nRestart=always\nRestartSec=200ms\n[Unit]\nStartLimitIntervalSec=0\n",
    );
    host.write("/etc/writer.pl", WRITER);
    host.unit(
        "web.service",
        &format!(
            "[Service]\nExecStart=/usr/bin/perl /etc/writer.pl /shared/{own_name}\n{}{}",
            sleeps("ExecStartPre", pace.start),
            sleeps("ExecStop", pace.stop)
        ),
    );
}

fn sleeps(when: &str, seconds: u8) -> String {
    if seconds == 0 { String::new() } else { format!("{when}=/bin/sleep {seconds}\n") }
}
