//! Heartbeats: something calls in.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use bytes::Bytes;
use http::HeaderMap;
use lictor_core::{CheckName, Sample, Status};
use serde::{Deserialize, Serialize};

use super::Site;
use super::caller::admit;
use super::error::Failure;
use super::guard::Proof;
use super::text::visible;

/// What a caller may say: in the body as JSON, or in the query.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Beat {
    /// Default `passing`.
    status: Option<String>,
    message: Option<String>,
}

/// The answer to a heartbeat.
#[derive(Debug, Serialize)]
pub(super) struct Taken {
    check: String,
    status: &'static str,
}

/// The longest message kept, bytes.
const MESSAGE: usize = 4 * 1024;

/// `POST /v1/heartbeat/CHECK`.
pub(super) async fn beat(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    query: Result<Query<BTreeMap<String, String>>, axum::extract::rejection::QueryRejection>,
    Extension(proof): Extension<Proof>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Taken>, Failure> {
    let unknown = || {
        let shown = visible(&name, 130);
        Failure::not_found(format!("no heartbeat watcher is called `{shown}`"))
            .help("a `watch \"heartbeat\"` block makes one")
    };
    let check = CheckName::new(&name).ok();
    let caller = check.as_ref().and_then(|check| site.heartbeats.expects(check));
    admit(caller.as_ref(), proof, &headers).await?;
    let (Some(check), Some(_)) = (check, caller) else { return Err(unknown()) };

    let query = query.map_err(|error| Failure::bad_request(error.body_text()))?.0;
    let sample = Beat::read(query, &body)?.sample()?;
    let status = sample.status.as_str();
    site.heartbeats.beat(check, sample).await?;
    Ok(Json(Taken { check: name, status }))
}

impl Beat {
    fn read(mut query: BTreeMap<String, String>, body: &[u8]) -> Result<Self, Failure> {
        let body = body.trim_ascii();
        let mut beat = if body.first() == Some(&b'{') {
            serde_json::from_slice(body)
                .map_err(|error| Failure::bad_request(format!("the body is not a heartbeat: {error}")))?
        } else {
            let message = (!body.is_empty()).then(|| String::from_utf8_lossy(body).into_owned());
            Self { message, ..Self::default() }
        };
        beat.status = query.remove("status").or(beat.status);
        beat.message = query.remove("message").or(beat.message);
        match query.into_keys().next() {
            Some(other) => {
                let shown = visible(&other, 100);
                Err(Failure::bad_request(format!(
                    "unknown parameter `{shown}`; known are status and message"
                )))
            }
            None => Ok(beat),
        }
    }

    fn sample(self) -> Result<Sample, Failure> {
        let status = match self.status {
            None => Status::Passing,
            Some(word) => word.parse().map_err(|_unknown| {
                let shown = visible(&word, 100);
                let known = "passing, warning, critical or unknown";
                Failure::bad_request(format!("`{shown}` is not a status: {known}"))
            })?,
        };
        let mut message = self.message.unwrap_or_else(|| "called in".to_owned());
        if message.len() > MESSAGE {
            message.truncate(message.floor_char_boundary(MESSAGE));
        }
        Ok(Sample::new(status, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)], body: &str) -> Result<Sample, String> {
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Beat::read(query, body.as_bytes()).and_then(Beat::sample).map_err(|failure| failure.message)
    }

    #[test]
    fn an_empty_call_passes() {
        assert_eq!(read(&[], "").unwrap(), Sample::new(Status::Passing, "called in"));
        assert_eq!(read(&[], " \n").unwrap(), Sample::new(Status::Passing, "called in"));
    }

    #[test]
    fn a_call_says_more_in_json_text_or_query() {
        let json = r#"{"status":"warning","message":"slow"}"#;
        assert_eq!(read(&[], json).unwrap(), Sample::new(Status::Warning, "slow"));
        assert_eq!(read(&[], "backed up 3 GB\n").unwrap().summary, "backed up 3 GB");
        assert_eq!(read(&[("status", "critical")], "full").unwrap(), Sample::new(Status::Critical, "full"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (query, body, says) in [
            (&[][..], r#"{"status":"fine"}"#, "`fine` is not a status"),
            (&[][..], r#"{"stat":"passing"}"#, "unknown field `stat`"),
            (&[][..], "{", "not a heartbeat"),
            (&[("stats", "x")][..], "", "unknown parameter `stats`"),
        ] {
            let refused = read(query, body).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let long = read(&[], &"é".repeat(4_000)).unwrap();
        assert_eq!(long.summary.len(), MESSAGE);
    }
}
