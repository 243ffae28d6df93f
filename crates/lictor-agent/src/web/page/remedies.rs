//! The page of the remedies: the steps of each in their order, and what became of them in its latest run.

use std::collections::BTreeMap;

use askama::Template;
use lictor_core::{
    Event, OnFailure, Outcome, Remedy, RemedyName, Run, RunId, RunState, Step, StepKind, StepName, What,
};

use super::model::TEXT;
use super::remedy::{RemedyCard, RunRow};
use super::{Part, render};
use crate::View;
use crate::web::Site;
use crate::web::error::Failure;
use crate::web::history::EventQuery;
use crate::web::text::{count, in_a_line, span};

/// Remedies shown, and those of them whose latest run is taken from the ledger.
const MOST: usize = 300;
const TOLD: usize = 40;

/// Entries of one run that are looked at.
const ENTRIES: usize = 400;

/// The page.
#[derive(Template)]
#[template(path = "remedies.html")]
struct RemediesPage {
    title: String,
    tone: &'static str,
    remedies: Vec<Flow>,
    /// So many more.
    more: usize,
}

/// A remedy with its steps as a diagram.
#[derive(Debug)]
struct Flow {
    card: RemedyCard,
    target: String,
    steps: Vec<FlowStep>,
    /// The latest run: its number, and how it stands or ended.
    run: Option<RunRow>,
}

/// A step.
#[derive(Debug)]
struct FlowStep {
    name: String,
    /// `done`, `now`, `stuck`, `failed`, `skipped` or nothing.
    class: &'static str,
    /// The same as a word.
    word: &'static str,
    /// What it does, in words.
    does: String,
    /// What follows when it has failed, and when it is left out, in words.
    else_: String,
    /// What was said of it in the latest run.
    outcome: Option<String>,
}

pub(super) async fn part(site: &Site, view: &View) -> Result<Part, Failure> {
    let mut cards: Vec<_> = view
        .plan
        .remedies
        .iter()
        .filter_map(|(name, remedy)| Some((RemedyCard::new(name, view)?, name, remedy)))
        .collect();
    cards.sort_by_key(|(card, ..)| card.rank());
    let more = cards.len().saturating_sub(MOST);
    let bad = cards.iter().any(|(card, ..)| matches!(card.state, "parked" | "gave_up"));
    let mut remedies = Vec::new();
    for (index, (card, name, remedy)) in cards.into_iter().take(MOST).enumerate() {
        let run = latest(name, view);
        let events = match run.filter(|_| index < TOLD) {
            Some(run) => {
                let query = EventQuery { run: Some(run.id), ..EventQuery::newest(ENTRIES) };
                site.archive.events(query).await?
            }
            None => Vec::new(),
        };
        remedies.push(Flow {
            steps: steps(remedy, run, &events),
            target: remedy.target.to_string(),
            run: run.map(|run| RunRow::new(run, view)),
            card,
        });
    }
    let title = format!("Remedies · {}", site.node);
    let tone = if bad { "bad" } else { "good" };
    render(&RemediesPage { title: title.clone(), tone, remedies, more }, title, bad)
}

/// The unfinished run of a remedy, or the last one that ended.
fn latest<'a>(name: &RemedyName, view: &'a View) -> Option<&'a Run> {
    let mut runs = view.runs.values().rev().filter(|run| &run.remedy == name);
    let newest: Option<&RunId> = runs.clone().next().map(|run| &run.id);
    runs.find(|run| !run.ended()).or_else(|| newest.and_then(|id| view.runs.get(id)))
}

/// What became of a step: the class, the word, and what was said.
type Fate = (&'static str, &'static str, Option<String>);

fn steps(remedy: &Remedy, run: Option<&Run>, events: &[(u64, Event)]) -> Vec<FlowStep> {
    let mut fates: BTreeMap<&StepName, Fate> = BTreeMap::new();
    for (_, event) in events {
        if let Some((step, (class, word, said))) = fate(&event.what) {
            let before = fates.remove(step).and_then(|(_, _, before)| before);
            fates.insert(step, (class, word, said.or(before)));
        }
    }
    if let Some(run) = run.filter(|run| !run.ended()) {
        let said = fates.remove(&run.step).and_then(|(_, _, said)| said);
        let now = match &run.state {
            RunState::Parked { why, .. } => ("stuck", "parked", Some(in_a_line(why, TEXT))),
            _ => ("now", "under way", said),
        };
        fates.insert(&run.step, now);
    }
    let each = remedy.steps.iter().map(|step| {
        let (class, word, outcome) = fates.remove(&step.name).unwrap_or(("", "", None));
        FlowStep {
            name: step.name.to_string(),
            class,
            word,
            does: does(step),
            else_: otherwise(step),
            outcome,
        }
    });
    each.collect()
}

fn fate(what: &What) -> Option<(&StepName, Fate)> {
    let said = |text: &str| Some(in_a_line(text, TEXT));
    Some(match what {
        What::Intent { step, .. } => (step, ("", "begun", None)),
        What::WouldAct { step, action } => {
            (step, ("skipped", "only told", said(&format!("would do {action}"))))
        }
        What::StepSkipped { step, why } => (step, ("skipped", "left out", said(why))),
        What::StepDone { step } => (step, ("done", "done", None)),
        What::Verified { step } => (step, ("done", "seen to have worked", None)),
        What::StepFailed { step, why, .. } => (step, ("failed", "failed", said(why))),
        What::Outcome { step, outcome, .. } => match outcome {
            Outcome::Done { detail } => (step, ("", "done", said(detail))),
            Outcome::Failed { detail } => (step, ("failed", "failed", said(detail))),
            Outcome::NotStarted { detail } => (step, ("failed", "not started", said(detail))),
            Outcome::Unknown { detail } => (step, ("failed", "unclear", said(detail))),
        },
        _ => return None,
    })
}

fn does(step: &Step) -> String {
    let attempts = match step.attempts.get() {
        1 => String::new(),
        more => format!(", up to {}", count(more as usize, "time")),
    };
    match &step.kind {
        StepKind::Act { action, limit, verify, .. } => {
            let seen = verify.as_ref().map_or_else(String::new, |verify| {
                format!(", and looks for {} for that {}", span(verify.within), verify.condition)
            });
            format!("does {action} (at most {}{attempts}){seen}", span(*limit))
        }
        StepKind::Wait { condition, hold, deadline } => {
            let hold = if hold.is_zero() { String::new() } else { format!(" for {}", span(*hold)) };
            format!("waits until {condition}{hold} (at most {}{attempts})", span(*deadline))
        }
    }
}

fn otherwise(step: &Step) -> String {
    let failed = match &step.on_failure {
        OnFailure::Fail => "if it fails, so does the run".to_owned(),
        OnFailure::Park => "if it fails, the run waits for a person".to_owned(),
        OnFailure::GoTo { step, .. } => format!("if it fails, {step} follows"),
    };
    let skip = step.skip_when.as_ref().map(|when| format!("; left out when {when}")).unwrap_or_default();
    let next = step.next.as_ref().map(|next| format!("; then {next}")).unwrap_or_default();
    format!("{failed}{skip}{next}")
}
