//! What is sent to the routes of alerts: JSON, or a form of the page.

use std::fmt;

use serde::de::{self, DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::web::error::Failure;
use crate::web::text::visible;

/// A new silence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Add {
    /// All of them must hold; see [`super::matcher`]. A form has one a line.
    #[serde(deserialize_with = "lines")]
    pub(super) matchers: Vec<String>,
    /// How long; else `until` says when it ends, as RFC 3339.
    #[serde(rename = "for")]
    pub(super) lasting: Option<String>,
    pub(super) until: Option<String>,
    pub(super) by: Option<String>,
    pub(super) comment: Option<String>,
}

/// A list of texts, or one text with a line for each.
fn lines<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    struct Lines;
    impl<'de> Visitor<'de> for Lines {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of conditions such as [\"node=web1\"]")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<String>, A::Error> {
            let mut texts = Vec::new();
            while let Some(text) = list.next_element()? {
                texts.push(text);
            }
            Ok(texts)
        }
    }
    from.deserialize_any(Lines)
}

/// The end of a silence.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) silence: String,
    pub(super) by: Option<String>,
}

/// Somebody looks after an alert, or does not any more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Acknowledge {
    pub(super) subject: String,
    #[serde(rename = "for")]
    pub(super) lasting: Option<String>,
    pub(super) by: Option<String>,
    pub(super) comment: Option<String>,
}

/// Some messages of the queue.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choice {
    pub(super) delivery: Option<String>,
    pub(super) notifier: Option<String>,
    #[serde(default)]
    pub(super) all: bool,
    pub(super) by: Option<String>,
}

/// A node that is gone for good.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Forget {
    pub(super) node: String,
    pub(super) by: Option<String>,
}

/// Reads a body: a JSON object, or what a form of the page sends. `what` it should be is said
/// when it is not.
pub(in crate::web) fn read<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, Failure> {
    let body = body.trim_ascii();
    let odd = |error: serde_json::Error| {
        Failure::bad_request(format!("the body is not {what}: {}", visible(&error.to_string(), 300)))
    };
    if body.first() == Some(&b'{') {
        return serde_json::from_slice(body).map_err(odd);
    }
    let mut members = Map::new();
    for (name, value) in form_urlencoded::parse(body) {
        let value = if value == "true" { Value::Bool(true) } else { Value::String(value.into_owned()) };
        members.insert(name.into_owned(), value);
    }
    serde_json::from_value(Value::Object(members)).map_err(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: DeserializeOwned + std::fmt::Debug>(body: &str) -> String {
        read::<T>(body.as_bytes(), "a silence").unwrap_err().message
    }

    #[test]
    fn a_body_is_json_or_a_form() {
        let json: Choice = read(br#" {"notifier": "ops"} "#, "it").unwrap();
        let form: Choice = read(b"notifier=ops", "it").unwrap();
        assert_eq!((json.notifier.as_deref(), json.all), (Some("ops"), false));
        assert_eq!((form.notifier.as_deref(), form.all), (Some("ops"), false));
        assert!(read::<Choice>(b"all=true", "it").unwrap().all);
        let one: Acknowledge = read(b"subject=own%2Fn1%2Fa+b&for=2h", "it").unwrap();
        assert_eq!((one.subject.as_str(), one.lasting.as_deref()), ("own/n1/a b", Some("2h")));
    }

    #[test]
    fn a_form_has_a_condition_a_line() {
        let form: Add = read(b"matchers=node%3Dweb1%0D%0A%0D%0A+check%3Ddisk+&for=2h", "a silence").unwrap();
        assert_eq!(form.matchers, ["node=web1", "check=disk"]);
        let json: Add = read(br#"{"matchers": ["a=b\nc"], "for": "1h"}"#, "a silence").unwrap();
        assert_eq!(json.matchers, ["a=b\nc"]);
        assert!(refused::<Add>(r#"{"matchers": 1, "for": "1h"}"#).contains("expected a list of conditions"));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        assert_eq!(
            refused::<Add>("{\"for\":\"1h\"}"),
            "the body is not a silence: missing field `matchers` at line 1 column 12"
        );
        assert!(
            refused::<Add>(r#"{"matcher":"x"}"#)
                .contains("unknown field `matcher`, expected one of `matchers`")
        );
        assert!(refused::<Add>("").contains("missing field `matchers`"));
        assert!(refused::<Add>("{").contains("EOF"));
    }
}
