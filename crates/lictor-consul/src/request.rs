//! One HTTP request, before it is sent.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde::Serialize;
use url::form_urlencoded;

use crate::error::Call;
use crate::query::{Consistency, Query};

/// A request: what is sent where, and which answers are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) call: Call,
    /// The path, encoded.
    pub(crate) path: String,
    pub(crate) parameters: Vec<(&'static str, Cow<'static, str>)>,
    pub(crate) body: Option<Bytes>,
    /// How long the server may hold the request before it answers.
    pub(crate) held: Duration,
    /// A status besides 2xx that is an answer, not an error.
    pub(crate) accepted: Option<u16>,
    /// Why it cannot be sent.
    pub(crate) problem: Option<String>,
}

impl Request {
    pub(crate) fn get(path: &str) -> Self {
        Self::new(Method::GET, path.to_owned(), path.to_owned())
    }

    pub(crate) fn put(path: &str) -> Self {
        Self::new(Method::PUT, path.to_owned(), path.to_owned())
    }

    pub(crate) fn delete(path: &str) -> Self {
        Self::new(Method::DELETE, path.to_owned(), path.to_owned())
    }

    fn new(method: Method, readable: String, path: String) -> Self {
        let writes = method != Method::GET;
        Self {
            call: Call { method, path: readable, writes },
            path,
            parameters: Vec::new(),
            body: None,
            held: Duration::ZERO,
            accepted: None,
            problem: None,
        }
    }

    /// Appends a name that comes from outside, encoded.
    pub(crate) fn name(mut self, name: &str) -> Self {
        self.call.path.push_str(name);
        if name.is_empty() {
            self.problem = Some("a name is missing".to_owned());
        } else if !fits_in_path(name) {
            self.problem = Some(format!("{name:?} cannot stand in a path"));
        }
        self.path.push_str(&encoded(name));
        self
    }

    /// Appends a key or prefix, encoded; empty is allowed.
    pub(crate) fn key(self, key: &str) -> Self {
        if key.is_empty() { self } else { self.name(key) }
    }

    /// Marks a PUT that changes nothing.
    pub(crate) fn reads_only(mut self) -> Self {
        self.call.writes = false;
        self
    }

    pub(crate) fn parameter(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.parameters.push((name, value.into()));
        self
    }

    /// Adds a parameter without a value.
    pub(crate) fn switch(self, name: &'static str) -> Self {
        self.parameter(name, "")
    }

    /// Adds a parameter if there is a value.
    pub(crate) fn option(self, name: &'static str, value: Option<String>) -> Self {
        match value {
            Some(value) => self.parameter(name, value),
            None => self,
        }
    }

    /// Adds what a read asks for; `default` is the client's consistency.
    pub(crate) fn query(mut self, query: &Query, default: Consistency) -> Self {
        self.held = query.held();
        let request = self
            .option("index", query.index.map(|index| index.to_string()))
            .option("dc", query.datacenter.clone())
            .option("filter", query.filter.clone())
            .option("near", query.near.clone());
        let request = match (query.index, query.wait) {
            (Some(_), Some(wait)) => request.parameter("wait", format!("{}ms", wait.as_millis().max(1))),
            _ => request,
        };
        match query.consistency.unwrap_or(default) {
            Consistency::Default => request,
            Consistency::Consistent => request.switch("consistent"),
            Consistency::Stale => request.switch("stale"),
            Consistency::Cached => request.switch("cached"),
        }
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(crate) fn json(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => self.body = Some(text.into()),
            Err(error) => self.problem = Some(error.to_string()),
        }
        self
    }

    /// Takes this status for an answer.
    pub(crate) fn accepts(mut self, status: u16) -> Self {
        self.accepted = Some(status);
        self
    }

    /// The query string, encoded.
    pub(crate) fn query_string(&self) -> Option<String> {
        let mut text = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.parameters {
            if value.is_empty() {
                text.append_key_only(name);
            } else {
                text.append_pair(name, value);
            }
        }
        Some(text.finish()).filter(|text| !text.is_empty())
    }
}

/// Whether Consul takes `name` from a path as it is. It cleans paths, so that an empty segment, `.` or
/// `..` would name something else, and refuses what Go's `unicode.IsPrint` does not call printable.
/// Of that, only what is certain is taken: printable ASCII, letters and digits.
pub(crate) fn fits_in_path(name: &str) -> bool {
    let printable = |c: char| matches!(c, ' '..='~') || (!c.is_ascii() && c.is_alphanumeric());
    let trimmed = name.strip_suffix('/').unwrap_or(name);
    name.chars().all(printable) && trimmed.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

/// Percent-encodes everything but letters, digits, `-._~` (RFC 3986, 2.3) and the slashes.
fn encoded(name: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(char::from(byte));
            }
            _ => {
                // Writing to a string cannot fail.
                if write!(text, "%{byte:02X}").is_err() {
                    debug_assert!(false, "writing to a string failed");
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Index;

    #[test]
    fn names_are_encoded_byte_by_byte() {
        let request = Request::get("/v1/kv/").key("a b/100%+ü?#;&=");
        assert_eq!(request.path, "/v1/kv/a%20b/100%25%2B%C3%BC%3F%23%3B%26%3D");
        assert_eq!(request.call.to_string(), "GET /v1/kv/a b/100%+ü?#;&=");
        assert_eq!(request.problem, None);
    }

    #[test]
    fn a_name_that_would_become_another_in_a_path_is_known() {
        for name in ["/a", "a//b", ".", "..", "a/./b", "a/../b", "a//", "/", "", "a\nb", "a\u{200b}b", "😀"]
        {
            assert!(!fits_in_path(name), "{name:?}");
        }
        for name in ["a", "a/", "a/b c/", "...", "a/.b", "ü", "日本"] {
            assert!(fits_in_path(name), "{name:?}");
        }
    }

    #[test]
    fn a_missing_name_is_a_problem_and_a_missing_prefix_is_not() {
        assert!(Request::get("/v1/health/node/").name("").problem.is_some());
        assert!(Request::get("/v1/kv/").key("").problem.is_none());
    }

    #[test]
    fn the_query_string_has_what_was_asked_for() {
        let query = Query::new()
            .index(Index(7))
            .wait(Duration::from_millis(1500))
            .datacenter("dc & 2")
            .filter(r#""web" in ServiceTags"#)
            .stale();
        let request = Request::get("/").query(&query, Consistency::Consistent);
        assert_eq!(
            request.query_string().unwrap(),
            "index=7&dc=dc+%26+2&filter=%22web%22+in+ServiceTags&wait=1500ms&stale"
        );
        let plain = Request::get("/").query(&Query::new(), Consistency::Default);
        assert_eq!(plain.query_string(), None);
        let default = Request::get("/").query(&Query::new(), Consistency::Consistent);
        assert_eq!(default.query_string().unwrap(), "consistent");
    }

    #[test]
    fn a_wait_without_an_index_is_not_sent() {
        let query = Query::new().wait(Duration::from_secs(5));
        let request = Request::get("/").query(&query, Consistency::Default);
        assert_eq!((request.query_string(), request.held), (None, Duration::ZERO));
    }
}
