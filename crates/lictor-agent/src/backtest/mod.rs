//! The past, played through a configuration: what would have fired, been held back and done.
//!
//! ```text
//!  journal exports, .journal files ─┐  in the order        patterns, filters          engine in
//!  logs with times in their lines  ─┼─▶ of their times ─▶  of the watchers   ─read──▶ virtual time ─▶ tally
//!  a Prometheus' past              ─┘  (merged)                    └──────observed──▶  (no clock)      events
//! ```
//!
//! Sources are read as they are played, so memory does not grow with them. The engine, the patterns
//! and the counting are the agent's own; only actions are not carried out: each is taken as done.

mod entry;
mod filter;
mod lines;
mod open;
mod plan;
mod play;
mod reader;
mod source;
mod stamp;
mod tally;
#[cfg(test)]
mod tests;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::tz::TimeZone;
use lictor_config::{Config, WatchKind};
use lictor_core::{CheckName, PatternName, Sample, Status, Wall};
use url::Url;

use crate::lines::files::stands_for;
use entry::{Entries, Wanted};
use lines::{Clocks, Lines};
use open::{Opened, Span};
use reader::Readers;
use source::Source;

pub use plan::Played;
pub use play::{Acting, OnEvent, Play};
pub use tally::{Counted, Tally};
pub use trial::{Difference, Verdict, judge, word};

/// What is played.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Files and directories (`-`: the standard input), each with the watcher that gets its lines, if
    /// one is named.
    pub sources: Vec<(Option<CheckName>, PathBuf)>,
    /// Whether the journal of this machine is one more.
    pub journal: bool,
    /// What is older is left out, milliseconds since 1970.
    pub from: Option<i64>,
    /// What is newer.
    pub to: Option<i64>,
    /// Which watcher gets the lines of logs.
    pub lines_to: Option<CheckName>,
    /// So many lines a second in logs that do not say their times, or whatever they say.
    pub rate: Option<f64>,
    /// Whether the watchers of Prometheus see the past.
    pub prometheus: Option<Asked>,
    /// What watchers that no source feeds say all the time.
    pub assumed: Vec<(CheckName, Sample)>,
    /// How actions end.
    pub acting: Acting,
    /// Where it is told which time was reached, milliseconds since 1970; 0: none yet.
    pub reached: Arc<AtomicI64>,
}

/// How a Prometheus is asked for the past.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The server, in place of those that the watchers name.
    pub url: Option<Url>,
    /// Time from one look to the next, in place of the watchers'.
    pub step: Option<Duration>,
}

/// Why nothing was played, or not all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    message: String,
    help: Option<String>,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// The way out.
    pub fn way_out(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

/// What was played and what came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// When the play began and ended; `None` when there was nothing to play.
    pub span: Option<(Wall, Wall)>,
    /// The sources, with how many records, lines or samples each had.
    pub sources: Vec<(String, u64)>,
    /// The watchers that read lines.
    pub readers: Vec<Reading>,
    /// The rules and remedies.
    pub tally: Tally,
    /// What was left out, and what therefore says less than it seems.
    pub notes: Vec<String>,
}

/// What a watcher read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The watcher.
    pub check: CheckName,
    /// What it watches.
    pub kind: &'static str,
    /// Lines or records that it got.
    pub lines: u64,
    /// Its patterns and how many lines each matched.
    pub patterns: BTreeMap<PatternName, u64>,
}

/// Plays the past through a configuration. `on_event` gets all that happens, in order.
///
/// # Errors
/// A source cannot be read, or nobody wants what is in it.
pub async fn run(config: &Config, past: &Past, on_event: OnEvent<'_>) -> Result<Report, Problem> {
    let span = Span { from: past.from, to: past.to };
    let mut wanted = Wanted::new();
    let mut readers = Readers::new(config, &mut wanted).map_err(Problem::new)?;
    let mut notes = Vec::new();
    let mut opening =
        Opening { config, past, span, wanted: &wanted, readers: &mut readers, notes: &mut notes };
    let mut sources = opening.all()?;
    let mut known: BTreeSet<CheckName> = past.assumed.iter().map(|(check, _)| check.clone()).collect();
    known.extend(readers.iter().filter(|reader| reader.fed).map(|reader| reader.check.clone()));
    if past.prometheus.is_some() {
        known.extend(queries(config).map(|(check, ..)| check.clone()));
    }
    let Played { plan, notes: said } = Played::of_the_past(&config.plan, &known);
    for source in &mut sources {
        source.advance(span).await?;
    }
    let first = sources.iter().filter_map(|source| source.at).min();
    let Some(begin) = past.from.or(first) else {
        notes.extend(sources.iter_mut().flat_map(|source| std::mem::take(&mut source.notes)));
        let tally = Tally::new(&plan);
        return Ok(report(None, &sources, &readers, tally, notes));
    };
    notes.extend(said);
    let mut play = Play::new(plan, past.acting.clone(), Wall::from_unix_millis(begin), on_event);
    begin_to_watch(config, past, &readers, &mut play);
    let mut last = begin;
    while let Some(at) = merge(&mut sources, &mut readers, &mut play, span, &past.reached).await? {
        last = last.max(at);
    }
    // The journal of this machine ends now, whenever its latest record is of.
    let now = past.journal.then(|| jiff::Timestamp::now().as_millisecond());
    play.until(Wall::from_unix_millis(past.to.or(now).unwrap_or(last).max(last)));
    // What was begun is brought to its end.
    let end = play.now().wall;
    play.until(Wall::from_unix_millis(
        end.as_unix_millis().saturating_add(i64::try_from(past.acting.takes.as_millis()).unwrap_or(0)),
    ));
    notes.extend(sources.iter_mut().flat_map(|source| std::mem::take(&mut source.notes)));
    let span = Some((Wall::from_unix_millis(begin), end));
    Ok(report(span, &sources, &readers, play.tally().clone(), notes))
}

/// Hands in what comes first, and all that comes from the same source before anything else does.
/// Returns when the last of it was; `None` at the end.
async fn merge(
    sources: &mut [Source],
    readers: &mut Readers,
    play: &mut Play<'_>,
    span: Span,
    reached: &AtomicI64,
) -> Result<Option<i64>, Problem> {
    let mut first: Option<(i64, usize)> = None;
    let mut second = i64::MAX;
    for (number, source) in sources.iter().enumerate() {
        let Some(at) = source.at else { continue };
        match first {
            Some((earliest, _)) if earliest <= at => second = second.min(at),
            before => {
                second = before.map_or(second, |(at, _)| second.min(at));
                first = Some((at, number));
            }
        }
    }
    let Some((mut latest, number)) = first else { return Ok(None) };
    let Some(source) = sources.get_mut(number) else { return Ok(None) };
    loop {
        source.hand_in(readers, play);
        source.advance(span).await?;
        match source.at {
            Some(at) if at <= second => {
                latest = latest.max(at);
                reached.store(latest, Ordering::Relaxed);
            }
            _ => return Ok(Some(latest)),
        }
    }
}

/// What is known from the beginning on: what reads lines is well, and what is assumed.
fn begin_to_watch(config: &Config, past: &Past, readers: &Readers, play: &mut Play<'_>) {
    for reader in readers.iter().filter(|reader| reader.fed) {
        if !past.assumed.iter().any(|(check, _)| *check == reader.check) {
            play.observed(&reader.check, Sample::new(Status::Passing, "it is read"));
        }
    }
    for (check, sample) in &past.assumed {
        match config.watches.get(check) {
            Some(watch) => play.keeps(check, sample.clone(), watch.every),
            None => play.observed(check, sample.clone()),
        }
    }
}

fn queries(config: &Config) -> impl Iterator<Item = (&CheckName, &lictor_config::Prometheus, Duration)> {
    config.watches.iter().filter_map(|(check, watch)| match &watch.kind {
        WatchKind::Prometheus(settings) => Some((check, &**settings, watch.every)),
        _ => None,
    })
}

/// Opens the sources.
struct Opening<'a> {
    config: &'a Config,
    past: &'a Past,
    span: Span,
    wanted: &'a Wanted,
    readers: &'a mut Readers,
    notes: &'a mut Vec<String>,
}

impl Opening<'_> {
    fn all(&mut self) -> Result<Vec<Source>, Problem> {
        let mut sources = Vec::new();
        for (to, path) in &self.past.sources {
            let opened = open::open(path, self.wanted, self.span)?;
            sources.extend(self.one(&path.display().to_string(), path, to.as_ref(), opened)?);
        }
        if self.past.journal {
            let opened = open::this_machine(self.wanted, self.span)?;
            sources.extend(self.one("the journal", Path::new("the journal"), None, opened)?);
        }
        if let Some(asked) = &self.past.prometheus {
            sources.extend(self.queries(asked)?);
        }
        Ok(sources)
    }

    fn one(
        &mut self,
        name: &str,
        path: &Path,
        to: Option<&CheckName>,
        opened: Opened,
    ) -> Result<Option<Source>, Problem> {
        match opened {
            Opened::Empty => {
                self.notes.push(format!("{name} is empty"));
                Ok(None)
            }
            Opened::Journal(form, begun, input, running) => {
                let numbers = self.readers.of_journals();
                if numbers.is_empty() {
                    let message = format!(
                        "{name} is a journal, and no watcher of the configuration looks for anything in one"
                    );
                    return Err(Problem::new(message).help("add a `watch \"journal\"` with a `match`"));
                }
                self.readers.feed(&numbers);
                let entries = Entries::new(form, begun, input, self.wanted.clone());
                Ok(Some(Source::journal(name, entries, running)))
            }
            Opened::Log(input) => {
                let numbers = self.log_goes_to(name, path, to)?;
                self.readers.feed(&numbers);
                let now = jiff::Timestamp::now().as_millisecond();
                let written = path.metadata().and_then(|found| found.modified()).ok();
                let written = written.and_then(|at| jiff::Timestamp::try_from(at).ok());
                let until = written.map_or(now, jiff::Timestamp::as_millisecond);
                let (rate, from) = (self.past.rate, self.past.from);
                let clocks = Clocks { zone: TimeZone::system(), until, rate, from };
                let about = |error| Problem::new(format!("cannot read `{name}`: {error}"));
                let (lines, said) = Lines::new(input, &clocks).map_err(about)?;
                if !said && rate.is_none() {
                    self.notes.push(format!(
                        "the lines of {name} do not say when they were written: they are played in their order, one a \
                         second (--at-rate says another rate)"
                    ));
                }
                Ok(Some(Source::log(name, lines, numbers, self.readers)))
            }
        }
    }

    /// Which watchers get the lines of a log.
    fn log_goes_to(&self, name: &str, path: &Path, to: Option<&CheckName>) -> Result<Vec<usize>, Problem> {
        let readers = || {
            let names: Vec<_> = self.readers.iter().map(|reader| format!("`{}`", reader.check)).collect();
            if names.is_empty() { "none has a `match`".to_owned() } else { names.join(", ") }
        };
        if let Some(check) = to.or(self.past.lines_to.as_ref()) {
            let number = self.readers.named(check.as_str());
            return number.map(|number| vec![number]).ok_or_else(|| {
                let message = format!("no watcher `{check}` looks for anything in lines");
                Problem::new(message).help(format!("those that do: {}", readers()))
            });
        }
        let whole = path.canonicalize().unwrap_or_else(|_gone| path.to_owned());
        let candidates: Vec<PathBuf> =
            [path.to_owned(), whole].into_iter().flat_map(before_rotation).collect();
        let mut found = Vec::new();
        for (check, watch) in &self.config.watches {
            let WatchKind::File(file) = &watch.kind else { continue };
            let meant = |path: &PathBuf| file.paths.iter().any(|pattern| stands_for(pattern, path));
            if candidates.iter().any(meant) {
                found.extend(self.readers.named(check.as_str()));
            }
        }
        if found.is_empty() {
            let message = format!("{name} is a log, and no watcher of the configuration reads it");
            let help = format!(
                "say which one gets its lines: --as WATCHER, or WATCHER={name}; those with a `match`: {}",
                readers()
            );
            return Err(Problem::new(message).help(help));
        }
        Ok(found)
    }

    fn queries(&self, asked: &Asked) -> Result<Vec<Source>, Problem> {
        let Some(from) = self.past.from else {
            let message = "a Prometheus can only be asked from some time on";
            return Err(Problem::new(message).help("add --from, such as --from 2026-11-14 or --from -7d"));
        };
        let to = self.past.to.unwrap_or_else(|| jiff::Timestamp::now().as_millisecond());
        let mut sources = Vec::new();
        for (check, settings, every) in queries(self.config) {
            let mut settings = settings.clone();
            if let Some(url) = &asked.url {
                settings.url.clone_from(url);
            }
            let step = i64::try_from(asked.step.unwrap_or(every).as_millis()).unwrap_or(i64::MAX).max(1);
            sources.push(Source::past(check.clone(), settings, step, (from, to)));
        }
        if sources.is_empty() {
            return Err(Problem::new("no watcher of the configuration asks a Prometheus")
                .help("add a `watch \"prometheus\"`, or leave --prometheus away"));
        }
        Ok(sources)
    }
}

/// A path, and what it was called before it was rotated away: without `.gz`, `.1` or `-20261121`.
fn before_rotation(path: PathBuf) -> Vec<PathBuf> {
    let mut found = vec![path.clone()];
    let mut name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    for _ in 0..3 {
        let cut = name
            .strip_suffix(".gz")
            .or_else(|| name.rsplit_once(['.', '-']).filter(|(_, end)| digits(end)).map(|(start, _)| start));
        let Some(cut) = cut.map(str::to_owned) else { break };
        name = cut;
        found.push(path.with_file_name(&name));
    }
    found
}

fn report(
    span: Option<(Wall, Wall)>,
    sources: &[Source],
    readers: &Readers,
    tally: Tally,
    notes: Vec<String>,
) -> Report {
    let reading = |reader: &reader::Reader| Reading {
        check: reader.check.clone(),
        kind: reader.kind,
        lines: reader.lines,
        patterns: reader.matched.clone(),
    };
    Report {
        span,
        sources: sources.iter().map(|source| (source.name.clone(), source.count)).collect(),
        readers: readers.iter().filter(|reader| reader.fed).map(reading).collect(),
        tally,
        notes,
    }
}

/// A number with what it counts.
fn count(number: u64, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}
