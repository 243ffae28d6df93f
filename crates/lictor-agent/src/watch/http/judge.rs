//! What is expected of an answer, and whether it is there.

use std::fmt::Write as _;

use http::header::HeaderName;
use lictor_config::{Http, JsonExpect};
use lictor_core::{Sample, Span, Status, Wall};
use serde_json::Value;
use url::Url;

use super::exchange::Answer;
use super::{Measured, expiring};
use crate::watch::look::cut;

/// Whether the body has to be kept to judge it.
pub(super) const fn needs_body(http: &Http) -> bool {
    http.body_matches.is_some() || http.body_lacks.is_some() || !http.json.is_empty()
}

/// A verdict with its reason.
type Finding = (Status, String);

/// Judges an answer: the worst of what was found, with every finding of that rank.
pub(super) fn judge(http: &Http, url: &Url, answer: &Answer, measured: &Measured, now: Wall) -> Sample {
    let mut findings: Vec<Finding> = Vec::new();
    status(http, url, answer, measured, &mut findings);
    headers(http, answer, &mut findings);
    body(http, answer, &mut findings);
    json(http, answer, &mut findings);
    // Who takes any certificate takes one that has ended.
    if let Some(validity) = measured.validity.filter(|_| !http.tls.insecure) {
        findings.extend(expiring(validity, http, now));
    }
    let total = measured.total.unwrap_or_default();
    if let Some(limit) = http.warn_slower.filter(|limit| total > *limit) {
        let message = format!("it took {}, longer than {}", Span(total), Span(limit));
        findings.push((Status::Warning, message));
    }
    let Some(worst) = findings.iter().map(|(status, _)| *status).max() else {
        return Sample::new(Status::Passing, passing(answer, measured, now));
    };
    let mut reasons = findings.into_iter().filter(|(status, _)| *status == worst).map(|(_, reason)| reason);
    let first = reasons.next().unwrap_or_default();
    Sample::new(worst, reasons.fold(first, |all, reason| all + "; " + &reason))
}

fn passing(answer: &Answer, measured: &Measured, now: Wall) -> String {
    let mut text = answer.head.status.to_string();
    let total = Span(measured.total.unwrap_or_default());
    // Writing to a String cannot fail.
    write!(text, " in {total}").ok();
    if let Some(validity) = measured.validity {
        write!(text, ", certificate for {:.0} days", validity.days_left(now).floor()).ok();
    }
    text
}

fn status(http: &Http, url: &Url, answer: &Answer, measured: &Measured, findings: &mut Vec<Finding>) {
    let found = answer.head.status;
    if http.status.iter().any(|(low, high)| (*low..=*high).contains(&found)) {
        return;
    }
    let ranges: Vec<String> = http
        .status
        .iter()
        .map(|(low, high)| if low == high { low.to_string() } else { format!("{low}-{high}") })
        .collect();
    let mut message = format!("status {found}, wanted {}", ranges.join(" or "));
    if measured.redirects > 0 {
        let mut shown = url.clone();
        shown.set_username("").ok();
        shown.set_password(None).ok();
        let times = measured.redirects;
        let plural = if times == 1 { "" } else { "s" };
        write!(message, ", from {shown} after {times} redirect{plural}").ok();
    }
    findings.push((Status::Critical, message));
}

fn headers(http: &Http, answer: &Answer, findings: &mut Vec<Finding>) {
    for (name, wanted) in &http.expect_headers {
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            findings.push((Status::Unknown, format!("`{name}` is not the name of a header")));
            continue;
        }
        let texts = answer.head.values(name);
        if texts.is_empty() {
            findings.push((Status::Critical, format!("header {name} is missing")));
            continue;
        }
        if !texts.iter().any(|text| wanted.is_match(text)) {
            let found = cut(texts.first().map_or("", |text| &**text), 80);
            findings.push((Status::Critical, format!("header {name} is `{found}`, wanted /{wanted}/")));
        }
    }
}

fn body(http: &Http, answer: &Answer, findings: &mut Vec<Finding>) {
    if http.body_matches.is_none() && http.body_lacks.is_none() {
        return;
    }
    let text = answer.body.text();
    if let Some(wanted) = &http.body_matches
        && !wanted.is_match(&text)
    {
        let mut message = format!("the body does not match /{wanted}/");
        if answer.body.is_cut() {
            write!(message, " in its first {} bytes", answer.body.length()).ok();
        }
        if let Some(encoding) = answer.head.values("content-encoding").first() {
            write!(message, " (it came encoded as {encoding})").ok();
        }
        findings.push((Status::Critical, message));
    }
    if let Some(unwanted) = &http.body_lacks
        && let Some(found) = unwanted.find(&text)
    {
        let found = cut(found.as_str(), 80);
        findings.push((Status::Critical, format!("the body has `{found}`, which matches /{unwanted}/")));
    }
}

fn json(http: &Http, answer: &Answer, findings: &mut Vec<Finding>) {
    if http.json.is_empty() {
        return;
    }
    if answer.body.is_cut() {
        let read = answer.body.length();
        let message = format!("the body has more than {read} bytes (max_body), so its JSON cannot be read");
        findings.push((Status::Unknown, message));
        return;
    }
    let root: Value = match serde_json::from_slice(answer.body.bytes()) {
        Ok(root) => root,
        Err(error) => {
            findings.push((Status::Critical, format!("the body is not JSON: {error}")));
            return;
        }
    };
    for (pointer, wanted) in &http.json {
        let found = root.pointer(pointer);
        let message = match (found, wanted) {
            (None, _) => format!("the body has no {pointer}"),
            (Some(found), JsonExpect::Equals(wanted)) if !equal(found, wanted) => {
                let found = found.to_string();
                format!("{pointer} is {}, wanted {wanted}", cut(&found, 80))
            }
            (Some(_), JsonExpect::Equals(_) | JsonExpect::Present) => continue,
        };
        findings.push((Status::Critical, message));
    }
}

/// Equal in value: 1 and 1.0 are.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_equal_in_value_and_texts_as_texts() {
        assert!(equal(&json!(1), &json!(1.0)));
        assert!(equal(&json!({"a": [1, "x"]}), &json!({"a": [1.0, "x"]})));
        assert!(!equal(&json!("1"), &json!(1)));
        assert!(!equal(&json!([1, 2]), &json!([1])));
    }
}
