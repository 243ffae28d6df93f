//! What the page shows, in the words and order it shows it.

use std::cmp::Reverse;
use std::sync::Arc;

use askama::Template;
use lictor_core::{Ending, Event, Mode, Outcome, RunState, Status, What};
use lictor_store::MirrorState;

use super::alert::Section;
use super::check::Around;
use super::group::{self, Group};
use super::incident::IncidentCard;
use super::remedy::{RemedyCard, RunRow};
use super::{peer, replication, service, snapshot};
use crate::View;
use crate::web::Site;
use crate::web::api::{Counts, Withheld};
use crate::web::error::Failure;
use crate::web::facts::open_incidents;
use crate::web::history::EventQuery;
use crate::web::text::{ago, clock, count, in_a_line, rfc3339, span, thousands, utc, visible};

/// The part of the page that changes.
#[derive(Debug, Template)]
#[template(path = "live.html")]
pub(super) struct Live {
    pub(super) title: String,
    /// `good`, `note`, `warn` or `bad`.
    pub(super) tone: &'static str,
    icon: &'static str,
    headline: String,
    subline: String,
    counts: Vec<Count>,
    cannot_record: Option<(String, String)>,
    withheld: Option<Withheld>,
    name_taken: Option<String>,
    history_error: Option<String>,
    observe: bool,
    incidents: Vec<IncidentCard>,
    more_incidents: usize,
    alerting: Section,
    serving: service::Section,
    peering: peer::Section,
    replication: replication::Section,
    snapshots: snapshot::Section,
    /// The checks under the headings of their groups.
    groups: Vec<Group>,
    /// How many checks are not shown, in words.
    hidden: Option<String>,
    all: bool,
    remedies: Vec<RemedyCard>,
    more_remedies: usize,
    runs: Vec<RunRow>,
    closed: Vec<ClosedRow>,
    events: Vec<Entry>,
}

#[derive(Debug)]
struct Count {
    status: &'static str,
    number: usize,
    shown: String,
}

/// A closed incident.
#[derive(Debug)]
struct ClosedRow {
    id: String,
    check: String,
    worst: &'static str,
    summary: String,
    closed: String,
    ago: String,
    lasted: String,
}

/// An event of a timeline.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) at: String,
    pub(super) utc: String,
    pub(super) clock: String,
    pub(super) tone: &'static str,
    pub(super) text: String,
    pub(super) incident: Option<String>,
}

/// Incidents shown with a timeline; the others are linked.
const INCIDENTS: usize = 6;
/// Entries of a timeline on the page.
const TIMELINE: usize = 12;
const EVENTS: usize = 25;
const RUNS: usize = 8;
const CLOSED: usize = 8;
/// Remedies shown without `?all`; those that do something are always shown.
const REMEDIES: usize = 12;
/// Longest text of one event, characters.
pub(super) const TEXT: usize = 400;

impl Live {
    /// Gathers what the page shows from the present state and the ledger. A ledger that
    /// cannot be read is said, and the rest is shown.
    pub(super) async fn gather(site: &Site, all: bool) -> Result<Self, Failure> {
        let view = site.source.view().await?;
        let counts = Counts::new(&view);
        let mut open: Vec<_> = open_incidents(&view).into_values().collect();
        open.sort_by_key(|incident| (Reverse((incident.escalated, incident.status)), Reverse(incident.id)));

        let mut history_error = None;
        let mut incidents = Vec::new();
        for incident in open.iter().take(INCIDENTS) {
            let query = EventQuery { incident: Some(incident.id), ..EventQuery::newest(TIMELINE + 1) };
            let events = ask(site, &mut history_error, query).await;
            incidents.push(IncidentCard::new(incident, &view, &events, TIMELINE));
        }
        let events = ask(site, &mut history_error, EventQuery::newest(EVENTS)).await;

        let (groups, hidden) = group::groups(&view, &Around::gather(site, view.at).await, all);
        let (remedies, more_remedies) = remedy_cards(&view, all);
        let mesh = Arc::clone(&site.mesh.borrow());
        let peering = peer::Section::new(&mesh, view.at, all);
        let serving = service::Section::new(&site.services.all(), &site.node, view.at);
        let replication = replication::Section::new(&site.replication.all(), view.at, all);
        let snapshots = snapshot::Section::new(&site.snapshots.all(), view.at, all);
        let kept = Kept::of(&replication, &snapshots);
        let head = Head::new(&view, counts, &open, (&peering, &serving, kept), site.is_ready());
        Ok(Self {
            title: format!("{} · {}", head.headline, site.node),
            tone: head.tone,
            icon: head.icon,
            headline: head.headline,
            subline: head.subline,
            counts: count_chips(counts),
            cannot_record: view
                .cannot_record
                .as_ref()
                .map(|(why, since)| (visible(why, TEXT), ago(*since, view.at))),
            withheld: Withheld::of(&view),
            name_taken: name_taken(&view),
            history_error,
            observe: view.plan.mode == Mode::Observe,
            more_incidents: open.len().saturating_sub(INCIDENTS),
            incidents,
            alerting: Section::gather(site, all).await,
            serving,
            peering,
            replication,
            snapshots,
            groups,
            hidden,
            all,
            remedies,
            more_remedies,
            runs: run_rows(&view),
            closed: closed_rows(&view),
            events: events.iter().rev().map(|(_, event)| Entry::new(event)).collect(),
        })
    }
}

/// Entries of the ledger; none, and no further question, once it could not be read.
async fn ask(site: &Site, error: &mut Option<String>, query: EventQuery) -> Vec<(u64, Event)> {
    if error.is_some() {
        return Vec::new();
    }
    site.archive.events(query).await.unwrap_or_else(|failure| {
        *error = Some(failure.message);
        Vec::new()
    })
}

/// What is said first.
struct Head {
    tone: &'static str,
    icon: &'static str,
    headline: String,
    subline: String,
}

/// How copies and snapshots stand, where there are any.
#[derive(Clone, Copy, Debug)]
struct Kept {
    what: &'static str,
    worst: Status,
}

impl Kept {
    fn of(replication: &replication::Section, snapshots: &snapshot::Section) -> Option<Self> {
        let what = match (replication.is_empty(), snapshots.is_empty()) {
            (true, true) => return None,
            (false, true) => "copies",
            (true, false) => "snapshots",
            (false, false) => "copies and snapshots",
        };
        let copies = replication.rows.iter().map(|row| row.status);
        let worst = copies.chain(snapshots.rows.iter().map(|row| row.status)).max();
        Some(Self { what, worst: worst.unwrap_or(Status::Unknown) })
    }
}

/// Colours of the head, the worst last.
const TONES: [&str; 4] = ["good", "note", "warn", "bad"];

fn rank(tone: &str) -> Option<usize> {
    TONES.iter().position(|known| *known == tone)
}

/// How the head is coloured when this is the worst.
const fn tone_of(worst: Status) -> &'static str {
    match worst {
        Status::Passing => "good",
        Status::Unknown => "note",
        Status::Warning => "warn",
        Status::Critical => "bad",
    }
}

/// That all is well with something, or not.
fn all_is(worst: Status, what: &str) -> String {
    match worst {
        Status::Passing => format!("All is well with the {what}"),
        Status::Unknown => format!("Not all is known yet of the {what}"),
        Status::Warning | Status::Critical => format!("Not all is well with the {what}"),
    }
}

impl Head {
    fn new(
        view: &View,
        counts: Counts,
        open: &[&lictor_core::Incident],
        (peering, serving, kept): (&peer::Section, &service::Section, Option<Kept>),
        ready: bool,
    ) -> Self {
        let head = Self::of_checks(view, counts, open, (peering, serving, kept), ready);
        let services = (!serving.is_empty()).then(|| (serving.worst(), "services"));
        let peers = if peering.is_well() { Status::Passing } else { Status::Critical };
        let peers = peering.watching.then_some((peers, "peers"));
        let kept = kept.map(|kept| (kept.worst, kept.what));
        // Without checks the first of them makes the headline.
        let said = usize::from(counts.total == 0 && open.is_empty());
        head.beside([services, peers, kept].into_iter().flatten().skip(said))
    }

    /// With what is wrong besides: who only reads the top must not take it for fine.
    fn beside(mut self, others: impl Iterator<Item = (Status, &'static str)>) -> Self {
        for (worst, what) in others.filter(|(worst, _)| *worst != Status::Passing) {
            self.subline = format!("{} {}.", self.subline, all_is(worst, what));
            if rank(tone_of(worst)) > rank(self.tone) {
                (self.tone, self.icon) = (tone_of(worst), worst.as_str());
            }
        }
        self
    }

    fn of_checks(
        view: &View,
        counts: Counts,
        open: &[&lictor_core::Incident],
        (peering, serving, kept): (&peer::Section, &service::Section, Option<Kept>),
        ready: bool,
    ) -> Self {
        let total = counts.total;
        let starting = if ready { "" } else { "The agent is starting. " };
        if let Some(worst) = open.iter().map(|incident| incident.status).max() {
            let critical = worst == Status::Critical;
            let names: Vec<_> = open.iter().take(3).map(|incident| incident.check.as_str()).collect();
            let more = open.len().saturating_sub(names.len());
            let rest = if more > 0 { format!(" and {}", thousands(more)) } else { String::new() };
            let passing = format!("{} of {}", thousands(counts.passing), count(total, "check"));
            return Self {
                tone: if critical { "bad" } else { "warn" },
                icon: if worst == Status::Passing { "warning" } else { worst.as_str() },
                headline: format!("{} open", count(open.len(), "incident")),
                subline: format!("{starting}{}{rest}. {passing} pass.", names.join(", ")),
            };
        }
        if total == 0 && !serving.is_empty() {
            let (well, all) = (serving.well(), serving.rows.len());
            let worst = serving.worst();
            return Self {
                tone: tone_of(worst),
                icon: worst.as_str(),
                headline: match well == all {
                    true if all == 1 => "The service is well".to_owned(),
                    false if all == 1 => "The service is not well".to_owned(),
                    true => format!("All {} are well", count(all, "service")),
                    false => format!("{} of {} are well", thousands(well), count(all, "service")),
                },
                subline: format!("{starting}The configuration has no checks."),
            };
        }
        if total == 0 && peering.watching {
            let well = peering.is_well();
            return Self {
                tone: if well { "good" } else { "bad" },
                icon: if well { Status::Passing } else { Status::Critical }.as_str(),
                headline: all_is(if well { Status::Passing } else { Status::Critical }, "peers"),
                subline: format!("{starting}{}", peering.summary),
            };
        }
        if let Some(kept) = kept.filter(|_| total == 0) {
            return Self {
                tone: tone_of(kept.worst),
                icon: kept.worst.as_str(),
                headline: all_is(kept.worst, kept.what),
                subline: format!("{starting}The configuration has no checks."),
            };
        }
        if total == 0 {
            return Self {
                tone: "note",
                icon: "unknown",
                headline: "Nothing is watched".to_owned(),
                subline: format!("{starting}The configuration has no checks."),
            };
        }
        let steady = view.checks.values().map(|check| check.since.boot).max().unwrap_or_default();
        let steady = span(view.at.boot.since(steady));
        if counts.passing == total {
            return Self {
                tone: "good",
                icon: "passing",
                headline: if total == 1 {
                    "The one check passes".to_owned()
                } else {
                    format!("All {} pass", count(total, "check"))
                },
                subline: format!("{starting}Nothing has changed for {steady}."),
            };
        }
        let bad = counts.warning + counts.critical;
        let mut parts = Vec::new();
        if counts.unknown > 0 {
            let verb = if counts.unknown == 1 { "has" } else { "have" };
            parts.push(format!("{} {verb} no data yet", thousands(counts.unknown)));
        }
        if bad > 0 {
            let verb = if bad == 1 { "does" } else { "do" };
            parts.push(format!("{} {verb} not", thousands(bad)));
        }
        Self {
            tone: if bad > 0 { "warn" } else { "note" },
            icon: if bad > 0 { "warning" } else { "unknown" },
            headline: format!("{} of {} pass", thousands(counts.passing), count(total, "check")),
            subline: format!("{starting}{}.", parts.join(", ")),
        }
    }
}

fn count_chips(counts: Counts) -> Vec<Count> {
    if counts.total == 0 {
        return Vec::new();
    }
    let chip = |status: Status, number| Count { status: status.as_str(), number, shown: thousands(number) };
    vec![
        chip(Status::Critical, counts.critical),
        chip(Status::Warning, counts.warning),
        chip(Status::Unknown, counts.unknown),
        chip(Status::Passing, counts.passing),
    ]
}

fn remedy_cards(view: &View, all: bool) -> (Vec<RemedyCard>, usize) {
    let mut cards: Vec<_> =
        view.plan.remedies.keys().filter_map(|name| RemedyCard::new(name, view)).collect();
    cards.sort_by_key(RemedyCard::rank);
    let total = cards.len();
    if !all {
        let acting = cards.iter().filter(|card| !card.is_idle()).count();
        cards.truncate(REMEDIES.max(acting));
    }
    let left = total - cards.len();
    (cards, left)
}

fn run_rows(view: &View) -> Vec<RunRow> {
    let ended = view.runs.values().rev().filter(|run| run.ended());
    ended.take(RUNS).map(|run| RunRow::new(run, view)).collect()
}

fn closed_rows(view: &View) -> Vec<ClosedRow> {
    let closed = view.incidents.values().filter_map(|incident| Some((incident.closed?, incident)));
    let mut closed: Vec<_> = closed.collect();
    closed.sort_by_key(|(at, incident)| Reverse((*at, incident.id)));
    closed
        .into_iter()
        .take(CLOSED)
        .map(|(at, incident)| ClosedRow {
            id: incident.id.to_string(),
            check: incident.check.to_string(),
            worst: incident.worst.as_str(),
            summary: visible(&incident.summary, TEXT),
            closed: rfc3339(at.wall),
            ago: ago(at, view.at),
            lasted: span(at.boot.since(incident.opened.boot)),
        })
        .collect()
}

impl Entry {
    pub(super) fn new(event: &Event) -> Self {
        Self {
            at: rfc3339(event.at.wall),
            utc: utc(event.at.wall),
            clock: clock(event.at.wall),
            tone: tone(&event.what),
            text: in_a_line(&event.what.to_string(), TEXT),
            incident: event.incident.map(|id| id.to_string()),
        }
    }

    /// The same where the incident need not be said.
    #[must_use]
    pub(super) fn inside(self) -> Self {
        Self { incident: None, ..self }
    }
}

/// On a node that acts all the same: which other machine has its name.
fn name_taken(view: &View) -> Option<String> {
    match &view.copies {
        Some(MirrorState::Duplicate { why }) if !view.withheld => Some(visible(why, TEXT)),
        _ => None,
    }
}

/// How an event is marked: by what it means for whoever is responsible.
fn tone(what: &What) -> &'static str {
    match what {
        What::Transition { to, .. } | What::AlertChanged { to, .. } => match to {
            Status::Passing => "good",
            Status::Warning | Status::Unknown => "warn",
            Status::Critical => "bad",
        },
        What::IncidentClosed { .. } | What::Verified { .. } | What::RecordingResumed { .. } => "good",
        What::RunEnded { ending, .. } => match ending {
            Ending::Done => "good",
            Ending::Failed { .. } => "bad",
            Ending::Cancelled { .. } => "plain",
        },
        What::IncidentOpened { .. }
        | What::StepFailed { .. }
        | What::Parked { .. }
        | What::Escalated { .. }
        | What::StateSetAside { .. }
        | What::NameTaken { .. }
        | What::RecordingFailed { .. }
        | What::ReloadRefused { .. }
        | What::NotTold { .. }
        | What::AlertSource { lost: Some(_), .. } => "bad",
        What::Outcome { outcome, .. } => match outcome {
            Outcome::Done { .. } => "act",
            Outcome::Failed { .. } => "bad",
            Outcome::NotStarted { .. } | Outcome::Unknown { .. } => "warn",
        },
        What::Flapping { .. }
        | What::LeaseChanged { .. }
        | What::Service { .. }
        | What::SharedState { .. }
        | What::WatcherRestarted { .. }
        | What::Retrying { .. }
        | What::Inspecting { .. } => "warn",
        What::RunStarted { .. }
        | What::TakenOver { .. }
        | What::Intent { .. }
        | What::WouldAct { .. }
        | What::Told { .. }
        | What::Silenced { .. }
        | What::Acknowledged { .. }
        | What::AlertSource { lost: None, .. }
        | What::Commanded { .. } => "act",
        What::AgentStarted { .. }
        | What::AgentStopped
        | What::Adopted { .. }
        | What::Reloaded { .. }
        | What::Matched { .. }
        | What::ValueChanged { .. }
        | What::Suppressed { .. }
        | What::Waiting { .. }
        | What::StepSkipped { .. }
        | What::StepDone { .. } => "plain",
    }
}

/// The mark of a finished run.
pub(super) fn run_tone(state: &RunState) -> &'static str {
    match state {
        RunState::Ended(Ending::Done, _) => "good",
        RunState::Ended(Ending::Failed { .. }, _) => "bad",
        _ => "plain",
    }
}
