//! What must be true of a live engine at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lictor_core::{
    Boot, Check, Effect, Engine, Mode, Now, Output, Remedy, RemedyName, Row, RunState, Status, Trigger, What,
};

use super::rules::{demand, stored};

/// How long an action may take to end when the deadline of its run has come.
const STOPPING: Duration = Duration::from_secs(30);

/// Looked at after every step of an agent that has run without a break since `awake`.
pub(super) fn always(engine: &Engine, now: Now, awake: Boot) -> Result<(), String> {
    demand!(engine.next_wake().is_none_or(|at| at > now.boot), "it wants to be woken in the past");
    let mut busy = BTreeSet::new();
    for run in engine.runs().values().filter(|run| !run.ended()) {
        demand!(busy.insert(&run.target), "{} has more than one unfinished run", run.target);
        let parked = matches!(run.state, RunState::Parked { .. });
        // What is under way at the deadline is stopped, and awaited for a little while.
        let end = if run.in_flight() { run.deadline.max(awake).after(STOPPING) } else { run.deadline };
        demand!(parked || now.boot < end, "{} has outlived its deadline: {:?}", run.id, run.state);
    }
    for (name, check) in engine.checks() {
        let open = engine.incidents().values().any(|one| one.check == *name && one.closed.is_none());
        let bad = check.judged() && check.status != Status::Passing;
        demand!(
            open == bad,
            "{name} is {} (judged: {}), incident open: {open}",
            check.status,
            check.judged()
        );
    }
    Ok(())
}

/// A trigger that waits is started as soon as nothing holds it back.
pub(super) fn nothing_waits(engine: &Engine, now: Now, observed: bool) -> Result<(), String> {
    let plan = engine.plan();
    let busy: BTreeSet<_> =
        engine.runs().values().filter(|run| !run.ended()).map(|run| &run.target).collect();
    for (name, remedy) in &plan.remedies {
        let flood = engine.floods().get(name).ok_or_else(|| format!("{name} has no flood control"))?;
        let acts = plan.mode.max(remedy.mode) == Mode::Act && !observed;
        if flood.deferred.is_none() {
            let runs = engine.runs().values().any(|run| run.remedy == *name && !run.ended());
            let due = flood.held && remedy.until.is_none() && remedy.defer && !flood.gave_up && acts && !runs;
            demand!(!due, "the condition of {name} holds, and nothing of it waits or runs");
            continue;
        }
        let guarded = remedy.guard.as_ref().is_some_and(|guard| guard.holds(engine) != Some(true));
        let held_back = flood.gave_up
            || busy.contains(&remedy.target)
            || guarded
            || cooling(engine, remedy, now)
            || flood.spent_until(remedy, now.boot).is_some()
            || too_many_bad(engine);
        let ready = !flood.held || !conditional(remedy) || fresh(engine, name, remedy);
        demand!(held_back || !ready, "{name} waits although nothing holds it back: {flood:?}");
    }
    Ok(())
}

/// Whether something was started for its target lately, by whichever remedy.
fn cooling(engine: &Engine, remedy: &Remedy, now: Now) -> bool {
    let sharing = engine.plan().remedies.iter().filter(|(_, other)| other.target == remedy.target);
    let floods = sharing.filter_map(|(name, _)| engine.floods().get(name));
    lictor_core::cooling_until(remedy, floods, now.boot).is_some()
}

fn conditional(remedy: &Remedy) -> bool {
    remedy.on.iter().any(|trigger| matches!(trigger, Trigger::When(_)))
}

fn fresh(engine: &Engine, name: &RemedyName, remedy: &Remedy) -> bool {
    let Some(from) = engine.floods().get(name).map(|flood| flood.fresh_from) else { return false };
    remedy.on.iter().any(|trigger| match trigger {
        Trigger::When(condition) => condition.holds_since(engine, from) == Some(true),
        Trigger::Match { .. } | Trigger::Changed { .. } => false,
    })
}

/// Whether a larger share of the targets is bad than the plan allows.
pub(super) fn too_many_bad(engine: &Engine) -> bool {
    let plan = engine.plan();
    let Some(percent) = plan.limits.hold_above_percent else { return false };
    let mut bad = BTreeMap::new();
    for (name, remedy) in plan.remedies.iter().filter(|(_, remedy)| conditional(remedy)) {
        *bad.entry(&remedy.target).or_insert(false) |=
            engine.floods().get(name).is_some_and(|flood| flood.held);
    }
    bad.values().filter(|bad| **bad).count() * 100 > bad.len() * usize::from(percent)
}

/// What an engine starts was allowed to start by its guard and by the share of the bad.
pub(super) fn starts(before: bool, engine: &Engine, output: &Output, by_hand: bool) -> Result<(), String> {
    // When one target recovers and another fails at once, a run may start in between.
    let fewer = output.rows.iter().any(|row| matches!(row, Row::Flood(_, flood) if !flood.held));
    for event in &output.events {
        let What::RunStarted { remedy: name, .. } = &event.what else { continue };
        let Some(remedy) = engine.plan().remedies.get(name) else { continue };
        if by_hand {
            continue;
        }
        let guard = remedy.guard.as_ref().map(|guard| guard.holds(engine));
        demand!(guard.is_none_or(|held| held == Some(true)), "{name} started, its guard: {guard:?}");
        demand!(fewer || !(before && too_many_bad(engine)), "{name} started while too many targets are bad");
    }
    Ok(())
}

/// The same input gave the same bytes and the same state.
pub(super) fn same(engine: &Engine, output: &Output, again: &Output, twin: &Engine) -> Result<(), String> {
    let (bytes, more) = (format!("{output:?}"), format!("{again:?}"));
    demand!(bytes == more, "one input gives {bytes} and {more}");
    let state = |engine: &Engine| {
        let (checks, floods) = (engine.checks().clone(), engine.floods().clone());
        (checks, floods, engine.runs().clone(), engine.incidents().clone(), engine.next_wake())
    };
    demand!(state(engine) == state(twin), "one input leads to two states");
    Ok(())
}

/// If every remedy and run were looked at now, nothing would come of it: no look was
/// forgotten, no timer lost.
pub(super) fn nothing_is_missed(engine: &Engine, now: Now) -> Result<(), String> {
    let mut twin = engine.clone();
    let output = twin.reload(Arc::clone(engine.plan()), now);
    // That another reason holds a remedy back now is told when it is looked at next.
    let told = output.events.iter().all(|event| matches!(event.what, What::Suppressed { .. }));
    let same = output.rows.iter().all(|row| match row {
        Row::Flood(name, flood) => engine.floods().get(name).is_some_and(|now| {
            let (held_by, suppressed) = (now.held_by, now.suppressed);
            lictor_core::Flood { held_by, suppressed, ..flood.clone() } == *now
        }),
        Row::Check(..) | Row::Run(_) | Row::Incident(_) | Row::Reading(..) | Row::Role(..) => false,
    });
    let nothing = told && same && output.gone.is_empty() && output.effects.is_empty();
    demand!(nothing, "a look at everything at {now:?} gives {output:?}");
    Ok(())
}

/// An engine that is restored from the rows stands where this one does.
pub(super) fn restores(engine: &Engine, rows: Vec<Row>, now: Now) -> Result<(), String> {
    let plan = engine.plan();
    let same = |run: &lictor_core::Run| {
        plan.remedies.get(&run.remedy).is_some_and(|is| is.definition == run.definition)
    };
    let looks = |run: &lictor_core::Run| matches!(run.state, RunState::Preparing { .. });
    if engine.runs().values().any(|run| looks(run) && !same(run)) {
        // A restart parks what was only looked at; a reload lets it say what it found.
        return Ok(());
    }
    let (twin, output) = Engine::restore(Arc::clone(plan), rows, now);
    for event in &output.events {
        let expected = matches!(event.what, What::Inspecting { .. } | What::Suppressed { .. });
        demand!(expected, "a restart at {now:?} gives `{}`", event.what);
    }
    for effect in &output.effects {
        demand!(!matches!(effect, Effect::Act(_)), "a restart at {now:?} gives {effect:?}");
    }
    for (name, live) in engine.checks() {
        let Some(again) = twin.checks().get(name) else { return Err(format!("{name} is lost")) };
        let (mut live, mut again) = (Check::clone(live), Check::clone(again));
        // A check that was never judged is in no row; results that changed nothing are samples.
        if !live.judged() {
            (again.since, again.created) = (live.since, live.created);
        }
        for check in [&mut live, &mut again] {
            check.last = None;
            check.started = false;
        }
        let (live, again) =
            (stored(&Row::Check(name.clone(), live)), stored(&Row::Check(name.clone(), again)));
        demand!(live == again, "{name} is restored as {again:?}, it was {live:?}");
    }
    for (name, live) in engine.floods() {
        let again = twin.floods().get(name).cloned().unwrap_or_default();
        // Held-back triggers are counted, not each recorded.
        let (held_by, suppressed) = (live.held_by, live.suppressed);
        let again = lictor_core::Flood { held_by, suppressed, ..again };
        demand!(again == *live, "{name} is restored as {again:?}, it was {live:?}");
    }
    demand!(engine.runs().keys().eq(twin.runs().keys()), "not the same runs are restored");
    for (live, again) in engine.runs().values().zip(twin.runs().values()) {
        let mut awaited = live.clone();
        match (&mut awaited.state, &again.state) {
            (RunState::Waiting { held, .. }, RunState::Waiting { held: anew, .. }) => *held = *anew,
            (state @ RunState::Acting { .. }, RunState::Inspecting { attempt, since, .. }) => {
                let same =
                    matches!(state, RunState::Acting { attempt: a, since: s } if a == attempt && s == since);
                demand!(same, "{} looks for another attempt: {:?}", live.id, again.state);
                *state = again.state.clone();
            }
            (RunState::Inspecting { asked, .. }, RunState::Inspecting { asked: anew, .. }) => *asked = *anew,
            _ => {}
        }
        demand!(awaited == *again, "{} is restored as {again:?}, it was {live:?}", live.id);
    }
    demand!(engine.incidents() == twin.incidents(), "the incidents are not restored");
    Ok(())
}
