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

use std::sync::{Arc, Mutex, PoisonError};

use lictor_config::Maintenance;
use lictor_core::alert::Silence;
use lictor_core::{CheckName, Now, Wall};
use lictor_store::{Slot, Stood};

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

    /// Takes up days, hours and minutes that were kept: at a start.
    pub fn take_up(&self, days: &[Slot], hours: &[Slot], minutes: &[Slot]) {
        self.with(|book| book.take_up(days, hours, minutes));
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
