//! When a remedy starts, and what holds it back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Engine, Timer, Turn};
use crate::event::{Hold, What};
use crate::flood::{self, Flood};
use crate::name::{CheckName, IncidentId, RemedyName, RunId};
use crate::plan::{Mode, Remedy, StepKind, Trigger};
use crate::reading::Captures;
use crate::role::Change;
use crate::run::{Notes, Run, RunState};
use crate::step::{Refusal, RowKey};
use crate::time::Boot;

impl Engine {
    /// Looks whether a remedy's condition has become true or false, and whether what
    /// held a deferred trigger back is over.
    pub(super) fn look(&mut self, name: &RemedyName, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let Some(remedy) = plan.remedies.get(name) else { return };
        let conditions = || {
            remedy.on.iter().filter_map(|trigger| match trigger {
                Trigger::When(condition) => Some(condition),
                Trigger::Match { .. } | Trigger::Changed { .. } => None,
            })
        };
        let truths: Vec<_> = conditions().map(|condition| condition.holds(self)).collect();
        let holds = if truths.contains(&Some(true)) {
            Some(true)
        } else if truths.contains(&None) {
            None
        } else {
            Some(false)
        };
        let content = remedy.until.as_ref().is_none_or(|until| until.holds(self) == Some(true));
        let Some(flood) = self.floods.get_mut(name) else { return };
        let conditional = !truths.is_empty();
        match holds {
            Some(true) if !flood.held => {
                flood.held = true;
                if flood.starts.back() == Some(&turn.now.boot) {
                    // Another trigger of the same result was first: that start has to help as well.
                    flood.unhelpful = flood.unhelpful.saturating_add(1);
                }
                // It has become true since: what there is to know is known.
                flood.fresh_from = Boot::default();
                turn.dirty.insert(RowKey::Flood(name.clone()));
                let shown = conditions().find(|condition| condition.holds(self) == Some(true));
                let cause = shown.map_or_else(String::new, ToString::to_string);
                self.triggered(name, remedy, &cause, None, turn);
            }
            Some(false) if flood.held && content => {
                flood.ready();
                turn.dirty.insert(RowKey::Flood(name.clone()));
                if plan.limits.hold_above_percent.is_some() {
                    // One target fewer is bad: others may start now.
                    let waiting = self.floods.iter().filter(|(_, flood)| flood.deferred.is_some());
                    turn.look.extend(waiting.map(|(name, _)| name.clone()));
                }
            }
            _ => {
                let Some(cause) = flood.deferred.clone() else {
                    self.arm_remedy(name, remedy, turn);
                    return;
                };
                let (from, suppressed) = (flood.fresh_from, flood.suppressed);
                // What was deferred while no condition held came from elsewhere: a match,
                // a changed value or another remedy. Nothing has to hold still for it.
                let free = !conditional || !flood.held;
                if free || conditions().any(|one| one.holds_since(self, from) == Some(true)) {
                    self.triggered(name, remedy, &cause, None, turn);
                    // Looking once more is not one more trigger.
                    if let Some(flood) = self.floods.get_mut(name).filter(|flood| flood.deferred.is_some()) {
                        flood.suppressed = suppressed;
                    }
                }
            }
        }
        self.arm_remedy(name, remedy, turn);
    }

    /// A trigger fired, for the first time or once more after having been deferred:
    /// starts a run or notes what holds it back.
    pub(super) fn triggered(
        &mut self,
        name: &RemedyName,
        remedy: &Remedy,
        cause: &str,
        seen: Option<(What, &Captures)>,
        turn: &mut Turn,
    ) {
        let incident = self.incident_of(remedy, seen.as_ref().map(|(what, _)| what));
        let Some(hold) = self.held_back(name, remedy, turn) else {
            let deferred = || self.floods.get(name).map(|flood| Captures::clone(&flood.captures));
            let captures = match &seen {
                Some((_, captures)) => Captures::clone(captures),
                None => deferred().unwrap_or_default(),
            };
            if let Some((what, _)) = seen {
                turn.note(incident, None, what);
            }
            self.start(name, remedy, (cause, captures, None), incident, turn);
            return;
        };
        let Some(flood) = self.floods.get_mut(name) else { return };
        let first = flood.held_by.replace(hold) != Some(hold);
        // What is not known to have been done already is not forgotten either.
        let deferred =
            (remedy.defer && hold != Hold::GaveUp) || matches!(hold, Hold::Unconfirmed | Hold::Lease);
        if deferred && flood.deferred.is_none() {
            flood.deferred = Some(cause.to_owned());
            flood.captures = seen.as_ref().map(|(_, captures)| Captures::clone(captures)).unwrap_or_default();
            turn.dirty.insert(RowKey::Flood(name.clone()));
        }
        flood.suppressed = flood.suppressed.saturating_add(1);
        if first {
            turn.dirty.insert(RowKey::Flood(name.clone()));
            if let Some((what, _)) = seen {
                turn.note(incident, None, what);
            }
            let (remedy, target) = (name.clone(), remedy.target.clone());
            turn.note(incident, None, What::Suppressed { remedy, target, by: hold, deferred });
        }
        match hold {
            Hold::Budget => self.exhausted(name, remedy, incident, turn),
            Hold::GaveUp
            | Hold::Guard
            | Hold::Cooldown
            | Hold::Busy
            | Hold::Fleet
            | Hold::Unconfirmed
            | Hold::Lease => {}
        }
        self.arm_remedy(name, remedy, turn);
    }

    fn held_back(&mut self, name: &RemedyName, remedy: &Remedy, turn: &mut Turn) -> Option<Hold> {
        let now = turn.now.boot;
        let flood = self.floods.get(name)?;
        if self.withheld {
            return Some(Hold::Unconfirmed);
        }
        if !self.may_act(remedy) {
            return Some(Hold::Lease);
        }
        if flood.gave_up {
            return Some(Hold::GaveUp);
        }
        if self.index.busy.contains_key(&remedy.target) {
            return Some(Hold::Busy);
        }
        if self.too_many_bad() {
            return Some(Hold::Fleet);
        }
        if remedy.guard.as_ref().is_some_and(|guard| guard.holds(self) != Some(true)) {
            return Some(Hold::Guard);
        }
        if self.cooling_until(remedy, now).is_some() {
            return Some(Hold::Cooldown);
        }
        if flood.held && remedy.give_up_after.is_some_and(|most| flood.unhelpful >= most.get()) {
            let starts = flood.unhelpful;
            let incident = self.incident_of(remedy, None);
            if let Some(flood) = self.floods.get_mut(name) {
                flood.gave_up = true;
                flood.deferred = None;
            }
            turn.dirty.insert(RowKey::Flood(name.clone()));
            let runs = if starts == 1 { "run" } else { "runs" };
            self.escalate(name, remedy, incident, format!("{starts} {runs} did not help"), turn);
            return Some(Hold::GaveUp);
        }
        if flood.spent_until(remedy, now).is_some() {
            return Some(Hold::Budget);
        }
        None
    }

    /// Until when the cooldown holds a start back: what was started for the same target counts,
    /// whichever remedy did it.
    fn cooling_until(&self, remedy: &Remedy, now: Boot) -> Option<Boot> {
        let sharing = self.index.sharing.get(&remedy.target).into_iter().flatten();
        flood::cooling_until(remedy, sharing.filter_map(|name| self.floods.get(name)), now)
    }

    /// Whether more targets are bad at once than the plan allows.
    fn too_many_bad(&self) -> bool {
        let Some(percent) = self.plan.limits.hold_above_percent else { return false };
        let mut targets = BTreeMap::new();
        for (name, remedy) in &self.plan.remedies {
            if remedy.on.iter().any(|trigger| matches!(trigger, Trigger::When(_))) {
                let bad = self.floods.get(name).is_some_and(|flood| flood.held);
                *targets.entry(&remedy.target).or_insert(false) |= bad;
            }
        }
        let bad = targets.values().filter(|bad| **bad).count();
        bad * 100 > targets.len() * usize::from(percent)
    }

    fn exhausted(
        &mut self,
        name: &RemedyName,
        remedy: &Remedy,
        incident: Option<IncidentId>,
        turn: &mut Turn,
    ) {
        let (Some(flood), Some(budget)) = (self.floods.get_mut(name), remedy.budget) else { return };
        if std::mem::replace(&mut flood.told, true) {
            return;
        }
        turn.dirty.insert(RowKey::Flood(name.clone()));
        let why = format!("its budget of {} in {} is used up", budget.runs, crate::Span(budget.per));
        self.escalate(name, remedy, incident, why, turn);
    }

    /// Says that a person is needed, and starts the remedy that is named for this.
    pub(super) fn escalate(
        &mut self,
        name: &RemedyName,
        remedy: &Remedy,
        incident: Option<IncidentId>,
        why: String,
        turn: &mut Turn,
    ) {
        if let Some(incident) = incident.and_then(|id| self.incidents.get_mut(&id)) {
            incident.escalated = true;
            turn.dirty.insert(RowKey::Incident(incident.id));
        }
        let cause = format!("{name}: {why}");
        turn.note(
            incident,
            None,
            What::Escalated { remedy: name.clone(), target: remedy.target.clone(), why },
        );
        let plan = Arc::clone(&self.plan);
        let next = remedy.escalate.as_ref().and_then(|next| plan.remedies.get_key_value(next));
        if let Some((next, definition)) = next {
            self.triggered(next, definition, &cause, None, turn);
        }
    }

    pub(super) fn start_by_hand(&mut self, name: &RemedyName, turn: &mut Turn) -> Result<String, Refusal> {
        let plan = Arc::clone(&self.plan);
        let Some(remedy) = plan.remedies.get(name) else {
            return Err(Refusal::NotFound(format!("there is no remedy `{name}`")));
        };
        if self.withheld {
            let why = "it is not known yet what an earlier store of this node had under way".to_owned();
            return Err(Refusal::Conflict(why));
        }
        if let Some(name) = remedy.lease.as_ref().filter(|_| !self.may_act(remedy)) {
            return Err(Refusal::Conflict(self.lease_is(name)));
        }
        if let Some(run) = self.index.busy.get(&remedy.target) {
            return Err(Refusal::Conflict(format!("run {run} has the target `{}`", remedy.target)));
        }
        if let Some(flood) = self.floods.get_mut(name) {
            flood.gave_up = false;
            flood.unhelpful = 0;
            flood.told = false;
        }
        let incident = self.incident_of(remedy, None);
        let cause = ("a person asked for it", Captures::default(), None);
        Ok(match self.start(name, remedy, cause, incident, turn) {
            Some(run) => format!("{name} started as {run}"),
            None => format!("{name} is in observe mode: what it would do was recorded"),
        })
    }

    pub(super) fn start(
        &mut self,
        name: &RemedyName,
        remedy: &Remedy,
        (cause, captures, change): (&str, Captures, Option<Change>),
        incident: Option<IncidentId>,
        turn: &mut Turn,
    ) -> Option<RunId> {
        let flood = self.floods.entry(name.clone()).or_default();
        flood.start(remedy, turn.now.boot);
        flood.deferred = None;
        flood.captures = Captures::default();
        flood.held_by = None;
        flood.suppressed = 0;
        if flood.held {
            flood.unhelpful = flood.unhelpful.saturating_add(1);
        } else {
            flood.told = false;
        }
        turn.dirty.insert(RowKey::Flood(name.clone()));
        let mode = self.plan.mode.max(remedy.mode);
        let started = |mode| What::RunStarted {
            remedy: name.clone(),
            target: remedy.target.clone(),
            cause: cause.to_owned(),
            mode,
        };
        if mode == Mode::Observe {
            turn.note(incident, None, started(mode));
            for step in &remedy.steps {
                if let StepKind::Act { action, .. } = &step.kind {
                    let (step, action) = (step.name.clone(), action.clone());
                    turn.note(incident, None, What::WouldAct { step, action });
                }
            }
            return None;
        }
        let first = remedy.steps.first()?;
        let id = self.next_run();
        let run = Run {
            id,
            remedy: name.clone(),
            definition: remedy.definition.clone(),
            target: remedy.target.clone(),
            cause: cause.to_owned(),
            captures,
            change,
            incident,
            started: turn.now,
            deadline: turn.now.boot.after(remedy.deadline),
            mode,
            step: first.name.clone(),
            cancelled: None,
            cleaning: false,
            visits: BTreeMap::new(),
            tally: BTreeMap::new(),
            notes: Notes::default(),
            state: RunState::Queued { attempt: 1 },
        };
        self.index.live.insert(id);
        self.index.busy.insert(run.target.clone(), id);
        self.runs.insert(id, run);
        turn.note(incident, Some(id), started(mode));
        self.come_to(id, &first.name, turn);
        Some(id)
    }

    /// The open incident that a start belongs to: that of what was seen, or of a check
    /// that the remedy's triggers name.
    pub(super) fn incident_of(&self, remedy: &Remedy, seen: Option<&What>) -> Option<IncidentId> {
        let open = |check: &CheckName| self.index.open.get(check).copied();
        if let Some(id) = seen.and_then(What::check).and_then(open) {
            return Some(id);
        }
        remedy.on.iter().find_map(|trigger| match trigger {
            Trigger::When(condition) => condition.checks().iter().find_map(open),
            Trigger::Match { source: check, .. } | Trigger::Changed { check, .. } => open(check),
        })
    }

    /// A deferred trigger is looked at again when cooldown and budget allow; guard,
    /// lock and fleet are looked at when they change.
    fn arm_remedy(&mut self, name: &RemedyName, remedy: &Remedy, turn: &Turn) {
        let now = turn.now.boot;
        let at = self.floods.get(name).filter(|flood| flood.deferred.is_some()).and_then(|flood: &Flood| {
            // When the cooldown is over it is time to say that the budget is used up.
            self.cooling_until(remedy, now).or_else(|| flood.spent_until(remedy, now))
        });
        self.timers.set(Timer::Remedy(name.clone()), at);
    }
}
