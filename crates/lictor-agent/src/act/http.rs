//! `act "http"`: one request, and what its answer means.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use lictor_config::{HttpAction, Tls};
use lictor_core::Outcome;
use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Client, Identity, Method, Response, StatusCode, redirect, retry};
use tokio::time::{Instant, timeout, timeout_at};
use url::Url;

use super::exec::blocking;
use super::text::{Redactor, printable, start_of};
use super::{failed, unknown};
use crate::remote::reason;

/// What is shown of the body of an answer, bytes.
const SHOWN: usize = 1024;

/// What is read of it at most, bytes.
const READ: usize = 64 * 1024;

/// Secrets and certificates are read and the host is looked up within this.
const READY: Duration = Duration::from_secs(10);

/// Makes the request under an identity. Redirects are not followed, no proxy is used, nothing is repeated.
pub(super) async fn send(action: &HttpAction, identity: &str, limit: Duration) -> Outcome {
    let prepared = timeout(READY, Prepared::new(action, identity, limit));
    let Prepared { client, request, redactor } = match prepared.await {
        Ok(Ok(prepared)) => prepared,
        Ok(Err(reason)) => return failed(format!("was never sent: {}", start_of(&reason, SHOWN))),
        Err(_late) => return failed(format!("was never sent: not ready within {}", seconds(READY))),
    };
    let begun = Instant::now();
    let deadline = begun + limit;
    let response = match timeout_at(deadline, client.execute(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return unanswered(error),
        Err(_late) => return unknown(format!("no answer within {}", seconds(limit))),
    };
    let status = response.status();
    let body = read_body(response, deadline).await;
    let shown = start_of(&printable(&redactor.clean(&body, 0)), SHOWN);
    let mut detail = format!("status {status} after {}", seconds(begun.elapsed()));
    if !shown.is_empty() {
        detail.push('\n');
        detail.push_str(&shown);
    }
    judge(action, status, detail)
}

/// What a status means.
fn judge(action: &HttpAction, status: StatusCode, detail: String) -> Outcome {
    let code = status.as_u16();
    if action.status.iter().any(|(from, to)| (*from..=*to).contains(&code)) {
        return Outcome::Done { detail };
    }
    match code {
        // It was refused, or sent elsewhere.
        300..=499 => failed(detail),
        // Accepted but not as wanted, or broken on the way: it may have happened.
        _ => unknown(detail),
    }
}

/// What it means that there is no answer.
fn unanswered(error: reqwest::Error) -> Outcome {
    let certain = error.is_connect() || error.is_builder();
    let text = reason(&error.without_url());
    let text = start_of(&printable(text.as_bytes()), SHOWN);
    if certain {
        failed(format!("was never sent: {text}"))
    } else {
        unknown(format!("it was sent, then: {text}"))
    }
}

/// A request ready to be sent.
struct Prepared {
    client: Client,
    request: reqwest::Request,
    redactor: Redactor,
}

impl Prepared {
    /// Reads secrets and certificates and looks the host up where that is ours to do;
    /// an error is a reason.
    async fn new(action: &HttpAction, identity: &str, limit: Duration) -> Result<Self, String> {
        let mut url = action.url.clone();
        let mut host = None;
        let mut addresses = Vec::new();
        if let Some(name) = &action.tls.server_name {
            host = Some(authority(&url));
            addresses = resolve(&url).await.map_err(|error| format!("cannot look the host up: {error}"))?;
            url.set_host(Some(name)).map_err(|error| format!("`{name}` is not a host name: {error}"))?;
        }
        let (action, identity) = (action.clone(), identity.to_owned());
        let prepare = move || prepare(&action, url, host, &addresses, &identity, limit);
        blocking(prepare).await.map_err(|error| error.to_string())
    }
}

fn prepare(
    action: &HttpAction,
    url: Url,
    host: Option<String>,
    addresses: &[SocketAddr],
    identity: &str,
    limit: Duration,
) -> io::Result<Prepared> {
    let mut secrets = Vec::new();
    let mut headers = HeaderMap::new();
    for (name, value) in &action.headers {
        let value = value.reveal().map_err(io::Error::other)?;
        headers.append(HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?, header(&value)?);
        secrets.push(value);
    }
    headers.insert("idempotency-key", header(identity)?);
    headers.insert("x-lictor-step", header(identity)?);
    if let Some(host) = host {
        headers.entry(HOST).or_insert(header(&host)?);
    }

    let mut builder = client(&action.tls, limit)?;
    if url.scheme() == "http" {
        // Spares reading the system's certificates.
        builder = builder.tls_certs_only([]);
    }
    if let Some(name) = &action.tls.server_name {
        builder = builder.resolve_to_addrs(name, addresses);
    }
    let client = builder.build().map_err(|error| io::Error::other(reason(&error)))?;
    let method = Method::from_bytes(action.method.as_bytes()).map_err(io::Error::other)?;
    let mut request = client.request(method, url).headers(headers);
    if let Some((user, password)) = &action.basic_auth {
        let password = password.reveal().map_err(io::Error::other)?;
        request = request.basic_auth(user, Some(&password));
        secrets.push(password);
    }
    if let Some(token) = &action.bearer {
        let token = token.reveal().map_err(io::Error::other)?;
        request = request.bearer_auth(&token);
        secrets.push(token);
    }
    if let Some(body) = &action.body {
        request = request.body(body.clone());
    }
    let request = request.build().map_err(|error| io::Error::other(reason(&error.without_url())))?;
    Ok(Prepared { client, request, redactor: Redactor::new(secrets) })
}

/// A client for one request. A new one for each costs some milliseconds, takes up
/// certificates that were renewed, and never meets a connection that died meanwhile.
fn client(tls: &Tls, limit: Duration) -> io::Result<reqwest::ClientBuilder> {
    let mut builder = Client::builder()
        .user_agent(concat!("lictor/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(0)
        // So that "not connected in time" is told from "not answered in time".
        .connect_timeout(limit.mul_f64(0.75));
    if let Some(path) = &tls.ca_file {
        let certificates =
            Certificate::from_pem_bundle(&read(path)?).map_err(|error| of_file(path, &error))?;
        builder = builder.tls_certs_only(certificates);
    }
    if let Some(certificate) = &tls.cert_file {
        let mut pem = read(certificate)?;
        if let Some(key) = &tls.key_file {
            pem.push(b'\n');
            pem.extend(read(key)?);
        }
        let identity = Identity::from_pem(&pem).map_err(|error| of_file(certificate, &error))?;
        builder = builder.identity(identity);
    }
    Ok(builder.tls_danger_accept_invalid_certs(tls.insecure))
}

fn read(path: &std::path::Path) -> io::Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| io::Error::other(format!("cannot read `{}`: {error}", path.display())))
}

fn of_file(path: &std::path::Path, error: &reqwest::Error) -> io::Error {
    io::Error::other(format!("`{}`: {}", path.display(), reason(error)))
}

/// A value that is not shown when the request is.
fn header(value: &str) -> io::Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_text| io::Error::other("the value of a header holds a character that it cannot"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The host as a `Host` header has it: with the port unless it is the scheme's own.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

async fn resolve(url: &Url) -> io::Result<Vec<SocketAddr>> {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or(443);
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

/// The beginning of the body, as far as it comes in time.
async fn read_body(mut response: Response, deadline: Instant) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < READ {
        let Ok(Ok(Some(chunk))) = timeout_at(deadline, response.chunk()).await else { break };
        body.extend_from_slice(&chunk);
    }
    body.truncate(READ);
    body
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
