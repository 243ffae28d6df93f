//! Drives runs through their steps: intent, act, verify, record.

use std::sync::Arc;
use std::time::Duration;

use super::orders::{OVERDUE, order_of};
use super::{Engine, Timer, Turn};
use crate::event::What;
use crate::name::{RunId, StepName};
use crate::plan::{Mode, OnFailure, Plan, Remedy, Repeatability, Step, StepKind, Verify};
use crate::run::{Ending, Outcome, Run, RunState};
use crate::step::{Effect, RowKey};
use crate::time::Boot;

impl Engine {
    /// Comes to a step: its attempts are counted anew, their numbers go on.
    pub(super) fn come_to(&mut self, id: RunId, step: &StepName, turn: &mut Turn) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let tally = run.tally.entry(step.clone()).or_default();
        tally.tries = 1;
        let attempt = tally.attempt + 1;
        self.enter(id, step, attempt, turn);
    }

    /// Comes back to a step that was tried before, because another one failed: that is one
    /// more try, and waits as long as one.
    fn come_back(&mut self, id: RunId, name: &StepName, times: u32, why: String, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let tried = self.runs.get(&id).and_then(|run| run.tally.get(name)).copied();
        let tried = tried.filter(|tally| tally.attempt > 0);
        let attempt = tried.map(|tally| tally.attempt);
        let definition = self.definition(&plan, id, Some(name));
        let (Some(attempt), Some((step, _))) = (attempt, definition) else {
            self.come_to(id, name, turn);
            return;
        };
        let unclear = tried.is_some_and(|tally| tally.unclear) && !repeatable(step);
        if unclear || matches!(step.kind, StepKind::Wait { .. }) || step.backoff.is_zero() {
            self.come_to(id, name, turn);
            return;
        }
        if let Some(run) = self.runs.get_mut(&id) {
            run.step = name.clone();
            run.tally.entry(name.clone()).or_default().tries = 1;
        }
        self.back_off_for(id, step, attempt, times, why, turn);
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
        // It may have been in flight until now.
        self.let_queued_go(turn);
        if !unclear && self.is_skipped(definition) {
            self.skip(id, definition, turn);
        } else if unclear {
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
                self.expire(id, None, turn);
            }
            self.arm_run(id);
            return;
        };
        if !run.ended() && !matches!(run.state, RunState::Parked { .. }) {
            if now >= run.deadline {
                self.expire(id, Some((step, remedy)), turn);
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
            RunState::Queued { attempt } => self.order(id, (step, remedy), attempt, turn),
            RunState::Preparing { .. } if self.is_skipped(step) && !stopping(run) => {
                self.orders.remove(&id);
                self.skip(id, step, turn);
            }
            RunState::Preparing { attempt, .. } => {
                if self.overdue_at(id, step).is_some_and(|at| now >= at) {
                    let detail = "nobody said in time what it would change".to_owned();
                    self.outcome(id, &step.name, attempt, Outcome::Failed { detail }, turn);
                }
            }
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
                if self.is_skipped(step) {
                    self.skip(id, step, turn);
                } else if now >= until {
                    self.enter(id, &step.name, attempt, turn);
                }
            }
            RunState::Waiting { attempt, since, held } => self.wait(id, step, attempt, since, held, turn),
        }
        self.arm_run(id);
    }

    pub(super) fn verify(
        &mut self,
        id: RunId,
        step: &Step,
        attempt: u32,
        since: Boot,
        done: bool,
        turn: &mut Turn,
    ) {
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
    pub(super) fn clear(&mut self, id: RunId, step: &StepName) {
        if let Some(tally) = self.runs.get_mut(&id).and_then(|run| run.tally.get_mut(step)) {
            tally.unclear = false;
        }
    }

    pub(super) fn wait(
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

    pub(super) fn step_done(&mut self, id: RunId, step: &Step, turn: &mut Turn) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        if run.notes.contains_key(&step.name)
            && let Some(note) = Arc::make_mut(&mut run.notes).get_mut(&step.name)
        {
            note.done = true;
            turn.dirty.insert(RowKey::Run(id));
        }
        turn.note(run.incident, Some(id), What::StepDone { step: step.name.clone() });
        self.go_on(id, step, turn);
    }

    pub(super) fn is_skipped(&self, step: &Step) -> bool {
        step.skip_when.as_ref().is_some_and(|condition| condition.holds(self) == Some(true))
    }

    /// Leaves a step out.
    pub(super) fn skip(&mut self, id: RunId, step: &Step, turn: &mut Turn) {
        let why = step.skip_when.as_ref().map_or_else(String::new, ToString::to_string);
        let incident = self.runs.get(&id).and_then(|run| run.incident);
        turn.note(incident, Some(id), What::StepSkipped { step: step.name.clone(), why });
        self.go_on(id, step, turn);
    }

    /// Goes on with the step after this one, or ends.
    fn go_on(&mut self, id: RunId, step: &Step, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let Some((_, remedy)) = self.definition(&plan, id, None) else { return };
        let Some(run) = self.runs.get(&id) else { return };
        let cancelled = run.cancelled.clone();
        let mut rest = remedy.steps.iter().skip_while(|one| one.name != step.name).skip(1);
        let next = match &step.next {
            Some(named) => rest.find(|one| one.name == *named),
            None => rest.next(),
        };
        match (next, cancelled) {
            (Some(next), _) => self.come_to(id, &next.name, turn),
            (None, Some(why)) => self.end(id, Ending::Cancelled { why }, turn),
            (None, None) => self.end(id, Ending::Done, turn),
        }
    }

    pub(super) fn attempt_failed(
        &mut self,
        id: RunId,
        step: &Step,
        attempt: u32,
        why: String,
        turn: &mut Turn,
    ) {
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
    pub(super) fn back_off(&mut self, id: RunId, step: &Step, attempt: u32, why: String, turn: &mut Turn) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let tries = run.tally.entry(step.name.clone()).or_default().tries;
        self.back_off_for(id, step, attempt, tries.saturating_sub(1).max(1), why, turn);
    }

    fn back_off_for(
        &mut self,
        id: RunId,
        step: &Step,
        attempt: u32,
        times: u32,
        why: String,
        turn: &mut Turn,
    ) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let pause = pause(id, step, attempt, times);
        let until = turn.now.boot.after(pause);
        run.state = RunState::BackingOff { attempt: attempt + 1, until };
        let incident = run.incident;
        turn.dirty.insert(RowKey::Run(id));
        turn.advance.insert(id);
        let what = What::Retrying { step: step.name.clone(), attempt: attempt + 1, after: pause, why };
        turn.note(incident, Some(id), what);
    }

    pub(super) fn step_failed(&mut self, id: RunId, step: &Step, attempt: u32, why: String, turn: &mut Turn) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let incident = run.incident;
        let name = &step.name;
        let failed = |next: String| What::StepFailed { step: name.clone(), why: why.clone(), next };
        match &step.on_failure {
            OnFailure::GoTo { step: to, visits, then } => {
                let count = run.visits.entry(to.clone()).or_insert(0);
                if *count < *visits {
                    *count += 1;
                    let times = *count;
                    turn.note(incident, Some(id), failed(format!("going on with {to}")));
                    self.come_back(id, to, times, format!("step `{name}`: {why}"), turn);
                    return;
                }
                let often = format!("{to} was tried {visits} times already");
                if let Some(then) = then {
                    turn.note(incident, Some(id), failed(format!("{often}; going on with {then}")));
                    let remedy = run.remedy.clone();
                    let plan = Arc::clone(&self.plan);
                    if let Some(definition) = plan.remedies.get(&remedy) {
                        let why = format!("step `{name}` failed for good: {why}");
                        self.escalate(&remedy, definition, incident, why, turn);
                    }
                    self.come_to(id, then, turn);
                    return;
                }
                turn.note(incident, Some(id), failed(often));
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
            if let Some(run) = self.runs.get(&id).filter(|_| stopping) {
                let order = order_of(run, self.definition(&plan, id, None), attempt, since);
                turn.effects.push(Effect::Abort(order));
            }
        }
        // Nothing was done yet: it is looked at anew.
        let plan = Arc::clone(&self.plan);
        let preparing = self.live().filter_map(|run| match run.state {
            RunState::Preparing { attempt, since } => Some((run.id, attempt, since)),
            _ => None,
        });
        for (id, attempt, since) in preparing.collect::<Vec<_>>() {
            if let (Some(at), Some(run)) = (self.definition(&plan, id, None), self.runs.get(&id)) {
                turn.effects.push(Effect::Prepare(order_of(run, Some(at), attempt, since)));
                self.orders.entry(id).or_default();
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
    /// parked when that has ended, over a restart too: until then nothing is done beside it.
    pub(super) fn park_changed(&mut self, restarted: bool, turn: &mut Turn) {
        // Who looked what an action would change has died with the agent, and changed nothing.
        let forgotten = |run: &Run| restarted && matches!(run.state, RunState::Preparing { .. });
        let changed: Vec<_> = self
            .live()
            .filter(|run| !matches!(run.state, RunState::Parked { .. }))
            .filter(|run| !run.in_flight() || forgotten(run))
            .filter(|run| {
                self.plan.remedies.get(&run.remedy).is_none_or(|now| now.definition != run.definition)
            })
            .map(|run| (run.id, self.changed_how(run)))
            .collect();
        for (id, how) in changed {
            self.park(id, how, turn);
        }
    }

    pub(super) fn changed_how(&self, run: &Run) -> String {
        let exists = self.plan.remedies.contains_key(&run.remedy);
        let what = if exists { "its definition changed" } else { "its remedy was removed" };
        if run.in_flight() { format!("{what} while `{}` was under way", run.step) } else { what.to_owned() }
    }

    /// Whether nothing may be done for a run now.
    pub(super) fn observes(&self, id: RunId) -> bool {
        let remedy = self.runs.get(&id).and_then(|run| self.plan.remedies.get(&run.remedy));
        remedy.is_none_or(|remedy| self.plan.mode.max(remedy.mode) == Mode::Observe)
    }

    /// Lets those go on that wait because as many as allowed are in flight: one fewer is.
    pub(super) fn let_queued_go(&self, turn: &mut Turn) {
        let queued = self.live().filter(|run| matches!(run.state, RunState::Queued { .. }));
        turn.advance.extend(queued.map(|run| run.id));
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &Run> {
        self.index.live.iter().filter_map(|id| self.runs.get(id))
    }

    /// The step a run is at (or another of its remedy) and the remedy, while the
    /// definition is still the one the run was started under.
    pub(super) fn definition<'p>(
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

    pub(super) fn arm_run(&mut self, id: RunId) {
        let at = self.runs.get(&id).and_then(|run| {
            let plan = &self.plan;
            let Some((step, _)) = self.definition(plan, id, None) else {
                let stopped = self.orders.get(&id).and_then(|order| order.stopped);
                let at = stopped.map_or(run.deadline, |at| at.after(OVERDUE));
                return run.in_flight().then_some(at);
            };
            let next = match &run.state {
                RunState::Ended(..) | RunState::Parked { .. } => return None,
                RunState::Queued { .. } => None,
                RunState::Preparing { .. } | RunState::Acting { .. } | RunState::Inspecting { .. } => {
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

/// Whether it was cancelled and what is under way is awaited.
fn stopping(run: &Run) -> bool {
    run.cancelled.is_some() && !run.cleaning
}

pub(super) fn attempt_of(run: &Run) -> u32 {
    match &run.state {
        RunState::Preparing { attempt, .. }
        | RunState::Acting { attempt, .. }
        | RunState::Inspecting { attempt, .. }
        | RunState::Verifying { attempt, .. }
        | RunState::BackingOff { attempt, .. }
        | RunState::Queued { attempt }
        | RunState::Waiting { attempt, .. }
        | RunState::Parked { attempt, .. } => *attempt,
        RunState::Ended(..) => 1,
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

/// The pause after so many tries: doubled each time, up to a quarter longer, from a source
/// seeded by what identifies the attempt, and bounded. Never shorter: a pause is a promise.
fn pause(id: RunId, step: &Step, attempt: u32, tries: u32) -> Duration {
    let doubled = step.backoff.saturating_mul(1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX));
    let seed =
        step.name.as_str().bytes().fold(id.0 ^ u64::from(attempt), |seed, byte| mix(seed ^ u64::from(byte)));
    let permille = u32::try_from(1_000 + mix(seed) % 251).unwrap_or(1_000);
    (doubled.min(step.backoff_max).saturating_mul(permille) / 1_000).min(step.backoff_max)
}

/// One round of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
