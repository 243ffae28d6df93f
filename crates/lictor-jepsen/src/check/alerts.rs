//! Alerts: each that was raised is told at least once, and its end exactly once, in that order, and no other.

use std::collections::BTreeMap;

use super::{Check, Finding, Outcome, Verdict};
use crate::history::{History, Kind};

/// Judges `raise` and `resolve` calls (what happened) against `told` calls (what a receiver got, the value is `"firing"` or
/// `"resolved"`), for each key: the alert.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alerts;

/// What is known of one alert: positions of entries.
#[derive(Debug, Default)]
struct Case {
    raised: Vec<usize>,
    /// Begun, and nobody knows.
    perhaps: bool,
    resolved: Vec<usize>,
    firing: Vec<usize>,
    ended: Vec<usize>,
}

impl Check for Alerts {
    fn name(&self) -> String {
        "alerts".to_owned()
    }

    fn check(&self, history: &History) -> Outcome {
        let mut cases: BTreeMap<String, Case> = BTreeMap::new();
        for call in history.calls() {
            let (op, outcome) = (history.invoke(call), history.outcome(call));
            if !["raise", "resolve", "told"].contains(&op.f.as_str()) || outcome == Kind::Fail {
                continue;
            }
            let case =
                cases.entry(op.key.as_ref().map_or_else(String::new, ToString::to_string)).or_default();
            match (op.f.as_str(), outcome, op.value.as_str()) {
                ("raise", Kind::Ok, _) => case.raised.push(call.invoke),
                ("raise" | "resolve", Kind::Info | Kind::Invoke, _) => case.perhaps = true,
                ("resolve", Kind::Ok, _) => case.resolved.push(call.invoke),
                ("told", _, Some("firing")) => case.firing.push(call.invoke),
                ("told", _, Some("resolved")) => case.ended.push(call.invoke),
                _ => {}
            }
        }
        let mut findings = Vec::new();
        let (mut raised, mut again) = (0, 0);
        for (alert, case) in &cases {
            raised += case.raised.len();
            again += case.firing.len().saturating_sub(1);
            findings.extend(case.wrong().into_iter().map(|(what, at)| {
                let entries = at.iter().map(|at| history.ops()[*at].index).collect();
                Finding::new(format!("alert {alert}: {what}"), entries)
            }));
        }
        let (verdict, summary) = if !findings.is_empty() {
            (Verdict::Invalid, format!("{} things are wrong with {} alerts", findings.len(), cases.len()))
        } else if raised == 0 {
            (Verdict::Unknown, "no alert was raised".to_owned())
        } else {
            (Verdict::Valid, format!("all {raised} alerts were told, and each end once"))
        };
        let mut outcome = Outcome::new("alerts", verdict, summary).with(findings);
        outcome.fact("alerts raised", raised);
        outcome.fact("told once more", again);
        outcome
    }
}

impl Case {
    fn wrong(&self) -> Vec<(String, Vec<usize>)> {
        let mut wrong = Vec::new();
        if !self.raised.is_empty() && self.firing.is_empty() {
            wrong.push(("it was raised and nobody was told".to_owned(), self.raised.clone()));
        }
        if self.raised.is_empty() && !self.perhaps && !self.firing.is_empty() {
            wrong.push(("somebody was told of it, and it was never raised".to_owned(), self.firing.clone()));
        }
        if !self.resolved.is_empty() && !self.firing.is_empty() && self.ended.is_empty() {
            wrong.push(("it was over and nobody was told so".to_owned(), self.resolved.clone()));
        }
        if self.ended.len() > 1.max(self.raised.len()) {
            let what = format!("its end was told {} times", self.ended.len());
            wrong.push((what, self.ended.clone()));
        }
        if self.resolved.is_empty() && !self.perhaps && !self.ended.is_empty() {
            wrong.push(("its end was told, and it never ended".to_owned(), self.ended.clone()));
        }
        if let Some(end) = self.ended.first()
            && self.firing.first().is_none_or(|firing| firing > end)
        {
            wrong.push(("its end was told before the alert itself".to_owned(), vec![*end]));
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Format;

    fn judge(calls: &str) -> Verdict {
        let mut text = String::new();
        for (process, call) in calls.split(' ').filter(|call| !call.is_empty()).enumerate() {
            let (f, value) = match call {
                "firing" | "resolved" => ("told", format!("{call:?}")),
                other => (other, "nil".to_owned()),
            };
            for kind in ["invoke", "ok"] {
                text.extend([format!(
                    "{{:process {process} :type :{kind} :f :{f} :key 1 :value {value}}}\n"
                )]);
            }
        }
        Alerts.check(&History::parse(&text, Format::Edn).unwrap()).verdict
    }

    #[test]
    fn at_least_once_and_its_end_exactly_once_is_valid() {
        assert_eq!(judge("raise firing resolve resolved"), Verdict::Valid);
        assert_eq!(judge("raise firing firing resolve resolved"), Verdict::Valid);
        assert_eq!(judge("raise firing"), Verdict::Valid);
    }

    #[test]
    fn what_is_missing_or_too_much_is_invalid() {
        assert_eq!(judge("raise"), Verdict::Invalid);
        assert_eq!(judge("raise firing resolve"), Verdict::Invalid);
        assert_eq!(judge("raise firing resolve resolved resolved"), Verdict::Invalid);
        assert_eq!(judge("raise firing resolved"), Verdict::Invalid);
        assert_eq!(judge("raise resolved firing resolve"), Verdict::Invalid);
        assert_eq!(judge("firing"), Verdict::Invalid);
        assert_eq!(judge(""), Verdict::Unknown);
    }
}
