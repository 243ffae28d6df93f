//! Histories judged, against how fast they are read from their files, and what writing down everything costs clients of a real cluster,
//! against clients that only ask.

use std::path::Path;
use std::process::Command;

use super::measure::RUNS;
use super::{Bed, Better, Row, bed};
use crate::error::Error;
use crate::setup;

const AGAIN: &str = "cargo xtask bench jepsen";

/// Calls, clients, and keys: those that a run has, and all on one.
const HISTORIES: [(u64, u64, u64); 8] = [
    (10_000, 10, 33),
    (10_000, 30, 33),
    (100_000, 10, 333),
    (100_000, 30, 333),
    (10_000, 10, 1),
    (10_000, 30, 1),
    (100_000, 10, 1),
    (100_000, 30, 1),
];

/// How long clients work, and how many they are.
const SECONDS: u64 = 10;
const CLIENTS: u64 = 15;

pub(super) fn run(bed: &Bed<'_>) -> Result<Vec<Row>, Error> {
    let checker = bed::cargo_example(bed.workspace, "lictor-jepsen", "check_rate")?;
    let mut rows = Vec::new();
    for (calls, clients, keys) in HISTORIES {
        rows.extend(judged(&checker, calls, clients, keys)?);
    }
    let cost = bed::cargo_example(bed.workspace, "lictor-jepsen", "cost")?;
    rows.push(driven(&cost, &setup::consul::path(bed.workspace))?);
    Ok(rows)
}

fn judged(checker: &Path, calls: u64, clients: u64, keys: u64) -> Result<[Row; 2], Error> {
    let mut seen: [Vec<f64>; 4] = Default::default();
    for _ in 0..RUNS {
        let words = [calls, clients, keys].map(|word| word.to_string());
        let figures = bed::numbers(Command::new(checker).args(words))?;
        for (seen, figure) in seen.iter_mut().zip(figures) {
            seen.push(figure);
        }
    }
    let [judged, read, before, after] = seen;
    let name = format!("{calls} calls of {clients} clients on {keys} keys");
    Ok([
        Row::new(
            &format!("{name}: judged, against reading them"),
            bed::sample(judged, "calls/s")?,
            bed::sample(read, "calls/s (JSON)")?,
            Better::More,
            AGAIN,
        ),
        Row::new(
            &format!("{name}: most memory, against that before"),
            bed::sample(after, "MB")?,
            bed::sample(before, "MB (read)")?,
            Better::Less,
            AGAIN,
        ),
    ])
}

/// Clients of three servers, without faults.
fn driven(cost: &Path, consul: &Path) -> Result<Row, Error> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let mut command = Command::new(cost);
        command.args([SECONDS.to_string(), CLIENTS.to_string()]).env("LICTOR_CONSUL_BIN", consul);
        let figures = bed::numbers(&mut command)?;
        let [asked, driven] = figures[..] else {
            return Err(Error::Answer { of: "a measurement", what: format!("{figures:?}") });
        };
        bare.push(asked);
        ours.push(driven);
    }
    Ok(Row::new(
        &format!("{CLIENTS} clients of five servers: a run, against only asking"),
        bed::sample(ours, "ops/s")?,
        bed::sample(bare, "ops/s (bare)")?,
        Better::More,
        AGAIN,
    ))
}
