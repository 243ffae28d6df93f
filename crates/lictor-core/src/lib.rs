//! Lictor's decisions. Plain functions and enums: `step(state, input, now) -> output`.
//! No I/O, no clock, no randomness; the same inputs give the same output.
//!
//! [`Engine`] owns the state. Feed it an [`Input`] and the time; record the rows and
//! events of its [`Output`], and only then carry out the effects.

mod check;
mod condition;
mod engine;
mod event;
mod flood;
mod incident;
mod name;
mod plan;
mod run;
mod step;
mod time;

pub use check::{Check, Sample, Status, Streak, Transition, Value};
pub use condition::{Compare, Condition, Facts};
pub use engine::Engine;
pub use event::{Event, Hold, What};
pub use flood::{Basis, Flood};
pub use incident::Incident;
pub use name::{
    ActionName, CheckName, IncidentId, NameError, PatternName, RemedyName, RunId, StepName, Target, ValueName,
};
pub use plan::{
    Budget, CheckPlan, CheckSource, Flap, Limits, Mode, OnFailure, Plan, Remedy, Repeatability, Step,
    StepKind, Trigger, Verify,
};
pub use run::{Ending, Order, Outcome, Run, RunState, Tally};
pub use step::{Adoption, Command, Effect, Input, Output, Refusal, Row, RowKey};
pub use time::{Boot, Now, Span, Wall};
