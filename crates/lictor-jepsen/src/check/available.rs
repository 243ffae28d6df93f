//! That everything works again after the faults are over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::stats::Count;
use super::{Check, Finding, Outcome, Verdict};
use crate::history::History;

/// Looks at the calls that began some time after the last fault was over: enough of each kind have to succeed.
///
/// What is refused may be meant so: a call that ends as `fail` counts as answered. If there is no such call, or a fault
/// never ended, it is unknown.
#[derive(Clone, Debug)]
pub struct Available {
    /// How long after the last fault.
    pub settle: Duration,
    /// How many of a hundred calls of a kind have to be answered.
    pub share: f64,
    /// Kinds that need not be.
    pub may_fail: BTreeSet<String>,
}

impl Default for Available {
    /// After 30 seconds, 99 of a hundred.
    fn default() -> Self {
        Self { settle: Duration::from_secs(30), share: 99.0, may_fail: BTreeSet::new() }
    }
}

impl Check for Available {
    fn name(&self) -> String {
        "available".to_owned()
    }

    fn check(&self, history: &History) -> Outcome {
        let settle = u64::try_from(self.settle.as_nanos()).unwrap_or(u64::MAX);
        let unknown = |summary: String| Outcome::new("available", Verdict::Unknown, summary);
        let mut healed = 0;
        for window in history.windows() {
            match window.end {
                Some(end) => healed = healed.max(end),
                None => return unknown(format!("the fault {} was never ended", window.fault)),
            }
        }
        let from = if history.windows().is_empty() { 0 } else { healed.saturating_add(settle) };
        let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
        let mut before = BTreeSet::new();
        for call in history.calls() {
            let invoke = history.invoke(call);
            if invoke.time >= from {
                counts.entry(&invoke.f).or_default().add(history.outcome(call));
            } else {
                before.insert(invoke.f.as_str());
            }
        }
        let lacks = |(f, count): &(&&str, &Count)| {
            #[expect(clippy::cast_precision_loss, reason = "a share")]
            let answered = (count.ok + count.fail) as f64 * 100.0 / count.all() as f64;
            !self.may_fail.contains(**f) && (answered < self.share || count.ok == 0)
        };
        let findings: Vec<Finding> = counts
            .iter()
            .filter(lacks)
            .map(|(f, count)| {
                let text = format!(
                    "`{f}`: {} ok, {} fail, {} info of {}",
                    count.ok,
                    count.fail,
                    count.info,
                    count.all()
                );
                Finding::new(text, Vec::new())
            })
            .collect();
        let lacking: Vec<&str> = counts.iter().filter(lacks).map(|(f, _)| *f).collect();
        let seconds = |time: u64| format!("{:.1}", Duration::from_nanos(time).as_secs_f64());
        let (verdict, summary) = if counts.is_empty() {
            (Verdict::Unknown, format!("no call began after {} s, when all was to work again", seconds(from)))
        } else if findings.is_empty() {
            (Verdict::Valid, format!("from {} s on, after the last fault, all works again", seconds(from)))
        } else {
            (Verdict::Invalid, format!("what does not work after the last fault: {}", lacking.join(", ")))
        };
        let mut outcome = Outcome::new("available", verdict, summary).with(findings);
        outcome.fact("the last fault was over at", format!("{} s", seconds(healed)));
        for (f, count) in &counts {
            outcome.fact(f, format!("{} of {} ok", count.ok, count.all()));
        }
        let gone: Vec<&str> = before.into_iter().filter(|f| !counts.contains_key(f)).collect();
        if !gone.is_empty() {
            outcome.fact("not tried any more", gone.join(", "));
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Format;

    /// Calls at these seconds, with what came of them; a fault from 10 to 20.
    fn judge(calls: &[(u64, &str)]) -> Verdict {
        let mut entries = vec![
            (10, ":process :nemesis :type :info :f :start-partition".to_owned()),
            (20, ":process :nemesis :type :info :f :stop-partition".to_owned()),
        ];
        for (process, (time, outcome)) in calls.iter().enumerate() {
            entries.push((*time, format!(":process {process} :type :invoke :f :read")));
            entries.push((*time, format!(":process {process} :type :{outcome} :f :read")));
        }
        entries.sort_by_key(|(time, _)| *time);
        let text: String =
            entries.iter().map(|(time, entry)| format!("{{:time {time}000000000 {entry}}}\n")).collect();
        Available::default().check(&History::parse(&text, Format::Edn).unwrap()).verdict
    }

    #[test]
    fn only_what_comes_after_the_settling_counts() {
        assert_eq!(judge(&[(15, "info"), (40, "info"), (55, "ok")]), Verdict::Valid);
        assert_eq!(judge(&[(15, "ok"), (55, "info"), (56, "ok")]), Verdict::Invalid);
        assert_eq!(judge(&[(55, "fail")]), Verdict::Invalid, "refusals alone are no service");
        assert_eq!(judge(&[(15, "ok"), (40, "ok")]), Verdict::Unknown);
    }
}
