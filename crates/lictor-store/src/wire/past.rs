//! How checks stood in a part of time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How the checks stood in one minute, hour or day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// By check: milliseconds that it was passing, warning, critical, unknown and under maintenance; how many looks
    /// were timed, and the milliseconds they took together. What is missing at the end is 0.
    pub checks: BTreeMap<String, Vec<u64>>,
}
