//! Lists that are too long to be held, taken apart while they come in.

use memchr::memchr2;

/// Takes a JSON list of objects, or of texts, apart, in whatever pieces it comes. `null` is an empty list.
///
/// It finds where rows begin and end, and leaves to who reads a row whether it is JSON.
///
/// ```
/// # use lictor_consul::Rows;
/// let mut rows = Rows::new();
/// let mut seen = Vec::new();
/// for piece in [&b"[{\"a\": \"]"[..], b"}\"}, ", b"{}]"] {
///     rows.push(piece, |row| Ok(seen.push(String::from_utf8_lossy(row).into_owned()))).unwrap();
/// }
/// rows.end().unwrap();
/// assert_eq!(seen, [r#"{"a": "]}"}"#, "{}"]);
/// ```
#[derive(Debug)]
pub struct Rows {
    of: Kind,
    at: At,
    /// What came so far of a row that began in an earlier piece.
    begun: Vec<u8>,
}

/// What the rows of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Objects,
    Texts,
}

/// Where in the list the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    /// After so many letters of `null`.
    Null(usize),
    /// Behind `[`: a row or the end.
    Open,
    Row(Row),
    /// Behind a row: a comma or the end.
    Behind,
    /// Behind a comma: a row.
    Comma,
    End,
}

/// Where in a row the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    /// How many brackets are open.
    depth: u32,
    text: Text,
}

/// Whether a byte of a row stands in a text, where brackets mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

const NULL: &[u8] = b"null";

impl Default for Rows {
    fn default() -> Self {
        Self::new()
    }
}

impl Rows {
    /// Before the first byte of a list of objects.
    #[must_use]
    pub const fn new() -> Self {
        Self { of: Kind::Objects, at: At::Start, begun: Vec::new() }
    }

    /// Before the first byte of a list of texts. They are given as JSON, in their quotes.
    #[must_use]
    pub const fn of_texts() -> Self {
        Self { of: Kind::Texts, at: At::Start, begun: Vec::new() }
    }

    /// Takes the next piece, and gives each row that ends in it.
    ///
    /// # Errors
    /// In words, if this is no such list, or what `each` says of a row.
    pub fn push(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut rest = piece;
        while let Some((&byte, behind)) = rest.split_first() {
            if let At::Row(row) = &mut self.at {
                let Some((part, behind)) = row.end_in(rest).and_then(|end| rest.split_at_checked(end)) else {
                    self.begun.extend_from_slice(rest);
                    break;
                };
                (self.at, rest) = (At::Behind, behind);
                if self.begun.is_empty() {
                    each(part)?;
                } else {
                    self.begun.extend_from_slice(part);
                    each(&self.begun)?;
                    self.begun.clear();
                }
            } else if matches!(self.at, At::Open | At::Comma) && byte == self.of.opening() {
                self.at = At::Row(Row { depth: 0, text: Text::Outside });
            } else {
                self.at = self.at.after(byte, self.of)?;
                rest = behind;
            }
        }
        Ok(())
    }

    /// Takes that there are no more pieces.
    ///
    /// # Errors
    /// If the list is not at its end.
    pub fn end(&self) -> Result<(), String> {
        if self.at == At::End { Ok(()) } else { Err("the list is cut off".to_owned()) }
    }

    /// How much is held of a row that has not ended yet, in bytes.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.begun.len()
    }
}

impl Kind {
    /// The byte a row begins with.
    const fn opening(self) -> u8 {
        match self {
            Self::Objects => b'{',
            Self::Texts => b'"',
        }
    }

    const fn plural(self) -> &'static str {
        match self {
            Self::Objects => "objects",
            Self::Texts => "texts",
        }
    }
}

impl At {
    /// Where the next byte is after this one, which is not in a row.
    fn after(self, byte: u8, of: Kind) -> Result<Self, String> {
        Ok(match (self, byte) {
            (
                Self::Start | Self::Open | Self::Behind | Self::Comma | Self::End,
                b' ' | b'\t' | b'\r' | b'\n',
            ) => self,
            (Self::Start, b'[') => Self::Open,
            (Self::Start, b'n') => Self::Null(1),
            (Self::Null(letters), _) if NULL.get(letters) == Some(&byte) => {
                if letters + 1 == NULL.len() {
                    Self::End
                } else {
                    Self::Null(letters + 1)
                }
            }
            (Self::Behind, b',') => Self::Comma,
            (Self::Open | Self::Behind, b']') => Self::End,
            _ => return Err(format!("not a list of {}: unexpected `{}`", of.plural(), byte.escape_ascii())),
        })
    }
}

impl Row {
    /// Goes on through this piece. How much of it is the row's, if the row ends in it.
    fn end_in(&mut self, piece: &[u8]) -> Option<usize> {
        let mut place = 0;
        loop {
            let rest = piece.get(place..)?;
            let skipped = match self.text {
                Text::Inside => memchr2(b'"', b'\\', rest)?,
                Text::Escaped => 0,
                Text::Outside => rest.iter().position(|byte| b"\"[]{}".contains(byte))?,
            };
            let byte = rest.get(skipped)?;
            place += skipped + 1;
            let closes = match (self.text, byte) {
                (Text::Inside, b'\\') => {
                    self.text = Text::Escaped;
                    false
                }
                (Text::Inside, _) => {
                    self.text = Text::Outside;
                    true
                }
                (Text::Escaped, _) | (Text::Outside, b'"') => {
                    self.text = Text::Inside;
                    false
                }
                (Text::Outside, b'[' | b'{') => {
                    self.depth = self.depth.saturating_add(1);
                    false
                }
                (Text::Outside, _) => {
                    self.depth = self.depth.saturating_sub(1);
                    true
                }
            };
            if closes && self.depth == 0 {
                return Some(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Check;

    /// The rows of a list that comes in pieces of `size` bytes.
    fn rows(list: &str, size: usize) -> Result<Vec<String>, String> {
        rows_of(Rows::new(), list, size)
    }

    fn rows_of(mut rows: Rows, list: &str, size: usize) -> Result<Vec<String>, String> {
        let mut seen = Vec::new();
        for piece in list.as_bytes().chunks(size) {
            rows.push(piece, |row| {
                seen.push(String::from_utf8_lossy(row).into_owned());
                Ok(())
            })?;
        }
        rows.end().map(|()| seen)
    }

    fn whole(list: &str) -> Result<Vec<String>, String> {
        rows(list, usize::MAX)
    }

    #[test]
    fn rows_are_the_same_however_the_list_is_cut() {
        let list = r#" [ {"a":"\"}]"} ,{"b":[{"c":{}}],"d":"ü\\"}, {} ] "#;
        let expected = [r#"{"a":"\"}]"}"#, r#"{"b":[{"c":{}}],"d":"ü\\"}"#, "{}"];
        for size in 1..=list.len() {
            assert_eq!(rows(list, size).unwrap(), expected, "in pieces of {size}");
        }
    }

    #[test]
    fn texts_are_rows_in_their_quotes_however_the_list_is_cut() {
        let list = r#" ["a/b", "", "[\"]," ,"ü\\", "\u003c{"] "#;
        let expected = [r#""a/b""#, r#""""#, r#""[\"],""#, r#""ü\\""#, r#""\u003c{""#];
        for size in 1..=list.len() {
            assert_eq!(rows_of(Rows::of_texts(), list, size).unwrap(), expected, "in pieces of {size}");
        }
        let texts = |list: &str| rows_of(Rows::of_texts(), list, usize::MAX);
        assert!(texts("[]").unwrap().is_empty() && texts("null").unwrap().is_empty());
        for list in ["[{}]", "[7]", "\"a\"", "[\"a\" \"b\"]", "[\"a\",]"] {
            assert!(texts(list).unwrap_err().starts_with("not a list of texts: unexpected `"), "{list}");
        }
        for list in ["[\"a", "[\"a\\\"", "[\"a\"", "[\"a\","] {
            assert_eq!(texts(list).unwrap_err(), "the list is cut off", "{list}");
        }
    }

    #[test]
    fn only_a_row_that_began_and_has_not_ended_is_held() {
        let mut rows = Rows::new();
        let held = |rows: &mut Rows, piece: &[u8]| {
            rows.push(piece, |_| Ok(())).unwrap();
            rows.held()
        };
        assert_eq!(held(&mut rows, b"[{\"a\":1}, {\"b"), 3);
        assert_eq!(held(&mut rows, b"b\": \"ccc"), 11);
        assert_eq!(held(&mut rows, b"\"},"), 0);
    }

    #[test]
    fn an_empty_list_has_no_rows_and_neither_has_null() {
        for list in ["[]", " [ ] ", "null", "null\n"] {
            assert!(whole(list).unwrap().is_empty() && rows(list, 1).unwrap().is_empty(), "{list:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_objects_is_refused_at_once() {
        for list in [
            "{}", "7", "\"[]\"", "[7]", "[[]]", "[null]", "[{}{}]", "[,{}]", "[{},]", "[{}] x", "nil",
            "nullx",
        ] {
            let error = whole(list).unwrap_err();
            assert!(error.starts_with("not a list of objects: unexpected `"), "{list}: {error}");
        }
        assert_eq!(whole("<html>").unwrap_err(), "not a list of objects: unexpected `<`");
    }

    #[test]
    fn a_list_that_is_cut_off_is_not_taken_for_a_short_one() {
        for list in ["", " ", "[", "nul", "[{}", "[{},", "[{\"a\":\"b", "[{\"a\":[1]"] {
            assert_eq!(whole(list).unwrap_err(), "the list is cut off", "{list}");
        }
    }

    #[test]
    fn brackets_that_do_not_match_are_for_the_reader_of_the_row_to_find() {
        let row = whole("[{\"a\":1]]").unwrap();
        assert!(Check::from_row(row[0].as_bytes()).is_err());
        let deep = format!("[{}", "{\"a\":[".repeat(100_000));
        assert!(whole(&deep).is_err());
        let deep = format!("[{}{}]", "{\"a\":".repeat(1_000), "}".repeat(1_000));
        assert!(Check::from_row(whole(&deep).unwrap()[0].as_bytes()).is_err(), "deeper than any check");
    }

    #[test]
    fn what_finds_fault_with_a_row_ends_the_list() {
        let mut rows = Rows::new();
        let mut given = 0;
        let error = rows.push(b"[{},{},{}]", |_| {
            given += 1;
            if given == 2 { Err("no".to_owned()) } else { Ok(()) }
        });
        assert_eq!((error, given), (Err("no".to_owned()), 2));
    }
}
