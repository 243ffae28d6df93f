//! `act "systemd"`: has systemd do something to a unit, and waits for the result of the job.
//!
//! Before anything is asked for it is noted which start of the unit is the present one. Every start
//! has an id of its own, so whoever comes after a crash sees whether a restart was made; a job that
//! still runs is waited for and never asked for a second time.

mod note;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use lictor_config::{SystemdAction, UnitName, UnitVerb};
use lictor_core::{Order, Outcome, RunId, Span, StepName};
use tokio::time::{Instant, sleep, timeout_at};
use zbus::wire::OwnedObjectPath;

use super::{Prepared, failed, lock, unknown};
use crate::clock::boot_id;
use crate::systemd::{Bus, Signals, Trouble, UnitState};
use note::Note;

/// The pause between two looks at a unit whose job nobody tells us of.
const PAUSE: Duration = Duration::from_millis(500);

/// Looks which start of the unit is the present one.
pub(super) async fn prepare(action: &SystemdAction, order: &Order, late: &Late, limit: Duration) -> Prepared {
    let work = async {
        let boot = boot_id().map_err(|error| format!("the id of this boot cannot be read: {error}"))?;
        let state = async { Bus::open(&action.bus).await?.unit(&action.unit).await }.await;
        let state = state.map_err(|trouble| format!("nothing was asked for: {trouble}"))?;
        let earlier = unfinished(order).filter(|earlier| earlier.is_of(&boot));
        if let Some(earlier) = earlier.as_ref().filter(|_| !state.job && late.take(order))
            && went_on(action, earlier, &state)
        {
            let told = told(&action.unit, &state);
            return Ok(Prepared::Over(Outcome::Done {
                detail: format!("what was asked for before is done: {told}"),
            }));
        }
        let earlier = earlier.filter(|_| state.job);
        Ok::<_, String>(Prepared::Note(Note::of(boot, &state, earlier.as_ref()).to_text()))
    };
    match timeout_at(Instant::now() + limit, work).await {
        Ok(Ok(prepared)) => prepared,
        Ok(Err(why)) => Prepared::Over(failed(why)),
        Err(_late) => Prepared::Over(failed(format!("systemd has said nothing within {}", Span(limit)))),
    }
}

/// Asks for it, and waits for the result.
pub(super) async fn act(action: &SystemdAction, order: &Order, late: &Late, limit: Duration) -> Outcome {
    let outcome = carry_out(action, order, limit).await;
    late.keep(order, &outcome);
    outcome
}

async fn carry_out(action: &SystemdAction, order: &Order, limit: Duration) -> Outcome {
    let deadline = Instant::now() + limit;
    // Nothing to go by is no reason to do nothing.
    let note = order.notes.get(&order.step).and_then(|note| Note::from_text(&note.text)).unwrap_or_default();
    let begun = async {
        let bus = Bus::open(&action.bus).await?;
        let unit = bus.resolve(&action.unit).await?;
        let mut signals = Signals::new(&bus, &unit);
        let rules = signals.rules();
        signals.during(bus.subscribe(&rules)).await?;
        Ok::<_, Trouble>((bus, unit, signals))
    };
    let (bus, unit, mut signals) = match timeout_at(deadline, begun).await {
        Ok(Ok(begun)) => begun,
        Ok(Err(trouble)) => return failed(format!("nothing was asked for: {trouble}")),
        Err(_late) => return failed("nothing was asked for: systemd has said nothing in time".to_owned()),
    };
    let work = async {
        if let Some(before) = note.waits_for() {
            match rest(&bus, &mut signals, &unit).await {
                Ok(state)
                    if action.verb == UnitVerb::Restart && state.is_up() && state.invocation != before =>
                {
                    return Outcome::Done {
                        detail: format!("what was asked for before is done: {}", told(&unit, &state)),
                    };
                }
                Ok(_) => {}
                Err(trouble) => return failed(format!("nothing was asked for: {trouble}")),
            }
        }
        ask(action, &note, &bus, &mut signals, &unit)
            .await
            .unwrap_or_else(|lost| Outcome::Unknown { detail: lost })
    };
    match timeout_at(deadline, work).await {
        // The answer went astray, perhaps because it was the bus that was restarted.
        Ok(Outcome::Unknown { detail }) => match timeout_at(deadline, look(action, &note)).await {
            Ok(Outcome::NotStarted { detail: seen } | Outcome::Unknown { detail: seen }) => {
                unknown(format!("{detail}; {seen}"))
            }
            Ok(outcome) => outcome,
            Err(_late) => unknown(detail),
        },
        Ok(outcome) => outcome,
        Err(_late) => unknown(late(&bus, &unit, action.verb, limit).await),
    }
}

/// Says what became of an attempt, by the unit alone.
pub(super) async fn inspect(action: &SystemdAction, order: &Order, late: &Late, limit: Duration) -> Outcome {
    let outcome = see(action, order, limit).await;
    late.keep(order, &outcome);
    outcome
}

async fn see(action: &SystemdAction, order: &Order, limit: Duration) -> Outcome {
    let note = order.notes.get(&order.step).and_then(|note| Note::from_text(&note.text));
    let Some(note) = note else {
        return unknown("it was not noted how the unit was before".to_owned());
    };
    match timeout_at(Instant::now() + limit, look(action, &note)).await {
        Ok(outcome) => outcome,
        Err(_late) => unknown(format!("a job of {} still runs after {}", action.unit, Span(limit))),
    }
}

/// The steps whose last attempt ended without anybody knowing what became of it: what it asked for may go
/// on. One whose outcome is known is not among them: its step is done again because that did not help.
#[derive(Debug, Default)]
pub(super) struct Late(Mutex<BTreeSet<(RunId, StepName)>>);

impl Late {
    fn keep(&self, order: &Order, outcome: &Outcome) {
        let key = (order.run, order.step.clone());
        if matches!(outcome, Outcome::Unknown { .. }) {
            lock(&self.0).insert(key);
        } else {
            lock(&self.0).remove(&key);
        }
    }

    fn take(&self, order: &Order) -> bool {
        lock(&self.0).remove(&(order.run, order.step.clone()))
    }

    /// A run is over.
    pub(super) fn forget(&self, run: RunId) {
        lock(&self.0).retain(|(other, _)| *other != run);
    }
}

/// Whether what an earlier attempt asked for went on after its time and is done, now that no job of the
/// unit is under way.
fn went_on(action: &SystemdAction, earlier: &Note, state: &UnitState) -> bool {
    let before = earlier.waits_for().unwrap_or(&earlier.invocation);
    action.verb == UnitVerb::Restart && state.is_up() && state.invocation != before
}

/// What an earlier attempt of this step noted that could not finish.
fn unfinished(order: &Order) -> Option<Note> {
    let note = order.notes.get(&order.step).filter(|note| !note.done)?;
    Note::from_text(&note.text)
}

/// Asks for the job and waits for its result. An error is that nobody knows.
async fn ask(
    action: &SystemdAction,
    note: &Note,
    bus: &Bus,
    signals: &mut Signals,
    unit: &UnitName,
) -> Result<Outcome, String> {
    let name = unit.as_str();
    if action.reset_failed || action.verb == UnitVerb::ResetFailed {
        match signals.during(bus.manager("ResetFailedUnit", &(name,))).await {
            Ok(_) => {}
            // One that is not in memory has not failed.
            Err(Trouble::Said { name, .. }) if name == "NoSuchUnit" => {}
            Err(trouble) => return refused(unit, &trouble),
        }
        if action.verb == UnitVerb::ResetFailed {
            return Ok(Outcome::Done { detail: format!("systemd has forgotten that {unit} failed") });
        }
    }
    let Some(method) = method(action.verb) else { return Err(format!("{unit}: nothing to ask for")) };
    let answer = match signals.during(bus.manager(method, &(name, "replace"))).await {
        Ok(answer) => answer,
        Err(trouble) => return refused(unit, &trouble),
    };
    let job: OwnedObjectPath =
        answer.body().deserialize().map_err(|error| format!("the answer names no job: {error}"))?;
    let lost = |trouble: Trouble| format!("{unit}: it was asked for, then: {trouble}");
    let removed = signals.removed(job.as_str()).await.map_err(lost)?;
    let state = signals.during(bus.unit(unit)).await.map_err(lost)?;
    Ok(ended(unit, action.verb, &removed.result, note, &state))
}

/// What it means that systemd has not taken the request.
fn refused(unit: &UnitName, trouble: &Trouble) -> Result<Outcome, String> {
    match trouble {
        Trouble::Said { .. } | Trouble::Denied(_) | Trouble::Unreachable(_) => {
            Ok(failed(format!("{unit} was left as it is: {trouble}")))
        }
        Trouble::Lost(_) | Trouble::Late | Trouble::Garbled(_) => {
            Err(format!("{unit}: it was asked for, then: {trouble}"))
        }
    }
}

/// What the result of a job means.
fn ended(unit: &UnitName, verb: UnitVerb, result: &str, note: &Note, state: &UnitState) -> Outcome {
    // One that was refused has not even begun to start. Its result is that of the last start.
    let starts = matches!(verb, UnitVerb::Start | UnitVerb::Restart | UnitVerb::ReloadOrRestart);
    let anew = state.invocation != note.invocation;
    let refused = starts && result == "failed" && state.active == "failed" && !anew;
    // A simple service counts as started before it has done anything, and may be gone by now. What is down is
    // left alone by try-restart.
    let broke = match verb {
        UnitVerb::TryRestart => anew && (state.active == "failed" || state.is_between_restarts()),
        _ => starts && (state.active == "failed" || (anew && state.is_between_restarts())),
    };
    let verb = verb.as_str();
    let told = told(unit, state);
    match result {
        "done" if broke => failed(format!("{verb}: it was started and broke at once; {told}")),
        "done" => Outcome::Done { detail: format!("{verb}: {told}") },
        _ if refused || state.is_limited() => failed(format!(
            "{verb}: refused; {told}. It failed to start too often; with reset_failed = true it is tried \
             all the same"
        )),
        "dependency" => failed(format!("{verb}: something that {unit} needs has failed; {told}")),
        "canceled" => failed(format!("{verb}: another job took its place; {told}")),
        _ => failed(format!("{verb}: {result}; {told}")),
    }
}

/// What to tell of a job that is not over.
async fn late(bus: &Bus, unit: &UnitName, verb: UnitVerb, limit: Duration) -> String {
    let state = tokio::time::timeout(PAUSE, bus.unit(unit)).await;
    let told = match state {
        Ok(Ok(state)) => told(unit, &state),
        Ok(Err(_)) | Err(_) => format!("how {unit} is cannot be seen"),
    };
    format!("{} is not over after {}; {told}. The job goes on", verb.as_str(), Span(limit))
}

/// Waits until no job of the unit is under way.
async fn rest(bus: &Bus, signals: &mut Signals, unit: &UnitName) -> Result<UnitState, Trouble> {
    loop {
        let state = signals.during(bus.unit(unit)).await?;
        if !state.job {
            return Ok(state);
        }
        signals.changed(true).await?;
    }
}

/// Looks until no job of the unit is under way, and compares with what was noted.
async fn look(action: &SystemdAction, note: &Note) -> Outcome {
    let same_boot = boot_id().is_ok_and(|boot| note.is_of(&boot));
    // Systemd is asked again where that has gone wrong once: the bus may just be restarted.
    let mut trouble = None;
    let state = loop {
        let state = async { Bus::open(&action.bus).await?.unit(&action.unit).await }.await;
        match state {
            Ok(state) if !state.job => break state,
            Ok(_) => trouble = None,
            Err(Trouble::Denied(why)) => return unknown(format!("systemd cannot be asked: {why}")),
            Err(now) => {
                let lasts = trouble
                    .replace(Instant::now())
                    .is_some_and(|since: Instant| since.elapsed() > PAUSE * 20);
                if lasts {
                    return unknown(format!("systemd cannot be asked: {now}"));
                }
            }
        }
        sleep(PAUSE).await;
    };
    judge(action, note, same_boot, &state)
}

/// What the state of a unit says about an attempt, now that no job of it is under way.
fn judge(action: &SystemdAction, note: &Note, same_boot: bool, state: &UnitState) -> Outcome {
    let told = told(&action.unit, state);
    let anew = !same_boot || state.invocation != note.invocation;
    let untouched = same_boot && !anew && state.changed == note.changed;
    let done = match action.verb {
        UnitVerb::Start => state.is_up(),
        UnitVerb::Stop => state.is_down(),
        UnitVerb::Restart => anew && state.is_up(),
        // Nothing to be seen, but with a start of its own the unit has read its configuration, too.
        UnitVerb::Reload | UnitVerb::ReloadOrRestart | UnitVerb::TryRestart => anew && state.is_up(),
        UnitVerb::ResetFailed => state.active != "failed",
    };
    if done {
        return Outcome::Done { detail: format!("{}: {told}", action.verb.as_str()) };
    }
    if untouched {
        return Outcome::NotStarted { detail: format!("nothing was done to it: {told}") };
    }
    match action.verb {
        UnitVerb::Start | UnitVerb::Restart if state.active == "failed" => {
            failed(format!("{}: {told}", action.verb.as_str()))
        }
        _ => unknown(format!("whether {} was done cannot be seen: {told}", action.verb.as_str())),
    }
}

fn told(unit: &UnitName, state: &UnitState) -> String {
    format!("{unit} is {}", state.describe())
}

/// The method that makes the job.
const fn method(verb: UnitVerb) -> Option<&'static str> {
    Some(match verb {
        UnitVerb::Start => "StartUnit",
        UnitVerb::Stop => "StopUnit",
        UnitVerb::Restart => "RestartUnit",
        UnitVerb::Reload => "ReloadUnit",
        UnitVerb::ReloadOrRestart => "ReloadOrRestartUnit",
        UnitVerb::TryRestart => "TryRestartUnit",
        UnitVerb::ResetFailed => return None,
    })
}

#[cfg(test)]
mod tests;
