//! Who is let in: host names, other sites, tokens, limits; and what every answer says
//! about itself.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use lictor_config::Listen;
use tokio::sync::oneshot;

use super::Site;
use super::audit::{self, Asked};
use super::caller;
use super::error::Failure;
use super::page;
use super::token::{self, Guarded};
use crate::OnEnd;

/// So long what is under way may take when the agent stops.
const LAST: Duration = Duration::from_secs(2);

/// The largest body of a request, bytes; webhooks and alerts may be larger.
const BODY: usize = 64 * 1024;

/// The largest body where other programs report many alerts at once, bytes.
const ALERTS: usize = 1024 * 1024;

/// How long the body of a request may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(10);

/// How long an answer may take to begin; longer than any single wait behind it.
const ANSWER_PATIENCE: Duration = Duration::from_secs(40);

/// How far a request has proved that it may use the API. A request extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The listener asks for no token.
    NotAsked,
    /// It showed the token.
    Shown,
    /// It showed none.
    Missing,
    /// It showed another one.
    Wrong,
}

impl Proof {
    /// Whether the API is open to it.
    pub(super) fn holds(self) -> bool {
        matches!(self, Self::NotAsked | Self::Shown)
    }

    /// The refusal of a request without the proof.
    pub(super) fn refusal(self, headers: &HeaderMap) -> Failure {
        let message = match self {
            Self::Wrong => "the token is not the one of this listener",
            Self::NotAsked | Self::Shown | Self::Missing => "a token is needed",
        };
        let mut refused = Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
            .help("send `Authorization: Bearer TOKEN`; in a browser give the token as the password");
        // A browser asks a person; a program is told the scheme it should use.
        let browser = accepts(headers, "text/html");
        refused.challenge = Some(if browser {
            r#"Basic realm="lictor", charset="UTF-8""#
        } else {
            r#"Bearer realm="lictor""#
        });
        refused
    }
}

/// The rules a request is let in by.
pub(super) struct Rules {
    address: IpAddr,
    allowed_hosts: Vec<String>,
    token: Option<Guarded>,
}

impl Rules {
    pub(super) fn new(listen: &Listen) -> Self {
        Self {
            address: listen.address.ip().to_canonical(),
            allowed_hosts: listen.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            token: listen.token.clone().map(Guarded::new),
        }
    }

    /// Whether the request shows the token of the listener.
    async fn proof(&self, headers: &HeaderMap) -> Result<Proof, Failure> {
        let Some(token) = &self.token else { return Ok(Proof::NotAsked) };
        let Some(shown) = token::shown(headers) else { return Ok(Proof::Missing) };
        match token.is(&shown).await {
            Ok(true) => Ok(Proof::Shown),
            Ok(false) => Ok(Proof::Wrong),
            Err(why) => Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "token_unavailable", why)
                .help("nobody is let in until the agent can read its token")),
        }
    }

    /// Refuses a host name that is not ours: a page of another site whose name was made
    /// to point here would otherwise count as ours (DNS rebinding). Addresses cannot be
    /// rebound, but one that is not this listener's is refused as well.
    fn check_host(&self, request: &Request) -> Result<(), Failure> {
        let mut hosts = request.headers().get_all(header::HOST).iter();
        let host = hosts.next();
        if hosts.next().is_some() {
            return Err(Failure::bad_request("the request has more than one Host"));
        }
        let named = host.map(HeaderValue::to_str).transpose();
        let Ok(named) = named else { return Err(Failure::bad_request("the Host is not text")) };
        let absolute = request.uri().authority().map(http::uri::Authority::as_str);
        // HTTP/1.0 knows no Host, and no browser speaks it.
        for authority in named.into_iter().chain(absolute) {
            if !self.ours(host_of(authority)) {
                let shown = super::text::visible(authority, 100);
                let status = StatusCode::MISDIRECTED_REQUEST;
                return Err(Failure::new(status, "foreign_host", format!("this is not `{shown}`")).help(
                    "if this node is reached by that name, add it to `allowed_hosts` in the `http` block",
                ));
            }
        }
        Ok(())
    }

    fn ours(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        if host == "localhost" || self.allowed_hosts.iter().any(|allowed| allowed == host) {
            return true;
        }
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let Ok(address) = bare.parse::<IpAddr>().map(|address| address.to_canonical()) else { return false };
        address.is_loopback() || address == self.address || self.address.is_unspecified()
    }

    /// Refuses a request that changes something when a page of another site sent it.
    /// Browsers say so themselves (`Sec-Fetch-Site`; older ones only `Origin`); other
    /// programs send neither.
    fn check_site(&self, method: &Method, headers: &HeaderMap) -> Result<(), Failure> {
        if matches!(*method, Method::GET | Method::HEAD) {
            return Ok(());
        }
        let own = match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
            Some(b"same-origin" | b"none") => true,
            Some(_) => false,
            None => headers.get(header::ORIGIN).is_none_or(|origin| self.own_origin(origin, headers)),
        };
        if own {
            return Ok(());
        }
        Err(Failure::new(StatusCode::FORBIDDEN, "foreign_site", "a page of another site must not do this"))
    }

    fn own_origin(&self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        let Some((_scheme, authority)) = origin.split_once("://") else { return false };
        let same_host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .is_some_and(|host| host.eq_ignore_ascii_case(authority));
        // Behind a proxy the Host may be another than the one the browser knows.
        same_host || self.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host_of(authority)))
    }
}

/// The host of `host`, `host:port` or `[address]:port`; brackets stay.
fn host_of(authority: &str) -> &str {
    if let Some(end) = authority.find(']') {
        return authority.get(..=end).unwrap_or(authority);
    }
    authority.rsplit_once(':').map_or(authority, |(host, _port)| host)
}

/// Whether an `Accept` header names a media type.
pub(super) fn accepts(headers: &HeaderMap, media: &str) -> bool {
    headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value
            .split(',')
            .any(|part| part.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case(media)))
    })
}

/// Lets a request in or refuses it, bounds its time, and says about every answer what
/// a browser must not do with it.
pub(super) async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let browser = accepts(request.headers(), "text/html");
    let work = AssertUnwindSafe(admit(&site, request, next)).catch_unwind();
    let mut response = match tokio::time::timeout(ANSWER_PATIENCE, work).await {
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(refused))) if browser => page::refused(&refused),
        Ok(Ok(Err(refused))) => refused.into_response(),
        Ok(Err(_panicked)) => panicked().into_response(),
        Err(_late) => {
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "late", "the answer took longer than 40s")
                .into_response()
        }
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    site.metrics.answered(response.status());
    response
}

/// What every answer says. No script, style or request but our own; no frame, no sniffing.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Nothing leaves the site. (With `no-referrer` a browser would send `Origin: null`
    // with our own forms, and they could not be told from those of another site.)
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Whether a method changes nothing, whatever it is asked of.
pub(super) fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// Whether a path is one that load balancers and monitors ask, who show no token and come by any name.
pub(super) fn is_probe(path: &str) -> bool {
    matches!(path, "/-/healthy" | "/-/ready")
        || super::services::is_probe(path)
        || super::replicate::is_probe(path)
}

/// What is asked for is there, and does not take the method. A request extension.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotTaken;

/// Lets a request in or refuses it, and has recorded who asks for what.
async fn admit(site: &Arc<Site>, request: Request, next: Next) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    // A stranger's body is not read.
    let stranger = Asked::new(&parts, b"");
    let leads_somewhere = parts.extensions.get::<MatchedPath>().is_some();
    let taken = parts.extensions.get::<NotTaken>().is_none();
    match enter(site, Request::from_parts(parts, body)).await {
        Ok((request, None)) => Ok(next.run(request).await),
        Ok((request, Some(asked))) => {
            if leads_somewhere && taken {
                return done_whoever_leaves(site, request, asked, next).await;
            }
            // Whoever has a wrong address or method, and tries it again and again, does nothing.
            let response = next.run(request).await;
            let said = response.extensions().get::<Failure>().filter(|_| leads_somewhere).cloned();
            let nothing = || Failure::new(response.status(), "not_found", "there is nothing here");
            audit::turned_away(site, &asked, &said.unwrap_or_else(nothing)).await;
            Ok(response)
        }
        Err(refused) => {
            if let Some(asked) = stranger {
                audit::turned_away(site, &asked, &refused).await;
            }
            Err(refused)
        }
    }
}

/// Does what is asked for, and has recorded what becomes of it, also when who asked does not wait for that.
async fn done_whoever_leaves(
    site: &Arc<Site>,
    mut request: Request,
    asked: Asked,
    next: Next,
) -> Result<Response, Failure> {
    request.extensions_mut().insert(asked.clone());
    let (answer, answered) = oneshot::channel();
    let (site, tasks) = (Arc::clone(site), site.tasks.clone());
    let stop = site.stop.clone();
    let work = async move {
        let begun = audit::begin(&site, &asked).await;
        let response = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        let response = response.unwrap_or_else(|_panicked| panicked().into_response());
        if let Some(act) = audit::ended(&asked, begun, &response) {
            site.recorder.record(act).await;
        }
        // Who asked may have left.
        drop(answer.send(response));
    };
    tasks.spawn_draining("request", OnEnd::Fine, async move {
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(LAST).await;
        };
        tokio::select! {
            () = work => {}
            () = late => {}
        }
    });
    let stopping =
        |_dropped| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the agent is stopping");
    answered.await.map_err(stopping)
}

fn panicked() -> Failure {
    tracing::error!("a request made its handler panic");
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the agent could not answer")
}

/// A request that is let in, and what it asks for.
async fn enter(site: &Site, mut request: Request) -> Result<(Request, Option<Asked>), Failure> {
    let path = request.uri().path();
    let probe = is_probe(path);
    let proof = site.rules.proof(request.headers()).await;
    let proof = if probe { proof.unwrap_or(Proof::Missing) } else { proof? };
    // A browser can be led astray; who shows the token is no browser led astray. Health
    // probes come by any name and learn nothing.
    if !probe && proof != Proof::Shown {
        site.rules.check_host(&request)?;
    }
    site.rules.check_site(request.method(), request.headers())?;
    let (own, webhook) = {
        let path = request.uri().path();
        (caller::has_own_token(path), caller::is_webhook(path))
    };
    if !probe && !own && !proof.holds() {
        return Err(proof.refusal(request.headers()));
    }
    if !probe && site.load.bytes() > site.limits.answers {
        let message = "clients have not taken the answers they asked for";
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).help("ask again in 30s"));
    }
    request.extensions_mut().insert(proof);
    if webhook || probe || reads(request.method()) {
        return Ok((request, None));
    }
    let (parts, body) = request.into_parts();
    let most = if super::alerts::takes_many(parts.uri.path()) { ALERTS } else { BODY };
    let body = gather(body, most).await?;
    let asked = Asked::new(&parts, &body);
    Ok((Request::from_parts(parts, body.into()), asked))
}

/// The whole body of a request, when it is no larger than this and comes in time.
pub(super) async fn gather(body: Body, most: usize) -> Result<Bytes, Failure> {
    let large = || {
        let message = format!("the body has more than {} KiB", most / 1_024);
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    // One that says so itself need not be waited for.
    if body.size_hint().lower() > most as u64 {
        return Err(large());
    }
    match tokio::time::timeout(BODY_PATIENCE, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(large()),
        Ok(Err(_broken)) => Err(Failure::bad_request("the body ended too soon")),
        Err(_late) => {
            let message = "the body took longer than 10s";
            Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "slow_body", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(address: &str, allowed: &[&str]) -> Rules {
        Rules::new(&Listen {
            address: address.parse().unwrap(),
            token: None,
            allowed_hosts: allowed.iter().map(|&host| host.to_owned()).collect(),
        })
    }

    #[test]
    fn a_name_is_ours_when_it_cannot_have_been_rebound() {
        let local = rules("127.0.0.1:8510", &["Lictor.example"]);
        for ours in ["localhost", "LOCALHOST.", "127.0.0.1", "127.3.2.1", "[::1]", "lictor.EXAMPLE"] {
            assert!(local.ours(ours), "{ours}");
        }
        for foreign in
            ["evil.example", "localhost.evil.example", "10.0.0.1", "[2001:db8::1]", "", "127.0.0.1.x"]
        {
            assert!(!local.ours(foreign), "{foreign}");
        }
        assert!(rules("10.0.0.1:8510", &[]).ours("10.0.0.1"));
        assert!(!rules("10.0.0.1:8510", &[]).ours("10.0.0.2"));
        assert!(rules("0.0.0.0:8510", &[]).ours("10.0.0.2"));
        assert!(!rules("0.0.0.0:8510", &[]).ours("evil.example"));
    }

    #[test]
    fn a_host_is_cut_from_its_port() {
        assert_eq!(host_of("a.example:80"), "a.example");
        assert_eq!(host_of("a.example"), "a.example");
        assert_eq!(host_of("[::1]:80"), "[::1]");
        assert_eq!(host_of("[::1]"), "[::1]");
    }

    #[test]
    fn another_site_changes_nothing() {
        let rules = rules("127.0.0.1:8510", &["proxy.example"]);
        let post = |pairs: &[(&str, &str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "localhost:8510".parse().unwrap());
            for (name, value) in pairs {
                headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
            }
            rules.check_site(&Method::POST, &headers).is_ok()
        };
        assert!(post(&[]), "a program sends neither header");
        assert!(post(&[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8510")]));
        assert!(post(&[("sec-fetch-site", "none")]));
        assert!(post(&[("origin", "http://localhost:8510")]));
        assert!(post(&[("origin", "https://proxy.example")]));
        assert!(!post(&[("sec-fetch-site", "cross-site")]));
        assert!(!post(&[("sec-fetch-site", "same-site"), ("origin", "http://localhost:3000")]));
        assert!(!post(&[("origin", "http://localhost:3000")]));
        assert!(!post(&[("origin", "https://evil.example")]));
        assert!(!post(&[("origin", "null")]));
    }

    #[test]
    fn an_accept_header_is_read_part_by_part() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, "application/json;q=0.5, Text/Event-Stream; q=1".parse().unwrap());
        assert!(accepts(&headers, "text/event-stream"));
        assert!(!accepts(&headers, "text/html"));
        assert!(!accepts(&HeaderMap::new(), "text/html"));
    }
}
