//! Rounds: who the peers are, how each stands, and what follows from it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{Either, select};
use futures::{StreamExt as _, stream};
use lictor_config::{Announce, Peers, WhoTells};
use lictor_core::Now;
use lictor_core::alert::{Input, Source, digest};
use lictor_core::peers::{Looked, Mesh, MeshView, Peer, Seen, Sight};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use super::discover::{Finder, Found, Round};
use super::keep::Keep;
use super::look::look;
use super::report::Reporter;
use super::watching::Said;
use crate::alert::Feed;
use crate::clock::Clock;
use crate::inbox::Gone;
use crate::watch::World;

/// Looks at once: file descriptors.
const LOOKS: usize = 512;

/// How long the alerts may take to say what nobody has accepted: a verdict must not wait for that.
const ASK: Duration = Duration::from_secs(1);

/// The looks of a round begin spread over this part of it, at most so long; each peer has its place in it, so that it
/// is not longer from one look at it to the next than from round to round.
const SPREAD: u32 = 10;
const SPREAD_MOST: Duration = Duration::from_millis(250);

/// Rounds follow each other sooner than is written, at random, by this much at most: nodes that started together must
/// not all ask at once, and nobody is to wait longer for what is wrong than is written.
const JITTER: f64 = 0.05;

/// What watches the peers, until it is dropped.
pub(super) struct Rounds {
    pub(super) peers: Arc<Peers>,
    pub(super) mesh: Mesh,
    pub(super) finder: Finder,
    pub(super) world: Arc<World>,
    pub(super) keep: Keep,
    pub(super) reporter: Reporter,
    pub(super) feed: Feed,
    pub(super) clock: Clock,
    pub(super) view: watch::Sender<Arc<MeshView>>,
    pub(super) said: watch::Sender<Arc<Said>>,
    /// By which the places of the peers in a round follow from their ids: another number on each node.
    pub(super) places: u64,
    /// Where the peers were found last.
    pub(super) found: BTreeMap<String, Found>,
    /// Why they are not found, once that was said.
    pub(super) lost: Option<String>,
    /// Why nobody can be asked, once that was said.
    pub(super) blind: Option<String>,
    /// Everything is to be told anew.
    pub(super) anew: Arc<AtomicBool>,
}

impl Rounds {
    /// Watches until the agent stops.
    pub(super) async fn run(mut self) {
        let found = self.finder.find().await;
        self.take(found);
        loop {
            let begun = Instant::now();
            if self.round().await.is_err() {
                return;
            }
            let jitter = 1.0 - JITTER * rand::random::<f64>();
            sleep_until(begun + self.peers.every.mul_f64(jitter)).await;
        }
    }

    /// Looks at those that are known, and finds out meanwhile who they are: a name server that hangs holds no verdict up.
    async fn round(&mut self) -> Result<(), Gone> {
        let mut finder = self.finder.clone();
        let (looks, find) = (self.looks(), async move {
            let found = finder.find().await;
            (finder, found)
        });
        let find = std::pin::pin!(find);
        let (looks, find) = match select(Box::pin(looks), find).await {
            Either::Left((looks, find)) => (looks, Either::Left(find)),
            Either::Right((found, looks)) => (looks.await, Either::Right(found)),
        };
        self.hear(looks);
        match find {
            Either::Right((finder, found)) => {
                self.finder = finder;
                self.take(found);
                self.settle().await
            }
            Either::Left(find) => {
                let settled = self.settle().await;
                let (finder, found) = find.await;
                self.finder = finder;
                self.take(found);
                settled
            }
        }
    }

    /// The looks of a round.
    fn looks(&self) -> impl Future<Output = Vec<(String, Result<Looked, Looked>, Now)>> + Send + use<> {
        look_at(
            self.targets(),
            self.places,
            Arc::clone(&self.peers),
            Arc::clone(&self.world),
            self.clock.clone(),
        )
    }

    /// Where those are that this node is to look at.
    fn targets(&self) -> Vec<Found> {
        let known =
            |peer: &Peer| self.found.get(&peer.id).filter(|found| !found.addresses.is_empty()).cloned();
        let find = |peer: &Peer| known(peer).or_else(|| placed(peer));
        self.mesh.to_look_at().filter_map(find).collect()
    }

    /// Takes the looks of a round. What kept us from asking anybody is a fault of ours; what kept us from asking one of
    /// several is the way to it.
    fn hear(&mut self, looks: Vec<(String, Result<Looked, Looked>, Now)>) {
        let blind = !looks.is_empty() && looks.iter().all(|(_, looked, _)| looked.is_err());
        let why = looks.iter().find_map(|(_, looked, _)| match looked {
            Err(Looked { seen: Seen::Silent { why }, .. }) if blind => Some(why.clone()),
            Err(_) | Ok(_) => None,
        });
        if self.blind != why
            && let Some(why) = &why
        {
            warn!(%why, "no peer can be asked");
        }
        self.blind.clone_from(&why);
        self.mesh.cannot_ask(why);
        if blind {
            return;
        }

        for (id, looked, at) in looks {
            let (Ok(looked) | Err(looked)) = looked;
            self.mesh.looked(&id, looked, at);
        }
    }

    fn take(&mut self, found: Result<Round, String>) {
        let now = self.clock.now();
        match found {
            Ok(Round { peers, own }) => {
                self.mesh.is_us(&own);
                if self.lost.take().is_some() {
                    info!(peers = peers.len(), "peers are found again");
                }
                self.mesh.found(peers.iter().map(named).collect(), own.into_iter().next(), now);
                self.found = peers.into_iter().map(|found| (found.id.clone(), found)).collect();
            }
            Err(why) => {
                if self.lost.as_ref() != Some(&why) {
                    warn!(%why, "peers cannot be found; the last known ones are watched on");
                }
                self.mesh.not_found(&why, now);
                self.lost = Some(why);
            }
        }
    }

    /// Finds out whether what this node told of its peers has been accepted: the others wait for it.
    async fn hear_of_words(&mut self) {
        if self.peers.tell == WhoTells::Each {
            return;
        }
        let told: Vec<_> = self.mesh.told().map(|peer| (peer.id.clone(), self.reporter.key(peer))).collect();
        if told.is_empty() {
            return;
        }
        let Ok(Some(waiting)) = timeout(ASK, self.feed.waiting()).await else { return };
        let now = self.clock.now();
        for (id, key) in told {
            self.mesh.waits(&id, waiting.contains(&key), now);
        }
    }

    /// Judges, records and tells.
    async fn settle(&mut self) -> Result<(), Gone> {
        self.hear_of_words().await;
        let all = self.anew.swap(false, Ordering::AcqRel);
        let now = self.clock.now();
        let always = self.peers.announce == Announce::Always;
        let changes = self.mesh.judge(all || always, now);
        // What was told must be known after a crash as well: before it is told.
        let known = self.mesh.known();
        let peers: Vec<Peer> = known.iter().map(|known| known.peer.clone()).collect();
        let (reports, gone) = self.reporter.of(changes, &peers, now);
        self.keep.put(known).await;
        // Whoever writes down how they stand must not do so before it was seen what stood there.
        self.view.send_replace(Arc::new(self.mesh.view(now)));
        self.said.send_replace(Arc::new(Said { at: now, sees: self.mesh.sights(now) }));
        if all || !reports.is_empty() || !gone.is_empty() {
            let source = Source::peers();
            self.feed.input(Input::Reports { source, complete: all, reports, gone }).await?;
        }
        Ok(())
    }
}

/// Looks at all of them at once.
async fn look_at(
    targets: Vec<Found>,
    places: u64,
    peers: Arc<Peers>,
    world: Arc<World>,
    clock: Clock,
) -> Vec<(String, Result<Looked, Looked>, Now)> {
    let spread = (peers.every / SPREAD).min(SPREAD_MOST);
    let looks = targets.into_iter().map(|found| {
        let (peers, world, clock) = (Arc::clone(&peers), Arc::clone(&world), clock.clone());
        async move {
            sleep(spread.mul_f64(place(places, &found.id))).await;
            let super::look::Looked { seen, mesh, address, ours, .. } = look(&found, &peers, &world).await;
            let says = mesh.map(|mesh| (mesh.node, mesh.sees.into_iter().map(sight).collect()));
            let looked = Looked { seen, address, says };
            let looked = if ours { Err(looked) } else { Ok(looked) };
            (found.id, looked, clock.now())
        }
    });
    stream::iter(looks).buffer_unordered(LOOKS).collect().await
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

fn named(found: &Found) -> Peer {
    let addresses = found.addresses.iter().map(SocketAddr::ip).collect();
    Peer { id: found.id.clone(), host: found.host.clone(), addresses }
}

/// Where a peer was when it was known last; none where its id has no port.
fn placed(peer: &Peer) -> Option<Found> {
    let port: u16 = peer.id.rsplit_once(':')?.1.parse().ok()?;
    let addresses = peer.addresses.iter().map(|address| (*address, port).into()).collect();
    Some(Found { id: peer.id.clone(), host: peer.host.clone(), port, addresses })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_its_place_in_a_round_and_all_together_fill_it() {
        let places: Vec<f64> = (0..1_000).map(|peer| place(7, &format!("n{peer}:5988"))).collect();
        assert!(places.iter().all(|place| (0.0..=1.0).contains(place)));
        let early = places.iter().filter(|place| **place < 0.5).count();
        assert!((400..600).contains(&early), "{early}");
        assert_eq!(places[3], place(7, "n3:5988"), "the same in each round");
        assert_ne!(places[3], place(8, "n3:5988"), "another one on another node");
    }
}
