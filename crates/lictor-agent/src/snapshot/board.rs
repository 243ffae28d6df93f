//! What snapshots a node takes: which blocks there are follows the configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_config::{Config, Consul, Snapshot};
use lictor_consul::{Client, Status};
use lictor_core::SnapshotName;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::error;

use super::due::stamp;
use super::seat::{Order, Seat, Slot, Wanted};
use super::service;
use super::tell::{tell, verdicts};
use super::view::SnapshotView;
use crate::alert::Feed;
use crate::clock::Clock;
use crate::consul;
use crate::task::{OnEnd, Tasks};

/// How long what is under way may take to end.
const ENDS: Duration = Duration::from_secs(8);

/// How long somebody who has asked waits for what comes of it.
const PATIENCE: Duration = Duration::from_secs(8);

/// What snapshots are taken with.
#[derive(Clone, Debug)]
pub struct Means {
    /// The name of this node.
    pub node: String,
    /// Its clock.
    pub clock: Clock,
    /// The folder in which scratch folders are made, unless a block names one.
    pub scratch: PathBuf,
    /// What it runs as.
    pub tasks: Tasks,
}

/// The snapshots of a node. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Snapshots(Arc<Shared>);

struct Shared {
    means: Means,
    running: Mutex<BTreeMap<SnapshotName, Running>>,
    /// One after the other.
    applying: tokio::sync::Mutex<()>,
}

struct Running {
    config: Arc<Snapshot>,
    consul: Consul,
    client: Client,
    tasks: Tasks,
    slot: Slot,
}

/// Why nothing came of what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotOrderError {
    /// There is no such block.
    #[error("no block snapshot is called `{0}`")]
    NoSuch(String),
    /// Another node works.
    #[error("this node does not take them: {0}")]
    Elsewhere(String),
    /// Others have asked before.
    #[error("others have asked for several already")]
    Busy,
    /// It was tried, and failed.
    #[error("{0}")]
    Failed(String),
    /// This node takes them no more.
    #[error("it was broken off: this node takes them no more")]
    Lost,
}

impl Snapshots {
    /// Nothing is taken before [`Snapshots::apply`].
    pub fn new(means: Means) -> Self {
        let (running, applying) = (Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Shared { means, running, applying }))
    }

    /// Those of a node that takes none.
    pub fn idle() -> Self {
        let (node, scratch) = (String::new(), PathBuf::new());
        Self::new(Means { node, clock: Clock::fresh(), scratch, tasks: Tasks::new() })
    }

    /// Tells of what is wrong with them, for as long as the agent runs.
    pub(crate) fn tell(&self, feed: Feed) {
        let Means { node, clock, tasks, .. } = self.0.means.clone();
        drop(tasks.spawn("alerts of snapshots", OnEnd::Fine, tell(self.clone(), feed, node, clock)));
    }

    /// Puts a configuration in force; what could not be done of it, in words.
    pub async fn apply(&self, config: &Config) -> Vec<String> {
        let _one = self.0.applying.lock().await;
        let mut told = Vec::new();
        let ended: Vec<Running> = {
            let mut running = self.running();
            let gone: Vec<SnapshotName> = running
                .iter()
                .filter(|(name, running)| !running.is_as(config, name))
                .map(|(name, _)| name.clone())
                .collect();
            gone.iter().filter_map(|name| running.remove(name)).collect()
        };
        for running in ended {
            if !running.tasks.drain(ENDS).await {
                told.push(format!("snapshot {} did not end in time", running.config.name));
            }
        }
        let Some(settings) = &config.consul else { return told };
        for running in self.running().values() {
            if let Err(why) = consul::renew(&running.client, settings) {
                told.push(format!(
                    "the token for snapshot {} stays the one of before: {why}",
                    running.config.name
                ));
            }
        }
        for (name, wanted) in &config.snapshots {
            if self.running().contains_key(name) {
                continue;
            }
            match self.start(wanted, settings) {
                Ok(running) => drop(self.running().insert(name.clone(), running)),
                Err(why) => {
                    error!(snapshot = %name, why, "no snapshots are taken");
                    told.push(format!("snapshot {name}: {why}"));
                }
            }
        }
        told
    }

    fn start(&self, config: &Arc<Snapshot>, settings: &Consul) -> Result<Running, String> {
        let Means { node, clock, scratch, tasks } = &self.0.means;
        let client = consul::client(settings)?;
        let (own, slot) = (Tasks::new(), Slot::default());
        let (stopping, end, inner) = (tasks.stopping(), own.stopping(), own.clone());
        tasks.spawn_draining(format!("snapshot {}", config.name), OnEnd::Fine, async move {
            tokio::select! {
                // The lease is given back.
                () = stopping.cancelled() => drop(inner.drain(ENDS).await),
                () = end.cancelled() => {}
            }
        });
        let seat = Seat {
            settings: Arc::clone(config),
            home: settings.datacenter.clone(),
            own: settings.prefix.clone(),
            node: node.clone(),
            client: client.clone(),
            clock: clock.clone(),
            slot: slot.clone(),
            scratch: config.scratch.clone().unwrap_or_else(|| scratch.clone()).join(config.name.as_str()),
            tasks: own.clone(),
        };
        own.spawn_draining(format!("snapshot {} taken", config.name), OnEnd::Fine, seat.run(own.stopping()));
        if let Some(name) = &config.service {
            service::keep(name, config, &client, node, says(config, &slot, clock), &slot, &own);
        }
        Ok(Running { config: Arc::clone(config), consul: settings.clone(), client, tasks: own, slot })
    }

    /// All of this node.
    pub fn all(&self) -> Vec<SnapshotView> {
        let running = self.running();
        let of = |running: &Running| SnapshotView {
            config: Arc::clone(&running.config),
            state: running.slot.state.borrow().clone(),
        };
        running.values().map(of).collect()
    }

    /// Has a snapshot taken now; in words, what was done. It is sent afterwards.
    ///
    /// # Errors
    /// Why nothing came of it.
    pub async fn take(&self, name: &str) -> Result<String, SnapshotOrderError> {
        self.order(name, Wanted::Take).await
    }

    /// Has the newest one tried now; in words, what came of it.
    ///
    /// # Errors
    /// Why it could not be tried, or has failed.
    pub async fn drill(&self, name: &str) -> Result<String, SnapshotOrderError> {
        self.order(name, Wanted::Drill).await
    }

    async fn order(&self, name: &str, what: Wanted) -> Result<String, SnapshotOrderError> {
        let slot = {
            let running = self.running();
            let one = running.values().find(|running| running.config.name.as_str() == name);
            one.ok_or_else(|| SnapshotOrderError::NoSuch(name.to_owned()))?.slot.clone()
        };
        let sender = slot.orders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(sender) = sender.filter(|sender| !sender.is_closed()) else {
            let said = slot.state.borrow().phase.why().map(str::to_owned);
            return Err(SnapshotOrderError::Elsewhere(said.unwrap_or_else(|| "it has not begun".to_owned())));
        };
        let (done, answer) = oneshot::channel();
        sender.try_send(Order { what, done }).map_err(|_full| SnapshotOrderError::Busy)?;
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer.map_err(SnapshotOrderError::Failed),
            Ok(Err(_gone)) => Err(SnapshotOrderError::Lost),
            Err(_late) => Ok("it is being done: `lictor snapshot status` says how far it is".to_owned()),
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<SnapshotName, Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Whether it is as a configuration has it. A token that was rotated changes nothing.
    fn is_as(&self, config: &Config, name: &SnapshotName) -> bool {
        let same = config.snapshots.get(name) == Some(&self.config);
        same && config.consul.as_ref().is_some_and(|consul| {
            Consul { token: self.consul.token.clone(), ..consul.clone() } == self.consul
        })
    }
}

/// What a block says of itself in Consul.
pub(super) fn says(
    config: &Arc<Snapshot>,
    slot: &Slot,
    clock: &Clock,
) -> impl Fn() -> BoxFuture<'static, (Status, String)> + Send + Sync + 'static {
    let (config, slot, clock) = (Arc::clone(config), slot.clone(), clock.clone());
    move || {
        let now = clock.now();
        let view = SnapshotView { config: Arc::clone(&config), state: slot.state.borrow().clone() };
        let verdicts = verdicts(&view, now.boot, stamp(now.wall.as_unix_millis()));
        let any = |wanted| verdicts.iter().any(|verdict| verdict.status == wanted);
        let worst = match () {
            () if any(lictor_core::Status::Critical) => Status::Critical,
            () if any(lictor_core::Status::Warning) => Status::Warning,
            () => Status::Passing,
        };
        let said: Vec<String> = verdicts.into_iter().map(|verdict| verdict.said).collect();
        let said = match (said.as_slice(), view.state.phase.why()) {
            ([], Some(why)) => why.to_owned(),
            _ => said.join("\n"),
        };
        Box::pin(std::future::ready((worst, said)))
    }
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").field("blocks", &self.running().len()).finish_non_exhaustive()
    }
}
