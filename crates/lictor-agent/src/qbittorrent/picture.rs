//! What a qBittorrent has, put together from what it told one time after the other.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::maindata::{Maindata, ServerState, Tracker, UrlId};
use super::torrents::{Hash, State, Torrent};
use super::trackers::{Host, TrackerName};

/// After this everything is asked for again, should a change ever have been missed.
const RENEW: Duration = Duration::from_secs(15 * 60);

/// Torrents that are kept; a qBittorrent with more is not looked at.
const TORRENTS: usize = 50_000;

/// How much of it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fresh {
    /// What has changed since the last time, where that is known.
    Changes,
    /// Everything.
    All,
}

/// How the client says that it reaches others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// Somebody has connected to it since its port was opened. It is not said when: a tunnel that
    /// died since does not change it.
    Connected,
    /// Its port is open, and nobody has connected to it so far.
    Firewalled,
    /// It has no open port.
    Disconnected,
}

/// What is known of one qBittorrent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picture {
    /// The number of the last answer; 0: there is none to which the next one can add.
    rid: u64,
    /// When everything was told.
    whole: Option<Instant>,
    torrents: BTreeMap<Hash, Torrent>,
    announced: BTreeMap<UrlId, Announced>,
    connection: Option<Connection>,
    dht_nodes: Option<u64>,
    external: [Option<IpAddr>; 2],
}

#[derive(Clone, Debug)]
struct Announced {
    host: Option<Host>,
    torrents: Vec<Hash>,
}

impl Picture {
    /// The number to ask with, 0 for everything. What it was told before counts only as far as the
    /// answer to this is taken over: one that was lost on its way takes changes with it.
    pub(super) fn ask(&mut self, fresh: Fresh) -> u64 {
        let old = self.whole.is_none_or(|whole| whole.elapsed() > RENEW);
        let rid = std::mem::take(&mut self.rid);
        if fresh == Fresh::All || old { 0 } else { rid }
    }

    /// What is told at once, as `sync/maindata` has it.
    #[cfg(test)]
    pub(crate) fn of(told: &serde_json::Value) -> Self {
        let mut picture = Self::default();
        let told = serde_json::from_str(&told.to_string()).unwrap();
        assert!(picture.take_over(0, told));
        picture
    }

    /// Takes over the answer to a question with the number `asked`; `false`: it is more than is kept.
    pub(super) fn take_over(&mut self, asked: u64, told: Maindata) -> bool {
        if asked == 0 || told.full_update {
            *self = Self { whole: Some(Instant::now()), ..Self::default() };
        }
        self.rid = told.rid.unwrap_or_default();
        for hash in &told.torrents_removed {
            self.torrents.remove(hash);
        }
        for (hash, changed) in told.torrents {
            self.torrents.entry(hash).or_default().change(changed);
        }
        for url in &told.trackers_removed {
            self.announced.remove(url);
        }
        for Tracker { url, host, hashes } in told.trackers {
            // The same text in memory once, however often it is named.
            let shared =
                |hash: Hash| self.torrents.get_key_value(&hash).map_or(hash, |(known, _)| known.clone());
            let torrents = hashes.into_iter().map(shared).collect();
            self.announced.insert(url, Announced { host, torrents });
        }
        self.take_over_state(told.server_state);
        self.torrents.len() <= TORRENTS
    }

    fn take_over_state(&mut self, told: ServerState) {
        if let Some(word) = told.connection_status {
            self.connection = match word.as_str() {
                "connected" => Some(Connection::Connected),
                "firewalled" => Some(Connection::Firewalled),
                "disconnected" => Some(Connection::Disconnected),
                _ => None,
            };
        }
        self.dht_nodes = told.dht_nodes.or(self.dht_nodes);
        let [v4, v6] = &mut self.external;
        *v4 = told.last_external_address_v4.unwrap_or(*v4);
        *v6 = told.last_external_address_v6.unwrap_or(*v6);
    }

    /// How it reaches others; `None` when it does not say so in a word that is known.
    pub(crate) const fn connection(&self) -> Option<Connection> {
        self.connection
    }

    /// Nodes of the distributed hash table that it knows.
    pub(crate) const fn dht_nodes(&self) -> Option<u64> {
        self.dht_nodes
    }

    /// The addresses under which others see it, as far as it tells.
    pub(crate) fn external(&self) -> impl Iterator<Item = IpAddr> {
        self.external.iter().flatten().copied()
    }

    /// How many torrents there are.
    pub(crate) fn len(&self) -> usize {
        self.torrents.len()
    }

    /// A torrent; `None` when there is none of this hash.
    pub(crate) fn get(&self, hash: &Hash) -> Option<&Torrent> {
        self.torrents.get(hash)
    }

    /// All torrents.
    pub(crate) fn torrents(&self) -> impl Iterator<Item = (&Hash, &Torrent)> {
        self.torrents.iter()
    }

    /// Those in a state.
    pub(crate) fn count(&self, in_state: impl Fn(State) -> bool) -> usize {
        self.torrents.values().filter(|torrent| in_state(torrent.state)).count()
    }

    /// Those that a tracker is told of, in the order of their hashes.
    pub(crate) fn of_tracker(&self, tracker: &TrackerName) -> Vec<Hash> {
        let meant = |announced: &&Announced| announced.host.as_ref().is_some_and(|host| tracker.covers(host));
        let all = self.announced.values().filter(meant).flat_map(|announced| &announced.torrents);
        let mut hashes: Vec<Hash> = all.filter(|hash| self.torrents.contains_key(*hash)).cloned().collect();
        hashes.sort();
        hashes.dedup();
        hashes
    }

    /// The running torrents of each other tracker, in the order of their hosts.
    pub(crate) fn of_others(&self, than: &TrackerName) -> BTreeMap<Host, Vec<Hash>> {
        let mut others: BTreeMap<Host, Vec<Hash>> = BTreeMap::new();
        for announced in self.announced.values() {
            let Some(host) = announced.host.as_ref().filter(|host| !than.covers(host)) else { continue };
            let runs = |hash: &&Hash| self.get(hash).is_some_and(|torrent| torrent.state.runs());
            let running: Vec<Hash> = announced.torrents.iter().filter(runs).cloned().collect();
            if !running.is_empty() {
                others.entry(host.clone()).or_default().extend(running);
            }
        }
        others
    }
}

#[cfg(test)]
mod tests;
