//! Looks for many texts at once without looking at every byte.
//!
//! Of each text a window is taken, of the same width for all. Wherever a window stands, one of any so many places
//! in a row lies so far within it that all bytes of a gram there are its own. So a few bytes are read at every
//! so-manieth place only, and whether a window has these bytes anywhere is one bit of a table. The
//! wider the window, the fewer the places.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input};
use memchr::{memchr, memrchr};
use regex_syntax::hir::literal::rank;

/// Texts must have this many bytes.
pub(super) const SHORTEST: usize = 6;

/// A wider window brings nothing more.
const WIDEST: usize = 16;

/// Bits of the table, as a power of two: it should stay in the nearest cache.
const TABLE: u32 = 17;

/// Words of the table.
const WORDS: usize = 1 << (TABLE - 6);

/// Lists of what a gram may belong to, as a power of two.
const LISTS: u32 = 12;

/// Of windows and texts that a gram may belong to, so many are looked at one by one.
const CROWD: usize = 24;

/// More texts than this are told apart more slowly, and in less memory.
const AUTOMATON: usize = 1_024;

/// Makes lower case of letters, and the same of the same bytes always.
const FOLD: u64 = 0x2020_2020_2020_2020;

/// Texts, none of which contains another.
#[derive(Debug)]
pub(super) struct Grams {
    table: Box<[u64; WORDS]>,
    /// Where each list begins among the places, and where the last one ends.
    lists: Vec<u32>,
    places: Vec<Place>,
    windows: Vec<Window>,
    /// From one place that is looked at to the next.
    stride: usize,
    /// The bytes of a gram.
    mask: u64,
    fold: u64,
    texts: Vec<Vec<u8>>,
    /// Tells in a line which text it has, where that is not seen at once.
    all: AhoCorasick,
}

/// Bytes that texts have.
#[derive(Debug)]
struct Window {
    bytes: Vec<u8>,
    /// Which texts, and how far within them.
    texts: Vec<(usize, usize)>,
}

/// What is known of a place.
enum Seen {
    Nothing,
    /// A text, and where it begins.
    Text(usize, usize),
    /// It may be any of many.
    Crowd,
}

/// A gram in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    gram: u64,
    /// Bytes of the window before it.
    before: usize,
    /// The number of the window.
    window: usize,
}

impl Grams {
    /// Prepares texts of at least [`SHORTEST`] bytes; in lower case if `any_case`. `None` if there are too many.
    pub(super) fn new(texts: &[Vec<u8>], any_case: bool) -> Option<Self> {
        let width = texts.iter().map(Vec::len).min()?.min(WIDEST);
        let gram = gram_width(width);
        let stride = width.checked_sub(gram)? + 1;
        let mask = u64::MAX >> (64 - 8 * gram);
        let fold = if any_case { FOLD } else { 0 };
        let kind =
            if texts.len() <= AUTOMATON { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
        let all = AhoCorasick::builder()
            .kind(Some(kind))
            .prefilter(false)
            .ascii_case_insensitive(any_case)
            .build(texts)
            .ok()?;
        let mut grams = Self {
            table: Box::new([0; WORDS]),
            lists: Vec::new(),
            places: Vec::new(),
            windows: windows(texts, width),
            stride,
            mask,
            fold,
            texts: texts.to_vec(),
            all,
        };
        for (number, window) in grams.windows.iter().enumerate() {
            for before in 0..stride {
                let gram = grams.gram(&window.bytes, before);
                grams.places.push(Place { gram, before, window: number });
            }
        }
        grams.index();
        Some(grams)
    }

    fn index(&mut self) {
        self.places.sort_by_key(|place| (list(hash(place.gram)), *place));
        for place in &self.places {
            let (word, bit) = bit(hash(place.gram));
            if let Some(word) = self.table.get_mut(word) {
                *word |= bit;
            }
        }
        let mut counts = vec![0_u32; (1 << LISTS) + 1];
        for place in &self.places {
            if let Some(count) = counts.get_mut(list(hash(place.gram)) + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        self.lists = counts
            .into_iter()
            .map(|count| {
                sum += count;
                sum
            })
            .collect();
    }

    /// Where a text begins in the first line from `at` on that has any, and which one it is.
    pub(super) fn find(&self, text: &[u8], at: usize) -> Option<(usize, usize)> {
        let mut place = at;
        loop {
            place = self.next(text, place)?;
            match self.seen(text, at, place) {
                Seen::Nothing => place += self.stride,
                Seen::Text(number, start) => return Some((start, number)),
                Seen::Crowd => {
                    let (before, after) = text.split_at_checked(place)?;
                    let start = memrchr(b'\n', before).map_or(0, |place| place + 1).max(at);
                    let end = memchr(b'\n', after).map_or(text.len(), |length| place + length);
                    if let Some(found) = self.all.find(Input::new(text).range(start..end)) {
                        return Some((found.start(), found.pattern().as_usize()));
                    }
                    place = end;
                }
            }
        }
    }

    /// The next place from `at` on whose gram may be in a window.
    fn next(&self, text: &[u8], mut at: usize) -> Option<usize> {
        let (mask, fold, stride) = (self.mask, self.fold, self.stride);
        while let Some(bytes) = text.get(at..).and_then(<[u8]>::first_chunk) {
            if self.has((u64::from_le_bytes(*bytes) | fold) & mask) {
                return Some(at);
            }
            at += stride;
        }
        while at < text.len() {
            if self.has(self.gram(text, at)) {
                return Some(at);
            }
            at += stride;
        }
        None
    }

    #[inline]
    fn has(&self, gram: u64) -> bool {
        let (word, bit) = bit(hash(gram));
        self.table.get(word).is_some_and(|word| word & bit != 0)
    }

    /// What is at a place that may be in a window; nothing that begins before `from`.
    fn seen(&self, text: &[u8], from: usize, at: usize) -> Seen {
        let gram = self.gram(text, at);
        let list = list(hash(gram));
        let (Some(first), Some(end)) = (self.lists.get(list), self.lists.get(list + 1)) else {
            return Seen::Crowd;
        };
        let places = self.places.get(*first as usize..*end as usize).unwrap_or_default();
        let mut looked = 0;
        for place in places.iter().filter(|place| place.gram == gram) {
            let Some(start) = at.checked_sub(place.before).filter(|start| *start >= from) else { continue };
            let Some(window) = self.windows.get(place.window) else { continue };
            looked += 1;
            if self.is_at(&window.bytes, text, start) {
                for (number, within) in &window.texts {
                    looked += 1;
                    let start = start.checked_sub(*within).filter(|start| *start >= from);
                    let whole = self.texts.get(*number).zip(start);
                    if let Some((whole, start)) = whole
                        && self.is_at(whole, text, start)
                    {
                        return Seen::Text(*number, start);
                    }
                    if looked > CROWD {
                        return Seen::Crowd;
                    }
                }
            }
            if looked > CROWD {
                return Seen::Crowd;
            }
        }
        Seen::Nothing
    }

    fn is_at(&self, bytes: &[u8], text: &[u8], at: usize) -> bool {
        let there = text.get(at..at + bytes.len()).unwrap_or_default();
        if self.fold == 0 { there == bytes } else { there.eq_ignore_ascii_case(bytes) }
    }

    /// The gram at a place; zeros follow the end of the text.
    fn gram(&self, text: &[u8], at: usize) -> u64 {
        let mut bytes = [0; 8];
        for (byte, own) in bytes.iter_mut().zip(text.get(at..).unwrap_or_default()) {
            *byte = *own;
        }
        (u64::from_le_bytes(bytes) | self.fold) & self.mask
    }
}

/// Bytes of a gram: longer ones are rarer, shorter ones are at more places of a window.
const fn gram_width(width: usize) -> usize {
    match width {
        0..=7 => 4,
        8..=11 => 5,
        _ => 6,
    }
}

#[inline]
const fn hash(gram: u64) -> u64 {
    gram.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - TABLE)
}

#[inline]
const fn bit(hash: u64) -> (usize, u64) {
    ((hash >> 6) as usize, 1 << (hash & 63))
}

const fn list(hash: u64) -> usize {
    (hash >> (TABLE - LISTS)) as usize
}

/// A window of each text: one that many have, of rare bytes.
fn windows(texts: &[Vec<u8>], width: usize) -> Vec<Window> {
    let mut shared: BTreeMap<&[u8], usize> = BTreeMap::new();
    for window in texts.iter().flat_map(|text| text.windows(width)) {
        *shared.entry(window).or_default() += 1;
    }
    let worth = |window: &[u8]| {
        let rare: usize = window.iter().map(|byte| usize::from(u8::MAX - rank(*byte))).sum();
        let texts = shared.get(window).copied().unwrap_or(1);
        rare + 16 * texts.ilog2() as usize
    };
    let mut chosen: BTreeMap<&[u8], Vec<(usize, usize)>> = BTreeMap::new();
    for (number, text) in texts.iter().enumerate() {
        let best = text.windows(width).enumerate().max_by_key(|(_, window)| worth(window));
        if let Some((within, window)) = best {
            chosen.entry(window).or_default().push((number, within));
        }
    }
    chosen.into_iter().map(|(bytes, texts)| Window { bytes: bytes.to_vec(), texts }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(texts: &[&str], any_case: bool, text: &str) -> Option<(usize, usize)> {
        let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
        Grams::new(&texts, any_case).unwrap().find(text.as_bytes(), 0)
    }

    #[test]
    fn a_text_is_found_at_any_place_and_at_both_ends() {
        for before in 0..40 {
            for after in [0, 1, 7, 30] {
                let text = format!("{}out of memory{}", "-".repeat(before), "-".repeat(after));
                for texts in
                    [vec!["out of memory"], vec!["memory"], vec!["refused", "out of memory", "timeout"]]
                {
                    let place = text.find(texts[texts.len() / 2]).unwrap();
                    assert_eq!(
                        found(&texts, false, &text),
                        Some((place, texts.len() / 2)),
                        "{texts:?} {text}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_text_that_is_only_nearly_there_is_not_found() {
        assert_eq!(
            found(&["component-01 failed", "component-02 failed"], false, "component-03 failed"),
            None
        );
        assert_eq!(found(&["out of memory"], false, "out of\nmemory, Out of memory"), None);
        assert_eq!(found(&["out of memory"], true, "out of\nmemory, Out of memory"), Some((15, 0)));
        assert_eq!(found(&["memory"], false, ""), None);
        assert_eq!(found(&["memory"], false, "memor"), None);
    }

    #[test]
    fn many_texts_with_one_beginning_are_told_apart() {
        let texts: Vec<String> = (0..2_000).map(|number| format!("component-{number:04} failed")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert_eq!(found(&texts, false, "x\ncomponent-1999 failed\n"), Some((2, 1_999)));
        assert_eq!(found(&texts, false, "x\ncomponent-2000 failed\n"), None);
    }

    proptest! {
        #[test]
        fn it_finds_what_is_there(
            texts in prop::collection::btree_set("[abAB]{6,9}", 1..40),
            text in "[abAB\n]{0,200}",
            any_case in any::<bool>(),
        ) {
            let fold = |text: &str| if any_case { text.to_lowercase() } else { text.to_owned() };
            let texts: Vec<String> = texts.iter().map(|text| fold(text)).collect();
            let alone = |text: &&String| !texts.iter().any(|other| other != *text && text.contains(other.as_str()));
            let mut texts: Vec<&str> = texts.iter().filter(alone).map(String::as_str).collect();
            texts.dedup();
            let line = fold(&text).lines().position(|line| texts.iter().any(|text| line.contains(text)));
            let place = found(&texts, any_case, &text).map(|(place, number)| {
                assert!(fold(&text).get(place..).unwrap().starts_with(texts[number]));
                text.get(..place).unwrap().matches('\n').count()
            });
            prop_assert_eq!(place, line);
        }
    }
}
