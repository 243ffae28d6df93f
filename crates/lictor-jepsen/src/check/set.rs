//! Sets: that what was added and acknowledged is there in the end, and nothing else.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::{Check, Finding, Outcome, Verdict};
use crate::history::{History, Kind};

/// Compares what was added with what the last read of each set found.
///
/// Each element is added once. A read that misses an element that is there later was stale; that breaks
/// nothing but what [`linear::model::Set`](super::linear::model::Set) asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetCheck;

/// Most elements that a finding names.
const NAMED: usize = 20;

/// What became of the elements of one set.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: u64,
    /// Acknowledged before the last read began, and not in it.
    lost: Vec<(String, u64)>,
    /// In the last read, and never added, or certainly not.
    unexpected: Vec<(String, Option<u64>)>,
    /// Nobody knew, and it is there.
    recovered: u64,
    /// Nobody knew, and it is not there.
    unknown: u64,
    /// Missed by a read that began after it was acknowledged, and there in the last one.
    stale: u64,
}

/// Of an element: when its call ended, and how.
struct Added {
    index: u64,
    kind: Kind,
    end: usize,
}

/// One set: its elements, and where its reads begin and end.
type One = (HashMap<String, Added>, Vec<(usize, usize)>);

impl Check for SetCheck {
    fn name(&self) -> String {
        "set".to_owned()
    }

    fn check(&self, history: &History) -> Outcome {
        let mut sets: BTreeMap<String, One> = BTreeMap::new();
        for call in history.calls() {
            let invoke = history.invoke(call);
            let set = || invoke.key.as_ref().map_or_else(String::new, Value::to_string);
            let kind = history.outcome(call);
            match (invoke.f.as_str(), call.end) {
                ("add", end) => {
                    let added = Added { index: invoke.index, kind, end: end.unwrap_or(usize::MAX) };
                    let all = &mut sets.entry(set()).or_default().0;
                    // An element that is tried again is there if one attempt was.
                    let known = all
                        .entry(invoke.value.to_string())
                        .or_insert_with(|| Added { kind: Kind::Fail, ..added });
                    if rank(kind) > rank(known.kind) || (kind == known.kind && added.end < known.end) {
                        *known = added;
                    }
                }
                ("read", Some(end)) if kind == Kind::Ok => {
                    sets.entry(set()).or_default().1.push((call.invoke, end));
                }
                _ => {}
            }
        }
        let mut tally = Tally::default();
        let mut unread = 0;
        for (added, reads) in sets.values() {
            if reads.is_empty() {
                unread += 1;
            } else {
                tally.set(history, added, reads);
            }
        }
        tally.told(sets.len(), unread)
    }
}

/// What says more: that it happened, that it may have, that it did not.
const fn rank(kind: Kind) -> u8 {
    match kind {
        Kind::Ok => 2,
        Kind::Info | Kind::Invoke => 1,
        Kind::Fail => 0,
    }
}

fn elements(value: &Value) -> Vec<String> {
    value.as_array().map(|list| list.iter().map(Value::to_string).collect()).unwrap_or_default()
}

impl Tally {
    fn set(&mut self, history: &History, added: &HashMap<String, Added>, reads: &[(usize, usize)]) {
        let Some((begin, end)) = reads.iter().max_by_key(|(begin, _)| *begin) else { return };
        let last: HashSet<String> = elements(&history.ops()[*end].value).into_iter().collect();
        for (element, added) in added {
            let there = last.contains(element);
            match added.kind {
                Kind::Ok => {
                    self.acknowledged += 1;
                    if !there && added.end < *begin {
                        self.lost.push((element.clone(), added.index));
                    }
                }
                Kind::Fail if there => self.unexpected.push((element.clone(), Some(added.index))),
                Kind::Fail => {}
                Kind::Info | Kind::Invoke if there => self.recovered += 1,
                Kind::Info | Kind::Invoke => self.unknown += 1,
            }
        }
        let unexpected = last.iter().filter(|element| !added.contains_key(*element));
        self.unexpected.extend(unexpected.map(|element| (element.clone(), None)));
        self.stale += stale(history, added, reads, &last);
    }

    fn told(mut self, sets: usize, unread: usize) -> Outcome {
        self.lost.sort_by_key(|(_, index)| *index);
        self.unexpected.sort_by_key(|(_, index)| *index);
        let (verdict, summary) = if !self.lost.is_empty() || !self.unexpected.is_empty() {
            let (lost, unexpected) = (self.lost.len(), self.unexpected.len());
            (
                Verdict::Invalid,
                format!("{lost} acknowledged elements are lost, {unexpected} are there that should not be"),
            )
        } else if sets == unread {
            (Verdict::Unknown, "no set was read".to_owned())
        } else if self.acknowledged == 0 {
            (Verdict::Unknown, "nothing was added".to_owned())
        } else if unread > 0 {
            (Verdict::Unknown, format!("of {sets} sets {unread} were never read"))
        } else {
            (Verdict::Valid, format!("all {} acknowledged elements are there", self.acknowledged))
        };
        let mut findings = Vec::new();
        if !self.lost.is_empty() {
            let names: Vec<String> = self.lost.iter().take(NAMED).map(|(name, _)| name.clone()).collect();
            let entries = self.lost.iter().take(NAMED).map(|(_, index)| *index).collect();
            findings.push(Finding::new(format!("lost: {}", listed(&names, self.lost.len())), entries));
        }
        if !self.unexpected.is_empty() {
            let names: Vec<String> = self
                .unexpected
                .iter()
                .take(NAMED)
                .map(|(name, index)| match index {
                    Some(_) => format!("{name} (refused)"),
                    None => format!("{name} (never added)"),
                })
                .collect();
            let entries = self.unexpected.iter().take(NAMED).filter_map(|(_, index)| *index).collect();
            findings.push(Finding::new(
                format!("unexpected: {}", listed(&names, self.unexpected.len())),
                entries,
            ));
        }
        let mut outcome = Outcome::new("set", verdict, summary).with(findings);
        outcome.fact("acknowledged", self.acknowledged);
        outcome.fact("lost", self.lost.len());
        outcome.fact("unexpected", self.unexpected.len());
        outcome.fact("recovered", self.recovered);
        outcome.fact("unknown", self.unknown);
        outcome.fact("missed by a stale read", self.stale);
        outcome
    }
}

fn listed(names: &[String], count: usize) -> String {
    let more = if count > names.len() { format!(" and {} more", count - names.len()) } else { String::new() };
    format!("{}{more}", names.join(", "))
}

/// How many elements an earlier read missed that it should have found, and the last one found.
fn stale(
    history: &History,
    added: &HashMap<String, Added>,
    reads: &[(usize, usize)],
    last: &HashSet<String>,
) -> u64 {
    let mut missed = HashSet::new();
    for (begin, end) in reads {
        let found: HashSet<String> = elements(&history.ops()[*end].value).into_iter().collect();
        for (element, added) in added {
            let due = added.kind == Kind::Ok && added.end < *begin;
            if due && last.contains(element) && !found.contains(element) {
                missed.insert(element);
            }
        }
    }
    missed.len() as u64
}
