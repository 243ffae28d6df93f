//! What a look asks a qBittorrent.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lictor_config::Qbittorrent;
use tokio::time::Instant;

use super::Past;
use crate::qbittorrent::{Client, Connection, Fresh, Hash, Host, Picture, Problem, Row, State, TrackerName};

/// Torrents of the tracker that are asked about in one look; the first that works is enough.
const ASKED: usize = 25;

/// Other trackers that are asked about when that one does not work.
const OTHERS: usize = 5;

/// Torrents of each of those.
const OF_EACH: usize = 3;

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) connection: Connection,
    pub(super) version: String,
    pub(super) torrents: usize,
    pub(super) running: usize,
    pub(super) dht_nodes: Option<u64>,
    pub(super) external: Vec<IpAddr>,
    /// `None`: no tracker is configured.
    pub(super) tracker: Option<TrackerSeen>,
}

/// What was seen of the tracker that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TrackerSeen {
    pub(super) name: String,
    /// Torrents of it that run.
    pub(super) torrents: usize,
    /// Of those that were asked about, where it works, and where it does not. Of the others nothing
    /// is known yet.
    pub(super) working: usize,
    pub(super) failing: usize,
    /// Other trackers with running torrents, as far as they were asked about.
    pub(super) others: Others,
}

/// What was seen of other trackers. Nothing, unless the one that matters does not work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Others {
    pub(super) working: usize,
    pub(super) failing: usize,
}

pub(super) async fn ask(
    client: &Client,
    settings: &Qbittorrent,
    past: &mut Past,
    until: Instant,
) -> Result<Seen, Problem> {
    let wanted = settings.tracker.as_deref().map(TrackerName::new);
    let (mut seen, candidates) = {
        let picture = client.picture(Fresh::Changes, until).await?;
        let candidates = wanted.as_ref().map(|tracker| Candidates::of(&picture, tracker));
        (Seen::of(&picture)?, candidates)
    };
    seen.version = client.version(until).await?;
    if let (Some(tracker), Some(candidates)) = (wanted, candidates) {
        seen.tracker = Some(candidates.ask(client, &tracker, past, until).await?);
    }
    Ok(seen)
}

impl Seen {
    fn of(picture: &Picture) -> Result<Self, Problem> {
        let strange =
            || Problem::Barred("qBittorrent does not say in known words how it is connected".to_owned());
        Ok(Self {
            connection: picture.connection().ok_or_else(strange)?,
            version: String::new(),
            torrents: picture.len(),
            running: picture.count(State::runs),
            dht_nodes: picture.dht_nodes(),
            external: picture.external().collect(),
            tracker: None,
        })
    }
}

/// Running torrents that can be asked about.
struct Candidates {
    ours: Vec<Hash>,
    others: BTreeMap<Host, Vec<Hash>>,
}

impl Candidates {
    fn of(picture: &Picture, tracker: &TrackerName) -> Self {
        let mut ours = picture.of_tracker(tracker);
        ours.retain(|hash| picture.get(hash).is_some_and(|torrent| torrent.state.runs()));
        Self { ours, others: picture.of_others(tracker) }
    }

    /// Asks about one torrent after the other until the tracker is seen to work.
    async fn ask(
        self,
        client: &Client,
        tracker: &TrackerName,
        past: &mut Past,
        until: Instant,
    ) -> Result<TrackerSeen, Problem> {
        let mut seen =
            TrackerSeen { name: tracker.to_string(), torrents: self.ours.len(), ..TrackerSeen::default() };
        for hash in self.in_turn(past) {
            match told(client, &hash, |host| tracker.covers(host), until).await? {
                Told::Works => {
                    seen.working += 1;
                    past.working = Some(hash);
                    return Ok(seen);
                }
                Told::Fails => seen.failing += 1,
                Told::Nothing => {}
            }
        }
        past.working = None;
        if seen.failing > 0 {
            seen.others = self.ask_others(client, past.turn, until).await?;
        }
        Ok(seen)
    }

    /// Whether trackers of other hosts work: then it is not our connection.
    async fn ask_others(&self, client: &Client, turn: usize, until: Instant) -> Result<Others, Problem> {
        let mut seen = Others::default();
        for (host, hashes) in rotated(self.others.iter(), turn).into_iter().take(OTHERS) {
            let mut failing = false;
            for hash in rotated(hashes.iter(), turn).into_iter().take(OF_EACH) {
                match told(client, hash, |other| other == host, until).await? {
                    Told::Works => {
                        seen.working += 1;
                        return Ok(seen);
                    }
                    Told::Fails => failing = true,
                    Told::Nothing => {}
                }
            }
            seen.failing += usize::from(failing);
        }
        Ok(seen)
    }

    /// Those to ask about: what worked last, then others, each look beginning elsewhere.
    fn in_turn(&self, past: &mut Past) -> Vec<Hash> {
        let first = past.working.clone().filter(|hash| self.ours.binary_search(hash).is_ok());
        let rest =
            rotated(self.ours.iter(), past.turn).into_iter().filter(|hash| Some(*hash) != first.as_ref());
        let asked = first.iter().chain(rest).take(ASKED).cloned().collect();
        past.turn = past.turn.wrapping_add(ASKED);
        asked
    }
}

/// All of them, beginning at a place.
fn rotated<T>(all: impl ExactSizeIterator<Item = T>, from: usize) -> Vec<T> {
    let from = from.checked_rem(all.len()).unwrap_or_default();
    let mut all: Vec<T> = all.collect();
    all.rotate_left(from);
    all
}

/// What the trackers of a torrent that are meant said.
enum Told {
    Works,
    Fails,
    /// Neither: not asked yet, being asked, switched off, or the torrent is gone.
    Nothing,
}

async fn told(
    client: &Client,
    hash: &Hash,
    meant: impl Fn(&Host) -> bool,
    until: Instant,
) -> Result<Told, Problem> {
    let rows = client.trackers(hash, until).await?.unwrap_or_default();
    let rows = || rows.iter().filter(|row| meant(&row.host));
    Ok(if rows().any(Row::works) {
        Told::Works
    } else if rows().any(Row::fails) {
        Told::Fails
    } else {
        Told::Nothing
    })
}
