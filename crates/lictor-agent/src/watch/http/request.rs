//! The request: to whom, and what is in it.

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT,
};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use lictor_config::{Http, Secret};
use url::{Host, Url};

use super::exchange::Answer;
use crate::watch::fault::Fault;

const AGENT: &str = concat!("lictor/", env!("CARGO_PKG_VERSION"));

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
        let status = answer.head.status;
        let drops_body = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => false,
            _ => return Ok(None),
        };
        let Some(location) = answer.head.headers.get(LOCATION) else { return Ok(None) };
        let place = String::from_utf8_lossy(location.as_bytes());
        let url = self
            .url
            .join(&place)
            .map_err(|error| Fault::critical(format!("{} redirects to `{place}`: {error}", self.shown)))?;
        let method = if drops_body { Method::GET } else { self.method.clone() };
        let foreign = self.foreign || url.origin() != self.url.origin();
        Self::to(url, method, foreign, self.with_body && !drops_body).map(Some)
    }

    /// The request as it goes over the wire. Secrets are read now, so that a rotated one is used.
    pub(super) fn request(&self, http: &Http) -> Result<Request<Full<Bytes>>, Fault> {
        let mut path = self.url.path().to_owned();
        if let Some(query) = self.url.query() {
            path.push('?');
            path.push_str(query);
        }
        let body = http.body.as_ref().filter(|_| self.with_body);
        let mut request = Request::new(Full::new(Bytes::from(body.cloned().unwrap_or_default())));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() =
            path.parse().map_err(|error| Fault::unknown(format!("`{path}` cannot be asked for: {error}")))?;
        let headers = request.headers_mut();
        headers.insert(HOST, self.host_header()?);
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if !http.keep_alive {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(body) = body {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        if self.foreign {
            return Ok(request);
        }
        if let Some((user, password)) = &http.basic_auth {
            headers.insert(AUTHORIZATION, basic(user, &reveal(password)?)?);
        } else if let Some(token) = &http.bearer {
            headers.insert(
                AUTHORIZATION,
                secret_header("authorization", &format!("Bearer {}", reveal(token)?))?,
            );
        } else if !self.url.username().is_empty() {
            let decoded = |text: &str| percent_decode(text);
            let password = decoded(self.url.password().unwrap_or_default());
            headers.insert(AUTHORIZATION, basic(&decoded(self.url.username()), &password)?);
        }
        for (name, value) in &http.headers {
            let known = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_invalid| Fault::unknown(format!("`{name}` is not the name of a header")))?;
            headers.insert(known, secret_header(name, &reveal(value)?)?);
        }
        Ok(request)
    }

    /// The host as the URL has it: an IPv6 address in brackets, and the port unless it is the scheme's own.
    fn host_header(&self) -> Result<HeaderValue, Fault> {
        let host = self.url.host_str().unwrap_or_default();
        let text = match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        HeaderValue::from_str(&text)
            .map_err(|_invalid| Fault::unknown(format!("`{text}` cannot be sent as a Host header")))
    }
}

fn reveal(secret: &Secret) -> Result<String, Fault> {
    secret.reveal().map_err(|error| Fault::unknown(error.to_string()))
}

fn secret_header(name: &str, value: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_invalid| Fault::unknown(format!("the value of header {name} cannot be sent")))?;
    value.set_sensitive(true);
    Ok(value)
}

fn basic(user: &str, password: &str) -> Result<HeaderValue, Fault> {
    use base64::Engine as _;
    let both = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    secret_header("authorization", &format!("Basic {both}"))
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
