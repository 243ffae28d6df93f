//! The tag that takes an instance out of DNS and prepared queries.

use lictor_compat::powerconsul::NODNS;
use lictor_consul::{Client, Query};
use serde_json::{Map, Value};

/// What the agent says of a service and does not take back.
const NOT_TAKEN: [&str; 5] = ["Service", "ContentHash", "Datacenter", "CreateIndex", "ModifyIndex"];

/// Gives the instances of a service on this node the tag, or takes it from them. Everything else about them stays:
/// checks are not named in the registration, so the agent leaves them as they are.
///
/// # Errors
/// In words.
pub(super) async fn set(client: &Client, service: &str, hidden: bool) -> Result<bool, String> {
    let answer = client.raw().get("/v1/agent/services", &Query::new()).await;
    let answer = answer.map_err(|why| why.to_string())?;
    let all: Map<String, Value> = serde_json::from_slice(&answer.value).map_err(|why| why.to_string())?;
    let named = all.into_iter().filter_map(|(_, known)| match known {
        Value::Object(known) if known.get("Service").is_some_and(|name| name == service) => Some(known),
        _ => None,
    });
    let named: Vec<_> = named.collect();
    if named.is_empty() {
        return Err(format!("no service named `{service}` is registered with the agent of this node"));
    }
    let mut changed = false;
    for registration in named.into_iter().filter_map(|known| registration(known, hidden)) {
        let put = client.raw().put("/v1/agent/service/register", &Value::Object(registration)).await;
        put.map_err(|why| why.to_string())?;
        changed = true;
    }
    Ok(changed)
}

/// What is registered anew; `None` if it is as it should be.
fn registration(known: Map<String, Value>, hidden: bool) -> Option<Map<String, Value>> {
    let mut tags: Vec<Value> = known.get("Tags").and_then(Value::as_array).cloned().unwrap_or_default();
    if tags.iter().any(|tag| tag == NODNS) == hidden {
        return None;
    }
    if hidden {
        tags.push(NODNS.into());
    } else {
        tags.retain(|tag| tag != NODNS);
    }
    let name = known.get("Service").cloned();
    let is_set = |value: &Value| !value.is_null() && value != "" && value != 0;
    let kept = known.into_iter().filter(|(name, value)| !NOT_TAKEN.contains(&name.as_str()) && is_set(value));
    let mut wanted: Map<String, Value> = kept.collect();
    wanted.extend(name.map(|name| ("Name".to_owned(), name)));
    wanted.insert("Tags".to_owned(), tags.into());
    Some(wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(known: &Value, hidden: bool) -> Option<Value> {
        let Value::Object(known) = known.clone() else { panic!("it is one") };
        registration(known, hidden).map(Value::Object)
    }

    #[test]
    fn bug_17_everything_but_the_tag_stays() {
        let known = json!({
            "ID": "web-1", "Service": "web", "Tags": ["production"], "Meta": { "a": "b" }, "Port": 80, "Address": "",
            "EnableTagOverride": true, "Weights": { "Passing": 2, "Warning": 1 }, "Datacenter": "dc1"
        });
        let wanted = json!({
            "ID": "web-1", "Name": "web", "Tags": ["production", "nodns"], "Meta": { "a": "b" }, "Port": 80,
            "EnableTagOverride": true, "Weights": { "Passing": 2, "Warning": 1 }
        });
        assert_eq!(of(&known, true), Some(wanted));
        assert_eq!(of(&known, false), None);
        let bare = json!({ "ID": "web", "Service": "web", "Tags": null });
        assert_eq!(of(&bare, true), Some(json!({ "ID": "web", "Name": "web", "Tags": ["nodns"] })));
    }
}
