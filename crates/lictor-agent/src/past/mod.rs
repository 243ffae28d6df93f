//! How checks stood: kept per minute, per hour and per day, for strips, sparklines and uptimes.
//!
//! ```text
//! the present, each 10 s ─▶ Book: how long each check stood how ─▶ a minute, an hour, a day is over ─▶ the store
//! ```
//!
//! What is not yet over is in memory; what a killed agent loses is the minute it was in. Time in which no agent looked
//! is in no part of it: it counts neither as up nor as down. What is under maintenance is kept as that.

mod book;
mod keep;
mod planned;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use lictor_config::Maintenance;
use lictor_core::alert::Silence;
use lictor_core::{CheckName, Now, Wall};
use lictor_store::{Grain, Slot, Stood};

use crate::alert::AlertView;
pub(crate) use book::{Book, Look, share};
pub(crate) use keep::Keeper;
use planned::Planned;
#[cfg(test)]
pub(crate) use planned::tests::consul as consul_in_maintenance;

/// What is remembered of how checks stood. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Past {
    book: Arc<Mutex<Book>>,
    planned: Planned,
}

impl Past {
    /// What is remembered of a check, as of that moment. `None`: nothing.
    pub(crate) fn of(&self, check: &CheckName, now: Wall) -> Option<Record> {
        self.with(|book| book.record(check, now))
    }

    /// Takes up days, hours and minutes that were kept, the oldest first: at a start at that moment.
    pub fn take_up(&self, now: Wall, days: &[Slot], hours: &[Slot], minutes: &[Slot]) {
        let of = |grain: Grain| match grain {
            Grain::Minute => minutes,
            Grain::Hour => hours,
            Grain::Day => days,
        };
        let numbers = |grain| Ok::<_, Infallible>(of(grain).iter().map(|slot| slot.number).collect());
        let slot = |grain, number| Ok(of(grain).iter().find(|slot| slot.number == number).cloned());
        let Ok(()) = self.read(now, numbers, slot);
    }

    /// Takes up what is kept, one part of time at a time: there may be much, and others look at it meanwhile. What only
    /// is there because a clock was wrong, more than one part after `now`, is left out.
    ///
    /// # Errors
    /// When it cannot be read; what was read until then is taken up.
    pub(crate) fn read<E>(
        &self,
        now: Wall,
        numbers: impl Fn(Grain) -> Result<Vec<u32>, E>,
        slot: impl Fn(Grain, u32) -> Result<Option<Slot>, E>,
    ) -> Result<(), E> {
        let all = [numbers(Grain::Minute)?, numbers(Grain::Hour)?, numbers(Grain::Day)?];
        let last = |grain: Grain| grain.at(now).saturating_add(1);
        let known =
            Grain::ALL.iter().zip(&all).map(|(grain, all)| all.partition_point(|one| *one <= last(*grain)));
        let (known, kept): (usize, usize) = (known.sum(), all.iter().map(Vec::len).sum());
        // Where most is ahead it is the present clock that is wrong, as before it is set after a start.
        let believed = known.saturating_mul(2) >= kept;
        let within = |grain: Grain, number: u32| !believed || number <= last(grain);
        let [minutes, mut hours, mut days] = all;
        let checks = |grain, number| Ok(slot(grain, number)?.map(|slot| slot.checks).unwrap_or_default());
        for minute in minutes.into_iter().filter(|minute| within(Grain::Minute, *minute)) {
            let checks = checks(Grain::Minute, minute)?;
            self.with(|book| book.take_minute(minute, &checks));
        }
        // Older ones are in their days, unless the agent was away when that was over.
        let oldest = Grain::Hour.at(now).saturating_sub(LATE);
        hours.retain(|hour| within(Grain::Hour, *hour) && (*hour >= oldest || !days.contains(&(hour / 24))));
        hours.extend(self.with(|book| book.open(Grain::Hour)));
        for hour in in_order(hours) {
            let checks = checks(Grain::Hour, hour)?;
            self.with(|book| book.take_hour(hour, &checks));
        }
        days.retain(|day| within(Grain::Day, *day));
        days.extend(self.with(|book| book.open(Grain::Day)));
        for day in in_order(days) {
            let checks = checks(Grain::Day, day)?;
            self.with(|book| book.take_day(day, &checks));
        }
        Ok(())
    }

    /// These windows of maintenance are planned from now on.
    pub(crate) fn plan(&self, windows: &[Maintenance]) {
        self.planned.apply(windows);
    }

    /// The windows of maintenance in force, as the desk says if it can tell.
    pub(crate) fn windows(&self, desk: Option<&AlertView>, now: Now) -> Vec<Silence> {
        self.planned.windows(desk, now)
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Book) -> T) -> T {
        work(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Hours before the present one that are read although their days are kept: a window of 24 h needs them.
const LATE: u32 = 48;

fn in_order(mut numbers: Vec<u32>) -> Vec<u32> {
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// What is remembered of one check.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// The latest [`DAYS`] days of UTC, the oldest first; `None` where nobody looked.
    pub(crate) days: Vec<Option<Stood>>,
    /// The number of the last of them, from 1970-01-01.
    pub(crate) today: u32,
    /// How it stood in the last 24 hours, and in the last 7, 30 and 90 days.
    pub(crate) windows: [Stood; 4],
    /// Milliseconds of a look, on average, in each of the last 60 minutes that had one; oldest first.
    pub(crate) took: Vec<u32>,
}

/// Days of a strip.
pub(crate) const DAYS: usize = 90;

/// The names of the windows.
pub(crate) const WINDOWS: [&str; 4] = ["24 h", "7 d", "30 d", "90 d"];
