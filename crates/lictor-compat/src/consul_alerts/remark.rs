//! What of a configuration cannot be used, and how single values are read.

use std::fmt;

/// Something that cannot be used as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// The key.
    pub key: String,
    /// What is wrong with it. Values are not shown: they may be secrets.
    pub why: String,
    /// What counts instead.
    pub instead: String,
}

impl Remark {
    pub(crate) fn new(key: &str, why: &str, instead: &str) -> Self {
        Self { key: key.to_owned(), why: why.to_owned(), instead: instead.to_owned() }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}; {}", self.key, self.why, self.instead)
    }
}

/// Yes or no, in any of the spellings that Go reads.
pub(crate) fn bool_of(text: &str) -> Option<bool> {
    match text.trim() {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A whole number.
pub(crate) fn int_of(text: &str) -> Option<i64> {
    text.trim().parse().ok()
}
