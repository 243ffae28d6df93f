//! Watches a live engine from outside, from one step to the next: on what it starts,
//! judges, verifies and waits. What it remembers ends with the life of the engine.

use std::collections::BTreeMap;
use std::time::Duration;

use lictor_core::{
    Boot, CheckPlan, CheckSource, Condition, Engine, Event, Now, Output, Repeatability, Run, RunId, RunState,
    Status, Step, StepKind, StepName, Trigger, What,
};

use super::rules::demand;

/// Results that a transition carries at most.
const EVIDENCE: usize = 5;

/// What was seen of the runs before the present step.
#[derive(Debug, Default)]
pub(super) struct Witness {
    /// Runs that wait: since when they do, and since when their condition was seen to hold.
    waits: BTreeMap<RunId, (Boot, Option<Boot>)>,
    /// Runs that verify: at which step, since when, and whether the action is known to have been done.
    verifies: BTreeMap<RunId, (StepName, Boot, bool)>,
}

impl Witness {
    /// Nobody looked for a while: what has to last begins anew.
    pub(super) fn blink(&mut self) {
        self.waits.values_mut().for_each(|(_, held)| *held = None);
    }

    /// Looks at what a step of the engine did.
    pub(super) fn see(&mut self, engine: &Engine, output: &Output, now: Now) -> Result<(), String> {
        for event in &output.events {
            match &event.what {
                What::RunStarted { .. } => again(engine, event)?,
                What::Transition { .. } => judged(engine, event)?,
                _ => {}
            }
            let Some(run) = event.run.and_then(|id| engine.runs().get(&id)) else { continue };
            match &event.what {
                What::StepDone { step } => self.waited(engine, run, step_of(engine, run, step), now)?,
                What::Verified { step } => {
                    self.verified(engine, run, step_of(engine, run, step), now)?;
                    // From here on another attempt is one of its own.
                    self.verifies.remove(&run.id);
                }
                What::Retrying { step, .. } | What::StepFailed { step, .. } => {
                    self.refuted(engine, run, step_of(engine, run, step))?;
                }
                // A run that was cancelled has left what it verified for other steps. If one of them
                // leads back, whether that may be done again is told by what is known of it.
                What::Waiting { .. } | What::Intent { .. } => {
                    self.verifies.remove(&run.id);
                }
                _ => {}
            }
        }
        self.remember(engine, now);
        Ok(())
    }

    fn remember(&mut self, engine: &Engine, now: Now) {
        self.verifies.clear();
        let before = std::mem::take(&mut self.waits);
        for run in engine.runs().values() {
            match run.state {
                RunState::Verifying { since, done, .. } => {
                    self.verifies.insert(run.id, (run.step.clone(), since, done));
                }
                RunState::Waiting { since, .. } => {
                    let held = before.get(&run.id).filter(|(of, _)| *of == since).and_then(|(_, held)| *held);
                    let holds = condition(engine, run)
                        .is_some_and(|one| one.holds_since(engine, since) == Some(true));
                    self.waits.insert(run.id, (since, holds.then(|| held.unwrap_or(now.boot))));
                }
                _ => {}
            }
        }
    }

    /// A step that waits is done when its condition has held for as long as it says.
    fn waited(&self, engine: &Engine, run: &Run, step: Option<&Step>, now: Now) -> Result<(), String> {
        let Some(StepKind::Wait { condition, hold, .. }) = step.map(|step| &step.kind) else { return Ok(()) };
        let (since, held) = self.waits.get(&run.id).copied().unwrap_or((now.boot, None));
        let held = held.unwrap_or(now.boot);
        // One that came to the step only now can but have found it so.
        let holds = condition.holds_since(engine, since) == Some(true)
            || condition.holds_since(engine, now.boot) == Some(true);
        demand!(holds, "{} has waited for {condition}, which does not hold", run.id);
        let lasted = now.boot.since(held);
        demand!(
            lasted >= *hold,
            "{} waited for {condition} to hold for {hold:?}, it held for {lasted:?}",
            run.id
        );
        Ok(())
    }

    /// What verifies an action was seen after it.
    fn verified(&self, engine: &Engine, run: &Run, step: Option<&Step>, now: Now) -> Result<(), String> {
        let Some(StepKind::Act { verify: Some(verify), .. }) = step.map(|step| &step.kind) else {
            return Err(format!("{} verified what has nothing to verify it by", run.id));
        };
        let since = self.verifies.get(&run.id).map_or(now.boot, |(_, since, _)| *since);
        let proven = verify.condition.proven_since(engine, since);
        demand!(proven == Some(true), "{} is verified by {}: {proven:?}", run.id, verify.condition);
        Ok(())
    }

    /// An action that may not simply be repeated failed its verification only by results.
    fn refuted(&self, engine: &Engine, run: &Run, step: Option<&Step>) -> Result<(), String> {
        let name = step.map(|step| &step.name);
        let Some(StepKind::Act { verify: Some(verify), repeat, .. }) = step.map(|step| &step.kind) else {
            return Ok(());
        };
        let verified = self.verifies.get(&run.id).filter(|(step, ..)| Some(step) == name);
        let Some((_, since, done)) = verified else { return Ok(()) };
        if *repeat == Repeatability::Idempotent {
            return Ok(());
        }
        let proven = verify.condition.proven_since(engine, *since);
        demand!(proven == Some(false), "{} takes {} for refuted: {proven:?}", run.id, verify.condition);
        let dangerous = *repeat == Repeatability::Neither && !done;
        demand!(!dangerous, "{} goes on although nobody knows what became of its action", run.id);
        Ok(())
    }
}

fn step_of<'e>(engine: &'e Engine, run: &Run, name: &lictor_core::StepName) -> Option<&'e Step> {
    let remedy =
        engine.plan().remedies.get(&run.remedy).filter(|remedy| remedy.definition == run.definition)?;
    remedy.steps.iter().find(|step| step.name == *name)
}

fn condition<'e>(engine: &'e Engine, run: &Run) -> Option<&'e Condition> {
    match &step_of(engine, run, &run.step)?.kind {
        StepKind::Wait { condition, .. } => Some(condition),
        StepKind::Act { .. } => None,
    }
}

/// A remedy that left its condition as it was starts again by results of after its end.
fn again(engine: &Engine, event: &Event) -> Result<(), String> {
    let What::RunStarted { remedy: name, cause, .. } = &event.what else { return Ok(()) };
    let Some(remedy) = engine.plan().remedies.get(name).filter(|_| cause.ends_with("left it as it was"))
    else {
        return Ok(());
    };
    let ends = engine.runs().values().filter(|run| run.remedy == *name).filter_map(|run| match &run.state {
        // One that has ended at once is this one.
        RunState::Ended(_, at) if Some(run.id) != event.run => Some(at.boot),
        _ => None,
    });
    let Some(last) = ends.max() else { return Ok(()) };
    let since = last.after(Duration::from_millis(1));
    let holds = remedy.on.iter().any(|trigger| match trigger {
        Trigger::When(condition) => condition.holds_since(engine, since) == Some(true),
        Trigger::Match { .. } | Trigger::Changed { .. } => false,
    });
    demand!(holds, "{name} starts again by what was seen before its last run ended at {last:?}");
    Ok(())
}

/// A change of status rests on as many results and lasted as long as the plan demands.
fn judged(engine: &Engine, event: &Event) -> Result<(), String> {
    let What::Transition { check: name, to, evidence, summary, .. } = &event.what else { return Ok(()) };
    let (Some(plan), Some(check)) = (engine.plan().checks.get(name), engine.checks().get(name)) else {
        return Ok(());
    };
    let (bad, now) = (*to != Status::Passing, event.at.boot);
    demand!(
        !bad || check.started || now >= check.created.after(plan.grace),
        "{name} is {to} within its grace"
    );
    if plan.source != CheckSource::Watcher {
        return Ok(());
    }
    // A fault that was seen before the silence counts when it has lasted, as any other.
    if summary.starts_with("no data for") && *to == Status::Unknown {
        let heard = evidence.iter().rev().nth(1).map(|(at, _, _)| at.boot);
        let silent = heard.is_none_or(|at| Some(now.since(at)) >= plan.stale_after);
        demand!(silent, "{name} counts as silent, but was heard at {heard:?}");
        return Ok(());
    }
    let same = evidence.iter().rev().take_while(|(_, status, _)| (*status != Status::Passing) == bad);
    let same: Vec<_> = same.map(|(at, status, _)| (at.boot, *status)).collect();
    let faults = same.iter().filter(|(_, status)| *status != Status::Unknown).count();
    let fault = matches!(to, Status::Warning | Status::Critical) && same.len() < EVIDENCE;
    demand!(
        !fault || faults >= plan.fail_after.get() as usize,
        "{name} is {to} after {faults} results that saw a fault, not {}",
        plan.fail_after
    );
    let same: Vec<_> = same.into_iter().map(|(at, _)| at).collect();
    let wanted = wanted(plan, bad, evidence.len()).min(EVIDENCE);
    demand!(same.len() >= wanted, "{name} is {to} after {} such results, not {wanted}", same.len());
    if let (true, true, Some(first)) = (bad, same.len() < EVIDENCE, same.last()) {
        let lasted = now.since(*first);
        demand!(lasted >= plan.bad_for, "{name} is {to} after {lasted:?}, not {:?}", plan.bad_for);
    }
    Ok(())
}

fn wanted(plan: &CheckPlan, bad: bool, results: usize) -> usize {
    match (bad, results) {
        (true, _) => plan.fail_after.get() as usize,
        // The first look at all is enough when nothing is known against it.
        (false, 1) => 1,
        (false, _) => plan.pass_after.get() as usize,
    }
}
