//! What is to be written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::deletes::{Delete, Held, State, hash, is_kept};
use super::rule::Rule;
use super::table::{Known, LONGEST, Table};
use crate::time::Boot;

/// The source has it, by its latest listing.
pub(super) const SEEN: u8 = 1;
/// The destination has it, by the listing that comes in.
const PRESENT: u8 = 2;
/// A session at the destination holds it.
pub(super) const HELD: u8 = 4;
/// A listing that was asked for to be sure had it.
pub(super) const LISTED: u8 = 8;
/// That listing did not have it.
pub(super) const ABSENT: u8 = 16;
/// It is not deleted until somebody says so.
pub(super) const BLOCKED: u8 = 32;
/// Somebody said so.
pub(super) const APPROVED: u8 = 64;

/// In the place of an index of the source: what it has is to be compared, however old it is.
const COMPARE: u64 = u64::MAX;

/// How long a write that was refused waits at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(10));

/// One row of a listing.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The key.
    pub key: &'a str,
    /// The flags that go with its value.
    pub flags: u64,
    /// Whether a session holds it.
    pub session: bool,
    /// When it was last changed.
    pub index: u64,
}

/// What stands before the rows of a listing of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heading {
    /// Its index.
    pub index: u64,
    /// Whether something may have happened unseen since the listing before: what was known by indexes is no longer.
    pub anew: bool,
}

/// What is to be done about a row of the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The copy is the same.
    Same,
    /// It is left alone.
    Left,
    /// It is to be written.
    Write(Write),
}

/// A key that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// What follows the prefix.
    pub suffix: String,
    /// The index at which the copy must have been changed last; 0: there must be none.
    pub guard: u64,
    /// The checksum of the new value and flags.
    pub content: u64,
    /// The index of the source's key.
    pub origin: u64,
}

/// What is at the destination under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The checksum of its value and flags.
    pub content: u64,
    /// When it was last changed.
    pub index: u64,
    /// Whether a session holds it.
    pub session: bool,
}

/// A key that could not be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why, in words.
    pub why: String,
    /// Since when.
    pub since: Boot,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried again; sooner when it changes.
    pub due: Boot,
    content: u64,
    /// The index of the source's key.
    origin: u64,
    /// Whether the source still has it, by the listing that comes in.
    seen: bool,
    /// Whether it was to be deleted, and whether that may be tried.
    pub(super) deletes: bool,
    pub(super) ready: bool,
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows of the source in the latest listing.
    pub rows: u64,
    /// Keys written since the start.
    pub written: u64,
    /// Of these, those whose copy somebody else had changed.
    pub overwritten: u64,
    /// Keys deleted since the start.
    pub deleted: u64,
    /// Attempts that were refused since the start.
    pub refused: u64,
}

/// See [the module](super).
#[derive(Debug)]
pub struct Copier {
    pub(super) rule: Rule,
    pub(super) table: Table,
    /// The index of the latest listing of the source that was gone through.
    pub(super) index: u64,
    /// What is no newer was copied before; `None`: nobody knows.
    since: Option<u64>,
    refused: BTreeMap<String, Refused>,
    /// Keys that stay although the source does not have them, by their checksums.
    pub(super) kept: BTreeSet<u64>,
    /// Whether the source's index went back.
    pub(super) back: bool,
    pub(super) held: Option<Held>,
    pub(super) state: State,
    /// Keys that only the destination has and that are not to stay.
    pub(super) missing: u64,
    /// Whether the source was listed again because of them.
    pub(super) asked: bool,
    /// When it was.
    pub(super) listed: Option<Boot>,
    /// Whether that listing had anything.
    pub(super) listed_any: bool,
    pub(super) tally: Tally,
    /// Rows of the listing that comes in.
    rows: u64,
    /// Whether the listing of the destination that comes in has something that was not known.
    moved: bool,
    /// Whether the source was gone through before.
    passed: bool,
    /// Checksums of the keys that the source had and that are left without a copy, by the latest listing and by the one
    /// that comes in.
    uncopied: (BTreeSet<u64>, BTreeSet<u64>),
}

impl Copier {
    /// A copier that knows nothing of the keys yet. `copied`: up to which index of the source everything was copied before.
    pub fn new(rule: Rule, copied: Option<u64>) -> Self {
        Self {
            rule,
            table: Table::default(),
            index: copied.unwrap_or_default(),
            since: copied.filter(|&index| index > 0),
            refused: BTreeMap::new(),
            kept: BTreeSet::new(),
            back: false,
            held: None,
            state: State::Idle,
            missing: 0,
            asked: false,
            listed: None,
            listed_any: false,
            tally: Tally::default(),
            rows: 0,
            moved: false,
            passed: false,
            uncopied: Default::default(),
        }
    }

    /// Notes that the source's index went back before, and nobody has said that this is the source still.
    pub const fn went_back(&mut self) {
        self.back = true;
    }

    /// Whether the source's index went back, and nobody has said that this is the source still.
    pub const fn is_back(&self) -> bool {
        self.back
    }

    /// What it copies.
    pub const fn rule(&self) -> &Rule {
        &self.rule
    }

    /// What was done so far.
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// Up to which index of the source everything was copied.
    pub const fn copied(&self) -> Option<u64> {
        self.since
    }

    /// Keys at the destination.
    pub const fn copies(&self) -> usize {
        self.table.len()
    }

    /// Keys that could not be copied, by what follows the prefix.
    pub const fn refused(&self) -> &BTreeMap<String, Refused> {
        &self.refused
    }

    /// Before the rows of the destination.
    pub fn begin_destination(&mut self) {
        self.table.retain(|_, known| {
            known.marks &= !PRESENT;
            true
        });
        self.moved = false;
    }

    /// A row of the destination.
    pub fn destination(&mut self, row: &Row<'_>, content: u64) {
        let Some(suffix) = row.key.strip_prefix(self.rule.destination.as_str()) else { return };
        if suffix.len() <= LONGEST && !self.rule.leaves(suffix) {
            self.found(suffix, Some(Found { content, index: row.index, session: row.session }));
        }
    }

    /// After them: what was not among them is not there. Whether anything is other than was known.
    pub fn end_destination(&mut self) -> bool {
        let before = self.table.len();
        let (passed, uncopied) = (self.passed, &mut self.uncopied.0);
        self.table.retain(|suffix, known| {
            let present = known.marks & PRESENT != 0;
            if !present && passed && known.marks & SEEN != 0 {
                // Somebody deleted it.
                uncopied.insert(hash(suffix));
            }
            present
        });
        self.moved || self.table.len() != before
    }

    /// What one key of the destination is.
    pub fn found(&mut self, suffix: &str, found: Option<Found>) {
        let Some(found) = found else {
            self.table.remove(suffix);
            return;
        };
        let mut before = self.table.get(suffix).unwrap_or_default();
        if before == Known::default()
            && !self.uncopied.0.is_empty()
            && self.uncopied.0.contains(&hash(suffix))
        {
            // Somebody had deleted it, and has made it anew: the source had it all the time.
            before.marks = SEEN;
        }
        self.moved |= before.index != found.index;
        if before.index != found.index
            && let Some(refused) = self.refused.get_mut(suffix)
        {
            // What stood in the way may be over.
            refused.due = Boot::from_millis(0);
        }
        let held = if found.session { HELD } else { 0 };
        let origin = if before.content == found.content { before.origin } else { 0 };
        let marks = before.marks & !HELD | held | PRESENT;
        self.table.set(suffix, Known { content: found.content, origin, index: found.index, marks });
    }

    /// Before the rows of the source.
    pub fn begin_source(&mut self, heading: Heading) {
        let back = heading.index < self.index;
        if back {
            // A snapshot was restored, or it is another cluster: its indexes mean something else.
            (self.back, self.since) = (true, None);
        }
        let forget = back || heading.anew;
        let passed = self.passed;
        self.table.retain(|_, known| {
            // What was not to be seen for a while may have changed meanwhile.
            let hidden = passed && known.marks & SEEN == 0;
            known.marks &= !SEEN;
            known.origin = match (hidden, forget) {
                (true, _) => COMPARE,
                (false, true) => 0,
                (false, false) => known.origin,
            };
            true
        });
        self.refused.values_mut().for_each(|refused| refused.seen = false);
        self.uncopied.1.clear();
        self.rows = 0;
    }

    /// A row of the source; `content` gives the checksum of its value and flags.
    pub fn source(&mut self, row: &Row<'_>, content: impl FnOnce() -> u64, now: Boot) -> Verdict {
        let Some(suffix) = row.key.strip_prefix(self.rule.source.as_str()) else { return Verdict::Left };
        if self.rule.leaves(suffix) {
            return Verdict::Left;
        }
        self.rows += 1;
        let known = self
            .table
            .get(suffix)
            .map(|known| Known { marks: known.marks & !(ABSENT | BLOCKED | APPROVED) | SEEN, ..known });
        if let Some(known) = known {
            self.table.set(suffix, known);
        }
        if !self.kept.is_empty() {
            self.kept.remove(&hash(suffix));
        }
        if self.rule.is_lock(row.flags, row.session) {
            return Verdict::Left;
        }
        let compare = known.is_some_and(|known| known.origin == COMPARE);
        let copied = !compare && self.since.is_some_and(|since| row.index <= since);
        if copied && !self.rule.repair && !self.refused.contains_key(suffix) {
            // One whose copy somebody deleted stays deleted; one that the source did not have before has come back with a
            // snapshot.
            let deleted = known.is_none() && {
                let sum = hash(suffix);
                let deleted = !self.passed || self.uncopied.0.contains(&sum);
                if deleted {
                    self.uncopied.1.insert(sum);
                }
                deleted
            };
            if deleted || known.is_some() {
                return Verdict::Left;
            }
        }
        if known.is_some_and(|known| known.origin == row.index && row.index > 0) {
            self.refused.remove(suffix);
            return Verdict::Same;
        }
        let write = Write {
            suffix: suffix.to_owned(),
            guard: known.map_or(0, |known| known.index),
            content: content(),
            origin: row.index,
        };
        let odd = match suffix {
            _ if suffix.len() > LONGEST => Some("its name is too long"),
            // What stands for bytes that are none: it cannot be written by that name.
            _ if suffix.contains('\u{fffd}') => Some("its name is not UTF-8"),
            _ => None,
        };
        if let Some(why) = odd {
            self.refuse(&write, why, now);
            return Verdict::Left;
        }
        match self.refused.get_mut(suffix) {
            Some(refused) if refused.content == write.content && now < refused.due => {
                refused.seen = true;
                Verdict::Left
            }
            Some(refused) => {
                refused.seen = true;
                self.again(&write, now)
            }
            None => self.again(&write, now),
        }
    }

    /// What is to be done about a key, by what is now known of its copy.
    pub fn again(&mut self, write: &Write, now: Boot) -> Verdict {
        let Some(known) = self.table.get(&write.suffix) else {
            return Verdict::Write(Write { guard: 0, ..write.clone() });
        };
        if known.content == write.content {
            self.table.set(&write.suffix, Known { origin: write.origin, ..known });
            self.refused.remove(&write.suffix);
            return Verdict::Same;
        }
        if known.marks & HELD != 0 {
            self.refuse(write, "a session holds it at the destination", now);
            return Verdict::Left;
        }
        Verdict::Write(Write { guard: known.index, ..write.clone() })
    }

    /// A key was written; `index`: when, by the destination.
    pub fn written(&mut self, write: &Write, index: u64) {
        let marks = self.table.get(&write.suffix).unwrap_or_default().marks | SEEN | PRESENT;
        let Write { content, origin, .. } = *write;
        self.table.set(&write.suffix, Known { content, origin, index, marks });
        self.refused.remove(&write.suffix);
        self.tally.written += 1;
    }

    /// Somebody else's value is written over.
    pub const fn overwritten(&mut self) {
        self.tally.overwritten += 1;
    }

    /// A key was not written, and will not be for the time being.
    pub fn refuse(&mut self, write: &Write, why: &str, now: Boot) {
        self.tally.refused += 1;
        let before = self.refused.get(&write.suffix);
        let attempts = before.map_or(0, |before| before.attempts).saturating_add(1);
        let pause = PAUSES.0.saturating_mul(1 << (attempts - 1).min(10)).min(PAUSES.1);
        let refused = Refused {
            why: why.to_owned(),
            since: before.map_or(now, |before| before.since),
            attempts,
            due: now.after(pause),
            content: write.content,
            origin: write.origin,
            seen: true,
            deletes: false,
            ready: false,
        };
        self.refused.insert(write.suffix.clone(), refused);
    }

    /// A key is in nobody's way any more.
    pub(super) fn forgive(&mut self, suffix: &str) {
        self.refused.remove(suffix);
    }

    /// A key was not deleted, and will not be for the time being.
    pub fn refuse_delete(&mut self, delete: &Delete, why: &str, now: Boot) {
        let suffix = delete.suffix.clone();
        self.refuse(&Write { suffix, guard: delete.guard, content: 0, origin: 0 }, why, now);
        if let Some(refused) = self.refused.get_mut(&delete.suffix) {
            refused.deletes = true;
        }
    }

    /// After the rows of the source. `complete`: each write that they asked for has been answered. Gives the number of
    /// keys that only the destination has and that would have to be deleted.
    pub fn end_source(&mut self, heading: Heading, complete: bool, now: Boot) -> u64 {
        let (table, kept, deletes) = (&mut self.table, &self.kept, self.rule.delete);
        self.refused.retain(|suffix, refused| {
            let absent = |known: Known| known.marks & SEEN == 0 && !is_kept(kept, suffix);
            refused.seen || deletes && refused.deletes && table.get(suffix).is_some_and(absent)
        });
        for refused in self.refused.values_mut() {
            // This pass is an attempt; what nobody tries will not be due all the time.
            if refused.due <= now {
                (refused.due, refused.ready) = (now.after(PAUSES.0), true);
            }
        }
        self.uncopied.0 = std::mem::take(&mut self.uncopied.1);
        (self.index, self.passed) = (heading.index, true);
        self.tally.rows = self.rows;
        if complete {
            // What was refused was not copied, nor is it known of what is younger.
            let refused = self.refused.values().filter(|refused| !refused.deletes);
            let least = refused.map(|refused| refused.origin.saturating_sub(1)).min();
            self.since = Some(least.map_or(heading.index, |least| least.min(heading.index)));
        }
        self.settle()
    }

    /// When a key that was refused is tried again.
    pub fn next_attempt(&self) -> Option<Boot> {
        self.refused.values().map(|refused| refused.due).min()
    }
}
