//! Watchers: the long-running sources of results, and their schedule.
//!
//! What a target does wrong is `critical`; what keeps *us* from looking (a program that is not
//! there, no files left, no permission) is `unknown` with the reason. No data is never taken
//! for fine.

mod disk;
mod dns;
mod exec;
mod fault;
mod heartbeat;
mod http;
mod limits;
mod look;
mod metrics;
mod process;
mod public_ip;
mod qbittorrent;
mod resolve;
mod same;
mod schedule;
mod spread;
mod stream;
mod tcp;
mod tls;
mod value;
mod vpn;

use std::collections::BTreeMap;
use std::sync::Arc;

use lictor_config::{Secret, Watch};
use lictor_core::{CheckName, Status};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};

pub use heartbeat::HeartbeatError;
pub use look::{Look, Memory, World, look};
pub use metrics::Stats;
pub use schedule::Difference;

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
    ) -> Self {
        let world = World::sharing(tasks.clone(), clock, qbittorrent);
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

    /// What they have done so far.
    pub fn stats(&self) -> Stats {
        self.metrics.stats()
    }
}
