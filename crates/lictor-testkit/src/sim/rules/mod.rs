//! What must be true of everything that was ever recorded. Knows the plans and reads the
//! ledger and the rows; it does not know how the engine came to them.

mod floods;
mod incidents;
mod runs;

use std::collections::BTreeMap;
use std::sync::Arc;

use lictor_core::{Effect, Input, Now, Order, Output, Plan, Row, RowKey, RunState};

use self::floods::Floods;
use self::incidents::Incidents;
use self::runs::Runs;

/// What brought an output about.
#[derive(Clone, Debug)]
pub(super) enum Cause {
    /// The agent started.
    Started,
    /// A plan was put in force.
    Reloaded,
    /// An input.
    Input(Input),
}

/// One output of the engine.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) now: Now,
    pub(super) cause: Cause,
    /// In force when it was made.
    pub(super) plan: Arc<Plan>,
    pub(super) output: Output,
}

/// What is known of all that was recorded.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// The rows as a store has them.
    pub(super) rows: BTreeMap<RowKey, Row>,
    pub(super) runs: Runs,
    floods: Floods,
    incidents: Incidents,
}

/// Fails with a sentence unless it holds.
macro_rules! demand {
    ($holds:expr, $($words:tt)*) => {
        if !$holds {
            return Err(format!($($words)*));
        }
    };
}
pub(in crate::sim) use demand;

impl Rules {
    /// Takes in what has become durable.
    pub(super) fn commit(&mut self, entry: &Entry) -> Result<(), String> {
        let acts = self.acts_anew(entry);
        for row in &entry.output.rows {
            let key = row.key();
            demand!(!entry.output.gone.contains(&key), "{key:?} is written and removed at once");
            self.rows.insert(key, stored(row));
        }
        for key in &entry.output.gone {
            self.rows.remove(key);
        }
        self.floods.take(entry, &self.rows)?;
        self.incidents.take(entry, &self.rows)?;
        self.runs.take(entry, &self.rows)?;
        if acts { self.in_flight(entry) } else { Ok(()) }
    }

    /// Whether an action is ordered that was not in flight before: one that was prepared was, and
    /// goes on also when fewer are allowed meanwhile.
    fn acts_anew(&self, entry: &Entry) -> bool {
        let prepared = |order: &Order| match self.rows.get(&RowKey::Run(order.run)) {
            Some(Row::Run(run)) => {
                matches!(run.state, RunState::Preparing { attempt, .. } if attempt == order.attempt)
            }
            _ => false,
        };
        let mut effects = entry.output.effects.iter();
        effects.any(|effect| matches!(effect, Effect::Act(order) if !prepared(order)))
    }

    fn in_flight(&self, entry: &Entry) -> Result<(), String> {
        let count = self.rows.values().filter(|row| matches!(row, Row::Run(run) if run.in_flight())).count();
        let most = entry.plan.limits.in_flight.get() as usize;
        demand!(count <= most, "{count} actions are in flight, {most} allowed");
        Ok(())
    }
}

/// A row as it comes back from a store: without what is not stored.
pub(super) fn stored(row: &Row) -> Row {
    match row {
        Row::Check(name, check) => {
            let mut check = check.clone();
            check.watched_since = lictor_core::Boot::default();
            check.streak = None;
            check.recent.clear();
            Row::Check(name.clone(), check)
        }
        Row::Flood(..) | Row::Run(_) | Row::Incident(_) | Row::Reading(..) | Row::Role(..) => row.clone(),
    }
}
