//! Stored records: bytes of any kind give a record or an error. A record that was read
//! is the same after it was written and read again.

use lictor_core as core;
use lictor_store::wire::{self, WireError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Target;

/// What the store and the mirror read.
pub(super) const TARGET: Target =
    Target { name: "wire", about: "stored rows, events and positions", dictionary: WORDS, run };

const WORDS: &[&str] = &[
    "{\"v\":1,",
    "{\"v\":2,",
    "\"v\"",
    "\"kind\":\"check\"",
    "\"kind\":\"flood\"",
    "\"kind\":\"run\"",
    "\"kind\":\"incident\"",
    "\"at\":",
    "{\"unix_ms\":0,\"boot_ms\":0}",
    "null",
    "true",
    "\"passing\"",
    "\"critical\"",
    "\"unknown\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"\"",
    "\"what\":",
    "\"incident\":",
    "\"run\":",
];

fn run(bytes: &[u8]) {
    round::<wire::Row, core::Row>(bytes, |row| row.into());
    round::<wire::Event, core::Event>(bytes, |event| event.into());
    drop(wire::decode::<wire::Made>(bytes));
    drop(wire::decode::<wire::Live>(bytes));
    drop(wire::decode::<wire::Position>(bytes));
}

/// Reads, takes into the core's type, writes that, reads it again and writes it again:
/// both times the same bytes. (Not the records are compared: one with `NaN` in it is no
/// other than itself.)
fn round<W, C>(bytes: &[u8], write: fn(&C) -> W)
where
    W: Serialize + DeserializeOwned,
    C: TryFrom<W, Error = WireError>,
{
    let read = |bytes: &[u8]| wire::decode::<W>(bytes).and_then(C::try_from);
    if let Ok(record) = read(bytes) {
        let once = wire::encode(&write(&record));
        let twice =
            once.clone().and_then(|bytes| read(&bytes)).and_then(|record| wire::encode(&write(&record)));
        assert!(once.is_ok(), "a record that was read cannot be written");
        assert_eq!(once, twice, "a record changed on its way through the store");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A corpus that is refused at its first byte tries nothing.
    #[test]
    fn every_row_and_event_of_the_corpus_is_one() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/wire");
        let (mut rows, mut events) = (0, 0);
        for entry in std::fs::read_dir(corpus).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let bytes = std::fs::read(&path).unwrap();
            if name.starts_with("row_") {
                let row = wire::decode::<wire::Row>(&bytes).and_then(core::Row::try_from);
                assert!(row.is_ok(), "{name}: {row:?}");
                rows += 1;
            } else if name.starts_with("event_") {
                let event = wire::decode::<wire::Event>(&bytes).and_then(core::Event::try_from);
                assert!(event.is_ok(), "{name}: {event:?}");
                events += 1;
            }
        }
        assert!(rows >= 5 && events >= 5, "{rows} rows and {events} events");
    }
}
