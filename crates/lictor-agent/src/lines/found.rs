//! What one batch of lines brought.

use std::ops::Range;

use lictor_core::Match;
use regex_automata::PatternSet;

use super::matcher::Matcher;

/// Matches of one pattern in one batch that are told one by one; the last of them stands for
/// all that come after it, too.
const EACH: usize = 16;

/// Bytes of lines after which a batch should be handed in.
const FULL: usize = 1 << 20;

/// The matches of one batch, in order.
#[derive(Debug)]
pub struct Found {
    matches: Vec<Match>,
    /// For each pattern: how many of its matches are listed, and where the latest is.
    listed: Vec<(usize, usize)>,
    /// Lines that stand for those before them: the patterns, and where in the text they are.
    folded: Vec<Option<Range<usize>>>,
    any_folded: bool,
    bytes: usize,
    /// Lines that matched at least one pattern.
    pub(super) matched: u64,
    /// Room for one answer.
    pub(super) set: PatternSet,
}

impl Default for Found {
    fn default() -> Self {
        Self::new()
    }
}

impl Found {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            matches: Vec::new(),
            listed: Vec::new(),
            folded: Vec::new(),
            any_folded: false,
            bytes: 0,
            matched: 0,
            set: PatternSet::new(0),
        }
    }

    /// Whether nothing matched.
    pub fn is_empty(&self) -> bool {
        self.matches.is_empty()
    }

    /// Whether it is so much that it should be handed in before more is read.
    pub fn is_full(&self) -> bool {
        self.bytes >= FULL
    }

    /// How many lines matched at least one pattern.
    pub const fn lines(&self) -> u64 {
        self.matched
    }

    /// The matches; nothing is left.
    pub fn take(&mut self) -> Vec<Match> {
        self.listed.fill((0, 0));
        self.bytes = 0;
        self.matched = 0;
        std::mem::take(&mut self.matches)
    }

    pub(super) fn begin(&mut self, matcher: &Matcher) {
        if self.listed.len() != matcher.len() {
            self.listed.resize(matcher.len(), (0, 0));
            self.folded.resize(matcher.len(), None);
            self.set = PatternSet::new(matcher.len());
        }
    }

    /// Whether one more match of this pattern is one too many to be told alone.
    pub(super) fn folds(&self, number: usize) -> bool {
        self.listed.get(number).is_some_and(|(count, _)| *count >= EACH)
    }

    pub(super) fn add(&mut self, number: usize, found: Match) {
        self.bytes += weight(&found);
        if let Some((count, place)) = self.listed.get_mut(number) {
            (*count, *place) = (*count + 1, self.matches.len());
        }
        self.matches.push(found);
    }

    /// One more match, which takes the place of the latest.
    pub(super) fn fold(&mut self, number: usize, line: Range<usize>) {
        let Some((_, place)) = self.listed.get(number) else { return };
        if let Some(latest) = self.matches.get_mut(*place) {
            latest.count = latest.count.saturating_add(1);
        }
        if let Some(folded) = self.folded.get_mut(number) {
            *folded = Some(line);
            self.any_folded = true;
        }
    }

    /// Takes over the lines that stand for others, before the text goes away.
    pub(super) fn settle(&mut self, matcher: &Matcher, text: &[u8]) {
        if !std::mem::take(&mut self.any_folded) {
            return;
        }
        for (number, folded) in self.folded.iter_mut().enumerate() {
            let Some(line) = folded.take() else { continue };
            let place = self.listed.get(number).map(|(_, place)| *place);
            let latest = place.and_then(|place| self.matches.get_mut(place));
            if let (Some(latest), Some(told)) = (latest, matcher.told(number, text, line)) {
                *latest = Match { count: latest.count, ..told };
            }
        }
    }
}

fn weight(found: &Match) -> usize {
    let captured: usize = found.captures.iter().map(|(name, value)| name.len() + value.len()).sum();
    found.line.len() + captured + 64
}
