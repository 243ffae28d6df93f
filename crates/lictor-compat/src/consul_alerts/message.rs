//! What the old program tells: the record that it stores as a reminder and gives to programs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};

use super::notifiers::Kind;
use super::profiles::Written;
use super::state::RecordError;
use super::text::{Overall, Summary};
use crate::gojson;
use crate::gotemplate::{Entries, Record, Value};
use crate::gotime::Moment;

/// One check that is told of. Its JSON has the fields in this order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Message {
    /// The node.
    pub node: String,
    /// The id of the service; empty for a check of the node.
    pub service_id: String,
    /// The name of the service.
    pub service: String,
    /// The id of the check.
    pub check_id: String,
    /// The name of the check.
    pub check: String,
    /// `passing`, `warning` or `critical`.
    pub status: String,
    /// What the check printed.
    pub output: String,
    /// What its owner wrote beside it.
    pub notes: String,
    /// Minutes from one reminder to the next.
    pub interval: i64,
    /// When it was last reminded of; never, for a message that is no reminder.
    pub rmd_check: Moment,
    /// Who is told; nothing when everybody is.
    pub notif_list: Option<BTreeMap<String, bool>>,
    /// The profile's settings of notifiers.
    pub var_overrides: VarOverrides,
    /// When it was sent.
    pub timestamp: Moment,
}

/// A profile's settings of notifiers, by the notifier's name.
#[derive(Clone, Default, PartialEq)]
pub struct VarOverrides(BTreeMap<String, Written>);

/// In this order they are written.
const ORDER: [&str; 14] = [
    "email",
    "log",
    "influxdb",
    "slack",
    "mattermost",
    "mattermost-webhook",
    "pagerduty",
    "hipchat",
    "opsgenie",
    "awssns",
    "victorops",
    "http-endpoint",
    "ilert",
    "custom",
];

impl VarOverrides {
    pub(crate) fn set(&mut self, name: &str, fields: Written) {
        self.0.insert(name.to_owned(), fields);
    }

    /// The same without what opens something: for receivers whom it does not concern.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut hidden = self.clone();
        for (name, fields) in &mut hidden.0 {
            for (json, value) in fields.iter_mut() {
                let field = Kind::named(name).and_then(|kind| {
                    kind.fields().iter().find(|field| field.json.eq_ignore_ascii_case(json))
                });
                if field.is_none_or(|field| field.secret) {
                    *value = Json::String("***".to_owned());
                }
            }
        }
        hidden
    }
}

impl std::fmt::Debug for VarOverrides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Serialize for VarOverrides {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(ORDER.len()))?;
        for name in ORDER {
            map.serialize_entry(name, &self.0.get(name))?;
        }
        map.end()
    }
}

impl Message {
    /// Reads a stored reminder. Names of fields may differ in case, and what is missing is empty.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RecordError> {
        let object: Map<String, Json> = serde_json::from_slice(bytes).map_err(RecordError::json)?;
        let text = |name| RecordError::text(&object, name);
        let time = |name| RecordError::time(&object, name);
        let notif_list = match gojson::member(&object, "NotifList") {
            Some(Json::Object(list)) => {
                let on = |value: &Json| value.as_bool().unwrap_or(false);
                Some(list.iter().map(|(name, value)| (name.clone(), on(value))).collect())
            }
            _ => None,
        };
        let mut var_overrides = VarOverrides::default();
        if let Some(Json::Object(all)) = gojson::member(&object, "VarOverrides") {
            for (name, fields) in all {
                let known = ORDER.iter().find(|known| name.eq_ignore_ascii_case(known));
                if let (Some(known), Json::Object(fields)) = (known, fields) {
                    var_overrides.set(known, fields.clone());
                }
            }
        }
        Ok(Self {
            node: text("Node")?,
            service_id: text("ServiceId")?,
            service: text("Service")?,
            check_id: text("CheckId")?,
            check: text("Check")?,
            status: text("Status")?,
            output: text("Output")?,
            notes: text("Notes")?,
            interval: gojson::member(&object, "Interval").and_then(Json::as_i64).unwrap_or(0),
            rmd_check: time("RmdCheck")?,
            notif_list,
            var_overrides,
            timestamp: time("Timestamp")?,
        })
    }

    /// As it is stored.
    pub fn to_json(&self) -> Result<String, RecordError> {
        gojson::to_string(self).map_err(RecordError::json)
    }

    /// As one `Value` of a template: what `dot` is for iLert's key, and an element of `.Nodes`.
    pub fn to_value(&self) -> Value {
        let list = self.notif_list.iter().flatten();
        let values = list.map(|(name, on)| (name.clone(), Value::Bool(*on))).collect();
        let status = |name: &str| Value::Bool(self.status == name);
        Value::record(Record {
            name: "Message",
            fields: vec![
                ("Node", Value::text(&self.node)),
                ("ServiceId", Value::text(&self.service_id)),
                ("Service", Value::text(&self.service)),
                ("CheckId", Value::text(&self.check_id)),
                ("Check", Value::text(&self.check)),
                ("Status", Value::text(&self.status)),
                ("Output", Value::text(&self.output)),
                ("Notes", Value::text(&self.notes)),
                ("Interval", Value::Int(self.interval)),
                ("RmdCheck", Value::Time(Arc::new(self.rmd_check.clone()))),
                ("NotifList", Value::Map(Arc::new(Entries { values, missing: Value::Bool(false) }))),
                ("VarOverrides", self.var_overrides.to_value()),
                ("Timestamp", Value::Time(Arc::new(self.timestamp.clone()))),
            ],
            methods: vec![
                ("IsCritical", status("critical")),
                ("IsWarning", status("warning")),
                ("IsPassing", status("passing")),
            ],
        })
    }
}

impl VarOverrides {
    /// By the names of the notifiers; what opens something is not there.
    fn to_value(&self) -> Value {
        let hidden = self.without_secrets();
        Value::map(hidden.0.iter().map(|(name, fields)| {
            let shown =
                |value: &Json| value.as_str().map_or_else(|| Value::text(value.to_string()), Value::text);
            (name.clone(), Value::map(fields.iter().map(|(key, value)| (key.clone(), shown(value)))))
        }))
    }
}

/// What is `dot` in the templates of mail, SNS and HTTP endpoints.
pub fn template_data(cluster: &str, messages: &[Message]) -> Value {
    let summary = Summary::of(messages);
    let mut nodes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for message in messages {
        nodes.entry(message.node.clone()).or_default().push(message.to_value());
    }
    let values = nodes.into_iter().map(|(node, messages)| (node, Value::list(messages))).collect();
    let count = |count: usize| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
    let overall = |is: Overall| Value::Bool(summary.overall() == is);
    Value::record(Record {
        name: "TemplateData",
        fields: vec![
            ("ClusterName", Value::text(cluster)),
            ("SystemStatus", Value::text(summary.overall().as_str())),
            ("FailCount", count(summary.fail)),
            ("WarnCount", count(summary.warn)),
            ("PassCount", count(summary.pass)),
            ("Nodes", Value::Map(Arc::new(Entries { values, missing: Value::list([]) }))),
        ],
        methods: vec![
            ("IsCritical", overall(Overall::Critical)),
            ("IsWarning", overall(Overall::Unstable)),
            ("IsPassing", overall(Overall::Healthy)),
        ],
    })
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
