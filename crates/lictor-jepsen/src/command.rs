//! The commands that judge: `check`, `report`, `list` and `convert`. They read and write files; what they print goes to whoever calls them.

mod run;

use std::fs;
use std::io::{self, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::check::catalog::{self, CHECKS, CatalogError};
use crate::check::linear::Limits;
use crate::check::logs::Logs;
use crate::check::{self, Judgement};
use crate::history::{Format, History, HistoryError};
use crate::live::nemesis::fault;
use crate::live::workload::Kind;
use crate::report;
use run::RunDir;

/// Judges a history: exit code 0 if it is valid, 1 if it is invalid, 2 if it cannot be told.
#[derive(Args, Clone, Debug)]
pub struct Check {
    /// The history, or the directory of a run
    history: PathBuf,
    #[command(flatten)]
    how: How,
    /// How to tell what was found
    #[arg(long, value_enum, default_value_t = Output::Text)]
    format: Output,
}

/// Makes a page about a run: one HTML file. The exit code is that of `check`.
#[derive(Args, Clone, Debug)]
pub struct Report {
    /// The history, or the directory of a run; what was found of that one already is not looked for again
    history: PathBuf,
    /// Where to write the page [default: report.html beside the history]
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// Lists the workloads and faults of runs, and the checks with their settings.
#[derive(Args, Clone, Debug)]
pub struct List {}

/// Writes a history in another format, for other tools: EDN for those of Jepsen.
#[derive(Args, Clone, Debug)]
pub struct Convert {
    /// The history
    history: PathBuf,
    /// Into what
    #[arg(long, value_enum)]
    to: Into,
    /// Only the calls on this key, which is JSON: `'"k1"'`
    #[arg(long)]
    key: Option<String>,
}

/// How it is judged.
#[derive(Args, Clone, Debug)]
struct How {
    /// A check of `lictor-jepsen list` with its settings, as `set` or `remedy:steps=3` (can be repeated) [default: those of the
    /// run, or those that fit what was done]
    #[arg(long = "check", short, value_name = "CHECK")]
    checks: Vec<String>,
    /// Seconds that a search may take; what is not found by then is unknown
    #[arg(long, default_value_t = 60)]
    time: u64,
    /// MiB that a search may remember
    #[arg(long, default_value_t = 2048)]
    memory: usize,
    /// How many keys are judged at a time [default: as many as there are processors]
    #[arg(long)]
    threads: Option<NonZero<usize>>,
}

/// How to tell what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A format of a history.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Into {
    /// A line of JSON for each entry.
    Json,
    /// A map of EDN for each entry.
    Edn,
}

/// A command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The history cannot be had.
    #[error("{}: {error}", path.display())]
    History {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        error: HistoryError,
    },
    /// There is no such check.
    #[error(transparent)]
    Check(#[from] CatalogError),
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A file of a run is not what it should be.
    #[error("{} is not of a run: {error}", path.display())]
    Run {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: serde_json::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// What was found cannot be told.
    #[error("cannot write the answer: {0}")]
    Answer(#[from] io::Error),
    /// A key is not JSON.
    #[error("the key `{key}` is not JSON, write text as '\"{key}\"': {error}")]
    Key {
        /// What was given.
        key: String,
        /// Why.
        #[source]
        error: serde_json::Error,
    },
}

impl CommandError {
    /// What the program exits with, which is no verdict: 64 for a wrong command line, 66 for what cannot be read, 74 for what
    /// cannot be written.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Check(_) | Self::Key { .. } => 64,
            Self::History { .. } | Self::Read { .. } | Self::Run { .. } => 66,
            Self::Write { .. } | Self::Answer(_) => 74,
        }
    }
}

impl How {
    fn limits(&self) -> Limits {
        let default = Limits::default();
        Limits {
            time: Duration::from_secs(self.time),
            memory: self.memory.saturating_mul(1 << 20),
            threads: self.threads.unwrap_or(default.threads),
            ..default
        }
    }

    /// Judges by what was asked for, or what the run was made for, or what fits; the logs besides, if there are any.
    fn judge(&self, history: &History, dir: &RunDir) -> Result<Judgement, CommandError> {
        let names = if self.checks.is_empty() { dir.checks()? } else { self.checks.clone() };
        judge(history, dir, names, self.limits())
    }
}

/// Judges the run of a directory by what it was made for, which its `run.json` has.
///
/// # Errors
/// If something of the run cannot be read.
pub fn judge_run(dir: &Path, history: &History) -> Result<Judgement, CommandError> {
    let dir = RunDir::of(dir);
    let names = dir.checks()?;
    judge(history, &dir, names, Limits::default())
}

/// Judges by checks of these names, or by those that fit if there are none; by the logs besides.
fn judge(
    history: &History,
    dir: &RunDir,
    mut names: Vec<String>,
    limits: Limits,
) -> Result<Judgement, CommandError> {
    if names.is_empty() {
        names = catalog::fitting(history).into_iter().map(str::to_owned).collect();
    }
    let checks = names.iter().map(|name| catalog::make(name, limits));
    let mut checks: Vec<Box<dyn check::Check>> = checks.collect::<Result<_, _>>()?;
    let files = dir.log_texts()?;
    if !files.is_empty() {
        checks.push(Box::new(Logs { files }));
    }
    Ok(check::all(history, &checks))
}

impl Check {
    /// Carries it out. What it returns is the exit code.
    ///
    /// # Errors
    /// If it cannot be judged.
    pub fn execute(&self, out: &mut dyn Write) -> Result<u8, CommandError> {
        let dir = RunDir::of(&self.history);
        let history = open(&dir.history)?;
        let judgement = self.how.judge(&history, &dir)?;
        match self.format {
            Output::Text => tell(out, &judgement)?,
            Output::Json => {
                serde_json::to_writer_pretty(&mut *out, &judgement).map_err(io::Error::from)?;
                writeln!(out)?;
            }
        }
        Ok(judgement.verdict.exit_code())
    }
}

impl Report {
    /// Carries it out. What it returns is the exit code.
    ///
    /// # Errors
    /// If it cannot be judged, or the page cannot be written.
    pub fn execute(&self, out: &mut dyn Write) -> Result<u8, CommandError> {
        let dir = RunDir::of(&self.history);
        let history = open(&dir.history)?;
        let known = if self.how.checks.is_empty() { dir.judgement()? } else { None };
        let judgement = match known {
            Some(judgement) => judgement,
            None => self.how.judge(&history, &dir)?,
        };
        let path = self.out.clone().unwrap_or_else(|| dir.beside("report.html"));
        write_page(&path, &dir, &history, &judgement)?;
        writeln!(out, "{}: {}", path.display(), judgement.verdict)?;
        Ok(judgement.verdict.exit_code())
    }
}

/// Writes the page about the run of a directory, whose judgement is known, to `report.html` in it. Returns where it is.
///
/// # Errors
/// If something of the run cannot be read, or the page cannot be written.
pub fn page(dir: &Path, history: &History, judgement: &Judgement) -> Result<PathBuf, CommandError> {
    let dir = RunDir::of(dir);
    let path = dir.beside("report.html");
    write_page(&path, &dir, history, judgement)?;
    Ok(path)
}

fn write_page(
    path: &Path,
    dir: &RunDir,
    history: &History,
    judgement: &Judgement,
) -> Result<(), CommandError> {
    let about = dir.about()?;
    let known = |what: &str| about.iter().find(|(name, _)| name == what).map(|(_, value)| value.as_str());
    let title = match (known("workload"), known("nemesis")) {
        (Some(workload), Some("") | None) => workload.to_owned(),
        (Some(workload), Some(nemesis)) => format!("{workload} × {nemesis}"),
        (None, _) => dir.name(),
    };
    let logs = dir.log_links(path)?;
    let page = report::Report { title: &title, history, judgement, about: &about, logs: &logs }.render();
    fs::write(path, page).map_err(|error| CommandError::Write { path: path.to_owned(), error })
}

impl List {
    /// Carries it out. What it returns is the exit code.
    ///
    /// # Errors
    /// If the answer cannot be written.
    pub fn execute(&self, out: &mut dyn Write) -> Result<u8, CommandError> {
        writeln!(out, "workloads (run --workload):")?;
        for kind in Kind::ALL {
            writeln!(out, "  {:20} {}", kind.to_string(), kind.about())?;
        }
        writeln!(out, "\nfaults (run --nemesis, several with commas between them):")?;
        for (names, about) in fault::families() {
            writeln!(out, "  {about}:\n    {}", names.join(" "))?;
        }
        writeln!(out, "\nchecks (check --check, can be repeated):")?;
        for entry in CHECKS {
            writeln!(out, "  {:20} {}", entry.name, entry.promise)?;
            if !entry.settings.is_empty() {
                writeln!(out, "  {:20}   {}:{}", "", entry.name, entry.settings)?;
            }
        }
        Ok(0)
    }
}

impl Convert {
    /// Carries it out. What it returns is the exit code.
    ///
    /// # Errors
    /// If the history cannot be read, or the answer not be written.
    pub fn execute(&self, out: &mut dyn Write) -> Result<u8, CommandError> {
        let path = RunDir::of(&self.history).history;
        let mut history = open(&path)?;
        if let Some(key) = &self.key {
            let wanted: serde_json::Value =
                serde_json::from_str(key).map_err(|error| CommandError::Key { key: key.clone(), error })?;
            let ops = history.ops().iter().filter(|op| op.key.as_ref() == Some(&wanted)).cloned();
            let chosen = History::new(ops.collect());
            history = chosen.map_err(|error| CommandError::History { path, error: error.into() })?;
        }
        let format = match self.to {
            Into::Json => Format::Json,
            Into::Edn => Format::Edn,
        };
        out.write_all(history.render(format).as_bytes())?;
        Ok(0)
    }
}

fn open(path: &Path) -> Result<History, CommandError> {
    History::open(path).map_err(|error| CommandError::History { path: path.to_owned(), error })
}

/// Tells what was found to people: the verdict last, where one looks.
///
/// # Errors
/// If it cannot be written.
pub fn tell(out: &mut dyn Write, judgement: &Judgement) -> io::Result<()> {
    for outcome in &judgement.outcomes {
        writeln!(out, "{}: {}: {}", outcome.check, outcome.verdict, outcome.summary)?;
        for finding in &outcome.findings {
            for line in finding.text.lines() {
                writeln!(out, "  {line}")?;
            }
        }
        for (name, value) in &outcome.facts {
            writeln!(out, "    {name}: {value}")?;
        }
    }
    writeln!(out, "{}", judgement.verdict)
}
