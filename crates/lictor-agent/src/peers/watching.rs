//! The watching of peers, as the configuration in force has it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lictor_config::{Config, Discovery, Peers};
use lictor_consul::Client;
use lictor_core::alert::{Input, Source};
use lictor_core::peers::{Mesh, MeshPlan, MeshView, Sight};
use lictor_core::{NotifierName, Now};
use lictor_store::Kv;
use tokio::sync::{Mutex, watch};
use tracing::warn;

use super::discover::Finder;
use super::keep::Keep;
use super::looks::Looks;
use super::report::{Customs, Reporter};
use super::round::Rounds;
use crate::alert::Feed;
use crate::clock::Clock;
use crate::probe;
use crate::task::{OnEnd, Tasks};
use crate::watch::World;

/// How long the rounds of before may take to end.
const ENDS: Duration = Duration::from_secs(3);

/// What the watching of peers needs of the agent.
pub(crate) struct Means {
    pub(crate) node: String,
    pub(crate) feed: Feed,
    pub(crate) kv: Kv,
    pub(crate) clock: Clock,
    pub(crate) consul: Option<Client>,
    pub(crate) customs: Option<Arc<dyn Customs>>,
    pub(crate) tasks: Tasks,
}

/// The watching of peers. Clones are the same.
#[derive(Clone)]
pub(crate) struct Watching(Arc<Shared>);

struct Shared {
    means: Means,
    view: watch::Sender<Arc<MeshView>>,
    said: watch::Sender<Arc<Said>>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    applied: bool,
    /// The rounds are to tell everything anew.
    anew: Arc<AtomicBool>,
    peers: Option<Arc<Peers>>,
    notifiers: Vec<NotifierName>,
    tasks: Option<Tasks>,
}

/// What this node says of the others, as of then.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) at: Now,
    pub(super) sees: Vec<Sight>,
}

impl Watching {
    /// Nobody is watched before [`Watching::apply`].
    pub(crate) fn new(means: Means) -> Self {
        let view = watch::Sender::new(Arc::new(nobody(&means.node)));
        let said = watch::Sender::new(Arc::new(Said { at: means.clock.now(), sees: Vec::new() }));
        Self(Arc::new(Shared { means, view, said, running: Mutex::default() }))
    }

    /// Puts a configuration in force.
    pub(crate) async fn apply(&self, config: &Config) {
        let Shared { means, view, said, running } = &*self.0;
        let mut running = running.lock().await;
        let notifiers: Vec<_> = config.notifiers.keys().cloned().collect();
        if running.applied && running.peers == config.peers && running.notifiers == notifiers {
            // Those who are told may have changed.
            running.anew.store(true, Ordering::Release);
            return;
        }
        running.applied = true;
        if let Some(tasks) = running.tasks.take()
            && !tasks.drain(ENDS).await
        {
            warn!("the rounds of before did not end in time");
        }
        let before = std::mem::replace(&mut running.peers, config.peers.clone());
        running.notifiers.clone_from(&notifiers);
        let Some(peers) = config.peers.clone() else {
            view.send_replace(Arc::new(nobody(&means.node)));
            Keep::open(means.kv.clone()).await.0.put(Vec::new()).await;
            return self.withdraw();
        };
        let (keep, known) = Keep::open(means.kv.clone()).await;
        running.anew = Arc::new(AtomicBool::new(true));
        let recorded = known.iter().filter_map(|known| Some((known.peer.id.clone(), known.stood?))).collect();
        let mut mesh = Mesh::new(plan(&means.node, &peers), known);
        let found_otherwise = before.is_some_and(|before| before.discovery != peers.discovery);
        if found_otherwise || matches!(peers.discovery, Discovery::Static(_)) {
            // Only whom a name server or a catalog ceases to name has vanished.
            mesh.other_peers();
        }
        // Over a reload what was seen is shown and said until there is something newer.
        view.send_if_modified(|view| {
            let first = !view.watching;
            if first {
                *view = Arc::new(mesh.view(means.clock.now()));
            }
            first
        });
        let tasks = Tasks::new();
        self.end_with_agent(&tasks);
        let world = World::new(tasks.clone(), means.clock.clone());
        let looks =
            Looks::new(Arc::clone(&peers), Arc::clone(&world), means.clock.clone(), world.looks_at_peers());
        let rounds = Rounds {
            mesh,
            finder: Finder::new(&means.node, &peers, means.consul.clone(), world),
            looks,
            keep,
            reporter: Reporter::new(&means.node, &peers, notifiers, means.customs.clone(), recorded),
            feed: means.feed.clone(),
            clock: means.clock.clone(),
            view: view.clone(),
            said: said.clone(),
            found: BTreeMap::new(),
            lost: None,
            blind: None,
            crowded: false,
            anew: Arc::clone(&running.anew),
            peers,
        };
        let stop = tasks.stopping();
        let work = async move {
            tokio::select! {
                () = stop.cancelled_owned() => {}
                () = rounds.run() => {}
            }
        };
        drop(tasks.spawn_draining("peers", OnEnd::Fine, work));
        running.tasks = Some(tasks);
    }

    /// Ends the rounds when the agent ends.
    fn end_with_agent(&self, rounds: &Tasks) {
        let (agent, rounds) = (self.0.means.tasks.stopping(), rounds.clone());
        let over = rounds.stopping();
        let work = async move {
            tokio::select! {
                () = agent.cancelled() => drop(rounds.drain(ENDS).await),
                () = over.cancelled() => {}
            }
        };
        drop(self.0.means.tasks.spawn_draining("rounds of peers", OnEnd::Fine, work));
    }

    /// What was told of peers that nobody watches any more is over.
    fn withdraw(&self) {
        let Means { feed, tasks, .. } = &self.0.means;
        let (feed, nothing) = (
            feed.clone(),
            Input::Reports { source: Source::peers(), complete: true, reports: Vec::new(), gone: Vec::new() },
        );
        let work = async move {
            // The agent stops.
            let _gone = feed.input(nothing).await;
        };
        drop(tasks.spawn("peers that are no longer watched", OnEnd::Fine, work));
    }

    /// How the mesh stands, after each round.
    pub(crate) fn view(&self) -> watch::Receiver<Arc<MeshView>> {
        self.0.view.subscribe()
    }

    /// What this node says to those who ask its probe; none while it watches nobody.
    pub(crate) fn says(&self) -> Option<probe::MeshAnswer> {
        self.0.view.borrow().at?;
        let said = Arc::clone(&self.0.said.borrow());
        let later = self.0.means.clock.now().boot.since(said.at.boot);
        let older = |sight: &Sight| Sight {
            since: sight.since + later,
            age: sight.age + later,
            waits: sight.waits.map(|waits| waits + later),
            ..sight.clone()
        };
        let sees = said.sees.iter().map(older);
        Some(probe::MeshAnswer { node: self.0.means.node.clone(), sees: sees.collect() })
    }
}

fn nobody(node: &str) -> MeshView {
    MeshView {
        node: node.to_owned(),
        watching: false,
        at: None,
        peers: Vec::new(),
        of_us: Vec::new(),
        lost: None,
        cut_off: None,
        groups: Vec::new(),
    }
}

fn plan(node: &str, peers: &Peers) -> MeshPlan {
    MeshPlan {
        node: node.to_owned(),
        every: peers.every,
        timeout: peers.timeout,
        fail_after: peers.fail_after,
        pass_after: peers.pass_after,
        confirm: peers.confirm,
        tell: peers.tell,
        watchers: peers.watchers,
        vanished: peers.vanished,
    }
}
