//! What one commit records.

use std::collections::BTreeMap;
use std::ops::Range;

use lictor_core::{Boot, CheckName, Event, Output, Row, RowKey, Wall};

use super::acts::Act;
use super::error::StoreError;

/// What is to be recorded together: all of it becomes durable at once, or none.
///
/// It keeps the latest of each row and of each position, and all events and acts in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    pub(super) rows: BTreeMap<RowKey, Option<Row>>,
    pub(super) positions: BTreeMap<CheckName, Option<String>>,
    pub(super) events: Vec<Event>,
    pub(super) acts: Vec<Act>,
    /// Where the clocks stand. Without one the last is kept.
    pub anchor: Option<Anchor>,
    /// Whether the space kept back for a full disk may be used: for the note that nothing
    /// can be recorded, and the alert about it.
    pub urgent: bool,
}

impl Batch {
    /// Writes a row.
    pub fn put(&mut self, row: Row) {
        self.rows.insert(row.key(), Some(row));
    }

    /// Removes a row.
    pub fn remove(&mut self, key: RowKey) {
        self.rows.insert(key, None);
    }

    /// Adds an entry to the ledger.
    pub fn note(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Adds what somebody asked for, and what became of it.
    pub fn act(&mut self, act: Act) {
        self.acts.push(act);
    }

    /// How many acts there are.
    pub fn acts(&self) -> usize {
        self.acts.len()
    }

    /// Says how far a watcher has read its source.
    pub fn position(&mut self, watcher: CheckName, at: impl Into<String>) {
        self.positions.insert(watcher, Some(at.into()));
    }

    /// Forgets how far a watcher has read its source.
    pub fn forget_position(&mut self, watcher: CheckName) {
        self.positions.insert(watcher, None);
    }

    /// Moves rows, removals and events out of what a step of the engine gave; its effects
    /// stay there until this batch is durable.
    pub fn take(&mut self, output: &mut Output) {
        output.rows.drain(..).for_each(|row| self.put(row));
        output.gone.drain(..).for_each(|key| self.remove(key));
        self.events.append(&mut output.events);
    }

    /// Puts a later batch after this one: its rows, positions and clocks replace these.
    /// This is what to do with a batch that could not be recorded.
    pub fn absorb(&mut self, later: Self) {
        self.rows.extend(later.rows);
        self.positions.extend(later.positions);
        self.events.extend(later.events);
        self.acts.extend(later.acts);
        self.anchor = later.anchor.or(self.anchor.take());
        self.urgent |= later.urgent;
    }

    /// Whether there is nothing to record.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.positions.is_empty() && self.events.is_empty() && self.acts.is_empty()
    }

    /// The events in it.
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}

/// Where the clocks stand: what the boot-time axis goes on from after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// CLOCK_BOOTTIME, milliseconds.
    pub boot_millis: u64,
    /// The boot-time axis.
    pub axis: Boot,
    /// The wall clock.
    pub wall: Wall,
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The number of the commit, counted from 1 in the life of the store.
    pub commit: u64,
    /// The numbers that the batch's events have in the ledger.
    pub seqs: Range<u64>,
}

/// A batch that was not recorded: none of it is on disk.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct NotRecorded {
    /// Why.
    #[source]
    pub why: StoreError,
    /// The batch; let it [absorb](Batch::absorb) the next one and commit that.
    pub batch: Box<Batch>,
}
