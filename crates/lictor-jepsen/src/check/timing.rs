//! How long it takes from one thing to another: the expiry of sessions, the delay of locks.

use std::time::Duration;

use super::linear::{described, seconds};
use super::{Check, Finding, Outcome, Verdict};
use crate::history::{Call, History, Kind};

/// By what the two calls belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Same {
    /// The key.
    #[default]
    Key,
    /// The value: a session.
    Value,
}

/// Judges the time from the last `from` to the next `to` of the same key or value.
///
/// A call happened at some moment between its beginning and its end, so the time between two lies between two bounds. What
/// is certain counts: too early if it was less than the least at most, too late if it was more than the most at least.
/// A `from` that no `to` follows is too late if another one does not follow, and the history goes on long enough.
#[derive(Clone, Debug)]
pub struct Timing {
    /// What it is called.
    pub name: String,
    /// What the time begins with.
    pub from: String,
    /// What it ends with.
    pub to: String,
    /// What they have in common.
    pub same: Same,
    /// The least time that was promised.
    pub least: Option<Duration>,
    /// The most.
    pub most: Option<Duration>,
}

impl Timing {
    fn subject(&self, history: &History, call: &Call) -> String {
        let op = history.invoke(call);
        match self.same {
            Same::Key => op.key.as_ref().map_or_else(String::new, ToString::to_string),
            Same::Value => op.value.to_string(),
        }
    }

    /// Pairs of calls, the second none if it never came.
    fn pairs<'a>(&self, history: &'a History) -> Vec<(&'a Call, Option<&'a Call>)> {
        let mut open: std::collections::BTreeMap<String, &Call> = std::collections::BTreeMap::new();
        let mut ended: Vec<&Call> = history
            .calls()
            .iter()
            .filter(|call| {
                let f = &history.invoke(call).f;
                history.outcome(call) == Kind::Ok && (*f == self.from || *f == self.to)
            })
            .collect();
        ended.sort_unstable_by_key(|call| call.end);
        let mut pairs = Vec::new();
        for call in ended {
            let subject = self.subject(history, call);
            if history.invoke(call).f == self.from {
                open.insert(subject, call);
            } else if let Some(from) = open.remove(&subject) {
                pairs.push((from, Some(call)));
            }
        }
        pairs.extend(open.into_values().map(|from| (from, None)));
        pairs
    }
}

impl Check for Timing {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn check(&self, history: &History) -> Outcome {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let least = self.least.map_or(0, nanoseconds);
        let most = self.most.map_or(u64::MAX, nanoseconds);
        let mut findings = Vec::new();
        let mut times = Vec::new();
        let mut open = 0u64;
        let end = |call: &Call| history.end(call).map_or(0, |end| end.time);
        for (from, to) in self.pairs(history) {
            let Some(to) = to else {
                let waited = history.duration().saturating_sub(end(from));
                if waited > most {
                    let text = format!(
                        "after {} s still not there:\n  {}",
                        seconds(waited),
                        described(history, from)
                    );
                    findings.push(Finding::new(text, vec![history.invoke(from).index]));
                } else {
                    open += 1;
                }
                continue;
            };
            let shortest = history.invoke(to).time.saturating_sub(end(from));
            let longest = end(to).saturating_sub(history.invoke(from).time);
            times.push((shortest, longest));
            let what = if longest < least {
                format!("too early, after {} s at most", seconds(longest))
            } else if shortest > most {
                format!("too late, after {} s at least", seconds(shortest))
            } else {
                continue;
            };
            let text = format!("{what}:\n  {}\n  {}", described(history, from), described(history, to));
            findings.push(Finding::new(text, vec![history.invoke(from).index, history.invoke(to).index]));
        }
        let (from, to) = (&self.from, &self.to);
        let (verdict, summary) = if !findings.is_empty() {
            (Verdict::Invalid, format!("{} times from {from} to {to} are out of bounds", findings.len()))
        } else if times.is_empty() {
            (Verdict::Unknown, format!("there was no {from} that a {to} followed"))
        } else {
            (Verdict::Valid, format!("{} times from {from} to {to} are within bounds", times.len()))
        };
        let mut outcome = Outcome::new(&self.name, verdict, summary).with(findings);
        outcome.fact("times", times.len());
        if let Some((shortest, _)) = times.iter().min() {
            outcome.fact("the shortest, at least", format!("{} s", seconds(*shortest)));
        }
        if let Some(longest) = times.iter().map(|(_, longest)| longest).max() {
            outcome.fact("the longest, at most", format!("{} s", seconds(*longest)));
        }
        outcome.fact("not over yet", open);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Format;

    /// A session ends, and later somebody gets the lock: times in seconds of each beginning and end.
    fn judge(expired: (u64, u64), acquired: Option<(u64, u64)>, last: u64) -> Verdict {
        let mut entries = vec![
            (expired.0, "1 :type :invoke :f :expired".to_owned()),
            (expired.1, "1 :type :ok :f :expired".to_owned()),
            (last, "3 :type :invoke :f :read".to_owned()),
        ];
        if let Some((begin, end)) = acquired {
            entries.push((begin, "2 :type :invoke :f :acquire".to_owned()));
            entries.push((end, "2 :type :ok :f :acquire".to_owned()));
        }
        entries.sort_by_key(|(time, _)| *time);
        let text: String = entries
            .iter()
            .map(|(time, entry)| format!("{{:time {time}000000000 :key 1 :process {entry}}}\n"))
            .collect();
        let timing = Timing {
            name: "lock-delay".into(),
            from: "expired".into(),
            to: "acquire".into(),
            same: Same::Key,
            least: Some(Duration::from_secs(15)),
            most: Some(Duration::from_secs(20)),
        };
        timing.check(&History::parse(&text, Format::Edn).unwrap()).verdict
    }

    #[test]
    fn only_what_is_certain_counts() {
        assert_eq!(judge((10, 11), Some((27, 28)), 60), Verdict::Valid);
        assert_eq!(judge((10, 11), Some((20, 24)), 60), Verdict::Invalid, "14 s at most");
        assert_eq!(judge((10, 11), Some((20, 26)), 60), Verdict::Valid, "16 s at most");
        assert_eq!(judge((10, 11), Some((32, 33)), 60), Verdict::Invalid, "21 s at least");
        assert_eq!(judge((10, 12), Some((32, 60)), 60), Verdict::Valid, "20 s at least");
    }

    #[test]
    fn what_never_comes_is_too_late_if_one_has_waited_for_it() {
        assert_eq!(judge((10, 11), None, 60), Verdict::Invalid);
        assert_eq!(judge((10, 11), None, 20), Verdict::Unknown);
    }
}
