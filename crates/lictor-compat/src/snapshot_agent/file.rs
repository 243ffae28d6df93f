//! Configuration files: JSON, of which the object `snapshot_agent` counts.

use serde_json::{Map, Value as Json};
use thiserror::Error;

use super::options::{Given, Kind, Known, OPTIONS, Value};
use crate::Secret;

/// What is read of a file; the rest belongs to others.
const ROOT: &str = "snapshot_agent";

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FileError {
    /// It is no JSON.
    #[error("{path}: it is no JSON: {why}")]
    Json {
        /// The file.
        path: String,
        /// What is wrong with it, and where.
        why: String,
    },
    /// Something in it is not known or cannot be used: every mistake, each with its key.
    #[error("{}", lines(path, mistakes))]
    Mistakes {
        /// The file.
        path: String,
        /// The key of each and what is wrong with it.
        mistakes: Vec<(String, String)>,
    },
}

fn lines(path: &str, mistakes: &[(String, String)]) -> String {
    let lines = mistakes.iter().map(|(key, why)| format!("{path}: {key}: {why}"));
    lines.collect::<Vec<_>>().join("\n")
}

impl Given {
    /// Reads a file; `None`: it has no object `snapshot_agent` and is none of ours. The path is for messages.
    ///
    /// # Errors
    /// Everything in it that cannot be read or is not known.
    pub fn read(path: &str, text: &str) -> Result<Option<Self>, FileError> {
        let json = |why: String| FileError::Json { path: path.to_owned(), why };
        let all: Map<String, Json> = serde_json::from_str(text).map_err(|error| json(error.to_string()))?;
        let Some(found) = all.get(ROOT) else { return Ok(None) };
        let mut reader = Reader::default();
        match found {
            Json::Object(object) => reader.object("", object),
            _ => reader.wrong("", "it is no object".to_owned()),
        }
        if reader.mistakes.is_empty() {
            return Ok(Some(reader.given));
        }
        Err(FileError::Mistakes { path: path.to_owned(), mistakes: reader.mistakes })
    }
}

#[derive(Default)]
struct Reader {
    given: Given,
    mistakes: Vec<(String, String)>,
}

impl Reader {
    /// Takes what stands in an object; `at` is its key, with a dot behind it unless it is the outermost.
    fn object(&mut self, at: &str, object: &Map<String, Json>) {
        for (name, json) in object {
            let key = format!("{at}{name}");
            let inner = format!("{key}.");
            if let Some(known) = OPTIONS.iter().find(|known| known.key == key) {
                self.option(known, json);
            } else if OPTIONS.iter().any(|known| known.key.starts_with(&inner)) {
                match json {
                    Json::Object(object) => self.object(&inner, object),
                    Json::Null => {}
                    _ => self.wrong(&key, "it is no object".to_owned()),
                }
            } else {
                self.wrong(&key, format!("it is not known; known here: {}", known_in(at)));
            }
        }
    }

    fn option(&mut self, known: &Known, json: &Json) {
        let read = match (known.kind, json) {
            (_, Json::Null) => return,
            (Kind::Text | Kind::Time, Json::String(text)) => Value::read(known.kind, text),
            (Kind::Secret, Json::String(text)) => Ok(Value::Secret(Secret::new(text))),
            (Kind::Flag, Json::Bool(yes)) => Ok(Value::Flag(*yes)),
            (Kind::Number | Kind::Time, Json::Number(number))
                if known.kind == Kind::Number || number.as_u64() == Some(0) =>
            {
                Value::read(known.kind, &number.to_string())
            }
            // Only whether there is one matters: nobody is logged in.
            (Kind::Pairs, Json::Object(_)) => return,
            (kind, _) => Err(wanted(kind).to_owned()),
        };
        match read {
            Ok(value) => self.given.set(known.option, value),
            Err(why) => self.wrong(known.key, why),
        }
    }

    fn wrong(&mut self, key: &str, why: String) {
        let key = if key.is_empty() { ROOT.to_owned() } else { format!("{ROOT}.{key}") };
        self.mistakes.push((key, why));
    }
}

const fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Secret => "it is no text",
        Kind::Flag => "it is neither true nor false",
        Kind::Number => "it is no number from 0",
        Kind::Time => "it is no duration in quotes such as \"1h\"",
        Kind::Pairs => "it is no object",
    }
}

/// What may stand in an object.
fn known_in(at: &str) -> String {
    let here = OPTIONS.iter().filter_map(|known| known.key.strip_prefix(at));
    let mut names: Vec<&str> = here.filter_map(|key| key.split('.').next()).collect();
    names.retain(|name| !name.is_empty());
    names.dedup();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::options::Opt;
    use super::*;

    fn read(text: &str) -> Result<Option<Given>, String> {
        Given::read("a.json", text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_of_others_is_none_of_ours() {
        assert_eq!(read(r#"{"datacenter": "dc1", "server": true}"#), Ok(None));
        assert_eq!(read(r#"{"snapshot_agent": {}, "server": true}"#), Ok(Some(Given::default())));
    }

    #[test]
    fn what_the_manual_shows_is_understood() {
        let text = r#"{"snapshot_agent": {
            "http_addr": "127.0.0.1:8500", "token": "t", "datacenter": "", "ca_file": "", "ca_path": "",
            "cert_file": "", "key_file": "", "license_path": "", "tls_server_name": "",
            "login": {"auth_method": "", "bearer_token": "", "bearer_token_file": "", "meta": {}},
            "log": {"level": "INFO", "enable_syslog": false, "syslog_facility": "LOCAL0"},
            "snapshot": {"interval": "1h", "retain": 30, "stale": true, "service": "consul-snapshot",
                "deregister_after": "72h", "lock_key": "consul-snapshot/lock", "max_failures": 3,
                "local_scratch_path": ""},
            "local_storage": {"path": "."},
            "aws_storage": {"access_key_id": "", "secret_access_key": "", "session_token": "",
                "iam_endpoint": "", "role_arn": "", "role_session_name": "", "web_identity_token_file": "",
                "sts_endpoint": "", "s3_region": "", "s3_bucket": "", "s3_key_prefix": "consul-snapshot",
                "s3_endpoint": "", "s3_server_side_encryption": false, "s3_static_snapshot_name": "",
                "s3_force_path_style": false, "s3_enable_kms": false, "s3_kms_key": ""},
            "azure_blob_storage": {"account_name": "", "account_key": "", "container_name": "",
                "environment": "AZUREPUBLICCLOUD"},
            "google_storage": {"bucket": ""}
        }}"#;
        let given = read(text).unwrap().unwrap();
        assert_eq!(given.time(Opt::DeregisterAfter), Some(Duration::from_hours(72)));
        assert_eq!((given.number(Opt::Retain), given.flag(Opt::Stale)), (Some(30), true));
        assert_eq!(given.text(Opt::KeyPrefix).as_deref(), Some("consul-snapshot"));
        assert_eq!(given.secret(Opt::Token), Some(Secret::new("t")));
        assert!(!format!("{given:?}").contains("\"t\""));
    }

    #[test]
    fn zero_is_a_duration_without_quotes_too() {
        let given = read(r#"{"snapshot_agent": {"snapshot": {"interval": 0, "deregister_after": "0"}}}"#);
        let given = given.unwrap().unwrap();
        assert_eq!(given.time(Opt::Interval), Some(Duration::ZERO));
        assert_eq!(given.time(Opt::DeregisterAfter), Some(Duration::ZERO));
    }

    #[test]
    fn every_mistake_is_told_with_its_file_and_key() {
        let text = r#"{"snapshot_agent": {
            "tokn": "geheim", "snapshot": {"interval": "soon", "retain": -1, "every": 5}, "log": "INFO",
            "aws_storage": {"secret_access_key": 5, "s3_force_path_style": "yes", "s3_endpoint": null},
            "login": {"meta": []}
        }}"#;
        insta::assert_snapshot!(read(text).unwrap_err(), @r#"
        a.json: snapshot_agent.aws_storage.s3_force_path_style: it is neither true nor false
        a.json: snapshot_agent.aws_storage.secret_access_key: it is no text
        a.json: snapshot_agent.log: it is no object
        a.json: snapshot_agent.login.meta: it is no object
        a.json: snapshot_agent.snapshot.every: it is not known; known here: interval, retain, stale, service, deregister_after, lock_key, max_failures, local_scratch_path
        a.json: snapshot_agent.snapshot.interval: "soon" is no duration such as 250ms or 1m30s
        a.json: snapshot_agent.snapshot.retain: it is no number from 0
        a.json: snapshot_agent.tokn: it is not known; known here: http_addr, token, datacenter, ca_file, ca_path, cert_file, key_file, tls_server_name, license_path, login, log, snapshot, local_storage, aws_storage, azure_blob_storage, google_storage
        "#);
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        let why = read("{\"snapshot_agent\": {},\n}").unwrap_err();
        assert_eq!(why, "a.json: it is no JSON: trailing comma at line 2 column 1");
        assert!(read("[]").unwrap_err().starts_with("a.json: it is no JSON: invalid type: sequence"));
        assert_eq!(read("{\"snapshot_agent\": 5}").unwrap_err(), "a.json: snapshot_agent: it is no object");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\]{}:,\"0-9a-z_ ]{0,60}") {
            drop(read(&text));
            drop(read(&format!("{{\"snapshot_agent\": {text}}}")));
        }
    }
}
