//! One monitor's keeper: picks its record up, writes it as the engine decides, and says
//! whether this node may act.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lictor_config::{Monitor, Phase};
use lictor_core::{
    Begun, Event, Holding, LeaseName, Note, Notes, Now, RunId, RunState, StepName, TakeOver, Tally, Wall,
    What,
};
use lictor_store::kv::{Kv, KvError, Listing, Revision};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::observe::Memory;
use super::record::{Record, word};
use super::share::{Last, Share};
use super::{Means, Standing, lock};
use crate::inbox::View;
use crate::lease::{Lease, LeaseState};

/// A node alone acts without having read its record after this.
const PATIENCE: Duration = Duration::from_secs(30);

/// After another program wrote while this one was running, it is quiet when it has not for so
/// long: qbitcheck writes at each of its transitions.
const QUIET: Duration = Duration::from_secs(120);

/// An answer about the time before our own write comes no later than this after it.
const STALE: Duration = Duration::from_secs(10);

/// What changes is gathered for this long before it is written.
const GATHER: Duration = Duration::from_millis(100);

/// Pauses after failures, doubling from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// How long a look at the keys may last, and a stop.
const LONG: Duration = Duration::from_secs(60);
const PARTING: Duration = Duration::from_millis(1_500);

/// A question: is what this run is about to do written?
pub(super) struct Mail {
    pub(super) run: RunId,
    pub(super) attempt: u32,
    pub(super) answer: oneshot::Sender<Result<(), String>>,
}

pub(super) struct Keeper {
    means: Means,
    monitor: Monitor,
    lease: Option<Lease>,
    standing: Arc<Mutex<Standing>>,
    mail: mpsc::Receiver<Mail>,
    share: Share,
    memory: Memory,
    /// The record was read since the start, or since the lease was taken.
    loaded: bool,
    /// It was read at least once since the start.
    known: bool,
    /// When the record was last written by us.
    wrote: Option<Instant>,
    /// What is there is not what it should be.
    astray: bool,
    /// An hour of stability was told.
    steady: bool,
    /// Another program wrote while we ran.
    quarrel: Option<Instant>,
    started: Instant,
    /// Since when Consul does not answer.
    silent: Option<Instant>,
    told: Option<Holding>,
    odd: Vec<String>,
}

impl Keeper {
    pub(super) fn new(
        means: Means,
        monitor: Monitor,
        lease: Option<Lease>,
        standing: Arc<Mutex<Standing>>,
        mail: mpsc::Receiver<Mail>,
    ) -> Self {
        let kv = Kv::consul(means.client.clone(), monitor.prefix.clone());
        let share = Share::new(kv, monitor.name.clone(), means.node.clone(), means.store.lineage());
        Self {
            means,
            monitor,
            lease,
            standing,
            mail,
            share,
            memory: Memory::default(),
            loaded: false,
            known: false,
            wrote: None,
            astray: false,
            steady: false,
            quarrel: None,
            started: Instant::now(),
            silent: None,
            told: None,
            odd: Vec::new(),
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let work = async {
            self.confirmed().await;
            self.keep().await;
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
        // The last decisions, for whoever goes on.
        if self.loaded && timeout(PARTING, self.write(true)).await.is_err() {
            warn!(monitor = self.monitor.name, "its last state is not in Consul: it did not answer in time");
        }
    }

    /// Waits until it is known what an earlier store of this node left.
    async fn confirmed(&self) {
        loop {
            match self.means.inbox.view().await {
                Ok(view) if !view.withheld => return,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }

    async fn keep(&mut self) {
        let mut live = self.means.live.subscribe();
        let mut lease = self.lease.as_ref().map(Lease::state);
        let mut ticks = tokio::time::interval(self.monitor.every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let (mut pause, mut load_at) = (PAUSES.0, Instant::now());
        let mut write_at: Option<Instant> = None;
        let mut watch = Box::pin(watch_after(self.share.kv().clone(), Revision(0)));
        let mut grant_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = sleep_until(load_at), if !self.loaded && self.may_load() => {
                    match self.load().await {
                        Ok(()) => {
                            pause = PAUSES.0;
                            write_at = Some(Instant::now());
                        }
                        Err(why) => {
                            self.behind(&why);
                            load_at = Instant::now() + pause;
                            pause = (pause * 2).min(PAUSES.1);
                        }
                    }
                    self.grant().await;
                }
                changed = changed(&mut lease) => {
                    if changed.is_err() {
                        lease = None;
                    }
                    // What was read before the lease was ours may be old.
                    self.loaded = false;
                    load_at = Instant::now();
                    self.grant().await;
                }
                heard = live.recv() => {
                    match heard {
                        Ok(entry) => {
                            let (_, event) = &*entry;
                            self.memory.heard(event.run, &event.what);
                        }
                        Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(broadcast::error::RecvError::Closed) => return,
                    }
                    write_at.get_or_insert(Instant::now() + GATHER);
                }
                Some(mail) = self.mail.recv() => {
                    let answer = self.assure(mail.run, mail.attempt).await;
                    // Whoever asked may have given up.
                    drop(mail.answer.send(answer));
                }
                found = &mut watch => {
                    let since = self.saw(found).await;
                    if std::mem::take(&mut self.astray) {
                        write_at.get_or_insert(Instant::now() + GATHER);
                    }
                    watch = Box::pin(watch_after(self.share.kv().clone(), since));
                    self.grant().await;
                }
                () = sleep_until(write_at.unwrap_or_else(Instant::now)), if write_at.is_some() && self.loaded => {
                    write_at = match self.write(false).await {
                        Ok(()) => {
                            pause = PAUSES.0;
                            None
                        }
                        Err(KvError::Conflict { .. }) => {
                            self.loaded = false;
                            load_at = Instant::now();
                            None
                        }
                        Err(why) => {
                            self.behind(&why);
                            let at = Instant::now() + pause;
                            pause = (pause * 2).min(PAUSES.1);
                            Some(at)
                        }
                    };
                    self.grant().await;
                }
                _ = ticks.tick() => {
                    if self.tick().await {
                        write_at.get_or_insert(Instant::now());
                    }
                    self.grant().await;
                }
                () = sleep_until(grant_at) => {
                    grant_at = Instant::now() + Duration::from_secs(2);
                    self.grant().await;
                }
            }
        }
    }

    /// Only who holds the lease has a use for the record of the others.
    fn may_load(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| matches!(*lease.state().borrow(), LeaseState::Held { .. }))
    }

    /// Counts a look; whether something is to be written.
    async fn tick(&mut self) -> bool {
        let Ok(view) = self.means.inbox.view().await else { return false };
        self.memory.tick(&self.monitor, &view);
        let record = self.memory.record(&self.monitor, &view);
        debug!(
            monitor = self.monitor.name,
            stable = record.stable,
            phase = word(record.phase),
            failures = record.failures,
            stable_checks = record.stable_checks,
            vpn = record.vpn.as_deref(),
            public_ip = record.ip.as_deref(),
            place = ?record.place,
            "connection"
        );
        lock(&self.standing).record = record;
        let steady = self.memory.is_steady(&self.monitor, &view);
        let told = std::mem::replace(&mut self.steady, steady);
        steady && !told
    }

    fn behind(&mut self, why: &KvError) {
        let since = *self.silent.get_or_insert_with(Instant::now);
        let said = lock(&self.standing).behind.replace(why.to_string());
        if said.as_deref() != Some(why.to_string().as_str()) {
            warn!(monitor = self.monitor.name, %why, since = ?since.elapsed(), "its state is not in Consul as it should be");
        }
    }

    fn answered(&mut self) {
        self.silent = None;
        if lock(&self.standing).behind.take().is_some() {
            info!(monitor = self.monitor.name, "its state is in Consul again");
        }
    }

    /// Reads the record, and goes on with what another left there.
    async fn load(&mut self) -> Result<(), KvError> {
        self.share.load().await?;
        self.answered();
        let late = self.told == Some(Holding::Ours);
        // Of one that is alone, what runs here is newer than what anybody else wrote meanwhile.
        let alone = self.monitor.instances == 1 && (late || self.known);
        (self.loaded, self.known) = (true, true);
        let last = self.share.last();
        let now = self.means.clock.now();
        let (record, odd) = self.share.record(seconds(now.wall));
        self.odd_keys(odd).await;
        let Ok(view) = self.means.inbox.view().await else { return Ok(()) };
        let ours = view.runs.values().find(|run| run.remedy == self.monitor.remedy && !run.ended());
        if matches!(last, Last::Us | Last::Nobody) {
            if last == Last::Us && ours.is_none() && !late {
                self.memory = Memory::of(&record);
            }
            return Ok(());
        }
        self.memory = Memory::of(&record);
        let adopted = matches!(&last, Last::Lictor(writer) if writer.node == self.means.node)
            && ours.is_some_and(|run| record.id.as_deref() == Some(&run.id.to_string()));
        if adopted {
            return Ok(());
        }
        let remedy = view.plan.remedies.get(&self.monitor.remedy);
        let has = |step: &str| {
            remedy.is_some_and(|remedy| remedy.steps.iter().any(|one| one.name.as_str() == step))
        };
        let begun = begun(&last, &record, &has, now);
        if ours.is_some() && alone {
            let why = format!(
                "{last} had written it ({}); this node goes on with its own run, which is newer",
                word(record.phase)
            );
            self.say(why).await;
        } else if begun.is_some() || ours.is_some() {
            let what = begun.as_ref().map_or("nothing under way", |_| word(record.phase));
            self.say(format!("{last} wrote it last: {what}; this node goes on from there")).await;
            let taken = TakeOver { remedy: self.monitor.remedy.clone(), from: last.to_string(), run: begun };
            // The agent stops: the next one reads it again.
            self.means.inbox.take_over(taken).await.ok();
        } else {
            self.say(format!("{last} wrote it last: nothing is under way")).await;
        }
        Ok(())
    }

    async fn odd_keys(&mut self, odd: Vec<String>) {
        if !odd.is_empty() && odd != self.odd {
            let keys = odd.join(", ");
            self.say(format!("these keys cannot be read and count as nothing: {keys}; a person should look"))
                .await;
        }
        self.odd = odd;
    }

    async fn say(&self, why: String) {
        let what = What::SharedState { of: self.monitor.name.clone(), why };
        let event = Event { at: self.means.clock.now(), incident: None, run: None, what };
        // Only an agent that stops does not take it.
        self.means.inbox.note(event).await.ok();
    }

    /// Takes in what is below the prefix now.
    async fn saw(&mut self, found: Result<Listing, KvError>) -> Revision {
        let listing = match found {
            Ok(listing) => listing,
            Err(why) => {
                self.behind(&why);
                tokio::time::sleep(PAUSES.0).await;
                return Revision(0);
            }
        };
        self.answered();
        let since = listing.revision;
        let (before, newest) = (self.share.last(), self.share.newest());
        if since.0 < newest.0 && self.wrote.is_some_and(|at| at.elapsed() < STALE) {
            // It was on its way while we wrote.
            return since;
        }
        self.share.seen(listing);
        let after = self.share.last();
        self.astray = after == Last::Us || after == Last::Nobody;
        let acts = self.told == Some(Holding::Ours);
        if self.loaded && acts && before == Last::Us && !matches!(after, Last::Us | Last::Nobody) {
            let first = self.quarrel.replace(Instant::now()).is_none();
            if first {
                self.say(format!(
                    "{after} writes it while this node acts: nothing is done until that has been quiet for {} s; \
                     stop one of them, or set `instances`",
                    QUIET.as_secs()
                ))
                .await;
            }
            self.loaded = false;
        } else if self.quarrel.is_some() && after != Last::Us && self.share.newest() != newest {
            self.quarrel = Some(Instant::now());
        }
        since
    }

    /// Writes what stands now, if it is another than what is there.
    async fn write(&mut self, parting: bool) -> Result<(), KvError> {
        if !self.acts() && !parting {
            return Ok(());
        }
        let Ok(view) = self.means.inbox.view().await else { return Ok(()) };
        if parting && self.told != Some(Holding::Ours) {
            return Ok(());
        }
        self.put(&view).await
    }

    async fn put(&mut self, view: &View) -> Result<(), KvError> {
        let record = self.memory.record(&self.monitor, view);
        let keys = record.keys();
        lock(&self.standing).record = record;
        if !self.share.differs(&keys) {
            return Ok(());
        }
        self.share.write(&keys).await?;
        self.wrote = Some(Instant::now());
        self.answered();
        Ok(())
    }

    /// Has it written that a run is about to act.
    async fn assure(&mut self, run: RunId, attempt: u32) -> Result<(), String> {
        if !(self.loaded && self.acts()) {
            return Err("this node may not act for it now".to_owned());
        }
        for _ in 0..20 {
            let view = self.means.inbox.view().await.map_err(|gone| gone.to_string())?;
            let acting = view.runs.get(&run).is_some_and(
                |run| matches!(run.state, RunState::Acting { attempt: now, .. } if now == attempt),
            );
            if acting {
                return self.put(&view).await.map_err(|why| why.to_string());
            }
            // The view may be a moment old.
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Err("it is not wanted any more".to_owned())
    }

    fn acts(&self) -> bool {
        self.told == Some(Holding::Ours)
    }

    /// Tells the engine whether this node may act, when that has changed.
    async fn grant(&mut self) {
        let Some(lease) = self.monitor.lease.clone() else { return };
        let holding = self.holding(&lease);
        lock(&self.standing).holding = Some(holding.clone());
        if self.told.as_ref() != Some(&holding) {
            self.told = Some(holding.clone());
            // Only an agent that stops does not take it.
            self.means.inbox.lease(lease, holding).await.ok();
        }
    }

    fn holding(&mut self, lease: &LeaseName) -> Holding {
        let unknown = |why: String| Holding::Unknown { why };
        if let Some(held) = &self.lease {
            match &*held.state().borrow() {
                LeaseState::Held { .. } => {}
                LeaseState::Other { holder } => return Holding::Other { node: holder.clone() },
                LeaseState::Unknown { why } => return unknown(why.clone()),
            }
        }
        if self.share.paused() {
            return unknown(format!(
                "the key {}control/paused says that nothing is done",
                self.monitor.prefix
            ));
        }
        if let Some(since) = self.quarrel {
            if since.elapsed() < QUIET {
                return unknown(format!("another program writes the state of {lease}"));
            }
            self.quarrel = None;
        }
        let alone = self.monitor.instances == 1 && self.monitor.act_without_consul;
        let late = alone && self.started.elapsed() >= PATIENCE;
        if !(self.loaded || late) {
            return unknown("its state in Consul was not read yet".to_owned());
        }
        if !alone && self.silent.is_some_and(|since| since.elapsed() >= PATIENCE) {
            return unknown("Consul cannot be reached".to_owned());
        }
        Holding::Ours
    }
}

/// The next change of a lease; never, where there is none.
async fn changed(
    lease: &mut Option<tokio::sync::watch::Receiver<LeaseState>>,
) -> Result<(), tokio::sync::watch::error::RecvError> {
    match lease {
        Some(state) => state.changed().await,
        None => std::future::pending().await,
    }
}

async fn watch(kv: Kv, since: Revision) -> Result<Listing, KvError> {
    kv.watch("", since, LONG).await
}

async fn watch_after(kv: Kv, since: Revision) -> Result<Listing, KvError> {
    // What is written key by key is looked at once.
    tokio::time::sleep(GATHER).await;
    watch(kv, since).await
}

/// A run as its record tells it. `has` says whether the remedy has a step of that name.
fn begun(last: &Last, record: &Record, has: &dyn Fn(&str) -> bool, now: Now) -> Option<Begun> {
    let step = |name: &str| StepName::new(name).ok();
    let listed = record.torrents.as_ref().is_some_and(|stopped| !stopped.torrents.is_empty());
    // Another program leaves our own keys as they were: they say nothing of what it did.
    let ours = matches!(last, Last::Lictor(_));
    let named = record.step.as_deref().filter(|name| ours && has(name));
    let at = match record.phase {
        _ if named.is_some() => step(named?)?,
        Some(Phase::StoppingTorrents) => step("stopping_torrents")?,
        Some(Phase::RestartingNomad) => step("restarting_nomad")?,
        // What it did not manage to stop is stopped first.
        Some(Phase::WaitingForStability) => step("stopping_late")?,
        Some(Phase::RestartingTorrents) => step("restarting_torrents")?,
        // Something is stopped because of a leak.
        None if listed && ours => step("waiting_for_stability")?,
        None => return None,
    };
    let noted = |time: Option<f64>| {
        let wall = time.map_or(now.wall, from_seconds);
        Now { boot: now.boot, wall }
    };
    let mut notes = std::collections::BTreeMap::new();
    if let Some(stopped) = record.torrents.as_ref().filter(|_| listed) {
        let text = stopped.note().into();
        let note = Note { text, done: stopped.confirmed, at: noted(record.started) };
        notes.insert(step("stopping_torrents")?, note);
    }
    if let Some(nomad) = record.nomad.as_ref().filter(|_| ours) {
        let done = at.as_str() != "restarting_nomad";
        let text = nomad.to_string().into();
        notes.insert(step("restarting_nomad")?, Note { text, done, at: noted(record.phase_started) });
    }
    if let Some(note) = record.note.as_ref().filter(|_| named.is_some()) {
        let note = Note { text: note.as_str().into(), done: false, at: noted(record.phase_started) };
        notes.insert(at.clone(), note);
    }
    let attempt = if ours { record.attempt.max(1) } else { 1 };
    let tally = Tally { attempt, tries: 1, unclear: false };
    let left = record.next_attempt.filter(|_| ours).map_or(0.0, |at| at - seconds(now.wall));
    Some(Begun {
        cause: format!("it was {} when it was taken over", word(record.phase)),
        step: at,
        notes: Notes::new(notes),
        tally: [(step("restarting_nomad")?, tally)].into(),
        visits: [(step("restarting_nomad")?, attempt - 1)].into(),
        pause: Duration::from_secs_f64(left.clamp(0.0, 86_400.0)),
    })
}

fn seconds(wall: Wall) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of the next 285,000 years")]
    let millis = wall.as_unix_millis() as f64;
    millis / 1_000.0
}

#[expect(clippy::cast_possible_truncation, reason = "a time read from a record is not in the future")]
fn from_seconds(seconds: f64) -> Wall {
    Wall::from_unix_millis((seconds * 1_000.0) as i64)
}
