//! Snapshots of Consul over HTTP: how they stand, and one that is taken or tried at once.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tracing::info;

use super::Site;
use super::alerts::by;
use super::api;
use super::error::Failure;
use super::route::{Answer, reply};
use super::text::visible;
use crate::snapshot::{SnapshotOrderError, SnapshotView};

pub(super) fn routes() -> Router<Arc<Site>> {
    Router::new()
        .route("/v1/snapshots", get(list))
        .route("/v1/snapshots/{name}/take", post(take))
        .route("/v1/snapshots/{name}/drill", post(drill))
}

async fn list(State(site): State<Arc<Site>>) -> Answer<api::Snapshots> {
    Ok(Json(all(&site.node, &site.snapshots.all())))
}

fn all(node: &str, views: &[SnapshotView]) -> api::Snapshots {
    api::Snapshots { node: node.to_owned(), snapshots: views.iter().map(api::Snapshot::new).collect() }
}

/// How snapshots stand, as `GET /v1/snapshots` answers it.
///
/// # Errors
/// What of it is no JSON.
pub fn snapshots(node: &str, views: &[SnapshotView]) -> serde_json::Result<serde_json::Value> {
    serde_json::to_value(all(node, views))
}

/// Who asks.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    by: Option<String>,
}

async fn take(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let answer = async {
        let by = asked(&headers, &body)?;
        info!(snapshot = visible(&name, 130), by, "a snapshot is asked for");
        done(site.snapshots.take(&name).await)
    };
    let answer = answer.await;
    reply(&site, &headers, answer, "/snapshots").await
}

async fn drill(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let answer = async {
        let by = asked(&headers, &body)?;
        info!(snapshot = visible(&name, 130), by, "a drill is asked for");
        done(site.snapshots.drill(&name).await)
    };
    let answer = answer.await;
    reply(&site, &headers, answer, "/snapshots").await
}

fn asked(headers: &HeaderMap, body: &[u8]) -> Result<String, Failure> {
    let asked: Asked = match body {
        [] => Asked::default(),
        body => super::alerts::read(body, "who asks")?,
    };
    by(asked.by, headers)
}

fn done(answer: Result<String, SnapshotOrderError>) -> Result<String, Failure> {
    match answer {
        Ok(message) => Ok(message),
        Err(why @ SnapshotOrderError::NoSuch(_)) => {
            Err(Failure::not_found(why.to_string()).help("GET /v1/snapshots lists them"))
        }
        Err(why @ SnapshotOrderError::Busy) => {
            Err(Failure::new(StatusCode::CONFLICT, "conflict", why.to_string()))
        }
        Err(why @ SnapshotOrderError::Elsewhere(_)) => {
            Err(Failure::new(StatusCode::CONFLICT, "conflict", why.to_string())
                .help("ask the node that takes them: `lictor snapshot status` names it"))
        }
        Err(why @ (SnapshotOrderError::Failed(_) | SnapshotOrderError::Lost)) => {
            Err(Failure::unavailable(why.to_string()))
        }
    }
}
