//! Runs of remedies as JSON.

use std::collections::BTreeMap;

use lictor_core::{Boot, Ending, RunState};
use serde::Serialize;

use super::Event;
use super::event::mode_word;
use crate::View;
use crate::web::text::{millis, rfc3339, span};

/// `GET /v1/runs`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Runs {
    /// Newest first.
    pub(in crate::web) runs: Vec<Run>,
}

/// One run of a remedy.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Run {
    pub(in crate::web) id: String,
    pub(in crate::web) remedy: String,
    pub(in crate::web) target: String,
    /// Why it was started.
    pub(in crate::web) cause: String,
    /// What the line that started it was taken apart into.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(in crate::web) captures: BTreeMap<String, String>,
    /// The change of role in a service that it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) follows: Option<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) incident: Option<String>,
    /// `acting`, `inspecting`, `verifying`, `backing_off`, `queued`, `waiting`,
    /// `parked`, `done`, `failed` or `cancelled`.
    pub(in crate::web) state: &'static str,
    /// What it is doing, in words.
    pub(in crate::web) text: String,
    /// The step it is (or was last) at.
    pub(in crate::web) step: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) attempt: Option<u32>,
    /// `act` or `observe`.
    pub(in crate::web) mode: &'static str,
    pub(in crate::web) started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) ended: Option<String>,
    pub(in crate::web) lasts_ms: u64,
    /// Time left until it must have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) deadline_in_ms: Option<u64>,
    /// Why it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) cancelled: Option<String>,
}

/// What a run that follows a service goes by.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Change {
    pub(in crate::web) service: String,
    /// `active` or `standby`.
    pub(in crate::web) role: String,
    /// The token under which the service runs here, or ran last.
    pub(in crate::web) token: u64,
}

/// `GET /v1/runs/ID`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct RunWithTimeline {
    #[serde(flatten)]
    pub(in crate::web) run: Run,
    /// What was decided and done, oldest first.
    pub(in crate::web) timeline: Vec<Event>,
    /// Whether the timeline is longer; `/v1/events?run=ID&after=0` has all of it.
    pub(in crate::web) more: bool,
}

impl Run {
    pub(in crate::web) fn new(run: &lictor_core::Run, view: &View) -> Self {
        let ended = match &run.state {
            RunState::Ended(_, at) => Some(*at),
            _ => None,
        };
        let end = ended.unwrap_or(view.at);
        Self {
            id: run.id.to_string(),
            remedy: run.remedy.to_string(),
            target: run.target.to_string(),
            cause: run.cause.clone(),
            captures: BTreeMap::clone(&run.captures),
            follows: run.change.as_ref().map(|change| Change {
                service: change.service.to_string(),
                role: change.role.to_string(),
                token: change.token,
            }),
            incident: run.incident.map(|id| id.to_string()),
            state: state(&run.state),
            text: describe(run, view),
            step: run.step.to_string(),
            attempt: attempt(&run.state),
            mode: mode_word(run.mode),
            started: rfc3339(run.started.wall),
            ended: ended.map(|at| rfc3339(at.wall)),
            lasts_ms: millis(end.boot.since(run.started.boot)),
            deadline_in_ms: ended.is_none().then(|| millis(run.deadline.since(view.at.boot))),
            cancelled: run.cancelled.clone(),
        }
    }
}

/// The word for a run's state.
pub(in crate::web) const fn state(state: &RunState) -> &'static str {
    match state {
        RunState::Preparing { .. } => "preparing",
        RunState::Acting { .. } => "acting",
        RunState::Inspecting { .. } => "inspecting",
        RunState::Verifying { .. } => "verifying",
        RunState::BackingOff { .. } => "backing_off",
        RunState::Queued { .. } => "queued",
        RunState::Waiting { .. } => "waiting",
        RunState::Parked { .. } => "parked",
        RunState::Ended(Ending::Done, _) => "done",
        RunState::Ended(Ending::Failed { .. }, _) => "failed",
        RunState::Ended(Ending::Cancelled { .. }, _) => "cancelled",
    }
}

const fn attempt(state: &RunState) -> Option<u32> {
    match state {
        RunState::Preparing { attempt, .. }
        | RunState::Acting { attempt, .. }
        | RunState::Inspecting { attempt, .. }
        | RunState::Verifying { attempt, .. }
        | RunState::BackingOff { attempt, .. }
        | RunState::Queued { attempt }
        | RunState::Waiting { attempt, .. }
        | RunState::Parked { attempt, .. } => Some(*attempt),
        RunState::Ended(..) => None,
    }
}

/// What a run is doing, in words.
pub(in crate::web) fn describe(run: &lictor_core::Run, view: &View) -> String {
    let now = view.at.boot;
    let for_long = |since: Boot| span(now.since(since));
    let step = &run.step;
    let again = |attempt: u32| if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
    match &run.state {
        RunState::Preparing { attempt, .. } => {
            format!("step {step}: looking at what attempt {attempt} would change")
        }
        RunState::Acting { attempt, since } => {
            format!("step {step}: acting for {}{}", for_long(*since), again(*attempt))
        }
        RunState::Inspecting { attempt, .. } => {
            format!("step {step}: looking at what became of attempt {attempt}")
        }
        RunState::Verifying { attempt, since, done: true } => {
            format!("step {step}: done{}, checking for {} that it worked", again(*attempt), for_long(*since))
        }
        RunState::Verifying { attempt, since, done: false } => {
            format!("step {step}: may be done{}, looking for {}", again(*attempt), for_long(*since))
        }
        RunState::BackingOff { attempt, until } => {
            format!("step {step}: attempt {attempt} in {}", span(until.since(now)))
        }
        RunState::Queued { .. } => format!("step {step}: waits until fewer actions are in flight"),
        RunState::Waiting { since, held: None, .. } => {
            format!("step {step}: waiting for {}", for_long(*since))
        }
        RunState::Waiting { held: Some(held), .. } => {
            format!("step {step}: its condition has held for {}", for_long(*held))
        }
        RunState::Parked { why, .. } => format!("step {step}: parked, a person is needed: {why}"),
        RunState::Ended(ending, _) => match ending {
            Ending::Done => "done".to_owned(),
            Ending::Failed { why } => format!("failed: {why}"),
            Ending::Cancelled { why } => format!("cancelled: {why}"),
        },
    }
}
