//! Finds the lines that patterns may match.

use aho_corasick::{AhoCorasick, AhoCorasickKind, Span, packed};
use memchr::memmem::{Finder, find};
use memchr::{memchr, memrchr};
use regex_automata::{Input, meta};
use regex_syntax::hir::Hir;

use super::config;
use super::grams::{Grams, SHORTEST};
use crate::lines::literals::{Required, required, within_line};

/// Texts that are looked for many bytes at a time; with more, it is faster to look at fewer places.
const FEW: usize = 32;

/// Texts that one searcher looks for in that way.
const TOGETHER: usize = 64;

/// Searchers of that kind; with more, one that reads byte by byte is faster.
const SEARCHERS: usize = 6;

/// Of a text that more patterns need, it is not asked what else they need.
const OWNERS: usize = 12;

/// A line in which texts were not enough this many times is shown to the patterns all the same: it is not to be gone
/// through again and again.
const REFUSED: usize = 8;

/// More texts than this are looked for in less memory.
const AUTOMATON: usize = 1_024;

/// Finds places in lines that patterns may match.
#[derive(Debug)]
pub(super) enum Searcher {
    /// Of some of them, texts that they need.
    Texts(Texts),
    /// One of the patterns that need no particular text.
    Regex(meta::Regex),
    /// Every line may.
    EveryLine,
}

impl Searcher {
    /// A place in the first line from `at` on that may match; `at` is the beginning of a line.
    pub(super) fn find(&self, text: &[u8], at: usize) -> Option<usize> {
        match self {
            Self::Texts(texts) => texts.find(text, at),
            Self::Regex(regex) => {
                let input = Input::new(text).range(at..).earliest(true);
                regex.search_half(&input).map(|found| found.offset())
            }
            Self::EveryLine => Some(at),
        }
    }

    /// Whether it takes bytes that are not UTF-8 for no character.
    pub(super) const fn wants_characters(&self) -> bool {
        matches!(self, Self::Regex(_))
    }
}

/// Texts, none of which contains another.
#[derive(Debug)]
pub(super) struct Texts {
    search: Search,
    /// For each: what else is needed, of one pattern after the other. Nothing: the text is enough.
    needs: Vec<Vec<Need>>,
}

/// What a pattern needs besides: of each set, one text.
type Need = Vec<Vec<Finder<'static>>>;

#[derive(Debug)]
enum Search {
    /// Many bytes at a time.
    Packed(packed::Searcher),
    /// At few places.
    Grams(Grams),
    /// Byte by byte.
    Each(AhoCorasick),
}

impl Texts {
    fn new(search: Search, wanted: Vec<Wanted>) -> Self {
        let needs = wanted.into_iter().map(|wanted| {
            let all = wanted.needs.len() <= OWNERS && wanted.needs.iter().all(|need| !need.is_empty());
            if all { wanted.needs } else { Vec::new() }
        });
        Self { search, needs: needs.collect() }
    }

    fn find(&self, text: &[u8], mut at: usize) -> Option<usize> {
        let (mut end, mut refused) = (0, 0);
        loop {
            let (place, number) = self.search.find(text, at)?;
            refused = if place < end { refused + 1 } else { 0 };
            match self.lacking(text, place, number) {
                Some(line) if refused < REFUSED => end = line,
                _ => return Some(place),
            }
            // As no text contains another, none that is not yet known begins before.
            at = place + 1;
        }
    }

    /// Where the line ends, if it lacks something for each of the patterns with this text.
    fn lacking(&self, text: &[u8], place: usize, number: usize) -> Option<usize> {
        let needs = self.needs.get(number).filter(|needs| !needs.is_empty())?;
        let (before, after) = text.split_at_checked(place)?;
        let start = memrchr(b'\n', before).map_or(0, |place| place + 1);
        let end = memchr(b'\n', after).map_or(text.len(), |length| place + length);
        let line = text.get(start..end).unwrap_or_default();
        let has = |set: &Vec<Finder<'static>>| set.iter().any(|finder| finder.find(line).is_some());
        (!needs.iter().any(|need| need.iter().all(has))).then_some(end)
    }
}

impl Search {
    fn find(&self, text: &[u8], at: usize) -> Option<(usize, usize)> {
        let found = match self {
            Self::Packed(searcher) => searcher.find_in(text, Span::from(at..text.len())),
            Self::Grams(grams) => return grams.find(text, at),
            Self::Each(searcher) => searcher.find(aho_corasick::Input::new(text).range(at..)),
        };
        found.map(|found| (found.start(), found.pattern().as_usize()))
    }
}

/// Searchers which find, between them, every line that one of these patterns can match.
pub(super) fn searchers(parsed: &[Hir]) -> Vec<Searcher> {
    let (mut needed, mut rest) = (Vec::new(), Vec::new());
    for hir in parsed.iter().map(within_line) {
        match required(&hir) {
            Some(found) => needed.push(found),
            None => rest.push(hir),
        }
    }
    let mut searchers = text_searchers(&needed).unwrap_or_else(|| vec![Searcher::EveryLine]);
    if !rest.is_empty() {
        let regex = meta::Builder::new().configure(config()).build_many_from_hir(&rest);
        searchers.push(regex.map_or(Searcher::EveryLine, Searcher::Regex));
    }
    searchers
}

/// A text, and the patterns that need it.
struct Wanted {
    text: Vec<u8>,
    /// Then it is in lower case.
    any_case: bool,
    needs: Vec<Need>,
}

fn text_searchers(needed: &[Required]) -> Option<Vec<Searcher>> {
    let wanted = wanted(needed);
    let any_case = wanted.iter().any(|wanted| wanted.any_case);
    if !any_case && wanted.len() <= FEW {
        return packed_searchers(wanted);
    }
    let (mut long, mut short): (Vec<Wanted>, Vec<Wanted>) =
        wanted.into_iter().partition(|wanted| wanted.text.len() >= SHORTEST);
    if !short.is_empty() {
        // While at it, those that would let fewer places be passed over.
        let narrow = |wanted: &&Wanted| !wanted.any_case && wanted.text.len() < 2 * SHORTEST;
        let more = long.iter().take_while(narrow).count().min(FEW.saturating_sub(short.len()));
        short.extend(long.drain(..more));
    }
    let mut searchers = packed_searchers(short)?;
    if !long.is_empty() {
        let texts: Vec<Vec<u8>> = long.iter().map(|wanted| wanted.text.clone()).collect();
        let search = Search::Grams(Grams::new(&texts, any_case)?);
        searchers.push(Searcher::Texts(Texts::new(search, long)));
    }
    Some(searchers)
}

/// The texts that are enough to find the lines of all, the shortest first.
fn wanted(needed: &[Required]) -> Vec<Wanted> {
    let any_case = needed.iter().any(|needed| needed.any_case);
    let mut all = Vec::new();
    for needed in needed {
        for text in &needed.texts {
            // Grams are either all in any case or none.
            let fold = any_case && text.len() >= SHORTEST;
            all.push((if fold { text.to_ascii_lowercase() } else { text.clone() }, fold, needed));
        }
    }
    all.sort_by(|(one, ..), (other, ..)| one.len().cmp(&other.len()).then_with(|| one.cmp(other)));
    let mut kept: Vec<Wanted> = Vec::new();
    for (text, any_case, needed) in all {
        let owned = |text: &Vec<u8>| Finder::new(text).into_owned();
        let need: Need = needed.further.iter().map(|set| set.iter().map(owned).collect()).collect();
        // A line with a longer text has the shorter one, too.
        let known = |short: &&mut Wanted| (short.any_case || !any_case) && find(&text, &short.text).is_some();
        match kept.iter_mut().find(known) {
            Some(short) => {
                let itself = (!any_case && text != short.text).then(|| vec![owned(&text)]);
                short.needs.push(itself.into_iter().chain(need).collect());
            }
            None => kept.push(Wanted { text, any_case, needs: vec![need] }),
        }
    }
    kept
}

fn packed_searchers(wanted: Vec<Wanted>) -> Option<Vec<Searcher>> {
    let groups = wanted.len().div_ceil(TOGETHER);
    if groups > SEARCHERS {
        return each_searcher(wanted).map(|searcher| vec![searcher]);
    }
    let size = wanted.len().div_ceil(groups.max(1));
    let (mut searchers, mut rest) = (Vec::new(), wanted);
    while !rest.is_empty() {
        let after = rest.split_off(size.min(rest.len()));
        let group = std::mem::replace(&mut rest, after);
        let texts = group.iter().map(|wanted| &wanted.text);
        searchers.push(match packed::Config::new().builder().extend(texts).build() {
            Some(packed) => Searcher::Texts(Texts::new(Search::Packed(packed), group)),
            None => each_searcher(group)?,
        });
    }
    Some(searchers)
}

fn each_searcher(wanted: Vec<Wanted>) -> Option<Searcher> {
    let kind = if wanted.len() <= AUTOMATON { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
    let texts = wanted.iter().map(|wanted| &wanted.text);
    let each = AhoCorasick::builder().kind(Some(kind)).build(texts).ok()?;
    Some(Searcher::Texts(Texts::new(Search::Each(each), wanted)))
}
