//! HTTP: the JSON API, server-sent events, metrics and the status page.
//!
//! [`bind`] early, so that an address in use is told before anything else is done;
//! [`serve`] when there is something to show. Everything is read from an immutable
//! [`View`](crate::View) and from the ledger; commands go to the decide loop and are
//! answered when they are durable.

mod alerts;
mod api;
mod asset;
mod audit;
mod beat;
mod caller;
mod connection;
mod error;
mod explain;
mod facts;
mod follow;
mod guard;
mod history;
mod hook;
mod listen;
mod metrics;
mod page;
mod public;
mod recorder;
mod replicate;
mod route;
mod services;
mod snapshots;
mod source;
mod stream;
mod text;
mod token;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::IntoResponse as _;
use http::StatusCode;
use lictor_config::Listen;
use lictor_core::Event;
use lictor_core::peers::MeshView;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use audit::Acts;
pub use history::{End, EventQuery, History};
pub use listen::{ListenError, bind, check};
pub use metrics::{Metrics, registry};
pub use recorder::Recorder;
pub use replicate::copies;
pub use snapshots::snapshots;
pub use source::{
    Alerts, Caller, Clustered, Forgotten, Heartbeats, Kept, KeptState, MonitorState, Replicated, Snapshotted,
    Source, Webhooks,
};

pub(crate) use public::{Keeper as PublicKeeper, Sources as PublicSources};
pub(crate) use text::rfc3339;

use crate::alert::prometheus::Posts;
use crate::{Clock, OnEnd, Past, Tasks};
use connection::Load;
use guard::Rules;
use history::Archive;

/// A request to reload the configuration: the difference in words, or why the new one
/// was refused, is sent back.
pub type Reload = oneshot::Sender<Result<String, String>>;

/// What the web shows and whom it asks.
#[derive(Clone)]
pub struct State {
    /// The decide loop; [`Inbox`](crate::Inbox) is one.
    pub source: Arc<dyn Source>,
    /// The ledger.
    pub history: Arc<dyn History>,
    /// Publishes each entry of the ledger with its number, in order, after it was recorded.
    pub events: broadcast::Sender<Arc<(u64, Event)>>,
    /// The listener's token and host names.
    pub listen: Listen,
    /// The name of this node.
    pub node: String,
    /// Its datacenter.
    pub datacenter: Option<String>,
    /// The version of the program.
    pub version: String,
    /// The metrics of this agent; see [`registry`].
    pub registry: Arc<Registry>,
    /// The counters in it.
    pub metrics: Metrics,
    /// Keeps who asked for what.
    pub acts: Arc<dyn Acts>,
    /// When that is; [`None`] in tests.
    pub clock: Option<Clock>,
    /// Takes requests to reload the configuration.
    pub reload: mpsc::Sender<Reload>,
    /// Takes the calls of what must call in.
    pub heartbeats: Arc<dyn Heartbeats>,
    /// Takes what others say is wrong.
    pub webhooks: Arc<dyn Webhooks>,
    /// The connection monitors and what is kept of them.
    pub monitors: Arc<dyn Kept>,
    /// The alerts; [`DeskInbox`](crate::alert::DeskInbox) is one.
    pub alerts: Arc<dyn Alerts>,
    /// Takes in what Prometheus reports.
    pub posts: Posts,
    /// The services of this node; [`Services`](crate::service::Services) is one.
    pub services: Arc<dyn Clustered>,
    /// What is copied between datacenters; [`Replication`](crate::replicate::Replication) is one.
    pub replication: Arc<dyn Replicated>,
    /// The snapshots that are taken of Consul; [`Snapshots`](crate::snapshot::Snapshots) is one.
    pub snapshots: Arc<dyn Snapshotted>,
    /// How the mesh of peers stands, after each round.
    pub mesh: watch::Receiver<Arc<MeshView>>,
    /// How the checks stood.
    pub past: Past,
    /// Whether start-up is over.
    pub ready: Arc<AtomicBool>,
    /// Bounds.
    pub limits: Limits,
}

impl State {
    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

/// Bounds on what clients can take of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections (default 512). A new one then takes the place of one that has
    /// not sent a request.
    pub connections: usize,
    /// Clients that follow the events (default 64).
    pub streams: usize,
    /// Time for the head of a request, and for a kept connection to say nothing
    /// (default 20 s: longer than the usual 15 s between two scrapes).
    pub head: Duration,
    /// Time in which a client must take something of its answer (default 30 s).
    pub stall: Duration,
    /// Bytes of answers that clients have not taken yet, over all of them (default
    /// 64 MiB); more requests are then refused, those of health probes excepted.
    pub answers: usize,
    /// A request that is answered for longer makes place for another when all places
    /// are taken (default 5 s).
    pub busy: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            streams: 64,
            head: Duration::from_secs(20),
            stall: Duration::from_secs(30),
            answers: 64 * 1024 * 1024,
            busy: Duration::from_secs(5),
        }
    }
}

/// What every request is answered from.
struct Site {
    state: State,
    rules: Rules,
    archive: Archive,
    streams: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: Tasks,
    pages: page::Cache,
    load: Load,
    refusals: audit::Refusals,
    recorder: Recorder,
}

impl std::ops::Deref for Site {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

/// Serves until the agent stops; requests under way are then answered for up to 2 s. What is given back records what comes
/// by another way.
pub fn serve(listener: TcpListener, state: State, tasks: &Tasks) -> Recorder {
    let recorder = Recorder::new(Arc::clone(&state.acts), state.clock.clone(), tasks);
    let site = Arc::new(Site {
        rules: Rules::new(&state.listen),
        archive: Archive::new(Arc::clone(&state.history)),
        streams: Arc::new(Semaphore::new(state.limits.streams)),
        stop: tasks.stopping(),
        tasks: tasks.clone(),
        pages: page::Cache::default(),
        load: Load::default(),
        refusals: audit::Refusals::default(),
        recorder: recorder.clone(),
        state,
    });
    let (metrics, load, limits) = (site.metrics.clone(), site.load.clone(), site.limits);
    tasks.spawn("metrics", OnEnd::Stop, count(Arc::clone(&site)));
    let ends = tasks.stopping();
    let accept =
        connection::accept(listener, route::router(site), metrics, load, limits, tasks.clone(), ends);
    tasks.spawn_draining("http", OnEnd::Stop, accept);
    recorder
}

/// Serves another router at a listener of its own, within the same bounds, until the agent stops.
pub fn serve_beside(listener: TcpListener, router: Router, limits: Limits, tasks: &Tasks) {
    let accept = beside(listener, router, limits, tasks, tasks.stopping());
    tasks.spawn_draining("http beside", OnEnd::Stop, accept);
}

/// Accepts connections for another router, within the same bounds, until `ends`; those that are open end with it.
fn beside(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    tasks: &Tasks,
    ends: CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let load = Load::default();
    let waiting = load.clone();
    let router =
        router.layer(middleware::from_fn(move |request: Request, next: Next| {
            let full = waiting.bytes() > limits.answers;
            async move {
                if full { StatusCode::SERVICE_UNAVAILABLE.into_response() } else { next.run(request).await }
            }
        }));
    // Those of the agent are about its own interface.
    let metrics = Metrics::register(&mut Registry::default());
    connection::accept(listener, router, metrics, load, limits, tasks.clone(), ends)
}

/// Counts every entry of the ledger from now on.
async fn count(site: Arc<Site>) {
    let mut after = None;
    loop {
        // A ledger that cannot be read is told by what writes it; the count goes on
        // where it stood.
        if let Ok(mut follow) = follow::Follow::new(site.archive.clone(), &site.events, after).await {
            loop {
                match follow.next().await {
                    Ok(Some(entry)) => {
                        site.metrics.count(&entry.1);
                        after = Some(entry.0);
                    }
                    Ok(None) => return std::future::pending().await,
                    Err(_unreadable) => break,
                }
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
