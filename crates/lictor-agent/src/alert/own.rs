//! Our own checks as a source of alerts.
//!
//! They are read from the ledger, where every transition is, and not only from the present: what
//! began and ended while the alerts could not be recorded, or at a crash, is not missed.

use lictor_core::alert::{Input, Report, Source, Subject};
use lictor_core::{Status, What};
use lictor_store::{LedgerOrder, LedgerQuery, NodeStore};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tracing::warn;

use super::inbox::DeskInbox;
use crate::decide::Recorded;
use crate::inbox::{Gone, Inbox};

/// Entries of the ledger that are read at once.
const PAGE: usize = 1_000;

/// Watches the checks of this node.
pub(super) struct OwnChecks {
    pub(super) node: String,
    pub(super) store: NodeStore,
    pub(super) inbox: Inbox,
    pub(super) desk: DeskInbox,
    pub(super) live: Receiver<Recorded>,
    /// How far the ledger was read.
    pub(super) position: Option<u64>,
}

impl OwnChecks {
    pub(super) async fn run(mut self) {
        // Ends with the agent.
        let _gone = self.follow().await;
    }

    async fn follow(&mut self) -> Result<(), Gone> {
        self.catch_up().await?;
        self.tell_all().await?;
        loop {
            match self.live.recv().await {
                Ok(recorded) => {
                    let (seq, event) = &*recorded;
                    if self.position.is_some_and(|position| *seq <= position) {
                        continue;
                    }
                    self.position = Some(*seq);
                    match &event.what {
                        // What is no longer watched is over.
                        What::Reloaded { .. } => self.tell_all().await?,
                        what => self.tell(*seq, what).await?,
                    }
                }
                Err(RecvError::Lagged(_)) => self.catch_up().await?,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    /// Tells of the transitions in the ledger that were not read yet.
    async fn catch_up(&mut self) -> Result<(), Gone> {
        loop {
            let query = match self.position {
                Some(seq) => LedgerQuery {
                    after: Some(seq),
                    limit: PAGE,
                    order: LedgerOrder::OldestFirst,
                    ..LedgerQuery::default()
                },
                // A new desk begins with the present.
                None => LedgerQuery { limit: 1, ..LedgerQuery::default() },
            };
            let store = self.store.clone();
            let page = tokio::task::spawn_blocking(move || store.ledger(&query)).await;
            let page = match page {
                Ok(Ok(page)) => page,
                Ok(Err(why)) => {
                    warn!(%why, "the ledger cannot be read: what it has of our own checks is told from the present");
                    return Ok(());
                }
                Err(_stopped) => return Err(Gone),
            };
            let fresh = self.position.is_none();
            for entry in &page.entries {
                self.position = Some(entry.seq);
                if !fresh {
                    self.tell(entry.seq, &entry.event.what).await?;
                }
            }
            if fresh || page.next.is_none() || page.entries.is_empty() {
                return Ok(());
            }
        }
    }

    async fn tell(&self, seq: u64, what: &What) -> Result<(), Gone> {
        let What::Transition { check, to, summary, .. } = what else { return Ok(()) };
        let reports = vec![self.report(check.as_str(), *to, summary.clone())];
        self.desk.read(self.input(false, reports), seq).await
    }

    /// Tells how all checks stand; those that nobody has judged yet are as they were.
    async fn tell_all(&self) -> Result<(), Gone> {
        let Ok(view) = self.inbox.view().await else { return Ok(()) };
        let said = |check: &lictor_core::Check| check.last.as_ref().map(|(_, one)| one.summary.clone());
        let reports =
            view.checks.iter().filter(|(_, check)| check.judged()).map(|(name, check)| {
                self.report(name.as_str(), check.status, said(check).unwrap_or_default())
            });
        self.desk.input(self.input(true, reports.collect())).await
    }

    fn input(&self, complete: bool, reports: Vec<Report>) -> Input {
        Input::Reports { source: Source::new("own"), complete, reports, gone: Vec::new() }
    }

    fn report(&self, check: &str, status: Status, summary: String) -> Report {
        Report { judged: true, ..Report::new(Subject::own(&self.node, check), status, summary) }
    }
}
