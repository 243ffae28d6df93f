//! Records of a journal that was exported before, whole and with every field.
//!
//! The watcher reads what journalctl writes for it, with a few fields it asked for. Here come files
//! of any origin, large ones: so nothing is copied but the fields that a configuration asks for.

use std::io::{self, Read};

use memchr::{memchr, memchr2};

use crate::lines::LINE;

/// What is read at once, bytes.
const PIECE: usize = 256 * 1024;

/// A field in one line, or a record in JSON, has at most so many bytes; what is longer is passed over.
const LONGEST: usize = 16 << 20;

/// Of any field but the message, bytes that are kept.
const VALUE: usize = 4 * 1024;

/// No field of a journal is larger.
const LARGEST: u64 = 1 << 32;

/// The place of a field among those that are kept.
pub(super) type Slot = usize;

/// The slots that every record has.
pub(super) const TIME: Slot = 0;
pub(super) const MESSAGE: Slot = 1;

/// The fields to keep.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    names: Vec<String>,
    /// The slots of the names that are so long.
    by_length: Vec<Vec<Slot>>,
}

impl Wanted {
    pub(super) fn new() -> Self {
        let mut wanted = Self { names: Vec::new(), by_length: Vec::new() };
        wanted.slot("__REALTIME_TIMESTAMP");
        wanted.slot("MESSAGE");
        wanted
    }

    /// The slot of a field, which is kept from now on.
    pub(super) fn slot(&mut self, name: &str) -> Slot {
        if let Some(slot) = self.names.iter().position(|known| known == name) {
            return slot;
        }
        let slot = self.names.len();
        self.names.push(name.to_owned());
        if self.by_length.len() <= name.len() {
            self.by_length.resize(name.len() + 1, Vec::new());
        }
        if let Some(slots) = self.by_length.get_mut(name.len()) {
            slots.push(slot);
        }
        slot
    }

    fn find(&self, name: &[u8]) -> Option<Slot> {
        let slots = self.by_length.get(name.len())?;
        let named = |slot: &Slot| self.names.get(*slot).is_some_and(|known| known.as_bytes() == name);
        slots.iter().copied().find(named)
    }

    /// The names, for journalctl.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(|name| !name.starts_with("__"))
    }
}

/// One record, as far as it is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    data: Vec<u8>,
    /// Field by field: the slot, and where its value lies.
    fields: Vec<(Slot, usize, usize)>,
    /// The slots that have a value, one bit each.
    there: u64,
    message: Vec<u8>,
    messages: usize,
    /// When journald received it, microseconds.
    pub(super) realtime: u64,
    any: bool,
}

impl Entry {
    fn clear(&mut self) {
        self.data.clear();
        self.fields.clear();
        self.there = 0;
        self.message.clear();
        (self.messages, self.realtime, self.any) = (0, 0, false);
    }

    /// The message; several are joined by line breaks.
    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// Whether one of the values of a field is this.
    pub(super) fn is(&self, slot: Slot, value: &[u8]) -> bool {
        // Most are asked for many times and are not there.
        if self.there & bit(slot) == 0 {
            return false;
        }
        self.values(slot).any(|found| found == value)
    }

    /// The values of a field; it may have several.
    pub(super) fn values(&self, slot: Slot) -> impl Iterator<Item = &[u8]> {
        let fits = move |(found, from, to): &(Slot, usize, usize)| {
            (*found == slot).then(|| self.data.get(*from..*to)).flatten()
        };
        self.fields.iter().filter_map(fits)
    }

    /// Keeps a value, or the next part of it.
    fn keep(&mut self, slot: Slot, part: &[u8], first: bool) {
        if slot == MESSAGE {
            if first {
                self.messages += 1;
                if self.messages > 1 {
                    self.message.push(b'\n');
                }
            }
            let room = LINE.saturating_sub(self.message.len()).min(part.len());
            return self.message.extend_from_slice(part.get(..room).unwrap_or_default());
        }
        if first {
            let at = self.data.len();
            self.fields.push((slot, at, at));
            self.there |= bit(slot);
        }
        let Some((_, from, to)) = self.fields.last_mut() else { return };
        let room = VALUE.saturating_sub(*to - *from).min(part.len());
        self.data.extend_from_slice(part.get(..room).unwrap_or_default());
        *to = self.data.len();
    }

    /// The last value is whole.
    fn finish(&mut self, slot: Slot) {
        if slot == TIME {
            let text = self.values(TIME).last().and_then(|value| std::str::from_utf8(value).ok());
            self.realtime = text.and_then(|text| text.parse().ok()).unwrap_or_default();
        }
    }
}

/// The bit of a slot; the last one stands for all beyond it.
const fn bit(slot: Slot) -> u64 {
    1 << if slot < 63 { slot } else { 63 }
}

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As `journalctl -o export` does.
    Export,
    /// As `journalctl -o json` does.
    Json,
}

/// Reads one record after the other.
pub(super) struct Entries<R> {
    form: Form,
    input: R,
    buffer: Vec<u8>,
    from: usize,
    ended: bool,
    wanted: Wanted,
    entry: Entry,
    /// What made no sense: records, or lines outside of one.
    pub(super) broken: u64,
    /// Whether the end was amid a record.
    pub(super) torn: bool,
}

impl<R: Read> Entries<R> {
    /// Reads what comes after `begun`, which was read already.
    pub(super) fn new(form: Form, begun: Vec<u8>, input: R, wanted: Wanted) -> Self {
        Self {
            form,
            input,
            buffer: begun,
            from: 0,
            ended: false,
            wanted,
            entry: Entry::default(),
            broken: 0,
            torn: false,
        }
    }

    /// The record that was read last.
    pub(super) fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Reads the next record that has a time; `false` at the end.
    pub(super) fn next(&mut self) -> io::Result<bool> {
        loop {
            let there = match self.form {
                Form::Export => self.export()?,
                Form::Json => self.json()?,
            };
            if !there {
                return Ok(false);
            }
            if self.entry.realtime > 0 {
                return Ok(true);
            }
            self.broken += u64::from(self.entry.any);
        }
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.from..).unwrap_or_default()
    }

    /// Reads more; `false` at the end.
    fn more(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.from > 0 {
            self.buffer.drain(..self.from);
            self.from = 0;
        }
        let have = self.buffer.len();
        self.buffer.resize(have + PIECE, 0);
        let read = loop {
            match self.input.read(self.buffer.get_mut(have..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A compressed file that was cut off ends where it was.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.torn = true;
                    break 0;
                }
                other => break other?,
            }
        };
        self.buffer.truncate(have + read);
        self.ended = read == 0;
        Ok(read > 0)
    }

    /// The place of the next line break; `None` at the end. A line that is too long is passed over.
    fn line(&mut self) -> io::Result<Option<usize>> {
        let mut searched = 0;
        loop {
            if let Some(at) = memchr(b'\n', self.rest().get(searched..).unwrap_or_default()) {
                return Ok(Some(searched + at));
            }
            searched = self.rest().len();
            if searched > LONGEST {
                self.broken += 1;
                if !self.skip_line()? {
                    return Ok(None);
                }
                searched = 0;
            } else if !self.more()? {
                return Ok(None);
            }
        }
    }

    fn skip_line(&mut self) -> io::Result<bool> {
        loop {
            if let Some(at) = memchr(b'\n', self.rest()) {
                self.from += at + 1;
                return Ok(true);
            }
            self.from = self.buffer.len();
            if !self.more()? {
                return Ok(false);
            }
        }
    }

    fn export(&mut self) -> io::Result<bool> {
        self.entry.clear();
        loop {
            let Some(end) = self.line()? else {
                // A record ends with an empty line: one without is half written.
                let left = !self.rest().is_empty() || self.entry.any;
                self.torn |= left;
                self.from = self.buffer.len();
                return Ok(false);
            };
            let (from, to) = (self.from, self.from + end);
            self.from = to + 1;
            let line = self.buffer.get(from..to).unwrap_or_default();
            let Some(split) = memchr2(b'=', b'\n', line) else {
                if line.is_empty() {
                    if self.entry.any {
                        return Ok(true);
                    }
                } else if is_name(line) {
                    self.entry.any = true;
                    let slot = self.wanted.find(line);
                    if !self.binary(slot)? {
                        self.torn = true;
                        return Ok(false);
                    }
                } else {
                    self.broken += 1;
                }
                continue;
            };
            let (name, value) = line.split_at_checked(split).unwrap_or((line, &[]));
            match self.wanted.find(name) {
                Some(slot) => {
                    self.entry.any = true;
                    self.entry.keep(slot, value.get(1..).unwrap_or_default(), true);
                    self.entry.finish(slot);
                }
                // Not more than a glance: there are many, and nobody wants them.
                None if begins_name(name) => self.entry.any = true,
                None => self.broken += 1,
            }
        }
    }

    /// The value of a field whose length comes first; `false` at the end.
    fn binary(&mut self, slot: Option<Slot>) -> io::Result<bool> {
        while self.rest().len() < 8 {
            if !self.more()? {
                return Ok(false);
            }
        }
        let mut length = [0; 8];
        length.copy_from_slice(self.rest().get(..8).unwrap_or(&[0; 8]));
        self.from += 8;
        let mut left = u64::from_le_bytes(length);
        if left > LARGEST {
            let why = "it is no export of a journal: a field says that it has more than 4 GiB";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let mut first = true;
        loop {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.rest().len());
            if let Some(slot) = slot {
                let part = self.buffer.get(self.from..self.from + here).unwrap_or_default();
                self.entry.keep(slot, part, first);
                first = false;
            }
            self.from += here;
            left -= here as u64;
            if left == 0 {
                break;
            }
            if !self.more()? {
                return Ok(false);
            }
        }
        if let Some(slot) = slot {
            self.entry.finish(slot);
        }
        while self.rest().is_empty() {
            if !self.more()? {
                return Ok(false);
            }
        }
        if self.rest().first() == Some(&b'\n') {
            self.from += 1;
            Ok(true)
        } else {
            let why = "it is no export of a journal: a field is longer than it says";
            Err(io::Error::new(io::ErrorKind::InvalidData, why))
        }
    }

    fn json(&mut self) -> io::Result<bool> {
        self.entry.clear();
        loop {
            let end = match self.line()? {
                Some(end) => end,
                None if self.rest().is_empty() => return Ok(false),
                None => self.rest().len(),
            };
            let (from, to) = (self.from, self.from + end);
            self.from = (to + 1).min(self.buffer.len());
            let line = self.buffer.get(from..to).unwrap_or_default();
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let visitor = Fields { wanted: &self.wanted, entry: &mut self.entry };
            let mut reader = serde_json::Deserializer::from_slice(line);
            match serde::Deserializer::deserialize_map(&mut reader, visitor) {
                Ok(()) => {
                    self.entry.any = true;
                    return Ok(true);
                }
                Err(_) if self.ended && to == self.buffer.len() => {
                    self.torn = true;
                    return Ok(false);
                }
                Err(_) => {
                    self.broken += 1;
                    self.entry.clear();
                }
            }
        }
    }
}

fn begins_name(name: &[u8]) -> bool {
    matches!(name, [b'A'..=b'Z' | b'_', ..]) && !name.last().is_some_and(u8::is_ascii_lowercase)
}

/// Whether it can be the name of a field.
fn is_name(name: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    !name.is_empty() && name.len() <= 64 && name.iter().all(fits)
}

/// Takes the fields of an object.
struct Fields<'a> {
    wanted: &'a Wanted,
    entry: &'a mut Entry,
}

impl<'de> serde::de::Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a record of a journal")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.wanted.find(name.as_bytes()) {
                Some(slot) => {
                    for value in map.next_value::<Values>()?.0 {
                        self.entry.keep(slot, &value, true);
                        self.entry.finish(slot);
                    }
                }
                None => drop(map.next_value::<serde::de::IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// The values of a field in JSON: a text, the bytes of one that is not UTF-8, or several of those.
struct Values(Vec<Vec<u8>>);

impl<'de> serde::Deserialize<'de> for Values {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let mut found = Vec::new();
        match value {
            serde_json::Value::Array(items) if items.iter().all(serde_json::Value::is_u64) => {
                found.push(bytes(&items));
            }
            serde_json::Value::Array(items) => {
                found.extend(items.iter().filter_map(one));
            }
            other => found.extend(one(&other)),
        }
        Ok(Self(found))
    }
}

fn one(value: &serde_json::Value) -> Option<Vec<u8>> {
    match value {
        serde_json::Value::String(text) => Some(text.clone().into_bytes()),
        serde_json::Value::Number(number) => Some(number.to_string().into_bytes()),
        serde_json::Value::Array(items) => Some(bytes(items)),
        // What is too large for journalctl is null.
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Object(_) => None,
    }
}

fn bytes(items: &[serde_json::Value]) -> Vec<u8> {
    let byte = |item: &serde_json::Value| u8::try_from(item.as_u64()?).ok();
    items.iter().filter_map(byte).collect()
}

#[cfg(test)]
mod tests;
