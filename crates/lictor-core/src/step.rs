//! What goes into the engine and what comes out of it.

use std::collections::BTreeMap;
use std::fmt;

use crate::check::{Check, Sample};
use crate::event::Event;
use crate::flood::Flood;
use crate::holding::Holding;
use crate::incident::Incident;
use crate::name::{CheckName, IncidentId, LeaseName, RemedyName, RunId, ServiceName, StepName};
use crate::reading::{Match, Reading};
use crate::role::{Role, Roles};
use crate::run::{Notes, Order, Outcome, Run, Tally};

/// One input of the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A watcher has a result.
    Observed {
        /// The check it feeds.
        check: CheckName,
        /// The result.
        sample: Sample,
    },
    /// A watcher read on.
    Read {
        /// The watcher.
        source: CheckName,
        /// The lines that matched one of its patterns, in order.
        matches: Vec<Match>,
        /// How far it has read, in its own words: recorded together with what the matches cause.
        position: Option<String>,
    },
    /// An action ended, or was looked at.
    Outcome {
        /// The run.
        run: RunId,
        /// Its step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// What became of it.
        outcome: Outcome,
    },
    /// What an action would change is known: it is recorded, then the action is carried out.
    /// Whoever could not find out reports an [`Input::Outcome`] instead: *done* when there is
    /// nothing to do.
    Prepared {
        /// The run.
        run: RunId,
        /// Its step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// What was found.
        note: String,
    },
    /// The latest order of a run was handed over to be carried out: from now on its
    /// outcome can be overdue.
    HandedOver {
        /// The run.
        run: RunId,
    },
    /// An order was not handed over and never will be. That is no attempt that failed.
    Withdrawn {
        /// The run.
        run: RunId,
        /// Its step.
        step: StepName,
        /// The attempt.
        attempt: u32,
        /// Why, in words.
        why: String,
    },
    /// A person asks for something.
    Command(Command),
    /// Only time has passed.
    Tick,
    /// Something to be recorded that the engine has no part in.
    Note(Event),
    /// What an earlier store of this node left is known: it is taken over, and a node that
    /// was withheld begins to act.
    Adopt(Adoption),
    /// Who holds a lease.
    Lease {
        /// The lease.
        lease: LeaseName,
        /// Who has it.
        holding: Holding,
    },
    /// What part this node has in a clustered service.
    Role {
        /// The service.
        service: ServiceName,
        /// As it was seen. What is neither, such as a service that is just being started, is not handed in.
        role: Role,
    },
    /// How the work of a remedy stands according to a record that several may write, and
    /// that another than this node wrote last.
    TakeOver(Box<TakeOver>),
}

/// What another node or another program left for this one to go on with.
#[derive(Clone, Debug, PartialEq)]
pub struct TakeOver {
    /// The remedy whose work it is.
    pub remedy: RemedyName,
    /// Who wrote it.
    pub from: String,
    /// What is under way. `None`: nothing; a run of this node is then over.
    pub run: Option<Begun>,
}

/// A run that another began, as far as it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Begun {
    /// Why it was started.
    pub cause: String,
    /// The step it is at.
    pub step: StepName,
    /// What it noted before it acted.
    pub notes: Notes,
    /// What it has done so far.
    pub tally: BTreeMap<StepName, Tally>,
    /// How often it went to another step because one had failed.
    pub visits: BTreeMap<StepName, u32>,
    /// How long its next attempt has to wait yet.
    pub pause: std::time::Duration,
}

/// What an earlier store of this node left behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adoption {
    /// Its unfinished runs.
    pub runs: Vec<Run>,
    /// Its open incidents.
    pub incidents: Vec<Incident>,
    /// The highest number a run ever had.
    pub highest_run: u64,
    /// The highest number an incident ever had.
    pub highest_incident: u64,
}

/// What a person can ask of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Try the step of a parked run again.
    Retry(RunId),
    /// Cancel a run.
    Cancel(RunId),
    /// Start a remedy now; cooldown, budget and guard are set aside, the lock is not.
    Start(RemedyName),
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(run) => write!(f, "retry {run}"),
            Self::Cancel(run) => write!(f, "cancel {run}"),
            Self::Start(remedy) => write!(f, "start {remedy}"),
        }
    }
}

/// Something the agent has to do, after the rest of the output was recorded. It says
/// [`Input::HandedOver`] when it does, or [`Input::Withdrawn`] when it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Find out what an action would change and report it ([`Input::Prepared`]); change nothing.
    Prepare(Order),
    /// Carry out an action and report its outcome.
    Act(Order),
    /// Find out what became of an attempt that may have been made and report it;
    /// do not carry it out.
    Inspect(Order),
    /// Stop an action that is under way, if it can be stopped; its outcome is still reported.
    Abort(Order),
}

/// One row that changed; the store keeps the latest of each.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// A check.
    Check(CheckName, Check),
    /// The flood control of a remedy.
    Flood(RemedyName, Flood),
    /// A run.
    Run(Run),
    /// An incident.
    Incident(Incident),
    /// How far a watcher has read.
    Reading(CheckName, Reading),
    /// The role of this node in a service.
    Role(ServiceName, Roles),
}

/// The key of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKey {
    /// A check.
    Check(CheckName),
    /// The flood control of a remedy.
    Flood(RemedyName),
    /// A run.
    Run(RunId),
    /// An incident.
    Incident(IncidentId),
    /// How far a watcher has read.
    Reading(CheckName),
    /// The role of this node in a service.
    Role(ServiceName),
}

impl Row {
    /// Its key.
    pub fn key(&self) -> RowKey {
        match self {
            Self::Check(name, _) => RowKey::Check(name.clone()),
            Self::Flood(name, _) => RowKey::Flood(name.clone()),
            Self::Run(run) => RowKey::Run(run.id),
            Self::Incident(incident) => RowKey::Incident(incident.id),
            Self::Reading(name, _) => RowKey::Reading(name.clone()),
            Self::Role(service, _) => RowKey::Role(service.clone()),
        }
    }
}

/// What one step of the engine asks to be recorded, then done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// Rows to write, in order; a later one of the same key replaces an earlier one.
    pub rows: Vec<Row>,
    /// Rows to remove.
    pub gone: Vec<RowKey>,
    /// Entries for the ledger, in order.
    pub events: Vec<Event>,
    /// What to do once all of the above is durable.
    pub effects: Vec<Effect>,
    /// The answer to a command.
    pub answer: Option<Result<String, Refusal>>,
}

impl Output {
    /// Whether nothing has to be recorded.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.gone.is_empty() && self.events.is_empty() && self.effects.is_empty()
    }
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such thing.
    NotFound(String),
    /// It is not in a state for that.
    Conflict(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(why) | Self::Conflict(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Refusal {}
