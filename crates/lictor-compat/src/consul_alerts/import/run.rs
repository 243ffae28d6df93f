//! The configuration that stands in for the old program while it is called by its name.
//!
//! It is made by the same writers as the one that is printed. What that one leaves to a person is
//! here done by whoever sends the messages: each receiver has a block that says by which way it is
//! reached, and the words are made elsewhere.

use super::super::kv::{CONFIG, PREFIX, Settings};
use super::super::notifiers::{Kind, Notifier};
use super::super::profiles::Receiver;
use super::super::remark::Remark;
use super::super::start::Start;
use super::{Names, notify, routes};
use crate::hcl::{Writer, list, quoted};

/// Somebody who tells, under the name that the configuration has for them.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Who it is.
    pub receiver: Receiver,
    /// The block of the configuration.
    pub block: String,
}

/// Where the agent is that stands in.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its name among nodes.
    pub node: String,
    /// Where its state lies.
    pub state_dir: String,
    /// Where its own interface listens.
    pub listen: String,
    /// Where its own keys lie in Consul.
    pub prefix: String,
}

/// All who can be told, and what of the others keeps them from it.
pub fn receivers(settings: &Settings) -> (Vec<Named>, Vec<Remark>) {
    let (mut named, mut remarks) = (Vec::new(), Vec::new());
    for (name, receiver) in notify::named(settings) {
        match block(&receiver, &name) {
            Ok(Some(block)) => named.push(Named { name, receiver, block }),
            // That was remarked when the keys were read.
            Ok(None) => {}
            Err(why) => {
                let remark = Remark::new(&key_of(&receiver), why, "it tells nobody");
                if !remarks.contains(&remark) {
                    remarks.push(remark);
                }
            }
        }
    }
    (named, remarks)
}

/// What is said of a receiver whose block nothing can be made of.
pub fn unusable(named: &Named, why: &str) -> Remark {
    Remark::new(&key_of(&named.receiver), &format!("cannot be used: {why}"), "it tells nobody")
}

/// The configuration in which these are told. Whether checks are looked at, it does not say: that is
/// [`Settings::checks_enabled`].
pub fn configuration(settings: &Settings, start: &Start, place: &Place, receivers: &[Named]) -> String {
    let mut out = Writer::default();
    out.block("node", |out| {
        out.set("name", &quoted(&place.node));
        out.set("state_dir", &quoted(&place.state_dir));
    });
    out.block("http", |out| out.set("address", &quoted(&place.listen)));
    out.block("consul", |out| {
        super::consul_settings(start, out);
        out.set("prefix", &quoted(&place.prefix));
        if !start.consul.verify && !start.consul.address.starts_with("http://") {
            out.set("insecure", "true");
        }
    });
    // Also while they are not looked at: without the block, the node would tell for itself alone.
    super::alerts(settings, true, &mut out);
    let mut text = out.end();
    let mut names = Names::new();
    for Named { name, receiver, block } in receivers {
        text.push('\n');
        text.push_str(block);
        names.insert(receiver.clone(), name.clone());
    }
    let mut out = Writer::default();
    routes::blocks(settings, &names, &mut out);
    text.push('\n');
    text + &out.end()
}

fn key_of(receiver: &Receiver) -> String {
    match receiver {
        Receiver::Custom { name, .. } => format!("{PREFIX}{CONFIG}notifiers/custom/{name}"),
        Receiver::BuiltIn(notifier) => format!("{PREFIX}{CONFIG}notifiers/{}", notifier.kind.name()),
    }
}

/// The block of a receiver; none for a service that no longer exists.
fn block(receiver: &Receiver, name: &str) -> Result<Option<String>, &'static str> {
    let mut out = Writer::default();
    let notifier = match receiver {
        Receiver::Custom { path, .. } => {
            notify::block(&mut out, "exec", name, |out| out.set("command", &list(&[quoted(path)])));
            return Ok(Some(out.end()));
        }
        Receiver::BuiltIn(notifier) => notifier,
    };
    if matches!(notifier.kind, Kind::Hipchat | Kind::Influxdb) {
        return Ok(None);
    }
    let missing = |key: &&str| notifier.text(key).is_empty() && notifier.list(key).is_empty();
    if needs(notifier.kind).iter().any(missing) {
        return Err("is on, but not all that it needs is set");
    }
    if let Some((kind, url)) = service(notifier) {
        notify::block(&mut out, kind, name, |out| set(notifier, &url, out));
    } else if notifier.kind == Kind::Email {
        notify::block(&mut out, "email", name, |out| notify::email(notifier, out));
    } else {
        notify::block(&mut out, "log", name, |out| out.text("path", notifier.text("path")));
    }
    Ok(Some(out.end()))
}

/// What has to be set.
const fn needs(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Email => &["url", "sender-email", "receivers"],
        Kind::Log => &["path"],
        Kind::Slack | Kind::MattermostWebhook => &["url"],
        Kind::Mattermost => &["url", "password", "team", "channel"],
        Kind::Pagerduty => &["service-key"],
        Kind::Opsgenie | Kind::Ilert | Kind::Jsm => &["api-key"],
        Kind::Victorops => &["api-key", "routing-key"],
        Kind::Awssns => &["topic-arn"],
        Kind::HttpEndpoint => &["base-url"],
        Kind::Prometheus => &["base-urls"],
        Kind::Alerta => &["url"],
        Kind::Elasticsearch => &["host", "index-name"],
        Kind::Influxdb | Kind::Hipchat => &[],
    }
}

/// The kind of block for a service, and an address at the server that it goes to.
fn service(notifier: &Notifier) -> Option<(&'static str, String)> {
    let own = |key: &str| notifier.text(key).to_owned();
    Some(match notifier.kind {
        Kind::Slack => ("slack", own("url")),
        Kind::MattermostWebhook => ("mattermost", own("url")),
        Kind::Mattermost | Kind::Alerta => ("http", own("url")),
        Kind::Pagerduty => ("pagerduty", "https://events.pagerduty.com".to_owned()),
        Kind::Opsgenie => ("opsgenie", "https://api.opsgenie.com".to_owned()),
        Kind::Jsm => ("opsgenie", "https://api.atlassian.com/jsm/ops/integration".to_owned()),
        Kind::Victorops => ("victorops", "https://alert.victorops.com".to_owned()),
        Kind::Ilert => ("ilert", "https://api.ilert.com/api".to_owned()),
        Kind::Awssns => ("sns", format!("https://sns.{}.amazonaws.com", notifier.text("region"))),
        Kind::HttpEndpoint => ("http", format!("{}{}", notifier.text("base-url"), notifier.text("endpoint"))),
        Kind::Prometheus => ("alertmanager", notifier.list("base-urls").first().cloned().unwrap_or_default()),
        Kind::Elasticsearch => ("http", http(notifier.text("host"))),
        Kind::Email | Kind::Log | Kind::Influxdb | Kind::Hipchat => return None,
    })
}

/// An address for `HOST:PORT`.
fn http(host: &str) -> String {
    if host.contains("://") { host.to_owned() } else { format!("http://{host}") }
}

fn set(notifier: &Notifier, url: &str, out: &mut Writer) {
    match notifier.kind {
        Kind::Slack | Kind::MattermostWebhook => out.secret("webhook", url),
        Kind::Pagerduty => out.secret("service_key", notifier.text("service-key")),
        Kind::Opsgenie | Kind::Ilert => out.secret("api_key", notifier.text("api-key")),
        Kind::Jsm => {
            out.set("url", &quoted(url));
            out.secret("api_key", notifier.text("api-key"));
        }
        Kind::Victorops => {
            out.secret("api_key", notifier.text("api-key"));
            out.text("routing_key", notifier.text("routing-key"));
        }
        Kind::Awssns => {
            out.text("topic", notifier.text("topic-arn"));
            out.text("region", notifier.text("region"));
        }
        Kind::Prometheus => {
            let urls: Vec<_> = notifier.list("base-urls").iter().map(|url| quoted(url)).collect();
            out.set("urls", &list(&urls));
        }
        Kind::Alerta | Kind::Elasticsearch => {
            out.set("url", &quoted(url));
            out.set("batch", &quoted("alert"));
        }
        Kind::HttpEndpoint | Kind::Mattermost | Kind::Email | Kind::Log | Kind::Influxdb | Kind::Hipchat => {
            out.set("url", &quoted(url));
        }
    }
}
