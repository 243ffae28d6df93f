//! What is answered where.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::handler::Handler as _;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, delete, get, post};
use axum::{Extension, Json, Router, middleware};
use bytes::BytesMut;
use http::{HeaderValue, Method, StatusCode, header};
use lictor_core::{CheckName, Command, IncidentId, RemedyName, RunId, Status, What};
use serde::Deserialize;
use serde::Serialize;
use tokio::io::AsyncReadExt as _;
use tokio::sync::oneshot;

use super::error::Failure;
use super::facts::{open_incident, open_incidents};
use super::guard::{NotTaken, accepts, guard};
use super::history::{End, EventQuery};
use super::text::visible;
use super::{
    Forgotten, KeptState, Site, alerts, api, asset, audit, beat, explain, hook, metrics, page, replicate,
    services, snapshots, stream,
};
use crate::NoAnswer;

pub(super) type Answer<T> = Result<Json<T>, Failure>;
pub(super) type Parameters<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

pub(super) fn router(site: Arc<Site>) -> Router {
    let guarded = middleware::from_fn_with_state(Arc::clone(&site), guard);
    Router::new()
        .route("/", get(page::whole))
        .route("/fragment", get(page::fragment))
        .route("/incidents/{id}", get(page::incident))
        .route("/checks/{*name}", get(page::check))
        .route("/remedies", get(page::remedies))
        .route("/rules", get(page::rules))
        .route("/audit", get(page::acts))
        .route("/search", get(page::search))
        .route("/replication", get(page::replication))
        .route("/snapshots", get(page::snapshots))
        .route("/assets/{file}", get(asset::asset))
        .route("/metrics", get(metrics_page))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/-/reload", post(reload).put(reload))
        .route("/v1/status", get(status))
        .route("/v1/checks", get(checks))
        .route("/v1/checks/{*name}", get(check))
        .route("/v1/history/{*name}", get(history))
        .route("/v1/incidents", get(incidents))
        .route("/v1/incidents/{id}", get(incident))
        .route("/v1/events", get(events))
        .route("/v1/events/stream", get(event_stream))
        .route("/v1/remedies", get(remedies))
        .route("/v1/remedies/{*name}", get(remedy).post(remedy_command))
        .route("/v1/runs", get(runs))
        .route("/v1/runs/{id}", get(run))
        .route("/v1/runs/{id}/retry", post(retry))
        .route("/v1/runs/{id}/cancel", post(cancel))
        .route("/v1/heartbeat/{*check}", post(beat::beat).put(beat::beat))
        .route("/v1/webhook/{*check}", post(hook::call).put(hook::call))
        .route("/v1/peers", get(peers))
        .route("/v1/state", get(kept))
        .route("/v1/state/{name}", delete(forget))
        .route("/v1/audit", get(audit::list))
        .route("/v1/audit/verify", get(audit::verify))
        .route("/v1/backup", post(backup))
        .route("/v1/explain/{*subject}", get(explain_subject))
        .merge(alerts::routes())
        .merge(replicate::routes())
        .merge(services::routes())
        .merge(snapshots::routes())
        .fallback(any(nothing))
        .layer(guarded.clone())
        // With a guard of its own, that knows of it before anything is recorded.
        .method_not_allowed_fallback(wrong_method.layer(guarded).layer(Extension(NotTaken)))
        .with_state(site)
}

async fn nothing(request: Request) -> Failure {
    let path = visible(request.uri().path(), 200);
    Failure::not_found(format!("there is nothing at `{path}`")).help("the API begins at /v1/status")
}

async fn wrong_method(method: Method, request: Request) -> Failure {
    let path = visible(request.uri().path(), 200);
    let message = format!("`{path}` does not take {method}");
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

async fn status(State(site): State<Arc<Site>>) -> Answer<api::Status> {
    let view = site.source.view().await?;
    Ok(Json(api::Status::new(&site, &view)))
}

async fn peers(State(site): State<Arc<Site>>) -> Answer<api::Peers> {
    let now = site.source.view().await?.at;
    let mesh = Arc::clone(&site.mesh.borrow());
    Ok(Json(api::Peers::new(&mesh, now)))
}

#[derive(Serialize)]
struct KeptStates {
    states: Vec<KeptState>,
}

async fn kept(State(site): State<Arc<Site>>) -> Answer<KeptStates> {
    let states = site.monitors.list().await.map_err(Failure::unavailable)?;
    Ok(Json(KeptStates { states }))
}

async fn forget(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Answer<Done> {
    match site.monitors.forget(&visible(&name, 130)).await {
        Forgotten::Done(done) => Ok(Json(Done { message: done })),
        Forgotten::Unknown(why) => Err(Failure::not_found(why).help("GET /v1/state lists what is kept")),
        Forgotten::InUse(why) => Err(Failure::new(StatusCode::CONFLICT, "conflict", why)),
        Forgotten::Failed(why) => Err(Failure::unavailable(why)),
    }
}

/// What is read of a copy at once.
const PIECE: usize = 64 << 10;

/// All that this node remembers: a state file. By POST, since it takes as much room on the disk for a while, and is nothing
/// for a browser.
async fn backup(State(site): State<Arc<Site>>) -> Result<Response, Failure> {
    let file = site.archive.copy().await?;
    let failed = |error| Failure::unavailable(format!("the copy of the state cannot be read: {error}"));
    let length = file.metadata().map_err(failed)?.len();
    let pieces = futures::stream::try_unfold(tokio::fs::File::from_std(file), async |mut file| {
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (piece.freeze(), file)))
    });
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    let mut answer = (kind, Body::from_stream(pieces)).into_response();
    // Who gets less knows that it is not all.
    answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok(answer)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChecksQuery {
    status: Option<String>,
}

async fn checks(State(site): State<Arc<Site>>, query: Parameters<ChecksQuery>) -> Answer<api::Checks> {
    let wanted = parameters(query)?.status;
    let wanted: Option<Status> = wanted.map(|word| word.parse()).transpose().map_err(Failure::bad_request)?;
    let view = site.source.view().await?;
    let open = open_incidents(&view);
    let of_status =
        view.checks.iter().filter(|(_, check)| wanted.is_none_or(|wanted| check.status == wanted));
    let shown = of_status.map(|(name, check)| {
        let incident = open.get(name).map(|incident| incident.id);
        api::Check::new(name, check, incident, &view)
    });
    Ok(Json(api::Checks { checks: shown.collect() }))
}

async fn check(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Answer<api::Check> {
    let view = site.source.view().await?;
    let found = CheckName::new(&name).ok().and_then(|name| view.checks.get_key_value(&name));
    let Some((name, check)) = found else {
        return Err(no_check(&name));
    };
    let check = api::Check::new(name, check, open_incident(&view, name), &view);
    Ok(Json(check.with_plan(name, &view)))
}

/// How a check stood until now.
async fn history(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Answer<api::History> {
    let view = site.source.view().await?;
    let found = CheckName::new(&name).ok().filter(|name| view.checks.contains_key(name));
    let Some(found) = found else { return Err(no_check(&name)) };
    Ok(Json(api::History::new(&name, site.past.of(&found, view.at.wall).as_ref())))
}

fn no_check(name: &str) -> Failure {
    let missing = Failure::not_found(format!("no check is called `{}`", visible(name, 130)));
    missing.help("GET /v1/checks lists them")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IncidentsQuery {
    open: Option<bool>,
}

async fn incidents(
    State(site): State<Arc<Site>>,
    query: Parameters<IncidentsQuery>,
) -> Answer<api::Incidents> {
    let open = parameters(query)?.open;
    let view = site.source.view().await?;
    let newest = view.incidents.values().rev();
    let wanted = newest.filter(|incident| open.is_none_or(|open| incident.closed.is_none() == open));
    let incidents = wanted.map(|incident| api::Incident::new(incident, &view)).collect();
    Ok(Json(api::Incidents { incidents }))
}

/// Entries of one timeline in one answer.
const TIMELINE: usize = 1_000;

async fn incident(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
) -> Answer<api::IncidentWithTimeline> {
    let view = site.source.view().await?;
    let number: Option<IncidentId> = id.parse().ok();
    let Some(incident) = number.and_then(|id| view.incidents.get(&id)) else {
        return Err(no_incident(&id));
    };
    let query = EventQuery { incident: Some(incident.id), limit: TIMELINE, ..EventQuery::default() };
    let (timeline, more) = timeline(&site, query).await?;
    let incident = api::Incident::new(incident, &view);
    Ok(Json(api::IncidentWithTimeline { incident, timeline, more }))
}

fn no_incident(id: &str) -> Failure {
    let missing = Failure::not_found(format!("no incident has the number `{}`", visible(id, 30)));
    missing.help("GET /v1/events?incident=NUMBER has what the ledger keeps of older ones")
}

async fn timeline(site: &Site, query: EventQuery) -> Result<(Vec<api::Event>, bool), Failure> {
    let limit = query.limit;
    let mut events = site.archive.events(EventQuery { limit: limit + 1, ..query }).await?;
    let more = events.len() > limit;
    events.truncate(limit);
    Ok((events.iter().map(|(seq, event)| api::Event::new(*seq, event)).collect(), more))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    after: Option<u64>,
    before: Option<u64>,
    limit: Option<usize>,
    kind: Option<String>,
    incident: Option<String>,
    run: Option<String>,
    check: Option<String>,
}

/// Entries of one answer when nothing else is asked for, and at most.
const EVENTS: usize = 100;
const MOST_EVENTS: usize = 1_000;

impl EventsQuery {
    fn read(self) -> Result<EventQuery, Failure> {
        let incident = self.incident.map(|id| id.parse::<IncidentId>().map_err(|_odd| no_incident(&id)));
        let run = self.run.map(|id| run_id(&id));
        let kinds: Vec<_> = self.kind.iter().flat_map(|kinds| kinds.split(',')).map(str::trim).collect();
        if let Some(odd) = kinds.iter().find(|kind| !What::KINDS.contains(kind)) {
            let message = format!("no event is of the kind `{}`", visible(odd, 30));
            return Err(Failure::bad_request(message).help(format!("kinds are {}", What::KINDS.join(", "))));
        }
        Ok(EventQuery {
            after: self.after,
            before: self.before,
            incident: incident.transpose()?,
            run: run.transpose()?,
            check: self
                .check
                .map(|name| CheckName::new(&name).map_err(|_odd| no_check(&name)))
                .transpose()?,
            kinds: kinds.into_iter().map(str::to_owned).collect(),
            limit: self.limit.unwrap_or(EVENTS).clamp(1, MOST_EVENTS),
            end: if self.after.is_some() { End::Oldest } else { End::Newest },
        })
    }
}

/// Refuses to look for what never was: it must be known at present, or the ledger must
/// have something of it.
async fn check_subjects(site: &Site, query: &EventQuery) -> Result<(), Failure> {
    let view = site.source.view().await?;
    let any = || EventQuery::newest(1);
    let mut unknown = Vec::new();
    if let Some(check) = query.check.as_ref().filter(|check| !view.checks.contains_key(*check)) {
        unknown.push((EventQuery { check: query.check.clone(), ..any() }, no_check(check.as_str())));
    }
    if let Some(id) = query.incident.filter(|id| !view.incidents.contains_key(id)) {
        unknown.push((EventQuery { incident: query.incident, ..any() }, no_incident(&id.to_string())));
    }
    if let Some(id) = query.run.filter(|id| !view.runs.contains_key(id)) {
        unknown.push((EventQuery { run: query.run, ..any() }, no_run(&id.to_string())));
    }
    for (past, missing) in unknown {
        if site.archive.events(past).await?.is_empty() {
            return Err(missing);
        }
    }
    Ok(())
}

async fn events(
    State(site): State<Arc<Site>>,
    query: Parameters<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let query = parameters(query)?.read()?;
    check_subjects(&site, &query).await?;
    if accepts(&headers, "text/event-stream") {
        let after = stream::resume(&headers, query.after)?;
        return stream::events(&site, query, after).await;
    }
    let (limit, after, end) = (query.limit, query.after, query.end);
    let mut found = site.archive.events(EventQuery { limit: limit + 1, ..query }).await?;
    let more = found.len() > limit;
    match end {
        End::Oldest => found.truncate(limit),
        End::Newest => drop(found.drain(..found.len().saturating_sub(limit))),
    }
    let last = found.last().map_or(after.unwrap_or(0), |(seq, _)| *seq);
    let events = found.iter().map(|(seq, event)| api::Event::new(*seq, event)).collect();
    Ok(Json(api::Events { events, last, more }).into_response())
}

async fn event_stream(
    State(site): State<Arc<Site>>,
    query: Parameters<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let query = parameters(query)?.read()?;
    check_subjects(&site, &query).await?;
    let after = stream::resume(&headers, query.after)?;
    stream::events(&site, query, after).await
}

async fn remedies(State(site): State<Arc<Site>>) -> Answer<api::Remedies> {
    let view = site.source.view().await?;
    let remedies = view.plan.remedies.keys().filter_map(|name| api::Remedy::new(name, &view)).collect();
    Ok(Json(api::Remedies { remedies }))
}

async fn remedy(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Answer<api::Remedy> {
    let view = site.source.view().await?;
    let found = RemedyName::new(&name).ok().and_then(|name| api::Remedy::new(&name, &view));
    found.map(Json).ok_or_else(|| {
        let shown = visible(&name, 130);
        Failure::not_found(format!("no remedy is called `{shown}`")).help("GET /v1/remedies lists them")
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunsQuery {
    active: Option<bool>,
    remedy: Option<String>,
}

async fn runs(State(site): State<Arc<Site>>, query: Parameters<RunsQuery>) -> Answer<api::Runs> {
    let query = parameters(query)?;
    let remedy = query.remedy.map(|name| RemedyName::new(&name)).transpose()?;
    let view = site.source.view().await?;
    let newest = view.runs.values().rev();
    let wanted = newest
        .filter(|run| query.active.is_none_or(|active| run.ended() != active))
        .filter(|run| remedy.as_ref().is_none_or(|remedy| &run.remedy == remedy));
    Ok(Json(api::Runs { runs: wanted.map(|run| api::Run::new(run, &view)).collect() }))
}

fn run_id(text: &str) -> Result<RunId, Failure> {
    text.parse().map_err(|_not_a_number| no_run(text))
}

fn no_run(text: &str) -> Failure {
    let missing = Failure::not_found(format!("no run has the number `{}`", visible(text, 30)));
    missing.help("GET /v1/events?run=NUMBER has what the ledger keeps of older ones")
}

async fn run(State(site): State<Arc<Site>>, Path(id): Path<String>) -> Answer<api::RunWithTimeline> {
    let view = site.source.view().await?;
    let number = run_id(&id)?;
    let Some(run) = view.runs.get(&number) else { return Err(no_run(&id)) };
    let query = EventQuery { run: Some(run.id), limit: TIMELINE, ..EventQuery::default() };
    let (timeline, more) = timeline(&site, query).await?;
    Ok(Json(api::RunWithTimeline { run: api::Run::new(run, &view), timeline, more }))
}

/// The run that is to be retried or cancelled. Whoever gives the name of a remedy instead
/// is told what it takes.
async fn steered(site: &Site, id: &str) -> Result<RunId, Failure> {
    let missing = match run_id(id) {
        Ok(run) => return Ok(run),
        Err(missing) => missing,
    };
    let view = site.source.view().await?;
    let known = RemedyName::new(id).ok().filter(|name| view.plan.remedies.contains_key(name));
    let Some(name) = known else { return Err(missing) };
    let open = view.runs.values().find(|run| run.remedy == name && !run.ended());
    Err(match open {
        Some(run) => Failure::not_found(format!("`{name}` is a remedy; its run is {}", run.id)),
        None => Failure::not_found(format!("`{name}` is a remedy, and it has no unfinished run"))
            .help(format!("`lictor remedy start {name}` starts it, also when it gave up")),
    })
}

/// The answer to a command.
#[derive(Serialize)]
pub(super) struct Done {
    pub(super) message: String,
}

async fn retry(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    asked: Option<Extension<audit::Asked>>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let command = steered(&site, &id).await.map(Command::Retry);
    carry_out(&site, command, asked.as_deref(), &headers).await
}

async fn cancel(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    asked: Option<Extension<audit::Asked>>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let command = steered(&site, &id).await.map(Command::Cancel);
    carry_out(&site, command, asked.as_deref(), &headers).await
}

/// `POST /v1/remedies/NAME/start`; a name may hold slashes, so the path is cut here.
async fn remedy_command(
    State(site): State<Arc<Site>>,
    Path(path): Path<String>,
    asked: Option<Extension<audit::Asked>>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let command = match path.strip_suffix("/start") {
        Some(name) => RemedyName::new(name).map(Command::Start).map_err(|_no_name| {
            let shown = visible(name, 130);
            Failure::not_found(format!("no remedy is called `{shown}`")).help("GET /v1/remedies lists them")
        }),
        None => Err(Failure::not_found("a remedy takes POST only at /v1/remedies/NAME/start")),
    };
    carry_out(&site, command, asked.as_deref(), &headers).await
}

/// The answer to a command that its loop has and cannot record yet.
pub(super) const TAKEN: &str = "taken, not answered yet: it takes effect as soon as it can be recorded";

/// Has a command carried out. A program is answered in JSON; a form of the page with
/// the page, or with one that says what went wrong.
async fn carry_out(
    site: &Site,
    command: Result<Command, Failure>,
    asked: Option<&audit::Asked>,
    headers: &HeaderMap,
) -> Result<Response, Response> {
    let answered = async {
        let command = command?;
        match site.source.command(command, asked.map(audit::Asked::take)).await {
            // It takes effect: whoever is told otherwise would ask again.
            Err(NoAnswer::Late) => Ok((StatusCode::ACCEPTED, TAKEN.to_owned())),
            answer => {
                if let (Err(NoAnswer::Busy | NoAnswer::Gone), Some(asked)) = (&answer, asked) {
                    asked.give_back();
                }
                Ok::<_, Failure>((StatusCode::OK, answer??))
            }
        }
    };
    let form = accepts(headers, "text/html");
    match answered.await {
        Ok(_) if form => {
            site.pages.forget().await;
            Ok(Redirect::to("/").into_response())
        }
        Ok((status, message)) => Ok((status, Json(Done { message })).into_response()),
        Err(failure) if form => Err(page::failed(site, &failure)),
        Err(failure) => Err(failure.into_response()),
    }
}

/// Says what became of what was asked for: a program is answered in JSON, a form of the page with the page it is on.
pub(super) async fn reply(
    site: &Site,
    headers: &HeaderMap,
    answer: Result<String, Failure>,
    back: &'static str,
) -> Result<Response, Response> {
    let form = accepts(headers, "text/html");
    match answer {
        Ok(_) if form => {
            site.pages.forget().await;
            Ok(Redirect::to(back).into_response())
        }
        Ok(message) => Ok(Json(Done { message }).into_response()),
        Err(failure) if form => Err(page::failed(site, &failure)),
        Err(failure) => Err(failure.into_response()),
    }
}

async fn explain_subject(
    State(site): State<Arc<Site>>,
    Path(subject): Path<String>,
) -> Answer<explain::Explanation> {
    let view = site.source.view().await?;
    explain::explain(&view, &site.archive, &subject).await.map(Json)
}

/// How long a reload may take.
const RELOAD: Duration = Duration::from_secs(30);

async fn reload(State(site): State<Arc<Site>>) -> Answer<Done> {
    let stopping = || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the agent is stopping");
    let asked = async {
        let (answer, answered) = oneshot::channel();
        site.reload.send(answer).await.map_err(|_closed| stopping())?;
        answered.await.map_err(|_dropped| stopping())
    };
    match tokio::time::timeout(RELOAD, asked).await {
        Ok(Ok(Ok(message))) => Ok(Json(Done { message })),
        Ok(Ok(Err(why))) => Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "reload_refused", why)
            .help("the old configuration stays in force; `lictor validate` shows every error")),
        Ok(Err(failure)) => Err(failure),
        Err(_late) => {
            Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "late", "the reload took longer than 30s"))
        }
    }
}

/// How long the decide loop may take to show that it lives.
const PULSE: Duration = Duration::from_secs(2);

/// Whether the decide loop lives: not whether what it watches does.
async fn healthy(State(site): State<Arc<Site>>) -> Response {
    match tokio::time::timeout(PULSE, site.source.view()).await {
        Ok(Ok(_)) => "ok\n".into_response(),
        Ok(Err(gone)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{gone}\n")).into_response(),
        Err(_late) => (StatusCode::SERVICE_UNAVAILABLE, "the decide loop does not answer\n").into_response(),
    }
}

/// Whether start-up is over and the agent is not stopping.
async fn ready(State(site): State<Arc<Site>>) -> Response {
    if site.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    if !site.is_ready() {
        return (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response();
    }
    healthy(State(site)).await
}

async fn metrics_page(State(site): State<Arc<Site>>, headers: HeaderMap) -> Result<Response, Failure> {
    let (view, alerts) = tokio::join!(
        tokio::time::timeout(PULSE, site.source.view()),
        tokio::time::timeout(PULSE, site.alerts.view()),
    );
    let (view, alerts) = (view.ok().and_then(Result::ok), alerts.ok().and_then(Result::ok));
    let open = accepts(&headers, "application/openmetrics-text");
    // 10,000 checks are some megabytes of text.
    let text = tokio::task::spawn_blocking(move || {
        let text = metrics::render(&site, view.as_deref(), alerts.as_deref());
        if open { text } else { metrics::classic(&text) }
    });
    let text = text.await.map_err(|_panicked| {
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the metrics could not be written")
    })?;
    let kind = if open {
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    } else {
        "text/plain; version=0.0.4; charset=utf-8"
    };
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response())
}

pub(super) fn parameters<T>(query: Parameters<T>) -> Result<T, Failure> {
    query.map(|Query(read)| read).map_err(|error| {
        let mut why: &dyn std::error::Error = &error;
        while let Some(source) = why.source() {
            why = source;
        }
        Failure::bad_request(visible(&why.to_string(), 300))
    })
}
