//! Texts of which a line must contain at least one before a pattern can match it.

use regex_syntax::hir::literal::{ExtractKind, Extractor, rank};
use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Shorter texts are in almost every line.
const SHORTEST: usize = 2;

/// A pattern with more alternatives than this is searched for as it is.
const MOST: usize = 64;

/// Of one alternative, bytes that are searched for.
const LENGTH: usize = 24;

/// Of a sequence, parts that are tried as the place where a text begins.
const PARTS: usize = 64;

/// A text that counts in any case is searched for in one way only, which needs this much of it.
const SHORTEST_FOLDED: usize = 6;

/// Letters, and what is the same in any case: the long s and the sign for kelvin.
const OTHERS: [(u8, char); 2] = [(b's', '\u{17f}'), (b'k', '\u{212a}')];

/// Sets of texts that are looked for in a line which has one of the first.
const FURTHER: usize = 2;

/// What a line must contain before a pattern can match it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Required {
    /// At least one of these, which are searched for.
    pub(super) texts: Vec<Vec<u8>>,
    /// Whether upper case is as good as lower case, in ASCII; they are in lower case then.
    pub(super) any_case: bool,
    /// And at least one of each of these, as they are.
    pub(super) further: Vec<Vec<Vec<u8>>>,
}

/// The texts for a pattern that came out of [`within_line`]; `None` when there are none that
/// are of use.
pub(super) fn required(hir: &Hir) -> Option<Required> {
    let chosen = Set::better(best(hir), folded(hir))?;
    let further = if chosen.any_case { Vec::new() } else { further(hir, &chosen) };
    Some(Required { texts: chosen.texts, any_case: chosen.any_case, further })
}

/// Sets of other parts of a sequence than that of the chosen one, the best first.
fn further(hir: &Hir, chosen: &Set) -> Vec<Vec<Vec<u8>>> {
    let HirKind::Concat(parts) = hir.kind() else { return Vec::new() };
    let mut sets: Vec<Set> = parts.iter().take(PARTS).filter_map(best).collect();
    sets.sort_by_key(|set| std::cmp::Reverse(set.worth));
    let mut taken: Vec<Vec<Vec<u8>>> = vec![chosen.texts.clone()];
    for set in sets {
        if taken.len() <= FURTHER && !taken.iter().any(|known| overlap(known, &set.texts)) {
            taken.push(set.texts);
        }
    }
    taken.remove(0);
    taken
}

/// Whether finding a text of one of them says much about a text of the other.
fn overlap(one: &[Vec<u8>], other: &[Vec<u8>]) -> bool {
    let within = |long: &[u8], short: &[u8]| memchr::memmem::find(long, short).is_some();
    one.iter().any(|one| other.iter().any(|other| within(one, other) || within(other, one)))
}

/// A pattern as it can match within one line of a larger text: it never crosses a line
/// break, and the beginning and the end of the text are those of the line. It matches wherever the
/// pattern matches the line alone, and may match in more places.
pub(super) fn within_line(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) if literal.0.contains(&b'\n') => Hir::fail(),
        HirKind::Literal(literal) => Hir::literal(literal.0.clone()),
        HirKind::Class(class) => Hir::class(without_break(class)),
        // A line may end in a carriage return, which does not count.
        HirKind::Look(Look::End | Look::EndLF | Look::EndCRLF) => Hir::look(Look::EndCRLF),
        HirKind::Look(Look::Start | Look::StartLF | Look::StartCRLF) => Hir::look(Look::StartLF),
        // Boundaries of words keep the fast engines from being used.
        HirKind::Look(_) => Hir::empty(),
        HirKind::Repetition(repetition) => {
            let mut repetition = repetition.clone();
            *repetition.sub = within_line(&repetition.sub);
            Hir::repetition(repetition)
        }
        HirKind::Capture(capture) => within_line(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(within_line).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(within_line).collect()),
    }
}

fn without_break(class: &Class) -> Class {
    use regex_syntax::hir::{ClassBytes, ClassBytesRange, ClassUnicode, ClassUnicodeRange};
    match class.clone() {
        Class::Unicode(mut class) => {
            class.difference(&ClassUnicode::new([ClassUnicodeRange::new('\n', '\n')]));
            Class::Unicode(class)
        }
        Class::Bytes(mut class) => {
            class.difference(&ClassBytes::new([ClassBytesRange::new(b'\n', b'\n')]));
            Class::Bytes(class)
        }
    }
}

/// Alternatives, and how much they are worth together.
struct Set {
    texts: Vec<Vec<u8>>,
    worth: usize,
    any_case: bool,
}

impl Set {
    fn new(texts: Vec<Vec<u8>>, any_case: bool) -> Option<Self> {
        let shortest = if any_case { SHORTEST_FOLDED } else { SHORTEST };
        let other = |text: &Vec<u8>| any_case && is_other(text);
        let fits = |text: &Vec<u8>| other(text) || (text.len() >= shortest && !is_replaced(text));
        if texts.is_empty() || texts.len() > MOST || !texts.iter().all(fits) {
            return None;
        }
        let weakest = texts.iter().filter(|text| !other(text)).map(|text| worth(text)).min()?;
        let worth = weakest.saturating_sub(4 * (texts.len() - 1));
        let worth = if any_case { worth / 4 * 3 } else { worth };
        Some(Self { texts, worth, any_case })
    }

    fn better(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(if other.worth > one.worth { other } else { one }),
            (one, other) => one.or(other),
        }
    }
}

/// A longer text of rarer bytes is found less often for nothing.
fn worth(text: &[u8]) -> usize {
    text.iter().take(12).map(|byte| 40 + usize::from(u8::MAX - rank(*byte))).sum()
}

/// Whether it has the character that stands for bytes which are not UTF-8, or what may be the beginning
/// of it: the line itself does not contain it.
fn is_replaced(text: &[u8]) -> bool {
    let whole = text.windows(3).any(|bytes| bytes == "\u{fffd}".as_bytes());
    whole || text.ends_with(b"\xef") || text.ends_with(b"\xef\xbf")
}

/// The texts in any case.
fn folded(hir: &Hir) -> Option<Set> {
    match hir.kind() {
        HirKind::Literal(_) => folded_sequence(std::slice::from_ref(hir)),
        HirKind::Repetition(repetition) if repetition.min > 0 => folded(&repetition.sub),
        HirKind::Capture(capture) => folded(&capture.sub),
        HirKind::Concat(parts) => {
            let inner = parts.iter().take(PARTS).map(|part| match part.kind() {
                HirKind::Literal(_) => None,
                _ => folded(part),
            });
            inner.fold(folded_sequence(parts), Set::better)
        }
        HirKind::Alternation(parts) => {
            let each: Option<Vec<Set>> = parts.iter().map(folded).collect();
            each.and_then(|sets| Set::new(sets.into_iter().flat_map(|set| set.texts).collect(), true))
        }
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// The best run of bytes of a sequence.
fn folded_sequence(parts: &[Hir]) -> Option<Set> {
    let (mut runs, mut run) = (Vec::new(), Vec::new());
    for part in parts {
        match part.kind() {
            HirKind::Literal(literal) => run.extend(literal.0.to_ascii_lowercase()),
            HirKind::Class(class) if let Some(letter) = letter(class) => run.push(letter),
            _ => runs.push(std::mem::take(&mut run)),
        }
    }
    runs.push(run);
    let with_others = |mut run: Vec<u8>| {
        run.truncate(LENGTH);
        // Wherever one of them stands for a letter, it is in the line.
        let others = OTHERS.iter().filter(|(letter, _)| run.contains(letter));
        let others: Vec<Vec<u8>> = others.map(|(_, other)| other.to_string().into_bytes()).collect();
        Set::new([vec![run], others].concat(), true)
    };
    runs.into_iter().map(with_others).fold(None, Set::better)
}

/// The letter of a class that is nothing but this letter in both cases, and what else Unicode takes
/// for it.
fn letter(class: &Class) -> Option<u8> {
    let Class::Unicode(class) = class else { return None };
    let (upper, lower, other) = match class.ranges() {
        [upper, lower] => (upper, lower, None),
        [upper, lower, other] => (upper, lower, Some(other)),
        _ => return None,
    };
    let single = upper.start() == upper.end() && lower.start() == lower.end();
    let pair = single && upper.start().eq_ignore_ascii_case(&lower.start());
    let letter = u8::try_from(lower.start()).ok().filter(|letter| pair && letter.is_ascii_lowercase())?;
    let known =
        other.is_none_or(|other| other.start() == other.end() && OTHERS.contains(&(letter, other.start())));
    known.then_some(letter)
}

fn is_other(text: &[u8]) -> bool {
    OTHERS.iter().any(|(_, other)| other.to_string().as_bytes() == text)
}

fn best(hir: &Hir) -> Option<Set> {
    let own = prefixes(hir);
    let inner = match hir.kind() {
        HirKind::Repetition(repetition) if repetition.min > 0 => best(&repetition.sub),
        HirKind::Capture(capture) => best(&capture.sub),
        HirKind::Concat(parts) => {
            let tail = |from: usize| parts.get(from..).unwrap_or_default().to_vec();
            let starts = 0..parts.len().min(PARTS);
            starts
                .map(|from| {
                    let inner = parts.get(from).and_then(best);
                    Set::better(prefixes(&Hir::concat(tail(from))), inner)
                })
                .fold(None, Set::better)
        }
        HirKind::Alternation(parts) => {
            let each: Option<Vec<Set>> = parts.iter().map(best).collect();
            each.and_then(|sets| Set::new(sets.into_iter().flat_map(|set| set.texts).collect(), false))
        }
        HirKind::Empty
        | HirKind::Literal(_)
        | HirKind::Class(_)
        | HirKind::Look(_)
        | HirKind::Repetition(_) => None,
    };
    Set::better(own, inner)
}

/// The texts with one of which each match begins.
fn prefixes(hir: &Hir) -> Option<Set> {
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix).limit_total(MOST).limit_literal_len(LENGTH).limit_class(10);
    let mut sequence = extractor.extract(hir);
    // Few of fair length are better than many long ones.
    for length in [12, 8, 6, 5, 4, 3] {
        if sequence.len().is_some_and(|count| count > 8) {
            sequence.keep_first_bytes(length);
            sequence.sort();
            sequence.dedup();
        }
    }
    let literals = sequence.literals()?;
    Set::new(literals.iter().map(|literal| literal.as_bytes().to_vec()).collect(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &str) -> String {
        let hir = regex_syntax::ParserBuilder::new().multi_line(true).build().parse(pattern).unwrap();
        match required(&within_line(&hir)) {
            None => "none".to_owned(),
            Some(found) => {
                let alternatives = |set: &Vec<Vec<u8>>| {
                    set.iter().map(|text| String::from_utf8_lossy(text)).collect::<Vec<_>>().join("|")
                };
                let sets = std::iter::once(&found.texts).chain(&found.further);
                let shown = sets.map(alternatives).collect::<Vec<_>>().join(" and ");
                if found.any_case { format!("in any case {shown}") } else { shown }
            }
        }
    }

    #[test]
    fn the_best_text_of_a_pattern_is_taken_wherever_it_stands() {
        assert_eq!(of("out of memory"), "out of memory");
        assert_eq!(of(r"^\d+ failed to start (?P<unit>\w+)\.service$"), " failed to start  and .service");
        assert_eq!(of(r"(?:[a-z]+: )?(?:timeout|refused)\b"), "timeout|refused");
        assert_eq!(of(r"(connection reset)+ by peer"), "connection reset and  by peer");
        assert_eq!(of(r"a\nb|cat"), "cat");
    }

    #[test]
    fn a_pattern_that_needs_no_text_has_none() {
        for pattern in ["", r"\d+", "a*", "x|error", "(?:error)?", r"[a-z]+", "\u{fffd}{2}"] {
            assert_eq!(of(pattern), "none", "{pattern}");
        }
    }

    #[test]
    fn a_pattern_in_any_case_needs_one_text_and_what_else_stands_for_its_letters() {
        assert_eq!(of("(?i)Out of Memory"), "in any case out of memory");
        assert_eq!(of("(?i)segmentation fault"), "in any case segmentation fault|\u{17f}");
        assert_eq!(of("(?i)(?:timeout|link up)+ now"), "in any case timeout|link up|\u{212a}");
        assert_eq!(of("(?i)kiosks"), "in any case kiosks|\u{17f}|\u{212a}");
    }

    #[test]
    fn what_other_parts_of_a_pattern_need_is_asked_for_later() {
        assert_eq!(of("status=5[0-9][0-9] .*request_time=[0-9]{2,}"), "request_time and status=5");
        assert_eq!(of("Failed password for [a-z]+ from"), "Failed password for  and  from");
    }

    #[test]
    fn the_beginning_of_the_sign_for_what_is_not_utf_8_is_not_searched_for() {
        for length in 1..=3 {
            let text = "\u{fffd}".as_bytes().get(..length).unwrap();
            assert!(is_replaced(&[b"disk ", text].concat()), "{length}");
        }
        assert!(!is_replaced("disk \u{e9}".as_bytes()));
    }
}
