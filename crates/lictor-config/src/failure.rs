//! All that is wrong with a configuration.

use std::fmt;

use miette::Diagnostic;
use serde_json::Value;

use crate::problem::Problem;

/// Why there is no configuration: every mistake, in the order of the files. Shown by
/// miette's handlers, one mistake after the other, or as JSON.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The mistakes; at least one, at most 100.
    pub errors: Vec<Problem>,
    /// Mistakes beyond those.
    pub more: usize,
    /// What deserves a warning besides.
    pub warnings: Vec<Problem>,
}

impl Failure {
    /// The mistakes and warnings as a JSON list of objects with `code`, `severity`,
    /// `message`, `file`, `line`, `column` and `help`.
    pub fn to_json(&self) -> Value {
        self.errors.iter().chain(&self.warnings).map(Problem::to_json).collect()
    }

    /// One line for each mistake, for logs.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.errors.iter().map(Problem::one_line)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.errors.len(), self.more) {
            (1, 0) => f.write_str("the configuration has a mistake"),
            (known, 0) => write!(f, "the configuration has {known} mistakes"),
            (known, more) => {
                write!(f, "the configuration has {} mistakes, of which {known} are shown", known + more)
            }
        }
    }
}

impl std::error::Error for Failure {}

impl Diagnostic for Failure {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.errors.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}
