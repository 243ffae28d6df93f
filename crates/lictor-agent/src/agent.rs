//! The agent put together: store, engine, watchers, actions, web; how it starts, reloads
//! and stops.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_config::{Config, Consul};
use lictor_consul::Client;
use lictor_core::peers::MeshView;
use lictor_core::{Effect, Engine, Event, Order, RunId, What};
use lictor_store::{Kv, Mirror, NodeStore, OpenError, Options, Start, Warning};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::act::{self, Actions, Actors, Gate};
use crate::alert::notify::Notifiers;
use crate::alert::{self, Alerting, DeskInbox, Predecessor, Tell};
use crate::clock::{Anchor, Clock, boot_id};
use crate::consul;
use crate::copies;
use crate::decide::{Hands, Loop, Recorded};
use crate::inbox::{INBOX, Inbox, NoAnswer};
use crate::monitor::{self, Monitors};
use crate::notify::ServiceManager;
use crate::peers::{self, Watching};
use crate::probe;
use crate::qbittorrent::Sessions;
use crate::service::{self, Services};
use crate::task::{OnEnd, Tasks};
use crate::watch::{Positions, Watchers};
use crate::web;

/// Entries that a live reader may be behind before it has to read the ledger.
const LIVE: usize = 1_024;

/// Reloads asked for and not yet begun: a second one is as good as a third.
const RELOADS: usize = 2;

/// How long a stop may take; the service manager's patience is longer.
const STOP: Duration = Duration::from_secs(10);

/// Of that, what acts may take; then the outcomes of what was under way have been reported.
const HANDS: Duration = act::LAST.saturating_add(Duration::from_secs(1));

/// Reads the configuration again, for a reload; on failure the mistakes in words.
pub type Loader = Arc<dyn Fn() -> Result<Config, String> + Send + Sync>;

/// Makes what tells messages from the configuration.
pub type TellMaker = Arc<dyn Fn(&Config) -> Arc<dyn Tell> + Send + Sync>;

/// What an agent is started with.
pub struct Settings {
    /// The configuration.
    pub config: Config,
    /// The listener of API and page, bound already.
    pub listener: TcpListener,
    /// Reads the configuration again.
    pub loader: Loader,
    /// How this program is started as the shim of a child: program and first arguments.
    pub shim: Vec<OsString>,
    /// The version of the program.
    pub version: String,
    /// Act although the store is new and Consul has not confirmed what it knows of this node.
    pub new_node: bool,
    /// Makes what tells messages, in place of the notifiers of the configuration.
    pub tell: Option<TellMaker>,
    /// The program whose place its alerts take.
    pub predecessor: Option<Predecessor>,
    /// The words of a program whose place the watching of peers takes.
    pub customs: Option<Arc<dyn peers::Customs>>,
    /// What runs clustered services, in place of this machine's systemd.
    pub machine: Option<service::Machine>,
}

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state could not be opened.
    #[error("{0}")]
    Store(#[from] OpenError),
    /// The system lacks something.
    #[error("cannot {what}: {source}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// What is remembered of alerts cannot be read.
    #[error("cannot read the alerts: {0}")]
    Alerts(#[from] lictor_store::KvError),
    /// The settings for Consul cannot be used.
    #[error("cannot use Consul: {0}")]
    Consul(String),
    /// The listener is not allowed.
    #[error("{0}")]
    Listener(#[from] web::ListenError),
    /// The nodes of the services cannot reach each other.
    #[error("the services: {0}")]
    Services(String),
    /// The probe cannot answer.
    #[error("the probe: {0}")]
    Probe(String),
}

impl StartError {
    /// What a person can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Store(OpenError::InUse { .. }) => {
                Some("one agent has a state directory; stop the other one, or set node.state_dir".to_owned())
            }
            Self::Store(OpenError::Newer { .. }) => {
                Some("run the newer version, or set node.state_dir to another directory".to_owned())
            }
            Self::Store(OpenError::Io { .. }) => {
                Some("node.state_dir must be a directory that this user may write to".to_owned())
            }
            Self::System { .. }
            | Self::Alerts(_)
            | Self::Consul(_)
            | Self::Listener(_)
            | Self::Services(_)
            | Self::Probe(_) => None,
        }
    }
}

/// A running agent.
pub struct Agent {
    /// What acts. It ends first, while there is somebody to take its outcomes in.
    hands: Tasks,
    tasks: Tasks,
    /// The decide loop.
    decide: Tasks,
    live: broadcast::Sender<Recorded>,
    address: SocketAddr,
    manager: Arc<ServiceManager>,
    alerts: DeskInbox,
    mesh: watch::Receiver<Arc<MeshView>>,
    services: Services,
    reloads: mpsc::Sender<web::Reload>,
    finished: Arc<AtomicBool>,
}

/// Has an agent read its configuration again. Clones are the same.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<web::Reload>);

impl Reloads {
    /// Reloads, and says what changed.
    ///
    /// # Errors
    /// In words, why the configuration of before stays in force.
    pub async fn reload(&self) -> Result<String, String> {
        let (answer, answered) = oneshot::channel();
        let stops = "the agent stops";
        self.0.send(answer).await.map_err(|_closed| stops.to_owned())?;
        answered.await.map_err(|_dropped| stops.to_owned())?
    }
}

impl Agent {
    /// Starts an agent: opens the store, takes up what it remembers, and watches.
    ///
    /// # Errors
    /// When the state cannot be used, or the listener is not allowed.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let Settings {
            config,
            listener,
            loader,
            shim,
            version,
            new_node,
            tell,
            predecessor,
            customs,
            machine,
        } = settings;
        web::check(&config.http)?;
        let system = |what| move |source| StartError::System { what, source };
        let address = listener.local_addr().map_err(system("read the listener's address"))?;
        let boot_id = boot_id().map_err(system("read this boot's id"))?;
        let options = Options::new(&config.node.state_dir, &config.node.name);
        let opened = NodeStore::open(options)?;
        for warning in &opened.warnings {
            error!("{warning}");
        }
        let anchor = opened.anchor.map(|anchor| Anchor {
            boot_id: anchor.boot_id,
            boot_millis: anchor.boot_millis,
            axis: anchor.axis,
        });
        let clock = Clock::resume(anchor.as_ref(), &boot_id);
        let plan = Arc::clone(&config.plan);
        let (mut engine, mut first) = Engine::restore(plan, opened.rows, clock.now());
        let shared = config.consul.as_ref().map(consul::client).transpose().map_err(StartError::Consul)?;
        if shared.is_some() && !opened.store.confirmed() && !new_node {
            engine.withhold();
        } else if let Err(error) = opened.store.confirm().await {
            warn!(%error, "cannot record that this store is the node's");
        }
        let positions = engine.readings().iter();
        let positions = positions.filter_map(|(name, one)| Some((name.clone(), one.position.clone()?)));
        let positions = Positions::new(positions);
        let clean = opened.start != Start::Recovered;
        let started = What::AgentStarted { version: version.clone(), clean };
        let aside = opened.warnings.iter().filter_map(|warning| match warning {
            Warning::Unreadable { kept, why } => {
                Some(What::StateSetAside { path: kept.display().to_string(), why: why.clone() })
            }
            Warning::Renamed { .. } | Warning::Full => None,
        });
        let said = std::iter::once(started).chain(aside);
        let said = said.map(|what| Event { at: clock.now(), incident: None, run: None, what });
        first.events.splice(0..0, said);

        let (hands, tasks, deciding) = (Tasks::new(), Tasks::new(), Tasks::new());
        let (messages, queue) = mpsc::channel(INBOX);
        let inbox = Inbox(messages);
        let (live, _) = broadcast::channel(LIVE);
        let manager = Arc::new(ServiceManager::from_env());
        let mut registry = Registry::default();
        let metrics = web::Metrics::register(&mut registry);

        let keys = crate::keys::of(shared.as_ref(), &opened.store);
        let (dir, lineage) = (&config.node.state_dir, opened.store.lineage());
        let how = act::Settings { shim, ..act::Settings::new(dir, &config.node.name, lineage) };
        let actions = Actions::of(&config);
        let sessions = Sessions::new(Some(config.node.state_dir.clone()));
        let means = config.consul.as_ref().zip(shared.clone()).map(|(settings, client)| monitor::Means {
            client,
            prefix: settings.prefix.clone(),
            store: opened.store.clone(),
            inbox: inbox.clone(),
            clock: clock.clone(),
            node: config.node.name.clone(),
            live: live.clone(),
            tasks: tasks.clone(),
        });
        let monitors = Monitors::new(means, Kv::embedded(opened.store.clone()));
        let means = act::Means {
            keys,
            qbittorrent: sessions.clone(),
            consul: shared.clone(),
            gate: Arc::new(monitors.clone()),
        };
        let actors = Actors::new(how, actions, hands.clone(), inbox.clone(), clock.clone(), means)
            .map_err(system("make the directory for the traces of programs"))?;
        let open: Vec<RunId> = engine.runs().values().filter(|run| !run.ended()).map(|run| run.id).collect();
        if let Err(error) = actors.sweep(&open).await {
            warn!(%error, "old traces of programs not removed");
        }
        // Before anything is recorded: what is recorded is noted for it.
        let mirror = config.consul.as_ref().zip(shared.clone()).map(|(settings, client)| {
            let kv = Kv::consul(client, settings.prefix.clone());
            Mirror::new(kv, opened.store.clone(), crate::fault::pulse())
        });
        let finished = Arc::new(AtomicBool::new(false));
        let decide = Loop {
            engine,
            store: opened.store.clone(),
            clock: clock.clone(),
            boot_id: boot_id.clone(),
            inbox: queue,
            hands: actors.clone(),
            copies: mirror.as_ref().map(Mirror::state),
            live: live.clone(),
            alive: manager.watchdog(),
            closing: hands.stopping(),
            stop: deciding.stopping(),
        };
        let done = Arc::clone(&finished);
        let decided = deciding.spawn_draining("decide", OnEnd::Stop, async move {
            decide.run(first).await;
            done.store(true, Ordering::Release);
        });

        let watchers = Watchers::start(
            &config.watches,
            &tasks,
            inbox.clone(),
            clock.clone(),
            &mut registry,
            sessions,
            positions,
        );
        monitors.apply(&config.monitors).await;
        tasks.spawn("monitors", OnEnd::Fine, monitors.clone().expire());
        let means = alert::Means {
            node: config.node.name.clone(),
            store: opened.store.clone(),
            inbox: inbox.clone(),
            clock: clock.clone(),
            live: live.clone(),
            consul: shared.clone(),
            prefix: config.consul.as_ref().map(|settings| settings.prefix.clone()).unwrap_or_default(),
            predecessor,
            tasks: tasks.clone(),
        };
        let usual = clock.clone();
        let tell: TellMaker =
            tell.unwrap_or_else(|| Arc::new(move |config| Arc::new(Notifiers::new(config, usual.clone()))));
        let alerting = Alerting::start(&config, tell(&config), means).await?;
        let alerts = alerting.desk();
        let watching = Watching::new(peers::Means {
            node: config.node.name.clone(),
            feed: alerting.feed(),
            kv: Kv::embedded(opened.store.clone()),
            clock: clock.clone(),
            consul: shared.clone(),
            customs,
            tasks: tasks.clone(),
        });
        let (mesh, says) = (watching.view(), watching.clone());
        let mut probe = probe::Keeper::new(inbox.clone(), Arc::new(move || says.says()), tasks.clone());
        probe.apply(config.probe.as_ref()).await.map_err(StartError::Probe)?;
        let machine = machine.unwrap_or_else(service::this_machine);
        let means = service::Means {
            node: config.node.name.clone(),
            boot: boot_id,
            clock: clock.clone(),
            inbox: inbox.clone(),
            live: live.clone(),
            machine,
            tasks: tasks.clone(),
        };
        let services = Services::new(&config, means).await.map_err(StartError::Services)?;
        let (reloads, asked) = mpsc::channel(RELOADS);
        let ready = Arc::new(AtomicBool::new(true));
        let state = web::State {
            source: Arc::new(inbox.clone()),
            history: Arc::new(crate::ledger::Ledger::new(opened.store.clone())),
            events: live.clone(),
            listen: config.http.clone(),
            node: config.node.name.clone(),
            datacenter: config.node.datacenter.clone(),
            version,
            registry: Arc::new(registry),
            metrics,
            reload: reloads.clone(),
            heartbeats: Arc::new(watchers.clone()),
            webhooks: Arc::new(watchers.clone()),
            ready,
            monitors: Arc::new(monitors.clone()),
            alerts: Arc::new(alerting.desk()),
            posts: alerting.posts(),
            services: Arc::new(services.clone()),
            mesh: mesh.clone(),
            limits: web::Limits::default(),
        };
        web::serve(listener, state, &tasks);
        watching.apply(&config).await;
        services.apply(&config).await;
        if let Some(mirror) = mirror {
            let copies = copies::keep(mirror, opened.store.clone(), inbox.clone(), clock.clone(), decided);
            tasks.spawn_draining("copies", OnEnd::Fine, copies);
        }
        if let (Some(settings), Some(client)) = (&config.consul, shared.clone())
            && let Some(name) = settings.register.clone()
        {
            let node = config.node.name.clone();
            let entry = consul::register(client, name, node, address, inbox.clone(), tasks.stopping());
            tasks.spawn_draining("consul-service", OnEnd::Fine, entry);
        }
        let reloader = Reloader {
            config,
            loader,
            inbox,
            clock,
            watchers,
            actors,
            monitors,
            alerting: Some(alerting),
            probe,
            watching: Some(watching),
            services: Some(services.clone()),
            tell,
            consul: shared,
            manager: Arc::clone(&manager),
        };
        tasks.spawn("reload", OnEnd::Stop, reloader.run(asked));
        manager.ready(&address);
        Ok(Self {
            hands,
            tasks,
            decide: deciding,
            live,
            address,
            manager,
            alerts,
            mesh,
            services,
            reloads,
            finished,
        })
    }

    /// Where API and page are.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that is recorded from now on.
    pub fn live(&self) -> broadcast::Receiver<Recorded> {
        self.live.subscribe()
    }

    /// The way to its alerts.
    pub fn alerts(&self) -> DeskInbox {
        self.alerts.clone()
    }

    /// How its peers stand, after each round.
    pub fn mesh(&self) -> watch::Receiver<Arc<MeshView>> {
        self.mesh.clone()
    }

    /// The services that pass between its node and others.
    pub fn services(&self) -> Services {
        self.services.clone()
    }

    /// The way to have it read its configuration again.
    pub fn reloads(&self) -> Reloads {
        Reloads(self.reloads.clone())
    }

    /// Runs something beside the agent, until it stops.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.tasks.spawn(name, OnEnd::Fine, work));
    }

    /// Answers at another listener, within the bounds of the agent's own interface, until it stops.
    pub fn serve(&self, listener: TcpListener, router: axum::Router) {
        web::serve_beside(listener, router, web::Limits::default(), &self.tasks);
    }

    /// Runs until INT, QUIT or TERM comes or [`Agent::stop`] was called, reloading at each
    /// HUP; then stops. `false` when the stop was not in order.
    pub async fn until_stopped(self) -> bool {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = [SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()].map(signal);
        let [Ok(mut interrupt), Ok(mut quit), Ok(mut terminate)] = signals else {
            error!("cannot listen for signals");
            return self.stop().await;
        };
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            error!("cannot listen for signals");
            return self.stop().await;
        };
        let (stopping, decided) = (self.tasks.stopping(), self.decide.stopping());
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = quit.recv() => break,
                _ = terminate.recv() => break,
                () = stopping.cancelled() => break,
                () = decided.cancelled() => break,
                _ = hangup.recv() => {
                    // The answer goes to log and ledger.
                    let (answer, _) = oneshot::channel();
                    if self.reloads.try_send(answer).is_err() {
                        info!("a reload is under way already");
                    }
                }
            }
        }
        self.stop().await
    }

    /// Stops in order: what acts comes first, so that the outcome of what is under way is
    /// recorded, then all the rest. `false` when something did not end in time or the last
    /// decisions were not recorded.
    pub async fn stop(self) -> bool {
        self.manager.stopping();
        let deadline = Instant::now() + STOP;
        let acted = self.hands.drain(HANDS).await;
        let rest = deadline.saturating_duration_since(Instant::now());
        let (watched, decided) = tokio::join!(self.tasks.drain(rest), self.decide.drain(rest));
        let drained = acted && watched && decided;
        if !drained {
            warn!(limit_seconds = STOP.as_secs(), "some tasks did not end in time");
        }
        drained && self.finished.load(Ordering::Acquire)
    }
}

impl Gate for Monitors {
    fn may<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            match &order.lease {
                Some(lease) => Self::may(self, lease, order).await,
                None => Ok(()),
            }
        })
    }
}

impl Hands for Actors {
    fn carry_out(&self, effect: Effect, limit: Duration) {
        self.run(effect, limit);
    }

    fn over(&self, run: RunId) {
        self.forget(run);
    }
}

/// Puts new configurations in force, one after the other.
struct Reloader {
    config: Config,
    loader: Loader,
    inbox: Inbox,
    clock: Clock,
    watchers: Watchers,
    actors: Actors,
    monitors: Monitors,
    /// None where only the rest is tried out.
    alerting: Option<Alerting>,
    probe: probe::Keeper,
    /// None where only the rest is tried out.
    watching: Option<Watching>,
    /// None where only the rest is tried out.
    services: Option<Services>,
    tell: TellMaker,
    /// The client that everything shares.
    consul: Option<Client>,
    manager: Arc<ServiceManager>,
}

impl Reloader {
    async fn run(mut self, mut asked: mpsc::Receiver<web::Reload>) {
        while let Some(answer) = asked.recv().await {
            self.manager.reloading();
            let result = self.reload().await;
            // The entry of the ledger is logged as well, for everybody.
            match &result {
                Ok(difference) => debug!(difference, "configuration reloaded"),
                Err(why) => debug!(error = why, "configuration refused; the old one stays in force"),
            }
            self.manager.reloaded();
            // Whoever asked may have left.
            drop(answer.send(result));
        }
    }

    async fn reload(&mut self) -> Result<String, String> {
        let loader = Arc::clone(&self.loader);
        let loaded = tokio::task::spawn_blocking(move || loader()).await;
        let loaded = loaded.unwrap_or_else(|_panicked| Err("reading it failed".to_owned()));
        let config = match loaded.and_then(|config| fixed(&self.config, &config).map(|()| config)) {
            Ok(config) => config,
            Err(why) => {
                let what = What::ReloadRefused { why: why.clone() };
                let event = Event { at: self.clock.now(), incident: None, run: None, what };
                self.inbox.note(event).await.map_err(|gone| gone.to_string())?;
                return Err(why);
            }
        };
        let difference = lictor_config::difference(&self.config, &config);
        let what = What::Reloaded { difference: difference.clone() };
        let event = Event { at: self.clock.now(), incident: None, run: None, what };
        // The actions first: the new plan may start one at once.
        self.actors.announce(Actions::of(&config));
        let plan = Arc::clone(&config.plan);
        let recorded = self.inbox.reload(plan, event).await;
        if let Err(why @ (NoAnswer::Gone | NoAnswer::Busy)) = recorded {
            return Err(why.to_string());
        }
        // From here on the new plan is in force, recorded or not: the rest must follow.
        self.actors.take_up();
        let mut told = vec![match recorded {
            Ok(()) => difference,
            Err(_late) => format!("in force, not recorded yet{}: {difference}", self.why_late().await),
        }];
        if let Err(why) = self.watchers.apply(&config.watches).await {
            told.push(format!("the watchers are those of before: {why}"));
        }
        self.monitors.apply(&config.monitors).await;
        if let Some(alerting) = &self.alerting {
            alerting.apply(&config, (self.tell)(&config)).await;
        }
        if let Some(watching) = &self.watching {
            watching.apply(&config).await;
        }
        if let Some(services) = &self.services {
            told.extend(services.apply(&config).await);
        }
        if let Err(why) = self.probe.apply(config.probe.as_ref()).await {
            warn!(error = why, "the probe stays the one of before");
            told.push(format!("the probe stays the one of before: {why}"));
        }
        if let (Some(client), Some(settings)) = (&self.consul, &config.consul)
            && let Err(why) = consul::renew(client, settings)
        {
            warn!(error = why, "the token for Consul stays the one of before");
            told.push(format!("the token for Consul stays the one of before: {why}"));
        }
        self.config = config;
        Ok(told.join("; "))
    }

    /// Why the loop cannot record, in brackets, if it says so.
    async fn why_late(&self) -> String {
        let view = self.inbox.view().await.ok();
        let why = view.and_then(|view| view.cannot_record.as_ref().map(|(why, _)| format!(" ({why})")));
        why.unwrap_or_default()
    }
}

/// Refuses a configuration that changes what is set up once, at a start. A token is no part of
/// that where it is read anew: that of the listener from its file, that for Consul at each reload.
fn fixed(old: &Config, new: &Config) -> Result<(), String> {
    // Their secrets do not show in these texts.
    let consul = |config: &Config| {
        config.consul.clone().map(|consul| format!("{:?}", Consul { token: None, ..consul }))
    };
    let places =
        |config: &Config| config.cluster.as_ref().map(|cluster| (cluster.address, cluster.advertise));
    let http = |config: &Config| format!("{:?}", config.http);
    let moved: Vec<&str> = [
        ("node.name", old.node.name != new.node.name),
        ("node.datacenter", old.node.datacenter != new.node.datacenter),
        ("node.state_dir", old.node.state_dir != new.node.state_dir),
        ("http", http(old) != http(new) || old.http.token != new.http.token),
        ("consul", consul(old) != consul(new)),
        // A key is read anew at each reload.
        ("cluster", places(old) != places(new)),
    ]
    .into_iter()
    .filter_map(|(name, moved)| moved.then_some(name))
    .collect();
    if moved.is_empty() {
        Ok(())
    } else {
        Err(format!("{} can only change with a restart", moved.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures::future::BoxFuture;
    use lictor_config::parse;
    use lictor_core::{CheckName, Now, Plan, Status};

    use super::*;
    use crate::act::{Keys, KeysError};
    use crate::inbox::{Message, View};

    #[derive(Debug)]
    struct NoKeys;

    impl Keys for NoKeys {
        fn get<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, KeysError>> {
            Box::pin(std::future::pending())
        }
        fn put<'a>(&'a self, _key: &'a str, _value: Vec<u8>) -> BoxFuture<'a, Result<(), KeysError>> {
            Box::pin(std::future::pending())
        }
        fn delete<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Result<(), KeysError>> {
            Box::pin(std::future::pending())
        }
    }

    fn name(check: &str) -> CheckName {
        CheckName::new(check).unwrap()
    }

    fn config(check: &str) -> Config {
        parse("x.hcl", &format!("watch \"heartbeat\" \"{check}\" {{\n  within = \"1h\"\n}}\n"))
            .unwrap()
            .config
    }

    fn view(plan: Arc<Plan>, at: Now) -> Arc<View> {
        let (checks, floods) = (BTreeMap::new(), BTreeMap::new());
        let (runs, incidents) = (BTreeMap::new(), BTreeMap::new());
        let cannot_record = Some(("the disk is full".to_owned(), at));
        Arc::new(View {
            at,
            plan,
            checks,
            floods,
            runs,
            incidents,
            cannot_record,
            withheld: false,
            leases: BTreeMap::new(),
            copies: None,
        })
    }

    /// A reloader, the loop's end of its inbox, and what keeps both.
    fn rig(tasks: &Tasks) -> (Reloader, mpsc::Receiver<Message>, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let (sender, messages) = mpsc::channel(1);
        let (inbox, clock, config) = (Inbox(sender), Clock::fresh(), config("old"));
        let how = act::Settings::new(dir.path(), "node1", "lineage");
        let keys = Arc::new(NoKeys);
        let actors =
            Actors::new(how, Actions::default(), tasks.clone(), inbox.clone(), clock.clone(), keys).unwrap();
        let mut registry = Registry::default();
        let sessions = Sessions::new(None);
        let positions = crate::watch::Positions::default();
        let watchers = Watchers::start(
            &config.watches,
            tasks,
            inbox.clone(),
            clock.clone(),
            &mut registry,
            sessions,
            positions,
        );
        let loader: Loader = Arc::new(|| Ok(self::config("new")));
        let manager = Arc::new(ServiceManager::from_env());
        let consul = None;
        let monitors = Monitors::new(None, Kv::memory());
        let alerting = None;
        let probe = probe::Keeper::new(inbox.clone(), Arc::new(|| None), tasks.clone());
        let usual = clock.clone();
        let tell: TellMaker = Arc::new(move |config| Arc::new(Notifiers::new(config, usual.clone())));
        let reloader = Reloader {
            config,
            loader,
            inbox,
            clock,
            watchers,
            actors,
            monitors,
            alerting,
            probe,
            watching: None,
            services: None,
            tell,
            consul,
            manager,
        };
        (reloader, messages, dir)
    }

    async fn watched(reloader: &Reloader, check: &str) -> bool {
        let check = name(check);
        let called = reloader.watchers.heartbeat(&check, Status::Passing, "called");
        // Nobody takes it out of the inbox, but only a heartbeat that is there is handed in.
        !matches!(
            tokio::time::timeout(Duration::from_secs(1), called).await,
            Ok(Err(crate::watch::HeartbeatError::NotFound(_)))
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_plan_that_is_in_force_is_followed_by_all_the_rest_also_when_it_is_not_recorded_yet() {
        let tasks = Tasks::new();
        let (mut reloader, mut messages, _dir) = rig(&tasks);
        let clock = reloader.clock.clone();
        let engine = async {
            let Some(Message::Reload(plan, _, _unanswered)) = messages.recv().await else {
                panic!("no plan")
            };
            let Some(Message::View(reader)) = messages.recv().await else { panic!("nobody asks why") };
            reader.send(view(plan, clock.now())).unwrap();
            // Neither is ever answered: the disk stays full.
            std::future::pending::<()>().await;
        };
        let told = tokio::select! {
            told = reloader.reload() => told.unwrap(),
            () = engine => unreachable!(),
        };
        assert!(told.starts_with("in force, not recorded yet (the disk is full): "), "{told}");
        assert!(
            reloader.config.watches.contains_key(&name("new")),
            "compared with the wrong one at the next reload"
        );
        assert!(watched(&reloader, "new").await, "the watchers are those of before");
        assert!(!watched(&reloader, "old").await, "the watchers are those of before");
    }

    #[tokio::test(start_paused = true)]
    async fn a_plan_that_the_loop_did_not_take_changes_nothing() {
        let tasks = Tasks::new();
        let (mut reloader, _messages, _dir) = rig(&tasks);
        let event = Event {
            at: reloader.clock.now(),
            incident: None,
            run: None,
            what: What::ReloadRefused { why: "the loop is busy with this".to_owned() },
        };
        reloader.inbox.note(event).await.unwrap();
        let told = reloader.reload().await.unwrap_err();
        assert!(told.contains("nothing was changed"), "{told}");
        assert!(reloader.config.watches.contains_key(&name("old")));
        assert!(watched(&reloader, "old").await && !watched(&reloader, "new").await);
    }

    #[test]
    fn what_is_set_up_once_can_only_change_with_a_restart() {
        let with = |blocks: &str| parse("x.hcl", blocks).unwrap().config;
        let check = |old: &str, new: &str| fixed(&with(old), &with(new));
        let base = "node {\n  name = \"a\"\n  state_dir = \"/x\"\n}\n";
        assert_eq!(check(base, base), Ok(()));
        let moved = "node {\n  name = \"a\"\n  state_dir = \"/x\"\n  datacenter = \"dc2\"\n}\n";
        assert_eq!(check(base, moved), Err("node.datacenter can only change with a restart".to_owned()));
        let http = |token: &str| format!("{base}http {{\n  token = \"{token}\"\n}}\n");
        let refused = check(&http("first-token"), &http("second-token"));
        assert_eq!(refused, Err("http can only change with a restart".to_owned()));
        let consul = |lines: &str| format!("{base}consul {{\n{lines}\n}}\n");
        assert_eq!(check(&consul("token = \"first\""), &consul("token = \"second\"")), Ok(()));
        let refused = check(&consul(""), &consul("address = \"http://10.0.0.9:8500\""));
        assert_eq!(refused, Err("consul can only change with a restart".to_owned()));
    }
}
