//! A request, its answer, and what that means.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use lictor_core::alert::Verdict;
use lictor_core::{Span, Wall};
use reqwest::header::{DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::request::{Accepts, Request};
use crate::remote::{Reach, reason};
use crate::text::one_line;

/// What is read of an answer at most, bytes.
const READ: usize = 64 * 1024;

/// Of what a service says, characters that are shown.
const SHOWN: usize = 300;

/// A service that asks for more patience than this gets no more, or a slip of its would silence us.
const PATIENCE: Duration = Duration::from_secs(86_400);

/// Shorter texts are not looked for when secrets are taken out: they would be found everywhere.
const SHORTEST: usize = 4;

/// Refusals of AWS that are over some time later: too much at once, a clock that is being set, a token
/// that is being renewed.
const PASSING: [&str; 6] = [
    "<Code>Throttl",
    "<Code>KMSThrottling",
    "<Code>RequestExpired<",
    "<Code>ExpiredToken",
    "Signature expired",
    "Signature not yet current",
];

/// How an exchange ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    /// The status, when there was one.
    pub(super) status: Option<u16>,
    /// Whether it was never sent: then another connection may do better.
    pub(super) unsent: bool,
}

/// Sends a request and judges the answer, all before `deadline`.
pub(super) async fn exchange(
    reach: &Reach,
    request: &Request,
    secrets: &[String],
    deadline: Instant,
    limit: Duration,
    now: Wall,
) -> Outcome {
    let prepared = match prepare(reach, request) {
        Ok(prepared) => prepared,
        Err(why) => return never(clean(&why, secrets)),
    };
    let response = match timeout_at(deadline, prepared.send()).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            let never_sent = error.is_connect() || error.is_builder();
            let why = clean(&reason(&error.without_url()), secrets);
            return if never_sent { never(why) } else { unclear(None, format!("no answer: {why}"), None) };
        }
        Err(_late) => return unclear(None, late(limit), None),
    };
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = read(response, deadline).await;
    let said = match &body {
        Read::Whole(body) | Read::Cut(body) | Read::Broken(body, _) => {
            clean(&String::from_utf8_lossy(body), secrets)
        }
    };
    judge(&request.accept, status, &headers, &body, &said, now)
}

fn prepare(reach: &Reach, request: &Request) -> Result<RequestBuilder, String> {
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|error| error.to_string())?;
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
        let mut value = HeaderValue::from_str(value)
            .map_err(|_odd| format!("the header `{name}` holds a character that it cannot"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(reach.request(method, request.url.clone())?.headers(headers).body(request.body.clone()))
}

/// What there is of a body.
enum Read {
    Whole(Vec<u8>),
    /// It is longer than what is read.
    Cut(Vec<u8>),
    /// It did not come to its end, and why.
    Broken(Vec<u8>, String),
}

async fn read(mut response: Response, deadline: Instant) -> Read {
    let mut body = Vec::new();
    loop {
        match timeout_at(deadline, response.chunk()).await {
            Ok(Ok(None)) => return Read::Whole(body),
            Ok(Ok(Some(chunk))) => body.extend_from_slice(&chunk),
            Ok(Err(error)) => return Read::Broken(body, reason(&error.without_url())),
            Err(_late) => return Read::Broken(body, "it did not end in time".to_owned()),
        }
        if body.len() > READ {
            body.truncate(READ);
            return Read::Cut(body);
        }
    }
}

/// What an answer means.
fn judge(accept: &Accepts, status: u16, headers: &HeaderMap, body: &Read, said: &str, now: Wall) -> Outcome {
    let (bytes, broken) = match body {
        Read::Whole(bytes) | Read::Cut(bytes) => (bytes, None),
        Read::Broken(bytes, why) => (bytes, Some(why)),
    };
    let answer: Option<Value> = serde_json::from_slice(bytes).ok();
    let after = || retry_after(headers, answer.as_ref(), now);
    let wanted = match accept {
        Accepts::Status(ranges) => ranges.iter().any(|(from, to)| (*from..=*to).contains(&status)),
        Accepts::Flag(_) | Accepts::Unless(_) | Accepts::Aws => (200..300).contains(&status),
    };
    let why = if said.is_empty() { format!("status {status}") } else { format!("status {status}: {said}") };
    if wanted {
        if let Some(broken) = broken {
            return unclear(Some(status), format!("the answer broke off: {broken}"), None);
        }
        let (Accepts::Flag(flag) | Accepts::Unless(flag)) = accept else {
            return judged(status, Verdict::Accepted);
        };
        return match answer.as_ref().and_then(|answer| answer.get(flag)).and_then(Value::as_bool) {
            Some(true) => judged(status, Verdict::Accepted),
            Some(false) => judged(status, refused_in_words(answer.as_ref(), why, after())),
            None if matches!(accept, Accepts::Unless(_)) => judged(status, Verdict::Accepted),
            None => unclear(Some(status), format!("an answer that says neither yes nor no: {why}"), None),
        };
    }
    match status {
        300..=499 => {
            let text = String::from_utf8_lossy(bytes);
            let passing = *accept == Accepts::Aws && PASSING.iter().any(|word| text.contains(word));
            let for_good = !passing && matches!(status, 400 | 401 | 403 | 404 | 413 | 422);
            judged(status, Verdict::Refused { why, retry_after: after(), for_good })
        }
        _ => unclear(Some(status), why, after()),
    }
}

/// A refusal with a status of success, as Slack has it.
fn refused_in_words(answer: Option<&Value>, why: String, retry_after: Option<Duration>) -> Verdict {
    let word = answer.and_then(|answer| answer.get("error")).and_then(Value::as_str).unwrap_or_default();
    match word {
        "internal_error" | "fatal_error" | "request_timeout" => Verdict::Unclear { why, retry_after },
        "ratelimited" | "rate_limited" | "service_unavailable" | "team_added_to_org" => {
            Verdict::Refused { why, retry_after, for_good: false }
        }
        _ => Verdict::Refused { why, retry_after, for_good: true },
    }
}

/// How long the service wants to be left alone: by its header, or by what its answer says.
fn retry_after(headers: &HeaderMap, answer: Option<&Value>, now: Wall) -> Option<Duration> {
    let header = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::trim);
    let seconds =
        |text: &str| text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let by_date = |text: &str| {
        let until = date(text)?;
        // The service's own clock, when it says what that shows.
        let sent = headers.get(DATE).and_then(|value| value.to_str().ok()).and_then(date);
        let from = sent.map_or(now.as_unix_millis(), Timestamp::as_millisecond);
        Some(Duration::from_millis(u64::try_from(until.as_millisecond() - from).unwrap_or(0)))
    };
    let by_header = header.and_then(|text| seconds(text).or_else(|| by_date(text)));
    let in_answer = |pointer: &str, unit: f64| {
        let number = answer?.pointer(pointer)?.as_f64()?;
        Duration::try_from_secs_f64(number * unit).ok()
    };
    let by_answer = in_answer("/parameters/retry_after", 1.0)
        .or_else(|| in_answer("/retry_after", 1.0))
        .or_else(|| in_answer("/retry_after_ms", 0.001));
    by_header.max(by_answer).map(|found| found.min(PATIENCE))
}

fn date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

/// A text in one line without any of the secrets, also as they stand in an address.
pub(super) fn clean(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.len() >= SHORTEST) {
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        text = text.replace(secret.as_str(), "***").replace(&encoded, "***");
    }
    one_line(&text, SHOWN)
}

fn late(limit: Duration) -> String {
    format!("no answer within {}", Span(limit))
}

fn judged(status: u16, verdict: Verdict) -> Outcome {
    Outcome { verdict, status: Some(status), unsent: false }
}

/// It was certainly never sent.
pub(super) fn never(why: String) -> Outcome {
    let verdict = Verdict::Refused { why: format!("never sent: {why}"), retry_after: None, for_good: false };
    Outcome { verdict, status: None, unsent: true }
}

fn unclear(status: Option<u16>, why: String, retry_after: Option<Duration>) -> Outcome {
    Outcome { verdict: Verdict::Unclear { why, retry_after }, status, unsent: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(accept: &Accepts, status: u16, headers: &[(&str, &str)], body: &str) -> Verdict {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let headers = headers.iter().map(pair).collect();
        let body = Read::Whole(body.as_bytes().to_vec());
        judge(accept, status, &headers, &body, "", Wall::from_unix_millis(1_700_000_000_000)).verdict
    }

    fn any() -> Accepts {
        Accepts::Status(vec![(200, 299)])
    }

    fn after(verdict: &Verdict) -> Option<u64> {
        match verdict {
            Verdict::Accepted => None,
            Verdict::Refused { retry_after, .. } | Verdict::Unclear { retry_after, .. } => {
                retry_after.map(|found| u64::try_from(found.as_millis()).unwrap())
            }
        }
    }

    #[test]
    fn a_status_says_whether_it_was_accepted_refused_or_is_unclear() {
        for status in [200, 201, 202, 204] {
            assert_eq!(said(&any(), status, &[], ""), Verdict::Accepted);
        }
        for status in [400, 401, 403, 404, 413, 422] {
            assert!(
                matches!(said(&any(), status, &[], ""), Verdict::Refused { for_good: true, .. }),
                "{status}"
            );
        }
        for status in [301, 302, 307, 402, 408, 409, 410, 425, 429] {
            assert!(
                matches!(said(&any(), status, &[], ""), Verdict::Refused { for_good: false, .. }),
                "{status}"
            );
        }
        for status in [500, 502, 503, 504, 599] {
            assert!(matches!(said(&any(), status, &[], ""), Verdict::Unclear { .. }), "{status}");
        }
    }

    #[test]
    fn a_service_says_how_long_it_wants_to_be_left_alone() {
        let header = |value: &str| after(&said(&any(), 429, &[("retry-after", value)], ""));
        assert_eq!(header("7"), Some(7_000));
        assert_eq!(header("0.5"), Some(500));
        // 2023-11-14T22:13:20 is the present time.
        assert_eq!(header("Tue, 14 Nov 2023 22:13:50 GMT"), Some(30_000));
        assert_eq!(header("Tue, 14 Nov 2023 22:00:00 GMT"), Some(0));
        assert_eq!(header("soon"), None);
        assert_eq!(header("-3"), None);
        assert_eq!(header("99999999999"), Some(86_400_000), "a day at most");
        let dates =
            [("retry-after", "Thu, 01 Jan 2026 00:00:10 GMT"), ("date", "Thu, 01 Jan 2026 00:00:00 GMT")];
        assert_eq!(after(&said(&any(), 503, &dates, "")), Some(10_000), "by the clock of the service");
        let body = |text: &str| after(&said(&any(), 429, &[], text));
        assert_eq!(body(r#"{"ok":false,"parameters":{"retry_after":35}}"#), Some(35_000));
        assert_eq!(body(r#"{"message":"rate limited","retry_after":1.25}"#), Some(1_250));
        assert_eq!(body(r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2000}"#), Some(2_000));
    }

    #[test]
    fn a_refusal_may_have_a_status_of_success() {
        let unless = |body: &str| said(&Accepts::Unless("ok"), 200, &[], body);
        assert_eq!(unless("anything"), Verdict::Accepted);
        assert!(matches!(unless(r#"{"ok":false,"description":"no"}"#), Verdict::Refused { .. }));
        let said = |body: &str| said(&Accepts::Flag("ok"), 200, &[], body);
        assert_eq!(said(r#"{"ok":true}"#), Verdict::Accepted);
        assert!(matches!(
            said(r#"{"ok":false,"error":"invalid_auth"}"#),
            Verdict::Refused { for_good: true, .. }
        ));
        assert!(matches!(
            said(r#"{"ok":false,"error":"ratelimited"}"#),
            Verdict::Refused { for_good: false, .. }
        ));
        assert!(matches!(said(r#"{"ok":false,"error":"fatal_error"}"#), Verdict::Unclear { .. }));
        assert!(matches!(said("<html>"), Verdict::Unclear { .. }));
    }

    #[test]
    fn a_refusal_of_aws_says_by_its_code_whether_it_is_for_good() {
        let said = |status: u16, code: &str| {
            let body = format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>"
            );
            match said(&Accepts::Aws, status, &[], &body) {
                Verdict::Refused { for_good, .. } => for_good,
                other => panic!("{other:?}"),
            }
        };
        assert!(said(403, "InvalidClientTokenId") && said(404, "NotFound") && said(400, "InvalidParameter"));
        assert!(!said(400, "Throttling") && !said(400, "ThrottlingException") && !said(403, "ExpiredToken"));
        assert!(!said(
            403,
            "SignatureDoesNotMatch</Code><Message>Signature expired: 1 is now earlier than 2"
        ));
    }

    #[test]
    fn an_answer_is_shown_without_secrets() {
        let secrets = ["s3cr/et".to_owned(), "x".to_owned()];
        assert_eq!(clean("bad token s3cr/et at /bots3cr%2Fet/x\n", &secrets), "bad token *** at /bot***/x");
    }
}
