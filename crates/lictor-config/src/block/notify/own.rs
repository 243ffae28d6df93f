//! `notify "http"`: a request that the user describes.

use lictor_core::alert::Batching;

use super::super::{tls, watch_http};
use super::common::{COMMON, HTTP, compiled, plan, template, timeout, wrong};
use super::service::{TIMEOUT, proxy};
use crate::code::Code;
use crate::model::{Endpoint, Notifier, NotifierKind, OwnBody, OwnRequest, Service, Setting};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};
use crate::syntax::tree::{Is, Text, Value};
use crate::template::{Shape, Template, TemplateError};

pub(super) static SCHEMA: Schema = Schema {
    doc: "Any other service: a request with a body of JSON, a form or a text. The texts in it are templates; JSON is \
          built by value, so that nothing a check prints can change its form.",
    groups: &[
        &[
            Attribute::new("url", Kind::Url, "The address.").required(),
            Attribute::new("method", Kind::Word(&["POST", "PUT", "PATCH"]), "The method.").default("POST"),
            Attribute::new(
                "json",
                Kind::Values,
                "The body as JSON. A text in it that begins with `=` is an expression whose value stands in its place; in \
                 a list, an object with `\"$each\" = \"items\"` stands once for each of them, as `item`.",
            )
            .default_words("the whole message, unless there is a `form` or a `body`"),
            Attribute::new("form", Kind::Values, "The body as the fields of a form."),
            Attribute::new("body", Kind::Text, "The body as a text."),
            Attribute::new(
                "basic_auth",
                Kind::Object(&watch_http::BASIC_AUTH),
                "User and password of HTTP basic authentication.",
            ),
            Attribute::new("bearer", Kind::Secret, "The token to show as `Authorization: Bearer …`."),
            Attribute::new("status", Kind::Statuses, "Statuses that mean accepted.").default("200-299"),
            Attribute::new("each", Kind::Flag, "One request for each alert of a message.").default("false"),
        ],
        COMMON,
        HTTP,
    ],
    blocks: &[],
    values: &[],
    example: r#"notify "http" "tickets" {
  url         = "https://tickets.example/api/new"
  bearer_file = "/etc/lictor/tickets-token"
  json = {
    subject = "{{ title }}"
    count   = "=items | length"
    alerts  = [{ "$each" = "items", node = "{{ item.node }}", output = "{{ item.output }}" }]
  }
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<Notifier> {
    let headers = watch_http::headers(reader);
    let request = watch_http::request(reader, &headers);
    let tls = tls::decode(reader);
    let proxy = proxy(reader, &tls);
    let mut settings = std::collections::BTreeMap::new();
    if let Some((user, password)) = request.basic_auth {
        settings.insert("user", Setting::Plain(user.into()));
        settings.insert("password", Setting::Secret(password));
    }
    settings.extend(request.bearer.map(|token| ("token", Setting::Secret(token))));
    let own = OwnRequest {
        method: reader.word("method").unwrap_or("POST").to_owned(),
        body: body(reader)?,
        status: reader.statuses("status"),
        each: reader.flag("each"),
    };
    Some(Notifier {
        plan: plan(reader, Batching::Together),
        timeout: timeout(reader, TIMEOUT),
        title: template(reader, "title"),
        text: template(reader, "text"),
        kind: NotifierKind::Service(Box::new(Service {
            kind: "http",
            endpoints: vec![Endpoint::Plain(request.url?)],
            settings,
            headers,
            request: Some(own),
            tls,
            proxy,
        })),
    })
}

/// The whole message, with the texts that people read.
const WHOLE: &str = r#"{
  "id": "{{ id }}", "notifier": "{{ notifier }}", "occasion": "{{ occasion }}", "cluster": "{{ cluster }}",
  "status": "{{ status }}", "resolved": "=resolved", "title": "{{ title }}", "text": "{{ text }}", "at": "{{ at }}",
  "items": "=items", "omitted": "=omitted", "failing": "=failing", "attempt": "=attempt"
}"#;

fn body(reader: &Reader<'_>) -> Option<OwnBody> {
    let both =
        reader.exclude("json", "form") || reader.exclude("json", "body") || reader.exclude("form", "body");
    if both {
        return None;
    }
    if let Some(value) = reader.value("json") {
        let document = document(reader, value)?;
        return match Shape::new(document) {
            Ok(shape) => Some(OwnBody::Json(shape)),
            Err((text, error)) => {
                let (span, error) = match place(value, &text) {
                    Some(at) => (at.span, error),
                    // Nobody can say in which of the texts it is.
                    None => (value.span, TemplateError { range: None, ..error }),
                };
                wrong(reader, "json", span, &error);
                None
            }
        };
    }
    if reader.is_set("form") {
        let field = |(name, value): (&Text, &Value)| match &value.is {
            Is::Text(text) => {
                let text = Text { is: text.clone(), span: value.span };
                compiled(reader, "form", &text, Template::new).map(|template| (name.is.clone(), template))
            }
            _ => {
                let message =
                    format!("the field `{}` is text in quotes, not {}", name.is, value.is.describe());
                reader.decoder.add(Draft::new(Code::WrongType, value.span, message));
                None
            }
        };
        let fields = reader.entries("form").into_iter().map(field).collect::<Option<Vec<_>>>()?;
        return Some(OwnBody::Form(fields));
    }
    match reader.value("body") {
        Some(_) => template(reader, "body").map(OwnBody::Text),
        None => Some(OwnBody::Json(Shape::trusted(WHOLE))),
    }
}

/// A value as JSON; what has none is told.
fn document(reader: &Reader<'_>, value: &Value) -> Option<serde_json::Value> {
    match &value.is {
        Is::Null => Some(serde_json::Value::Null),
        Is::Flag(flag) => Some((*flag).into()),
        Is::Text(text) => Some(text.clone().into()),
        Is::Number(number) => Some(match crate::value::exact(*number) {
            Some(whole) => whole.into(),
            None => (*number).into(),
        }),
        Is::List(items) => {
            items.iter().map(|item| document(reader, item)).collect::<Option<Vec<_>>>().map(Into::into)
        }
        Is::Map(entries) => {
            let entry =
                |(name, value): &(Text, Value)| document(reader, value).map(|value| (name.is.clone(), value));
            entries.iter().map(entry).collect::<Option<serde_json::Map<_, _>>>().map(Into::into)
        }
        Is::Path(_) | Is::Call(..) | Is::Not(_) | Is::Binary(..) | Is::Other(_) => {
            let message = format!("`json` holds values and texts, not {}", value.is.describe());
            reader.decoder.add(Draft::new(Code::WrongType, value.span, message));
            None
        }
    }
}

/// Where a text stands.
fn place<'v>(value: &'v Value, wanted: &str) -> Option<&'v Value> {
    match &value.is {
        Is::Text(text) => (text == wanted).then_some(value),
        Is::List(items) => items.iter().find_map(|item| place(item, wanted)),
        Is::Map(entries) => entries.iter().find_map(|(_, item)| place(item, wanted)),
        _ => None,
    }
}
