//! Remedies as JSON.

use lictor_core::{Flood, OnFailure, RemedyName, Repeatability, RunState, StepKind};
use serde::Serialize;

use super::event::mode_word;
use crate::View;
use crate::web::text::{count, millis, span};

/// `GET /v1/remedies`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Remedies {
    pub(in crate::web) remedies: Vec<Remedy>,
}

/// A remedy: its definition and where it stands.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Remedy {
    pub(in crate::web) name: String,
    pub(in crate::web) target: String,
    /// `act` or `observe`; observe when the whole node observes.
    pub(in crate::web) mode: &'static str,
    /// `idle`, `running`, `parked`, `cooling`, `budget_used`, `waiting` (a trigger is
    /// deferred) or `gave_up`.
    pub(in crate::web) state: &'static str,
    /// The state in words.
    pub(in crate::web) text: String,
    /// The unfinished run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) run: Option<String>,
    /// What starts it: any of these.
    pub(in crate::web) on: Vec<String>,
    /// The services that it follows, such as `on_promote of web`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::web) follows: Vec<String>,
    /// Its condition counts as holding until this does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) guard: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) cancel: Option<String>,
    pub(in crate::web) cooldown_ms: u64,
    /// Time left of the present cooldown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) cooling_for_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) budget: Option<Budget>,
    /// Time left until the budget allows another run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) budget_used_for_ms: Option<u64>,
    pub(in crate::web) defer: bool,
    /// Why a trigger waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) deferred: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) give_up_after: Option<u32>,
    /// What the node must hold to act, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) lease: Option<String>,
    /// Runs in a row that did not help.
    pub(in crate::web) unhelpful: u32,
    pub(in crate::web) gave_up: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) escalate: Option<String>,
    pub(in crate::web) deadline_ms: u64,
    pub(in crate::web) steps: Vec<Step>,
}

/// At most `runs` runs in any span of `per_ms`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Budget {
    pub(in crate::web) runs: u32,
    pub(in crate::web) per_ms: u64,
}

/// One step of a remedy.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Step {
    pub(in crate::web) name: String,
    /// `act` or `wait`.
    pub(in crate::web) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) action: Option<String>,
    /// `idempotent`, `verifiable` or `neither`: what may be done after an unclear answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) repeat: Option<&'static str>,
    /// Must hold: of an act when it worked, of a wait before it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) condition: Option<String>,
    /// For so long a wait's condition must hold without a break.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) hold_ms: Option<u64>,
    /// Time limit of one attempt.
    pub(in crate::web) limit_ms: u64,
    pub(in crate::web) attempts: u32,
    /// `fail`, `park` or the step that is gone to.
    pub(in crate::web) on_failure: String,
    /// The step that follows, when it is not the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) next: Option<String>,
    /// When it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) skip_when: Option<String>,
}

impl Remedy {
    /// `None` when the plan has no such remedy.
    pub(in crate::web) fn new(name: &RemedyName, view: &View) -> Option<Self> {
        let remedy = view.plan.remedies.get(name)?;
        let none = Flood::default();
        let flood = view.floods.get(name).unwrap_or(&none);
        let now = view.at.boot;
        let (state, text) = state(name, view)?;
        let run = view.runs.values().find(|run| &run.remedy == name && !run.ended());
        Some(Self {
            name: name.to_string(),
            target: remedy.target.to_string(),
            mode: mode_word(remedy.mode.max(view.plan.mode)),
            state,
            text,
            run: run.map(|run| run.id.to_string()),
            on: remedy.on.iter().map(ToString::to_string).collect(),
            follows: follows(name, view),
            until: remedy.until.as_ref().map(ToString::to_string),
            guard: remedy.guard.as_ref().map(ToString::to_string),
            cancel: remedy.cancel.as_ref().map(ToString::to_string),
            cooldown_ms: millis(remedy.cooldown),
            cooling_for_ms: view.cooling_until(remedy).map(|until| millis(until.since(now))),
            budget: remedy
                .budget
                .map(|budget| Budget { runs: budget.runs.get(), per_ms: millis(budget.per) }),
            budget_used_for_ms: flood.spent_until(remedy, now).map(|until| millis(until.since(now))),
            defer: remedy.defer,
            deferred: flood.deferred.clone(),
            give_up_after: remedy.give_up_after.map(std::num::NonZeroU32::get),
            lease: remedy.lease.as_ref().map(ToString::to_string),
            unhelpful: flood.unhelpful,
            gave_up: flood.gave_up,
            escalate: remedy.escalate.as_ref().map(ToString::to_string),
            deadline_ms: millis(remedy.deadline),
            steps: remedy.steps.iter().map(Step::new).collect(),
        })
    }
}

/// The services that name a remedy, and for what.
pub(in crate::web) fn follows(name: &RemedyName, view: &View) -> Vec<String> {
    let hooks = view.plan.services.iter().flat_map(|(service, hooks)| {
        let named = [("on_promote", &hooks.promote), ("on_demote", &hooks.demote)];
        named.map(|(what, hook)| (hook.as_ref() == Some(name)).then(|| format!("{what} of {service}")))
    });
    hooks.flatten().collect()
}

/// Where a remedy stands: a word and a sentence; `None` when the plan has no such remedy.
pub(in crate::web) fn state(name: &RemedyName, view: &View) -> Option<(&'static str, String)> {
    let remedy = view.plan.remedies.get(name)?;
    let none = Flood::default();
    let flood = view.floods.get(name).unwrap_or(&none);
    let now = view.at.boot;
    if let Some(run) = view.runs.values().find(|run| &run.remedy == name && !run.ended()) {
        let word = if matches!(run.state, RunState::Parked { .. }) { "parked" } else { "running" };
        return Some((word, format!("{}: {}", run.id, super::describe_run(run, view))));
    }
    if flood.gave_up {
        let runs = match flood.unhelpful {
            1 => "the last run".to_owned(),
            more => format!("{more} runs in a row"),
        };
        let way = format!("`lictor remedy start {name}` starts it");
        return Some(("gave_up", format!("gave up: {runs} did not help; {way}")));
    }
    if let Some(until) = flood.spent_until(remedy, now) {
        let runs = count(remedy.budget.map_or(0, |budget| budget.runs.get() as usize), "run");
        let next = span(until.since(now));
        return Some(("budget_used", format!("its budget of {runs} is used up; the next in {next}")));
    }
    let cooling = view.cooling_until(remedy).map(|until| span(until.since(now)));
    Some(match (&flood.deferred, cooling) {
        (Some(why), Some(left)) => ("waiting", format!("starts in {left}: {why}")),
        (Some(why), None) => ("waiting", format!("starts when nothing holds it back: {why}")),
        (None, Some(left)) => ("cooling", format!("cooling down for {left}")),
        (None, None) => ("idle", "idle".to_owned()),
    })
}

impl Step {
    fn new(step: &lictor_core::Step) -> Self {
        let on_failure = match &step.on_failure {
            OnFailure::Fail => "fail".to_owned(),
            OnFailure::Park => "park".to_owned(),
            OnFailure::GoTo { step, .. } => step.to_string(),
        };
        let new = |kind, limit| Self {
            name: step.name.to_string(),
            kind,
            action: None,
            repeat: None,
            condition: None,
            hold_ms: None,
            limit_ms: millis(limit),
            attempts: step.attempts.get(),
            on_failure,
            next: step.next.as_ref().map(ToString::to_string),
            skip_when: step.skip_when.as_ref().map(ToString::to_string),
        };
        match &step.kind {
            StepKind::Act { action, repeat, limit, verify, .. } => Self {
                action: Some(action.to_string()),
                repeat: Some(match repeat {
                    Repeatability::Idempotent => "idempotent",
                    Repeatability::Verifiable => "verifiable",
                    Repeatability::Neither => "neither",
                }),
                condition: verify.as_ref().map(|verify| verify.condition.to_string()),
                ..new("act", *limit)
            },
            StepKind::Wait { condition, hold, deadline } => Self {
                condition: Some(condition.to_string()),
                hold_ms: Some(millis(*hold)),
                ..new("wait", *deadline)
            },
        }
    }
}
