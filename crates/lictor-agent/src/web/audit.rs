//! The record of acts: who asked for what, when, from where, and what became of it.
//!
//! Every request that would change something is in it, also one that is refused (of those who are not let in, or have a wrong
//! address, a bounded number an hour). What the engine is asked for is recorded by the
//! decide loop, in the commit that records what was decided; anything else is recorded before it is done and once more when it is
//! over, so that an agent that is killed in between leaves an entry that says so.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use futures::future::BoxFuture;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use lictor_core::Now;
use lictor_store::{Act, ActEnd, ActRecord, ActsVerified, NodeStore};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use url::form_urlencoded;

use super::error::Failure;
use super::guard::{accepts, is_probe, reads};
use super::route::{Answer, Parameters, parameters};
use super::text::{rfc3339, visible};
use super::{Site, alerts, caller, token};
use crate::text::hex;

/// Who asks, as a program or a proxy in front of this one says.
pub(super) const BY_HEADER: HeaderName = HeaderName::from_static("x-lictor-by");

/// Longest texts of an entry, characters.
const NAME: usize = 100;
const PLACE: usize = 200;
const WORDS: usize = 500;

/// Refusals of those who were not let in that are recorded within [`SPELL`]; more are counted. Who knocks for days does not
/// push out what others did.
const REFUSALS: u32 = 60;
const SPELL: Duration = Duration::from_secs(3_600);

/// Keeps who asked for what. [`NodeStore`] does; tests have their own.
pub trait Acts: Send + Sync {
    /// Records an act; gives its number.
    ///
    /// # Errors
    /// In words, why it is not recorded.
    fn record(&self, act: Act) -> BoxFuture<'_, Result<u64, String>>;

    /// The latest acts before a number, the newest first. Called on a thread that may block.
    ///
    /// # Errors
    /// In words, why they cannot be read.
    fn list(&self, before: Option<u64>, limit: usize) -> Result<Vec<ActRecord>, String>;

    /// Looks at the whole chain. Called on a thread that may block.
    ///
    /// # Errors
    /// In words, why it cannot be read.
    fn verify(&self) -> Result<ActsVerified, String>;
}

impl Acts for NodeStore {
    fn record(&self, act: Act) -> BoxFuture<'_, Result<u64, String>> {
        Box::pin(async { self.record_act(act).await.map_err(|error| error.to_string()) })
    }

    fn list(&self, before: Option<u64>, limit: usize) -> Result<Vec<ActRecord>, String> {
        self.acts(before, limit).map_err(|error| error.to_string())
    }

    fn verify(&self) -> Result<ActsVerified, String> {
        self.verify_acts().map_err(|error| error.to_string())
    }
}

/// The address that a connection came from. A request extension.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Something that is asked for. A request extension; clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    act: Act,
    /// Whether the decide loop is asked, which records it itself.
    for_the_engine: bool,
    /// Whether somebody else records it.
    taken: Arc<AtomicBool>,
}

impl Asked {
    /// What a request asks for, as far as it is known. `None`: it only reads, or is what a watcher waits for.
    pub(super) fn new(parts: &Parts, body: &[u8]) -> Option<Self> {
        let path = parts.uri.path();
        if reads(&parts.method) || is_probe(path) || caller::has_own_token(path) || alerts::takes_many(path) {
            return None;
        }
        let sent = [parts.uri.query().unwrap_or_default().as_bytes(), body].join(&b' ');
        let sent = sent.trim_ascii();
        let shown =
            if is_form(&parts.headers) { pairs(sent) } else { String::from_utf8_lossy(sent).into_owned() };
        let act = Act {
            at: Now::default(),
            by: visible(&who(&parts.headers, body), NAME),
            from: visible(&place(parts), PLACE),
            door: door(&parts.headers).to_owned(),
            what: visible(&format!("{} {path}", parts.method), PLACE),
            detail: detailed(&shown, sent),
            end: ActEnd::Begun,
            said: String::new(),
            of: None,
        };
        Some(Self { act, for_the_engine: is_for_the_engine(&parts.method, path), taken: Arc::default() })
    }

    /// For who records it together with what is decided.
    pub(super) fn take(&self) -> Act {
        self.taken.store(true, Ordering::Relaxed);
        self.act.clone()
    }

    /// Of what [`Self::take`] gave, nothing was done or recorded.
    pub(super) fn give_back(&self) {
        self.taken.store(false, Ordering::Relaxed);
    }
}

fn is_for_the_engine(method: &Method, path: &str) -> bool {
    method == Method::POST
        && ((path.starts_with("/v1/runs/") && (path.ends_with("/retry") || path.ends_with("/cancel")))
            || (path.starts_with("/v1/remedies/") && path.ends_with("/start")))
}

/// Whether what is sent was written into a form.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// What was written into a form, as who wrote it reads it: `when=check=disk for=1h comment="until it is cleaned"`. What has
/// blanks or marks in it is in quotation marks, so that nothing written into one field looks like another one.
fn pairs(sent: &[u8]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "=-_.:/,+".contains(c);
    let field = |text: &str| if text.chars().all(plain) { text.to_owned() } else { format!("{text:?}") };
    let fields = form_urlencoded::parse(sent);
    fields.map(|(name, value)| format!("{}={}", field(&name), field(&value))).collect::<Vec<_>>().join(" ")
}

/// What was asked for in full; of what is too long the beginning, and by what the rest of what was sent can be known again.
fn detailed(shown: &str, sent: &[u8]) -> String {
    let beginning = visible(shown, WORDS);
    if sent.len() <= WORDS && shown.chars().count() <= WORDS {
        return beginning;
    }
    format!("{beginning} ({} bytes, SHA-256 {})", sent.len(), hex(&Sha256::digest(sent)))
}

/// Who asks, as they say: who is named, the header for it, the user of basic authentication, else the door they came by. What
/// a proxy or a password vouches for is there also if another one is named.
fn who(headers: &HeaderMap, body: &[u8]) -> String {
    let header = || headers.get(BY_HEADER)?.to_str().ok().map(str::to_owned);
    let mut names: Vec<String> = Vec::new();
    for name in [named(body), header(), token::user(headers)].into_iter().flatten() {
        let name = name.trim();
        if !name.is_empty() && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    match &mut names[..] {
        [] => door(headers).to_owned(),
        [one] => std::mem::take(one),
        // Of each as much as there is room for: one that is long hides no other.
        [one, others @ ..] => {
            let room = NAME / (others.len() + 2);
            let others: Vec<_> = others.iter().map(|name| visible(name, room)).collect();
            format!("{} (as {})", visible(one, room), others.join(", "))
        }
    }
}

/// The `by` of a body: of a JSON object, or of a form.
fn named(body: &[u8]) -> Option<String> {
    let body = body.trim_ascii();
    if body.first() == Some(&b'{') {
        let value: Value = serde_json::from_slice(body).ok()?;
        return value.get("by")?.as_str().map(str::to_owned);
    }
    form_urlencoded::parse(body).find(|(name, _)| name == "by").map(|(_, by)| by.into_owned())
}

fn door(headers: &HeaderMap) -> &'static str {
    let program = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    match accepts(headers, "text/html") {
        true => "page",
        false if program.starts_with("lictor/") => "cli",
        false => "api",
    }
}

/// Where it came from; behind a proxy also whom that says it asks for, which anybody can write.
fn place(parts: &Parts) -> String {
    let peer = parts.extensions.get::<Peer>().map_or_else(|| "unknown".to_owned(), |peer| peer.0.to_string());
    match parts.headers.get("x-forwarded-for").and_then(|value| value.to_str().ok()) {
        Some(says) => format!("{peer}, which says it is for {says}"),
        None => peer,
    }
}

/// Those that were not let in of late.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Option<(Instant, u32, u64)>>);

impl Refusals {
    /// Whether one more is recorded, and how many before it were not.
    fn admit(&self) -> Option<u64> {
        let mut spell = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let (begun, count, left_out) = spell.get_or_insert((now, 0, 0));
        if now.duration_since(*begun) >= SPELL {
            (*begun, *count) = (now, 0);
        }
        if *count >= REFUSALS {
            *left_out += 1;
            return None;
        }
        *count += 1;
        Some(std::mem::take(left_out))
    }
}

/// Records that it is about to be done; its number. Not what the decide loop records.
pub(super) async fn begin(site: &Site, asked: &Asked) -> Option<u64> {
    if asked.for_the_engine { None } else { site.recorder.record(asked.act.clone()).await }
}

/// What became of it, to be recorded. `None`: somebody else does.
pub(super) fn ended(asked: &Asked, begun: Option<u64>, response: &Response) -> Option<Act> {
    if asked.taken.load(Ordering::Relaxed) {
        return None;
    }
    let status = response.status();
    let end = match status {
        StatusCode::ACCEPTED => ActEnd::Unclear,
        status if status.is_success() || status.is_redirection() => ActEnd::Done,
        status if status.is_client_error() => ActEnd::Refused,
        _ => ActEnd::Failed,
    };
    let said = match response.extensions().get::<Failure>() {
        Some(failure) => failure.message.clone(),
        None if end == ActEnd::Done => String::new(),
        None => status.to_string(),
    };
    Some(Act { end, said: self::said(&said), of: begun, ..asked.act.clone() })
}

/// What is said of an act, no longer than an entry may have it.
pub(super) fn said(text: &str) -> String {
    visible(text, WORDS)
}

/// Records that somebody was not let in.
pub(super) async fn turned_away(site: &Site, asked: &Asked, failure: &Failure) {
    let Some(left_out) = site.refusals.admit() else { return };
    let more = match left_out {
        0 => String::new(),
        more => format!(" ({more} before it are not recorded: there were too many)"),
    };
    let said = self::said(&format!("{}{more}", failure.message));
    site.recorder.record(Act { end: ActEnd::Refused, said, ..asked.act.clone() }).await;
}

/// The latest acts.
#[derive(Debug, Serialize)]
pub(super) struct Audit {
    acts: Vec<Entry>,
    /// Whether there are older ones.
    more: bool,
}

#[derive(Debug, Serialize)]
struct Entry {
    number: u64,
    at: String,
    by: String,
    from: String,
    door: String,
    what: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    end: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    said: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
    hash: String,
    before: String,
}

impl From<ActRecord> for Entry {
    fn from(record: ActRecord) -> Self {
        let ActRecord { number, act, hash, before } = record;
        Self {
            number,
            at: rfc3339(act.at.wall),
            by: act.by,
            from: act.from,
            door: act.door,
            what: act.what,
            detail: act.detail,
            end: word(act.end),
            said: act.said,
            of: act.of,
            hash,
            before,
        }
    }
}

/// The word for what became of an act.
pub(super) const fn word(end: ActEnd) -> &'static str {
    match end {
        ActEnd::Begun => "begun",
        ActEnd::Done => "done",
        ActEnd::Refused => "refused",
        ActEnd::Failed => "failed",
        ActEnd::Unclear => "unclear",
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    before: Option<u64>,
    limit: Option<usize>,
}

/// Entries of one answer when nothing else is asked for, and at most.
const ENTRIES: usize = 100;
const MOST: usize = 1_000;

/// `GET /v1/audit`.
pub(super) async fn list(State(site): State<Arc<Site>>, query: Parameters<AuditQuery>) -> Answer<Audit> {
    let query = parameters(query)?;
    let limit = query.limit.unwrap_or(ENTRIES).clamp(1, MOST);
    let mut found = read(&site, move |acts| acts.list(query.before, limit + 1)).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    Ok(Json(Audit { acts: found.into_iter().map(Into::into).collect(), more }))
}

/// What a look at the chain found.
#[derive(Debug, Serialize)]
pub(super) struct Verified {
    /// Whether it is whole.
    whole: bool,
    entries: u64,
    first: u64,
    last: u64,
    hash: String,
    /// Up to here entries were removed because there were too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<u64>,
    breaks: Vec<Break>,
}

#[derive(Debug, Serialize)]
struct Break {
    number: u64,
    why: String,
}

/// `GET /v1/audit/verify`.
pub(super) async fn verify(State(site): State<Arc<Site>>) -> Answer<Verified> {
    let found = read(&site, |acts| acts.verify()).await?;
    Ok(Json(Verified {
        whole: found.breaks.is_empty(),
        entries: found.entries,
        first: found.first,
        last: found.last,
        hash: found.hash,
        cut: Some(found.cut).filter(|cut| *cut > 0),
        breaks: found.breaks.into_iter().map(|(number, why)| Break { number, why }).collect(),
    }))
}

/// Reads the record, on a thread that may block.
pub(super) async fn read<T: Send + 'static>(
    site: &Site,
    work: impl FnOnce(&dyn Acts) -> Result<T, String> + Send + 'static,
) -> Result<T, Failure> {
    let acts = Arc::clone(&site.acts);
    let read = tokio::task::spawn_blocking(move || work(&*acts)).await;
    let read = read.unwrap_or_else(|_panicked| Err("that panicked".to_owned()));
    read.map_err(|why| {
        let message = format!("cannot read who asked for what: {why}");
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "history_unavailable", message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<Act> {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(Peer("192.0.2.7".parse().unwrap()));
        Asked::new(&parts, body.as_bytes()).map(|asked| asked.act)
    }

    fn by(headers: &[(&str, &str)], body: &str) -> String {
        let act = asked("POST", "/v1/alerts/silences", headers, body).unwrap();
        format!("{} by {}", act.by, act.door)
    }

    #[test]
    fn who_asks_is_who_says_so_in_the_body_the_header_the_user_or_else_the_door() {
        let (html, cli) = (("accept", "text/html"), ("user-agent", "lictor/0.1"));
        let basic = ("authorization", "Basic Ym9iOng=");
        let proxied = [("x-lictor-by", "carl"), basic];
        assert_eq!(by(&proxied, "{\"by\": \" ann \"}"), "ann (as carl, bob) by api");
        let long = format!("{{\"by\": \"{}\"}}", "x".repeat(5_000));
        assert!(by(&proxied, &long).ends_with("… (as carl, bob) by api"), "{}", by(&proxied, &long));
        assert_eq!(by(&[html, basic], "by=ann+b&for=2h"), "ann b (as bob) by page");
        assert_eq!(by(&[html, basic], "by=bob"), "bob by page");
        assert_eq!(by(&[cli, ("x-lictor-by", "carl")], "{\"by\": \"\"}"), "carl by cli");
        assert_eq!(by(&[html, basic], "for=2h"), "bob by page");
        assert_eq!(by(&[], "{\"by\": 7"), "api by api");
    }

    #[test]
    fn what_only_reads_or_a_watcher_waits_for_is_no_act() {
        for path in ["/v1/heartbeat/x", "/v1/webhook/x", "/api/v2/alerts"] {
            assert_eq!(asked("POST", path, &[], ""), None, "{path}");
        }
        assert_eq!(asked("GET", "/v1/status", &[], ""), None);
        // A load balancer asks every two seconds.
        assert_eq!(asked("OPTIONS", "/v1/service/shop/active", &[], ""), None);
        assert_eq!(asked("POST", "/-/healthy", &[], ""), None);
        let act = asked("DELETE", "/v1/state/a?x=1", &[("x-forwarded-for", "10.0.0.9")], "").unwrap();
        assert_eq!((act.what.as_str(), act.detail.as_str()), ("DELETE /v1/state/a", "x=1"));
        assert_eq!(act.from, "192.0.2.7, which says it is for 10.0.0.9");
    }

    #[test]
    fn what_is_said_is_bounded_and_shows_what_cannot_be_seen() {
        let long = "x".repeat(9_000);
        let act =
            asked("POST", "/v1/x", &[("x-forwarded-for", &long)], &format!("by=\u{202e}{long}\u{1b}[2J"));
        let act = act.unwrap();
        assert!(act.by.chars().count() < 120 && act.from.chars().count() < 220, "{act:?}");
        assert!(act.detail.chars().count() < 620 && !act.detail.contains('\u{1b}'), "{act:?}");
        // What was left out of it can be known again.
        assert!(act.detail.ends_with(')') && act.detail.contains(" (9010 bytes, SHA-256 "), "{act:?}");
        assert!(act.by.starts_with(r"\u{202e}xxx"), "{act:?}");
    }

    #[test]
    fn what_was_written_into_a_form_is_readable_and_no_field_looks_like_another_one() {
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let sent = "when=check%3Ddisk&for=2h&comment=it%27s+%22cleaned%22+by%3Dbob%1b%E2%80%AE";
        let act = asked("POST", "/v1/alerts/silences", &[form], sent).unwrap();
        assert_eq!(act.detail, r#"when=check=disk for=2h comment="it's \"cleaned\" by=bob\u{1b}\u{202e}""#);
    }

    #[tokio::test(start_paused = true)]
    async fn who_knocks_again_and_again_fills_no_record() {
        let refusals = Refusals::default();
        let recorded = (0..1_000).filter(|_| refusals.admit().is_some()).count();
        assert_eq!(recorded, 60);
        tokio::time::advance(SPELL).await;
        assert_eq!(refusals.admit(), Some(940));
        assert_eq!(refusals.admit(), Some(0));
    }
}
