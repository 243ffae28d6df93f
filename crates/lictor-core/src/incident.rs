//! Incidents: the span in which a check is not passing.

use crate::check::Status;
use crate::name::{CheckName, IncidentId};
use crate::time::Now;

/// One incident: a row of the store. Its timeline is the part of the ledger that
/// carries its number.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    /// Its number.
    pub id: IncidentId,
    /// The check.
    pub check: CheckName,
    /// When it began.
    pub opened: Now,
    /// When it ended.
    pub closed: Option<Now>,
    /// The present (or last) status.
    pub status: Status,
    /// The worst status so far.
    pub worst: Status,
    /// What the check last said on a change.
    pub summary: String,
    /// Whether a budget was used up or a remedy gave up: a person is needed.
    pub escalated: bool,
}
