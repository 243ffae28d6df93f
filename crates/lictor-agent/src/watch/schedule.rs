//! The scheduler: one task that knows when each watcher looks next, and starts each look as a
//! task of its own.
//!
//! ```text
//!  Watchers ──orders──▶ scheduler ──spawns──▶ look ──sample──▶ inbox of the decide loop
//!                        │  ▲                  │
//!                   heap of due times          └──ended (with the watcher's memory)──▶ scheduler
//! ```
//!
//! A watcher that rests costs its settings, a slot and an entry in the heap, no task and no
//! timer: ten thousand of them are a few megabytes. A look is planned from the planned time of
//! the one before, so nothing drifts, and a look that hangs holds up no other: each has its own
//! task, and only [`limits`](super::limits) bounds how many there are.
//!
//! Watchers are watched here: one whose look panics, ends without a result or is silent beyond
//! its time limit is started anew after a pause that doubles each time, its check becomes
//! `unknown`, and that is recorded.

use std::any::Any;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{AbortHandle, Abortable, BoxFuture};
use lictor_config::{Watch, WatchKind};
use lictor_core::{CheckName, Event, Sample, Span, Status, What};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::heartbeat::Heart;
use super::look::{Look, Memory, World, look};
use super::metrics::{Kind, Metrics};
use super::same::same;
use super::spread::Spread;
use super::webhook::Hook;
use crate::{Inbox, OnEnd, Tasks};

/// A look that is silent for so much longer than its time limit has gone wrong.
const QUIET: Duration = Duration::from_secs(30);

/// The longest pause before a watcher that failed is started again, unless its interval is longer.
const PAUSE: Duration = Duration::from_secs(300);

/// How soon a heartbeat is asked again that was just being called.
const BEING_CALLED: Duration = Duration::from_millis(100);

/// Orders waiting for the scheduler. Reloads are rare; who gives one waits for its answer.
pub(super) const ORDERS: usize = 4;

/// Does one look. The scheduler's tests put other things in its place.
pub(super) type Looks = Arc<
    dyn Fn(CheckName, Arc<Watch>, Memory, Arc<World>) -> BoxFuture<'static, (Memory, Look)> + Send + Sync,
>;

/// The watchers' own looks.
pub(super) fn real_looks() -> Looks {
    Arc::new(|check, watch, mut memory, world| {
        Box::pin(async move {
            let found = look(&check, &watch, &mut memory, &world).await;
            (memory, found)
        })
    })
}

/// What the scheduler is told.
#[derive(Debug)]
pub(super) enum Order {
    /// These are the watchers from now on.
    Apply(BTreeMap<CheckName, Arc<Watch>>, oneshot::Sender<Difference>),
}

/// What a reload changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Watchers that are new.
    pub started: usize,
    /// Watchers that were started anew with other settings.
    pub changed: usize,
    /// Watchers that are no more.
    pub stopped: usize,
    /// Watchers that were left alone.
    pub kept: usize,
}

/// One watcher.
struct Slot {
    check: CheckName,
    watch: Arc<Watch>,
    kind: Kind,
    state: State,
    /// Of a heartbeat.
    heart: Option<Arc<Heart>>,
    /// The next look of the regular schedule.
    next: Instant,
    /// From that to the one after it.
    gap: Duration,
    /// Failures in a row.
    failures: u32,
}

enum State {
    /// Between looks.
    Resting(Memory),
    /// A look is due but there is no room for it.
    Waiting(Memory),
    /// A look is under way.
    Looking {
        since: Instant,
        stop: AbortHandle,
        /// Whether it is over and its result is being handed in.
        reporting: Arc<AtomicBool>,
    },
}

/// A place for a watcher. The generation goes up each time a watcher in it ends, so that
/// nothing meant for an earlier one reaches a later one.
#[derive(Default)]
struct Place {
    generation: u32,
    slot: Option<Slot>,
}

/// Names a watcher in queues.
type Id = (usize, u32);

/// A look is over.
struct Ended {
    id: Id,
    result: Result<Memory, String>,
}

pub(super) struct Scheduler {
    world: Arc<World>,
    tasks: Tasks,
    inbox: Inbox,
    metrics: Arc<Metrics>,
    looks: Looks,
    places: Vec<Place>,
    free: Vec<usize>,
    by_name: BTreeMap<CheckName, usize>,
    due: BinaryHeap<Reverse<(Instant, Id)>>,
    /// Looks for which there is no room, with their planned time. Bounded by the watchers.
    waiting: VecDeque<(Id, Instant)>,
    in_flight: usize,
    room: usize,
    /// As large as looks can be in flight, each of which sends one: so it is never full.
    ended: (mpsc::Sender<Ended>, mpsc::Receiver<Ended>),
}

impl Scheduler {
    pub(super) fn new(
        world: Arc<World>,
        inbox: Inbox,
        metrics: Arc<Metrics>,
        looks: Looks,
        room: usize,
    ) -> Self {
        Self {
            tasks: world.tasks.clone(),
            world,
            inbox,
            metrics,
            looks,
            places: Vec::new(),
            free: Vec::new(),
            by_name: BTreeMap::new(),
            due: BinaryHeap::new(),
            waiting: VecDeque::new(),
            in_flight: 0,
            room,
            ended: mpsc::channel(room),
        }
    }

    /// Runs until the agent stops.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut batch = Vec::new();
        let mut ordered = true;
        let mut wake = Box::pin(sleep_until(Instant::now()));
        loop {
            // In every round, so that many ends of looks do not keep others from starting.
            self.start_due(Instant::now());
            let next = self.due.peek().map(|Reverse((at, _))| *at);
            if let Some(at) = next.filter(|at| *at != wake.deadline()) {
                wake.as_mut().reset(at);
            }
            tokio::select! {
                biased;
                order = orders.recv(), if ordered => match order {
                    Some(Order::Apply(watches, answer)) => {
                        // Whoever asked may not care.
                        answer.send(self.apply(watches)).ok();
                    }
                    None => ordered = false,
                },
                _ = self.ended.1.recv_many(&mut batch, 256) => {
                    let now = Instant::now();
                    for ended in batch.drain(..) {
                        self.ended(ended, now);
                    }
                    self.fill(now);
                }
                () = &mut wake, if next.is_some() => {}
            }
        }
    }

    /// Makes these the watchers; those that stay the same are left alone.
    pub(super) fn apply(&mut self, watches: BTreeMap<CheckName, Arc<Watch>>) -> Difference {
        let now = Instant::now();
        let mut difference = Difference::default();
        let gone: Vec<CheckName> =
            self.by_name.keys().filter(|check| !watches.contains_key(*check)).cloned().collect();
        for check in gone {
            self.remove(&check);
            difference.stopped += 1;
        }
        for (check, watch) in watches {
            let known = self.by_name.get(&check).and_then(|at| self.places.get(*at)?.slot.as_ref());
            match known {
                Some(slot) if same(&slot.watch, &watch) => difference.kept += 1,
                Some(_) => {
                    self.remove(&check);
                    self.add(check, watch, now);
                    difference.changed += 1;
                }
                None => {
                    self.add(check, watch, now);
                    difference.started += 1;
                }
            }
        }
        self.metrics.watchers.set(i64::try_from(self.by_name.len()).unwrap_or(i64::MAX));
        difference
    }

    fn add(&mut self, check: CheckName, watch: Arc<Watch>, now: Instant) {
        let spread = Spread::of(check.as_str(), watch.every);
        let heart = if let WatchKind::Heartbeat(heartbeat) = &watch.kind {
            Some(Arc::new(Heart::new(heartbeat)))
        } else {
            None
        };
        self.world.set_heart(&check, heart.clone());
        if let WatchKind::Webhook(settings) = &watch.kind {
            let hook = Hook::new(&check, settings, &watch.patterns, &self.world.positions);
            self.world.set_hook(&check, Some(Arc::new(hook)));
        }
        let slot = Slot {
            check: check.clone(),
            kind: Kind::of(&watch.kind),
            state: State::Resting(Memory::default()),
            heart,
            next: now + if watch.kind.follows() { Duration::ZERO } else { spread.first },
            gap: spread.second,
            watch,
            failures: 0,
        };
        let first = slot.next;
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::default());
            self.places.len() - 1
        });
        let Some(place) = self.places.get_mut(at) else { return };
        place.slot = Some(slot);
        self.due.push(Reverse((first, (at, place.generation))));
        self.by_name.insert(check, at);
    }

    fn remove(&mut self, check: &CheckName) {
        let Some(at) = self.by_name.remove(check) else { return };
        let Some(place) = self.places.get_mut(at) else { return };
        if let Some(Slot { state: State::Looking { stop, .. }, .. }) = place.slot.take() {
            stop.abort();
        }
        place.generation = place.generation.wrapping_add(1);
        self.free.push(at);
        self.world.set_heart(check, None);
        self.world.set_hook(check, None);
    }

    fn slot(&mut self, (at, generation): Id) -> Option<&mut Slot> {
        self.places.get_mut(at).filter(|place| place.generation == generation)?.slot.as_mut()
    }

    /// Starts what is due, and plans the look after it.
    fn start_due(&mut self, now: Instant) {
        while let Some(Reverse((planned, id))) = self.due.peek().copied() {
            if planned > now {
                return;
            }
            self.due.pop();
            let metrics = Arc::clone(&self.metrics);
            let Some(slot) = self.slot(id) else { continue };
            let next = slot.plan_next(planned, now, &metrics);
            let quiet = slot.is_quiet(now);
            let lost = quiet.then(|| {
                let limit = Span(slot.watch.timeout);
                format!(
                    "its look has been silent for {} with a time limit of {limit}",
                    Span(slot.looking_for(now))
                )
            });
            if let Some(why) = lost {
                self.restart(id, why, now);
                continue;
            }
            self.due.push(Reverse((next, id)));
            let has_room = self.in_flight < self.room;
            let Some(slot) = self.slot(id) else { continue };
            match std::mem::replace(&mut slot.state, State::Resting(Memory::default())) {
                State::Resting(memory) if has_room => self.start(id, memory, planned, now),
                State::Resting(memory) => {
                    slot.state = State::Waiting(memory);
                    self.waiting.push_back((id, planned));
                }
                busy @ (State::Waiting(_) | State::Looking { .. }) => {
                    slot.state = busy;
                    let late = slot.watch.every;
                    metrics.skipped.inc();
                    metrics.lateness.observe(late.as_secs_f64());
                }
            }
        }
    }

    /// Starts what waited for room.
    fn fill(&mut self, now: Instant) {
        while self.in_flight < self.room {
            let Some((id, planned)) = self.waiting.pop_front() else { return };
            let Some(slot) = self.slot(id) else { continue };
            match std::mem::replace(&mut slot.state, State::Resting(Memory::default())) {
                State::Waiting(memory) => self.start(id, memory, planned, now),
                other @ (State::Resting(_) | State::Looking { .. }) => slot.state = other,
            }
        }
    }

    fn start(&mut self, id: Id, memory: Memory, planned: Instant, now: Instant) {
        let (stop, stopped) = AbortHandle::new_pair();
        let reporting = Arc::new(AtomicBool::new(false));
        let Some(slot) = self.slot(id) else { return };
        slot.state = State::Looking { since: now, stop, reporting: Arc::clone(&reporting) };
        let (check, watch, kind) = (slot.check.clone(), Arc::clone(&slot.watch), slot.kind);
        self.in_flight += 1;
        self.metrics.in_flight.inc();
        self.metrics.lateness.observe(now.duration_since(planned).as_secs_f64());

        let look = (self.looks)(check.clone(), watch, memory, Arc::clone(&self.world));
        let look = Abortable::new(AssertUnwindSafe(look).catch_unwind(), stopped);
        let mut guard = Guard { id, to: self.ended.0.clone(), result: None };
        let (inbox, metrics) = (self.inbox.clone(), Arc::clone(&self.metrics));
        let name = check.clone();
        self.tasks.spawn(name, OnEnd::Fine, async move {
            let (memory, look) = match look.await {
                Ok(Ok(found)) => found,
                Ok(Err(panic)) => {
                    return guard.finish(Err(format!("it panicked: {}", panic_text(&*panic))));
                }
                Err(_stopped) => return,
            };
            if let Some(sample) = &look.sample {
                metrics.looked(kind, sample.status, now.elapsed());
            }
            reporting.store(true, Ordering::Relaxed);
            report(&inbox, check, look).await;
            guard.finish(Ok(memory));
        });
    }

    fn ended(&mut self, Ended { id, result }: Ended, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.metrics.in_flight.dec();
        match result {
            Ok(memory) => {
                let Some(slot) = self.slot(id) else { return };
                slot.state = State::Resting(memory);
                slot.failures = 0;
            }
            // When the agent stops, looks end in their midst.
            Err(_stopped) if self.tasks.stopping().is_cancelled() => {}
            Err(why) => self.restart(id, why, now),
        }
    }

    /// Starts a watcher anew after a pause, and has that known.
    fn restart(&mut self, (at, generation): Id, why: String, now: Instant) {
        let Some(place) = self.places.get_mut(at).filter(|place| place.generation == generation) else {
            return;
        };
        let Some(slot) = place.slot.as_mut() else { return };
        place.generation = place.generation.wrapping_add(1);
        let before = std::mem::replace(&mut slot.state, State::Resting(Memory::default()));
        if let State::Looking { stop, .. } = before {
            stop.abort();
        }
        let every = slot.watch.every.max(Duration::from_secs(1));
        let pause = every.saturating_mul(1 << slot.failures.min(16)).min(PAUSE.max(every));
        slot.failures = slot.failures.saturating_add(1);
        slot.next = now + pause;
        slot.gap = slot.watch.every;
        self.due.push(Reverse((slot.next, (at, place.generation))));
        self.metrics.restarts.inc();

        let check = slot.check.clone();
        let what = What::WatcherRestarted { check: check.clone(), why: why.clone() };
        let event = Event { at: self.world.clock.now(), incident: None, run: None, what };
        let summary = format!("the watcher was restarted: {why}; it looks again in {}", Span(pause));
        let inbox = self.inbox.clone();
        self.tasks.spawn(format!("report on {check}"), OnEnd::Fine, async move {
            if inbox.note(event).await.is_ok() {
                report(&inbox, check, Look::new(Sample::new(Status::Unknown, summary))).await;
            }
        });
    }
}

impl Slot {
    /// Moves the schedule on from a look planned for `planned`, and says when to look after it.
    /// Looks whose time is over already are left out.
    fn plan_next(&mut self, planned: Instant, now: Instant, metrics: &Metrics) -> Instant {
        if planned >= self.next {
            self.next += std::mem::replace(&mut self.gap, self.watch.every);
            let every = self.watch.every.max(Duration::from_millis(1));
            if let Some(behind) = now.checked_duration_since(self.next) {
                let missed = u32::try_from(behind.as_nanos() / every.as_nanos()).unwrap_or(u32::MAX - 1) + 1;
                self.next += every.saturating_mul(missed);
                metrics.skipped.inc_by(missed.into());
                metrics.lateness.observe(behind.as_secs_f64());
            }
        }
        match &self.heart {
            None => self.next,
            // Just after the moment from which a call is overdue.
            Some(heart) => match heart.due() {
                Some(due) if due > now => self.next.min(due + Duration::from_millis(1)),
                Some(_) => self.next,
                None => self.next.min(now + BEING_CALLED),
            },
        }
    }

    fn looking_for(&self, now: Instant) -> Duration {
        match &self.state {
            State::Looking { since, .. } => now.duration_since(*since),
            State::Resting(_) | State::Waiting(_) => Duration::ZERO,
        }
    }

    /// Whether a look is under way for longer than it can be.
    fn is_quiet(&self, now: Instant) -> bool {
        match &self.state {
            State::Looking { since, reporting, .. } => {
                now.duration_since(*since) > self.watch.timeout + QUIET && !reporting.load(Ordering::Relaxed)
            }
            State::Resting(_) | State::Waiting(_) => false,
        }
    }
}

/// Hands in what a look brought. When the agent stops, it is of no use any more.
async fn report(inbox: &Inbox, check: CheckName, look: Look) {
    if !look.matches.is_empty() && inbox.read(check.clone(), look.matches, None).await.is_err() {
        return;
    }
    if let Some(sample) = look.sample {
        inbox.observed(check, sample).await.ok();
    }
    drop(look.turn);
}

/// Tells the scheduler that a look is over, however it ends.
struct Guard {
    id: Id,
    to: mpsc::Sender<Ended>,
    result: Option<Result<Memory, String>>,
}

impl Guard {
    fn finish(&mut self, result: Result<Memory, String>) {
        self.result = Some(result);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or_else(|| Err("it ended without a result".to_owned()));
        // It is never full; closed it is only when the agent stops.
        self.to.try_send(Ended { id: self.id, result }).ok();
    }
}

pub(super) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests;
