//! What comes with an answer.

use std::fmt;
use std::time::Duration;

use http::HeaderMap;
use serde::{Deserialize, Serialize};

/// A point in the history of Consul's state.
///
/// It grows with every change, but goes back when a snapshot is restored or a cluster is built anew;
/// then compare nothing with an index from before. The index of [events](crate::Events) is a hash,
/// which can only be compared for being the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Index(pub u64);

impl Index {
    /// No point in history: a query for it is answered at once, a CAS with it only creates.
    pub const ZERO: Self = Self(0);
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value and what came with it.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// The value.
    pub value: T,
    /// What came with it.
    pub meta: Meta,
}

impl<T> Answer<T> {
    /// The answer with its value changed.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        Answer { value: change(self.value), meta: self.meta }
    }
}

/// What Consul says about an answer. A field is `None` if the answer did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// The point in history the answer is from; also of an answer that there is nothing.
    pub index: Option<Index>,
    /// Whether the answering server knew a leader. It proves little: see [`Consistency`](crate::Consistency).
    pub known_leader: Option<bool>,
    /// How long ago the answering server heard of the leader. It proves little, too.
    pub last_contact: Option<Duration>,
    /// How old an answer from the agent's cache is; zero if it was fetched for this request.
    pub cache_age: Option<Duration>,
    /// Whether the answer came from the agent's cache.
    pub cache_hit: Option<bool>,
    /// Whether something was left out because the token may not see it. Consul says so since 1.11;
    /// before, what may not be seen looks like what is not there.
    pub filtered_by_acls: Option<bool>,
    /// How often the request was sent.
    pub attempts: u32,
}

impl Meta {
    /// Reads the headers, of which any may be missing or nonsense.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let flag = |name: &str| text(name)?.parse().ok();
        let number = |name: &str| text(name)?.parse::<u64>().ok();
        Self {
            index: number("x-consul-index").map(Index),
            known_leader: flag("x-consul-knownleader"),
            last_contact: number("x-consul-lastcontact").map(Duration::from_millis),
            cache_age: number("age").map(Duration::from_secs),
            cache_hit: text("x-cache").map(|hit| hit == "HIT"),
            filtered_by_acls: flag("x-consul-results-filtered-by-acls"),
            attempts: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn meta(headers: &[(&'static str, &'static [u8])]) -> Meta {
        let headers = headers.iter().map(|&(name, value)| {
            let value = HeaderValue::from_bytes(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        Meta::of(&headers.collect())
    }

    #[test]
    fn the_headers_are_read() {
        let meta = meta(&[
            ("x-consul-index", b"18446744073709551615"),
            ("x-consul-knownleader", b"true"),
            ("x-consul-lastcontact", b"12"),
            ("x-cache", b"HIT"),
            ("age", b"3"),
            ("x-consul-results-filtered-by-acls", b"true"),
        ]);
        assert_eq!(meta.index, Some(Index(u64::MAX)));
        assert_eq!(meta.known_leader, Some(true));
        assert_eq!(meta.last_contact, Some(Duration::from_millis(12)));
        assert_eq!(meta.cache_hit, Some(true));
        assert_eq!(meta.cache_age, Some(Duration::from_secs(3)));
        assert_eq!(meta.filtered_by_acls, Some(true));
    }

    #[test]
    fn nonsense_counts_as_missing() {
        let nonsense: &[(&'static str, &'static [u8])] = &[
            ("x-consul-index", b"-1"),
            ("x-consul-knownleader", b"\xff\xfe"),
            ("x-consul-lastcontact", b"soon"),
        ];
        assert_eq!(meta(nonsense), Meta { attempts: 1, ..Meta::default() });
    }
}
