//! One pass through the keys of the source: what differs is written, several transactions at a time.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use futures::stream::{FuturesUnordered, StreamExt as _};
use lictor_consul::{Encoded, Error, PairRows, Query};
use lictor_core::replicate::{Found, Heading, Verdict};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info, warn};

use super::copy::Copying;
use super::source::{content, row};
use super::view::NAMED;
use super::writer::{Batch, Fate, Job};

/// How far apart two listings of the source are at least, so that changes come together.
const GAP: Duration = Duration::from_millis(20);

/// The same after a pass that took long.
const GAP_MOST: Duration = Duration::from_secs(5);

/// Conflicts that are looked at together.
const TOGETHER: usize = 500;

/// A write that nobody knows of may be done that much later. After that the destination is read once more.
const SETTLE: Duration = Duration::from_secs(15);

/// How often a key is tried in one pass that somebody else writes, too.
const TRIES: usize = 5;

/// What a pass has under way.
#[derive(Default)]
struct Flight {
    /// Jobs that somebody else was faster with.
    again: Vec<Job>,
    /// Why something is not known to be written.
    unclear: Option<String>,
}

impl Copying {
    /// Goes through a list of the source; why something is not known to be written, if so.
    pub(super) async fn pass(&mut self, rows: PairRows) -> Result<Option<String>, Error> {
        let now = self.clock.boot();
        self.state.send_modify(|state| state.behind = state.behind.or(Some(now)));
        let mut rows = match self.settings.wait {
            Some(times) => self.quiet(rows, times).await?,
            None => rows,
        };
        let begun = Instant::now();
        let index = rows.meta().index.map_or(0, |index| index.0);
        let heading = Heading { index, anew: self.at.anew };
        self.copier.begin_source(heading);
        if self.copier.copied().is_none() && !self.settings.dry_run {
            // Before anything older is written: the next one must not rest on what is noted.
            self.notes.forget(&self.copier, self.clock.now().wall).await?;
        }
        let (mut batch, mut flight, mut flying) =
            (Batch::default(), Flight::default(), FuturesUnordered::new());
        let (mut written, mut broken) = (0_u64, None);
        let before = self.copier.tally().written;
        loop {
            let mut jobs = Vec::new();
            let copier = &mut self.copier;
            let more = rows.next(|pair| {
                let verdict = copier.source(&row(&pair), || content(pair.flags, &pair.value), now);
                let Verdict::Write(write) = verdict else { return };
                match Encoded::new(&pair.value) {
                    Ok(value) => jobs.push((write, value, pair.flags)),
                    Err(_) => copier.refuse(&write, "its value cannot be read", now),
                }
            });
            let more = more.await;
            written += jobs.len() as u64;
            self.progress(written.saturating_sub(self.copier.tally().written - before));
            for (write, value, flags) in jobs {
                if self.settings.dry_run {
                    debug!(key = self.copier.rule().copy_of(&write.suffix), "would be written");
                    continue;
                }
                let key = self.copier.rule().copy_of(&write.suffix);
                if let Some(full) = self.writer.add(&mut batch, Job::Set { write, key, value, flags }) {
                    flying.push(self.writer.clone().send(full));
                }
                while flying.len() >= self.settings.parallel {
                    let landed = flying.next().await;
                    self.land(landed.unwrap_or_default(), &mut flight);
                }
            }
            // A change need not wait for the rest of the list while nothing else is under way.
            if flying.is_empty() && !batch.is_empty() {
                flying.push(self.writer.clone().send(std::mem::take(&mut batch)));
            }
            // Those that wait for their answers go on meanwhile.
            while let Some(Some(landed)) = flying.next().now_or_never() {
                self.land(landed, &mut flight);
            }
            if flight.again.len() >= TOGETHER {
                self.again(&mut flight).await;
            }
            match more {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    broken = Some(error);
                    break;
                }
            }
        }
        if !batch.is_empty() {
            flying.push(self.writer.clone().send(batch));
        }
        while let Some(landed) = flying.next().await {
            self.land(landed, &mut flight);
        }
        self.again(&mut flight).await;
        if flight.unclear.is_some() {
            let now = Instant::now();
            (self.at.load, self.at.settle) = (Some(now), Some(now + SETTLE));
        }
        if let Some(error) = broken {
            return Err(error);
        }
        let complete = flight.unclear.is_none() && !(self.settings.dry_run && written > 0);
        let missing = self.copier.end_source(heading, complete, self.clock.boot());
        if flight.unclear.is_none() {
            (self.at.seen, self.at.anew, self.at.due) = (index, false, false);
            // Under constant change a third of the time is spent on it at most.
            self.at.not_before = Instant::now() + (begun.elapsed() * 2).clamp(GAP, GAP_MOST);
            let (wall, took) = (self.clock.now().wall, begun.elapsed());
            let dry = self.settings.dry_run;
            self.state.send_modify(|state| {
                state.would.write = if dry { written } else { 0 };
                state.would.delete = if missing == 0 { 0 } else { state.would.delete };
                (state.behind, state.pending, state.latest) = (None, 0, Some(wall));
                state.took_ms = u64::try_from(took.as_millis()).ok();
            });
        }
        Ok(flight.unclear)
    }

    /// Waits until the source is quiet.
    async fn quiet(&self, mut rows: PairRows, times: (Duration, Duration)) -> Result<PairRows, Error> {
        let last = Instant::now() + times.1;
        let mut quiet = Instant::now() + times.0;
        loop {
            let index = rows.meta().index.map_or(0, |index| index.0);
            drop(rows);
            match timeout_at(quiet.min(last), self.source.clone().rows(index, 0)).await {
                Ok(next) => {
                    rows = next?;
                    // A question that is held no longer brings nothing new.
                    if rows.meta().index.is_none_or(|next| next.0 != index) {
                        quiet = Instant::now() + times.0;
                    }
                }
                Err(_quiet) => return self.source.sure_rows().await,
            }
        }
    }

    /// Takes in what became of a batch.
    fn land(&mut self, landed: Vec<(Job, Fate)>, flight: &mut Flight) {
        let now = self.clock.boot();
        for (job, fate) in landed {
            // A pass deletes nothing.
            let Job::Set { write, key, .. } = &job else { continue };
            match fate {
                Fate::Done(index) => self.copier.written(write, index),
                Fate::Conflict => flight.again.push(job),
                Fate::Refused(why) => {
                    let known = self.copier.refused();
                    if known.len() < NAMED && !known.contains_key(&write.suffix) {
                        warn!(key, why, "a key is not copied; it is tried again");
                    }
                    self.copier.refuse(write, &why, now);
                }
                Fate::Unclear(why) => flight.unclear = Some(why),
                Fate::Fenced => {
                    self.at.fenced = true;
                    flight.unclear = Some("another node copies now".to_owned());
                }
            }
        }
    }

    /// Looks at what somebody else has written meanwhile, and decides anew.
    async fn again(&mut self, flight: &mut Flight) {
        for _tries in 0..TRIES {
            let (mut batch, mut batches) = (Batch::default(), Vec::new());
            for job in std::mem::take(&mut flight.again) {
                if let Err(error) = self.look(job.suffix()).await {
                    flight.unclear = Some(error.to_string());
                    return;
                }
                let Job::Set { write, key, value, flags } = job else { continue };
                if let Verdict::Write(write) = self.copier.again(&write, self.clock.boot()) {
                    if write.guard > 0 {
                        self.copier.overwritten();
                        info!(key, "what somebody else wrote at the destination is written over");
                    }
                    batches.extend(self.writer.add(&mut batch, Job::Set { write, key, value, flags }));
                }
            }
            batches.push(batch);
            for batch in batches.into_iter().filter(|batch| !batch.is_empty()) {
                let landed = self.writer.clone().send(batch).await;
                self.land(landed, flight);
            }
            if flight.again.is_empty() {
                return;
            }
        }
        flight.unclear = Some("somebody else writes the same keys all the time".to_owned());
    }

    /// Reads one key of the destination.
    pub(super) async fn look(&mut self, suffix: &str) -> Result<(), Error> {
        let key = self.copier.rule().copy_of(suffix);
        let pair = self.there.client.kv().get(&key, &Query::new().consistent()).await?.value;
        let found = pair.map(|pair| Found {
            content: content(pair.flags, &STANDARD.encode(&pair.value)),
            index: pair.modify_index.0,
            session: pair.session.is_some(),
        });
        self.copier.found(suffix, found);
        Ok(())
    }
}
