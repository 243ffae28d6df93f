//! One run of a remedy: where it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::name::{ActionName, IncidentId, LeaseName, RemedyName, RunId, StepName, Target};
use crate::plan::Mode;
use crate::reading::Captures;
use crate::role::Change;
use crate::time::{Boot, Now};

/// One run of a remedy: a row of the store. What is committed here before an act is
/// its intent.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// The remedy it is a run of.
    pub remedy: RemedyName,
    /// The definition it was started under.
    pub definition: String,
    /// What it works on.
    pub target: Target,
    /// Why it was started, in words.
    pub cause: String,
    /// What the line that started it was taken apart into.
    pub captures: Captures,
    /// The change of role that it follows.
    pub change: Option<Change>,
    /// The incident it belongs to.
    pub incident: Option<IncidentId>,
    /// When it was started.
    pub started: Now,
    /// When it must have ended.
    pub deadline: Boot,
    /// Whether it acts.
    pub mode: Mode,
    /// The step it is at.
    pub step: StepName,
    /// Why it was cancelled, when it was.
    pub cancelled: Option<String>,
    /// Whether it is at the steps that a cancelled run still goes through.
    pub cleaning: bool,
    /// How often it came to this step because one had failed.
    pub visits: BTreeMap<StepName, u32>,
    /// What was done at each step so far.
    pub tally: BTreeMap<StepName, Tally>,
    /// What steps noted before they acted: what they found, what they meant to do.
    pub notes: Notes,
    /// What it is doing.
    pub state: RunState,
}

/// The notes of a run, by the step that wrote them. Shared with who carries its orders out.
pub type Notes = Arc<BTreeMap<StepName, Note>>;

/// What a step found before it acted: which things it is about to change and how they were.
/// It is recorded before the act, so that who comes later knows what to look for, and what
/// to put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// As the action wrote it.
    pub text: Arc<str>,
    /// Whether the step was done.
    pub done: bool,
    /// When it was written.
    pub at: Now,
}

/// What a run has done at one of its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The number of the latest attempt. Numbers go on when a run comes back to a step:
    /// an attempt has one identity for ever.
    pub attempt: u32,
    /// Attempts since the run came to the step, without those that were never begun or
    /// that the agent did not live to see.
    pub tries: u32,
    /// Nobody knows whether the latest attempt was made. Where making it twice may harm, only a
    /// person can ask for another.
    pub unclear: bool,
}

/// What a run is doing.
#[derive(Clone, Debug, PartialEq)]
pub enum RunState {
    /// The agent was asked to find out what an action would change; nothing is done yet.
    Preparing {
        /// The attempt, from 1.
        attempt: u32,
        /// When it was asked.
        since: Boot,
    },
    /// An action was ordered; its outcome is awaited.
    Acting {
        /// The attempt, from 1.
        attempt: u32,
        /// When it was ordered.
        since: Boot,
    },
    /// It is not known what became of an attempt: the agent was asked to look.
    Inspecting {
        /// The attempt, from 1.
        attempt: u32,
        /// When it had been ordered.
        since: Boot,
        /// When the agent was asked.
        asked: Boot,
    },
    /// The action was done, or may have been; whether it worked is awaited.
    Verifying {
        /// The attempt, from 1.
        attempt: u32,
        /// Results of this time and later count.
        since: Boot,
        /// Whether the action is known to have been done.
        done: bool,
    },
    /// The next attempt waits.
    BackingOff {
        /// The next attempt.
        attempt: u32,
        /// Until then.
        until: Boot,
    },
    /// An action is due but as many as allowed are in flight.
    Queued {
        /// The attempt, from 1.
        attempt: u32,
    },
    /// Waiting for a condition.
    Waiting {
        /// The attempt, from 1.
        attempt: u32,
        /// Since when it waits.
        since: Boot,
        /// Since when the condition has held without a break.
        held: Option<Boot>,
    },
    /// Waits for a person: `remedy retry` or `remedy cancel`.
    Parked {
        /// Why.
        why: String,
        /// The attempt it stopped at.
        attempt: u32,
    },
    /// It is over.
    Ended(Ending, Now),
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every step was done.
    Done,
    /// A step failed, or the deadline came.
    Failed {
        /// What failed.
        why: String,
    },
    /// It was cancelled, and its last steps are done.
    Cancelled {
        /// By what.
        why: String,
    },
}

/// An action to be carried out, with the identity under which it can be found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The run.
    pub run: RunId,
    /// Its step.
    pub step: StepName,
    /// The attempt, from 1.
    pub attempt: u32,
    /// What to do. `None` when the definition that said it is not in force any more: such an
    /// order is only looked at or stopped, by its identity.
    pub action: Option<ActionName>,
    /// What it is done to.
    pub target: Target,
    /// The remedy it belongs to.
    pub remedy: RemedyName,
    /// The definition of the remedy that it was made under: what the action's name means may
    /// have changed since.
    pub definition: String,
    /// What the node must hold while it acts.
    pub lease: Option<LeaseName>,
    /// What this step and others of the run noted before they acted.
    pub notes: Notes,
    /// What the line that started the run was taken apart into.
    pub captures: Captures,
    /// The change of role that the run follows.
    pub change: Option<Change>,
    /// When the attempt was ordered.
    pub since: Boot,
}

impl std::fmt::Display for Order {
    /// The identity within this store: `r17/restart/1`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.run, self.step, self.attempt)
    }
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done {
        /// What it said: exit status and end of output, or the like.
        detail: String,
    },
    /// It was certainly not done, or was done and failed.
    Failed {
        /// What it said.
        detail: String,
    },
    /// It was certainly never begun: the agent died between recording and doing.
    NotStarted {
        /// How that is known.
        detail: String,
    },
    /// Nobody knows: a time limit, a broken connection, a crash in between.
    Unknown {
        /// What is known.
        detail: String,
    },
}

impl Run {
    /// Whether it is over.
    pub fn ended(&self) -> bool {
        matches!(self.state, RunState::Ended(..))
    }

    /// Whether an action of it is or may be under way.
    pub fn in_flight(&self) -> bool {
        matches!(
            self.state,
            RunState::Preparing { .. } | RunState::Acting { .. } | RunState::Inspecting { .. }
        )
    }
}
