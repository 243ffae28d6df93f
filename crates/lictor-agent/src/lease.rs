//! A lease in the shared records: drives the candidate of [`lictor_core::lease`] over a
//! [`Kv`], and tells whoever acts under it whether it still may.

use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use lictor_core::lease::{
    Belief, Candidate, Effect, Input, Next, Params, Reading, Record, Revision, Standing, Written,
};
use lictor_store::kv::{self, Kv, KvError, Op, Pair};
use lictor_store::wire;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::clock::Clock;
use crate::task::{OnEnd, Tasks};
use crate::text::one_line;

/// How long a stop waits for the lease to be given back.
const PARTING: Duration = Duration::from_secs(2);

/// The shortest sleep: a timer has no finer grain.
const GRAIN: Duration = Duration::from_millis(1);

/// Largest record that is looked at, bytes.
const RECORD: usize = 4 << 10;

/// Characters that are shown of a reason, and of a node's name.
const SHOWN: usize = 300;

/// A lease that this node holds or would hold. Cheap to clone; clones are the same lease.
///
/// A task renews it, or watches it and takes it when nobody renews it any more. When the agent
/// stops it is given back, so that the next node need not wait: whatever was begun under it must
/// have ended by then.
#[derive(Clone)]
pub struct Lease(Arc<Shared>);

struct Shared {
    key: String,
    clock: Clock,
    belief: Mutex<Option<Belief>>,
    state: watch::Sender<LeaseState>,
}

/// The record of a lease, as its candidate asks for it.
#[derive(Clone)]
pub(crate) struct LeaseRecord(Arc<Place>);

struct Place {
    kv: Kv,
    key: String,
    /// How long a request may take.
    limit: Duration,
    /// Whether it may not be written, which was said.
    denied: AtomicBool,
}

impl LeaseRecord {
    pub(crate) fn new(kv: Kv, key: String, limit: Duration) -> Self {
        Self(Arc::new(Place { kv, key, limit, denied: AtomicBool::default() }))
    }

    /// The request, and its answer within the time limit. One that is given up is dropped, and
    /// its connection with it: the next one does not wait for it.
    pub(crate) fn ask(&self, effect: Effect) -> BoxFuture<'static, Input> {
        let place = Arc::clone(&self.0);
        let late = format!("no answer within {:?}", place.limit);
        match effect {
            Effect::Read => Box::pin(async move {
                Input::Read(match timeout(place.limit, place.kv.get(&place.key)).await {
                    Ok(answer) => reading(answer),
                    Err(_late) => Reading::Failed { why: late },
                })
            }),
            Effect::Write { expect, record } => Box::pin(async move {
                Input::Written(match timeout(place.limit, write(&place, expect, &record)).await {
                    Ok(written) => written,
                    Err(_late) => Written::Unclear { why: late },
                })
            }),
        }
    }
}

/// How a lease stands, as far as its task has noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// This node holds it.
    Held {
        /// Grows with each taking of the lease, on whatever node.
        token: u64,
    },
    /// Another node does, for all that this one has seen.
    Other {
        /// Its name. It is ours if another process calls itself the same.
        holder: String,
    },
    /// Nobody does, or it cannot be said.
    Unknown {
        /// Why, in words. While requests fail it stays as the first one failed.
        why: String,
    },
}

/// Why nobody is known to hold a lease that nobody holds.
const NOBODY: &str = "nobody holds it";

impl LeaseState {
    /// Nobody holds it.
    pub fn free() -> Self {
        Self::Unknown { why: NOBODY.to_owned() }
    }

    /// Whether it is certain that nobody holds it.
    pub fn is_free(&self) -> bool {
        matches!(self, Self::Unknown { why } if why == NOBODY)
    }
}

impl Lease {
    /// Starts the task of the lease in the record `key`, until the agent stops.
    ///
    /// `node` is this node's name and no other's. `incarnation` is this process's own: one that
    /// was here before, or another lease of the same record, must not have the same. `params`
    /// are to be the same on all nodes; the length may differ.
    ///
    /// Each request is dropped after [`Params::request`], whatever time limits `kv` has itself.
    /// What else is asked of `kv` must not be able to delay them: give it connections of its own.
    pub fn start(
        kv: Kv,
        key: String,
        node: String,
        incarnation: String,
        params: Params,
        clock: Clock,
        tasks: &Tasks,
    ) -> Self {
        let why = "the record was not read yet".to_owned();
        let state = watch::Sender::new(LeaseState::Unknown { why });
        let record = LeaseRecord::new(kv, key.clone(), params.request());
        let shared = Arc::new(Shared { key, clock, belief: Mutex::default(), state });
        let candidate = Candidate::new(node, incarnation, params);
        let driver = Driver { record, candidate, shared: Arc::clone(&shared) };
        tasks.spawn_draining(format!("lease {}", shared.key), OnEnd::Stop, driver.run(tasks.stopping()));
        Self(shared)
    }

    /// How the lease stands, and each change of it. It is as old as the task's last look: to act,
    /// ask [`Lease::believes`].
    pub fn state(&self) -> watch::Receiver<LeaseState> {
        self.0.state.subscribe()
    }

    /// The token under which this node may act now; `None` when it may not. To be asked
    /// immediately before each act: this reads the clock, and holds for a process that was
    /// frozen as well.
    pub fn believes(&self) -> Option<u64> {
        let belief = *self.0.belief.lock().unwrap_or_else(PoisonError::into_inner);
        belief.filter(|belief| belief.holds(self.0.clock.stamp())).map(|belief| belief.token)
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { key, state, .. } = &*self.0;
        f.debug_struct("Lease").field("key", key).field("state", &*state.borrow()).finish_non_exhaustive()
    }
}

struct Driver {
    record: LeaseRecord,
    candidate: Candidate,
    shared: Arc<Shared>,
}

impl Driver {
    async fn run(mut self, stop: CancellationToken) {
        let mut asked: Option<BoxFuture<'static, Input>> = None;
        let mut deadline = None;
        let mut input = Input::Tick;
        loop {
            let now = self.shared.clock.stamp();
            if let Some(effect) = self.candidate.step(input, now) {
                asked = Some(self.record.ask(effect));
            }
            self.publish(deadline.is_some());
            if self.candidate.has_left() {
                debug!(key = self.shared.key, "the lease was given back, or was not held");
                return;
            }
            let wait = self.candidate.wait(now).max(GRAIN);
            input = tokio::select! {
                answer = answer(&mut asked) => answer,
                () = stop.cancelled(), if deadline.is_none() => {
                    deadline = Some(Instant::now() + PARTING);
                    Input::Release { next: Next::Anyone, stay: false }
                }
                () = until(deadline) => {
                    warn!(key = self.shared.key, "the lease could not be given back in time");
                    return;
                }
                () = sleep(wait) => Input::Tick,
            };
        }
    }

    /// Tells what may be believed now. First who may act, then who wants to know. `leaving`: the lease is given back.
    fn publish(&self, leaving: bool) {
        let now = self.shared.clock.stamp();
        let belief = self.candidate.belief(now);
        *self.shared.belief.lock().unwrap_or_else(PoisonError::into_inner) = belief;
        let state = match self.candidate.standing(now) {
            Standing::Held(belief) => LeaseState::Held { token: belief.token },
            Standing::Other { holder, .. } => LeaseState::Other { holder: one_line(holder, SHOWN) },
            Standing::Free => LeaseState::free(),
            Standing::Unknown { why } => LeaseState::Unknown { why: why.to_owned() },
        };
        let (key, before) = (&self.shared.key, self.shared.state.borrow().clone());
        if state == before {
            return;
        }
        match &state {
            LeaseState::Held { token } => info!(key, token, "this node holds the lease"),
            LeaseState::Other { holder } => info!(key, holder, "another node holds the lease"),
            LeaseState::Unknown { why } if !leaving && matches!(before, LeaseState::Held { .. }) => {
                warn!(key, why, "this node holds the lease no more");
            }
            LeaseState::Unknown { why } => info!(key, why, "nobody is known to hold the lease"),
        }
        self.shared.state.send_replace(state);
    }
}

/// The answer to what was asked, if something was.
pub(crate) async fn answer<T>(asked: &mut Option<BoxFuture<'static, T>>) -> T {
    let Some(request) = asked else { return pending().await };
    let answer = request.await;
    *asked = None;
    answer
}

pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

fn reading(answer: Result<Option<Pair>, KvError>) -> Reading {
    let pair = match answer {
        Ok(Some(pair)) => pair,
        Ok(None) => return Reading::Absent,
        Err(error) => return Reading::Failed { why: shown(&error) },
    };
    let revision = Revision(pair.revision.0);
    if pair.value.len() > RECORD {
        let why = format!("the record has {} bytes, more than any of ours", pair.value.len());
        return Reading::Unreadable { revision, why };
    }
    match wire::decode::<wire::Lease>(&pair.value).and_then(Record::try_from) {
        Ok(record) => Reading::Found { record, revision },
        Err(error) => Reading::Unreadable { revision, why: shown(&error) },
    }
}

async fn write(place: &Place, expect: Option<Revision>, record: &Record) -> Written {
    let key = place.key.clone();
    let value = match wire::encode(&wire::Lease::from(record)) {
        Ok(value) => value,
        Err(error) => return Written::NotDone { why: shown(&error) },
    };
    let op = match expect {
        Some(revision) => Op::replace(key, value, kv::Revision(revision.0)),
        None => Op::create(key, value),
    };
    let written = place.kv.txn(&[op]).await;
    if let Err(error @ KvError::Denied { .. }) = &written {
        if !place.denied.swap(true, Ordering::Relaxed) {
            error!(key = place.key, %error, "the lease may not be written: this node cannot have it");
        }
    } else if matches!(written, Ok(_) | Err(KvError::Conflict { .. })) {
        place.denied.store(false, Ordering::Relaxed);
    }
    match written {
        Ok(written) => match written.first().copied().flatten() {
            Some(revision) => Written::Done { revision: Revision(revision.0) },
            None => Written::Unclear { why: "the record has no revision".to_owned() },
        },
        Err(KvError::Conflict { .. }) => Written::Conflict,
        Err(error @ KvError::Unknown { .. }) => Written::Unclear { why: shown(&error) },
        Err(error @ (KvError::Unavailable { .. } | KvError::Denied { .. } | KvError::Refused { .. })) => {
            Written::NotDone { why: shown(&error) }
        }
    }
}

pub(crate) fn shown(error: &impl fmt::Display) -> String {
    one_line(&error.to_string(), SHOWN)
}
