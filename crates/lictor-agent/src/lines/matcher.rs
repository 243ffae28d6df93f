//! Which patterns match which lines, over whole buffers at once.
//!
//! Most lines match nothing, so lines are not looked at one by one. Each pattern is boiled down to
//! texts of which a matching line must contain one; all of those are searched for together, at the
//! speed of memory. Only a line with such a text is taken out and shown to the patterns.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use lictor_config::Pattern;
use lictor_core::{Captures, Match, PatternName};
use memchr::{memchr, memrchr};
use regex::{Regex, RegexBuilder};
use regex_automata::meta;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind, PatternID, PatternSet};
use regex_syntax::hir::Hir;

use super::found::Found;
use searcher::{Searcher, searchers};

/// Of a line, bytes that count: what comes after them is not looked at.
pub const LINE: usize = 64 * 1024;

/// Of a line that matched, bytes that are passed on.
const SHOWN: usize = 4 * 1024;

/// Of what a group captured, bytes that are passed on.
const VALUE: usize = 1024;

/// Groups of a pattern that are passed on.
const GROUPS: usize = 16;

/// What a set of patterns may cache while it searches, bytes.
const CACHE: usize = 4 << 20;

/// The patterns of a watcher, ready to be searched for. Never changes; built once.
#[derive(Debug)]
pub struct Matcher {
    patterns: Vec<One>,
    /// Tells which patterns match a line. `None`: each is asked.
    set: Option<meta::Regex>,
    /// Between them they find every line that a pattern can match.
    searchers: Vec<Searcher>,
}

#[derive(Debug)]
struct One {
    name: PatternName,
    /// With `^` and `$` at every line, if it is a record of several.
    regex: Regex,
    /// Its named groups.
    groups: Vec<String>,
}

impl Matcher {
    /// Prepares patterns.
    pub fn new(patterns: &[Pattern]) -> Self {
        let parsed: Option<Vec<Hir>> = patterns.iter().map(parse).collect();
        let searchers = match &parsed {
            _ if patterns.is_empty() => Vec::new(),
            Some(parsed) => searchers(parsed),
            None => vec![Searcher::EveryLine],
        };
        let set = parsed.and_then(|parsed| {
            // The line has a text already.
            let config = config().match_kind(MatchKind::All).auto_prefilter(false);
            meta::Builder::new().configure(config).build_many_from_hir(&parsed).ok()
        });
        Self { patterns: patterns.iter().map(One::new).collect(), set, searchers }
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// How many patterns there are.
    pub(super) fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Adds what matches in a text of whole lines to what was found before. Returns the bytes
    /// that did not count because they are beyond the limit of a line.
    pub fn scan(&self, text: &[u8], found: &mut Found) -> u64 {
        found.begin(self);
        if may_have_long_line(text) {
            // What matches in its beginning may not match in the whole of it.
            let lines = text.split_inclusive(|byte| *byte == b'\n');
            return lines
                .map(|line| {
                    self.record(line, found);
                    line.len().saturating_sub(LINE + 1) as u64
                })
                .sum();
        }
        if self.searchers.iter().any(Searcher::wants_characters)
            && let Err(_invalid) = std::str::from_utf8(text)
        {
            self.scan_valid(String::from_utf8_lossy(text).as_bytes(), found);
        } else {
            self.scan_valid(text, found);
        }
        0
    }

    fn scan_valid(&self, text: &[u8], found: &mut Found) {
        let mut at = 0;
        let mut hits = vec![0; self.searchers.len()];
        let mut fresh = true;
        while at < text.len() {
            let mut first = usize::MAX;
            for (searcher, hit) in self.searchers.iter().zip(&mut hits) {
                if fresh || *hit < at {
                    *hit = searcher.find(text, at).unwrap_or(usize::MAX);
                }
                first = first.min(*hit);
            }
            fresh = false;
            let Some((before, after)) = text.split_at_checked(first) else { break };
            let start = memrchr(b'\n', before).map_or(0, |place| place + 1);
            let end = memchr(b'\n', after).map_or(text.len(), |place| first + place);
            // After the last line break there is no line.
            if start < text.len() {
                self.check(text, start..end, found);
            }
            at = end + 1;
        }
        found.settle(self, text);
    }

    /// Adds what matches in one line or record to what was found before.
    pub fn record(&self, record: &[u8], found: &mut Found) {
        found.begin(self);
        self.check(record, 0..record.len(), found);
        found.settle(self, record);
    }

    /// Whether a line may match; said much faster than whether it does. A record of several lines may.
    pub fn may_match(&self, line: &[u8]) -> bool {
        let found = |searcher: &Searcher| {
            (searcher.wants_characters() && !line.is_ascii()) || searcher.find(line, 0).is_some()
        };
        // The end of a line that counts is before its `\r`.
        let odd = line.last() == Some(&b'\r') || line.len() > LINE || memchr(b'\n', line).is_some();
        odd || self.searchers.iter().any(found)
    }

    /// What matches in one message, which may have several lines: `^` and `$` are the
    /// beginning and the end of each.
    pub fn message(&self, message: &[u8]) -> Vec<Match> {
        let mut found = Found::new();
        self.record(message, &mut found);
        found.take()
    }

    /// Notes the patterns that match a line of `text`.
    fn check(&self, text: &[u8], line: Range<usize>, found: &mut Found) {
        let content = String::from_utf8_lossy(content(text, line.clone()));
        let input = Input::new(content.as_ref());
        let Found { set: matched, .. } = found;
        matched.clear();
        match &self.set {
            Some(set) => set.which_overlapping_matches(&input, matched),
            None => {
                for (number, one) in self.patterns.iter().enumerate() {
                    if one.regex.is_match(&content) {
                        matched.insert(PatternID::must(number));
                    }
                }
            }
        }
        if matched.is_empty() {
            return;
        }
        let numbers = std::mem::replace(matched, PatternSet::new(0));
        for number in numbers.iter() {
            let number = number.as_usize();
            if found.folds(number) {
                // Only the last of them will be shown.
                found.fold(number, line.clone());
            } else if let Some(one) = self.patterns.get(number) {
                found.add(number, one.told(&content));
            }
        }
        found.set = numbers;
        found.matched += 1;
    }

    /// A match of the pattern of that number in a line that it matches.
    pub(super) fn told(&self, number: usize, text: &[u8], line: Range<usize>) -> Option<Match> {
        let content = String::from_utf8_lossy(content(text, line));
        Some(self.patterns.get(number)?.told(&content))
    }
}

/// What counts of a line: no line break, nothing beyond the limit.
fn content(text: &[u8], line: Range<usize>) -> &[u8] {
    let line = text.get(line).unwrap_or_default();
    let cut = line.get(..LINE).unwrap_or(line);
    let cut = cut.strip_suffix(b"\n").unwrap_or(cut);
    cut.strip_suffix(b"\r").unwrap_or(cut)
}

/// Whether a line may be longer than what counts: such a one has no break in half of that, wherever
/// one begins to count.
fn may_have_long_line(text: &[u8]) -> bool {
    text.len() > LINE && text.chunks_exact(LINE / 2).any(|half| memchr(b'\n', half).is_none())
}

impl One {
    fn new(pattern: &Pattern) -> Self {
        let regex = RegexBuilder::new(pattern.regex.as_str()).multi_line(true).build();
        let regex = regex.unwrap_or_else(|_too_large| pattern.regex.clone());
        let groups = regex.capture_names().flatten().take(GROUPS).map(str::to_owned).collect();
        Self { name: pattern.name.clone(), regex, groups }
    }

    fn told(&self, line: &str) -> Match {
        Match {
            pattern: self.name.clone(),
            line: cut(line, SHOWN).to_owned(),
            captures: self.captures(line),
            age: Duration::ZERO,
            count: 1,
        }
    }

    fn captures(&self, line: &str) -> Captures {
        if self.groups.is_empty() {
            return Captures::default();
        }
        let Some(captures) = self.regex.captures(line) else { return Captures::default() };
        let value =
            |name: &String| Some((name.clone(), cut(captures.name(name)?.as_str(), VALUE).to_owned()));
        Arc::new(self.groups.iter().filter_map(value).collect::<BTreeMap<_, _>>())
    }
}

/// The start of a text, at most `limit` bytes, ending at a character's end.
fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}

fn parse(pattern: &Pattern) -> Option<Hir> {
    syntax::parse_with(pattern.regex.as_str(), &syntax::Config::new().multi_line(true)).ok()
}

fn config() -> meta::Config {
    // How large one pattern may be was seen to when it was read.
    meta::Config::new()
        .nfa_size_limit(None)
        .hybrid_cache_capacity(CACHE)
        .which_captures(WhichCaptures::Implicit)
}

mod grams;
mod searcher;
#[cfg(test)]
mod tests;
