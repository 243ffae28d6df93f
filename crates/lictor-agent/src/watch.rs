//! Watchers: the long-running sources of results, and their schedule.
//!
//! What a target does wrong is `critical`; what keeps *us* from looking (a program that is not
//! there, no files left, no permission) is `unknown` with the reason. No data is never taken
//! for fine.

mod clock;
mod disk;
mod dns;
pub(crate) mod exec;
mod fault;
mod file;
mod follow;
mod heartbeat;
mod http;
mod journal;
mod lend;
mod limits;
mod load;
mod look;
mod memory;
mod metrics;
mod pressure;
mod process;
mod program;
mod prometheus;
mod public_ip;
mod qbittorrent;
mod redis;
mod resolve;
mod same;
mod schedule;
mod spread;
mod stream;
mod swap;
mod tcp;
mod temperature;
mod tls;
mod unit;
mod value;
mod vpn;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;

use lictor_config::{Secret, Watch};
use lictor_core::{CheckName, Status};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};

pub(crate) use disk::unescape;
pub(crate) use dns::{message, name_servers};
pub use follow::Positions;
pub use heartbeat::HeartbeatError;
pub(crate) use http::{Fetch, Unanswered, fetch, request};
pub(crate) use lend::Ran;
pub use look::{Look, Memory, World, look};
pub use metrics::Stats;
pub(crate) use process::pid_in_file;
pub(crate) use prometheus::past;
pub use schedule::Difference;
pub(crate) use tls::secured;
pub use webhook::{WebhookError, WebhookTaken};

use metrics::Metrics;
use schedule::{ORDERS, Order, Scheduler, real_looks};

use crate::qbittorrent::Sessions;
use crate::{Clock, Gone, Inbox, OnEnd, Tasks};

/// The running watchers. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub struct Watchers {
    orders: mpsc::Sender<Order>,
    world: Arc<World>,
    inbox: Inbox,
    metrics: Arc<Metrics>,
}

impl Watchers {
    /// Starts the watchers: each looks for the first time within 10 s, or within its interval
    /// if that is shorter, and all of them spread evenly over that time.
    ///
    /// Raises the process's limit of open files, and adds the metrics `lictor_probe*` and
    /// `lictor_watcher*` to `registry`.
    pub fn start(
        watches: &BTreeMap<CheckName, Arc<Watch>>,
        tasks: &Tasks,
        inbox: Inbox,
        clock: Clock,
        registry: &mut Registry,
        qbittorrent: Sessions,
        positions: Positions,
    ) -> Self {
        let world = World::of_agent(tasks.clone(), clock, qbittorrent, inbox.clone(), positions);
        let metrics = Arc::new(Metrics::register(registry));
        let room = world.files.looks();
        let mut scheduler =
            Scheduler::new(Arc::clone(&world), inbox.clone(), Arc::clone(&metrics), real_looks(), room);
        scheduler.apply(watches.clone());
        let (orders, ordered) = mpsc::channel(ORDERS);
        tasks.spawn("watchers", OnEnd::Stop, scheduler.run(ordered));
        Self { orders, world, inbox, metrics }
    }

    /// Makes these the watchers, as after a reload. One that is the same as before goes on
    /// undisturbed; the look of one that is changed or gone is given up.
    ///
    /// # Errors
    /// When the agent stops.
    pub async fn apply(&self, watches: &BTreeMap<CheckName, Arc<Watch>>) -> Result<Difference, Gone> {
        let (answer, answered) = oneshot::channel();
        let order = Order::Apply(watches.clone(), answer);
        self.orders.send(order).await.map_err(|_closed| Gone)?;
        answered.await.map_err(|_dropped| Gone)
    }

    /// Takes a call of what must call in, with what it says of itself. Whether the caller may
    /// is for whoever hands the call in to find out, see [`Self::heartbeat_token`].
    ///
    /// # Errors
    /// When there is no such heartbeat, or the agent cannot take the call within 5 s.
    pub async fn heartbeat(
        &self,
        check: &CheckName,
        status: Status,
        message: &str,
    ) -> Result<(), HeartbeatError> {
        let heart = self.world.heart(check).ok_or_else(|| HeartbeatError::NotFound(check.clone()))?;
        heart.beat(check, status, message, &self.inbox).await
    }

    /// The token that a heartbeat is configured to want of its callers. `None`: there is no such heartbeat;
    /// `Some(None)`: it wants none.
    pub fn heartbeat_token(&self, check: &CheckName) -> Option<Option<Secret>> {
        self.world.heart(check).map(|heart| heart.token().cloned())
    }

    /// Takes what others say is wrong, as the watcher is told to understand it. Whether the caller may is
    /// for whoever hands the call in to find out, see [`Self::webhook_token`].
    ///
    /// # Errors
    /// When there is no such webhook, the body is not understood, the agent cannot take the call within
    /// 5 s (then nothing of it was taken), or it is not recorded within 10 s more.
    pub async fn webhook(&self, check: &CheckName, body: &[u8]) -> Result<WebhookTaken, WebhookError> {
        let hook = self.world.hook(check).ok_or_else(|| WebhookError::NotFound(check.clone()))?;
        let taken = hook.call(check, body, &self.world.clock, &self.inbox, &self.world.positions).await?;
        // Whoever is told that it was taken does not say it again.
        let recorded = self.inbox.recorded().await;
        recorded.map(|()| taken).map_err(|_late| WebhookError::NotRecorded(check.clone()))
    }

    /// The token that a webhook is configured to want of its callers. `None`: there is no such webhook;
    /// `Some(None)`: it wants none.
    pub fn webhook_token(&self, check: &CheckName) -> Option<Option<Secret>> {
        self.world.hook(check).map(|hook| hook.token().cloned())
    }

    /// What they have done so far.
    pub fn stats(&self) -> Stats {
        self.metrics.stats()
    }
}
