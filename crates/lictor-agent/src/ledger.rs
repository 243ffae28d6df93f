//! The store as the web reads it: its ledger, and copies of all of it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use lictor_core::Event;
use lictor_store::{LedgerOrder, LedgerQuery, NodeStore};

use crate::web::{End, EventQuery, History};

/// Pages of the ledger read for one question: a million entries looked at. The largest
/// ledger has about as many.
const PAGES: usize = 50;

/// Answers the web's questions from the store.
pub(crate) struct Ledger {
    store: NodeStore,
    /// Where a copy lies while it is made.
    copy: PathBuf,
}

impl Ledger {
    /// `dir` is the state directory.
    pub(crate) fn new(store: NodeStore, dir: impl Into<PathBuf>) -> Self {
        Self { store, copy: dir.into().join("state.redb.copy") }
    }
}

impl History for Ledger {
    fn events(&self, query: &EventQuery) -> Result<Vec<(u64, Event)>, String> {
        let order = match query.end {
            End::Oldest => LedgerOrder::OldestFirst,
            End::Newest => LedgerOrder::NewestFirst,
        };
        let mut wanted = LedgerQuery {
            after: query.after,
            before: query.before,
            limit: query.limit,
            order,
            incident: query.incident,
            run: query.run,
            check: query.check.clone(),
            kinds: query.kinds.iter().cloned().collect(),
        };
        let mut events = Vec::new();
        for _ in 0..PAGES {
            let page = self.store.ledger(&wanted).map_err(|error| error.to_string())?;
            events.extend(page.entries.into_iter().map(|entry| (entry.seq, entry.event)));
            let Some(next) = page.next.filter(|_| events.len() < query.limit) else { break };
            wanted.limit = query.limit - events.len();
            match order {
                LedgerOrder::OldestFirst => wanted.after = Some(next),
                LedgerOrder::NewestFirst => wanted.before = Some(next),
            }
        }
        if query.end == End::Newest {
            events.reverse();
        }
        Ok(events)
    }

    fn copy(&self) -> Result<File, String> {
        let failed = |what: &str, error: io::Error| format!("cannot {what} {}: {error}", self.copy.display());
        // One that was being made when an agent was killed.
        match fs::remove_file(&self.copy) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("remove", error)),
            _ => {}
        }
        self.store.copy_to(&self.copy).map_err(|error| error.to_string())?;
        let file = File::open(&self.copy).map_err(|error| failed("open", error));
        // It is there as long as somebody reads it.
        fs::remove_file(&self.copy).map_err(|error| failed("remove", error))?;
        file
    }
}
