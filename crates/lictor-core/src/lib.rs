//! Lictor's decisions. Plain functions and enums: `step(state, input, now) -> output`.
//! No I/O, no clock, no randomness; the same inputs give the same output.
//!
//! [`Engine`] owns the state. Feed it an [`Input`] and the time; record the rows and
//! events of its [`Output`], and only then carry out the effects.

pub mod alert;
mod check;
mod condition;
mod engine;
mod event;
mod flood;
mod holding;
mod incident;
pub mod lease;
mod name;
pub mod peers;
mod plan;
mod rate;
mod reading;
pub mod replicate;
mod role;
mod run;
pub mod service;
pub mod snapshot;
mod step;
mod time;
mod timers;

pub use check::{Check, Sample, Status, Streak, Transition, Value};
pub use condition::{Compare, Condition, Facts};
pub use engine::Engine;
pub use event::{Event, Hold, What};
pub use flood::{Basis, Flood, cooling_until};
pub use holding::Holding;
pub use incident::Incident;
pub use name::{
    ActionName, CheckName, DeliveryId, IncidentId, LeaseName, NameError, NotifierName, PatternName,
    RemedyName, ReplicateName, RouteName, RunId, ServiceName, SnapshotName, StepName, Target, ValueName,
};
pub use plan::{
    Budget, CheckPlan, CheckSource, Flap, Limits, Mode, OnFailure, Plan, Rate, Remedy, Repeatability, Step,
    StepKind, Trigger, Verify,
};
pub use reading::{Captures, Counting, Match, Reading};
pub use role::{Change, Hooks, Role, Roles};
pub use run::{Ending, Note, Notes, Order, Outcome, Run, RunState, Tally};
pub use step::{Adoption, Begun, Command, Effect, Input, Output, Refusal, Row, RowKey, TakeOver};
pub use time::{Boot, Now, Span, Wall};
