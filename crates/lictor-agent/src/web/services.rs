//! Clustered services over HTTP: how they stand, what is asked of their nodes, and where each is to be found.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use lictor_core::Wall;
use lictor_core::lease::Next;
use lictor_core::service::member::Local;
use lictor_core::service::operation::{Operation, What};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tracing::info;

use super::alerts::{by, read};
use super::api::{self, active, peer_is_seen, runs_here};
use super::error::Failure;
use super::guard::accepts;
use super::route::Answer;
use super::text::visible;
use super::{Site, page};
use crate::LeaseState;
use crate::service::{AskError, Asking, LONGEST_PAUSE, Made, Pause, ServiceView};

/// How long Consul may take to take something in.
const RECORDS: Duration = Duration::from_secs(10);

/// How long a restart is waited for; it goes on after that.
const RESTART: Duration = Duration::from_secs(35);

/// How long an operation may take until the service is being stopped or taken, unless something else is said, and
/// at most.
const DEADLINE: Duration = Duration::from_secs(30);
const LONGEST_DEADLINE: Duration = Duration::from_hours(1);

/// Longest reason of a pause, bytes.
const WHY: usize = 1_000;

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/v1/services", get(list))
        .route("/v1/services/{name}", get(one))
        .route("/v1/services/{name}/active", get(is_active).options(is_active))
        .route("/v1/service/{name}/active", get(is_active).options(is_active))
        .route("/v1/services/{name}/switchover", post(switchover))
        .route("/v1/services/{name}/failover", post(failover))
        .route("/v1/services/{name}/start", post(start))
        .route("/v1/services/{name}/stop", post(stop))
        .route("/v1/services/{name}/restart", post(restart))
        .route("/v1/services/{name}/pause", post(pause))
        .route("/v1/services/{name}/resume", post(resume))
        .route("/v1/services/{name}/init", post(init))
}

/// Whether a path is one that load balancers ask, who show no token and come by any name.
pub(super) fn is_probe(path: &str) -> bool {
    let below = path.strip_prefix("/v1/services/").or_else(|| path.strip_prefix("/v1/service/"));
    below.and_then(|rest| rest.strip_suffix("/active")).is_some_and(|name| !name.contains('/'))
}

async fn list(State(site): State<Arc<Site>>) -> Answer<api::Services> {
    let now = now(&site).await?;
    let services = site.services.all();
    let services = services.iter().map(|view| api::Service::new(view, &site.node, now)).collect();
    Ok(Json(api::Services { services }))
}

async fn one(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Answer<api::Service> {
    let view = known(&site, &name)?;
    Ok(Json(api::Service::new(&view, &site.node, now(&site).await?)))
}

/// 200 on the node that runs it, 503 elsewhere: one word, since nobody need show a token.
async fn is_active(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Response {
    let (status, word) = match site.services.one(&name) {
        Some(view) if runs_here(&view) => (StatusCode::OK, "active\n"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "standby\n"),
        None => (StatusCode::NOT_FOUND, "unknown\n"),
    };
    let allow = [(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"))];
    (status, allow, word).into_response()
}

/// The time for people.
async fn now(site: &Site) -> Result<Wall, Failure> {
    Ok(site.source.view().await?.at.wall)
}

fn known(site: &Site, name: &str) -> Result<ServiceView, Failure> {
    site.services.one(name).ok_or_else(|| {
        let message = format!("no service of this node is called `{}`", visible(name, 130));
        Failure::not_found(message).help("GET /v1/services lists them")
    })
}

/// What is asked of the nodes of a service.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    to: Option<String>,
    by: Option<String>,
    deadline_ms: Option<u64>,
}

/// A pause that is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPause {
    for_ms: u64,
    by: Option<String>,
    #[serde(default)]
    why: String,
}

/// Who asks for something that needs no more words.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Who {
    by: Option<String>,
}

/// What became of it.
#[derive(Debug, Serialize)]
struct Taken {
    message: String,
    /// What the nodes do now.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<api::Operation>,
    /// Said where it is under way still.
    #[serde(skip_serializing_if = "Option::is_none")]
    over: Option<bool>,
}

type Told = Result<Response, Failure>;

fn done(message: String) -> Told {
    Ok(Json(Taken { message, operation: None, over: None }).into_response())
}

/// A program is answered in JSON; a form of the page with the page, or with one that says what went wrong.
async fn switchover(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let form = accepts(&headers, "text/html");
    match switched_over(&site, &name, &headers, &body).await {
        Ok(_) if form => {
            site.pages.forget().await;
            Ok(Redirect::to("/").into_response())
        }
        Ok(told) => Ok(told),
        Err(failure) if form => Err(page::failed(&site, &failure)),
        Err(failure) => Err(failure.into_response()),
    }
}

async fn switched_over(site: &Site, name: &str, headers: &HeaderMap, body: &[u8]) -> Told {
    let asks = Asks::read(site, name, headers, body)?;
    let Asks { view, wish, .. } = &asks;
    let runs = active(view, &site.node);
    let holder = asks.holder(site)?;
    let to = match &wish.to {
        Some(to) => to.clone(),
        None => next(site, view, &holder).ok_or_else(|| {
            let message = format!("`{name}` has no other node than {holder}");
            Failure::new(StatusCode::CONFLICT, "conflict", message)
        })?,
    };
    if to == holder {
        return match runs {
            Some(_) => done(format!("{name} runs on {to} already")),
            None => {
                let message = format!("{to} holds the lease of `{name}`, but does not run it as it should");
                Err(Failure::new(StatusCode::CONFLICT, "conflict", message)
                    .help("name another node, or see why it does not run there"))
            }
        };
    }
    asks.ask(site, What::Switchover { to }, Some(holder)).await
}

async fn failover(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Told {
    let asks = Asks::read(&site, &name, &headers, &body)?;
    let to = asks.wish.to.clone().unwrap_or_else(|| site.node.clone());
    if active(&asks.view, &site.node).as_ref() == Some(&to) {
        return done(format!("{name} runs on {to} already"));
    }
    let from = asks.holder(&site).ok();
    asks.ask(&site, What::Take { to }, from).await
}

async fn start(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Told {
    let asks = Asks::read(&site, &name, &headers, &body)?;
    match (active(&asks.view, &site.node), &asks.wish.to) {
        (Some(node), Some(to)) if node != *to => {
            let message = format!("`{name}` runs on {node}");
            return Err(Failure::new(StatusCode::CONFLICT, "conflict", message)
                .help(format!("`lictor service switchover {name} --to {to}` has it go there")));
        }
        (Some(node), _) => return done(format!("{name} runs on {node} already")),
        (None, _) => {}
    }
    let to = asks.wish.to.clone().unwrap_or_else(|| site.node.clone());
    asks.ask(&site, What::Take { to }, None).await
}

async fn stop(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Told {
    let asks = Asks::read(&site, &name, &headers, &body)?;
    if asks.wish.to.is_some() {
        return Err(Failure::bad_request("a stop takes no `to`: it is stopped wherever it runs"));
    }
    let state = &asks.view.state;
    let stopped = state.record.as_ref().is_some_and(|record| record.released == Some(Next::Nobody));
    if stopped && state.lease.is_free() && state.operation.as_ref().is_none_or(Operation::is_over) {
        return done(format!("{name} is stopped already"));
    }
    let from = asks.holder(&site).ok();
    asks.ask(&site, What::Stop, from).await
}

/// Something that a person asks of a service.
struct Asks {
    view: ServiceView,
    wish: Wish,
    by: String,
    /// As it is wanted.
    deadline: Option<Duration>,
}

impl Asks {
    fn read(site: &Site, name: &str, headers: &HeaderMap, body: &[u8]) -> Result<Self, Failure> {
        let view = known(site, name)?;
        let mut wish: Wish = match body.trim_ascii().is_empty() {
            true => Wish::default(),
            false => read(body, "something asked of a service")?,
        };
        let by = by(wish.by.take(), headers)?;
        let deadline = wish.deadline_ms.map(Duration::from_millis);
        if deadline.is_some_and(|deadline| deadline.is_zero() || deadline > LONGEST_DEADLINE) {
            return Err(Failure::bad_request("`deadline_ms` is more than 0 and at most an hour"));
        }
        if let Some(to) = wish.to.as_ref().filter(|to| !view.config.nodes.contains(to)) {
            let nodes = view.config.nodes.join(", ");
            let message = format!("`{}` is no node of `{name}`, which has {nodes}", visible(to, 130));
            return Err(Failure::bad_request(message));
        }
        Ok(Self { view, wish, by, deadline })
    }

    /// Who holds the lease.
    fn holder(&self, site: &Site) -> Result<String, Failure> {
        let name = &self.view.config.name;
        match &self.view.state.lease {
            LeaseState::Held { .. } => Ok(site.node.clone()),
            LeaseState::Other { holder } => Ok(holder.clone()),
            free if free.is_free() => {
                let message = format!("nobody runs `{name}`");
                Err(Failure::new(StatusCode::CONFLICT, "conflict", message)
                    .help(format!("`lictor service start {name}` starts it")))
            }
            LeaseState::Unknown { why } => {
                let why = visible(why, 300);
                Err(Failure::unavailable(format!("it is not known who runs `{name}`: {why}")))
            }
        }
    }

    async fn ask(self, site: &Site, what: What, from: Option<String>) -> Told {
        let Self { view, by, deadline, .. } = self;
        let name = view.config.name.as_str();
        let id = format!("{:016x}", rand::random::<u64>());
        info!(service = name, by, ?what, id, "asked of a service");
        // Whoever takes it may have to see it not renewed for its whole length first.
        let length = match (&what, &view.state.record) {
            (What::Take { .. }, Some(record)) => record.length,
            (What::Take { .. }, None) => view.config.times.1.length(),
            (What::Switchover { .. } | What::Stop, _) => Duration::ZERO,
        };
        let deadline = deadline.unwrap_or(DEADLINE) + length;
        let asking = Asking { id, what, from, by, deadline };
        let asked = timeout(RECORDS, site.services.ask(name, asking)).await.map_err(|_late| late())?;
        let operation = asked.map_err(|error| match error {
            AskError::Busy { by } => busy(site, name, &by),
            AskError::Records { why } => Failure::unavailable(visible(&why, 300)),
        })?;
        let operation = api::Operation::new(&operation);
        let message = match &operation.to {
            Some(to) => format!("{name} is to run on {to}; the nodes see to it ({})", operation.id),
            None => format!("{name} is to stop; the nodes see to it ({})", operation.id),
        };
        let taken = Taken { message, operation: Some(operation), over: None };
        Ok((StatusCode::ACCEPTED, Json(taken)).into_response())
    }
}

/// Somebody was first: who, and how far that is.
fn busy(site: &Site, name: &str, by: &str) -> Failure {
    let operation = site.services.one(name).and_then(|view| view.state.operation);
    let first = operation.filter(|operation| !operation.is_over()).as_ref().map(api::Operation::new);
    let message = match first {
        Some(api::Operation { by, what, to: Some(to), phase, .. }) => {
            format!("{by} was first and has asked for a {what} to {to}, which is `{phase}`")
        }
        Some(api::Operation { by, what, phase, .. }) => {
            format!("{by} was first and has asked for a {what}, which is `{phase}`")
        }
        None => format!("{} was first, and that is not over yet", visible(by, 130)),
    };
    Failure::new(StatusCode::CONFLICT, "busy", message)
        .help(format!("`lictor service status {name}` shows how far it is"))
}

fn late() -> Failure {
    let message = "Consul has not answered within 10s: it may have been taken in all the same";
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "late", message)
}

/// The first node of the list that does not have it; one that is seen before one that is not.
fn next(site: &Site, view: &ServiceView, holder: &str) -> Option<String> {
    let mesh = Arc::clone(&site.mesh.borrow());
    let unseen = |node: &String| {
        let peer = mesh.peers.iter().find(|peer| peer.node.as_ref() == Some(node));
        peer.and_then(peer_is_seen) == Some(false)
    };
    let others = || view.config.nodes.iter().filter(|node| *node != holder);
    others().find(|node| !unseen(node)).or_else(|| others().next()).cloned()
}

async fn restart(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Told {
    let view = known(&site, &name)?;
    let by = who(&headers, &body)?;
    if !runs_here(&view) {
        let message = match active(&view, &site.node) {
            Some(node) => format!("`{name}` runs on {node}, not on {}", site.node),
            None => format!("`{name}` does not run on {}", site.node),
        };
        return Err(Failure::new(StatusCode::CONFLICT, "conflict", message).help("restart it where it runs"));
    }
    info!(service = name, by, "a restart is asked for");
    match timeout(RESTART, site.services.restart(&name)).await {
        Ok(Ok(())) => done(format!("{name} was restarted on {}", site.node)),
        Ok(Err(why)) => {
            let message = format!("the restart of `{name}` failed: {}", visible(&why, 300));
            Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message))
        }
        Err(_late) => {
            let message = format!("the restart of {name} is not over after 35s, and goes on");
            let taken = Taken { message, operation: None, over: Some(false) };
            Ok((StatusCode::ACCEPTED, Json(taken)).into_response())
        }
    }
}

async fn pause(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Told {
    known(&site, &name)?;
    let NewPause { for_ms, by: who, why } = read(&body, "a pause")?;
    let by = by(who, &headers)?;
    let lasts = Duration::from_millis(for_ms);
    if lasts.is_zero() || lasts > LONGEST_PAUSE {
        let days = LONGEST_PAUSE.as_secs() / 86_400;
        return Err(Failure::bad_request(format!("`for_ms` is more than 0 and at most {days} days")));
    }
    if why.len() > WHY {
        return Err(Failure::bad_request(format!("`why` has more than {WHY} bytes")));
    }
    let until = now(&site).await?.as_unix_millis().saturating_add(i64::try_from(for_ms).unwrap_or(i64::MAX));
    let until = Wall::from_unix_millis(until);
    info!(service = name, by, why, "a pause is asked for");
    let pause = Pause { until, by, why: why.trim().to_owned() };
    recorded(&name, timeout(RECORDS, site.services.pause(&name, &pause)).await)?;
    done(format!("no node takes {name} over by itself until {}", super::text::utc(until)))
}

async fn resume(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Told {
    let view = known(&site, &name)?;
    let by = who(&headers, &body)?;
    info!(service = name, by, "the end of a pause is asked for");
    recorded(&name, timeout(RECORDS, site.services.resume(&name)).await)?;
    done(match view.config.automatic {
        true => format!("nodes take {name} over by themselves again"),
        false => format!("{name} is not paused; no node takes it over by itself, as it is configured"),
    })
}

async fn init(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Told {
    let view = known(&site, &name)?;
    if view.config.datacenter.is_some()
        && !matches!(view.state.local, Local::Stopped)
        && view.state.record.is_none()
    {
        let message =
            format!("`{name}` is not seen to be stopped on {}, and another lease of it may hold", site.node);
        return Err(Failure::new(StatusCode::CONFLICT, "conflict", message).help("stop it there first"));
    }
    let by = who(&headers, &body)?;
    info!(service = name, by, "the first record of a lease is asked for");
    let made = recorded(&name, timeout(RECORDS, site.services.init(&name)).await)?;
    done(match made {
        Made::New if view.config.datacenter.is_some() => format!(
            "the record of the lease of {name} is made; when it runs nowhere, `lictor service start {name}` starts it"
        ),
        Made::New => format!("the record of the lease of {name} is made"),
        Made::Before => format!("there is a record of the lease of {name} already"),
    })
}

fn who(headers: &HeaderMap, body: &[u8]) -> Result<String, Failure> {
    match body.trim_ascii().is_empty() {
        true => by(None, headers),
        false => by(read::<Who>(body, "a word of who asks")?.by, headers),
    }
}

fn recorded<T>(
    name: &str,
    written: Result<Result<T, AskError>, tokio::time::error::Elapsed>,
) -> Result<T, Failure> {
    match written {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(AskError::Busy { by })) => {
            let message = format!("{} changes `{name}` at the same time", visible(&by, 130));
            Err(Failure::new(StatusCode::CONFLICT, "busy", message))
        }
        Ok(Err(AskError::Records { why })) => Err(Failure::unavailable(visible(&why, 300))),
        Err(_late) => Err(late()),
    }
}

#[cfg(test)]
mod tests {
    use super::is_probe;

    #[test]
    fn only_the_question_who_is_active_needs_no_token() {
        for path in ["/v1/services/web/active", "/v1/service/web/active"] {
            assert!(is_probe(path), "{path}");
        }
        for path in [
            "/v1/services/web",
            "/v1/services/web/x/active",
            "/v1/services/active",
            "/v1/services",
            "/active",
        ] {
            assert!(!is_probe(path), "{path}");
        }
    }
}
