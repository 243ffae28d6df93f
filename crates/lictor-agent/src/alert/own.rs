//! Our own checks as a source of alerts: how all of them stand at first, and each transition as it
//! is recorded.

use std::time::Duration;

use lictor_core::alert::{Input, Report, Subject};
use lictor_core::{Status, What};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tracing::warn;

use super::relay::{Feed, own};
use crate::decide::Recorded;
use crate::inbox::{Gone, Inbox, NoAnswer};

/// Pause before a loop that is too busy is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Watches the checks of this node.
pub(super) struct OwnChecks {
    pub(super) node: String,
    pub(super) inbox: Inbox,
    pub(super) feed: Feed,
    pub(super) live: Receiver<Recorded>,
}

impl OwnChecks {
    pub(super) async fn run(mut self) {
        // Ends with the agent.
        let _gone = self.follow().await;
    }

    async fn follow(&mut self) -> Result<(), Gone> {
        self.tell_all().await?;
        loop {
            match self.live.recv().await {
                Ok(recorded) => match &recorded.1.what {
                    What::Transition { check, to, summary, .. } => {
                        let report = self.report(check.as_str(), *to, summary.clone());
                        self.tell(false, vec![report]).await?;
                    }
                    // What is no longer watched is over.
                    What::Reloaded { .. } => self.tell_all().await?,
                    _ => {}
                },
                Err(RecvError::Lagged(_)) => self.tell_all().await?,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }

    /// Tells how all checks stand; those that nobody has judged yet are not among them.
    async fn tell_all(&self) -> Result<(), Gone> {
        // Without this nothing of ours would ever count: it is asked until there is an answer.
        let view = loop {
            match self.inbox.view().await {
                Ok(view) => break view,
                Err(NoAnswer::Gone) => return Err(Gone),
                Err(why @ (NoAnswer::Busy | NoAnswer::Late)) => {
                    warn!(%why, "nobody is told of our own checks yet");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        let said = |check: &lictor_core::Check| check.last.as_ref().map(|(_, one)| one.summary.clone());
        let judged = view.checks.iter().filter(|(_, check)| check.judged());
        let reports = judged
            .map(|(name, check)| self.report(name.as_str(), check.status, said(check).unwrap_or_default()));
        self.tell(true, reports.collect()).await
    }

    async fn tell(&self, complete: bool, reports: Vec<Report>) -> Result<(), Gone> {
        self.feed.input(Input::Reports { source: own(), complete, reports, gone: Vec::new() }).await
    }

    fn report(&self, check: &str, status: Status, summary: String) -> Report {
        Report { judged: true, ..Report::new(Subject::own(&self.node, check), status, summary) }
    }
}
