//! Sources, each in the order of its times, and what they hand in.

use std::collections::VecDeque;
use std::io::BufReader;
use std::time::Duration;

use lictor_config::Prometheus;
use lictor_core::{Boot, CheckName, Sample, Wall};

use super::Problem;
use super::entry::Entries;
use super::lines::Lines;
use super::open::{Input, Journalctl, Span};
use super::play::Play;
use super::reader::Readers;
use crate::lines::Records;
use crate::watch::past;

/// Steps of the past that a Prometheus is asked for at once.
const STEPS: i64 = 500;

/// How long one such question may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Records of one journal may be out of order by this, milliseconds: one that is later than what is
/// wanted by more ends it.
const DISORDER: i64 = 3_600_000;

/// One source.
pub(super) struct Source {
    /// As it was named.
    pub(super) name: String,
    kind: Kind,
    /// When the next thing of it comes, milliseconds since 1970; `None` at its end.
    pub(super) at: Option<i64>,
    /// Records, lines or samples so far.
    pub(super) count: u64,
    /// What was only passed over.
    pub(super) notes: Vec<String>,
}

enum Kind {
    Journal(Box<Entries<Input>>, Option<Journalctl>),
    Log(Box<Log>),
    Past(Box<Past>),
}

struct Log {
    lines: Lines<BufReader<Input>>,
    /// Which readers get its lines.
    to: Vec<To>,
    /// Whether the line that was read is still to be handed in.
    line: bool,
}

/// A reader that gets the lines of a log.
struct To {
    number: usize,
    /// The record that may go on, and when its latest line came, milliseconds.
    records: Option<(Records, i64)>,
}

impl To {
    /// When the record is over because nothing more came; milliseconds.
    fn over(&self) -> Option<i64> {
        let (records, latest) = self.records.as_ref()?;
        let wait = records.due(boot(*latest))?;
        Some(latest.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
    }
}

struct Past {
    check: CheckName,
    settings: Prometheus,
    step: i64,
    next: i64,
    to: i64,
    samples: VecDeque<(i64, Sample)>,
}

impl Source {
    pub(super) fn journal(name: &str, entries: Entries<Input>, running: Option<Journalctl>) -> Self {
        Self::new(name, Kind::Journal(Box::new(entries), running))
    }

    pub(super) fn log(name: &str, lines: Lines<BufReader<Input>>, to: Vec<usize>, readers: &Readers) -> Self {
        let one = |number| To { number, records: readers.records(number).map(|records| (records, 0)) };
        let to = to.into_iter().map(one).collect();
        Self::new(name, Kind::Log(Box::new(Log { lines, to, line: false })))
    }

    pub(super) fn past(check: CheckName, settings: Prometheus, step: i64, (from, to): (i64, i64)) -> Self {
        let name = format!("the past of {check}");
        let samples = VecDeque::new();
        Self::new(&name, Kind::Past(Box::new(Past { check, settings, step, next: from, to, samples })))
    }

    fn new(name: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), kind, at: None, count: 0, notes: Vec::new() }
    }

    /// Goes on to what comes next.
    pub(super) async fn advance(&mut self, span: Span) -> Result<(), Problem> {
        let after = |at: i64| span.from.is_none_or(|from| at >= from);
        let about = |error: std::io::Error| Problem::new(format!("cannot read `{}`: {error}", self.name));
        match &mut self.kind {
            Kind::Journal(entries, running) => loop {
                if !entries.next().map_err(about)? {
                    self.at = None;
                    if entries.broken > 0 {
                        let what = super::count(entries.broken, "record made", "records made");
                        self.notes.push(format!("{}: {what} no sense and counted for nothing", self.name));
                    }
                    if entries.torn {
                        self.notes.push(format!("{} ends amid a record, which was left out", self.name));
                    }
                    return running.as_mut().map_or(Ok(()), Journalctl::ended);
                }
                let at = i64::try_from(entries.entry().realtime / 1_000).unwrap_or(i64::MAX);
                if span.to.is_some_and(|to| at > to.saturating_add(DISORDER)) {
                    self.at = None;
                    *running = None;
                    return Ok(());
                }
                if after(at) && span.to.is_none_or(|to| at <= to) {
                    self.at = Some(at);
                    return Ok(());
                }
            },
            Kind::Log(log) => {
                while !log.line {
                    if !log.lines.next().map_err(about)? {
                        break;
                    }
                    let at = log.lines.at();
                    log.line = after(at) && span.to.is_none_or(|to| at <= to);
                }
                let line = log.line.then(|| log.lines.at());
                let records = log.to.iter().filter_map(To::over).min();
                self.at = line.into_iter().chain(records).min();
                if self.at.is_none() {
                    if log.lines.skipped > 0 {
                        let what = super::count(log.lines.skipped, "byte", "bytes");
                        self.notes.push(format!(
                            "{}: {what} beyond the first 64 KiB of a line were left out",
                            self.name
                        ));
                    }
                    if log.lines.torn {
                        self.notes.push(format!("{} is cut off: it was read as far as it goes", self.name));
                    }
                }
            }
            Kind::Past(past) => {
                if past.samples.is_empty() && past.next <= past.to {
                    let last = past.next.saturating_add(past.step * (STEPS - 1)).min(past.to);
                    let asked = self::past(&past.settings, (past.next, last, past.step), PATIENCE).await;
                    past.samples = asked.map_err(Problem::new)?.into();
                    past.next = last.saturating_add(past.step);
                }
                self.at = past.samples.front().map(|(at, _)| *at);
            }
        }
        Ok(())
    }

    /// Hands in what has come.
    pub(super) fn hand_in(&mut self, readers: &mut Readers, play: &mut Play<'_>) {
        let Some(now) = self.at else { return };
        match &mut self.kind {
            Kind::Journal(entries, _) => {
                self.count += 1;
                readers.entry(entries.entry(), now, play);
            }
            Kind::Log(log) => {
                let boot = boot(now);
                for To { number, records } in &mut log.to {
                    if let Some((records, _)) = records {
                        records.flush_if_due(boot, &mut |record| readers.record(*number, record, now, play));
                    }
                }
                if !log.line || log.lines.at() > now {
                    return;
                }
                log.line = false;
                self.count += 1;
                for To { number, records } in &mut log.to {
                    match records {
                        None => readers.record(*number, log.lines.line(), now, play),
                        Some((records, latest)) => {
                            *latest = now;
                            let each = &mut |record: &[u8]| readers.record(*number, record, now, play);
                            records.line(log.lines.line(), 0, boot, each);
                        }
                    }
                }
            }
            Kind::Past(past) => {
                if let Some((at, sample)) = past.samples.pop_front() {
                    self.count += 1;
                    play.until(Wall::from_unix_millis(at));
                    play.observed(&past.check, sample);
                }
            }
        }
    }
}

fn boot(at: i64) -> Boot {
    Boot::from_millis(u64::try_from(at).unwrap_or(0))
}
