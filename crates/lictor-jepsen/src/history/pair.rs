//! Entries become calls: each beginning with its end.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::reader::{self, Format, ReadError};
use super::{Kind, Op, Process, text};

/// A history that is well formed.
///
/// Indexes grow and times do not step back; a process has at most one call open and none after one whose outcome
/// nobody knows; an end belongs to the beginning before it.
#[derive(Clone, Debug, Default)]
pub struct History {
    ops: Vec<Op>,
    calls: Vec<Call>,
    windows: Vec<Window>,
}

/// A call of a client: positions of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Of its beginning.
    pub invoke: usize,
    /// Of its end; none if the history ends before it, which is as good as [`Kind::Info`].
    pub end: Option<usize>,
}

/// A fault of the nemesis: from the first `start-X` to the last entry of the `stop-X` behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// What was done: `partition` of `start-partition`.
    pub fault: String,
    /// When it began, in nanoseconds.
    pub begin: u64,
    /// When it had ended; none if it never did.
    pub end: Option<u64>,
}

/// Entries do not make a history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The order is not one.
    #[error("entry {index} stands behind entry {before}: indexes have to grow")]
    Order {
        /// The entry.
        index: u64,
        /// The one before it.
        before: u64,
    },
    /// The clock stepped back.
    #[error("entry {index} is of {time} ns, the one before it of {before} ns: time has to go forward")]
    Time {
        /// The entry.
        index: u64,
        /// Its time.
        time: u64,
        /// The time of the one before it.
        before: u64,
    },
    /// A process does two things at a time.
    #[error("entry {index}: process {process} begins `{f}` while its call of entry {open} is open")]
    Busy {
        /// The entry.
        index: u64,
        /// Whose it is.
        process: Process,
        /// What it begins.
        f: String,
        /// What it has not ended.
        open: u64,
    },
    /// A process goes on although nobody knows what came of its last call.
    #[error(
        "entry {index}: process {process} goes on after an outcome that nobody knows: it has to go on under another number"
    )]
    Retired {
        /// The entry.
        index: u64,
        /// Whose it is.
        process: Process,
    },
    /// A call ends that was not begun.
    #[error("entry {index}: process {process} ends `{f}`, and has begun nothing")]
    Unbegun {
        /// The entry.
        index: u64,
        /// Whose it is.
        process: Process,
        /// What it ends.
        f: String,
    },
    /// A call ends as another one than it began.
    #[error("entry {index}: process {process} ends {end}, but entry {open} began {begin}")]
    Mismatch {
        /// The entry.
        index: u64,
        /// Whose it is.
        process: Process,
        /// What it ends, with its key.
        end: String,
        /// Its beginning.
        open: u64,
        /// What was begun, with its key.
        begin: String,
    },
}

/// A history cannot be had of a text.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not well formed.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl History {
    /// Pairs the entries.
    ///
    /// # Errors
    /// If they are not well formed.
    pub fn new(ops: Vec<Op>) -> Result<Self, Malformed> {
        let mut calls: Vec<Call> = Vec::with_capacity(ops.len() / 2);
        let mut open: HashMap<Process, usize> = HashMap::new();
        let mut retired = HashSet::new();
        for (position, op) in ops.iter().enumerate() {
            if let Some(before) = position.checked_sub(1).and_then(|before| ops.get(before)) {
                follows(before, op)?;
            }
            if op.process == Process::Nemesis {
                continue;
            }
            let (index, process) = (op.index, op.process);
            if retired.contains(&process) {
                return Err(Malformed::Retired { index, process });
            }
            if op.kind == Kind::Invoke {
                if let Some(call) = open.insert(process, calls.len()) {
                    let open = calls.get(call).and_then(|call| ops.get(call.invoke)).map_or(0, |op| op.index);
                    return Err(Malformed::Busy { index, process, f: op.f.clone(), open });
                }
                calls.push(Call { invoke: position, end: None });
                continue;
            }
            let call = open.remove(&process).and_then(|call| calls.get_mut(call));
            let Some(call) = call else {
                return Err(Malformed::Unbegun { index, process, f: op.f.clone() });
            };
            if let Some(invoke) = ops.get(call.invoke) {
                belongs(invoke, op)?;
            }
            call.end = Some(position);
            if op.kind == Kind::Info {
                retired.insert(process);
            }
        }
        let windows = windows(&ops);
        Ok(Self { ops, calls, windows })
    }

    /// Of a text.
    ///
    /// # Errors
    /// If it cannot be read, or is not well formed.
    pub fn parse(text: &str, format: Format) -> Result<Self, HistoryError> {
        Ok(Self::new(reader::read(text, format)?)?)
    }

    /// Of a file, whose name says the format.
    ///
    /// # Errors
    /// If it cannot be read, or is not well formed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, HistoryError> {
        Ok(Self::new(reader::read_path(path)?)?)
    }

    /// All entries, in their order.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// All calls of clients, in the order of their beginnings.
    #[must_use]
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// All faults, in the order of their beginnings.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The entry that begins a call.
    #[must_use]
    pub fn invoke(&self, call: &Call) -> &Op {
        &self.ops[call.invoke]
    }

    /// The entry that ends a call.
    #[must_use]
    pub fn end(&self, call: &Call) -> Option<&Op> {
        call.end.map(|end| &self.ops[end])
    }

    /// What came of a call. One without an end is not known.
    #[must_use]
    pub fn outcome(&self, call: &Call) -> Kind {
        self.end(call).map_or(Kind::Info, |end| end.kind)
    }

    /// How long the run took, in nanoseconds.
    #[must_use]
    pub fn duration(&self) -> u64 {
        self.ops.last().map_or(0, |op| op.time)
    }

    /// As text: a line for each entry.
    #[must_use]
    pub fn render(&self, format: Format) -> String {
        let mut out = String::new();
        for op in &self.ops {
            text::put(&mut out, op, format);
            out.push('\n');
        }
        out
    }
}

impl Window {
    /// Whether it is in force at a time, in nanoseconds.
    #[must_use]
    pub fn covers(&self, time: u64) -> bool {
        self.begin <= time && self.end.is_none_or(|end| time <= end)
    }
}

fn follows(before: &Op, op: &Op) -> Result<(), Malformed> {
    if op.index <= before.index {
        return Err(Malformed::Order { index: op.index, before: before.index });
    }
    if op.time < before.time {
        return Err(Malformed::Time { index: op.index, time: op.time, before: before.time });
    }
    Ok(())
}

fn belongs(invoke: &Op, end: &Op) -> Result<(), Malformed> {
    if invoke.f == end.f && invoke.key == end.key {
        return Ok(());
    }
    let named = |op: &Op| op.key.as_ref().map_or_else(|| op.f.clone(), |key| format!("{} {key}", op.f));
    Err(Malformed::Mismatch {
        index: end.index,
        process: end.process,
        end: named(end),
        open: invoke.index,
        begin: named(invoke),
    })
}

/// The faults. The first entry of a `start-` opens one and the last of a `stop-` closes it: it may be in force from
/// before the first to after the last. A `heal` closes all, and so does a second entry of the same one.
fn windows(ops: &[Op]) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    // What was stopped may be stopped once more, by the second entry of the same `stop-`.
    let mut current: HashMap<&str, usize> = HashMap::new();
    let mut stopped: HashSet<&str> = HashSet::new();
    let mut healed: HashSet<&str> = HashSet::new();
    for op in ops.iter().filter(|op| op.process == Process::Nemesis) {
        if op.f == "heal" {
            let open = current.iter().filter(|(fault, _)| !stopped.contains(*fault));
            for (fault, window) in open {
                if let Some(window) = windows.get_mut(*window) {
                    window.end = Some(op.time);
                }
                healed.insert(fault);
            }
            continue;
        }
        stopped.extend(healed.drain());
        if let Some(fault) = op.f.strip_prefix("start-") {
            if stopped.remove(fault) || !current.contains_key(fault) {
                current.insert(fault, windows.len());
                windows.push(Window { fault: fault.to_owned(), begin: op.time, end: None });
            }
        } else if let Some(fault) = op.f.strip_prefix("stop-")
            && let Some(window) = current.get(fault).and_then(|window| windows.get_mut(*window))
        {
            window.end = Some(op.time);
            stopped.insert(fault);
        }
    }
    windows
}
