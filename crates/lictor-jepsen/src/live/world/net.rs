//! Hosts on a network of their own, whose ways to each other can be cut, made slow and made lossy.
//!
//! The network namespace of the run is the router between them, and where the clients are. Each host is a namespace with a
//! line to it:
//!
//! ```text
//!                     clients
//!                        │
//! n1 ── 10.77.1.0/24 ── router ── 10.77.2.0/24 ── n2
//!                        │
//!                       n3 …
//! ```
//!
//! What one host sends to another passes the router, and what a client sends does not come *in* there. So a rule that
//! drops what comes in by a line and goes to another host cuts that way, in that direction, and leaves the clients theirs. The router says
//! nothing to the sender, which waits, as on a network that fails. Only `ip` of iproute2 is needed for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::late::Late;
use crate::live::tool::{self, ToolError};

/// A way from one host to another, by their numbers: what the first sends to the second.
pub type Way = (usize, usize);

/// Most hosts: each has a number in an address.
pub const MOST: usize = 100;

/// How packets fare on a line, in both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// How much later each arrives, in milliseconds.
    pub delay_ms: u32,
    /// How many of a hundred do not arrive.
    pub loss_percent: u32,
}

/// The network of a run. It ends with the namespace.
#[derive(Debug)]
pub struct Net {
    hosts: usize,
    cut: BTreeSet<Way>,
    late: BTreeMap<usize, Late>,
}

impl Net {
    /// So many hosts, each of which reaches each other, in the network namespace that this process is in, which has to be
    /// one of its own, as its mounts.
    ///
    /// # Errors
    /// If they cannot be made.
    pub async fn make(hosts: usize) -> Result<Self, ToolError> {
        // Names of namespaces lie there; nobody else sees this mount.
        tool::run("mount", &["-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", "/run"], "").await?;
        tool::run("sh", &["-c", ROUTER], "").await?;
        for host in 0..hosts {
            tool::run("ip", &["netns", "add", &name(host)], "").await?;
        }
        let links: Vec<_> = (0..hosts).flat_map(link).collect();
        batch(&[], &links).await?;
        for host in 0..hosts {
            let far = [
                "link set lo up".to_owned(),
                format!("addr add {}/24 dev eth0", address(host)),
                "link set eth0 up".to_owned(),
                format!("route add default via {}", gateway(host)),
            ];
            batch(&["-n", &name(host)], &far).await?;
        }
        Ok(Self { hosts, cut: BTreeSet::new(), late: BTreeMap::new() })
    }

    /// How many hosts there are.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.hosts
    }

    /// A program on a host. It is started in place: the process that is spawned is the program's.
    #[must_use]
    pub fn command(&self, host: usize, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &name(host)]).arg(program);
        command.stdin(Stdio::null());
        command
    }

    /// From now on exactly what is sent along these ways is lost.
    ///
    /// # Errors
    /// If the router refuses.
    pub async fn cut(&mut self, ways: &BTreeSet<Way>) -> Result<(), ToolError> {
        let mended = self.cut.difference(ways).map(|&way| format!("rule del pref {}", place(way)));
        let severed = ways.difference(&self.cut).map(|&way| {
            let (from, to) = way;
            format!("rule add pref {} iif {} to {} blackhole", place(way), line(from), network(to))
        });
        // All at once, or so: a few milliseconds.
        batch(&[], &mended.chain(severed).collect::<Vec<_>>()).await?;
        self.cut.clone_from(ways);
        Ok(())
    }

    /// The ways on which all is lost.
    #[must_use]
    pub fn severed(&self) -> &BTreeSet<Way> {
        &self.cut
    }

    /// From now on packets to and from this host are late, or lost, so; `None`: as they were before. Clients feel it
    /// as the other hosts do.
    ///
    /// # Errors
    /// If this machine cannot do it.
    pub async fn worsen(&mut self, host: usize, quality: Option<Quality>) -> Result<(), ToolError> {
        if let Some(late) = self.late.remove(&host) {
            late.end(host).await?;
        }
        if let Some(quality) = quality {
            self.late.insert(host, Late::begin(host, quality).await?);
        }
        Ok(())
    }

    /// The hosts whose packets are late or lost.
    pub fn worsened(&self) -> impl Iterator<Item = usize> {
        self.late.keys().copied()
    }
}

/// Has the namespace forward packets, and take answers that come from elsewhere, as those that were held do.
const ROUTER: &str = r"
set -eu
ip link set lo up
mkdir -p /run/netns
echo 1 >/proc/sys/net/ipv4/ip_forward
for conf in all default; do echo 0 >/proc/sys/net/ipv4/conf/$conf/rp_filter; done
";

/// Has `ip` do all of these.
pub(super) async fn batch(options: &[&str], orders: &[String]) -> Result<(), ToolError> {
    if orders.is_empty() {
        return Ok(());
    }
    let args = [options, &["-batch", "-"]].concat();
    tool::run("ip", &args, &orders.join("\n")).await.map(drop)
}

fn link(host: usize) -> [String; 3] {
    let line = line(host);
    [
        format!("link add {line} type veth peer name eth0 netns {}", name(host)),
        format!("addr add {}/24 dev {line}", gateway(host)),
        format!("link set {line} up"),
    ]
}

/// The name of a host: `n1` is the first.
#[must_use]
pub fn name(host: usize) -> String {
    format!("n{}", host + 1)
}

/// The address of a host.
#[must_use]
pub fn address(host: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, octet(host), 2)
}

/// The router's address on the line of a host, which is where the host finds the harness.
#[must_use]
pub fn gateway(host: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, octet(host), 1)
}

/// The network of a host's line.
pub(super) fn network(host: usize) -> String {
    format!("{}/24", Ipv4Addr::new(10, 77, octet(host), 0))
}

/// The router's end of the line to a host.
pub(super) fn line(host: usize) -> String {
    format!("h{}", host + 1)
}

/// Where the rule stands that cuts a way.
fn place((from, to): Way) -> usize {
    1_000 + from * 128 + to
}

fn octet(host: usize) -> u8 {
    // There are at most `MOST`.
    u8::try_from(host + 1).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_a_rule_of_its_own() {
        let ways = (0..MOST).flat_map(|from| (0..MOST).map(move |to| (from, to)));
        let places: BTreeSet<_> = ways.map(place).collect();
        assert_eq!(places.len(), MOST * MOST);
        // The main table's rule is at 32766, those of late packets at 20000 and more.
        assert!(places.iter().all(|place| (1_000..20_000).contains(place)));
    }
}
