//! The seat of a desk that several nodes share: one of them tells at a time, under a lease.
//!
//! ```text
//!   stand by ──lease (and guard) held──▶ begin a term: write the record of the term, read all rows
//!      ▲                                                    │
//!      └── lease lost, stop, or another term has begun ◀── DeskLoop
//! ```
//!
//! The record of the term fences: each commit of the desk rests on it, so that a node that was
//! replaced and does not know it yet records nothing, and sends nothing, since what is sent was
//! recorded before.

use std::sync::Arc;
use std::time::Duration;

use lictor_core::Refusal;
use lictor_core::alert::{AlertPlan, Command, Desk, Input, Source};
use lictor_core::lease::Params;
use lictor_store::kv::{Kv, KvError};
use lictor_store::wire::Term;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Tell;
use super::ask::{self, Asks};
use super::desk::{DeskLoop, Ended, view_of};
use super::fence::Fence;
use super::gather;
use super::inbox::{AlertView, DeskInbox, Message, SHARED_RECORDS, Seat};
use super::keep::Kept;
use super::predecessor::{Guard, Predecessor};
use super::prometheus::Posts;
use super::sources::Sources;
use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::lease::{Lease, LeaseState};
use crate::task::{OnEnd, Tasks};

/// Pause before it is tried again to begin a term.
const AGAIN: Duration = Duration::from_secs(1);

/// A node that cannot begin a term for so long leaves it to the others for as long; at once where it
/// holds a guard.
const LET_GO: Duration = Duration::from_secs(10);

/// A look at the records of others is good for so long.
const FRESH: Duration = Duration::from_secs(2);

/// How long a reader waits for the records.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a stop waits for the lease to be given back.
const PARTING: Duration = Duration::from_secs(3);

/// The lease of the one that tells. Nothing can be recorded while Consul elects a leader, so that it
/// need not outlast that.
const TIMES: Params = Params::BRISK;

/// Tries for the lease of the one that tells, with connections of its own.
pub(super) fn try_for(kv: Kv, node: String, clock: Clock) -> TryFor {
    Box::new(move || {
        let leased = Tasks::new();
        let incarnation = format!("{:032x}", rand::random::<u128>());
        let key = "lease/alerts".to_owned();
        let lease = Lease::start(kv.clone(), key, node.clone(), incarnation, TIMES, clock.clone(), &leased);
        (lease, leased)
    })
}

/// What takes the seat and leaves it.
pub(super) struct SeatLoop {
    pub(super) kv: Kv,
    pub(super) node: String,
    /// Begins to try for the lease; it is given back with its tasks, when the desk is quiet.
    pub(super) try_for: TryFor,
    pub(super) predecessor: Option<Predecessor>,
    pub(super) plan: Arc<AlertPlan>,
    pub(super) notifiers: Arc<dyn Tell>,
    pub(super) clock: Clock,
    pub(super) queue: mpsc::Receiver<Message>,
    pub(super) back: DeskInbox,
    pub(super) ledger: Inbox,
    pub(super) sources: Sources,
    pub(super) posts: Posts,
    pub(super) seat: watch::Sender<Seat>,
    /// When nobody has told for so long, the one that did says so.
    pub(super) alone_after: watch::Receiver<Duration>,
    /// To whoever tells when the records are out of reach.
    pub(super) said: mpsc::Sender<Input>,
    pub(super) tasks: Tasks,
    pub(super) stop: CancellationToken,
    pub(super) looked: Looked,
}

/// Begins to try for the lease.
pub(super) type TryFor = Box<dyn Fn() -> (Lease, Tasks) + Send + Sync>;

/// The last look at the records.
pub(super) type Looked = Arc<Mutex<Option<(Instant, Arc<AlertView>)>>>;

impl SeatLoop {
    pub(super) async fn run(mut self) {
        let (mut lease, mut leased) = (self.try_for)();
        // One node says that nobody tells: the one that did, or would have.
        let mut nobody = None;
        // Since when a term cannot begin.
        let mut failing: Option<Instant> = None;
        while let Some(token) = self.stand_by(&lease, nobody).await {
            let asks = Asks { kv: self.kv.clone(), clock: self.clock.clone() };
            let fence = Fence { lease: lease.clone(), token, guard: self.guard(), asks };
            match self.tell(fence).await {
                Ok(None) => break,
                Ok(Some(why)) => {
                    warn!(why, "this node tells of alerts no more");
                    (nobody, failing) = (Some(Instant::now()), None);
                }
                Err(why) => {
                    warn!(%why, "this node would tell of alerts, and cannot take up what was told");
                    self.stand(Seat::Nobody { why: why.to_string() });
                    nobody.get_or_insert_with(Instant::now);
                    let since = *failing.get_or_insert_with(Instant::now);
                    // Others may be able to.
                    let guard = self.guard();
                    if let Some(guard) = &guard {
                        guard.want(false);
                    }
                    if guard.is_none() && since.elapsed() < LET_GO {
                        self.meanwhile(sleep(AGAIN)).await;
                        continue;
                    }
                    let gives_back = async move { leased.drain(PARTING).await };
                    self.meanwhile(gives_back).await;
                    // A stop does not wait for it.
                    let stop = self.stop.clone();
                    drop(self.meanwhile(timeout(LET_GO, stop.cancelled_owned())).await);
                    (lease, leased) = (self.try_for)();
                    failing = None;
                }
            }
        }
        if let Some(guard) = self.guard() {
            guard.want(false);
        }
        if !leased.drain(PARTING).await {
            warn!("the lease of the alerts was not given back; the next node waits for its end");
        }
    }

    /// Until this node is the one that tells; `None` when the agent stops.
    async fn stand_by(&mut self, lease: &Lease, nobody: Option<Instant>) -> Option<u64> {
        let mut nobody = nobody.map(|since| since + *self.alone_after.borrow());
        let mut state = lease.state();
        let what = self.guard();
        let mut guard = what.as_ref().map(|guard| guard.changes());
        loop {
            let now = state.borrow_and_update().clone();
            if let Some(guard) = &mut guard {
                guard.mark_unchanged();
            }
            let held = lease.believes();
            if let Some(guard) = &what {
                guard.want(held.is_some());
            }
            match (held, &what) {
                (Some(token), None) => return Some(token),
                (Some(token), Some(guard)) if guard.holds() => return Some(token),
                (Some(_), Some(guard)) => self.stand(Seat::Nobody { why: guard.other() }),
                (None, _) => self.stand(match now {
                    LeaseState::Other { holder } => Seat::Other { holder },
                    LeaseState::Held { .. } => Seat::Nobody { why: "the lease has just ended".to_owned() },
                    LeaseState::Unknown { why } => Seat::Nobody { why },
                }),
            }
            // Somebody else tells.
            nobody = nobody.filter(|_| !matches!(*self.seat.borrow(), Seat::Other { .. }));
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                () = until(nobody) => {
                    nobody = None;
                    let why = match &*self.seat.borrow() {
                        Seat::Nobody { why } => why.clone(),
                        Seat::Local | Seat::Ours { .. } | Seat::Other { .. } => continue,
                    };
                    let why = format!("nobody tells of its checks and of those of other nodes: {why}");
                    let lost = Input::Lost { source: Source::new("consul"), why };
                    // It stops.
                    drop(self.said.send(lost).await);
                }
                _ = state.changed() => {}
                () = super::fence::changed(guard.as_mut()) => {}
                message = self.queue.recv() => match message {
                    Some(message) => self.answer(message),
                    None => return None,
                },
            }
        }
    }

    /// One term.
    async fn tell(&mut self, fence: Fence) -> Result<Option<String>, KvError> {
        let number = rand::random::<u32>().into();
        let term = Term { holder: self.node.clone(), token: fence.token, number };
        let may = fence.clone();
        let (kv, clock) = (self.kv.clone(), self.clock.clone());
        let records = self.predecessor.as_ref().map(|before| Arc::clone(&before.records));
        let plan = Arc::clone(&self.plan);
        let taken_up = async move {
            let kept = Kept::begin(kv, &term, || may.holds(), records.clone()).await?;
            let now = clock.now();
            let mut rows = kept.load(now).await?;
            if let Some(records) = records {
                rows = records.take_up(&plan, rows, now).await.map_err(|why| KvError::Unavailable { why })?;
            }
            Ok::<_, KvError>((kept, rows, now))
        };
        let (kept, rows, now) = self.meanwhile(taken_up).await?;
        info!(records = rows.len(), token = fence.token, "this node tells of alerts");
        let (desk, first) = Desk::restore(Arc::clone(&self.plan), rows, now);
        self.stand(fence.seat());
        let running = DeskLoop {
            desk,
            kept,
            clock: self.clock.clone(),
            back: self.back.clone(),
            notifiers: Arc::clone(&self.notifiers),
            ledger: self.ledger.clone(),
            tasks: self.tasks.clone(),
            stop: self.stop.clone(),
            fence: Some(fence),
        };
        let beside = Tasks::new();
        let (kv, desk) = (self.kv.clone(), self.back.clone());
        drop(beside.spawn("what nodes say", OnEnd::Fine, gather::gather(kv.clone(), desk.clone())));
        let asked = ask::take(kv, desk, self.posts.clone(), self.clock.clone());
        drop(beside.spawn("what nodes ask", OnEnd::Fine, asked));
        // What they say first is for this desk, and so is a reload.
        let (ended, ()) = tokio::join!(running.run(first, &mut self.queue), self.sources.begin());
        let Ended { why, plan, notifiers } = ended;
        (self.plan, self.notifiers) = (plan, notifiers);
        if let Some(why) = &why {
            self.stand(Seat::Nobody { why: why.clone() });
        }
        let sources = self.sources.clone();
        let quiet = async move {
            // They give up at their next step.
            beside.drain(AGAIN).await;
            sources.end().await;
        };
        self.meanwhile(quiet).await;
        Ok(why)
    }

    fn guard(&self) -> Option<Arc<dyn Guard>> {
        self.predecessor.as_ref().map(|before| Arc::clone(&before.guard))
    }

    fn stand(&self, seat: Seat) {
        self.seat.send_if_modified(|before| {
            let changed = *before != seat;
            *before = seat;
            changed
        });
    }

    /// Answers while something else is done, so that nobody waits for both.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                Some(message) = self.queue.recv() => self.answer(message),
            }
        }
    }

    /// While another node tells.
    fn answer(&mut self, message: Message) {
        match message {
            // What a source or a notifier says after the end of a term. Both are asked anew.
            Message::Input(_) | Message::Asked(..) => {}
            Message::Reload(plan, notifiers, answer) => {
                (self.plan, self.notifiers) = (plan, notifiers);
                let _left = answer.send(());
            }
            Message::Command(command, answer) => self.hand_on(command, answer),
            Message::Forget { node, by, answer } => {
                let asks = Asks { kv: self.kv.clone(), clock: self.clock.clone() };
                let work = asks.forget(node, by, self.ledger.clone(), answer);
                drop(self.tasks.spawn("forget a node", OnEnd::Fine, work));
            }
            Message::View(answer) => self.look(answer),
        }
    }

    fn hand_on(&self, command: Command, answer: oneshot::Sender<Result<String, Refusal>>) {
        let asks = Asks { kv: self.kv.clone(), clock: self.clock.clone() };
        let work = async move {
            if let Ok(said) = asks.command(&command).await {
                // Nobody may be waiting any more.
                drop(answer.send(said));
            }
        };
        drop(self.tasks.spawn("ask the node that tells", OnEnd::Fine, work));
    }

    fn look(&self, answer: oneshot::Sender<Arc<AlertView>>) {
        let (kv, plan, clock) = (self.kv.clone(), Arc::clone(&self.plan), self.clock.clone());
        let (looked, seat) = (Arc::clone(&self.looked), self.seat.borrow().clone());
        let work = async move {
            let mut looked = looked.lock().await;
            let fresh = looked.as_ref().filter(|(at, view)| at.elapsed() < FRESH && view.seat == seat);
            let view = match fresh {
                Some((_, view)) => Arc::clone(view),
                None => {
                    let view = Arc::new(seen(&kv, plan, seat, &clock).await);
                    *looked = Some((Instant::now(), Arc::clone(&view)));
                    view
                }
            };
            // Nobody may be waiting any more.
            drop(answer.send(view));
        };
        drop(self.tasks.spawn("look at the alerts", OnEnd::Fine, work));
    }
}

/// Waits until then; for ever without a time.
async fn until(then: Option<Instant>) {
    match then {
        Some(then) => sleep_until(then).await,
        None => std::future::pending().await,
    }
}

/// What the records say.
async fn seen(kv: &Kv, plan: Arc<AlertPlan>, seat: Seat, clock: &Clock) -> AlertView {
    let now = clock.now();
    let lost = |why| (Vec::new(), Some((SHARED_RECORDS.to_owned(), why)));
    let (rows, lost) = match timeout(PATIENCE, Kept::look(kv, now)).await {
        Ok(Ok(rows)) => (rows, None),
        Ok(Err(why)) => lost(why.to_string()),
        Err(_late) => lost(format!("no answer within {PATIENCE:?}")),
    };
    let (desk, _) = Desk::restore(plan, rows, now);
    let view = view_of(&desk, seat, now);
    AlertView { lost: lost.into_iter().collect(), ..view }
}
