//! The old words for each notifier, as what leaves by ours.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lictor_agent::alert::notify::{Made, Post};
use lictor_compat::Moment;
use lictor_compat::consul_alerts::text;
use lictor_compat::consul_alerts::{Kind, Message, Notifier, Remark};
use lictor_compat::gotemplate::{Mode, Template};
use serde_json::{Map, Value, json};
use tracing::error;
use url::Url;

const PAGERDUTY: &str = "https://events.pagerduty.com/generic/2010-04-15/create_event.json";
const OPSGENIE: &str = "https://api.opsgenie.com/v2/alerts";
const JSM: &str = "https://api.atlassian.com/jsm/ops/integration/v2/alerts";
const VICTOROPS: &str = "https://alert.victorops.com/integrations/generic/20131114/alert";
const ILERT: &str = "https://api.ilert.com/api/events";

/// The longest texts that OpsGenie takes, characters.
const MESSAGE: usize = 130;
const ALIAS: usize = 512;
const DESCRIPTION: usize = 15_000;

/// A message of the old kind.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) message: Message,
    /// Whether it is over for whom it is told.
    pub(super) over: bool,
}

impl Told {
    /// For services that keep incidents: what is over is passing.
    fn settled(&self) -> Message {
        let mut message = self.message.clone();
        if self.over {
            "passing".clone_into(&mut message.status);
        }
        message
    }
}

/// What a notifier says to a service; `template` is the text of its own template.
///
/// # Errors
/// In words, what cannot be made.
pub(super) fn made(
    notifier: &Notifier,
    told: &[Told],
    template: Option<&str>,
    now: Timestamp,
) -> Result<Made, String> {
    let messages: Vec<Message> = told.iter().map(|told| told.message.clone()).collect();
    let each = |make: &dyn Fn(&Message) -> Result<Post, String>| -> Result<Vec<Post>, String> {
        told.iter().map(|told| make(&told.settled())).collect()
    };
    let cluster = notifier.cluster();
    let posts = match notifier.kind {
        Kind::Slack => vec![json_to(notifier.text("url"), words(text::slack(notifier, &messages))?)?],
        Kind::MattermostWebhook => {
            let payload = words(text::mattermost_webhook(notifier, &messages))?;
            let body = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("payload", &payload)
                .finish();
            vec![post(notifier.text("url"), "application/x-www-form-urlencoded", body)?]
        }
        Kind::Pagerduty => {
            each(&|message| json_to(PAGERDUTY, words(text::pagerduty_event(notifier, message))?))?
        }
        Kind::Opsgenie => each(&|message| opsgenie(OPSGENIE, notifier, message, &messages))?,
        Kind::Jsm => each(&|message| opsgenie(JSM, notifier, message, &messages))?,
        Kind::Victorops => each(&|message| {
            let url = below(VICTOROPS, &[notifier.text("api-key"), notifier.text("routing-key")])?;
            json_to(url.as_str(), words(text::victorops_event(message, now))?)
        })?,
        Kind::Ilert => each(&|message| ilert(notifier, message))?,
        Kind::HttpEndpoint => {
            let url = format!("{}{}", notifier.text("base-url"), notifier.text("endpoint"));
            vec![json_to(&url, payload(notifier, &messages))?]
        }
        Kind::Alerta => each(&|message| alerta(notifier, message))?,
        Kind::Elasticsearch => each(&|message| {
            let host = notifier.text("host");
            let base = if host.contains("://") { host.to_owned() } else { format!("http://{host}") };
            let url = below(&base, &[notifier.text("index-name"), "_doc"])?;
            let var_overrides = message.var_overrides.without_secrets();
            json_to(url.as_str(), words(Message { var_overrides, ..message.clone() }.to_json())?)
        })?,
        Kind::Awssns => {
            let text = template.map_or_else(
                || text::sns_text(&messages),
                |template| {
                    text::from_template(template, cluster, &messages)
                        .unwrap_or_else(|error| error.to_string())
                },
            );
            return Ok(Made::Texts { title: text::sns_subject(&messages), text });
        }
        Kind::Log => {
            let at = Moment::new(now, jiff::tz::TimeZone::system());
            return Ok(Made::Lines(messages.iter().map(|message| text::log_line(message, &at)).collect()));
        }
        Kind::Email | Kind::Mattermost | Kind::Prometheus | Kind::Influxdb | Kind::Hipchat => {
            return Err(format!("`{}` has no words of its own", notifier.kind.name()));
        }
    };
    let secrets = notifier.kind.fields().iter().filter(|field| field.secret);
    let secrets = secrets.map(|field| notifier.text(field.key).to_owned()).collect();
    Ok(Made::Posts { posts, secrets })
}

/// Subject, plain text and HTML of a mail.
pub(super) fn mail(
    notifier: &Notifier,
    cluster: &str,
    messages: &[Message],
    template: Option<&str>,
) -> (String, String, String) {
    let plain = text::standard(cluster, messages);
    let own = template.and_then(|template| match text::from_template(template, cluster, messages) {
        Ok(html) => Some(html),
        Err(error) => {
            error!(path = notifier.text("template"), %error, "the template of mails has a mistake");
            None
        }
    });
    // Ours has no mistake, but may grow too long.
    let html = own.or_else(|| text::from_template(text::MAIL, cluster, messages).ok());
    let html = html.unwrap_or_else(|| "<p>Too much is wrong for a page.</p>".to_owned());
    (text::mail_subject(cluster, messages), plain, html)
}

/// The text for Mattermost with a user.
pub(super) fn mattermost(notifier: &Notifier, told: &[Told]) -> String {
    let messages: Vec<Message> = told.iter().map(|told| told.message.clone()).collect();
    if notifier.flag("detailed") {
        text::mattermost_detailed(notifier.cluster(), &messages)
    } else {
        text::mattermost(notifier.cluster(), &messages)
    }
}

/// What is wrong with the templates that stand in the keys below `prefix`.
pub(super) fn mistakes(prefix: &str, notifier: &Notifier) -> Vec<Remark> {
    let remark = |key: &str, why: String, instead: &str| Remark {
        key: format!("{prefix}notifiers/{}/{key}", notifier.kind.name()),
        why,
        instead: instead.to_owned(),
    };
    match notifier.kind {
        Kind::HttpEndpoint => {
            let mistake = |(member, template): (&str, &str)| {
                let error = Template::parse(template, Mode::Html).err()?;
                let why = format!("has a mistake in the template of `{member}`: {error}");
                Some(remark("payload", why, "the plain text is sent in its place"))
            };
            notifier.map("payload").into_iter().filter_map(mistake).collect()
        }
        Kind::Ilert => {
            let mistake = Template::parse(notifier.text("incident-key-template"), Mode::Text).err();
            let why = mistake.map(|error| format!("has a mistake: {error}"));
            let said =
                why.map(|why| remark("incident-key-template", why, "node, service and check are used"));
            said.into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn words<T, E: std::fmt::Display>(made: Result<T, E>) -> Result<T, String> {
    made.map_err(|error| error.to_string())
}

/// The members of the payload; a template with a mistake gives the plain text.
fn payload(notifier: &Notifier, messages: &[Message]) -> String {
    text::http_payload(notifier, messages).unwrap_or_else(|_mistake| {
        let member = |(key, template): (&str, &str)| {
            let made = text::from_template(template, notifier.cluster(), messages);
            let text = made.unwrap_or_else(|error| {
                error!(member = key, %error, "a template of an HTTP payload has a mistake");
                text::standard(notifier.cluster(), messages)
            });
            (key.to_owned(), Value::from(text))
        };
        Value::Object(notifier.map("payload").into_iter().map(member).collect::<Map<_, _>>()).to_string()
    })
}

fn opsgenie(base: &str, notifier: &Notifier, message: &Message, all: &[Message]) -> Result<Post, String> {
    let alias = cut(&text::incident_key(message), ALIAS);
    let (url, body) = if message.status == "passing" {
        let mut url = below(base, &[&alias, "close"])?;
        url.set_query(Some("identifierType=alias"));
        (url.into(), json!({ "source": "consul" }))
    } else {
        let body = json!({
            "message": cut(&text::opsgenie_message(message), MESSAGE),
            "alias": alias,
            "description": cut(&text::opsgenie_description(notifier.cluster(), message, all), DESCRIPTION),
            "entity": cut(notifier.cluster(), ALIAS),
            "source": "consul",
        });
        (base.to_owned(), body)
    };
    let mut post = json_to(&url, body.to_string())?;
    post.headers.insert("authorization".to_owned(), format!("GenieKey {}", notifier.text("api-key")));
    Ok(post)
}

fn ilert(notifier: &Notifier, message: &Message) -> Result<Post, String> {
    let Message { node, service, check, .. } = message;
    let key = text::ilert_key(notifier, message).unwrap_or_else(|error| {
        error!(%error, "the template of iLert's key has a mistake");
        format!("{node}:{service}:{check}")
    });
    let (kind, summary) = text::ilert_event(&key, &message.status);
    let body = json!({
        "apiKey": notifier.text("api-key"), "eventType": kind, "summary": summary, "details": message.output,
        "alertKey": key,
    });
    json_to(ILERT, body.to_string())
}

fn alerta(notifier: &Notifier, message: &Message) -> Result<Post, String> {
    let or = |key: &str, usual: &str| {
        let text = notifier.text(key);
        if text.is_empty() { usual.to_owned() } else { text.to_owned() }
    };
    let severity = match message.status.as_str() {
        "passing" => "normal",
        "warning" => "warning",
        "critical" => "critical",
        _ => "unknown",
    };
    let service = if message.service.is_empty() { "consul" } else { &message.service };
    let body = json!({
        "resource": text::incident_key(message), "event": message.check, "environment": notifier.cluster(),
        "severity": severity, "service": [service], "text": message.output, "origin": or("origin", "consul-alerts"),
        "type": or("type", "consulAlert"),
        "attributes": { "domain": notifier.text("domain"), "link": notifier.text("link"), "node": message.node },
    });
    let url = notifier.text("url").trim_end_matches('/');
    let url = if url.ends_with("/alert") { url.to_owned() } else { format!("{url}/alert") };
    let mut post = json_to(&url, body.to_string())?;
    let token = notifier.text("token");
    if !token.is_empty() {
        post.headers.insert("authorization".to_owned(), format!("Key {token}"));
    }
    Ok(post)
}

fn json_to(url: &str, body: String) -> Result<Post, String> {
    post(url, "application/json", body)
}

fn post(url: &str, kind: &str, body: String) -> Result<Post, String> {
    let url = address(url)?;
    let headers = BTreeMap::from([("content-type".to_owned(), kind.to_owned())]);
    Ok(Post { url, headers, body, unless: None })
}

/// An address. What is wrong with it is not shown: it may be secret.
fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("the address of the service is no URL: {error}"))?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err("the address of the service begins neither with http:// nor https://".to_owned())
    }
}

/// The address with these parts of a path after it, whatever is in them.
fn below(base: &str, parts: &[&str]) -> Result<Url, String> {
    let mut url = address(base)?;
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(parts);
    }
    Ok(url)
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
