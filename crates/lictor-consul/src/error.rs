//! What can go wrong with a request, and what follows from it.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::Method;

use crate::config::ConfigError;
use crate::txn::OperationError;

/// Most characters of a server's message that are kept.
const MESSAGE: usize = 500;

/// Messages of a 500 that say the cluster cannot answer just now.
const PASSING: [&str; 12] = [
    "No cluster leader",
    "rpc error",
    "leadership lost",
    "leadership transfer",
    "not the leader",
    "node is not the leader",
    "EOF",
    "Raft leader not found",
    "raft apply failed",
    "Raft error",
    "connection re",
    "i/o timeout",
];

/// One request, as it is named in messages and logs. It has no query string and so no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Whether it may change something.
    pub(crate) writes: bool,
}

impl Call {
    /// The HTTP method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path, readable: nothing in it is encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the request may change something in Consul.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.writes
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path.escape_debug())
    }
}

/// Why a request gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request cannot be sent as it is: nothing was sent.
    #[error("{call}: {reason}")]
    Invalid {
        /// Which request.
        call: Call,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection could be made: nothing was sent.
    #[error("{call}: cannot connect to {address}: {cause}")]
    Unreachable {
        /// Which request.
        call: Call,
        /// Where to.
        address: String,
        /// The innermost cause.
        cause: String,
        /// The whole cause.
        source: reqwest::Error,
    },
    /// The time limit passed before the whole answer was there.
    #[error("{call}: no whole answer within {limit:?}")]
    TimedOut {
        /// Which request.
        call: Call,
        /// The limit.
        limit: Duration,
    },
    /// The connection broke before the whole answer was there.
    #[error("{call}: the connection broke: {cause}")]
    Broken {
        /// Which request.
        call: Call,
        /// The innermost cause.
        cause: String,
        /// The whole cause.
        source: reqwest::Error,
    },
    /// Consul answered with a status that is not success.
    #[error("{call}: {status}{}{message}", if message.is_empty() { "" } else { ": " })]
    Status {
        /// Which request.
        call: Call,
        /// The HTTP status.
        status: u16,
        /// What Consul says, shortened.
        message: String,
    },
    /// A transaction was refused as a whole; nothing was changed.
    #[error("{call}: rolled back: {}", listed(errors))]
    RolledBack {
        /// Which request.
        call: Call,
        /// The operations at fault.
        errors: Vec<OperationError>,
    },
    /// The answer, or one row of it, is larger than allowed.
    #[error("{call}: the answer is larger than {limit} bytes")]
    TooLarge {
        /// Which request.
        call: Call,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The answer is not what Consul answers.
    #[error("{call}: the answer makes no sense: {reason}")]
    Malformed {
        /// Which request.
        call: Call,
        /// What is wrong with it.
        reason: String,
    },
}

/// What to do after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same request will fail again.
    Never,
    /// The same request may succeed later.
    Later,
    /// What is known may be out of date: read again (with [`Consistent`](crate::Consistency)), then
    /// decide anew.
    Reread,
}

impl Error {
    /// What to do next. A write that may have happened is never just repeated.
    #[must_use]
    pub fn retry(&self) -> Retry {
        let after_writing = |otherwise| {
            if self.may_have_happened() { Retry::Reread } else { otherwise }
        };
        match self {
            Self::Invalid { .. } => Retry::Never,
            Self::Unreachable { .. } => Retry::Later,
            Self::TimedOut { .. } | Self::Broken { .. } => after_writing(Retry::Later),
            Self::TooLarge { .. } | Self::Malformed { .. } => after_writing(Retry::Never),
            Self::Status { status, message, .. } => match status {
                429 => Retry::Later,
                502..=504 => after_writing(Retry::Later),
                500.. if PASSING.iter().any(|text| message.contains(text)) => after_writing(Retry::Later),
                _ => Retry::Never,
            },
            Self::RolledBack { errors, .. } => {
                if errors.iter().all(|error| error.kind.is_conflict()) {
                    Retry::Reread
                } else {
                    Retry::Never
                }
            }
        }
    }

    /// Whether the request may have changed something although it failed. Always false of a read.
    ///
    /// True is not "probably": of all failures that cannot be told from a success that was not heard
    /// of, this is true. A late write was seen to be applied seconds after its request was given up.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        self.call().writes
            && match self {
                Self::Invalid { .. } | Self::Unreachable { .. } | Self::RolledBack { .. } => false,
                Self::TimedOut { .. }
                | Self::Broken { .. }
                | Self::TooLarge { .. }
                | Self::Malformed { .. } => true,
                Self::Status { status, .. } => *status >= 500,
            }
    }

    /// Whether the token is missing, unknown or may not do this.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 401 | 403),
            Self::RolledBack { errors, .. } => errors.iter().any(|error| error.kind.is_denial()),
            Self::Invalid { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Broken { .. }
            | Self::TooLarge { .. }
            | Self::Malformed { .. } => false,
        }
    }

    /// The request that failed.
    #[must_use]
    pub fn call(&self) -> &Call {
        match self {
            Self::Invalid { call, .. }
            | Self::Unreachable { call, .. }
            | Self::TimedOut { call, .. }
            | Self::Broken { call, .. }
            | Self::Status { call, .. }
            | Self::RolledBack { call, .. }
            | Self::TooLarge { call, .. }
            | Self::Malformed { call, .. } => call,
        }
    }

    /// Whether the client itself may send the request again.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.retry() == Retry::Later && !self.may_have_happened()
    }
}

/// An error of the HTTP library that concerns one request.
pub(crate) fn transport(call: &Call, address: &str, error: reqwest::Error) -> Error {
    // Its URL has the query string and repeats the path.
    let source = error.without_url();
    let call = call.clone();
    let cause = root_cause(&source);
    if source.is_builder() {
        Error::Invalid { call, reason: cause }
    } else if source.is_connect() {
        Error::Unreachable { call, address: address.to_owned(), cause, source }
    } else {
        Error::Broken { call, cause, source }
    }
}

/// An error of the HTTP library while a client is made.
pub(crate) fn setup(error: reqwest::Error) -> ConfigError {
    let source = error.without_url();
    ConfigError::Http { cause: root_cause(&source), source }
}

/// A server's message, on one line and not too long.
pub(crate) fn message(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    line.take(MESSAGE).collect()
}

/// What stands at the end of the chain of causes: the operating system's or TLS's own words.
fn root_cause(error: &dyn StdError) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn listed(errors: &[OperationError]) -> String {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    errors.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::txn::OperationErrorKind as Kind;

    fn call(writes: bool) -> Call {
        Call {
            method: if writes { Method::PUT } else { Method::GET },
            path: "/v1/kv/a\nb".to_owned(),
            writes,
        }
    }

    fn status(writes: bool, status: u16, message: &str) -> (Retry, bool) {
        let error = Error::Status { call: call(writes), status, message: message.to_owned() };
        (error.retry(), error.may_have_happened())
    }

    #[test]
    fn a_cluster_without_a_leader_is_tried_later() {
        for message in [
            "No cluster leader",
            "rpc error making call: EOF",
            "leadership lost while committing log",
            "rpc error getting client: failed to get conn: dial tcp: i/o timeout",
        ] {
            assert_eq!(status(false, 500, message), (Retry::Later, false));
            assert_eq!(status(true, 500, message), (Retry::Reread, true));
        }
        assert_eq!(status(false, 503, ""), (Retry::Later, false));
    }

    #[test]
    fn a_refusal_is_not_repeated_and_changed_nothing() {
        for code in [400, 403, 404, 405, 413] {
            assert_eq!(status(true, code, "no"), (Retry::Never, false));
        }
        assert_eq!(status(true, 429, "slow down"), (Retry::Later, false));
    }

    #[test]
    fn a_write_answered_by_any_5xx_may_have_happened() {
        assert_eq!(status(true, 500, "invalid session"), (Retry::Never, true));
        assert_eq!(status(true, 502, ""), (Retry::Reread, true));
        assert_eq!(status(false, 500, "No path to datacenter"), (Retry::Never, false));
    }

    #[test]
    fn a_write_that_timed_out_is_read_again_and_a_read_repeated() {
        let timed_out = |writes| Error::TimedOut { call: call(writes), limit: Duration::from_secs(1) };
        assert!(timed_out(true).may_have_happened());
        assert_eq!(timed_out(true).retry(), Retry::Reread);
        assert!(!timed_out(false).may_have_happened());
        assert_eq!(timed_out(false).retry(), Retry::Later);
        assert!(timed_out(false).is_repeatable() && !timed_out(true).is_repeatable());
    }

    #[test]
    fn a_conflict_is_read_again_unless_something_else_is_wrong() {
        let rolled_back = |kinds: &[Kind]| {
            let errors =
                kinds.iter().map(|&kind| OperationError { operation: 0, kind, message: String::new() });
            Error::RolledBack { call: call(true), errors: errors.collect() }
        };
        let conflict = rolled_back(&[Kind::IndexIsStale, Kind::Exists]);
        assert_eq!(conflict.retry(), Retry::Reread);
        assert!(!conflict.may_have_happened());
        let denied = rolled_back(&[Kind::IndexIsStale, Kind::Denied]);
        assert_eq!(denied.retry(), Retry::Never);
        assert!(denied.is_denied());
    }

    #[test]
    fn a_message_is_one_short_line() {
        assert_eq!(message(b" rpc error\r\n\x1b[31mred\n"), "rpc error   [31mred");
        assert_eq!(message(&vec![b'x'; 10_000]).len(), MESSAGE);
        assert_eq!(call(true).to_string(), r"PUT /v1/kv/a\nb");
    }
}
