//! The request: to whom, and what is in it.

use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode};
use lictor_config::{Http, Secret};
use url::{Host, Url};

use super::exchange::Answer;
use crate::watch::fault::Fault;

const AGENT: &str = concat!("lictor/", env!("CARGO_PKG_VERSION"));

/// A request as it goes over the wire.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) bytes: Vec<u8>,
    /// Whether its answer has no body, whatever the answer says.
    pub(super) bodiless: bool,
}

/// Where a request goes and what becomes of it on the way there.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) url: Url,
    pub(super) method: Method,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
    /// The address without a password, for messages.
    pub(super) shown: String,
    /// Whether it is another server than the configured one: then nothing secret is sent.
    foreign: bool,
    /// Whether the configured body is sent.
    with_body: bool,
}

impl Target {
    /// What the configuration names.
    pub(super) fn first(http: &Http) -> Result<Self, Fault> {
        let method = Method::from_bytes(http.method.as_bytes())
            .map_err(|_invalid| Fault::unknown(format!("`{}` is not an HTTP method", http.method)))?;
        Self::to(http.url.clone(), method, false, true)
    }

    fn to(url: Url, method: Method, foreign: bool, with_body: bool) -> Result<Self, Fault> {
        let mut shown = url.clone();
        // Neither can fail for a URL with a host.
        shown.set_username("").ok();
        shown.set_password(None).ok();
        let shown = shown.to_string();
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Fault::critical(format!("{shown} is not an HTTP address")));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(Fault::critical(format!("{shown} names no host"))),
        };
        let port = url.port_or_known_default().unwrap_or(80);
        Ok(Self { url, method, host, port, shown, foreign, with_body })
    }

    /// Where the answer sends us, if it does. As browsers do: 303 always, 301 and 302 after a
    /// POST, go on with GET and without the body.
    pub(super) fn redirected(&self, answer: &Answer) -> Result<Option<Self>, Fault> {
        let drops_body = match StatusCode::from_u16(answer.head.status).unwrap_or_default() {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
            _ => return Ok(None),
        };
        let places = answer.head.values("location");
        let Some(place) = places.first() else { return Ok(None) };
        let url = self
            .url
            .join(place)
            .map_err(|error| Fault::critical(format!("{} redirects to `{place}`: {error}", self.shown)))?;
        let method = if drops_body { Method::GET } else { self.method.clone() };
        let foreign = self.foreign || url.origin() != self.url.origin();
        Self::to(url, method, foreign, self.with_body && !drops_body).map(Some)
    }

    /// The request. Secrets are read now, so that a rotated one is used.
    pub(super) fn request(&self, http: &Http) -> Result<Request, Fault> {
        let body = http.body.as_deref().filter(|_| self.with_body);
        let mut text = String::with_capacity(256);
        text.push_str(self.method.as_str());
        text.push(' ');
        text.push_str(self.url.path());
        if let Some(query) = self.url.query() {
            text.push('?');
            text.push_str(query);
        }
        text.push_str(" HTTP/1.1\r\n");
        let given: &[_] = if self.foreign { &[] } else { &http.headers };
        let mut headers = Headers { text, given };
        headers.default("Host", &self.host_header());
        headers.default("User-Agent", AGENT);
        headers.default("Accept", "*/*");
        if !http.keep_alive {
            headers.default("Connection", "close");
        }
        match body {
            Some(body) => headers.default("Content-Length", &body.len().to_string()),
            None if matches!(self.method, Method::POST | Method::PUT | Method::PATCH) => {
                headers.default("Content-Length", "0");
            }
            None => {}
        }
        if let Some(authorization) = self.authorization(http)? {
            headers.default("Authorization", &checked("Authorization", authorization)?);
        }
        for (name, value) in given {
            HeaderName::from_bytes(name.as_bytes())
                .map_err(|_invalid| Fault::unknown(format!("`{name}` is not the name of a header")))?;
            headers.push(name, &checked(name, reveal(value)?)?);
        }
        let mut text = headers.text;
        text.push_str("\r\n");
        text.push_str(body.unwrap_or_default());
        Ok(Request { bytes: text.into_bytes(), bodiless: self.method == Method::HEAD })
    }

    /// What the Authorization header says. Nothing is told to a server that is not the configured one.
    fn authorization(&self, http: &Http) -> Result<Option<String>, Fault> {
        if self.foreign {
            return Ok(None);
        }
        if let Some((user, password)) = &http.basic_auth {
            return Ok(Some(basic(user, &reveal(password)?)));
        }
        if let Some(token) = &http.bearer {
            return Ok(Some(format!("Bearer {}", reveal(token)?)));
        }
        if self.url.username().is_empty() {
            return Ok(None);
        }
        let password = percent_decode(self.url.password().unwrap_or_default());
        Ok(Some(basic(&percent_decode(self.url.username()), &password)))
    }

    /// The host as the URL has it: an IPv6 address in brackets, and the port unless it is the scheme's own.
    fn host_header(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

/// The headers of a request being written.
struct Headers<'a> {
    text: String,
    /// What the configuration sets: it comes in place of ours.
    given: &'a [(String, Secret)],
}

impl Headers<'_> {
    /// Adds a header that the configuration does not set.
    fn default(&mut self, name: &str, value: &str) {
        if !self.given.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
            self.push(name, value);
        }
    }

    fn push(&mut self, name: &str, value: &str) {
        for part in [name, ": ", value, "\r\n"] {
            self.text.push_str(part);
        }
    }
}

fn reveal(secret: &Secret) -> Result<String, Fault> {
    secret.reveal().map_err(|error| Fault::unknown(error.to_string()))
}

/// A value that can be sent as it is: nothing in it may end the header.
fn checked(name: &str, value: String) -> Result<String, Fault> {
    match HeaderValue::from_str(&value) {
        Ok(_) => Ok(value),
        Err(_invalid) => Err(Fault::unknown(format!("the value of header {name} cannot be sent"))),
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {both}")
}

/// The user part of a URL as it was meant.
fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..2).filter(|_| first == b'%');
        let code = code.and_then(|two| std::str::from_utf8(two).ok());
        match code.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
