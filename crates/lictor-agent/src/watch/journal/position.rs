//! How far a journal was read, and how reading goes on from there.

use serde::{Deserialize, Serialize};

use super::arguments::Start;
use crate::journal::Record;

/// How far a journal was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Position {
    /// The latest record, in journald's words. `None`: there was none.
    pub(super) cursor: Option<String>,
    /// Its boot.
    pub(super) boot: String,
    /// Its time, microseconds; without one the time when reading began.
    pub(super) realtime: u64,
    /// How many records of exactly that time were read: journald gives one to all it takes in at once.
    pub(super) same: u32,
    /// Up to when everything is known to be read, microseconds.
    pub(super) seen: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "v")]
enum Saved {
    #[serde(rename = "1")]
    V1 { cursor: Option<String>, boot: String, realtime: u64, same: u32, seen: u64 },
}

impl Position {
    /// Before the first record of a journal that is empty.
    pub(super) const fn before(now: u64) -> Self {
        Self { cursor: None, boot: String::new(), realtime: now, same: 0, seen: now }
    }

    /// After a record.
    pub(super) fn after(record: &Record) -> Self {
        Self {
            cursor: Some(record.cursor.clone()),
            boot: record.boot.clone(),
            realtime: record.realtime,
            same: 1,
            seen: record.realtime,
        }
    }

    /// Goes on to the next record.
    pub(super) fn advance(&mut self, record: &Record) {
        self.same = if record.realtime == self.realtime { self.same.saturating_add(1) } else { 1 };
        self.realtime = record.realtime;
        record.cursor.clone_into(self.cursor.get_or_insert_default());
        record.boot.clone_into(&mut self.boot);
        self.seen = self.seen.max(record.realtime);
    }

    /// As it is stored.
    pub(super) fn to_text(&self) -> String {
        let Self { cursor, boot, realtime, same, seen } = self.clone();
        let saved = Saved::V1 { cursor, boot, realtime, same, seen };
        serde_json::to_string(&saved).unwrap_or_default()
    }

    pub(super) fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        let Saved::V1 { cursor, boot, realtime, same, seen } = serde_json::from_str(text)?;
        Ok(Self { cursor, boot, realtime, same, seen })
    }

    /// Whether a record was written later than everything that was read.
    pub(super) fn is_before(&self, record: &Record) -> bool {
        match self.cursor.as_deref().and_then(|own| numbers(own, &record.cursor)) {
            Some((own, other)) => other > own,
            None => record.realtime > self.realtime,
        }
    }
}

/// The numbers of two records, if they are of one series: then they say which is the later.
/// What a cursor looks like may change, and then this is `None`.
fn numbers(one: &str, other: &str) -> Option<(u64, u64)> {
    let parts = |cursor: &str| -> Option<(String, u64)> {
        let part = |name: &str| cursor.split(';').find_map(|part| part.strip_prefix(name)).map(str::to_owned);
        Some((part("s=")?, u64::from_str_radix(&part("i=")?, 16).ok()?))
    };
    let ((series, number), (of, then)) = (parts(one)?, parts(other)?);
    (series == of).then_some((number, then))
}

/// Records that come again before the first new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// None.
    Nothing,
    /// The one that reading begins with, if it is this.
    Cursor(String),
    /// Those of a boot up to a time, and so many of exactly that time.
    Until { position: Position, left: u32 },
}

impl Known {
    /// Whether a record is one of them.
    pub(super) fn is_known(&mut self, record: &Record) -> bool {
        match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => false,
            Self::Cursor(cursor) => cursor == record.cursor,
            Self::Until { position, left } => {
                if position.cursor.as_ref() == Some(&record.cursor) {
                    return true;
                }
                let same = record.realtime == position.realtime && left > 0;
                let older = record.realtime < position.realtime && record.boot == position.boot;
                if same || older {
                    *self = Self::Until { position, left: left - u32::from(same) };
                    return true;
                }
                false
            }
        }
    }
}

/// How reading goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resume {
    pub(super) start: Start,
    pub(super) known: Known,
    /// Whether records may be gone that were not read.
    pub(super) gap: bool,
}

/// What is found in the journal where a position should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// What journalctl gives for the cursor; `None` when it gives nothing or refuses it.
    pub(super) at: Option<Record>,
    /// The oldest record.
    pub(super) head: Option<Record>,
    /// Whether there is any record of the position's boot.
    pub(super) boot: bool,
}

impl Resume {
    /// Goes on after a record that is still there.
    pub(super) fn after(cursor: &str) -> Self {
        Self { start: Start::At(cursor.to_owned()), known: Known::Cursor(cursor.to_owned()), gap: false }
    }

    /// Begins without knowing anything.
    pub(super) const fn fresh(start: Start) -> Self {
        Self { start, known: Known::Nothing, gap: false }
    }

    /// Goes on from a position, by what is found there.
    pub(super) fn from(position: &Position, found: &Found) -> Self {
        let Some(cursor) = &position.cursor else {
            return Self::fresh(Start::Since(position.realtime));
        };
        if found.at.as_ref().is_some_and(|record| record.cursor == *cursor) {
            return Self::after(cursor);
        }
        let Some(head) = &found.head else { return Self::fresh(Start::Head) };
        let gap = head.realtime > position.seen;
        let vacuumed = numbers(cursor, &head.cursor).is_some_and(|(own, oldest)| oldest > own);
        if vacuumed || !found.boot {
            // The oldest go first, so everything that is left is newer. Times would not tell: a
            // machine without a clock of its own may be earlier after a boot than before it.
            return Self { gap, ..Self::fresh(Start::Head) };
        }
        let known = Known::Until { position: position.clone(), left: position.same };
        Self { start: Start::Since(position.realtime), known, gap: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(series: &str, number: u64, boot: &str, realtime: u64) -> Record {
        Record {
            cursor: format!("s={series};i={number:x};b={boot};x=0"),
            realtime,
            boot: boot.to_owned(),
            ..Record::default()
        }
    }

    /// What of these is new, by the last number of their time.
    fn new(resume: &Resume, records: &[Record]) -> Vec<u64> {
        let mut known = resume.known.clone();
        records.iter().filter(|record| !known.is_known(record)).map(|record| record.realtime).collect()
    }

    fn at(series: &str, number: u64, boot: &str, realtime: u64) -> Position {
        Position::after(&record(series, number, boot, realtime))
    }

    #[test]
    fn a_stored_position_is_read_again_and_its_form_is_fixed() {
        let mut position = at("a", 15, "b1", 7_000);
        position.advance(&record("a", 16, "b1", 7_000));
        let text = position.to_text();
        insta::assert_snapshot!(text, @r#"{"v":"1","cursor":"s=a;i=10;b=b1;x=0","boot":"b1","realtime":7000,"same":2,"seen":7000}"#);
        assert_eq!(Position::from_text(&text).unwrap(), position);
        assert!(Position::from_text("s=a;i=1").is_err());
        assert!(Position::from_text(r#"{"v":"2"}"#).is_err());
    }

    #[test]
    fn a_record_that_is_still_there_is_not_given_again() {
        let position = at("a", 1, "b1", 5);
        let found = Found { at: Some(record("a", 1, "b1", 5)), head: None, boot: false };
        let resume = Resume::from(&position, &found);
        assert_eq!(resume.start, Start::At(position.cursor.unwrap()));
        assert_eq!(new(&resume, &[record("a", 1, "b1", 5), record("a", 2, "b1", 6)]), [6]);
        // One that does not match any more is not given at all: then the first is new.
        assert_eq!(new(&resume, &[record("a", 2, "b1", 6), record("a", 1, "b1", 5)]), [6, 5]);
    }

    #[test]
    fn after_a_vacuum_all_that_is_left_is_new_also_with_earlier_times() {
        let position = at("a", 9, "b1", 5_000);
        let found = Found {
            at: Some(record("a", 12, "b1", 5_100)),
            head: Some(record("a", 12, "b1", 4_000)),
            boot: true,
        };
        let resume = Resume::from(&position, &found);
        assert_eq!((resume.start, resume.known, resume.gap), (Start::Head, Known::Nothing, false));
        let later = Found { head: Some(record("a", 12, "b1", 5_100)), ..found };
        assert!(Resume::from(&position, &later).gap);
    }

    #[test]
    fn a_journal_of_another_boot_only_is_read_from_its_beginning() {
        // Volatile storage, and a machine whose clock begins anew.
        let position = at("a", 9, "b1", 5_000);
        let found = Found { at: None, head: Some(record("z", 1, "b2", 1_000)), boot: false };
        let resume = Resume::from(&position, &found);
        assert_eq!((resume.start, resume.known), (Start::Head, Known::Nothing));
    }

    #[test]
    fn a_cursor_that_is_not_understood_any_more_is_found_by_its_time() {
        let mut position = at("a", 9, "b1", 5_000);
        position.advance(&record("a", 10, "b1", 5_000));
        position.cursor = Some("of another kind".into());
        let found = Found { at: None, head: Some(record("a", 1, "b1", 10)), boot: true };
        let resume = Resume::from(&position, &found);
        assert_eq!((&resume.start, resume.gap), (&Start::Since(5_000), true));
        let there = [
            record("a", 8, "b1", 4_999),
            record("a", 9, "b1", 5_000),
            record("a", 10, "b1", 5_000),
            record("a", 11, "b1", 5_000),
            record("a", 12, "b1", 5_001),
        ];
        assert_eq!(new(&resume, &there), [5_000, 5_001]);
        // Another boot that is earlier by the clock is not older.
        assert_eq!(new(&resume, &[record("a", 11, "b2", 100)]), [100]);
    }

    #[test]
    fn a_journal_that_was_empty_is_read_from_the_time_of_that() {
        let resume = Resume::from(&Position::before(1_234), &Found { at: None, head: None, boot: false });
        assert_eq!(resume, Resume::fresh(Start::Since(1_234)));
    }

    #[test]
    fn which_is_later_is_told_by_number_and_else_by_time() {
        let position = at("a", 9, "b1", 5_000);
        assert!(position.is_before(&record("a", 10, "b1", 4_000)));
        assert!(!position.is_before(&record("a", 9, "b1", 5_000)));
        assert!(position.is_before(&record("z", 1, "b1", 5_001)));
        assert!(!position.is_before(&record("z", 1, "b1", 5_000)));
    }
}
