//! Keeping the ledger within its bounds, a little in each commit.

use std::time::Duration;

use lictor_core::Boot;
use redb::ReadableTable as _;

use super::apply::{Held, Tables};
use super::error::StoreError;
use super::tables;
use crate::wire::Live;

/// How much of the past is kept. What belongs to an open incident or an unfinished run
/// is kept beyond both bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerLimits {
    /// No entry older than this, counted while the machine is up.
    pub age: Duration,
    /// No more than so many bytes of entries. The file has the trees around them as well and
    /// grows in large steps: it was seen twice as large.
    pub bytes: u64,
}

impl Default for LedgerLimits {
    /// 90 days and 256 MiB.
    fn default() -> Self {
        Self { age: Duration::from_secs(90 * 86_400), bytes: 256 << 20 }
    }
}

/// Entries removed in one commit beside twice the number it adds: an overfull ledger
/// shrinks, and no commit is long.
const STEP: u64 = 64;

/// Entries looked at for each one that may be removed.
const LOOKS: u64 = 4;

/// How far the pruning has come.
#[derive(Debug, Default)]
pub(super) struct Pruner {
    /// Entries before this one are held.
    cursor: u64,
    /// The entry at the cursor is not too old before this time.
    ripe: Option<Boot>,
}

impl Pruner {
    /// Removes some of what is beyond the limits, after a commit has added `added` entries.
    pub(super) fn step(
        &mut self,
        limits: &LedgerLimits,
        added: u64,
        tables: &mut Tables<'_>,
        live: &mut Live,
        held: &mut Held,
    ) -> Result<(), StoreError> {
        if held.take_freed() {
            *self = Self::default();
        }
        let now = Boot::from_millis(live.anchor.as_ref().map_or(0, |anchor| anchor.boot_ms));
        let large = |live: &Live| live.bytes > limits.bytes;
        if !large(live) && self.ripe.is_some_and(|ripe| now < ripe) {
            return Ok(());
        }
        let mut removals = STEP + added.saturating_mul(2);
        let mut looks = removals.saturating_mul(LOOKS);
        let mut doomed = Vec::new();
        let mut spared = live.bytes;
        for found in tables.ledger.range(self.cursor..)? {
            if removals == 0 || looks == 0 {
                break;
            }
            let (seq, bytes) = found?;
            let (seq, bytes) = (seq.value(), bytes.value());
            // An entry that cannot be read has no age: it goes with its neighbours.
            let event = tables::event(seq, bytes).ok();
            if let Some(event) = &event {
                let ripe = event.at.boot.after(limits.age);
                self.ripe = Some(ripe);
                if spared <= limits.bytes && now < ripe {
                    break;
                }
            }
            self.cursor = seq + 1;
            looks -= 1;
            if !event.as_ref().is_some_and(|event| held.has(event)) {
                spared = spared.saturating_sub(bytes.len() as u64);
                removals -= 1;
                doomed.push(seq);
            }
        }
        if removals == 0 || looks == 0 {
            self.ripe = None;
        }
        doomed.into_iter().try_for_each(|seq| tables.drop_entry(seq, live))
    }
}
