//! What it runs with: flags, files and environment together, and what nobody said.

use std::fmt;
use std::time::Duration;

use lictor_core::replicate::{Exclude, Prefix};
use thiserror::Error;

use super::destinations;
use super::flags::Flags;
use super::given::{self, Given, TIMES};
use super::note;
use super::signal::Signal;
use crate::Secret;
use crate::log::{self, LogLevel};
use crate::reach::{flag, with_scheme};

/// Where notes lie unless `-status-dir` says otherwise.
pub const STATUS_DIR: &str = "service/consul-replicate/statuses";

/// How old an answer may be unless `max_stale` says otherwise.
const MAX_STALE: Duration = Duration::from_secs(2);

/// Where the Consul agent is unless somebody says otherwise.
const ADDRESS: &str = "127.0.0.1:8500";

/// Under which name the system log knows it.
const NAME: &str = "consul-replicate";

/// Everything that it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The Consul agent of the destination.
    pub consul: Connection,
    /// What happens when Consul does not answer well.
    pub retry: Retry,
    /// What is copied; no two write to the same keys, but one may write inside another one's destination.
    pub prefixes: Vec<Prefix>,
    /// Keys that are left alone, by their names at the source.
    pub excludes: Vec<Exclude>,
    /// What the keys of all notes begin with: it ends with a slash.
    pub status_dir: String,
    /// How old an answer may be that is not the leader's; `None`: the leader is asked.
    pub max_stale: Option<Duration>,
    /// How long the source must be quiet, and how long it is waited for that at most. Neither is zero.
    pub wait: Option<(Duration, Duration)>,
    /// Whether it copies once and ends.
    pub once: bool,
    /// Whether a key that only the destination has is deleted.
    pub delete: bool,
    /// Deletes that are done although they would be held back, by their names.
    pub approved: Vec<String>,
    /// Whether a copy that somebody else has changed is put right.
    pub repair: bool,
    /// The signal that ends it, besides SIGTERM.
    pub kill_signal: Option<Signal>,
    /// The signal that has it read its files again.
    pub reload_signal: Option<Signal>,
    /// How much is logged.
    pub log_level: LogLevel,
    /// The file that holds its process id while it runs.
    pub pid_file: Option<String>,
    /// How the system log gets what is logged, besides the standard error.
    pub syslog: Option<Syslog>,
    /// What is deprecated, has no effect, or is done in another way than before. Each is worth a warning.
    pub remarks: Vec<String>,
}

/// How the Consul agent is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct Connection {
    /// `http://HOST:PORT`, `https://…` or `unix://PATH`.
    pub address: String,
    /// The namespace (Consul Enterprise).
    pub namespace: Option<String>,
    /// The token.
    pub token: Option<Secret>,
    /// The file that holds the token; only if there is none.
    pub token_file: Option<String>,
    /// User and password of HTTP's basic authentication.
    pub login: Option<(String, Option<Secret>)>,
    /// Whether the server's certificate is looked at.
    pub verify: bool,
    /// A file with the certificates of authorities.
    pub ca_file: Option<String>,
    /// A directory of such files; only if there is no such file.
    pub ca_dir: Option<String>,
    /// Our own certificate.
    pub cert_file: Option<String>,
    /// Its key; `None` only if there is no certificate.
    pub key_file: Option<String>,
    /// The name that the server's certificate must have.
    pub server_name: Option<String>,
    /// How long it may take to be connected, TLS included; `None`: nobody said.
    pub connect_timeout: Option<Duration>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("address", &self.address)
            .field("verify", &self.verify)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// What happens when Consul does not answer well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often in a row it is tried again; `None`: without an end. 0: not at all.
    pub attempts: Option<u32>,
    /// The first pause; each one is twice as long as the one before.
    pub backoff: Duration,
    /// The longest pause; `None`: they grow without an end.
    pub max_backoff: Option<Duration>,
}

/// How the system log gets what is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// The number of the facility, as RFC 3164 has it.
    pub facility: u8,
    /// The name under which it logs.
    pub name: String,
}

/// Settings that cannot be used. Exit status 15.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StartError {
    /// There is no such level.
    #[error("invalid log level {0:?}: there are TRACE, DEBUG, INFO, WARN and ERR")]
    LogLevel(String),
    /// There is no such facility.
    #[error("invalid syslog facility {0:?}: there are LOCAL0 to LOCAL7, DAEMON, USER and others")]
    Facility(String),
    /// No note could have a key.
    #[error("the status directory {0:?} cannot be used: it must be the beginning of a key")]
    StatusDir(String),
    /// Two prefixes write to the same keys.
    #[error(
        "the prefixes `{one}` and `{other}` both write to `{destination}`: each would delete what the other one copies"
    )]
    SameDestination {
        /// A prefix.
        one: String,
        /// The other one.
        other: String,
        /// Where they write.
        destination: String,
    },
    /// Two prefixes have one note.
    #[error(
        "the prefixes `{one}` and `{other}` would share one status, whose key has no more than their sources and destinations in a row; give one of them another destination"
    )]
    SameNote {
        /// A prefix.
        one: String,
        /// The other one.
        other: String,
    },
    /// What would be copied lies among the notes, which are never written over.
    #[error("the destination of `{prefix}` lies in the status directory `{status_dir}`")]
    AmongNotes {
        /// The prefix.
        prefix: String,
        /// Where the notes lie.
        status_dir: String,
    },
}

impl Start {
    /// Puts together what is known: flags go before files, later files before earlier ones, and all of them before the
    /// environment, which is given as a look-up.
    ///
    /// # Errors
    /// The first thing that cannot be used.
    pub fn new(
        flags: &Flags,
        files: &[Given],
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, StartError> {
        let given = files.iter().cloned().fold(Given::default(), Given::and).and(flags.given.clone());
        let variable =
            |name: &str| environment(name).map(|value| value.trim().to_owned()).filter(|v| !v.is_empty());
        let mut remarks = given.remarks;
        let log_level = log_level(given.log_level, variable)?;
        let syslog = syslog(given.syslog)?;
        let status_dir = status_dir(given.status_dir.as_deref().unwrap_or(STATUS_DIR))?;
        let prefixes = destinations::looked_at(given.prefixes, &status_dir, &mut remarks)?;
        if prefixes.is_empty() {
            remarks.push("there is no prefix: nothing is copied".to_owned());
        }
        for (name, signal) in [("kill", given.kill_signal), ("reload", given.reload_signal)] {
            if let Some(signal) = signal.flatten().filter(|signal| !signal.can_be_caught()) {
                remarks.push(format!("the {name} signal {signal} cannot be caught and has no effect"));
            }
        }
        let mut idle = given.consul.idle.clone();
        idle.sort_unstable();
        idle.dedup();
        if !idle.is_empty() {
            remarks.push(format!("settings of connections that have no effect: {}", idle.join(", ")));
        }
        Ok(Self {
            retry: retry(&given.consul.retry),
            consul: connection(given.consul, variable, &mut remarks),
            prefixes,
            excludes: given.excludes,
            status_dir,
            max_stale: Some(given.max_stale.unwrap_or(MAX_STALE)).filter(|time| !time.is_zero()),
            wait: wait(&given.wait),
            once: flags.once,
            delete: given.delete.unwrap_or(true),
            approved: flags.approved.clone(),
            repair: given.repair.unwrap_or(false),
            kill_signal: given.kill_signal.unwrap_or(Some(Signal::INT)),
            reload_signal: given.reload_signal.unwrap_or(Some(Signal::HUP)),
            log_level,
            pid_file: given.pid_file.filter(|path| !path.is_empty()),
            syslog,
            remarks,
        })
    }

    /// The key of the note of each prefix, in their order.
    pub fn note_keys(&self) -> Vec<String> {
        self.prefixes.iter().map(|prefix| note::key(&self.status_dir, prefix)).collect()
    }
}

fn log_level(
    given: Option<String>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<LogLevel, StartError> {
    let named = given.or_else(|| variable("CR_LOG")).or_else(|| variable("CONSUL_REPLICATE_LOG"));
    named.map_or(Ok(LogLevel::Warn), |name| LogLevel::named(&name).ok_or(StartError::LogLevel(name)))
}

/// A facility or a name turns it on.
fn syslog(given: given::Syslog) -> Result<Option<Syslog>, StartError> {
    let [facility, name] = [given.facility, given.name].map(|text| text.filter(|text| !text.is_empty()));
    if !given.enabled.unwrap_or(facility.is_some() || name.is_some()) {
        return Ok(None);
    }
    let found = log::facility(facility.as_deref().unwrap_or("LOCAL0"));
    let facility = found.ok_or_else(|| StartError::Facility(facility.unwrap_or_default()))?;
    Ok(Some(Syslog { facility, name: name.unwrap_or_else(|| NAME.to_owned()) }))
}

/// With a slash at its end, and none at its beginning: no key of Consul's can be asked for with one.
fn status_dir(given: &str) -> Result<String, StartError> {
    match given.trim_matches('/') {
        "" => Err(StartError::StatusDir(given.to_owned())),
        dir => Ok(format!("{dir}/")),
    }
}

fn retry(given: &given::Retry) -> Retry {
    let attempts = if given.enabled.unwrap_or(true) { given.attempts.unwrap_or(12) } else { 0 };
    Retry {
        attempts: Some(attempts).filter(|attempts| *attempts > 0 || given.enabled == Some(false)),
        backoff: given.backoff.unwrap_or(Duration::from_millis(250)),
        max_backoff: Some(given.max_backoff.unwrap_or(Duration::from_mins(1))).filter(|time| !time.is_zero()),
    }
}

/// Both times must be there; the longest one never comes before the shortest.
fn wait(given: &given::Wait) -> Option<(Duration, Duration)> {
    let min = given.min.filter(|_| given.enabled != Some(false))?;
    let max = given.max.unwrap_or_else(|| min.saturating_mul(TIMES));
    Some((min.min(max), max)).filter(|(min, _)| !min.is_zero())
}

fn connection(
    given: given::Consul,
    variable: impl Fn(&str) -> Option<String>,
    remarks: &mut Vec<String>,
) -> Connection {
    let given::Consul { auth, ssl, .. } = given;
    let set = |text: Option<String>| text.filter(|text| !text.is_empty());
    let [cert, key, ca_cert, ca_path, server_name] =
        [ssl.cert, ssl.key, ssl.ca_cert, ssl.ca_path, ssl.server_name].map(set);
    // Any of its settings turns TLS on.
    let any = [&cert, &key, &ca_cert, &ca_path, &server_name].into_iter().any(Option::is_some);
    let https = match ssl.enabled {
        Some(enabled) => enabled,
        None if any || ssl.verify.is_some() => true,
        None => flag("CONSUL_HTTP_SSL", &variable, remarks).unwrap_or(false),
    };
    let verify = match ssl.verify {
        Some(verify) => verify,
        None => flag("CONSUL_HTTP_SSL_VERIFY", &variable, remarks).unwrap_or(true),
    };
    let address = set(given.address).or_else(|| variable("CONSUL_HTTP_ADDR"));
    let token = given.token.filter(|token| !token.expose().is_empty());
    let token_file = set(given.token_file);
    let of_environment =
        || variable("CONSUL_TOKEN").or_else(|| variable("CONSUL_HTTP_TOKEN")).map(Secret::new);
    let token = token.or_else(|| if token_file.is_some() { None } else { of_environment() });
    let ca_file = ca_cert.or_else(|| variable("CONSUL_CACERT").filter(|_| ca_path.is_none()));
    let key_file = key.or_else(|| variable("CONSUL_CLIENT_KEY").filter(|_| cert.is_none()));
    let cert_file = cert.or_else(|| variable("CONSUL_CLIENT_CERT"));
    Connection {
        address: with_scheme(address.as_deref().unwrap_or(ADDRESS), https),
        namespace: set(given.namespace).or_else(|| variable("CONSUL_NAMESPACE")),
        token_file: token_file.or_else(|| variable("CONSUL_HTTP_TOKEN_FILE")).filter(|_| token.is_none()),
        token,
        login: login(auth, variable("CONSUL_HTTP_AUTH")),
        verify,
        ca_dir: ca_path.or_else(|| variable("CONSUL_CAPATH")).filter(|_| ca_file.is_none()),
        ca_file,
        // One file may hold both.
        key_file: cert_file.clone().map(|cert| key_file.unwrap_or(cert)),
        cert_file,
        server_name: server_name.or_else(|| variable("CONSUL_TLS_SERVER_NAME")),
        connect_timeout: match (given.dial_timeout, given.tls_handshake_timeout) {
            (Some(dial), tls) => Some(dial.saturating_add(tls.unwrap_or_default())),
            (None, tls) => tls,
        }
        .filter(|time| !time.is_zero()),
    }
}

/// A name or a password turns it on, unless it is turned off.
fn login(given: given::Auth, variable: Option<String>) -> Option<(String, Option<Secret>)> {
    let present = given.username.as_ref().is_some_and(|name| !name.is_empty())
        || given.password.as_ref().is_some_and(|password| !password.expose().is_empty());
    match given.enabled {
        Some(false) => None,
        Some(true) | None if present => Some((given.username.unwrap_or_default(), given.password)),
        _ => {
            let auth = given::Auth::parse(&variable?).ok()?;
            Some((auth.username?, auth.password))
        }
    }
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
