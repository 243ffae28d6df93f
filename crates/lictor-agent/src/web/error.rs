//! Errors of the API: a status, a code for programs, a sentence for people, a way out.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use lictor_core::{NameError, Refusal};
use serde::Serialize;

use crate::NoAnswer;
use crate::watch::{HeartbeatError, WebhookError};

/// An answer that is not what was asked for: `{"error": {"code", "message", "help"}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// The value of a `WWW-Authenticate` header.
    pub(super) challenge: Option<&'static str>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), help: None, challenge: None }
    }

    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", what)
    }

    pub(super) fn unavailable(why: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", why)
    }

    pub(super) fn bad_request(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", why)
    }

    pub(super) fn history(why: &str) -> Self {
        let message = format!("cannot read the ledger: {why}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "history_unavailable", message)
    }
}

impl From<NoAnswer> for Failure {
    fn from(why: NoAnswer) -> Self {
        let message = why.to_string();
        match why {
            NoAnswer::Gone | NoAnswer::Busy => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            }
            NoAnswer::Late => Self::new(StatusCode::SERVICE_UNAVAILABLE, "late", message),
        }
    }
}

impl From<HeartbeatError> for Failure {
    fn from(error: HeartbeatError) -> Self {
        let message = error.to_string();
        match error {
            HeartbeatError::NotFound(_) => Self::not_found(message),
            HeartbeatError::Busy(_) | HeartbeatError::Gone => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            }
        }
    }
}

impl From<WebhookError> for Failure {
    fn from(error: WebhookError) -> Self {
        let message = error.to_string();
        match error {
            WebhookError::NotFound(_) => Self::not_found(message),
            WebhookError::NotUnderstood(..) => Self::bad_request(message),
            WebhookError::Busy(_) | WebhookError::NotRecorded(_) | WebhookError::Gone => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            }
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(why) => Self::not_found(why),
            Refusal::Conflict(why) => Self::new(StatusCode::CONFLICT, "conflict", why),
        }
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let help = self.help.as_deref();
        let body = Envelope { error: Body { code: self.code, message: &self.message, help } };
        let mut response = (self.status, Json(body)).into_response();
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        // For the page, which answers a form with a page of its own.
        response.extensions_mut().insert(self);
        response
    }
}
