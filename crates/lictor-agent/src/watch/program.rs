//! Stream: lines that a program prints for as long as it runs.
//!
//! While the agent is busy nothing is read, and the program waits as soon as its pipe is full: lines are late
//! then, and none is dropped.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::process::ExitStatus;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lictor_config::{Restart, Stream, Watch};
use lictor_core::{CheckName, Sample, Status};
use rustix::process::Rlimit;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStderr, ChildStdout};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::exec::program::{Group, end, start};
use super::fault::Plain;
use super::follow::{self, Feed};
use super::look::{Look, Memory, World, cut};
use super::value::{self, Measured as _};
use crate::lines::{LINE, Matcher, Records, Sink};

/// Read at once: as much as a pipe holds.
const PIECE: usize = 64 * 1024;

/// Of what it says on its standard error, the last bytes that are kept.
const SAID: usize = 4 * 1024;

/// Of the last line of that, bytes that are shown.
const SHOWN: usize = 300;

/// Between the end of its output and its own.
const ENDS: Duration = Duration::from_secs(2);

/// How long output is waited for after it has ended: something that it started may hold the pipe open for ever.
const DRAIN: Duration = Duration::from_millis(200);

pub(super) fn look(
    check: &CheckName,
    settings: &Stream,
    watch: &Watch,
    memory: &mut Memory,
    world: &World,
) -> Look {
    let files = world.files.original;
    let shared = Arc::new((settings.clone(), watch.clone(), OnceLock::new(), files));
    follow::look(check, memory, world, move |feed| {
        let shared = Arc::clone(&shared);
        async move {
            let (settings, watch, matcher, files) = &*shared;
            let matcher = matcher.get_or_init(|| Arc::new(Matcher::new(&watch.patterns)));
            match run(&feed, settings, matcher, *files).await {
                Ok(never) => match never {},
                Err(why) => why,
            }
        }
    })
}

/// Runs the program until it ends.
async fn run(
    feed: &Feed,
    settings: &Stream,
    matcher: &Arc<Matcher>,
    files: Rlimit,
) -> Result<Infallible, String> {
    let name = settings.command.argv.first().map_or("", String::as_str);
    let mut child = start(&settings.command, files).map_err(|fault| fault.message)?;
    let group = Group::of(&child);
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(format!("`{name}` has no output"));
    };
    let mut running = Sample::new(Status::Passing, format!("`{name}` runs"));
    if let Some(pid) = child.id() {
        running.number(&value::PID, f64::from(pid));
    }
    let mut reading = Reading {
        feed,
        running,
        sink: Sink::new(Arc::clone(matcher)),
        records: settings.multiline.as_ref().map(Records::new),
        rest: Vec::new(),
        place: 0,
        skip: false,
        skipped: 0,
        said: VecDeque::new(),
    };
    feed.tell(reading.sample()).await.map_err(|_gone| stopping())?;
    let ended = reading.read(&mut child, stdout, stderr).await?;
    end(&mut child, group).await;
    reading.end().await?;
    let Some(status) = ended else {
        return Err(reading.reason(format!("`{name}` closed its output and was ended")));
    };
    if settings.restart == Restart::OnFailure && status.success() {
        let sample = Sample { summary: format!("`{name}` ended with {status}"), ..reading.sample() };
        feed.tell(sample).await.map_err(|_gone| stopping())?;
        return std::future::pending().await;
    }
    Err(reading.reason(format!("`{name}` ended with {status}")))
}

fn stopping() -> String {
    "the agent is stopping".to_owned()
}

/// The output of one program.
struct Reading<'a> {
    feed: &'a Feed,
    running: Sample,
    sink: Sink,
    records: Option<Records>,
    /// The line that is not complete.
    rest: Vec<u8>,
    /// Where in the output that begins.
    place: u64,
    /// Whether what follows is the rest of a line that is too long.
    skip: bool,
    /// What was told of that.
    skipped: u64,
    /// The end of its standard error.
    said: VecDeque<u8>,
}

impl Reading<'_> {
    /// Reads until the program has ended, and says how. `None`: only its output has.
    async fn read(
        &mut self,
        child: &mut Child,
        mut stdout: ChildStdout,
        stderr: ChildStderr,
    ) -> Result<Option<ExitStatus>, String> {
        let mut stderr = Some(stderr);
        let mut ended: Option<(ExitStatus, Instant)> = None;
        let mut latest = Instant::now();
        let mut aside = [0; 1_024];
        let mut piece = vec![0; PIECE];
        loop {
            let due = self.records.as_ref().and_then(|records| records.due(self.feed.clock.now().boot));
            let due = due.map(|due| Instant::now() + due);
            // Handing in may have taken long: what it left behind is read first. Others may hold its
            // output open for ever.
            let over = ended.map(|(_, at)| (latest.max(at) + DRAIN).min(at + ENDS));
            tokio::select! {
                biased;
                count = stdout.read(&mut piece) => {
                    let count = count.map_err(|error| format!("cannot read its output: {}", Plain(&error)))?;
                    if count == 0 {
                        break;
                    }
                    self.take(piece.get(..count).unwrap_or_default()).await?;
                    latest = Instant::now();
                }
                count = hear(stderr.as_mut(), &mut aside), if stderr.is_some() => {
                    match count {
                        0 => stderr = None,
                        count => self.hear(aside.get(..count).unwrap_or_default()),
                    }
                }
                status = child.wait(), if ended.is_none() => {
                    let status = status.map_err(|error| format!("cannot wait for it: {}", Plain(&error)))?;
                    ended = Some((status, Instant::now()));
                }
                () = at(due) => self.take(&[]).await?,
                () = at(over) => break,
            }
        }
        let last = ended.map_or_else(|| Instant::now() + ENDS, |(_, at)| at + DRAIN);
        if ended.is_none() {
            let status = timeout_at(last, child.wait()).await.ok();
            ended = status.and_then(Result::ok).map(|status| (status, Instant::now()));
        }
        // What it said last is the reason.
        while let Ok(count @ 1..) = timeout(DRAIN, hear(stderr.as_mut(), &mut aside)).await {
            self.hear(aside.get(..count).unwrap_or_default());
            if Instant::now() > last {
                break;
            }
        }
        Ok(ended.map(|(status, _)| status))
    }

    /// Takes a piece of the output, and hands in what matches.
    async fn take(&mut self, piece: &[u8]) -> Result<(), String> {
        let now = self.feed.clock.now().boot;
        let (sink, records) = (&mut self.sink, &mut self.records);
        if let Some(records) = records {
            sink.pause(records, now);
        }
        self.rest.extend_from_slice(piece);
        let used = sink.complete(&self.rest, self.place, &mut self.skip, records.as_mut(), now);
        self.rest.drain(..used);
        self.place += used as u64;
        self.hand_in().await
    }

    async fn hand_in(&mut self) -> Result<(), String> {
        let matches = self.sink.take();
        self.feed.counted(self.sink.lines, self.sink.matched);
        if self.sink.skipped != self.skipped {
            self.skipped = self.sink.skipped;
            let Sample { status, summary, values, .. } = self.sample();
            self.feed.state(status, summary, values);
        }
        self.feed.read(matches, None).await.map_err(|_gone| stopping())
    }

    /// Takes what was printed last although nothing ends it.
    async fn end(&mut self) -> Result<(), String> {
        let now = self.feed.clock.now().boot;
        let rest = std::mem::take(&mut self.rest);
        if !self.skip && !rest.is_empty() {
            let rest = rest.get(..LINE).unwrap_or(&rest);
            self.sink.text(rest, self.place, self.records.as_mut(), now);
        }
        if let Some(records) = &mut self.records {
            self.sink.end(records);
        }
        self.hand_in().await
    }

    fn hear(&mut self, said: &[u8]) {
        self.said.extend(said);
        self.said.drain(..self.said.len().saturating_sub(SAID));
    }

    fn sample(&self) -> Sample {
        let mut sample = self.running.clone();
        sample.count(&value::SKIPPED, self.skipped);
        sample
    }

    /// How it ended, with the last line that it said.
    fn reason(&mut self, ended: String) -> String {
        let said = String::from_utf8_lossy(self.said.make_contiguous());
        let last = said.lines().rev().map(str::trim).find(|line| !line.is_empty());
        match last {
            None => ended,
            Some(line) => {
                let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                format!("{ended}: {}", cut(&line, SHOWN))
            }
        }
    }
}

/// Reads from it; 0 when it is over.
async fn hear(stderr: Option<&mut (impl AsyncRead + Unpin)>, aside: &mut [u8]) -> usize {
    match stderr {
        Some(stderr) => stderr.read(aside).await.unwrap_or(0),
        None => 0,
    }
}

/// Returns at that time; never without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
