//! What was seen of the agents when all is over, put into the history at the times at which it was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::history::{self, Format, Kind, Op, Process, ReadError, WriteError, Writer};

/// The first process of what was seen: no actor has such a number.
const FIRST: u64 = 1_000_000;

/// Something that was done, on a clock that all hosts of this machine share.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    /// What, as a call of a history.
    pub f: &'static str,
    /// On what.
    pub key: Value,
    /// With what.
    pub value: Value,
    /// Where: `n1`.
    pub node: String,
    /// When it was seen to have begun.
    pub from: Duration,
    /// When it was seen to be over; nobody knows if it was not.
    pub to: Option<Duration>,
}

/// The deeds cannot be put into the history.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// It cannot be put in the place of the old one.
    #[error("cannot put the history in its place at {}: {source}", path.display())]
    Place {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The time on the clock that deeds are told on: CLOCK_MONOTONIC.
#[must_use]
pub fn now() -> Duration {
    // It is never before its beginning.
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}

/// Puts deeds into the history that began at `began`. What was done before stands at the beginning, in its order. A process does
/// what is done in one place, one thing after the other; what goes on at the same time is done by several.
///
/// # Errors
/// If the history cannot be read or written.
pub fn merge(path: &Path, mut deeds: Vec<Deed>, began: Duration) -> Result<(), WitnessError> {
    let mut ops = history::read_path(path)?;
    deeds.sort_by_key(|deed| deed.from);
    let mut lanes = Lanes::default();
    for deed in deeds {
        let process = lanes.process(&deed);
        let time = |at: Duration| u64::try_from(at.saturating_sub(began).as_nanos()).unwrap_or(u64::MAX);
        let key = Some(deed.key).filter(|key| !key.is_null());
        let begun = Op::invoke(time(deed.from), Process::Client(process), deed.f, key, deed.value.clone());
        let begun = begun.at(&deed.node);
        let ended = deed.to.map(|to| begun.complete(time(to), Kind::Ok, deed.value));
        ops.extend([Some(begun), ended].into_iter().flatten());
    }
    // What is at the same time stays in its order.
    ops.sort_by_key(|op| op.time);
    let whole = path.with_extension("whole");
    let mut writer = Writer::create(&whole, Format::Json)?;
    for op in ops {
        writer.append(op)?;
    }
    writer.finish()?;
    fs::rename(&whole, path).map_err(|source| WitnessError::Place { path: path.to_owned(), source })
}

/// Which process does what.
#[derive(Debug, Default)]
struct Lanes {
    /// Each with the place and the call, and when it is free; never if nobody knows.
    all: Vec<(String, &'static str, Option<Duration>)>,
}

impl Lanes {
    /// Who does this one: the first that does the like and is free by then. Deeds come in the order of their beginnings.
    fn process(&mut self, deed: &Deed) -> u64 {
        let fits = |(node, f, free): &(String, &str, Option<Duration>)| {
            *node == deed.node && *f == deed.f && free.is_some_and(|free| free <= deed.from)
        };
        let lane = self.all.iter().position(fits).unwrap_or_else(|| {
            self.all.push((deed.node.clone(), deed.f, Some(deed.from)));
            self.all.len() - 1
        });
        if let Some((_, _, free)) = self.all.get_mut(lane) {
            *free = deed.to;
        }
        FIRST + lane as u64
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deed(f: &'static str, from: u64, to: Option<u64>) -> Deed {
        let (key, value, node) = (json!("web"), json!(7), "n1".to_owned());
        let at = Duration::from_millis;
        Deed { f, key, value, node, from: at(from), to: to.map(at) }
    }

    #[test]
    fn a_process_does_the_like_in_one_place_one_after_the_other() {
        let mut lanes = Lanes::default();
        let deeds = [
            deed("active", 1, Some(5)),
            deed("store", 1, Some(1)),
            deed("active", 4, Some(9)),
            deed("active", 5, None),
            Deed { node: "n2".to_owned(), ..deed("active", 6, Some(7)) },
            deed("active", 20, Some(21)),
            deed("active", 22, Some(23)),
        ];
        let processes: Vec<u64> = deeds.iter().map(|deed| lanes.process(deed) - FIRST).collect();
        // Of the first nobody knows whether it is over; the second is free again.
        assert_eq!(processes, [0, 1, 2, 0, 3, 2, 2]);
    }

    #[test]
    fn deeds_stand_where_they_were_done() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.jsonl");
        let mut writer = Writer::create(&path, Format::Json).unwrap();
        for (time, kind) in [(5_000_000, Kind::Invoke), (9_000_000, Kind::Ok)] {
            let mut op = Op::invoke(time, Process::Client(0), "ask", None, Value::Null);
            op.kind = kind;
            writer.append(op).unwrap();
        }
        writer.finish().unwrap();
        let deeds = vec![
            deed("first", 91, Some(107)),
            deed("early", 90, Some(95)),
            deed("second", 108, None),
            deed("third", 101, Some(120)),
        ];
        merge(&path, deeds, Duration::from_millis(100)).unwrap();
        let ops = history::read_path(&path).unwrap();
        let seen: Vec<_> =
            ops.iter().map(|op| (op.time / 1_000_000, op.f.as_str(), op.kind.name())).collect();
        assert_eq!(
            seen,
            [
                (0, "early", "invoke"),
                (0, "early", "ok"),
                (0, "first", "invoke"),
                (1, "third", "invoke"),
                (5, "ask", "invoke"),
                (7, "first", "ok"),
                (8, "second", "invoke"),
                (9, "ask", "ok"),
                (20, "third", "ok"),
            ]
        );
        assert!(history::History::open(&path).is_ok(), "it is well formed");
    }
}
