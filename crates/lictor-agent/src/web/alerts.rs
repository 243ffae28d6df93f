//! Alerts over HTTP: what is wrong and who was told, the queue, silences; and what others report.

mod body;
mod matcher;
mod posted;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use lictor_core::alert::{AlertPlan, Case, Command, Deliveries, Matchers, SubjectKey};
use lictor_core::{DeliveryId, NotifierName, Refusal, Span, Status, Wall};
use serde::Serialize;
use tracing::info;
use url::form_urlencoded;

use super::error::Failure;
use super::guard::accepts;
use super::route::{Answer, Done, TAKEN};
use super::text::visible;
use super::{Site, api, page, token};
use crate::NoAnswer;
use crate::alert::AlertView;
use body::{Acknowledge, Add, Choice, End, Forget};

pub(super) use body::read;

/// Longest name of who asks, and longest comment, bytes.
const BY: usize = 100;
const COMMENT: usize = 1_000;

/// A silence and an acknowledgement last at most so long.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Conditions of one silence.
const CONDITIONS: usize = 20;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/v1/alerts", get(list))
        .route("/v1/alerts/queue", get(queue))
        .route("/v1/alerts/queue/retry", post(retry))
        .route("/v1/alerts/queue/drop", post(give_up))
        .route("/v1/alerts/silences", get(silences).post(silence))
        .route("/v1/alerts/silences/{*id}", delete(end_by_path))
        .route("/v1/alerts/unsilence", post(end))
        .route("/v1/alerts/acknowledge", post(acknowledge))
        .route("/v1/alerts/unacknowledge", post(unacknowledge))
        .route("/v1/alerts/forget", post(forget))
        .route(posted::PATH, post(posted::take))
}

/// Whether a path is one where other programs report many alerts at once.
pub(super) fn takes_many(path: &str) -> bool {
    path == posted::PATH
}

/// Which alerts are wanted.
#[derive(Debug, Default)]
struct Wanted {
    status: Option<Status>,
    when: Matchers,
}

impl Wanted {
    fn read(query: Option<&str>) -> Result<Self, Failure> {
        let mut wanted = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "status" => wanted.status = Some(value.parse().map_err(Failure::bad_request)?),
                "match" => wanted.when.0.push(matcher::parse(&value).map_err(Failure::bad_request)?),
                other => {
                    let shown = visible(other, 100);
                    let message = format!("unknown parameter `{shown}`; known are status and match");
                    return Err(Failure::bad_request(message));
                }
            }
        }
        Ok(wanted)
    }

    fn has(&self, case: &Case) -> bool {
        self.status.is_none_or(|status| case.settled == status) && self.when.hold(&case.subject)
    }
}

async fn list(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Answer<api::Alerts> {
    let wanted = Wanted::read(query.as_deref())?;
    let view = site.alerts.view().await?;
    Ok(Json(api::Alerts::new(&view, |case| wanted.has(case))))
}

async fn queue(State(site): State<Arc<Site>>) -> Answer<api::Queue> {
    Ok(Json(api::Queue::new(&*site.alerts.view().await?)))
}

async fn silences(State(site): State<Arc<Site>>) -> Answer<api::Silences> {
    Ok(Json(api::Silences::new(&*site.alerts.view().await?)))
}

/// The answer to a new silence.
#[derive(Serialize)]
struct Silenced {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silence: Option<api::Silence>,
}

async fn silence(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let (command, by) = match new_silence(&site, &headers, &body).await {
        Ok(asked) => asked,
        Err(failure) => return Err(refuse(&site, &headers, &failure)),
    };
    let said = said(&command);
    match ask(&site, command, &by).await {
        Ok(_) if accepts(&headers, "text/html") => done(&site).await,
        Ok((StatusCode::OK, id)) => {
            let view = site.alerts.view().await.ok();
            let silence = view.and_then(|view| Some(api::Silence::new(view.silences.get(&id)?, &view)));
            let made = Silenced { message: format!("silence {id}: {said}"), id: Some(id), silence };
            Ok(Json(made).into_response())
        }
        Ok((status, message)) => {
            Ok((status, Json(Silenced { message, id: None, silence: None })).into_response())
        }
        Err(failure) => Err(refuse(&site, &headers, &failure)),
    }
}

async fn new_silence(site: &Site, headers: &HeaderMap, body: &[u8]) -> Result<(Command, String), Failure> {
    let add: Add = read(body, "a silence")?;
    let when = conditions(&add.matchers)?;
    let lasting = match (&add.lasting, &add.until) {
        (Some(lasting), None) => span(lasting)?,
        (None, Some(until)) => left(until, site.alerts.view().await?.at.wall)?,
        _ => return Err(Failure::bad_request("a silence needs either `for` or `until`")),
    };
    let (by, comment) = (by(add.by, headers)?, comment(add.comment)?);
    Ok((Command::Silence { id: None, when, lasting, by: by.clone(), comment }, by))
}

/// A silence that is asked for, for people.
fn said(command: &Command) -> String {
    match command {
        Command::Silence { when, lasting, .. } => format!("{when} for {}", Span(*lasting)),
        other => word(other).to_owned(),
    }
}

async fn end_by_path(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let asked = by(None, &headers).map(|by| (Command::Unsilence { id, by: by.clone() }, by));
    carry_out(&site, &headers, asked).await
}

async fn end(State(site): State<Arc<Site>>, headers: HeaderMap, body: Bytes) -> Result<Response, Response> {
    let asked = read(&body, "the end of a silence").and_then(|End { silence: id, by: who }| {
        let by = by(who, &headers)?;
        Ok((Command::Unsilence { id, by: by.clone() }, by))
    });
    carry_out(&site, &headers, asked).await
}

async fn acknowledge(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let asked = async {
        let one: Acknowledge = read(&body, "an acknowledgement")?;
        let lasting = one.lasting.as_deref().map(span).transpose()?;
        let by = by(one.by, &headers)?;
        let comment = comment(one.comment)?;
        let subject = subject(&*site.alerts.view().await?, &one.subject)?;
        Ok((Command::Acknowledge { subject, by: by.clone(), comment, lasting }, by))
    };
    let asked = asked.await;
    carry_out(&site, &headers, asked).await
}

async fn unacknowledge(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let asked = async {
        let one: Acknowledge = read(&body, "the end of an acknowledgement")?;
        if one.lasting.is_some() || one.comment.is_some() {
            return Err(Failure::bad_request(
                "what is no longer acknowledged takes neither `for` nor `comment`",
            ));
        }
        let by = by(one.by, &headers)?;
        let subject = subject(&*site.alerts.view().await?, &one.subject)?;
        Ok((Command::Unacknowledge { subject, by: by.clone() }, by))
    };
    let asked = asked.await;
    carry_out(&site, &headers, asked).await
}

async fn retry(State(site): State<Arc<Site>>, headers: HeaderMap, body: Bytes) -> Result<Response, Response> {
    let asked = some(&site, &headers, &body).await;
    carry_out(&site, &headers, asked.map(|(which, by)| (Command::Retry { which, by: by.clone() }, by))).await
}

async fn give_up(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let asked = some(&site, &headers, &body).await;
    carry_out(&site, &headers, asked.map(|(which, by)| (Command::Drop { which, by: by.clone() }, by))).await
}

/// A node that shared these alerts is gone for good.
async fn forget(
    State(site): State<Arc<Site>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let asked = async {
        let Forget { node, by: who } = read(&body, "a node that is gone")?;
        let by = by(who, &headers)?;
        if node.is_empty() {
            return Err(Failure::bad_request("`node` says which node is gone"));
        }
        let answer = settled(site.alerts.forget(node, by.clone()).await)?;
        info!(by, what = "forget", answer = answer.1, "asked of the alerts");
        Ok(answer)
    };
    let answer = asked.await;
    reply(&site, &headers, answer).await
}

/// Which messages of the queue are meant, and who asks.
async fn some(site: &Site, headers: &HeaderMap, body: &[u8]) -> Result<(Deliveries, String), Failure> {
    let Choice { delivery, notifier, all, by: who } = read(body, "a choice of messages")?;
    let which = match (delivery, notifier, all) {
        (Some(id), None, false) => {
            let unknown = |_odd| {
                let shown = visible(&id, 30);
                Failure::not_found(format!("no message of the queue has the number `{shown}`"))
                    .help("GET /v1/alerts/queue lists them")
            };
            Deliveries::One(id.parse::<DeliveryId>().map_err(unknown)?)
        }
        (None, Some(name), false) => Deliveries::Of(notifier_of(&site.alerts.view().await?.plan, &name)?),
        (None, None, true) => Deliveries::All,
        _ => {
            let message = "say which messages: one of `delivery`, `notifier`, and `all` with true";
            return Err(Failure::bad_request(message));
        }
    };
    Ok((which, by(who, headers)?))
}

fn notifier_of(plan: &AlertPlan, name: &str) -> Result<NotifierName, Failure> {
    let found = NotifierName::new(name).ok().filter(|name| plan.notifiers.contains_key(name));
    found.ok_or_else(|| {
        let shown = visible(name, 130);
        let known: Vec<_> = plan.notifiers.keys().map(NotifierName::as_str).collect();
        let help = if known.is_empty() {
            "no notifier is configured".to_owned()
        } else {
            format!("there are {}", known.join(", "))
        };
        Failure::not_found(format!("no notifier is called `{shown}`")).help(help)
    })
}

/// The subject that is meant: by its key, or by its title or check when only one alert has it.
fn subject(view: &AlertView, text: &str) -> Result<SubjectKey, Failure> {
    let key = SubjectKey::stored(text);
    if view.cases.contains_key(&key) {
        return Ok(key);
    }
    let firing = view.cases.values().map(|(case, _)| case).filter(|case| case.settled != Status::Passing);
    let fits = |case: &&Case| {
        case.subject.title() == text || case.subject.label(lictor_core::alert::label::CHECK) == text
    };
    let found: Vec<_> = firing.filter(fits).map(|case| &case.subject.key).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let shown = visible(text, 300);
            Err(Failure::not_found(format!("nothing is wrong with `{shown}`"))
                .help("GET /v1/alerts lists what is"))
        }
        several => {
            let shown = visible(text, 300);
            let few: Vec<_> = several.iter().take(5).map(|key| format!("`{key}`")).collect();
            let more = if several.len() > few.len() { ", …" } else { "" };
            let message = format!("{} alerts are called `{shown}`", several.len());
            Err(Failure::new(StatusCode::CONFLICT, "conflict", message)
                .help(format!("name its subject: {}{more}", few.join(", "))))
        }
    }
}

/// The conditions of a silence, as a body has them.
pub(super) fn conditions(texts: &[String]) -> Result<Matchers, Failure> {
    if texts.is_empty() {
        return Err(Failure::bad_request("a silence needs at least one matcher")
            .help("`check=/.*/` is everything that has a check, `node=n1` everything of a node"));
    }
    if texts.len() > CONDITIONS {
        return Err(Failure::bad_request(format!("a silence has at most {CONDITIONS} matchers")));
    }
    let read: Result<Vec<_>, _> = texts.iter().map(|text| matcher::parse(text)).collect();
    read.map(Matchers).map_err(Failure::bad_request)
}

fn span(text: &str) -> Result<Duration, Failure> {
    let odd = || {
        let shown = visible(text, 60);
        Failure::bad_request(format!("`for` is `{shown}`, which is not a duration such as 90m, 2h or 1d"))
    };
    let span = lictor_config::duration(text).ok_or_else(odd)?;
    if span.is_zero() || span > LONGEST {
        return Err(Failure::bad_request("`for` is longer than 0s and at most 366d"));
    }
    Ok(span)
}

/// How long it is until then.
fn left(until: &str, now: Wall) -> Result<Duration, Failure> {
    let odd = |_odd| {
        let shown = visible(until, 60);
        Failure::bad_request(format!(
            "`until` is `{shown}`, which is no instant such as 2026-11-30T08:00:00Z"
        ))
    };
    let until = until.parse::<jiff::Timestamp>().map_err(odd)?.as_millisecond();
    let left = Duration::from_millis(u64::try_from(until.saturating_sub(now.as_unix_millis())).unwrap_or(0));
    if left.is_zero() || left > LONGEST {
        return Err(Failure::bad_request("`until` is to come, and at most 366d from now"));
    }
    Ok(left)
}

/// Who asks: who is named, else who shows the token with a name, else the door they came by.
pub(super) fn by(named: Option<String>, headers: &HeaderMap) -> Result<String, Failure> {
    let door = || if accepts(headers, "text/html") { "page" } else { "api" };
    let by = named.filter(|by| !by.trim().is_empty()).or_else(|| token::user(headers));
    let by = by.unwrap_or_else(|| door().to_owned());
    if by.len() > BY {
        return Err(Failure::bad_request(format!("`by` has more than {BY} bytes")));
    }
    Ok(by.trim().to_owned())
}

fn comment(text: Option<String>) -> Result<String, Failure> {
    let text = text.unwrap_or_default();
    if text.len() > COMMENT {
        return Err(Failure::bad_request(format!("`comment` has more than {COMMENT} bytes")));
    }
    Ok(text.trim().to_owned())
}

/// Has something done. A program is answered in JSON, a form of the page with the page.
async fn carry_out(
    site: &Site,
    headers: &HeaderMap,
    asked: Result<(Command, String), Failure>,
) -> Result<Response, Response> {
    let answer = match asked {
        Ok((command, by)) => ask(site, command, &by).await,
        Err(failure) => Err(failure),
    };
    reply(site, headers, answer).await
}

/// Says what became of it.
async fn reply(
    site: &Site,
    headers: &HeaderMap,
    answer: Result<(StatusCode, String), Failure>,
) -> Result<Response, Response> {
    match answer {
        Ok(_) if accepts(headers, "text/html") => done(site).await,
        Ok((status, message)) => Ok((status, Json(Done { message })).into_response()),
        Err(failure) => Err(refuse(site, headers, &failure)),
    }
}

async fn ask(site: &Site, command: Command, by: &str) -> Result<(StatusCode, String), Failure> {
    let what = word(&command);
    let answer = settled(site.alerts.command(command).await)?;
    info!(by, what, answer = answer.1, "asked of the alerts");
    Ok(answer)
}

fn settled(answer: Result<Result<String, Refusal>, NoAnswer>) -> Result<(StatusCode, String), Failure> {
    Ok(match answer {
        // It takes effect: whoever is told otherwise would ask again.
        Err(NoAnswer::Late) => (StatusCode::ACCEPTED, TAKEN.to_owned()),
        answer => (StatusCode::OK, answer??),
    })
}

fn word(command: &Command) -> &'static str {
    match command {
        Command::Silence { .. } => "silence",
        Command::Unsilence { .. } => "end a silence",
        Command::Acknowledge { .. } => "acknowledge",
        Command::Unacknowledge { .. } => "unacknowledge",
        Command::Retry { .. } => "retry",
        Command::Drop { .. } => "drop",
        Command::Digest { .. } => "digest",
    }
}

async fn done(site: &Site) -> Result<Response, Response> {
    site.pages.forget().await;
    Ok(Redirect::to("/").into_response())
}

fn refuse(site: &Site, headers: &HeaderMap, failure: &Failure) -> Response {
    if accepts(headers, "text/html") { page::failed(site, failure) } else { failure.clone().into_response() }
}
