//! Why things are as they are: what a check is judged by, what it last said, and why
//! remedies did or did not start.

use std::collections::{BTreeMap, BTreeSet};

use lictor_core::{
    CheckName, CheckSource, Condition, Event, Flood, IncidentId, Mode, Remedy, RemedyName, Trigger, What,
};
use serde::Serialize;

use super::api;
use super::error::Failure;
use super::facts::{looks_at, open_incident, verdict};
use super::history::{Archive, EventQuery};
use super::text::{count, rfc3339, span, visible};
use crate::View;

/// `GET /v1/explain/SUBJECT`.
#[derive(Debug, Serialize)]
pub(super) struct Explanation {
    /// The check that is explained.
    check: api::Check,
    /// The incident that is explained, or the open one of the check.
    #[serde(skip_serializing_if = "Option::is_none")]
    incident: Option<api::Incident>,
    /// The remedies that look at the check, or at one composed of it.
    remedies: Vec<Reason>,
    /// What happened, oldest first: the incident's timeline, or the last of the check.
    timeline: Vec<api::Event>,
    /// All of this in words, one fact a line.
    text: String,
}

/// Why a remedy did or did not start.
#[derive(Debug, Serialize)]
pub(super) struct Reason {
    pub(super) remedy: String,
    /// As in `/v1/remedies`.
    pub(super) state: &'static str,
    /// What would start it, and whether that holds now.
    pub(super) triggers: Vec<Held>,
    /// Until when a condition that has held counts as holding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<Held>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) guard: Option<Held>,
    /// What a start would be held back by now.
    pub(super) held_by: Vec<String>,
    /// What it last decided, oldest first.
    pub(super) decisions: Vec<Decision>,
}

/// A condition and whether it holds.
#[derive(Debug, Serialize)]
pub(super) struct Held {
    pub(super) condition: String,
    /// `holds`, `does not hold`, `cannot be told`; left out for a match or a change,
    /// which are of an instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) now: Option<&'static str>,
}

/// One decision about a remedy.
#[derive(Debug, Serialize)]
pub(super) struct Decision {
    pub(super) at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<String>,
    pub(super) text: String,
}

/// Entries of an incident or check that are shown.
const TIMELINE: usize = 200;
/// Decisions that are looked through for those about a remedy.
const DECISIONS: usize = 500;
/// Decisions shown of one remedy.
const SHOWN: usize = 5;

/// Longest line, characters: an output with what is said of it.
const LINE: usize = 6_000;

/// Explains a check (by name) or an incident (by number); a check goes first when both
/// have the name.
pub(super) async fn explain(view: &View, archive: &Archive, subject: &str) -> Result<Explanation, Failure> {
    let name = CheckName::new(subject).ok().filter(|name| view.checks.contains_key(name));
    let (name, incident) = match name {
        Some(name) => {
            let open = open_incident(view, &name);
            (name, open)
        }
        None => subject
            .parse::<IncidentId>()
            .ok()
            .and_then(|id| view.incidents.get(&id))
            .map(|incident| (incident.check.clone(), Some(incident.id)))
            .ok_or_else(|| {
                let shown = visible(subject, 130);
                Failure::not_found(format!("no check and no incident is called `{shown}`"))
                    .help("GET /v1/checks and GET /v1/incidents list them")
            })?,
    };
    let Some(check) = view.checks.get(&name) else {
        return Err(Failure::not_found(format!("the check `{name}` is no longer configured")));
    };
    let timeline = EventQuery {
        incident,
        check: incident.is_none().then(|| name.clone()),
        ..EventQuery::newest(TIMELINE)
    };
    let timeline = archive.events(timeline).await?;
    let decisions = decisions(archive).await?;

    let mut explanation = Explanation {
        check: api::Check::new(&name, check, open_incident(view, &name), view).with_plan(&name, view),
        incident: incident
            .and_then(|id| view.incidents.get(&id))
            .map(|found| api::Incident::new(found, view)),
        remedies: concerned(view, &name)
            .into_iter()
            .filter_map(|remedy| Reason::new(remedy, view, &decisions))
            .collect(),
        timeline: timeline.iter().map(|(seq, event)| api::Event::new(*seq, event)).collect(),
        text: String::new(),
    };
    explanation.text = explanation.words(view, &name);
    Ok(explanation)
}

/// The latest decisions about remedies, oldest first.
async fn decisions(archive: &Archive) -> Result<Vec<(u64, Event)>, Failure> {
    let kinds = ["suppressed", "run_started", "run_ended", "parked", "escalated"];
    let kinds = kinds.map(str::to_owned).to_vec();
    archive.events(EventQuery { kinds, ..EventQuery::newest(DECISIONS) }).await
}

/// Why each remedy did or did not start, by name.
pub(super) async fn reasons(view: &View, archive: &Archive) -> Result<Vec<Reason>, Failure> {
    let decisions = decisions(archive).await?;
    Ok(view.plan.remedies.keys().filter_map(|name| Reason::new(name, view, &decisions)).collect())
}

/// The remedies that look at a check, at checks composed of it, or are escalated to
/// from one of those.
fn concerned<'a>(view: &'a View, check: &CheckName) -> Vec<&'a RemedyName> {
    let mut checks = BTreeSet::from([check]);
    loop {
        let before = checks.len();
        for (name, plan) in &view.plan.checks {
            if let CheckSource::Checks { of, .. } = &plan.source
                && of.iter().any(|member| checks.contains(member))
            {
                checks.insert(name);
            }
        }
        if checks.len() == before {
            break;
        }
    }
    let mut remedies: BTreeMap<&RemedyName, &Remedy> = BTreeMap::new();
    for (name, remedy) in &view.plan.remedies {
        if remedy.on.iter().any(|trigger| checks.iter().any(|check| looks_at(trigger, check))) {
            remedies.insert(name, remedy);
        }
    }
    let mut next: Vec<&RemedyName> =
        remedies.values().filter_map(|remedy| remedy.escalate.as_ref()).collect();
    while let Some(name) = next.pop() {
        if let Some((name, remedy)) = view.plan.remedies.get_key_value(name)
            && remedies.insert(name, remedy).is_none()
        {
            next.extend(&remedy.escalate);
        }
    }
    remedies.into_keys().collect()
}

impl Reason {
    fn new(name: &RemedyName, view: &View, events: &[(u64, Event)]) -> Option<Self> {
        let remedy = view.plan.remedies.get(name)?;
        let (state, _) = api::remedy_state(name, view)?;
        let held = |condition: &Condition| Held {
            condition: condition.to_string(),
            now: Some(verdict(condition, view)),
        };
        let triggers = remedy.on.iter().map(|trigger| match trigger {
            Trigger::When(condition) => held(condition),
            Trigger::Match { .. } | Trigger::Changed { .. } => {
                Held { condition: trigger.to_string(), now: None }
            }
        });
        let services = api::follows(name, view).into_iter();
        let services = services.map(|follows| Held { condition: follows, now: None });
        let decisions = events.iter().filter(|(_, event)| about(&event.what) == Some(name));
        let decisions: Vec<_> = decisions
            .map(|(_, event)| Decision {
                at: rfc3339(event.at.wall),
                run: event.run.map(|run| run.to_string()),
                text: event.what.to_string(),
            })
            .collect();
        let skip = decisions.len().saturating_sub(SHOWN);
        Some(Self {
            remedy: name.to_string(),
            state,
            triggers: triggers.chain(services).collect(),
            until: remedy.until.as_ref().map(held),
            guard: remedy.guard.as_ref().map(held),
            held_by: held_by(name, remedy, view),
            decisions: decisions.into_iter().skip(skip).collect(),
        })
    }
}

/// The remedy a decision is about.
fn about(what: &What) -> Option<&RemedyName> {
    match what {
        What::Suppressed { remedy, .. }
        | What::RunStarted { remedy, .. }
        | What::RunEnded { remedy, .. }
        | What::Parked { remedy, .. }
        | What::Escalated { remedy, .. } => Some(remedy),
        _ => None,
    }
}

/// What a start of a remedy would be held back by now, in words.
fn held_by(name: &RemedyName, remedy: &Remedy, view: &View) -> Vec<String> {
    let now = view.at.boot;
    let none = Flood::default();
    let flood = view.floods.get(name).unwrap_or(&none);
    let mut held = Vec::new();
    if let Some(guard) = remedy.guard.as_ref().filter(|guard| guard.holds(view) != Some(true)) {
        held.push(format!("its guard {guard} {}", verdict(guard, view)));
    }
    if let Some(run) = view.runs.values().find(|run| run.target == remedy.target && !run.ended()) {
        let of = if &run.remedy == name { String::new() } else { format!(" of {}", run.remedy) };
        held.push(format!("run {}{of} has the target {}", run.id, run.target));
    }
    if flood.gave_up {
        let runs = count(flood.unhelpful as usize, "run");
        held.push(format!(
            "it gave up after {runs} that did not help; `lictor remedy start {name}` starts it"
        ));
    }
    if let Some(until) = flood.spent_until(remedy, now) {
        held.push(format!("its budget is used up for {}", span(until.since(now))));
    }
    if let Some(until) = view.cooling_until(remedy) {
        held.push(format!("it is cooling down for {}", span(until.since(now))));
    }
    if remedy.mode.max(view.plan.mode) == Mode::Observe {
        held.push("observe mode: it would be recorded, not done".to_owned());
    }
    if let Some(withheld) = api::Withheld::of(view) {
        held.push(format!("{}; {}", withheld.why, withheld.help));
    }
    if let Some((why, _)) = &view.cannot_record {
        held.push(format!("nothing can be recorded: {why}"));
    }
    held
}

impl Explanation {
    /// The explanation in words.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn words(&self, view: &View, name: &CheckName) -> String {
        let mut text = String::new();
        let mut line = |words: String| {
            // A break in what a program said must not look like a line of ours.
            text.push_str(&visible(&words, LINE));
            text.push('\n');
        };
        let check = &self.check;
        let lasts = view
            .checks
            .get(name)
            .map_or_else(String::new, |check| format!(" for {}", span(view.at.boot.since(check.since.boot))));
        line(format!("{name} is {}{lasts}", check.status));
        if let Some(plan) = &check.judged_by {
            line(format!("  it {}", plan.text));
        }
        match &check.last {
            Some(last) => line(format!("  last result, {}: {}: {}", last.at, last.status, last.summary)),
            None => line("  it has had no result yet".to_owned()),
        }
        if let Some(streak) = &check.streak {
            let (count, needed, to) = (streak.count, streak.needed, streak.to);
            line(format!("  {count} of {needed} results in a row speak for {to}"));
        }
        if let Some(incident) = &self.incident {
            let until = incident.closed.as_ref().map_or("open".to_owned(), |at| format!("closed {at}"));
            line(format!(
                "incident {}: opened {}, {until}, at worst {}",
                incident.id, incident.opened, incident.worst
            ));
            if incident.escalated {
                line("  a person is needed".to_owned());
            }
        }
        if self.remedies.is_empty() {
            line("no remedy looks at it".to_owned());
        }
        for reason in &self.remedies {
            line(format!("remedy {}: {}", reason.remedy, reason.state));
            for held in &reason.triggers {
                let now = held.now.map_or("", |_| "; now it ");
                line(format!("  starts on {}{now}{}", held.condition, held.now.unwrap_or("")));
            }
            if let Some(until) = &reason.until {
                line(format!(
                    "  counts as holding until {}; now it {}",
                    until.condition,
                    until.now.unwrap_or("")
                ));
            }
            if let Some(guard) = &reason.guard {
                line(format!("  only while {}; now it {}", guard.condition, guard.now.unwrap_or("")));
            }
            for held in &reason.held_by {
                line(format!("  a start would be held back: {held}"));
            }
            for decision in &reason.decisions {
                let run = decision.run.as_ref().map_or(String::new(), |run| format!(" {run}"));
                line(format!("  {}{run}: {}", decision.at, decision.text));
            }
        }
        text
    }
}
