//! Hosts on a network of their own, whose ways to each other can be cut and slowed down.
//!
//! Each host is a network namespace with one line to a router, which is one as well:
//!
//! ```text
//! host 0 ── 10.77.0.0/24 ──┐                ┌── 10.77.1.0/24 ── host 1
//!           fd77:0:0:0::/64 ├──── router ────┤   fd77:0:0:1::/64
//! host 2 ── …             ──┘                └── …
//! ```
//!
//! A way is cut by the router, which drops what comes along it and says nothing: whoever sends it waits, as on a
//! network that fails. A namespace lives as long as its keeper, a shell that waits for the end of its input: when the
//! value is dropped, or the test is killed, nothing is left of it. Needs root, and `ip` and `tc` of iproute2.

mod delay;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

pub use delay::HOLDER;

/// Where programs are.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// What a keeper does: `$1` is a directory with the files of the resolver, which goes with it, or empty.
const KEEPER: &str = r#"
set -eu
ip link set lo up
for conf in all default; do
    echo 0 >/proc/sys/net/ipv6/conf/$conf/accept_dad
    echo 1 >/proc/sys/net/ipv6/conf/$conf/forwarding
done
echo 1 >/proc/sys/net/ipv4/ip_forward
# What was held comes back from elsewhere.
for conf in all default; do
    echo 0 >/proc/sys/net/ipv4/conf/$conf/rp_filter
done
if [ -n "$1" ]; then
    mount --bind "$1/resolv.conf" /etc/resolv.conf
    mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf
fi
echo ready
read -r _ || true
[ -z "$1" ] || rm -rf "$1"
"#;

/// What is lost on a way that is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// All that is sent.
    All,
    /// What is sent to this port of TCP: a firewall that lets answers through.
    To(u16),
}

/// Hosts, and a router between them. Dropping it ends all that is left on them.
#[derive(Debug)]
pub struct Net {
    router: Space,
    hosts: Vec<Space>,
    cut: BTreeSet<(usize, usize)>,
    slow: BTreeSet<usize>,
    late: BTreeMap<usize, delay::Delay>,
    // The keepers must be gone before it.
    _dir: TempDir,
}

impl Net {
    /// So many hosts, each of which reaches each other. On all of them the resolver asks the name server of host 0.
    ///
    /// # Panics
    /// If this machine cannot make them; the message has what was said.
    #[must_use]
    pub fn new(hosts: usize) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "a network of its own needs root; `cargo xtask test --partial` leaves these tests out and says so"
        );
        assert!(hosts <= 200, "{hosts} hosts");
        let dir = TempDir::with_prefix("lictor-net-").unwrap_or_else(|error| panic!("{error}"));
        let resolver = format!("nameserver {}\noptions timeout:1 attempts:1\n", v4(0));
        let written = fs::write(dir.path().join("resolv.conf"), resolver)
            .and_then(|()| fs::write(dir.path().join("nsswitch.conf"), "hosts: files dns\n"));
        written.unwrap_or_else(|error| panic!("cannot write to {}: {error}", dir.path().display()));
        let router = Space::new(None);
        let spaces: Vec<_> = (0..hosts).map(|_| Space::new(Some(dir.path()))).collect();
        for (host, space) in spaces.iter().enumerate() {
            connect(&router, host, space, space.keeper.id());
        }
        let (cut, slow, late) = Default::default();
        Self { router, hosts: spaces, cut, slow, late, _dir: dir }
    }

    /// Gives a machine the line of a host: one that has booted, with nothing but a loopback interface. `process` is its
    /// first one. It is cut and mended as that of a host is; a machine that was switched off is given its line anew.
    ///
    /// # Panics
    /// If the line cannot be made.
    pub fn plug(&self, host: usize, process: u32) {
        // What is left of it from before.
        self.router.attempt("ip", &["link", "del", &line(host)], "").ok();
        connect(&self.router, host, &Network::of(process), process);
    }

    /// Does something on a host: sockets that are opened and programs that are started meanwhile, by this thread, are
    /// there and stay there.
    ///
    /// # Panics
    /// If it cannot be entered, or left again.
    pub fn on<T>(&self, host: usize, work: impl FnOnce() -> T) -> T {
        self.host(host).inside(work)
    }

    /// A program on a host, where the resolver asks the name server of host 0.
    #[must_use]
    pub fn command(&self, host: usize, program: &Path) -> Command {
        let mut command = Command::new("/usr/bin/nsenter");
        let keeper = self.host(host).keeper.id();
        command.args([format!("--net=/proc/{keeper}/ns/net"), format!("--mount=/proc/{keeper}/ns/mnt")]);
        command.arg("--").arg(program);
        command
    }

    /// From now on what one host sends to the other is lost on the way.
    ///
    /// # Panics
    /// If the router refuses.
    pub fn cut(&mut self, from: usize, to: usize, loss: Loss) {
        self.mend(from, to);
        let what = match loss {
            Loss::All => String::new(),
            Loss::To(port) => format!("ipproto tcp dport {port}"),
        };
        let (line, at) = (line(from), place(from, to));
        let rule = |to: String| format!("rule add pref {at} iif {line} to {to} {what} blackhole");
        self.router.ip(&[rule(format!("{}/24", Ipv4Addr::new(10, 77, octet(to), 0)))]);
        self.router.ip6(&[rule(format!("{}/64", net6(to, 0)))]);
        self.cut.insert((from, to));
    }

    /// From now on nothing passes between the two.
    ///
    /// # Panics
    /// If the router refuses.
    pub fn part(&mut self, one: usize, other: usize) {
        self.cut(one, other, Loss::All);
        self.cut(other, one, Loss::All);
    }

    /// What one host sends to the other arrives again.
    ///
    /// # Panics
    /// If the router refuses.
    pub fn mend(&mut self, from: usize, to: usize) {
        if self.cut.remove(&(from, to)) {
            let at = place(from, to);
            let rule = [format!("rule del pref {at}")];
            self.router.ip(&rule);
            self.router.ip6(&rule);
        }
    }

    /// Everything arrives again, and at once.
    ///
    /// # Panics
    /// If the router refuses.
    pub fn mend_all(&mut self) {
        for host in self.late.keys().copied().collect::<Vec<_>>() {
            self.hasten_packets(host);
        }
        for (from, to) in self.cut.clone() {
            self.mend(from, to);
        }
    }

    /// From now on the line of a host carries so much each way, and what is too much waits.
    ///
    /// # Panics
    /// If the kernel has no `tbf`.
    pub fn slow(&mut self, host: usize, bytes_per_second: u32) {
        // A packet must fit into the burst.
        let rate = format!("{bytes_per_second}bps");
        let limit = ["root", "tbf", "rate", &rate, "burst", "1600", "latency", "30s"];
        let line = line(host);
        self.router.run("tc", &[&["qdisc", "replace", "dev", &line][..], &limit].concat());
        self.host(host).run("tc", &[&["qdisc", "replace", "dev", "eth0"][..], &limit].concat());
        self.slow.insert(host);
    }

    /// The line of a host is as it was.
    ///
    /// # Panics
    /// If the kernel refuses.
    pub fn hasten(&mut self, host: usize) {
        if self.slow.remove(&host) {
            self.router.run("tc", &["qdisc", "del", "dev", &line(host), "root"]);
            self.host(host).run("tc", &["qdisc", "del", "dev", "eth0", "root"]);
        }
    }

    /// Gives a host another address of version 4 in place of the one it has: the one with this number.
    ///
    /// # Panics
    /// If it cannot have it.
    pub fn moves(&self, host: usize, number: u8) {
        let net = octet(host);
        self.host(host).ip(&[
            format!("addr del {}/24 dev eth0", v4(host)),
            format!("addr add {}/24 dev eth0", Ipv4Addr::new(10, 77, net, number)),
            format!("route add default via {}", Ipv4Addr::new(10, 77, net, 1)),
        ]);
    }

    fn host(&self, host: usize) -> &Space {
        self.hosts.get(host).unwrap_or_else(|| panic!("there is no host {host}"))
    }
}

/// The address of a host.
#[must_use]
pub fn v4(host: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, octet(host), 2)
}

/// Its address of version 6.
#[must_use]
pub fn v6(host: usize) -> Ipv6Addr {
    net6(host, 2)
}

/// Makes the line of a host to the router; `there` is the namespace of that process.
fn connect(router: &Network, host: usize, there: &Network, process: u32) {
    let (line, other) = (line(host), "eth0");
    let (near, far) = (Ipv4Addr::new(10, 77, octet(host), 1), v4(host));
    let (near6, far6) = (net6(host, 1), v6(host));
    router.ip(&[
        format!("link add {line} type veth peer name {other} netns {process}"),
        format!("addr add {near}/24 dev {line}"),
        format!("addr add {near6}/64 dev {line} nodad"),
        format!("link set {line} up"),
    ]);
    there.ip(&[
        format!("addr add {far}/24 dev {other}"),
        format!("addr add {far6}/64 dev {other} nodad"),
        format!("link set {other} up"),
        format!("route add default via {near}"),
        format!("route add default via {near6}"),
    ]);
}

fn net6(host: usize, number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd77, 0, 0, u16::from(octet(host)), 0, 0, 0, number)
}

fn octet(host: usize) -> u8 {
    u8::try_from(host).unwrap_or_else(|_large| panic!("there is no host {host}"))
}

/// The router's end of the line to a host.
fn line(host: usize) -> String {
    format!("h{host}")
}

/// Where the rule stands that drops what one host sends to another.
fn place(from: usize, to: usize) -> usize {
    1_000 + from * 256 + to
}

/// A namespace of the network, and one of the mounts in which the resolver's files are others.
#[derive(Debug)]
struct Space {
    keeper: Child,
    network: Network,
}

/// A namespace of the network.
#[derive(Debug)]
struct Network(File);

impl std::ops::Deref for Space {
    type Target = Network;

    fn deref(&self) -> &Network {
        &self.network
    }
}

impl Space {
    fn new(resolver: Option<&Path>) -> Self {
        let mut command = Command::new("/usr/bin/unshare");
        command.args([
            "--net",
            "--mount",
            "--propagation",
            "private",
            "--",
            "/bin/sh",
            "-c",
            KEEPER,
            "keeper",
        ]);
        command.arg(resolver.unwrap_or(Path::new(""))).env_clear().env("PATH", PATH);
        // Of a process group of its own, to outlive a Ctrl-C: the programs in there end before it.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut keeper =
            command.spawn().unwrap_or_else(|error| panic!("cannot make a network namespace: {error}"));
        let said = keeper.stdout.take().and_then(|output| BufReader::new(output).lines().next());
        assert!(
            matches!(&said, Some(Ok(line)) if line == "ready"),
            "a network namespace is not made: {said:?}"
        );
        let network = Network::of(keeper.id());
        Self { keeper, network }
    }
}

impl Network {
    /// The one that a process is in.
    fn of(process: u32) -> Self {
        let network = File::open(format!("/proc/{process}/ns/net"));
        Self(network.unwrap_or_else(|error| panic!("a network namespace is gone: {error}")))
    }

    fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        /// Goes back also when the work panics.
        struct Back(File);
        impl Drop for Back {
            fn drop(&mut self) {
                enter(&self.0);
            }
        }
        let here = File::open("/proc/thread-self/ns/net");
        let _back = Back(here.unwrap_or_else(|error| panic!("cannot tell where this thread is: {error}")));
        enter(&self.0);
        work()
    }

    /// Has `ip` do all of these.
    fn ip(&self, orders: &[String]) {
        self.feed("ip", &["-batch", "-"], &orders.join("\n"));
    }

    /// The same for version 6, where the order does not say which.
    fn ip6(&self, orders: &[String]) {
        self.feed("ip", &["-6", "-batch", "-"], &orders.join("\n"));
    }

    fn run(&self, program: &str, args: &[&str]) {
        self.feed(program, args, "");
    }

    fn feed(&self, program: &str, args: &[&str], input: &str) {
        if let Err(why) = self.attempt(program, args, input) {
            panic!("{program} {args:?}: {why}\n{input}");
        }
    }

    /// What it says if it fails.
    fn attempt(&self, program: &str, args: &[&str], input: &str) -> Result<(), String> {
        let said = self.inside(|| {
            let mut command = Command::new(program);
            command.args(args).env_clear().env("PATH", PATH);
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(input.as_bytes())?;
            }
            child.wait_with_output()
        });
        let said = said.map_err(|error| format!("it cannot be run ({error}): it is part of iproute2"))?;
        match said.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&said.stderr).into_owned()),
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // The end of its input is the end of it.
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

/// Moves this thread into a network namespace.
fn enter(space: &File) {
    move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))
        .unwrap_or_else(|error| panic!("cannot enter a network namespace: {error}"));
}

#[cfg(test)]
#[path = "net/tests.rs"]
mod tests;
