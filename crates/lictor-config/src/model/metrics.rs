//! Numbers that others keep: Prometheus, Redis, and alerts that are handed in.

use std::path::PathBuf;
use std::time::Duration;

use lictor_core::{Compare, Status};
use regex::Regex;
use url::Url;

use super::Tls;
use crate::secret::Secret;

/// A number compared with a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// How.
    pub how: Compare,
    /// With what.
    pub than: f64,
}

impl Limit {
    /// Whether a number is beyond the limit. What is no number never is.
    pub fn holds(self, number: f64) -> bool {
        match self.how {
            Compare::Less => number < self.than,
            Compare::LessOrEqual => number <= self.than,
            Compare::Equal => number == self.than,
            Compare::NotEqual => !number.is_nan() && number != self.than,
            Compare::GreaterOrEqual => number >= self.than,
            Compare::Greater => number > self.than,
        }
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = match self.how {
            Compare::Less => "<",
            Compare::LessOrEqual => "<=",
            Compare::Equal => "==",
            Compare::NotEqual => "!=",
            Compare::GreaterOrEqual => ">=",
            Compare::Greater => ">",
        };
        write!(f, "{sign} {}", self.than)
    }
}

/// The numbers from which a check is not passing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Beyond this it is a warning.
    pub warning: Option<Limit>,
    /// Beyond this it is critical.
    pub critical: Option<Limit>,
}

impl Limits {
    /// The verdict on a number.
    pub fn judge(&self, number: f64) -> Status {
        let beyond = |limit: Option<Limit>| limit.is_some_and(|limit| limit.holds(number));
        if beyond(self.critical) {
            Status::Critical
        } else if beyond(self.warning) {
            Status::Warning
        } else {
            Status::Passing
        }
    }
}

/// `watch "prometheus"`: an instant query.
#[derive(Clone, Debug, PartialEq)]
pub struct Prometheus {
    /// The server, without `/api/v1/query`.
    pub url: Url,
    /// The query.
    pub query: String,
    /// Headers to send.
    pub headers: Vec<(String, Secret)>,
    /// HTTP basic authentication: user and password.
    pub basic_auth: Option<(String, Secret)>,
    /// Bearer token.
    pub bearer: Option<Secret>,
    /// TLS.
    pub tls: Tls,
    /// What a result without any series means.
    pub empty: Status,
    /// The numbers from which it is not passing.
    pub limits: Limits,
    /// The label by which the values of several series are named.
    pub label: Option<String>,
}

/// How a Redis is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisServer {
    /// Where it listens.
    pub place: RedisPlace,
    /// The user (ACL); `None`: the default user.
    pub user: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The number of the database.
    pub database: u32,
}

/// Where a Redis listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisPlace {
    /// On a port, within TLS perhaps.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// Whether to speak TLS, and how.
        tls: Option<Tls>,
    },
    /// On a socket of this machine.
    Unix(PathBuf),
}

/// `watch "redis"`: what a key holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Redis {
    /// The server.
    pub server: RedisServer,
    /// What is asked.
    pub question: RedisQuestion,
    /// What it means that the key is not there.
    pub missing: Status,
    /// The numbers from which it is not passing.
    pub limits: Limits,
}

/// What a Redis is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisQuestion {
    /// Whether it answers.
    Ping,
    /// The text of a key.
    Get(String),
    /// Whether a key is there.
    Exists(String),
    /// The length of a list.
    Length(String),
    /// The element of a sorted set with the lowest score.
    Lowest(String),
    /// The element of a sorted set with the highest score.
    Highest(String),
}

/// `act "redis"`: one of a few commands that write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisAction {
    /// The server.
    pub server: RedisServer,
    /// The command and its arguments.
    pub command: Vec<String>,
}

/// `watch "webhook"`: others say what is wrong (`POST /v1/webhook/NAME`).
#[derive(Clone, Debug)]
pub struct Webhook {
    /// What the caller must show, in place of the listener's token.
    pub token: Option<Secret>,
    /// What they say.
    pub format: WebhookFormat,
    /// What was not said again for so long does not count any more.
    pub expire: Option<Duration>,
}

/// The form of what a webhook is told.
#[derive(Clone, Debug)]
pub enum WebhookFormat {
    /// The alerts of an Alertmanager.
    Alertmanager {
        /// Labels that an alert must have, and what they must be.
        matchers: Vec<(String, Regex)>,
        /// The label that says how bad it is.
        severity: String,
        /// What it says when it is only a warning.
        warning: Vec<String>,
    },
    /// Any JSON document.
    Json {
        /// The pointer to the word that says how it is; none: any call is an event and passes.
        pointer: Option<String>,
        /// Words that mean critical.
        critical: Vec<String>,
        /// Words that mean a warning.
        warning: Vec<String>,
        /// Words that mean passing.
        passing: Vec<String>,
        /// Pointers to the texts that patterns are looked for in; none: the whole document.
        lines: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(how: Compare, than: f64) -> Limit {
        Limit { how, than }
    }

    #[test]
    fn numbers_compare_as_written() {
        assert!(limit(Compare::Greater, 90.0).holds(90.5));
        assert!(!limit(Compare::Greater, 90.0).holds(90.0));
        assert!(limit(Compare::Equal, 0.0).holds(-0.0));
        assert!(!limit(Compare::NotEqual, 0.0).holds(-0.0));
        assert!(limit(Compare::NotEqual, 1.0).holds(2.0));
        assert!(limit(Compare::Greater, 90.0).holds(f64::INFINITY));
    }

    #[test]
    fn what_is_no_number_is_beyond_no_limit() {
        for how in [
            Compare::Less,
            Compare::LessOrEqual,
            Compare::Equal,
            Compare::NotEqual,
            Compare::GreaterOrEqual,
            Compare::Greater,
        ] {
            assert!(!limit(how, 1.0).holds(f64::NAN), "{how:?}");
        }
    }
}
