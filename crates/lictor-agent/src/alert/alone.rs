//! A desk of this node's own for the time in which it cannot reach the shared one.
//!
//! It tells of what this node sees and could not hand on. When the shared desk can be reached again,
//! whom it told what is handed on as well, and it is forgotten.

use std::sync::Arc;
use std::time::Duration;

use lictor_core::Status;
use lictor_core::alert::{AlertPlan, Case, Desk, Input, Report, Row, Source};
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
    running: Option<(DeskInbox, Tasks)>,
}

impl Alone {
    /// None yet. `kv` is the store of this node.
    pub(super) const fn new(
        node: String,
        kv: Kv,
        clock: Clock,
        ledger: Inbox,
        current: watch::Receiver<Current>,
    ) -> Self {
        Self { node, kv, clock, ledger, current, running: None }
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
        let (plan, notifiers) = self.current.borrow().clone();
        let cluster = format!("{} (node {} alone)", plan.cluster, self.node);
        let plan = Arc::new(AlertPlan { cluster, ..AlertPlan::clone(&plan) });
        let kept = Kept::local(self.kv.clone());
        let now = self.clock.now();
        let (desk, first) = Desk::restore(plan, kept.load(now).await?, now);
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
        Ok((back, tasks))
    }

    /// Ends it, and says whom it told what, by what it was about. It is forgotten with
    /// [`Alone::forget`] when that is handed on.
    pub(super) async fn end(&mut self) -> Result<Vec<(Source, Report)>, KvError> {
        if let Some((_, tasks)) = self.running.take() {
            info!("the shared alerts can be reached again; this node hands on whom it told alone");
            if !tasks.drain(ENDS).await {
                warn!("the desk of this node alone did not end in time");
            }
        }
        let rows = Kept::local(self.kv.clone()).load(self.clock.now()).await?;
        let told = rows.into_iter().filter_map(|row| match row {
            Row::Case(case) if !case.told.is_empty() => Some(said(case)),
            _ => None,
        });
        Ok(told.collect())
    }

    /// What it told is known to the node that tells.
    pub(super) async fn forget(&self) -> Result<(), KvError> {
        Kept::local(self.kv.clone()).clear().await
    }
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
