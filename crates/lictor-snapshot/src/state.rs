//! `state.bin`, record by record.
//!
//! A header map with the last index, then for each record one byte that says its [`Kind`] and one value in
//! MessagePack, up to the end. Nothing says how many there are or how long one is.

use std::io::{self, Read};

use crate::kind::Kind;
use crate::msgpack::{Flaw, Progress, Scan, Value};
use crate::shape;

/// What is read at once, in bytes.
const PIECE: usize = 128 * 1024;

/// What a record may have, in bytes, if nothing else is said: 64 MiB. A key's value is at most 512 KiB
/// unless the operator allowed more or it came by a chunked upload, which Consul does not limit; a command
/// that is larger than that is cut into chunks, which lie together in one record.
pub const RECORD_LIMIT: usize = 64 * 1024 * 1024;

/// Reads records as they come. What it holds is one record and a piece of 128 KiB.
#[derive(Debug)]
pub struct RecordReader<R> {
    input: R,
    limit: usize,
    buffer: Vec<u8>,
    /// The part of the buffer that holds what was not given yet.
    from: usize,
    to: usize,
    /// How much came before that part.
    offset: u64,
    last_index: u64,
    /// Bytes of the header; they count into the first record.
    header: u64,
    records: u64,
    over: bool,
    scan: Scan,
}

/// A record, borrowed from the reader.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What it is about.
    pub kind: Kind,
    /// What it takes in the file: its byte and its value, and the header for the first one.
    pub size: u64,
    /// The value in MessagePack: exactly one, which is well formed.
    pub bytes: &'a [u8],
}

/// Why a state cannot be decoded. Consul would die of restoring it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing is in it.
    #[error("the state is empty")]
    Empty,
    /// It does not begin as a state does.
    #[error("the state does not begin with a header: {0}")]
    Header(String),
    /// A record is no MessagePack.
    #[error("record {number} ({kind}, at byte {offset}) cannot be decoded: {flaw}")]
    Record {
        /// Which one, counted from 1.
        number: u64,
        /// What it is about.
        kind: Kind,
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        flaw: Flaw,
    },
    /// A record is larger than is allowed.
    #[error("record {number} ({kind}, at byte {offset}) is larger than {limit} bytes")]
    TooLarge {
        /// Which one, counted from 1.
        number: u64,
        /// What it is about.
        kind: Kind,
        /// Where it begins.
        offset: u64,
        /// What is allowed, in bytes.
        limit: usize,
    },
    /// A record is MessagePack and not what its kind is.
    #[error("record {number} ({kind}, at byte {offset}) is not what a {kind} is: {what}")]
    Shape {
        /// Which one, counted from 1.
        number: u64,
        /// What it is about.
        kind: Kind,
        /// Where it begins.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The bytes did not come.
    #[error("the state cannot be read: {0}")]
    Read(#[from] io::Error),
}

impl<R: Read> RecordReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// If there is none.
    pub fn new(input: R) -> Result<Self, Error> {
        Self::with_limit(input, RECORD_LIMIT)
    }

    /// Reads the header; no record may have more than `limit` bytes.
    ///
    /// # Errors
    /// If there is none.
    pub fn with_limit(input: R, limit: usize) -> Result<Self, Error> {
        let buffer = vec![0; PIECE];
        let mut reader = Self {
            input,
            limit,
            buffer,
            from: 0,
            to: 0,
            offset: 0,
            last_index: 0,
            header: 0,
            records: 0,
            over: false,
            scan: Scan::new(),
        };
        if !reader.fill(1)? {
            return Err(Error::Empty);
        }
        let length = match reader.find_end(0) {
            Ok(length) => length,
            Err(Stop::Flaw(flaw)) => return Err(Error::Header(flaw.to_string())),
            Err(Stop::TooLarge) => return Err(Error::Header("it is too large".to_owned())),
            Err(Stop::Read(error)) => return Err(error.into()),
        };
        let header = reader.buffer.get(..length).unwrap_or_default();
        let Ok(Value::Map(header)) = Value::read(header) else {
            return Err(Error::Header("it is not a map".to_owned()));
        };
        if header.into_iter().any(|(name, _)| !matches!(name, Value::Bytes(_))) {
            return Err(Error::Header("a field of it has no text for a name".to_owned()));
        }
        reader.last_index = header
            .get("LastIndex")
            .unsigned()
            .ok_or_else(|| Error::Header("`LastIndex` is no number".to_owned()))?;
        reader.from = length;
        reader.header = length as u64;
        Ok(reader)
    }

    /// The index up to which the state goes.
    #[must_use]
    pub fn last_index(&self) -> u64 {
        self.last_index
    }

    /// How many records were given.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// How many bytes belong to what was given.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.offset + self.from as u64
    }

    /// Gives the next record, or nothing when the state has ended where it should.
    ///
    /// Each is checked for what Consul's own decoder would stumble over: see the crate's documentation.
    ///
    /// # Errors
    /// If it cannot be decoded; then there is no going on.
    #[expect(clippy::should_implement_trait, reason = "what it gives is borrowed from it")]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, Error> {
        if self.over || !self.fill(1)? {
            self.over = true;
            return Ok(None);
        }
        // Until it is known to be whole.
        self.over = true;
        let kind = Kind::new(self.buffer.get(self.from).copied().unwrap_or_default());
        let (number, offset) = (self.records + 1, self.bytes());
        let length = self.find_end(1).map_err(|stop| match stop {
            Stop::Flaw(flaw) => Error::Record { number, kind, offset, flaw },
            Stop::TooLarge => Error::TooLarge { number, kind, offset, limit: self.limit },
            Stop::Read(error) => Error::Read(error),
        })?;
        let record = self.from + 1..self.from + length;
        let bytes = self.buffer.get(record).unwrap_or_default();
        shape::check(kind, bytes).map_err(|what| Error::Shape { number, kind, offset, what })?;
        self.from += length;
        self.records = number;
        let size = length as u64 + std::mem::take(&mut self.header);
        self.over = false;
        Ok(Some(Record { kind, size, bytes }))
    }

    /// How many bytes from the first one held go to the end of the value that begins `skip` after it. All of
    /// them are then held.
    fn find_end(&mut self, skip: usize) -> Result<usize, Stop> {
        self.scan.reset();
        let mut length = skip;
        loop {
            let piece = self.buffer.get(self.from + length..self.to).unwrap_or_default();
            match self.scan.feed(piece).map_err(Stop::Flaw)? {
                Progress::Done(more) if length + more <= self.limit.saturating_add(skip) => {
                    return Ok(length + more);
                }
                Progress::Done(_) => return Err(Stop::TooLarge),
                Progress::More(more) => length += more,
            }
            // What is announced and too large is not waited for.
            if length as u64 + self.scan.announced() > self.limit.saturating_add(skip) as u64 {
                return Err(Stop::TooLarge);
            }
            if !self.fill(self.to - self.from + 1).map_err(Stop::Read)? {
                return Err(Stop::Flaw(Flaw::Cut));
            }
        }
    }

    /// Reads until so many bytes are held; false if it ends before.
    fn fill(&mut self, wanted: usize) -> Result<bool, io::Error> {
        while self.to - self.from < wanted {
            if self.to == self.buffer.len() {
                if self.from > 0 {
                    self.buffer.copy_within(self.from..self.to, 0);
                    self.offset += self.from as u64;
                    self.to -= self.from;
                    self.from = 0;
                } else {
                    self.buffer.resize(self.buffer.len() * 2, 0);
                }
            }
            let room = self.buffer.get_mut(self.to..).unwrap_or_default();
            match self.input.read(room) {
                Ok(0) => return Ok(false),
                Ok(more) => self.to += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Why the end of a value was not found.
enum Stop {
    Flaw(Flaw),
    TooLarge,
    Read(io::Error),
}

impl<'a> Record<'a> {
    /// The value.
    #[must_use]
    pub fn value(&self) -> Value<'a> {
        // It was looked through before it was given.
        Value::of_whole(self.bytes).unwrap_or(Value::Nil)
    }

    /// The value if it is a map; most are.
    #[must_use]
    pub fn map(&self) -> Option<crate::msgpack::Map<'a>> {
        match self.value() {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::StateBuilder;

    /// Gives its bytes one at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let some = self.0.len().min(room.len()).min(1);
            self.0.read(&mut room[..some])
        }
    }

    fn kinds<R: Read>(mut reader: RecordReader<R>) -> Vec<(Kind, u64)> {
        let mut kinds = Vec::new();
        while let Some(record) = reader.next().unwrap() {
            kinds.push((record.kind, record.size));
        }
        kinds
    }

    #[test]
    fn sizes_add_up_to_the_file_and_the_header_counts_into_the_first() {
        let state = StateBuilder::new(7).kv("a", b"1").kv("b", b"2").finish();
        let kinds = kinds(RecordReader::new(&state[..]).unwrap());
        assert_eq!(kinds.iter().map(|(_, size)| size).sum::<u64>(), state.len() as u64);
        assert_eq!(kinds[0].1, kinds[1].1 + 12);
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_come() {
        let state = StateBuilder::new(7).kv("a", &[b'x'; 300]).kv("b", b"2").finish();
        assert_eq!(
            kinds(RecordReader::new(Slow(&state)).unwrap()),
            kinds(RecordReader::new(&state[..]).unwrap())
        );
    }

    #[test]
    fn a_record_larger_than_the_buffer_is_whole() {
        let value = vec![b'x'; 3 * PIECE];
        let state = StateBuilder::new(7).kv("a", b"1").kv("large", &value).kv("b", b"2").finish();
        let mut reader = RecordReader::new(&state[..]).unwrap();
        reader.next().unwrap();
        let record = reader.next().unwrap().unwrap();
        assert_eq!(record.map().unwrap().get("Value"), Value::Bytes(&value));
        assert!(reader.next().unwrap().is_some());
        assert!(reader.next().unwrap().is_none());
        assert_eq!(reader.bytes(), state.len() as u64);
    }

    #[test]
    fn a_state_that_is_cut_anywhere_but_between_two_records_is_refused() {
        let state = StateBuilder::new(7).kv("a", b"1").kv("b", b"2").finish();
        let second = kinds(RecordReader::new(&state[..]).unwrap())[0].1;
        for length in 0..state.len() {
            let read = || -> Result<(), Error> {
                let mut reader = RecordReader::new(&state[..length])?;
                while reader.next()?.is_some() {}
                Ok(())
            };
            let whole = length == 12 || length as u64 == second;
            assert_eq!(read().is_ok(), whole, "cut at {length}");
        }
    }

    #[test]
    fn a_length_that_is_a_lie_takes_no_memory() {
        let mut state = StateBuilder::new(7).finish();
        state.extend_from_slice(&[2, 0xdb, 0xff, 0xff, 0xff, 0xff]);
        let mut reader = RecordReader::new(&state[..]).unwrap();
        assert!(matches!(reader.next(), Err(Error::TooLarge { number: 1, .. })));
        assert!(reader.buffer.len() <= PIECE);
    }

    #[test]
    fn a_record_that_is_refused_is_not_counted_and_is_the_last() {
        let mut state = StateBuilder::new(7).kv("a", b"1").finish();
        state.extend_from_slice(&[2, 0xc0, 99, 0xc0]);
        let mut reader = RecordReader::new(&state[..]).unwrap();
        assert!(reader.next().unwrap().is_some());
        assert!(matches!(reader.next(), Err(Error::Shape { number: 2, .. })));
        assert_eq!((reader.records(), reader.bytes()), (1, state.len() as u64 - 4));
        assert!(reader.next().unwrap().is_none());
    }

    #[test]
    fn an_unknown_kind_is_given_like_any_other() {
        let mut state = StateBuilder::new(7).finish();
        state.extend_from_slice(&[99, 0x91, 0xc4, 1, 5]);
        assert_eq!(kinds(RecordReader::new(&state[..]).unwrap()), [(Kind::new(99), 5 + 12)]);
    }
}
