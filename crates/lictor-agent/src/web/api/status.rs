//! The summary as JSON.

use lictor_store::MirrorState;
use serde::Serialize;

use super::event::mode_word;
use crate::View;
use crate::web::text::{millis, rfc3339, visible};

/// `GET /v1/status`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Status {
    pub(in crate::web) node: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) datacenter: Option<String>,
    pub(in crate::web) version: String,
    /// When this was so.
    pub(in crate::web) at: String,
    pub(in crate::web) ready: bool,
    /// `act` or `observe`.
    pub(in crate::web) mode: &'static str,
    pub(in crate::web) checks: Counts,
    pub(in crate::web) incidents: IncidentCounts,
    pub(in crate::web) runs: RunCounts,
    /// Why nothing can be recorded; then nothing is acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) cannot_record: Option<CannotRecord>,
    /// Why nothing is done although everything is watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) withheld: Option<Withheld>,
    /// How the copies in Consul stand, on a node that has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) copies: Option<Copies>,
    /// The connection monitors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::web) monitors: Vec<crate::web::MonitorState>,
}

/// How many checks have which status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::web) struct Counts {
    pub(in crate::web) total: usize,
    pub(in crate::web) passing: usize,
    pub(in crate::web) warning: usize,
    pub(in crate::web) unknown: usize,
    pub(in crate::web) critical: usize,
}

/// How many incidents there are.
#[derive(Debug, Serialize)]
pub(in crate::web) struct IncidentCounts {
    pub(in crate::web) open: usize,
    /// Open ones that need a person.
    pub(in crate::web) escalated: usize,
}

/// How many runs there are.
#[derive(Debug, Serialize)]
pub(in crate::web) struct RunCounts {
    /// Unfinished ones that are not parked.
    pub(in crate::web) active: usize,
    /// Those that wait for a person.
    pub(in crate::web) parked: usize,
}

/// Since when nothing can be recorded, and why.
#[derive(Debug, Serialize)]
pub(in crate::web) struct CannotRecord {
    pub(in crate::web) why: String,
    pub(in crate::web) since: String,
    pub(in crate::web) lasts_ms: u64,
}

/// Why nothing is done yet, and the way out.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Withheld {
    pub(in crate::web) why: String,
    pub(in crate::web) help: &'static str,
}

impl Withheld {
    pub(in crate::web) fn of(view: &View) -> Option<Self> {
        let new =
            "the store of this node is new, and Consul has not told yet what an earlier one had under way";
        let help = "it begins to act by itself when Consul answers; if there is nothing to wait for, \
                    start the agent once with `lictor run --new-node`";
        view.withheld.then(|| match &view.copies {
            Some(MirrorState::Duplicate { why }) => Self {
                why: visible(why, TEXT),
                help: "it begins to act by itself when the other one is not alive any more",
            },
            Some(MirrorState::Unconfirmed { why }) => {
                Self { why: format!("{new} ({})", visible(why, TEXT)), help }
            }
            Some(MirrorState::InStep { .. } | MirrorState::Behind { .. }) | None => {
                Self { why: new.to_owned(), help }
            }
        })
    }
}

/// How the copies in Consul stand: `in_step`, `behind`, `unconfirmed` or `duplicate`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Copies {
    pub(in crate::web) state: &'static str,
    /// Why they are not in step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) why: Option<String>,
}

impl Copies {
    fn of(view: &View) -> Option<Self> {
        let state = view.copies.as_ref()?;
        Some(Self { state: state.word(), why: state.why().map(|why| visible(why, TEXT)) })
    }
}

/// Longest reason, characters.
const TEXT: usize = 1_000;

impl Counts {
    pub(in crate::web) fn new(view: &View) -> Self {
        let mut counts = Self { total: view.checks.len(), ..Self::default() };
        for check in view.checks.values() {
            match check.status {
                lictor_core::Status::Passing => counts.passing += 1,
                lictor_core::Status::Warning => counts.warning += 1,
                lictor_core::Status::Unknown => counts.unknown += 1,
                lictor_core::Status::Critical => counts.critical += 1,
            }
        }
        counts
    }
}

impl Status {
    pub(in crate::web) fn new(state: &crate::web::State, view: &View) -> Self {
        let open = || view.incidents.values().filter(|incident| incident.closed.is_none());
        let unfinished = || view.runs.values().filter(|run| !run.ended());
        let parked =
            unfinished().filter(|run| matches!(run.state, lictor_core::RunState::Parked { .. })).count();
        Self {
            node: state.node.clone(),
            datacenter: state.datacenter.clone(),
            version: state.version.clone(),
            at: rfc3339(view.at.wall),
            ready: state.is_ready(),
            mode: mode_word(view.plan.mode),
            checks: Counts::new(view),
            incidents: IncidentCounts {
                open: open().count(),
                escalated: open().filter(|incident| incident.escalated).count(),
            },
            runs: RunCounts { active: unfinished().count() - parked, parked },
            cannot_record: view.cannot_record.as_ref().map(|(why, since)| CannotRecord {
                why: why.clone(),
                since: rfc3339(since.wall),
                lasts_ms: millis(view.at.boot.since(since.boot)),
            }),
            withheld: Withheld::of(view),
            copies: Copies::of(view),
            monitors: state.monitors.monitors(),
        }
    }
}
