//! Writing a batch into a transaction.

use std::collections::BTreeSet;
use std::ops::Range;

use lictor_core::{Event, IncidentId, Row, RowKey, RunId};
use redb::{ReadableDatabase as _, Table, WriteTransaction};

use super::acts;
use super::batch::Batch;
use super::error::StoreError;
use super::sum::{seal, sum};
use super::tables::{self, ACTS, KV, LEDGER, META, PAST, POSITIONS, ROWS, SUBJECTS};
use crate::wire::{self, Live, Made};

/// What an entry of the ledger takes up beside its bytes: its key and its subjects.
const ENTRY_OVERHEAD: u64 = 64;

/// The tables, open for writing.
pub(super) struct Tables<'t> {
    pub(super) meta: Table<'t, &'static str, &'static [u8]>,
    pub(super) rows: Table<'t, &'static str, &'static [u8]>,
    pub(super) positions: Table<'t, &'static str, &'static [u8]>,
    pub(super) ledger: Table<'t, u64, &'static [u8]>,
    pub(super) subjects: Table<'t, (&'static str, u64), ()>,
    pub(super) kv: Table<'t, &'static str, &'static [u8]>,
    pub(super) past: Table<'t, u64, &'static [u8]>,
    pub(super) acts: Table<'t, u64, &'static [u8]>,
}

impl<'t> Tables<'t> {
    /// Opens all tables, making those that are missing.
    pub(super) fn open(txn: &'t WriteTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            meta: txn.open_table(META)?,
            rows: txn.open_table(ROWS)?,
            positions: txn.open_table(POSITIONS)?,
            ledger: txn.open_table(LEDGER)?,
            subjects: txn.open_table(SUBJECTS)?,
            kv: txn.open_table(KV)?,
            past: txn.open_table(PAST)?,
            acts: txn.open_table(ACTS)?,
        })
    }

    /// Writes a batch; gives the numbers of its events.
    pub(super) fn apply(
        &mut self,
        batch: &Batch,
        live: &mut Live,
        held: &mut Held,
    ) -> Result<Range<u64>, StoreError> {
        for (key, row) in &batch.rows {
            let text = tables::row_key(key);
            let before = match row {
                Some(row) => {
                    let bytes = tables::sealed(text.as_bytes(), &wire::Row::from(row))?;
                    live.rows += 1;
                    live.rows_sum ^= sum(&bytes);
                    self.rows.insert(text.as_str(), bytes.as_slice())?
                }
                None => self.rows.remove(text.as_str())?,
            };
            if let Some(before) = before {
                live.rows = live.rows.saturating_sub(1);
                live.rows_sum ^= sum(before.value());
            }
            held.update(key, row.as_ref());
        }
        for (watcher, at) in &batch.positions {
            match at {
                Some(at) => {
                    let position = wire::Position { watcher: watcher.to_string(), at: at.clone() };
                    let bytes = tables::sealed(watcher.as_str().as_bytes(), &position)?;
                    self.positions.insert(watcher.as_str(), bytes.as_slice())?;
                }
                None => drop(self.positions.remove(watcher.as_str())?),
            }
        }
        let first = live.next_seq;
        for event in &batch.events {
            self.append(event, live)?;
        }
        for act in &batch.acts {
            acts::append(&mut self.acts, act, live)?;
        }
        if let Some(anchor) = &batch.anchor {
            live.anchor = Some(anchor.into());
        }
        Ok(first..live.next_seq)
    }

    /// Writes what the store says of itself.
    pub(super) fn write_meta(&mut self, made: &Made, live: &Live) -> Result<(), StoreError> {
        self.meta.insert("made", tables::sealed(b"made", made)?.as_slice())?;
        self.meta.insert("live", tables::sealed(b"live", live)?.as_slice())?;
        Ok(())
    }

    fn append(&mut self, event: &Event, live: &mut Live) -> Result<(), StoreError> {
        let seq = live.next_seq;
        let bytes = seal(&seq.to_be_bytes(), &wire::encode(&wire::Event::from(event))?);
        self.ledger.insert(seq, bytes.as_slice())?;
        for subject in tables::subjects(event) {
            self.subjects.insert((subject.as_str(), seq), ())?;
        }
        live.next_seq += 1;
        live.entries += 1;
        live.bytes += bytes.len() as u64 + ENTRY_OVERHEAD;
        Ok(())
    }

    /// Removes an entry of the ledger.
    pub(super) fn drop_entry(&mut self, seq: u64, live: &mut Live) -> Result<(), StoreError> {
        let Some(found) = self.ledger.remove(seq)? else { return Ok(()) };
        live.entries = live.entries.saturating_sub(1);
        live.bytes = live.bytes.saturating_sub(found.value().len() as u64 + ENTRY_OVERHEAD);
        let event = tables::event(seq, found.value());
        drop(found);
        // The subjects of an unreadable entry stay; readers pass over what is not there.
        for subject in event.iter().flat_map(tables::subjects) {
            self.subjects.remove((subject.as_str(), seq))?;
        }
        Ok(())
    }
}

/// The incidents and runs whose past must not be removed: those that are not over.
#[derive(Debug, Default)]
pub(super) struct Held {
    incidents: BTreeSet<IncidentId>,
    runs: BTreeSet<RunId>,
    /// Whether one of them was let go since this was last asked.
    freed: bool,
}

impl Held {
    /// What the rows of a file hold.
    pub(super) fn of<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Self {
        let mut held = Self::default();
        rows.into_iter().for_each(|row| held.update(&row.key(), Some(row)));
        held.freed = true;
        held
    }

    /// Reads the rows for it.
    pub(super) fn read(database: &redb::Database) -> Result<Self, StoreError> {
        let table = database.begin_read()?.open_table(ROWS)?;
        let mut held = Self { freed: true, ..Self::default() };
        for prefix in ["run/", "incident/"] {
            for found in table.range(prefix..)? {
                let (key, bytes) = found?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                let row = tables::row(key.value(), bytes.value())?;
                held.update(&row.key(), Some(&row));
            }
        }
        Ok(held)
    }

    /// Whether the event belongs to one of them.
    pub(super) fn has(&self, event: &Event) -> bool {
        event.incident.is_some_and(|id| self.incidents.contains(&id))
            || event.run.is_some_and(|id| self.runs.contains(&id))
    }

    /// Whether one of them was let go since this was last asked.
    pub(super) fn take_freed(&mut self) -> bool {
        std::mem::take(&mut self.freed)
    }

    fn update(&mut self, key: &RowKey, row: Option<&Row>) {
        let freed = match (key, row) {
            (RowKey::Run(id), Some(Row::Run(run))) if !run.ended() => {
                self.runs.insert(*id);
                false
            }
            (RowKey::Run(id), _) => self.runs.remove(id),
            (RowKey::Incident(id), Some(Row::Incident(incident))) if incident.closed.is_none() => {
                self.incidents.insert(*id);
                false
            }
            (RowKey::Incident(id), _) => self.incidents.remove(id),
            (RowKey::Check(_) | RowKey::Flood(_) | RowKey::Reading(_) | RowKey::Role(_), _) => false,
        };
        self.freed |= freed;
    }
}
