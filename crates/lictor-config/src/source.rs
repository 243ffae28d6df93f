//! The texts a configuration was read from, and places in them.

use std::ops::Range;

/// A part of one of the texts, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    /// Which text.
    pub(crate) file: usize,
    /// First byte.
    pub(crate) start: usize,
    /// One past the last byte.
    pub(crate) end: usize,
}

impl Span {
    pub(crate) const fn new(file: usize, range: Range<usize>) -> Self {
        Self { file, start: range.start, end: range.end }
    }
}

/// What a text is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Hcl,
    Json,
}

/// One text.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) format: Format,
}

impl Source {
    /// A text; a name that ends in `.json` makes it JSON.
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let json = name.rsplit('.').next().is_some_and(|end| end.eq_ignore_ascii_case("json"));
        let format = if json && name.contains('.') { Format::Json } else { Format::Hcl };
        Self { name: name.to_owned(), text: text.to_owned(), format }
    }

    /// Line and column of a byte, both from 1; columns count characters.
    pub(crate) fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.before(offset);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
        (line, column)
    }

    fn before(&self, offset: usize) -> &str {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.get(..end).unwrap_or_default()
    }

    /// The place in the text of a byte of what a quoted text stands for. `literal` is the
    /// quoted text with its quotes. Of a heredoc it is always the start.
    pub(crate) fn inside(&self, literal: Span, offset: usize) -> usize {
        let Some(raw) = self.text.get(literal.start..literal.end).and_then(|raw| raw.strip_prefix('"'))
        else {
            return literal.start;
        };
        let mut at = literal.start + 1;
        let mut decoded = 0;
        let mut rest = raw.chars();
        while decoded < offset {
            let before = rest.as_str().len();
            decoded += match rest.next() {
                None => break,
                Some('\\') => escaped(&mut rest),
                Some(mark @ ('$' | '%')) if self.format == Format::Hcl => {
                    if rest.as_str().starts_with(mark) && rest.as_str().get(1..2) == Some("{") {
                        rest.next();
                    }
                    1
                }
                Some(plain) => plain.len_utf8(),
            };
            at += before - rest.as_str().len();
        }
        at.min(literal.end.saturating_sub(1))
    }
}

/// Reads on after a backslash and says how many bytes the escape stands for.
fn escaped(rest: &mut std::str::Chars<'_>) -> usize {
    let digits = match rest.next() {
        Some('u') => 4,
        Some('U') => 8,
        _ => return 1,
    };
    let high = hex(rest, digits);
    if (0xd800..0xdc00).contains(&high) && rest.as_str().starts_with("\\u") {
        rest.next();
        rest.next();
        hex(rest, 4);
        return 4;
    }
    char::from_u32(high).map_or(3, char::len_utf8)
}

fn hex(rest: &mut std::str::Chars<'_>, digits: usize) -> u32 {
    rest.by_ref()
        .take(digits)
        .filter_map(|c| c.to_digit(16))
        .fold(0, |sum, digit| sum.wrapping_mul(16) + digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let source = Source::new("x.hcl", "a\n\u{e9}\u{e9}b");
        assert_eq!(source.place(0), (1, 1));
        assert_eq!(source.place(2), (2, 1));
        assert_eq!(source.place(6), (2, 3));
        assert_eq!(source.place(3), (2, 1), "within a character");
        assert_eq!(source.place(99), (2, 4));
    }

    #[test]
    fn a_byte_of_a_quoted_text_is_found_behind_its_escapes() {
        let find = |name: &str, text: &str, offset| {
            let source = Source::new(name, text);
            source.inside(Span::new(0, 0..text.len()), offset)
        };
        assert_eq!(find("a.hcl", r#""abc""#, 2), 3);
        assert_eq!(find("a.hcl", r#""a\nc""#, 2), 4);
        assert_eq!(find("a.hcl", r#""$${x""#, 1), 3);
        assert_eq!(find("a.json", r#""\ud83d\ude00x""#, 4), 13);
        assert_eq!(find("a.json", r#""abc""#, 99), 4);
        assert_eq!(find("a.hcl", "<<A\nabc\nA", 2), 0);
    }
}
