//! Records as `journalctl -o export` or `-o json` writes them, taken apart as they come in pieces.
//!
//! The export format says how long a field with odd bytes is, leaves nothing out, and costs journalctl
//! half of what its JSON costs. Whatever comes, no more is kept than what is looked at.

use memchr::{memchr, memchr2};

use super::json;
use super::record::Record;
use crate::lines::LINE;

/// Of any field but the message, bytes that are kept.
const VALUE: usize = 4 * 1024;

/// A name has at most so many bytes.
const NAME: usize = 64;

/// No field of a journal is larger; a length beyond that is none.
const LARGEST: u64 = 1 << 30;

/// Of a record in JSON, bytes.
const JSON: usize = 32 << 20;

/// What makes no sense so many times in a row comes from no journalctl.
const GARBAGE: u32 = 10;

/// A line that makes no sense and is longer comes from no journalctl.
const SKIPPED: u64 = 1 << 20;

/// Of what makes no sense, bytes that are shown.
const SHOWN: usize = 80;

/// What came is not what journalctl writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what it writes are no records of a journal: `{0}`")]
pub struct Garbage(String);

/// The fields that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Cursor,
    Realtime,
    Monotonic,
    Boot,
    Message,
    Dropped,
    Transport,
    Pid,
    Exe,
    Other,
}

impl Field {
    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"__CURSOR" => Self::Cursor,
            b"__REALTIME_TIMESTAMP" => Self::Realtime,
            b"__MONOTONIC_TIMESTAMP" => Self::Monotonic,
            b"_BOOT_ID" => Self::Boot,
            b"MESSAGE" => Self::Message,
            b"N_DROPPED" => Self::Dropped,
            b"_TRANSPORT" => Self::Transport,
            b"_PID" => Self::Pid,
            b"_EXE" => Self::Exe,
            other => {
                let fits = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
                let good = !other.is_empty() && other.len() <= NAME && other.iter().all(fits);
                return good.then_some(Self::Other);
            }
        })
    }
}

/// Where a value goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    field: Field,
    /// Whether it is kept as it is, too.
    kept: bool,
}

impl Slot {
    /// Whether anything becomes of the value.
    pub(super) fn wanted(self) -> bool {
        self.kept || self.field != Field::Other
    }
}

/// What comes next.
#[derive(Debug)]
enum State {
    /// The name of a field, or the end of the record.
    Name,
    /// The rest of a line.
    Text(Slot),
    /// The rest of a line that makes no sense, of at most so many bytes.
    Skip(u64),
    /// The length of a field, so many bytes of which are there.
    Length(Slot, [u8; 8], usize),
    /// So many bytes of a field.
    Bytes(Slot, u64),
    /// The line break after those.
    Break,
    /// The rest of a record in JSON.
    Json,
}

/// Takes a stream of records apart, which comes in pieces of any size.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    record: Record,
    /// The beginning of a name, the value of a field that is not the message, or a line of JSON.
    held: Vec<u8>,
    /// What made no sense in a row.
    garbage: u32,
    /// Whether something in this record did not.
    broken: bool,
    /// Whether there is anything of this record.
    begun: bool,
    first: Vec<u8>,
    spoilt: u64,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// One that keeps place, time and message.
    pub fn new() -> Self {
        Self::keeping(Vec::<String>::new())
    }

    /// One that keeps these fields, too, for [`Record::field`].
    pub fn keeping(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.sort();
        names.dedup();
        Self {
            state: State::Name,
            record: Record::keeping(names.into()),
            held: Vec::new(),
            garbage: 0,
            broken: false,
            begun: false,
            first: Vec::new(),
            spoilt: 0,
        }
    }

    /// Takes the next piece, and hands out each record that is whole now.
    ///
    /// # Errors
    /// When so much of it makes no sense that it comes from no journal.
    pub fn read(&mut self, mut bytes: &[u8], each: &mut impl FnMut(&Record)) -> Result<(), Garbage> {
        while !bytes.is_empty() {
            bytes = match std::mem::replace(&mut self.state, State::Name) {
                State::Name => self.name(bytes, each)?,
                State::Text(slot) => self.text(slot, bytes),
                State::Skip(most) => match split(bytes, memchr(b'\n', bytes)) {
                    Some((_, rest)) => rest,
                    None => {
                        let left = most.checked_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                        self.state = State::Skip(left.ok_or_else(|| self.shown())?);
                        &[]
                    }
                },
                State::Length(slot, length, have) => self.length(slot, length, have, bytes)?,
                State::Bytes(slot, left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let (part, rest) = bytes.split_at_checked(here).unwrap_or((bytes, &[]));
                    self.keep(slot, part);
                    let left = left.saturating_sub(u64::try_from(here).unwrap_or(u64::MAX));
                    if left == 0 {
                        self.finish(slot);
                        self.state = State::Break;
                    } else {
                        self.state = State::Bytes(slot, left);
                    }
                    rest
                }
                State::Break => match bytes.split_first() {
                    Some((b'\n', rest)) => rest,
                    // It is not known any more where a field begins.
                    _ => return Err(self.lost(bytes)),
                },
                State::Json => self.json(bytes, each)?,
            };
        }
        Ok(())
    }

    /// Hands out what is left at the end of a stream: the last record may lack its line break.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub fn end(&mut self, each: &mut impl FnMut(&Record)) -> Result<(), Garbage> {
        match self.state {
            State::Name if !self.begun && self.held.is_empty() => return Ok(()),
            State::Name | State::Text(_) | State::Skip(_) | State::Json => self.read(b"\n\n", each)?,
            State::Length(..) | State::Bytes(..) | State::Break => {}
        }
        if matches!(self.state, State::Name) && !self.begun {
            return Ok(());
        }
        self.broken = true;
        self.state = State::Name;
        self.held.clear();
        self.whole(each)
    }

    /// Records that were left out because something in them made no sense.
    pub const fn spoilt(&self) -> u64 {
        self.spoilt
    }

    fn name<'a>(&mut self, bytes: &'a [u8], each: &mut impl FnMut(&Record)) -> Result<&'a [u8], Garbage> {
        if bytes.first() == Some(&b'{') && self.held.is_empty() {
            self.state = State::Json;
            return Ok(bytes);
        }
        let Some((name, rest)) = split(bytes, memchr2(b'=', b'\n', bytes)) else {
            if self.held.len() + bytes.len() > NAME {
                self.nonsense(bytes)?;
                self.state = State::Skip(SKIPPED);
            } else {
                self.held.extend_from_slice(bytes);
            }
            return Ok(&[]);
        };
        let ends_line = bytes.get(name.len()) == Some(&b'\n');
        if ends_line && name.is_empty() && self.held.is_empty() {
            self.whole(each)?;
            return Ok(rest);
        }
        let slot = if self.held.is_empty() {
            self.slot(name)
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(name.get(..NAME).unwrap_or(name));
            let slot = self.slot(&held);
            self.held = held;
            slot
        };
        match slot {
            None => {
                // What is held has this piece already.
                let more = if self.held.is_empty() { name } else { &[] };
                self.nonsense(more)?;
                if !ends_line {
                    self.state = State::Skip(SKIPPED);
                }
            }
            Some(slot) => {
                self.held.clear();
                self.state = if ends_line { State::Length(slot, [0; 8], 0) } else { State::Text(slot) };
            }
        }
        Ok(rest)
    }

    /// Begins a field; `None` when that is not the name of one.
    pub(super) fn slot(&mut self, name: &[u8]) -> Option<Slot> {
        let field = Field::named(name)?;
        self.begun = true;
        if field == Field::Message && std::mem::replace(&mut self.record.any, true) {
            self.keep(Slot { field, kept: false }, b"\n");
        }
        let number = self.record.kept.number(name);
        Some(Slot { field, kept: number.is_some_and(|number| self.record.kept.begin(number)) })
    }

    fn text<'a>(&mut self, slot: Slot, bytes: &'a [u8]) -> &'a [u8] {
        match split(bytes, memchr(b'\n', bytes)) {
            Some((part, rest)) => {
                self.keep(slot, part);
                self.finish(slot);
                rest
            }
            None => {
                self.keep(slot, bytes);
                self.state = State::Text(slot);
                &[]
            }
        }
    }

    fn length<'a>(
        &mut self,
        slot: Slot,
        mut length: [u8; 8],
        have: usize,
        bytes: &'a [u8],
    ) -> Result<&'a [u8], Garbage> {
        let here = bytes.len().min(length.len() - have);
        let (part, rest) = bytes.split_at_checked(here).unwrap_or((bytes, &[]));
        if let Some(place) = length.get_mut(have..have + here) {
            place.copy_from_slice(part);
        }
        if have + here < length.len() {
            self.state = State::Length(slot, length, have + here);
            return Ok(rest);
        }
        match u64::from_le_bytes(length) {
            0 => {
                self.finish(slot);
                self.state = State::Break;
            }
            size if size <= LARGEST => self.state = State::Bytes(slot, size),
            _ => return Err(self.lost(bytes)),
        }
        Ok(rest)
    }

    fn json<'a>(&mut self, bytes: &'a [u8], each: &mut impl FnMut(&Record)) -> Result<&'a [u8], Garbage> {
        let (part, rest) =
            split(bytes, memchr(b'\n', bytes)).map_or((bytes, None), |(part, rest)| (part, Some(rest)));
        if self.held.len() + part.len() > JSON {
            self.nonsense(part)?;
            self.state = State::Skip(LARGEST);
            return Ok(rest.map_or(&[], |_| bytes.get(part.len()..).unwrap_or_default()));
        }
        self.held.extend_from_slice(part);
        let Some(rest) = rest else {
            self.state = State::Json;
            return Ok(&[]);
        };
        let line = std::mem::take(&mut self.held);
        self.begun = true;
        if json::read(&line, self).is_err() {
            self.held.clear();
            self.nonsense(&line)?;
        }
        self.whole(each)?;
        // Used again, so that not every record takes new memory.
        self.held = line;
        self.held.clear();
        Ok(rest)
    }

    /// Keeps a part of a field's value.
    pub(super) fn keep(&mut self, slot: Slot, part: &[u8]) {
        if slot.kept {
            self.record.kept.add(part, VALUE);
        }
        let (kept, most) = match slot.field {
            Field::Message => (&mut self.record.message, LINE),
            Field::Other => return,
            Field::Cursor
            | Field::Realtime
            | Field::Monotonic
            | Field::Boot
            | Field::Dropped
            | Field::Transport
            | Field::Pid
            | Field::Exe => (&mut self.held, VALUE),
        };
        let room = most.saturating_sub(kept.len()).min(part.len());
        kept.extend_from_slice(part.get(..room).unwrap_or_default());
        if room < part.len() {
            self.cut(slot);
        }
    }

    /// Notes that not all of a value is there.
    pub(super) fn cut(&mut self, slot: Slot) {
        self.record.cut |= slot.field == Field::Message;
    }

    pub(super) fn finish(&mut self, slot: Slot) {
        let text = std::str::from_utf8(&self.held).unwrap_or_default();
        match slot.field {
            Field::Message | Field::Other => {}
            Field::Cursor => text.clone_into(&mut self.record.cursor),
            Field::Boot => text.clone_into(&mut self.record.boot),
            Field::Realtime => self.record.realtime = text.parse().unwrap_or_default(),
            Field::Monotonic => self.record.monotonic = text.parse().unwrap_or_default(),
            Field::Dropped => self.record.dropped = text.parse().unwrap_or_default(),
            Field::Pid => self.record.pid = text.parse().unwrap_or_default(),
            Field::Transport => self.held.clone_into(&mut self.record.transport),
            Field::Exe => self.held.clone_into(&mut self.record.exe),
        }
        self.held.clear();
    }

    /// The record is whole.
    fn whole(&mut self, each: &mut impl FnMut(&Record)) -> Result<(), Garbage> {
        let good = !self.broken && !self.record.cursor.is_empty() && self.record.realtime > 0;
        if good {
            self.garbage = 0;
            // Only journald itself can say that it dropped something.
            if self.record.transport != b"driver" {
                self.record.dropped = 0;
            }
            each(&self.record);
        } else if self.broken || self.begun {
            self.spoilt += 1;
            if !self.broken {
                self.nonsense(b"a record without a cursor")?;
            }
        }
        self.broken = false;
        self.begun = false;
        self.record.clear();
        Ok(())
    }

    fn nonsense(&mut self, bytes: &[u8]) -> Result<(), Garbage> {
        if self.garbage == 0 {
            self.first.clear();
            self.held.truncate(SHOWN);
            self.first.append(&mut self.held);
            self.first.extend_from_slice(bytes.get(..SHOWN).unwrap_or(bytes));
        }
        self.held.clear();
        self.broken = true;
        self.garbage += 1;
        if self.garbage < GARBAGE { Ok(()) } else { Err(self.shown()) }
    }

    fn lost(&mut self, bytes: &[u8]) -> Garbage {
        if self.garbage == 0 {
            self.first = bytes.get(..SHOWN).unwrap_or(bytes).to_vec();
        }
        self.shown()
    }

    fn shown(&self) -> Garbage {
        let first = self.first.get(..SHOWN).unwrap_or(&self.first);
        Garbage(String::from_utf8_lossy(first).escape_debug().collect())
    }
}

/// What comes before a place and what comes after it.
fn split(bytes: &[u8], at: Option<usize>) -> Option<(&[u8], &[u8])> {
    let at = at?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

#[cfg(test)]
mod tests;
