//! The history of a run, written while it comes into being by all who take part in it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::witness;
use super::workload::{Call, Outcome};
use crate::history::{Format, Kind, Op, Process, WriteError, Writer};

/// Writes down what is begun and what came of it, in one total order. Clones write the same history.
///
/// The time is taken and the entry appended under one lock, so that the order of the times is that of the entries.
#[derive(Clone, Debug)]
pub struct Recorder {
    started: Instant,
    /// The same on the clock of [`witness`].
    began: Duration,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    writer: Option<Writer>,
    tally: Tally,
}

/// How many operations of each kind came to which end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<String, [u64; 3]>,
}

impl Recorder {
    /// Begins a history in a new file; the time of its entries begins now.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn begin(path: &Path) -> Result<Self, WriteError> {
        let writer = Some(Writer::create(path, Format::Json)?);
        let inner = Arc::new(Mutex::new(Inner { writer, tally: Tally::default() }));
        Ok(Self { started: Instant::now(), began: witness::now(), inner })
    }

    /// When it began.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// When it began, on the clock on which deeds are told.
    #[must_use]
    pub fn began(&self) -> Duration {
        self.began
    }

    /// Writes down that a process is about to make a call to this node. The call is made after this returned.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn invoke(&self, process: Process, call: &Call, node: Option<&str>) -> Result<Op, WriteError> {
        let mut inner = self.lock();
        let mut op = Op::invoke(self.now(), process, call.f, call.key.clone(), call.value.clone());
        op.node = node.map(ToOwned::to_owned);
        inner.append(op.clone())?;
        Ok(op)
    }

    /// Writes down what came of the call that this entry began.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn complete(&self, begun: &Op, outcome: Outcome) -> Result<Kind, WriteError> {
        let mut inner = self.lock();
        let now = self.now();
        let (kind, op) = match outcome {
            Outcome::Ok { value, index } => {
                let op = begun.complete(now, Kind::Ok, value);
                (Kind::Ok, Op { consul_index: index, ..op })
            }
            Outcome::Fail(why) => {
                (Kind::Fail, begun.complete(now, Kind::Fail, begun.value.clone()).because(why))
            }
            Outcome::Info(why) => {
                (Kind::Info, begun.complete(now, Kind::Info, begun.value.clone()).because(why))
            }
        };
        inner.tally.count(&op.f, kind);
        inner.append(op)?;
        Ok(kind)
    }

    /// Writes down what the nemesis is about to do, or has done.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn fault(&self, f: &str, value: Value, error: Option<String>) -> Result<(), WriteError> {
        let mut inner = self.lock();
        let mut op = Op::invoke(self.now(), Process::Nemesis, f, None, value);
        (op.kind, op.error) = (Kind::Info, error);
        inner.append(op)
    }

    /// How many operations came to which end so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.lock().tally.clone()
    }

    /// Writes the rest and waits until all is on the disk. Nothing can be written after it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(&self) -> Result<(), WriteError> {
        match self.lock().writer.take() {
            Some(writer) => writer.finish(),
            None => Ok(()),
        }
    }

    /// Hands what there is to the operating system, so that a killed run has it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn flush(&self) -> Result<(), WriteError> {
        self.lock().writer.as_mut().map_or(Ok(()), Writer::flush)
    }

    /// Nanoseconds since the beginning.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn append(&mut self, op: Op) -> Result<(), WriteError> {
        match &mut self.writer {
            Some(writer) => writer.append(op).map(drop),
            // After the end: who is late has nothing to say any more.
            None => Ok(()),
        }
    }
}

impl Tally {
    fn count(&mut self, f: &str, kind: Kind) {
        let place = match kind {
            Kind::Ok => 0,
            Kind::Fail => 1,
            Kind::Info => 2,
            Kind::Invoke => return,
        };
        let counts = self.counts.entry(f.to_owned()).or_default();
        if let Some(count) = counts.get_mut(place) {
            *count += 1;
        }
    }

    /// How many came to an end, and how many of them are ok, failed, unknown.
    #[must_use]
    pub fn sums(&self) -> [u64; 3] {
        let mut sums = [0; 3];
        for counts in self.counts.values() {
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history;

    #[test]
    fn what_is_written_down_is_read_back_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        let recorder = Recorder::begin(&path).unwrap();
        let call = Call::new("write", json!(1)).on("k");
        let begun = recorder.invoke(Process::Client(0), &call, Some("n1")).unwrap();
        recorder.fault("start-kill-one", json!({"nodes": ["n1"]}), None).unwrap();
        let kind = recorder.complete(&begun, Outcome::Info("no answer".to_owned())).unwrap();
        assert_eq!((kind, recorder.tally().sums()), (Kind::Info, [0, 0, 1]));
        recorder.finish().unwrap();
        let ops = history::read_path(&path).unwrap();
        let seen: Vec<_> = ops.iter().map(|op| (op.index, op.kind, op.f.as_str())).collect();
        assert_eq!(
            seen,
            [(0, Kind::Invoke, "write"), (1, Kind::Info, "start-kill-one"), (2, Kind::Info, "write")]
        );
        assert!(ops.is_sorted_by_key(|op| op.time));
    }
}
