//! The decide loop: owns the engine, feeds it, records, and only then lets effects out.
//!
//! ```text
//! inbox ─▶ drain ─▶ engine.step ─▶ pending ─▶ commit (one in flight) ─▶ effects, events, answers
//!                       ▲                        │ refused: kept, tried again; nothing is let out
//!                       └──── the next batch is judged meanwhile
//! ```

mod limit;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use lictor_core::{Effect, Engine, Event, Input, Now, Order, Output, Refusal, RunId, Span, What};
use lictor_store::{Act, ActEnd, Batch, Committed, Health, MirrorState, NodeStore, NotRecorded, StoreError};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::inbox::{Message, View};
use crate::text::one_line;

/// Inputs stepped before what they gave is recorded: about a millisecond of work.
const BATCH: usize = 1_024;

/// Pause before a refused commit is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A commit that takes longer counts as refused until it ends: a disk that hangs is told of.
const SLOW: Duration = Duration::from_secs(5);

/// Ledger entries that wait while nothing can be recorded; more are counted and given up.
const WAITING_EVENTS: usize = 20_000;

/// The same for who asked for what.
const WAITING_ACTS: usize = 2_000;

/// A view is shared by the readers of this long, when nothing was decided meanwhile.
const VIEW_AGE: Duration = Duration::from_millis(250);

/// A view is shared by the readers of this long in any case.
const VIEW_BURST: Duration = Duration::from_millis(20);

/// Longest text of one line of the log, characters.
const LINE: usize = 300;

/// An entry of the ledger with its number, as live readers get it.
pub type Recorded = Arc<(u64, Event)>;

/// Carries effects out. Called only with what is durable.
pub(crate) trait Hands: Send + 'static {
    /// Begins to carry one out; its outcome comes back through the inbox.
    fn carry_out(&self, effect: Effect, limit: Duration);

    /// A run is over: nobody will ask again what became of its actions.
    fn over(&self, run: RunId);
}

/// What the loop works with.
pub(crate) struct Loop<H> {
    pub(crate) engine: Engine,
    pub(crate) store: NodeStore,
    pub(crate) clock: Clock,
    pub(crate) boot_id: String,
    pub(crate) inbox: mpsc::Receiver<Message>,
    pub(crate) hands: H,
    /// How the copies in Consul stand, for readers.
    pub(crate) copies: Option<watch::Receiver<MirrorState>>,
    /// Live readers; one that lags reads the ledger instead.
    pub(crate) live: broadcast::Sender<Recorded>,
    /// Called at least this often, from the loop itself: a loop that hangs is noticed.
    pub(crate) alive: Option<(Duration, Box<dyn Fn() + Send>)>,
    /// From here on nothing more is ordered; what is under way may still report.
    pub(crate) closing: CancellationToken,
    pub(crate) stop: CancellationToken,
}

type Answer = (oneshot::Sender<Result<String, Refusal>>, Result<String, Refusal>);

/// What was decided and is not yet durable.
#[derive(Default)]
struct Pending {
    batch: Batch,
    effects: Vec<Effect>,
    answers: Vec<Answer>,
    /// Whoever waits for it to be durable.
    waiting: Vec<oneshot::Sender<()>>,
    /// The events of the commit in flight.
    events: Vec<Event>,
    /// Whether this is only the word that nothing can be recorded.
    word: bool,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.effects.is_empty() && self.answers.is_empty() && self.waiting.is_empty()
    }

    fn absorb(&mut self, later: Self) {
        self.batch.absorb(later.batch);
        self.effects.extend(later.effects);
        self.answers.extend(later.answers);
        self.waiting.extend(later.waiting);
    }
}

/// What the loop keeps between turns besides the engine.
#[derive(Default)]
struct Turns {
    pending: Pending,
    view: Option<(Instant, Arc<View>)>,
    decided: bool,
    cannot_record: Option<(String, Now)>,
    /// What the space kept back for a full disk is for: that nothing can be recorded. Nothing
    /// else is with it, or what else waits would be acted on.
    word: Option<Event>,
    retry_at: Option<Instant>,
    lost: u64,
    /// Whether the entry that tells of the end of the trouble waits to be recorded.
    asked_again: bool,
}

impl Turns {
    /// Takes what is to be recorded now.
    fn due(&mut self) -> Option<Pending> {
        if let Some(event) = self.word.take() {
            let mut word = Pending { word: true, ..Pending::default() };
            word.batch.note(event);
            word.batch.urgent = true;
            return Some(word);
        }
        let due = self.retry_at.is_none_or(|at| Instant::now() >= at);
        (due && !self.pending.is_empty()).then(|| std::mem::take(&mut self.pending))
    }

    /// Puts back what could not be recorded: it comes before what was decided since.
    fn put_back(&mut self, mut refused: Pending) {
        refused.batch.urgent = false;
        refused.word = false;
        let later = std::mem::replace(&mut self.pending, refused);
        self.pending.absorb(later);
    }
}

type Commit = std::pin::Pin<Box<dyn Future<Output = Result<Committed, NotRecorded>> + Send>>;

impl<H: Hands> Loop<H> {
    /// Runs until it is told to stop, then records what is left. `first` is what the
    /// engine said when it was restored.
    pub(crate) async fn run(mut self, first: Output) {
        let mut turns = Turns::default();
        self.gather(first, &mut turns);
        let mut in_flight: Option<(Commit, Pending)> = None;
        let mut slow_at = Instant::now();
        let mut messages = Vec::with_capacity(BATCH);
        let mut next_alive = Instant::now();
        loop {
            if let Some((period, alive)) = &self.alive
                && Instant::now() >= next_alive
            {
                alive();
                next_alive = Instant::now() + *period;
            }
            if in_flight.is_none()
                && let Some(due) = turns.due()
            {
                in_flight = Some(self.commit(due));
                slow_at = Instant::now() + SLOW;
            }
            let slow = (in_flight.is_some() && turns.cannot_record.is_none()).then_some(slow_at);
            if slow.is_some_and(|at| Instant::now() >= at) {
                let why = format!("the disk has not answered for {}", Span(SLOW));
                let word = self.cannot_record(why, &mut turns);
                turns.pending.batch.note(word);
                continue;
            }
            // What changes while somebody holds it is there twice.
            let stale = turns.view.as_ref().map(|(taken, _)| *taken + VIEW_AGE);
            if stale.is_some_and(|at| Instant::now() >= at) {
                turns.view = None;
                continue;
            }
            let alive = self.alive.is_some().then_some(next_alive);
            let others = alive.into_iter().chain(slow).chain(stale);
            let wake = self.wake(&turns, in_flight.is_some(), others);
            let closing = self.closing.clone();
            tokio::select! {
                biased;
                result = arrival(&mut in_flight) => {
                    if let Some((_, pending)) = in_flight.take() {
                        self.committed(result, pending, &mut turns);
                    }
                }
                () = self.stop.cancelled() => break,
                () = closing.cancelled(), if !self.engine.closed() => self.engine.close(),
                taken = self.inbox.recv_many(&mut messages, BATCH) => {
                    if taken == 0 {
                        break;
                    }
                    for message in messages.drain(..) {
                        self.take(message, &mut turns);
                    }
                }
                () = tokio::time::sleep_until(wake) => {
                    let output = self.engine.step(Input::Tick, self.clock.now());
                    self.gather(output, &mut turns);
                }
            }
        }
        self.wind_up(turns, in_flight).await;
    }

    /// When the loop has something to do although no message came.
    fn wake(&self, turns: &Turns, committing: bool, others: impl Iterator<Item = Instant>) -> Instant {
        let idle = Duration::from_secs(60);
        let engine = self.engine.next_wake().map_or(idle, |at| self.clock.until(at).min(idle));
        let retry = turns.retry_at.filter(|_| !committing && !turns.pending.is_empty());
        let wake = Instant::now() + engine;
        retry.into_iter().chain(others).fold(wake, Instant::min)
    }

    fn take(&mut self, message: Message, turns: &mut Turns) {
        match message {
            Message::Input(input) => {
                let output = self.engine.step(input, self.clock.now());
                self.gather(output, turns);
            }
            Message::Command(command, act, sender) => {
                let now = self.clock.now();
                let mut output = self.engine.step(Input::Command(command), now);
                let full = turns.cannot_record.is_some() && turns.pending.batch.acts() >= WAITING_ACTS;
                turns.lost += u64::from(full && act.is_some());
                if let Some(act) = act.filter(|_| !full) {
                    turns.pending.batch.act(ended(*act, output.answer.as_ref(), now));
                }
                if let Some(answer) = output.answer.take() {
                    turns.pending.answers.push((sender, answer));
                }
                self.gather(output, turns);
            }
            Message::Reload(plan, event, sender) => {
                turns.pending.batch.note(event);
                let output = self.engine.reload(plan, self.clock.now());
                turns.pending.waiting.push(sender);
                self.gather(output, turns);
            }
            Message::Adopt(adoption, sender) => {
                let output = self.engine.step(Input::Adopt(adoption), self.clock.now());
                turns.pending.waiting.push(sender);
                self.gather(output, turns);
            }
            Message::Recorded(sender) => turns.pending.waiting.push(sender),
            Message::View(sender) => {
                let view = self.view(turns);
                // A reader that left wants no answer.
                drop(sender.send(view));
            }
        }
    }

    fn gather(&self, mut output: Output, turns: &mut Turns) {
        if output.is_empty() {
            return;
        }
        turns.decided = true;
        if turns.cannot_record.is_some() && turns.pending.batch.events().len() >= WAITING_EVENTS {
            turns.lost += output.events.len() as u64;
            output.events.clear();
        }
        turns.pending.batch.take(&mut output);
        turns.pending.effects.append(&mut output.effects);
    }

    fn view(&self, turns: &mut Turns) -> Arc<View> {
        let fresh = |taken: &Instant| {
            let age = taken.elapsed();
            age < VIEW_BURST || (age < VIEW_AGE && !turns.decided)
        };
        if let Some((_, view)) = turns.view.as_ref().filter(|(taken, _)| fresh(taken)) {
            return Arc::clone(view);
        }
        let view = Arc::new(View {
            at: self.clock.now(),
            plan: Arc::clone(self.engine.plan()),
            checks: self.engine.checks().clone(),
            floods: self.engine.floods().clone(),
            runs: self.engine.runs().clone(),
            incidents: self.engine.incidents().clone(),
            cannot_record: turns.cannot_record.clone(),
            withheld: self.engine.withheld(),
            leases: self.engine.leases().clone(),
            copies: self.copies.as_ref().map(|copies| copies.borrow().clone()),
        });
        turns.view = Some((Instant::now(), Arc::clone(&view)));
        turns.decided = false;
        view
    }

    /// Begins to record what is pending.
    fn commit(&self, mut pending: Pending) -> (Commit, Pending) {
        crate::fault::point("before-commit");
        let mut batch = std::mem::take(&mut pending.batch);
        batch.anchor = Some(self.anchor());
        pending.events = batch.events().to_vec();
        let store = self.store.clone();
        (Box::pin(async move { store.commit(batch).await }), pending)
    }

    fn anchor(&self) -> lictor_store::Anchor {
        let anchor = self.clock.anchor(&self.boot_id);
        lictor_store::Anchor {
            boot_id: anchor.boot_id,
            boot_millis: anchor.boot_millis,
            axis: anchor.axis,
            wall: self.clock.now().wall,
        }
    }

    fn committed(&mut self, result: Result<Committed, NotRecorded>, mut pending: Pending, turns: &mut Turns) {
        match result {
            Ok(committed) => {
                crate::fault::point("committed");
                if pending.word {
                    return self.let_out(committed, pending, turns);
                }
                turns.retry_at = None;
                // It may have been recorded by the very commit that filled the disk.
                let good = self.store.health() == Health::Good;
                let recovered = good && turns.cannot_record.take().is_some();
                if recovered {
                    let lost = std::mem::take(&mut turns.lost);
                    if !std::mem::take(&mut turns.asked_again) || lost > 0 {
                        self.tell(turns, What::RecordingResumed { lost });
                    }
                } else if turns.cannot_record.is_some() && !turns.asked_again {
                    // What is recorded only when there is space again, so that this is noticed.
                    turns.asked_again = true;
                    turns.retry_at = Some(Instant::now() + RETRY);
                    let lost = std::mem::take(&mut turns.lost);
                    let what = What::RecordingResumed { lost };
                    turns.pending.batch.note(Event { at: self.clock.now(), incident: None, run: None, what });
                }
                self.let_out(committed, pending, turns);
                crate::fault::point("let-out");
            }
            Err(refused) => {
                let why = refused.why.to_string();
                turns.retry_at = Some(Instant::now() + RETRY);
                pending.batch = *refused.batch;
                // Whoever waits for an answer is told; what was asked for takes effect when
                // it can be recorded.
                for (sender, _) in pending.answers.drain(..) {
                    let refusal = Refusal::Conflict(format!("{why}; it takes effect when that is over"));
                    drop(sender.send(Err(refusal)));
                }
                turns.put_back(pending);
                if turns.cannot_record.is_none() {
                    let word = self.cannot_record(why, turns);
                    match refused.why {
                        StoreError::Full => turns.word = Some(word),
                        _ => turns.pending.batch.note(word),
                    }
                }
            }
        }
    }

    /// From now on it is known that nothing can be recorded; gives the entry that says so.
    fn cannot_record(&self, why: String, turns: &mut Turns) -> Event {
        error!(error = %why, "cannot record; nothing is acted on until it can");
        let at = self.clock.now();
        turns.cannot_record = Some((why.clone(), at));
        Event { at, incident: None, run: None, what: What::RecordingFailed { why } }
    }

    fn tell(&self, turns: &mut Turns, what: What) {
        info!(kind = what.kind(), "{what}");
        turns.pending.batch.note(Event { at: self.clock.now(), incident: None, run: None, what });
    }

    /// Everything in `pending` is durable: lets it out.
    fn let_out(&mut self, committed: Committed, pending: Pending, turns: &mut Turns) {
        for (seq, event) in committed.seqs.zip(pending.events) {
            log(&event);
            if let (What::RunEnded { .. }, Some(run)) = (&event.what, event.run) {
                self.hands.over(run);
            }
            // Without live readers nobody is told, which is fine.
            drop(self.live.send(Arc::new((seq, event))));
        }
        for (sender, answer) in pending.answers {
            drop(sender.send(answer));
        }
        for sender in pending.waiting {
            let _left = sender.send(());
        }
        for effect in pending.effects {
            let said = match &effect {
                Effect::Prepare(order) | Effect::Act(order) if !self.engine.wants(order) => withdrawn(order),
                Effect::Prepare(Order { run, .. })
                | Effect::Act(Order { run, .. })
                | Effect::Inspect(Order { run, .. }) => {
                    let said = Input::HandedOver { run: *run };
                    let limit = limit::limit(self.engine.plan(), &effect);
                    self.hands.carry_out(effect, limit);
                    said
                }
                Effect::Abort(_) => {
                    let limit = limit::limit(self.engine.plan(), &effect);
                    self.hands.carry_out(effect, limit);
                    continue;
                }
            };
            let output = self.engine.step(said, self.clock.now());
            self.gather(output, turns);
        }
    }

    /// Takes what is still in the inbox, records it, and says that this stop was meant.
    async fn wind_up(mut self, mut turns: Turns, in_flight: Option<(Commit, Pending)>) {
        if let Some((commit, pending)) = in_flight {
            let result = commit.await;
            self.committed(result, pending, &mut turns);
        }
        if let Some(word) = turns.word.take() {
            turns.pending.batch.note(word);
        }
        self.engine.close();
        self.inbox.close();
        while let Ok(message) = self.inbox.try_recv() {
            self.take(message, &mut turns);
        }
        for effect in std::mem::take(&mut turns.pending.effects) {
            // An inspection is asked for anew at the next start.
            if let Effect::Prepare(order) | Effect::Act(order) = effect {
                let output = self.engine.step(withdrawn(&order), self.clock.now());
                self.gather(output, &mut turns);
            }
        }
        turns.pending.batch.note(Event {
            at: self.clock.now(),
            incident: None,
            run: None,
            what: What::AgentStopped,
        });
        turns.pending.batch.urgent = true;
        turns.pending.effects.clear();
        let (commit, pending) = self.commit(std::mem::take(&mut turns.pending));
        match commit.await {
            Ok(committed) => {
                self.let_out(committed, pending, &mut turns);
                if let Err(why) = self.store.mark_clean().await {
                    warn!(error = %why, "could not record that this stop was meant");
                }
            }
            Err(refused) => error!(error = %refused.why, "the last decisions could not be recorded"),
        }
    }
}

/// An act with what the engine made of it.
fn ended(act: Act, answer: Option<&Result<String, Refusal>>, at: Now) -> Act {
    let (end, said) = match answer {
        Some(Ok(said)) => (ActEnd::Done, said.clone()),
        Some(Err(refusal)) => (ActEnd::Refused, refusal.to_string()),
        None => (ActEnd::Unclear, String::new()),
    };
    Act { at, end, said, ..act }
}

fn withdrawn(order: &Order) -> Input {
    let why = "it was not handed over: it was not wanted any more, or the agent stops".to_owned();
    Input::Withdrawn { run: order.run, step: order.step.clone(), attempt: order.attempt, why }
}

/// The result of the commit in flight; never, when there is none.
async fn arrival(in_flight: &mut Option<(Commit, Pending)>) -> Result<Committed, NotRecorded> {
    match in_flight {
        Some((commit, _)) => commit.await,
        None => std::future::pending().await,
    }
}

fn log(event: &Event) {
    // An output may have 4 KiB; the ledger keeps all of it.
    let (kind, what) = (event.what.kind(), one_line(&event.what.to_string(), LINE));
    let incident = event.incident.map(|id| id.to_string());
    let run = event.run.map(|id| id.to_string());
    match event.what {
        What::Parked { .. }
        | What::Escalated { .. }
        | What::RecordingFailed { .. }
        | What::ReloadRefused { .. }
        | What::LeaseChanged { .. }
        | What::Service { .. }
        | What::SharedState { .. }
        | What::AlertSource { lost: Some(_), .. }
        | What::NotTold { .. }
        | What::ValueChanged { .. } => {
            warn!(target: "lictor::event", kind, incident, run, "{what}");
        }
        _ => info!(target: "lictor::event", kind, incident, run, "{what}"),
    }
}
