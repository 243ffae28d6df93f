//! The looks of a round: when each begins, and how many are under way at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, Stream};
use lictor_config::Peers;
use lictor_core::Now;
use lictor_core::alert::digest;
use lictor_core::peers::{Looked, Seen, Sight};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::discover::Found;
use super::look::look;
use crate::clock::Clock;
use crate::watch::World;

/// The looks of a round begin spread over so long for each peer, over this part of the time from round to round at
/// most, and never over longer than that: not all at once, and no verdict waits for the last of them. Each peer has
/// its place in the round, so that it is not longer from one look at it to the next than from round to round.
const SPREAD_EACH: Duration = Duration::from_micros(500);
const SPREAD: u32 = 10;
const SPREAD_MOST: Duration = Duration::from_millis(250);

/// What looks need, and what is remembered of them from one round to the next.
pub(super) struct Looks {
    peers: Arc<Peers>,
    world: Arc<World>,
    clock: Clock,
    /// By which the places of the peers in a round follow from their ids: another number on each node.
    places: u64,
    /// Looks at once, in each of the two lanes: of peers that answered last time, and of those that did not. What
    /// hangs holds only its like up.
    lane: usize,
    /// The peers that did not answer when they were looked at last.
    silent: BTreeSet<String>,
    /// The peers that the last round had no time for: they are looked at first in the next.
    left_out: BTreeSet<String>,
}

/// A look of a round.
#[derive(Debug)]
pub(super) struct Look {
    /// The peer's id.
    pub(super) id: String,
    /// What it found; `None` when it could not begin in time.
    pub(super) found: Option<Outcome>,
}

/// What came of a look.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) looked: Looked,
    /// Something of ours kept us from asking.
    pub(super) ours: bool,
    /// When it was over.
    pub(super) at: Now,
}

impl Looks {
    /// Nothing was looked at yet; so many at once.
    pub(super) fn new(peers: Arc<Peers>, world: Arc<World>, clock: Clock, at_once: usize) -> Self {
        Self {
            peers,
            world,
            clock,
            places: rand::random(),
            lane: (at_once / 2).max(1),
            silent: BTreeSet::new(),
            left_out: BTreeSet::new(),
        }
    }

    /// Looks at all of them, and gives each look when it is over. A round comes to its end within its time, however
    /// many hang: a look that could not begin by then is left to the next.
    pub(super) fn begin(&mut self, targets: Vec<Found>) -> impl Stream<Item = Look> + Send + use<> {
        let (begun, spread) = (Instant::now(), self.spread(targets.len()));
        let longest = self.peers.every.max(self.peers.timeout);
        let latest = begun + (longest - self.peers.timeout).max(spread);
        let (quick, slow) = (Arc::new(Semaphore::new(self.lane)), Arc::new(Semaphore::new(self.lane)));
        let (before, left_out) = (std::mem::take(&mut self.silent), std::mem::take(&mut self.left_out));
        let looks = FuturesUnordered::new();
        for found in targets {
            let was_silent = before.contains(&found.id);
            if was_silent {
                self.silent.insert(found.id.clone());
            }
            let lane = Arc::clone(if was_silent { &slow } else { &quick });
            let place = if left_out.contains(&found.id) { 0.0 } else { place(self.places, &found.id) };
            let (peers, world, clock) =
                (Arc::clone(&self.peers), Arc::clone(&self.world), self.clock.clone());
            looks.push(
                async move {
                    sleep_until(begun + spread.mul_f64(place)).await;
                    let Ok(Ok(_permit)) = timeout_at(latest, lane.acquire()).await else {
                        return Look { id: found.id, found: None };
                    };
                    let super::look::Looked { seen, mesh, address, ours, .. } =
                        look(&found, &peers, &world).await;
                    let says = mesh.map(|mesh| (mesh.node, mesh.sees.into_iter().map(sight).collect()));
                    let looked = Looked { seen, address, says };
                    Look { id: found.id, found: Some(Outcome { looked, ours, at: clock.now() }) }
                }
                .boxed(),
            );
        }
        looks
    }

    /// Remembers what came of a look.
    pub(super) fn remember(&mut self, look: &Look) {
        match &look.found {
            None => drop(self.left_out.insert(look.id.clone())),
            Some(Outcome { looked: Looked { seen: Seen::Silent { .. }, .. }, .. }) => {
                self.silent.insert(look.id.clone());
            }
            Some(_) => drop(self.silent.remove(&look.id)),
        }
    }

    /// How many peers the round had no time for so far.
    pub(super) fn left_out(&self) -> usize {
        self.left_out.len()
    }

    /// Over how long the looks at so many begin.
    pub(super) fn spread(&self, peers: usize) -> Duration {
        let each = SPREAD_EACH.saturating_mul(u32::try_from(peers).unwrap_or(u32::MAX));
        each.min(self.peers.every / SPREAD).min(SPREAD_MOST)
    }
}

/// The place of a peer in a round: from 0 to 1, the same in each.
fn place(places: u64, id: &str) -> f64 {
    digest(&format!("{places} {id}")) as f64 / u64::MAX as f64
}

fn sight(sight: super::look::Sight) -> Sight {
    let super::look::Sight { peer, up, since_s, age_s, told, waits_s } = sight;
    let (since, age) = (Duration::from_secs(since_s), Duration::from_secs(age_s));
    Sight { peer, up, since, age, told, waits: waits_s.map(Duration::from_secs) }
}

#[cfg(test)]
#[path = "looks/tests.rs"]
mod tests;
