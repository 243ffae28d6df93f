//! Locks: that no two hold one at the same time, and that nobody who was overtaken is listened to.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::interval::{Interval, overlaps};
use super::linear::described;
use super::{Check, Finding, Outcome, Verdict};
use crate::history::{Call, History, Kind};

/// Judges critical sections and fencing tokens, for each key.
///
/// A section is a `hold` call: begun when the work begins, ended when it is done. Without any it is the time from the `ok` of
/// an `acquire` to the beginning of the `release` of the same session. Of one that never ended only the
/// beginning is certain.
///
/// What a resource accepts is an `ok` of `store`, whose value is the token, or has it as `token`. Once a token was accepted,
/// no lower one may be that comes later. The token of an `acquire` is its `consul_index`: it grows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overlap {
    /// Whether sections may overlap as long as tokens keep the order: a lock of Consul's promises no more.
    pub fenced: bool,
}

impl Check for Overlap {
    fn name(&self) -> String {
        if self.fenced { "fencing".to_owned() } else { "overlap".to_owned() }
    }

    fn check(&self, history: &History) -> Outcome {
        let sections = sections(history);
        let count: usize = sections.values().map(Vec::len).sum();
        let overlapping: Vec<(Interval, Interval)> = sections.into_values().flat_map(overlaps).collect();
        let (stored, late) = tokens(history, "store");
        let (acquired, old) = tokens(history, "acquire");
        let mut findings: Vec<Finding> = Vec::new();
        let told = |(earlier, later): &(&Call, &Call)| {
            let (one, other) = (described(history, earlier), described(history, later));
            let text = format!("a token was overtaken and accepted all the same:\n  {one}\n  {other}");
            Finding::new(text, vec![history.invoke(earlier).index, history.invoke(later).index])
        };
        findings.extend(late.iter().chain(&old).map(told));
        let wrong_tokens = findings.len();
        if !self.fenced {
            findings.extend(overlapping.iter().map(|(one, other)| {
                let entries = [one.from, one.to, other.from, other.to].map(|at| history.ops()[at].index);
                Finding::new(
                    format!("two hold it at the same time:\n  {}\n  {}", one.name, other.name),
                    entries.into(),
                )
            }));
        }
        let (verdict, summary) = if !findings.is_empty() {
            let overlapping = overlapping.len();
            (
                Verdict::Invalid,
                format!("{overlapping} sections overlap, {wrong_tokens} overtaken tokens were accepted"),
            )
        } else if self.fenced && stored == 0 {
            (Verdict::Unknown, "nothing was stored under a token".to_owned())
        } else if !self.fenced && count == 0 {
            (Verdict::Unknown, "nobody held a lock".to_owned())
        } else if self.fenced {
            (Verdict::Valid, format!("{stored} stores were accepted in the order of their tokens"))
        } else {
            (Verdict::Valid, format!("none of {count} sections overlap"))
        };
        let mut outcome = Outcome::new(&self.name(), verdict, summary).with(findings);
        outcome.fact("sections", count);
        outcome.fact("overlaps", overlapping.len());
        outcome.fact("stores accepted", stored);
        outcome.fact("tokens given", acquired);
        outcome
    }
}

fn key(history: &History, call: &Call) -> String {
    history.invoke(call).key.as_ref().map_or_else(String::new, Value::to_string)
}

/// The critical sections of each key.
fn sections(history: &History) -> BTreeMap<String, Vec<Interval>> {
    let mut sections: BTreeMap<String, Vec<Interval>> = BTreeMap::new();
    for call in history.calls().iter().filter(|call| history.invoke(call).f == "hold") {
        let section = Interval::of(history, call, described(history, call));
        sections.entry(key(history, call)).or_default().extend(section);
    }
    if !sections.is_empty() {
        return sections;
    }
    // Of each session what it has acquired and not let go of.
    let mut held: HashMap<(String, String), (usize, String)> = HashMap::new();
    let mut marks: Vec<(usize, &Call)> = Vec::new();
    for call in history.calls() {
        match (history.invoke(call).f.as_str(), history.outcome(call)) {
            ("acquire", Kind::Ok) => marks.extend(call.end.map(|end| (end, call))),
            ("release", _) => marks.push((call.invoke, call)),
            _ => {}
        }
    }
    marks.sort_unstable_by_key(|(at, _)| *at);
    for (at, call) in marks {
        let invoke = history.invoke(call);
        let lock = key(history, call);
        let session = match history.end(call) {
            Some(end) if invoke.value.is_null() => end.value.to_string(),
            _ => invoke.value.to_string(),
        };
        let place = (lock.clone(), session);
        if invoke.f == "acquire" {
            held.entry(place).or_insert_with(|| (at, described(history, call)));
        } else if let Some((from, name)) = held.remove(&place) {
            sections.entry(lock).or_default().push(Interval { from, to: at, name });
        }
    }
    for ((lock, _), (from, name)) in held {
        sections.entry(lock).or_default().push(Interval { from, to: from, name });
    }
    sections
}

/// How many calls of a function have a token and happened, and those that came behind one with a higher token, with that
/// one.
fn tokens<'a>(history: &'a History, f: &str) -> (usize, Vec<(&'a Call, &'a Call)>) {
    let mut by_key: BTreeMap<String, Vec<(u64, &Call)>> = BTreeMap::new();
    let mut count = 0;
    for call in history.calls() {
        if history.invoke(call).f != f || history.outcome(call) != Kind::Ok {
            continue;
        }
        let Some(end) = history.end(call) else { continue };
        let token = match f {
            "acquire" => end.consul_index,
            _ => end.value.as_u64().or_else(|| end.value.get("token").and_then(Value::as_u64)),
        };
        if let Some(token) = token {
            count += 1;
            by_key.entry(key(history, call)).or_default().push((token, call));
        }
    }
    let late = by_key.into_values().flat_map(|calls| overtaken(calls, f == "acquire"));
    (count, late.collect())
}

/// Calls that began after one with a higher token had ended, or with `strict` the same token.
fn overtaken(mut calls: Vec<(u64, &Call)>, strict: bool) -> Vec<(&Call, &Call)> {
    let mut ended = calls.clone();
    ended.sort_unstable_by_key(|(_, call)| call.end);
    calls.sort_unstable_by_key(|(_, call)| call.invoke);
    let mut ended = ended.into_iter().peekable();
    let mut highest: Option<(u64, &Call)> = None;
    let mut late = Vec::new();
    for (token, call) in calls {
        while let Some(before) = ended.next_if(|(_, before)| before.end.is_some_and(|end| end < call.invoke))
        {
            if highest.is_none_or(|(highest, _)| highest < before.0) {
                highest = Some(before);
            }
        }
        if let Some((highest, before)) = highest
            && (highest > token || (strict && highest == token))
        {
            late.push((before, call));
        }
    }
    late
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Format;

    fn judge(fenced: bool, lines: &[&str]) -> (Verdict, String) {
        let text: Vec<String> =
            lines.iter().enumerate().map(|(at, line)| format!("{{:index {at} :time {at} {line}}}")).collect();
        let outcome = Overlap { fenced }.check(&History::parse(&text.join("\n"), Format::Edn).unwrap());
        (outcome.verdict, outcome.summary)
    }

    const A: &str = ":process 1 :type :invoke :f :hold :key 1 :value 7";
    const A_ENDS: &str = ":process 1 :type :ok :f :hold :key 1 :value 7";
    const B: &str = ":process 2 :type :invoke :f :hold :key 1 :value 8";
    const B_ENDS: &str = ":process 2 :type :ok :f :hold :key 1 :value 8";

    #[test]
    fn sections_one_after_the_other_are_valid() {
        assert_eq!(judge(false, &[A, A_ENDS, B, B_ENDS]).0, Verdict::Valid);
    }

    #[test]
    fn sections_at_the_same_time_are_invalid_unless_they_are_fenced() {
        assert_eq!(judge(false, &[A, B, A_ENDS, B_ENDS]).0, Verdict::Invalid);
        let store = |process: u8, token: u8| {
            let common = format!(":process 1{process} :f :store :key 1 :value {token}");
            [format!("{common} :type :invoke"), format!("{common} :type :ok")]
        };
        let ([first, first_ends], [second, second_ends]) = (store(1, 7), store(2, 8));
        let in_order = [A, B, &first, &first_ends, &second, &second_ends, A_ENDS, B_ENDS];
        assert_eq!(judge(true, &in_order).0, Verdict::Valid);
        let overtaken = [A, B, &second, &second_ends, &first, &first_ends, A_ENDS, B_ENDS];
        assert_eq!(judge(true, &overtaken).0, Verdict::Invalid);
        let at_once = [A, B, &second, &first, &first_ends, &second_ends, A_ENDS, B_ENDS];
        assert_eq!(judge(true, &at_once).0, Verdict::Valid, "nobody knows which came first");
    }

    #[test]
    fn without_holds_it_is_from_the_acquire_to_the_release() {
        let acquire = |process: u8, kind: &str| {
            format!(
                ":process {process} :type :{kind} :f :acquire :key 1 :value \"s{process}\" :consul_index {process}"
            )
        };
        let release = |process: u8, kind: &str| {
            format!(":process {process} :type :{kind} :f :release :key 1 :value \"s{process}\"")
        };
        let whole = |process| {
            [
                acquire(process, "invoke"),
                acquire(process, "ok"),
                release(process, "invoke"),
                release(process, "ok"),
            ]
        };
        let ([a, b, c, d], [e, f, g, h]) = (whole(1), whole(2));
        assert_eq!(judge(false, &[&a, &b, &c, &d, &e, &f, &g, &h]).0, Verdict::Valid);
        assert_eq!(judge(false, &[&a, &b, &e, &f, &c, &d, &g, &h]).0, Verdict::Invalid);
        assert_eq!(
            judge(false, &[&a, &b, &c, &e, &f, &d, &g, &h]).0,
            Verdict::Valid,
            "it was being released"
        );
        let (verdict, summary) = judge(true, &[&e, &f, &g, &h, &a, &b, &c, &d]);
        assert_eq!(verdict, Verdict::Invalid, "tokens grow: {summary}");
    }

    #[test]
    fn nothing_held_is_unknown() {
        assert_eq!(judge(false, &[]).0, Verdict::Unknown);
        assert_eq!(judge(true, &[A, A_ENDS]).0, Verdict::Unknown);
    }
}
