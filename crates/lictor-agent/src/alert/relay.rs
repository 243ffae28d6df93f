//! What this node's own sources say, as records for the node that tells.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lictor_core::alert::{Input, Report, Source, SubjectKey, digest};
use lictor_core::{Refusal, Span, Status, Wall};
use lictor_store::kv::{Kv, KvError, MAX_OPERATIONS, Op};
use lictor_store::wire::{self, Alive, Said};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::alone::{Alone, Owed};
use super::ask::Asks;
use super::inbox::{DeskInbox, Seat};
use super::keep::in_parts;
use crate::inbox::Gone;

/// Where each node writes what its sources say: `alerts.from/NODE/…`.
pub(super) const FROM: &str = "alerts.from/";

/// Below that, whom a node told what while it was cut off: taken in once.
pub(super) const TOLD: &str = "told/";

/// A node looks at its own records so often, whatever it has written.
const LOOK: Duration = Duration::from_secs(60);

/// A node of which nothing was heard for so long may be forgotten.
const GONE: Duration = Duration::from_secs(180);

/// Inputs that are taken at once.
const QUEUE: usize = 256;

/// Of an output, bytes that are written.
const OUTPUT: usize = 1 << 10;

/// What is well again is still said so long: until then the node that tells has heard it.
const WELL: Duration = Duration::from_secs(3_600);

/// Pause after a write or a look that failed.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

/// Where a source hands in what it says.
#[derive(Clone, Debug)]
pub(crate) enum Feed {
    /// To our desk.
    Desk(DeskInbox),
    /// To the one that several nodes share, by way of [`Relay`].
    Shared(mpsc::Sender<Input>),
}

impl Feed {
    /// Hands it in. Waits while the other side is busy.
    pub(crate) async fn input(&self, input: Input) -> Result<(), Gone> {
        match self {
            Self::Desk(desk) => desk.input(input).await,
            Self::Shared(relay) => relay.send(input).await.map_err(|_closed| Gone),
        }
    }

    /// What is wrong, was to be told, and nobody has accepted it so far. `None`: that cannot be known here, where
    /// several nodes share a desk and one of them tells for all.
    pub(crate) async fn waiting(&self) -> Option<BTreeSet<SubjectKey>> {
        match self {
            Self::Desk(desk) => desk.view().await.ok().map(|view| view.waiting()),
            Self::Shared(_) => None,
        }
    }
}

/// Writes what this node's sources say. Only what is wrong has a record, and what was a while ago.
pub(super) struct Relay {
    kv: Kv,
    place: String,
    queue: mpsc::Receiver<Input>,
    /// What the records should be, as far as the sources have said.
    meant: BTreeMap<String, Meant>,
    /// Sources that have said all they have.
    whole: BTreeSet<Source>,
    /// The records as they were seen or written last; `None` while they were never seen.
    seen: Option<BTreeMap<String, Vec<u8>>>,
    /// When they are looked at again, whatever happens.
    look: Instant,
    /// Since when nothing can be written.
    stuck: Option<Instant>,
    /// Who tells.
    seat: watch::Receiver<Seat>,
    alone: Alone,
    /// What that desk was told is wrong.
    told_alone: BTreeSet<String>,
    asks: Asks,
    /// There may be something that was told alone and is not handed on.
    owes: bool,
    /// The desk of this node tells that nobody tells.
    nobody: bool,
    /// So long the shared desk must be out of reach before this node tells alone.
    alone_after: watch::Receiver<Duration>,
    stop: CancellationToken,
}

/// What a record should be.
struct Meant {
    source: Source,
    report: Report,
    /// Since when all is well.
    well: Option<Instant>,
}

impl Relay {
    pub(super) fn new(
        asks: Asks,
        node: &str,
        queue: mpsc::Receiver<Input>,
        seat: watch::Receiver<Seat>,
        (alone, alone_after): (Alone, watch::Receiver<Duration>),
        stop: CancellationToken,
    ) -> Self {
        Self {
            kv: asks.kv.clone(),
            place: place(node),
            queue,
            meant: BTreeMap::new(),
            whole: BTreeSet::new(),
            seen: None,
            look: Instant::now(),
            stuck: None,
            seat,
            alone,
            told_alone: BTreeSet::new(),
            asks,
            // What was told alone before a crash is still there.
            owes: true,
            nobody: false,
            alone_after,
            stop,
        }
    }

    /// Writes until the agent stops.
    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow() => {}
        }
        self.alone.stop().await;
    }

    async fn follow(&mut self) {
        let mut again: Option<Instant> = None;
        let mut inputs = Vec::new();
        loop {
            if again.is_none_or(|again| again <= Instant::now()) {
                let begun = Instant::now();
                match self.catch_up().await {
                    Ok(()) => (self.stuck, again) = (None, None),
                    Err(why) => {
                        again = Some(Instant::now() + AGAIN);
                        // What is there may be another than what was seen.
                        self.look = begun;
                        if self.stuck.is_none() {
                            warn!(%why, "what this node sees cannot be handed on yet");
                            self.stuck = Some(begun);
                        }
                        self.tell_alone().await;
                    }
                }
            }
            let wake = again.unwrap_or(self.look);
            tokio::select! {
                more = self.queue.recv_many(&mut inputs, QUEUE) => {
                    if more == 0 {
                        return;
                    }
                    for input in inputs.drain(..) {
                        self.take(input).await;
                    }
                }
                // What waits for somebody who tells is handed on as soon as there is one.
                Ok(()) = self.seat.changed() => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    /// Brings the records up to date, with whom this node told alone.
    async fn catch_up(&mut self) -> Result<(), KvError> {
        if self.look <= Instant::now() || self.seen.is_none() {
            self.seen = Some(self.list().await?);
            self.look = Instant::now() + LOOK;
            self.forget();
        }
        if self.nobody && matches!(*self.seat.borrow(), Seat::Nobody { .. }) {
            // It is said by the desk of this node alone.
            return self.write(Vec::new()).await;
        }
        if !self.owes && !self.alone.tells() {
            return self.write(Vec::new()).await;
        }
        // Whether it can be handed on is seen before that desk ends.
        self.mark().await?;
        (self.owes, self.nobody) = (true, false);
        let Owed { told, silences } = self.alone.end().await?;
        for silence in silences {
            self.asks.silence(&self.place, &silence).await?;
        }
        let mut beside = Vec::new();
        for (source, report) in told {
            let key = format!(
                "{}{TOLD}{:016x}-{:016x}",
                self.place,
                digest(report.subject.key.as_str()),
                rand::random::<u64>()
            );
            beside.extend(encoded(&source, &report).map(|value| Op::put(key, value)));
        }
        self.write(beside).await?;
        self.alone.forget().await?;
        self.told_alone.clear();
        self.owes = false;
        Ok(())
    }

    /// Writes that this node lives.
    async fn mark(&self) -> Result<(), KvError> {
        let mark = Alive { unix_ms: self.asks.clock.now().wall.as_unix_millis() };
        let value = wire::encode(&mark).map_err(|why| KvError::Refused { why: why.to_string() })?;
        self.kv.txn(&[Op::put(self.marker(), value)]).await.map(drop)
    }

    /// Our records. The marker among them shows that they may be read.
    async fn list(&self) -> Result<BTreeMap<String, Vec<u8>>, KvError> {
        self.mark().await?;
        let pairs = self.kv.list(&self.place).await?.pairs;
        let mut seen: BTreeMap<_, _> = pairs.into_iter().map(|pair| (pair.key, pair.value)).collect();
        if seen.remove(&self.marker()).is_none() {
            return Err(KvError::Unavailable { why: format!("`{}` cannot be read", self.place) });
        }
        let told = format!("{}{TOLD}", self.place);
        seen.retain(|key, _| !key.starts_with(&told));
        Ok(seen)
    }

    /// When nobody could be told of it for long, this node tells of what it could not hand on.
    async fn tell_alone(&mut self) {
        let after = *self.alone_after.borrow();
        if self.alone.tells() || self.stuck.is_none_or(|since| since.elapsed() < after) {
            return;
        }
        let mut meant: BTreeMap<Source, Vec<Report>> =
            whole().into_iter().map(|source| (source, Vec::new())).collect();
        for one in self.meant.values() {
            meant.entry(one.source.clone()).or_default().push(one.report.clone());
        }
        let mut news = Vec::new();
        for (source, reports) in meant {
            let reports = self.news(&source, reports);
            news.push((source, reports));
        }
        if news.iter().flat_map(|(_, reports)| reports).all(|report| report.status == Status::Passing) {
            return;
        }
        for (source, reports) in news {
            self.alone_input(Input::Reports { source, complete: true, reports, gone: Vec::new() }).await;
        }
    }

    /// What the shared desk was not told: what stands in a record was handed on, and is told by another
    /// node when it can be. Unless this node has said otherwise since, alone.
    fn news(&mut self, source: &Source, reports: Vec<Report>) -> Vec<Report> {
        let mut news = Vec::new();
        for report in reports {
            let key = self.key(source, &report.subject.key);
            let seen = self.seen.as_ref().and_then(|seen| seen.get(&key));
            let stands = seen.and_then(|value| wire::decode::<Said>(value).and_then(Said::into_report).ok());
            let same = stands.is_some_and(|(_, stands)| stands.status == report.status);
            if same && !self.told_alone.contains(&key) {
                continue;
            }
            if report.status != Status::Passing {
                self.told_alone.insert(key);
            }
            news.push(report);
        }
        news
    }

    async fn alone_input(&mut self, input: Input) {
        self.owes = true;
        if let Err(why) = self.alone.input(input).await {
            warn!(%why, "and this node cannot tell alone");
        }
    }

    async fn take(&mut self, input: Input) {
        if self.alone.tells() {
            let mut input = input.clone();
            if let Input::Reports { source, reports, .. } = &mut input {
                *reports = self.news(source, std::mem::take(reports));
            }
            self.alone_input(input).await;
        }
        let Input::Reports { source, complete, reports, gone } = input else {
            // Nobody tells, and somebody must say so.
            self.nobody = true;
            if !self.alone.tells() {
                self.alone_input(input).await;
            }
            return;
        };
        let mut present = BTreeSet::new();
        for report in reports {
            let key = self.key(&source, &report.subject.key);
            present.insert(key.clone());
            self.say(key, &source, report);
        }
        for subject in gone {
            self.meant.remove(&self.key(&source, &subject));
        }
        if complete {
            let of_it = self.of(&source);
            self.meant.retain(|key, _| !key.starts_with(&of_it) || present.contains(key));
            self.whole.insert(source);
        }
    }

    fn say(&mut self, key: String, source: &Source, report: Report) {
        let mut well = None;
        if report.status == Status::Passing {
            // Until the records were seen there may be one that says otherwise.
            let known = self.seen.as_ref().is_none_or(|seen| seen.contains_key(&key));
            if !known && !self.meant.contains_key(&key) && report.news.is_none() {
                return;
            }
            let since = self.meant.get(&key).and_then(|meant| meant.well);
            well = Some(since.unwrap_or_else(Instant::now));
        }
        self.meant.insert(key, Meant { source: source.clone(), report, well });
    }

    /// Writes what differs. What is beside it is written with it.
    async fn write(&mut self, beside: Vec<Op>) -> Result<(), KvError> {
        let Some(seen) = &mut self.seen else { return Ok(()) };
        let mut ops = beside;
        for (key, meant) in &self.meant {
            let quiet = meant.well.is_some() && meant.report.news.is_none();
            let new = quiet && !seen.contains_key(key);
            if !new
                && let Some(value) = encoded(&meant.source, &meant.report)
                && seen.get(key) != Some(&value)
            {
                ops.push(Op::put(key, value));
            }
        }
        let whole: Vec<_> = self.whole.iter().map(|source| format!("{}{source}/", self.place)).collect();
        let stray = seen
            .keys()
            .filter(|key| !self.meant.contains_key(*key) && whole.iter().any(|of_it| key.starts_with(of_it)));
        ops.extend(stray.map(Op::delete));
        for some in in_parts(ops, MAX_OPERATIONS) {
            self.kv.txn(&some).await?;
            for op in some {
                match op {
                    Op::Put { key, value, .. } => drop(seen.insert(key, value)),
                    op => drop(seen.remove(op.key())),
                }
            }
        }
        let told = format!("{}{TOLD}", self.place);
        seen.retain(|key, _| !key.starts_with(&told));
        Ok(())
    }

    /// What is well for long needs no record.
    fn forget(&mut self) {
        let known = |meant: &Meant| meant.well.is_none_or(|since| since.elapsed() < WELL);
        self.meant.retain(|_, meant| meant.report.news.is_some() || known(meant));
    }

    fn marker(&self) -> String {
        format!("{}self", self.place)
    }

    fn of(&self, source: &Source) -> String {
        format!("{}{source}/", self.place)
    }

    fn key(&self, source: &Source, subject: &SubjectKey) -> String {
        format!("{}{:016x}", self.of(source), digest(subject.as_str()))
    }
}

/// Where a node writes. Its name may hold what a key may not.
fn place(node: &str) -> String {
    format!("{FROM}{}/", SubjectKey::of(&[node]))
}

fn encoded(source: &Source, report: &Report) -> Option<Vec<u8>> {
    let mut report = report.clone();
    report.output.truncate(report.output.floor_char_boundary(OUTPUT));
    wire::encode(&Said::new(source, &report))
        .map_err(|why| warn!(%why, subject = %report.subject.key, "what is seen of it cannot be written"))
        .ok()
}

/// Removes what a node said that shares its alerts no more: it tells of it by itself.
pub(super) async fn withdraw(kv: Kv, node: String) {
    loop {
        match remove_all(&kv, &place(&node)).await {
            Ok(()) => return,
            Err(why @ (KvError::Denied { .. } | KvError::Refused { .. })) => {
                debug!(%why, "what this node said when it shared its alerts may still stand in Consul");
                return;
            }
            Err(_away) => sleep(LOOK).await,
        }
    }
}

async fn remove_all(kv: &Kv, place: &str) -> Result<(), KvError> {
    let ops = kv.list(place).await?.pairs.into_iter().map(|pair| Op::delete(pair.key)).collect();
    for some in in_parts(ops, MAX_OPERATIONS) {
        kv.txn(&some).await?;
    }
    Ok(())
}

/// Removes what a node said last that is gone for good. What it told while it was cut off stays until
/// the node that tells has taken it in.
pub(super) async fn forget(kv: &Kv, node: &str, now: Wall) -> Result<Result<String, Refusal>, KvError> {
    let place = place(node);
    let (marker, told) = (format!("{place}self"), format!("{place}{TOLD}"));
    let pairs = kv.list(&place).await?.pairs;
    // A program that does not say when it wrote its marker cannot be told from one that is gone.
    let mark = pairs.iter().find(|pair| pair.key == marker);
    let alive = mark.and_then(|pair| wire::decode::<Alive>(&pair.value).ok());
    if let Some(Alive { unix_ms }) = alive {
        let age = now.as_unix_millis().abs_diff(unix_ms);
        if age < u64::try_from(GONE.as_millis()).unwrap_or(u64::MAX) {
            let ago = Span(Duration::from_millis(age / 1_000 * 1_000));
            return Ok(Err(Refusal::Conflict(format!("{node} is alive: it was heard of {ago} ago"))));
        }
    }
    let gone: Vec<_> = pairs.iter().filter(|pair| !pair.key.starts_with(&told)).collect();
    if gone.is_empty() {
        return Ok(Err(Refusal::NotFound(format!("no node `{node}` has said anything"))));
    }
    let wrong = gone.iter().filter(|pair| pair.key != marker).count();
    // One that comes back meanwhile is not forgotten.
    let ops = gone.iter().map(|pair| Op::delete_at(pair.key.clone(), pair.revision)).collect();
    for some in in_parts(ops, MAX_OPERATIONS / 2) {
        kv.txn(&some).await?;
    }
    let what = if wrong == 1 { "1 record".to_owned() } else { format!("{wrong} records") };
    Ok(Ok(format!("{node} is forgotten: {what} of what it said last")))
}

/// The checks of Lictor's own.
pub(super) fn own() -> Source {
    Source::new("own")
}

/// The sources of which the records of all nodes are all there is.
pub(super) fn whole() -> [Source; 4] {
    [own(), Source::peers(), Source::replicate(), Source::snapshot()]
}

#[cfg(test)]
mod tests;
