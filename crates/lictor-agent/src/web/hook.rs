//! Webhooks: others say what is wrong.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use lictor_core::CheckName;
use serde::Serialize;

use super::Site;
use super::caller::admit;
use super::error::Failure;
use super::guard::{Proof, gather};
use super::text::visible;

/// The largest body that is taken, bytes: an Alertmanager sends all alerts of a group at once.
const BODY: usize = 1024 * 1024;

/// The answer to a call.
#[derive(Debug, Serialize)]
pub(super) struct Taken {
    check: String,
    /// What follows from it.
    status: &'static str,
    /// How many alerts fire.
    firing: usize,
}

/// `POST /v1/webhook/CHECK`.
pub(super) async fn call(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    Extension(proof): Extension<Proof>,
    request: Request,
) -> Result<Json<Taken>, Failure> {
    let check = CheckName::new(&name).ok();
    let caller = check.as_ref().and_then(|check| site.webhooks.expects(check));
    admit(caller.as_ref(), proof, request.headers()).await?;
    let (Some(check), Some(_)) = (check, caller) else {
        let shown = visible(&name, 130);
        return Err(Failure::not_found(format!("no webhook watcher is called `{shown}`"))
            .help("a `watch \"webhook\"` block makes one"));
    };
    let body = gather(request.into_body(), BODY).await?;
    let taken = site.webhooks.call(check, body).await?;
    Ok(Json(Taken { check: name, status: taken.status.as_str(), firing: taken.firing }))
}
