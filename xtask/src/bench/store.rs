//! Durable appends against SQLite in WAL mode with `synchronous=FULL`: both have the
//! record on the disk before they say so.

use std::path::Path;
use std::process::Command;

use super::bed::{self, cargo_example, numbers};
use super::measure::measure_both;
use super::{Bed, Better, Row};
use crate::error::Error;

/// Seconds of one measurement.
const SECONDS: &str = "3";

/// Writers of the row with many of them.
const WRITERS: &str = "64";

/// SQLite as one would use it: prints appends a second and the 99th percentile of one
/// commit in milliseconds. With many writers they share a transaction, as ours do.
const SQLITE: &str = r"
import sqlite3, sys, time
path, together, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
db = sqlite3.connect(path, isolation_level=None)
db.execute('pragma journal_mode=wal'); db.execute('pragma synchronous=full')
db.execute('create table if not exists ledger(seq integer primary key, entry blob)')
entry, count, times, end = b'x' * 300, 0, [], time.perf_counter() + seconds
while time.perf_counter() < end:
    begun = time.perf_counter()
    db.execute('begin immediate')
    for _ in range(together):
        db.execute('insert into ledger(entry) values(?)', (entry,))
    db.execute('commit')
    times.append(time.perf_counter() - begun); count += together
times.sort()
print(count / seconds, times[len(times) * 99 // 100] * 1000)
";

pub(super) fn run(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let program = cargo_example(bed.workspace, "lictor-store", "append")?;
    let mut rows = Vec::new();
    for (name, writers) in [("durable append, one writer", "1"), ("durable append, 64 writers", WRITERS)] {
        let dir = bed::fresh(bed.workspace, "append")?;
        let mut tails = (Vec::new(), Vec::new());
        let (ours, peer) = measure_both(
            "/s",
            || {
                let found = figures(Command::new(&program).arg(dir.join("ours")).args([writers, SECONDS]))?;
                tails.0.push(found[1]);
                Ok(found[0])
            },
            || {
                let found = figures(&mut sqlite(&dir.join("sqlite.db"), writers))?;
                tails.1.push(found[1]);
                Ok(found[0])
            },
        )?;
        let command = "cargo xtask bench append";
        rows.push(Row::new(name, ours, peer, Better::More, command));
        let (ours, peer) = (bed::sample(tails.0, "ms")?, bed::sample(tails.1, "ms")?);
        rows.push(Row::new(&format!("{name}, p99"), ours, peer, Better::Less, command));
    }
    Ok(rows)
}

fn sqlite(path: &Path, together: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", SQLITE]).arg(path).args([together, SECONDS]);
    command
}

fn figures(command: &mut Command) -> Result<[f64; 2], Error> {
    let found = numbers(command)?;
    match found.as_slice() {
        [rate, tail] => Ok([*rate, *tail]),
        other => Err(Error::Answer { of: "a measurement", what: format!("{other:?}") }),
    }
}
