//! What is copied between datacenters over HTTP: how it stands, and a person's word on deletes that are held back.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use lictor_core::Now;
use serde::Deserialize;
use tracing::info;

use super::Site;
use super::alerts::by;
use super::api;
use super::error::Failure;
use super::route::{Answer, reply};
use super::text::visible;
use crate::replicate::{CopyView, OrderError, Phase};

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/v1/replicate", get(list))
        .route("/v1/replicate/{name}/healthy", get(healthy))
        .route("/v1/replicate/{name}/approve", post(approve))
        .route("/v1/replicate/{name}/discard", post(discard))
}

/// Whether a path is one that a monitor asks, who shows no token.
pub(super) fn is_probe(path: &str) -> bool {
    let rest = path.strip_prefix("/v1/replicate/").and_then(|rest| rest.strip_suffix("/healthy"));
    rest.is_some_and(|name| !name.contains('/'))
}

async fn list(State(site): State<Arc<Site>>) -> Answer<api::Copies> {
    let now = site.source.view().await?.at;
    Ok(Json(all(&site.node, &site.replication.all(), now)))
}

fn all(node: &str, views: &[CopyView], now: Now) -> api::Copies {
    let copies = views.iter().map(|view| api::Copy::new(view, now)).collect();
    api::Copies { node: node.to_owned(), copies }
}

/// How copies stand, as `GET /v1/replicate` answers it.
///
/// # Errors
/// What of it is no JSON.
pub fn copies(node: &str, views: &[CopyView], now: Now) -> serde_json::Result<serde_json::Value> {
    serde_json::to_value(all(node, views, now))
}

/// 200 where all of a block is copied or another node copies it, 503 where something is wrong: one word, since
/// nobody need show a token.
async fn healthy(State(site): State<Arc<Site>>, Path(name): Path<String>) -> Response {
    let mut copies = site.replication.all();
    copies.retain(|view| view.config.name.as_str() == name);
    let (status, word) = match copies.as_slice() {
        [] => (StatusCode::NOT_FOUND, "unknown\n"),
        some if some.iter().all(is_well) => (StatusCode::OK, "well\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "not well\n"),
    };
    (status, word).into_response()
}

fn is_well(view: &CopyView) -> bool {
    let running = !matches!(view.state.phase, Phase::Failing(_) | Phase::Refused(_));
    running && view.state.held.is_none() && view.state.refused.0 == 0
}

/// A person's word.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Word {
    id: String,
    by: Option<String>,
}

async fn approve(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let answer = answer(&site, &name, &headers, &body, true).await;
    reply(&site, &headers, answer, "/replication").await
}

async fn discard(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let answer = answer(&site, &name, &headers, &body, false).await;
    reply(&site, &headers, answer, "/replication").await
}

async fn answer(
    site: &Site,
    name: &str,
    headers: &HeaderMap,
    body: &[u8],
    approves: bool,
) -> Result<String, Failure> {
    let word: Word = super::alerts::read(body, "a word on what is held back")?;
    let by = by(word.by, headers)?;
    let done = site.replication.answer(name, &word.id, approves).await;
    let shown = visible(name, 130);
    match done {
        Ok(()) => {
            let id = word.id;
            let message = match approves {
                true => format!(
                    "what was held back of {shown} under {id} is deleted, unless the source has it again"
                ),
                false => format!("what was held back of {shown} under {id} stays"),
            };
            info!(replicate = shown, id, by, approves, "a person's word on deletes that were held back");
            Ok(message)
        }
        Err(why @ OrderError::NoSuch(_)) => {
            Err(Failure::not_found(why.to_string()).help("GET /v1/replicate lists them"))
        }
        Err(why @ (OrderError::NothingHeld(_) | OrderError::TooMany { .. } | OrderError::Elsewhere(_))) => {
            Err(Failure::new(StatusCode::CONFLICT, "conflict", why.to_string())
                .help("`lictor replicate status` says what is held back, and where"))
        }
        Err(why @ OrderError::Silent) => Err(Failure::unavailable(why.to_string())),
    }
}
