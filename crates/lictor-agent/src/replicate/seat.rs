//! One block and one datacenter it is copied to: waits until this node is the one that copies, and has it copied.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use lictor_config::Replicate;
use lictor_consul::{Client, Query};
use lictor_core::lease::Params;
use lictor_core::replicate::{Copier, Prefix, Rule, Way};
use lictor_store::kv::Kv;
use lictor_store::wire::{self, Copied};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::copy::{At, Copying, Ended, Order};
use super::note::{Form, Notes};
use super::source::Place;
use super::term::Fence;
use super::view::{CopyState, CopyView, Phase};
use super::writer::Writer;
use crate::clock::Clock;
use crate::lease::{Lease, LeaseState};
use crate::task::{OnEnd, Tasks};

/// Pause before it is tried again to begin.
const AGAIN: Duration = Duration::from_secs(1);

/// The same when it is refused as it is configured: others may change that.
const REFUSED: Duration = Duration::from_mins(1);

/// How long the copies of a term may take to end.
const PARTING: Duration = Duration::from_secs(5);

/// How long another datacenter may take to say what is copied there.
const PATIENCE: Duration = Duration::from_secs(3);

/// One prefix of the seat, as others see it.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) prefix: Prefix,
    pub(super) state: watch::Sender<CopyState>,
    /// To whoever copies it now on this node.
    pub(super) orders: Arc<Mutex<Option<mpsc::Sender<Order>>>>,
}

impl Slot {
    pub(super) fn new(prefix: Prefix) -> Self {
        Self { prefix, state: watch::Sender::default(), orders: Arc::default() }
    }

    pub(super) fn view(&self, config: &Arc<Replicate>, to: &str) -> CopyView {
        let state = self.state.borrow().clone();
        CopyView { config: Arc::clone(config), prefix: self.prefix.clone(), to: to.to_owned(), state }
    }
}

/// See the module.
pub(super) struct Seat {
    pub(super) settings: Arc<Replicate>,
    /// The datacenter it is copied to; `None`: that of the agent.
    pub(super) to: Option<String>,
    /// What keys of our own begin with.
    pub(super) own: String,
    pub(super) node: String,
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) slots: Vec<Slot>,
    /// Whether it ends when everything was copied; it then gives up after so many failures in a row.
    pub(super) once: Option<u32>,
    /// What other blocks of this node copy.
    pub(super) others: Vec<Arc<Replicate>>,
}

impl Seat {
    /// Replication for as long as the agent runs, or once.
    pub(super) async fn run(self, tasks: Tasks) -> Result<(), String> {
        let there = match &self.to {
            Some(name) => self.client.in_datacenter(name),
            None => self.client.clone(),
        };
        if self.settings.notes.is_some() {
            return self.copy_without_lease(&there, &tasks).await;
        }
        let lease = match there.with_own_connections() {
            Ok(own) => Lease::start(
                Kv::consul(own, self.own.clone()),
                format!("lease/replicate/{}", self.settings.name),
                self.node.clone(),
                format!("{:032x}", rand::random::<u128>()),
                Params::BRISK,
                self.clock.clone(),
                &tasks,
            ),
            Err(error) => return Err(error.to_string()),
        };
        loop {
            let token = self.stand_by(&lease).await;
            let key = format!("{}replicate/{}/term", self.own, self.settings.name);
            match Fence::begin(&there, key, lease.clone(), token, &self.node).await {
                Ok(Some(fence)) => match self.term(&there, Some(fence), &tasks).await {
                    Ok(Ended::Once) => return Ok(()),
                    Ok(Ended::GaveUp(why)) => return Err(why),
                    Ok(Ended::Lost) => info!(replicate = %self.settings.name, "this node copies no more"),
                    Err(why) => self.pause(&why, AGAIN).await,
                },
                Ok(None) => self.pause("a node with a higher token copies", AGAIN).await,
                Err(why) => self.pause(&why, AGAIN).await,
            }
        }
    }

    async fn copy_without_lease(&self, there: &Client, tasks: &Tasks) -> Result<(), String> {
        let mut failures = 0;
        loop {
            match self.term(there, None, tasks).await {
                Ok(Ended::Once) => return Ok(()),
                Ok(Ended::GaveUp(why)) => return Err(why),
                Ok(Ended::Lost) => {}
                Err(why) => {
                    failures += 1;
                    if self.once.is_some_and(|most| failures > most) {
                        return Err(why);
                    }
                    self.pause(&why, AGAIN).await;
                }
            }
        }
    }

    /// Until this node holds the lease.
    async fn stand_by(&self, lease: &Lease) -> u64 {
        let mut state = lease.state();
        loop {
            if let Some(token) = lease.believes() {
                return token;
            }
            let why = match &*state.borrow_and_update() {
                LeaseState::Other { holder } => format!("{holder} copies"),
                LeaseState::Held { .. } => "the lease has just ended".to_owned(),
                LeaseState::Unknown { why } => why.clone(),
            };
            self.all(&Phase::Standby(why));
            drop(timeout(AGAIN, state.changed()).await);
        }
    }

    /// Has all prefixes copied until one of them ends.
    async fn term(&self, there: &Client, fence: Option<Arc<Fence>>, tasks: &Tasks) -> Result<Ended, String> {
        let to = self.destination(there).await?;
        let mut ways = self.settings.ways(&to);
        ways.retain(|way| way.to == to);
        if let Some(why) = self.refusal(&ways, &to).await {
            warn!(replicate = %self.settings.name, why, "nothing is copied");
            self.all(&Phase::Refused(why.clone()));
            return match self.once {
                Some(_) => Ok(Ended::GaveUp(why)),
                None => {
                    sleep(REFUSED).await;
                    Ok(Ended::Lost)
                }
            };
        }
        let limits = there.find_limits().await.map_err(|error| error.to_string())?;
        let term = Tasks::new();
        let stop = term.stopping();
        // Also when this is dropped, as a reload does.
        let _ends = stop.clone().drop_guard();
        let mut ends = Vec::new();
        for (number, (slot, way)) in self.slots.iter().zip(ways).enumerate() {
            let (sender, orders) = mpsc::channel(4);
            *slot.orders.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
            let mut notes = Notes::new(there.clone(), self.note(number, &way), self.form(slot, &way));
            let before = match self.settings.dry_run {
                true => super::note::Before::default(),
                false => notes.read().await.map_err(|error| error.to_string())?,
            };
            let rule = self.rule(&slot.prefix, &to);
            let mut copier = Copier::new(rule, before.copied);
            copier.keep(before.kept);
            let source = Place {
                client: self.client.in_datacenter(slot.prefix.datacenter.as_str()),
                prefix: slot.prefix.source.clone(),
                max_stale: self.settings.max_stale,
            };
            let destination = slot.prefix.destination.clone();
            let copying = Copying {
                settings: Arc::clone(&self.settings),
                prefix: slot.prefix.clone(),
                copier,
                source,
                there: Place { client: there.clone(), prefix: destination, max_stale: None },
                writer: Writer::new(there.with_limits(limits), fence.clone()),
                fence: fence.clone(),
                clock: self.clock.clone(),
                state: slot.state.clone(),
                orders,
                notes,
                once: self.once,
                at: At::begin(before.copied),
            };
            let (over, ended) = oneshot::channel();
            term.spawn(format!("copy {}", slot.prefix), OnEnd::Fine, async move {
                // Nobody waits any more when the agent stops.
                drop(over.send(copying.run().await));
            });
            ends.push(async { ended.await.unwrap_or(Ended::Lost) });
        }
        let outer = tasks.stopping();
        let ended = match self.once {
            // Each has its own end.
            Some(_) => first_bad(join_all(ends).await),
            None => tokio::select! {
                (ended, ..) = futures::future::select_all(ends.into_iter().map(Box::pin)) => ended,
                () = outer.cancelled() => Ended::Lost,
            },
        };
        stop.cancel();
        if !term.drain(PARTING).await {
            warn!(replicate = %self.settings.name, "a copy did not end in time");
        }
        Ok(ended)
    }

    /// The name of the datacenter that is copied to.
    async fn destination(&self, there: &Client) -> Result<String, String> {
        match &self.to {
            Some(name) => Ok(name.clone()),
            None => {
                let me = there.agent().info().await.map_err(|error| error.to_string())?;
                Ok(me.config.datacenter)
            }
        }
    }

    fn rule(&self, prefix: &Prefix, to: &str) -> Rule {
        let Replicate { excludes, delete, repair, locks, limit, notes, .. } = (*self.settings).clone();
        // What another prefix copies into a part of this destination is that one's.
        let ways = self.others.iter().chain([&self.settings]).flat_map(|block| block.ways(to));
        let inner = ways.filter(|way| way.to == to).map(|way| way.destination);
        let inner =
            inner.filter(|other| *other != prefix.destination && other.starts_with(&prefix.destination));
        let own = notes.map_or_else(|| self.own.clone(), |notes| notes.directory);
        let protected = inner.chain([own]).collect();
        let Prefix { source, destination, .. } = prefix.clone();
        Rule { source, destination, excludes, protected, delete, repair, locks, limit }
    }

    fn note(&self, number: usize, way: &Way) -> String {
        let old = self.settings.notes.as_ref().and_then(|notes| notes.keys.get(number));
        old.cloned().unwrap_or_else(|| {
            let Way { name, from, source, destination, .. } = way;
            let sum = super::source::content(0, &format!("{source}\0{from}\0{destination}"));
            format!("{}replicate/{name}/copy/{sum:016x}", self.own)
        })
    }

    fn form(&self, slot: &Slot, way: &Way) -> Form {
        match self.settings.notes {
            Some(_) => {
                let mut prefix = slot.prefix.clone();
                if prefix.source.is_empty() {
                    // It had no other word for all keys.
                    prefix.source = "/".to_owned();
                }
                Form::Old { prefix }
            }
            None => Form::Own { way: way.clone(), node: self.node.clone() },
        }
    }

    /// Why nothing may be copied as it is configured.
    async fn refusal(&self, ways: &[Way], to: &str) -> Option<String> {
        for way in ways {
            if way.from == to && (self.settings.notes.is_some() || way.comes_back(&[]).is_some()) {
                return Some(format!("{to} is the source and the destination of {}", way.source));
            }
        }
        if self.settings.notes.is_some() {
            return None;
        }
        let known = self.known_ways().await;
        for way in ways {
            let others: Vec<Way> = known.iter().filter(|other| !is_same(other, way)).cloned().collect();
            if let Some(path) = way.comes_back(&others) {
                let names = path.iter().map(|way| format!("{} ({} to {})", way.name, way.from, way.to));
                let names: Vec<String> = names.collect();
                return Some(format!("what is copied would come back: {}", names.join(", then ")));
            }
            // One that this node does not know of.
            let other = others.iter().find(|other| way.collides(other) && other.name != way.name);
            if let Some(other) = other {
                return Some(format!(
                    "{} copies {} of {} to the same keys: {}",
                    other.name, other.source, other.from, other.destination
                ));
            }
        }
        None
    }

    /// What is copied anywhere, as far as the datacenters can be asked.
    async fn known_ways(&self) -> Vec<Way> {
        let names = match timeout(PATIENCE, self.client.catalog().datacenters()).await {
            Ok(Ok(names)) => names,
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        let prefix = format!("{}replicate/", self.own);
        let asked = names.into_iter().map(|name| {
            let (client, prefix) = (self.client.in_datacenter(name.as_str()), prefix.clone());
            async move {
                match timeout(PATIENCE, client.kv().list(&prefix, &Query::new())).await {
                    Ok(Ok(answer)) => answer.value,
                    Ok(Err(error)) => {
                        debug!(datacenter = name, %error, "what is copied there is not known");
                        Vec::new()
                    }
                    Err(_late) => Vec::new(),
                }
            }
        });
        let pairs = join_all(asked).await.into_iter().flatten();
        let notes = pairs.filter(|pair| pair.key.contains("/copy/"));
        notes.filter_map(|pair| Some(wire::decode::<Copied>(&pair.value).ok()?.way())).collect()
    }

    fn all(&self, phase: &Phase) {
        for slot in &self.slots {
            slot.state.send_if_modified(|state| {
                let changed = state.phase != *phase;
                state.phase = phase.clone();
                changed
            });
        }
    }

    async fn pause(&self, why: &str, pause: Duration) {
        debug!(replicate = %self.settings.name, why, "nothing is copied; trying again");
        self.all(&Phase::Failing(why.to_owned()));
        sleep(pause).await;
    }
}

/// Whether it is the note of the same copy, as it was.
fn is_same(one: &Way, other: &Way) -> bool {
    (&one.name, &one.to, &one.from) == (&other.name, &other.to, &other.from)
}

fn first_bad(ends: Vec<Ended>) -> Ended {
    ends.into_iter().find(|ended| *ended != Ended::Once).unwrap_or(Ended::Once)
}
