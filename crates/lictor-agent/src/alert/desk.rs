//! The loop that owns the desk: it feeds it, records what it says, and only then has messages
//! sent. Of a desk that several nodes share, it does so as long as this node is the one that tells.

use std::sync::Arc;
use std::time::Duration;

use lictor_core::alert::{self, AlertPlan, Desk, Input, Output, Verdict};
use lictor_core::{DeliveryId, Event, Now, Refusal, Status};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::Tell;
use super::ask;
use super::fence::Fence;
use super::inbox::{AlertView, DeskInbox, Message, Seat};
use super::keep::{Batch, Kept};
use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::task::{OnEnd, Tasks};

/// Messages that are taken at once.
const BURST: usize = 1_024;

/// Pause before it is tried again to record.
const RETRY: Duration = Duration::from_secs(1);

/// The desk is called at least so often.
const IDLE: Duration = Duration::from_secs(60);

/// What is under way when the agent stops has so long to be answered.
const GRACE: Duration = Duration::from_secs(3);

/// The loop.
pub(super) struct DeskLoop {
    pub(super) desk: Desk,
    pub(super) kept: Kept,
    pub(super) clock: Clock,
    /// The way back for what notifiers say.
    pub(super) back: DeskInbox,
    pub(super) notifiers: Arc<dyn Tell>,
    /// Where the ledger is written.
    pub(super) ledger: Inbox,
    pub(super) tasks: Tasks,
    pub(super) stop: CancellationToken,
    /// Of a shared desk, whether this node may still tell.
    pub(super) fence: Option<Fence>,
}

/// Why the loop ended, with what was put in force meanwhile.
pub(super) struct Ended {
    /// `None`: the agent stops. Else why this node tells no more.
    pub(super) why: Option<String>,
    pub(super) plan: Arc<AlertPlan>,
    pub(super) notifiers: Arc<dyn Tell>,
}

/// The answer to a command.
type Answer = Result<String, Refusal>;

/// What waits to be recorded, and for that.
#[derive(Default)]
struct Pending {
    batch: Batch,
    send: Vec<DeliveryId>,
    events: Vec<Event>,
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// Why nothing can be recorded, and when it is tried again.
struct Stuck {
    why: String,
    again: Instant,
    told: bool,
}

impl DeskLoop {
    pub(super) async fn run(mut self, first: Output, queue: &mut mpsc::Receiver<Message>) -> Ended {
        let why = self.turn_around(first, queue).await;
        Ended { why, plan: Arc::clone(self.desk.plan()), notifiers: self.notifiers }
    }

    async fn turn_around(&mut self, first: Output, queue: &mut mpsc::Receiver<Message>) -> Option<String> {
        let mut pending = Pending::default();
        Self::gather(first, &mut pending);
        let mut stuck: Option<Stuck> = None;
        let mut messages = Vec::new();
        let mut under_way = 0_usize;
        let mut last = None;
        let fence = self.fence.clone();
        loop {
            let due = stuck.as_ref().is_none_or(|stuck| stuck.again <= Instant::now());
            if fence.as_ref().is_some_and(|fence| !fence.holds()) {
                return Some("the lease has ended".to_owned());
            }
            if due && !pending.idle() {
                match self.kept.commit(&pending.batch).await {
                    Ok(()) => {
                        if let Some(stuck) = stuck.take() {
                            info!("the alerts can be recorded again; it failed with: {}", stuck.why);
                        }
                        let closing = last.is_some();
                        under_way += self.let_out(std::mem::take(&mut pending), closing).await;
                    }
                    Err(why) if self.kept.is_over(&why) => return Some("another node has begun".to_owned()),
                    Err(why) => self.cannot_record(why.to_string(), &mut stuck, &mut pending),
                }
            }
            let wake = self.desk.next_wake().map_or(IDLE, |at| self.clock.until(at).min(IDLE));
            let wake = Instant::now() + wake;
            let wake = stuck.as_ref().map_or(wake, |stuck| stuck.again.min(wake));
            let wake = last.map_or(wake, |last: Instant| last.min(wake));
            if last.is_some_and(|last| under_way == 0 || last <= Instant::now()) {
                return None;
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if last.is_none() => last = Some(Instant::now() + GRACE),
                why = lost(fence.as_ref()) => return Some(why),
                _ = queue.recv_many(&mut messages, BURST) => {
                    for message in messages.drain(..) {
                        if matches!(message, Message::Input(Input::Outcome { .. })) {
                            under_way = under_way.saturating_sub(1);
                        }
                        self.take(message, &mut pending, stuck.as_ref());
                    }
                }
                () = tokio::time::sleep_until(wake) => {
                    let output = self.desk.step(Input::Tick, self.clock.now());
                    Self::gather(output, &mut pending);
                }
            }
        }
    }

    fn take(&mut self, message: Message, pending: &mut Pending, stuck: Option<&Stuck>) {
        let now = self.clock.now();
        match message {
            Message::Input(input) => Self::gather(self.desk.step(input, now), pending),
            Message::Command(command, answer) => {
                let mut output = self.desk.step(Input::Command(command), now);
                if let Some(said) = output.answer.take() {
                    pending.answers.push((answer, said));
                }
                Self::gather(output, pending);
            }
            Message::Asked(keys, input) => {
                let mut output = self.desk.step(input, now);
                let said = output.answer.take();
                Self::gather(output, pending);
                for key in keys {
                    pending.batch.then(ask::answered(&key, said.clone(), now.wall));
                }
            }
            Message::Forget { node, by, answer } => match &self.fence {
                Some(fence) => {
                    let work = fence.asks.clone().forget(node, by, self.ledger.clone(), answer);
                    drop(self.tasks.spawn("forget a node", OnEnd::Fine, work));
                }
                None => drop(answer.send(Err(ask::shared_with_nobody()))),
            },
            Message::Reload(plan, notifiers, answer) => {
                self.notifiers = notifiers;
                let output = self.desk.reload(plan, now);
                Self::gather(output, pending);
                pending.waiting.push(answer);
            }
            // Nobody may be waiting any more.
            Message::View(answer) => {
                let seat = self.fence.as_ref().map_or(Seat::Local, Fence::seat);
                let cannot_record = stuck.map(|stuck| stuck.why.clone());
                let view = AlertView { cannot_record, ..view_of(&self.desk, seat, now) };
                drop(answer.send(Arc::new(view)));
            }
        }
    }

    fn gather(mut output: Output, pending: &mut Pending) {
        pending.batch.take(std::mem::take(&mut output.rows), std::mem::take(&mut output.gone));
        pending.send.append(&mut output.send);
        pending.events.append(&mut output.events);
    }

    /// Everything in it is durable: lets it out, and says how many messages are sent.
    async fn let_out(&self, pending: Pending, closing: bool) -> usize {
        for (sender, answer) in pending.answers {
            // Nobody may be waiting any more.
            drop(sender.send(answer));
        }
        for sender in pending.waiting {
            let _left = sender.send(());
        }
        // At a stop they are marked as being sent, and sent at the next start.
        let sent = pending.send.into_iter().filter(|id| !closing && self.send(*id)).count();
        // Last: the ledger may be slow, and nobody waits for it to be told.
        for event in pending.events {
            // It stops: then the ledger is closed.
            let _gone = self.ledger.note(event).await;
        }
        sent
    }

    fn send(&self, id: DeliveryId) -> bool {
        let Some(message) = self.desk.message(id) else { return false };
        if self.fence.as_ref().is_some_and(|fence| !fence.holds()) {
            // Whoever tells now finds it marked as being sent, and sends it.
            return false;
        }
        let (notifiers, back, stop) = (Arc::clone(&self.notifiers), self.back.clone(), self.stop.clone());
        let fence = self.fence.clone();
        let name = format!("notify {}", message.notifier);
        let work = async move {
            let cut_short = async {
                stop.cancelled().await;
                tokio::time::sleep(GRACE).await;
            };
            let verdict = tokio::select! {
                verdict = notifiers.send(&message.notifier, &message) => verdict,
                () = cut_short => return,
                _why = lost(fence.as_ref()) => {
                    let why = "it was cut short: this node tells no more".to_owned();
                    Verdict::Unclear { why, retry_after: None }
                }
            };
            if let Some(fence) = fence.filter(|fence| !fence.holds()) {
                if !matches!(verdict, Verdict::Refused { .. }) {
                    fence.late(&message).await;
                }
                return;
            }
            let outcome = Input::Outcome { delivery: id, attempt: message.attempt, verdict };
            // It stops: the message is sent again at the next start.
            let _gone = back.input(outcome).await;
        };
        drop(self.tasks.spawn_draining(name, OnEnd::Fine, work));
        true
    }

    /// Nothing is sent that is not recorded, but for the word that nothing can be recorded.
    fn cannot_record(&self, why: String, stuck: &mut Option<Stuck>, pending: &mut Pending) {
        let again = Instant::now() + RETRY;
        match stuck {
            Some(stuck) => {
                stuck.again = again;
                // Of a shared desk another node goes on; that none does is said by the seat.
                if !stuck.told && self.fence.is_none() {
                    stuck.told = true;
                    self.tell_from_memory(&stuck.why);
                }
                stuck.why = why;
            }
            None => {
                error!(error = %why, "the alerts cannot be recorded; nothing is sent until they can");
                let refusal = Refusal::Conflict(format!("{why}; it takes effect when that is over"));
                for (sender, _) in pending.answers.drain(..) {
                    drop(sender.send(Err(refusal.clone())));
                }
                *stuck = Some(Stuck { why, again, told: false });
            }
        }
    }

    fn tell_from_memory(&self, why: &str) {
        let now = self.clock.now();
        for name in self.desk.plan().notifiers.keys() {
            let message = super::text::cannot_record(name, &self.desk.plan().cluster, why, now.wall);
            let notifiers = Arc::clone(&self.notifiers);
            let work = async move {
                if let Verdict::Refused { why, .. } | Verdict::Unclear { why, .. } =
                    notifiers.send(&message.notifier, &message).await
                {
                    error!(notifier = %message.notifier, %why, "not even told that alerts cannot be recorded");
                }
            };
            drop(self.tasks.spawn("notify from memory", OnEnd::Fine, work));
        }
    }
}

/// When this node may tell no more, and why; never where no other does.
async fn lost(fence: Option<&Fence>) -> String {
    match fence {
        Some(fence) => fence.lost().await,
        None => std::future::pending().await,
    }
}

/// How a desk stands.
pub(super) fn view_of(desk: &Desk, seat: Seat, now: Now) -> AlertView {
    let with = |case: &alert::Case| {
        let bad = case.settled != Status::Passing || case.live != Status::Passing;
        (case.clone(), if bad { desk.muted(case) } else { None })
    };
    // Of what is well there is a case only so that its news is not told twice.
    let known = |case: &alert::Case| {
        let well = case.settled == Status::Passing && case.live == Status::Passing;
        case.news.is_none() || !well || case.told.values().any(|told| told.firing)
    };
    let cases = desk.cases().iter().filter(|(_, case)| known(case));
    AlertView {
        at: now,
        seat,
        plan: Arc::<AlertPlan>::clone(desk.plan()),
        cases: cases.map(|(key, case)| (key.clone(), with(case))).collect(),
        deliveries: desk.deliveries().clone(),
        silences: desk.silences().clone(),
        lost: desk.lost_sources().map(|(source, why)| (source.to_string(), why.to_owned())).collect(),
        cannot_record: None,
    }
}

impl Pending {
    fn idle(&self) -> bool {
        self.batch.is_empty()
            && self.send.is_empty()
            && self.events.is_empty()
            && self.answers.is_empty()
            && self.waiting.is_empty()
    }
}
