//! Where a Consul agent listens.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

use crate::config::ConfigError;

/// Where a Consul agent listens: `http://HOST:PORT`, `https://HOST:PORT`, `HOST:PORT` (http) or
/// `unix:///PATH`. A path after the port is put before every request's own, for agents behind a proxy.
///
/// Without a port, the protocol's own is meant (80, 443), as the `consul` program does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Url(Url),
    Unix(PathBuf),
}

impl Address {
    /// The path of the unix socket, if it is one.
    #[must_use]
    pub fn unix_socket(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Url(_) => None,
            Kind::Unix(path) => Some(path),
        }
    }

    /// Whether TLS is spoken there.
    #[must_use]
    pub fn is_https(&self) -> bool {
        matches!(&self.0, Kind::Url(url) if url.scheme() == "https")
    }

    /// The same address with TLS; a unix socket stays as it is.
    #[must_use]
    pub fn with_https(self) -> Self {
        match self.0 {
            Kind::Url(mut url) => {
                // It cannot fail: http and https are schemes of one kind.
                let changed = url.set_scheme("https");
                debug_assert!(changed.is_ok(), "{url} cannot be https");
                Self(Kind::Url(url))
            }
            unix @ Kind::Unix(_) => Self(unix),
        }
    }

    /// The URL below which requests go. A unix socket answers to any host name.
    pub(crate) fn base(&self) -> Option<Url> {
        match &self.0 {
            Kind::Url(url) => Some(url.clone()),
            Kind::Unix(_) => Url::parse("http://localhost").ok(),
        }
    }
}

impl Default for Address {
    /// `http://127.0.0.1:8500`, where a Consul agent listens unless told otherwise.
    fn default() -> Self {
        let agent = Url::parse("http://127.0.0.1:8500").expect("the default address is one");
        Self(Kind::Url(agent))
    }
}

impl FromStr for Address {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong =
            |reason: &str| ConfigError::Address { address: redacted(text), reason: reason.to_owned() };
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        match scheme {
            "unix" if rest.starts_with('/') => return Ok(Self(Kind::Unix(PathBuf::from(rest)))),
            "unix" => return Err(wrong("the path of a unix socket starts with `/`")),
            "http" | "https" => {}
            _ => return Err(wrong("it must start with http://, https:// or unix://")),
        }
        let url = Url::parse(&format!("{scheme}://{rest}")).map_err(|error| wrong(&error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("a user and password do not belong into the address"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it must end with the host, the port or a path"));
        }
        Ok(Self(Kind::Url(url)))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Url(url) => f.write_str(url.as_str().trim_end_matches('/')),
            Kind::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// The text without what stands before an `@`, which may be a password.
fn redacted(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, host)) => format!("***@{host}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        match text.parse::<Address>() {
            Ok(address) => address.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_forms_of_the_environment_are_read() {
        assert_eq!(parsed("10.0.0.1:8500"), "http://10.0.0.1:8500");
        assert_eq!(parsed("https://consul.example"), "https://consul.example");
        assert_eq!(parsed("[::1]:8500"), "http://[::1]:8500");
        assert_eq!(parsed("http://proxy/consul/"), "http://proxy/consul");
        assert_eq!(parsed("unix:///run/c.sock"), "unix:///run/c.sock");
        assert_eq!(Address::default().to_string(), "http://127.0.0.1:8500");
    }

    #[test]
    fn a_wrong_address_says_why_and_shows_no_password() {
        assert_eq!(
            parsed("ftp://h"),
            "the address `ftp://h` cannot be used: it must start with http://, https:// or unix://"
        );
        assert_eq!(
            parsed("http://me:pw@h:1"),
            "the address `***@h:1` cannot be used: a user and password do not belong into the address"
        );
        for text in ["", "http://", "h:99999", "unix://c.sock", "http://h?dc=x", "http://[::1"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn tls_keeps_host_and_port() {
        let tls = |text: &str| text.parse::<Address>().unwrap().with_https().to_string();
        assert_eq!(tls("127.0.0.1:8501"), "https://127.0.0.1:8501");
        assert_eq!(tls("http://h"), "https://h");
        assert_eq!(tls("unix:///s"), "unix:///s");
    }
}
