//! What `start` runs with: its options, the file that wins over them, and the environment.

use std::fmt;

use serde_json::{Map, Value};
use thiserror::Error;

use super::cli::Options;
use super::remark::{Remark, bool_of};
use crate::Secret;

/// Where the HTTP interface is when nobody says otherwise.
pub const ALERT_ADDR: &str = "localhost:9000";

/// Everything that `start` was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Where the HTTP interface is: `HOST:PORT`.
    pub alert_addr: String,
    /// The Consul agent.
    pub consul: Consul,
    /// The datacenter; `None` is that of the agent.
    pub datacenter: Option<String>,
    /// Whether `--watch-checks` was given. Checks are watched in any case.
    pub watch_checks: bool,
    /// Whether events are watched.
    pub watch_events: bool,
    /// How much is logged.
    pub log_level: LogLevel,
    /// What could not be used, and what is done instead.
    pub remarks: Vec<Remark>,
}

/// How the Consul agent is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct Consul {
    /// `http://HOST:PORT`, `https://…` or `unix://PATH`.
    pub address: String,
    /// Whether the server's certificate is looked at.
    pub verify: bool,
    /// The token.
    pub token: Option<Secret>,
    /// The file that holds the token.
    pub token_file: Option<String>,
    /// User and password of HTTP's basic authentication.
    pub login: Option<(String, Secret)>,
    /// Files with the authority's certificate, and our own certificate and key.
    pub ca_file: Option<String>,
    /// See `ca_file`.
    pub cert_file: Option<String>,
    /// See `ca_file`.
    pub key_file: Option<String>,
    /// The name that the server's certificate must have.
    pub server_name: Option<String>,
}

impl fmt::Debug for Consul {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consul")
            .field("address", &self.address)
            .field("verify", &self.verify)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What cannot be gone on with.
    Error,
    /// What should not be.
    Warn,
    /// What happens.
    Info,
    /// Everything.
    Debug,
}

impl LogLevel {
    /// The level of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "panic" | "fatal" | "error" | "err" => Some(Self::Error),
            "warn" | "warning" => Some(Self::Warn),
            "info" => Some(Self::Info),
            "debug" => Some(Self::Debug),
            _ => None,
        }
    }
}

/// A `--config-file` that is no JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the configuration file is no JSON object: {why}")]
pub struct FileError {
    /// What is wrong.
    pub why: String,
}

/// The settings of a `--config-file`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    options: Options,
    watch_checks: Option<bool>,
    watch_events: Option<bool>,
    remarks: Vec<Remark>,
}

impl File {
    /// Reads it. A value of the wrong type is a remark; the others count.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let object: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| FileError { why: error.to_string() })?;
        let mut file = Self::default();
        for (key, value) in &object {
            let known = match key.as_str() {
                "alert-addr" => file.set(value, |options| &mut options.alert_addr),
                "consul-addr" => file.set(value, |options| &mut options.consul_addr),
                "consul-dc" => file.set(value, |options| &mut options.consul_dc),
                "log-level" => file.set(value, |options| &mut options.log_level),
                "consul-acl-token" => value.as_str().is_some_and(|token| {
                    file.options.consul_acl_token = Some(Secret::new(token.trim()));
                    true
                }),
                "watch-checks" => {
                    file.watch_checks = value.as_bool();
                    value.is_boolean()
                }
                "watch-events" => {
                    file.watch_events = value.as_bool();
                    value.is_boolean()
                }
                _ => {
                    file.remarks.push(Remark::new(
                        key,
                        "is not known in the configuration file",
                        "it is left out",
                    ));
                    continue;
                }
            };
            if !known {
                file.remarks.push(Remark::new(
                    key,
                    "has the wrong type in the configuration file",
                    "it is left out",
                ));
            }
        }
        Ok(file)
    }

    fn set(&mut self, value: &Value, place: fn(&mut Options) -> &mut Option<String>) -> bool {
        let Some(text) = value.as_str() else { return false };
        *place(&mut self.options) = Some(text.trim().to_owned());
        true
    }
}

impl Start {
    /// Puts together what is known; the file wins over the options, and both over the
    /// environment, which is given as a look-up.
    pub fn new(options: &Options, file: Option<&File>, environment: impl Fn(&str) -> Option<String>) -> Self {
        let none = File::default();
        let file = file.unwrap_or(&none);
        let mut remarks = file.remarks.clone();
        let choose = |place: fn(&Options) -> &Option<String>| {
            let given = place(&file.options).as_ref().or(place(options).as_ref());
            given.filter(|value| !value.is_empty() && *value != "\"\"").cloned()
        };
        let variable =
            |name: &str| environment(name).map(|value| value.trim().to_owned()).filter(|v| !v.is_empty());
        let flag = |name: &str, remarks: &mut Vec<Remark>| {
            let value = variable(name)?;
            let parsed = bool_of(&value);
            if parsed.is_none() {
                remarks.push(Remark::new(
                    name,
                    &format!("`{value}` is neither true nor false"),
                    "it is left out",
                ));
            }
            parsed
        };
        let ssl = flag("CONSUL_HTTP_SSL", &mut remarks).unwrap_or(false);
        let verify = flag("CONSUL_HTTP_SSL_VERIFY", &mut remarks).unwrap_or(true);
        let given = choose(|options| &options.consul_addr).or_else(|| variable("CONSUL_HTTP_ADDR"));
        let token = file.options.consul_acl_token.as_ref().or(options.consul_acl_token.as_ref());
        let token = token.filter(|token| !matches!(token.expose(), "" | "\"\"")).cloned();
        let log_level = choose(|options| &options.log_level).map_or(LogLevel::Warn, |name| {
            LogLevel::named(&name).unwrap_or_else(|| {
                remarks.push(Remark::new("log-level", &format!("`{name}` is no level"), "it is info"));
                LogLevel::Info
            })
        });
        Self {
            alert_addr: choose(|options| &options.alert_addr).unwrap_or_else(|| ALERT_ADDR.to_owned()),
            consul: Consul {
                address: address(given.as_deref().unwrap_or("localhost:8500"), ssl),
                verify,
                token_file: variable("CONSUL_HTTP_TOKEN_FILE").filter(|_| token.is_none()),
                token: token.or_else(|| variable("CONSUL_HTTP_TOKEN").map(Secret::new)),
                login: variable("CONSUL_HTTP_AUTH").map(|auth| {
                    let (user, password) = auth.split_once(':').unwrap_or((&auth, ""));
                    (user.to_owned(), Secret::new(password))
                }),
                ca_file: variable("CONSUL_CACERT"),
                cert_file: variable("CONSUL_CLIENT_CERT"),
                key_file: variable("CONSUL_CLIENT_KEY"),
                server_name: variable("CONSUL_TLS_SERVER_NAME"),
            },
            datacenter: choose(|options| &options.consul_dc),
            watch_checks: file.watch_checks.unwrap_or(options.watch_checks),
            watch_events: file.watch_events.unwrap_or(options.watch_events),
            log_level,
            remarks,
        }
    }
}

/// The address with its scheme.
fn address(given: &str, ssl: bool) -> String {
    if given.contains("://") {
        return given.to_owned();
    }
    format!("{}://{given}", if ssl { "https" } else { "http" })
}

#[cfg(test)]
mod tests {
    use super::super::cli::{Command, parse};
    use super::*;

    fn told(line: &str, file: &str, environment: &[(&str, &str)]) -> Start {
        let Ok(Command::Start(options)) = parse(&line.split_whitespace().collect::<Vec<_>>()) else {
            panic!("{line}")
        };
        let file = File::parse(file).unwrap();
        let look_up = |name: &str| {
            environment.iter().find(|(found, _)| *found == name).map(|(_, value)| (*value).to_owned())
        };
        Start::new(&options, Some(&file), look_up)
    }

    #[test]
    fn without_anything_the_defaults_count() {
        let start = told("start", "{}", &[]);
        assert_eq!(start.alert_addr, "localhost:9000");
        assert_eq!(start.consul.address, "http://localhost:8500");
        assert_eq!((start.datacenter, start.log_level), (None, LogLevel::Warn));
        assert!(start.consul.verify && !start.watch_checks && !start.watch_events);
        assert!(start.consul.token.is_none() && start.remarks.is_empty());
    }

    #[test]
    fn the_file_wins_over_the_options() {
        let file = r#"{"log-level": "debug", "consul-addr": "c:1", "consul-dc": "two", "alert-addr": ":1",
            "consul-acl-token": "f", "watch-checks": false, "watch-events": true}"#;
        let line =
            "start --log-level=info --consul-addr=d:2 --consul-dc one --watch-checks --consul-acl-token=o";
        let start = told(line, file, &[("CONSUL_HTTP_TOKEN", "e")]);
        assert_eq!(start.consul.address, "http://c:1");
        assert_eq!(start.consul.token, Some(Secret::new("f")));
        assert_eq!((start.datacenter.as_deref(), start.log_level), (Some("two"), LogLevel::Debug));
        assert_eq!(start.alert_addr, ":1");
        assert!(!start.watch_checks && start.watch_events);
    }

    #[test]
    fn a_wrong_value_in_the_file_is_told_and_the_option_counts() {
        let start =
            told("start --consul-dc one", r#"{"consul-dc": 1, "watch-checks": "yes", "new": 1}"#, &[]);
        assert_eq!(start.datacenter.as_deref(), Some("one"));
        let keys: Vec<_> = start.remarks.iter().map(|remark| remark.key.as_str()).collect();
        assert_eq!(keys, ["consul-dc", "new", "watch-checks"]);
        assert!(File::parse("[]").is_err() && File::parse("{").is_err());
    }

    #[test]
    fn the_environment_counts_where_nothing_else_was_said() {
        let environment = [
            ("CONSUL_HTTP_SSL", "true"),
            ("CONSUL_HTTP_SSL_VERIFY", "0"),
            ("CONSUL_HTTP_AUTH", "me:a:b"),
            ("CONSUL_HTTP_ADDR", "c:8501"),
            ("CONSUL_HTTP_TOKEN", "t"),
            ("CONSUL_CACERT", "/ca.pem"),
        ];
        let consul = told("start", "{}", &environment).consul;
        assert_eq!(consul.address, "https://c:8501");
        assert_eq!(consul.login, Some(("me".to_owned(), Secret::new("a:b"))));
        assert_eq!(consul.token, Some(Secret::new("t")));
        assert_eq!(consul.ca_file.as_deref(), Some("/ca.pem"));
        assert!(!consul.verify);
        assert_eq!(told("start --consul-addr d:1", "{}", &environment).consul.address, "https://d:1");
        assert_eq!(told("start --consul-addr unix:///c", "{}", &environment).consul.address, "unix:///c");
        assert_eq!(told("start", "{}", &[("CONSUL_HTTP_SSL", "maybe")]).remarks.len(), 1);
    }

    #[test]
    fn an_unknown_level_is_info() {
        assert_eq!(told("start --log-level=loud", "{}", &[]).log_level, LogLevel::Info);
        assert_eq!(told("start --log-level=err", "{}", &[]).log_level, LogLevel::Error);
        for name in ["panic", "fatal", "error", "warn", "warning", "info", "debug"] {
            assert!(LogLevel::named(name).is_some(), "{name}");
        }
    }
}
