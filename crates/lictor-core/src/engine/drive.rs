//! Drives runs through their steps: intent, act, verify, record.

use std::sync::Arc;
use std::time::Duration;

use super::{Engine, Timer, Turn};
use crate::event::What;
use crate::name::{RunId, StepName};
use crate::plan::{OnFailure, Remedy, Repeatability, Step, StepKind, Verify};
use crate::run::{Ending, Order, Outcome, Run, RunState};
use crate::step::{Effect, Refusal, RowKey};
use crate::time::Boot;

/// An outcome that is this much later than the action's time limit is asked for.
const OVERDUE: Duration = Duration::from_secs(30);

impl Engine {
    /// Begins an attempt at a step.
    pub(super) fn enter(&mut self, id: RunId, step: &StepName, attempt: u32, turn: &mut Turn) {
        let Some((definition, _)) = self.definition(id, Some(step)) else {
            self.park(id, format!("its remedy has no step `{step}` any more"), turn);
            return;
        };
        let now = turn.now.boot;
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.step = step.clone();
        run.state = match &definition.kind {
            StepKind::Act { .. } => RunState::Queued { attempt },
            StepKind::Wait { condition, .. } => {
                let what = What::Waiting { step: step.clone(), condition: condition.to_string() };
                let incident = run.incident;
                turn.note(incident, Some(id), what);
                RunState::Waiting { attempt, since: now, held: None }
            }
        };
        turn.dirty.insert(RowKey::Run(id));
        turn.advance.insert(id);
    }

    /// Lets a run go on as far as it can at this instant.
    pub(super) fn advance(&mut self, id: RunId, turn: &mut Turn) {
        let Some((step, remedy)) = self.definition(id, None) else { return };
        let Some(run) = self.runs.get(&id) else { return };
        let now = turn.now.boot;
        if !run.ended() && !matches!(run.state, RunState::Parked { .. }) {
            if now >= run.deadline {
                self.expire(id, &step, turn);
                return;
            }
            let cancels = remedy.cancel.as_ref().filter(|_| run.cancelled.is_none());
            if let Some(condition) = cancels.filter(|condition| condition.holds(self) == Some(true)) {
                let why = condition.to_string();
                self.stop_for(id, &why, turn);
                return;
            }
        }
        let Some(run) = self.runs.get(&id) else { return };
        match run.state.clone() {
            RunState::Ended(..) | RunState::Parked { .. } => {}
            RunState::Queued { attempt } => self.order(id, &step, attempt, turn),
            RunState::Acting { attempt, since } => {
                if now >= since.after(limit_of(&step) + OVERDUE) {
                    self.inspect(id, attempt, since, "its outcome is overdue", turn);
                }
            }
            RunState::Inspecting { attempt, asked, .. } => {
                if now >= asked.after(limit_of(&step) + OVERDUE) {
                    let detail = "nobody could say what became of it".to_owned();
                    let name = step.name.clone();
                    self.outcome(id, &name, attempt, Outcome::Unknown { detail }, turn);
                }
            }
            RunState::Verifying { attempt, since, done } => {
                self.verify(id, &step, attempt, since, done, turn);
            }
            RunState::BackingOff { attempt, until } => {
                if now >= until {
                    self.enter(id, &step.name, attempt, turn);
                }
            }
            RunState::Waiting { attempt, since, held } => self.wait(id, &step, attempt, since, held, turn),
        }
        self.arm_run(id);
    }

    fn order(&mut self, id: RunId, step: &Step, attempt: u32, turn: &mut Turn) {
        let StepKind::Act { action, .. } = &step.kind else { return };
        let in_flight = self.live().filter(|run| run.in_flight()).count();
        if in_flight >= self.plan.limits.in_flight.get() as usize {
            return;
        }
        let since = turn.now.boot;
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.state = RunState::Acting { attempt, since };
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
        let Some((step, _)) = self.definition(id, None) else { return };
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.state = RunState::Inspecting { attempt, since, asked: turn.now.boot };
        let (incident, order) = (run.incident, order_of(run, &step, attempt));
        turn.dirty.insert(RowKey::Run(id));
        turn.note(
            incident,
            Some(id),
            What::Inspecting { step: step.name.clone(), attempt, why: why.to_owned() },
        );
        turn.effects.extend(order.map(Effect::Inspect));
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
        turn.dirty.insert(RowKey::Run(id));
        turn.advance
            .extend(self.live().filter(|run| matches!(run.state, RunState::Queued { .. })).map(|run| run.id));
        let Some((step, _)) = self.definition(id, None) else { return };
        let cancelled = self.runs.get(&id).filter(|run| !run.cleaning).and_then(|run| run.cancelled.clone());
        if let Some(why) = cancelled {
            self.clean(id, &why, turn);
            return;
        }
        let StepKind::Act { repeat, verify, .. } = &step.kind else { return };
        let verifying = |done| RunState::Verifying { attempt, since: turn.now.boot, done };
        let next = match (&outcome, verify) {
            (Outcome::Done { .. }, Some(_)) => Some(verifying(true)),
            (Outcome::Unknown { .. }, Some(_)) => Some(verifying(false)),
            _ => None,
        };
        if let (Some(state), Some(run)) = (next, self.runs.get_mut(&id)) {
            run.state = state;
            turn.advance.insert(id);
            return;
        }
        match outcome {
            Outcome::Done { .. } => self.step_done(id, &step, turn),
            Outcome::Failed { detail } => self.attempt_failed(id, &step, attempt, detail, turn),
            // Nothing was tried, so no attempt failed; the number is used up all the same.
            Outcome::NotStarted { .. } if inspected => self.enter(id, &step.name, attempt + 1, turn),
            Outcome::NotStarted { detail } => self.attempt_failed(id, &step, attempt, detail, turn),
            Outcome::Unknown { detail } => match repeat {
                // The agent died, not the action: this attempt did not fail.
                Repeatability::Idempotent if inspected => self.enter(id, &step.name, attempt + 1, turn),
                Repeatability::Idempotent => self.attempt_failed(id, &step, attempt, detail, turn),
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
        let StepKind::Act { verify: Some(verify), .. } = &step.kind else {
            self.park(id, format!("step `{}` can no longer be verified", step.name), turn);
            return;
        };
        let seen = verify.condition.holds_since(self, since);
        if seen == Some(true) {
            let incident = self.runs.get(&id).and_then(|run| run.incident);
            turn.note(incident, Some(id), What::Verified { step: step.name.clone() });
            self.step_done(id, step, turn);
            return;
        }
        if turn.now.boot < since.after(window_of(verify)) {
            return;
        }
        let (name, condition) = (&step.name, &verify.condition);
        match (seen, done) {
            (Some(_), true) => {
                let why = format!("it was done but did not help: {condition} does not hold");
                self.attempt_failed(id, step, attempt, why, turn);
            }
            (Some(_), false) => {
                let why = format!("it was not seen to be done: {condition} does not hold");
                self.attempt_failed(id, step, attempt, why, turn);
            }
            (None, _) => self.park(id, format!("no data to verify `{name}` by: {condition}"), turn),
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
        let Some((_, remedy)) = self.definition(id, None) else { return };
        let Some(run) = self.runs.get(&id) else { return };
        let (incident, cancelled) = (run.incident, run.cancelled.clone());
        turn.note(incident, Some(id), What::StepDone { step: step.name.clone() });
        let mut rest = remedy.steps.iter().skip_while(|one| one.name != step.name).skip(1);
        match (rest.next(), cancelled) {
            (Some(next), _) => self.enter(id, &next.name, 1, turn),
            (None, Some(why)) => self.end(id, Ending::Cancelled { why }, turn),
            (None, None) => self.end(id, Ending::Done, turn),
        }
    }

    fn attempt_failed(&mut self, id: RunId, step: &Step, attempt: u32, why: String, turn: &mut Turn) {
        if attempt >= step.attempts.get() {
            self.step_failed(id, step, attempt, why, turn);
            return;
        }
        let pause = pause(id, step, attempt);
        let until = turn.now.boot.after(pause);
        let Some(run) = self.runs.get_mut(&id) else { return };
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
                let count = run.visits.entry(to.clone()).or_insert(0);
                if *count < visits.get() {
                    *count += 1;
                    turn.note(incident, Some(id), failed(format!("going on with {to}")));
                    self.enter(id, &to.clone(), 1, turn);
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
        if under_way {
            turn.effects.extend(order_of(run, step, attempt_of(run)).map(Effect::Abort));
        }
        let unclear = match &step.kind {
            StepKind::Act { repeat, .. } => under_way && *repeat != Repeatability::Idempotent,
            StepKind::Wait { .. } => false,
        };
        let why = match &run.cancelled {
            Some(why) => format!("{why}; its deadline came at step `{}`", step.name),
            None => format!("its deadline came at step `{}`", step.name),
        };
        if unclear {
            self.park(id, format!("{why} while the action was under way"), turn);
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
        if run.cancelled.is_some() && !matches!(run.state, RunState::Parked { .. }) {
            return Err(Refusal::Conflict(format!("run {id} is being cancelled already")));
        }
        self.stop_for(id, why, turn);
        let over = self.runs.get(&id).is_none_or(Run::ended);
        Ok(if over { format!("{id} cancelled") } else { format!("{id} is being cancelled") })
    }

    /// Cancels a run: an action under way is stopped and its outcome awaited first.
    fn stop_for(&mut self, id: RunId, why: &str, turn: &mut Turn) {
        let definition = self.definition(id, None);
        let Some(run) = self.runs.get_mut(&id) else { return };
        let again = run.cancelled.is_some();
        run.cancelled = Some(why.to_owned());
        turn.dirty.insert(RowKey::Run(id));
        if run.in_flight() {
            if let Some((step, _)) = definition {
                turn.effects.extend(order_of(run, &step, attempt_of(run)).map(Effect::Abort));
            }
        } else if again || definition.is_none() {
            // Parked in its last steps, or nobody knows its steps any more.
            self.end(id, Ending::Cancelled { why: why.to_owned() }, turn);
        } else {
            self.clean(id, why, turn);
        }
    }

    /// Goes through the steps that a cancelled run still has.
    fn clean(&mut self, id: RunId, why: &str, turn: &mut Turn) {
        let Some((_, remedy)) = self.definition(id, None) else { return };
        match &remedy.on_cancel {
            Some(step) => {
                if let Some(run) = self.runs.get_mut(&id) {
                    run.cleaning = true;
                }
                self.enter(id, step, 1, turn);
            }
            None => self.end(id, Ending::Cancelled { why: why.to_owned() }, turn),
        }
    }

    pub(super) fn retry(&mut self, id: RunId, turn: &mut Turn) -> Result<String, Refusal> {
        let Some(run) = self.runs.get(&id) else {
            return Err(Refusal::NotFound(format!("there is no run {id}")));
        };
        let RunState::Parked { attempt, .. } = run.state else {
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
        if let Some(run) = self.runs.get_mut(&id) {
            run.definition.clone_from(&remedy.definition);
            run.deadline = turn.now.boot.after(remedy.deadline);
        }
        self.enter(id, &step, attempt + 1, turn);
        Ok(format!("{id} goes on with step {step}"))
    }

    /// Leaves a run to a person.
    fn park(&mut self, id: RunId, why: String, turn: &mut Turn) {
        let attempt = self.runs.get(&id).map_or(1, attempt_of);
        self.park_at(id, attempt, why, turn);
    }

    fn park_at(&mut self, id: RunId, attempt: u32, why: String, turn: &mut Turn) {
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
        self.park_changed(turn);
        let under_way: Vec<_> = self
            .live()
            .filter_map(|run| match run.state {
                RunState::Acting { attempt, since } | RunState::Inspecting { attempt, since, .. } => {
                    Some((run.id, attempt, since))
                }
                _ => None,
            })
            .collect();
        for (id, attempt, since) in under_way {
            self.inspect(id, attempt, since, "the agent was restarted", turn);
        }
    }

    /// Parks the runs whose definition is another now. One with an action under way is
    /// parked when its outcome is known, unless nobody is left to ask.
    pub(super) fn park_changed(&mut self, turn: &mut Turn) {
        let changed: Vec<_> = self
            .live()
            .filter(|run| !matches!(run.state, RunState::Parked { .. }))
            .filter(|run| {
                self.plan.remedies.get(&run.remedy).is_none_or(|now| now.definition != run.definition)
            })
            .map(|run| (run.id, run.in_flight(), self.plan.remedies.contains_key(&run.remedy)))
            .collect();
        for (id, in_flight, exists) in changed {
            let what = if exists { "its definition changed" } else { "its remedy was removed" };
            let when = if in_flight { "; an action was under way" } else { "" };
            self.park(id, format!("{what}{when}"), turn);
        }
    }

    fn live(&self) -> impl Iterator<Item = &Run> {
        self.index.live.iter().filter_map(|id| self.runs.get(id))
    }

    /// The step a run is at (or another of its remedy) and the remedy, while the
    /// definition is still the one the run was started under.
    fn definition(&self, id: RunId, step: Option<&StepName>) -> Option<(Step, Remedy)> {
        let run = self.runs.get(&id)?;
        let remedy =
            self.plan.remedies.get(&run.remedy).filter(|remedy| remedy.definition == run.definition)?;
        let wanted = step.unwrap_or(&run.step);
        let step = remedy.steps.iter().find(|one| one.name == *wanted)?;
        Some((step.clone(), remedy.clone()))
    }

    fn arm_run(&mut self, id: RunId) {
        let at = self.runs.get(&id).and_then(|run| {
            let (step, _) = self.definition(id, None)?;
            let next = match &run.state {
                RunState::Ended(..) | RunState::Parked { .. } => return None,
                RunState::Queued { .. } => None,
                RunState::Acting { since, .. } => Some(since.after(limit_of(&step) + OVERDUE)),
                RunState::Inspecting { asked, .. } => Some(asked.after(limit_of(&step) + OVERDUE)),
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
    })
}

fn attempt_of(run: &Run) -> u32 {
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

fn limit_of(step: &Step) -> Duration {
    match &step.kind {
        StepKind::Act { limit, .. } => *limit,
        StepKind::Wait { .. } => Duration::ZERO,
    }
}

/// How long verification may take: not shorter than it takes for "not done" to count.
fn window_of(verify: &Verify) -> Duration {
    verify.within.max(verify.settle)
}

/// The pause before the next attempt: doubled each time, bounded, and spread by up to a
/// quarter either way, from a source seeded by what identifies the attempt.
fn pause(id: RunId, step: &Step, attempt: u32) -> Duration {
    let doubled =
        step.backoff.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    let base = doubled.min(step.backoff_max);
    let seed =
        step.name.as_str().bytes().fold(id.0 ^ u64::from(attempt), |seed, byte| mix(seed ^ u64::from(byte)));
    let permille = u32::try_from(750 + mix(seed) % 501).unwrap_or(1_000);
    base.saturating_mul(permille) / 1_000
}

/// One round of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
