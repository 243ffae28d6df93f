//! Long lists of checks, row by row: what is held at once is one row.

use tokio::time::timeout_at;

use crate::client::deadline_in;
use crate::error::Error;
use crate::health::{Check, Health};
use crate::meta::{Answer, Meta};
use crate::query::Query;
use crate::request::Request;

impl Health<'_> {
    /// Gives every check there is to `each`, as its row of JSON, while the answer comes in; read one
    /// with [`Check::from_row`]. Nothing is asked a second time: some rows may have been given when
    /// this fails.
    ///
    /// # Errors
    /// If there is no usable answer, or `each` finds fault with a row.
    pub async fn each(
        self,
        query: &Query,
        mut each: impl FnMut(&[u8]) -> Result<(), String> + Send,
    ) -> Result<Answer<()>, Error> {
        let client = self.client();
        let request = Request::get("/v1/health/state/any").query(query, client.consistency());
        let call = &request.call;
        let (limit, most) =
            (request.held.saturating_add(client.limits().answer), client.limits().answer_bytes);
        let reading = async {
            let mut response = client.open(&request, None).await?;
            let meta = Meta::of(response.headers());
            let (mut rows, mut length) = (Rows::new(), 0_usize);
            let malformed = |reason| Error::Malformed { call: call.clone(), reason };
            while let Some(chunk) = response.chunk().await.map_err(|error| client.broken(call, error))? {
                length = length.saturating_add(chunk.len());
                if length > most {
                    return Err(Error::TooLarge { call: call.clone(), limit: most });
                }
                rows.push(&chunk, &mut each).map_err(malformed)?;
            }
            rows.end().map_err(malformed)?;
            Ok(Answer { value: (), meta })
        };
        match timeout_at(deadline_in(limit), reading).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::TimedOut { call: call.clone(), limit }),
        }
    }
}

impl Check {
    /// Reads one row that [`Health::each`] gave.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_row(row: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(row).map_err(|error| error.to_string())
    }
}

/// Takes a JSON list of objects apart, in whatever pieces it comes. `null` is an empty list.
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
    at: At,
    /// What came so far of a row that began in an earlier piece.
    begun: Vec<u8>,
}

/// Where in the list the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    /// After so many letters of `null`.
    Null(usize),
    /// Behind `[`: a row or the end.
    Open,
    /// Inside a row.
    Row {
        /// How many brackets are open.
        depth: u32,
        text: Text,
    },
    /// Behind a row: a comma or the end.
    Behind,
    /// Behind a comma: a row.
    Comma,
    End,
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
    /// Before the first byte.
    #[must_use]
    pub const fn new() -> Self {
        Self { at: At::Start, begun: Vec::new() }
    }

    /// Takes the next piece, and gives each row that ends in it.
    ///
    /// # Errors
    /// In words, if this is no list of objects, or what `each` says of a row.
    pub fn push(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        // Where in this piece the row begins that is being read.
        let mut from = 0;
        for (place, &byte) in piece.iter().enumerate() {
            let inside = matches!(self.at, At::Row { .. });
            self.at = self.at.after(byte)?;
            match (inside, self.at) {
                (false, At::Row { .. }) => from = place,
                (true, At::Behind) => {
                    let part = piece.get(from..=place).unwrap_or_default();
                    if self.begun.is_empty() {
                        each(part)?;
                    } else {
                        self.begun.extend_from_slice(part);
                        each(&self.begun)?;
                        self.begun.clear();
                    }
                }
                _ => {}
            }
        }
        if matches!(self.at, At::Row { .. }) {
            self.begun.extend_from_slice(piece.get(from..).unwrap_or_default());
        }
        Ok(())
    }

    /// Takes that there are no more pieces.
    ///
    /// # Errors
    /// If the list is not at its end.
    pub fn end(self) -> Result<(), String> {
        if self.at == At::End { Ok(()) } else { Err("the list of checks is cut off".to_owned()) }
    }
}

impl At {
    /// Where the next byte is after this one.
    fn after(self, byte: u8) -> Result<Self, String> {
        let row = Self::Row { depth: 1, text: Text::Outside };
        Ok(match (self, byte) {
            (Self::Row { depth, text }, _) => Self::in_row(depth, text, byte),
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
            (Self::Open | Self::Comma, b'{') => row,
            (Self::Behind, b',') => Self::Comma,
            (Self::Open | Self::Behind, b']') => Self::End,
            (Self::Start | Self::Null(_) | Self::Open | Self::Behind | Self::Comma | Self::End, _) => {
                return Err(format!("not a list of checks: unexpected `{}`", byte.escape_ascii()));
            }
        })
    }

    fn in_row(depth: u32, text: Text, byte: u8) -> Self {
        let (depth, text) = match (text, byte) {
            (Text::Escaped, _) | (Text::Outside, b'"') => (depth, Text::Inside),
            (Text::Inside, b'\\') => (depth, Text::Escaped),
            (Text::Inside, b'"') => (depth, Text::Outside),
            (Text::Outside, b'{' | b'[') => (depth.saturating_add(1), text),
            (Text::Outside, b'}' | b']') => (depth.saturating_sub(1), text),
            (Text::Outside | Text::Inside, _) => (depth, text),
        };
        if depth == 0 { Self::Behind } else { Self::Row { depth, text } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of a list that comes in pieces of `size` bytes.
    fn rows(list: &str, size: usize) -> Result<Vec<String>, String> {
        let (mut rows, mut seen) = (Rows::new(), Vec::new());
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
            assert!(error.starts_with("not a list of checks: unexpected `"), "{list}: {error}");
        }
        assert_eq!(whole("<html>").unwrap_err(), "not a list of checks: unexpected `<`");
    }

    #[test]
    fn a_list_that_is_cut_off_is_not_taken_for_a_short_one() {
        for list in ["", " ", "[", "nul", "[{}", "[{},", "[{\"a\":\"b", "[{\"a\":[1]"] {
            assert_eq!(whole(list).unwrap_err(), "the list of checks is cut off", "{list}");
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
