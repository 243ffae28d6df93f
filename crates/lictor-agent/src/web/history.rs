//! The past: questions to the ledger.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use lictor_core::{CheckName, Event, IncidentId, RunId};
use tokio::sync::Semaphore;

use super::error::Failure;

/// Answers questions about the ledger. The store implements it; tests use a list.
pub trait History: Send + Sync {
    /// The entries that match, oldest first, each with its sequence number, which grows
    /// from entry to entry. Called on a thread that may block.
    ///
    /// # Errors
    /// Why the ledger cannot be read, in words.
    fn events(&self, query: &EventQuery) -> Result<Vec<(u64, Event)>, String>;

    /// All that is remembered at one moment, the present too, as a state file that has no name. Called on a thread that
    /// may block.
    ///
    /// # Errors
    /// Why there is no copy, in words.
    fn copy(&self) -> Result<File, String>;
}

/// Which entries of the ledger are wanted; a condition that is `None` (or an empty
/// list) holds for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Entries with a greater number only.
    pub after: Option<u64>,
    /// Entries with a smaller number only.
    pub before: Option<u64>,
    /// Entries of this incident only.
    pub incident: Option<IncidentId>,
    /// Entries of this run only.
    pub run: Option<RunId>,
    /// Entries about this check only.
    pub check: Option<CheckName>,
    /// Entries of these kinds only, by [`lictor_core::What::kind`].
    pub kinds: Vec<String>,
    /// At most so many.
    pub limit: usize,
    /// Which end is kept when more than `limit` match.
    pub end: End,
}

/// One end of the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// The oldest entries that match.
    #[default]
    Oldest,
    /// The newest entries that match.
    Newest,
}

impl EventQuery {
    /// The newest `limit` entries.
    pub fn newest(limit: usize) -> Self {
        Self { limit, end: End::Newest, ..Self::default() }
    }

    /// The first `limit` entries after the entry `after`.
    pub fn following(after: u64, limit: usize) -> Self {
        Self { after: Some(after), limit, ..Self::default() }
    }

    /// Whether an entry is one of those wanted (`limit` and `end` aside).
    pub fn matches(&self, seq: u64, event: &Event) -> bool {
        self.after.is_none_or(|after| seq > after)
            && self.before.is_none_or(|before| seq < before)
            && self.incident.is_none_or(|incident| event.incident == Some(incident))
            && self.run.is_none_or(|run| event.run == Some(run))
            && self.check.as_ref().is_none_or(|check| event.what.check() == Some(check))
            && (self.kinds.is_empty() || self.kinds.iter().any(|kind| kind == event.what.kind()))
    }
}

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Questions under way at once: the disk is one, and a thread waits for each.
const AT_ONCE: usize = 4;

/// How long a copy of everything may take: an answer must begin within 40 s.
const COPY_PATIENCE: Duration = Duration::from_secs(35);

/// Asks the history from asynchronous code. Cheap to clone.
#[derive(Clone)]
pub(super) struct Archive {
    history: Arc<dyn History>,
    turns: Arc<Semaphore>,
    /// One copy at a time: each takes as much room on the disk as the state.
    copying: Arc<Semaphore>,
}

impl Archive {
    pub(super) fn new(history: Arc<dyn History>) -> Self {
        Self { history, turns: Arc::new(Semaphore::new(AT_ONCE)), copying: Arc::new(Semaphore::new(1)) }
    }

    /// All that is remembered, in a file without a name.
    pub(super) async fn copy(&self) -> Result<File, Failure> {
        let Ok(turn) = Arc::clone(&self.copying).try_acquire_owned() else {
            let message = "somebody else has the state copied at present";
            return Err(
                Failure::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).help("ask again later")
            );
        };
        let history = Arc::clone(&self.history);
        let copied = tokio::task::spawn_blocking(move || {
            let copied = history.copy();
            drop(turn);
            copied
        });
        match tokio::time::timeout(COPY_PATIENCE, copied).await {
            Ok(Ok(Ok(file))) => Ok(file),
            Ok(Ok(Err(why))) => Err(Failure::unavailable(format!("the state cannot be copied: {why}"))),
            Ok(Err(_panicked)) => Err(Failure::unavailable("the state cannot be copied: that panicked")),
            Err(_late) => Err(Failure::unavailable("the state was not copied within 35s")),
        }
    }

    /// The entries that match, oldest first.
    pub(super) async fn events(&self, query: EventQuery) -> Result<Vec<(u64, Event)>, Failure> {
        let asked = async {
            let turn = Arc::clone(&self.turns).acquire_owned().await;
            let history = Arc::clone(&self.history);
            // The turn is given back when the thread is done, not when the asker leaves.
            let answer = tokio::task::spawn_blocking(move || {
                let answer = history.events(&query);
                drop(turn);
                answer
            });
            answer.await
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(Ok(events))) => Ok(events),
            Ok(Ok(Err(why))) => Err(Failure::history(&why)),
            Ok(Err(_panicked)) => Err(Failure::history("the reader of the ledger panicked")),
            Err(_late) => Err(Failure::history("the ledger was not read within 10s")),
        }
    }

    /// The number of the newest entry; 0 when there is none.
    pub(super) async fn newest(&self) -> Result<u64, Failure> {
        let last = self.events(EventQuery::newest(1)).await?;
        Ok(last.last().map_or(0, |(seq, _)| *seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lictor_core::{Now, What};

    fn event(run: Option<u64>) -> Event {
        Event { at: Now::default(), incident: None, run: run.map(RunId), what: What::AgentStopped }
    }

    #[test]
    fn a_query_without_conditions_matches_everything() {
        assert!(EventQuery::default().matches(0, &event(None)));
    }

    #[test]
    fn each_condition_excludes() {
        let of_run = EventQuery { run: Some(RunId(3)), ..EventQuery::default() };
        assert!(of_run.matches(1, &event(Some(3))));
        assert!(!of_run.matches(1, &event(Some(4))));
        assert!(!of_run.matches(1, &event(None)));
        let between = EventQuery { after: Some(5), before: Some(7), ..EventQuery::default() };
        assert_eq!([5, 6, 7].map(|seq| between.matches(seq, &event(None))), [false, true, false]);
        let kind = |kind: &str| EventQuery { kinds: vec![kind.to_owned()], ..EventQuery::default() };
        assert!(kind("agent_stopped").matches(1, &event(None)));
        assert!(!kind("transition").matches(1, &event(None)));
        let check = EventQuery { check: CheckName::new("shop").ok(), ..EventQuery::default() };
        assert!(!check.matches(1, &event(None)));
    }

    struct Broken;
    impl History for Broken {
        fn events(&self, _query: &EventQuery) -> Result<Vec<(u64, Event)>, String> {
            panic!("planted")
        }

        fn copy(&self) -> Result<File, String> {
            panic!("planted")
        }
    }

    #[tokio::test]
    async fn a_reader_that_panics_is_an_error_and_gives_its_turn_back() {
        let archive = Archive::new(Arc::new(Broken));
        for _ in 0..2 * AT_ONCE {
            assert!(archive.newest().await.is_err());
            assert_eq!(archive.copy().await.unwrap_err().code, "unavailable");
        }
    }
}
