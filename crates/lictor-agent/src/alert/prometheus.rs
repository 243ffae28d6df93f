//! What Prometheus and other programs report, as they report it to an Alertmanager.
//!
//! They say again and again what is wrong, and say once or a few times that it is over. What they do
//! not say again in time is over, too. The times live in memory: after a start each known alert
//! has five minutes to be said again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lictor_core::alert::{Input, Report, Source, Subject, SubjectKey, label};
use lictor_core::{Boot, Now, Status};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::ask::Asks;
use super::{AlertView, Seat};
use crate::clock::Clock;
use crate::inbox::{Gone, NoAnswer};
use crate::task::{OnEnd, Tasks};
use crate::web::Alerts;

/// An alert that does not say until when it holds, holds so long.
const DEFAULT: Duration = Duration::from_secs(300);

/// Longest time until which an alert may say to hold: a wrong clock must not make it eternal.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Alerts known at a time. More are refused.
const KNOWN: usize = 20_000;

/// Requests that wait their turn; each is answered when its alerts were handed in.
const QUEUE: usize = 16;

/// How long a request waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause before a desk that does not answer is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Labels of one alert, and bytes of their names and values.
const LABELS: usize = 64;
const BYTES: usize = 8 << 10;

/// Of what is kept of texts, bytes.
const TEXT: usize = 4 << 10;

/// The name of the label that the report's own `source` is kept by.
const EXPORTED: &str = "exported_source";

/// An alert as it is reported. What else is said of it is passed over.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Posted {
    /// What identifies it; `alertname` is its name.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Texts for people.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Until when it holds, RFC 3339: when that is past, it is over.
    #[serde(default, rename = "endsAt")]
    pub ends_at: Option<String>,
    /// Where it comes from.
    #[serde(default, rename = "generatorURL")]
    pub generator_url: Option<String>,
    /// How long it holds still, as another node has judged that it was reported to. It counts in
    /// place of `ends_at`, which is of a clock that may differ from ours.
    #[serde(skip)]
    pub left: Option<Duration>,
}

/// What became of reported alerts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Why some were not taken.
    pub refused: Vec<String>,
}

/// Takes reported alerts in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Posts {
    queue: mpsc::Sender<Post>,
    elsewhere: Option<Elsewhere>,
}

/// Where another node may be the one that tells.
#[derive(Clone, Debug)]
pub(super) struct Elsewhere {
    /// Who does.
    pub(super) seat: watch::Receiver<Seat>,
    /// How it is told.
    pub(super) asks: Asks,
}

#[derive(Debug)]
struct Post {
    alerts: Vec<Posted>,
    taken: oneshot::Sender<Taken>,
}

impl Posts {
    /// Starts to take reports in. What the desk knows of before has time to be said again.
    pub fn start(alerts: Arc<dyn Alerts>, clock: Clock, tasks: &Tasks) -> Self {
        Self::shared(alerts, clock, None, tasks)
    }

    /// The same, where another node may be the one that tells.
    pub(super) fn shared(
        alerts: Arc<dyn Alerts>,
        clock: Clock,
        elsewhere: Option<Elsewhere>,
        tasks: &Tasks,
    ) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE);
        let seat = elsewhere.as_ref().map(|elsewhere| elsewhere.seat.clone());
        let work = async move {
            // Ends with the agent.
            let _gone = Reception { alerts, clock, queue, seat, book: Book::default() }.run().await;
        };
        drop(tasks.spawn("reported alerts", OnEnd::Fine, work));
        Self { queue: sender, elsewhere }
    }

    /// Takes these in. Those that can be taken are, also when others cannot. Where nodes share their
    /// alerts they are recorded for the node that tells, also when that is this one: so they outlive
    /// it, and it hears of them in the order in which they came, whichever node they came to.
    ///
    /// # Errors
    /// When the agent stops or has too much to do, or the node that tells cannot be told of them.
    pub async fn take(&self, alerts: Vec<Posted>) -> Result<Taken, NoAnswer> {
        let Some(Elsewhere { seat, asks }) = &self.elsewhere else { return self.hand_in(alerts).await };
        if matches!(*seat.borrow(), Seat::Nobody { .. }) {
            return Err(NoAnswer::Busy);
        }
        let now = asks.clock.now();
        let mut book = Book::default();
        let (mut refused, mut taken) = (Vec::new(), Vec::new());
        for posted in alerts {
            // What is left of it is judged here, and counted from when it is taken up.
            let (json, left) = (serde_json::to_value(&posted), lasting(&posted, now));
            match (book.one(posted, now), left, json) {
                (Ok(_), Ok(left), Ok(json)) => taken.push((json, left.unwrap_or_default())),
                (Err(why), ..) | (_, Err(why), _) => refused.push(why),
                (.., Err(why)) => refused.push(why.to_string()),
            }
        }
        let deadline = Instant::now() + PATIENCE;
        let handed_on = timeout_at(deadline, asks.posted(taken)).await.map_err(|_late| NoAnswer::Late)?;
        match handed_on {
            Ok(()) => Ok(Taken { refused }),
            Err(why) => {
                warn!(%why, "what was reported cannot be handed on to the node that tells");
                Err(NoAnswer::Busy)
            }
        }
    }

    /// Hands these in at the desk of this node.
    pub(super) async fn hand_in(&self, alerts: Vec<Posted>) -> Result<Taken, NoAnswer> {
        let deadline = Instant::now() + PATIENCE;
        let (taken, answered) = oneshot::channel();
        let room = timeout_at(deadline, self.queue.reserve()).await.map_err(|_full| NoAnswer::Busy)?;
        room.map_err(|_closed| NoAnswer::Gone)?.send(Post { alerts, taken });
        let answer = timeout_at(deadline, answered).await.map_err(|_late| NoAnswer::Late)?;
        answer.map_err(|_dropped| NoAnswer::Gone)
    }
}

struct Reception {
    alerts: Arc<dyn Alerts>,
    clock: Clock,
    queue: mpsc::Receiver<Post>,
    /// Of a shared desk, who tells.
    seat: Option<watch::Receiver<Seat>>,
    book: Book,
}

impl Reception {
    async fn run(mut self) -> Result<(), Gone> {
        loop {
            let ours = self.our_turn().await;
            let view = self.known().await?;
            if view.seat != ours {
                // It was seen from elsewhere, and may lack what there is.
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            self.book = Book::default();
            let reports = self.book.resume(&view, self.clock.now());
            self.hand_in(true, reports, Vec::new()).await?;
            self.receive(&ours).await?;
        }
    }

    /// Waits until this node is the one that tells.
    async fn our_turn(&mut self) -> Seat {
        let Some(seat) = &mut self.seat else { return Seat::Local };
        let ours = seat.wait_for(|seat| matches!(seat, Seat::Ours { .. })).await.map(|seat| seat.clone());
        match ours {
            Ok(seat) => seat,
            // It stops.
            Err(_closed) => std::future::pending().await,
        }
    }

    /// Until this turn is over.
    async fn receive(&mut self, ours: &Seat) -> Result<(), Gone> {
        let mut seat = self.seat.clone();
        let over = async {
            match &mut seat {
                Some(seat) => drop(seat.wait_for(|seat| seat != ours).await.is_ok()),
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        loop {
            let next = self.book.next();
            let wake = next.map_or(DEFAULT, |at| self.clock.until(at));
            tokio::select! {
                () = &mut over => return Ok(()),
                post = self.queue.recv() => {
                    let Some(Post { alerts, taken }) = post else { return Err(Gone) };
                    if taken.is_closed() {
                        // It waited too long, and was said to.
                        continue;
                    }
                    let (reports, refused) = self.book.take(alerts, self.clock.now());
                    self.hand_in(false, reports, Vec::new()).await?;
                    // Nobody may be waiting any more.
                    drop(taken.send(Taken { refused }));
                }
                () = tokio::time::sleep(wake) => {
                    let gone = self.book.overdue(self.clock.boot());
                    self.hand_in(false, Vec::new(), gone).await?;
                }
            }
        }
    }

    /// What the desk has, as soon as it answers.
    async fn known(&self) -> Result<Arc<AlertView>, Gone> {
        loop {
            match self.alerts.view().await {
                Ok(view) => return Ok(view),
                Err(NoAnswer::Gone) => return Err(Gone),
                Err(why) => {
                    warn!(%why, "reported alerts wait until the alerts answer");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    async fn hand_in(&self, complete: bool, reports: Vec<Report>, gone: Vec<SubjectKey>) -> Result<(), Gone> {
        if !complete && reports.is_empty() && gone.is_empty() {
            return Ok(());
        }
        self.alerts.input(Input::Reports { source: source(), complete, reports, gone }).await
    }
}

fn source() -> Source {
    Source::new("alertmanager")
}

/// Until when each alert holds.
#[derive(Debug, Default)]
struct Book {
    until: BTreeMap<SubjectKey, Boot>,
}

impl Book {
    /// Takes up what the desk knows, as it is.
    fn resume(&mut self, view: &AlertView, now: Now) -> Vec<Report> {
        let of_mine = view.cases.values().map(|(case, _)| case);
        let of_mine = of_mine.filter(|case| case.source == source() && case.gone.is_none());
        let mut reports = Vec::new();
        for case in of_mine {
            if case.live != Status::Passing {
                self.until.insert(case.subject.key.clone(), now.boot.after(DEFAULT));
            }
            let report = Report::new(case.subject.clone(), case.live, case.output.clone());
            reports.push(Report { notes: case.notes.clone(), ..report });
        }
        reports
    }

    /// What reported alerts say, and why some of them say nothing.
    fn take(&mut self, alerts: Vec<Posted>, now: Now) -> (Vec<Report>, Vec<String>) {
        let (mut reports, mut refused) = (Vec::new(), Vec::new());
        for posted in alerts {
            match self.one(posted, now) {
                Ok(report) => reports.push(report),
                Err(why) => refused.push(why),
            }
        }
        (reports, refused)
    }

    fn one(&mut self, posted: Posted, now: Now) -> Result<Report, String> {
        let lasting = lasting(&posted, now)?;
        let (key, labels) = identified(&posted)?;
        let severity = labels.get("severity").map(|severity| severity.to_ascii_lowercase());
        let bad = if severity.as_deref() == Some("warning") { Status::Warning } else { Status::Critical };
        let status = match lasting {
            None => {
                self.until.remove(&key);
                Status::Passing
            }
            Some(lasting) => {
                if self.until.len() >= KNOWN && !self.until.contains_key(&key) {
                    return Err(format!("{KNOWN} alerts are known already"));
                }
                self.until.insert(key.clone(), now.boot.after(lasting));
                bad
            }
        };
        let subject = Subject { key, labels, tags: [].into() };
        Ok(Report { notes: notes(&posted), ..Report::new(subject, status, output(&posted.annotations)) })
    }

    /// What was not said again in time.
    fn overdue(&mut self, now: Boot) -> Vec<SubjectKey> {
        let late: Vec<_> =
            self.until.iter().filter(|(_, until)| **until <= now).map(|(key, _)| key.clone()).collect();
        for key in &late {
            self.until.remove(key);
        }
        late
    }

    fn next(&self) -> Option<Boot> {
        self.until.values().min().copied()
    }
}

/// How long it still holds; `None` when it is over. A time before 1970 stands for none.
fn lasting(posted: &Posted, now: Now) -> Result<Option<Duration>, String> {
    if let Some(left) = posted.left {
        return Ok((!left.is_zero()).then_some(left.min(LONGEST)));
    }
    let ends_at = posted.ends_at.as_deref().filter(|text| !text.is_empty());
    let Some(text) = ends_at else { return Ok(Some(DEFAULT)) };
    let ends: Timestamp =
        text.parse().map_err(|_odd| "its `endsAt` is not a time as RFC 3339 has it".to_owned())?;
    let ends = ends.as_millisecond();
    if ends <= 0 {
        return Ok(Some(DEFAULT));
    }
    let left = u64::try_from(ends.saturating_sub(now.wall.as_unix_millis())).unwrap_or(0);
    Ok((left > 0).then(|| Duration::from_millis(left).min(LONGEST)))
}

/// The key of an alert, made of its labels alone, and the labels that we give it.
fn identified(posted: &Posted) -> Result<(SubjectKey, BTreeMap<String, String>), String> {
    // An empty label is the same as none.
    let given = posted.labels.iter().filter(|(_, value)| !value.is_empty());
    let mut labels: BTreeMap<String, String> =
        given.map(|(name, value)| (name.clone(), value.clone())).collect();
    if labels.is_empty() {
        return Err("it has no label".to_owned());
    }
    let bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    if labels.len() > LABELS || bytes > BYTES {
        return Err(format!("it has more than {LABELS} labels, or they have more than {BYTES} bytes"));
    }
    let all: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let key = SubjectKey::of(&["alertmanager", &all.join(",")]);
    let name = labels.get("alertname").cloned().unwrap_or_else(|| "no name".to_owned());
    labels.entry(label::CHECK.to_owned()).or_insert(name);
    if let Some(host) = labels.get("instance").and_then(|instance| host(instance)).map(str::to_owned) {
        labels.entry(label::NODE.to_owned()).or_insert(host);
    }
    // Routes tell by this one where an alert was seen.
    if let Some(theirs) = labels.insert(label::SOURCE.to_owned(), source().as_str().to_owned()) {
        labels.insert(EXPORTED.to_owned(), theirs);
    }
    Ok((key, labels))
}

/// The host of `web1:9100`, `[2001:db8::1]:9100` or `https://web1/health`.
fn host(instance: &str) -> Option<&str> {
    let rest = instance.split_once("://").map_or(instance, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let authority = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _port)) => address,
        None => match authority.split_once(':') {
            // An IPv6 address without a port has more than one colon.
            Some((host, port)) if !port.contains(':') => host,
            _ => authority,
        },
    };
    (!host.is_empty()).then_some(host)
}

fn output(annotations: &BTreeMap<String, String>) -> String {
    let text = |name: &str| annotations.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    let mut said: Vec<&str> = ["summary", "description", "message"].into_iter().filter_map(text).collect();
    said.dedup();
    let mut whole = if said.is_empty() {
        let others = annotations.iter().filter(|(name, _)| !name.contains("url"));
        others.map(|(name, text)| format!("{name}: {text}")).collect::<Vec<_>>().join("\n")
    } else {
        said.join("\n")
    };
    cut(&mut whole);
    whole
}

fn notes(posted: &Posted) -> String {
    let runbook = posted.annotations.get("runbook_url").map(String::as_str);
    let links = [runbook, posted.generator_url.as_deref()];
    let mut notes =
        links.into_iter().flatten().filter(|link| !link.is_empty()).collect::<Vec<_>>().join("\n");
    cut(&mut notes);
    notes
}

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(TEXT));
}

#[cfg(test)]
mod tests;
