//! What the flags or a file say.

use std::time::Duration;

use lictor_core::replicate::{Exclude, Prefix};

use super::signal::Signal;
use crate::Secret;

/// What the flags say, or what a file says; the rest is left to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    pub(super) consul: Consul,
    pub(super) prefixes: Vec<Prefix>,
    pub(super) excludes: Vec<Exclude>,
    /// `Some(None)`: no signal at all.
    pub(super) kill_signal: Option<Option<Signal>>,
    pub(super) reload_signal: Option<Option<Signal>>,
    pub(super) log_level: Option<String>,
    pub(super) max_stale: Option<Duration>,
    pub(super) pid_file: Option<String>,
    pub(super) status_dir: Option<String>,
    pub(super) syslog: Syslog,
    pub(super) wait: Wait,
    pub(super) delete: Option<bool>,
    pub(super) repair: Option<bool>,
    /// What will not be understood for ever, or has no effect.
    pub(super) remarks: Vec<String>,
}

/// The block `consul`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Consul {
    pub(super) address: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) token: Option<Secret>,
    pub(super) token_file: Option<String>,
    pub(super) auth: Auth,
    pub(super) retry: Retry,
    pub(super) ssl: Ssl,
    pub(super) dial_timeout: Option<Duration>,
    pub(super) tls_handshake_timeout: Option<Duration>,
    /// Settings of connections that are told apart by their names only.
    pub(super) idle: Vec<&'static str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Auth {
    pub(super) enabled: Option<bool>,
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
}

impl Auth {
    /// `USER` or `USER:PASSWORD`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("it is empty");
        }
        let (user, password) = match text.split_once(':') {
            Some((user, password)) => (user, Some(Secret::new(password))),
            None => (text, None),
        };
        Ok(Self { enabled: None, username: Some(user.to_owned()), password })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Retry {
    pub(super) enabled: Option<bool>,
    /// 0: without an end.
    pub(super) attempts: Option<u32>,
    pub(super) backoff: Option<Duration>,
    /// Zero: none.
    pub(super) max_backoff: Option<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ssl {
    pub(super) enabled: Option<bool>,
    pub(super) verify: Option<bool>,
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
    pub(super) ca_cert: Option<String>,
    pub(super) ca_path: Option<String>,
    pub(super) server_name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Syslog {
    pub(super) enabled: Option<bool>,
    pub(super) facility: Option<String>,
    pub(super) name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) enabled: Option<bool>,
    pub(super) min: Option<Duration>,
    pub(super) max: Option<Duration>,
}

impl Given {
    /// Nothing but something that is worth a warning.
    #[must_use]
    pub fn remark(what: String) -> Self {
        Self { remarks: vec![what], ..Self::default() }
    }

    /// Both together: of two values the later one counts, prefixes and excludes are those of both.
    #[must_use]
    pub(super) fn and(mut self, later: Self) -> Self {
        self.prefixes.extend(later.prefixes);
        self.excludes.extend(later.excludes);
        self.remarks.extend(later.remarks);
        Self {
            consul: self.consul.and(later.consul),
            prefixes: self.prefixes,
            excludes: self.excludes,
            kill_signal: later.kill_signal.or(self.kill_signal),
            reload_signal: later.reload_signal.or(self.reload_signal),
            log_level: later.log_level.or(self.log_level),
            max_stale: later.max_stale.or(self.max_stale),
            pid_file: later.pid_file.or(self.pid_file),
            status_dir: later.status_dir.or(self.status_dir),
            syslog: Syslog {
                enabled: later.syslog.enabled.or(self.syslog.enabled),
                facility: later.syslog.facility.or(self.syslog.facility),
                name: later.syslog.name.or(self.syslog.name),
            },
            wait: Wait {
                enabled: later.wait.enabled.or(self.wait.enabled),
                min: later.wait.min.or(self.wait.min),
                max: later.wait.max.or(self.wait.max),
            },
            delete: later.delete.or(self.delete),
            repair: later.repair.or(self.repair),
            remarks: self.remarks,
        }
    }
}

impl Consul {
    fn and(mut self, later: Self) -> Self {
        self.idle.extend(later.idle);
        Self {
            address: later.address.or(self.address),
            namespace: later.namespace.or(self.namespace),
            token: later.token.or(self.token),
            token_file: later.token_file.or(self.token_file),
            auth: Auth {
                enabled: later.auth.enabled.or(self.auth.enabled),
                username: later.auth.username.or(self.auth.username),
                password: later.auth.password.or(self.auth.password),
            },
            retry: Retry {
                enabled: later.retry.enabled.or(self.retry.enabled),
                attempts: later.retry.attempts.or(self.retry.attempts),
                backoff: later.retry.backoff.or(self.retry.backoff),
                max_backoff: later.retry.max_backoff.or(self.retry.max_backoff),
            },
            ssl: Ssl {
                enabled: later.ssl.enabled.or(self.ssl.enabled),
                verify: later.ssl.verify.or(self.ssl.verify),
                cert: later.ssl.cert.or(self.ssl.cert),
                key: later.ssl.key.or(self.ssl.key),
                ca_cert: later.ssl.ca_cert.or(self.ssl.ca_cert),
                ca_path: later.ssl.ca_path.or(self.ssl.ca_path),
                server_name: later.ssl.server_name.or(self.ssl.server_name),
            },
            dial_timeout: later.dial_timeout.or(self.dial_timeout),
            tls_handshake_timeout: later.tls_handshake_timeout.or(self.tls_handshake_timeout),
            idle: self.idle,
        }
    }
}

impl Wait {
    /// `MIN` or `MIN:MAX`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        let read = |text: &str| crate::goduration::parse(text.trim()).map_err(|error| error.to_string());
        let (min, max) = match text.split_once(':') {
            None => {
                let min = read(text)?;
                (min, min.saturating_mul(TIMES.into()))
            }
            Some((_, max)) if max.contains(':') => return Err("it is MIN or MIN:MAX".to_owned()),
            Some((min, max)) => (read(min)?, read(max)?),
        };
        if min < 0 || max < 0 {
            return Err("it cannot be negative".to_owned());
        }
        if max < min {
            return Err("the second time is less than the first one".to_owned());
        }
        let [min, max] = [min, max].map(|time| Some(crate::goduration::duration(time)));
        Ok(Self { enabled: None, min, max })
    }
}

/// So many times the shortest time to wait is the longest one, if nobody says otherwise.
pub(super) const TIMES: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(text: &str) -> Result<(Option<Duration>, Option<Duration>), String> {
        Wait::parse(text).map(|wait| (wait.min, wait.max))
    }

    #[test]
    fn the_longest_time_to_wait_is_four_times_the_shortest_one() {
        let seconds = |min, max| Ok((Some(Duration::from_secs(min)), Some(Duration::from_secs(max))));
        assert_eq!(wait("5s"), seconds(5, 20));
        assert_eq!(wait(" 5s : 10s "), seconds(5, 10));
        assert_eq!(wait("0s:0s"), seconds(0, 0));
    }

    #[test]
    fn a_time_to_wait_that_cannot_be_is_refused() {
        for (text, why) in [
            ("", "it is empty"),
            ("5s:", "\"\" is no duration such as 250ms or 1m30s"),
            ("-5s", "it cannot be negative"),
            ("5s:1s", "the second time is less than the first one"),
            ("1s:2s:3s", "it is MIN or MIN:MAX"),
            ("five", "\"five\" is no duration such as 250ms or 1m30s"),
        ] {
            assert_eq!(wait(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn who_logs_in_has_a_name_and_perhaps_a_password() {
        let auth = Auth::parse("me:a:b").unwrap();
        assert_eq!((auth.username.as_deref(), auth.password), (Some("me"), Some(Secret::new("a:b"))));
        assert_eq!(Auth::parse("me").unwrap().password, None);
        assert!(Auth::parse("").is_err());
    }

    #[test]
    fn of_two_values_the_later_one_counts_and_lists_grow() {
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        let one = Given {
            prefixes: vec![prefix("a@dc1")],
            log_level: Some("info".to_owned()),
            wait: Wait::parse("1s").unwrap(),
            ..Given::default()
        };
        let other = Given {
            prefixes: vec![prefix("b@dc1")],
            log_level: Some("debug".to_owned()),
            pid_file: Some("/p".to_owned()),
            ..Given::default()
        };
        let both = one.and(other);
        assert_eq!(both.prefixes, [prefix("a@dc1"), prefix("b@dc1")]);
        assert_eq!((both.log_level.as_deref(), both.pid_file.as_deref()), (Some("debug"), Some("/p")));
        assert_eq!(both.wait, Wait::parse("1s").unwrap());
    }
}
