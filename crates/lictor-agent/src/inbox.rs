//! The way into the decide loop: everything that happens is a message.

use lictor_core::{
    Adoption, Boot, Check, CheckName, Command, Event, Flood, Holding, Incident, IncidentId, Input, LeaseName,
    Match, Now, Outcome, Plan, Refusal, Remedy, RemedyName, Role, Run, RunId, Sample, ServiceName, StepName,
    TakeOver,
};
use lictor_store::{Act, MirrorState};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// Inputs waiting for the loop. When it is full the producer waits: a watcher then
/// looks later, an outcome or a command is late but never lost. 4,096 is what the
/// loop takes in one batch.
pub(crate) const INBOX: usize = 4_096;

/// A message to the loop.
#[derive(Debug)]
pub(crate) enum Message {
    /// An input of the engine.
    Input(Input),
    /// A person's command, who gave it, and the way to answer it.
    Command(Command, Option<Box<Act>>, oneshot::Sender<Result<String, Refusal>>),
    /// A new plan; answered when it is in force and recorded.
    Reload(Arc<Plan>, Event, oneshot::Sender<()>),
    /// What an earlier store of this node left; answered when it is durable.
    Adopt(Adoption, oneshot::Sender<()>),
    /// Answered when all that came before it is recorded.
    Recorded(oneshot::Sender<()>),
    /// A reader wants to see the present state.
    View(oneshot::Sender<Arc<View>>),
}

/// Sends to the decide loop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox(pub(crate) mpsc::Sender<Message>);

/// The loop has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the agent is stopping")]
pub struct Gone;

/// Why there is no answer, and what became of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The loop has ended.
    #[error("the agent is stopping")]
    Gone,
    /// The loop did not take the question, and never will.
    #[error("the agent has too much to do; nothing was changed")]
    Busy,
    /// The loop has the question: what was asked for takes effect all the same.
    #[error("the agent has not answered within 10 s")]
    Late,
}

impl From<Gone> for NoAnswer {
    fn from(_gone: Gone) -> Self {
        Self::Gone
    }
}

/// How long a reader or a command waits for the loop.
const PATIENCE: Duration = Duration::from_secs(10);

/// What comes out of an inbox that has no loop behind it.
#[derive(Debug)]
pub struct Inputs(mpsc::Receiver<Message>);

impl Inputs {
    /// The next input of the engine; anything else that was asked is left without an answer.
    /// `None` when every sender is gone.
    pub async fn next(&mut self) -> Option<Input> {
        loop {
            if let Message::Input(input) = self.0.recv().await? {
                return Some(input);
            }
        }
    }
}

impl View {
    /// Until when the cooldown of a remedy holds a start back.
    pub(crate) fn cooling_until(&self, remedy: &Remedy) -> Option<Boot> {
        let sharing = self.plan.remedies.iter().filter(|(_, other)| other.target == remedy.target);
        let floods = sharing.filter_map(|(name, _)| self.floods.get(name));
        lictor_core::cooling_until(remedy, floods, self.at.boot)
    }
}

impl Inbox {
    /// An inbox without a loop, whose inputs the caller takes: to try out what feeds one.
    pub fn detached() -> (Self, Inputs) {
        let (sender, receiver) = mpsc::channel(INBOX);
        (Self(sender), Inputs(receiver))
    }

    /// Hands a result of a watcher in.
    ///
    /// # Errors
    /// When the agent stops.
    pub async fn observed(&self, check: CheckName, sample: Sample) -> Result<(), Gone> {
        self.input(Input::Observed { check, sample }).await
    }

    /// Hands in what a watcher read: the lines that matched, and how far it came. Waits while the
    /// loop is busy, so that the source is read no faster than it is judged.
    ///
    /// # Errors
    /// When the agent stops.
    pub async fn read(
        &self,
        source: CheckName,
        matches: Vec<Match>,
        position: Option<String>,
    ) -> Result<(), Gone> {
        self.input(Input::Read { source, matches, position }).await
    }

    /// Hands the outcome of an action in.
    ///
    /// # Errors
    /// When the agent stops.
    pub async fn outcome(
        &self,
        run: RunId,
        step: StepName,
        attempt: u32,
        outcome: Outcome,
    ) -> Result<(), Gone> {
        self.input(Input::Outcome { run, step, attempt, outcome }).await
    }

    /// Hands in what an action will change.
    ///
    /// # Errors
    /// When the agent stops.
    pub async fn prepared(&self, run: RunId, step: StepName, attempt: u32, note: String) -> Result<(), Gone> {
        self.input(Input::Prepared { run, step, attempt, note }).await
    }

    /// Says who holds a lease.
    ///
    /// # Errors
    /// When the agent stops.
    pub async fn lease(&self, lease: LeaseName, holding: Holding) -> Result<(), Gone> {
        self.input(Input::Lease { lease, holding }).await
    }

    /// Says what part this node has in a service.
    ///
    /// # Errors
    /// When the agent stops.
    pub async fn role(&self, service: ServiceName, role: Role) -> Result<(), Gone> {
        self.input(Input::Role { service, role }).await
    }

    /// Hands in what another node or another program left for this one to go on with.
    ///
    /// # Errors
    /// When the agent stops.
    pub async fn take_over(&self, taken: TakeOver) -> Result<(), Gone> {
        self.input(Input::TakeOver(Box::new(taken))).await
    }

    /// Has something recorded.
    ///
    /// # Errors
    /// When the agent stops.
    pub async fn note(&self, event: Event) -> Result<(), Gone> {
        self.input(Input::Note(event)).await
    }

    /// Asks for something and waits for the answer, which comes when it is durable.
    ///
    /// # Errors
    /// When the agent stops or does not answer within 10 s; see [`NoAnswer`].
    pub async fn command(&self, command: Command) -> Result<Result<String, Refusal>, NoAnswer> {
        self.command_of(command, None).await
    }

    /// As [`command`](Self::command); who asks is recorded with what is decided.
    ///
    /// # Errors
    /// As for that.
    pub async fn command_of(
        &self,
        command: Command,
        act: Option<Act>,
    ) -> Result<Result<String, Refusal>, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        self.ask(Message::Command(command, act.map(Box::new), answer), answered).await
    }

    /// Returns when all that was handed in before is recorded.
    ///
    /// # Errors
    /// When the agent stops, or it is not within 10 s: it takes effect all the same.
    pub async fn recorded(&self) -> Result<(), NoAnswer> {
        let (answer, answered) = oneshot::channel();
        self.ask(Message::Recorded(answer), answered).await
    }

    /// The present state; at most 250 ms old.
    ///
    /// # Errors
    /// When the agent stops or does not answer within 10 s; see [`NoAnswer`].
    pub async fn view(&self) -> Result<Arc<View>, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        self.ask(Message::View(answer), answered).await
    }

    /// Puts a plan in force; returns when that is durable.
    ///
    /// # Errors
    /// When the agent stops or does not answer within 10 s. If it is only [`NoAnswer::Late`],
    /// the plan is in force and not yet recorded.
    pub async fn reload(&self, plan: Arc<Plan>, event: Event) -> Result<(), NoAnswer> {
        let (answer, answered) = oneshot::channel();
        self.ask(Message::Reload(plan, event, answer), answered).await
    }

    /// Hands in what an earlier store of this node left; returns when it is durable, however
    /// long that takes: nobody could do anything else meanwhile.
    ///
    /// # Errors
    /// When the agent stops.
    pub async fn adopt(&self, adoption: Adoption) -> Result<(), Gone> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Message::Adopt(adoption, answer)).await.map_err(|_closed| Gone)?;
        answered.await.map_err(|_dropped| Gone)
    }

    async fn input(&self, input: Input) -> Result<(), Gone> {
        self.0.send(Message::Input(input)).await.map_err(|_closed| Gone)
    }

    async fn ask<T>(&self, message: Message, answered: oneshot::Receiver<T>) -> Result<T, NoAnswer> {
        // Room first: a message that waits for it is not in the loop's hands, one that was
        // sent is.
        let deadline = Instant::now() + PATIENCE;
        let room = timeout_at(deadline, self.0.reserve()).await.map_err(|_full| NoAnswer::Busy)?;
        room.map_err(|_closed| NoAnswer::Gone)?.send(message);
        let answer = timeout_at(deadline, answered).await.map_err(|_late| NoAnswer::Late)?;
        answer.map_err(|_dropped| NoAnswer::Gone)
    }
}

/// The state of the engine at one instant, for readers.
#[derive(Clone, Debug)]
pub struct View {
    /// When it was taken.
    pub at: Now,
    /// The plan in force.
    pub plan: Arc<Plan>,
    /// The checks.
    pub checks: BTreeMap<CheckName, Arc<Check>>,
    /// The flood control of each remedy.
    pub floods: BTreeMap<RemedyName, Flood>,
    /// Runs: the unfinished ones and the latest finished ones.
    pub runs: BTreeMap<RunId, Run>,
    /// Incidents: the open ones and the latest closed ones.
    pub incidents: BTreeMap<IncidentId, Incident>,
    /// What cannot be recorded at present, and since when: then nothing is acted on.
    pub cannot_record: Option<(String, Now)>,
    /// Whether nothing is done because it is not known yet what an earlier store of this
    /// node had under way.
    pub withheld: bool,
    /// Who holds the leases, as far as is known.
    pub leases: BTreeMap<LeaseName, Holding>,
    /// How the copies in Consul stand, on a node that has them.
    pub copies: Option<MirrorState>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry() -> Command {
        Command::Retry(RunId(1))
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_is_not_the_end_of_the_loop() {
        let (sender, mut loops) = mpsc::channel(1);
        let inbox = Inbox(sender);
        assert_eq!(inbox.command(retry()).await, Err(NoAnswer::Late));
        // The loop has it, and it takes effect: the next one is not even taken.
        assert_eq!(inbox.command(retry()).await, Err(NoAnswer::Busy));
        assert!(matches!(loops.recv().await, Some(Message::Command(..))));
        assert!(loops.try_recv().is_err(), "what was not taken comes all the same");
        drop(loops);
        assert_eq!(inbox.command(retry()).await, Err(NoAnswer::Gone));
    }

    #[tokio::test(start_paused = true)]
    async fn an_adoption_is_waited_for() {
        let (sender, mut loops) = mpsc::channel(1);
        let inbox = Inbox(sender);
        let adopted = async {
            let Some(Message::Adopt(_, answer)) = loops.recv().await else { panic!("nothing came") };
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            answer.send(()).unwrap();
        };
        let (told, ()) = tokio::join!(inbox.adopt(Adoption::default()), adopted);
        assert_eq!(told, Ok(()));
    }
}
