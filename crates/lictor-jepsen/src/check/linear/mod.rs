//! Whether there is an order in which everything could have happened, each operation at one moment between its
//! beginning and its end: linearizability.
//!
//! A history of several things is linearizable if and only if that of each is, so each key is judged alone, as many at a time
//! as there are processors, until one is found that is not. Operations that failed are left out; those of which
//! nobody knows may have happened at any time after their beginning, or not at all.

mod cache;
mod explain;
mod lanes;
pub mod model;
mod plan;
mod search;
mod shrink;

#[cfg(test)]
mod brute;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Check, Finding, Outcome, Verdict};
use crate::history::{History, Kind as Entry};
use model::{Kind, NEVER, Timed};
use search::{Bounds, Found, Limit, search};

pub use explain::Violation;
pub(crate) use explain::{described, seconds};

/// Judges whether things of a kind are linearizable.
#[derive(Clone, Copy, Debug, Default)]
pub struct Linearizable<K> {
    /// What they are.
    pub kind: K,
    /// What it may cost.
    pub limits: Limits,
}

/// What judging may cost. What is not found by then is unknown.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long the search may take, for all keys.
    pub time: Duration,
    /// How long it may take to make small what was found.
    pub explain: Duration,
    /// Bytes that the searches may remember, all together.
    pub memory: usize,
    /// How many keys are judged at a time.
    pub threads: NonZero<usize>,
}

/// What came of a history.
#[derive(Debug)]
pub struct Analysis {
    /// What came of each key, in the order of their names.
    pub keys: Vec<KeyResult>,
}

/// What came of one key.
#[derive(Debug)]
pub struct KeyResult {
    /// The key; none for calls without one.
    pub key: Option<Value>,
    /// How many operations it has, without those that failed or say nothing.
    pub operations: usize,
    /// What was found.
    pub result: KeyVerdict,
}

/// What was found of one key.
#[derive(Debug)]
pub enum KeyVerdict {
    /// An order that explains everything: numbers of calls. What nobody knows of need not be in it, nor what
    /// nobody saw.
    Valid(Vec<u32>),
    /// There is no such order.
    Invalid(Box<Violation>),
    /// It cannot be told, and why.
    Unknown(String),
    /// It was not looked at to its end: another one is invalid.
    Skipped,
}

/// The operations of one key.
#[derive(Debug)]
struct Part<A> {
    key: Option<Value>,
    operations: Result<Vec<Timed<A>>, String>,
}

impl Default for Limits {
    /// A minute, ten seconds, 2 GiB, all processors.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(60),
            explain: Duration::from_secs(10),
            memory: 2 << 30,
            threads: thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
        }
    }
}

impl<K: Kind> Linearizable<K> {
    /// Things of that kind, with limits as they are by default.
    #[must_use]
    pub fn new(kind: K) -> Self {
        Self { kind, limits: Limits::default() }
    }

    /// Judges each key. Once one is found that is not linearizable, the others are no longer looked at.
    pub fn analyse(&self, history: &History) -> Analysis {
        let parts = self.parts(history);
        let mut order: Vec<usize> = (0..parts.len()).collect();
        // The longest first, so that none is left for the end.
        order.sort_by_key(|part| std::cmp::Reverse(parts[*part].operations.as_ref().map_or(0, Vec::len)));
        let stop = AtomicBool::new(false);
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::with_capacity(parts.len()));
        let threads = self.limits.threads.get().min(parts.len()).max(1);
        #[expect(clippy::disallowed_methods, reason = "a search is given up after a time")]
        let deadline = Instant::now().checked_add(self.limits.time);
        let memory = self.limits.memory / threads;
        let bounds = Bounds { deadline, memory, steps: u64::MAX, stop: &stop };
        let work = || {
            while let Some(&number) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let result = self.judge(&parts[number], &bounds);
                if matches!(result, Ok(Found::Nothing(_))) {
                    stop.store(true, Ordering::Relaxed);
                }
                found.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_by_key(|(number, _)| *number);
        let keys = parts.into_iter().zip(found).map(|(part, (_, result))| self.told(part, result)).collect();
        Analysis { keys }
    }

    fn judge(&self, part: &Part<K::Action>, bounds: &Bounds<'_>) -> Result<Found, String> {
        let mut operations = part.operations.clone()?;
        if bounds.stop.load(Ordering::Relaxed) {
            return Ok(Found::GivenUp(Limit::Stopped));
        }
        self.kind.simplify(&mut operations);
        let found = search(&operations, self.kind.model(&operations), bounds, false);
        Ok(in_place(found, part.operations.as_ref().map_or(&[][..], Vec::as_slice), &operations))
    }

    fn told(&self, part: Part<K::Action>, result: Result<Found, String>) -> KeyResult {
        let operations = part.operations.unwrap_or_default();
        let result = match result {
            Err(error) => KeyVerdict::Unknown(error),
            Ok(Found::GivenUp(Limit::Stopped)) => KeyVerdict::Skipped,
            Ok(Found::GivenUp(limit)) => KeyVerdict::Unknown(limit.to_string()),
            Ok(Found::Order(order)) => {
                KeyVerdict::Valid(order.into_iter().map(|at| operations[at].call).collect())
            }
            Ok(Found::Nothing(blocked)) => {
                let violation = explain::explain(&self.kind, &operations, &blocked, self.limits);
                KeyVerdict::Invalid(Box::new(violation))
            }
        };
        KeyResult { key: part.key, operations: operations.len(), result }
    }

    /// The operations of each key.
    fn parts(&self, history: &History) -> Vec<Part<K::Action>> {
        let mut keys: BTreeMap<String, (Option<Value>, Vec<usize>)> = BTreeMap::new();
        let mut everywhere = Vec::new();
        for (number, call) in history.calls().iter().enumerate() {
            let invoke = history.invoke(call);
            if !self.kind.functions().contains(&invoke.f.as_str()) || history.outcome(call) == Entry::Fail {
                continue;
            }
            if invoke.key.is_none() && self.kind.spreads(&invoke.f) {
                everywhere.push(number);
                continue;
            }
            let name = invoke.key.as_ref().map_or_else(String::new, Value::to_string);
            keys.entry(name).or_insert_with(|| (invoke.key.clone(), Vec::new())).1.push(number);
        }
        let part = |(key, mut calls): (Option<Value>, Vec<usize>)| {
            if !everywhere.is_empty() {
                calls.extend(&everywhere);
                calls.sort_unstable();
            }
            Part { key, operations: self.operations(history, &calls) }
        };
        keys.into_values().map(part).collect()
    }

    fn operations(&self, history: &History, calls: &[usize]) -> Result<Vec<Timed<K::Action>>, String> {
        let mut names = K::Names::default();
        let mut operations = Vec::with_capacity(calls.len());
        for &number in calls {
            let call = &history.calls()[number];
            let invoke = history.invoke(call);
            let end = history.end(call).filter(|end| end.kind == Entry::Ok);
            let action = self.kind.action(&mut names, invoke, end);
            let action = action.map_err(|what| format!("entry {}: {what}", invoke.index))?;
            let place = |at: usize| {
                u32::try_from(at)
                    .ok()
                    .filter(|at| *at < NEVER - 1)
                    .ok_or_else(|| "the history has more than 4,294,967,293 entries".to_owned())
            };
            let end = end.and(call.end).map_or(Ok(NEVER), place)?;
            operations.extend(
                action
                    .map(|action| -> Result<_, String> {
                        Ok(Timed { action, call: place(number)?, begin: place(call.invoke)?, end })
                    })
                    .transpose()?,
            );
        }
        Ok(operations)
    }
}

/// What was found, with the positions of the operations before they were simplified.
fn in_place<A>(found: Found, before: &[Timed<A>], after: &[Timed<A>]) -> Found {
    // Both are in the order of the calls.
    let place = |at: usize| {
        let call = after.get(at).map_or(0, |operation| operation.call);
        before.partition_point(|operation| operation.call < call)
    };
    match found {
        Found::Order(order) => Found::Order(order.into_iter().map(place).collect()),
        Found::Nothing(mut blocked) => {
            blocked.longest = blocked.longest.into_iter().map(place).collect();
            Found::Nothing(blocked)
        }
        Found::GivenUp(limit) => Found::GivenUp(limit),
    }
}

impl Analysis {
    /// What all keys say together.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let verdicts = self.keys.iter().map(|key| match &key.result {
            KeyVerdict::Valid(_) => Verdict::Valid,
            KeyVerdict::Invalid(_) => Verdict::Invalid,
            KeyVerdict::Unknown(_) | KeyVerdict::Skipped => Verdict::Unknown,
        });
        verdicts.max().unwrap_or(Verdict::Unknown)
    }
}

impl<K: Kind> Check for Linearizable<K> {
    fn name(&self) -> String {
        self.kind.name().to_owned()
    }

    fn check(&self, history: &History) -> Outcome {
        let analysis = self.analyse(history);
        let total: usize = analysis.keys.iter().map(|key| key.operations).sum();
        let keys = analysis.keys.len();
        let mut findings = Vec::new();
        let (mut broken, mut unknown, mut skipped) = (0, 0, 0);
        for key in &analysis.keys {
            let name =
                key.key.as_ref().map_or_else(|| "what has no key".to_owned(), |key| format!("key {key}"));
            match &key.result {
                KeyVerdict::Valid(_) => {}
                KeyVerdict::Invalid(violation) => {
                    broken += 1;
                    findings.insert(0, violation.finding(history, &name));
                }
                KeyVerdict::Skipped => skipped += 1,
                KeyVerdict::Unknown(why) => {
                    unknown += 1;
                    findings.push(Finding::new(format!("{name} was not judged: {why}"), Vec::new()));
                }
            }
        }
        let verdict = if total == 0 { Verdict::Unknown } else { analysis.verdict() };
        let name = self.kind.name();
        let summary = match verdict {
            Verdict::Unknown if total == 0 => format!("there are no operations of a {name}"),
            Verdict::Valid => {
                let on = if keys == 1 { "1 key".to_owned() } else { format!("{keys} keys") };
                format!("all {total} operations on {on} have an order that explains them")
            }
            Verdict::Unknown => format!("of {keys} keys {unknown} could not be judged"),
            Verdict::Invalid => {
                let have = if broken == 1 { "has" } else { "have" };
                let rest = match skipped {
                    0 => String::new(),
                    _ => format!("; {skipped} were not looked at any more"),
                };
                format!("of {keys} keys {broken} {have} no order that explains it{rest}")
            }
        };
        let mut outcome = Outcome::new(&self.name(), verdict, summary).with(findings);
        outcome.fact("operations", total);
        outcome.fact("keys", keys);
        outcome
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Time => f.write_str("the time for it was over; give it more, or fewer operations on a key"),
            Self::Memory => {
                f.write_str("the memory for it was used up; give it more, or fewer operations on a key")
            }
            Self::Steps => f.write_str("it took too many steps"),
            Self::Stopped => {
                f.write_str("another key is not linearizable, so this one was not looked at to its end")
            }
            Self::Lanes(lanes) => {
                write!(f, "{lanes} operations on it are open at a time, and at most 1024 can be")
            }
        }
    }
}
