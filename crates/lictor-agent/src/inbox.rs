//! The way into the decide loop: everything that happens is a message.

use lictor_core::{
    Adoption, Check, CheckName, Command, Event, Flood, Incident, IncidentId, Input, Now, Outcome,
    PatternName, Plan, Refusal, RemedyName, Run, RunId, Sample, StepName,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Inputs waiting for the loop. When it is full the producer waits: a watcher then
/// looks later, an outcome or a command is late but never lost. 4,096 is what the
/// loop takes in one batch.
pub(crate) const INBOX: usize = 4_096;

/// A message to the loop.
#[derive(Debug)]
pub(crate) enum Message {
    /// An input of the engine.
    Input(Input),
    /// A person's command, with the way to answer it.
    Command(Command, oneshot::Sender<Result<String, Refusal>>),
    /// A new plan; answered when it is in force.
    Reload(Arc<Plan>, Event, oneshot::Sender<()>),
    /// What an earlier store of this node left; answered when it is durable.
    Adopt(Adoption, oneshot::Sender<()>),
    /// A reader wants to see the present state.
    View(oneshot::Sender<Arc<View>>),
}

/// Sends to the decide loop. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox(pub(crate) mpsc::Sender<Message>);

/// The loop has ended or does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the agent is stopping or does not answer")]
pub struct Gone;

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

    /// Hands a match in.
    ///
    /// # Errors
    /// When the agent stops.
    pub async fn matched(&self, source: CheckName, pattern: PatternName, line: String) -> Result<(), Gone> {
        self.input(Input::Matched { source, pattern, line }).await
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
    /// When the agent stops or does not answer within 10 s.
    pub async fn command(&self, command: Command) -> Result<Result<String, Refusal>, Gone> {
        let (answer, answered) = oneshot::channel();
        self.ask(Message::Command(command, answer), answered).await
    }

    /// The present state; at most 250 ms old.
    ///
    /// # Errors
    /// When the agent stops or does not answer within 10 s.
    pub async fn view(&self) -> Result<Arc<View>, Gone> {
        let (answer, answered) = oneshot::channel();
        self.ask(Message::View(answer), answered).await
    }

    /// Puts a plan in force.
    ///
    /// # Errors
    /// When the agent stops or does not answer within 10 s.
    pub async fn reload(&self, plan: Arc<Plan>, event: Event) -> Result<(), Gone> {
        let (answer, answered) = oneshot::channel();
        self.ask(Message::Reload(plan, event, answer), answered).await
    }

    /// Hands in what an earlier store of this node left; returns when it is durable.
    ///
    /// # Errors
    /// When the agent stops or does not answer within 10 s.
    pub async fn adopt(&self, adoption: Adoption) -> Result<(), Gone> {
        let (answer, answered) = oneshot::channel();
        self.ask(Message::Adopt(adoption, answer), answered).await
    }

    async fn input(&self, input: Input) -> Result<(), Gone> {
        self.0.send(Message::Input(input)).await.map_err(|_closed| Gone)
    }

    async fn ask<T>(&self, message: Message, answered: oneshot::Receiver<T>) -> Result<T, Gone> {
        let asked = async {
            self.0.send(message).await.map_err(|_closed| Gone)?;
            answered.await.map_err(|_dropped| Gone)
        };
        tokio::time::timeout(PATIENCE, asked).await.map_err(|_late| Gone)?
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
    pub checks: BTreeMap<CheckName, Check>,
    /// The flood control of each remedy.
    pub floods: BTreeMap<RemedyName, Flood>,
    /// Runs: the unfinished ones and the latest finished ones.
    pub runs: BTreeMap<RunId, Run>,
    /// Incidents: the open ones and the latest closed ones.
    pub incidents: BTreeMap<IncidentId, Incident>,
    /// What cannot be recorded at present, and since when: then nothing is acted on.
    pub cannot_record: Option<(String, Now)>,
}
