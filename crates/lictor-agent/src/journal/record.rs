//! One record.

use std::ops::Range;
use std::sync::Arc;

/// One record, as far as it is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its place in the journal, in journald's words.
    pub cursor: String,
    /// When journald received it, microseconds of the wall clock.
    pub realtime: u64,
    /// The same of the clock that begins with its boot and that nobody sets; 0: it is not said.
    pub monotonic: u64,
    /// The boot it is of.
    pub boot: String,
    /// The message; several are joined by line breaks.
    pub message: Vec<u8>,
    /// Whether the message is longer than that.
    pub cut: bool,
    /// So many records were dropped before this one, which says so.
    pub dropped: u64,
    pub(crate) transport: Vec<u8>,
    /// The sender's process and program.
    pub(crate) pid: u32,
    pub(crate) exe: Vec<u8>,
    /// Whether there is a message.
    pub(crate) any: bool,
    pub(crate) kept: Kept,
}

/// The fields that were asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    names: Arc<[String]>,
    values: Vec<(usize, Range<usize>)>,
    bytes: Vec<u8>,
}

/// Values of one record that are kept.
const VALUES: usize = 64;

impl Record {
    /// One whose decoder keeps these fields.
    pub(super) fn keeping(names: Arc<[String]>) -> Self {
        Self { kept: Kept { names, ..Kept::default() }, ..Self::default() }
    }

    /// The first value of a field that the decoder was told to keep.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields(name).next()
    }

    /// All values of a field that the decoder was told to keep: there may be several.
    pub fn fields(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.kept.iter().filter_map(move |(other, value)| (other == name).then_some(value))
    }

    /// The unit that wrote it, of a user's service manager or of the system's, if the decoder keeps
    /// `_SYSTEMD_USER_UNIT` and `_SYSTEMD_UNIT`.
    pub fn unit(&self) -> Option<&str> {
        let unit = self.field("_SYSTEMD_USER_UNIT").or_else(|| self.field("_SYSTEMD_UNIT"))?;
        std::str::from_utf8(unit).ok()
    }

    /// What the sender calls itself, if the decoder keeps `SYSLOG_IDENTIFIER`.
    pub fn identifier(&self) -> Option<&str> {
        std::str::from_utf8(self.field("SYSLOG_IDENTIFIER")?).ok()
    }

    /// 0 (worst) to 7, if the decoder keeps `PRIORITY`.
    pub fn priority(&self) -> Option<u8> {
        std::str::from_utf8(self.field("PRIORITY")?).ok()?.parse().ok()
    }

    pub(super) fn clear(&mut self) {
        let Self { cursor, realtime, monotonic, boot, message, cut, dropped, transport, pid, exe, any, kept } =
            self;
        for text in [cursor, boot] {
            text.clear();
        }
        for bytes in [message, transport, exe] {
            bytes.clear();
        }
        kept.values.clear();
        kept.bytes.clear();
        (*realtime, *monotonic, *cut, *dropped, *pid, *any) = (0, 0, false, 0, 0, false);
    }
}

impl Kept {
    pub(super) fn number(&self, name: &[u8]) -> Option<usize> {
        self.names.iter().position(|other| other.as_bytes() == name)
    }

    /// Begins a value, if there is room for one more.
    pub(super) fn begin(&mut self, number: usize) -> bool {
        let room = self.values.len() < VALUES;
        if room {
            self.values.push((number, self.bytes.len()..self.bytes.len()));
        }
        room
    }

    /// Adds to the value that was begun last.
    pub(super) fn add(&mut self, part: &[u8], most: usize) {
        let Some((_, range)) = self.values.last_mut() else { return };
        let room = most.saturating_sub(range.len()).min(part.len());
        self.bytes.extend_from_slice(part.get(..room).unwrap_or_default());
        range.end = self.bytes.len();
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.values.iter().filter_map(|(number, range)| {
            Some((self.names.get(*number)?.as_str(), self.bytes.get(range.clone())?))
        })
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Kept {}
