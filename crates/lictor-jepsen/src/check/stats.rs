//! How much succeeded, of what, and while which fault was done.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Finding, Outcome, Verdict};
use crate::history::{History, Kind};

/// Counts what came of the calls. A run in which nothing of a kind succeeded says nothing: it is unknown.
///
/// Kinds whose calls never end as `ok` by their nature can be named.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// What need not succeed.
    pub may_fail: BTreeSet<String>,
}

/// What came of calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many happened.
    pub ok: u64,
    /// How many did not.
    pub fail: u64,
    /// Of how many nobody knows.
    pub info: u64,
}

impl Count {
    /// How many there were.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.ok + self.fail + self.info
    }

    /// Adds one.
    pub const fn add(&mut self, kind: Kind) {
        match kind {
            Kind::Ok => self.ok += 1,
            Kind::Fail => self.fail += 1,
            Kind::Info | Kind::Invoke => self.info += 1,
        }
    }

    /// How many of a hundred happened; none if there were none.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let share = self.ok as f64 * 100.0 / self.all() as f64;
        (self.all() > 0).then_some(share)
    }
}

/// What came of calls, by what they did, and of those that began while a fault was done by the fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of all.
    pub all: Count,
    /// By what was done.
    pub by_function: BTreeMap<String, Count>,
    /// By fault, of calls that began in one of its windows.
    pub by_fault: BTreeMap<String, Count>,
    /// Of calls that began in no window.
    pub without_fault: Count,
}

impl Counts {
    /// Those of a history.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let mut this = Self::default();
        for call in history.calls() {
            let (invoke, outcome) = (history.invoke(call), history.outcome(call));
            this.all.add(outcome);
            this.by_function.entry(invoke.f.clone()).or_default().add(outcome);
            let faults: BTreeSet<&str> = history
                .windows()
                .iter()
                .filter(|window| window.covers(invoke.time))
                .map(|window| window.fault.as_str())
                .collect();
            if faults.is_empty() {
                this.without_fault.add(outcome);
            }
            for fault in faults {
                this.by_fault.entry(fault.to_owned()).or_default().add(outcome);
            }
        }
        this
    }
}

impl Check for Stats {
    fn name(&self) -> String {
        "stats".to_owned()
    }

    fn check(&self, history: &History) -> Outcome {
        let counts = Counts::of(history);
        let never: Vec<&str> = counts
            .by_function
            .iter()
            .filter(|(f, count)| count.ok == 0 && !self.may_fail.contains(*f))
            .map(|(f, _)| f.as_str())
            .collect();
        let (verdict, summary) = if counts.all.ok == 0 {
            (Verdict::Unknown, format!("none of {} calls succeeded: the run says nothing", counts.all.all()))
        } else if never.is_empty() {
            (
                Verdict::Valid,
                format!("{} of {} calls succeeded, some of each kind", counts.all.ok, counts.all.all()),
            )
        } else {
            (Verdict::Unknown, format!("no call of these kinds succeeded: {}", never.join(", ")))
        };
        let findings = never.iter().map(|f| Finding::new(format!("no `{f}` succeeded"), Vec::new()));
        let mut outcome = Outcome::new("stats", verdict, summary).with(findings);
        let told = |count: &Count| format!("{} ok, {} fail, {} info", count.ok, count.fail, count.info);
        for (f, count) in &counts.by_function {
            outcome.fact(f, told(count));
        }
        for (fault, count) in &counts.by_fault {
            outcome.fact(&format!("during {fault}"), told(count));
        }
        if !counts.by_fault.is_empty() {
            outcome.fact("without a fault", told(&counts.without_fault));
        }
        outcome
    }
}
