//! What this node's own sources say, as records for the node that tells; and those of all nodes as
//! one source of the desk.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lictor_core::Status;
use lictor_core::alert::{Input, Report, Source, SubjectKey, digest};
use lictor_store::kv::{Kv, KvError, MAX_OPERATIONS, Op, Revision};
use lictor_store::wire::{self, Said};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, warn};

use super::alone::Alone;
use super::inbox::DeskInbox;
use super::keep::in_parts;
use crate::inbox::Gone;

/// Where each node writes what its sources say: `alerts.from/NODE/…`.
const FROM: &str = "alerts.from/";

/// What is well again is still said so long: until then the node that tells has heard it.
const WELL: Duration = Duration::from_secs(3_600);

/// So long the shared desk must be out of reach before a node tells alone: longer than Consul needs to
/// elect a leader.
pub(super) const ALONE: Duration = Duration::from_secs(30);

/// Pause after a write or a look that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// How long one look for news is held open.
const HOLD: Duration = Duration::from_secs(30);

/// Where a source hands in what it says.
#[derive(Clone, Debug)]
pub(super) enum Feed {
    /// To our desk.
    Desk(DeskInbox),
    /// To the one that several nodes share, by way of [`Relay`].
    Shared(mpsc::Sender<Input>),
}

impl Feed {
    /// Hands it in. Waits while the other side is busy.
    pub(super) async fn input(&self, input: Input) -> Result<(), Gone> {
        match self {
            Self::Desk(desk) => desk.input(input).await,
            Self::Shared(relay) => relay.send(input).await.map_err(|_closed| Gone),
        }
    }
}

/// Writes what this node's sources say. Only what is wrong has a record, and what was a while ago.
pub(super) struct Relay {
    kv: Kv,
    place: String,
    queue: mpsc::Receiver<Input>,
    /// The records as they are, for all we know.
    written: BTreeMap<String, Vec<u8>>,
    /// What they should be, where that differs.
    wanted: BTreeMap<String, Wanted>,
    /// Since when one says that all is well.
    well: BTreeMap<String, Instant>,
    /// Since when nothing can be written.
    stuck: Option<Instant>,
    alone: Alone,
    /// There may be something that was told alone and is not handed on.
    owes: bool,
}

/// What a record should be.
struct Wanted {
    source: Source,
    subject: SubjectKey,
    /// `None`: there should be none.
    report: Option<Report>,
}

impl Relay {
    pub(super) fn new(kv: Kv, node: &str, queue: mpsc::Receiver<Input>, alone: Alone) -> Self {
        // A name may hold what a key may not.
        let place = format!("{FROM}{}/", SubjectKey::of(&[node]));
        let (written, wanted, well) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        // What was told alone before a crash is still there.
        Self { kv, place, queue, written, wanted, well, stuck: None, alone, owes: true }
    }

    /// Writes until the agent stops.
    pub(super) async fn run(mut self) {
        let mut known = false;
        let mut again: Option<Instant> = None;
        loop {
            let ready = again.is_none_or(|again| again <= Instant::now());
            if ready && (!known || self.owes || self.alone.tells() || !self.wanted.is_empty()) {
                let begun = Instant::now();
                match self.catch_up(&mut known).await {
                    Ok(()) => (self.stuck, again) = (None, None),
                    Err(why) => {
                        again = Some(Instant::now() + AGAIN);
                        if self.stuck.is_none() {
                            warn!(%why, "what this node sees cannot be handed on yet");
                            self.stuck = Some(begun);
                        }
                        self.tell_alone().await;
                    }
                }
            }
            let tired = self.well.values().min().map(|since| *since + WELL);
            let wake = again.or(tired).unwrap_or_else(|| Instant::now() + WELL);
            tokio::select! {
                input = self.queue.recv() => match input {
                    Some(input) => self.take(input).await,
                    None => return,
                },
                () = sleep_until(wake) => self.forget(),
            }
        }
    }

    /// Brings the records up to date, with whom this node told alone.
    async fn catch_up(&mut self, known: &mut bool) -> Result<(), KvError> {
        if !*known || self.alone.tells() {
            let pairs = self.kv.list(&self.place).await?.pairs;
            self.written = pairs.into_iter().map(|pair| (pair.key, pair.value)).collect();
            *known = true;
        }
        let owes = self.owes || self.alone.tells();
        if owes {
            for (source, report) in self.alone.end().await? {
                let key = self.key(&source, &report.subject.key);
                // What is seen since is newer, and whom we told is known to the desk alone.
                let status = self.wanted.get(&key).and_then(|wanted| wanted.report.as_ref());
                let report = match status {
                    Some(now) => Report { told: report.told, ..now.clone() },
                    None => report,
                };
                self.say(key, &source, report);
            }
            self.owes = true;
        }
        self.write().await?;
        if owes {
            self.alone.forget().await?;
            self.owes = false;
        }
        Ok(())
    }

    /// When nobody could be told of it for long, this node tells of what it could not hand on.
    async fn tell_alone(&mut self) {
        if self.alone.tells()
            || self.wanted.is_empty()
            || self.stuck.is_none_or(|since| since.elapsed() < ALONE)
        {
            return;
        }
        let reports = self.wanted.values().filter_map(|wanted| wanted.report.clone()).collect();
        self.alone_input(Input::Reports { source: own(), complete: true, reports, gone: Vec::new() }).await;
    }

    async fn alone_input(&mut self, input: Input) {
        self.owes = true;
        if let Err(why) = self.alone.input(input).await {
            warn!(%why, "and this node cannot tell alone");
        }
    }

    async fn take(&mut self, input: Input) {
        if self.alone.tells() {
            self.alone_input(input.clone()).await;
        }
        let Input::Reports { source, complete, reports, gone } = input else {
            // What concerns the shared desk as a whole.
            if !self.alone.tells() {
                self.alone_input(input).await;
            }
            return;
        };
        let mut present = BTreeSet::new();
        for report in reports {
            let key = self.key(&source, &report.subject.key);
            present.insert(key.clone());
            let known = self.written.contains_key(&key) || self.wanted.contains_key(&key);
            if report.status != Status::Passing || known {
                self.say(key, &source, report);
            }
        }
        for subject in gone {
            let key = self.key(&source, &subject);
            self.want(key, Wanted { source: source.clone(), subject, report: None });
        }
        if complete {
            let of_it = format!("{}{source}/", self.place);
            let known = self.written.keys().chain(self.wanted.keys());
            let missing: Vec<_> =
                known.filter(|key| key.starts_with(&of_it) && !present.contains(*key)).cloned().collect();
            for key in missing {
                let subject = self.wanted.get(&key).map(|wanted| wanted.subject.clone());
                let subject = subject.unwrap_or_else(|| SubjectKey::stored(""));
                self.want(key, Wanted { source: source.clone(), subject, report: None });
            }
        }
    }

    fn say(&mut self, key: String, source: &Source, report: Report) {
        if report.status == Status::Passing {
            self.well.entry(key.clone()).or_insert_with(Instant::now);
        } else {
            self.well.remove(&key);
        }
        let subject = report.subject.key.clone();
        self.want(key, Wanted { source: source.clone(), subject, report: Some(report) });
    }

    fn want(&mut self, key: String, wanted: Wanted) {
        if wanted.report.is_none() {
            self.well.remove(&key);
        }
        if self.written.get(&key) == wanted.value().as_ref() {
            self.wanted.remove(&key);
        } else {
            self.wanted.insert(key, wanted);
        }
    }

    async fn write(&mut self) -> Result<(), KvError> {
        let ops = self.wanted.iter().map(|(key, wanted)| match wanted.value() {
            Some(value) => Op::put(key, value),
            None => Op::delete(key),
        });
        for some in in_parts(ops.collect(), MAX_OPERATIONS) {
            self.kv.txn(&some).await?;
            for op in some {
                self.wanted.remove(op.key());
                match op {
                    Op::Put { key, value, .. } => drop(self.written.insert(key, value)),
                    op => drop(self.written.remove(op.key())),
                }
            }
        }
        Ok(())
    }

    fn forget(&mut self) {
        let tired = |since: &Instant| since.elapsed() >= WELL;
        let over: Vec<_> =
            self.well.iter().filter(|(_, since)| tired(since)).map(|(key, _)| key.clone()).collect();
        for key in over {
            let subject = SubjectKey::stored("");
            self.want(key, Wanted { source: own(), subject, report: None });
        }
    }

    fn key(&self, source: &Source, subject: &SubjectKey) -> String {
        format!("{}{source}/{:016x}", self.place, digest(subject.as_str()))
    }
}

impl Wanted {
    fn value(&self) -> Option<Vec<u8>> {
        let report = self.report.as_ref()?;
        let encoded = wire::encode(&Said::new(&self.source, report));
        encoded
            .map_err(|why| warn!(%why, subject = %self.subject, "what is seen of it cannot be written"))
            .ok()
    }
}

/// Hands in what all nodes say, as long as this one tells: first everything, then what changes.
pub(super) async fn gather(kv: Kv, desk: DeskInbox) {
    // It stops.
    let _gone = follow(&kv, &desk).await;
}

async fn follow(kv: &Kv, desk: &DeskInbox) -> Result<(), Gone> {
    let (mut since, mut known) = (Revision(0), None);
    loop {
        let listing = match kv.watch(FROM, since, HOLD).await {
            Ok(listing) => listing,
            Err(why) => {
                debug!(%why, "what other nodes say cannot be read");
                sleep(AGAIN).await;
                continue;
            }
        };
        since = listing.revision;
        let mut now = BTreeMap::new();
        let mut said: BTreeMap<Source, Vec<Report>> = BTreeMap::new();
        for pair in listing.pairs {
            let before = known.as_ref().and_then(|known: &Known| known.get(&pair.key));
            if let Some(same) = before.filter(|(revision, ..)| *revision == pair.revision) {
                now.insert(pair.key, same.clone());
                continue;
            }
            match wire::decode::<Said>(&pair.value).and_then(Said::into_report) {
                Ok((source, report)) => {
                    let seen = (pair.revision, source.clone(), report.subject.key.clone());
                    now.insert(pair.key, seen);
                    said.entry(source).or_default().push(report);
                }
                Err(why) => warn!(record = pair.key, %why, "what a node says is not understood"),
            }
        }
        let mut gone: BTreeMap<Source, Vec<SubjectKey>> = BTreeMap::new();
        for (key, (_, source, subject)) in known.iter().flatten() {
            if !now.contains_key(key) {
                gone.entry(source.clone()).or_default().push(subject.clone());
            }
        }
        let complete = known.is_none();
        if complete {
            said.entry(own()).or_default();
        }
        let sources: BTreeSet<_> = said.keys().chain(gone.keys()).cloned().collect();
        for source in sources {
            let (reports, gone) =
                (said.remove(&source).unwrap_or_default(), gone.remove(&source).unwrap_or_default());
            desk.input(Input::Reports { source, complete, reports, gone }).await?;
        }
        known = Some(now);
    }
}

/// The records that were seen: when each was written, and of what it speaks.
type Known = BTreeMap<String, (Revision, Source, SubjectKey)>;

/// The checks of Lictor's own.
pub(super) fn own() -> Source {
    Source::new("own")
}
