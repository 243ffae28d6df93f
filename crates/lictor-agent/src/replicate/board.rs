//! What a node copies: which copies there are follows the configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_config::{Config, Consul, Replicate};
use lictor_consul::{Client, Status};
use lictor_core::{Boot, ReplicateName};
use lictor_store::wire::KEPT;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::error;

use super::copy::Order;
use super::seat::{Seat, Slot};
use super::tell::{tell, verdict};
use super::view::CopyView;
use crate::alert::Feed;
use crate::clock::Clock;
use crate::consul;
use crate::task::{OnEnd, Tasks};

/// How long the copies of a block may take to end.
const ENDS: Duration = Duration::from_secs(8);

/// How long an answer to a person may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the copies work with.
#[derive(Clone, Debug)]
pub struct Means {
    /// The name of this node.
    pub node: String,
    /// Its clock.
    pub clock: Clock,
    /// What it runs as.
    pub tasks: Tasks,
}

/// What a node copies. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Replication(Arc<Shared>);

struct Shared {
    means: Means,
    running: Mutex<BTreeMap<ReplicateName, Running>>,
    /// One after the other.
    applying: tokio::sync::Mutex<()>,
}

struct Running {
    config: Arc<Replicate>,
    consul: Consul,
    others: Vec<Arc<Replicate>>,
    client: Client,
    tasks: Tasks,
    /// Each prefix, to each datacenter.
    slots: Vec<(String, Slot)>,
}

/// Why nothing came of what was asked of a copy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// There is no such block.
    #[error("no block replicate is called `{0}`")]
    NoSuch(String),
    /// Nothing of that name is held back here.
    #[error("nothing is held back under `{0}`; it may have changed meanwhile")]
    NothingHeld(String),
    /// Another node copies.
    #[error("this node does not copy it: {0}")]
    Elsewhere(String),
    /// More keys than can be noted one by one.
    #[error("{keys} keys cannot be kept one by one, only {KEPT}: set delete = false, or approve")]
    TooMany {
        /// So many.
        keys: u64,
    },
    /// It does not answer.
    #[error("the copy does not answer; it may be at it still")]
    Silent,
}

impl Replication {
    /// Nothing is copied before [`Replication::apply`].
    pub fn new(means: Means) -> Self {
        let (running, applying) = (Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Shared { means, running, applying }))
    }

    /// That of a node that copies nothing.
    pub fn idle() -> Self {
        Self::new(Means { node: String::new(), clock: Clock::fresh(), tasks: Tasks::new() })
    }

    /// Tells of what is wrong with the copies, for as long as the agent runs.
    pub(crate) fn tell(&self, feed: Feed) {
        let Means { node, clock, tasks } = self.0.means.clone();
        drop(tasks.spawn("alerts of replication", OnEnd::Fine, tell(self.clone(), feed, node, clock)));
    }

    /// Puts a configuration in force; what could not be done of it, in words.
    pub async fn apply(&self, config: &Config) -> Vec<String> {
        let _one = self.0.applying.lock().await;
        let mut told = Vec::new();
        let ended: Vec<Running> = {
            let mut running = self.running();
            let gone: Vec<ReplicateName> = running
                .iter()
                .filter(|(name, running)| !running.is_as(config, name))
                .map(|(name, _)| name.clone())
                .collect();
            gone.iter().filter_map(|name| running.remove(name)).collect()
        };
        for running in ended {
            if !running.tasks.drain(ENDS).await {
                told.push(format!("a copy of {} did not end in time", running.config.name));
            }
        }
        for running in self.running().values() {
            if let Some(settings) = &config.consul
                && let Err(why) = consul::renew(&running.client, settings)
            {
                told.push(format!(
                    "the token for replicate {} stays the one of before: {why}",
                    running.config.name
                ));
            }
        }
        for (name, wanted) in &config.replicates {
            if self.running().contains_key(name) {
                continue;
            }
            let Some(settings) = &config.consul else { continue };
            match self.start(wanted, settings, others(config, name)) {
                Ok(running) => drop(self.running().insert(name.clone(), running)),
                Err(why) => {
                    error!(replicate = %name, why, "nothing is copied");
                    told.push(format!("replicate {name}: {why}"));
                }
            }
        }
        told
    }

    fn start(
        &self,
        config: &Arc<Replicate>,
        settings: &Consul,
        others: Vec<Arc<Replicate>>,
    ) -> Result<Running, String> {
        let tasks = &self.0.means.tasks;
        let client = consul::client(settings)?;
        let own = Tasks::new();
        let stopping = tasks.stopping();
        let (end, own_tasks) = (own.stopping(), own.clone());
        tasks.spawn_draining(format!("replicate {}", config.name), OnEnd::Fine, async move {
            tokio::select! {
                // The leases are given back.
                () = stopping.cancelled() => drop(own_tasks.drain(ENDS).await),
                () = end.cancelled() => {}
            }
        });
        let (seats, slots) = seats(config, settings, &client, &self.0.means, &others, None);
        for seat in seats {
            let (name, inner) = (config.name.clone(), own.clone());
            let task = format!("replicate {name} to {}", seat.to.as_deref().unwrap_or("here"));
            own.spawn(task, OnEnd::Fine, async move {
                if let Err(why) = seat.run(inner).await {
                    error!(replicate = %name, why, "nothing is copied");
                }
            });
        }
        if let Some(name) = config.service.clone() {
            let (states, copies) = (slots.clone(), Arc::clone(config));
            let clock = self.0.means.clock.clone();
            let said = move || -> BoxFuture<'static, (Status, String)> {
                Box::pin(ready(health(&copies, &states, clock.boot())))
            };
            let entry = consul::service(&name, &self.0.means.node, &format!("{name} copies keys"), None);
            let task = consul::keep(client.clone(), entry, said, own.stopping());
            own.spawn_draining(format!("replicate {} in Consul", config.name), OnEnd::Fine, task);
        }
        Ok(Running {
            config: Arc::clone(config),
            consul: settings.clone(),
            others,
            client,
            tasks: own,
            slots,
        })
    }

    /// All copies of this node.
    pub fn all(&self) -> Vec<CopyView> {
        let running = self.running();
        let of = |running: &Running| -> Vec<CopyView> {
            running.slots.iter().map(|(to, slot)| slot.view(&running.config, to)).collect()
        };
        running.values().flat_map(of).collect()
    }

    /// Has what is held back under a name deleted, or stay.
    ///
    /// # Errors
    /// Why nothing came of it.
    pub async fn answer(&self, name: &str, id: &str, approve: bool) -> Result<(), OrderError> {
        let slots: Vec<Slot> = {
            let running = self.running();
            let one = running.values().find(|running| running.config.name.as_str() == name);
            let one = one.ok_or_else(|| OrderError::NoSuch(name.to_owned()))?;
            one.slots.iter().map(|(_, slot)| slot.clone()).collect()
        };
        let mut why = OrderError::NothingHeld(id.to_owned());
        for slot in slots {
            let kept = slot.state.borrow().kept as u64;
            let keys = slot.state.borrow().held.as_ref().filter(|held| held.id == id).map(|held| held.keys);
            if let Some(keys) = keys.filter(|keys| !approve && kept.saturating_add(*keys) > KEPT as u64) {
                return Err(OrderError::TooMany { keys });
            }
            let sender = slot.orders.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match sender.filter(|sender| !sender.is_closed()) {
                Some(sender) if keys.is_some() => {
                    let (done, answer) = oneshot::channel();
                    let order = Order { id: id.to_owned(), approve, done };
                    let asked = async {
                        sender.send(order).await.ok()?;
                        answer.await.ok()
                    };
                    match timeout(PATIENCE, asked).await {
                        Ok(Some(true)) => return Ok(()),
                        Ok(Some(false)) => {}
                        Ok(None) | Err(_) => why = OrderError::Silent,
                    }
                }
                Some(_) => {}
                None => {
                    let said = slot.state.borrow().phase.why().map(str::to_owned);
                    why = OrderError::Elsewhere(said.unwrap_or_else(|| "it has not begun".to_owned()));
                }
            }
        }
        Err(why)
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<ReplicateName, Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Whether it is as a configuration has it. A token that was rotated changes nothing.
    fn is_as(&self, config: &Config, name: &ReplicateName) -> bool {
        let same = config.replicates.get(name) == Some(&self.config);
        let consul = config.consul.as_ref().is_some_and(|consul| {
            Consul { token: self.consul.token.clone(), ..consul.clone() } == self.consul
        });
        same && consul && others(config, name) == self.others
    }
}

/// What a block says of itself in Consul.
fn health(config: &Arc<Replicate>, slots: &[(String, Slot)], now: Boot) -> (Status, String) {
    let verdicts: Vec<(lictor_core::Status, String)> = slots
        .iter()
        .map(|(to, slot)| {
            let (status, said) = verdict(&slot.view(config, to), now);
            (status, format!("{} to {to}: {said}", slot.prefix))
        })
        .collect();
    let any = |wanted| verdicts.iter().any(|(status, _)| *status == wanted);
    let worst = match () {
        () if any(lictor_core::Status::Critical) => Status::Critical,
        () if any(lictor_core::Status::Warning) => Status::Warning,
        () => Status::Passing,
    };
    (worst, verdicts.into_iter().map(|(_, said)| said).collect::<Vec<_>>().join("\n"))
}

/// One for each datacenter a block is copied to, and what is seen of each prefix.
pub(super) fn seats(
    config: &Arc<Replicate>,
    settings: &Consul,
    client: &Client,
    means: &Means,
    others: &[Arc<Replicate>],
    once: Option<u32>,
) -> (Vec<Seat>, Vec<(String, Slot)>) {
    let to: Vec<Option<String>> = match config.to.as_slice() {
        [] => vec![settings.datacenter.clone()],
        named => named.iter().cloned().map(Some).collect(),
    };
    let mut all = Vec::new();
    let seat = |to: Option<String>| {
        let slots: Vec<Slot> =
            config.prefixes.iter().cloned().map(|prefix| Slot::new(prefix, &config.approved)).collect();
        let name = to.clone().unwrap_or_default();
        all.extend(slots.iter().cloned().map(|slot| (name.clone(), slot)));
        Seat {
            settings: Arc::clone(config),
            to,
            home: settings.datacenter.clone(),
            own: settings.prefix.clone(),
            node: means.node.clone(),
            client: client.clone(),
            clock: means.clock.clone(),
            slots,
            once,
            others: others.to_vec(),
        }
    };
    let seats = to.into_iter().map(seat).collect();
    (seats, all)
}

/// All other blocks.
fn others(config: &Config, name: &ReplicateName) -> Vec<Arc<Replicate>> {
    let others = config.replicates.iter().filter(|(other, _)| *other != name);
    others.map(|(_, other)| Arc::clone(other)).collect()
}

impl fmt::Debug for Replication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replication").field("blocks", &self.running().len()).finish_non_exhaustive()
    }
}
