//! `act "http"`: make an HTTP request.

use lictor_core::Repeatability;

use super::{tls, watch_http};
use crate::model::{Action, HttpAction};
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

pub(super) static SCHEMA: Schema = Schema {
    doc: "Makes an HTTP request: done when the answer has one of the wanted statuses.",
    groups: &[
        watch_http::REQUEST,
        &[
            Attribute::new(
                "method",
                Kind::Word(&["POST", "PUT", "PATCH", "DELETE", "GET", "HEAD"]),
                "The method.",
            )
            .default("POST"),
            Attribute::new("status", Kind::Statuses, "Statuses that mean done.").default("200-299"),
        ],
        tls::ATTRIBUTES,
    ],
    blocks: &[],
    values: &[],
    example: r#"watch "heartbeat" "job" {
  within = "1h"
}

rule "job" {
  on = check.job == "critical"
  act "http" {
    url         = "https://nas.example/api/restart"
    bearer_file = "/etc/lictor/nas-token"
  }
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<(Action, Repeatability)> {
    let method = reader.word("method").unwrap_or("POST");
    let headers = watch_http::headers(reader);
    let request = watch_http::request(reader, &headers);
    // RFC 9110, section 9.2.2.
    let repeat = match method {
        "GET" | "HEAD" | "PUT" | "DELETE" => Repeatability::Idempotent,
        _ => Repeatability::Neither,
    };
    let action = HttpAction {
        method: method.to_owned(),
        headers,
        body: reader.body_text("body"),
        basic_auth: request.basic_auth,
        bearer: request.bearer,
        status: reader.statuses("status"),
        tls: tls::decode(reader),
        url: request.url?,
    };
    Some((Action::Http(Box::new(action)), repeat))
}

#[cfg(test)]
mod tests {
    use crate::model::Action;
    use crate::testing::parsed;
    use lictor_core::{Repeatability, StepKind};

    #[test]
    fn its_method_says_whether_it_may_be_repeated() {
        let repeat = |lines: &str| {
            let config = parsed(&format!(
                "watch \"heartbeat\" \"h\" {{\n within = \"1m\"\n}}\nrule \"r\" {{\n on = check.h == \"critical\"\n act \"http\" {{\n url = \"http://127.0.0.1/\"\n{lines}\n}}\n}}"
            ))
            .config;
            let Action::Http(action) = config.actions.values().next().unwrap() else { panic!() };
            let StepKind::Act { repeat, .. } = config.plan.remedies.values().next().unwrap().steps[0].kind
            else {
                panic!()
            };
            (action.method.clone(), repeat)
        };
        assert_eq!(repeat(""), ("POST".to_owned(), Repeatability::Neither));
        assert_eq!(repeat("method = \"PATCH\"").1, Repeatability::Neither);
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            assert_eq!(repeat(&format!("method = {method:?}")).1, Repeatability::Idempotent, "{method}");
        }
    }
}
