//! What watchers that read lines bring in, and what is remembered of them.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::name::PatternName;
use crate::time::Boot;

/// The named groups of a pattern, as a line filled them.
pub type Captures = Arc<BTreeMap<String, String>>;

/// Lines that matched one pattern of a watcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The pattern.
    pub pattern: PatternName,
    /// The line; of several, the latest.
    pub line: String,
    /// What the named groups of the pattern captured in it.
    pub captures: Captures,
    /// How long before it was handed in the line was written, as far as that is known.
    pub age: Duration,
    /// So many lines this stands for; at least 1.
    pub count: u32,
}

impl Match {
    /// One line that was written just now.
    pub fn new(pattern: PatternName, line: impl Into<String>) -> Self {
        Self { pattern, line: line.into(), captures: Captures::default(), age: Duration::ZERO, count: 1 }
    }
}

/// When matches of a pattern count. Patterns without one of these are an event each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// So many lines within such a time are one event; then counting begins anew.
    AtLeast {
        /// So many lines.
        lines: NonZeroU32,
        /// Within this time.
        within: Duration,
    },
    /// That no line came for so long is the event; the next one comes after another line.
    AbsentFor(Duration),
}

/// What is remembered of a watcher that reads lines: a row of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// How far it has read, in the watcher's own words.
    pub position: Option<String>,
    /// When lines matched that count towards an event, oldest first.
    pub counted: BTreeMap<PatternName, VecDeque<Boot>>,
    /// Since when no line matched that is waited for. `None`: its absence was told.
    pub silent_since: BTreeMap<PatternName, Option<Boot>>,
}

impl Reading {
    /// Counts lines; whether they are enough for an event.
    pub(crate) fn count(
        &mut self,
        pattern: &PatternName,
        (lines, within): (NonZeroU32, Duration),
        found: u32,
        at: Boot,
    ) -> bool {
        let times = self.counted.entry(pattern.clone()).or_default();
        let most = lines.get() as usize;
        // Lines of different ages may come out of order.
        let from = times.partition_point(|time| *time <= at);
        for _ in 0..found.min(lines.get()) {
            times.insert(from, at);
        }
        let latest = times.back().copied().unwrap_or(at);
        while times.front().is_some_and(|first| latest.since(*first) > within) {
            times.pop_front();
        }
        let enough = times.len() >= most;
        if enough {
            self.counted.remove(pattern);
        }
        enough
    }
}
