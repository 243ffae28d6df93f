//! Alerts as the agent runs them: their sources, and who is told.
//!
//! ```text
//!  own checks ──────────┐
//!  Consul's checks ─────┼─▶ DeskInbox ─▶ DeskLoop: Desk ─▶ Kept (records) ─▶ Tell (notifiers)
//!  people, calendar ────┘                   ▲                                    │
//!                                           └────────────── verdicts ◀───────────┘
//! ```
//!
//! As in the decide loop, what the desk says is recorded first and only then let out.
//!
//! Without Consul's checks each node has a desk of its own, over its store. With them, the nodes that
//! watch them share one desk whose records are in Consul: `seat` says which of them tells.

mod alone;
mod ask;
mod calendar;
pub mod consul;
mod desk;
mod fence;
mod gather;
mod inbox;
mod keep;
pub mod notify;
mod own;
mod predecessor;
pub mod prometheus;
mod relay;
mod seat;
mod sources;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_config::Config;
use lictor_consul::Client;
use lictor_core::NotifierName;
use lictor_core::alert::{AlertPlan, Desk, Message, Verdict};
use lictor_store::{Kv, KvError, NodeStore};
use tokio::sync::{Mutex, broadcast, mpsc, watch};
use tracing::{error, info};

use crate::clock::Clock;
use crate::decide::Recorded;
use crate::inbox::Inbox;
use crate::task::{OnEnd, Tasks};
use alone::{Alone, Current};
use ask::Asks;
use desk::DeskLoop;
pub(crate) use inbox::SHARED_RECORDS;
pub use inbox::{AlertView, DeskInbox, Seat};
use keep::Kept;
use own::OwnChecks;
pub use predecessor::{Guard, Predecessor, Records};
use prometheus::{Elsewhere, Posts};
pub(crate) use relay::Feed;
use relay::Relay;
use seat::SeatLoop;
use sources::Sources;

/// What a source of this node may be ahead of the records in Consul.
const RELAYED: usize = 256;

/// Tells a message.
pub trait Tell: Send + Sync {
    /// Makes one attempt, and says what became of it. It has its own time limit.
    fn send<'a>(&'a self, notifier: &'a NotifierName, message: &'a Message) -> BoxFuture<'a, Verdict>;
}

impl Tell for notify::Notifiers {
    fn send<'a>(&'a self, notifier: &'a NotifierName, message: &'a Message) -> BoxFuture<'a, Verdict> {
        Box::pin(Self::send(self, notifier, message))
    }
}

/// What the alerts need of the agent.
pub(crate) struct Means {
    pub(crate) node: String,
    pub(crate) store: NodeStore,
    pub(crate) inbox: Inbox,
    pub(crate) clock: Clock,
    pub(crate) live: broadcast::Sender<Recorded>,
    pub(crate) consul: Option<Client>,
    /// What our keys in Consul begin with.
    pub(crate) prefix: String,
    /// The program whose place we take.
    pub(crate) predecessor: Option<Predecessor>,
    pub(crate) tasks: Tasks,
}

/// What a node that is cut off tells by, and when.
struct WhenAlone {
    current: watch::Sender<Current>,
    /// See [`lictor_config::ConsulChecks::alone_after`].
    after: watch::Sender<Duration>,
}

/// The alerts of an agent. Clones are the same.
#[derive(Clone)]
pub(crate) struct Alerting(Arc<Shared>);

struct Shared {
    means: Means,
    desk: DeskInbox,
    sources: Sources,
    posts: Posts,
    /// Where our own checks are handed in.
    feed: Feed,
    /// Where several nodes share the desk, what a node that is cut off tells by. Decided at the start.
    current: Option<WhenAlone>,
    /// What watches our own checks, once somebody is told of them.
    own: Mutex<bool>,
}

impl Alerting {
    /// Takes up what is remembered, and begins to tell; or, where several nodes share the desk, waits
    /// for its turn.
    ///
    /// # Errors
    /// When the records cannot be read, or Consul cannot be used.
    pub(crate) async fn start(config: &Config, tell: Arc<dyn Tell>, means: Means) -> Result<Self, KvError> {
        let (sender, queue) = mpsc::channel(inbox::QUEUE);
        let desk = DeskInbox(sender);
        let client = means.consul.clone().zip(config.alerts.consul.as_ref());
        let clock = means.clock.clone();
        let sources = Sources::new(
            desk.clone(),
            means.consul.clone(),
            clock.clone(),
            Arc::clone(&config.alerts),
            Arc::clone(&tell),
        );
        let (posts, feed, current) = match client {
            None => {
                let posts = Posts::start(Arc::new(desk.clone()), clock, &means.tasks);
                let kept = Kept::local(Kv::embedded(means.store.clone()));
                local(config, tell, &means, kept, queue, &desk).await?;
                if let Some(client) = means.consul.clone() {
                    let withdraw =
                        relay::withdraw(Kv::consul(client, means.prefix.clone()), means.node.clone());
                    drop(means.tasks.spawn("alerts that were shared", OnEnd::Fine, withdraw));
                }
                sources.begin().await;
                (posts, Feed::Desk(desk.clone()), None)
            }
            Some((client, checks)) => {
                let after = watch::Sender::new(checks.alone_after);
                let begun = together(config, (tell, &after), &means, client, queue, &desk, &sources);
                let (posts, feed, current) = begun;
                (posts, feed, Some(WhenAlone { current, after }))
            }
        };
        let own = Mutex::new(false);
        let alerting = Self(Arc::new(Shared { means, desk, sources, posts, feed, current, own }));
        alerting.watch_own(config).await;
        let (stop, ends) = (alerting.0.means.tasks.stopping(), alerting.clone());
        let end = async move {
            stop.cancelled().await;
            ends.0.sources.end().await;
        };
        drop(alerting.0.means.tasks.spawn_draining("sources of alerts", OnEnd::Fine, end));
        Ok(alerting)
    }

    /// The way to the desk.
    pub(crate) fn desk(&self) -> DeskInbox {
        self.0.desk.clone()
    }

    /// The way in for what this node sees.
    pub(crate) fn feed(&self) -> Feed {
        self.0.feed.clone()
    }

    /// The way in for what other programs report.
    pub(crate) fn posts(&self) -> Posts {
        self.0.posts.clone()
    }

    /// Puts another configuration in force.
    pub(crate) async fn apply(&self, config: &Config, tell: Arc<dyn Tell>) {
        if config.alerts.consul.is_some() != self.0.current.is_some() {
            info!("whether several nodes share the alerts is decided at the start of the agent");
        }
        if let Some(WhenAlone { current, after }) = &self.0.current {
            current.send_replace((plan_of(config), Arc::clone(&tell)));
            if let Some(checks) = &config.alerts.consul {
                after.send_replace(checks.alone_after);
            }
        }
        if let Err(why) = self.0.desk.reload(plan_of(config), Arc::clone(&tell)).await {
            error!(%why, "the alerts do not answer; the new configuration takes effect when they do");
        }
        self.0.sources.apply(Arc::clone(&config.alerts), tell).await;
        self.watch_own(config).await;
    }

    /// Without notifiers nobody is told, and nothing is recorded of each transition.
    async fn watch_own(&self, config: &Config) {
        let mut watched = self.0.own.lock().await;
        if *watched || config.alerts.plan.notifiers.is_empty() {
            return;
        }
        *watched = true;
        let means = &self.0.means;
        let own = OwnChecks {
            node: means.node.clone(),
            inbox: means.inbox.clone(),
            feed: self.0.feed.clone(),
            live: means.live.subscribe(),
        };
        drop(means.tasks.spawn("own checks", OnEnd::Fine, own.run()));
    }
}

/// A desk of this node alone.
async fn local(
    config: &Config,
    notifiers: Arc<dyn Tell>,
    means: &Means,
    kept: Kept,
    mut queue: mpsc::Receiver<inbox::Message>,
    back: &DeskInbox,
) -> Result<(), KvError> {
    let now = means.clock.now();
    let rows = kept.load(now).await?;
    let (desk, first) = Desk::restore(plan_of(config), rows, now);
    let running = DeskLoop {
        desk,
        kept,
        clock: means.clock.clone(),
        back: back.clone(),
        notifiers,
        ledger: means.inbox.clone(),
        tasks: means.tasks.clone(),
        stop: means.tasks.stopping(),
        fence: None,
    };
    let work = async move { drop(running.run(first, &mut queue).await) };
    drop(means.tasks.spawn_draining("alerts", OnEnd::Stop, work));
    Ok(())
}

/// A desk that several nodes share.
fn together(
    config: &Config,
    (notifiers, alone_after): (Arc<dyn Tell>, &watch::Sender<Duration>),
    means: &Means,
    client: Client,
    queue: mpsc::Receiver<inbox::Message>,
    back: &DeskInbox,
    sources: &Sources,
) -> (Posts, Feed, watch::Sender<Current>) {
    // Nothing else may delay a renewal.
    let own = client.with_own_connections().unwrap_or_else(|_same_settings| client.clone());
    let leased = Kv::consul(own, means.prefix.clone());
    let try_for = seat::try_for(leased, means.node.clone(), means.clock.clone());
    let kv = Kv::consul(client, means.prefix.clone());
    let seat = watch::Sender::new(Seat::Nobody { why: "the record was not read yet".to_owned() });
    let asks = Asks { kv: kv.clone(), clock: means.clock.clone() };
    let elsewhere = Elsewhere { seat: seat.subscribe(), asks: asks.clone() };
    let posts = Posts::shared(Arc::new(back.clone()), means.clock.clone(), Some(elsewhere), &means.tasks);
    let (said, says) = mpsc::channel(RELAYED);
    let current = watch::Sender::new((plan_of(config), Arc::clone(&notifiers)));
    let own_store = Kv::embedded(means.store.clone());
    let (quiet, silences) = watch::channel(Vec::new());
    let keep = gather::keep_silences(kv.clone(), means.clock.clone(), quiet);
    drop(means.tasks.spawn("silences of the shared alerts", OnEnd::Fine, keep));
    let alone = Alone::new(
        means.node.clone(),
        own_store,
        means.clock.clone(),
        means.inbox.clone(),
        current.subscribe(),
        silences,
    );
    let stop = means.tasks.stopping();
    let relay = Relay::new(asks, &means.node, says, seat.subscribe(), (alone, alone_after.subscribe()), stop);
    drop(means.tasks.spawn_draining("relay of own checks", OnEnd::Fine, relay.run()));
    let running = SeatLoop {
        kv,
        node: means.node.clone(),
        try_for,
        predecessor: means.predecessor.clone(),
        plan: plan_of(config),
        notifiers,
        clock: means.clock.clone(),
        queue,
        back: back.clone(),
        ledger: means.inbox.clone(),
        sources: sources.clone(),
        posts: posts.clone(),
        seat,
        alone_after: alone_after.subscribe(),
        said: said.clone(),
        tasks: means.tasks.clone(),
        stop: means.tasks.stopping(),
        looked: seat::Looked::default(),
    };
    drop(means.tasks.spawn_draining("alerts", OnEnd::Stop, running.run()));
    (posts, Feed::Shared(said), current)
}

/// The plan, with a name for this installation.
fn plan_of(config: &Config) -> Arc<AlertPlan> {
    let plan = &config.alerts.plan;
    if plan.cluster.is_empty() {
        return Arc::new(AlertPlan { cluster: config.node.name.clone(), ..AlertPlan::clone(plan) });
    }
    Arc::clone(plan)
}
