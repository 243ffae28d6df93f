//! One look: what goes in, what comes out, and what all watchers of an agent share.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use lictor_config::{Pattern, Watch, WatchKind};
use lictor_core::{Boot, Captures, CheckName, Match, Sample, Status};
use tokio::sync::Semaphore;

use super::follow::{Follower, Positions};
use super::heartbeat::{self, Heart};
use super::limits::OpenFiles;
use super::process::ProcessTable;
use super::resolve::Resolver;
use super::webhook::{self, Hook};
use super::{
    clock, disk, dns, exec, file, http, journal, load, memory, process, program, prometheus, public_ip,
    qbittorrent, redis, swap, tcp, temperature, tls, unit, vpn,
};
use crate::qbittorrent::Sessions;
use crate::{Clock, Inbox, Tasks};

/// Programs that watchers run at once; further ones wait within their time limit.
const PROGRAMS: usize = 256;

/// Matches of one look that are passed on; more in one look say nothing new.
const MATCHES: usize = 64;

/// Of a line that matched, bytes that are passed on.
const LINE: usize = 4 * 1024;

/// Of what a group captured, bytes that are passed on.
const CAPTURE: usize = 1_024;

/// What keeps others from handing in a result of the same check: a lock that is let go when it is dropped.
pub(super) type Turn = Box<dyn Any + Send>;

/// What one look brought.
#[derive(Debug)]
pub struct Look {
    /// The result; `None` when there is nothing to say yet (a heartbeat before its first call).
    pub sample: Option<Sample>,
    /// Lines that matched a pattern of the watcher, in order; at most 64.
    pub matches: Vec<Match>,
    /// Held until the result is handed in, so that no later one overtakes it.
    pub(super) turn: Option<Turn>,
}

impl Look {
    pub(super) const fn new(sample: Sample) -> Self {
        Self { sample: Some(sample), matches: Vec::new(), turn: None }
    }

    /// Looks for the watcher's patterns in every line of `text`.
    pub(super) fn matching(mut self, patterns: &[Pattern], text: &str) -> Self {
        if patterns.is_empty() {
            return self;
        }
        for line in text.lines() {
            for pattern in patterns.iter().filter(|pattern| pattern.regex.is_match(line)) {
                if self.matches.len() == MATCHES {
                    return self;
                }
                let captures = captured(&pattern.regex, line);
                let line = cut(line, LINE);
                self.matches.push(Match { captures, ..Match::new(pattern.name.clone(), line) });
            }
        }
        self
    }
}

/// What a watcher keeps from one look to the next. It is lost when the watcher is restarted.
#[derive(Debug, Default)]
pub struct Memory {
    pub(super) connection: Option<Box<http::Kept>>,
    pub(super) statvfs: Option<Box<disk::Pending>>,
    pub(super) pid: Option<Box<process::Sighting>>,
    pub(super) qbittorrent: Option<Box<qbittorrent::Past>>,
    pub(super) tunnel: Option<Box<vpn::Past>>,
    pub(super) sensors: Option<Box<temperature::Reading>>,
    pub(super) follower: Option<Box<Follower>>,
}

/// What all watchers of an agent share.
#[derive(Debug)]
pub struct World {
    pub(super) tasks: Tasks,
    pub(super) clock: Clock,
    pub(super) resolver: Resolver,
    pub(super) tls: tls::Profiles,
    pub(super) processes: ProcessTable,
    pub(super) programs: Semaphore,
    pub(super) files: OpenFiles,
    pub(super) qbittorrent: Sessions,
    /// Where those that follow something hand in what they read.
    pub(super) inbox: Inbox,
    pub(super) positions: Positions,
    hearts: Mutex<BTreeMap<CheckName, Arc<Heart>>>,
    hooks: Mutex<BTreeMap<CheckName, Arc<Hook>>>,
}

impl World {
    /// Raises this process's limit of open files to the hard limit.
    pub fn new(tasks: Tasks, clock: Clock) -> Arc<Self> {
        Self::sharing(tasks, clock, Sessions::new(None))
    }

    /// The same, with sessions that others share.
    pub fn sharing(tasks: Tasks, clock: Clock, qbittorrent: Sessions) -> Arc<Self> {
        Self::of_agent(tasks, clock, qbittorrent, Inbox::detached().0, Positions::default())
    }

    /// The same, for watchers that follow something.
    pub fn feeding(tasks: Tasks, clock: Clock, inbox: Inbox, positions: Positions) -> Arc<Self> {
        Self::of_agent(tasks, clock, Sessions::new(None), inbox, positions)
    }

    /// What the watchers of an agent share.
    pub(super) fn of_agent(
        tasks: Tasks,
        clock: Clock,
        qbittorrent: Sessions,
        inbox: Inbox,
        positions: Positions,
    ) -> Arc<Self> {
        Arc::new(Self {
            qbittorrent,
            inbox,
            positions,
            clock,
            resolver: Resolver::new(tasks.clone()),
            tls: tls::Profiles::new(tasks.clone()),
            processes: ProcessTable::new(tasks.clone()),
            programs: Semaphore::new(PROGRAMS),
            files: OpenFiles::raise(),
            hearts: Mutex::default(),
            hooks: Mutex::default(),
            tasks,
        })
    }

    /// The present time on the boot-time axis.
    pub(crate) fn boot(&self) -> Boot {
        self.clock.boot()
    }

    /// How many peers may be looked at at once, each with one open file: a quarter of those there are.
    pub(crate) fn looks_at_peers(&self) -> usize {
        (self.files.looks() / 2).max(1)
    }

    /// The heart of a heartbeat watcher that is running.
    pub(super) fn heart(&self, check: &CheckName) -> Option<Arc<Heart>> {
        self.hearts.lock().unwrap_or_else(PoisonError::into_inner).get(check).cloned()
    }

    pub(super) fn set_heart(&self, check: &CheckName, heart: Option<Arc<Heart>>) {
        set(&self.hearts, check, heart);
    }

    /// The hook of a webhook watcher that is running.
    pub(super) fn hook(&self, check: &CheckName) -> Option<Arc<Hook>> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner).get(check).cloned()
    }

    pub(super) fn set_hook(&self, check: &CheckName, hook: Option<Arc<Hook>>) {
        set(&self.hooks, check, hook);
    }
}

fn set<T>(of: &Mutex<BTreeMap<CheckName, T>>, check: &CheckName, to: Option<T>) {
    let mut of = of.lock().unwrap_or_else(PoisonError::into_inner);
    match to {
        Some(to) => drop(of.insert(check.clone(), to)),
        None => drop(of.remove(check)),
    }
}

/// Looks once. Ends within the watcher's time limit; a program that does not heed TERM then has
/// up to 4 s more.
pub async fn look(check: &CheckName, watch: &Watch, memory: &mut Memory, world: &World) -> Look {
    match &watch.kind {
        WatchKind::Http(http) => http::look(http, watch, memory, world).await,
        WatchKind::Tcp(tcp) => tcp::look(tcp, watch.timeout, world).await,
        WatchKind::Dns(dns) => dns::look(dns, watch.timeout, world).await,
        WatchKind::Exec(command) => exec::look(command, watch, world).await,
        WatchKind::Disk(disk) => disk::look(disk, watch.timeout, memory, world).await,
        WatchKind::Process(process) => process::look(process, watch.timeout, memory, world).await,
        WatchKind::Heartbeat(_) => heartbeat::look(check, world).await,
        WatchKind::Qbittorrent(settings) => qbittorrent::look(settings, watch, memory, world).await,
        WatchKind::Vpn(vpn) => vpn::look(vpn, watch, memory, world).await,
        WatchKind::PublicIp(public_ip) => public_ip::look(public_ip, watch).await,
        WatchKind::Prometheus(settings) => prometheus::look(settings, watch, world).await,
        WatchKind::Redis(settings) => redis::look(settings, watch.timeout, world).await,
        WatchKind::Webhook(_) => webhook::look(check, world).await,
        WatchKind::Memory(settings) => memory::look(settings),
        WatchKind::Swap(settings) => swap::look(settings),
        WatchKind::Load(settings) => load::look(settings),
        WatchKind::Temperature(settings) => temperature::look(settings, watch.timeout, memory, world).await,
        WatchKind::Clock(settings) => clock::look(settings, watch.timeout, world).await,
        WatchKind::File(settings) => file::look(check, settings, watch, memory, world),
        WatchKind::Stream(settings) => program::look(check, settings, watch, memory, world),
        WatchKind::Journal(settings) => journal::look(check, settings, watch, memory, world),
        WatchKind::Unit(settings) => unit::look(settings, check, memory, world),
    }
}

/// What the named groups of a pattern captured; a long value is cut.
fn captured(regex: &regex::Regex, line: &str) -> Captures {
    let names = || regex.capture_names().flatten();
    if names().next().is_none() {
        return Captures::default();
    }
    let Some(found) = regex.captures(line) else { return Captures::default() };
    let value = |name: &str| Some((name.to_owned(), cut(found.name(name)?.as_str(), CAPTURE).to_owned()));
    Arc::new(names().filter_map(value).collect())
}

/// The start of a text, at most `limit` bytes, ending at a character's end.
pub(super) fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}

/// The worse of two verdicts, told together.
pub(super) fn worst(status: Status, found: impl IntoIterator<Item = Status>) -> Status {
    found.into_iter().fold(status, Status::max)
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn matching(text: &str) -> Vec<(String, String)> {
        let pattern = |name: &str, regex: &str| Pattern {
            name: name.parse().unwrap(),
            regex: Regex::new(regex).unwrap(),
        };
        let patterns = [pattern("error", "ERROR"), pattern("any-digit", "[0-9]")];
        let look = Look::new(Sample::new(Status::Passing, "")).matching(&patterns, text);
        look.matches.into_iter().map(|found| (found.pattern.to_string(), found.line)).collect()
    }

    #[test]
    fn patterns_are_looked_for_in_each_line() {
        let found = matching("fine\nERROR 7\nit is 8\n");
        let wanted = [("error", "ERROR 7"), ("any-digit", "ERROR 7"), ("any-digit", "it is 8")];
        assert_eq!(found, wanted.map(|(name, line)| (name.to_owned(), line.to_owned())));
    }

    #[test]
    fn one_look_does_not_flood_the_agent_with_matches() {
        assert_eq!(matching(&"ERROR\n".repeat(10_000)).len(), 64);
        let long = matching(&format!("ERROR {}", "\u{e9}".repeat(10_000)));
        assert_eq!(long[0].1.len(), 4_096);
    }
}
