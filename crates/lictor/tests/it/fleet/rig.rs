//! Three machines with their own systemd, each with a Consul server and an agent, and a service that writes under which
//! token it runs.

use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

use lictor_testkit::host::{Host, Output};
use lictor_testkit::net::{Loss, Net};
use lictor_testkit::wait;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use tempfile::TempDir;

use super::lines::{Line, Lines};
use super::machine::{self, Pace};

/// Longer than anything here takes.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// After so long a failure of the service is a first one (see its `rest`).
const REST: Duration = Duration::from_secs(5);

pub(super) const NODES: Range<usize> = 0..3;

/// Three machines on a network, and what the service wrote on them.
pub(super) struct Fleet {
    hosts: Vec<Host>,
    net: Net,
    lines: RefCell<Lines>,
    _shared: TempDir,
}

pub(super) fn name(node: usize) -> String {
    format!("n{}", node + 1)
}

pub(super) fn others(node: usize) -> impl Iterator<Item = usize> {
    NODES.filter(move |other| *other != node)
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
    /// Boots the machines and sets the service up, whose unit takes no time. It runs on the first one.
    pub(super) fn start() -> Self {
        Self::with(Pace::default())
    }

    /// The same with a unit of another pace.
    pub(super) fn with(pace: Pace) -> Self {
        let (net, shared) = (Net::new(0), TempDir::with_prefix("lictor-fleet-").unwrap());
        let hosts: Vec<Host> = std::thread::scope(|threads| {
            let shared = shared.path();
            let boots: Vec<_> =
                NODES.map(|node| threads.spawn(move || machine::boot(node, pace, shared))).collect();
            boots.into_iter().map(|boot| boot.join().unwrap()).collect()
        });
        let lines = RefCell::new(Lines::below(shared.path().to_owned()));
        let fleet = Self { hosts, net, lines, _shared: shared };
        NODES.for_each(|node| fleet.plug(node));
        NODES.for_each(|node| fleet.begin(node));
        for node in NODES {
            let said = fleet.until(&format!("the service is set up on {}", name(node)), || {
                let said = fleet.run(node, &["lictor", "service", "init", "web"]);
                (said.code == 0).then_some(said)
            });
            assert!(said.stdout.contains("web"), "{said:?}");
            if node == 0 {
                // The others cannot run it yet: it is here, however soon each has heard of the lease.
                fleet.serves(0);
            }
        }
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

    /// Runs what must succeed, and gives what it wrote.
    #[track_caller]
    pub(super) fn ok(&self, node: usize, argv: &[&str]) -> String {
        self.hosts[node].ok(argv)
    }

    pub(super) fn write(&self, node: usize, path: &str, text: &str) {
        self.hosts[node].write(path, text);
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
        others(node).for_each(|other| self.net.part(node, other));
    }

    /// Nothing passes between two machines any more; the third one sees both.
    pub(super) fn part(&mut self, one: usize, other: usize) {
        self.net.part(one, other);
    }

    /// What the others send to a machine is lost; what it sends arrives.
    pub(super) fn deafen(&mut self, node: usize) {
        others(node).for_each(|other| self.net.cut(other, node, Loss::All));
    }

    /// What a machine sends to the others is lost, or only what it sends to a port of them; what they send arrives.
    pub(super) fn silence(&mut self, node: usize, loss: Loss) {
        others(node).for_each(|other| self.net.cut(node, other, loss));
    }

    /// Each packet from and to a machine takes so much longer.
    pub(super) fn delay(&mut self, node: usize, by: Duration) {
        self.net.delay(node, by);
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

    /// The last line that the service wrote.
    pub(super) fn last(&self) -> Option<Line> {
        self.lines.borrow_mut().last()
    }

    /// What the service wrote.
    pub(super) fn lines(&self) -> std::cell::RefMut<'_, Lines> {
        self.lines.borrow_mut()
    }

    /// Waits until the service writes on a machine, later than now.
    #[track_caller]
    pub(super) fn serves(&self, node: usize) {
        let begun = now();
        self.until(&format!("it serves on {}", name(node)), || {
            self.last().filter(|last| last.at > begun && last.node == node).map(|_| ())
        });
    }

    /// Waits until it writes somewhere, later than now; where.
    #[track_caller]
    pub(super) fn serves_somewhere(&self) -> usize {
        let begun = now();
        self.until("it serves", || self.last().filter(|last| last.at > begun).map(|last| last.node))
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
        self.until("the lease is short", || self.is_fast().then_some(()));
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

    /// Which machine leads Consul.
    #[track_caller]
    pub(super) fn leader(&self) -> usize {
        self.until("Consul has a leader", || NODES.into_iter().find(|node| self.leads(*node)))
    }

    /// Has the service run on the machine that leads Consul, or on another one.
    pub(super) fn runs_where_consul(&self, leads: bool) {
        let (active, leader) = (self.serves_somewhere(), self.leader());
        if (active == leader) != leads {
            let to = if leads { leader } else { (leader + 1) % NODES.end };
            self.ok(active, &["lictor", "service", "switchover", "web", "--to", &name(to)]);
            self.serves(to);
            self.settles();
        }
    }

    /// Waits until what happened before has no part in what happens next.
    pub(super) fn rests(&self) {
        self.serves_somewhere();
        passes(REST);
    }

    fn leads(&self, node: usize) -> bool {
        let said = self.run(node, &["consul", "operator", "raft", "list-peers", "-stale=true"]).stdout;
        said.lines().any(|line| line.starts_with(&format!("{} ", name(node))) && line.contains(" leader "))
    }

    /// A record of the service, as it is in Consul: asked of a machine.
    pub(super) fn record(&self, node: usize, of: &str) -> Option<Value> {
        let key = format!("lictor/service/web/{of}");
        serde_json::from_str(&self.run(node, &["consul", "kv", "get", &key]).stdout).ok()
    }

    /// Whether another one may take the service soon: the lease is the short one again.
    fn is_fast(&self) -> bool {
        let length = self.record(0, "lease").and_then(|lease| lease["length_ms"].as_u64());
        length.is_some_and(|length| length < 10_000)
    }
}
