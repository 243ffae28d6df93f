//! Events: the past.

use std::time::Duration;

use lictor_core as core;
use lictor_core::DeliveryId;
use serde::{Deserialize, Serialize};

use super::row::Status;
use super::{Time, WireError, millis, name};

/// One entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Time,
    /// The number of the incident it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<u64>,
    /// The number of the run it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// What happened.
    pub what: What,
}

impl From<&core::Event> for Event {
    fn from(event: &core::Event) -> Self {
        Self {
            at: event.at.into(),
            incident: event.incident.map(|id| id.0),
            run: event.run.map(|id| id.0),
            what: (&event.what).into(),
        }
    }
}

impl TryFrom<Event> for core::Event {
    type Error = WireError;
    fn try_from(event: Event) -> Result<Self, WireError> {
        Ok(Self {
            at: event.at.into(),
            incident: event.incident.map(core::IncidentId),
            run: event.run.map(core::RunId),
            what: event.what.try_into()?,
        })
    }
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// They are.
    Act,
    /// They are only recorded.
    Observe,
}

impl From<core::Mode> for Mode {
    fn from(mode: core::Mode) -> Self {
        match mode {
            core::Mode::Act => Self::Act,
            core::Mode::Observe => Self::Observe,
        }
    }
}

impl From<Mode> for core::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Act => Self::Act,
            Mode::Observe => Self::Observe,
        }
    }
}

/// What holds a remedy back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Its guard.
    Guard,
    /// Its cooldown.
    Cooldown,
    /// Its budget.
    Budget,
    /// Another run has the target.
    Busy,
    /// It gave up.
    GaveUp,
    /// Too many targets are bad at once.
    Fleet,
    /// What an earlier store left is not known yet.
    Unconfirmed,
    /// Its lease is not this node's.
    Lease,
}

impl From<core::Hold> for Hold {
    fn from(hold: core::Hold) -> Self {
        match hold {
            core::Hold::Guard => Self::Guard,
            core::Hold::Cooldown => Self::Cooldown,
            core::Hold::Budget => Self::Budget,
            core::Hold::Busy => Self::Busy,
            core::Hold::GaveUp => Self::GaveUp,
            core::Hold::Fleet => Self::Fleet,
            core::Hold::Unconfirmed => Self::Unconfirmed,
            core::Hold::Lease => Self::Lease,
        }
    }
}

impl From<Hold> for core::Hold {
    fn from(hold: Hold) -> Self {
        match hold {
            Hold::Guard => Self::Guard,
            Hold::Cooldown => Self::Cooldown,
            Hold::Budget => Self::Budget,
            Hold::Busy => Self::Busy,
            Hold::GaveUp => Self::GaveUp,
            Hold::Fleet => Self::Fleet,
            Hold::Unconfirmed => Self::Unconfirmed,
            Hold::Lease => Self::Lease,
        }
    }
}

/// How a run ended, told apart by `how`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the members are those of the core's endings")]
pub enum Ending {
    /// Every step was done.
    Done,
    /// A step failed, or the deadline came.
    Failed { why: String },
    /// It was cancelled.
    Cancelled { why: String },
}

impl From<&core::Ending> for Ending {
    fn from(ending: &core::Ending) -> Self {
        match ending {
            core::Ending::Done => Self::Done,
            core::Ending::Failed { why } => Self::Failed { why: why.clone() },
            core::Ending::Cancelled { why } => Self::Cancelled { why: why.clone() },
        }
    }
}

impl From<Ending> for core::Ending {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Done => Self::Done,
            Ending::Failed { why } => Self::Failed { why },
            Ending::Cancelled { why } => Self::Cancelled { why },
        }
    }
}

/// What became of an action, told apart by `is`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the members are those of the core's outcomes")]
pub enum Outcome {
    /// It was done.
    Done { detail: String },
    /// It was not done, or was done and failed.
    Failed { detail: String },
    /// It was certainly never begun.
    NotStarted { detail: String },
    /// Nobody knows.
    Unknown { detail: String },
}

impl From<&core::Outcome> for Outcome {
    fn from(outcome: &core::Outcome) -> Self {
        match outcome {
            core::Outcome::Done { detail } => Self::Done { detail: detail.clone() },
            core::Outcome::Failed { detail } => Self::Failed { detail: detail.clone() },
            core::Outcome::NotStarted { detail } => Self::NotStarted { detail: detail.clone() },
            core::Outcome::Unknown { detail } => Self::Unknown { detail: detail.clone() },
        }
    }
}

impl From<Outcome> for core::Outcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done { detail } => Self::Done { detail },
            Outcome::Failed { detail } => Self::Failed { detail },
            Outcome::NotStarted { detail } => Self::NotStarted { detail },
            Outcome::Unknown { detail } => Self::Unknown { detail },
        }
    }
}

/// A result that a transition rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// When it came.
    pub at: Time,
    /// What was seen.
    pub status: Status,
    /// The same in one line.
    pub summary: String,
}

impl From<&(core::Now, core::Status, String)> for Evidence {
    fn from((at, status, summary): &(core::Now, core::Status, String)) -> Self {
        Self { at: (*at).into(), status: (*status).into(), summary: summary.clone() }
    }
}

impl From<Evidence> for (core::Now, core::Status, String) {
    fn from(evidence: Evidence) -> Self {
        (evidence.at.into(), evidence.status.into(), evidence.summary)
    }
}

/// What happened, told apart by `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the kinds and their members are those of the core's events")]
pub enum What {
    AgentStarted {
        version: String,
        clean: bool,
    },
    AgentStopped,
    /// See [`core::What::NameTaken`].
    NameTaken {
        /// Why.
        why: String,
    },
    /// See [`core::What::StateSetAside`].
    StateSetAside {
        /// Where it is kept.
        path: String,
        /// Why it could not be read.
        why: String,
    },
    RecordingFailed {
        why: String,
    },
    RecordingResumed {
        lost: u64,
    },
    Adopted {
        runs: usize,
        incidents: usize,
    },
    Reloaded {
        difference: String,
    },
    ReloadRefused {
        why: String,
    },
    Service {
        service: String,
        said: String,
    },
    WatcherRestarted {
        check: String,
        why: String,
    },
    Transition {
        check: String,
        from: Status,
        to: Status,
        summary: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evidence: Vec<Evidence>,
    },
    Flapping {
        check: String,
        flaps: bool,
    },
    IncidentOpened {
        check: String,
    },
    IncidentClosed {
        check: String,
        after_ms: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    Matched {
        source: String,
        pattern: String,
        line: String,
    },
    ValueChanged {
        check: String,
        value: String,
        from: String,
        to: String,
    },
    Suppressed {
        remedy: String,
        target: String,
        by: Hold,
        deferred: bool,
    },
    RunStarted {
        remedy: String,
        target: String,
        cause: String,
        mode: Mode,
    },
    Intent {
        step: String,
        attempt: u32,
        action: String,
    },
    WouldAct {
        step: String,
        action: String,
    },
    Outcome {
        step: String,
        attempt: u32,
        outcome: Outcome,
    },
    Inspecting {
        step: String,
        attempt: u32,
        why: String,
    },
    Verified {
        step: String,
    },
    Waiting {
        step: String,
        condition: String,
    },
    StepDone {
        step: String,
    },
    StepSkipped {
        step: String,
        why: String,
    },
    StepFailed {
        step: String,
        why: String,
        next: String,
    },
    Retrying {
        step: String,
        attempt: u32,
        after_ms: u64,
        why: String,
    },
    Parked {
        remedy: String,
        why: String,
    },
    RunEnded {
        remedy: String,
        ending: Ending,
        after_ms: u64,
    },
    Escalated {
        remedy: String,
        target: String,
        why: String,
    },
    Commanded {
        command: String,
    },
    LeaseChanged {
        lease: String,
        holding: Holding,
    },
    SharedState {
        of: String,
        why: String,
    },
    AlertSource {
        source: String,
        lost: Option<String>,
    },
    AlertChanged {
        subject: String,
        from: Status,
        to: Status,
        summary: String,
    },
    Told {
        notifier: String,
        delivery: u64,
        what: String,
    },
    NotTold {
        notifier: String,
        delivery: u64,
        why: String,
        next: String,
    },
    Silenced {
        id: String,
        when: String,
        until_ms: Option<u64>,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        by: String,
    },
    Acknowledged {
        subject: String,
        by: Option<String>,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        ended_by: String,
    },
    TakenOver {
        remedy: String,
        step: String,
        from: String,
    },
}

/// Who holds a lease, told apart by `by`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the members are those of the core's")]
pub enum Holding {
    /// This node.
    Ours,
    /// Another one.
    Other { node: String },
    /// Nobody can say.
    Unknown { why: String },
}

impl From<core::Holding> for Holding {
    fn from(holding: core::Holding) -> Self {
        match holding {
            core::Holding::Ours => Self::Ours,
            core::Holding::Other { node } => Self::Other { node },
            core::Holding::Unknown { why } => Self::Unknown { why },
        }
    }
}

impl From<Holding> for core::Holding {
    fn from(holding: Holding) -> Self {
        match holding {
            Holding::Ours => Self::Ours,
            Holding::Other { node } => Self::Other { node },
            Holding::Unknown { why } => Self::Unknown { why },
        }
    }
}

impl From<&core::What> for What {
    fn from(what: &core::What) -> Self {
        use core::What as W;
        match what.clone() {
            W::AgentStarted { version, clean } => Self::AgentStarted { version, clean },
            W::AgentStopped => Self::AgentStopped,
            W::StateSetAside { path, why } => Self::StateSetAside { path: path.clone(), why: why.clone() },
            W::NameTaken { why } => Self::NameTaken { why },
            W::RecordingFailed { why } => Self::RecordingFailed { why },
            W::RecordingResumed { lost } => Self::RecordingResumed { lost },
            W::Adopted { runs, incidents } => Self::Adopted { runs, incidents },
            W::Reloaded { difference } => Self::Reloaded { difference },
            W::ReloadRefused { why } => Self::ReloadRefused { why },
            W::Service { service, said } => Self::Service { service: service.to_string(), said },
            W::WatcherRestarted { check, why } => Self::WatcherRestarted { check: check.to_string(), why },
            W::Transition { check, from, to, summary, evidence } => Self::Transition {
                check: check.to_string(),
                from: from.into(),
                to: to.into(),
                summary,
                evidence: evidence.iter().map(Into::into).collect(),
            },
            W::Flapping { check, flaps } => Self::Flapping { check: check.to_string(), flaps },
            W::IncidentOpened { check } => Self::IncidentOpened { check: check.to_string() },
            W::IncidentClosed { check, after, why } => {
                Self::IncidentClosed { check: check.to_string(), after_ms: millis(after), why }
            }
            W::Matched { source, pattern, line } => {
                Self::Matched { source: source.to_string(), pattern: pattern.to_string(), line }
            }
            W::ValueChanged { check, value, from, to } => {
                Self::ValueChanged { check: check.to_string(), value: value.to_string(), from, to }
            }
            W::Suppressed { remedy, target, by, deferred } => Self::Suppressed {
                remedy: remedy.to_string(),
                target: target.to_string(),
                by: by.into(),
                deferred,
            },
            W::RunStarted { remedy, target, cause, mode } => Self::RunStarted {
                remedy: remedy.to_string(),
                target: target.to_string(),
                cause,
                mode: mode.into(),
            },
            W::Intent { step, attempt, action } => {
                Self::Intent { step: step.to_string(), attempt, action: action.to_string() }
            }
            W::WouldAct { step, action } => {
                Self::WouldAct { step: step.to_string(), action: action.to_string() }
            }
            W::Outcome { step, attempt, outcome } => {
                Self::Outcome { step: step.to_string(), attempt, outcome: (&outcome).into() }
            }
            W::Inspecting { step, attempt, why } => Self::Inspecting { step: step.to_string(), attempt, why },
            W::Verified { step } => Self::Verified { step: step.to_string() },
            W::Waiting { step, condition } => Self::Waiting { step: step.to_string(), condition },
            W::StepDone { step } => Self::StepDone { step: step.to_string() },
            W::StepSkipped { step, why } => Self::StepSkipped { step: step.to_string(), why },
            W::LeaseChanged { lease, holding } => {
                Self::LeaseChanged { lease: lease.to_string(), holding: holding.into() }
            }
            W::SharedState { of, why } => Self::SharedState { of, why },
            W::AlertSource { source, lost } => Self::AlertSource { source, lost },
            W::AlertChanged { subject, from, to, summary } => {
                Self::AlertChanged { subject, from: from.into(), to: to.into(), summary }
            }
            W::Told { notifier, delivery, what } => {
                Self::Told { notifier: notifier.to_string(), delivery: delivery.0, what }
            }
            W::NotTold { notifier, delivery, why, next } => {
                Self::NotTold { notifier: notifier.to_string(), delivery: delivery.0, why, next }
            }
            W::Silenced { id, when, until, by } => {
                Self::Silenced { id, when, until_ms: until.map(millis), by }
            }
            W::Acknowledged { subject, by, ended_by } => Self::Acknowledged { subject, by, ended_by },
            W::TakenOver { remedy, step, from } => {
                Self::TakenOver { remedy: remedy.to_string(), step: step.to_string(), from }
            }
            W::StepFailed { step, why, next } => Self::StepFailed { step: step.to_string(), why, next },
            W::Retrying { step, attempt, after, why } => {
                Self::Retrying { step: step.to_string(), attempt, after_ms: millis(after), why }
            }
            W::Parked { remedy, why } => Self::Parked { remedy: remedy.to_string(), why },
            W::RunEnded { remedy, ending, after } => Self::RunEnded {
                remedy: remedy.to_string(),
                ending: (&ending).into(),
                after_ms: millis(after),
            },
            W::Escalated { remedy, target, why } => {
                Self::Escalated { remedy: remedy.to_string(), target: target.to_string(), why }
            }
            W::Commanded { command } => Self::Commanded { command },
        }
    }
}

impl TryFrom<What> for core::What {
    type Error = WireError;
    fn try_from(what: What) -> Result<Self, WireError> {
        use What as W;
        let span = Duration::from_millis;
        Ok(match what {
            W::AgentStarted { version, clean } => Self::AgentStarted { version, clean },
            W::AgentStopped => Self::AgentStopped,
            W::StateSetAside { path, why } => Self::StateSetAside { path, why },
            W::NameTaken { why } => Self::NameTaken { why },
            W::RecordingFailed { why } => Self::RecordingFailed { why },
            W::RecordingResumed { lost } => Self::RecordingResumed { lost },
            W::Adopted { runs, incidents } => Self::Adopted { runs, incidents },
            W::Reloaded { difference } => Self::Reloaded { difference },
            W::Service { service, said } => Self::Service { service: name(&service)?, said },
            W::ReloadRefused { why } => Self::ReloadRefused { why },
            W::WatcherRestarted { check, why } => Self::WatcherRestarted { check: name(&check)?, why },
            W::Transition { check, from, to, summary, evidence } => Self::Transition {
                check: name(&check)?,
                from: from.into(),
                to: to.into(),
                summary,
                evidence: evidence.into_iter().map(Into::into).collect(),
            },
            W::Flapping { check, flaps } => Self::Flapping { check: name(&check)?, flaps },
            W::IncidentOpened { check } => Self::IncidentOpened { check: name(&check)? },
            W::IncidentClosed { check, after_ms, why } => {
                Self::IncidentClosed { check: name(&check)?, after: span(after_ms), why }
            }
            W::Matched { source, pattern, line } => {
                Self::Matched { source: name(&source)?, pattern: name(&pattern)?, line }
            }
            W::ValueChanged { check, value, from, to } => {
                Self::ValueChanged { check: name(&check)?, value: name(&value)?, from, to }
            }
            W::Suppressed { remedy, target, by, deferred } => {
                Self::Suppressed { remedy: name(&remedy)?, target: name(&target)?, by: by.into(), deferred }
            }
            W::RunStarted { remedy, target, cause, mode } => {
                Self::RunStarted { remedy: name(&remedy)?, target: name(&target)?, cause, mode: mode.into() }
            }
            W::Intent { step, attempt, action } => {
                Self::Intent { step: name(&step)?, attempt, action: name(&action)? }
            }
            W::WouldAct { step, action } => Self::WouldAct { step: name(&step)?, action: name(&action)? },
            W::Outcome { step, attempt, outcome } => {
                Self::Outcome { step: name(&step)?, attempt, outcome: outcome.into() }
            }
            W::Inspecting { step, attempt, why } => Self::Inspecting { step: name(&step)?, attempt, why },
            W::Verified { step } => Self::Verified { step: name(&step)? },
            W::Waiting { step, condition } => Self::Waiting { step: name(&step)?, condition },
            W::StepDone { step } => Self::StepDone { step: name(&step)? },
            W::StepSkipped { step, why } => Self::StepSkipped { step: name(&step)?, why },
            W::LeaseChanged { lease, holding } => {
                Self::LeaseChanged { lease: name(&lease)?, holding: holding.into() }
            }
            W::SharedState { of, why } => Self::SharedState { of, why },
            W::AlertSource { source, lost } => Self::AlertSource { source, lost },
            W::AlertChanged { subject, from, to, summary } => {
                Self::AlertChanged { subject, from: from.into(), to: to.into(), summary }
            }
            W::Told { notifier, delivery, what } => {
                Self::Told { notifier: name(&notifier)?, delivery: DeliveryId(delivery), what }
            }
            W::NotTold { notifier, delivery, why, next } => {
                Self::NotTold { notifier: name(&notifier)?, delivery: DeliveryId(delivery), why, next }
            }
            W::Silenced { id, when, until_ms, by } => {
                Self::Silenced { id, when, until: until_ms.map(Duration::from_millis), by }
            }
            W::Acknowledged { subject, by, ended_by } => Self::Acknowledged { subject, by, ended_by },
            W::TakenOver { remedy, step, from } => {
                Self::TakenOver { remedy: name(&remedy)?, step: name(&step)?, from }
            }
            W::StepFailed { step, why, next } => Self::StepFailed { step: name(&step)?, why, next },
            W::Retrying { step, attempt, after_ms, why } => {
                Self::Retrying { step: name(&step)?, attempt, after: span(after_ms), why }
            }
            W::Parked { remedy, why } => Self::Parked { remedy: name(&remedy)?, why },
            W::RunEnded { remedy, ending, after_ms } => {
                Self::RunEnded { remedy: name(&remedy)?, ending: ending.into(), after: span(after_ms) }
            }
            W::Escalated { remedy, target, why } => {
                Self::Escalated { remedy: name(&remedy)?, target: name(&target)?, why }
            }
            W::Commanded { command } => Self::Commanded { command },
        })
    }
}
