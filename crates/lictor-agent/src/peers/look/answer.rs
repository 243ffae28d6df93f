//! What a probe answered: the status alone, or the status within a larger document; also as the first
//! probes wrote it, with a status of `000` for no answer.

use lictor_core::peers::{Failing, Seen};
use serde_json::Value;

use super::MeshView;
use crate::text::visible;

/// Checks that are not good of which one answer may speak; further ones are only counted.
const FAILING: usize = 32;

/// Of the name of a check, characters that are kept.
const NAME: usize = 300;

/// An answer as it is understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Read {
    pub(super) seen: Seen,
    pub(super) mesh: Option<MeshView>,
}

/// Reads an answer. Only one with status 200 and a report counts as one.
pub(super) fn read(code: u16, body: &[u8], cut: bool) -> Read {
    if code != 200 {
        return Read { seen: Seen::Refused { code }, mesh: None };
    }
    let document = if cut { Err("it has more than 1 MiB".to_owned()) } else { parse(body) };
    match document.and_then(|document| Ok((report(&document)?, document))) {
        Ok((seen, document)) => Read { seen, mesh: document.get("mesh").and_then(MeshView::read) },
        Err(why) => Read { seen: Seen::Junk { why }, mesh: None },
    }
}

fn report(document: &Value) -> Result<Seen, String> {
    let status = match document.get("summary") {
        Some(_) => document,
        None => document.get("status").ok_or("there is no summary")?,
    };
    let summary = status.get("summary").ok_or("there is no summary")?;
    let count = |name: &str| {
        let number = summary.get(name).and_then(Value::as_u64);
        number
            .and_then(|number| u32::try_from(number).ok())
            .ok_or(format!("`{name}` of its summary is no number"))
    };
    let (total, good) = (count("total")?, count("ok")?);
    if good > total {
        return Err(format!("{good} of {total} checks cannot be good"));
    }
    let checks = status.get("checks").and_then(Value::as_array);
    let failing = checks.into_iter().flatten().filter_map(failing).take(FAILING).collect();
    Ok(Seen::Report { good, total, failing })
}

/// A check, unless it is good.
fn failing(check: &Value) -> Option<Failing> {
    if check.get("ok")?.as_bool()? {
        return None;
    }
    let code = check.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let url = visible(check.get("url")?.as_str()?, NAME);
    Some(Failing { url, code: code.filter(|code| *code < 1_000).unwrap_or_default() })
}

fn parse(body: &[u8]) -> Result<Value, String> {
    let first = match serde_json::from_slice(body) {
        Ok(document) => return Ok(document),
        Err(error) => error,
    };
    // The first probes wrote what is no JSON where there was no answer.
    let repaired = repaired(body).and_then(|body| serde_json::from_slice(&body).ok());
    repaired.ok_or_else(|| match first.classify() {
        serde_json::error::Category::Eof if body.trim_ascii().is_empty() => "it is empty".to_owned(),
        serde_json::error::Category::Eof => "it ends in the middle".to_owned(),
        _ => "it is no JSON".to_owned(),
    })
}

/// The same with each number `000` as `0`; nothing if there is none. What stands in texts stays.
fn repaired(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len());
    let (mut in_text, mut escaped, mut changed) = (false, false, false);
    let mut rest = body;
    let number = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    while let Some((&byte, tail)) = rest.split_first() {
        if in_text {
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte == b'"' {
            in_text = true;
        } else if rest.starts_with(b"000")
            && !out.last().is_some_and(number)
            && !rest.get(3).is_some_and(number)
        {
            out.push(b'0');
            rest = rest.get(3..).unwrap_or_default();
            changed = true;
            continue;
        }
        out.push(byte);
        rest = tail;
    }
    changed.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(body: &str) -> String {
        read(200, body.as_bytes(), false).seen.to_string()
    }

    const GOOD: &str = r#"{"checks":[],"summary":{"total":0,"ok":0}}"#;

    #[test]
    fn a_status_is_read_alone_and_within_a_larger_document() {
        assert_eq!(seen(GOOD), "it answers");
        let wrapped = format!("{{\"status\":{GOOD},\"disk\":{{\"volumes\":[]}}}}");
        assert_eq!(seen(&wrapped), "it answers");
        let two = r#"{"checks":[{"url":"https://x/","code":500,"time_s":0.1,"ok":false},
            {"url":"http://y/","code":200,"time_s":0.1,"ok":true}],"summary":{"total":2,"ok":1}}"#;
        assert_eq!(seen(two), "1 of 2 checks are good: https://x/ (500)");
    }

    #[test]
    fn the_status_of_the_first_probes_for_no_answer_is_understood() {
        let old = r#"{"checks":[{"url":"http://a/?\"code\":000,","code":000,"time_s":0,"ok":false}],"summary":{"total":1,"ok":0}}"#;
        let Seen::Report { failing, .. } = read(200, old.as_bytes(), false).seen else { panic!("no report") };
        assert_eq!(failing, [Failing { url: "http://a/?\"code\":000,".to_owned(), code: 0 }]);
    }

    #[test]
    fn nothing_else_is_repaired() {
        let all = |text: &str| repaired(text.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(all("[000, 000 ]"), Some("[0, 0 ]".to_owned()));
        for text in
            ["[0000]", "[1000]", "[0.000]", "[000.1]", "[1e000]", "[-000]", "\"000\"", "\"\\\"000\"", ""]
        {
            assert_eq!(all(text), None, "{text}");
        }
    }

    #[test]
    fn a_200_with_something_else_is_junk() {
        let junk = |body: &str| seen(body).replace("its answer is no report of a probe: ", "");
        assert_eq!(junk("hello"), "it is no JSON");
        assert_eq!(junk(""), "it is empty");
        assert_eq!(junk(r#"{"checks":[]"#), "it ends in the middle");
        assert_eq!(junk("{}"), "there is no summary");
        assert_eq!(junk("[1]"), "there is no summary");
        assert_eq!(junk(r#"{"summary":{"total":"1","ok":1}}"#), "`total` of its summary is no number");
        assert_eq!(junk(r#"{"summary":{"total":1}}"#), "`ok` of its summary is no number");
        assert_eq!(junk(r#"{"summary":{"total":-1,"ok":-1}}"#), "`total` of its summary is no number");
        assert_eq!(junk(r#"{"summary":{"total":1.5,"ok":1}}"#), "`total` of its summary is no number");
        assert_eq!(junk(r#"{"summary":{"total":1,"ok":2}}"#), "2 of 1 checks cannot be good");
        assert_eq!(junk(&"[".repeat(100_000)), "it is no JSON");
        let cut = read(200, GOOD.as_bytes(), true).seen;
        assert_eq!(cut, Seen::Junk { why: "it has more than 1 MiB".to_owned() });
    }

    #[test]
    fn another_status_is_no_report_whatever_the_body_says() {
        for code in [201, 204, 302, 401, 404, 503] {
            assert_eq!(read(code, GOOD.as_bytes(), false).seen, Seen::Refused { code });
        }
    }

    #[test]
    fn what_fails_is_kept_within_bounds_and_fit_to_be_shown() {
        let one = |url: &str| serde_json::json!({ "url": url, "code": 70_000, "ok": false });
        let checks: Vec<Value> = (0..99).map(|n| one(&format!("http://{n}/"))).collect();
        let many = serde_json::json!({ "checks": checks, "summary": { "total": 99, "ok": 0 } }).to_string();
        let Seen::Report { failing, .. } = read(200, many.as_bytes(), false).seen else {
            panic!("no report")
        };
        assert_eq!((failing.len(), failing[0].code), (32, 0));
        let odd = serde_json::json!({ "checks": [one("a\u{1b}[2J"), one(&"x".repeat(999)), 7, { "ok": false }],
            "summary": { "total": 4, "ok": 0 } });
        let Seen::Report { failing, .. } = read(200, odd.to_string().as_bytes(), false).seen else {
            panic!("no report")
        };
        assert_eq!(failing.len(), 2);
        assert_eq!(failing[0].url, "a\\u{1b}[2J");
        assert_eq!(failing[1].url.chars().count(), 301);
    }

    #[test]
    fn what_it_sees_of_others_comes_with_it() {
        let with = format!(
            "{},\"mesh\":{{\"version\":1,\"node\":\"a\",\"sees\":[]}}}}",
            GOOD.strip_suffix('}').unwrap()
        );
        let found = read(200, with.as_bytes(), false);
        assert_eq!(found.mesh.unwrap().node, "a");
        let odd = with.replace("\"version\":1", "\"version\":9");
        let found = read(200, odd.as_bytes(), false);
        assert_eq!((found.mesh, found.seen.is_well()), (None, true));
    }
}
