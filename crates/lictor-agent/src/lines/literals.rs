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

/// The texts for a pattern that came out of [`within_line`]; `None` when there are none that
/// are of use.
pub(super) fn required(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    best(hir).map(|set| set.texts)
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
}

impl Set {
    fn new(texts: Vec<Vec<u8>>) -> Option<Self> {
        let fits = |text: &Vec<u8>| text.len() >= SHORTEST && !is_replaced(text);
        if texts.is_empty() || texts.len() > MOST || !texts.iter().all(fits) {
            return None;
        }
        let weakest = texts.iter().map(|text| worth(text)).min()?;
        let worth = weakest.saturating_sub(4 * (texts.len() - 1));
        Some(Self { texts, worth })
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

/// Whether it has the character that stands for bytes which are not UTF-8: the line itself
/// does not contain it.
fn is_replaced(text: &[u8]) -> bool {
    text.windows(3).any(|bytes| bytes == "\u{fffd}".as_bytes())
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
            each.and_then(|sets| Set::new(sets.into_iter().flat_map(|set| set.texts).collect()))
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
    Set::new(literals.iter().map(|literal| literal.as_bytes().to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &str) -> String {
        let hir = regex_syntax::ParserBuilder::new().multi_line(true).build().parse(pattern).unwrap();
        match required(&within_line(&hir)) {
            None => "none".to_owned(),
            Some(texts) => {
                texts.iter().map(|text| String::from_utf8_lossy(text)).collect::<Vec<_>>().join("|")
            }
        }
    }

    #[test]
    fn the_best_text_of_a_pattern_is_taken_wherever_it_stands() {
        assert_eq!(of("out of memory"), "out of memory");
        assert_eq!(of(r"^\d+ failed to start (?P<unit>\w+)\.service$"), " failed to start ");
        assert_eq!(of(r"(?:[a-z]+: )?(?:timeout|refused)\b"), "timeout|refused");
        assert_eq!(of(r"(connection reset)+ by peer"), "connection reset");
        assert_eq!(of(r"a\nb|cat"), "cat");
    }

    #[test]
    fn a_pattern_that_needs_no_text_has_none() {
        for pattern in ["", r"\d+", "a*", "x|error", "(?:error)?", r"[a-z]+", "\u{fffd}{2}"] {
            assert_eq!(of(pattern), "none", "{pattern}");
        }
    }

    #[test]
    fn a_pattern_in_any_case_has_few_alternatives() {
        let texts = of("(?i)segmentation fault");
        let count = texts.split('|').count();
        assert!((2..=8).contains(&count), "{texts}");
    }
}
