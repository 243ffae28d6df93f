//! What is told of something by turns: that it is wrong, that it is over, that it is wrong again.

use std::collections::BTreeMap;

use super::{Check, Finding, Outcome, Verdict};
use crate::history::{History, Kind};

/// Judges `told` calls (the value is `"firing"` or `"resolved"`), for each key: each fault is told once and its end once, and in the
/// end all is over. What was wrong is not looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turns;

impl Check for Turns {
    fn name(&self) -> String {
        "turns".to_owned()
    }

    fn check(&self, history: &History) -> Outcome {
        let mut told: BTreeMap<String, Vec<(usize, bool)>> = BTreeMap::new();
        for call in history.calls() {
            let op = history.invoke(call);
            if op.f != "told" || history.outcome(call) == Kind::Fail {
                continue;
            }
            let key = op.key.as_ref().map_or_else(String::new, ToString::to_string);
            told.entry(key).or_default().push((call.invoke, op.value == "firing"));
        }
        let mut findings = Vec::new();
        let mut faults = 0;
        for (key, turns) in &mut told {
            turns.sort_unstable();
            faults += turns.iter().filter(|(_, firing)| *firing).count();
            findings.extend(wrong(turns).into_iter().map(|(what, at)| {
                Finding::new(format!("{key}: {what}"), at.iter().map(|&at| history.ops()[at].index).collect())
            }));
        }
        let (verdict, summary) = if !findings.is_empty() {
            (
                Verdict::Invalid,
                format!("{} things are wrong with what was told of {}", findings.len(), told.len()),
            )
        } else if faults == 0 {
            (Verdict::Unknown, "nothing was ever told".to_owned())
        } else {
            (Verdict::Valid, format!("each of {faults} faults was told once, and its end once"))
        };
        let mut outcome = Outcome::new("turns", verdict, summary).with(findings);
        outcome.fact("of so many", told.len());
        outcome.fact("faults told", faults);
        outcome
    }
}

/// What does not follow by turns: where it is, and whether it tells of a fault.
fn wrong(turns: &[(usize, bool)]) -> Vec<(&'static str, Vec<usize>)> {
    let mut wrong = Vec::new();
    let mut before: Option<(usize, bool)> = None;
    for &(at, firing) in turns {
        match (before, firing) {
            (Some((earlier, true)), true) => wrong.push(("a fault was told twice", vec![earlier, at])),
            (Some((earlier, false)), false) => wrong.push(("its end was told twice", vec![earlier, at])),
            (None, false) => wrong.push(("its end was told, and it never was", vec![at])),
            (Some((_, true)), false) | (None | Some((_, false)), true) => {}
        }
        before = Some((at, firing));
    }
    if let Some((at, true)) = before {
        wrong.push(("nobody was told that it is over", vec![at]));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Format;

    /// `+` tells of a fault and `-` of its end.
    fn judge(told: &str) -> Verdict {
        let mut text = String::new();
        for (process, turn) in told.chars().enumerate() {
            let value = if turn == '+' { "firing" } else { "resolved" };
            for kind in ["invoke", "ok"] {
                text.extend([format!(
                    "{{:process {process} :type :{kind} :f :told :key \"n1 of n2\" :value \"{value}\"}}\n"
                )]);
            }
        }
        Turns.check(&History::parse(&text, Format::Edn).unwrap()).verdict
    }

    #[test]
    fn a_fault_and_its_end_by_turns_are_valid() {
        assert_eq!(judge("+-"), Verdict::Valid);
        assert_eq!(judge("+-+-+-"), Verdict::Valid);
        assert_eq!(judge(""), Verdict::Unknown);
    }

    #[test]
    fn what_is_told_twice_or_not_at_all_is_invalid() {
        for told in ["++-", "+--", "-", "+-+", "+"] {
            assert_eq!(judge(told), Verdict::Invalid, "{told}");
        }
    }
}
