//! Entries of the ledger as JSON.

use lictor_core::{Ending, Holding, Mode, Outcome, What};
use serde::Serialize;

use super::Result;
use crate::web::metrics::hold;
use crate::web::text::{millis, rfc3339};

/// `GET /v1/events`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Events {
    /// Oldest first.
    pub(in crate::web) events: Vec<Event>,
    /// The number to go on after: of the last entry here, or the one that was given.
    pub(in crate::web) last: u64,
    /// Whether there may be more that match, in the direction asked for.
    pub(in crate::web) more: bool,
}

/// One entry of the ledger.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Event {
    /// Its number, which grows from entry to entry.
    pub(in crate::web) seq: u64,
    pub(in crate::web) at: String,
    /// What kind of thing happened, for programs.
    pub(in crate::web) kind: &'static str,
    /// What happened, for people.
    pub(in crate::web) text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) incident: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) run: Option<String>,
    #[serde(flatten)]
    pub(in crate::web) detail: Detail,
}

/// What an entry says, taken apart; each kind has some of these.
#[derive(Debug, Default, Serialize)]
pub(in crate::web) struct Detail {
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    /// Status or value before.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Status or value after.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    /// How an action, a run or a watcher's result went.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    /// What holds a remedy back.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<&'static str>,
    /// Why, or what was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
    /// `act` or `observe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// The results a change rests on, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<Result>,
}

impl Event {
    pub(in crate::web) fn new(seq: u64, event: &lictor_core::Event) -> Self {
        Self {
            seq,
            at: rfc3339(event.at.wall),
            kind: event.what.kind(),
            text: event.what.to_string(),
            incident: event.incident.map(|id| id.to_string()),
            run: event.run.map(|id| id.to_string()),
            detail: Detail::new(&event.what),
        }
    }
}

/// `Some(text)` of a name or text.
fn text(shown: &impl ToString) -> Option<String> {
    Some(shown.to_string())
}

pub(in crate::web) const fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Act => "act",
        Mode::Observe => "observe",
    }
}

const fn holding_word(holding: &Holding) -> &'static str {
    match holding {
        Holding::Ours => "ours",
        Holding::Other { .. } => "other",
        Holding::Unknown { .. } => "unknown",
    }
}

impl Detail {
    fn new(what: &What) -> Self {
        let none = Self::default();
        let check = what.check().map(ToString::to_string);
        match what {
            What::AgentStarted { version, clean } => Self {
                version: text(version),
                result: Some(if *clean { "clean" } else { "unclean" }),
                ..none
            },
            What::AgentStopped | What::Adopted { .. } => none,
            What::StateSetAside { why, .. } | What::NameTaken { why } => Self { why: text(why), ..none },
            What::Reloaded { difference } => Self { why: text(difference), ..none },
            What::RecordingResumed { lost } => Self { result: (*lost > 0).then_some("entries lost"), ..none },
            What::RecordingFailed { why } | What::ReloadRefused { why } => Self { why: text(why), ..none },
            What::WatcherRestarted { why, .. } => Self { check, why: text(why), ..none },
            What::Transition { from, to, summary, evidence, .. } => {
                let evidence = evidence.iter().map(|(at, status, said)| Result::new(*at, *status, said));
                let evidence = evidence.collect();
                Self { check, from: text(from), to: text(to), why: text(summary), evidence, ..none }
            }
            What::Flapping { flaps, .. } => {
                Self { check, result: Some(if *flaps { "flapping" } else { "steady" }), ..none }
            }
            What::IncidentOpened { .. } => Self { check, ..none },
            What::IncidentClosed { after, why, .. } => {
                Self { check, after_ms: Some(millis(*after)), why: why.clone(), ..none }
            }
            What::Matched { pattern, line, .. } => {
                Self { check, pattern: text(pattern), why: text(line), ..none }
            }
            What::ValueChanged { value, from, to, .. } => {
                Self { check, value: text(value), from: text(from), to: text(to), ..none }
            }
            What::Suppressed { remedy, target, by, deferred } => Self {
                remedy: text(remedy),
                target: text(target),
                held_by: Some(hold(*by)),
                why: text(by),
                result: Some(if *deferred { "deferred" } else { "dropped" }),
                ..none
            },
            What::RunStarted { remedy, target, cause, mode } => Self {
                remedy: text(remedy),
                target: text(target),
                why: text(cause),
                mode: Some(mode_word(*mode)),
                ..none
            },
            What::Intent { step, attempt, action } => {
                Self { step: text(step), attempt: Some(*attempt), action: text(action), ..none }
            }
            What::WouldAct { step, action } => {
                Self { step: text(step), action: text(action), mode: Some("observe"), ..none }
            }
            What::Outcome { step, attempt, outcome } => {
                let (result, detail) = match outcome {
                    Outcome::Done { detail } => ("done", detail),
                    Outcome::Failed { detail } => ("failed", detail),
                    Outcome::NotStarted { detail } => ("not_started", detail),
                    Outcome::Unknown { detail } => ("unknown", detail),
                };
                let attempt = Some(*attempt);
                Self { step: text(step), attempt, result: Some(result), why: text(detail), ..none }
            }
            What::Inspecting { step, attempt, why } => {
                Self { step: text(step), attempt: Some(*attempt), why: text(why), ..none }
            }
            What::Verified { step } | What::StepDone { step } => Self { step: text(step), ..none },
            What::StepSkipped { step, why } => Self { step: text(step), why: text(why), ..none },
            What::Service { service, said } => Self { target: text(service), why: text(said), ..none },
            What::LeaseChanged { lease, holding } => {
                Self { target: text(lease), result: Some(holding_word(holding)), why: text(holding), ..none }
            }
            What::AlertSource { source, lost } => Self { target: text(source), why: lost.clone(), ..none },
            What::AlertChanged { subject, from, to, summary } => {
                Self { target: text(subject), from: text(from), to: text(to), why: text(summary), ..none }
            }
            What::Told { notifier, what, .. } => Self { target: text(notifier), why: text(what), ..none },
            What::NotTold { notifier, why, next, .. } => {
                Self { target: text(notifier), why: text(why), to: text(next), ..none }
            }
            What::Silenced { id, when, until, by } => {
                let (after_ms, from) = (until.map(millis), (!by.is_empty()).then(|| by.clone()));
                Self { target: text(id), why: text(when), after_ms, from, ..none }
            }
            What::Acknowledged { subject, by, ended_by } => {
                let from = by.clone().or_else(|| (!ended_by.is_empty()).then(|| ended_by.clone()));
                Self { target: text(subject), from, ..none }
            }
            What::SharedState { of, why } => Self { target: text(of), why: text(why), ..none },
            What::TakenOver { remedy, step, from } => {
                Self { remedy: text(remedy), step: text(step), from: text(from), ..none }
            }
            What::Waiting { step, condition } => Self { step: text(step), why: text(condition), ..none },
            What::StepFailed { step, why, next } => {
                Self { step: text(step), why: text(why), to: text(next), ..none }
            }
            What::Retrying { step, attempt, after, why } => Self {
                step: text(step),
                attempt: Some(*attempt),
                after_ms: Some(millis(*after)),
                why: text(why),
                ..none
            },
            What::Parked { remedy, why } => Self { remedy: text(remedy), why: text(why), ..none },
            What::RunEnded { remedy, ending, after } => {
                let (result, why) = match ending {
                    Ending::Done => ("done", None),
                    Ending::Failed { why } => ("failed", Some(why.clone())),
                    Ending::Cancelled { why } => ("cancelled", Some(why.clone())),
                };
                let after_ms = Some(millis(*after));
                Self { remedy: text(remedy), result: Some(result), why, after_ms, ..none }
            }
            What::Escalated { remedy, target, why } => {
                Self { remedy: text(remedy), target: text(target), why: text(why), ..none }
            }
            What::Commanded { command } => Self { why: text(command), ..none },
        }
    }
}
