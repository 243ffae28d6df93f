//! The agent put together: store, engine, watchers, actions, web; how it starts, reloads
//! and stops.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lictor_config::Config;
use lictor_core::{Effect, Engine, Event, RunId, What};
use lictor_store::{Kv, Mirror, NodeStore, OpenError, Options, Start, Warning};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use crate::act::{self, Actors};
use crate::clock::{Anchor, Clock, boot_id};
use crate::consul;
use crate::copies;
use crate::decide::{Hands, Loop, Recorded};
use crate::inbox::{INBOX, Inbox};
use crate::notify::ServiceManager;
use crate::task::{OnEnd, Tasks};
use crate::watch::Watchers;
use crate::web;

/// Entries that a live reader may be behind before it has to read the ledger.
const LIVE: usize = 1_024;

/// Reloads asked for and not yet begun: a second one is as good as a third.
const RELOADS: usize = 2;

/// How long a stop may take; the service manager's patience is longer.
const STOP: Duration = Duration::from_secs(10);

/// Reads the configuration again, for a reload; on failure the mistakes in words.
pub type Loader = Arc<dyn Fn() -> Result<Config, String> + Send + Sync>;

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
    /// The settings for Consul cannot be used.
    #[error("cannot use Consul: {0}")]
    Consul(String),
    /// The listener is not allowed.
    #[error("{0}")]
    Listener(#[from] web::ListenError),
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
            Self::System { .. } | Self::Consul(_) | Self::Listener(_) => None,
        }
    }
}

/// A running agent.
pub struct Agent {
    tasks: Tasks,
    live: broadcast::Sender<Recorded>,
    address: SocketAddr,
    manager: Arc<ServiceManager>,
    reloads: mpsc::Sender<web::Reload>,
    finished: Arc<AtomicBool>,
}

impl Agent {
    /// Starts an agent: opens the store, takes up what it remembers, and watches.
    ///
    /// # Errors
    /// When the state cannot be used, or the listener is not allowed.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let Settings { config, listener, loader, shim, version, new_node } = settings;
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
        let plan = Arc::new(config.plan.clone());
        let (mut engine, mut first) = Engine::restore(plan, opened.rows, clock.now());
        let shared = config.consul.as_ref().map(consul::client).transpose().map_err(StartError::Consul)?;
        if shared.is_some() && !opened.store.confirmed() && !new_node {
            engine.withhold();
        } else if let Err(error) = opened.store.confirm().await {
            warn!(%error, "cannot record that this store is the node's");
        }
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

        let tasks = Tasks::new();
        let (messages, queue) = mpsc::channel(INBOX);
        let inbox = Inbox(messages);
        let (live, _) = broadcast::channel(LIVE);
        let manager = Arc::new(ServiceManager::from_env());
        let mut registry = Registry::default();
        let metrics = web::Metrics::register(&mut registry);

        let keys = crate::keys::of(&config, &opened.store).map_err(StartError::Consul)?;
        let hands =
            act::Settings { shim, ..act::Settings::new(&config.node.state_dir, opened.store.lineage()) };
        let actors =
            Actors::new(hands, config.actions.clone(), tasks.clone(), inbox.clone(), clock.clone(), keys)
                .map_err(system("make the directory for the traces of programs"))?;
        let open: Vec<RunId> = engine.runs().values().filter(|run| !run.ended()).map(|run| run.id).collect();
        if let Err(error) = actors.sweep(&open).await {
            warn!(%error, "old traces of programs not removed");
        }
        let finished = Arc::new(AtomicBool::new(false));
        let decide = Loop {
            engine,
            store: opened.store.clone(),
            clock: clock.clone(),
            boot_id,
            inbox: queue,
            hands: actors.clone(),
            live: live.clone(),
            alive: manager.watchdog(),
            stop: tasks.stopping(),
        };
        let done = Arc::clone(&finished);
        tasks.spawn_draining("decide", OnEnd::Stop, async move {
            decide.run(first).await;
            done.store(true, Ordering::Release);
        });

        let watchers = Watchers::start(&config.watches, &tasks, inbox.clone(), clock.clone(), &mut registry);
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
            ready,
            limits: web::Limits::default(),
        };
        web::serve(listener, state, &tasks);
        if let (Some(settings), Some(client)) = (&config.consul, shared) {
            let kv = Kv::consul(client.clone(), settings.prefix.clone());
            let copies = copies::keep(kv, opened.store.clone(), inbox.clone(), clock.clone());
            tasks.spawn("copies", OnEnd::Fine, copies);
            if let Some(name) = settings.register.clone() {
                let node = config.node.name.clone();
                let entry = consul::register(client, name, node, address, inbox.clone());
                tasks.spawn("consul-service", OnEnd::Fine, entry);
            }
        }
        let reloader =
            Reloader { config, loader, inbox, clock, watchers, actors, manager: Arc::clone(&manager) };
        tasks.spawn("reload", OnEnd::Stop, reloader.run(asked));
        manager.ready(&address);
        Ok(Self { tasks, live, address, manager, reloads, finished })
    }

    /// Where API and page are.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that is recorded from now on.
    pub fn live(&self) -> broadcast::Receiver<Recorded> {
        self.live.subscribe()
    }

    /// Runs something beside the agent, until it stops.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.tasks.spawn(name, OnEnd::Fine, work));
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
        let stopping = self.tasks.stopping();
        loop {
            tokio::select! {
                _ = interrupt.recv() => break,
                _ = quit.recv() => break,
                _ = terminate.recv() => break,
                () = stopping.cancelled() => break,
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

    /// Stops in order; `false` when something did not end in time or the last decisions
    /// were not recorded.
    pub async fn stop(self) -> bool {
        self.manager.stopping();
        let drained = self.tasks.drain(STOP).await;
        if !drained {
            warn!(limit_seconds = STOP.as_secs(), "some tasks did not end in time");
        }
        drained && self.finished.load(Ordering::Acquire)
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
    manager: Arc<ServiceManager>,
}

impl Reloader {
    async fn run(mut self, mut asked: mpsc::Receiver<web::Reload>) {
        while let Some(answer) = asked.recv().await {
            self.manager.reloading();
            let result = self.reload().await;
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
        let fixed = |new: &Config| -> Result<(), String> {
            let old = &self.config;
            let moved: Vec<&str> = [
                ("node.name", old.node.name != new.node.name),
                ("node.state_dir", old.node.state_dir != new.node.state_dir),
                // Secrets do not show in these texts, and are read anew whenever they are needed.
                ("http", format!("{:?}", old.http) != format!("{:?}", new.http)),
                ("consul", format!("{:?}", old.consul) != format!("{:?}", new.consul)),
            ]
            .iter()
            .filter(|(_, moved)| *moved)
            .map(|(name, _)| *name)
            .collect();
            if moved.is_empty() {
                Ok(())
            } else {
                Err(format!("{} can only change with a restart", moved.join(", ")))
            }
            // The entry of the ledger is logged as well, for everybody.
        };
        let config = match loaded.and_then(|config| fixed(&config).map(|()| config)) {
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
        self.actors.replace(config.actions.clone());
        let plan = Arc::new(config.plan.clone());
        self.inbox.reload(plan, event).await.map_err(|gone| gone.to_string())?;
        self.watchers.apply(&config.watches).await.map_err(|gone| gone.to_string())?;
        self.config = config;
        Ok(difference)
    }
}
