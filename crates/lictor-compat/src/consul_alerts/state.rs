//! What the old program keeps in Consul: the state of each check, reminders, and the leader's lock.

use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;

use super::checks::CheckRef;
use crate::gojson;
use crate::gotime::Moment;

/// The leader's lock, below the prefix.
pub const LEADER: &str = "leader";

/// The flags of the lock. A holder with other flags would be no holder for the old program.
pub const LEADER_FLAGS: u64 = 0x2ddc_cbc0_58a5_0c18;

/// The name of the session that holds the lock.
pub const SESSION_NAME: &str = "Consul API Lock";

/// How long the session lives without being renewed; it is renewed after half of it.
pub const SESSION_TTL: &str = "15s";

/// The states of checks, below the prefix.
pub const CHECKS: &str = "checks/";

/// The reminders, below the prefix.
pub const REMINDERS: &str = "reminders/";

/// A record that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the stored record is damaged: {why}")]
pub struct RecordError {
    why: String,
}

impl RecordError {
    #[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
    pub(crate) fn json(error: serde_json::Error) -> Self {
        Self { why: error.to_string() }
    }

    /// A text, empty when it is missing.
    pub(crate) fn text(object: &Map<String, Value>, name: &str) -> Result<String, Self> {
        match gojson::member(object, name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(Self { why: format!("`{name}` is no text") }),
        }
    }

    /// A time, "never" when it is missing.
    pub(crate) fn time(object: &Map<String, Value>, name: &str) -> Result<Moment, Self> {
        match gojson::member(object, name) {
            None | Some(Value::Null) => Ok(Moment::zero()),
            Some(Value::String(text)) => {
                Moment::parse(text).map_err(|error| Self { why: format!("`{name}`: {error}") })
            }
            Some(_) => Err(Self { why: format!("`{name}` is no time") }),
        }
    }
}

/// The state of a check. Its JSON has the fields in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CheckState {
    /// The status that counts; empty when it never passed and was never told of.
    pub current: String,
    /// Since when it counts.
    pub current_timestamp: Moment,
    /// The status that it would have if it lasted; empty when there is none.
    pub pending: String,
    /// Since when it lasts.
    pub pending_timestamp: Moment,
    /// The check as it was last seen.
    pub health_check: HealthCheck,
    /// Whether it is still to be told of.
    pub for_notification: bool,
}

/// A check as Consul shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HealthCheck {
    /// The node.
    #[serde(rename = "Node")]
    pub node: String,
    /// The id of the check.
    #[serde(rename = "CheckID")]
    pub check_id: String,
    /// Its name.
    #[serde(rename = "Name")]
    pub name: String,
    /// Its status.
    #[serde(rename = "Status")]
    pub status: String,
    /// What its owner wrote beside it.
    #[serde(rename = "Notes")]
    pub notes: String,
    /// What it printed.
    #[serde(rename = "Output")]
    pub output: String,
    /// The id of the service; empty for a check of the node.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// The name of the service.
    #[serde(rename = "ServiceName")]
    pub service_name: String,
}

impl HealthCheck {
    /// As keys name it.
    pub fn as_ref(&self) -> CheckRef<'_> {
        CheckRef {
            node: &self.node,
            service_id: &self.service_id,
            check_id: &self.check_id,
            status: &self.status,
        }
    }
}

impl CheckState {
    /// Reads a stored state. Names of fields may differ in case.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RecordError> {
        let object: Map<String, Value> = serde_json::from_slice(bytes).map_err(RecordError::json)?;
        let none = Map::new();
        let check = match gojson::member(&object, "HealthCheck") {
            Some(Value::Object(check)) => check,
            _ => &none,
        };
        let of = |name| RecordError::text(check, name);
        Ok(Self {
            current: RecordError::text(&object, "Current")?,
            current_timestamp: RecordError::time(&object, "CurrentTimestamp")?,
            pending: RecordError::text(&object, "Pending")?,
            pending_timestamp: RecordError::time(&object, "PendingTimestamp")?,
            health_check: HealthCheck {
                node: of("Node")?,
                check_id: of("CheckID")?,
                name: of("Name")?,
                status: of("Status")?,
                notes: of("Notes")?,
                output: of("Output")?,
                service_id: of("ServiceID")?,
                service_name: of("ServiceName")?,
            },
            for_notification: matches!(gojson::member(&object, "ForNotification"), Some(Value::Bool(true))),
        })
    }

    /// As it is stored.
    pub fn to_json(&self) -> Result<String, RecordError> {
        gojson::to_string(self).map_err(RecordError::json)
    }
}

/// The key of a check's state.
pub fn check_key(prefix: &str, check: &CheckRef<'_>) -> String {
    format!("{prefix}{CHECKS}{}", check.path())
}

/// The key of a check's reminder.
pub fn reminder_key(prefix: &str, node: &str, check_id: &str) -> String {
    format!("{prefix}{REMINDERS}{node}/{check_id}")
}

/// The node and the id of the check of a reminder's key; `None` for a folder and for what is none.
pub fn reminder_of<'a>(prefix: &str, key: &'a str) -> Option<(&'a str, &'a str)> {
    let path = key.strip_prefix(prefix)?.strip_prefix(REMINDERS)?;
    path.split_once('/').filter(|(node, check)| !node.is_empty() && !check.is_empty())
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
