//! What the servers' logs must not say.

use super::{Check, Finding, Outcome, Verdict};
use crate::history::History;

/// Looks for panics, data races and the like in texts that somebody else has read.
#[derive(Clone, Debug, Default)]
pub struct Logs {
    /// What each file is called and what is in it.
    pub files: Vec<(String, String)>,
}

/// What must not stand in a line, and what it means.
const SIGNS: [(&str, &str); 8] = [
    ("WARNING: DATA RACE", "data race"),
    ("panicked at", "panic"),
    ("panic:", "panic"),
    ("fatal error:", "fatal error"),
    ("unexpected fault address", "fatal error"),
    ("SIGSEGV", "fatal error"),
    ("SIGABRT", "fatal error"),
    ("stack overflow", "fatal error"),
];

/// Most characters of a line that are told.
const LINE: usize = 300;

/// What a line must not say, if it says it.
#[must_use]
pub fn sign(line: &str) -> Option<&'static str> {
    SIGNS.iter().find(|(sign, _)| line.contains(sign)).map(|(_, meaning)| *meaning)
}

impl Check for Logs {
    fn name(&self) -> String {
        "logs".to_owned()
    }

    fn check(&self, _: &History) -> Outcome {
        let mut findings = Vec::new();
        let mut lines = 0;
        for (name, text) in &self.files {
            for (number, line) in text.lines().enumerate() {
                lines += 1;
                if let Some(meaning) = sign(line) {
                    let line: String = line.chars().take(LINE).collect();
                    findings
                        .push(Finding::new(format!("{name}:{}: {meaning}: {line}", number + 1), Vec::new()));
                }
            }
        }
        let (verdict, summary) = if !findings.is_empty() {
            (Verdict::Invalid, format!("{} lines tell of a panic, a data race or such", findings.len()))
        } else if lines == 0 {
            (Verdict::Unknown, "there are no logs".to_owned())
        } else {
            (
                Verdict::Valid,
                format!("none of {lines} lines of {} logs tells of a panic or such", self.files.len()),
            )
        };
        let mut outcome = Outcome::new("logs", verdict, summary).with(findings);
        outcome.fact("lines", lines);
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> Outcome {
        let files = vec![("n1.log".to_owned(), text.to_owned())];
        Logs { files }.check(&History::default())
    }

    #[test]
    fn a_panic_is_told_with_its_line() {
        let outcome = judge("all is well\npanic: runtime error: index out of range\n");
        assert_eq!(outcome.verdict, Verdict::Invalid);
        assert_eq!(outcome.findings[0].text, "n1.log:2: panic: panic: runtime error: index out of range");
        assert_eq!(judge("thread 'main' panicked at src/main.rs:1:1").verdict, Verdict::Invalid);
        assert_eq!(judge("WARNING: DATA RACE").verdict, Verdict::Invalid);
    }

    #[test]
    fn logs_without_one_are_valid_and_none_are_unknown() {
        assert_eq!(judge("[ERR] raft: failed to contact n2\n").verdict, Verdict::Valid);
        assert_eq!(judge("").verdict, Verdict::Unknown);
    }
}
