//! The task of one service on one node.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, pending};
use lictor_core::lease::{self, Among, Belief, Candidate, Params, Revision, Standing, Wish, Written};
use lictor_core::service::member::{Input, Local, Member, Output, Part};
use lictor_core::service::operation::Operation;
use lictor_store::kv::{self, Kv, KvError, Listing};
use lictor_store::wire;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::operations::{self, AskError, Asking};
use super::voice::{Heard, Spoken, Voice};
use super::{Guard, Look, PARTING, ServiceState, Units};
use crate::LeaseState;
use crate::clock::Clock;
use crate::lease::{LeaseRecord, answer, shown, until};
use crate::task::{OnEnd, Tasks};

/// The shortest sleep: a timer has no finer grain.
const GRAIN: Duration = Duration::from_millis(1);

/// How long a blocking query waits for a change.
const WATCH: Duration = Duration::from_secs(60);

/// After how long one that failed is begun again.
const AGAIN: Duration = Duration::from_secs(1);

/// What a service needs on a node.
pub struct Setup {
    /// The name of the service; a part of its keys.
    pub service: String,
    /// This node's name and no other's.
    pub node: String,
    /// This process's own: none before or after it has the same.
    pub incarnation: String,
    /// Which boot of the machine this is.
    pub boot: String,
    /// The nodes between which the service passes.
    pub nodes: BTreeSet<String>,
    /// The times of the lease, and those while one of the nodes is silent.
    pub times: (Params, Params),
    /// How this node takes part.
    pub part: Part,
    /// For how long what an earlier process left running is guarded.
    pub guarded: Duration,
    /// The shared records. What else is asked of them must not be able to delay this.
    pub kv: Kv,
    /// The service here.
    pub units: Arc<dyn Units>,
    /// What guards it.
    pub guard: Arc<dyn Guard>,
    /// The way to the other nodes.
    pub voice: Voice,
}

/// A service on this node. Cheap to clone; clones are the same service.
#[derive(Clone)]
pub struct Service(Arc<Shared>);

struct Shared {
    name: String,
    kv: Kv,
    clock: Clock,
    belief: Mutex<Option<Belief>>,
    state: watch::Sender<ServiceState>,
}

impl Service {
    /// Starts the task of a service, until the agent stops. Units that run then go on.
    pub fn start(setup: Setup, clock: Clock, tasks: &Tasks) -> Self {
        let Setup { service, node, incarnation, boot, nodes, times, part, guarded, kv, units, guard, voice } =
            setup;
        let (fast, steady) = times;
        let among = Among { nodes, boot, steady };
        let candidate = Candidate::new(node.clone(), incarnation, fast).among(among, Wish::Watch);
        let member = Member::new(node, candidate, part, guarded, clock.stamp());
        let lease = LeaseState::Unknown { why: "the record was not read yet".to_owned() };
        let state = watch::Sender::new(ServiceState { lease, local: Local::Unknown, operation: None });
        let record = LeaseRecord::new(kv.clone(), format!("service/{service}/lease"), fast.request());
        let shared = Arc::new(Shared { name: service, kv, clock, belief: Mutex::default(), state });
        let driver = Driver {
            member,
            record,
            limit: fast.request(),
            units,
            guard,
            voice,
            told: None,
            asked: None,
            noting: None,
            carrying: None,
            shared: Arc::clone(&shared),
        };
        let name = format!("service {}", shared.name);
        tasks.spawn_draining(name, OnEnd::Stop, driver.run(tasks.stopping()));
        Self(shared)
    }

    /// How it stands, and each change of that.
    pub fn state(&self) -> watch::Receiver<ServiceState> {
        self.0.state.subscribe()
    }

    /// The token under which this node may run it now; `None` when it may not.
    pub fn believes(&self) -> Option<u64> {
        self.0.believes()
    }

    /// Asks the nodes of this service for something. They do it whatever becomes of who has asked; how far
    /// it is is part of [`Service::state`].
    ///
    /// # Errors
    /// See [`AskError`].
    pub async fn ask(&self, asking: Asking) -> Result<Operation, AskError> {
        operations::ask(&self.0.kv, &self.0.name, asking).await
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { name, state, .. } = &*self.0;
        f.debug_struct("Service").field("name", name).field("state", &*state.borrow()).finish_non_exhaustive()
    }
}

impl Shared {
    fn believes(&self) -> Option<u64> {
        let belief = *self.belief.lock().unwrap_or_else(PoisonError::into_inner);
        belief.filter(|belief| belief.holds(self.clock.stamp())).map(|belief| belief.token)
    }
}

struct Driver {
    member: Member,
    record: LeaseRecord,
    /// How long a request may take.
    limit: Duration,
    units: Arc<dyn Units>,
    guard: Arc<dyn Guard>,
    voice: Voice,
    /// What the guard was told last.
    told: Option<Belief>,
    asked: Option<BoxFuture<'static, lease::Input>>,
    noting: Option<BoxFuture<'static, Written>>,
    carrying: Option<BoxFuture<'static, Result<(), String>>>,
    shared: Arc<Shared>,
}

/// What a look at the records found: whether the lease went to somebody else, and what is asked for.
struct Found {
    holder: Option<(String, u64, bool)>,
    operation: Option<(Operation, Revision)>,
}

impl Driver {
    async fn run(mut self, stop: CancellationToken) {
        let prefix = format!("service/{}/", self.shared.name);
        let (mut since, mut rest) = (kv::Revision(0), Duration::ZERO);
        let mut holder = None;
        let mut watching: Option<BoxFuture<'static, Result<Listing, KvError>>> = None;
        let mut looking: Option<BoxFuture<'static, Look>> = None;
        let mut look = true;
        let mut deadline = None;
        let mut input = Input::Tick;
        loop {
            let ended = matches!(input, Input::Ended(_));
            self.step(input);
            if ended {
                // What was looked at meanwhile says nothing of what has come of it.
                (looking, look) = (None, true);
            }
            if deadline.is_some() && self.asked.is_none() && self.carrying.is_none() {
                debug!(service = self.shared.name, "the service is left to who comes next");
                return;
            }
            if look && looking.is_none() && self.carrying.is_none() {
                let units = Arc::clone(&self.units);
                looking = Some(Box::pin(async move { units.look().await }));
                look = false;
            }
            let watch = watching.get_or_insert_with(|| {
                let (kv, prefix, rest) = (self.shared.kv.clone(), prefix.clone(), rest);
                Box::pin(async move {
                    sleep(rest).await;
                    kv.watch(&prefix, since, WATCH).await
                })
            });
            let idle = self.carrying.is_none();
            let wait = self.member.wait(self.shared.clock.stamp()).max(GRAIN);
            input = tokio::select! {
                answer = answer(&mut self.asked) => Input::Lease(answer),
                outcome = answer(&mut self.carrying) => Input::Ended(outcome),
                written = answer(&mut self.noting) => {
                    if !matches!(written, Written::Done { .. }) {
                        // It is read again.
                        (watching, since, rest) = (None, kv::Revision(0), GRAIN);
                    }
                    Input::Noted(written)
                }
                listing = watch => {
                    watching = None;
                    match listing {
                        Ok(listing) => {
                            (since, rest) = (listing.revision, Duration::ZERO);
                            let found = found(&listing, &prefix);
                            if std::mem::replace(&mut holder, found.holder.clone()) != found.holder {
                                self.step(Input::Lease(lease::Input::Hint));
                            }
                            Input::Operation(found.operation)
                        }
                        Err(error) => {
                            debug!(service = self.shared.name, %error, "what is asked for cannot be read");
                            (since, rest) = (kv::Revision(0), AGAIN);
                            Input::Tick
                        }
                    }
                }
                Some(heard) = self.voice.hears.recv() => self.hears(heard),
                Look { local, able } = answer(&mut looking) => {
                    self.step(Input::Able(able));
                    Input::Local(local)
                }
                () = changed(&self.units, idle) => {
                    look = true;
                    Input::Tick
                }
                () = stop.cancelled(), if deadline.is_none() => {
                    deadline = Some(Instant::now() + PARTING);
                    Input::Quit
                }
                () = until(deadline) => {
                    warn!(service = self.shared.name, "something was still under way when the agent had to stop");
                    return;
                }
                () = sleep(wait) => Input::Tick,
            };
        }
    }

    /// Hands the member something and does what it says.
    fn step(&mut self, input: Input) {
        let local = match &input {
            Input::Local(local) => Some(*local),
            _ => None,
        };
        let now = self.shared.clock.stamp();
        let Output { lease, question, order, operation } = self.member.step(input, now);
        self.publish(local);
        if let Some(effect) = lease {
            self.asked = Some(self.record.ask(effect));
        }
        if let Some(operation) = operation {
            let phase = &operation.0.phase;
            info!(service = self.shared.name, id = operation.0.id, ?phase, "what was asked for goes on");
            self.noting =
                Some(operations::note(self.shared.kv.clone(), &self.shared.name, operation, self.limit));
        }
        if let Some(lease::Question { number, token, length, to }) = question {
            // One that cannot be said now is asked anew soon.
            let _full = self.voice.says.try_send(Spoken::Question { number, token, length, to });
        }
        if let Some(order) = order {
            info!(service = self.shared.name, ?order, "the service here");
            let (units, shared) = (Arc::clone(&self.units), Arc::clone(&self.shared));
            self.carrying = Some(Box::pin(async move {
                let believes = |token| shared.believes() == Some(token);
                units.carry(order, &believes).await
            }));
        }
    }

    /// First the guard hears what is believed, then who acts, then who wants to know.
    fn publish(&mut self, local: Option<Local>) {
        let now = self.shared.clock.stamp();
        let belief = self.member.belief(now);
        if belief != self.told {
            // A process that has never believed anything leaves what an earlier one has said.
            self.guard.tell(belief);
            self.told = belief;
        }
        *self.shared.belief.lock().unwrap_or_else(PoisonError::into_inner) = belief;
        let lease = match self.member.standing(now) {
            Standing::Held(belief) => LeaseState::Held { token: belief.token },
            Standing::Other { holder, .. } => LeaseState::Other { holder: holder.to_owned() },
            Standing::Free => LeaseState::Unknown { why: "nobody holds it".to_owned() },
            Standing::Unknown { why } => LeaseState::Unknown { why: why.to_owned() },
        };
        let before = self.shared.state.borrow().clone();
        let operation = self.member.operation().cloned();
        let state = ServiceState { lease, local: local.unwrap_or(before.local), operation };
        if state == before {
            return;
        }
        if state.lease != before.lease {
            let (service, lease) = (&self.shared.name, &state.lease);
            info!(service, ?lease, "the lease of the service");
        }
        self.shared.state.send_replace(state);
    }

    fn hears(&mut self, heard: Heard) -> Input {
        match heard {
            Heard::Answer(answer) => Input::Lease(lease::Input::Answered(answer)),
            Heard::Question { from, asker, number, token, length } => {
                let promises = self.member.promise(token, length, self.shared.clock.stamp());
                let by = self.member.node().to_owned();
                let answer = lease::Answer { number, by, promises };
                let _full = self.voice.says.try_send(Spoken::Answer { to: from, asker, answer });
                Input::Tick
            }
        }
    }
}

/// The units may stand otherwise; not asked for while an order is carried out.
async fn changed(units: &Arc<dyn Units>, wanted: bool) {
    match wanted {
        true => units.changed().await,
        false => pending().await,
    }
}

fn found(listing: &Listing, prefix: &str) -> Found {
    let pair = |name: &str| listing.pairs.iter().find(|pair| pair.key.strip_prefix(prefix) == Some(name));
    let holder = pair("lease").and_then(|pair| match wire::decode::<wire::Lease>(&pair.value) {
        Ok(lease) => Some((lease.holder, lease.token, lease.released)),
        Err(error) => {
            debug!(error = shown(&error), "the lease cannot be read");
            None
        }
    });
    Found { holder, operation: pair("operation").and_then(operations::read) }
}
