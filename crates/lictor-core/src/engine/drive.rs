//! Drives runs through their steps: intent, act, verify, record.

use std::sync::Arc;
use std::time::Duration;

use super::{Engine, Ordered, Timer, Turn};
use crate::event::What;
use crate::name::{RunId, StepName};
use crate::plan::{Mode, OnFailure, Plan, Remedy, Repeatability, Step, StepKind, Verify};
use crate::run::{Ending, Order, Outcome, Run, RunState};
use crate::step::{Effect, Refusal, RowKey};
use crate::time::Boot;

/// An outcome that is this much later than the action's time limit is asked for.
const OVERDUE: Duration = Duration::from_secs(30);

impl Engine {
    /// Comes to a step: its attempts are counted anew, their numbers go on.
    pub(super) fn come_to(&mut self, id: RunId, step: &StepName, turn: &mut Turn) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let tally = run.tally.entry(step.clone()).or_default();
        tally.tries = 1;
        let attempt = tally.attempt + 1;
        self.enter(id, step, attempt, turn);
    }

    /// Begins an attempt at a step.
    pub(super) fn enter(&mut self, id: RunId, step: &StepName, attempt: u32, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let Some((definition, _)) = self.definition(&plan, id, Some(step)) else {
            self.park(id, format!("its remedy has no step `{step}` any more"), turn);
            return;
        };
        let now = turn.now.boot;
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.step = step.clone();
        let tally = run.tally.entry(step.clone()).or_default();
        let unclear = tally.unclear && !repeatable(definition);
        run.state = match &definition.kind {
            StepKind::Act { .. } => RunState::Queued { attempt },
            StepKind::Wait { .. } => {
                tally.attempt = attempt;
                RunState::Waiting { attempt, since: now, held: None }
            }
        };
        let incident = run.incident;
        turn.dirty.insert(RowKey::Run(id));
        turn.advance.insert(id);
        if unclear {
            self.park(
                id,
                format!("nobody knows whether `{step}` was done, and doing it twice may harm"),
                turn,
            );
        } else if let StepKind::Wait { condition, .. } = &definition.kind {
            let what = What::Waiting { step: step.clone(), condition: condition.to_string() };
            turn.note(incident, Some(id), what);
        }
    }

    /// Lets a run go on as far as it can at this instant.
    pub(super) fn advance(&mut self, id: RunId, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let Some(run) = self.runs.get(&id) else { return };
        let now = turn.now.boot;
        let Some((step, remedy)) = self.definition(&plan, id, None) else {
            if run.in_flight() && now >= run.deadline {
                self.park(id, format!("its deadline came, and {}", self.changed_how(run)), turn);
            } else {
                self.arm_run(id);
            }
            return;
        };
        if !run.ended() && !matches!(run.state, RunState::Parked { .. }) {
            if now >= run.deadline {
                self.expire(id, step, turn);
                self.arm_run(id);
                return;
            }
            let cancels = remedy.cancel.as_ref().filter(|_| run.cancelled.is_none());
            if let Some(condition) = cancels.filter(|condition| condition.holds(self) == Some(true)) {
                let why = condition.to_string();
                self.stop_for(id, &why, turn);
                self.arm_run(id);
                return;
            }
        }
        let Some(run) = self.runs.get(&id) else { return };
        match run.state.clone() {
            RunState::Ended(..) | RunState::Parked { .. } => {}
            RunState::Queued { attempt } => self.order(id, step, attempt, turn),
            RunState::Acting { attempt, since } => {
                if self.overdue_at(id, step).is_some_and(|at| now >= at) {
                    self.inspect(id, attempt, since, "its outcome is overdue", turn);
                }
            }
            RunState::Inspecting { attempt, .. } => {
                if self.overdue_at(id, step).is_some_and(|at| now >= at) {
                    let detail = "nobody could say what became of it".to_owned();
                    let name = step.name.clone();
                    self.outcome(id, &name, attempt, Outcome::Unknown { detail }, turn);
                }
            }
            RunState::Verifying { attempt, since, done } => {
                self.verify(id, step, attempt, since, done, turn);
            }
            RunState::BackingOff { attempt, until } => {
                if now >= until {
                    self.enter(id, &step.name, attempt, turn);
                }
            }
            RunState::Waiting { attempt, since, held } => self.wait(id, step, attempt, since, held, turn),
        }
        self.arm_run(id);
    }

    fn order(&mut self, id: RunId, step: &Step, attempt: u32, turn: &mut Turn) {
        let StepKind::Act { action, .. } = &step.kind else { return };
        if self.closing {
            return;
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
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.state = RunState::Acting { attempt, since };
        self.orders.insert(id, Ordered::default());
        run.tally.entry(step.name.clone()).or_default().attempt = attempt;
        let (incident, order) = (run.incident, order_of(run, step, attempt));
        turn.dirty.insert(RowKey::Run(id));
        turn.note(
            incident,
            Some(id),
            What::Intent { step: step.name.clone(), attempt, action: action.clone() },
        );
        turn.effects.extend(order.map(Effect::Act));
    }

    fn inspect(&mut self, id: RunId, attempt: u32, since: Boot, why: &str, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let Some((step, _)) = self.definition(&plan, id, None) else { return };
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.state = RunState::Inspecting { attempt, since, asked: turn.now.boot };
        let ordered = self.orders.entry(id).or_default();
        ordered.handed_over = None;
        let (incident, order) = (run.incident, order_of(run, step, attempt));
        turn.dirty.insert(RowKey::Run(id));
        turn.note(
            incident,
            Some(id),
            What::Inspecting { step: step.name.clone(), attempt, why: why.to_owned() },
        );
        turn.effects.extend(order.map(Effect::Inspect));
    }

    pub(super) fn handed_over(&mut self, id: RunId, turn: &mut Turn) {
        if let Some(ordered) = self.orders.get_mut(&id) {
            ordered.handed_over = Some(turn.now.boot);
            turn.advance.insert(id);
        }
    }

    /// When the outcome of an order is overdue. One that is not handed over yet cannot be.
    fn overdue_at(&self, id: RunId, step: &Step) -> Option<Boot> {
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
            && let RunState::Acting { attempt: awaited, since } = run.state
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
            RunState::Acting { attempt: awaited, since } if *awaited == attempt => Some((false, *since)),
            RunState::Inspecting { attempt: awaited, since, .. } if *awaited == attempt => {
                Some((true, *since))
            }
            _ => None,
        };
        let expected = asked.filter(|_| run.step == *name);
        let what = What::Outcome { step: name.clone(), attempt, outcome: outcome.clone() };
        turn.note(incident, Some(id), what);
        // A late answer to something already given up is only recorded.
        let Some((inspected, _)) = expected else { return };
        self.orders.remove(&id);
        turn.dirty.insert(RowKey::Run(id));
        turn.advance
            .extend(self.live().filter(|run| matches!(run.state, RunState::Queued { .. })).map(|run| run.id));
        let plan = Arc::clone(&self.plan);
        let definition = self.definition(&plan, id, None);
        let again = definition.is_some_and(|(step, _)| repeatable(step));
        let Some(run) = self.runs.get_mut(&id) else { return };
        if matches!(outcome, Outcome::Unknown { .. }) && !again {
            run.tally.entry(name.clone()).or_default().unclear = true;
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

    fn verify(&mut self, id: RunId, step: &Step, attempt: u32, since: Boot, done: bool, turn: &mut Turn) {
        let StepKind::Act { verify: Some(verify), repeat, .. } = &step.kind else {
            self.park(id, format!("step `{}` can no longer be verified", step.name), turn);
            return;
        };
        let (name, condition) = (&step.name, &verify.condition);
        let proven = condition.proven_since(self, since);
        if proven == Some(true) {
            self.clear(id, name);
            let incident = self.runs.get(&id).and_then(|run| run.incident);
            turn.note(incident, Some(id), What::Verified { step: name.clone() });
            self.step_done(id, step, turn);
            return;
        }
        if turn.now.boot < since.after(window_of(verify)) {
            return;
        }
        let no_data = format!("no data to verify `{name}` by: {condition}");
        let why = match (proven, repeat, done) {
            (None, Repeatability::Idempotent, _) => no_data,
            (None, Repeatability::Verifiable | Repeatability::Neither, _) => {
                self.park(id, no_data, turn);
                return;
            }
            (Some(_), Repeatability::Neither, false) => {
                self.park(
                    id,
                    format!("nobody knows whether `{name}` was done: {condition} does not hold"),
                    turn,
                );
                return;
            }
            (Some(_), _, true) => format!("it was done but did not help: {condition} does not hold"),
            (Some(_), _, false) => format!("it was not seen to be done: {condition} does not hold"),
        };
        self.clear(id, name);
        self.attempt_failed(id, step, attempt, why, turn);
    }

    /// What became of the latest attempt at a step is known after all.
    fn clear(&mut self, id: RunId, step: &StepName) {
        if let Some(tally) = self.runs.get_mut(&id).and_then(|run| run.tally.get_mut(step)) {
            tally.unclear = false;
        }
    }

    fn wait(
        &mut self,
        id: RunId,
        step: &Step,
        attempt: u32,
        since: Boot,
        held: Option<Boot>,
        turn: &mut Turn,
    ) {
        let StepKind::Wait { condition, hold, deadline } = &step.kind else { return };
        let now = turn.now.boot;
        let truth = condition.holds_since(self, since);
        let held_now = (truth == Some(true)).then(|| held.unwrap_or(now));
        if held_now != held {
            if let Some(run) = self.runs.get_mut(&id) {
                run.state = RunState::Waiting { attempt, since, held: held_now };
            }
            turn.dirty.insert(RowKey::Run(id));
        }
        if held_now.is_some_and(|from| now.since(from) >= *hold) {
            self.step_done(id, step, turn);
        } else if now >= since.after(*deadline) {
            let why = match truth {
                Some(true) => format!("{condition} has not held long enough by its deadline"),
                Some(false) => format!("{condition} does not hold by its deadline"),
                None => format!("no data on {condition} by its deadline"),
            };
            self.attempt_failed(id, step, attempt, why, turn);
        }
    }

    fn step_done(&mut self, id: RunId, step: &Step, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let Some((_, remedy)) = self.definition(&plan, id, None) else { return };
        let Some(run) = self.runs.get(&id) else { return };
        let (incident, cancelled) = (run.incident, run.cancelled.clone());
        turn.note(incident, Some(id), What::StepDone { step: step.name.clone() });
        let mut rest = remedy.steps.iter().skip_while(|one| one.name != step.name).skip(1);
        match (rest.next(), cancelled) {
            (Some(next), _) => self.come_to(id, &next.name, turn),
            (None, Some(why)) => self.end(id, Ending::Cancelled { why }, turn),
            (None, None) => self.end(id, Ending::Done, turn),
        }
    }

    fn attempt_failed(&mut self, id: RunId, step: &Step, attempt: u32, why: String, turn: &mut Turn) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let tally = run.tally.entry(step.name.clone()).or_default();
        let tries = tally.tries;
        if tries >= step.attempts.get() {
            self.step_failed(id, step, attempt, why, turn);
            return;
        }
        tally.tries += 1;
        self.back_off(id, step, attempt, why, turn);
    }

    /// Lets the next attempt wait.
    fn back_off(&mut self, id: RunId, step: &Step, attempt: u32, why: String, turn: &mut Turn) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let tries = run.tally.entry(step.name.clone()).or_default().tries;
        let pause = pause(id, step, attempt, tries.saturating_sub(1).max(1));
        let until = turn.now.boot.after(pause);
        run.state = RunState::BackingOff { attempt: attempt + 1, until };
        let incident = run.incident;
        turn.dirty.insert(RowKey::Run(id));
        turn.advance.insert(id);
        let what = What::Retrying { step: step.name.clone(), attempt: attempt + 1, after: pause, why };
        turn.note(incident, Some(id), what);
    }

    fn step_failed(&mut self, id: RunId, step: &Step, attempt: u32, why: String, turn: &mut Turn) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let incident = run.incident;
        let name = &step.name;
        let failed = |next: String| What::StepFailed { step: name.clone(), why: why.clone(), next };
        match &step.on_failure {
            OnFailure::GoTo { step: to, visits } => {
                let count = run.visits.entry(name.clone()).or_insert(0);
                if *count < visits.get() {
                    *count += 1;
                    turn.note(incident, Some(id), failed(format!("going on with {to}")));
                    self.come_to(id, to, turn);
                    return;
                }
                turn.note(incident, Some(id), failed(format!("{to} was tried {visits} times already")));
            }
            OnFailure::Park => {
                turn.note(incident, Some(id), failed("a person is asked".to_owned()));
                self.park_at(id, attempt, format!("step `{name}` failed: {why}"), turn);
                return;
            }
            OnFailure::Fail => turn.note(incident, Some(id), failed("the run ends".to_owned())),
        }
        let ending = match self.runs.get(&id).and_then(|run| run.cancelled.clone()) {
            Some(by) => Ending::Cancelled { why: format!("{by}; and step `{name}` failed: {why}") },
            None => Ending::Failed { why: format!("step `{name}`: {why}") },
        };
        self.end(id, ending, turn);
    }

    fn expire(&mut self, id: RunId, step: &Step, turn: &mut Turn) {
        let Some(run) = self.runs.get(&id) else { return };
        let under_way = run.in_flight();
        let now = turn.now.boot;
        if under_way {
            let ordered = self.orders.entry(id).or_default();
            let begun = ordered.handed_over.is_some() || matches!(run.state, RunState::Inspecting { .. });
            match ordered.stopped {
                // Its target is not free before the action has ended.
                None if begun => {
                    ordered.stopped = Some(now);
                    turn.effects.extend(order_of(run, step, attempt_of(run)).map(Effect::Abort));
                    return;
                }
                Some(at) if now < at.after(OVERDUE) => return,
                None | Some(_) => {}
            }
        }
        let known = under_way && self.orders.remove(&id).is_some_and(|order| order.stopped.is_none());
        let open = (under_way && !known) || matches!(run.state, RunState::Verifying { done: false, .. });
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
        let limit = self.plan.remedies.get(&run.remedy).map(|remedy| remedy.deadline);
        let name = run.remedy.clone();
        if let (true, Some(limit), Some(run)) = (parked, limit, self.runs.get_mut(&id)) {
            // It was parked for longer than that, perhaps: its last steps need time too.
            run.deadline = turn.now.boot.after(limit);
        }
        if let Some(flood) = self.floods.get_mut(&name).filter(|flood| flood.held && !flood.gave_up) {
            // Or it would start again at once.
            flood.gave_up = true;
            flood.deferred = None;
            turn.dirty.insert(RowKey::Flood(name));
        }
        self.stop_for(id, why, turn);
        let over = self.runs.get(&id).is_none_or(Run::ended);
        Ok(if over { format!("{id} cancelled") } else { format!("{id} is being cancelled") })
    }

    /// Cancels a run: an action under way is stopped and its outcome awaited first.
    fn stop_for(&mut self, id: RunId, why: &str, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let definition = self.definition(&plan, id, None);
        let Some(run) = self.runs.get_mut(&id) else { return };
        let again = run.cancelled.is_some();
        run.cancelled = Some(why.to_owned());
        turn.dirty.insert(RowKey::Run(id));
        if run.in_flight() {
            if let Some((step, _)) = definition {
                turn.effects.extend(order_of(run, step, attempt_of(run)).map(Effect::Abort));
            }
        } else if again || definition.is_none() {
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
    fn park(&mut self, id: RunId, why: String, turn: &mut Turn) {
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
        turn.advance
            .extend(self.live().filter(|run| matches!(run.state, RunState::Queued { .. })).map(|run| run.id));
        self.arm_run(id);
        if let Some(remedy) = plan.remedies.get(&name) {
            self.escalate(&name, remedy, incident, why, turn);
        }
    }

    fn end(&mut self, id: RunId, ending: Ending, turn: &mut Turn) {
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
        turn.advance
            .extend(self.live().filter(|run| matches!(run.state, RunState::Queued { .. })).map(|run| run.id));
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

    /// After a start: what was under way is looked at, never repeated blindly.
    pub(super) fn resume_runs(&mut self, turn: &mut Turn) {
        self.park_changed(true, turn);
        let under_way: Vec<_> = self
            .live()
            .filter_map(|run| match run.state {
                RunState::Acting { attempt, since } | RunState::Inspecting { attempt, since, .. } => {
                    Some((run.id, attempt, since, run.cancelled.is_some() && !run.cleaning))
                }
                _ => None,
            })
            .collect();
        for (id, attempt, since, stopping) in under_way {
            self.inspect(id, attempt, since, "the agent was restarted", turn);
            let plan = Arc::clone(&self.plan);
            if let (true, Some((step, _)), Some(run)) =
                (stopping, self.definition(&plan, id, None), self.runs.get(&id))
            {
                turn.effects.extend(order_of(run, step, attempt).map(Effect::Abort));
            }
        }
        self.break_holds(turn);
    }

    /// Nobody has looked for a while: what has to hold without a break begins anew.
    pub(super) fn break_holds(&mut self, turn: &mut Turn) {
        for id in &self.index.live {
            if let Some(Run { state: RunState::Waiting { held, .. }, .. }) = self.runs.get_mut(id)
                && held.take().is_some()
            {
                turn.dirty.insert(RowKey::Run(*id));
                turn.advance.insert(*id);
            }
        }
    }

    /// Parks the runs whose definition is another now. One with an action under way is
    /// parked when that has ended, unless nobody awaits the outcome any more.
    pub(super) fn park_changed(&mut self, orphaned: bool, turn: &mut Turn) {
        let changed: Vec<_> = self
            .live()
            .filter(|run| !matches!(run.state, RunState::Parked { .. }))
            .filter(|run| orphaned || !run.in_flight())
            .filter(|run| {
                self.plan.remedies.get(&run.remedy).is_none_or(|now| now.definition != run.definition)
            })
            .map(|run| (run.id, run.step.clone(), run.in_flight(), self.changed_how(run)))
            .collect();
        for (id, step, in_flight, how) in changed {
            if let Some(run) = self.runs.get_mut(&id).filter(|_| in_flight) {
                run.tally.entry(step).or_default().unclear = true;
            }
            self.park(id, how, turn);
        }
    }

    fn changed_how(&self, run: &Run) -> String {
        let exists = self.plan.remedies.contains_key(&run.remedy);
        let what = if exists { "its definition changed" } else { "its remedy was removed" };
        if run.in_flight() { format!("{what} while `{}` was under way", run.step) } else { what.to_owned() }
    }

    /// Whether nothing may be done for a run now.
    fn observes(&self, id: RunId) -> bool {
        let remedy = self.runs.get(&id).and_then(|run| self.plan.remedies.get(&run.remedy));
        remedy.is_none_or(|remedy| self.plan.mode.max(remedy.mode) == Mode::Observe)
    }

    fn live(&self) -> impl Iterator<Item = &Run> {
        self.index.live.iter().filter_map(|id| self.runs.get(id))
    }

    /// The step a run is at (or another of its remedy) and the remedy, while the
    /// definition is still the one the run was started under.
    fn definition<'p>(
        &self,
        plan: &'p Plan,
        id: RunId,
        step: Option<&StepName>,
    ) -> Option<(&'p Step, &'p Remedy)> {
        let run = self.runs.get(&id)?;
        let remedy = plan.remedies.get(&run.remedy).filter(|remedy| remedy.definition == run.definition)?;
        let wanted = step.unwrap_or(&run.step);
        remedy.steps.iter().find(|one| one.name == *wanted).map(|step| (step, remedy))
    }

    fn arm_run(&mut self, id: RunId) {
        let at = self.runs.get(&id).and_then(|run| {
            let plan = &self.plan;
            let Some((step, _)) = self.definition(plan, id, None) else {
                return run.in_flight().then_some(run.deadline);
            };
            let next = match &run.state {
                RunState::Ended(..) | RunState::Parked { .. } => return None,
                RunState::Queued { .. } => None,
                RunState::Acting { .. } | RunState::Inspecting { .. } => {
                    let overdue = self.overdue_at(id, step);
                    if self.orders.get(&id).is_some_and(|order| order.stopped.is_some()) {
                        // Past its deadline already.
                        return overdue;
                    }
                    overdue
                }
                RunState::BackingOff { until, .. } => Some(*until),
                RunState::Verifying { since, .. } => match &step.kind {
                    StepKind::Act { verify: Some(verify), .. } => Some(since.after(window_of(verify))),
                    StepKind::Act { verify: None, .. } | StepKind::Wait { .. } => None,
                },
                RunState::Waiting { since, held, .. } => match &step.kind {
                    StepKind::Wait { hold, deadline, .. } => {
                        let late = since.after(*deadline);
                        Some(held.map_or(late, |from| from.after(*hold).min(late)))
                    }
                    StepKind::Act { .. } => None,
                },
            };
            Some(next.map_or(run.deadline, |next| next.min(run.deadline)))
        });
        self.timers.set(Timer::Run(id), at);
    }
}

fn order_of(run: &Run, step: &Step, attempt: u32) -> Option<Order> {
    let StepKind::Act { action, .. } = &step.kind else { return None };
    Some(Order {
        run: run.id,
        step: step.name.clone(),
        attempt,
        action: action.clone(),
        target: run.target.clone(),
        remedy: run.remedy.clone(),
        definition: run.definition.clone(),
    })
}

pub(super) fn attempt_of(run: &Run) -> u32 {
    match &run.state {
        RunState::Acting { attempt, .. }
        | RunState::Inspecting { attempt, .. }
        | RunState::Verifying { attempt, .. }
        | RunState::BackingOff { attempt, .. }
        | RunState::Queued { attempt }
        | RunState::Waiting { attempt, .. }
        | RunState::Parked { attempt, .. } => *attempt,
        RunState::Ended(..) => 1,
    }
}

/// How long after it was ordered an outcome is overdue.
fn overdue(step: &Step) -> Duration {
    match &step.kind {
        StepKind::Act { limit, .. } => limit.saturating_add(OVERDUE),
        StepKind::Wait { .. } => OVERDUE,
    }
}

/// Whether an attempt of unknown outcome may simply be made again.
pub(super) fn repeatable(step: &Step) -> bool {
    match &step.kind {
        StepKind::Act { repeat, .. } => *repeat == Repeatability::Idempotent,
        StepKind::Wait { .. } => true,
    }
}

/// How long verification may take: not shorter than it takes for "not done" to count.
fn window_of(verify: &Verify) -> Duration {
    verify.within.max(verify.settle)
}

/// The pause after so many tries: doubled each time, spread by up to a quarter either way
/// from a source seeded by what identifies the attempt, and bounded.
fn pause(id: RunId, step: &Step, attempt: u32, tries: u32) -> Duration {
    let doubled = step.backoff.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX));
    let seed =
        step.name.as_str().bytes().fold(id.0 ^ u64::from(attempt), |seed, byte| mix(seed ^ u64::from(byte)));
    let permille = u32::try_from(750 + mix(seed) % 501).unwrap_or(1_000);
    (doubled.min(step.backoff_max).saturating_mul(permille) / 1_000).min(step.backoff_max)
}

/// One round of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
