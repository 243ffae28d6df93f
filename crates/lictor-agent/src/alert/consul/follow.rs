//! The checks of one datacenter, from one blocking query to the next.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use lictor_consul::{Answer, Client, Error, Query};
use lictor_core::alert::{Input, Source};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use super::cursor::{Cursor, Moved};
use super::doubt::{self, Doubt};
use super::known::{Known, List};
use super::outage::{Outage, Pauses, Reason};
use super::{Closed, Timing};

/// The longest pause after an error.
const AFTER_ERRORS: Duration = Duration::from_secs(10);

/// The longest pause while a list cannot be believed. Rights that are given back wake no query.
const IN_DOUBT: Duration = Duration::from_secs(30);

/// How often a list is read again because maintenance began or ended while it was read, before all of
/// it is told.
const READINGS: u32 = 3;

/// One datacenter's checks.
#[derive(Debug)]
pub(super) struct Follower {
    client: Client,
    source: Source,
    query: Query,
    stale: bool,
    timing: Timing,
    inputs: mpsc::Sender<Input>,
    known: Known,
    cursor: Cursor,
    outage: Outage,
    /// The list that was last believed.
    believed: Option<doubt::List>,
    /// The doubt about the one after it.
    doubt: Option<Doubt>,
    /// Whose rows are read anew for the sake of maintenance, and how often that was tried.
    anew: BTreeSet<String>,
    readings: u32,
    not_before: Instant,
    pauses: Pauses,
    doubting: Pauses,
}

impl Follower {
    /// Has read nothing yet.
    pub(super) fn new(
        client: Client,
        datacenter: String,
        inputs: mpsc::Sender<Input>,
        stale: bool,
        timing: Timing,
    ) -> Self {
        Self {
            client,
            source: Source::new(&format!("consul/{datacenter}")),
            query: Query::new().datacenter(datacenter.clone()),
            stale,
            timing,
            inputs,
            known: Known::new(datacenter),
            cursor: Cursor::new(),
            outage: Outage::new(timing.grace),
            believed: None,
            doubt: None,
            anew: BTreeSet::new(),
            readings: 0,
            not_before: Instant::now(),
            pauses: Pauses::new(AFTER_ERRORS),
            doubting: Pauses::new(IN_DOUBT),
        }
    }

    /// Reports until nobody takes the reports any more.
    pub(super) async fn run(mut self) {
        while let Ok(()) = self.turn().await {}
    }

    /// One query and what follows from it.
    async fn turn(&mut self) -> Result<(), Closed> {
        let rest = sleep_until(self.not_before);
        meanwhile(&mut self.outage, &self.inputs, &self.source, rest).await?;
        // There is room for what will be reported, or nothing is asked.
        drop(self.inputs.reserve().await.map_err(|_closed| Closed)?);

        let (query, waits) = (self.query(), self.cursor.waits());
        let asked = Instant::now();
        let mut reading = self.known.read(self.cursor.complete(), self.anew.clone());
        let health = self.client.health();
        let answer = health.each(&query, |row| reading.take(row));
        let answer = meanwhile(&mut self.outage, &self.inputs, &self.source, answer).await?;
        let list = reading.end();
        self.not_before = Instant::now() + self.timing.gap;
        match answer {
            Ok(answer) => self.answered(answer, list, waits && asked.elapsed() < self.timing.wait / 2).await,
            Err(error) => self.failed(&error, waits).await,
        }
    }

    fn query(&self) -> Query {
        let query = self.cursor.ask(self.query.clone(), self.timing.wait);
        if self.doubt.is_some() {
            query.consistent()
        } else if self.stale {
            query.stale()
        } else if self.cursor.waits() {
            query
        } else {
            // For seconds after all servers were started anew, any other answer may have a part only.
            query.consistent()
        }
    }

    async fn failed(&mut self, error: &Error, waited: bool) -> Result<(), Closed> {
        debug!(source = %self.source, %error, "consul's checks were not read");
        // A query that waited for news is only given up long after its answer was due.
        let overdue = waited && matches!(error, Error::TimedOut { .. });
        self.lost(Reason::from(error), overdue).await
    }

    /// There is no list that can be believed.
    async fn lost(&mut self, reason: Reason, at_once: bool) -> Result<(), Closed> {
        self.cursor.restart();
        self.not_before = Instant::now() + self.pauses.next();
        match self.outage.failed(Instant::now(), reason, at_once) {
            Some(why) => tell(&self.inputs, &self.source, why).await,
            None => Ok(()),
        }
    }

    async fn answered(&mut self, answer: Answer<()>, list: List, early: bool) -> Result<(), Closed> {
        let Some(index) = answer.meta.index else {
            return self.lost(Reason::no_index(), false).await;
        };
        let complete = self.cursor.complete();
        let now = doubt::List { rows: list.rows, filtered: answer.meta.filtered_by_acls == Some(true) };
        let sure = matches!(self.doubt, Some(Doubt::Shrunk { .. }));
        match self.cursor.take(index) {
            Moved::Back => {
                info!(source = %self.source, "the index of consul's checks went back; reading all of them");
                self.not_before = Instant::now() + self.pauses.next();
                return Ok(());
            }
            // A server that does not hold a query is not asked as fast as it answers.
            Moved::Stayed if early => self.not_before = Instant::now() + self.pauses.next(),
            Moved::Stayed | Moved::Forward => self.pauses.reset(),
        }
        if let Some(doubt) = doubt::doubt(self.believed, now, sure) {
            return self.doubted(doubt).await;
        }
        if !list.missed.is_empty() {
            self.read_anew(list.missed);
            return Ok(());
        }
        self.anew.clear();
        self.readings = 0;
        self.doubt = None;
        self.doubting.reset();
        self.believe(now, list, complete).await
    }

    /// Reads the list once more without waiting, for rows that are as before but whose maintenance
    /// began or ended.
    fn read_anew(&mut self, missed: BTreeSet<String>) {
        self.readings += 1;
        if self.readings > READINGS {
            self.cursor.restart();
        } else {
            self.anew.extend(missed);
            self.cursor.again();
        }
    }

    async fn doubted(&mut self, doubt: Doubt) -> Result<(), Closed> {
        let more = match doubt {
            Doubt::Empty if !self.outage.told_empty() => self.nodes().await,
            Doubt::Empty | Doubt::Hidden | Doubt::Shrunk { .. } => String::new(),
        };
        self.lost(Reason::doubt(doubt, &more), self.believed.is_some()).await?;
        let pause = match doubt {
            Doubt::Shrunk { .. } => self.timing.second_look,
            Doubt::Empty | Doubt::Hidden => self.doubting.next(),
        };
        self.not_before = Instant::now() + pause;
        self.doubt = Some(doubt);
        Ok(())
    }

    /// What the catalog says while there are no checks.
    async fn nodes(&self) -> String {
        match self.client.catalog().nodes(&self.query.clone().consistent()).await {
            Ok(nodes) if nodes.value.is_empty() => ", and no node".to_owned(),
            Ok(nodes) => format!(", but {} nodes", nodes.value.len()),
            Err(error) if error.is_denied() => ", and refuses to show the nodes".to_owned(),
            Err(_) => String::new(),
        }
    }

    async fn believe(&mut self, now: doubt::List, list: List, complete: bool) -> Result<(), Closed> {
        if now.filtered && self.believed.is_none_or(|before| !before.filtered) {
            warn!(source = %self.source, "the token may see a part of consul's checks only");
        }
        self.believed = Some(now);
        let difference = self.known.believe(list);
        if self.outage.over() {
            info!(source = %self.source, "consul's checks are known again");
        }
        if !complete && difference.reports.is_empty() && difference.gone.is_empty() {
            return Ok(());
        }
        let gone = if complete { Vec::new() } else { difference.gone };
        let (source, reports) = (self.source.clone(), difference.reports);
        Ok(self.inputs.send(Input::Reports { source, complete, reports, gone }).await?)
    }
}

/// Waits for something, and tells meanwhile that Consul is away once it has been for long enough.
async fn meanwhile<T>(
    outage: &mut Outage,
    inputs: &mpsc::Sender<Input>,
    source: &Source,
    work: impl Future<Output = T>,
) -> Result<T, Closed> {
    let mut work = pin!(work);
    while let Some(due) = outage.due() {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = sleep_until(due) => {
                if let Some(why) = outage.tell() {
                    tell(inputs, source, why).await?;
                }
            }
        }
    }
    Ok(work.await)
}

async fn tell(inputs: &mpsc::Sender<Input>, source: &Source, why: String) -> Result<(), Closed> {
    warn!(%source, why, "consul's checks are not known");
    Ok(inputs.send(Input::Lost { source: source.clone(), why }).await?)
}
