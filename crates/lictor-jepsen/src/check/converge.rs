//! That all places have the same in the end, and what they should have.

use std::collections::BTreeMap;

use serde_json::Value;

use super::linear::described;
use super::{Check, Finding, Outcome, Verdict};
use crate::history::{Call, History, Kind};

/// Compares what the last `final` call at each node found, for each key; and if there is an `expected` call, that with it.
///
/// A place that could not be asked in the end makes it unknown, never valid.
#[derive(Clone, Copy, Debug, Default)]
pub struct Converge {
    /// How many places have to have been asked.
    pub places: usize,
}

impl Check for Converge {
    fn name(&self) -> String {
        "converge".to_owned()
    }

    fn check(&self, history: &History) -> Outcome {
        let mut states: BTreeMap<String, BTreeMap<String, &Call>> = BTreeMap::new();
        let mut expected: BTreeMap<String, &Value> = BTreeMap::new();
        for call in history.calls() {
            let op = history.invoke(call);
            let key = op.key.as_ref().map_or_else(String::new, ToString::to_string);
            match (op.f.as_str(), history.end(call)) {
                ("final", _) => {
                    let place = op.node.clone().unwrap_or_else(|| format!("process {}", op.process));
                    states.entry(key).or_default().insert(place, call);
                }
                ("expected", Some(end)) if end.kind == Kind::Ok => {
                    expected.insert(key, &end.value);
                }
                _ => {}
            }
        }
        let mut findings = Vec::new();
        let (mut missing, mut places) = (0, 0);
        for (key, states) in &states {
            places = places.max(states.len());
            missing += self.places.saturating_sub(states.len());
            let asked: Vec<&&Call> =
                states.values().filter(|call| history.outcome(call) == Kind::Ok).collect();
            missing += states.len() - asked.len();
            let wanted = expected.get(key).copied();
            let Some(reference) = wanted.or_else(|| Some(&history.end(asked.first()?)?.value)) else {
                continue;
            };
            let other =
                asked.iter().find(|call| history.end(call).is_some_and(|end| end.value != *reference));
            if let Some(other) = other {
                let name = if key.is_empty() { String::new() } else { format!(" of key {key}") };
                let should = match (wanted, asked.first()) {
                    (None, Some(first)) => described(history, first),
                    _ => format!("expected: {reference}"),
                };
                let text = format!(
                    "the state{name} is not the same everywhere:\n  {should}\n  {}",
                    described(history, other)
                );
                findings.push(Finding::new(text, vec![history.invoke(other).index]));
            }
        }
        let (verdict, summary) = if !findings.is_empty() {
            (
                Verdict::Invalid,
                format!("{} of {} states are not the same everywhere", findings.len(), states.len()),
            )
        } else if states.is_empty() {
            (Verdict::Unknown, "nobody looked at the final state".to_owned())
        } else if missing > 0 {
            (Verdict::Unknown, format!("the final state of {missing} places is not known"))
        } else {
            (Verdict::Valid, format!("{} states are the same at {places} places", states.len()))
        };
        let mut outcome = Outcome::new("converge", verdict, summary).with(findings);
        outcome.fact("states", states.len());
        outcome.fact("places", places);
        outcome.fact("not known", missing);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Format;

    fn judge(places: usize, states: &[(&str, &str, &str)]) -> Verdict {
        let mut text = String::new();
        for (process, (f, outcome, value)) in states.iter().enumerate() {
            let common = format!(":process {process} :node \"n{process}\" :f :{f}");
            text.extend([format!(
                "{{{common} :type :invoke}}\n{{{common} :type :{outcome} :value {value}}}\n"
            )]);
        }
        Converge { places }.check(&History::parse(&text, Format::Edn).unwrap()).verdict
    }

    #[test]
    fn places_that_have_the_same_are_valid() {
        assert_eq!(judge(2, &[("final", "ok", "{:a 1}"), ("final", "ok", "{:a 1}")]), Verdict::Valid);
        assert_eq!(judge(2, &[("final", "ok", "{:a 1}"), ("final", "ok", "{:a 2}")]), Verdict::Invalid);
    }

    #[test]
    fn what_is_expected_counts() {
        let both = [("final", "ok", "1"), ("final", "ok", "1"), ("expected", "ok", "2")];
        assert_eq!(judge(2, &both), Verdict::Invalid);
    }

    #[test]
    fn a_place_that_was_not_asked_is_never_valid() {
        assert_eq!(judge(3, &[("final", "ok", "1"), ("final", "ok", "1")]), Verdict::Unknown);
        assert_eq!(judge(2, &[("final", "ok", "1"), ("final", "info", "nil")]), Verdict::Unknown);
        assert_eq!(judge(0, &[]), Verdict::Unknown);
    }
}
