//! Orders: from the decision to act to what became of it.

use std::sync::Arc;
use std::time::Duration;

use super::{Engine, Ordered, Turn};
use crate::event::What;
use crate::name::{RunId, StepName};
use crate::plan::{Remedy, Repeatability, Step, StepKind};
use crate::run::{Ending, Note, Order, Outcome, Run, RunState};
use crate::step::{Effect, RowKey};
use crate::time::Boot;

/// An outcome that is this much later than the action's time limit is asked for.
pub(super) const OVERDUE: Duration = Duration::from_secs(30);

impl Engine {
    pub(super) fn order(
        &mut self,
        id: RunId,
        (step, remedy): (&Step, &Remedy),
        attempt: u32,
        turn: &mut Turn,
    ) {
        if self.closing {
            return;
        }
        if !self.may_act(remedy) || !self.role_stands(id) {
            return;
        }
        match step.skip_when.as_ref().map(|condition| condition.holds(self)) {
            Some(Some(true)) => {
                self.skip(id, step, turn);
                return;
            }
            // Whether it is needed cannot be told yet: nobody has looked.
            Some(None) => return,
            Some(Some(false)) | None => {}
        }
        if self.observes(id) {
            self.park(id, "nothing is done in observe mode".to_owned(), turn);
            return;
        }
        let in_flight = self.live().filter(|run| run.in_flight()).count();
        if in_flight >= self.plan.limits.in_flight.get() as usize {
            return;
        }
        let since = turn.now.boot;
        let prepares = matches!(step.kind, StepKind::Act { prepare: true, .. });
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.tally.entry(step.name.clone()).or_default().attempt = attempt;
        self.orders.insert(id, Ordered::default());
        turn.dirty.insert(RowKey::Run(id));
        if prepares {
            run.state = RunState::Preparing { attempt, since };
            turn.effects.push(Effect::Prepare(order_of(run, Some((step, remedy)), attempt, since)));
        } else {
            self.act(id, (step, remedy), attempt, turn);
        }
    }

    /// Orders an action whose run says what it is about to do.
    fn act(&mut self, id: RunId, (step, remedy): (&Step, &Remedy), attempt: u32, turn: &mut Turn) {
        let StepKind::Act { action, .. } = &step.kind else { return };
        let since = turn.now.boot;
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.state = RunState::Acting { attempt, since };
        self.orders.insert(id, Ordered::default());
        let (incident, order) = (run.incident, order_of(run, Some((step, remedy)), attempt, since));
        turn.dirty.insert(RowKey::Run(id));
        turn.note(
            incident,
            Some(id),
            What::Intent { step: step.name.clone(), attempt, action: action.clone() },
        );
        turn.effects.push(Effect::Act(order));
    }

    /// Takes in what an action will change: from now on it is the run's to remember.
    pub(super) fn prepared(
        &mut self,
        id: RunId,
        name: &StepName,
        attempt: u32,
        note: String,
        turn: &mut Turn,
    ) {
        let plan = Arc::clone(&self.plan);
        let definition = self.definition(&plan, id, None);
        let Some(run) = self.runs.get_mut(&id) else { return };
        let awaited = matches!(run.state, RunState::Preparing { attempt: one, .. } if one == attempt);
        if run.step != *name || !awaited {
            return;
        }
        let Some((step, remedy)) = definition else {
            let outcome = Outcome::NotStarted { detail: "its definition changed".to_owned() };
            self.outcome(id, name, attempt, outcome, turn);
            return;
        };
        let note = Note { text: note.into(), done: false, at: turn.now };
        Arc::make_mut(&mut run.notes).insert(name.clone(), note);
        turn.dirty.insert(RowKey::Run(id));
        let stopping = self.closing || (run.cancelled.is_some() && !run.cleaning);
        if self.observes(id) {
            self.park(id, "nothing is done in observe mode".to_owned(), turn);
        } else if stopping {
            let detail = "nothing was begun".to_owned();
            self.outcome(id, name, attempt, Outcome::NotStarted { detail }, turn);
        } else if self.may_act(remedy) && self.role_stands(id) {
            self.act(id, (step, remedy), attempt, turn);
        } else {
            // It waits for the lease or the role, and looks again then.
            self.orders.remove(&id);
            self.enter(id, name, attempt + 1, turn);
        }
    }

    /// Asks what became of an attempt, also of one whose definition is another now: a program
    /// outlives the agent, and nothing may be done beside it.
    pub(super) fn inspect(&mut self, id: RunId, attempt: u32, since: Boot, why: &str, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let definition = self.definition(&plan, id, None);
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.state = RunState::Inspecting { attempt, since, asked: turn.now.boot };
        let ordered = self.orders.entry(id).or_default();
        ordered.handed_over = None;
        let order = order_of(run, definition, attempt, since);
        turn.dirty.insert(RowKey::Run(id));
        turn.note(
            run.incident,
            Some(id),
            What::Inspecting { step: run.step.clone(), attempt, why: why.to_owned() },
        );
        turn.effects.push(Effect::Inspect(order));
    }

    pub(super) fn handed_over(&mut self, id: RunId, turn: &mut Turn) {
        if let Some(ordered) = self.orders.get_mut(&id) {
            ordered.handed_over = Some(turn.now.boot);
            turn.advance.insert(id);
        }
    }

    /// When the outcome of an order is overdue. One that is not handed over yet cannot be.
    pub(super) fn overdue_at(&self, id: RunId, step: &Step) -> Option<Boot> {
        let ordered = self.orders.get(&id)?;
        match ordered.stopped {
            Some(at) => Some(at.after(OVERDUE)),
            None => ordered.handed_over.map(|at| at.after(overdue(step))),
        }
    }

    /// Takes in that an order was not handed over and will not be.
    pub(super) fn withdrawn(
        &mut self,
        id: RunId,
        name: &StepName,
        attempt: u32,
        why: String,
        turn: &mut Turn,
    ) {
        if let Some(run) = self.runs.get_mut(&id)
            && run.step == *name
            && let RunState::Acting { attempt: awaited, since }
            | RunState::Preparing { attempt: awaited, since } = run.state
            && awaited == attempt
        {
            // As if one had looked and seen that it was never begun.
            run.state = RunState::Inspecting { attempt, since, asked: turn.now.boot };
        }
        self.outcome(id, name, attempt, Outcome::NotStarted { detail: why }, turn);
    }

    /// Takes in what became of an action.
    pub(super) fn outcome(
        &mut self,
        id: RunId,
        name: &StepName,
        attempt: u32,
        outcome: Outcome,
        turn: &mut Turn,
    ) {
        let Some(run) = self.runs.get(&id) else { return };
        let incident = run.incident;
        let asked = match &run.state {
            RunState::Preparing { attempt: awaited, since }
            | RunState::Acting { attempt: awaited, since }
                if *awaited == attempt =>
            {
                Some((false, *since))
            }
            RunState::Inspecting { attempt: awaited, since, .. } if *awaited == attempt => {
                Some((true, *since))
            }
            _ => None,
        };
        let expected = asked.filter(|_| run.step == *name);
        let looked = matches!(run.state, RunState::Preparing { .. });
        let what = What::Outcome { step: name.clone(), attempt, outcome: outcome.clone() };
        turn.note(incident, Some(id), what);
        // A late answer to something already given up is only recorded.
        let Some((inspected, _)) = expected else { return };
        self.orders.remove(&id);
        turn.dirty.insert(RowKey::Run(id));
        self.let_queued_go(turn);
        let plan = Arc::clone(&self.plan);
        let definition = self.definition(&plan, id, None);
        let Some(run) = self.runs.get_mut(&id) else { return };
        let tally = run.tally.entry(name.clone()).or_default();
        match &outcome {
            // Also when it may be done again: the definition that says so may be another by then.
            Outcome::Unknown { .. } => tally.unclear = true,
            Outcome::Done { .. } | Outcome::Failed { .. } if !looked => tally.unclear = false,
            // Nothing was begun: what is known of an earlier attempt stays.
            Outcome::Done { .. } | Outcome::Failed { .. } | Outcome::NotStarted { .. } => {}
        }
        let cancelled = run.cancelled.clone().filter(|_| !run.cleaning);
        let Some((step, _)) = definition else {
            let why = self.runs.get(&id).map_or_else(String::new, |run| self.changed_how(run));
            match cancelled {
                Some(by) => self.end(id, Ending::Cancelled { why: format!("{by}; {why}") }, turn),
                None => self.park(id, why, turn),
            }
            return;
        };
        if let Some(why) = cancelled {
            self.clean(id, &why, turn);
            return;
        }
        let StepKind::Act { repeat, verify, .. } = &step.kind else { return };
        let verifying = |done| RunState::Verifying { attempt, since: turn.now.boot, done };
        let next = match (&outcome, verify) {
            (Outcome::Done { .. }, Some(_)) => Some(verifying(true)),
            (Outcome::Unknown { .. }, Some(_)) => Some(verifying(false)),
            (Outcome::Failed { .. } | Outcome::NotStarted { .. }, Some(_)) | (_, None) => None,
        };
        if let (Some(state), Some(run)) = (next, self.runs.get_mut(&id)) {
            run.state = state;
            turn.advance.insert(id);
            return;
        }
        match outcome {
            Outcome::Done { .. } => self.step_done(id, step, turn),
            Outcome::Failed { detail } => self.attempt_failed(id, step, attempt, detail, turn),
            // Nothing was tried, so no attempt failed; the number is used up all the same.
            Outcome::NotStarted { .. } if inspected => self.enter(id, &step.name, attempt + 1, turn),
            // What keeps it from starting may pass until the deadline comes.
            Outcome::NotStarted { detail } => self.back_off(id, step, attempt, detail, turn),
            Outcome::Unknown { detail } => match repeat {
                // The agent died, not the action: this attempt did not fail.
                Repeatability::Idempotent if inspected => self.enter(id, &step.name, attempt + 1, turn),
                Repeatability::Idempotent => self.attempt_failed(id, step, attempt, detail, turn),
                Repeatability::Verifiable | Repeatability::Neither => {
                    let why = format!(
                        "nobody knows whether `{name}` was done ({detail}), and doing it twice may harm"
                    );
                    self.park(id, why, turn);
                }
            },
        }
    }
}

/// The order of an attempt at the step a run is at; `definition` is what the run was started
/// under, while that is in force.
pub(super) fn order_of(run: &Run, definition: Option<(&Step, &Remedy)>, attempt: u32, since: Boot) -> Order {
    let action = definition.and_then(|(step, _)| match &step.kind {
        StepKind::Act { action, .. } => Some(action.clone()),
        StepKind::Wait { .. } => None,
    });
    Order {
        run: run.id,
        step: run.step.clone(),
        attempt,
        action,
        target: run.target.clone(),
        remedy: run.remedy.clone(),
        definition: run.definition.clone(),
        lease: definition.and_then(|(_, remedy)| remedy.lease.clone()),
        notes: Arc::clone(&run.notes),
        captures: Arc::clone(&run.captures),
        change: run.change.clone(),
        since,
    }
}

/// How long after it was ordered an outcome is overdue.
pub(super) fn overdue(step: &Step) -> Duration {
    match &step.kind {
        StepKind::Act { limit, .. } => limit.saturating_add(OVERDUE),
        StepKind::Wait { .. } => OVERDUE,
    }
}
