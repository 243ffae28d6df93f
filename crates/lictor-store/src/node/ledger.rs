//! Reading the past.

use std::collections::BTreeSet;
use std::ops::Bound;

use lictor_core::{CheckName, Event, IncidentId, RunId};
use redb::{Database, ReadableDatabase as _};

use super::error::StoreError;
use super::tables::{self, LEDGER, SUBJECTS};

/// Entries looked at for one page at most; a filter that finds little then gives a short
/// page with a `next`.
const LOOKS: usize = 20_000;

/// Which entries of the ledger are wanted. By default the latest 100.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerQuery {
    /// Only entries with a higher number.
    pub after: Option<u64>,
    /// Only entries with a lower number.
    pub before: Option<u64>,
    /// No more than this many.
    pub limit: usize,
    /// In which order.
    pub order: LedgerOrder,
    /// Only entries of this incident.
    pub incident: Option<IncidentId>,
    /// Only entries of this run.
    pub run: Option<RunId>,
    /// Only entries about this check.
    pub check: Option<CheckName>,
    /// Only entries of these [kinds](lictor_core::What::kind); empty for all.
    pub kinds: BTreeSet<String>,
}

impl Default for LedgerQuery {
    fn default() -> Self {
        Self {
            after: None,
            before: None,
            limit: 100,
            order: LedgerOrder::NewestFirst,
            incident: None,
            run: None,
            check: None,
            kinds: BTreeSet::new(),
        }
    }
}

/// The order of the entries of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerOrder {
    /// From the latest back; go on with `before`.
    NewestFirst,
    /// From the oldest on; go on with `after`.
    OldestFirst,
}

/// One entry of the ledger with its number.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number, counted from 1; numbers are never used again.
    pub seq: u64,
    /// What happened.
    pub event: Event,
}

/// A part of the ledger.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LedgerPage {
    /// The entries that were asked for.
    pub entries: Vec<Entry>,
    /// There may be more: ask again with this as `before` or `after`, whichever goes with
    /// the order.
    pub next: Option<u64>,
    /// Entries that are damaged and were left out.
    pub unreadable: usize,
}

impl LedgerQuery {
    fn subject(&self) -> Option<String> {
        let incident = self.incident.map(tables::incident_subject);
        let run = || self.run.map(tables::run_subject);
        let check = || self.check.as_ref().map(tables::check_subject);
        incident.or_else(run).or_else(check)
    }

    fn wants(&self, event: &Event) -> bool {
        self.incident.is_none_or(|id| event.incident == Some(id))
            && self.run.is_none_or(|id| event.run == Some(id))
            && self.check.as_ref().is_none_or(|name| event.what.check() == Some(name))
            && (self.kinds.is_empty() || self.kinds.contains(event.what.kind()))
    }
}

/// Reads a page in one read transaction.
pub(super) fn page(database: &Database, query: &LedgerQuery) -> Result<LedgerPage, StoreError> {
    let txn = database.begin_read()?;
    let ledger = txn.open_table(LEDGER)?;
    let first = query.after.map_or(0, |after| after.saturating_add(1));
    let end = query.before.unwrap_or(u64::MAX);
    let mut page = LedgerPage::default();
    if first >= end || query.limit == 0 {
        return Ok(page);
    }
    let mut looks = 0;
    // Gives whether to go on.
    let mut look = |seq: u64, bytes: &[u8]| {
        match tables::event(seq, bytes) {
            Ok(event) if query.wants(&event) => page.entries.push(Entry { seq, event }),
            Ok(_) => {}
            Err(_) => page.unreadable += 1,
        }
        looks += 1;
        if page.entries.len() == query.limit || looks == LOOKS {
            page.next = Some(seq);
        }
        page.next.is_none()
    };
    let newest_first = query.order == LedgerOrder::NewestFirst;
    if let Some(subject) = query.subject() {
        let index = txn.open_table(SUBJECTS)?;
        let key = subject.as_str();
        let mut range = index.range((Bound::Included((key, first)), Bound::Excluded((key, end))))?;
        while let Some(found) = if newest_first { range.next_back() } else { range.next() } {
            let seq = found?.0.value().1;
            if let Some(bytes) = ledger.get(seq)?
                && !look(seq, bytes.value())
            {
                break;
            }
        }
    } else {
        let mut range = ledger.range(first..end)?;
        while let Some(found) = if newest_first { range.next_back() } else { range.next() } {
            let (seq, bytes) = found?;
            if !look(seq.value(), bytes.value()) {
                break;
            }
        }
    }
    Ok(page)
}
