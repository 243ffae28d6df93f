//! The labels under which an Alertmanager knows an alert: the same when it fires and when it is
//! over, or it would be another alert.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lictor_core::alert::{Item, Message, Occasion, label};
use serde_json::{Map, Value};

/// A message that tries a notifier is over by itself after this, seconds.
const TEST: i64 = 300;

/// Adds labels to the items of a view, and until when they last.
pub(super) fn add(view: &mut Map<String, Value>, message: &Message, lasts: i64) {
    let lasts = if message.occasion == Occasion::Test { lasts.min(TEST) } else { lasts };
    let until = message.at.as_unix_millis().div_euclid(1_000).saturating_add(lasts);
    let until = Timestamp::from_second(until).unwrap_or(Timestamp::MAX);
    view.insert("until".to_owned(), until.to_string().into());
    let Some(items) = view.get_mut("items").and_then(Value::as_array_mut) else { return };
    for (shown, item) in items.iter_mut().zip(&message.items) {
        let Some(shown) = shown.as_object_mut() else { continue };
        let severity = shown.get("severity").and_then(Value::as_str).unwrap_or_default().to_owned();
        let before = item.before.map(|before| before.as_str().to_owned()).unwrap_or_default();
        shown.insert("alert_labels".to_owned(), labels(message, item, severity));
        shown.insert("alert_labels_before".to_owned(), labels(message, item, before));
    }
}

fn labels(message: &Message, item: &Item, severity: String) -> Value {
    let name = |name: &str| -> String {
        let fits = |(at, c): (usize, char)| {
            let good = c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
            if good { c } else { '_' }
        };
        name.char_indices().map(fits).collect()
    };
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for (label, value) in &item.labels {
        // An empty value is as if there were no such label.
        if !label.is_empty() && !value.is_empty() {
            labels.insert(name(label), value.clone());
        }
    }
    let check = [item.label(label::CHECK), item.label(label::SERVICE), item.key.as_str()];
    let check = check.into_iter().find(|text| !text.is_empty()).unwrap_or_default().to_owned();
    labels.entry("alertname".to_owned()).or_insert(check);
    labels.insert("lictor_incident".to_owned(), item.incident.clone());
    labels.insert("severity".to_owned(), severity);
    if !message.cluster.is_empty() {
        labels.entry("cluster".to_owned()).or_insert_with(|| message.cluster.clone());
    }
    labels.into_iter().map(|(name, value)| (name, Value::String(value))).collect::<Map<_, _>>().into()
}
