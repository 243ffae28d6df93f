//! How a run ends: its deadline, a person, a step that failed for good; and parking.

use std::sync::Arc;
use std::time::Duration;

use super::drive::{attempt_of, repeatable};
use super::orders::{OVERDUE, order_of};
use super::{Engine, Timer, Turn};
use crate::event::What;
use crate::name::RunId;
use crate::plan::{Remedy, Step};
use crate::run::{Ending, Outcome, Run, RunState};
use crate::step::{Effect, Refusal, RowKey};

impl Engine {
    /// The deadline of a run has come; `definition` is what it was started under, while that is
    /// in force.
    pub(super) fn expire(&mut self, id: RunId, definition: Option<(&Step, &Remedy)>, turn: &mut Turn) {
        let Some(run) = self.runs.get(&id) else { return };
        // Nothing is done yet by one that only looks.
        let looking = matches!(run.state, RunState::Preparing { .. });
        let under_way = run.in_flight() && !looking;
        let now = turn.now.boot;
        let (name, attempt) = (run.step.clone(), attempt_of(run));
        if looking {
            turn.effects.push(Effect::Abort(order_of(run, definition, attempt, now)));
        }
        if under_way {
            let ordered = self.orders.entry(id).or_default();
            let begun = ordered.handed_over.is_some() || matches!(run.state, RunState::Inspecting { .. });
            match ordered.stopped {
                // Its target is not free before the action has ended.
                None if begun => {
                    ordered.stopped = Some(now);
                    turn.effects.push(Effect::Abort(order_of(run, definition, attempt, now)));
                    return;
                }
                Some(at) if now < at.after(OVERDUE) => return,
                None | Some(_) => {}
            }
        }
        let known = under_way && self.orders.remove(&id).is_some_and(|order| order.stopped.is_none());
        let open = (under_way && !known) || matches!(run.state, RunState::Verifying { done: false, .. });
        let Some((step, _)) = definition else {
            let outcome = if open {
                Outcome::Unknown {
                    detail: "its deadline came, and nobody could say what became of it".into(),
                }
            } else {
                Outcome::NotStarted { detail: "its deadline came before it was begun".into() }
            };
            self.outcome(id, &name, attempt, outcome, turn);
            return;
        };
        let unclear = open && !repeatable(step);
        let why = match &run.cancelled {
            Some(why) => format!("{why}; its deadline came at step `{}`", step.name),
            None => format!("its deadline came at step `{}`", step.name),
        };
        if unclear {
            if let Some(run) = self.runs.get_mut(&id) {
                run.tally.entry(step.name.clone()).or_default().unclear = true;
            }
            self.park(id, format!("{why}, and nobody knows whether it was done"), turn);
        } else if self.runs.get(&id).is_some_and(|run| run.cancelled.is_some()) {
            self.end(id, Ending::Cancelled { why }, turn);
        } else {
            self.end(id, Ending::Failed { why }, turn);
        }
    }

    pub(super) fn cancel(&mut self, id: RunId, why: &str, turn: &mut Turn) -> Result<String, Refusal> {
        let Some(run) = self.runs.get(&id) else {
            return Err(Refusal::NotFound(format!("there is no run {id}")));
        };
        if run.ended() {
            return Err(Refusal::Conflict(format!("run {id} is over")));
        }
        let parked = matches!(run.state, RunState::Parked { .. });
        if run.cancelled.is_some() && !parked {
            return Err(Refusal::Conflict(format!("run {id} is being cancelled already")));
        }
        let name = run.remedy.clone();
        if let Some(flood) = self.floods.get_mut(&name).filter(|flood| flood.held && !flood.gave_up) {
            // Or it would start again at once.
            flood.gave_up = true;
            flood.deferred = None;
            turn.dirty.insert(RowKey::Flood(name));
        }
        self.call_off(id, why, turn);
        let over = self.runs.get(&id).is_none_or(Run::ended);
        Ok(if over { format!("{id} cancelled") } else { format!("{id} is being cancelled") })
    }

    /// Cancels a run that may be parked.
    pub(super) fn call_off(&mut self, id: RunId, why: &str, turn: &mut Turn) {
        if let Some(run) = self.runs.get_mut(&id)
            && matches!(run.state, RunState::Parked { .. })
            && let Some(remedy) = self.plan.remedies.get(&run.remedy)
        {
            // It was parked for longer than that, perhaps: its last steps need time too.
            run.deadline = turn.now.boot.after(remedy.deadline);
        }
        self.stop_for(id, why, turn);
    }

    /// Cancels a run: an action under way is stopped and its outcome awaited first.
    pub(super) fn stop_for(&mut self, id: RunId, why: &str, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let definition = self.definition(&plan, id, None);
        let Some(run) = self.runs.get_mut(&id) else { return };
        let (again, now) = (run.cancelled.is_some(), turn.now.boot);
        run.cancelled = Some(why.to_owned());
        turn.dirty.insert(RowKey::Run(id));
        let looking = matches!(run.state, RunState::Preparing { .. });
        if run.in_flight() {
            turn.effects.push(Effect::Abort(order_of(run, definition, attempt_of(run), now)));
        }
        if run.in_flight() && !looking {
            return;
        }
        self.orders.remove(&id);
        if again || definition.is_none() {
            // Parked in its last steps, or nobody knows its steps any more.
            self.end(id, Ending::Cancelled { why: why.to_owned() }, turn);
        } else {
            self.clean(id, why, turn);
        }
    }

    /// Goes through the steps that a cancelled run still has.
    pub(super) fn clean(&mut self, id: RunId, why: &str, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let Some((_, remedy)) = self.definition(&plan, id, None) else { return };
        match &remedy.on_cancel {
            Some(step) => {
                if let Some(run) = self.runs.get_mut(&id) {
                    run.cleaning = true;
                }
                self.come_to(id, step, turn);
            }
            None => self.end(id, Ending::Cancelled { why: why.to_owned() }, turn),
        }
    }

    pub(super) fn retry(&mut self, id: RunId, turn: &mut Turn) -> Result<String, Refusal> {
        let Some(run) = self.runs.get(&id) else {
            return Err(Refusal::NotFound(format!("there is no run {id}")));
        };
        let RunState::Parked { .. } = run.state else {
            return Err(Refusal::Conflict(format!("run {id} is not parked")));
        };
        let plan = Arc::clone(&self.plan);
        let Some(remedy) = plan.remedies.get(&run.remedy) else {
            return Err(Refusal::Conflict(format!(
                "the remedy `{}` of run {id} is gone: cancel it",
                run.remedy
            )));
        };
        let step = run.step.clone();
        if !remedy.steps.iter().any(|one| one.name == step) {
            return Err(Refusal::Conflict(format!(
                "the remedy has no step `{step}` any more: cancel run {id}"
            )));
        }
        if self.observes(id) {
            return Err(Refusal::Conflict(format!("nothing is done in observe mode: run {id} stays parked")));
        }
        if let Some(run) = self.runs.get_mut(&id) {
            run.definition.clone_from(&remedy.definition);
            run.deadline = turn.now.boot.after(remedy.deadline);
            if !run.cleaning {
                run.cancelled = None;
            }
            let tally = run.tally.entry(step.clone()).or_default();
            tally.unclear = false;
        }
        self.come_to(id, &step, turn);
        Ok(format!("{id} goes on with step {step}"))
    }

    /// Leaves a run to a person.
    pub(super) fn park(&mut self, id: RunId, why: String, turn: &mut Turn) {
        let attempt = self.runs.get(&id).map_or(1, attempt_of);
        self.park_at(id, attempt, why, turn);
    }

    pub(super) fn park_at(&mut self, id: RunId, attempt: u32, why: String, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.state = RunState::Parked { why: why.clone(), attempt };
        let (name, incident) = (run.remedy.clone(), run.incident);
        turn.dirty.insert(RowKey::Run(id));
        turn.note(incident, Some(id), What::Parked { remedy: name.clone(), why: why.clone() });
        self.let_queued_go(turn);
        self.arm_run(id);
        if let Some(remedy) = plan.remedies.get(&name) {
            self.escalate(&name, remedy, incident, why, turn);
        }
    }

    pub(super) fn end(&mut self, id: RunId, ending: Ending, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let Some(run) = self.runs.get_mut(&id) else { return };
        let after = turn.now.boot.since(run.started.boot);
        let (name, target, incident) = (run.remedy.clone(), run.target.clone(), run.incident);
        run.state = RunState::Ended(ending.clone(), turn.now);
        self.orders.remove(&id);
        let helped = !matches!(ending, Ending::Failed { .. });
        turn.dirty.insert(RowKey::Run(id));
        turn.note(incident, Some(id), What::RunEnded { remedy: name.clone(), ending, after });
        self.index.live.remove(&id);
        self.index.busy.remove(&target);
        self.timers.set(Timer::Run(id), None);
        self.let_queued_go(turn);
        if let (Some(remedy), Some(flood)) = (plan.remedies.get(&name), self.floods.get_mut(&name)) {
            flood.fresh_from = turn.now.boot.after(Duration::from_millis(1));
            if flood.held && remedy.defer && !flood.gave_up && flood.deferred.is_none() {
                let how = if helped { "" } else { "failed and " };
                flood.deferred = Some(format!("{id} {how}left it as it was"));
            }
            turn.dirty.insert(RowKey::Flood(name));
        }
        let waiting = plan.remedies.iter().filter(|(_, remedy)| remedy.target == target);
        turn.look.extend(waiting.map(|(name, _)| name.clone()));
    }
}
