//! Rows: the present.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lictor_core as core;
use serde::{Deserialize, Serialize};

use super::event::{Ending, Hold, Mode};
use super::{Time, WireError, millis, name};

/// One row of any kind, told apart by `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Row {
    /// A check.
    Check(Check),
    /// The flood control of a remedy.
    Flood(Flood),
    /// A run.
    Run(Run),
    /// An incident.
    Incident(Incident),
    /// How far a watcher has read.
    Reading(super::Reading),
    /// The role of the node in a service.
    Role(super::Roles),
}

impl From<&core::Row> for Row {
    fn from(row: &core::Row) -> Self {
        match row {
            core::Row::Check(name, check) => Self::Check(Check::new(name, check)),
            core::Row::Flood(remedy, flood) => Self::Flood(Flood::new(remedy, flood)),
            core::Row::Run(run) => Self::Run(run.into()),
            core::Row::Incident(incident) => Self::Incident(incident.into()),
            core::Row::Reading(name, reading) => Self::Reading(super::Reading::new(name, reading)),
            core::Row::Role(service, roles) => Self::Role(super::Roles::new(service, roles)),
        }
    }
}

impl TryFrom<Row> for core::Row {
    type Error = WireError;
    fn try_from(row: Row) -> Result<Self, WireError> {
        match row {
            Row::Check(check) => check.try_into(),
            Row::Flood(flood) => flood.try_into(),
            Row::Run(run) => Ok(Self::Run(run.try_into()?)),
            Row::Incident(incident) => Ok(Self::Incident(incident.try_into()?)),
            Row::Reading(reading) => reading.try_into(),
            Row::Role(roles) => roles.try_into(),
        }
    }
}

/// A status, in Consul's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All is well.
    Passing,
    /// Not well, but it works.
    Warning,
    /// No data.
    Unknown,
    /// It does not work.
    Critical,
}

impl From<core::Status> for Status {
    fn from(status: core::Status) -> Self {
        match status {
            core::Status::Passing => Self::Passing,
            core::Status::Warning => Self::Warning,
            core::Status::Unknown => Self::Unknown,
            core::Status::Critical => Self::Critical,
        }
    }
}

impl From<Status> for core::Status {
    fn from(status: Status) -> Self {
        match status {
            Status::Passing => Self::Passing,
            Status::Warning => Self::Warning,
            Status::Unknown => Self::Unknown,
            Status::Critical => Self::Critical,
        }
    }
}

/// A check as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// The judged status.
    pub status: Status,
    /// Whether it was ever judged.
    #[serde(default, skip_serializing_if = "is_false")]
    pub judged: bool,
    /// Since when it has it.
    pub since: Time,
    /// When it came to be, on the boot-time axis.
    pub created_boot_ms: u64,
    /// Whether it has passed since it came to be.
    pub started: bool,
    /// The last result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Seen>,
    /// Whether it flaps.
    pub flapping: bool,
    /// When it changed, as far as flap detection looks back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes_boot_ms: Vec<u64>,
}

/// One result of a watcher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// When it came.
    pub at: Time,
    /// What was seen.
    pub status: Status,
    /// The same in one line.
    pub summary: String,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Measured>,
    /// How long the look took.
    #[serde(default)]
    pub took_ms: u64,
}

/// One measured value: a `number`, a `text`, or a number that JSON cannot write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Its name; the unit is in it.
    pub name: String,
    /// A finite number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<f64>,
    /// A text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// `NaN`, `inf` or `-inf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_finite: Option<String>,
}

impl Check {
    /// The stored form of a check.
    pub fn new(name: &core::CheckName, check: &core::Check) -> Self {
        Self {
            name: name.to_string(),
            status: check.status.into(),
            judged: check.judged,
            since: check.since.into(),
            created_boot_ms: check.created.as_millis(),
            started: check.started,
            last: check.last.as_ref().map(|(at, sample)| Seen {
                at: (*at).into(),
                status: sample.status.into(),
                summary: sample.summary.clone(),
                values: sample.values.iter().map(|(name, value)| Measured::new(name, value)).collect(),
                took_ms: millis(sample.took),
            }),
            flapping: check.flapping,
            changes_boot_ms: check.changes.iter().map(|at| at.as_millis()).collect(),
        }
    }
}

impl TryFrom<Check> for core::Row {
    type Error = WireError;
    fn try_from(check: Check) -> Result<Self, WireError> {
        let last = match check.last {
            None => None,
            Some(seen) => {
                let values = seen.values.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
                let sample = core::Sample {
                    status: seen.status.into(),
                    summary: seen.summary,
                    values,
                    took: Duration::from_millis(seen.took_ms),
                };
                Some((seen.at.into(), sample))
            }
        };
        let stands = core::Check {
            status: check.status.into(),
            judged: check.judged,
            since: check.since.into(),
            created: core::Boot::from_millis(check.created_boot_ms),
            started: check.started,
            last,
            flapping: check.flapping,
            changes: check.changes_boot_ms.into_iter().map(core::Boot::from_millis).collect(),
            watched_since: core::Boot::default(),
            streak: None,
            recent: Default::default(),
        };
        Ok(Self::Check(name(&check.name)?, stands))
    }
}

impl Measured {
    /// The stored form of a value.
    pub fn new(name: &core::ValueName, value: &core::Value) -> Self {
        let mut measured = Self { name: name.to_string(), number: None, text: None, not_finite: None };
        match value {
            core::Value::Number(number) if number.is_finite() => measured.number = Some(*number),
            core::Value::Number(number) => measured.not_finite = Some(number.to_string()),
            core::Value::Text(text) => measured.text = Some(text.clone()),
        }
        measured
    }
}

impl TryFrom<Measured> for (core::ValueName, core::Value) {
    type Error = WireError;
    fn try_from(measured: Measured) -> Result<Self, WireError> {
        let value = match (measured.number, measured.text, measured.not_finite) {
            (Some(number), None, None) => core::Value::Number(number),
            (None, Some(text), None) => core::Value::Text(text),
            (None, None, Some(word)) => core::Value::Number(word.parse().map_err(WireError::damaged)?),
            _ => return Err(WireError::damaged(format!("value {:?} is not one value", measured.name))),
        };
        Ok((name(&measured.name)?, value))
    }
}

/// The flood control of a remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flood {
    /// The remedy.
    pub remedy: String,
    /// Whether its conditions held when last looked at.
    pub held: bool,
    /// Why it was triggered, when the trigger waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred: Option<String>,
    /// What the line of that trigger was taken apart into.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub captures: BTreeMap<String, String>,
    /// Starts that cooldown and budget still look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts_boot_ms: Vec<u64>,
    /// Starts since its condition was last false.
    pub unhelpful: u32,
    /// Whether it gave up.
    pub gave_up: bool,
    /// Whether the exhaustion of its budget was told.
    pub told: bool,
    /// What held the last trigger back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Hold>,
    /// Triggers held back since the last start.
    #[serde(default)]
    pub suppressed: u64,
    /// A deferred trigger needs results of this time and later.
    #[serde(default)]
    pub fresh_from_boot_ms: u64,
    /// What starts the remedy, as the configuration wrote it when this was last taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
}

/// What the state of flood control rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// What starts the remedy, as the configuration writes it.
    pub on: String,
    /// Whether it acts or only observes.
    pub mode: Mode,
}

impl Flood {
    /// The stored form of flood control.
    pub fn new(remedy: &core::RemedyName, flood: &core::Flood) -> Self {
        Self {
            remedy: remedy.to_string(),
            held: flood.held,
            deferred: flood.deferred.clone(),
            captures: BTreeMap::clone(&flood.captures),
            starts_boot_ms: flood.starts.iter().map(|at| at.as_millis()).collect(),
            unhelpful: flood.unhelpful,
            gave_up: flood.gave_up,
            told: flood.told,
            held_by: flood.held_by.map(Into::into),
            suppressed: flood.suppressed,
            fresh_from_boot_ms: flood.fresh_from.as_millis(),
            basis: flood.basis.as_ref().map(|basis| Basis { on: basis.on.clone(), mode: basis.mode.into() }),
        }
    }
}

impl TryFrom<Flood> for core::Row {
    type Error = WireError;
    fn try_from(flood: Flood) -> Result<Self, WireError> {
        let stands = core::Flood {
            held: flood.held,
            deferred: flood.deferred,
            captures: Arc::new(flood.captures),
            starts: flood.starts_boot_ms.into_iter().map(core::Boot::from_millis).collect(),
            unhelpful: flood.unhelpful,
            gave_up: flood.gave_up,
            told: flood.told,
            held_by: flood.held_by.map(Into::into),
            suppressed: flood.suppressed,
            fresh_from: core::Boot::from_millis(flood.fresh_from_boot_ms),
            basis: flood.basis.map(|basis| core::Basis { on: basis.on, mode: basis.mode.into() }),
        };
        Ok(Self::Flood(name(&flood.remedy)?, stands))
    }
}

/// One run of a remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its number.
    pub id: u64,
    /// The remedy.
    pub remedy: String,
    /// The definition it was started under.
    pub definition: String,
    /// What it works on.
    pub target: String,
    /// Why it was started.
    pub cause: String,
    /// What the line that started it was taken apart into.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub captures: BTreeMap<String, String>,
    /// The change of role that it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Box<super::Change>>,
    /// The number of the incident it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<u64>,
    /// When it was started.
    pub started: Time,
    /// When it must have ended, on the boot-time axis.
    pub deadline_boot_ms: u64,
    /// Whether it acts.
    pub mode: Mode,
    /// The step it is at.
    pub step: String,
    /// Why it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<String>,
    /// Whether it is at the steps that a cancelled run still goes through.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cleaning: bool,
    /// How often it went to another step because this one had failed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub visits: BTreeMap<String, u32>,
    /// What was done at each step so far.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tally: BTreeMap<String, Tally>,
    /// What steps noted before they acted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, Note>,
    /// What it is doing.
    pub state: RunState,
}

/// What a step noted before it acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// As the action wrote it.
    pub text: String,
    /// Whether the step was done.
    #[serde(default, skip_serializing_if = "is_false")]
    pub done: bool,
    /// When it was written.
    pub at: Time,
}

impl From<&core::Note> for Note {
    fn from(note: &core::Note) -> Self {
        Self { text: note.text.to_string(), done: note.done, at: note.at.into() }
    }
}

impl From<Note> for core::Note {
    fn from(note: Note) -> Self {
        Self { text: note.text.into(), done: note.done, at: note.at.into() }
    }
}

/// What a run has done at one of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The number of the latest attempt.
    pub attempt: u32,
    /// Attempts that count since the run came to the step.
    pub tries: u32,
    /// Nobody knows whether the latest was made.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unclear: bool,
}

impl From<core::Tally> for Tally {
    fn from(tally: core::Tally) -> Self {
        Self { attempt: tally.attempt, tries: tally.tries, unclear: tally.unclear }
    }
}

impl From<Tally> for core::Tally {
    fn from(tally: Tally) -> Self {
        Self { attempt: tally.attempt, tries: tally.tries, unclear: tally.unclear }
    }
}

/// What a run is doing, told apart by `is`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the members are those of the core's states")]
pub enum RunState {
    /// What an action would change is looked for.
    Preparing { attempt: u32, since_boot_ms: u64 },
    /// An action was ordered.
    Acting { attempt: u32, since_boot_ms: u64 },
    /// What became of an attempt is looked at.
    Inspecting { attempt: u32, since_boot_ms: u64, asked_boot_ms: u64 },
    /// Whether the action worked is awaited.
    Verifying { attempt: u32, since_boot_ms: u64, done: bool },
    /// The next attempt waits.
    BackingOff { attempt: u32, until_boot_ms: u64 },
    /// As many actions as allowed are in flight.
    Queued { attempt: u32 },
    /// Waiting for a condition.
    Waiting {
        attempt: u32,
        since_boot_ms: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held_boot_ms: Option<u64>,
    },
    /// Waiting for a person.
    Parked { why: String, attempt: u32 },
    /// It is over.
    Ended { ending: Ending, at: Time },
}

impl From<&core::Run> for Run {
    fn from(run: &core::Run) -> Self {
        Self {
            id: run.id.0,
            remedy: run.remedy.to_string(),
            definition: run.definition.clone(),
            target: run.target.to_string(),
            cause: run.cause.clone(),
            captures: BTreeMap::clone(&run.captures),
            change: run.change.as_ref().map(|change| Box::new(change.into())),
            incident: run.incident.map(|id| id.0),
            started: run.started.into(),
            deadline_boot_ms: run.deadline.as_millis(),
            mode: run.mode.into(),
            step: run.step.to_string(),
            cancelled: run.cancelled.clone(),
            cleaning: run.cleaning,
            visits: run.visits.iter().map(|(step, count)| (step.to_string(), *count)).collect(),
            tally: run.tally.iter().map(|(step, tally)| (step.to_string(), (*tally).into())).collect(),
            notes: run.notes.iter().map(|(step, note)| (step.to_string(), note.into())).collect(),
            state: (&run.state).into(),
        }
    }
}

impl TryFrom<Run> for core::Run {
    type Error = WireError;
    fn try_from(run: Run) -> Result<Self, WireError> {
        let visits = run.visits.iter().map(|(step, count)| Ok((name(step)?, *count)));
        let tally = run.tally.iter().map(|(step, tally)| Ok((name(step)?, (*tally).into())));
        let notes = run.notes.into_iter().map(|(step, note)| Ok((name(&step)?, note.into())));
        let notes = notes.collect::<Result<std::collections::BTreeMap<_, _>, WireError>>()?;
        Ok(Self {
            id: core::RunId(run.id),
            remedy: name(&run.remedy)?,
            definition: run.definition,
            target: name(&run.target)?,
            cause: run.cause,
            captures: Arc::new(run.captures),
            change: run.change.map(|change| (*change).try_into()).transpose()?,
            incident: run.incident.map(core::IncidentId),
            started: run.started.into(),
            deadline: core::Boot::from_millis(run.deadline_boot_ms),
            mode: run.mode.into(),
            step: name(&run.step)?,
            cancelled: run.cancelled,
            cleaning: run.cleaning,
            visits: visits.collect::<Result<_, WireError>>()?,
            tally: tally.collect::<Result<_, WireError>>()?,
            notes: std::sync::Arc::new(notes),
            state: run.state.into(),
        })
    }
}

impl From<&core::RunState> for RunState {
    fn from(state: &core::RunState) -> Self {
        match state {
            core::RunState::Preparing { attempt, since } => {
                Self::Preparing { attempt: *attempt, since_boot_ms: since.as_millis() }
            }
            core::RunState::Acting { attempt, since } => {
                Self::Acting { attempt: *attempt, since_boot_ms: since.as_millis() }
            }
            core::RunState::Inspecting { attempt, since, asked } => Self::Inspecting {
                attempt: *attempt,
                since_boot_ms: since.as_millis(),
                asked_boot_ms: asked.as_millis(),
            },
            core::RunState::Verifying { attempt, since, done } => {
                Self::Verifying { attempt: *attempt, since_boot_ms: since.as_millis(), done: *done }
            }
            core::RunState::BackingOff { attempt, until } => {
                Self::BackingOff { attempt: *attempt, until_boot_ms: until.as_millis() }
            }
            core::RunState::Queued { attempt } => Self::Queued { attempt: *attempt },
            core::RunState::Waiting { attempt, since, held } => Self::Waiting {
                attempt: *attempt,
                since_boot_ms: since.as_millis(),
                held_boot_ms: held.map(core::Boot::as_millis),
            },
            core::RunState::Parked { why, attempt } => Self::Parked { why: why.clone(), attempt: *attempt },
            core::RunState::Ended(ending, at) => Self::Ended { ending: ending.into(), at: (*at).into() },
        }
    }
}

impl From<RunState> for core::RunState {
    fn from(state: RunState) -> Self {
        let boot = core::Boot::from_millis;
        match state {
            RunState::Preparing { attempt, since_boot_ms } => {
                Self::Preparing { attempt, since: boot(since_boot_ms) }
            }
            RunState::Acting { attempt, since_boot_ms } => {
                Self::Acting { attempt, since: boot(since_boot_ms) }
            }
            RunState::Inspecting { attempt, since_boot_ms, asked_boot_ms } => {
                Self::Inspecting { attempt, since: boot(since_boot_ms), asked: boot(asked_boot_ms) }
            }
            RunState::Verifying { attempt, since_boot_ms, done } => {
                Self::Verifying { attempt, since: boot(since_boot_ms), done }
            }
            RunState::BackingOff { attempt, until_boot_ms } => {
                Self::BackingOff { attempt, until: boot(until_boot_ms) }
            }
            RunState::Queued { attempt } => Self::Queued { attempt },
            RunState::Waiting { attempt, since_boot_ms, held_boot_ms } => {
                Self::Waiting { attempt, since: boot(since_boot_ms), held: held_boot_ms.map(boot) }
            }
            RunState::Parked { why, attempt } => Self::Parked { why, attempt },
            RunState::Ended { ending, at } => Self::Ended(ending.into(), at.into()),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// One incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number.
    pub id: u64,
    /// The check.
    pub check: String,
    /// When it began.
    pub opened: Time,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Time>,
    /// The present or last status.
    pub status: Status,
    /// The worst status so far.
    pub worst: Status,
    /// What the check last said on a change.
    pub summary: String,
    /// Whether a person is needed.
    pub escalated: bool,
}

impl From<&core::Incident> for Incident {
    fn from(incident: &core::Incident) -> Self {
        Self {
            id: incident.id.0,
            check: incident.check.to_string(),
            opened: incident.opened.into(),
            closed: incident.closed.map(Into::into),
            status: incident.status.into(),
            worst: incident.worst.into(),
            summary: incident.summary.clone(),
            escalated: incident.escalated,
        }
    }
}

impl TryFrom<Incident> for core::Incident {
    type Error = WireError;
    fn try_from(incident: Incident) -> Result<Self, WireError> {
        Ok(Self {
            id: core::IncidentId(incident.id),
            check: name(&incident.check)?,
            opened: incident.opened.into(),
            closed: incident.closed.map(Into::into),
            status: incident.status.into(),
            worst: incident.worst.into(),
            summary: incident.summary,
            escalated: incident.escalated,
        })
    }
}
