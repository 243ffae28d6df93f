//! The shapes of the JSON API. Names are `snake_case`; instants are RFC 3339 in UTC,
//! durations have the suffix `_ms`; what does not apply is left out.

mod alert;
mod check;
mod event;
mod incident;
mod peer;
mod record;
mod remedy;
mod replicate;
mod run;
mod service;
mod snapshots;
mod status;

pub(super) use alert::{
    Alerts, Queue, Silence, Silences, after, state as alert_state, summary as alert_summary,
};
pub(super) use check::{Check, Checks, Result};
pub(super) use event::{Event, Events};
pub(super) use incident::{Incident, IncidentWithTimeline, Incidents};
pub(super) use peer::{PeerCounts, Peers, partition, sees as peer_is_seen};
pub(super) use record::History;
pub(super) use remedy::{Remedies, Remedy, follows, state as remedy_state};
pub(super) use replicate::{Copies, Copy};
pub(super) use run::{Run, RunWithTimeline, Runs, describe as describe_run, state as run_state};
pub(super) use service::{Here, Lease, Operation, Service, Services, active, runs_here};
pub(super) use snapshots::{Snapshot, Snapshots};
pub(super) use status::{Counts, Status, Withheld};
