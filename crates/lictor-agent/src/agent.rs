//! The agent put together: store, engine, watchers, actions, web; how it starts, reloads
//! and stops.

mod reload;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_config::Config;
use lictor_core::peers::MeshView;
use lictor_core::{Effect, Engine, Event, Order, RunId, What};
use lictor_store::{Kv, Mirror, NodeStore, OpenError, Options, Start, Warning};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{error, warn};

use crate::act::{self, Actions, Actors, Gate};
use crate::alert::notify::Notifiers;
use crate::alert::{self, Alerting, DeskInbox, Predecessor, Tell};
use crate::clock::{Anchor, Clock, boot_id};
use crate::consul;
use crate::copies;
use crate::decide::{Hands, Loop, Recorded};
use crate::inbox::{INBOX, Inbox};
use crate::monitor::{self, Monitors};
use crate::notify::ServiceManager;
use crate::past::{self, Past};
use crate::peers::{self, Watching};
use crate::probe;
use crate::qbittorrent::Sessions;
use crate::replicate::{self, Replication};
use crate::service::{self, Services};
use crate::snapshot::{SnapshotMeans, Snapshots};
use crate::task::{OnEnd, Tasks};
use crate::watch::{Positions, Watchers};
use crate::web;
use reload::Reloader;

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
    replication: Replication,
    reloads: mpsc::Sender<web::Reload>,
    /// Records what signals ask for.
    recorder: web::Recorder,
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
        let replication = Replication::new(replicate::Means {
            node: config.node.name.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
        });
        let snapshots = Snapshots::new(SnapshotMeans {
            node: config.node.name.clone(),
            clock: clock.clone(),
            scratch: config.node.state_dir.join("snapshots"),
            tasks: tasks.clone(),
        });
        let past = Past::default();
        past.plan(&config.alerts.maintenance);
        let keeper = past::Keeper {
            past: past.clone(),
            node: config.node.name.clone(),
            store: opened.store.clone(),
            inbox: inbox.clone(),
            desk: alerting.desk(),
            clock: clock.clone(),
        };
        tasks.spawn_draining("past", OnEnd::Fine, keeper.run(tasks.stopping()));
        let (reloads, asked) = mpsc::channel(RELOADS);
        let ready = Arc::new(AtomicBool::new(true));
        let history = Arc::new(crate::ledger::Ledger::new(opened.store.clone(), &config.node.state_dir));
        let public = web::PublicSources {
            source: Arc::new(inbox.clone()),
            history: Arc::<crate::ledger::Ledger>::clone(&history),
            alerts: Arc::new(alerting.desk()),
            past: past.clone(),
            node: config.node.name.clone(),
        };
        let state = web::State {
            source: Arc::new(inbox.clone()),
            history,
            events: live.clone(),
            listen: config.http.clone(),
            node: config.node.name.clone(),
            datacenter: config.node.datacenter.clone(),
            version,
            registry: Arc::new(registry),
            metrics,
            acts: Arc::new(opened.store.clone()),
            clock: Some(clock.clone()),
            reload: reloads.clone(),
            heartbeats: Arc::new(watchers.clone()),
            webhooks: Arc::new(watchers.clone()),
            ready,
            monitors: Arc::new(monitors.clone()),
            alerts: Arc::new(alerting.desk()),
            posts: alerting.posts(),
            services: Arc::new(services.clone()),
            replication: Arc::new(replication.clone()),
            snapshots: Arc::new(snapshots.clone()),
            mesh: mesh.clone(),
            past,
            limits: web::Limits::default(),
        };
        let planned = state.past.clone();
        let mut public = web::PublicKeeper::new(public, state.limits, tasks.clone());
        // What only shows must not keep what acts from starting.
        if let Err(why) = public.apply(config.status_page.as_ref()).await {
            warn!(error = why, "the status page is not shown yet");
        }
        let recorder = web::serve(listener, state, &tasks);
        watching.apply(&config).await;
        services.apply(&config).await;
        replication.apply(&config).await;
        replication.tell(alerting.feed());
        snapshots.apply(&config).await;
        snapshots.tell(alerting.feed());
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
            public: Some(public),
            past: planned,
            watching: Some(watching),
            services: Some(services.clone()),
            replication: Some(replication.clone()),
            snapshots: Some(snapshots),
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
            replication,
            reloads,
            recorder,
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

    /// What it copies between datacenters.
    pub fn replication(&self) -> Replication {
        self.replication.clone()
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
        let (reloads, recorder) = (self.reloads(), self.recorder.clone());
        let reload = async move {
            // What comes meanwhile is one more reload, however often it comes. The answer goes to log and ledger.
            while hangup.recv().await.is_some() {
                recorder.signalled("SIGHUP", reloads.reload()).await;
            }
        };
        drop(self.tasks.spawn("hangup", OnEnd::Fine, reload));
        let (stopping, decided) = (self.tasks.stopping(), self.decide.stopping());
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
            _ = terminate.recv() => {}
            () = stopping.cancelled() => {}
            () = decided.cancelled() => {}
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
