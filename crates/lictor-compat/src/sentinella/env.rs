//! What the watcher was told by its environment, and what its predecessor was.

use std::net::IpAddr;
use std::time::Duration;

use thiserror::Error;

use crate::Secret;

/// The port of probes.
pub const PORT: u16 = 5988;

/// Where states lie unless STATE_DIR says otherwise.
pub const STATE_DIR: &str = "/var/lib/sentinella";

/// Where they lay before that.
pub const OLD_STATE_DIR: &str = "/var/lib/sentinel";

/// Where Telegram is unless TG_API_URL says otherwise.
pub const TG_API_URL: &str = "https://api.telegram.org";

/// The status with which the watcher ends when its environment cannot be used.
pub const EXIT_ENVIRONMENT: u8 = 3;

/// Rounds come no faster than this.
const SHORTEST: Duration = Duration::from_millis(100);

/// No time is longer than this: a year.
const LONGEST: f64 = 366.0 * 86_400.0;

/// All that the watcher was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watcher {
    /// How it finds its peers.
    pub peers: Named,
    /// Its own addresses, in place of those of the interfaces, unless there is none.
    pub own: Vec<IpAddr>,
    /// Whether the peers are asked over TLS.
    pub https: bool,
    /// What each peer is shown as `Authorization: Basic …`, encoded already.
    pub token: Option<Secret>,
    /// The token of the Telegram bot.
    pub tg_token: Secret,
    /// The chat that is told.
    pub tg_chat_id: String,
    /// Where Telegram is, without a final slash.
    pub tg_api_url: String,
    /// Time limit of one look, and of one message.
    pub timeout: Duration,
    /// Pause between rounds; at least 100 ms.
    pub interval: Duration,
    /// Where states lie.
    pub state_dir: String,
    /// Where they lie if that cannot be made.
    pub home_state_dir: Option<String>,
    /// Whether everything is told in every round.
    pub spam: bool,
    /// The command in place of `dig`, with its first arguments.
    pub dig: Option<String>,
    /// The command in place of `getent`, with its first arguments.
    pub getent: Option<String>,
    /// What could not be used, and is left out.
    pub remarks: Vec<String>,
}

/// How the peers are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// An SRV record (PEERS_SRV).
    Srv(String),
    /// The addresses of a name (PEERS_DNS), and the port of all of them (PEERS_PORT).
    Dns {
        /// The name.
        name: String,
        /// The port.
        port: u16,
    },
}

/// An environment that cannot be used: exit status 3.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EnvError {
    /// Something that is needed is not set, or empty.
    #[error("{0} not set")]
    Unset(&'static str),
    /// A value is not what it should be.
    #[error("{name} is `{value}`, which is not {wanted}")]
    Junk {
        /// The variable.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
}

impl Watcher {
    /// Reads it from an environment; an empty variable is as none.
    ///
    /// # Errors
    /// The first thing that is missing or wrong, in the order in which the old program looked.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, EnvError> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let needed = |name: &'static str| get(name).ok_or(EnvError::Unset(name));
        // PEERS_SRV wins; it alone is asked for when there is neither.
        let names = (get("PEERS_SRV"), get("PEERS_DNS"));
        if names == (None, None) {
            return Err(EnvError::Unset("PEERS_SRV"));
        }
        let tg_token = Secret::new(needed("TG_TOKEN")?);
        let tg_chat_id = needed("TG_CHAT_ID")?;
        let peers = match names {
            (Some(name), _) => Named::Srv(name),
            (None, name) => Named::Dns { name: name.unwrap_or_default(), port: port(&get)? },
        };
        let (own, remarks) = own(&get("SELF").unwrap_or_default());
        let state_dir = get("STATE_DIR").unwrap_or_else(|| STATE_DIR.to_owned());
        let url = get("TG_API_URL").unwrap_or_else(|| TG_API_URL.to_owned());
        Ok(Self {
            peers,
            own,
            https: https(&get)?,
            token: get("PEERS_TOKEN").map(Secret::new),
            tg_token,
            tg_chat_id,
            tg_api_url: url.trim_end_matches('/').to_owned(),
            timeout: timeout(&get)?,
            interval: interval(&get)?,
            home_state_dir: get("HOME").and_then(|home| below_home(&home, &state_dir)),
            state_dir,
            spam: get("SPAM").as_deref() == Some("1"),
            dig: get("DIG"),
            getent: get("GETENT"),
            remarks,
        })
    }
}

/// All that `sentinel` was told, the program before the watcher: one that watched all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinel {
    /// The base URLs of the probes, each with what it is shown as `Authorization: Basic …`.
    pub servers: Vec<(String, Option<Secret>)>,
    /// The token of the Telegram bot.
    pub token: Secret,
    /// The chat that is told.
    pub chat_id: String,
    /// Time limit of one look.
    pub timeout: Duration,
    /// Pause between rounds.
    pub interval: Duration,
}

impl Sentinel {
    /// Reads it from an environment; an empty variable is as none. The names TG_TOKEN and TG_CHAT_ID,
    /// which its description had and its code did not, are understood too.
    ///
    /// # Errors
    /// The first thing that is missing or wrong.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, EnvError> {
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let either =
            |name: &'static str, other: &str| get(name).or_else(|| get(other)).ok_or(EnvError::Unset(name));
        let token = Secret::new(either("TOKEN", "TG_TOKEN")?);
        let chat_id = either("CHAT_ID", "TG_CHAT_ID")?;
        let servers = get("SERVERS").ok_or(EnvError::Unset("SERVERS"))?;
        let tokens = get("TOKENS").unwrap_or_default();
        let mut tokens = tokens.split(',').map(str::trim);
        let servers = servers.split(',').map(str::trim).map(|server| {
            let token = tokens.next().filter(|token| !token.is_empty() && *token != "-");
            (server.to_owned(), token.map(Secret::new))
        });
        let servers = servers.filter(|(server, _)| !server.is_empty()).collect();
        Ok(Self { servers, token, chat_id, timeout: timeout(&get)?, interval: interval(&get)? })
    }
}

fn port(get: &impl Fn(&str) -> Option<String>) -> Result<u16, EnvError> {
    let Some(value) = get("PEERS_PORT") else { return Ok(PORT) };
    let port = value.trim().parse().ok().filter(|port| *port > 0);
    port.ok_or(EnvError::Junk { name: "PEERS_PORT", value, wanted: "a port from 1 to 65535" })
}

fn https(get: &impl Fn(&str) -> Option<String>) -> Result<bool, EnvError> {
    let Some(value) = get("PEERS_SCHEME") else { return Ok(false) };
    match value.as_str() {
        "http" => Ok(false),
        "https" => Ok(true),
        _ => Err(EnvError::Junk { name: "PEERS_SCHEME", value, wanted: "http or https" }),
    }
}

pub(super) fn timeout(get: &impl Fn(&str) -> Option<String>) -> Result<Duration, EnvError> {
    let wanted = "a number of seconds above 0";
    let found = seconds(get, "TIMEOUT", 5, wanted)?;
    if found.is_zero() {
        let value = get("TIMEOUT").unwrap_or_default();
        return Err(EnvError::Junk { name: "TIMEOUT", value, wanted });
    }
    Ok(found)
}

fn interval(get: &impl Fn(&str) -> Option<String>) -> Result<Duration, EnvError> {
    seconds(get, "POLLING_INTERVAL_SEC", 3, "a number of seconds").map(|found| found.max(SHORTEST))
}

/// A number of seconds, also a broken one, as curl and sleep take it.
fn seconds(
    get: &impl Fn(&str) -> Option<String>,
    name: &'static str,
    usual: u64,
    wanted: &'static str,
) -> Result<Duration, EnvError> {
    let Some(value) = get(name) else { return Ok(Duration::from_secs(usual)) };
    let text = value.trim();
    // `inf`, `1e9` and `+1` are numbers too, but nobody means them.
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let found = text.parse::<f64>().ok().filter(|found| plain && *found <= LONGEST);
    found.map(Duration::from_secs_f64).ok_or(EnvError::Junk { name, value, wanted })
}

/// The addresses in SELF, and what of it is none.
fn own(text: &str) -> (Vec<IpAddr>, Vec<String>) {
    let (mut own, mut remarks) = (Vec::new(), Vec::new());
    for word in text.split_whitespace() {
        match word.parse() {
            Ok(address) => own.push(address),
            Err(_) => remarks.push(format!("SELF holds `{word}`, which is no address; it is left out")),
        }
    }
    (own, remarks)
}

/// Where states lie when there is no right to make their directory.
fn below_home(home: &str, state_dir: &str) -> Option<String> {
    let last = state_dir.trim_end_matches('/').rsplit('/').next().filter(|last| !last.is_empty())?;
    Some(format!("{}/.local/{last}", home.trim_end_matches('/')))
}

#[cfg(test)]
#[path = "env_tests.rs"]
mod tests;
