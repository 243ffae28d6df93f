//! Long lists of keys, row by row, as fast as their reader wants them.

use std::borrow::Cow;

use serde::Deserialize;

use crate::error::Error;
use crate::kv::{ABSENT, Kv, PATH};
use crate::listing::Listing;
use crate::meta::{Index, Meta};
use crate::query::Query;
use crate::request::{Request, fits_in_path};
use crate::rows::Rows;
use crate::wire;

/// A key and its value as they stand in a list, borrowed from it as far as they can be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PairRow<'a> {
    /// The key.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    /// The value in base64, unchecked: see [`Encoded`](crate::Encoded). Empty if it is.
    #[serde(borrow, default, deserialize_with = "wire::text")]
    pub value: Cow<'a, str>,
    /// A number that goes with the value and means what its writer wants.
    #[serde(default)]
    pub flags: u64,
    /// The session that holds the key.
    #[serde(borrow, default, deserialize_with = "wire::optional_text")]
    pub session: Option<Cow<'a, str>>,
    /// How often the key was acquired.
    #[serde(default)]
    pub lock_index: u64,
    /// When the key was made.
    #[serde(default)]
    pub create_index: Index,
    /// When the key was last changed.
    pub modify_index: Index,
}

/// A list of pairs on its way. See [`Kv::rows`].
#[derive(Debug)]
pub struct PairRows(Listing);

/// A list of names on its way. See [`Kv::key_rows`].
#[derive(Debug)]
pub struct KeyRows(Listing);

impl Kv<'_> {
    /// All keys that begin with `prefix`, with their values, in the order of their bytes; an empty prefix
    /// is of all keys. As soon as the answer's head is there, this gives what then brings the rows.
    ///
    /// The list may be of any length: what is held is one row of at most
    /// [`Limits::answer_bytes`](crate::Limits), and a piece of some 100 KiB. A reader that takes its time
    /// makes the server wait. [`Limits::answer`](crate::Limits) is for the head (while blocking, on top of the wait)
    /// and then for each piece, not for the whole.
    ///
    /// A list is no proof that there is nothing else: what the token may not read is left out.
    ///
    /// # Errors
    /// If no usable answer began; [`Error::Invalid`], before anything is sent, if the prefix
    /// [has no path](Self::has_path).
    pub async fn rows(self, prefix: &str, query: &Query) -> Result<PairRows, Error> {
        self.stream(prefix, query, "recurse", Rows::new()).await.map(PairRows)
    }

    /// The names of all keys that begin with `prefix`; otherwise as [`rows`](Self::rows).
    ///
    /// # Errors
    /// As [`rows`](Self::rows).
    pub async fn key_rows(self, prefix: &str, query: &Query) -> Result<KeyRows, Error> {
        self.stream(prefix, query, "keys", Rows::of_texts()).await.map(KeyRows)
    }

    /// Whether a prefix has a path, so that it can be waited for and listed row by row.
    #[must_use]
    pub fn has_path(prefix: &str) -> bool {
        prefix.is_empty() || fits_in_path(prefix)
    }

    async fn stream(
        self,
        prefix: &str,
        query: &Query,
        what: &'static str,
        rows: Rows,
    ) -> Result<Listing, Error> {
        let client = self.client();
        let request = Request::get(PATH).key(prefix).accepts(ABSENT).query(query, client.consistency());
        client.list(request.switch(what), rows).await
    }
}

impl PairRows {
    /// What came with the list.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        self.0.meta()
    }

    /// Waits for the next piece of the list and gives every row that ends in it, which may be none, to
    /// `each`. False when the list is over: only then was it whole.
    ///
    /// It may be dropped while it waits, and called again.
    ///
    /// # Errors
    /// If the answer breaks off, makes no sense or nothing came for too long. There is no going on: what
    /// was given so far is a part.
    pub async fn next(&mut self, mut each: impl FnMut(PairRow<'_>)) -> Result<bool, Error> {
        let read = |row: &[u8]| {
            each(serde_json::from_slice(row).map_err(|error| error.to_string())?);
            Ok(())
        };
        self.0.next(read).await
    }
}

impl KeyRows {
    /// What came with the list.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        self.0.meta()
    }

    /// Waits for the next piece of the list; otherwise as [`PairRows::next`].
    ///
    /// # Errors
    /// As [`PairRows::next`].
    pub async fn next(&mut self, mut each: impl FnMut(&str)) -> Result<bool, Error> {
        let read = |row: &[u8]| {
            let mut json = serde_json::Deserializer::from_slice(row);
            each(&wire::text(&mut json).map_err(|error| error.to_string())?);
            Ok(())
        };
        self.0.next(read).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(json: &str) -> Result<PairRow<'_>, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn an_ordinary_row_is_borrowed() {
        let row = row(concat!(
            r#"{"LockIndex":2,"Key":"a/ü","Flags":18446744073709551615,"Value":"aGk=","#,
            r#""Session":"s-1","CreateIndex":7,"ModifyIndex":9}"#
        ))
        .unwrap();
        assert!(matches!(row.key, Cow::Borrowed("a/ü")));
        assert!(matches!(row.value, Cow::Borrowed("aGk=")));
        assert!(matches!(row.session, Some(Cow::Borrowed("s-1"))));
        assert_eq!((row.flags, row.lock_index), (u64::MAX, 2));
        assert_eq!((row.create_index, row.modify_index), (Index(7), Index(9)));
    }

    #[test]
    fn what_is_escaped_or_missing_is_read_as_well() {
        let row =
            row(r#"{"Key":"a\u003c\"","Value":null,"Session":null,"New":[{}],"ModifyIndex":1}"#).unwrap();
        assert_eq!((&*row.key, &*row.value, row.session), ("a<\"", "", None));
        let row = self::row(r#"{"Key":"a","Session":"","ModifyIndex":1}"#).unwrap();
        assert_eq!((&*row.value, row.session), ("", None));
    }

    #[test]
    fn a_row_without_its_key_or_index_is_none() {
        for json in [
            "{}",
            r#"{"Key":"a"}"#,
            r#"{"ModifyIndex":1}"#,
            r#"{"Key":null,"ModifyIndex":1}"#,
            r#"{"Key":"a","Value":7,"ModifyIndex":1}"#,
            r#"{"Key":"a","Session":7,"ModifyIndex":1}"#,
            r#"{"Key":"a","ModifyIndex":-1}"#,
            r#"{"Key":"a","ModifyIndex":1]"#,
        ] {
            assert!(row(json).is_err(), "{json}");
        }
    }
}
