//! The services of a node: which there are follows the configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_config::{Cluster, ClusterService, Config};
use lictor_consul::Client;
use lictor_core::lease::{Next, Record, Roll};
use lictor_core::service::member::{Local, Part};
use lictor_core::{Event, ServiceName, What};
use lictor_store::kv::{Kv, KvError, Op};
use lictor_store::wire;
use tokio::net::UdpSocket;
use tokio::sync::broadcast;
use tracing::{error, info, warn};

use super::checked::Checked;
use super::words::{Places, Words};
use super::{
    AskError, Guard, Pause, Service, ServiceState, Setup, Units, Voice, hooks, pause, places, roles, says,
};
use crate::clock::Clock;
use crate::consul;
use crate::decide::Recorded;
use crate::inbox::Inbox;
use crate::task::Tasks;

/// How long the task of a service may take to end, so that another one can go on with it.
const ENDS: Duration = Duration::from_secs(4);

/// The first token of a service.
const FIRST: u64 = 1;

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
pub struct Services(Arc<Shared>);

struct Shared {
    means: Means,
    /// Where leases and what is asked for lie, by a client that nothing else uses.
    records: Option<(Client, Kv)>,
    words: Option<(Words, Places)>,
    running: Mutex<BTreeMap<String, Running>>,
    /// One after the other.
    applying: tokio::sync::Mutex<()>,
}

struct Running {
    config: Arc<ClusterService>,
    service: Service,
    tasks: Tasks,
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

/// What became of the first record of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// There is one now.
    New,
    /// There was one.
    Before,
}

impl Services {
    /// None run before [`Services::apply`].
    ///
    /// # Errors
    /// Why the nodes cannot speak to each other, or to Consul.
    pub(crate) async fn new(config: &Config, means: Means) -> Result<Self, String> {
        let records = match &config.consul {
            Some(settings) if !config.services.is_empty() || config.cluster.is_some() => {
                let client = consul::client(settings)?;
                let kv = Kv::consul(client.clone(), settings.prefix.clone());
                Some((client, kv))
            }
            Some(_) | None => None,
        };
        let words = match (&config.cluster, &records) {
            (Some(cluster), Some((_, kv))) => Some(words(cluster, kv, &means).await?),
            _ => None,
        };
        let (running, applying) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self(Arc::new(Shared { means, records, words, running, applying })))
    }

    /// Puts a configuration in force; what could not be done of it, in words.
    pub(crate) async fn apply(&self, config: &Config) -> Vec<String> {
        let Shared { means, records, words, applying, .. } = &*self.0;
        let _one = applying.lock().await;
        let mut told = Vec::new();
        if let (Some((client, _)), Some(settings)) = (records, &config.consul)
            && let Err(why) = consul::renew(client, settings)
        {
            told.push(format!("the token for the services stays the one of before: {why}"));
        }
        if let (Some((words, _)), Some(cluster)) = (words, &config.cluster) {
            match keys(cluster) {
                Ok(keys) => words.renew(keys),
                Err(why) => told.push(format!("the key of the cluster stays the one of before: {why}")),
            }
        }
        if words.is_none() && config.cluster.is_some() {
            told.push(
                "the nodes cannot ask each other to wait before the agent is restarted: `cluster` is new"
                    .to_owned(),
            );
        }
        let ours = |service: &&Arc<ClusterService>| service.place(&means.node).is_some();
        let wanted: BTreeMap<&str, &Arc<ClusterService>> =
            config.services.values().filter(ours).map(|service| (service.name.as_str(), service)).collect();
        for (name, view) in self.all().into_iter().map(|view| (view.config.name.to_string(), view)) {
            match wanted.get(name.as_str()) {
                Some(service) if **service == view.config => {}
                Some(_) => self.end(&name).await,
                None if view.believes.is_some() || matches!(view.state.local, Local::Running { .. }) => {
                    told.push(format!(
                        "the service {name} stays, because it runs here: `lictor service switchover {name}` or \
                         `lictor service stop {name}`, then reload again"
                    ));
                }
                None => self.end(&name).await,
            }
        }
        let running: Vec<String> = self.running().keys().cloned().collect();
        for (name, service) in wanted {
            if running.iter().any(|one| one == name) && self.running().contains_key(name) {
                continue;
            }
            match records {
                Some((_, kv)) => self.start(service, kv).await,
                None => told.push(format!(
                    "the service {name} is the first one here: it needs a restart of the agent"
                )),
            }
        }
        told.iter().for_each(|told| warn!("{told}"));
        told
    }

    /// Ends the task of a service; its units go on, as over a restart of the agent.
    async fn end(&self, name: &str) {
        let ended = self.running().remove(name);
        if let Some(Running { tasks, .. }) = ended
            && !tasks.drain(ENDS).await
        {
            warn!(service = name, "its task did not end in time");
        }
    }

    async fn start(&self, config: &Arc<ClusterService>, kv: &Kv) {
        let Means { node, boot, clock, inbox, live, machine, tasks: agent } = &self.0.means;
        let name = config.name.as_str();
        let here = machine(Arc::clone(config)).await;
        let Here { units, guard, guarded } = here.unwrap_or_else(|why| {
            warn!(service = name, why, "this machine cannot run the service");
            let none = Arc::new(Nothing { why });
            Here { units: none.clone(), guard: none, guarded: Duration::ZERO }
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
        };
        let tasks = Tasks::new();
        let voice = match &self.0.words {
            Some((words, places)) => words.voice(name.to_owned(), places.clone(), &tasks),
            // Nobody can be asked to wait.
            None => Voice::new().0,
        };
        let setup = Setup {
            service: name.to_owned(),
            node: node.clone(),
            incarnation: format!("{:032x}", rand::random::<u128>()),
            boot: boot.clone(),
            nodes: config.nodes.iter().cloned().collect(),
            times: config.times,
            part,
            guarded,
            kv: kv.clone(),
            units,
            guard,
            voice,
        };
        let service = Service::start(setup, clock.clone(), &tasks);
        if let (Some(key), Some((client, _))) = (&config.roles, &self.0.records) {
            // Not below our own prefix: it is the record of another program.
            let kv = Kv::consul(client.clone(), "");
            let keeps = roles::keep(kv, key.clone(), node.clone(), service.clone());
            drop(tasks.spawn(format!("roles of {name}"), crate::OnEnd::Fine, keeps));
        }
        let (watched, records, clock) = (service.clone(), inbox.clone(), clock.clone());
        let said = config.name.clone();
        drop(tasks.spawn(format!("history of {name}"), crate::OnEnd::Fine, async move {
            history(&said, &watched, &records, &clock).await;
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
        let running = Running { config: Arc::clone(config), service, tasks };
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
        pause::write(self.kv()?, name, Some(pause)).await
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn resume(&self, name: &str) -> Result<(), AskError> {
        pause::write(self.kv()?, name, None).await
    }

    /// Makes the first record of the lease, if there is none: nobody runs a service before that.
    ///
    /// # Errors
    /// See [`AskError`]; also when this node has no such service.
    pub async fn init(&self, name: &str) -> Result<Made, AskError> {
        let records = |error: &dyn fmt::Display| AskError::Records { why: error.to_string() };
        let view = self.one(name).ok_or_else(|| records(&format!("this node has no service {name}")))?;
        let config = &view.config;
        let record = Record {
            holder: config.nodes.first().cloned().unwrap_or_default(),
            incarnation: "init".to_owned(),
            token: FIRST,
            beat: 0,
            length: config.times.0.length(),
            released: Some(Next::Anyone),
            roll: Some(Roll { nodes: config.nodes.iter().cloned().collect(), boot: "init".to_owned() }),
        };
        let value = wire::encode(&wire::Lease::from(&record)).map_err(|error| records(&error))?;
        match self.kv()?.txn(&[Op::create(format!("service/{name}/lease"), value)]).await {
            Ok(_) => {
                info!(service = name, "the first record of the lease is made");
                Ok(Made::New)
            }
            Err(KvError::Conflict { .. }) => Ok(Made::Before),
            Err(error) => Err(records(&error)),
        }
    }

    fn kv(&self) -> Result<&Kv, AskError> {
        let none = || AskError::Records { why: "no Consul is named in the configuration".to_owned() };
        self.0.records.as_ref().map(|(_, kv)| kv).ok_or_else(none)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
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

/// The way to the other nodes, and where they are.
async fn words(cluster: &Cluster, kv: &Kv, means: &Means) -> Result<(Words, Places), String> {
    let keys = keys(cluster)?;
    let socket = UdpSocket::bind(cluster.address).await;
    let socket =
        socket.map_err(|error| format!("cannot hear other nodes at {}: {error}", cluster.address))?;
    let bound = socket.local_addr().map_err(|error| error.to_string())?;
    let here = cluster.advertise.unwrap_or_else(|| SocketAddr::new(cluster.address.ip(), bound.port()));
    let words = Words::start(socket, means.node.clone(), keys, &means.tasks);
    Ok((words, places::keep(kv.clone(), means.node.clone(), here, &means.tasks)))
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

/// A service that cannot be run here.
struct Nothing {
    why: String,
}

impl Units for Nothing {
    fn look(&self) -> BoxFuture<'_, super::Look> {
        let look = super::Look { local: Local::Unknown, able: Err(self.why.clone()) };
        Box::pin(async move { look })
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    fn carry<'a>(
        &'a self,
        _order: lictor_core::service::member::Order,
        _believes: &'a (dyn Fn(u64) -> bool + Send + Sync),
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { Err(self.why.clone()) })
    }

    fn restart<'a>(
        &'a self,
        _token: u64,
        _believes: &'a (dyn Fn(u64) -> bool + Send + Sync),
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { Err(self.why.clone()) })
    }
}

impl Guard for Nothing {
    fn tell(&self, _belief: Option<lictor_core::lease::Belief>) {}
}
