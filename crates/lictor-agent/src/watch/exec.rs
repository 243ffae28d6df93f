//! Exec: a program with the exit codes of Nagios plugins. Never through a shell.
//!
//! 0 is passing, 1 warning, 2 critical, anything else unknown. The first line it prints is
//! the summary; what stands after `|` are values ("performance data").

mod perfdata;
pub(crate) mod program;

use std::process::ExitStatus;
use std::time::Duration;

use lictor_config::{Command, Watch};
use lictor_core::{Sample, Span, Status};
use std::os::unix::process::ExitStatusExt as _;

use program::{Ended, Output};

use super::fault::Fault;
use super::look::{Look, World, cut};
use super::value::{self, Measured as _};

/// Of the line that becomes the summary, bytes that are kept.
const SUMMARY: usize = 1_024;

pub(super) async fn look(command: &Command, watch: &Watch, world: &World) -> Look {
    let begun = tokio::time::Instant::now();
    let ended = program::run(command, watch.timeout, world).await;
    let total = begun.elapsed();
    let (mut sample, text) = match ended {
        Ok(Ended { status: Some(status), output }) => (judge(status, &output), output.stdout),
        Ok(Ended { status: None, output }) => {
            let sample = Sample::new(Status::Critical, late(command, watch.timeout, &output));
            (sample, output.stdout)
        }
        Err(fault) => (fault.into_sample(), String::new()),
    };
    sample.seconds(&value::TOTAL_SECONDS, total);
    Look::new(sample).matching(&watch.patterns, &text)
}

fn judge(status: ExitStatus, output: &Output) -> Sample {
    let printed = perfdata::split(&output.stdout);
    let mut summary = cut(printed.summary, SUMMARY).to_owned();
    if summary.is_empty() {
        let line = output.stderr.lines().map(str::trim).find(|line| !line.is_empty());
        line.map_or("", |line| cut(line, SUMMARY)).clone_into(&mut summary);
    }
    let (verdict, ending) = match (status.code(), status.signal()) {
        (Some(0), _) => (Status::Passing, None),
        (Some(1), _) => (Status::Warning, None),
        (Some(2), _) => (Status::Critical, None),
        (Some(3), _) => (Status::Unknown, None),
        (Some(code), _) => (Status::Unknown, Some(format!("exit status {code}"))),
        (None, signal) => (Status::Unknown, Some(format!("ended by signal {}", signal.unwrap_or_default()))),
    };
    let summary = match (ending, summary.is_empty()) {
        (None, false) => summary,
        (None, true) => format!("exit status {}", status.code().unwrap_or_default()),
        (Some(ending), true) => ending,
        (Some(ending), false) => format!("{ending}: {summary}"),
    };
    let mut sample = Sample::new(verdict, summary);
    if let Some(code) = status.code() {
        sample.number(&value::EXIT_STATUS, f64::from(code));
    }
    for (name, number) in printed.values {
        sample = sample.with(name, lictor_core::Value::Number(number));
    }
    sample
}

fn late(command: &Command, limit: Duration, output: &Output) -> String {
    let name = command.argv.first().map_or("", String::as_str);
    let summary = perfdata::split(&output.stdout).summary;
    let said =
        if summary.is_empty() { String::new() } else { format!("; it said: {}", cut(summary, SUMMARY)) };
    format!("`{name}` took longer than {} and was ended{said}", Span(limit))
}

impl Fault {
    /// The program could not be started.
    fn start(name: &str, why: impl std::fmt::Display) -> Self {
        Self::unknown(format!("cannot start `{name}`: {why}"))
    }
}
