//! The settings of a service, read by its schema.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use super::super::consul::is_local;
use super::super::{tls, watch_http};
use super::common::{plan, template, timeout};
use super::services::Kindred;
use crate::code::Code;
use crate::model::{Endpoint, Notifier, NotifierKind, Service, Setting, Tls};
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::schema::Kind;
use crate::secret::Secret;
use crate::syntax::tree::{Block, Is, Text};

/// What is read by itself and is no setting.
const ASIDE: [&str; 12] = [
    "title",
    "text",
    "batch",
    "parallel",
    "rate",
    "timeout",
    "backoff",
    "backoff_max",
    "expire",
    "headers",
    "proxy",
    "insecure",
];

pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a notifier that tells a service of the table.
pub(super) fn decode(reader: &Reader<'_>, kind: &'static str, service: &Kindred) -> Option<Notifier> {
    for group in service.one_of {
        exactly_one(reader, group);
    }
    for (one, other) in service.needs {
        reader.needs(one, other);
    }
    let endpoints = endpoints(reader, service);
    let headers = watch_http::headers(reader);
    let tls = tls::decode(reader);
    let settings = settings(reader);
    warn_clear(reader, &endpoints, &settings, &headers);
    let proxy = proxy(reader, &tls);
    let notifier = Notifier {
        plan: plan(reader, service.batch),
        timeout: timeout(reader, TIMEOUT),
        title: template(reader, "title"),
        text: template(reader, "text"),
        kind: NotifierKind::Service(Box::new(Service {
            kind,
            settings,
            headers,
            request: None,
            tls,
            proxy,
            endpoints: endpoints?,
        })),
    };
    Some(notifier)
}

/// The proxy, if it is set.
pub(super) fn proxy(reader: &Reader<'_>, tls: &Tls) -> Option<Url> {
    let proxy = reader.http_url("proxy")?;
    if tls.server_name.is_some() {
        let message = "`proxy` and `server_name` exclude each other";
        let draft = Draft::new(Code::Combination, reader.span("server_name"), message);
        reader.decoder.add(draft.also(reader.span("proxy"), "the other one"));
    }
    Some(proxy)
}

fn exactly_one(reader: &Reader<'_>, names: &[&str]) {
    let set: Vec<&str> = names.iter().copied().filter(|name| reader.is_set(name)).collect();
    match set.as_slice() {
        [] => {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            let message = format!("{} of {} is missing", names.join(" or "), reader.place());
            reader.decoder.add(Draft::new(Code::Missing, reader.head, message).label("in this block"));
        }
        [first, second, ..] => {
            let (first_at, second_at) = (span_of(reader, first), span_of(reader, second));
            let message = format!("`{first}` and `{second}` exclude each other");
            reader
                .decoder
                .add(Draft::new(Code::Combination, second_at, message).also(first_at, "the other one"));
        }
        [_] => {}
    }
}

/// The place of a setting that may be a secret.
fn span_of(reader: &Reader<'_>, name: &str) -> crate::source::Span {
    let names = reader.attribute(name).names();
    names.into_iter().find(|name| reader.value(name).is_some()).map_or(reader.head, |name| reader.span(&name))
}

fn endpoints(reader: &Reader<'_>, service: &Kindred) -> Option<Vec<Endpoint>> {
    let has = |name: &str| reader.schema.attribute(name).is_some();
    if has("urls") {
        let texts = reader.texts("urls");
        if reader.is_set("urls") && texts.is_empty() {
            let message = "`urls` is empty";
            reader.decoder.add(Draft::new(Code::Missing, reader.span("urls"), message));
        }
        return texts.iter().map(|text| plain(reader, "urls", text).map(Endpoint::Plain)).collect();
    }
    if has("webhook") && reader.is_set("webhook") {
        let secret = reader.secret("webhook")?;
        if let Some(value) = reader.value("webhook")
            && let Is::Text(text) = &value.is
        {
            plain(reader, "webhook", &Text { is: text.clone(), span: value.span })?;
        }
        return Some(vec![Endpoint::Secret(secret)]);
    }
    let url = match reader.value("url") {
        Some(_) => reader.http_url("url")?,
        None => Url::parse(service.url).ok()?,
    };
    Some(vec![Endpoint::Plain(url)])
}

fn plain(reader: &Reader<'_>, name: &str, text: &Text) -> Option<Url> {
    let found = Url::parse(&text.is).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let found = found.filter(|url| url.password().is_none());
    if found.is_none() {
        let message = format!("`{name}` is not an http or https URL");
        let help = "write https://…, and a password into an attribute of its own";
        reader.decoder.add(Draft::new(Code::Address, text.span, message).help(help));
    }
    found
}

/// Everything else that the schema has.
fn settings(reader: &Reader<'_>) -> BTreeMap<&'static str, Setting> {
    let aside = |name: &str| {
        ASIDE.contains(&name)
            || matches!(name, "url" | "urls" | "webhook")
            || tls::ATTRIBUTES.iter().any(|attribute| attribute.name == name)
    };
    let mut found = BTreeMap::new();
    for attribute in reader.schema.attributes().filter(|attribute| !aside(attribute.name)) {
        let name = attribute.name;
        let plain = |value: serde_json::Value| Setting::Plain(value);
        let setting = match attribute.kind {
            Kind::Secret => reader.secret(name).map(Setting::Secret),
            Kind::Flag => Some(plain(reader.flag(name).into())),
            Kind::Whole(..) => reader.whole(name).map(|whole| plain(whole.into())),
            Kind::Word(_) => reader.word(name).map(|word| plain(word.into())),
            Kind::Duration(..) => Some(plain(reader.duration(name).as_secs().into())),
            Kind::Texts => {
                let texts: Vec<String> = reader.texts(name).into_iter().map(|text| text.is).collect();
                reader.is_set(name).then(|| plain(texts.into()))
            }
            _ => {
                let written = reader.value(name).is_some();
                let text = if written { reader.text(name) } else { reader.default(name).map(str::to_owned) };
                text.map(|text| plain(text.into()))
            }
        };
        found.extend(setting.map(|setting| (name, setting)));
    }
    found
}

/// Warns of a secret that travels in clear text.
fn warn_clear(
    reader: &Reader<'_>,
    endpoints: &Option<Vec<Endpoint>>,
    settings: &BTreeMap<&'static str, Setting>,
    headers: &[(String, Secret)],
) {
    let secret = settings.values().any(|setting| matches!(setting, Setting::Secret(_)))
        || headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    for endpoint in endpoints.iter().flatten().filter(|_| secret) {
        if let Endpoint::Plain(url) = endpoint
            && url.scheme() == "http"
            && !is_local(url)
        {
            let message = format!("a secret travels to {} in clear text", url.host_str().unwrap_or_default());
            let name = if reader.value("urls").is_some() { "urls" } else { "url" };
            let draft = Draft::warning(Code::ClearText, reader.span(name), message);
            reader.decoder.add(draft.help("use https://"));
        }
    }
}

/// Whether the block is for InfluxDB 0.8, whose protocol nothing speaks any more.
pub(super) fn is_old_influxdb(decoder: &Decoder<'_>, block: &Block) -> bool {
    let written = |name: &str| block.body.attributes.iter().find(|attribute| attribute.name.is == name);
    let old = |value: &Is| match value {
        Is::Text(text) => text.starts_with("0."),
        Is::Number(number) => *number < 1.0,
        _ => false,
    };
    let by_version = written("version").filter(|attribute| old(&attribute.value.is));
    let Some(found) = by_version.or_else(|| written("series_name")).or_else(|| written("series-name")) else {
        return false;
    };
    block.body.texts(&mut |span| decoder.report.hide(span));
    let message = "this service no longer exists: InfluxDB 0.8 was the last to take this";
    let help =
        "name the `database` of a version 1 server or the `bucket` of a version 2 one, and the `measurement`";
    decoder.add(Draft::new(Code::Gone, found.name.span, message).help(help));
    true
}
