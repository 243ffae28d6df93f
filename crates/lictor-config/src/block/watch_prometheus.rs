//! `watch "prometheus"`: an instant query, and what its result means.

use super::{judgement, limits, tls, watch, watch_http};
use crate::code::Code;
use crate::model::{Prometheus, WatchKind};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

pub(super) static SCHEMA: Schema = Schema {
    doc: "An instant query of a Prometheus, or of whatever has its API. Without limits it passes as long as \
          there is a number; with them the worst of all series counts. What cannot be told is `unknown`: the \
          server does not answer or refuses the query, the result is empty (unless `empty` says otherwise), a \
          series has no number (NaN, a histogram), or the answer was made more than 5 minutes ago. So a server \
          that is away never looks like a value of 0.",
    groups: &[
        &[
            Attribute::new(
                "url",
                Kind::Url,
                "The server, such as `http://127.0.0.1:9090`; a path prefix of a proxy is kept.",
            )
            .required(),
            Attribute::new(
                "query",
                Kind::Text,
                "The query in PromQL. To leave out series without a number, let them compare: `x == x`.",
            )
            .required(),
        ],
        limits::LIMITS,
        &[
            Attribute::new(
                "empty",
                Kind::Word(&["unknown", "passing", "critical"]),
                "What it means that the result has no series. `passing` fits a query that only has a result when \
                 something is wrong.",
            )
            .default("unknown"),
            Attribute::new(
                "label",
                Kind::Text,
                "The label by which the values of several series are named.",
            ),
            Attribute::new("headers", Kind::Secrets, "Headers to send."),
            Attribute::new(
                "basic_auth",
                Kind::Object(&watch_http::BASIC_AUTH),
                "User and password of HTTP basic authentication.",
            ),
            Attribute::new("bearer", Kind::Secret, "The token to show as `Authorization: Bearer …`."),
        ],
        tls::ATTRIBUTES,
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[
        ("value", "The number (or the text of a string), when there is exactly one series."),
        ("value:*", "The number of each series by its `label`, when there are several; at most 100."),
        ("highest", "The highest of several."),
        ("lowest", "The lowest of several."),
        ("series", "How many series there are."),
        ("total_seconds", "Time of the whole look."),
    ],
    example: r#"watch "prometheus" "filling" {
  url      = "http://127.0.0.1:9090"
  query    = "100 - 100 * node_filesystem_avail_bytes / node_filesystem_size_bytes"
  label    = "mountpoint"
  warning  = "> 85"
  critical = "> 95"
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let headers = watch_http::headers(reader);
    let request = watch_http::request(reader, &headers);
    let (limits, tls) = (limits::decode(reader), tls::decode(reader));
    let label = reader.text_at("label");
    if let Some(label) = label.as_ref().filter(|label| !is_label(&label.is)) {
        let draft = Draft::new(Code::Name, label.span, format!("`{}` is not the name of a label", label.is));
        reader.decoder.add(draft.help("a label has letters, digits and `_`, such as \"instance\""));
    }
    let (query, empty) = (reader.text("query"), limits::absence(reader, "empty"));
    let url = request.url?;
    if url.path().ends_with("/api/v1/query") || url.query().is_some() {
        let draft = Draft::new(Code::Address, reader.span("url"), "`url` is the server, not its query route");
        reader.decoder.add(draft.help("leave `/api/v1/query…` away; the query is written in `query`"));
        return None;
    }
    Some(WatchKind::Prometheus(Box::new(Prometheus {
        url,
        query: query?,
        headers,
        basic_auth: request.basic_auth,
        bearer: request.bearer,
        tls,
        empty,
        limits,
        label: label.map(|label| label.is),
    })))
}

fn is_label(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use crate::model::{Prometheus, WatchKind};
    use crate::testing::{mistakes, warnings, watch};
    use insta::assert_snapshot;
    use lictor_core::Status;

    fn prometheus(lines: &str) -> Prometheus {
        let text = format!(
            "watch \"prometheus\" \"x\" {{\n url = \"http://127.0.0.1:9090\"\n query = \"up\"\n{lines}\n}}"
        );
        match watch(&text).kind {
            WatchKind::Prometheus(prometheus) => *prometheus,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_empty_result_is_unknown_unless_it_is_said_what_it_means() {
        let found = prometheus("");
        assert_eq!((found.empty, found.label, found.limits.warning), (Status::Unknown, None, None));
        assert_eq!(prometheus("empty = \"passing\"").empty, Status::Passing);
        assert_eq!(prometheus("empty = \"critical\"").empty, Status::Critical);
    }

    #[test]
    fn limits_are_comparisons() {
        let limits = prometheus("warning = \"> 80\"\ncritical = \">= 90\"").limits;
        let judged = [80.0, 80.5, 90.0].map(|number| limits.judge(number));
        assert_eq!(judged, [Status::Passing, Status::Warning, Status::Critical]);
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "prometheus" "a" {
  url      = "http://127.0.0.1:9090/api/v1/query"
  query    = ""
  warning  = "> 90"
  critical = "> 80"
  label    = "instance of"
  empty    = "warning"
}
watch "prometheus" "b" {
  url      = "localhost:9090"
  warning  = "90"
  critical = 95
  bearer_file = "/t"
  basic_auth  = { user = "a", password = "b" }
}
watch "prometheus" "c" {
  url      = "http://127.0.0.1:9090"
  query    = "up"
  warning  = "== 3"
  critical = "< 5"
}
"#), @r#"
        3:14: `url` is the server, not its query route (leave `/api/v1/query…` away; the query is written in `query`) [LIC0305]
        4:14: `query` is empty [LIC0203]
        5:14: whatever is `> 90` is `> 80` too, so there would never be a warning [LIC0207]
        7:14: `instance of` is not the name of a label (a label has letters, digits and `_`, such as "instance") [LIC0303]
        8:14: `empty` cannot be `warning` (did you mean `passing`?) [LIC0306]
        10:1: `query` of `watch "prometheus" "b"` is missing (add `query = …`, text in quotes) [LIC0203]
        10:1: `basic_auth` and `bearer` exclude each other (the other one: x.hcl:15:17) [LIC0207]
        11:14: `url` is not an http or https URL (write http://localhost:9090 or https://localhost:9090) [LIC0305]
        12:14: `90` is not a comparison (write one of <, <=, ==, !=, >=, > and a number, such as "> 90") [LIC0307]
        13:14: `critical` is a comparison such as "> 90", not a number [LIC0206]
        20:14: whatever is `== 3` is `< 5` too, so there would never be a warning [LIC0207]
        "#);
    }

    #[test]
    fn it_warns_of_a_token_in_clear_text() {
        let text = "watch \"prometheus\" \"a\" {\n url = \"http://10.0.0.1:9090\"\n query = \"up\"\n bearer_file = \"/t\"\n}";
        assert!(warnings(text).contains("a secret travels to 10.0.0.1 in clear text"));
    }
}
