//! The public status page: a listener of its own that shows what the configuration names, and nothing else.
//!
//! It takes no orders and asks for nothing, so it has neither cookies nor tokens. All of it is made anew at most once
//! in 5 s, however many ask.

mod closed;
mod keep;
mod paper;
mod shown;
mod site;
mod spell;
#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State as Held};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use futures::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

pub(crate) use keep::Keeper;

use super::asset;
use super::history::History;
use super::source::{Alerts, Source};
use crate::Past;
use paper::{Paper, Papers};
use site::Site;

/// What it is made of.
#[derive(Clone)]
pub(crate) struct Sources {
    /// The present.
    pub(crate) source: Arc<dyn Source>,
    /// The ledger, for what is over.
    pub(crate) history: Arc<dyn History>,
    /// The alerts, for the windows of maintenance.
    pub(crate) alerts: Arc<dyn Alerts>,
    /// How the checks stood, and what maintenance is planned.
    pub(crate) past: Past,
    /// The name of this node.
    pub(crate) node: String,
}

fn router(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(front))
        .route("/status.json", get(json))
        .route("/feed.xml", get(feed))
        .route("/badge/{file}", get(badge))
        .route("/assets/{file}", get(asset::asset))
        .fallback(any(async || plain(StatusCode::NOT_FOUND, "there is nothing here\n")))
        .method_not_allowed_fallback(async || {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "this page is only read\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        })
        .layer(middleware::from_fn(guard))
        .with_state(site)
}

async fn front(Held(site): Held<Arc<Site>>, headers: HeaderMap) -> Response {
    answer(&site, &headers, |papers| Some(papers.front())).await
}

async fn json(Held(site): Held<Arc<Site>>, headers: HeaderMap) -> Response {
    answer(&site, &headers, |papers| Some(papers.json())).await
}

async fn feed(Held(site): Held<Arc<Site>>, headers: HeaderMap) -> Response {
    answer(&site, &headers, |papers| Some(papers.feed())).await
}

async fn badge(Held(site): Held<Arc<Site>>, Path(file): Path<String>, headers: HeaderMap) -> Response {
    let name = file.strip_suffix(".svg").unwrap_or_default().to_owned();
    let mut response = answer(&site, &headers, |papers| papers.badge(&name)).await;
    // It is there to be shown on other pages.
    let other = HeaderValue::from_static("cross-origin");
    response.headers_mut().insert("cross-origin-resource-policy", other);
    response
}

/// Gives out a paper, or says that the client has it already.
async fn answer(
    site: &Arc<Site>,
    headers: &HeaderMap,
    choose: impl FnOnce(&Papers) -> Option<&Paper>,
) -> Response {
    let Some(papers) = site.papers().await else {
        let mut response =
            plain(StatusCode::SERVICE_UNAVAILABLE, "it cannot be told at present how things stand\n");
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
        return response;
    };
    let Some(paper) = choose(&papers) else { return plain(StatusCode::NOT_FOUND, "there is nothing here\n") };
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    let known = known.flat_map(|tags| tags.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
    let has_it = known.into_iter().any(|tag| tag == "*" || tag == paper.tag());
    let mut response = match has_it {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static(paper.kind()))], paper.body()).into_response()
        }
    };
    if let Ok(tag) = HeaderValue::from_str(paper.tag()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=15"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

/// What every answer says: nothing from elsewhere, no script, no form, no frame.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Lets only readers in, and says about every answer what a browser must not do with it.
async fn guard(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_panicked) => {
            tracing::error!("a request of the status page made its handler panic");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "it could not be answered\n")
        }
    };
    if !reads && response.status() == StatusCode::NOT_FOUND {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    }
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}
