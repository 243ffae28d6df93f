//! The status page: rendered here, readable without a script, kept live by one.

mod acts;
mod alert;
mod check;
mod group;
mod incident;
mod markdown;
mod model;
mod peer;
mod quiet;
mod record;
mod remedies;
mod remedy;
mod replication;
mod rules;
mod search;
mod service;
mod snapshot;
mod story;

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use lictor_core::{CheckName, IncidentId};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::form_urlencoded;

use super::Site;
use super::asset::{ASSETS, Assets};
use super::error::Failure;
use super::text::visible;
pub(super) use record::{Bar, RecordView, day, percent};
use story::Story;

/// The page around what changes.
#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    title: &'a str,
    icon: &'a str,
    assets: &'a Assets,
    node: &'a str,
    datacenter: Option<&'a str>,
    version: &'a str,
    /// The other pages: where and what.
    pages: &'a [(&'static str, &'static str)],
    /// Which page it is.
    here: &'a str,
    /// Where the script fetches what changes; empty on a page that does not.
    source: &'a str,
    live: &'a str,
}

/// What went wrong with a form.
#[derive(Template)]
#[template(path = "failed.html")]
struct Failed<'a> {
    heading: &'a str,
    message: &'a str,
    help: Option<&'a str>,
}

/// Who was not let in: nothing of this node is on it, and nothing it would have to fetch.
#[derive(Template)]
#[template(path = "refused.html")]
struct Refused<'a> {
    heading: &'a str,
    message: &'a str,
    help: Option<&'a str>,
    /// Whether it can be tried again with a token.
    again: bool,
}

/// A part of the page, rendered.
#[derive(Debug)]
struct Part {
    title: String,
    bad: bool,
    html: String,
}

/// The parts that were rendered last: many viewers refresh at the same event, and
/// are shown the same.
#[derive(Default)]
pub(super) struct Cache {
    short: Mutex<Option<(Instant, Arc<Part>)>>,
    all: Mutex<Option<(Instant, Arc<Part>)>>,
}

/// How old a part may be that is shown again.
const FRESH: Duration = Duration::from_millis(400);

impl Cache {
    /// Has the next reader see what a command did.
    pub(super) async fn forget(&self) {
        *self.short.lock().await = None;
        *self.all.lock().await = None;
    }
}

#[derive(Deserialize)]
pub(super) struct PageQuery {
    /// Show every check.
    all: Option<String>,
    /// Only what changes.
    fragment: Option<String>,
    /// `md`: an incident as Markdown.
    format: Option<String>,
    /// What is looked for.
    q: Option<String>,
    /// Acts before this number.
    before: Option<u64>,
}

/// `GET /`.
pub(super) async fn whole(
    State(site): State<Arc<Site>>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Response> {
    let all = query.all.is_some();
    match overview(&site, all).await {
        Ok(part) => Ok(page(&site, &part, if all { "/fragment?all" } else { "/fragment" })),
        Err(failure) => Err(unshown(&site, &failure)),
    }
}

/// `GET /fragment`: the part of `/` that changes.
pub(super) async fn fragment(
    State(site): State<Arc<Site>>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Failure> {
    let part = overview(&site, query.all.is_some()).await?;
    Ok(bare(&part))
}

/// `GET /incidents/ID`: one incident as a story; `/incidents/ID.md` the same as Markdown.
pub(super) async fn incident(
    State(site): State<Arc<Site>>,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Response> {
    let (id, markdown) = match id.strip_suffix(".md") {
        Some(id) => (id.to_owned(), true),
        None => (id, query.format.as_deref() == Some("md")),
    };
    let found = async {
        let missing = || {
            Failure::not_found(format!("no incident has the number `{}`", visible(&id, 30)))
                .help("the ledger may have more of older ones: GET /v1/events?incident=NUMBER")
        };
        let number: IncidentId = id.parse().map_err(|_not_a_number| missing())?;
        let view = site.source.view().await?;
        let found = view.incidents.get(&number).cloned().ok_or_else(missing)?;
        Ok::<_, Failure>((view, found))
    };
    let (view, found) = found.await.map_err(|failure| unshown(&site, &failure))?;
    if markdown {
        let story = Story::gather(&site, &view, &found).await.map_err(|failure| unshown(&site, &failure))?;
        let kind = [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")];
        return Ok((kind, markdown::document(&story, &site.node)).into_response());
    }
    let number = found.id;
    match incident::part(&site, &view, &found).await.map(|part| (number, part)) {
        Ok((_, part)) if query.fragment.is_some() => Ok(bare(&part)),
        Ok((number, part)) => Ok(page(&site, &part, &format!("/incidents/{number}?fragment"))),
        Err(failure) => Err(unshown(&site, &failure)),
    }
}

/// `GET /checks/NAME`: one check with its last results and what happened to it.
pub(super) async fn check(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Response> {
    let shown = async {
        let view = site.source.view().await?;
        let found = CheckName::new(&name).ok().and_then(|name| view.checks.get_key_value(&name));
        let (name, check) = found
            .ok_or_else(|| Failure::not_found(format!("no check is called `{}`", visible(&name, 130))))?;
        check::part(&site, &view, name, check).await
    };
    match shown.await {
        Ok(part) if query.fragment.is_some() => Ok(bare(&part)),
        Ok(part) => Ok(page(&site, &part, &format!("/checks/{name}?fragment"))),
        Err(failure) => Err(unshown(&site, &failure)),
    }
}

/// `GET /remedies`: each with its steps and what became of them.
pub(super) async fn remedies(State(site): State<Arc<Site>>, Query(query): Query<PageQuery>) -> Response {
    let shown = async { remedies::part(&site, &*site.source.view().await?).await };
    answer(&site, shown.await, &query, "/remedies?fragment")
}

/// `GET /rules`: what starts each remedy, what holds it back, and what it decided last.
pub(super) async fn rules(State(site): State<Arc<Site>>, Query(query): Query<PageQuery>) -> Response {
    let shown = async { rules::part(&site, &*site.source.view().await?).await };
    answer(&site, shown.await, &query, "/rules?fragment")
}

/// `GET /audit`: who asked for what.
pub(super) async fn acts(State(site): State<Arc<Site>>, Query(query): Query<PageQuery>) -> Response {
    let source = match query.before {
        Some(before) => format!("/audit?fragment&before={before}"),
        None => "/audit?fragment".to_owned(),
    };
    answer(&site, acts::part(&site, query.before).await, &query, &source)
}

/// `GET /search?q=WORDS`: checks, incidents, remedies and services.
pub(super) async fn search(State(site): State<Arc<Site>>, Query(query): Query<PageQuery>) -> Response {
    let asked = query.q.as_deref().unwrap_or_default();
    let shown = async { search::part(&site, &*site.source.view().await?, asked) };
    let shown = shown.await;
    let mut source = form_urlencoded::Serializer::new("/search?fragment".to_owned());
    answer(&site, shown, &query, &source.append_pair("q", asked).finish())
}

/// `GET /replication`: what is copied between datacenters.
pub(super) async fn replication(State(site): State<Arc<Site>>, Query(query): Query<PageQuery>) -> Response {
    let shown = async { replication::part(&site, site.source.view().await?.at) };
    answer(&site, shown.await, &query, "/replication?fragment")
}

/// `GET /snapshots`: the snapshots of Consul.
pub(super) async fn snapshots(State(site): State<Arc<Site>>, Query(query): Query<PageQuery>) -> Response {
    let shown = async { snapshot::part(&site, site.source.view().await?.at) };
    answer(&site, shown.await, &query, "/snapshots?fragment")
}

/// A page, the part of it that changes, or what went wrong.
fn answer(site: &Site, part: Result<Part, Failure>, query: &PageQuery, source: &str) -> Response {
    match part {
        Ok(part) if query.fragment.is_some() => bare(&part),
        Ok(part) => page(site, &part, source),
        Err(failure) => unshown(site, &failure),
    }
}

/// The pages; of those that not every node has, the ones there is something for.
fn pages(site: &Site) -> Vec<(&'static str, &'static str)> {
    let mut pages = vec![("/", "Overview"), ("/remedies", "Remedies"), ("/rules", "Rules")];
    if !site.replication.all().is_empty() {
        pages.push(("/replication", "Replication"));
    }
    if !site.snapshots.all().is_empty() {
        pages.push(("/snapshots", "Snapshots"));
    }
    pages.push(("/audit", "Acts"));
    pages
}

/// In the place of a page that cannot be shown: what went wrong. What may be over soon is looked at again by itself.
fn unshown(site: &Site, failure: &Failure) -> Response {
    let mut response = failed(site, failure);
    if failure.status.is_server_error() {
        response.headers_mut().insert(header::REFRESH, HeaderValue::from_static("5"));
    }
    response
}

/// A page that says what went wrong with what was asked for; it stays until it was read.
pub(super) fn failed(site: &Site, failure: &Failure) -> Response {
    let heading = match failure.status {
        StatusCode::NOT_FOUND => "There is no such thing",
        StatusCode::CONFLICT => "That is not possible now",
        _ => "That did not work",
    };
    let message = visible(&failure.message, 1_000);
    let html = Failed { heading, message: &message, help: failure.help.as_deref() }.render();
    let Ok(html) = html else { return failure.clone().into_response() };
    let mut response = page(site, &Part { title: heading.to_owned(), bad: true, html }, "");
    *response.status_mut() = failure.status;
    response.extensions_mut().insert(failure.clone());
    response
}

/// The answer to a browser that is not let in, which shows it when nobody signs in.
pub(super) fn refused(failure: &Failure) -> Response {
    let again = failure.status == StatusCode::UNAUTHORIZED;
    let heading = if again { "Not signed in" } else { "Not let in" };
    let mut response = failure.clone().into_response();
    let message = visible(&failure.message, 1_000);
    if let Ok(html) = (Refused { heading, message: &message, help: failure.help.as_deref(), again }).render()
    {
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = html.into();
    }
    response
}

async fn overview(site: &Arc<Site>, all: bool) -> Result<Arc<Part>, Failure> {
    let cached = if all { &site.pages.all } else { &site.pages.short };
    // Held while rendering: the others wait and take the same.
    let mut cached = cached.lock().await;
    if let Some((_, part)) = cached.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
        return Ok(Arc::clone(part));
    }
    let live = model::Live::gather(site, all).await?;
    // 10,000 checks are some megabytes of HTML.
    let rendered = tokio::task::spawn_blocking(move || render(&live, live.title.clone(), live.tone == "bad"));
    let part = Arc::new(rendered.await.map_err(|_panicked| unrendered())??);
    *cached = Some((Instant::now(), Arc::clone(&part)));
    Ok(part)
}

fn render(template: &impl Template, title: String, bad: bool) -> Result<Part, Failure> {
    let html = template.render().map_err(|_error| unrendered())?;
    Ok(Part { title, bad, html })
}

fn unrendered() -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the page could not be rendered")
}

fn page(site: &Site, part: &Part, source: &str) -> Response {
    let assets = &*ASSETS;
    let pages = pages(site);
    let here = match source.split('?').next().unwrap_or_default() {
        "/fragment" => "/",
        path => path,
    };
    let page = Page {
        title: &part.title,
        icon: if part.bad { &assets.icon_bad } else { &assets.icon_good },
        assets,
        node: &site.node,
        datacenter: site.datacenter.as_deref(),
        version: &site.version,
        pages: &pages,
        here,
        source,
        live: &part.html,
    };
    page.render().map_or_else(|_error| unrendered().into_response(), |html| Html(html).into_response())
}

/// The part alone, for the script, with the name of the script it was made for.
fn bare(part: &Part) -> Response {
    let mut response = Html(part.html.clone()).into_response();
    if let Ok(script) = HeaderValue::from_str(&ASSETS.script) {
        response.headers_mut().insert(HeaderName::from_static("x-lictor-assets"), script);
    }
    response
}
