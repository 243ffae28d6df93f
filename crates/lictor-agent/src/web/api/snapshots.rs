//! Snapshots of Consul, as JSON.

use jiff::Timestamp;
use serde::Serialize;

use crate::snapshot::{PlaceState, SnapshotView};
use crate::web::text::visible;

/// `GET /v1/snapshots`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Snapshots {
    /// The node whose view it is.
    pub(in crate::web) node: String,
    /// By name.
    pub(in crate::web) snapshots: Vec<Snapshot>,
}

/// One block.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Snapshot {
    pub(in crate::web) name: String,
    /// `waiting`, `taking`, `sending`, `drilling`, `looking`, `failing`, `refused`, or `standby` where another node works.
    pub(in crate::web) phase: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) why: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) latest: Option<Latest>,
    /// When the next one is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) next: Option<String>,
    pub(in crate::web) places: Vec<Place>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) drill: Option<Drill>,
    /// Since this agent was started.
    pub(in crate::web) taken: u64,
    pub(in crate::web) failed: u64,
    pub(in crate::web) removed: u64,
    /// How long the latest one took to be taken and checked.
    pub(in crate::web) took_ms: u64,
    /// That the latest one is oddly large or small: how many bytes the one before had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) odd_after_bytes: Option<u64>,
}

/// The latest snapshot.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Latest {
    pub(in crate::web) file: String,
    pub(in crate::web) at: String,
    pub(in crate::web) index: u64,
    pub(in crate::web) bytes: u64,
    pub(in crate::web) node: String,
}

/// Where they are kept.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Place {
    pub(in crate::web) name: String,
    pub(in crate::web) at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) snapshots: Option<u64>,
    pub(in crate::web) bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) newest: Option<String>,
    /// The latest of those whose time is to come, which count for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) ahead: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) trouble: Option<String>,
    /// How many bytes of the present one have been sent, and how many it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) sending: Option<(u64, u64)>,
}

/// The latest drill.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Drill {
    /// When the latest one was begun that came to an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) at: Option<String>,
    pub(in crate::web) file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) failed: Option<String>,
    /// Why a later one did not come about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) untried: Option<String>,
    /// When one was last sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) sound: Option<String>,
}

/// Characters that are shown of a reason.
const SHOWN: usize = 500;

fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

impl Snapshot {
    pub(in crate::web) fn new(view: &SnapshotView) -> Self {
        let state = &view.state;
        Self {
            name: view.config.name.to_string(),
            phase: state.phase.word(),
            why: state.phase.why().map(|why| visible(why, SHOWN)),
            latest: state.latest.as_ref().map(|latest| Latest {
                file: latest.file.clone(),
                at: time(latest.at),
                index: latest.index,
                bytes: latest.bytes,
                node: visible(&latest.node, SHOWN),
            }),
            next: state.next.map(time),
            places: state.places.iter().map(Place::new).collect(),
            drill: state.drill.as_ref().map(|drill| Drill {
                at: drill.at.map(time),
                file: drill.file.clone(),
                failed: drill.failed.as_deref().map(|why| visible(why, SHOWN)),
                untried: drill.untried.as_deref().map(|why| visible(why, SHOWN)),
                sound: drill.sound.map(time),
            }),
            taken: state.tally.taken,
            failed: state.tally.failed,
            removed: state.tally.removed,
            took_ms: state.tally.took_ms,
            odd_after_bytes: state.jump.map(|jump| jump.before),
        }
    }
}

impl Place {
    fn new(place: &PlaceState) -> Self {
        Self {
            name: place.name.clone(),
            at: place.shown.clone(),
            snapshots: place.count,
            bytes: place.bytes,
            newest: place.newest.map(time),
            ahead: place.ahead.map(time),
            trouble: place.trouble.as_deref().map(|why| visible(why, SHOWN)),
            sending: place.sending,
        }
    }
}
