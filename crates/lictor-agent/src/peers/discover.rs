//! Who the other nodes are, found anew in every round.
//!
//! Nothing is held for longer than its TTL, with one exception: while nobody can say where a peer is,
//! it is looked for where it was last, since a name server that is away must not look like all peers being so.

mod dns;
mod own;
mod programs;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, stream};
use lictor_config::{Discovery, Peers};
use lictor_consul::{Client, Query};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::watch::{World, name_servers};

/// Names that are resolved at once.
const LOOKUPS: usize = 64;

/// Peers that are looked at. More than this is a mistake in a record, or somebody else's.
const MOST: usize = 20_000;

/// A peer and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// `host:port`, in lower case; the host is an address where only that is known.
    pub(crate) id: String,
    /// The name it is asked by; an address without brackets.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// Where it is, in the order in which they are tried; empty while nobody knows.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// What one round found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Round {
    /// The others, by their ids.
    pub(crate) peers: Vec<Found>,
    /// Under which ids the others know this node. Without any peers: none means that nobody was named at all.
    pub(crate) own: Vec<String>,
}

/// Finds the peers.
#[derive(Clone, Debug)]
pub(crate) struct Finder {
    discovery: Discovery,
    /// The names of this node and of this machine, in lower case.
    names: [String; 2],
    own: Vec<IpAddr>,
    limit: Duration,
    consul: Option<Client>,
    world: Arc<World>,
    /// Who was named last, and until when that holds.
    named: Option<(Instant, Vec<Target>)>,
    /// Where hosts were last, and until when that holds: at once past where nobody said.
    known: BTreeMap<String, (Instant, Vec<IpAddr>)>,
    /// The hosts of which it was said that they cannot be resolved.
    lost: BTreeSet<String>,
    /// Peers that turned out to be this node.
    ours: BTreeSet<String>,
    /// Whether it was said that our own addresses cannot be had.
    blind: bool,
}

/// A peer as it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    host: String,
    port: u16,
    /// Where it is, if that was said with it.
    addresses: Vec<SocketAddr>,
}

impl Target {
    fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, addresses: Vec::new() }
    }

    fn at(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port(), addresses: vec![address] }
    }

    fn id(&self) -> String {
        match self.host.parse::<IpAddr>() {
            Ok(address) => SocketAddr::new(address, self.port).to_string(),
            Err(_name) => format!("{}:{}", self.host.to_lowercase(), self.port),
        }
    }
}

impl Finder {
    /// `consul` is needed for peers that are found there.
    pub(crate) fn new(node: &str, peers: &Peers, consul: Option<Client>, world: Arc<World>) -> Self {
        let machine = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
        Self {
            discovery: peers.discovery.clone(),
            names: [node.to_lowercase(), machine],
            own: peers.own.clone(),
            limit: peers.timeout,
            consul,
            world,
            named: None,
            known: BTreeMap::new(),
            lost: BTreeSet::new(),
            ours: BTreeSet::new(),
            blind: false,
        }
    }

    /// Finds them. Takes at most twice the time limit of a look, or some 10 s for each program that is asked.
    ///
    /// # Errors
    /// In words, when nobody can say who they are: those that were known are then the best guess.
    pub(crate) async fn find(&mut self) -> Result<Round, String> {
        let mut targets: BTreeMap<String, Target> = BTreeMap::new();
        for target in self.named().await? {
            let known = targets.entry(target.id()).or_insert_with(|| Target::new(&target.host, target.port));
            for address in target.addresses {
                if !known.addresses.contains(&address) {
                    known.addresses.push(address);
                }
            }
        }
        if targets.len() > MOST {
            return Err(format!("{} peers are named, more than {MOST}", targets.len()));
        }
        self.resolve(&mut targets).await;
        let mine = self.own_addresses();
        let is_mine = |address: &SocketAddr| mine.contains(&address.ip().to_canonical());
        let is_mine = |address: &SocketAddr| {
            is_mine(address) || (self.own.is_empty() && is_here(address.ip().to_canonical()))
        };
        let named_as_we_are = self.named_as_we_are(targets.values());
        let mut round = Round::default();
        let mut ours = BTreeSet::new();
        for (id, target) in targets {
            // Our own name may be one of those that cannot be resolved for a while.
            let by_name = named_as_we_are.as_deref() == Some(target.host.as_str());
            let unknown = target.addresses.is_empty() && (self.ours.contains(&id) || by_name);
            if unknown || target.addresses.iter().any(is_mine) {
                round.own.push(id.clone());
                ours.insert(id);
            } else {
                let Target { host, port, addresses } = target;
                round.peers.push(Found { id, host, port, addresses });
            }
        }
        self.ours = ours;
        Ok(round)
    }

    /// The one host that has the name of this node or machine, be it without its domain.
    fn named_as_we_are<'a>(&self, targets: impl Iterator<Item = &'a Target>) -> Option<String> {
        let named: BTreeSet<&str> = targets.map(|target| target.host.as_str()).collect();
        let ours = |host: &&&str| {
            let host = host.to_lowercase();
            let short = host.split('.').next().unwrap_or(&host);
            host.parse::<IpAddr>().is_err()
                && self.names.iter().any(|name| *name == host || name.split('.').next() == Some(short))
        };
        let mut found = named.iter().filter(ours);
        match (found.next(), found.next()) {
            (Some(one), None) => Some((*one).to_owned()),
            (Some(_) | None, _) => None,
        }
    }

    /// Who is named. What was said last is good until its time is over, when nobody says it now.
    async fn named(&mut self) -> Result<Vec<Target>, String> {
        let begun = Instant::now();
        match self.ask(begun + self.limit).await {
            Ok((targets, ttl)) => {
                self.named = ttl.map(|ttl| (begun + ttl, targets.clone()));
                Ok(targets)
            }
            Err(why) => match &self.named {
                Some((until, targets)) if Instant::now() < *until => Ok(targets.clone()),
                Some(_) | None => Err(why),
            },
        }
    }

    /// Asks who is named, and for how long that may be believed, if that is said.
    async fn ask(&self, deadline: Instant) -> Result<(Vec<Target>, Option<Duration>), String> {
        let without_end = |targets| Ok((targets, None));
        match &self.discovery {
            Discovery::Srv { name, server, programs } => {
                if let Some(dig) = programs.as_ref().and_then(|programs| programs.dig.as_deref()) {
                    return without_end(programs::dig(dig, name, &self.world).await?);
                }
                let servers = server.map_or_else(name_servers, |server| Ok(vec![server]))?;
                let failed = |why| format!("cannot find out about {name} (SRV): {why}");
                let (mut targets, ttl) = dns::srv(&servers, name, deadline).await.map_err(failed)?;
                if server.is_none() {
                    // The system may have its own mind of where a host is (the hosts file, for one).
                    targets.iter_mut().for_each(|target| target.addresses.clear());
                }
                Ok((targets, Some(ttl)))
            }
            Discovery::Addresses { name, port, server, programs } => {
                let at = |ip| Target::at(SocketAddr::new(ip, *port));
                if let Some(getent) = programs.as_ref().and_then(|programs| programs.getent.as_deref()) {
                    let found = programs::getent(getent, name, &self.world).await?;
                    return without_end(found.into_iter().map(at).collect());
                }
                if let Some(server) = server {
                    let failed = |why| format!("cannot find out about {name} (A, AAAA): {why}");
                    let (found, ttl) = dns::addresses(&[*server], name, deadline).await.map_err(failed)?;
                    return Ok((found.into_iter().map(at).collect(), Some(ttl)));
                }
                let found = timeout_at(deadline, self.world.lookup(name, *port)).await;
                let found = found.map_err(|_late| format!("looking up {name} took too long"))??;
                without_end(found.into_iter().map(Target::at).collect())
            }
            Discovery::Consul { service } => without_end(self.catalog(service, deadline).await?),
            Discovery::Static(peers) => {
                without_end(peers.iter().map(|(host, port)| Target::new(host, *port)).collect())
            }
        }
    }

    /// The instances of a service, whatever their checks say.
    async fn catalog(&self, service: &str, deadline: Instant) -> Result<Vec<Target>, String> {
        let Some(client) = &self.consul else {
            return Err(format!("cannot find the instances of `{service}`: no Consul is named"));
        };
        let query = Query::new();
        let answer = timeout_at(deadline, client.catalog().service(service, &query)).await;
        let answer =
            answer.map_err(|_late| format!("Consul took too long to name the instances of `{service}`"))?;
        let found = answer.map_err(|error| format!("cannot find the instances of `{service}`: {error}"))?;
        let instances = found.value.into_iter().filter_map(|instance| {
            let own = instance.service_address;
            let host = if own.is_empty() { instance.address } else { own };
            let usable = instance.service_port > 0 && is_host(&host);
            if !usable {
                warn!(service, id = instance.service_id, "an instance without address or port is left out");
            }
            usable.then(|| Target::new(host, instance.service_port))
        });
        Ok(instances.collect())
    }

    /// Finds out where those are of whom it is not known yet.
    async fn resolve(&mut self, targets: &mut BTreeMap<String, Target>) {
        let now = Instant::now();
        let open = targets.values().filter(|target| target.addresses.is_empty());
        let hosts: BTreeSet<String> = open.map(|target| target.host.to_lowercase()).collect();
        let (held, asked): (Vec<String>, Vec<String>) = hosts
            .iter()
            .cloned()
            .partition(|host| self.known.get(host).is_some_and(|(until, _)| now < *until));
        let this = &*self;
        let found: Vec<(String, Result<_, String>)> = stream::iter(asked)
            .map(|host| {
                let asked = async move {
                    let found = this.addresses(&host, now + this.limit).await;
                    (host, found)
                };
                asked.boxed()
            })
            .buffer_unordered(LOOKUPS)
            .collect()
            .await;
        let mut known = BTreeMap::new();
        for host in held {
            if let Some(held) = self.known.remove(&host) {
                known.insert(host, held);
            }
        }
        for (host, found) in found {
            match found {
                Ok((addresses, ttl)) => {
                    if self.lost.remove(&host) {
                        info!(host, "it is known again where a peer is");
                    }
                    known.insert(host, (now + ttl, addresses));
                }
                Err(why) => {
                    let last = self.known.remove(&host);
                    if self.lost.insert(host.clone()) {
                        let looked_for = if last.is_some() { "where it was last" } else { "nowhere" };
                        warn!(host, why, looked_for, "it is not known where a peer is");
                    }
                    if let Some((_, addresses)) = last {
                        known.insert(host, (now, addresses));
                    }
                }
            }
        }
        self.lost.retain(|host| hosts.contains(host));
        for target in targets.values().filter(|target| !target.addresses.is_empty()) {
            let addresses = target.addresses.iter().map(SocketAddr::ip).collect();
            known.insert(target.host.to_lowercase(), (now, addresses));
        }
        self.known = known;
        for target in targets.values_mut().filter(|target| target.addresses.is_empty()) {
            if let Some((_, addresses)) = self.known.get(&target.host.to_lowercase()) {
                let port = target.port;
                target.addresses = addresses.iter().map(|address| SocketAddr::new(*address, port)).collect();
            }
        }
    }

    /// Where a host is, at least one address, and for how long that may be believed.
    async fn addresses(&self, host: &str, deadline: Instant) -> Result<(Vec<IpAddr>, Duration), String> {
        if let Ok(address) = host.parse() {
            return Ok((vec![address], Duration::ZERO));
        }
        let (server, programs) = match &self.discovery {
            Discovery::Srv { server, programs, .. } | Discovery::Addresses { server, programs, .. } => {
                (*server, programs.as_ref())
            }
            Discovery::Consul { .. } | Discovery::Static(_) => (None, None),
        };
        if let Some(getent) = programs.and_then(|programs| programs.getent.as_deref()) {
            return Ok((programs::getent(getent, host, &self.world).await?, Duration::ZERO));
        }
        if let Some(server) = server {
            let (found, ttl) = dns::some_addresses(&[server], host, deadline).await?;
            return if found.is_empty() { Err("it has no address".to_owned()) } else { Ok((found, ttl)) };
        }
        let found = timeout_at(deadline, self.world.lookup(host, 0)).await;
        let found = found.map_err(|_late| "looking it up took too long".to_owned())??;
        Ok((found.iter().map(SocketAddr::ip).collect(), Duration::ZERO))
    }

    /// The addresses by which a peer is known to be this node.
    fn own_addresses(&mut self) -> Vec<IpAddr> {
        if !self.own.is_empty() {
            return self.own.iter().map(IpAddr::to_canonical).collect();
        }
        match own::addresses() {
            Ok(found) => {
                self.blind = false;
                found
            }
            Err(error) => {
                if !std::mem::replace(&mut self.blind, true) {
                    warn!(%error, "cannot find out our own addresses: this node may be taken for its own peer");
                }
                Vec::new()
            }
        }
    }
}

/// Whether an address is this machine's on any machine.
fn is_here(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified()
}

/// Whether a name that somebody else wrote can be a host: nothing that would mean something else in a
/// request or on a terminal.
fn is_host(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.parse::<IpAddr>().is_ok() || ((1..=253).contains(&text.len()) && text.chars().all(plain))
}

#[cfg(test)]
#[path = "discover/tests.rs"]
pub(super) mod tests;
