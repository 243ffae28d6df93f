//! Backup copies of local rows, as they lie in Consul.

use serde::{Deserialize, Serialize};

use super::{Row, Time};

/// What shows that the records can be read: the key `meta`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// The node that wrote it first.
    pub made_by: String,
    /// Raised when the records are put back to an earlier state.
    pub generation: u64,
}

/// Who writes the copies of a node: the key `node/<node>/self`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The history of the store that writes.
    pub lineage: String,
    /// The process that writes: random, made at its start.
    pub writer: String,
    /// The number of its store's latest commit.
    pub revision: u64,
    /// When that was.
    pub at: Time,
    /// The highest version of stored things that it reads.
    pub reads: u32,
    /// How many copies say that they are not over: who sees fewer does not see all.
    pub open: u64,
    /// The highest number a run of this node ever had.
    pub highest_run: u64,
    /// The highest number an incident of this node ever had.
    pub highest_incident: u64,
    /// How often that process had written this before: each time is a sign of life.
    #[serde(default)]
    pub beat: u64,
    /// It has stopped in order and writes no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
}

/// The copy of a run or of an incident: the keys `node/<node>/run/<id>` and
/// `node/<node>/incident/<id>`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Copy {
    /// The history it belongs to.
    pub lineage: String,
    /// The number of the commit it is from, or of a later one.
    pub revision: u64,
    /// When it was copied.
    pub at: Time,
    /// The row; none when it is over, so that nothing rises again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<Row>,
}
