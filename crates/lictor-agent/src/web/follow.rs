//! Following the ledger: the past first, then what happens, nothing twice, nothing left out.

use std::collections::VecDeque;
use std::sync::Arc;

use lictor_core::Event;
use tokio::sync::broadcast::{self, error::RecvError};

use super::error::Failure;
use super::history::{Archive, EventQuery};

/// Entries read from the ledger at a time.
const PAGE: usize = 256;

/// One entry of the ledger and its number.
pub(super) type Entry = Arc<(u64, Event)>;

/// A reader of the ledger that goes on as it grows. What is published after it was
/// recorded is taken from the publisher; one that falls behind reads the ledger again
/// from where it stands, so nothing waits for it and it misses nothing.
pub(super) struct Follow {
    archive: Archive,
    live: broadcast::Receiver<Entry>,
    /// The last number handed out.
    at: u64,
    /// Whether the ledger may hold entries that were not handed out and are not in `live`.
    behind: bool,
    read: VecDeque<Entry>,
}

impl Follow {
    /// Follows from the entry after `after`; without one, from what happens next.
    /// A number that the ledger has not reached (it was lost, or is another one's) is
    /// taken for its end.
    pub(super) async fn new(
        archive: Archive,
        events: &broadcast::Sender<Entry>,
        after: Option<u64>,
    ) -> Result<Self, Failure> {
        // First listen, then look: what comes in between is in both and handed out once.
        let live = events.subscribe();
        let newest = archive.newest().await?;
        let at = after.map_or(newest, |after| after.min(newest));
        Ok(Self { archive, live, at, behind: at < newest, read: VecDeque::new() })
    }

    /// The next entry; `None` when the publisher is gone.
    pub(super) async fn next(&mut self) -> Result<Option<Entry>, Failure> {
        loop {
            if let Some(entry) = self.read.pop_front() {
                self.at = entry.0;
                return Ok(Some(entry));
            }
            if self.behind {
                let page = self.archive.events(EventQuery::following(self.at, PAGE)).await?;
                self.behind = page.len() == PAGE;
                self.read.extend(page.into_iter().filter(|(seq, _)| *seq > self.at).map(Arc::new));
                continue;
            }
            match self.live.recv().await {
                Ok(entry) if entry.0 > self.at => {
                    self.at = entry.0;
                    return Ok(Some(entry));
                }
                Ok(_handed_out) => {}
                Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::History;
    use lictor_core::{Now, What};
    use std::sync::Mutex;

    #[derive(Default)]
    struct List(Mutex<Vec<(u64, Event)>>);

    impl History for List {
        fn events(&self, query: &EventQuery) -> Result<Vec<(u64, Event)>, String> {
            let list = self.0.lock().unwrap();
            let mut found: Vec<_> =
                list.iter().filter(|(seq, event)| query.matches(*seq, event)).cloned().collect();
            if query.end == super::super::End::Newest {
                found.drain(..found.len().saturating_sub(query.limit));
            }
            found.truncate(query.limit);
            Ok(found)
        }

        fn copy(&self) -> Result<std::fs::File, String> {
            Err("it is a list".to_owned())
        }
    }

    struct Ledger {
        list: Arc<List>,
        events: broadcast::Sender<Entry>,
    }

    impl Ledger {
        fn new(queue: usize) -> Self {
            Self { list: Arc::default(), events: broadcast::Sender::new(queue) }
        }

        fn append(&self, seq: u64) {
            let event = Event { at: Now::default(), incident: None, run: None, what: What::AgentStopped };
            self.list.0.lock().unwrap().push((seq, event.clone()));
            // Nobody may be listening.
            drop(self.events.send(Arc::new((seq, event))));
        }

        async fn follow(&self, after: Option<u64>) -> Follow {
            let archive = Archive::new(Arc::clone(&self.list) as Arc<dyn History>);
            Follow::new(archive, &self.events, after).await.unwrap()
        }
    }

    async fn take(follow: &mut Follow, count: usize) -> Vec<u64> {
        let mut seen = Vec::new();
        for _ in 0..count {
            seen.push(follow.next().await.unwrap().unwrap().0);
        }
        seen
    }

    #[tokio::test]
    async fn the_past_comes_first_and_nothing_twice() {
        let ledger = Ledger::new(16);
        (1..=3).for_each(|seq| ledger.append(seq));
        let mut follow = ledger.follow(Some(1)).await;
        ledger.append(4);
        assert_eq!(take(&mut follow, 3).await, [2, 3, 4]);
        ledger.append(7);
        assert_eq!(take(&mut follow, 1).await, [7]);
    }

    #[tokio::test]
    async fn one_that_falls_behind_misses_nothing() {
        let ledger = Ledger::new(4);
        let mut follow = ledger.follow(None).await;
        (1..=2_000).for_each(|seq| ledger.append(seq));
        assert_eq!(take(&mut follow, 2_000).await, (1..=2_000).collect::<Vec<_>>());
        ledger.append(2_001);
        assert_eq!(take(&mut follow, 1).await, [2_001]);
    }

    #[tokio::test]
    async fn without_a_number_only_what_happens_next_is_told() {
        let ledger = Ledger::new(4);
        ledger.append(1);
        let mut follow = ledger.follow(None).await;
        ledger.append(2);
        assert_eq!(take(&mut follow, 1).await, [2]);
    }

    #[tokio::test]
    async fn a_number_of_another_ledger_is_its_end() {
        let ledger = Ledger::new(4);
        ledger.append(1);
        let mut follow = ledger.follow(Some(900)).await;
        ledger.append(2);
        assert_eq!(take(&mut follow, 1).await, [2]);
    }

    #[tokio::test]
    async fn it_ends_with_the_publisher() {
        let ledger = Ledger::new(4);
        let mut follow = ledger.follow(None).await;
        drop(ledger);
        assert!(follow.next().await.unwrap().is_none());
    }
}
