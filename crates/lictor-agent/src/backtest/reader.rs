//! The watchers that read lines, as far as a play needs them: their patterns and what they want.

use std::collections::BTreeMap;

use lictor_config::{Config, Multiline, WatchKind};
use lictor_core::{CheckName, PatternName, Wall};

use super::entry::{Entry, Wanted};
use super::filter::Filter;
use super::play::Play;
use crate::lines::{Found, Matcher, Records};

/// All of them.
pub(super) struct Readers {
    all: Vec<Reader>,
}

/// One of them.
pub(super) struct Reader {
    pub(super) check: CheckName,
    pub(super) kind: &'static str,
    matcher: Matcher,
    /// What a watcher of the journal wants.
    filter: Option<Filter>,
    multiline: Option<Multiline>,
    found: Found,
    /// Whether a source feeds it.
    pub(super) fed: bool,
    /// Lines or records that it got.
    pub(super) lines: u64,
    /// How many of them matched, by pattern.
    pub(super) matched: BTreeMap<PatternName, u64>,
}

impl Readers {
    /// Those of a configuration that look for something.
    ///
    /// # Errors
    /// What one wants cannot be told here.
    pub(super) fn new(config: &Config, wanted: &mut Wanted) -> Result<Self, String> {
        let mut all = Vec::new();
        for (check, watch) in config.watches.iter().filter(|(_, watch)| !watch.patterns.is_empty()) {
            let filter = match &watch.kind {
                WatchKind::Journal(journal) => Some(Filter::new(journal, wanted)?),
                _ => None,
            };
            let multiline = match &watch.kind {
                WatchKind::File(file) => file.multiline.clone(),
                WatchKind::Stream(stream) => stream.multiline.clone(),
                _ => None,
            };
            all.push(Reader {
                check: check.clone(),
                kind: watch.kind.as_str(),
                matcher: Matcher::new(&watch.patterns),
                filter,
                multiline,
                found: Found::new(),
                fed: false,
                lines: 0,
                matched: watch.patterns.iter().map(|pattern| (pattern.name.clone(), 0)).collect(),
            });
        }
        Ok(Self { all })
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Reader> {
        self.all.iter()
    }

    /// The number of the one of that name.
    pub(super) fn named(&self, check: &str) -> Option<usize> {
        self.all.iter().position(|reader| reader.check.as_str() == check)
    }

    /// A source feeds these.
    pub(super) fn feed(&mut self, numbers: &[usize]) {
        for number in numbers {
            if let Some(reader) = self.all.get_mut(*number) {
                reader.fed = true;
            }
        }
    }

    /// The numbers of those that watch a journal.
    pub(super) fn of_journals(&self) -> Vec<usize> {
        let watches = |number: &usize| self.all.get(*number).is_some_and(|reader| reader.filter.is_some());
        (0..self.all.len()).filter(watches).collect()
    }

    /// What puts the lines of one source together for a reader.
    pub(super) fn records(&self, number: usize) -> Option<Records> {
        self.all.get(number)?.multiline.as_ref().map(Records::new)
    }

    /// A record of a journal has come.
    pub(super) fn entry(&mut self, entry: &Entry, at: i64, play: &mut Play<'_>) {
        for reader in &mut self.all {
            if reader.filter.as_ref().is_some_and(|filter| filter.accepts(entry)) {
                reader.take(entry.message(), at, play);
            }
        }
    }

    /// A line, or a record of several, has come for one of them.
    pub(super) fn record(&mut self, number: usize, record: &[u8], at: i64, play: &mut Play<'_>) {
        if let Some(reader) = self.all.get_mut(number) {
            reader.take(record, at, play);
        }
    }
}

impl Reader {
    fn take(&mut self, line: &[u8], at: i64, play: &mut Play<'_>) {
        self.lines += 1;
        if !self.matcher.may_match(line) {
            return;
        }
        self.matcher.record(line, &mut self.found);
        if self.found.is_empty() {
            return;
        }
        let matches = self.found.take();
        for found in &matches {
            if let Some(count) = self.matched.get_mut(&found.pattern) {
                *count += u64::from(found.count);
            }
        }
        play.until(Wall::from_unix_millis(at));
        play.read(&self.check, matches);
    }
}
