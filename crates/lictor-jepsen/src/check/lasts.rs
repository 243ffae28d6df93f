//! How long calls may last.

use std::time::Duration;

use super::{Check, Finding, Outcome, Verdict};
use crate::history::{History, Kind};

/// Whether calls that ended as `ok` lasted as long as they have to, and no longer: from before the request was sent until the answer
/// was there.
#[derive(Clone, Debug)]
pub struct Lasts {
    /// Which calls.
    pub f: String,
    /// How long they last at least.
    pub least: Duration,
    /// And at most.
    pub most: Duration,
}

impl Check for Lasts {
    fn name(&self) -> String {
        format!("lasts {}", self.f)
    }

    fn check(&self, history: &History) -> Outcome {
        let ended = history.calls().iter().filter_map(|call| {
            let begin = history.invoke(call);
            let end = history.end(call).filter(|end| begin.f == self.f && end.kind == Kind::Ok)?;
            Some((begin, end, Duration::from_nanos(end.time.saturating_sub(begin.time))))
        });
        let mut lasted: Vec<_> = ended.collect();
        lasted.sort_by_key(|&(_, _, time)| time);
        let (least, most) = (self.least, self.most);
        let wrong = lasted.iter().filter(|(_, _, time)| *time < least || *time > most);
        let findings: Vec<_> = wrong
            .map(|(begin, end, time)| {
                let text = format!("{} of process {} lasted {time:.3?}", self.f, begin.process);
                Finding::new(text, vec![begin.index, end.index])
            })
            .collect();
        let (first, last) = (lasted.first(), lasted.last());
        let (verdict, summary) = match (first.zip(last), findings.len()) {
            (None, _) => (Verdict::Unknown, "none was seen to its end".to_owned()),
            (Some(((.., from), (.., to))), 0) => {
                (Verdict::Valid, format!("{} lasted {from:.3?} to {to:.3?}", lasted.len()))
            }
            (_, some) => {
                let all = lasted.len();
                (
                    Verdict::Invalid,
                    format!("of {all} {some} lasted less than {least:?} or more than {most:?}"),
                )
            }
        };
        Outcome::new(&self.name(), verdict, summary).with(findings)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::history::{Op, Process};

    fn judge(lasted: &[Duration]) -> Outcome {
        let mut ops = Vec::new();
        let mut now = 0;
        for &time in lasted {
            let op = Op::invoke(now, Process::Client(0), "lock-delay", None, Value::Null);
            now += u64::try_from(time.as_nanos()).unwrap();
            ops.push(op.clone());
            ops.push(op.complete(now, Kind::Ok, Value::Null));
        }
        for (index, op) in (0..).zip(&mut ops) {
            op.index = index;
        }
        let check =
            Lasts { f: "lock-delay".to_owned(), least: Duration::from_secs(3), most: Duration::from_secs(5) };
        check.check(&History::new(ops).unwrap())
    }

    #[test]
    fn what_lasts_as_long_as_it_has_to_is_fine() {
        let judged = judge(&[Duration::from_secs(4), Duration::from_secs(3)]);
        assert_eq!((judged.verdict, judged.summary.as_str()), (Verdict::Valid, "2 lasted 3.000s to 4.000s"));
    }

    #[test]
    fn what_is_too_short_or_too_long_is_found() {
        let judged = judge(&[Duration::from_millis(2_999), Duration::from_secs(4), Duration::from_secs(6)]);
        assert_eq!(judged.verdict, Verdict::Invalid);
        let texts: Vec<_> = judged.findings.iter().map(|finding| finding.text.as_str()).collect();
        assert_eq!(texts, ["lock-delay of process 0 lasted 2.999s", "lock-delay of process 0 lasted 6.000s"]);
    }

    #[test]
    fn where_nothing_was_seen_nothing_is_known() {
        assert_eq!(judge(&[]).verdict, Verdict::Unknown);
    }
}
