//! What judges a history. Nothing here does I/O; [`linear`] has threads, which end before it returns, and looks at the
//! clock for its limit of time alone.

pub mod alerts;
pub mod append;
pub mod available;
pub mod catalog;
pub mod converge;
mod interval;
pub mod lasts;
pub mod linear;
pub mod logs;
pub mod overlap;
pub mod remedy;
pub mod set;
pub mod single;
pub mod stats;
pub mod timing;
pub mod turns;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::history::History;

/// What a check says. The worse one is the greater one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// What was promised was kept.
    Valid,
    /// It cannot be told: too little was seen, or a limit was met.
    #[default]
    Unknown,
    /// A promise was broken.
    Invalid,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which check it was.
    pub check: String,
    /// What it says.
    pub verdict: Verdict,
    /// The same in a sentence.
    pub summary: String,
    /// Why, the most important first.
    pub findings: Vec<Finding>,
    /// Figures: a name and what it is.
    pub facts: Vec<(String, String)>,
}

/// Something that is wrong, or that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What it is, one line for each step.
    pub text: String,
    /// The indexes of the entries that show it.
    pub entries: Vec<u64>,
}

/// Judges a history.
pub trait Check: Sync {
    /// What it is called.
    fn name(&self) -> String;

    /// Judges.
    fn check(&self, history: &History) -> Outcome;
}

/// What all checks say together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The worst of all; unknown if there are none.
    pub verdict: Verdict,
    /// What each says, in their order.
    pub outcomes: Vec<Outcome>,
}

/// Most findings that a check names; of the rest it says how many there are.
pub const FINDINGS: usize = 20;

/// Judges a history by all checks: invalid beats unknown, and that beats valid.
pub fn all(history: &History, checks: &[Box<dyn Check>]) -> Judgement {
    Judgement::of(checks.iter().map(|check| check.check(history)).collect())
}

impl Judgement {
    /// What those say together.
    #[must_use]
    pub fn of(outcomes: Vec<Outcome>) -> Self {
        let verdict = outcomes.iter().map(|outcome| outcome.verdict).max().unwrap_or_default();
        Self { verdict, outcomes }
    }
}

impl Outcome {
    /// One without findings.
    #[must_use]
    pub fn new(check: &str, verdict: Verdict, summary: impl Into<String>) -> Self {
        let (findings, facts) = (Vec::new(), Vec::new());
        Self { check: check.to_owned(), verdict, summary: summary.into(), findings, facts }
    }

    /// The same with findings, of which at most [`FINDINGS`] are kept.
    #[must_use]
    pub fn with(mut self, findings: impl IntoIterator<Item = Finding>) -> Self {
        self.findings.extend(findings);
        if self.findings.len() > FINDINGS {
            let more = self.findings.len() - FINDINGS;
            self.findings.truncate(FINDINGS);
            self.fact("findings not shown", more);
        }
        self
    }

    /// Adds a figure.
    pub fn fact(&mut self, name: &str, value: impl fmt::Display) {
        self.facts.push((name.to_owned(), value.to_string()));
    }
}

impl Finding {
    /// One that those entries show.
    #[must_use]
    pub fn new(text: impl Into<String>, entries: Vec<u64>) -> Self {
        Self { text: text.into(), entries }
    }
}

impl Verdict {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
        }
    }

    /// What a program that judges exits with: 0, 2, 1.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 1,
            Self::Unknown => 2,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
