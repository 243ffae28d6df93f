//! Runs of remedies: each promised step once and in order, and never two runs of a remedy at a time.

use std::collections::BTreeMap;

use super::interval::{Interval, overlaps};
use super::linear::described;
use super::{Check, Finding, Outcome, Verdict};
use crate::history::{History, Kind};

/// Judges `run` calls (the value is the run) and `step` calls (the value is `[run, number]`, from 1), for each key: the
/// remedy.
///
/// A run that happened has all its steps; of one of which nobody knows they may end early.
#[derive(Clone, Copy, Debug)]
pub struct Remedy {
    /// How many steps were promised.
    pub steps: u64,
}

/// One run.
#[derive(Debug, Default)]
struct Run {
    /// Whether it happened.
    done: bool,
    begun: bool,
    /// Its steps in the order of their beginnings, with where that is.
    steps: Vec<(u64, usize)>,
}

impl Check for Remedy {
    fn name(&self) -> String {
        "remedy".to_owned()
    }

    fn check(&self, history: &History) -> Outcome {
        let mut runs: BTreeMap<(String, String), Run> = BTreeMap::new();
        let mut intervals: BTreeMap<String, Vec<Interval>> = BTreeMap::new();
        let mut findings = Vec::new();
        for call in history.calls() {
            let (op, outcome) = (history.invoke(call), history.outcome(call));
            let remedy = op.key.as_ref().map_or_else(String::new, ToString::to_string);
            match (op.f.as_str(), outcome) {
                ("run", Kind::Ok | Kind::Info | Kind::Invoke) => {
                    let run = runs.entry((remedy.clone(), op.value.to_string())).or_default();
                    (run.done, run.begun) = (outcome == Kind::Ok, true);
                    let interval = Interval::of(history, call, described(history, call));
                    intervals.entry(remedy).or_default().extend(interval);
                }
                ("step", Kind::Ok | Kind::Info | Kind::Invoke) => {
                    let (run, number) =
                        (op.value.get(0), op.value.get(1).and_then(serde_json::Value::as_u64));
                    let (Some(run), Some(number)) = (run, number) else {
                        let text = format!("entry {}: the value of a step is [run, number]", op.index);
                        return Outcome::new(
                            "remedy",
                            Verdict::Unknown,
                            format!("it was not judged: {text}"),
                        );
                    };
                    runs.entry((remedy, run.to_string())).or_default().steps.push((number, call.invoke));
                }
                _ => {}
            }
        }
        for (one, other) in intervals.into_values().flat_map(overlaps) {
            let entries = [one.from, other.from].map(|at| history.ops()[at].index);
            let text = format!("two runs at the same time:\n  {}\n  {}", one.name, other.name);
            findings.push(Finding::new(text, entries.into()));
        }
        let mut done = 0;
        for ((remedy, name), run) in &runs {
            done += u64::from(run.done);
            if let Some(what) = run.wrong(self.steps) {
                let entries = run.steps.iter().map(|(_, at)| history.ops()[*at].index).collect();
                findings.push(Finding::new(format!("run {name} of {remedy}: {what}"), entries));
            }
        }
        let (verdict, summary) = if !findings.is_empty() {
            (Verdict::Invalid, format!("{} things are wrong with {} runs", findings.len(), runs.len()))
        } else if done == 0 {
            (Verdict::Unknown, "no run came to its end".to_owned())
        } else {
            (Verdict::Valid, format!("{done} runs did each of their {} steps once and in order", self.steps))
        };
        let mut outcome = Outcome::new("remedy", verdict, summary).with(findings);
        outcome.fact("runs", runs.len());
        outcome.fact("came to their end", done);
        outcome
    }
}

impl Run {
    fn wrong(&self, promised: u64) -> Option<String> {
        if !self.begun {
            return Some("it has steps, and was never begun".to_owned());
        }
        let numbers: Vec<u64> = self.steps.iter().map(|(number, _)| *number).collect();
        let in_order = numbers.iter().copied().eq(1..=numbers.len() as u64);
        if !in_order {
            return Some(format!("its steps are {numbers:?}, not each once and in order"));
        }
        let count = numbers.len() as u64;
        if count > promised || (self.done && count < promised) {
            return Some(format!("it did {count} steps of {promised}"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Format;

    /// `r1` begins run 1, `e1` ends it, `s1.2` is its second step, all of one remedy.
    fn judge(entries: &str) -> Verdict {
        let mut text = String::new();
        for (at, entry) in entries.split(' ').filter(|entry| !entry.is_empty()).enumerate() {
            let (what, rest) = entry.split_at(1);
            text.extend([match what {
                "r" => format!("{{:process {rest} :type :invoke :f :run :key 1 :value {rest}}}\n"),
                "e" => format!("{{:process {rest} :type :ok :f :run :key 1 :value {rest}}}\n"),
                _ => {
                    let value = rest.replace('.', " ");
                    let process = 100 + at;
                    ["invoke", "ok"]
                        .map(|kind| {
                            format!("{{:process {process} :type :{kind} :f :step :key 1 :value [{value}]}}\n")
                        })
                        .concat()
                }
            }]);
        }
        Remedy { steps: 2 }.check(&History::parse(&text, Format::Edn).unwrap()).verdict
    }

    #[test]
    fn each_step_once_and_in_order_is_valid() {
        assert_eq!(judge("r1 s1.1 s1.2 e1 r2 s2.1 s2.2 e2"), Verdict::Valid);
        assert_eq!(judge("r1 s1.1 s1.2 e1 r2 s2.1"), Verdict::Valid, "the second was broken off");
        assert_eq!(judge("r1 s1.1"), Verdict::Unknown);
    }

    #[test]
    fn steps_twice_left_out_or_out_of_order_are_invalid() {
        assert_eq!(judge("r1 s1.1 s1.1 s1.2 e1"), Verdict::Invalid);
        assert_eq!(judge("r1 s1.1 e1"), Verdict::Invalid);
        assert_eq!(judge("r1 s1.2 s1.1 e1"), Verdict::Invalid);
        assert_eq!(judge("r1 s1.1 s1.2 s1.3 e1"), Verdict::Invalid);
        assert_eq!(judge("s1.1 s1.2"), Verdict::Invalid);
    }

    #[test]
    fn two_runs_at_a_time_are_invalid() {
        assert_eq!(judge("r1 s1.1 r2 s1.2 e1 s2.1 s2.2 e2"), Verdict::Invalid);
    }
}
