//! One block and one datacenter it is copied to: waits until this node is the one that copies, and has it copied.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use lictor_config::Replicate;
use lictor_consul::{Client, Query};
use lictor_core::lease::Params;
use lictor_core::replicate::{Copier, Exclude, Prefix, Rule, Way};
use lictor_store::kv::Kv;
use lictor_store::wire::{self, Copied};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
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

/// For so long nobody need be known to copy: longer than a lease lasts.
const WHILE: Duration = Duration::from_secs(10);

/// How long the copies of a term may take to end.
const PARTING: Duration = Duration::from_secs(5);

/// A lease that is held is renewed at least once in this time.
const RENEWED: Duration = Duration::from_millis(2_500);

/// How long another datacenter may take to say what is copied there.
const PATIENCE: Duration = Duration::from_secs(3);

/// One prefix of the seat, as others see it.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) prefix: Prefix,
    pub(super) state: watch::Sender<CopyState>,
    /// To whoever copies it now on this node.
    pub(super) orders: Arc<Mutex<Option<mpsc::Sender<Order>>>>,
    /// Deletes that a person has approved of already; each of them once, in whatever term.
    pub(super) approved: Arc<Mutex<Vec<String>>>,
}

impl Slot {
    pub(super) fn new(prefix: Prefix, approved: &[String]) -> Self {
        let approved = Arc::new(Mutex::new(approved.to_vec()));
        Self { prefix, state: watch::Sender::default(), orders: Arc::default(), approved }
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
    /// The datacenter that is meant where a block names none; `None`: that of the agent.
    pub(super) home: Option<String>,
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
        let lease = match self.lease(&there, &tasks) {
            Ok(lease) => lease,
            Err(why) => {
                self.all(&Phase::Refused(why.clone()));
                return Err(why);
            }
        };
        let mut failures = 0;
        loop {
            match self.turn(&there, lease.as_ref(), &tasks).await {
                Ok(Ended::Once) => return Ok(()),
                Ok(Ended::GaveUp(why)) => return Err(why),
                Ok(Ended::Lost) => {
                    info!(replicate = %self.settings.name, "this node copies no more");
                    sleep(AGAIN).await;
                }
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

    /// The lease under which it is copied. What writes nothing needs none, which would be written.
    fn lease(&self, there: &Client, tasks: &Tasks) -> Result<Option<Lease>, String> {
        if self.settings.notes.is_some() || self.settings.dry_run {
            return Ok(None);
        }
        let own = there.with_own_connections().map_err(|error| error.to_string())?;
        Ok(Some(Lease::start(
            Kv::consul(own, self.own.clone()),
            format!("lease/replicate/{}", self.settings.name),
            self.node.clone(),
            format!("{:032x}", rand::random::<u128>()),
            Params::BRISK,
            self.clock.clone(),
            tasks,
        )))
    }

    /// Copies for as long as this node is the one that does.
    async fn turn(&self, there: &Client, lease: Option<&Lease>, tasks: &Tasks) -> Result<Ended, String> {
        let Some(lease) = lease else { return self.term(there, None, tasks).await };
        let token = match self.stand_by(lease).await {
            Ok(token) => token,
            Err(why) => return Ok(Ended::GaveUp(why)),
        };
        let key = format!("{}replicate/{}/term", self.own, self.settings.name);
        let fence = Fence::begin(there, key, lease.clone(), token, &self.node).await?;
        let fence = fence.ok_or("a node with a higher token copies")?;
        self.term(there, Some(fence), tasks).await
    }

    /// Until this node holds the lease; what is to be done once does not wait for long.
    async fn stand_by(&self, lease: &Lease) -> Result<u64, String> {
        let mut state = lease.state();
        let begun = Instant::now();
        let mut nobody: Option<Instant> = None;
        loop {
            if let Some(token) = lease.believes() {
                return Ok(token);
            }
            let now = state.borrow_and_update().clone();
            let why = match now {
                LeaseState::Other { holder } => {
                    nobody = None;
                    self.others_copy(&holder)
                }
                LeaseState::Held { .. } => self.nobody_copies("the lease has just ended", &mut nobody),
                LeaseState::Unknown { why } => self.nobody_copies(&why, &mut nobody),
            };
            if self.once.is_some() && begun.elapsed() >= WHILE {
                return Err(why);
            }
            drop(timeout(AGAIN, state.changed()).await);
        }
    }

    /// What another node does is not known here. In words, who copies.
    fn others_copy(&self, holder: &str) -> String {
        let why = format!("{holder} copies");
        let phase = Phase::Standby(why.clone());
        for slot in &self.slots {
            slot.state.send_if_modified(|state| {
                let changed = state.phase != phase;
                if changed {
                    *state = CopyState { phase: phase.clone(), known: true, ..CopyState::default() };
                }
                changed
            });
        }
        why
    }

    /// Between two that copy there is a while; after that something is wrong. In words, what.
    fn nobody_copies(&self, why: &str, since: &mut Option<Instant>) -> String {
        let wrong = format!("nobody is known to copy: {why}");
        match since.get_or_insert_with(Instant::now).elapsed() < WHILE {
            true => self.all(&Phase::Standby(why.to_owned())),
            false => self.all(&Phase::Failing(wrong.clone())),
        }
        wrong
    }

    /// Has all prefixes copied until one of them ends.
    async fn term(&self, there: &Client, fence: Option<Arc<Fence>>, tasks: &Tasks) -> Result<Ended, String> {
        let home = self.home().await?;
        let to = self.to.clone().unwrap_or_else(|| home.clone());
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
            let rule = self.rule(&slot.prefix, &to, &home);
            let form = self.form(slot, &way, &rule);
            let mut notes = Notes::new(there.clone(), self.note(number, &way), form, fence.clone());
            let mut before = notes.read().await.map_err(|error| error.to_string())?;
            // It is to say all that would be written.
            before.copied = before.copied.filter(|_| !self.settings.dry_run);
            let mut copier = Copier::new(rule, before.copied);
            copier.keep(before.kept);
            if before.went_back {
                copier.went_back();
            }
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
                approved: Arc::clone(&slot.approved),
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

    /// The datacenter that is meant where none is named.
    async fn home(&self) -> Result<String, String> {
        match &self.home {
            Some(name) => Ok(name.clone()),
            None => {
                let me = self.client.agent().info().await.map_err(|error| error.to_string())?;
                Ok(me.config.datacenter)
            }
        }
    }

    fn rule(&self, prefix: &Prefix, to: &str, home: &str) -> Rule {
        let Replicate { excludes, delete, repair, locks, limit, notes, .. } = (*self.settings).clone();
        // What another prefix copies into a part of this destination is that one's.
        let ways = self.others.iter().chain([&self.settings]).flat_map(|block| block.ways(home));
        let inner = ways.filter(|way| way.to == to).map(|way| way.destination);
        let inner =
            inner.filter(|other| *other != prefix.destination && other.starts_with(&prefix.destination));
        let own = notes.map_or_else(|| self.own.clone(), |notes| notes.directory);
        let protected = inner.chain([own.clone()]).collect();
        // Nor are records of ours copied anywhere.
        let excludes = excludes.into_iter().chain([Exclude::Prefix(own)]).collect();
        let Prefix { source, destination, .. } = prefix.clone();
        Rule { source, to: to.to_owned(), destination, excludes, protected, delete, repair, locks, limit }
    }

    fn note(&self, number: usize, way: &Way) -> String {
        let old = self.settings.notes.as_ref().and_then(|notes| notes.keys.get(number));
        old.cloned().unwrap_or_else(|| {
            let Way { name, from, source, destination, .. } = way;
            let sum = super::source::content(0, &format!("{source}\0{from}\0{destination}"));
            format!("{}replicate/{name}/copy/{sum:016x}", self.own)
        })
    }

    fn form(&self, slot: &Slot, way: &Way, rule: &Rule) -> Form {
        match self.settings.notes {
            Some(_) => {
                let mut prefix = slot.prefix.clone();
                if prefix.source.is_empty() {
                    // It had no other word for all keys.
                    prefix.source = "/".to_owned();
                }
                Form::Old { prefix }
            }
            None => {
                // By another rule other keys are copied: nothing is known of those.
                let Rule { excludes, protected, locks, .. } = rule;
                let sum = super::source::content(0, &format!("{excludes:?} {protected:?} {locks:?}"));
                Form::Own { way: way.clone(), node: self.node.clone(), rule: format!("{sum:016x}") }
            }
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

    /// What is copied anywhere, as far as the datacenters can be asked: what is noted there, and whose lease is renewed.
    async fn known_ways(&self) -> Vec<Way> {
        let names = match timeout(PATIENCE, self.client.catalog().datacenters()).await {
            Ok(Ok(names)) => names,
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        let asked = names.into_iter().map(|name| {
            let client = self.client.in_datacenter(name.as_str());
            async move {
                let notes = self.records(&client, "replicate/", "/copy/").await;
                if notes.is_empty() {
                    return Vec::new();
                }
                let before = self.records(&client, "lease/replicate/", "").await;
                sleep(RENEWED).await;
                let after = self.records(&client, "lease/replicate/", "").await;
                let works = |name: &str| {
                    let key = format!("{}lease/replicate/{name}", self.own);
                    after.get(&key).is_some_and(|lease| before.get(&key) != Some(lease))
                };
                let notes = notes.into_values().filter_map(|note| wire::decode::<Copied>(&note).ok());
                notes.filter(|note| works(&note.name)).map(|note| note.way()).collect()
            }
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// Records of ours in a datacenter; none if it cannot be asked.
    async fn records(&self, client: &Client, below: &str, with: &str) -> BTreeMap<String, Bytes> {
        let prefix = format!("{}{below}", self.own);
        match timeout(PATIENCE, client.kv().list(&prefix, &Query::new())).await {
            Ok(Ok(answer)) => {
                let pairs = answer.value.into_iter().filter(|pair| pair.key.contains(with));
                pairs.map(|pair| (pair.key, pair.value)).collect()
            }
            Ok(Err(error)) => {
                debug!(%error, "what is copied to a datacenter is not known");
                BTreeMap::new()
            }
            Err(_late) => BTreeMap::new(),
        }
    }

    fn all(&self, phase: &Phase) {
        let now = self.clock.boot();
        for slot in &self.slots {
            slot.state.send_if_modified(|state| {
                let changed = state.phase != *phase;
                if matches!(phase, Phase::Failing(_)) {
                    state.behind = state.behind.or(Some(now));
                }
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
