//! `watch "http"`: one request; passing when everything expected is there.

use std::time::Duration;

use super::{consul::is_local, judgement, tls, watch};
use crate::code::Code;
use crate::model::{Family, Http, JsonExpect, WatchKind};
use crate::problem::Draft;
use crate::reader::{Reader, as_body};
use crate::schema::{Attribute, Kind, LONGEST, Schema};
use crate::secret::Secret;
use crate::syntax::tree::{Is, Text, Value};

/// Which addresses of a host are used.
pub(super) const FAMILY: Attribute = Attribute::new(
    "family",
    Kind::Word(&["any", "4", "6"]),
    "Which addresses of the host are used: the first that answers, or only IPv4 or IPv6.",
)
.default("any");

/// When a slow answer is a warning.
pub(super) const WARN_SLOWER: Attribute = Attribute::new(
    "warn_slower",
    Kind::Duration(Duration::from_millis(1), LONGEST),
    "Slower than this in all is a warning.",
);

/// What a request consists of: shared by the watcher and the action.
pub(super) const REQUEST: &[Attribute] = &[
    Attribute::new("url", Kind::Url, "The address: `http://…` or `https://…`.").required(),
    Attribute::new("headers", Kind::Secrets, "Headers to send."),
    Attribute::new("body", Kind::Text, "The body to send."),
    Attribute::new(
        "basic_auth",
        Kind::Object(&BASIC_AUTH),
        "User and password of HTTP basic authentication.",
    ),
    Attribute::new("bearer", Kind::Secret, "The token to show as `Authorization: Bearer …`."),
];

pub(super) static BASIC_AUTH: Schema = Schema {
    doc: "User and password of HTTP basic authentication.",
    groups: &[&[
        Attribute::new("user", Kind::Text, "The user.").required(),
        Attribute::new("password", Kind::Secret, "The password.").required(),
    ]],
    blocks: &[],
    values: &[],
    example: r#"basic_auth = { user = "lictor", password_file = "/etc/lictor/password" }"#,
};

pub(super) static SCHEMA: Schema = Schema {
    doc: "An HTTP request: passing when the answer has one of the wanted statuses and everything else \
          that is expected of it. Each look makes a new connection unless told otherwise, so that name \
          resolution, accepting and TLS are tested too.",
    groups: &[
        REQUEST,
        &[
            Attribute::new(
                "method",
                Kind::Word(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
                "The method.",
            )
            .default("GET"),
            Attribute::new("status", Kind::Statuses, "Statuses that pass.").default("200-299"),
            Attribute::new("expect_headers", Kind::Patterns, "Headers that must be there and match."),
            Attribute::new("body_matches", Kind::Regex, "The body must match."),
            Attribute::new("body_lacks", Kind::Regex, "The body must not match."),
            Attribute::new(
                "json",
                Kind::Values,
                "JSON pointers into the body and the value each must lead to.",
            ),
            Attribute::new("json_present", Kind::Texts, "JSON pointers that must lead to something."),
            WARN_SLOWER,
            Attribute::new(
                "warn_expiry",
                Kind::Duration(Duration::ZERO, LONGEST),
                "A certificate that ends sooner than this is a warning.",
            )
            .default("14d"),
            Attribute::new(
                "critical_expiry",
                Kind::Duration(Duration::ZERO, LONGEST),
                "A certificate that ends sooner than this is critical.",
            )
            .default("3d"),
            Attribute::new(
                "redirects",
                Kind::Whole(0, 20),
                "Redirects followed; otherwise they are judged by their status.",
            )
            .default("0"),
            Attribute::new(
                "keep_alive",
                Kind::Flag,
                "Keep the connection for the next look. A kept one tests neither DNS nor accept nor TLS.",
            )
            .default("false"),
            FAMILY,
            Attribute::new(
                "max_body",
                Kind::Size(0, 1 << 30),
                "Bytes of the body read at most; more is cut, not failed.",
            )
            .default("1MiB"),
        ],
        tls::ATTRIBUTES,
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[&watch::MATCH],
    values: &[
        ("total_seconds", "Time of the whole look."),
        ("dns_seconds", "Time of the name resolution."),
        ("connect_seconds", "Time of the TCP connection."),
        ("tls_seconds", "Time of the TLS handshake."),
        ("first_byte_seconds", "Time from the request to the first byte of the answer."),
        ("status", "The status of the answer."),
        ("body_bytes", "Size of the body, as far as it was read."),
        ("certificate_days", "Days until the certificate ends."),
    ],
    example: r#"watch "http" "shop" {
  url         = "https://shop.example/health"
  every       = "5s"
  fail_after  = 3
  json        = { "/status" = "ok" }
  warn_slower = "800ms"
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let (warn_expiry, critical_expiry) = (reader.duration("warn_expiry"), reader.duration("critical_expiry"));
    if critical_expiry > warn_expiry && (reader.is_set("warn_expiry") || reader.is_set("critical_expiry")) {
        let message = "`critical_expiry` is longer than `warn_expiry`, so there would never be a warning";
        let name = if reader.is_set("critical_expiry") { "critical_expiry" } else { "warn_expiry" };
        reader.decoder.add(Draft::new(Code::Combination, reader.span(name), message));
    }
    let headers = headers(reader);
    let request = request(reader, &headers);
    let max_body = reader.size("max_body").and_then(|size| usize::try_from(size).ok());
    let http = Http {
        method: reader.word("method").unwrap_or("GET").to_owned(),
        headers,
        body: reader.body_text("body"),
        basic_auth: request.basic_auth,
        bearer: request.bearer,
        status: reader.statuses("status"),
        expect_headers: reader.patterns("expect_headers"),
        body_matches: reader.regex("body_matches"),
        body_lacks: reader.regex("body_lacks"),
        json: json(reader),
        warn_slower: reader.duration_if("warn_slower"),
        warn_expiry,
        critical_expiry,
        redirects: reader.whole("redirects").and_then(|n| u8::try_from(n).ok()).unwrap_or(0),
        keep_alive: reader.flag("keep_alive"),
        family: family(reader),
        max_body: max_body.unwrap_or(1 << 20),
        tls: tls::decode(reader),
        url: request.url?,
    };
    Some(WatchKind::Http(Box::new(http)))
}

pub(super) fn family(reader: &Reader<'_>) -> Family {
    match reader.word("family") {
        Some("4") => Family::V4,
        Some("6") => Family::V6,
        _ => Family::Any,
    }
}

/// The parts of a request that are read together.
pub(super) struct Request {
    pub(super) url: Option<url::Url>,
    pub(super) basic_auth: Option<(String, Secret)>,
    pub(super) bearer: Option<Secret>,
}

/// Reads the parts of a request; warns of secrets that travel in clear text.
pub(super) fn request(reader: &Reader<'_>, headers: &[(String, Secret)]) -> Request {
    let url = reader.http_url("url");
    let (basic_auth, bearer) = (basic_auth(reader), reader.secret("bearer"));
    let given = |name: &str| headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
    if reader.exclude("basic_auth", "bearer") {
        return Request { url: None, basic_auth: None, bearer: None };
    }
    let shown = basic_auth.is_some() || bearer.is_some();
    if shown && given("authorization") {
        let message = "`Authorization` is set by a header and by `basic_auth` or `bearer`";
        reader.decoder.add(Draft::new(Code::Combination, reader.span("headers"), message));
    }
    let secret = shown || given("authorization") || given("cookie");
    if secret && let Some(url) = url.as_ref().filter(|url| url.scheme() == "http" && !is_local(url)) {
        let message = format!("a secret travels to {} in clear text", url.host_str().unwrap_or_default());
        reader.decoder.add(Draft::warning(Code::ClearText, reader.span("url"), message).help("use https://"));
    }
    Request { url, basic_auth, bearer }
}

pub(super) fn basic_auth(reader: &Reader<'_>) -> Option<(String, Secret)> {
    let value = reader.value("basic_auth")?;
    let Some(body) = as_body(value) else {
        reader.decoder.report.hide(value.span);
        let draft = Draft::new(Code::WrongType, value.span, "`basic_auth` is an object");
        reader.decoder.add(draft.help(format!("write {}", BASIC_AUTH.example)));
        return None;
    };
    let inner = Reader::over(reader.decoder, &body, &BASIC_AUTH, value.span, "basic_auth".to_owned());
    let (user, password) = (inner.text("user"), inner.secret("password"));
    Some((user?, password?))
}

/// The headers, with names and values that can be sent.
pub(super) fn headers(reader: &Reader<'_>) -> Vec<(String, Secret)> {
    let fits = |(name, secret): (Text, Secret)| {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is.is_empty() || !name.is.bytes().all(token) {
            let message = format!("`{}` is not the name of a header", name.is.escape_debug());
            reader.decoder.add(Draft::new(Code::Name, name.span, message));
            return None;
        }
        Some((name.is, secret))
    };
    reader.secrets("headers").into_iter().filter_map(fits).collect()
}

fn json(reader: &Reader<'_>) -> Vec<(String, JsonExpect)> {
    let pointer = |text: &str, span| {
        let good = text.is_empty() || text.starts_with('/');
        if !good {
            let draft = Draft::new(Code::Name, span, format!("`{text}` is not a JSON pointer"));
            reader.decoder.add(draft.help(format!("write \"/{}\"", text.replace('.', "/"))));
        }
        good
    };
    let equals = |(name, value): (&Text, &Value)| {
        let expected = plain(value);
        if expected.is_none() {
            reader.mismatch("json", value);
        }
        let good = pointer(&name.is, name.span);
        expected.filter(|_| good).map(|expected| (name.is.clone(), JsonExpect::Equals(expected)))
    };
    let mut found: Vec<_> = reader.entries("json").into_iter().filter_map(equals).collect();
    let present = reader.texts("json_present").into_iter().filter(|text| pointer(&text.is, text.span));
    found.extend(present.map(|text| (text.is, JsonExpect::Present)));
    found
}

/// A value as JSON has it.
fn plain(value: &Value) -> Option<serde_json::Value> {
    match &value.is {
        Is::Null => Some(serde_json::Value::Null),
        Is::Flag(flag) => Some((*flag).into()),
        Is::Text(text) => Some(text.clone().into()),
        Is::Number(number) => Some(match crate::value::exact(*number) {
            Some(whole) => whole.into(),
            None => (*number).into(),
        }),
        Is::List(items) => items.iter().map(plain).collect::<Option<Vec<_>>>().map(Into::into),
        Is::Map(entries) => {
            let entry = |(name, value): &(Text, Value)| plain(value).map(|value| (name.is.clone(), value));
            entries.iter().map(entry).collect::<Option<serde_json::Map<_, _>>>().map(Into::into)
        }
        Is::Path(_) | Is::Call(..) | Is::Not(_) | Is::Binary(..) | Is::Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Http, JsonExpect, WatchKind};
    use crate::testing::{mistakes, warnings, watch};
    use insta::assert_snapshot;

    fn http(lines: &str) -> Http {
        let text = format!("watch \"http\" \"x\" {{\n url = \"http://127.0.0.1:8080/health\"\n{lines}\n}}");
        match watch(&text).kind {
            WatchKind::Http(http) => *http,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_url_is_enough() {
        let http = http("");
        assert_eq!((http.method.as_str(), http.status.as_slice()), ("GET", [(200, 299)].as_slice()));
        assert_eq!((http.warn_expiry.as_secs(), http.critical_expiry.as_secs()), (14 * 86_400, 3 * 86_400));
        assert_eq!((http.redirects, http.max_body, http.keep_alive), (0, 1 << 20, false));
        assert!(http.warn_slower.is_none() && !http.tls.insecure && http.bearer.is_none());
    }

    #[test]
    fn everything_can_be_expected() {
        let http = http(
            r#"
  method = "POST"
  body   = <<END
{"a": 1}
END
  status = [200, "300-308", "4xx"]
  expect_headers = { Server = "^nginx" }
  body_matches = "ok|fine"
  json = { "/status" = "ok", "/count" = 3, "/load" = 0.5, "/list" = [1, true, null] }
  json_present = ["/version"]
  basic_auth = { user = "me", password_file = "/p" }
  max_body = "64kB"
  family = 6
"#,
        );
        assert_eq!(http.body.as_deref(), Some("{\"a\": 1}\n"));
        assert_eq!(http.status, [(200, 200), (300, 308), (400, 499)]);
        assert!(http.expect_headers[0].1.is_match("nginx/1"));
        assert_eq!(http.json[1].1, JsonExpect::Equals(serde_json::json!(3)));
        assert_eq!(http.json[3].1, JsonExpect::Equals(serde_json::json!([1, true, null])));
        assert_eq!(http.json[4], ("/version".to_owned(), JsonExpect::Present));
        assert_eq!((http.basic_auth.unwrap().0.as_str(), http.max_body), ("me", 64_000));
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "http" "a" {
  url    = "shop.example/health"
  status = [99, "2xy", true]
  method = "GTE"
  body_matches = "a\\d(b"
  json   = { "status.code" = 1, "/x" = check.a }
  max_body = "10 GB"
}
watch "http" "b" {
  url        = "http://me:hunter2@x/"
  basic_auth = "me:hunter2"
  headers    = { "X Y" = "1" }
  warn_expiry = "1d"
}
watch "http" "c" {
  url        = "localhost:80"
  bearer     = "hunter2"
  basic_auth = { user = "me", password = "hunter2" }
}
watch "http" "d" {
}
"#), @r#"
        3:12: `url` has no scheme (write http://shop.example/health or https://shop.example/health) [LIC0305]
        4:13: `status` holds no status here (write a status from 100 to 599, or a range such as "200-299" or "2xx") [LIC0307]
        4:17: `status` holds no status here (write a status from 100 to 599, or a range such as "200-299" or "2xx") [LIC0307]
        4:24: `status` is a status such as 200, a range such as "200-299", or a list of those, not a truth value [LIC0206]
        5:12: `method` cannot be `GTE` (did you mean `GET`?) [LIC0306]
        6:23: not a regular expression: unclosed group [LIC0304]
        7:14: `status.code` is not a JSON pointer (write "/status/code") [LIC0303]
        7:40: `json` is an object such as { "/status" = "ok" }, not a reference [LIC0206]
        8:14: `max_body` is between 0 and 1073741824 bytes, not 10000000000 [LIC0302]
        11:16: `url` contains a password (use `basic_auth` and a file for the password) [LIC0305]
        12:16: `basic_auth` is an object (write basic_auth = { user = "lictor", password_file = "/etc/lictor/password" }) [LIC0206]
        13:18: `X Y` is not the name of a header [LIC0303]
        14:17: `critical_expiry` is longer than `warn_expiry`, so there would never be a warning [LIC0207]
        17:16: `url` is not an http or https URL (write http://localhost:80 or https://localhost:80) [LIC0305]
        18:16: `basic_auth` and `bearer` exclude each other (the other one: x.hcl:19:16) [LIC0207]
        21:1: `url` of `watch "http" "d"` is missing (add `url = …`, a URL such as "https://host/path") [LIC0203]
        "#);
    }

    #[test]
    fn it_warns_of_what_weakens_it() {
        assert_snapshot!(warnings(r#"
watch "http" "a" {
  url         = "http://10.0.0.1/"
  bearer_file = "/t"
}
watch "http" "b" {
  url      = "https://10.0.0.1/"
  insecure = true
}
"#), @r#"
        LIC0903

          ⚠ a secret travels to 10.0.0.1 in clear text
           ╭─[x.hcl:3:17]
         2 │ watch "http" "a" {
         3 │   url         = "http://10.0.0.1/"
           ·                 ─────────┬────────
           ·                          ╰── here
         4 │   bearer_file = "/t"
           ╰────
          help: use https://
        LIC0902

          ⚠ `watch "http" "b"` accepts any certificate
           ╭─[x.hcl:8:14]
         7 │   url      = "https://10.0.0.1/"
         8 │   insecure = true
           ·              ──┬─
           ·                ╰── here
         9 │ }
           ╰────
          help: name the authority in `ca_file` instead
        "#);
    }
}
