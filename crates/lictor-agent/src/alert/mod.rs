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

mod calendar;
pub mod consul;
mod desk;
mod inbox;
mod keep;
pub mod notify;
mod own;
pub mod prometheus;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_config::{Alerts, Config};
use lictor_consul::Client;
use lictor_core::NotifierName;
use lictor_core::alert::{AlertPlan, Desk, Input, Message, Verdict};
use lictor_store::{Kv, KvError, NodeStore};
use tokio::sync::{Mutex, broadcast, mpsc};
use tracing::{error, warn};

use crate::clock::Clock;
use crate::decide::Recorded;
use crate::inbox::Inbox;
use crate::task::{OnEnd, Tasks};
use calendar::Calendar;
use desk::DeskLoop;
pub use inbox::{AlertView, DeskInbox};
use keep::Kept;
use own::OwnChecks;

/// How long the sources of an old configuration may take to end.
const ENDS: Duration = Duration::from_secs(3);

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
    pub(crate) tasks: Tasks,
}

/// The alerts of an agent. Clones are the same.
#[derive(Clone)]
pub(crate) struct Alerting(Arc<Shared>);

struct Shared {
    means: Means,
    desk: DeskInbox,
    /// The sources of the configuration in force.
    sources: Mutex<Tasks>,
}

impl Alerting {
    /// Takes up what is remembered, and begins to tell.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(crate) async fn start(config: &Config, tell: Arc<dyn Tell>, means: Means) -> Result<Self, KvError> {
        let kept = Kept::new(Kv::embedded(means.store.clone()));
        let rows = kept.load().await?;
        let (desk, first) = Desk::restore(plan_of(config), rows, means.clock.now());
        let (sender, queue) = mpsc::channel(inbox::QUEUE);
        let back = DeskInbox(sender);
        let running = DeskLoop {
            desk,
            kept,
            clock: means.clock.clone(),
            queue,
            back: back.clone(),
            notifiers: Arc::clone(&tell),
            ledger: means.inbox.clone(),
            tasks: means.tasks.clone(),
            stop: means.tasks.stopping(),
        };
        let tasks = means.tasks.clone();
        drop(tasks.spawn_draining("alerts", OnEnd::Stop, running.run(first)));
        let alerting = Self(Arc::new(Shared { means, desk: back, sources: Mutex::default() }));
        alerting.begin(config, tell).await;
        let (stop, ends) = (tasks.stopping(), alerting.clone());
        let end = async move {
            stop.cancelled().await;
            ends.0.sources.lock().await.drain(ENDS).await;
        };
        drop(tasks.spawn_draining("sources of alerts", OnEnd::Fine, end));
        Ok(alerting)
    }

    /// The way to the desk.
    pub(crate) fn desk(&self) -> DeskInbox {
        self.0.desk.clone()
    }

    /// Puts another configuration in force.
    pub(crate) async fn apply(&self, config: &Config, tell: Arc<dyn Tell>) {
        if !self.0.sources.lock().await.drain(ENDS).await {
            warn!("the sources of the alerts of before did not end in time");
        }
        if let Err(why) = self.0.desk.reload(plan_of(config), Arc::clone(&tell)).await {
            error!(%why, "the alerts do not answer; the new configuration takes effect when they do");
        }
        self.begin(config, tell).await;
    }

    /// Starts the sources.
    async fn begin(&self, config: &Config, tell: Arc<dyn Tell>) {
        let Shared { means, desk, sources } = &*self.0;
        let alerts = &config.alerts;
        let tasks = Tasks::new();
        let watched = alerts.consul.as_ref().filter(|_| means.consul.is_some());
        let watched = Input::Watched { consul: watched.map(|checks| checks.datacenters.clone()) };
        // It stops.
        let _gone = desk.input(watched).await;
        // Without notifiers nobody is told, and nothing is recorded of each transition.
        if !alerts.plan.notifiers.is_empty() {
            let own = OwnChecks {
                node: means.node.clone(),
                inbox: means.inbox.clone(),
                desk: desk.clone(),
                live: means.live.subscribe(),
            };
            drop(tasks.spawn("own checks", OnEnd::Fine, own.run()));
        }
        if let Some(checks) = &alerts.consul
            && let Some(client) = means.consul.clone()
        {
            // One at a time: while the desk is busy, Consul is not asked.
            let (inputs, mut reported) = mpsc::channel(1);
            let source = consul::Source::new(client, checks.datacenters.clone(), inputs, tasks.stopping());
            let source = if checks.stale { source.stale() } else { source };
            drop(tasks.spawn("checks of Consul", OnEnd::Fine, source.run()));
            let desk = desk.clone();
            let forward = async move {
                while let Some(input) = reported.recv().await {
                    if desk.input(input).await.is_err() {
                        return;
                    }
                }
            };
            drop(tasks.spawn("reports of Consul", OnEnd::Fine, forward));
        }
        let calendar = Calendar {
            alerts: Arc::<Alerts>::clone(alerts),
            desk: desk.clone(),
            notifiers: tell,
            clock: means.clock.clone(),
        };
        calendar.start(&tasks);
        *sources.lock().await = tasks;
    }
}

/// The plan, with a name for this installation.
fn plan_of(config: &Config) -> Arc<AlertPlan> {
    let plan = &config.alerts.plan;
    if plan.cluster.is_empty() {
        return Arc::new(AlertPlan { cluster: config.node.name.clone(), ..AlertPlan::clone(plan) });
    }
    Arc::clone(plan)
}
