//! The task of one service on one node.

mod restart;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, pending};
use lictor_core::lease::{self, Among, Belief, Candidate, Params, Standing, Wish, Written};
use lictor_core::service::member::{Input, Local, Member, Output, Part};
use lictor_core::service::operation::Operation;
use lictor_store::kv::{self, Kv, KvError, Listing};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use self::restart::{RESTARTS, Restart, restarted};
use super::operations::{self, AskError, Asking};
use super::pause::Pause;
use super::records::found;
use super::voice::{Heard, Spoken, Voice};
use super::{Bars, Guard, Look, PARTING, Recorded, ServiceState, Units};
use crate::LeaseState;
use crate::clock::Clock;
use crate::lease::{LeaseRecord, answer, until};
use crate::task::{OnEnd, Tasks};

/// The shortest sleep: a timer has no finer grain.
const GRAIN: Duration = Duration::from_millis(1);

/// How long a blocking query waits for a change.
const WATCH: Duration = Duration::from_secs(60);

/// A node that cannot run the service is looked at so often: what a person does about that is not always told.
const UNABLE: Duration = Duration::from_secs(2);

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
    /// Why this node may not take it over by itself.
    pub bars: Bars,
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
    restarts: mpsc::Sender<Restart>,
    /// An order or a restart is under way.
    busy: AtomicBool,
    /// It begins nothing more.
    finish: CancellationToken,
    /// Nothing is under way any more, and nothing will be.
    finished: CancellationToken,
}

impl Service {
    /// Starts the task of a service, until the agent stops. Units that run then go on.
    pub fn start(setup: Setup, clock: Clock, tasks: &Tasks) -> Self {
        let Setup {
            service,
            node,
            incarnation,
            boot,
            nodes,
            times,
            part,
            guarded,
            kv,
            units,
            guard,
            bars,
            voice,
        } = setup;
        let (fast, steady) = times;
        let among = Among { nodes, boot, steady };
        let candidate = Candidate::new(node.clone(), incarnation, fast).among(among, Wish::Watch);
        let member = Member::new(node, candidate, part.clone(), guarded, clock.stamp());
        let state = watch::Sender::new(ServiceState::unseen());
        let (restarts, restarting) = mpsc::channel(RESTARTS);
        let record = LeaseRecord::new(kv.clone(), format!("service/{service}/lease"), fast.request());
        let shared = Arc::new(Shared {
            name: service,
            kv,
            clock,
            belief: Mutex::default(),
            state,
            restarts,
            busy: AtomicBool::new(false),
            finish: CancellationToken::new(),
            finished: CancellationToken::new(),
        });
        let driver = Driver {
            member,
            record,
            limit: fast.request(),
            units,
            guard,
            voice,
            part,
            paused: false,
            bars,
            restarting,
            restart: None,
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

    /// Has it begin nothing more: what is under way goes on to its end, and then the task only keeps the lease
    /// until it is stopped.
    pub(super) fn finish(&self) {
        self.0.finish.cancel();
    }

    /// Ends when nothing is under way after a [`Service::finish`].
    pub(super) async fn finished(&self) {
        self.0.finished.cancelled().await;
    }

    /// Whether a start, a stop, a kill or a restart is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.0.busy.load(Ordering::Acquire)
    }

    /// Restarts its units here, under the token under which they run; comes back when they run again.
    ///
    /// # Errors
    /// They do not run here, or do not any more. Why, in words.
    pub async fn restart(&self) -> Result<(), String> {
        let stops = || "the agent stops".to_owned();
        let (asks, answered) = oneshot::channel();
        self.0.restarts.send(asks).await.map_err(|_gone| stops())?;
        answered.await.map_err(|_gone| stops())?
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
    /// How this node takes part while nothing is paused.
    part: Part,
    /// Whether it does not take the service over by itself for now.
    paused: bool,
    bars: Bars,
    restarting: mpsc::Receiver<Restart>,
    /// A restart that is under way, and who waits for its end.
    restart: Option<(BoxFuture<'static, Result<(), String>>, Restart)>,
    /// What the guard was told last.
    told: Option<Belief>,
    asked: Option<BoxFuture<'static, lease::Input>>,
    noting: Option<BoxFuture<'static, Written>>,
    carrying: Option<BoxFuture<'static, Result<(), String>>>,
    shared: Arc<Shared>,
}

impl Driver {
    async fn run(mut self, stop: CancellationToken) {
        let prefix = format!("service/{}/", self.shared.name);
        let (mut since, mut rest) = (kv::Revision(0), Duration::ZERO);
        let mut watching: Option<BoxFuture<'static, Result<Listing, KvError>>> = None;
        let mut looking: Option<BoxFuture<'static, Look>> = None;
        let (mut look, mut again) = (true, None);
        let (mut deadline, mut finishing) = (None, false);
        let mut renewed = None;
        let mut input = Input::Tick;
        loop {
            let ended = matches!(input, Input::Ended(_));
            self.step(input);
            if ended || self.carrying.is_some() || self.restart.is_some() {
                // What was looked at meanwhile says nothing of what has come of it. One that is not asked for its
                // end any more would keep others from looking.
                (looking, look) = (None, true);
            }
            let idle = self.carrying.is_none() && self.restart.is_none();
            self.shared.busy.store(!idle, Ordering::Release);
            if finishing && idle {
                // The lease is renewed until somebody is there to go on with it.
                self.shared.finished.cancel();
            }
            if deadline.is_some() && self.asked.is_none() && idle {
                debug!(service = self.shared.name, "the service is left to who comes next");
                return;
            }
            self.pauses();
            // While an order or a restart is carried out a look says nothing.
            if look && looking.is_none() && idle {
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
            let wait = self.member.wait(self.shared.clock.stamp()).min(self.pause_left()).max(GRAIN);
            input = tokio::select! {
                answer = answer(&mut self.asked) => Input::Lease(answer),
                outcome = answer(&mut self.carrying) => Input::Ended(outcome),
                written = answer(&mut self.noting) => {
                    if !matches!(written, Written::Done { .. }) {
                        // It is read again: at once where somebody was faster.
                        let pause = if written == Written::Conflict { GRAIN } else { AGAIN };
                        (watching, since, rest) = (None, kv::Revision(0), pause);
                    }
                    Input::Noted(written)
                }
                listing = watch => {
                    watching = None;
                    match listing {
                        Ok(listing) => {
                            (since, rest) = (listing.revision, Duration::ZERO);
                            let found = found(&listing, &prefix);
                            self.notes(found.record, found.pause);
                            // Others count from when they have seen it renewed: the sooner, the sooner they may take it.
                            if std::mem::replace(&mut renewed, found.lease) != found.lease {
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
                Ok(()) = self.bars.changed() => Input::Tick,
                Some(heard) = self.voice.hears.recv() => self.hears(heard),
                Look { local, able } = answer(&mut looking), if idle => {
                    self.shared.state.send_if_modified(|state| {
                        state.able.replace(able.clone()) != Some(able.clone())
                    });
                    // Nobody says when what could not be seen can be.
                    let odd = able.is_err() || local == Local::Unknown;
                    again = odd.then(|| Instant::now() + UNABLE);
                    self.step(Input::Able(able));
                    Input::Local(local)
                }
                () = changed(&self.units, idle) => {
                    look = true;
                    Input::Tick
                }
                () = until(again) => {
                    (look, again) = (true, None);
                    Input::Tick
                }
                Some(asks) = self.restarting.recv(), if idle && deadline.is_none() => {
                    match finishing {
                        // Whoever asked may have left.
                        true => drop(asks.send(Err("its configuration is changing: ask again".to_owned()))),
                        false => self.restarts(asks),
                    }
                    Input::Tick
                }
                outcome = restarted(&mut self.restart) => {
                    if let Some((_, asks)) = self.restart.take() {
                        // Whoever asked may have left.
                        drop(asks.send(outcome));
                    }
                    (looking, look) = (None, true);
                    Input::Tick
                }
                () = self.shared.finish.cancelled(), if !finishing => {
                    finishing = true;
                    Input::Quit
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
            if let Some((_, asks)) = self.restart.take() {
                // Whoever asked may have left.
                drop(asks.send(Err("it was given up: the service is not to run here any more".to_owned())));
            }
            info!(service = self.shared.name, ?order, "the service here");
            let (units, shared) = (Arc::clone(&self.units), Arc::clone(&self.shared));
            self.carrying = Some(Box::pin(async move {
                let believes = |token| shared.believes() == Some(token);
                let outcome = units.carry(order, &believes).await;
                if outcome.is_err() {
                    // What fails at once is not tried again at once. Whatever runs has its guard.
                    sleep(AGAIN).await;
                }
                outcome
            }));
        }
    }

    /// Takes in what the records say.
    fn notes(&mut self, record: Option<Recorded>, pause: Option<Pause>) {
        self.shared.state.send_if_modified(|state| {
            let changed = state.record != record || state.pause != pause;
            (state.record, state.pause) = (record, pause);
            changed
        });
    }

    /// How long nobody takes the service over by itself.
    fn pause_left(&self) -> Duration {
        let state = self.shared.state.borrow();
        let left = state.pause.as_ref().map(|pause| pause.left(self.shared.clock.now().wall));
        left.filter(|left| !left.is_zero()).unwrap_or(Duration::MAX)
    }

    /// Begins or ends a pause.
    fn pauses(&mut self) {
        let barred = self.bars.borrow_and_update().clone();
        let paused = self.pause_left() < Duration::MAX || barred.is_some();
        let told = barred.filter(|why| !why.is_empty());
        self.shared.state.send_if_modified(|state| {
            let changed = state.barred != told;
            state.barred = told;
            changed
        });
        if std::mem::replace(&mut self.paused, paused) != paused {
            info!(
                service = self.shared.name,
                paused, "whether other nodes take the service over by themselves"
            );
            let part = match paused {
                true => Part { automatic: false, active: false, ..self.part.clone() },
                false => self.part.clone(),
            };
            self.step(Input::Part(part));
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
            Standing::Free => LeaseState::free(),
            Standing::Unknown { why } => LeaseState::Unknown { why: why.to_owned() },
        };
        let before = self.shared.state.borrow().clone();
        let operation = self.member.operation().cloned();
        // Before the first look nobody has tried to see anything.
        let blind = self.member.is_blind(now) && before.able.is_some();
        let local = local.unwrap_or(before.local);
        let state = ServiceState { lease, local, operation, blind, ..before.clone() };
        if state == before {
            return;
        }
        if state.lease != before.lease {
            let (service, lease) = (&self.shared.name, &state.lease);
            info!(service, ?lease, "the lease of the service");
        }
        match (before.blind, blind) {
            (false, true) => warn!(
                service = self.shared.name,
                "it cannot be told how the service stands here: its lease is neither kept nor taken"
            ),
            (true, false) => {
                info!(service = self.shared.name, "it can be told again how the service stands here");
            }
            (true, true) | (false, false) => {}
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
