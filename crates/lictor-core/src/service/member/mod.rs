//! One node's part in a service of which only one node may run it at a time.
//!
//! A [`Member`] holds the node's side of the [lease] and decides what is to be done with the service here:
//! it runs only under a belief in the lease, and what runs without one is killed. When the
//! belief ends without this program, a guard kills the service; the member says until when it need not.

mod asked;

use std::collections::BTreeSet;
use std::time::Duration;

use super::operation::Operation;
use crate::lease::{self, Belief, Candidate, Next, Question, Revision, Stamp, Standing, Wish, Written};

/// How this node takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whether it takes the service over by itself when nobody renews the lease any more.
    pub automatic: bool,
    /// Whether it takes the service when that was given back for anybody, although it does not take it over by
    /// itself.
    pub active: bool,
    /// How much later than it may it takes the service over, for better ones to be first.
    pub after: Duration,
    /// How often it may fail, starting or running, before another node is to try.
    pub attempts: u32,
    /// How long this node does without it then. A failure counts as a new one after so long.
    pub rest: Duration,
    /// After how long in which it could not be told how the service stands here this node lets the lease run out.
    pub blind: Duration,
}

/// How the service stands here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// Nobody has looked yet, or it cannot be told.
    Unknown,
    /// What runs of it is in other hands: the machine is being shut down, or it is not bound to the lease.
    Foreign,
    /// None of it runs.
    Stopped,
    /// A start that was ordered and whose end nobody has seen goes on: an earlier process has ordered it.
    Starting {
        /// Under which token.
        token: u64,
    },
    /// So does a stop in order.
    Stopping,
    /// Some of it runs, or none of it as it should.
    Partly,
    /// It runs.
    Running {
        /// Under which token it was started, if that is known.
        token: Option<u64>,
    },
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// Something about the lease.
    Lease(lease::Input),
    /// How the service stands here, looked at when no order was under way.
    Local(Local),
    /// What became of the order.
    Ended(Result<(), String>),
    /// What is asked for now, and which write that is from.
    Operation(Option<(Operation, Revision)>),
    /// What became of [`Output::operation`].
    Noted(Written),
    /// Whether this node could run the service.
    Able(Result<(), String>),
    /// Between which nodes the service passes from now on, once its holder has written so.
    Enroll(BTreeSet<String>),
    /// How this node takes part from now on.
    Part(Part),
    /// This program ends.
    Quit,
}

/// Something to be done with the service here, within its time limit, and answered with [`Input::Ended`]. There is
/// never more than one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Start it, or go on with a start under this token. To be dropped if the belief in it has ended by then.
    Start {
        /// The token under which it runs.
        token: u64,
    },
    /// Stop it in order, or go on with that; also when nothing of it seems to run. It is done when nothing can
    /// start it any more but another [`Order::Start`], and all of it was seen to be dead after that.
    Stop,
    /// Kill it at once. It is done as a stop is.
    Kill,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// With the record of the lease.
    pub lease: Option<lease::Effect>,
    /// With the other nodes.
    pub question: Option<Question>,
    /// With the service here.
    pub order: Option<Order>,
    /// The operation is to be written so, if it is still from that write.
    pub operation: Option<(Operation, Revision)>,
}

/// A node's part in a service.
#[derive(Clone, Debug)]
pub struct Member {
    node: String,
    candidate: Candidate,
    part: Part,
    wish: Wish,
    local: Local,
    /// Since when it cannot be told how it stands here, and how long that may be so.
    unseen: Option<(Stamp, Duration)>,
    /// A kill has failed: nothing more is ordered before somebody has looked what is left.
    unlooked: bool,
    /// Whether it could run it, if anybody has looked.
    able: Option<Result<(), String>>,
    order: Option<Order>,
    operation: Option<Seen>,
    /// The operation as it is being written, or was.
    noting: Option<Operation>,
    /// Until then what runs here has another guard: that of an earlier process of this program.
    guarded: Option<(Stamp, Duration)>,
    /// When it was last started.
    started: Option<Stamp>,
    /// So often it failed without having run for long.
    failures: u32,
    /// How it failed last.
    failed: String,
    /// When it had failed too often.
    exhausted: Option<Stamp>,
    /// The service is being stopped here, and who is to have it next.
    leaving: Option<Next>,
    /// It was stopped since that was decided.
    stopped: bool,
    quitting: bool,
}

#[derive(Clone, Debug)]
struct Seen {
    operation: Operation,
    revision: Revision,
    /// When this node saw the operation first.
    since: Stamp,
    /// How many looks at the lease were asked for by then.
    looks: u64,
}

impl Member {
    /// A process that has just come. What an earlier one left running is guarded for so long; where that is
    /// no time, nothing is gone on with before somebody has seen how the service stands.
    pub fn new(
        node: impl Into<String>,
        candidate: Candidate,
        part: Part,
        guarded: Duration,
        now: Stamp,
    ) -> Self {
        let blind = if guarded.is_zero() { Duration::ZERO } else { part.blind };
        Self {
            node: node.into(),
            candidate,
            part,
            wish: Wish::Watch,
            local: Local::Unknown,
            unseen: Some((now, blind)),
            unlooked: false,
            able: None,
            order: None,
            operation: None,
            noting: None,
            guarded: Some((now, guarded)),
            started: None,
            failures: 0,
            failed: String::new(),
            exhausted: None,
            leaving: None,
            stopped: false,
            quitting: false,
        }
    }

    /// Takes in what happened, and says what to do.
    pub fn step(&mut self, input: Input, now: Stamp) -> Output {
        let mut output = Output::default();
        match input {
            Input::Tick => {}
            Input::Lease(input) => output.lease = self.candidate.step(input, now),
            Input::Local(local) => self.sees(local, now),
            Input::Ended(outcome) => self.ended(outcome, now),
            Input::Operation(operation) => self.asked(operation, now),
            Input::Noted(written) => self.noted(&written, now),
            Input::Able(able) => self.able = Some(able),
            Input::Enroll(nodes) => self.candidate.enroll(nodes),
            Input::Part(part) => self.part = part,
            Input::Quit => self.quitting = true,
        }
        self.decide(&mut output, now);
        let wish = self.wish(now);
        if wish != self.wish {
            self.wish = wish;
            self.lease(lease::Input::Wish(wish), &mut output, now);
        } else if output.lease.is_none() {
            self.lease(lease::Input::Tick, &mut output, now);
        }
        output.question = self.candidate.question(now);
        output
    }

    /// Under which token the service may run here now, and until when nobody need kill it.
    pub fn belief(&self, now: Stamp) -> Option<Belief> {
        self.candidate.belief(now)
    }

    /// This node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// How the lease stands.
    pub fn standing(&self, now: Stamp) -> Standing<'_> {
        self.candidate.standing(now)
    }

    /// Whether it could not be told for too long how the service stands here: this node neither takes the lease
    /// nor keeps it. What runs is killed by its guard when the belief has run out.
    pub fn is_blind(&self, now: Stamp) -> bool {
        self.unseen.is_some_and(|(since, lasts)| left(since, lasts, now).is_zero())
    }

    /// Whether this node waits as a holder asks it to: see [`Candidate::promise`].
    pub fn promise(&mut self, token: u64, length: Duration, now: Stamp) -> bool {
        self.candidate.promise(token, length, now)
    }

    /// What is asked for, as far as this node knows.
    pub fn operation(&self) -> Option<&Operation> {
        self.operation.as_ref().map(|seen| &seen.operation)
    }

    /// After what time [`Input::Tick`] is wanted, if nothing else happens before.
    pub fn wait(&self, now: Stamp) -> Duration {
        let mut wait = self.candidate.wait(now);
        let mut at_most = |left: Option<Duration>| wait = wait.min(left.unwrap_or(wait));
        at_most(
            self.open()
                .filter(|seen| seen.operation.is_harmless())
                .map(|seen| left(seen.since, seen.operation.deadline, now)),
        );
        at_most(self.resting(now));
        at_most(self.guard_left(now));
        at_most(self.unseen.map(|(since, lasts)| left(since, lasts, now)).filter(|left| !left.is_zero()));
        wait
    }

    fn lease(&mut self, input: lease::Input, output: &mut Output, now: Stamp) {
        if let Some(effect) = self.candidate.step(input, now) {
            output.lease = Some(effect);
        }
    }

    fn sees(&mut self, local: Local, now: Stamp) {
        // What was looked at before an order says nothing of what comes of it.
        if self.order.is_some() {
            return;
        }
        self.unlooked = false;
        self.unseen = match local {
            Local::Unknown => Some(self.unseen.unwrap_or((now, self.part.blind))),
            _ => None,
        };
        let before = std::mem::replace(&mut self.local, local);
        let ended =
            matches!(before, Local::Running { .. }) && matches!(local, Local::Stopped | Local::Partly);
        if ended && self.belief(now).is_some() && self.leaving.is_none() && !self.quitting {
            self.fails("it has ended".to_owned(), now);
        }
    }

    fn fails(&mut self, why: String, now: Stamp) {
        let ran = self.started.take().is_some_and(|start| left(start, self.part.rest, now).is_zero());
        self.failures = if ran { 1 } else { self.failures + 1 };
        self.failed = why;
        if self.failures >= self.part.attempts {
            (self.failures, self.exhausted) = (0, Some(now));
        }
    }

    fn ended(&mut self, outcome: Result<(), String>, now: Stamp) {
        let order = self.order.take();
        if outcome.is_ok() {
            self.unseen = None;
        }
        match (order, outcome) {
            (Some(Order::Start { token }), Ok(())) => {
                self.local = Local::Running { token: Some(token) };
                (self.started, self.exhausted) = (Some(now), None);
            }
            (Some(Order::Start { token }), Err(why)) => {
                self.local = Local::Partly;
                // That the lease was over says nothing of the service.
                if self.belief(now).is_some_and(|belief| belief.token == token) {
                    self.fails(why, now);
                }
            }
            (Some(Order::Stop | Order::Kill), Ok(())) => {
                self.local = Local::Stopped;
                self.stopped = self.leaving.is_some();
            }
            // It is killed then, or again.
            (Some(order @ (Order::Stop | Order::Kill)), Err(_)) => {
                self.local = Local::Partly;
                self.unlooked = order == Order::Kill;
            }
            (None, _) => {}
        }
    }

    fn asked(&mut self, operation: Option<(Operation, Revision)>, now: Stamp) {
        self.noting = None;
        let known = self.operation.as_ref().map(|seen| seen.operation.id.clone());
        if let Some((operation, _)) = &operation
            && known.as_ref() != Some(&operation.id)
            && operation.to() == Some(&self.node)
        {
            // A person knows better.
            (self.failures, self.exhausted) = (0, None);
        }
        self.operation = operation.map(|(operation, revision)| {
            let before = self.operation.as_ref().filter(|seen| seen.operation.id == operation.id);
            let (since, looks) = match before {
                Some(seen) => (seen.since, seen.looks),
                None => (now, self.candidate.looks_anew()),
            };
            Seen { operation, revision, since, looks }
        });
    }

    /// One that is not certainly written, or not so, is read again: [`Input::Operation`] comes.
    fn noted(&mut self, written: &Written, now: Stamp) {
        if let Written::Done { revision } = written
            && let Some(operation) = self.noting.take()
        {
            self.asked(Some((operation, *revision)), now);
        }
    }

    /// The operation, if it is not over.
    fn open(&self) -> Option<&Seen> {
        self.operation.as_ref().filter(|seen| !seen.operation.is_over())
    }

    fn decide(&mut self, output: &mut Output, now: Stamp) {
        match self.belief(now) {
            Some(belief) => self.holds(belief, output, now),
            None => {
                (self.leaving, self.stopped) = (None, false);
                let runs = match self.local {
                    Local::Stopped | Local::Unknown | Local::Foreign => false,
                    Local::Starting { .. } | Local::Stopping | Local::Partly | Local::Running { .. } => true,
                };
                if runs && self.guard_left(now).is_none() {
                    self.order(Order::Kill, output);
                }
            }
        }
        if let Some(next) = self.next_phase(now)
            && self.noting.is_none()
            && let Some(seen) = &self.operation
        {
            self.noting = Some(next.clone());
            output.operation = Some((next, seen.revision));
        }
    }

    /// What a holder does.
    fn holds(&mut self, belief: Belief, output: &mut Output, now: Stamp) {
        self.guarded = None;
        if self.leaving.is_none() {
            self.leaving = self.to_leave(now);
        }
        if let Some(next) = self.leaving.clone() {
            match self.local {
                // Only what was stopped for that is given away: what a look says may be over by now.
                _ if self.stopped => {
                    (self.leaving, self.stopped) = (None, false);
                    self.lease(lease::Input::Release { next, stay: !self.quitting }, output, now);
                }
                Local::Partly => self.order(Order::Kill, output),
                // What cannot be seen cannot be seen to stop: until it can, or the lease has run out.
                Local::Unknown => {}
                Local::Foreign
                | Local::Stopped
                | Local::Starting { .. }
                | Local::Stopping
                | Local::Running { .. } => self.order(Order::Stop, output),
            }
            return;
        }
        if self.quitting {
            return;
        }
        match self.local {
            Local::Running { token } if token == Some(belief.token) => {}
            // An earlier process has begun it.
            Local::Starting { token } if token == belief.token => {
                self.order(Order::Start { token }, output);
            }
            Local::Stopping => self.order(Order::Stop, output),
            // It carries the token of the past.
            Local::Running { .. } | Local::Starting { .. } | Local::Partly => {
                self.order(Order::Kill, output);
            }
            Local::Stopped if self.resting(now).is_none() && !self.is_to_stop() => {
                self.order(Order::Start { token: belief.token }, output);
            }
            Local::Stopped | Local::Unknown | Local::Foreign => {}
        }
    }

    fn order(&mut self, order: Order, output: &mut Output) {
        if self.order.is_none() && !self.unlooked {
            self.order = Some(order);
            output.order = Some(order);
        }
    }

    /// How long this node still waits before it would run the service again.
    fn resting(&self, now: Stamp) -> Option<Duration> {
        Some(left(self.exhausted?, self.part.rest, now)).filter(|left| !left.is_zero())
    }

    fn guard_left(&self, now: Stamp) -> Option<Duration> {
        let (since, lasts) = self.guarded?;
        Some(left(since, lasts, now)).filter(|left| !left.is_zero())
    }
}

fn left(since: Stamp, lasts: Duration, now: Stamp) -> Duration {
    lasts.saturating_sub(now.longest_since(since))
}
