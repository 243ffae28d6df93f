//! An incident as one story: what was observed, judged, decided and done, and who was told, in the order it happened.

use lictor_core::alert::{Subject, SubjectKey};
use lictor_core::{Event, Incident, Outcome, Status, What};

use super::incident::when;
use super::model::{Entry, TEXT};
use crate::View;
use crate::text::escaped;
use crate::web::error::Failure;
use crate::web::history::EventQuery;
use crate::web::text::{ago, clock, rfc3339, utc, visible};
use crate::web::{Site, explain};

/// Entries of the ledger that are told.
const TIMELINE: usize = 1_000;

/// Entries about alerts that are looked through for those of this incident.
const ALERTS: usize = 500;

/// Who is told that it is over may be told so long after it was, milliseconds.
const AFTERWARDS: u64 = 3_600_000;

/// The story of an incident.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) id: String,
    pub(super) check: String,
    pub(super) status: &'static str,
    pub(super) worst: &'static str,
    pub(super) escalated: bool,
    /// `open for 3m 2s` or `closed 5m ago after 40s`.
    pub(super) when: String,
    /// When it began and ended, for people.
    pub(super) opened: String,
    pub(super) closed: Option<String>,
    pub(super) summary: String,
    /// In the order it happened.
    pub(super) chapters: Vec<Chapter>,
    /// Whether there is more than is told.
    pub(super) more: bool,
    /// Who knows of it now, in words.
    pub(super) told: Vec<String>,
    /// What the check is judged by, and why remedies did or did not start.
    pub(super) why: Option<String>,
}

/// Entries of one kind that follow each other.
#[derive(Debug)]
pub(super) struct Chapter {
    pub(super) kind: Kind,
    pub(super) lines: Vec<Line>,
}

/// One entry.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) entry: Entry,
    /// What a program has put out, when that has several lines.
    pub(super) output: Option<String>,
}

/// What a chapter tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Results, lines and values.
    Observed,
    /// What was made of them.
    Judged,
    /// What is to be done, and what is not.
    Decided,
    /// Steps, and what became of them.
    Acted,
    /// Who was told, and who has said something.
    Told,
    /// That it is over.
    Healed,
}

impl Kind {
    /// The heading of the chapter.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Observed => "Observed",
            Self::Judged => "Judged",
            Self::Decided => "Decided",
            Self::Acted => "Done",
            Self::Told => "Told",
            Self::Healed => "Healed",
        }
    }

    fn of(what: &What) -> Self {
        match what {
            What::Matched { .. } | What::ValueChanged { .. } | What::WatcherRestarted { .. } => {
                Self::Observed
            }
            What::IncidentClosed { .. } | What::Transition { to: Status::Passing, .. } => Self::Healed,
            What::Transition { .. }
            | What::Flapping { .. }
            | What::IncidentOpened { .. }
            | What::AlertChanged { .. }
            | What::AlertSource { .. } => Self::Judged,
            What::Suppressed { .. }
            | What::RunStarted { .. }
            | What::Escalated { .. }
            | What::Commanded { .. }
            | What::Parked { .. }
            | What::Adopted { .. }
            | What::Reloaded { .. }
            | What::ReloadRefused { .. }
            | What::LeaseChanged { .. } => Self::Decided,
            What::Told { .. } | What::NotTold { .. } | What::Silenced { .. } | What::Acknowledged { .. } => {
                Self::Told
            }
            What::Intent { .. }
            | What::WouldAct { .. }
            | What::StepSkipped { .. }
            | What::Outcome { .. }
            | What::Inspecting { .. }
            | What::Verified { .. }
            | What::Waiting { .. }
            | What::StepDone { .. }
            | What::StepFailed { .. }
            | What::Retrying { .. }
            | What::RunEnded { .. }
            | What::TakenOver { .. }
            | What::AgentStarted { .. }
            | What::AgentStopped
            | What::StateSetAside { .. }
            | What::NameTaken { .. }
            | What::RecordingFailed { .. }
            | What::RecordingResumed { .. }
            | What::Service { .. }
            | What::SharedState { .. } => Self::Acted,
        }
    }
}

impl Story {
    pub(super) async fn gather(site: &Site, view: &View, incident: &Incident) -> Result<Self, Failure> {
        let query = EventQuery { incident: Some(incident.id), limit: TIMELINE + 1, ..EventQuery::default() };
        let mut events = site.archive.events(query).await?;
        let more = events.len() > TIMELINE;
        events.truncate(TIMELINE);
        let told = told_of(site, incident, &events).await?;
        events.extend(told);
        events.sort_by_key(|(seq, _)| *seq);
        // A check that is no longer configured cannot be explained; its past can be shown.
        let why = explain::explain(view, &site.archive, incident.check.as_str()).await.ok();
        Ok(Self {
            id: incident.id.to_string(),
            check: incident.check.to_string(),
            status: incident.status.as_str(),
            worst: incident.worst.as_str(),
            escalated: incident.escalated,
            when: when(incident, view),
            opened: utc(incident.opened.wall),
            closed: incident.closed.map(|at| utc(at.wall)),
            summary: visible(&incident.summary, TEXT),
            chapters: chapters(&events),
            more,
            told: who_knows(site, incident).await,
            why: why.map(explain::Explanation::into_text),
        })
    }
}

/// What was told of the check while this incident was open, and that it is over. A message that tells of several
/// is known by the first of them.
async fn told_of(
    site: &Site,
    incident: &Incident,
    events: &[(u64, Event)],
) -> Result<Vec<(u64, Event)>, Failure> {
    let Some((first, _)) = events.first() else { return Ok(Vec::new()) };
    let title = Subject::own(&site.node, incident.check.as_str()).title();
    let kinds = ["told", "not_told", "acknowledged"].map(str::to_owned).to_vec();
    let mut found =
        site.archive.events(EventQuery { kinds, ..EventQuery::following(*first, ALERTS) }).await?;
    let until = incident.closed.map(|at| at.boot.as_millis().saturating_add(AFTERWARDS));
    let named = format!(" {title}: ");
    let mut messages = Vec::new();
    found.retain(|(_, event)| {
        let in_time = until.is_none_or(|until| event.at.boot.as_millis() <= until);
        in_time
            && match &event.what {
                What::Told { what, delivery, .. } => {
                    let of_us = what.contains(&named);
                    if of_us {
                        messages.push(*delivery);
                    }
                    of_us
                }
                What::Acknowledged { subject, .. } => *subject == title,
                _ => true,
            }
    });
    // One that was refused is ours if it was accepted later: the entry itself names no subject.
    found.retain(|(_, event)| match &event.what {
        What::NotTold { delivery, .. } => messages.contains(delivery),
        _ => true,
    });
    Ok(found)
}

/// Who was told what last, while anybody has to be told of it.
async fn who_knows(site: &Site, incident: &Incident) -> Vec<String> {
    let Ok(view) = site.alerts.view().await else { return Vec::new() };
    let key = SubjectKey::own(&site.node, incident.check.as_str());
    let Some((case, _)) = view.cases.get(&key) else { return Vec::new() };
    if incident.closed.is_some_and(|closed| closed.boot < case.opened.boot) {
        return Vec::new();
    }
    case.told
        .iter()
        .map(|(notifier, told)| format!("{notifier} ({}, {})", told.status, ago(told.at, view.at)))
        .collect()
}

fn chapters(events: &[(u64, Event)]) -> Vec<Chapter> {
    let mut chapters: Vec<Chapter> = Vec::new();
    let mut add = |kind, line| match chapters.last_mut().filter(|last| last.kind == kind) {
        Some(last) => last.lines.push(line),
        None => chapters.push(Chapter { kind, lines: vec![line] }),
    };
    for (_, event) in observed_first(events) {
        if let What::Transition { evidence, .. } = &event.what {
            for (at, status, summary) in evidence {
                let entry = Entry {
                    at: rfc3339(at.wall),
                    utc: utc(at.wall),
                    clock: clock(at.wall),
                    tone: if *status == Status::Passing { "good" } else { "warn" },
                    text: format!("{status}: {}", visible(summary, TEXT)),
                    incident: None,
                };
                add(Kind::Observed, Line { entry, output: None });
            }
        }
        add(Kind::of(&event.what), Line::new(event));
    }
    chapters
}

/// The ledger has an incident before the change of status that opened it; what was observed comes first.
fn observed_first(events: &[(u64, Event)]) -> Vec<&(u64, Event)> {
    let mut ordered: Vec<_> = events.iter().collect();
    for place in 1..ordered.len() {
        let (before, event) = (&ordered[place - 1].1, &ordered[place].1);
        if let (What::IncidentOpened { check: opened }, What::Transition { check, .. }) =
            (&before.what, &event.what)
            && (opened, before.at) == (check, event.at)
        {
            ordered.swap(place - 1, place);
        }
    }
    ordered
}

impl Line {
    fn new(event: &Event) -> Self {
        let entry = Entry::new(event).inside();
        let said = match &event.what {
            What::Outcome { outcome, .. } => match outcome {
                Outcome::Done { detail }
                | Outcome::Failed { detail }
                | Outcome::NotStarted { detail }
                | Outcome::Unknown { detail } => detail.as_str(),
            },
            What::Matched { line, .. } => line.as_str(),
            // What it has put out stands with the attempt that has failed.
            What::Retrying { why, .. } => why.as_str(),
            _ => "",
        };
        let said = said.trim_end();
        match said.split_once('\n') {
            Some((first, rest)) => {
                let before = event.what.to_string();
                let before = before.split_once(said).map_or("", |(before, _)| before);
                let text = visible(&format!("{before}{first}"), TEXT);
                let again = matches!(event.what, What::Retrying { .. });
                let output = match event.what {
                    What::Outcome { .. } => rest,
                    _ => said,
                };
                Self { entry: Entry { text, ..entry }, output: (!again).then(|| escaped(output)) }
            }
            None => Self { entry, output: None },
        }
    }
}
