//! Consul's events, as handlers read them.

use serde::Serialize;
use serde_json::{Map, Value};

use super::state::RecordError;
use crate::gojson;

/// An event. Its JSON has the fields in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConsulEvent {
    /// Identifies it.
    #[serde(rename = "ID")]
    pub id: String,
    /// What somebody called it.
    pub name: String,
    /// What it carries, in base 64.
    pub payload: Option<String>,
    /// For which nodes it is.
    pub node_filter: String,
    /// For which services.
    pub service_filter: String,
    /// For which tags.
    pub tag_filter: String,
    /// The version of the protocol.
    pub version: i64,
    /// Consul's own time.
    #[serde(rename = "LTime")]
    pub ltime: u64,
}

impl ConsulEvent {
    /// Reads what `consul watch` gives: an array of events.
    pub fn list(bytes: &[u8]) -> Result<Vec<Self>, RecordError> {
        let events: Vec<Map<String, Value>> = serde_json::from_slice(bytes).map_err(RecordError::json)?;
        events.iter().map(Self::of).collect()
    }

    fn of(object: &Map<String, Value>) -> Result<Self, RecordError> {
        let text = |name| RecordError::text(object, name);
        let payload = text("Payload")?;
        Ok(Self {
            id: text("ID")?,
            name: text("Name")?,
            payload: Some(payload).filter(|payload| !payload.is_empty()),
            node_filter: text("NodeFilter")?,
            service_filter: text("ServiceFilter")?,
            tag_filter: text("TagFilter")?,
            version: gojson::member(object, "Version").and_then(Value::as_i64).unwrap_or(0),
            ltime: gojson::member(object, "LTime").and_then(Value::as_u64).unwrap_or(0),
        })
    }

    /// What a handler reads from its standard input.
    pub fn to_json(&self) -> Result<String, RecordError> {
        gojson::to_string(self).map_err(RecordError::json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_reads_the_event_as_before() {
        let list = br#"[{"ID":"b5","Name":"deploy","Payload":"MTIz","NodeFilter":"","ServiceFilter":"",
            "TagFilter":"","Version":1,"LTime":19},{"id":"c","name":"a<b","Payload":null}]"#;
        let events = ConsulEvent::list(list).unwrap();
        let json: Vec<_> = events.iter().map(|event| event.to_json().unwrap()).collect();
        let first = r#"{"ID":"b5","Name":"deploy","Payload":"MTIz","NodeFilter":"","ServiceFilter":"","TagFilter":"","Version":1,"LTime":19}"#;
        let second = r#"{"ID":"c","Name":"a\u003cb","Payload":null,"NodeFilter":"","ServiceFilter":"","TagFilter":"","Version":0,"LTime":0}"#;
        assert_eq!(json, [first, second]);
        assert!(ConsulEvent::list(b"{}").is_err() && ConsulEvent::list(b"").is_err());
    }
}
