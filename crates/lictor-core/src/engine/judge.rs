//! Checks and incidents.

use std::sync::Arc;

use super::{Engine, Timer, Turn};
use crate::check::{Sample, Status, Transition, Value};
use crate::event::What;
use crate::incident::Incident;
use crate::name::{CheckName, IncidentId, ValueName};
use crate::plan::{CheckSource, Trigger};
use crate::reading::Captures;
use crate::step::RowKey;

impl Engine {
    pub(super) fn observed(&mut self, name: &CheckName, mut sample: Sample, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        // A result of a watcher that a reload has just removed.
        let Some(check_plan) = plan.checks.get(name) else { return };
        let Some(check) = self.checks.get_mut(name) else { return };
        if check_plan.source != CheckSource::Watcher {
            return;
        }
        for rate in &check_plan.rates {
            let Some(Value::Number(number)) = sample.value(&rate.of).cloned() else { continue };
            let points = self.rates.entry((name.clone(), rate.name.clone())).or_default();
            if let Some(found) = points.add(number, rate.within, turn.now.boot) {
                sample.values.push((rate.name.clone(), Value::Number(found)));
            }
        }
        let unknown = |sample: &Sample| sample.status == Status::Unknown;
        let blind = unknown(&sample) || check.last.as_ref().is_some_and(|(_, before)| unknown(before));
        let transition = Arc::make_mut(check).observe(check_plan, sample, turn.now);
        self.arm_check(name);
        if let Some(transition) = transition {
            self.changed(name, transition, turn);
        }
        if blind {
            self.wait_anew(name, turn.now.boot);
        }
        self.value_changes(name, turn);
        self.tell_readers(name, turn);
    }

    pub(super) fn wake_check(&mut self, name: &CheckName, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let Some(check_plan) = plan.checks.get(name) else { return };
        // Silence may be the last thing that a fault seen before it has lacked: nothing is decided
        // by what the check is in between.
        while let Some(check) = self.checks.get_mut(name)
            && let Some(transition) = Arc::make_mut(check).wake(check_plan, turn.now)
        {
            self.changed(name, transition, turn);
        }
        self.arm_check(name);
        // Silence that goes on is news to those who wait for fresh results.
        self.tell_readers(name, turn);
    }

    pub(super) fn arm_check(&mut self, name: &CheckName) {
        let at = match (self.plan.checks.get(name), self.checks.get(name)) {
            (Some(plan), Some(check)) => check.wake_at(plan),
            _ => None,
        };
        self.timers.set(Timer::Check(name.clone()), at);
    }

    fn tell_readers(&self, name: &CheckName, turn: &mut Turn) {
        for remedy in self.index.readers.get(name).into_iter().flatten() {
            turn.look.insert(remedy.clone());
            for id in &self.index.live {
                if self.runs.get(id).is_some_and(|run| run.remedy == *remedy) {
                    turn.advance.insert(*id);
                }
            }
        }
    }

    fn changed(&mut self, name: &CheckName, transition: Transition, turn: &mut Turn) {
        turn.dirty.insert(RowKey::Check(name.clone()));
        let Transition { from, to, summary, flapping, evidence } = transition;
        let incident = self.keep_incident(name, to, &summary, turn);
        let what = What::Transition { check: name.clone(), from, to, summary, evidence };
        turn.note(incident, None, what);
        if let Some(flaps) = flapping {
            turn.note(incident, None, What::Flapping { check: name.clone(), flaps });
        }
        if let (Status::Passing, Some(id)) = (to, incident) {
            self.close_incident(id, None, turn);
        }
        for composite in self.index.composites.get(name).cloned().unwrap_or_default() {
            self.compose(&composite, turn);
        }
        self.tell_readers(name, turn);
    }

    /// Opens the incident of a check that is not passing, or brings the open one up to date.
    fn keep_incident(
        &mut self,
        name: &CheckName,
        status: Status,
        summary: &str,
        turn: &mut Turn,
    ) -> Option<IncidentId> {
        let id = match self.index.open.get(name) {
            Some(id) => *id,
            None if status == Status::Passing => return None,
            None => {
                let id = self.next_incident();
                let incident = Incident {
                    id,
                    check: name.clone(),
                    opened: turn.now,
                    closed: None,
                    status,
                    worst: status,
                    summary: summary.to_owned(),
                    escalated: false,
                };
                self.incidents.insert(id, incident);
                self.index.open.insert(name.clone(), id);
                turn.note(Some(id), None, What::IncidentOpened { check: name.clone() });
                id
            }
        };
        if let Some(incident) = self.incidents.get_mut(&id) {
            incident.status = status;
            incident.worst = incident.worst.max(status);
            summary.clone_into(&mut incident.summary);
        }
        turn.dirty.insert(RowKey::Incident(id));
        Some(id)
    }

    pub(super) fn close_incident(&mut self, id: IncidentId, why: Option<String>, turn: &mut Turn) {
        let Some(incident) = self.incidents.get_mut(&id) else { return };
        incident.closed = Some(turn.now);
        let check = incident.check.clone();
        let after = turn.now.boot.since(incident.opened.boot);
        self.index.open.remove(&check);
        turn.dirty.insert(RowKey::Incident(id));
        turn.note(Some(id), None, What::IncidentClosed { check, after, why });
    }

    /// Closes the incidents of checks that no longer exist.
    pub(super) fn close_orphans(&mut self, turn: &mut Turn) {
        let orphans: Vec<_> = self
            .index
            .open
            .iter()
            .filter(|(check, _)| !self.checks.contains_key(*check))
            .map(|(_, id)| *id)
            .collect();
        for id in orphans {
            self.close_incident(id, Some("the check was removed from the configuration".into()), turn);
        }
    }

    /// Judges every composite anew, after members came or went.
    pub(super) fn compose_all(&mut self, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        for (name, check) in &plan.checks {
            if matches!(check.source, CheckSource::Checks { .. }) {
                self.compose(name, turn);
            }
        }
    }

    fn compose(&mut self, name: &CheckName, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let Some(check_plan) = plan.checks.get(name) else { return };
        let CheckSource::Checks { at_least, of } = &check_plan.source else { return };
        let mut members: Vec<_> = of
            .iter()
            .map(|member| (self.checks.get(member).map_or(Status::Unknown, |check| check.status), member))
            .collect();
        let judged = |name: &CheckName| self.checks.get(name).is_some_and(|check| check.judged());
        let waits = !judged(name) && !members.iter().all(|(_, member)| judged(member));
        members.sort_by_key(|(status, _)| *status);
        let status =
            at_least.checked_sub(1).and_then(|nth| members.get(nth)).map_or(Status::Unknown, |(s, _)| *s);
        if waits && status == Status::Unknown {
            // Not every member is judged yet: that is not "no data". What the members said
            // before counts no more either.
            if let Some(check) = self.checks.get_mut(name) {
                Arc::make_mut(check).streak = None;
            }
            self.arm_check(name);
            return;
        }
        let passing = members.iter().filter(|(status, _)| *status == Status::Passing).count();
        let mut summary = format!("{passing} of {} passing, {at_least} needed", members.len());
        let bad: Vec<_> = members
            .iter()
            .rev()
            .filter(|(status, _)| *status != Status::Passing)
            .take(5)
            .map(|(status, member)| format!("{member} {status}"))
            .collect();
        if !bad.is_empty() {
            summary = format!("{summary}: {}", bad.join(", "));
        }
        let Some(check) = self.checks.get_mut(name) else { return };
        let transition = Arc::make_mut(check).observe(check_plan, Sample::new(status, summary), turn.now);
        self.arm_check(name);
        if let Some(transition) = transition {
            self.changed(name, transition, turn);
        } else {
            self.tell_readers(name, turn);
        }
    }

    /// Starts remedies that look at a value which is now another one than the last known.
    fn value_changes(&mut self, name: &CheckName, turn: &mut Turn) {
        let Some(watched) = self.index.watched.get(name).cloned() else { return };
        for value in watched {
            let seen = self.checks.get(name).and_then(|check| check.last.as_ref());
            let seen = seen.filter(|(_, sample)| sample.status != Status::Unknown);
            let Some(after) = seen.and_then(|(_, sample)| sample.value(&value)).cloned() else { continue };
            if matches!(after, Value::Number(number) if number.is_nan()) {
                continue;
            }
            let before = self.known.insert((name.clone(), value.clone()), after.clone());
            match before {
                Some(before) if before == after => {}
                Some(before) => self.value_changed(name, &value, &before, &after, turn),
                // From now on a change is noticed also over a restart.
                None => {
                    turn.dirty.insert(RowKey::Check(name.clone()));
                }
            }
        }
    }

    fn value_changed(
        &mut self,
        name: &CheckName,
        value: &ValueName,
        before: &Value,
        after: &Value,
        turn: &mut Turn,
    ) {
        let plan = Arc::clone(&self.plan);
        let (from, to) = (before.to_string(), after.to_string());
        let cause = format!("{value} of {name} changed from {from} to {to}");
        let wanted = |trigger: &Trigger| match trigger {
            Trigger::Changed { check, value: of, from, to } => {
                (check, of) == (name, value)
                    && from.as_ref().is_none_or(|from| from == before)
                    && to.as_ref().is_none_or(|to| to == after)
            }
            Trigger::When(_) | Trigger::Match { .. } => false,
        };
        let told = turn.events.len();
        let tells = plan.checks.get(name).is_some_and(|check| check.tell.contains(value));
        if tells {
            let (check, value) = (name.clone(), value.clone());
            let what = What::ValueChanged { check, value, from: from.clone(), to: to.clone() };
            turn.note(self.index.open.get(name).copied(), None, what);
        }
        for (remedy, definition) in plan.remedies.iter().filter(|(_, one)| one.on.iter().any(wanted)) {
            let (check, value) = (name.clone(), value.clone());
            let what = What::ValueChanged { check, value, from: from.clone(), to: to.clone() };
            let none = Captures::default();
            let seen = (!tells).then_some((what, &none));
            self.triggered(remedy, definition, &cause, seen, turn);
        }
        if turn.events.len() > told {
            turn.dirty.insert(RowKey::Check(name.clone()));
        }
    }
}
