//! What watchers that read lines bring in.

use std::sync::Arc;

use super::{Engine, Timer, Turn};
use crate::check::Status;
use crate::event::What;
use crate::name::{CheckName, PatternName};
use crate::plan::Trigger;
use crate::reading::{Captures, Counting, Match};

use crate::step::RowKey;
use crate::time::Boot;

/// A line kept in the ledger is cut to this many bytes.
const LINE: usize = 4_096;

impl Engine {
    /// Takes in what was read. The position is recorded with whatever the lines cause.
    pub(super) fn read(
        &mut self,
        source: &CheckName,
        matches: Vec<Match>,
        position: Option<String>,
        turn: &mut Turn,
    ) {
        // A watcher that a reload has just removed.
        if !self.plan.checks.contains_key(source) {
            return;
        }
        if let Some(position) = position {
            let reading = self.readings.entry(source.clone()).or_default();
            reading.position = Some(position);
            turn.dirty.insert(RowKey::Reading(source.clone()));
        }
        for found in matches {
            self.matched(source, &found, turn);
        }
        self.arm_reading(source);
    }

    fn matched(&mut self, source: &CheckName, found: &Match, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let counting = plan.checks.get(source).and_then(|check| check.patterns.get(&found.pattern));
        let written = turn.now.boot.before(found.age);
        match counting {
            Some(Counting::AtLeast { lines, within }) => {
                let reading = self.readings.entry(source.clone()).or_default();
                turn.dirty.insert(RowKey::Reading(source.clone()));
                if !reading.count(&found.pattern, (*lines, *within), found.count, written) {
                    return;
                }
            }
            Some(Counting::AbsentFor(_)) => {
                let reading = self.readings.entry(source.clone()).or_default();
                // Whenever it was written: one that is read late says nothing of the silence after
                // it, since others may follow.
                reading.silent_since.insert(found.pattern.clone(), Some(turn.now.boot));
                turn.dirty.insert(RowKey::Reading(source.clone()));
                return;
            }
            None => {}
        }
        self.fire(source, &found.pattern, &found.line, &found.captures, found.count, turn);
    }

    /// A pattern is an event: starts what waits for it.
    fn fire(
        &mut self,
        source: &CheckName,
        pattern: &PatternName,
        line: &str,
        captures: &Captures,
        count: u32,
        turn: &mut Turn,
    ) {
        let plan = Arc::clone(&self.plan);
        let wanted = |trigger: &Trigger| matches!(trigger, Trigger::Match { source: s, pattern: p } if s == source && p == pattern);
        for (name, remedy) in plan.remedies.iter().filter(|(_, remedy)| remedy.on.iter().any(wanted)) {
            let line = line.get(..line.floor_char_boundary(LINE)).unwrap_or_default();
            let cause = format!("{source} matched {pattern}");
            let what =
                What::Matched { source: source.clone(), pattern: pattern.clone(), line: line.to_owned() };
            self.triggered(name, remedy, &cause, Some((what, captures)), turn);
            // The others are held back by the first one, whatever it came to.
            if let Some(flood) = self.floods.get_mut(name) {
                flood.suppressed = flood.suppressed.saturating_add(u64::from(count.saturating_sub(1)));
            }
        }
    }

    /// Tells of lines that have not come.
    pub(super) fn wake_reading(&mut self, source: &CheckName, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        if self.is_blind(source) {
            self.wait_anew(source, turn.now.boot);
        }
        let patterns = plan.checks.get(source).into_iter().flat_map(|check| &check.patterns);
        for (pattern, counting) in patterns {
            let Counting::AbsentFor(limit) = counting else { continue };
            let Some(since) = self.readings.get(source).and_then(|one| one.silent_since.get(pattern)) else {
                continue;
            };
            let Some(silent) = since.map(|since| turn.now.boot.since(since)) else { continue };
            if silent < *limit {
                continue;
            }
            if let Some(reading) = self.readings.get_mut(source) {
                reading.silent_since.insert(pattern.clone(), None);
            }
            turn.dirty.insert(RowKey::Reading(source.clone()));
            let line = format!("no line for {}", crate::Span(silent));
            self.fire(source, pattern, &line, &Captures::default(), 1, turn);
        }
        self.arm_reading(source);
    }

    pub(super) fn arm_reading(&mut self, source: &CheckName) {
        let plan = Arc::clone(&self.plan);
        let patterns = plan.checks.get(source).into_iter().flat_map(|check| &check.patterns);
        let reading = self.readings.get(source);
        let due = patterns.filter_map(|(pattern, counting)| match counting {
            Counting::AbsentFor(limit) => {
                reading?.silent_since.get(pattern).copied().flatten().map(|since| since.after(*limit))
            }
            Counting::AtLeast { .. } => None,
        });
        self.timers.set(Timer::Reading(source.clone()), due.min());
    }

    /// Brings what is remembered in line with the plan: what is waited for is waited for from now on.
    pub(super) fn take_up_readings(&mut self, turn: &mut Turn) {
        let plan = Arc::clone(&self.plan);
        let gone: Vec<_> =
            self.readings.keys().filter(|name| !plan.checks.contains_key(*name)).cloned().collect();
        for name in gone {
            self.readings.remove(&name);
            self.timers.set(Timer::Reading(name.clone()), None);
            turn.gone.insert(RowKey::Reading(name));
        }
        for (name, check) in &plan.checks {
            if check.patterns.is_empty() && !self.readings.contains_key(name) {
                continue;
            }
            let reading = self.readings.entry(name.clone()).or_default();
            let before = reading.clone();
            let is = |pattern: &PatternName, absent: bool| {
                check.patterns.get(pattern).is_some_and(|one| matches!(one, Counting::AbsentFor(_)) == absent)
            };
            reading.counted.retain(|pattern, _| is(pattern, false));
            reading.silent_since.retain(|pattern, _| is(pattern, true));
            for pattern in check.patterns.keys().filter(|pattern| is(pattern, true)) {
                reading.silent_since.entry(pattern.clone()).or_insert(Some(turn.now.boot));
            }
            if *reading != before {
                turn.dirty.insert(RowKey::Reading(name.clone()));
            }
            self.arm_reading(name);
        }
    }

    /// The silence of an agent that did not look is not that of what it watches: what is waited
    /// for is waited for anew.
    pub(super) fn forgive_silence(&mut self, turn: &Turn) {
        let names: Vec<_> = self.readings.keys().cloned().collect();
        for name in names {
            self.wait_anew(&name, turn.now.boot);
        }
    }

    fn is_blind(&self, source: &CheckName) -> bool {
        let last = self.checks.get(source).and_then(|check| check.last.as_ref());
        last.is_some_and(|(_, sample)| sample.status == Status::Unknown)
    }

    /// What is waited for is waited for from now on: its watcher could not look.
    pub(super) fn wait_anew(&mut self, source: &CheckName, now: Boot) {
        let Some(reading) = self.readings.get_mut(source) else { return };
        for since in reading.silent_since.values_mut().flatten() {
            *since = (*since).max(now);
        }
        self.arm_reading(source);
    }
}
