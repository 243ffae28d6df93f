//! Rounds: who the peers are, how each stands, and what follows from it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use lictor_config::{Announce, Peers};
use lictor_core::Now;
use lictor_core::alert::Input;
use lictor_core::peers::{Looked, Mesh, MeshView, Peer, Sight};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
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

/// The looks of a round begin spread over this part of it, at most so long.
const SPREAD: u32 = 10;
const SPREAD_MOST: Duration = Duration::from_millis(250);

/// Rounds are this much apart from what is written, at random: nodes that started together must not
/// all ask at once.
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
    /// Where the peers were found last.
    pub(super) found: BTreeMap<String, Found>,
    /// Why they are not found, once that was said.
    pub(super) lost: Option<String>,
}

impl Rounds {
    /// Watches until the agent stops.
    pub(super) async fn run(mut self) {
        let mut first = true;
        loop {
            let begun = Instant::now();
            self.round(first).await;
            if self.settle(first).await.is_err() {
                return;
            }
            first = false;
            let jitter = 1.0 + JITTER * (2.0 * rand::random::<f64>() - 1.0);
            sleep_until(begun + self.peers.every.mul_f64(jitter)).await;
        }
    }

    /// Finds out who they are and looks at those that are known, both at once: a name server that hangs
    /// holds nobody up.
    async fn round(&mut self, first: bool) {
        if first {
            let found = self.finder.find().await;
            self.take(found);
            let looks = self.looks().await;
            return self.hear(looks);
        }
        let looks = self.looks();
        let (found, looks) = tokio::join!(self.finder.find(), looks);
        self.hear(looks);
        self.take(found);
    }

    /// The looks of a round.
    fn looks(&self) -> impl Future<Output = Vec<(String, Option<Looked>, Now)>> + Send + use<> {
        look_at(self.targets(), Arc::clone(&self.peers), Arc::clone(&self.world), self.clock.clone())
    }

    /// Where those are that this node is to look at.
    fn targets(&self) -> Vec<Found> {
        let find = |peer: &Peer| self.found.get(&peer.id).cloned().or_else(|| placed(peer));
        self.mesh.to_look_at().filter_map(find).collect()
    }

    fn hear(&mut self, looks: Vec<(String, Option<Looked>, Now)>) {
        for (id, looked, at) in looks {
            // What we could not ask for lack of something of ours says nothing of the peer.
            if let Some(looked) = looked {
                self.mesh.looked(&id, looked, at);
            }
        }
    }

    fn take(&mut self, found: Result<Round, String>) {
        let now = self.clock.now();
        match found {
            Ok(Round { peers, own_id, own: _ }) => {
                if self.lost.take().is_some() {
                    info!(peers = peers.len(), "peers are found again");
                }
                self.mesh.found(peers.iter().map(named).collect(), own_id, now);
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

    /// Judges, records and tells.
    async fn settle(&mut self, all: bool) -> Result<(), Gone> {
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
            let source = self.reporter.source();
            self.feed.input(Input::Reports { source, complete: all, reports, gone }).await?;
        }
        Ok(())
    }
}

/// Looks at all of them at once.
async fn look_at(
    targets: Vec<Found>,
    peers: Arc<Peers>,
    world: Arc<World>,
    clock: Clock,
) -> Vec<(String, Option<Looked>, Now)> {
    let spread = (peers.every / SPREAD).min(SPREAD_MOST);
    let looks = targets.into_iter().map(|found| {
        let (peers, world, clock) = (Arc::clone(&peers), Arc::clone(&world), clock.clone());
        async move {
            sleep(spread.mul_f64(rand::random())).await;
            let super::look::Looked { seen, mesh, address, ours, .. } = look(&found, &peers, &world).await;
            let says = mesh.map(|mesh| (mesh.node, mesh.sees.into_iter().map(sight).collect()));
            let looked = (!ours).then_some(Looked { seen, address, says });
            (found.id, looked, clock.now())
        }
    });
    stream::iter(looks).buffer_unordered(LOOKS).collect().await
}

fn sight(sight: super::look::Sight) -> Sight {
    let super::look::Sight { peer, up, since_s, age_s, told } = sight;
    Sight { peer, up, since: Duration::from_secs(since_s), age: Duration::from_secs(age_s), told }
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
