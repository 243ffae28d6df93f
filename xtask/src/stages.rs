//! A command's stages: each is run, timed and remembered, and a table closes the run.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::table::Table;

/// What has been run so far.
#[derive(Debug)]
pub(crate) struct Stages {
    started: Instant,
    finished: Vec<Stage>,
}

#[derive(Debug)]
struct Stage {
    name: String,
    took: Duration,
    outcome: Outcome,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed(String),
    Failed(String),
    LeftOut(String),
}

impl Stages {
    /// Starts the clock of the whole run.
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), finished: Vec::new() }
    }

    /// Runs one stage; the string of a good end goes into the table.
    ///
    /// A failed stage does not end the run: one wants to see everything that is wrong.
    pub(crate) fn run(&mut self, name: &str, stage: impl FnOnce() -> Result<String, Error>) -> bool {
        println!("\n==> {name}");
        let started = Instant::now();
        let outcome = match stage() {
            Ok(note) => Outcome::Passed(note),
            Err(error) => {
                println!("{error}");
                let first = error.to_string().lines().next().unwrap_or_default().to_owned();
                Outcome::Failed(first)
            }
        };
        let passed = matches!(outcome, Outcome::Passed(_));
        let took = started.elapsed();
        println!("==> {name}: {} in {}", if passed { "ok" } else { "FAILED" }, seconds(took));
        self.finished.push(Stage { name: name.to_owned(), took, outcome });
        passed
    }

    /// Notes something that could not be run here.
    pub(crate) fn left_out(&mut self, name: &str, why: String) {
        println!("\n==> {name}: left out: {why}");
        self.finished.push(Stage {
            name: name.to_owned(),
            took: Duration::ZERO,
            outcome: Outcome::LeftOut(why),
        });
    }

    /// Prints the table and judges the run: anything left out counts as a failure unless `partial`.
    pub(crate) fn close(self, partial: bool) -> Result<(), Error> {
        println!("\n{}total: {}", self.table(), seconds(self.started.elapsed()));
        self.verdict(partial)
    }

    fn table(&self) -> Table {
        let mut table = Table::new(["stage", "time", "result"]);
        for stage in &self.finished {
            let (time, result) = match &stage.outcome {
                Outcome::Passed(note) if note.is_empty() => (seconds(stage.took), "ok".to_owned()),
                Outcome::Passed(note) => (seconds(stage.took), format!("ok: {note}")),
                Outcome::Failed(what) => (seconds(stage.took), format!("FAILED: {what}")),
                Outcome::LeftOut(why) => ("-".to_owned(), format!("left out: {why}")),
            };
            table.row([stage.name.clone(), time, result]);
        }
        table
    }

    fn verdict(&self, partial: bool) -> Result<(), Error> {
        let names = |wanted: fn(&Outcome) -> bool| {
            let stages = self.finished.iter().filter(|stage| wanted(&stage.outcome));
            stages.map(|stage| stage.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let failed = names(|outcome| matches!(outcome, Outcome::Failed(_)));
        if !failed.is_empty() {
            return Err(Error::Verdict(format!("failed: {failed}")));
        }
        let left_out = names(|outcome| matches!(outcome, Outcome::LeftOut(_)));
        if !left_out.is_empty() && !partial {
            return Err(Error::Verdict(format!(
                "not everything was run ({left_out}); --partial accepts that"
            )));
        }
        Ok(())
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_the_verdict_whatever_else_passed_and_partial_does_not_excuse_it() {
        let mut stages = Stages::start();
        assert!(stages.run("fmt", || Ok(String::new())));
        assert!(!stages.run("clippy", || Err(Error::Verdict("two warnings\nand more".to_owned()))));
        assert!(stages.run("tests", || Ok("3 passed".to_owned())));
        let table = stages.table().to_string();
        assert!(table.contains("FAILED: two warnings\n"), "{table}");
        assert!(table.contains("ok: 3 passed"), "{table}");
        assert_eq!(stages.close(true).unwrap_err().to_string(), "failed: clippy");
    }

    #[test]
    fn what_was_left_out_fails_the_run_unless_partial() {
        let left_out = || {
            let mut stages = Stages::start();
            stages.left_out("real_host", "needs root".to_owned());
            stages
        };
        assert!(left_out().close(true).is_ok());
        let error = left_out().close(false).unwrap_err().to_string();
        assert_eq!(error, "not everything was run (real_host); --partial accepts that");
    }
}
