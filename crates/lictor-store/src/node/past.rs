//! How checks stood: per minute, per hour and per day, so many of each.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use lictor_core::{CheckName, Wall};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, Table};
use tokio::sync::oneshot;

use super::NodeStore;
use super::error::{StoreError, guarded};
use super::sum::{seal, unseal};
use super::tables::{self, PAST};
use super::writer::Work;
use crate::wire;

/// The length of a part of time that is kept as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grain {
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

impl Grain {
    /// Every length, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Milliseconds.
    pub const fn millis(self) -> u64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    /// How many are kept, the latest: two hours of minutes, eight days of hours, 92 days.
    pub const fn kept(self) -> usize {
        match self {
            Self::Minute => 120,
            Self::Hour => 192,
            Self::Day => 92,
        }
    }

    fn first(self) -> u64 {
        match self {
            Self::Minute => 1 << 32,
            Self::Hour => 2 << 32,
            Self::Day => 3 << 32,
        }
    }

    fn key(self, number: u32) -> u64 {
        self.first() | u64::from(number)
    }

    fn number(self, key: u64) -> u32 {
        u32::try_from(key.saturating_sub(self.first())).unwrap_or(u32::MAX)
    }

    /// All keys that it has.
    pub(super) fn keys(self) -> RangeInclusive<u64> {
        self.key(0)..=self.key(u32::MAX)
    }

    /// The number of the part of time that a moment is in.
    pub fn at(self, moment: Wall) -> u32 {
        let millis = u64::try_from(moment.as_unix_millis()).unwrap_or(0);
        u32::try_from(millis / self.millis()).unwrap_or(u32::MAX)
    }
}

/// For how long a check stood how, within a part of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stood {
    /// Milliseconds that it passed.
    pub passing: u64,
    /// Milliseconds that it warned.
    pub warning: u64,
    /// Milliseconds that it was critical.
    pub critical: u64,
    /// Milliseconds that it had no data.
    pub unknown: u64,
    /// Milliseconds of maintenance, however it stood.
    pub maintenance: u64,
    /// Looks whose time is known.
    pub looks: u64,
    /// Milliseconds that those took together.
    pub took: u64,
}

impl Stood {
    /// Adds what another part of the same time says.
    pub fn add(&mut self, other: &Self) {
        self.passing = self.passing.saturating_add(other.passing);
        self.warning = self.warning.saturating_add(other.warning);
        self.critical = self.critical.saturating_add(other.critical);
        self.unknown = self.unknown.saturating_add(other.unknown);
        self.maintenance = self.maintenance.saturating_add(other.maintenance);
        self.looks = self.looks.saturating_add(other.looks);
        self.took = self.took.saturating_add(other.took);
    }

    fn stored(&self) -> Vec<u64> {
        let Self { passing, warning, critical, unknown, maintenance, looks, took } = *self;
        let mut all = vec![passing, warning, critical, unknown, maintenance, looks, took];
        let end = all.iter().rposition(|value| *value > 0).map_or(0, |last| last + 1);
        all.truncate(end);
        all
    }

    fn read(stored: &[u64]) -> Self {
        let span = |at: usize| stored.get(at).copied().unwrap_or(0);
        Self {
            passing: span(0),
            warning: span(1),
            critical: span(2),
            unknown: span(3),
            maintenance: span(4),
            looks: span(5),
            took: span(6),
        }
    }
}

/// How the checks stood in one part of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its length.
    pub grain: Grain,
    /// Which one, counted in its length from 1970-01-01T00:00:00Z.
    pub number: u32,
    /// The checks that were watched in it.
    pub checks: BTreeMap<CheckName, Stood>,
}

impl NodeStore {
    /// Adds to what is kept of these parts of time; the oldest ones beyond [`Grain::kept`] are removed. Those that lie
    /// more than one after `now` are counted by themselves: neither they nor a clock that is behind for a moment cost
    /// anything of what is known. Who shares the slots still has them when this fails.
    ///
    /// # Errors
    /// When the disk is full or fails; then nothing was added.
    pub async fn record_past(&self, slots: Arc<Vec<Slot>>, now: Wall) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        match self.works.send(Work::Past(slots, now, reply)).await {
            Ok(()) => answer.await.unwrap_or(Err(StoreError::Closed)),
            Err(_) => Err(StoreError::Closed),
        }
    }

    /// What is kept of the parts of time with these numbers, the oldest first. One that is damaged is left out. It
    /// blocks on the disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn past(&self, grain: Grain, numbers: Range<u32>) -> Result<Vec<Slot>, StoreError> {
        let database = self.shared.database()?;
        guarded(|| read(&database, grain, numbers))
    }

    /// The numbers of the parts of time that are kept, the oldest first. It blocks on the disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn past_numbers(&self, grain: Grain) -> Result<Vec<u32>, StoreError> {
        let database = self.shared.database()?;
        guarded(|| numbers(&database, grain))
    }
}

/// Which parts of time are kept.
fn numbers(database: &Database, grain: Grain) -> Result<Vec<u32>, StoreError> {
    let Some(table) = tables::optional(&database.begin_read()?, PAST)? else { return Ok(Vec::new()) };
    let keys = table.range(grain.keys())?;
    keys.map(|found| Ok(grain.number(found?.0.value()))).collect()
}

fn read(database: &Database, grain: Grain, numbers: Range<u32>) -> Result<Vec<Slot>, StoreError> {
    let Some(table) = tables::optional(&database.begin_read()?, PAST)? else { return Ok(Vec::new()) };
    let mut slots = Vec::new();
    if numbers.is_empty() {
        return Ok(slots);
    }
    for found in table.range(grain.key(numbers.start)..grain.key(numbers.end))? {
        let (key, bytes) = found?;
        if let Ok(checks) = checks(key.value(), bytes.value()) {
            slots.push(Slot { grain, number: grain.number(key.value()), checks });
        }
    }
    Ok(slots)
}

/// Reads one part of time.
pub(super) fn checks(key: u64, bytes: &[u8]) -> Result<BTreeMap<CheckName, Stood>, StoreError> {
    let past: wire::Past = wire::decode(unseal(&key.to_be_bytes(), bytes)?)?;
    let named = past.checks.iter().filter_map(|(name, stood)| Some((name.parse().ok()?, Stood::read(stood))));
    Ok(named.collect())
}

/// Adds parts of time to the table, and removes those that are too many.
pub(super) fn add(
    table: &mut Table<'_, u64, &'static [u8]>,
    slots: &[Slot],
    now: Wall,
) -> Result<(), StoreError> {
    for slot in slots {
        let key = slot.grain.key(slot.number);
        // What is damaged is begun anew.
        let before = table.get(key)?.and_then(|bytes| checks(key, bytes.value()).ok());
        let mut all = before.unwrap_or_default();
        for (name, stood) in &slot.checks {
            all.entry(name.clone()).or_default().add(stood);
        }
        let checks = all.iter().map(|(name, stood)| (name.to_string(), stood.stored())).collect();
        let body = wire::encode(&wire::Past { checks })?;
        table.insert(key, seal(&key.to_be_bytes(), &body).as_slice())?;
    }
    for grain in Grain::ALL {
        if !slots.iter().any(|slot| slot.grain == grain) {
            continue;
        }
        let range = table.range(grain.keys())?;
        let keys: Result<Vec<u64>, redb::StorageError> = range.map(|found| Ok(found?.0.value())).collect();
        let keys = keys?;
        // Which clock was wrong is not known, that of now or that of then: what is ahead takes no place from the rest, and
        // the rest none from what is ahead.
        let ahead = keys.partition_point(|key| *key <= grain.key(grain.at(now).saturating_add(1)));
        let (known, ahead) = keys.split_at(ahead);
        for part in [known, ahead] {
            for key in part.iter().take(part.len().saturating_sub(grain.kept())) {
                table.remove(*key)?;
            }
        }
    }
    Ok(())
}
