//! The local configuration, and what is read of Consul's own.

use std::collections::BTreeMap;

use lictor_core::service::HostPattern;
use serde_json::{Map, Value};
use thiserror::Error;

/// What `~/.powerconsul.conf` says. Members that are not known are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conf {
    /// Which nodes count: those whose names begin with this.
    pub service_filter: Option<HostPattern>,
    /// Where cluster data lies.
    pub cluster_key: Option<String>,
    /// What `@NAME` stands for in an action, by names without the `@`.
    pub sub_vars: BTreeMap<String, String>,
    /// Services for which no action is run.
    pub noop_triggers: Vec<String>,
    /// The file with Consul's own configuration, if it is not the usual one.
    pub consul_config: Option<String>,
}

/// Why a configuration cannot be used: what is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ConfError(String);

impl Conf {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn read(text: &str) -> Result<Self, ConfError> {
        let members = object(text)?;
        let service_filter = match words(&members, "serviceFilter")? {
            Some(written) => {
                let pattern = HostPattern::new(&written);
                Some(pattern.map_err(|why| ConfError(format!("`serviceFilter`: {why}")))?)
            }
            None => None,
        };
        let cluster_key = words(&members, "clusterKey")?.filter(|key| !key.is_empty());
        let consul_config = words(&members, "consulConfig")?;
        Ok(Self {
            service_filter,
            cluster_key,
            sub_vars: sub_vars(&members)?,
            noop_triggers: noop_triggers(&members)?,
            consul_config,
        })
    }
}

/// The datacenter that Consul's own configuration names.
///
/// # Errors
/// What is wrong, with its place.
pub fn datacenter(text: &str) -> Result<Option<String>, ConfError> {
    words(&object(text)?, "datacenter")
}

fn object(text: &str) -> Result<Map<String, Value>, ConfError> {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(ConfError("it is no object".to_owned())),
        Err(why) => Err(ConfError(why.to_string())),
    }
}

fn given<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| !value.is_null())
}

fn words(members: &Map<String, Value>, name: &str) -> Result<Option<String>, ConfError> {
    match given(members, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(ConfError(format!("`{name}` is no text"))),
    }
}

fn sub_vars(members: &Map<String, Value>) -> Result<BTreeMap<String, String>, ConfError> {
    let Some(value) = given(members, "subVars") else { return Ok(BTreeMap::new()) };
    let Value::Object(pairs) = value else {
        return Err(ConfError("`subVars` is no object".to_owned()));
    };
    let pair = |(name, value): (&String, &Value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err(ConfError(format!("`subVars`: `{name}` is no text")));
            }
        };
        Ok((name.strip_prefix('@').unwrap_or(name).to_owned(), text))
    };
    pairs.iter().map(pair).collect()
}

fn noop_triggers(members: &Map<String, Value>) -> Result<Vec<String>, ConfError> {
    let wrong = || ConfError("`noopTriggers` is no list of services".to_owned());
    match given(members, "noopTriggers") {
        None => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            let names = items.iter().map(|item| item.as_str().map(str::to_owned));
            names.collect::<Option<_>>().ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bug_16_keys_that_are_no_identifiers_spoil_nothing() {
        let text = r#"{"serviceFilter": "web", "clusterKey": "cluster/production",
            "subVars": {"@ENV": "prod", "N": 3}, "noopTriggers": ["s"],
            "http_api_response_headers": {"Access-Control-Allow-Origin": "*"}, "@x": 1}"#;
        let conf = Conf::read(text).unwrap();
        assert!(conf.service_filter.as_ref().is_some_and(|filter| filter.matches("web-1")));
        assert_eq!(conf.cluster_key.as_deref(), Some("cluster/production"));
        assert_eq!(conf.sub_vars["ENV"], "prod");
        assert_eq!(conf.sub_vars["N"], "3");
        assert_eq!(conf.noop_triggers, ["s"]);
        assert_eq!(Conf::read("{}").unwrap(), Conf::default());
        let agent = r#"{"datacenter": "dc1", "http_api_response_headers": {"a-b": "c"}}"#;
        assert_eq!(datacenter(agent).unwrap().as_deref(), Some("dc1"));
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_place() {
        let error = |text: &str| Conf::read(text).unwrap_err().to_string();
        assert_eq!(error("{\n  \"a\" 1}"), "expected `:` at line 2 column 7");
        assert_eq!(error(r#"{"clusterKey": 1}"#), "`clusterKey` is no text");
        assert_eq!(error(r#"{"subVars": {"A": []}}"#), "`subVars`: `A` is no text");
        assert_eq!(error(r#"{"noopTriggers": "a"}"#), "`noopTriggers` is no list of services");
        assert!(error(r#"{"serviceFilter": "("}"#).starts_with("`serviceFilter`: "));
    }
}
