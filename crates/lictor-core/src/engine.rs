//! The engine (being written).
use crate::{
    Boot, Check, CheckName, Flood, Incident, IncidentId, Input, Now, Output, Plan, RemedyName, Row, Run,
    RunId,
};
use std::collections::BTreeMap;
/// Owns the state and decides.
#[derive(Debug)]
pub struct Engine {
    plan: Plan,
}
impl Engine {
    /// An engine over the rows of a store (none: a new one).
    pub fn restore(plan: Plan, _rows: Vec<Row>, _now: Now) -> (Self, Output) {
        (Self { plan }, Output::default())
    }
    /// Takes one input in.
    pub fn step(&mut self, _input: Input, _now: Now) -> Output {
        Output::default()
    }
    /// Puts a new plan in force.
    pub fn reload(&mut self, plan: Plan, _now: Now) -> Output {
        self.plan = plan;
        Output::default()
    }
    /// When `step` wants to be called with `Tick` at the latest.
    pub fn next_wake(&self) -> Option<Boot> {
        None
    }
    /// The plan in force.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
    /// The checks.
    pub fn checks(&self) -> &BTreeMap<CheckName, Check> {
        unreachable!()
    }
    /// The flood control of each remedy.
    pub fn floods(&self) -> &BTreeMap<RemedyName, Flood> {
        unreachable!()
    }
    /// Runs: all unfinished, and the latest finished ones.
    pub fn runs(&self) -> &BTreeMap<RunId, Run> {
        unreachable!()
    }
    /// Incidents: all open ones, and the latest closed ones.
    pub fn incidents(&self) -> &BTreeMap<IncidentId, Incident> {
        unreachable!()
    }
}
