//! What a new store takes over from a lost one of the same node.

use std::collections::BTreeSet;

use lictor_core::{Incident, Now, Run};

use super::{Mirror, MirrorError};
use crate::wire::{self, Copy, RunState, Time, WireError};

/// What an earlier store of this node had copied and is not in this one.
///
/// Its runs belong to another history: none may be gone on with as if it were known what
/// was done last. Each is verified first, or parked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adopted {
    /// Unfinished runs. Their times are moved so that as much time is left to them as when
    /// they were copied.
    pub runs: Vec<Run>,
    /// Open incidents, with their times moved likewise.
    pub incidents: Vec<Incident>,
    /// The highest number a run of this node ever had; the next one needs a higher.
    pub highest_run: u64,
    /// The highest number an incident of this node ever had.
    pub highest_incident: u64,
    /// The history they are from, when there was one.
    pub lineage: Option<String>,
    /// Copies that are damaged, or by a newer program, and were left out.
    pub unreadable: usize,
}

impl Mirror {
    /// Asks the shared home what an earlier store of this node had, and makes the copies
    /// this store's to write. For a store that is not [confirmed](crate::NodeStore::confirmed):
    /// record what it gives, then confirm the store. It may be called again. It takes as
    /// long as it takes to know that the earlier store is not alive: see
    /// [`Pulse`](super::Pulse).
    ///
    /// # Errors
    /// When the shared home cannot be reached or does not show everything, or when the
    /// earlier store is alive: then the node may watch and tell but must not act, until this
    /// succeeds or a person says that the node is new.
    pub async fn adopt(&mut self, now: Now) -> Result<Adopted, MirrorError> {
        let adopted = self.take_over(now).await;
        if let Err(error) = &adopted {
            self.failed(error);
        }
        adopted
    }

    async fn take_over(&mut self, now: Now) -> Result<Adopted, MirrorError> {
        let own_key = self.own_key();
        let (_, before) = self.claim().await?;
        let listing = self.kv.list(&self.prefix).await?;
        // We wrote it a moment ago: an answer without it is not the whole truth.
        if !listing.pairs.iter().any(|pair| pair.key == own_key) {
            return Err(MirrorError::Hidden { key: own_key });
        }
        let known: BTreeSet<Identity> =
            self.rows().await?.iter().filter_map(|row| identity(&row.into())).collect();
        let lineage = self.store.lineage();
        let mut adopted = Adopted {
            lineage: before.map(|owner| owner.lineage).filter(|before| *before != lineage),
            ..Adopted::default()
        };
        let mut open = 0;
        for pair in listing.pairs {
            let Some(key) = self.row_key(&pair.key) else { continue };
            self.raise(&key);
            let copy = wire::decode::<Copy>(&pair.value);
            open += usize::from(!copy.as_ref().is_ok_and(|copy| copy.row.is_none()));
            match copy {
                Ok(copy) if copy.lineage == lineage => {}
                Ok(copy) if copy.row.as_ref().and_then(identity).is_some_and(|it| known.contains(&it)) => {}
                Ok(copy) => {
                    if adopted.take(copy, now).is_err() {
                        adopted.unreadable += 1;
                    }
                }
                Err(_) => adopted.unreadable += 1,
            }
        }
        if open < self.inherited {
            return Err(MirrorError::Hidden { key: format!("{}run/", self.prefix) });
        }
        (adopted.highest_run, adopted.highest_incident) = self.highest;
        Ok(adopted)
    }
}

/// What a run or incident is the same by, whatever number it has: a new store counts from 1
/// again while it waits to be told. The kind, the name of remedy or check, when it began.
type Identity = (bool, String, i64);

fn identity(row: &wire::Row) -> Option<Identity> {
    match row {
        wire::Row::Run(run) => Some((true, run.remedy.clone(), run.started.unix_ms)),
        wire::Row::Incident(incident) => Some((false, incident.check.clone(), incident.opened.unix_ms)),
        wire::Row::Check(_) | wire::Row::Flood(_) | wire::Row::Reading(_) | wire::Row::Role(_) => None,
    }
}

impl Adopted {
    fn take(&mut self, copy: Copy, now: Now) -> Result<(), WireError> {
        let Some(row) = copy.row else { return Ok(()) };
        let shift = Shift { from: copy.at.boot_ms, to: now.boot.as_millis() };
        self.lineage.get_or_insert(copy.lineage);
        match row {
            wire::Row::Run(mut run) => {
                shift.run(&mut run);
                self.runs.push(run.try_into()?);
            }
            wire::Row::Incident(mut incident) => {
                shift.time(&mut incident.opened);
                self.incidents.push(incident.try_into()?);
            }
            wire::Row::Check(_) | wire::Row::Flood(_) | wire::Row::Reading(_) | wire::Row::Role(_) => {}
        }
        Ok(())
    }
}

/// Moves times of a lost boot-time axis to this store's.
struct Shift {
    from: u64,
    to: u64,
}

impl Shift {
    fn boot(&self, millis: &mut u64) {
        *millis = if *millis >= self.from {
            self.to.saturating_add(*millis - self.from)
        } else {
            self.to.saturating_sub(self.from - *millis)
        };
    }

    fn time(&self, time: &mut Time) {
        self.boot(&mut time.boot_ms);
    }

    fn run(&self, run: &mut wire::Run) {
        self.time(&mut run.started);
        self.boot(&mut run.deadline_boot_ms);
        run.notes.values_mut().for_each(|note| self.time(&mut note.at));
        match &mut run.state {
            RunState::Preparing { since_boot_ms, .. }
            | RunState::Acting { since_boot_ms, .. }
            | RunState::Verifying { since_boot_ms, .. } => {
                self.boot(since_boot_ms);
            }
            RunState::Inspecting { since_boot_ms, asked_boot_ms, .. } => {
                self.boot(since_boot_ms);
                self.boot(asked_boot_ms);
            }
            RunState::BackingOff { until_boot_ms, .. } => self.boot(until_boot_ms),
            RunState::Waiting { since_boot_ms, held_boot_ms, .. } => {
                self.boot(since_boot_ms);
                held_boot_ms.iter_mut().for_each(|held| self.boot(held));
            }
            RunState::Queued { .. } | RunState::Parked { .. } => {}
            RunState::Ended { at, .. } => self.time(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_distance_from_now() {
        let shift = Shift { from: 1_000, to: 400 };
        let moved = |mut millis| {
            shift.boot(&mut millis);
            millis
        };
        assert_eq!((moved(1_500), moved(1_000), moved(900), moved(100)), (900, 400, 300, 0));
    }
}
