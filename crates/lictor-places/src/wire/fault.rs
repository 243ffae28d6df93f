//! Why a request failed, and what that means for what was tried.

use std::error::Error;
use std::time::Duration;

use http::header::{DATE, HeaderMap};
use http::{HeaderName, StatusCode};
use jiff::Timestamp;
use jiff::fmt::{rfc2822, strtime};
use object_store::client::HttpError;

use crate::error::{PlaceError, innermost, one_line};

/// From here on a difference of clocks is told of, in seconds: S3 takes 15 minutes, and tells of itself before that.
const SKEW: i64 = 240;

/// Why one request failed. It travels inside the errors of [`object_store`], and is found there again.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// An answer that is no success.
    #[error("{0}")]
    Answer(Refusal),
    /// No connection.
    #[error("{0}")]
    Unreachable(String),
    /// Nothing moved for so long.
    #[error("nothing moved for {} s", .0.as_secs())]
    TimedOut(Duration),
    /// A connection that broke, or a request that was not sent.
    #[error("{0}")]
    Broken(String),
    /// What shows who asks is not to be had.
    #[error("{why}")]
    Login { why: String, temporary: bool },
}

/// An answer that is no success.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The server's word for it: `NoSuchKey`.
    pub(crate) code: String,
    /// The server's sentence on it.
    message: String,
    /// Where the bucket really is.
    region: Option<String>,
    /// By how many seconds our clock is ahead of the server's.
    ahead: Option<i64>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = [&*self.code, &*self.message].map(str::trim);
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        let status = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        match (&*words, status) {
            ([], Some(reason)) => write!(f, "{} {reason}", self.status),
            ([], None) => write!(f, "{}", self.status),
            (words, _) => write!(f, "{} {}", self.status, words.join(": ")),
        }
    }
}

impl Fault {
    /// Whether the same request may succeed soon. One that timed out has had its time already.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Broken(_) => true,
            Self::TimedOut(_) => false,
            Self::Login { .. } => false,
            Self::Answer(refusal) => refusal.is_temporary(),
        }
    }

    /// The refusal that it is, if it is one with this status.
    pub(crate) fn refused(&self, status: &[u16]) -> Option<&Refusal> {
        match self {
            Self::Answer(refusal) if status.contains(&refusal.status) => Some(refusal),
            _ => None,
        }
    }
}

/// Words of servers that have too much to do, whatever the status.
const BUSY: [&str; 8] = [
    "InternalError",
    "OperationTimedOut",
    "RequestTimeout",
    "ServerBusy",
    "ServiceUnavailable",
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
];

/// Words of servers that have no room left.
const FULL: [&str; 6] = [
    "InsufficientStorage",
    "NotEnoughSpace",
    "QuotaExceeded",
    "XMinioAdminBucketQuotaExceeded",
    "XMinioBackendDown.StorageFull",
    "XMinioStorageFull",
];

/// Words of a 400 that say that we are not let in, and of others what may be looked at.
const WAYS_OUT: [(&str, &str); 16] = [
    ("InvalidAccessKeyId", "look at the id of the key"),
    ("SignatureDoesNotMatch", "the secret is not the one of this id"),
    ("AuthenticationFailed", "look at the key and the name of the account"),
    ("AuthorizationHeaderMalformed", "look at `region`"),
    ("AccessDenied", "whoever asks needs the rights to list, read, write and delete there"),
    ("AuthorizationPermissionMismatch", "whoever asks needs a role as `Storage Blob Data Contributor`"),
    ("AuthorizationFailure", "look at the rights and the firewall of the account"),
    ("ExpiredToken", "the session token is too old: new keys are needed"),
    ("ExpiredTokenException", "the token is too old: the file has to be renewed"),
    ("InvalidToken", "look at the session token"),
    ("InvalidClientTokenId", "look at the id of the key"),
    ("InvalidIdentityToken", "look at the file with the token, and whom the role trusts"),
    ("invalid_client", "look at the client and its secret"),
    ("invalid_grant", "look at the key of the service account"),
    ("invalid_request", "look at the tenant and the client"),
    ("unauthorized_client", "look at the tenant and the client"),
];

impl Refusal {
    fn is_temporary(&self) -> bool {
        if self.is_full() {
            return false;
        }
        matches!(self.status, 408 | 429 | 500 | 502..=504 | 520..) || BUSY.contains(&&*self.code)
    }

    fn is_full(&self) -> bool {
        self.status == 507 || FULL.contains(&&*self.code)
    }

    fn way_out(&self) -> Option<&'static str> {
        WAYS_OUT.iter().find(|(code, _)| *code == self.code).map(|(_, way)| *way)
    }

    fn is_denial(&self) -> bool {
        matches!(self.status, 401 | 403) || (self.status == 400 && self.way_out().is_some())
    }

    /// What a wrong clock has to do with it.
    fn clock(&self) -> Option<String> {
        let named = matches!(&*self.code, "RequestTimeTooSkewed" | "RequestExpired");
        match self.ahead.filter(|ahead| ahead.abs() >= SKEW) {
            Some(ahead) if named || matches!(self.status, 401 | 403) => {
                let way = if ahead > 0 { "ahead of" } else { "behind" };
                Some(format!(
                    "the clock of this machine is {} min {way} the server's ({self})",
                    ahead.abs() / 60
                ))
            }
            _ => named.then(|| format!("the clocks of this machine and of the server differ ({self})")),
        }
    }

    /// What is not there by the server's word, where that is not what was asked for.
    fn missing(&self) -> Option<&'static str> {
        match &*self.code {
            "NoSuchBucket" => Some("the bucket"),
            "ContainerNotFound" => Some("the container"),
            "AccountNotFound" => Some("the account"),
            _ => None,
        }
    }
}

/// Why a request did not reach its end.
pub(super) fn of_transport(error: &reqwest::Error) -> Fault {
    let why = innermost(error);
    if error.is_connect() { Fault::Unreachable(why) } else { Fault::Broken(why) }
}

/// Why the body of an answer could not be read.
pub(super) fn of_body(error: &HttpError) -> Fault {
    found(error).cloned().unwrap_or_else(|| Fault::Broken(innermost(error)))
}

/// Why a provider of credentials has none.
pub(super) fn of_login(error: &object_store::Error) -> Fault {
    let fault = found(error);
    let why = fault.map_or_else(|| innermost(error), |fault| one_line(&explained(fault)));
    let temporary = fault.is_some_and(|fault| fault.is_temporary() || matches!(fault, Fault::TimedOut(_)));
    Fault::Login { why: format!("no credentials to be had: {why}"), temporary }
}

/// A fault with what may be looked at.
fn explained(fault: &Fault) -> String {
    match fault {
        Fault::Answer(refusal) => match refusal.way_out() {
            Some(way) => format!("{refusal}; {way}"),
            None => refusal.to_string(),
        },
        other => other.to_string(),
    }
}

/// The fault at the bottom of an error.
pub(crate) fn found<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Fault> {
    let mut error = Some(error);
    while let Some(here) = error {
        if let Some(fault) = here.downcast_ref() {
            return Some(fault);
        }
        error = here.source();
    }
    None
}

/// What an answer means that is no success. `sent`: when the request was made, by our clock.
pub(super) fn of_answer(
    status: StatusCode,
    headers: &HeaderMap,
    text: &str,
    sent: Option<Timestamp>,
) -> Fault {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (mut code, message) = words(text);
    if code.is_empty() {
        code = header("x-ms-error-code").or_else(|| header("x-minio-error-code")).unwrap_or_default();
    }
    let received = header("date").and_then(|date| rfc2822::parse(&date).ok()).map(|date| date.timestamp());
    let ahead = sent.zip(received).map(|(sent, received)| sent.as_second() - received.as_second());
    Fault::Answer(Refusal {
        status: status.as_u16(),
        code,
        message,
        region: header("x-amz-bucket-region"),
        ahead,
    })
}

/// The fault that the text of a success tells of, if it does.
pub(super) fn within(headers: &HeaderMap, text: &str) -> Option<Fault> {
    let start = text.trim_start();
    let start =
        start.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")).map_or(start, |(_, rest)| rest);
    if !start.trim_start().starts_with("<Error") {
        return None;
    }
    let status = match &*words(text).0 {
        "PreconditionFailed" => StatusCode::PRECONDITION_FAILED,
        "NoSuchUpload" => StatusCode::NOT_FOUND,
        "AccessDenied" => StatusCode::FORBIDDEN,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Some(of_answer(status, headers, text, None))
}

/// When a request was signed.
pub(super) fn date_of(headers: &HeaderMap) -> Option<Timestamp> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(date) = text(HeaderName::from_static("x-amz-date")) {
        let parsed = strtime::parse("%Y%m%dT%H%M%SZ", date).ok()?;
        return parsed
            .to_datetime()
            .ok()?
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|zoned| zoned.timestamp());
    }
    rfc2822::parse(text(DATE)?).ok().map(|date| date.timestamp())
}

/// The word and the sentence of an answer: XML as of S3, Azure and Google, or JSON as of those who give out tokens.
fn words(text: &str) -> (String, String) {
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(text) {
        let word = |pointer: &str| json.pointer(pointer).and_then(|value| value.as_str()).map(str::to_owned);
        let code = word("/error").or_else(|| word("/error/status")).or_else(|| word("/Code"));
        let message =
            word("/error_description").or_else(|| word("/error/message")).or_else(|| word("/Message"));
        return (code.unwrap_or_default(), one_line(&message.unwrap_or_default()));
    }
    let code = element(text, "Code").unwrap_or_default();
    let mut message = element(text, "Message").unwrap_or_default();
    if code.is_empty() && message.is_empty() && !text.trim_start().starts_with('<') {
        message = one_line(text);
    }
    // Azure tells of the clock only in what it says besides.
    if let Some(detail) =
        element(text, "AuthenticationErrorDetail").filter(|detail| detail.contains("date header"))
    {
        message = detail;
    }
    (one_line(&code), one_line(&message))
}

/// The text of the first element of this name.
pub(crate) fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inner, _) = rest.split_once(&format!("</{name}>"))?;
    let plain =
        inner.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    Some(plain.replace("&#34;", "\"").replace("&#39;", "'").replace("&amp;", "&"))
}

/// What a fault means for what was tried, and on what.
pub(crate) fn tell(fault: &Fault, place: &str, tried: &str, what: &str) -> PlaceError {
    let (place, tried) = (place.to_owned(), tried.to_owned());
    let refusal = match fault {
        Fault::Unreachable(why) => return PlaceError::Unreachable { place, tried, why: why.clone() },
        Fault::TimedOut(limit) => return PlaceError::TimedOut { place, tried, seconds: limit.as_secs() },
        Fault::Broken(why) => return PlaceError::Cut { place, tried, why: why.clone() },
        Fault::Login { why, temporary: true } => {
            return PlaceError::Unreachable { place, tried, why: why.clone() };
        }
        Fault::Login { why, temporary: false } => {
            return PlaceError::Denied { place, tried, why: why.clone() };
        }
        Fault::Answer(refusal) => refusal,
    };
    let why = explained(fault);
    if let Some(why) = refusal.clock() {
        return PlaceError::Clock { place, tried, why };
    }
    if let Some(region) = refusal.region.as_ref().filter(|_| matches!(refusal.status, 301 | 307 | 400)) {
        let why = format!("{why}; the bucket is in `{region}`: that is what `region` must say");
        return PlaceError::Denied { place, tried, why };
    }
    match refusal.status {
        _ if refusal.is_full() => PlaceError::NoSpace { place, tried, why },
        _ if refusal.is_temporary() => PlaceError::Server { place, tried, why },
        _ if refusal.is_denial() => PlaceError::Denied { place, tried, why },
        404 => {
            let what = refusal.missing().unwrap_or(what).to_owned();
            PlaceError::NotFound { place, tried, what, why }
        }
        300..400 => {
            let why = format!("{why}; look at `endpoint`, `region` and the name of the bucket");
            PlaceError::Other { place, tried, why }
        }
        _ => PlaceError::Other { place, tried, why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(
        status: u16,
        headers: &[(&'static str, &'static str)],
        text: &str,
        sent: Option<&str>,
    ) -> PlaceError {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let sent = sent.map(|sent| sent.parse().unwrap());
        let fault = of_answer(StatusCode::from_u16(status).unwrap(), &map, text, sent);
        tell(&fault, "s3://b", "put `a`", "`a`")
    }

    #[test]
    fn a_refusal_says_what_the_server_says_and_what_to_look_at() {
        let text = "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>The request\n signature \
                    &quot;x&quot; is wrong</Message><StringToSign>secret</StringToSign></Error>";
        let error = answer(403, &[], text, None);
        assert_eq!(
            error.to_string(),
            "s3://b: cannot put `a`: refused: 403 SignatureDoesNotMatch: The request signature \"x\" is wrong; the secret \
             is not the one of this id"
        );
    }

    #[test]
    fn a_wrong_clock_is_told_of_by_how_much() {
        let date = [("date", "Sun, 22 Nov 2026 10:00:00 GMT")];
        let error = answer(403, &date, "", Some("2026-11-22T10:20:30Z"));
        assert_eq!(
            error.to_string(),
            "s3://b: cannot put `a`: the clock of this machine is 20 min ahead of the server's (403 Forbidden); set the \
             clock of this machine, best by NTP"
        );
        let skewed =
            "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message></Error>";
        assert!(matches!(answer(403, &[], skewed, None), PlaceError::Clock { .. }));
        assert!(matches!(answer(403, &date, "", Some("2026-11-22T10:00:30Z")), PlaceError::Denied { .. }));
    }

    #[test]
    fn what_is_missing_is_named() {
        let bucket =
            "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>";
        assert_eq!(
            answer(404, &[], bucket, None).to_string(),
            "s3://b: cannot put `a`: the bucket is not there: 404 NoSuchBucket: The specified bucket does not exist"
        );
        let error = answer(404, &[], "", None).to_string();
        assert_eq!(error, "s3://b: cannot put `a`: `a` is not there: 404 Not Found");
    }

    #[test]
    fn another_region_is_named() {
        let error = answer(301, &[("x-amz-bucket-region", "eu-west-1")], "", None).to_string();
        assert!(error.contains("the bucket is in `eu-west-1`"), "{error}");
    }

    #[test]
    fn only_what_may_pass_is_temporary() {
        for (status, code, temporary) in [
            (500, "", true),
            (503, "SlowDown", true),
            (400, "RequestTimeout", true),
            (429, "", true),
            (507, "XMinioStorageFull", false),
            (501, "NotImplemented", false),
            (400, "InvalidArgument", false),
            (403, "AccessDenied", false),
        ] {
            let error = answer(status, &[], &format!("<Error><Code>{code}</Code></Error>"), None);
            assert_eq!(error.is_temporary(), temporary, "{status} {code}: {error}");
        }
        let full = answer(507, &[], "", None);
        assert!(matches!(full, PlaceError::NoSpace { .. }), "{full}");
    }

    #[test]
    fn a_success_may_be_none() {
        let text =
            "  \n<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>x</Message></Error>";
        assert!(within(&HeaderMap::new(), text).unwrap().is_temporary());
        assert!(within(&HeaderMap::new(), "<CompleteMultipartUploadResult/>").is_none());
    }

    #[test]
    fn those_who_give_out_tokens_answer_in_json() {
        let text = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret"}"#;
        let error = answer(401, &[], text, None).to_string();
        assert!(
            error.ends_with(
                "invalid_client: AADSTS7000215: Invalid client secret; look at the client and its secret"
            ),
            "{error}"
        );
    }
}
