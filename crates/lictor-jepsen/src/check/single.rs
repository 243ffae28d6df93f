//! Services of which one at most may be active: that two never are, and for how long none was.

use std::collections::BTreeMap;
use std::time::Duration;

use super::interval::{Interval, overlaps};
use super::linear::{described, seconds};
use super::{Check, Finding, Outcome, Verdict};
use crate::history::{History, Kind};

/// Judges, for each key, `active` calls (begun when it becomes active, ended when it is no more) and `beat` calls (a sign of
/// life of the incarnation that the value names): what has beaten was active from its first beat to its last.
///
/// Where a longest time without anybody was promised, that from the last one to the end of the history counts too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Single {
    /// The longest time without anybody that was promised.
    pub gap: Option<Duration>,
}

impl Check for Single {
    fn name(&self) -> String {
        "single".to_owned()
    }

    fn check(&self, history: &History) -> Outcome {
        let mut services: BTreeMap<String, Vec<Interval>> = BTreeMap::new();
        let mut beats: BTreeMap<(String, String), (usize, usize)> = BTreeMap::new();
        for call in history.calls() {
            let op = history.invoke(call);
            let service = op.key.as_ref().map_or_else(String::new, ToString::to_string);
            match (op.f.as_str(), call.end) {
                ("active", _) => {
                    let interval = Interval::of(history, call, described(history, call));
                    services.entry(service).or_default().extend(interval);
                }
                ("beat", Some(end)) if history.outcome(call) == Kind::Ok => {
                    // It lived at some moment in between: of the first beat the end is certain, of the last the beginning.
                    let (first, last) =
                        beats.entry((service, op.value.to_string())).or_insert((end, call.invoke));
                    (*first, *last) = ((*first).min(end), (*last).max(call.invoke));
                }
                _ => {}
            }
        }
        for ((service, name), (from, to)) in beats {
            let interval = Interval { from, to: to.max(from), name: format!("incarnation {name}") };
            services.entry(service).or_default().push(interval);
        }
        let count: usize = services.values().map(Vec::len).sum();
        let mut findings = Vec::new();
        let (mut without, mut longest) = (0, 0);
        for (service, intervals) in services {
            for (from, to) in gaps(history, &intervals, self.gap.is_some()) {
                without += to - from;
                longest = longest.max(to - from);
                let most = self.gap.map_or(u64::MAX, |gap| u64::try_from(gap.as_nanos()).unwrap_or(u64::MAX));
                if to - from > most {
                    let (length, from) = (seconds(to - from), seconds(from));
                    findings.push(Finding::new(
                        format!("{service}: nobody was active for {length} s from {from} s on"),
                        Vec::new(),
                    ));
                }
            }
            findings.extend(overlaps(intervals).into_iter().map(|(one, other)| {
                let entries = [one.from, one.to, other.from, other.to].map(|at| history.ops()[at].index);
                let text =
                    format!("{service}: two are active at the same time:\n  {}\n  {}", one.name, other.name);
                Finding::new(text, entries.into())
            }));
        }
        let (verdict, summary) = if !findings.is_empty() {
            (Verdict::Invalid, format!("{} times of {count} are not as promised", findings.len()))
        } else if count == 0 {
            (Verdict::Unknown, "nobody was ever active".to_owned())
        } else {
            (Verdict::Valid, format!("never two of {count} were active at the same time"))
        };
        let mut outcome = Outcome::new("single", verdict, summary).with(findings);
        outcome.fact("times active", count);
        outcome.fact("nobody active, in all", format!("{} s", seconds(without)));
        outcome.fact("nobody active, at the longest", format!("{} s", seconds(longest)));
        outcome
    }
}

/// Times between the first and the last in which nobody was active, in nanoseconds; `whole`: and after the last.
fn gaps(history: &History, intervals: &[Interval], whole: bool) -> Vec<(u64, u64)> {
    let time = |at: usize| history.ops().get(at).map_or(0, |op| op.time);
    let mut times: Vec<(u64, u64)> =
        intervals.iter().map(|interval| (time(interval.from), time(interval.to))).collect();
    times.sort_unstable();
    let mut gaps = Vec::new();
    let mut until: Option<u64> = None;
    for (from, to) in times {
        if let Some(until) = until.filter(|until| *until < from) {
            gaps.push((until, from));
        }
        until = Some(until.map_or(to, |until| until.max(to)));
    }
    let end = history.ops().last().map(|op| op.time);
    if let (true, Some(until), Some(end)) = (whole, until, end)
        && until < end
    {
        gaps.push((until, end));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Format;

    /// Each letter is a beat of the incarnation of that name, one a second.
    fn judge(beats: &str, gap: Option<u64>) -> (Verdict, Vec<(String, String)>) {
        let mut text = String::new();
        for (at, name) in beats.chars().enumerate().filter(|(_, name)| *name != '.') {
            for (kind, more) in [("invoke", 0), ("ok", 1)] {
                text.extend([format!(
                    "{{:time {at}00000000{more} :process {at} :type :{kind} :f :beat :key \"s\" :value \"{name}\"}}\n"
                )]);
            }
        }
        let single = Single { gap: gap.map(Duration::from_secs) };
        let outcome = single.check(&History::parse(&text, Format::Edn).unwrap());
        (outcome.verdict, outcome.facts)
    }

    #[test]
    fn one_after_the_other_is_valid_and_the_time_between_them_is_told() {
        let (verdict, facts) = judge("aaa...bb.b", None);
        assert_eq!(verdict, Verdict::Valid);
        assert!(facts.contains(&("nobody active, at the longest".into(), "4.000000 s".into())), "{facts:?}");
        assert_eq!(judge("aaa...bb.b", Some(3)).0, Verdict::Invalid);
    }

    #[test]
    fn one_that_never_comes_back_was_away_to_the_end() {
        let text = "{:time 1000000000 :process 0 :type :invoke :f :active :key 1}\n\
                    {:time 2000000000 :process 0 :type :ok :f :active :key 1}\n\
                    {:time 9000000000 :process 1 :type :invoke :f :status}\n";
        let history = History::parse(text, Format::Edn).unwrap();
        let verdict = |gap: Option<u64>| Single { gap: gap.map(Duration::from_secs) }.check(&history).verdict;
        assert_eq!([None, Some(8), Some(6)].map(verdict), [Verdict::Valid, Verdict::Valid, Verdict::Invalid]);
    }

    #[test]
    fn one_that_lives_on_while_another_one_has_begun_is_invalid() {
        assert_eq!(judge("aaabab", None).0, Verdict::Invalid);
        assert_eq!(judge("", None).0, Verdict::Unknown);
    }
}
