//! The services of a node: which there are follows the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_config::{Cluster, ClusterService, Config};
use lictor_core::service::member::Part;
use lictor_core::{Event, ServiceName, What};
use lictor_store::kv::Kv;
use tokio::net::UdpSocket;
use tokio::sync::broadcast;
use tracing::{error, info, warn};

use super::checked::Checked;
use super::datacenters::Datacenters;
use super::first::{self, Made};
use super::follow::Next;
use super::late::Late;
use super::words::Words;
use super::{
    AskError, Guard, Pause, Service, ServiceState, Setup, Units, Voice, hooks, old, pause, roles, says,
};
use crate::clock::Clock;
use crate::decide::Recorded;
use crate::inbox::Inbox;
use crate::task::Tasks;

/// How long the task of a service may take to end, so that another one can go on with it.
pub(super) const ENDS: Duration = Duration::from_secs(4);

/// After so long in which it cannot be told how a service stands here its lease is let go. PID 1 answers within
/// 15 s or not at all, and what has failed once is tried once more; reading all its units again takes it less.
const BLIND: Duration = Duration::from_secs(30);

/// Bytes of the shortest key of a cluster.
const SHORTEST: usize = 16;

/// What a service is on this machine.
pub struct Here {
    /// Its units.
    pub units: Arc<dyn Units>,
    /// What guards them.
    pub guard: Arc<dyn Guard>,
    /// For how long what an earlier process left running is guarded.
    pub guarded: Duration,
}

/// Finds what a service is on this machine; on failure why it cannot be run here.
pub type Machine = Arc<dyn Fn(Arc<ClusterService>) -> BoxFuture<'static, Result<Here, String>> + Send + Sync>;

/// What the services work with.
pub(crate) struct Means {
    pub(crate) node: String,
    pub(crate) boot: String,
    pub(crate) clock: Clock,
    pub(crate) inbox: Inbox,
    pub(crate) live: broadcast::Sender<Recorded>,
    pub(crate) machine: Machine,
    pub(crate) tasks: Tasks,
}

/// The services of a node. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Services(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) means: Means,
    records: Option<Datacenters>,
    /// The way to the other nodes, and where they find this one.
    words: Option<(Words, SocketAddr)>,
    /// The highest tokens that were seen of services, to go on from where a record is made anew.
    highest: Mutex<BTreeMap<String, u64>>,
    running: Mutex<BTreeMap<String, Running>>,
    /// One after the other.
    pub(super) applying: tokio::sync::Mutex<()>,
}

pub(super) struct Running {
    pub(super) config: Arc<ClusterService>,
    pub(super) service: Service,
    tasks: Tasks,
    /// What becomes of it when what it has under way is over, if its configuration has changed.
    pub(super) next: Option<Next>,
}

/// How a service stands, as this node sees it.
#[derive(Clone, Debug)]
pub struct ServiceView {
    /// As it is configured here.
    pub config: Arc<ClusterService>,
    /// How it stands.
    pub state: ServiceState,
    /// The token under which this node may run it now.
    pub believes: Option<u64>,
}

impl Services {
    /// None run before [`Services::apply`].
    ///
    /// # Errors
    /// Why the nodes cannot speak to each other, or to Consul.
    pub(crate) async fn new(config: &Config, means: Means) -> Result<Self, String> {
        let records = match &config.consul {
            Some(settings) if !config.services.is_empty() || config.cluster.is_some() => {
                Some(Datacenters::new(settings)?)
            }
            Some(_) | None => None,
        };
        let words = match &config.cluster {
            Some(cluster) if records.is_some() => Some(words(cluster, &means).await?),
            Some(_) | None => None,
        };
        let (highest, running, applying) =
            (Mutex::default(), Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self(Arc::new(Shared { means, records, words, highest, running, applying })))
    }

    /// Puts a configuration in force; what could not be done of it, in words.
    pub(crate) async fn apply(&self, config: &Config) -> Vec<String> {
        let Shared { means, records, words, applying, .. } = &*self.0;
        let _one = applying.lock().await;
        let mut told = Vec::new();
        if let (Some(records), Some(settings)) = (records, &config.consul)
            && let Err(why) = records.renew(settings)
        {
            told.push(format!("the token for the services stays the one of before: {why}"));
        }
        if let (Some((words, _)), Some(cluster)) = (words, &config.cluster) {
            match keys(cluster) {
                Ok(keys) => words.renew(keys),
                Err(why) => told.push(format!("the key of the cluster stays the one of before: {why}")),
            }
        }
        let ours = |service: &&Arc<ClusterService>| service.place(&means.node).is_some();
        let wanted: BTreeMap<&str, &Arc<ClusterService>> =
            config.services.values().filter(ours).map(|service| (service.name.as_str(), service)).collect();
        for view in self.all() {
            let name = view.config.name.as_str();
            told.extend(self.becomes(&view, wanted.get(name).copied()).await);
        }
        let running: Vec<String> = self.running().keys().cloned().collect();
        for (name, service) in wanted {
            if running.iter().any(|one| one == name) && self.running().contains_key(name) {
                continue;
            }
            let stays = self.running().values().find_map(|other| {
                let shared = other.config.units.iter().any(|unit| service.units.contains(unit));
                shared.then(|| other.config.name.clone())
            });
            if let Some(stays) = stays {
                told.push(format!(
                    "the service {name} cannot begin: its units are those of {stays}, which stays"
                ));
                continue;
            }
            match records {
                Some(_) => self.start(service).await,
                None => told.push(format!(
                    "the service {name} is the first one here: it needs a restart of the agent"
                )),
            }
        }
        told.iter().for_each(|told| warn!("{told}"));
        told
    }

    /// Ends the task of a service; its units go on, as over a restart of the agent.
    pub(super) async fn end(&self, name: &str) {
        self.remember(name);
        let ended = self.running().remove(name);
        if let Some(Running { tasks, .. }) = ended
            && !tasks.drain(ENDS).await
        {
            warn!(service = name, "its task did not end in time");
        }
    }

    pub(super) async fn start(&self, config: &Arc<ClusterService>) {
        let Some(records) = &self.0.records else { return };
        let Means { node, boot, clock, inbox, live, machine, tasks: agent } = &self.0.means;
        let name = config.name.as_str();
        let here = machine(Arc::clone(config)).await;
        let Here { units, guard, guarded } = here.unwrap_or_else(|why| {
            warn!(service = name, why, "this machine cannot run the service; it is asked again");
            let late = Arc::new(Late::new(Arc::clone(machine), Arc::clone(config), why));
            Here { units: late.clone(), guard: late, guarded: Duration::ZERO }
        });
        let units: Arc<dyn Units> = match &config.check {
            None => units,
            Some(check) => Arc::new(Checked::new(units, check.clone(), inbox.clone(), live.subscribe())),
        };
        let place = config.place(node).unwrap_or_default();
        let part = Part {
            automatic: config.automatic,
            active: place == 0,
            after: config.stagger.saturating_mul(u32::try_from(place).unwrap_or(u32::MAX)),
            attempts: config.attempts,
            rest: config.rest,
            blind: BLIND,
        };
        let tasks = Tasks::new();
        let datacenter = config.datacenter.as_deref();
        let voice = match &self.0.words {
            Some((words, here)) => {
                words.voice(name.to_owned(), records.places(datacenter, node, *here, agent), &tasks)
            }
            // Nobody can be asked to wait.
            None => Voice::new().0,
        };
        let nodes: BTreeSet<String> = config.nodes.iter().cloned().collect();
        let bars = match &config.roles {
            Some(key) if config.automatic => {
                let both = (records.of(datacenter), records.all(datacenter));
                old::follow(both, key.clone(), (node.clone(), nodes.clone()), clock.clone(), &tasks)
            }
            Some(_) | None => old::none(),
        };
        let setup = Setup {
            service: name.to_owned(),
            node: node.clone(),
            incarnation: format!("{:032x}", rand::random::<u128>()),
            boot: boot.clone(),
            nodes: nodes.clone(),
            times: config.times,
            part,
            guarded,
            kv: records.of(datacenter),
            units,
            guard,
            bars,
            voice,
        };
        let service = Service::start(setup, clock.clone(), &tasks);
        if let Some(key) = &config.roles {
            let kv = records.all(datacenter);
            let keeps = roles::keep(kv, key.clone(), node.clone(), nodes.clone(), service.clone());
            drop(tasks.spawn(format!("roles of {name}"), crate::OnEnd::Fine, keeps));
        }
        let (watched, ledger, clock) = (service.clone(), inbox.clone(), clock.clone());
        let said = config.name.clone();
        drop(tasks.spawn(format!("history of {name}"), crate::OnEnd::Fine, async move {
            history(&said, &watched, &ledger, &clock).await;
        }));
        let follows = hooks::tell(config.name.clone(), node.clone(), service.clone(), inbox.clone());
        drop(tasks.spawn(format!("role in {name}"), crate::OnEnd::Fine, follows));
        let (ends, over, shared) = (agent.stopping(), tasks.clone(), Arc::clone(&self.0));
        let (gone, ended) = (tasks.stopping(), config.name.clone());
        drop(agent.spawn_draining(format!("end of service {name}"), crate::OnEnd::Fine, async move {
            tokio::select! {
                () = ends.cancelled() => drop(over.drain(ENDS).await),
                () = gone.cancelled() => {
                    let services = Self(shared);
                    let ours = services.running().get(ended.as_str()).map(|running| running.tasks.stopping());
                    if ours.is_some_and(|stop| stop.is_cancelled()) {
                        // Nobody has ended it: the agent cannot do without it.
                        error!(service = %ended, "the task of a service has ended; stopping");
                        ends.cancel();
                    }
                }
            }
        }));
        let running = Running { config: Arc::clone(config), service, tasks, next: None };
        self.running().insert(name.to_owned(), running);
    }

    /// How all of them stand, by name.
    pub fn all(&self) -> Vec<ServiceView> {
        self.running().values().map(Running::view).collect()
    }

    /// How one of them stands.
    pub fn one(&self, name: &str) -> Option<ServiceView> {
        self.running().get(name).map(Running::view)
    }

    /// One of them.
    pub fn service(&self, name: &str) -> Option<Service> {
        self.running().get(name).map(|running| running.service.clone())
    }

    /// This node's name.
    pub fn node(&self) -> &str {
        &self.0.means.node
    }

    /// Whether the nodes can ask each other to wait.
    pub fn speaks(&self) -> bool {
        self.0.words.is_some()
    }

    /// From now on, and until it ends, nobody takes the service over by itself.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn pause(&self, name: &str, pause: &Pause) -> Result<(), AskError> {
        pause::write(&self.records(name)?, name, Some(pause)).await
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn resume(&self, name: &str) -> Result<(), AskError> {
        pause::write(&self.records(name)?, name, None).await
    }

    /// Makes the first record of the lease, if there is none: nobody runs a service before that. Where the service has
    /// roles for powerconsul, what that wants to find as well.
    ///
    /// # Errors
    /// See [`AskError`]; also when this node has no such service.
    pub async fn init(&self, name: &str) -> Result<Made, AskError> {
        let kv = self.records(name)?;
        let Some(ServiceView { config, .. }) = self.one(name) else { return Err(unknown(name)) };
        if let (Some(key), Some(records)) = (&config.roles, &self.0.records) {
            let all = records.all(config.datacenter.as_deref());
            first::of_powerconsul(&all, &config, key, self.node()).await?;
        }
        // Below those that were given out in another datacenter no one may be.
        let made = first::lease(&kv, &config, self.remember(name).saturating_add(1)).await?;
        if made == Made::New {
            info!(service = name, "the first record of the lease is made");
        }
        Ok(made)
    }

    /// Where the records of a service are.
    fn records(&self, name: &str) -> Result<Kv, AskError> {
        let view = self.one(name).ok_or_else(|| unknown(name))?;
        let records = self.0.records.as_ref().ok_or_else(|| unknown(name))?;
        Ok(records.of(view.config.datacenter.as_deref()))
    }

    /// Keeps in mind how far the tokens of a service are, and says it.
    fn remember(&self, name: &str) -> u64 {
        let seen = self.one(name).and_then(|view| view.state.record).map_or(0, |record| record.token);
        let mut all = self.0.highest.lock().unwrap_or_else(PoisonError::into_inner);
        let highest = all.entry(name.to_owned()).or_default();
        *highest = seen.max(*highest);
        *highest
    }

    pub(super) fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.running().values().map(|running| &running.service)).finish()
    }
}

impl Running {
    fn view(&self) -> ServiceView {
        ServiceView {
            config: Arc::clone(&self.config),
            state: self.service.state().borrow().clone(),
            believes: self.service.believes(),
        }
    }
}

fn unknown(name: &str) -> AskError {
    AskError::Records { why: format!("this node has no service {name}") }
}

/// Has each change that somebody may ask for later recorded.
async fn history(name: &ServiceName, service: &Service, inbox: &Inbox, clock: &Clock) {
    let mut states = service.state();
    let mut before = says::Says::default();
    loop {
        let now = says::Says::of(&states.borrow_and_update());
        for said in now.news(&before) {
            let what = What::Service { service: name.clone(), said };
            let event = Event { at: clock.now(), incident: None, run: None, what };
            if inbox.note(event).await.is_err() {
                return;
            }
        }
        before = now;
        if states.changed().await.is_err() {
            return;
        }
    }
}

/// The way to the other nodes, and where they find this one.
async fn words(cluster: &Cluster, means: &Means) -> Result<(Words, SocketAddr), String> {
    let keys = keys(cluster)?;
    let socket = UdpSocket::bind(cluster.address).await;
    let socket =
        socket.map_err(|error| format!("cannot hear other nodes at {}: {error}", cluster.address))?;
    let bound = socket.local_addr().map_err(|error| error.to_string())?;
    let here = cluster.advertise.unwrap_or_else(|| SocketAddr::new(cluster.address.ip(), bound.port()));
    Ok((Words::start(socket, means.node.clone(), keys, &means.tasks), here))
}

fn keys(cluster: &Cluster) -> Result<Vec<Vec<u8>>, String> {
    let secrets = std::iter::once(&cluster.key).chain(&cluster.old_key);
    let key = |secret: &lictor_config::Secret| {
        let key = secret.reveal().map_err(|error| error.to_string())?.into_bytes();
        match key.len() < SHORTEST {
            true => Err(format!("the key of the cluster has less than {SHORTEST} bytes")),
            false => Ok(key),
        }
    };
    secrets.map(key).collect()
}
