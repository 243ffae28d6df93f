//! What a store says of itself.

use lictor_core as core;
use serde::{Deserialize, Serialize};

use super::ActChain;

/// Written when the store is made, changed hardly ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The layout of the tables.
    pub schema: u32,
    /// The history this store holds: 128 random bits in hexadecimal, made with the store.
    pub lineage: String,
    /// The node that wrote it last.
    pub node: String,
    /// Whether the node may act: it stands alone, Consul was asked for what an earlier
    /// store of this node left, or a person said that the node is new.
    pub confirmed: bool,
}

/// Written in each commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// How many commits there were.
    pub commit: u64,
    /// Whether the last commit was the last word of an orderly stop.
    pub clean: bool,
    /// The number of the next ledger entry.
    pub next_seq: u64,
    /// How many entries the ledger has.
    pub entries: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// How many rows there are.
    pub rows: u64,
    /// The checksums of all rows, one XOR the other: a row that went missing or an old one
    /// that came back is noticed.
    pub rows_sum: u32,
    /// The latest revision of a shared record that is kept here.
    pub kv_revision: u64,
    /// Where the clocks stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
    /// How far the record of acts goes; none as long as nobody asked for anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acts: Option<ActChain>,
}

/// Where the clocks stood when the store was last written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The kernel's id of that boot.
    pub boot_id: String,
    /// CLOCK_BOOTTIME then, milliseconds.
    pub kernel_boot_ms: u64,
    /// The boot-time axis then, milliseconds.
    pub boot_ms: u64,
    /// The wall clock then, milliseconds since 1970-01-01T00:00:00Z.
    pub unix_ms: i64,
}

impl From<&crate::Anchor> for Anchor {
    fn from(anchor: &crate::Anchor) -> Self {
        Self {
            boot_id: anchor.boot_id.clone(),
            kernel_boot_ms: anchor.boot_millis,
            boot_ms: anchor.axis.as_millis(),
            unix_ms: anchor.wall.as_unix_millis(),
        }
    }
}

impl From<Anchor> for crate::Anchor {
    fn from(anchor: Anchor) -> Self {
        Self {
            boot_id: anchor.boot_id,
            boot_millis: anchor.kernel_boot_ms,
            axis: core::Boot::from_millis(anchor.boot_ms),
            wall: core::Wall::from_unix_millis(anchor.unix_ms),
        }
    }
}

/// How far a watcher has read its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The watcher.
    pub watcher: String,
    /// A cursor, an offset, an index: only the watcher knows what it means.
    pub at: String,
}
