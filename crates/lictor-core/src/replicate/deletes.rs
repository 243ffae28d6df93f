//! What is to be deleted, and what stands against it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::copier::{ABSENT, APPROVED, BLOCKED, Copier, HELD, LISTED, SEEN};
use super::rule::Limit;
use super::table::Known;
use crate::time::Boot;

/// How many of the keys that are held back are named.
const NAMED: usize = 20;

/// How far the deletes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    /// A listing did not have them; they are asked for once more after a pause.
    Waiting {
        since: Boot,
    },
}

/// What is to be done about keys that only the destination has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletes {
    /// Nothing.
    Nothing,
    /// The source is to be listed again, consistently, not before this.
    List(Boot),
    /// Each of [`Copier::to_prove`] is to be asked for, not before this.
    Prove(Boot),
}

/// A key that is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delete {
    /// What follows the prefix.
    pub suffix: String,
    /// The index at which it must have been changed last.
    pub guard: u64,
}

/// Deletes that wait for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Why.
    pub why: Hold,
    /// What they are called, by the keys that are meant.
    pub id: String,
    /// How many.
    pub keys: u64,
    /// Since when.
    pub since: Boot,
    /// The first of them, by their names at the destination.
    pub named: Vec<String>,
}

/// Why deletes wait for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The source has nothing at all.
    Empty,
    /// Too many at a time.
    Many {
        /// Keys that would be deleted.
        deletes: u64,
        /// Keys that are there.
        of: u64,
        /// What is allowed.
        limit: Limit,
    },
    /// The source's index went back: it was restored, or is another one.
    WentBack,
    /// The source left out what the token may not read.
    Filtered,
    /// This key, which the token must be able to read, is not to be seen.
    Canary(String),
}

/// What came with a listing that was asked for to be sure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Whether the source says that it left something out.
    pub filtered: bool,
    /// A key that should be readable and is not.
    pub canary: Option<String>,
}

/// The checksum of a text: FNV-1a, 64 bits.
pub(super) fn hash(text: &str) -> u64 {
    more(0xcbf2_9ce4_8422_2325, text)
}

fn more(sum: u64, text: &str) -> u64 {
    text.bytes().fold(sum, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Whether it is to be deleted, if nothing stands against it.
fn is_missing(marks: u8) -> bool {
    marks & (SEEN | HELD) == 0
}

impl Copier {
    /// Counts what only the destination has.
    pub(super) fn settle(&mut self) -> u64 {
        let missing = match self.rule.delete {
            true => self.missing().count(),
            false => 0,
        };
        if missing == 0 {
            (self.back, self.held, self.state) = (false, None, State::Idle);
        }
        (self.missing, self.asked) = (missing as u64, false);
        self.missing
    }

    /// What is to be done about keys that only the destination has. `pause`: how far apart the two answers of the source are
    /// on which a delete rests.
    pub fn deletes(&self, pause: Duration) -> Deletes {
        match self.state {
            State::Waiting { since } => Deletes::Prove(since.after(pause)),
            State::Idle if self.missing == 0 || self.asked => Deletes::Nothing,
            // What is held back need not be counted all the time.
            State::Idle => Deletes::List(match (&self.held, self.listed) {
                (Some(_), Some(listed)) => listed.after(pause),
                _ => Boot::from_millis(0),
            }),
        }
    }

    /// Before the keys of the second listing of the source.
    pub fn begin_listing(&mut self) {
        self.table.retain(|_, known| {
            known.marks &= !LISTED;
            true
        });
        self.listed_any = false;
    }

    /// A key of that listing.
    pub fn listed(&mut self, key: &str) {
        let Some(suffix) = key.strip_prefix(self.rule.source.as_str()) else { return };
        self.listed_any = true;
        if let Some(known) = self.table.get(suffix).filter(|known| is_missing(known.marks)) {
            self.table.set(suffix, Known { marks: known.marks | LISTED, ..known });
        }
    }

    /// After them. What stands against the deletes is in [`held`](Self::held).
    pub fn end_listing(&mut self, listing: &Listing, now: Boot) {
        let (mut absent, mut fresh) = (0_u64, 0_u64);
        let kept = &self.kept;
        self.table.retain(|suffix, known| {
            let gone = is_missing(known.marks) && known.marks & LISTED == 0 && !is_kept(kept, suffix);
            known.marks &= !(ABSENT | BLOCKED);
            if gone {
                known.marks |= ABSENT;
                absent += 1;
                fresh += u64::from(known.marks & APPROVED == 0);
            } else {
                known.marks &= !APPROVED;
            }
            true
        });
        (self.asked, self.listed) = (true, Some(now));
        let of = self.table.len() as u64;
        let why = if fresh == 0 {
            None
        } else if let Some(canary) = &listing.canary {
            Some(Hold::Canary(canary.clone()))
        } else if listing.filtered {
            Some(Hold::Filtered)
        } else if self.back {
            Some(Hold::WentBack)
        } else if !self.listed_any {
            Some(Hold::Empty)
        } else if self.rule.limit.is_exceeded(fresh, of) {
            Some(Hold::Many { deletes: fresh, of, limit: self.rule.limit })
        } else {
            None
        };
        let before = self.held.take();
        if let Some(why) = why {
            self.held = Some(self.hold(why, before, now));
        }
        let blocked = if self.held.is_some() { fresh } else { 0 };
        self.state = if absent > blocked { State::Waiting { since: now } } else { State::Idle };
    }

    /// Holds back what nobody has approved of.
    fn hold(&mut self, why: Hold, before: Option<Held>, now: Boot) -> Held {
        let destination = &self.rule.destination;
        let (mut sum, mut keys, mut named) =
            (more(more(hash(&self.rule.to), "\0"), destination), 0, Vec::new());
        self.table.retain(|suffix, known| {
            if known.marks & (ABSENT | APPROVED) == ABSENT {
                known.marks |= BLOCKED;
                keys += 1;
                sum = more(more(sum, suffix), "\0");
                if named.len() < NAMED {
                    named.push(format!("{destination}{suffix}"));
                }
            }
            true
        });
        let since = before.map_or(now, |before| before.since);
        // Short enough to be typed.
        let id = format!("{:08x}", (sum >> 32) ^ (sum & 0xffff_ffff));
        Held { why, id, keys, since, named }
    }

    /// What waits for a person.
    pub const fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// Has what is held back under this name deleted; `false`: nothing of that name is held back any more.
    pub fn approve(&mut self, id: &str) -> bool {
        if self.held.as_ref().is_none_or(|held| held.id != id) {
            return false;
        }
        self.table.retain(|_, known| {
            if known.marks & BLOCKED != 0 {
                known.marks = known.marks & !BLOCKED | APPROVED;
            }
            true
        });
        (self.held, self.back, self.asked) = (None, false, false);
        true
    }

    /// Has what is held back under this name stay, until the source has it again.
    pub fn discard(&mut self, id: &str) -> bool {
        if self.held.as_ref().is_none_or(|held| held.id != id) {
            return false;
        }
        let kept = &mut self.kept;
        self.table.retain(|suffix, known| {
            if known.marks & BLOCKED != 0 {
                known.marks &= !BLOCKED;
                kept.insert(hash(suffix));
            }
            true
        });
        (self.held, self.back) = (None, false);
        self.settle();
        true
    }

    /// Checksums of keys that stay although the source does not have them.
    pub fn kept(&self) -> impl Iterator<Item = u64> {
        self.kept.iter().copied()
    }

    /// Has these stay, as [`kept`](Self::kept) gave them before.
    pub fn keep(&mut self, kept: impl IntoIterator<Item = u64>) {
        self.kept.extend(kept);
    }

    /// Keys for which the source is to be asked once more, each by its name; by what follows the prefix.
    pub fn to_prove(&self, now: Boot) -> Vec<String> {
        let absent = |marks: u8| marks & ABSENT != 0 && marks & BLOCKED == 0 && is_missing(marks);
        let waits = |suffix: &str| {
            self.refused()
                .get(suffix)
                .is_some_and(|refused| refused.deletes && !refused.ready && now < refused.due)
        };
        let due = self.table.iter().filter(|(suffix, known)| absent(known.marks) && !waits(suffix));
        due.map(|(suffix, _)| suffix.to_owned()).collect()
    }

    /// What the source said of one of them: whether it is not there. Gives the delete that rests on it.
    pub fn proven(&mut self, suffix: &str, absent: bool) -> Option<Delete> {
        let known = self.table.get(suffix)?;
        let due = known.marks & ABSENT != 0 && known.marks & BLOCKED == 0 && is_missing(known.marks);
        if absent && due {
            return Some(Delete { suffix: suffix.to_owned(), guard: known.index });
        }
        self.table.set(suffix, Known { marks: known.marks & !(ABSENT | APPROVED), ..known });
        None
    }

    /// A key was deleted.
    pub fn deleted(&mut self, delete: &Delete) {
        self.table.remove(&delete.suffix);
        self.forgive(&delete.suffix);
        self.tally.deleted += 1;
    }

    /// All of them were asked for, or, if not `complete`, as many as could be.
    pub fn end_proof(&mut self, complete: bool) {
        self.state = State::Idle;
        self.asked &= complete;
        self.missing = self.missing().count() as u64;
    }

    fn missing(&self) -> impl Iterator<Item = &str> {
        let missing =
            |(suffix, known): &(&str, Known)| is_missing(known.marks) && !is_kept(&self.kept, suffix);
        self.table.iter().filter(missing).map(|(suffix, _)| suffix)
    }
}

pub(super) fn is_kept(kept: &BTreeSet<u64>, suffix: &str) -> bool {
    !kept.is_empty() && kept.contains(&hash(suffix))
}
