//! Incidents that are over: the ledger is read once, from its end back, and then only what is new in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lictor_core::{CheckName, Event, What};
use tokio::time::Instant;

use crate::web::history::{Archive, EventQuery};

/// Incidents remembered of each check, the latest.
const KEPT: usize = 20;

/// Entries of the ledger that are read at once.
const STEP: u64 = 20_000;

/// How long it may be read at a time; the rest is read the next time.
const BUDGET: Duration = Duration::from_secs(8);

/// A time in which a check did not pass, milliseconds from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spell {
    pub(super) from: i64,
    /// `None`: it goes on.
    pub(super) until: Option<i64>,
    /// The number of its incident.
    pub(super) incident: u64,
}

/// What is remembered of the incidents of some checks that are over.
#[derive(Debug, Default)]
pub(super) struct Closed {
    checks: BTreeMap<CheckName, Vec<Spell>>,
    read: Option<Read>,
}

/// Which entries of the ledger were read: from one to before another.
#[derive(Clone, Copy, Debug)]
struct Read {
    from: u64,
    end: u64,
}

impl Closed {
    /// What is remembered of a check.
    pub(super) fn of(&self, check: &CheckName) -> &[Spell] {
        self.checks.get(check).map_or(&[], Vec::as_slice)
    }

    /// Reads what is new, and goes on with what is old. `false`: not all could be read yet.
    pub(super) async fn read_on(&mut self, archive: &Archive, wanted: &BTreeSet<CheckName>) -> bool {
        if !self.checks.keys().eq(wanted) {
            self.checks = wanted.iter().map(|check| (check.clone(), Vec::new())).collect();
            self.read = None;
        }
        let Ok(newest) = archive.newest().await else { return false };
        let end = newest.saturating_add(1);
        let before = self.read.filter(|read| read.end <= end);
        if before.is_none() {
            self.checks.values_mut().for_each(Vec::clear);
        }
        let mut read = before.unwrap_or(Read { from: end, end });
        let deadline = Instant::now() + BUDGET;
        let whole = self.read_parts(archive, &mut read, end, deadline).await;
        self.read = Some(read);
        whole
    }

    async fn read_parts(&mut self, archive: &Archive, read: &mut Read, end: u64, deadline: Instant) -> bool {
        while read.end < end {
            let next = read.end.saturating_add(STEP).min(end);
            if Instant::now() >= deadline || !self.read_part(archive, read.end, next).await {
                return false;
            }
            read.end = next;
        }
        let Ok(first) = archive.events(EventQuery::following(0, 1)).await else { return false };
        let first = first.first().map_or(end, |(seq, _)| *seq);
        while read.from > first && self.checks.values().any(|spells| spells.len() < KEPT) {
            let next = read.from.saturating_sub(STEP).max(first);
            if Instant::now() >= deadline || !self.read_part(archive, next, read.from).await {
                return false;
            }
            read.from = next;
        }
        true
    }

    /// Reads the entries from one number to before another; whether they could be read.
    async fn read_part(&mut self, archive: &Archive, from: u64, end: u64) -> bool {
        let query = EventQuery {
            after: from.checked_sub(1),
            before: Some(end),
            kinds: vec!["incident_closed".to_owned()],
            ..EventQuery::newest(usize::try_from(STEP).unwrap_or(usize::MAX))
        };
        let Ok(events) = archive.events(query).await else { return false };
        events.iter().for_each(|(_, event)| self.take(event));
        true
    }

    fn take(&mut self, event: &Event) {
        let What::IncidentClosed { check, after, .. } = &event.what else { return };
        let Some(spells) = self.checks.get_mut(check) else { return };
        let lasted = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
        let end = event.at.wall.as_unix_millis();
        let incident = event.incident.map_or(0, |id| id.0);
        spells.push(Spell { from: end.saturating_sub(lasted), until: Some(end), incident });
        spells.sort_unstable_by_key(|spell| spell.until);
        if spells.len() > KEPT {
            spells.remove(0);
        }
    }
}
