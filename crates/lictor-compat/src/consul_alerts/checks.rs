//! Which checks count, and after how long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regex::{Regex, RegexBuilder};

/// Largest regular expression once it is compiled, in bytes.
const REGEX_LIMIT: usize = 1 << 20;

/// How long a change must last when nothing is said.
pub const THRESHOLD: Duration = Duration::from_secs(60);

/// The longest that it can be, seconds: ten years.
pub(super) const LONGEST: i64 = 315_360_000;

/// A check of Consul's, as keys name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckRef<'a> {
    /// The node.
    pub node: &'a str,
    /// The id of the service; empty for a check of the node.
    pub service_id: &'a str,
    /// The id of the check.
    pub check_id: &'a str,
    /// Its status.
    pub status: &'a str,
}

impl CheckRef<'_> {
    /// `NODE/SERVICE-ID or _/CHECK-ID`.
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.node, self.service_part(), self.check_id)
    }

    fn service_part(&self) -> &str {
        if self.service_id.is_empty() { "_" } else { self.service_id }
    }
}

/// How long a change must last until it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// When nothing more specific is said.
    pub global: Duration,
    /// By what [`CheckRef::path`] gives. A negative number stands for the global one.
    pub single: BTreeMap<String, i64>,
    /// By the id of the check.
    pub check: BTreeMap<String, i64>,
    /// By the id of the service; `_` are the checks of nodes.
    pub service: BTreeMap<String, i64>,
    /// By the node.
    pub node: BTreeMap<String, i64>,
}

impl Default for Thresholds {
    fn default() -> Self {
        let none = BTreeMap::new;
        Self { global: THRESHOLD, single: none(), check: none(), service: none(), node: none() }
    }
}

impl Thresholds {
    /// That of a check: the first that is said of the check itself, its id everywhere, its
    /// service, and its node.
    pub fn of(&self, check: &CheckRef<'_>) -> Duration {
        let found = self
            .single
            .get(&check.path())
            .or_else(|| self.check.get(check.check_id))
            .or_else(|| self.service.get(check.service_part()))
            .or_else(|| self.node.get(check.node));
        match found.map(|seconds| u64::try_from(*seconds)) {
            Some(Ok(seconds)) => Duration::from_secs(seconds),
            Some(Err(_)) | None => self.global,
        }
    }
}

/// A regular expression as it was written.
#[derive(Clone, Debug)]
pub struct Expression(Regex);

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Expression {}

impl Expression {
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(text).size_limit(REGEX_LIMIT).build();
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "is too large".to_owned(),
            error => error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        })
    }

    /// Whether it is found somewhere in the text.
    pub fn fits(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// What is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blacklist {
    /// By the name of the node.
    pub nodes: Listed,
    /// By the id of the service; checks of nodes have none.
    pub services: Listed,
    /// By the id of the check.
    pub checks: Listed,
    /// By the status.
    pub status: Listed,
    /// By what [`CheckRef::path`] gives.
    pub single: BTreeSet<String>,
}

/// Names, and expressions that are found in names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The whole name.
    pub exact: BTreeSet<String>,
    /// Found somewhere in it.
    pub patterns: Vec<Expression>,
}

impl Listed {
    /// Whether a name is listed.
    pub fn has(&self, name: &str) -> bool {
        self.exact.contains(name) || self.patterns.iter().any(|pattern| pattern.fits(name))
    }
}

impl Blacklist {
    /// Whether a check is not looked at.
    pub fn has(&self, check: &CheckRef<'_>) -> bool {
        self.nodes.has(check.node)
            || (!check.service_id.is_empty() && self.services.has(check.service_id))
            || self.checks.has(check.check_id)
            || self.status.has(check.status)
            || self.single.contains(&check.path())
    }
}
