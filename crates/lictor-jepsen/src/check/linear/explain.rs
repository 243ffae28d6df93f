//! Why there is no order: where the first impossible end is, and the least that is wrong.

use std::time::Instant;

use serde_json::Value;

use super::Limits;
use super::model::{Kind, NEVER, Timed};
use super::search::{Blocked, Found};
use super::shrink::Judge;
use crate::check::Finding;
use crate::history::{Call, History, Kind as Entry, Op};

/// Most operations of the least that is wrong that are told.
const TOLD: usize = 15;

/// Most characters of a value that are told: of more the first and the last ones.
const VALUE: usize = 160;

/// What has no order. All are numbers of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The one with whose end it became impossible: until right before it, everything had an order.
    pub culprit: u32,
    /// How many operations had ended before that end.
    pub before: usize,
    /// What was open at the same time as the culprit.
    pub concurrent: Vec<u32>,
    /// The least that was found that has no order by itself, in the order of the beginnings.
    pub least: Vec<u32>,
    /// An order of as much of it as possible.
    pub longest: Vec<u32>,
}

/// Finds it.
pub(super) fn explain<K: Kind>(
    kind: &K,
    operations: &[Timed<K::Action>],
    blocked: &Blocked,
    limits: Limits,
) -> Violation {
    #[expect(clippy::disallowed_methods, reason = "what is found is made small for a time")]
    let deadline = Instant::now().checked_add(limits.explain);
    let judge = Judge { kind, deadline };
    let position = first_impossible(&judge, operations, blocked);
    let culprit = operations.iter().find(|operation| operation.end == position);
    let least = judge.shrink(judge.until(operations, position));
    let (found, searched) = judge.search(&least, true);
    let longest = match found {
        Found::Nothing(blocked) => blocked.longest,
        Found::Order(_) | Found::GivenUp(_) => Vec::new(),
    };
    let concurrent = culprit.into_iter().flat_map(|culprit| {
        operations.iter().filter(move |other| {
            other.call != culprit.call && other.begin < culprit.end && other.end > culprit.begin
        })
    });
    Violation {
        culprit: culprit.map_or(0, |culprit| culprit.call),
        before: operations.iter().filter(|operation| operation.end < position).count(),
        // What began long ago and was never heard of again is open all the time.
        concurrent: concurrent.filter(|other| other.end != NEVER).map(|other| other.call).collect(),
        least: least.iter().map(|operation| operation.call).collect(),
        longest: longest.into_iter().map(|at| searched[at].call).collect(),
    }
}

/// The first end behind which what is known has no order. The search says one before which there is none.
fn first_impossible<K: Kind>(
    judge: &Judge<'_, K>,
    operations: &[Timed<K::Action>],
    blocked: &Blocked,
) -> u32 {
    let mut ends: Vec<u32> =
        operations.iter().map(|operation| operation.end).filter(|end| *end != NEVER).collect();
    ends.sort_unstable();
    let (mut low, mut high) = (ends.partition_point(|end| *end < blocked.end), ends.len().saturating_sub(1));
    low = low.min(high);
    while low < high {
        let middle = low.midpoint(high);
        if judge.is_wrong(&judge.until(operations, ends[middle])) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    ends.get(low).copied().unwrap_or(NEVER)
}

impl Violation {
    /// The same in words.
    pub(super) fn finding(&self, history: &History, name: &str) -> Finding {
        let call = |number: &u32| history.calls().get(*number as usize);
        let mut text = format!("{name} is not linearizable.\n");
        let mut line = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        if let Some(culprit) = call(&self.culprit) {
            line(format!("After {} operations had ended, no order allows:", self.before));
            line(format!("  {}", described(history, culprit)));
        }
        line(format!("These {} cannot be brought in an order:", self.least.len()));
        for call in self.least.iter().take(TOLD).filter_map(call) {
            line(format!("  {}", described(history, call)));
        }
        if self.least.len() > TOLD {
            line(format!("  and {} more", self.least.len() - TOLD));
        }
        if !self.longest.is_empty() {
            line("The longest order of them ends with:".to_owned());
            let from = self.longest.len().saturating_sub(TOLD);
            for call in self.longest.iter().skip(from).filter_map(call) {
                line(format!("  {}", described(history, call)));
            }
        }
        let entries = self
            .least
            .iter()
            .filter_map(call)
            .flat_map(|call| [Some(history.invoke(call).index), history.end(call).map(|end| end.index)]);
        let entries = entries.flatten().collect();
        Finding::new(text.trim_end(), entries)
    }
}

/// A call on one line.
pub(crate) fn described(history: &History, call: &Call) -> String {
    let invoke = history.invoke(call);
    let end = history.end(call);
    let value = |op: &Op| if op.value.is_null() { String::new() } else { told(&op.value) };
    let outcome = match end {
        None => "never ended".to_owned(),
        Some(end) => {
            let found = if end.value == invoke.value { String::new() } else { told(&end.value) };
            let found = if invoke.f == "read" && end.kind == Entry::Ok { told(&end.value) } else { found };
            let error = end.error.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
            format!("{}{found}{error}", end.kind)
        }
    };
    let node = invoke.node.as_ref().map_or_else(String::new, |node| format!(" on {node}"));
    let entries = end.map_or_else(
        || format!("entry {}", invoke.index),
        |end| format!("entries {} to {}", invoke.index, end.index),
    );
    let until = end.map_or_else(|| "…".to_owned(), |end| seconds(end.time));
    format!(
        "process {}{node}: {}{} → {outcome} [{} to {until} s, {entries}]",
        invoke.process,
        invoke.f,
        value(invoke),
        seconds(invoke.time),
    )
}

/// A value with a space before it, and not all of a long one.
fn told(value: &Value) -> String {
    let text = value.to_string();
    let count = text.chars().count();
    if count <= VALUE {
        return format!(" {text}");
    }
    let begin: String = text.chars().take(VALUE / 2).collect();
    let end: String = text.chars().skip(count - VALUE / 2).collect();
    format!(" {begin} … {} characters … {end}", count - VALUE)
}

/// Nanoseconds as seconds.
pub(crate) fn seconds(nanoseconds: u64) -> String {
    format!("{}.{:06}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000 / 1_000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_a_long_value_the_beginning_and_the_end_are_told() {
        assert_eq!(told(&json!([1, 2])), " [1,2]");
        let long = told(&(0..1_000).collect());
        assert!(long.starts_with(" [0,1,2,") && long.ends_with(",998,999]"), "{long}");
        assert!(long.contains(" … 3731 characters … ") && long.chars().count() < 200, "{long}");
    }
}
