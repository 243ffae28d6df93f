//! The way into the desk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lictor_core::alert::{AlertPlan, Case, Command, Delivery, Input, Mute, Silence, SubjectKey, Tells};
use lictor_core::{DeliveryId, Now, Refusal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::Tell;
use crate::inbox::{Gone, NoAnswer};

/// Inputs waiting for the desk. When it is full the producer waits: a source is then read later.
pub(super) const QUEUE: usize = 1_024;

/// How long a reader or a command waits for the desk.
const PATIENCE: Duration = Duration::from_secs(10);

/// A message to the desk.
pub(super) enum Message {
    /// An input.
    Input(Input),
    /// A person's command, with the way to answer it.
    Command(Command, oneshot::Sender<Result<String, Refusal>>),
    /// What was asked by records of these keys, and is answered by records.
    Asked(Vec<String>, Input),
    /// A node that shared this desk is gone for good: what it said last is to be removed, as somebody wants.
    Forget {
        /// The node.
        node: String,
        /// Who wants it.
        by: String,
        /// The way to answer it.
        answer: oneshot::Sender<Result<String, Refusal>>,
    },
    /// Another plan, with the notifiers it speaks of; answered when it is in force.
    Reload(Arc<AlertPlan>, Arc<dyn Tell>, oneshot::Sender<()>),
    /// A reader wants to see the present state.
    View(oneshot::Sender<Arc<AlertView>>),
}

/// Sends to the desk. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DeskInbox(pub(super) mpsc::Sender<Message>);

/// Who tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seat {
    /// This node, of what it sees itself: it shares its desk with nobody.
    Local,
    /// This node, for all that share the desk.
    Ours {
        /// Grows with each change of the one that tells.
        token: u64,
    },
    /// Another node.
    Other {
        /// Its name.
        holder: String,
    },
    /// Nobody, for all that is known.
    Nobody {
        /// Why.
        why: String,
    },
}

/// Among the sources that cannot be asked: the records of the node that tells, which others read.
pub(crate) const SHARED_RECORDS: &str = "the shared records";

/// The state of the desk at one instant, for readers.
#[derive(Clone, Debug)]
pub struct AlertView {
    /// When it was taken.
    pub at: Now,
    /// Who tells.
    pub seat: Seat,
    /// The plan in force.
    pub plan: Arc<AlertPlan>,
    /// What is wrong, may come to be or is believed to be, and why nobody is told.
    pub cases: BTreeMap<SubjectKey, (Case, Option<Mute>)>,
    /// Messages on their way.
    pub deliveries: BTreeMap<DeliveryId, Delivery>,
    /// Silences in force.
    pub silences: BTreeMap<String, Silence>,
    /// Sources that cannot be asked, and why.
    pub lost: BTreeMap<String, String>,
    /// Why nothing can be recorded: then nothing is sent.
    pub cannot_record: Option<String>,
}

impl AlertView {
    /// What is wrong and nobody has accepted the word of it: a message is on its way, or none can be made.
    pub(super) fn waiting(&self) -> BTreeSet<SubjectKey> {
        let under_way: BTreeSet<_> = self
            .deliveries
            .values()
            .flat_map(Delivery::subjects)
            .filter(|(_, tells, _)| *tells == Tells::Firing)
            .map(|(key, ..)| key)
            .collect();
        let unheard = self.cases.iter().filter(|(key, (case, _))| {
            let held_up = under_way.contains(key) || self.cannot_record.is_some();
            held_up && !case.told.values().any(|told| told.firing)
        });
        unheard.map(|(key, _)| key.clone()).collect()
    }
}

impl DeskInbox {
    /// Hands in what another node asked for by a record; it is answered by a record.
    pub(super) async fn asked(&self, keys: Vec<String>, input: Input) -> Result<(), Gone> {
        self.0.send(Message::Asked(keys, input)).await.map_err(|_closed| Gone)
    }

    /// Hands an input in. Waits while the desk is busy.
    ///
    /// # Errors
    /// When the agent stops.
    pub async fn input(&self, input: Input) -> Result<(), Gone> {
        self.0.send(Message::Input(input)).await.map_err(|_closed| Gone)
    }

    /// Asks for something and waits for the answer, which comes when it is durable.
    ///
    /// # Errors
    /// When the agent stops or does not answer within 10 s; see [`NoAnswer`].
    pub async fn command(&self, command: Command) -> Result<Result<String, Refusal>, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        self.ask(Message::Command(command, answer), answered).await
    }

    /// Removes what a node said last that shared this desk and is gone for good; refused while it lives.
    ///
    /// # Errors
    /// When the agent stops or does not answer within 10 s; see [`NoAnswer`].
    pub async fn forget(&self, node: String, by: String) -> Result<Result<String, Refusal>, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        self.ask(Message::Forget { node, by, answer }, answered).await
    }

    /// The present state.
    ///
    /// # Errors
    /// When the agent stops or does not answer within 10 s; see [`NoAnswer`].
    pub async fn view(&self) -> Result<Arc<AlertView>, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        self.ask(Message::View(answer), answered).await
    }

    /// Puts a plan and its notifiers in force.
    ///
    /// # Errors
    /// When the agent stops or does not answer within 10 s; see [`NoAnswer`].
    pub(super) async fn reload(
        &self,
        plan: Arc<AlertPlan>,
        notifiers: Arc<dyn Tell>,
    ) -> Result<(), NoAnswer> {
        let (answer, answered) = oneshot::channel();
        self.ask(Message::Reload(plan, notifiers, answer), answered).await
    }

    async fn ask<T>(&self, message: Message, answered: oneshot::Receiver<T>) -> Result<T, NoAnswer> {
        let deadline = Instant::now() + PATIENCE;
        let room = timeout_at(deadline, self.0.reserve()).await.map_err(|_full| NoAnswer::Busy)?;
        room.map_err(|_closed| NoAnswer::Gone)?.send(message);
        let answer = timeout_at(deadline, answered).await.map_err(|_late| NoAnswer::Late)?;
        answer.map_err(|_dropped| NoAnswer::Gone)
    }
}
