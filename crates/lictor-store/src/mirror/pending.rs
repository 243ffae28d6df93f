//! What has changed and is not copied yet.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lictor_core::{Row, RowKey};

/// Changed rows that wait to be copied, the latest of each. When it is full, all of them
/// are forgotten and everything is compared anew.
const PENDING: usize = 4096;

/// Runs and incidents that have changed: `None` when they are over.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    changed: Mutex<Changed>,
}

#[derive(Debug, Default)]
struct Changed {
    rows: BTreeMap<RowKey, Option<Row>>,
    overflowed: bool,
}

impl Pending {
    /// Takes note of rows that were recorded.
    pub(crate) fn note<'r>(&self, rows: impl IntoIterator<Item = (&'r RowKey, &'r Option<Row>)>) {
        let mut changed = self.lock();
        for (key, row) in rows {
            if matches!(key, RowKey::Run(_) | RowKey::Incident(_)) {
                changed.rows.insert(key.clone(), row.as_ref().filter(|row| lasts(row)).cloned());
            }
        }
        changed.bound();
    }

    /// Takes out up to `count` rows.
    pub(super) fn take(&self, count: usize) -> Vec<(RowKey, Option<Row>)> {
        let mut changed = self.lock();
        std::iter::from_fn(|| changed.rows.pop_first()).take(count).collect()
    }

    /// Puts back what could not be copied; what has changed since stays as it is.
    pub(super) fn put_back(&self, rows: Vec<(RowKey, Option<Row>)>) {
        let mut changed = self.lock();
        for (key, row) in rows {
            changed.rows.entry(key).or_insert(row);
        }
        changed.bound();
    }

    /// Whether something was forgotten since this was last asked.
    pub(super) fn take_overflow(&self) -> bool {
        std::mem::take(&mut self.lock().overflowed)
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changed {
    fn bound(&mut self) {
        if self.rows.len() > PENDING {
            self.rows.clear();
            self.overflowed = true;
        }
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty() && !self.overflowed
    }
}

/// Whether a row is one that is copied: an unfinished run or an open incident.
pub(super) fn lasts(row: &Row) -> bool {
    match row {
        Row::Run(run) => !run.ended(),
        Row::Incident(incident) => incident.closed.is_none(),
        Row::Check(..) | Row::Flood(..) | Row::Reading(..) | Row::Role(..) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lictor_core::{CheckName, RunId};

    fn gone(ids: std::ops::Range<u64>) -> Vec<(RowKey, Option<Row>)> {
        ids.map(|id| (RowKey::Run(RunId(id)), None)).collect()
    }

    fn note(pending: &Pending, rows: &[(RowKey, Option<Row>)]) {
        pending.note(rows.iter().map(|(key, row)| (key, row)));
    }

    #[test]
    fn the_latest_of_each_row_waits_and_checks_do_not() {
        let pending = Pending::default();
        note(&pending, &gone(1..4));
        note(&pending, &gone(2..3));
        note(&pending, &[(RowKey::Check(CheckName::new("web").unwrap()), None)]);
        let first = pending.take(2);
        assert_eq!(first.len(), 2);
        pending.put_back(first);
        assert_eq!(pending.take(9).len(), 3);
        assert!(pending.is_empty());
    }

    #[test]
    fn too_many_are_forgotten_and_that_is_told() {
        let pending = Pending::default();
        note(&pending, &gone(0..5_000));
        assert!(!pending.is_empty() && pending.take(9).is_empty());
        assert!(pending.take_overflow() && !pending.take_overflow());
    }
}
