//! Connection monitors: their record in Consul is kept as the engine decides, picked up where
//! another program or another node left it, and removed when nobody needs it any more.
//!
//! The engine knows nothing of this. It is told whether this node may act for a monitor (a
//! lease), and what another had begun.

mod keep;
mod observe;
mod record;
mod registry;
mod share;
mod shown;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lictor_config::Monitor;
use lictor_consul::Client;
use lictor_core::{Holding, LeaseName, Order};
use lictor_store::NodeStore;
use lictor_store::kv::Kv;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub(crate) use record::{Record, word};
pub(crate) use registry::Listed;

use crate::clock::Clock;
use crate::decide::Recorded;
use crate::inbox::Inbox;
use crate::lease::Lease;
use crate::task::{OnEnd, Tasks};
use keep::{Keeper, Mail};
use registry::Registry;

/// How long the release of a lease may take.
const RELEASE: Duration = Duration::from_millis(2_500);

/// How long an act waits until its intent is in Consul.
const GATE: Duration = Duration::from_secs(20);

/// The monitors of an agent. Cheap to clone; clones share them.
#[derive(Clone)]
pub(crate) struct Monitors(Arc<Shared>);

struct Shared {
    means: Option<Means>,
    registry: Registry,
    running: Mutex<BTreeMap<String, Running>>,
}

/// What the keepers of all monitors work with.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) client: Client,
    /// Where our own records lie in Consul.
    pub(crate) prefix: String,
    pub(crate) store: NodeStore,
    pub(crate) inbox: Inbox,
    pub(crate) clock: Clock,
    pub(crate) node: String,
    pub(crate) live: broadcast::Sender<Recorded>,
    pub(crate) tasks: Tasks,
}

struct Running {
    monitor: Monitor,
    stop: CancellationToken,
    ended: JoinHandle<()>,
    status: Arc<Mutex<Standing>>,
    mail: tokio::sync::mpsc::Sender<Mail>,
    lease: Option<Lease>,
}

/// How a monitor stands, for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// What its record says, or would say.
    pub(crate) record: Record,
    /// Whether this node acts for it, in words.
    pub(crate) holding: Option<Holding>,
    /// Why its record is not in Consul as it should be.
    pub(crate) behind: Option<String>,
}

/// Why a state was not removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Forget {
    /// The monitor is configured.
    InUse,
    /// No such state is kept.
    Unknown,
    /// It could not be done.
    Failed(String),
}

impl Monitors {
    /// The monitors of a node; `means` are there when it has a Consul.
    /// `local` keeps which ones there ever were.
    pub(crate) fn new(means: Option<Means>, local: Kv) -> Self {
        let writer =
            means.as_ref().map(|means| (means.node.clone(), means.store.lineage())).unwrap_or_default();
        let registry = Registry::new(local, means.as_ref().map(|means| means.client.clone()), writer);
        Self(Arc::new(Shared { means, registry, running: Mutex::default() }))
    }

    /// Makes these the monitors. One that is as before goes on undisturbed.
    pub(crate) async fn apply(&self, monitors: &[Monitor]) {
        let Some(means) = &self.0.means else { return };
        let gone: Vec<Running> = {
            let mut running = lock(&self.0.running);
            let changed = |name: &String, one: &Running| {
                !monitors.iter().any(|new| new.name == *name && *new == one.monitor)
            };
            let names: Vec<String> = running
                .iter()
                .filter(|(name, one)| changed(name, one))
                .map(|(name, _)| name.clone())
                .collect();
            names.iter().filter_map(|name| running.remove(name)).collect()
        };
        for one in gone {
            // Before the lease is let go of: from here on nothing is ordered.
            if let Some(lease) = one.monitor.lease.clone() {
                let why = "the monitor is being changed".to_owned();
                // Only an agent that stops does not take it.
                means.inbox.lease(lease, Holding::Unknown { why }).await.ok();
            }
            one.stop.cancel();
            if tokio::time::timeout(Duration::from_secs(5), one.ended).await.is_err() {
                warn!(monitor = one.monitor.name, "the keeper of a monitor that was changed has not ended");
            }
        }
        for monitor in monitors {
            if lock(&self.0.running).contains_key(&monitor.name) {
                continue;
            }
            let started = self.start(means, monitor);
            lock(&self.0.running).insert(monitor.name.clone(), started);
        }
        if let Err(why) = self.0.registry.sync(monitors, means.clock.now().wall).await {
            warn!(%why, "which monitors there are is not recorded");
        }
    }

    fn start(&self, means: &Means, monitor: &Monitor) -> Running {
        let stop = means.tasks.stopping().child_token();
        // Of its own, because it is released after the keeper has written its last.
        let leased = Tasks::new();
        let lease = (monitor.instances > 1).then(|| {
            // Nothing else may delay a renewal.
            let own =
                means.client.with_own_connections().unwrap_or_else(|_same_settings| means.client.clone());
            let kv = Kv::consul(own, means.prefix.clone());
            let key = format!("lease/connection_monitor/{}", monitor.name);
            let incarnation = format!("{:032x}", rand::random::<u128>());
            let params = crate::fault::lease();
            Lease::start(kv, key, means.node.clone(), incarnation, params, means.clock.clone(), &leased)
        });
        let status = Arc::new(Mutex::new(Standing::default()));
        let (mail, box_) = tokio::sync::mpsc::channel(16);
        let keeper = Keeper::new(means.clone(), monitor.clone(), lease.clone(), Arc::clone(&status), box_);
        let ended = means.tasks.spawn_draining(format!("monitor {}", monitor.name), OnEnd::Fine, {
            let stop = stop.clone();
            async move {
                keeper.run(stop).await;
                leased.drain(RELEASE).await;
            }
        });
        Running { monitor: monitor.clone(), stop, ended, status, mail, lease }
    }

    /// Removes what is kept of monitors that are gone for long enough, once a day.
    pub(crate) async fn expire(self) {
        let Some(means) = self.0.means.clone() else { return };
        loop {
            if let Err(why) = self.0.registry.expire(means.clock.now().wall).await {
                warn!(why, "the state of removed monitors stays for now");
            }
            tokio::time::sleep(Duration::from_secs(86_400)).await;
        }
    }

    /// How each stands.
    pub(crate) fn standings(&self) -> BTreeMap<String, Standing> {
        let running = lock(&self.0.running);
        running.iter().map(|(name, one)| (name.clone(), lock(&one.status).clone())).collect()
    }

    /// Every monitor whose state is kept, here or in Consul.
    ///
    /// # Errors
    /// In words.
    pub(crate) async fn list(&self) -> Result<Vec<Listed>, String> {
        self.0.registry.list().await
    }

    /// Removes the state of a monitor that is not configured any more; what was removed, in words.
    ///
    /// # Errors
    /// See [`Forget`].
    pub(crate) async fn forget(&self, name: &str) -> Result<String, Forget> {
        if lock(&self.0.running).contains_key(name) {
            return Err(Forget::InUse);
        }
        self.0.registry.forget(name).await
    }

    /// Whether an order may be carried out now: asked right before it is. For a monitor that
    /// several nodes have, its intent must be in Consul, and the lease be believed in.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn may(&self, lease: &LeaseName, order: &Order) -> Result<(), String> {
        let (mail, held, shared) = {
            let running = lock(&self.0.running);
            let Some(one) = running.values().find(|one| one.monitor.lease.as_ref() == Some(lease)) else {
                return Err("its monitor is not running".to_owned());
            };
            if lock(&one.status).holding != Some(Holding::Ours) {
                return Err("this node may not act for it now".to_owned());
            }
            let shared = one.monitor.instances > 1 || !one.monitor.act_without_consul;
            (one.mail.clone(), one.lease.clone(), shared)
        };
        if shared {
            let (answer, answered) = tokio::sync::oneshot::channel();
            let asked = Mail { run: order.run, attempt: order.attempt, answer };
            let work = async {
                mail.send(asked).await.map_err(|_gone| "the monitor was stopped".to_owned())?;
                answered.await.map_err(|_gone| "the monitor was stopped".to_owned())?
            };
            tokio::time::timeout(GATE, work).await.map_err(|_late| {
                "what it is about to do could not be written to Consul in time".to_owned()
            })??;
        }
        match held {
            Some(held) if held.believes().is_none() => {
                Err("this node does not hold the lease any more".to_owned())
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
