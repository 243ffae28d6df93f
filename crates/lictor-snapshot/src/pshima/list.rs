//! Lists in JSON, row by row.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::marker::PhantomData;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::Pair;

/// Tells who hands out the bytes that a row is done with.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) since: Rc<Cell<u64>>,
}

/// Gives each key of a list; how many there were.
pub(super) fn pairs(input: impl Read, row: &Row, visit: &mut impl FnMut(Pair<'_>)) -> io::Result<u64> {
    rows(input, row, |stored: Stored| {
        let value = stored.value.unwrap_or_default();
        let value =
            STANDARD.decode(value).map_err(|error| format!("the value of {:?}: {error}", stored.key))?;
        visit(Pair { key: Cow::Owned(stored.key), value, flags: stored.flags });
        Ok(())
    })
}

/// How many rows a list has, whatever they are.
pub(super) fn count(input: impl Read, row: &Row) -> io::Result<u64> {
    rows(input, row, |_: IgnoredAny| Ok(()))
}

/// A key as Go's client of Consul's API writes it.
#[derive(Deserialize)]
struct Stored {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "Value", default)]
    value: Option<String>,
    #[serde(rename = "Flags", default)]
    flags: u64,
}

fn rows<T: for<'de> Deserialize<'de>>(
    input: impl Read,
    row: &Row,
    each: impl FnMut(T) -> Result<(), String>,
) -> io::Result<u64> {
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(input));
    let count = json.deserialize_any(Rows { row, each, of: PhantomData })?;
    json.end()?;
    Ok(count)
}

struct Rows<'a, T, F> {
    row: &'a Row,
    each: F,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, F: FnMut(T) -> Result<(), String>> Visitor<'de> for Rows<'_, T, F> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    /// What Go makes of a list that was never made.
    fn visit_unit<E: de::Error>(self) -> Result<u64, E> {
        Ok(0)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut rows: A) -> Result<u64, A::Error> {
        let mut count = 0;
        while let Some(row) = rows.next_element()? {
            self.row.since.set(0);
            (self.each)(row).map_err(de::Error::custom)?;
            count += 1;
        }
        Ok(count)
    }
}
