//! Remedies and their runs.

use lictor_core::{Mode, RemedyName, Run, RunState};

use super::model::{TEXT, run_tone};
use crate::View;
use crate::web::api;
use crate::web::text::{ago, in_a_line, rfc3339, span};

#[derive(Debug)]
pub(super) struct RemedyCard {
    pub(super) name: String,
    pub(super) state: &'static str,
    /// The state as the badge says it.
    pub(super) word: &'static str,
    pub(super) text: Option<String>,
    pub(super) observe: bool,
    pub(super) steps: Vec<StepMark>,
    /// The unfinished run.
    pub(super) run: Option<String>,
}

/// A step in the row of steps.
#[derive(Debug)]
pub(super) struct StepMark {
    pub(super) name: String,
    /// `done`, `now`, `stuck` or nothing.
    pub(super) class: &'static str,
}

impl RemedyCard {
    pub(super) fn new(name: &RemedyName, view: &View) -> Option<Self> {
        let remedy = view.plan.remedies.get(name)?;
        let (state, text) = api::remedy_state(name, view)?;
        let run = view.runs.values().find(|run| &run.remedy == name && !run.ended());
        let at = run.and_then(|run| remedy.steps.iter().position(|step| step.name == run.step));
        let parked = run.is_some_and(|run| matches!(run.state, RunState::Parked { .. }));
        let steps = remedy.steps.iter().enumerate().map(|(index, step)| StepMark {
            name: step.name.to_string(),
            class: match at {
                Some(at) if index < at => "done",
                Some(at) if index == at => {
                    if parked {
                        "stuck"
                    } else {
                        "now"
                    }
                }
                Some(_) | None => "",
            },
        });
        Some(Self {
            name: name.to_string(),
            state,
            word: word(state),
            text: (state != "idle").then(|| in_a_line(&text, TEXT)),
            observe: remedy.mode == Mode::Observe && view.plan.mode == Mode::Act,
            steps: steps.collect(),
            run: run.map(|run| run.id.to_string()),
        })
    }

    /// Where it comes in the list: what needs a person first.
    pub(super) fn rank(&self) -> u8 {
        match self.state {
            "parked" => 0,
            "gave_up" => 1,
            "running" => 2,
            "budget_used" => 3,
            "waiting" => 4,
            "cooling" => 5,
            _ => 6,
        }
    }

    /// Whether a person may want to start it: it would not start by itself.
    pub(super) fn startable(&self) -> bool {
        matches!(self.state, "gave_up" | "budget_used")
    }

    pub(super) fn is_idle(&self) -> bool {
        self.state == "idle"
    }
}

/// The state of a remedy as its badge says it.
pub(super) fn word(state: &'static str) -> &'static str {
    match state {
        "gave_up" => "gave up",
        "budget_used" => "budget used",
        "cooling" => "cooling down",
        other => other,
    }
}

/// A finished run.
#[derive(Debug)]
pub(super) struct RunRow {
    pub(super) id: String,
    pub(super) remedy: String,
    pub(super) state: &'static str,
    pub(super) word: &'static str,
    pub(super) tone: &'static str,
    pub(super) text: String,
    pub(super) started: String,
    pub(super) ago: String,
    pub(super) took: Option<String>,
}

impl RunRow {
    pub(super) fn new(run: &Run, view: &View) -> Self {
        let ended = match &run.state {
            RunState::Ended(_, at) => Some(*at),
            _ => None,
        };
        let state = api::run_state(&run.state);
        let said = api::describe_run(run, view);
        let text = if state == "done" { run.cause.clone() } else { format!("{said} ({})", run.cause) };
        let word = match (state, run.mode) {
            ("done", Mode::Observe) => "observed",
            (other, _) => other,
        };
        Self {
            id: run.id.to_string(),
            remedy: run.remedy.to_string(),
            state,
            word,
            tone: run_tone(&run.state),
            text: in_a_line(&text, TEXT),
            started: rfc3339(run.started.wall),
            ago: ago(ended.unwrap_or(run.started), view.at),
            took: ended.map(|at| span(at.boot.since(run.started.boot))),
        }
    }
}
