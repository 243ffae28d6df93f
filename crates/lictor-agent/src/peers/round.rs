//! Rounds: who the peers are, how each stands, and what follows from it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use lictor_config::{Announce, Peers, WhoTells};
use lictor_core::Now;
use lictor_core::alert::{Input, Source};
use lictor_core::peers::{Changes, Looked, Mesh, MeshView, Peer, Seen};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::discover::{Finder, Found, Round};
use super::keep::Keep;
use super::looks::{Look, Looks, Outcome};
use super::report::Reporter;
use super::watching::Said;
use crate::alert::Feed;
use crate::clock::Clock;
use crate::inbox::Gone;

/// How long the alerts may take to say what nobody has accepted: a verdict must not wait for that.
const ASK: Duration = Duration::from_secs(1);

/// Rounds follow each other sooner than is written, at random, by this much at most: nodes that started together must
/// not all ask at once, and nobody is to wait longer for what is wrong than is written.
const JITTER: f64 = 0.1;

/// A peer that is news is judged when the looks of its round have all begun and had so long besides: those that answer
/// at all have mostly answered by then. So it is told together with what went away with it, and with what others see.
const ANSWERS: Duration = Duration::from_millis(25);

/// What watches the peers, until it is dropped.
pub(super) struct Rounds {
    pub(super) peers: Arc<Peers>,
    pub(super) mesh: Mesh,
    pub(super) finder: Finder,
    pub(super) looks: Looks,
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
    /// Why nobody can be asked, once that was said.
    pub(super) blind: Option<String>,
    /// It was said that a round has not the time for all.
    pub(super) crowded: bool,
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
        let mut find = pin!(async move {
            let found = finder.find().await;
            (finder, found)
        });
        let targets = self.targets();
        let gather = self.looks.spread(targets.len()) + ANSWERS;
        let mut looks = pin!(self.looks.begin(targets));
        let (mut found, mut early, mut heard) = (None, None, Heard::default());
        loop {
            tokio::select! {
                look = looks.next() => {
                    let Some(look) = look else { break };
                    if self.hear(look, &mut heard) {
                        early.get_or_insert_with(|| Instant::now() + gather);
                    }
                }
                answer = &mut find, if found.is_none() => found = Some(answer),
                () = sleep_until(early.unwrap_or_else(Instant::now)), if early.is_some() => {
                    early = None;
                    for look in self.settle_early(&mut looks).await? {
                        if self.hear(look, &mut heard) {
                            early.get_or_insert_with(|| Instant::now() + gather);
                        }
                    }
                }
            }
        }
        self.heard_all(heard);
        if let Some((finder, found)) = found {
            self.finder = finder;
            self.take(found);
            return self.settle().await;
        }
        let settled = self.settle().await;
        let (finder, found) = find.await;
        self.finder = finder;
        self.take(found);
        settled
    }

    /// Where those are that this node is to look at.
    fn targets(&self) -> Vec<Found> {
        let known =
            |peer: &Peer| self.found.get(&peer.id).filter(|found| !found.addresses.is_empty()).cloned();
        let find = |peer: &Peer| known(peer).or_else(|| placed(peer));
        self.mesh.to_look_at().filter_map(find).collect()
    }

    /// Takes a look. Whether its peer is news that need not wait for the end of the round.
    fn hear(&mut self, look: Look, heard: &mut Heard) -> bool {
        self.looks.remember(&look);
        let Look { id, found: Some(Outcome { looked, ours, at }) } = look else { return false };
        if ours {
            heard.ours.push((id, looked, at));
            return false;
        }
        heard.asked = true;
        self.mesh.looked(&id, looked, at);
        self.mesh.is_news(&id)
    }

    /// All looks of a round are over. What kept us from asking anybody is a fault of ours; what kept us from asking one
    /// of several is the way to it.
    fn heard_all(&mut self, Heard { asked, ours }: Heard) {
        let blind = !asked && !ours.is_empty();
        let why = ours.iter().find_map(|(_, looked, _)| match &looked.seen {
            Seen::Silent { why } if blind => Some(why.clone()),
            Seen::Silent { .. } | Seen::Report { .. } | Seen::Junk { .. } | Seen::Refused { .. } => None,
        });
        if self.blind != why
            && let Some(why) = &why
        {
            warn!(%why, "no peer can be asked");
        }
        self.blind.clone_from(&why);
        self.mesh.cannot_ask(why);
        let left_out = self.looks.left_out();
        if left_out > 0 && !self.crowded {
            warn!(left_out, "a round has not the time to look at all peers: they take turns");
        }
        self.crowded = left_out > 0;
        if blind {
            return;
        }
        for (id, looked, at) in ours {
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

    /// The round is over: judges, records and tells.
    async fn settle(&mut self) -> Result<(), Gone> {
        self.hear_of_words().await;
        let all = self.anew.swap(false, Ordering::AcqRel);
        let now = self.clock.now();
        let always = self.peers.announce == Announce::Always;
        let changes = self.mesh.judge(all || always, now);
        self.tell(changes, all, now).await
    }

    /// The round is not over: judges, records and tells what need not wait for that. Looks go on meanwhile, each by its
    /// own time; those that end are given back.
    async fn settle_early(
        &mut self,
        looks: &mut (impl Stream<Item = Look> + Unpin),
    ) -> Result<Vec<Look>, Gone> {
        let now = self.clock.now();
        let peers = self.mesh.judge_early(now);
        let mut ended = Vec::new();
        if !peers.is_empty() {
            let mut told = pin!(self.tell(Changes { peers, ..Changes::default() }, false, now));
            loop {
                tokio::select! {
                    told = &mut told => break told?,
                    Some(look) = looks.next() => ended.push(look),
                }
            }
        }
        Ok(ended)
    }

    async fn tell(&mut self, changes: Changes, all: bool, now: Now) -> Result<(), Gone> {
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

/// What was heard in a round.
#[derive(Default)]
struct Heard {
    /// Somebody was asked.
    asked: bool,
    /// Looks that something of ours kept us from.
    ours: Vec<(String, Looked, Now)>,
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
