//! What is copied between datacenters, as JSON.

use lictor_core::Now;
use serde::Serialize;

use crate::replicate::{CopyView, words};
use crate::web::text::{millis, rfc3339, visible};

/// `GET /v1/replicate`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Copies {
    /// The node whose view it is.
    pub(in crate::web) node: String,
    /// By block, then in the order in which they are written there.
    pub(in crate::web) copies: Vec<Copy>,
}

/// One prefix on its way to one datacenter.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Copy {
    /// The block.
    pub(in crate::web) name: String,
    /// As `SOURCE@DATACENTER:DESTINATION`.
    pub(in crate::web) prefix: String,
    /// The datacenter it is copied to; empty: that of the agent.
    pub(in crate::web) to: String,
    /// `following`, `copying`, `loading`, `failing`, `refused`, or `standby` where another node copies.
    pub(in crate::web) phase: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) why: Option<String>,
    /// Keys of the source, and of the destination.
    pub(in crate::web) keys: u64,
    pub(in crate::web) copies: usize,
    /// Keys that wait to be written.
    pub(in crate::web) pending: u64,
    pub(in crate::web) written: u64,
    pub(in crate::web) overwritten: u64,
    pub(in crate::web) deleted: u64,
    /// For how long the destination has not been as it should be, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) behind_ms: Option<u64>,
    /// When it last was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) latest: Option<String>,
    /// How long the latest copying took, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) took_ms: Option<u64>,
    /// Up to which index of the source everything was copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) copied: Option<u64>,
    /// How many keys could not be copied, and the first of them.
    pub(in crate::web) refused: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::web) refused_keys: Vec<Refused>,
    /// Deletes that wait for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) held: Option<Held>,
    /// What it would do, where it is only to say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) would: Option<Would>,
}

/// A key that could not be copied.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Refused {
    pub(in crate::web) key: String,
    pub(in crate::web) why: String,
}

/// Deletes that wait for a person.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Held {
    /// By which they are approved of, or discarded.
    pub(in crate::web) id: String,
    pub(in crate::web) why: String,
    pub(in crate::web) keys: u64,
    pub(in crate::web) since_ms: u64,
    /// The first of them.
    pub(in crate::web) named: Vec<String>,
}

/// What a dry run would do.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Would {
    pub(in crate::web) write: u64,
    pub(in crate::web) delete: u64,
}

/// Characters that are shown of a key or a reason.
const SHOWN: usize = 500;

impl Copy {
    pub(in crate::web) fn new(view: &CopyView, now: Now) -> Self {
        let state = &view.state;
        let refused = state.refused.1.iter();
        let refused =
            refused.map(|(key, why)| Refused { key: visible(key, SHOWN), why: visible(why, SHOWN) });
        Self {
            name: view.config.name.to_string(),
            prefix: view.prefix.to_string(),
            to: view.to.clone(),
            phase: state.phase.word(),
            why: state.phase.why().map(|why| visible(why, SHOWN)),
            keys: state.tally.rows,
            copies: state.copies,
            pending: state.pending,
            written: state.tally.written,
            overwritten: state.tally.overwritten,
            deleted: state.tally.deleted,
            behind_ms: state.behind.map(|since| millis(now.boot.since(since))),
            latest: state.latest.map(rfc3339),
            took_ms: state.took_ms,
            copied: state.copied,
            refused: state.refused.0,
            refused_keys: refused.collect(),
            held: state.held.as_ref().map(|held| Held {
                id: held.id.clone(),
                why: words(&held.why),
                keys: held.keys,
                since_ms: millis(now.boot.since(held.since)),
                named: held.named.iter().map(|key| visible(key, SHOWN)).collect(),
            }),
            would: view
                .config
                .dry_run
                .then_some(Would { write: state.would.write, delete: state.would.delete }),
        }
    }
}
