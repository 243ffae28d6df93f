//! A desk of this node's own for the time in which it cannot reach the shared one.
//!
//! It tells of what this node sees and could not hand on. When the shared desk can be reached again,
//! whom it told what is handed on as well, and it is forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lictor_core::Status;
use lictor_core::alert::{AlertPlan, Case, Desk, Input, Report, Row, Sending, Silence, Source, Tells, Told};
use lictor_store::kv::{Kv, KvError};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::Tell;
use super::desk::DeskLoop;
use super::inbox::{self, DeskInbox};
use super::keep::Kept;
use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::task::{OnEnd, Tasks};

/// How long it may take to become quiet.
const ENDS: Duration = Duration::from_secs(5);

/// The source of what a desk says of itself.
const OF_ITSELF: &str = "lictor";

/// Who tells of what, as the configuration in force has it.
pub(super) type Current = (Arc<AlertPlan>, Arc<dyn Tell>);

/// The desk, while there is one.
pub(super) struct Alone {
    node: String,
    kv: Kv,
    clock: Clock,
    ledger: Inbox,
    current: watch::Receiver<Current>,
    /// The silences of the shared desk, as far as they were seen.
    silences: watch::Receiver<Vec<Silence>>,
    running: Option<(DeskInbox, Tasks)>,
}

/// What is to be handed on when the shared desk can be reached again.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// Whom this node told what, by what it was about.
    pub(super) told: Vec<(Source, Report)>,
    /// Silences of a desk that was this node's own.
    pub(super) silences: Vec<Silence>,
}

impl Alone {
    /// None yet. `kv` is the store of this node.
    pub(super) const fn new(
        node: String,
        kv: Kv,
        clock: Clock,
        ledger: Inbox,
        current: watch::Receiver<Current>,
        silences: watch::Receiver<Vec<Silence>>,
    ) -> Self {
        Self { node, kv, clock, ledger, current, silences, running: None }
    }

    /// Whether this node tells alone now.
    pub(super) const fn tells(&self) -> bool {
        self.running.is_some()
    }

    /// Hands in what this node sees; begins to tell if it does not yet.
    pub(super) async fn input(&mut self, input: Input) -> Result<(), KvError> {
        if self.running.is_none() {
            self.running = Some(self.begin().await?);
        }
        if let Some((desk, _)) = &self.running {
            // It stops.
            let _gone = desk.input(input).await;
        }
        Ok(())
    }

    async fn begin(&self) -> Result<(DeskInbox, Tasks), KvError> {
        warn!("the node that tells cannot be reached; this one tells of what it sees itself until it can");
        let mut current = self.current.clone();
        let (plan, notifiers) = current.borrow_and_update().clone();
        let plan = of_node(&plan, &self.node);
        let kept = Kept::local(self.kv.clone());
        let now = self.clock.now();
        let mut rows = kept.load(now).await?;
        rows.extend(self.silences.borrow().iter().cloned().map(|silence| {
            let mut row = Row::Silence(silence);
            row.rebase(now);
            row
        }));
        let (desk, first) = Desk::restore(plan, rows, now);
        let (sender, mut queue) = mpsc::channel(inbox::QUEUE);
        let (back, tasks) = (DeskInbox(sender), Tasks::new());
        let running = DeskLoop {
            desk,
            kept,
            clock: self.clock.clone(),
            back: back.clone(),
            notifiers,
            ledger: self.ledger.clone(),
            tasks: tasks.clone(),
            stop: tasks.stopping(),
            fence: None,
        };
        drop(tasks.spawn_draining("alerts of this node alone", OnEnd::Fine, async move {
            drop(running.run(first, &mut queue).await);
        }));
        drop(tasks.spawn(
            "reloads of this node alone",
            OnEnd::Fine,
            reloads(current, self.node.clone(), back.clone()),
        ));
        Ok((back, tasks))
    }

    /// Ends it; what it told is kept for the next start.
    pub(super) async fn stop(&mut self) {
        if let Some((_, tasks)) = self.running.take()
            && !tasks.drain(ENDS).await
        {
            warn!("the desk of this node alone did not end in time");
        }
    }

    /// Ends it, and says what is to be handed on. It is forgotten with [`Alone::forget`] when that is done.
    pub(super) async fn end(&mut self) -> Result<Owed, KvError> {
        if self.tells() {
            info!("the shared alerts can be reached again; this node hands on whom it told alone");
            self.stop().await;
        }
        let rows = Kept::local(self.kv.clone()).load(self.clock.now()).await?;
        let mut owed = Owed::default();
        let (mut cases, mut sent) = (BTreeMap::new(), Vec::new());
        for row in rows {
            match row {
                Row::Case(case) => drop(cases.insert(case.subject.key.clone(), case)),
                Row::Delivery(delivery) if delivery.unclear || delivery.state == Sending::Under => {
                    sent.push(delivery);
                }
                // The node that tells has a calendar of its own.
                Row::Silence(silence) if silence.by == Silence::CONFIGURATION => {}
                Row::Silence(silence) => owed.silences.push(silence),
                Row::Delivery(_) | Row::Counters(_) => {}
            }
        }
        // What may have been accepted: they are owed the word that it is over, and told anew while it is not.
        for delivery in sent {
            for (key, ..) in delivery.subjects().filter(|(_, tells, _)| *tells != Tells::Resolved) {
                if let Some(case) = cases.get_mut(key) {
                    let told = Told {
                        status: Status::Passing,
                        firing: true,
                        at: delivery.created,
                        reminders: 0,
                        news: None,
                    };
                    case.told.entry(delivery.notifier.clone()).or_insert(told);
                }
            }
        }
        owed.told = cases.into_values().filter(|case| !case.told.is_empty()).map(said).collect();
        Ok(owed)
    }

    /// What it told is known to the node that tells.
    pub(super) async fn forget(&self) -> Result<(), KvError> {
        Kept::local(self.kv.clone()).clear().await
    }
}

/// Puts each configuration that comes into force at the desk, too.
async fn reloads(mut current: watch::Receiver<Current>, node: String, desk: DeskInbox) {
    while current.changed().await.is_ok() {
        let (plan, notifiers) = current.borrow_and_update().clone();
        if let Err(why) = desk.reload(of_node(&plan, &node), notifiers).await {
            warn!(%why, "the alerts of this node alone do not answer; the new configuration takes effect when they do");
        }
    }
}

/// The plan, with a name that says who tells.
fn of_node(plan: &AlertPlan, node: &str) -> Arc<AlertPlan> {
    let cluster = format!("{} (node {node} alone)", plan.cluster);
    Arc::new(AlertPlan { cluster, ..plan.clone() })
}

/// A case as this node reports it, with who was told what. What the desk said of itself is over with
/// it.
fn said(case: Case) -> (Source, Report) {
    let live = if case.source.as_str() == OF_ITSELF { Status::Passing } else { case.live };
    let report = Report {
        notes: case.notes,
        maintenance: case.maintenance,
        judged: true,
        told: case.told,
        ..Report::new(case.subject, live, case.output)
    };
    (case.source, report)
}

#[cfg(test)]
mod tests;
