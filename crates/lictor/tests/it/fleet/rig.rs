//! Three machines with their own systemd, each with a Consul server and an agent, and a service that writes under which
//! token it runs.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use lictor_testkit::host::{Host, Options, Output};
use lictor_testkit::net::{Loss, Net, v4};
use lictor_testkit::{consul, wait};
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

/// Longer than anything here takes.
pub(super) const LONG: Duration = Duration::from_secs(60);

pub(super) const NODES: Range<usize> = 0..3;

/// Writes a line with its token and the time, twenty times a second, where the tests see it.
const WRITER: &str = r#"
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC_RAW sleep);
open(my $log, '>>', $ARGV[0]) or die; select($log); $| = 1;
$SIG{TERM} = sub { exit 0 };
while (1) { printf("%s %.6f\n", $ENV{LICTOR_TOKEN}, clock_gettime(CLOCK_MONOTONIC_RAW)); sleep(0.02) }
"#;

/// A line that the service wrote.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Written {
    /// Seconds on a clock that all machines share.
    pub(super) at: f64,
    pub(super) token: u64,
    pub(super) node: usize,
}

/// Three machines on a network, and what the service wrote on them.
pub(super) struct Fleet {
    hosts: Vec<Host>,
    net: Net,
    shared: TempDir,
}

pub(super) fn name(node: usize) -> String {
    format!("n{}", node + 1)
}

/// Seconds on the clock that the lines have.
pub(super) fn now() -> f64 {
    let now = clock_gettime(ClockId::MonotonicRaw);
    Duration::try_from(now).unwrap().as_secs_f64()
}

pub(super) fn passes(time: Duration) {
    let until = now() + time.as_secs_f64();
    wait::until(LONG, || (now() >= until).then_some(()));
}

impl Fleet {
    /// Boots the machines and sets the service up. It runs on the first one.
    pub(super) fn start() -> Self {
        let (net, shared) = (Net::new(0), TempDir::with_prefix("lictor-fleet-").unwrap());
        let boot = |node: usize| {
            let host = Host::with(&Options {
                programs: vec![PathBuf::from(env!("CARGO_BIN_EXE_lictor")), consul::binary()],
                nspawn: vec![format!("--bind={}:/shared", shared.path().display())],
                ..Options::default()
            });
            set_up(&host, node);
            host
        };
        let hosts: Vec<Host> = std::thread::scope(|threads| {
            let boots: Vec<_> = NODES.map(|node| threads.spawn(move || boot(node))).collect();
            boots.into_iter().map(|boot| boot.join().unwrap()).collect()
        });
        let fleet = Self { hosts, net, shared };
        NODES.for_each(|node| fleet.plug(node));
        NODES.for_each(|node| fleet.begin(node));
        for node in NODES {
            let said = fleet.until(&format!("the service is set up on {}", name(node)), || {
                let said = fleet.run(node, &["lictor", "service", "init", "web"]);
                (said.code == 0).then_some(said)
            });
            assert!(said.stdout.contains("web"), "{said:?}");
        }
        fleet.serves(0);
        fleet
    }

    fn plug(&self, node: usize) {
        self.net.plug(node, self.hosts[node].leader());
    }

    /// Starts what a machine starts at its boot, now that it has a network.
    fn begin(&self, node: usize) {
        self.hosts[node].ok(&["systemctl", "start", "--no-block", "consul.service", "lictor.service"]);
    }

    pub(super) fn run(&self, node: usize, argv: &[&str]) -> Output {
        self.hosts[node].run(argv)
    }

    #[track_caller]
    pub(super) fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        wait::until(LONG, &mut look).unwrap_or_else(|| {
            let logs: String = NODES.map(|node| self.log(node)).collect();
            panic!("{what}: not within {LONG:?}\n{logs}")
        })
    }

    fn log(&self, node: usize) -> String {
        let log = [
            "journalctl",
            "--unit=lictor",
            "--unit=web.service",
            "--unit=lictor-guard@web",
            "--output=short-monotonic",
            "--lines=60",
        ];
        let status = self.run(node, &["lictor", "service", "status", "web"]);
        let show =
            ["systemctl", "show", "web.service", "-p", "BindsTo,Slice,DropInPaths,UnitFileState,ActiveState"];
        let show = self.run(node, &show).stdout;
        format!("--- {}\n{}{show}{}{}", name(node), self.run(node, &log).stdout, status.stdout, status.stderr)
    }

    /// Ends a process of a unit with a signal, or freezes it.
    pub(super) fn signal(&self, node: usize, unit: &str, signal: &str) {
        self.hosts[node].ok(&["systemctl", "kill", "--kill-who=main", "--signal", signal, unit]);
    }

    /// Nothing passes between a machine and the others any more.
    pub(super) fn isolate(&mut self, node: usize) {
        for other in NODES.filter(|other| *other != node) {
            self.net.part(node, other);
        }
    }

    /// What the others send to a machine is lost; what it sends arrives.
    pub(super) fn deafen(&mut self, node: usize) {
        for other in NODES.filter(|other| *other != node) {
            self.net.cut(other, node, Loss::All);
        }
    }

    pub(super) fn heal(&mut self) {
        self.net.mend_all();
    }

    pub(super) fn power_cut(&mut self, node: usize) {
        self.hosts[node].power_cut();
    }

    pub(super) fn boot(&mut self, node: usize) {
        self.hosts[node].start();
        self.plug(node);
        self.begin(node);
    }

    /// All that was written so far, in its order.
    pub(super) fn written(&self) -> Vec<Written> {
        let lines = |node: usize| {
            let text = fs::read_to_string(self.shared.path().join(name(node))).unwrap_or_default();
            let line = |line: &str| {
                let (token, at) = line.split_once(' ')?;
                Some(Written { at: at.parse().ok()?, token: token.parse().ok()?, node })
            };
            // The last one may be half written.
            text.lines().filter_map(line).collect::<Vec<_>>()
        };
        let mut all: Vec<Written> = NODES.flat_map(lines).collect();
        all.sort_by(|one, other| one.at.total_cmp(&other.at));
        all
    }

    /// Waits until the service writes on a machine, later than now.
    #[track_caller]
    fn serves(&self, node: usize) {
        let begun = now();
        self.until(&format!("it serves on {}", name(node)), || {
            self.written().last().filter(|last| last.at > begun && last.node == node).map(|_| ())
        });
    }

    /// Waits until it writes somewhere, later than now; where.
    #[track_caller]
    pub(super) fn serves_somewhere(&self) -> usize {
        let begun = now();
        self.until("it serves", || self.written().last().filter(|last| last.at > begun).map(|last| last.node))
    }

    /// Waits until all machines see the service, and Consul's servers agree on a leader and a term, so that the next
    /// fault comes alone.
    #[track_caller]
    pub(super) fn settles(&self) {
        self.until("Consul's servers agree", || {
            let servers: Option<Vec<_>> = NODES.map(|node| self.raft(node)).collect();
            let servers = servers?;
            let leaders = servers.iter().filter(|(state, _)| state == "Leader").count();
            let agree = servers.iter().all(|(state, term)| *term == servers[0].1 && state != "Candidate");
            // One that was thought to be dead may be without a vote for a while.
            let peers = self.run(0, &["consul", "operator", "raft", "list-peers"]).stdout;
            let voters =
                peers.lines().filter(|line| line.split_whitespace().any(|word| word == "true")).count();
            (leaders == 1 && agree && voters == NODES.end).then_some(())
        });
        for node in NODES {
            self.until(&format!("{} is well", name(node)), || {
                let said = self.run(node, &["lictor", "service", "status", "web"]);
                (said.code == 0).then_some(())
            });
        }
    }

    /// What the Consul server of a machine is, and in which term.
    fn raft(&self, node: usize) -> Option<(String, String)> {
        let said = self.run(node, &["consul", "info"]).stdout;
        let value = |name: &str| {
            let mut lines = said.lines().skip_while(|line| !line.starts_with("raft:"));
            let line = lines.find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(" = "))?;
            Some(line.to_owned())
        };
        Some((value("state")?, value("term")?))
    }

    /// Whether a machine leads Consul.
    pub(super) fn leads(&self, node: usize) -> bool {
        let said = self.run(node, &["consul", "operator", "raft", "list-peers", "-stale=true"]).stdout;
        said.lines().any(|line| line.starts_with(&format!("{} ", name(node))) && line.contains(" leader "))
    }

    /// The longest time without a line since then.
    pub(super) fn gap(&self, since: f64) -> Duration {
        let written = self.written();
        let first = written.iter().rev().find(|line| line.at <= since).map(|line| line.at);
        let after = written.iter().map(|line| line.at).filter(|at| *at > since);
        let times: Vec<f64> = first.into_iter().chain(after).collect();
        let longest = times.windows(2).map(|two| two[1] - two[0]).fold(0.0, f64::max);
        Duration::from_secs_f64(longest)
    }

    /// Tokens only grow, and of two that wrote one had ended when the other one began.
    #[track_caller]
    pub(super) fn never_two(&self) {
        let written = self.written();
        for two in written.windows(2) {
            let (before, after) = (&two[0], &two[1]);
            let fine = before.node == after.node && before.token <= after.token || before.token < after.token;
            assert!(fine, "{before:?} and then {after:?}");
        }
    }
}

fn set_up(host: &Host, node: usize) {
    let (own, own_name) = (v4(node), name(node));
    let others: Vec<String> =
        NODES.filter(|other| *other != node).map(|other| format!("\"{}\"", v4(other))).collect();
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
        &format!("[Service]\nExecStart=/usr/bin/perl /etc/writer.pl /shared/{own_name}\n"),
    );
}
