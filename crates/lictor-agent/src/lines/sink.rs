//! Lines on their way from a source to the patterns.

use std::sync::Arc;

use lictor_core::{Boot, Match};
use memchr::{memchr, memchr_iter, memrchr};

use super::found::Found;
use super::matcher::{LINE, Matcher};
use super::records::Records;

/// Takes the lines of one watcher and keeps what matched until it is handed in.
#[derive(Debug)]
pub struct Sink {
    matcher: Arc<Matcher>,
    found: Found,
    /// Lines, or records, so far.
    pub lines: u64,
    /// How many of them matched.
    pub matched: u64,
    /// Bytes of lines beyond what counts of them.
    pub skipped: u64,
}

impl Sink {
    /// Takes lines for these patterns.
    pub fn new(matcher: Arc<Matcher>) -> Self {
        Self { matcher, found: Found::new(), lines: 0, matched: 0, skipped: 0 }
    }

    /// Takes a text of whole lines, which begins at that place of its source. The last one may lack
    /// its break.
    pub fn text(&mut self, text: &[u8], place: u64, records: Option<&mut Records>, now: Boot) {
        if let Some(records) = records {
            let mut at = place;
            for line in text.split_inclusive(|byte| *byte == b'\n') {
                self.skip(line);
                let (found, matcher, lines) = (&mut self.found, &self.matcher, &mut self.lines);
                records.line(filled(line), at, now, &mut |record| {
                    *lines += 1;
                    matcher.record(record, found);
                });
                at += line.len() as u64;
            }
        } else if memchr(0, text).is_some() {
            for line in text.split_inclusive(|byte| *byte == b'\n') {
                self.skip(line);
                self.lines += 1;
                self.matcher.record(filled(line), &mut self.found);
            }
        } else {
            let breaks = memchr_iter(b'\n', text).count() as u64;
            self.lines += breaks + u64::from(text.last().is_some_and(|last| *last != b'\n'));
            self.skipped += self.matcher.scan(text, &mut self.found);
        }
    }

    /// Takes the complete lines at the beginning of `data`, which begins at that place of its source; says how
    /// many bytes they are. `skip` is whether it begins within a line that is too long; of such a one what counts
    /// is taken as soon as it is there.
    pub fn complete(
        &mut self,
        data: &[u8],
        place: u64,
        skip: &mut bool,
        mut records: Option<&mut Records>,
        now: Boot,
    ) -> usize {
        let mut used = 0;
        while let Some(rest) = data.get(used..).filter(|rest| !rest.is_empty()) {
            if *skip {
                let end = memchr(b'\n', rest);
                self.skipped += end.unwrap_or(rest.len()) as u64;
                *skip = end.is_none();
                used += end.map_or(rest.len(), |end| end + 1);
            } else if let Some(end) = memrchr(b'\n', rest) {
                let text = rest.get(..=end).unwrap_or_default();
                self.text(text, place + used as u64, records.as_deref_mut(), now);
                used += text.len();
            } else {
                let zeros = rest.iter().take_while(|byte| **byte == 0).count();
                if rest.len() - zeros < LINE {
                    // Zeros before anything else are a hole; after it there may be no end yet.
                    return if zeros == rest.len() { used } else { used + zeros };
                }
                let line = rest.get(zeros..zeros + LINE).unwrap_or_default();
                self.text(line, place + (used + zeros) as u64, records.as_deref_mut(), now);
                used += zeros + LINE;
                *skip = true;
            }
        }
        used
    }

    /// Takes the record that is over because nothing more came.
    pub fn pause(&mut self, records: &mut Records, now: Boot) {
        let (found, matcher, lines) = (&mut self.found, &self.matcher, &mut self.lines);
        records.flush_if_due(now, &mut |record| {
            *lines += 1;
            matcher.record(record, found);
        });
    }

    /// Takes the record that is over because its source is.
    pub fn end(&mut self, records: &mut Records) {
        let (found, matcher, lines) = (&mut self.found, &self.matcher, &mut self.lines);
        records.flush(&mut |record| {
            *lines += 1;
            matcher.record(record, found);
        });
    }

    /// Whether what matched should be handed in before more is read.
    pub fn is_full(&self) -> bool {
        self.found.is_full()
    }

    /// What matched since this was last asked.
    pub fn take(&mut self) -> Vec<Match> {
        self.matched += self.found.lines();
        self.found.take()
    }

    fn skip(&mut self, line: &[u8]) {
        self.skipped += line.len().saturating_sub(LINE + 1) as u64;
    }
}

/// A line without the zeros before it: a hole that a truncation left behind, or one that was
/// made before anything was written.
fn filled(line: &[u8]) -> &[u8] {
    let zeros = line.iter().take_while(|byte| **byte == 0).count();
    line.get(zeros..).unwrap_or_default()
}
