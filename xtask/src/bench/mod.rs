//! `cargo xtask bench`: one table, each row a ratio against what one would otherwise run.
//!
//! Ours and the peer are measured in the same run on the same machine, in turn,
//! and a figure is the median of at least five runs. A benchmark is a file in
//! this directory and a line in [`BENCHES`].

mod alerts;
mod backtest;
mod bed;
mod checks;
mod failover;
mod jepsen;
mod journal;
mod latency;
mod lines;
mod machine;
mod measure;
mod page;
mod peers;
mod probes;
mod replicate;
mod snapshot;
mod store;

use crate::error::Error;
use crate::setup::{self, Host};
use crate::table::Table;
use crate::test::environment;
use crate::workspace::Workspace;
use measure::Sample;

/// A benchmark: what it is called and how it is run.
struct Bench {
    /// What one types to run it alone.
    name: &'static str,
    /// Measures and returns its rows.
    run: fn(&Bed<'_>) -> Result<Vec<Row>, Error>,
}

/// All benchmarks, in the order of the table.
const BENCHES: &[Bench] = &[
    Bench { name: "append", run: store::run },
    Bench { name: "probes", run: probes::run },
    Bench { name: "many", run: checks::many },
    Bench { name: "isolation", run: checks::isolation },
    Bench { name: "idle", run: checks::idle },
    Bench { name: "page", run: page::run },
    Bench { name: "latency", run: latency::run },
    Bench { name: "lines", run: lines::run },
    Bench { name: "file", run: latency::file },
    Bench { name: "flood", run: latency::flood },
    Bench { name: "backtest", run: backtest::run },
    Bench { name: "journal", run: journal::run },
    Bench { name: "alerts", run: alerts::run },
    Bench { name: "peers", run: peers::run },
    Bench { name: "failover", run: failover::run },
    Bench { name: "replicate", run: replicate::run },
    Bench { name: "snapshot", run: snapshot::run },
    Bench { name: "jepsen", run: jepsen::run },
];

/// What a benchmark finds ready.
struct Bed<'a> {
    /// Where to build and where to write.
    workspace: &'a Workspace,
    /// What the tests learn of the machine.
    environment: Vec<(String, String)>,
    /// How many rounds of each failover.
    rounds: u32,
}

/// Rounds of each failover, unless it is said.
pub(crate) const ROUNDS: u32 = 30;

/// Which of two figures is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    /// As of probes a second.
    More,
    /// As of milliseconds or megabytes.
    Less,
}

/// One line of the table.
#[derive(Debug)]
struct Row {
    name: String,
    ours: Sample,
    peer: Sample,
    better: Better,
    command: String,
}

impl Row {
    /// A comparison of two samples of one unit, and the command that repeats it.
    fn new(name: &str, ours: Sample, peer: Sample, better: Better, command: &str) -> Self {
        Self { name: name.to_owned(), ours, peer, better, command: command.to_owned() }
    }

    /// How many times better ours is: above 1 in our favour, whichever way the unit goes.
    fn ratio(&self) -> f64 {
        match self.better {
            Better::More => self.ours.median() / self.peer.median(),
            Better::Less => self.peer.median() / self.ours.median(),
        }
    }
}

/// Runs all benchmarks, or the one named, and prints the table.
pub(crate) fn bench(workspace: &Workspace, only: Option<&str>, rounds: u32) -> Result<(), Error> {
    let chosen: Vec<&Bench> =
        BENCHES.iter().filter(|bench| only.is_none_or(|only| bench.name == only)).collect();
    if let Some(only) = only
        && chosen.is_empty()
    {
        let names: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        return Err(Error::Verdict(format!(
            "there is no benchmark `{only}`; there are: {}",
            names.join(", ")
        )));
    }
    // The peers' programs.
    let host = Host::here();
    let tools = setup::setup(workspace, &host)?;
    setup::report(&tools)?;
    let bed = Bed { workspace, environment: environment(&host, &tools), rounds };
    machine::describe(&workspace.target().join("bench"))?;
    let mut rows = Vec::new();
    for bench in chosen {
        println!("measuring {}", bench.name);
        let measured = (bench.run)(&bed)?;
        // At once, so that a benchmark that fails does not take the others' figures with it.
        println!("{}\n", table(&measured));
        rows.extend(measured);
    }
    println!("{}", table(&rows));
    Ok(())
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(["name", "ours", "peer", "times better", "command"]);
    for row in rows {
        table.row([
            row.name.clone(),
            row.ours.to_string(),
            row.peer.to_string(),
            format!("{:.2}", row.ratio()),
            row.command.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(value: f64, unit: &'static str) -> Sample {
        Sample::new(vec![value; measure::RUNS], unit).unwrap()
    }

    #[test]
    fn a_ratio_above_one_is_in_our_favour_whichever_way_the_unit_goes() {
        let faster = Row::new("rate", sample(200.0, "/s"), sample(100.0, "/s"), Better::More, "c");
        let smaller = Row::new("memory", sample(10.0, "MB"), sample(40.0, "MB"), Better::Less, "c");
        assert_eq!(faster.ratio(), 2.0);
        assert_eq!(smaller.ratio(), 4.0);
        let text = table(&[faster, smaller]).to_string();
        assert!(text.contains("rate    200 /s (200 to 200)"), "{text}");
        assert!(text.lines().any(|line| line.contains("4.00")), "{text}");
    }
}
