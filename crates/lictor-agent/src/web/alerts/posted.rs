//! `POST /api/v2/alerts`: what Prometheus sends to its Alertmanagers.

use std::sync::Arc;

use axum::extract::State;
use bytes::Bytes;
use http::StatusCode;

use crate::alert::prometheus::{Posted, Taken};
use crate::web::Site;
use crate::web::error::Failure;
use crate::web::text::visible;

/// Where other programs look for an Alertmanager.
pub(super) const PATH: &str = "/api/v2/alerts";

/// Reasons that are told of alerts that are not taken.
const REASONS: usize = 5;

/// Takes alerts in. Those that can be taken are, also when others of the same request cannot.
pub(super) async fn take(State(site): State<Arc<Site>>, body: Bytes) -> Result<StatusCode, Failure> {
    let posted: Vec<Posted> = serde_json::from_slice(&body).map_err(|error| {
        let why = visible(&error.to_string(), 300);
        Failure::bad_request(format!("the body is not a list of alerts: {why}"))
    })?;
    let all = posted.len();
    let Taken { refused } = site.posts.take(posted).await?;
    if refused.is_empty() {
        return Ok(StatusCode::OK);
    }
    let few: Vec<_> = refused.iter().take(REASONS).map(|why| visible(why, 200)).collect();
    let more = if refused.len() > few.len() { "; …" } else { "" };
    let message = format!("{} of {all} alerts are not taken: {}{more}", refused.len(), few.join("; "));
    Err(Failure::bad_request(message))
}
