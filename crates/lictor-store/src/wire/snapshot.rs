//! The note of the latest snapshot of a block.

use serde::{Deserialize, Serialize};

/// The latest snapshot: the key `snapshot/<name>/latest` of the datacenter it was taken of.
///
/// A node that takes over finds by it when the next one is due, and how large the last one was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LatestSnapshot {
    /// What it is called.
    pub file: String,
    /// When it was begun, milliseconds since 1970 by the wall clock.
    pub at_unix_ms: i64,
    /// The index of its state.
    pub index: u64,
    /// Bytes of the archive, before encryption.
    pub bytes: u64,
    /// The node that has taken it.
    pub node: String,
    /// When the latest one was begun that a place has; 0: none has.
    pub sent_unix_ms: i64,
    /// Files of others under names as the block gives them: where one is, nothing is removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub foreign: Vec<String>,
    /// The latest drill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<LatestDrill>,
}

/// The latest drill of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LatestDrill {
    /// When it was begun, milliseconds since 1970 by the wall clock; 0: none came to an end yet.
    pub at_unix_ms: i64,
    /// When one was last sound; 0: never.
    pub sound_unix_ms: i64,
    /// Which snapshot was tried.
    pub file: String,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Why a later one did not come about, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untried: Option<String>,
}
