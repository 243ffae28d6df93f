//! Incidents as JSON.

use serde::Serialize;

use super::Event;
use crate::View;
use crate::web::text::{millis, rfc3339};

/// `GET /v1/incidents`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Incidents {
    /// Newest first.
    pub(in crate::web) incidents: Vec<Incident>,
}

/// The span in which a check is not passing.
#[derive(Debug, Serialize)]
pub(in crate::web) struct Incident {
    pub(in crate::web) id: String,
    pub(in crate::web) check: String,
    pub(in crate::web) open: bool,
    pub(in crate::web) opened: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::web) closed: Option<String>,
    pub(in crate::web) lasts_ms: u64,
    /// The present (or last) status of the check.
    pub(in crate::web) status: &'static str,
    pub(in crate::web) worst: &'static str,
    /// What the check last said on a change.
    pub(in crate::web) summary: String,
    /// Whether a person is needed: a budget is used up or a remedy gave up.
    pub(in crate::web) escalated: bool,
}

/// `GET /v1/incidents/ID`.
#[derive(Debug, Serialize)]
pub(in crate::web) struct IncidentWithTimeline {
    #[serde(flatten)]
    pub(in crate::web) incident: Incident,
    /// What was seen, decided and done, oldest first.
    pub(in crate::web) timeline: Vec<Event>,
    /// Whether the timeline is longer; `/v1/events?incident=ID&after=0` has all of it.
    pub(in crate::web) more: bool,
}

impl Incident {
    pub(in crate::web) fn new(incident: &lictor_core::Incident, view: &View) -> Self {
        let end = incident.closed.unwrap_or(view.at);
        Self {
            id: incident.id.to_string(),
            check: incident.check.to_string(),
            open: incident.closed.is_none(),
            opened: rfc3339(incident.opened.wall),
            closed: incident.closed.map(|closed| rfc3339(closed.wall)),
            lasts_ms: millis(end.boot.since(incident.opened.boot)),
            status: incident.status.as_str(),
            worst: incident.worst.as_str(),
            summary: incident.summary.clone(),
            escalated: incident.escalated,
        }
    }
}
