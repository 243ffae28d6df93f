//! The old HTTP interface: any method, exact paths, no authentication.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use futures::StreamExt as _;
use lictor_agent::alert::DeskInbox;
use lictor_compat::consul_alerts::api::{self, Answer, Query};
use lictor_compat::consul_alerts::state::{CheckState, HealthCheck};
use lictor_consul::{Check, Client};
use lictor_core::Status;
use lictor_core::alert::{Case, label};
use tokio::time::timeout;

use super::checks::Checks;
use super::live::Live;

/// How long the body of a request may take to come.
const COMES: Duration = Duration::from_secs(30);

/// What answers need.
pub(super) struct Site {
    live: Arc<Live>,
    alerts: DeskInbox,
    checks: Checks,
}

/// By node, service and check, the status that counts and the one that is seen.
type Counted<'a> = BTreeMap<[&'a str; 3], (Status, Status)>;

impl Site {
    pub(super) fn new(client: &Client, live: Arc<Live>, alerts: DeskInbox) -> Self {
        Self { live, alerts, checks: Checks::new(client) }
    }

    pub(super) fn router(self) -> Router {
        Router::new().fallback(answered).with_state(Arc::new(self))
    }

    async fn answer(&self, path: &str, query: &Query) -> Answer {
        match path {
            "/v1/info" => api::info(),
            "/v1/process/checks" | "/v1/process/events" => api::process(),
            "/v1/health" => {
                let states = self.states(|check| api::asks_for(query, names(check))).await;
                states.map_or_else(unreadable, |states| api::health(query, &states))
            }
            "/v1/health/wildcard" => {
                let blacklist = &self.live.current().settings.blacklist;
                let states = self.states(|_check| true).await;
                states.map_or_else(unreadable, |states| {
                    api::wildcard(query, &states, blacklist).unwrap_or_else(|why| unreadable(why.to_string()))
                })
            }
            _ => api::not_found(),
        }
    }

    /// The wanted checks, each with the status that counts.
    async fn states(&self, wanted: impl Fn(&Check) -> bool + Send) -> Result<Vec<CheckState>, String> {
        let checks = self.checks.all().await?;
        let checks: Vec<&Check> = checks.iter().filter(|check| wanted(check)).collect();
        if checks.is_empty() {
            return Ok(Vec::new());
        }
        let view = self.alerts.view().await.map_err(|why| why.to_string())?;
        let cases = view.cases.values().map(|(case, _)| case);
        let cases = cases.filter(|case| case.subject.label(label::SOURCE) == "consul");
        let counted: Counted<'_> = cases.map(|case| (key(case), (case.settled, case.live))).collect();
        Ok(checks.into_iter().map(|check| state(check, &counted)).collect())
    }
}

/// What names a check: its node, the id of its service and its own.
fn names(check: &Check) -> [&str; 3] {
    [&check.node, &check.service_id, &check.id]
}

/// The same of a case.
fn key(case: &Case) -> [&str; 3] {
    [label::NODE, label::SERVICE_ID, label::CHECK_ID].map(|name| case.subject.label(name))
}

/// A check of Consul's, and what counts of it. Without a case it passes, or nobody looks at it.
fn state(check: &Check, counted: &Counted<'_>) -> CheckState {
    let word = |status: Status| if status == Status::Unknown { "" } else { status.as_str() };
    let (current, pending) = match counted.get(&names(check)) {
        Some((settled, live)) => (word(*settled), if live == settled { "" } else { word(*live) }),
        None if check.status == lictor_consul::Status::Passing => ("passing", ""),
        None => ("", ""),
    };
    CheckState {
        current: current.to_owned(),
        pending: pending.to_owned(),
        health_check: HealthCheck {
            node: check.node.clone(),
            check_id: check.id.clone(),
            name: check.name.clone(),
            status: check.status.as_str().to_owned(),
            notes: check.notes.clone(),
            output: check.output.clone(),
            service_id: check.service_id.clone(),
            service_name: check.service_name.clone(),
        },
        ..CheckState::default()
    }
}

/// Nobody knows: that must not look like "all is well".
fn unreadable(why: String) -> Answer {
    Answer {
        code: 503,
        headers: vec![("Content-Type", "text/plain; charset=utf-8")],
        body: format!("{why}\n"),
    }
}

async fn answered(State(site): State<Arc<Site>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    // Whoever sends a long list would otherwise find its connection closed in the middle.
    let mut body = body.into_data_stream();
    let rest = async { while let Some(Ok(_)) = body.next().await {} };
    timeout(COMES, rest).await.ok();
    let query = Query::parse(head.uri.query().unwrap_or_default());
    let Answer { code, headers, body } = site.answer(head.uri.path(), &query).await;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: &str) -> Check {
        Check::from_row(
            format!(r#"{{"Node":"n","CheckID":"c","ServiceID":"s","Status":"{status}"}}"#).as_bytes(),
        )
        .unwrap()
    }

    #[test]
    fn the_status_that_counts_is_that_of_the_alerts() {
        let key = ["n", "s", "c"];
        let of = |consul: &str, counted: Option<(Status, Status)>| {
            let counted = counted.map(|found| (key, found)).into_iter().collect();
            let state = state(&check(consul), &counted);
            (state.current, state.pending)
        };
        let is = |current: &str, pending: &str| (current.to_owned(), pending.to_owned());
        assert_eq!(of("passing", None), is("passing", ""));
        assert_eq!(of("critical", None), is("", ""), "nobody looks at it");
        assert_eq!(of("critical", Some((Status::Critical, Status::Critical))), is("critical", ""));
        assert_eq!(of("critical", Some((Status::Passing, Status::Critical))), is("passing", "critical"));
        assert_eq!(of("passing", Some((Status::Warning, Status::Passing))), is("warning", "passing"));
    }
}
