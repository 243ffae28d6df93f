//! The blocks `notify`.

use std::collections::BTreeSet;

use super::super::kv::Settings;
use super::super::notifiers::{Kind, Notifier};
use super::super::profiles::Receiver;
use super::Names;
use crate::hcl::{Writer, list, quoted};

/// Writes a block for each receiver that a profile can have, and names it.
pub(super) fn blocks(settings: &Settings, out: &mut Writer) -> Names {
    let mut names = Names::new();
    for (name, receiver) in named(settings) {
        if write(&receiver, &name, out) {
            names.insert(receiver, name);
        }
    }
    names
}

/// Each receiver that a profile can have, once, with its name.
pub(super) fn named(settings: &Settings) -> Vec<(String, Receiver)> {
    let mut named: Vec<(String, Receiver)> = Vec::new();
    let mut known = BTreeSet::new();
    let mut taken = BTreeSet::new();
    let usual = settings.receivers(None).into_iter().map(|receiver| (String::new(), receiver));
    let of_profiles = settings.profiles.iter().flat_map(|(name, profile)| {
        let receivers = settings.receivers(Some(profile)).into_iter();
        receivers.map(move |receiver| (format!("-{name}"), receiver))
    });
    for (suffix, receiver) in usual.chain(of_profiles) {
        if known.insert(receiver.clone()) {
            let name = unused(&format!("{}{suffix}", receiver.name()), &mut taken);
            named.push((name, receiver));
        }
    }
    named
}

/// The name with what a name may have, once.
fn unused(wanted: &str, taken: &mut BTreeSet<String>) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "_-.:@/".contains(c) { c } else { '-' };
    let name: String = wanted.chars().map(fits).take(100).collect();
    let mut found = name.clone();
    let mut number = 2;
    while !taken.insert(found.clone()) {
        found = format!("{name}-{number}");
        number += 1;
    }
    found
}

/// Writes it, or why it cannot be written; says whether it is there now.
fn write(receiver: &Receiver, name: &str, out: &mut Writer) -> bool {
    let notifier = match receiver {
        Receiver::Custom { path, .. } => {
            block(out, "exec", name, |out| {
                out.set("command", &list(&[quoted(path)]));
                out.set("input", &quoted("consul-alerts"));
            });
            return true;
        }
        Receiver::BuiltIn(notifier) => notifier,
    };
    if let Some(why) = impossible(notifier) {
        out.comment(&format!("TODO: `{}` ({name}) {why}", notifier.kind.name()));
        out.blank();
        return false;
    }
    match notifier.kind {
        Kind::Email => block(out, "email", name, |out| {
            template(notifier, out);
            email(notifier, out);
        }),
        Kind::Log => block(out, "log", name, |out| out.text("path", notifier.text("path"))),
        Kind::Slack => block(out, "slack", name, |out| {
            out.secret("webhook", notifier.text("url"));
            out.text("channel", notifier.text("channel"));
            out.text("username", notifier.text("username"));
            out.text("icon_emoji", notifier.text("icon-emoji"));
            out.text("icon_url", notifier.text("icon-url"));
        }),
        Kind::MattermostWebhook => block(out, "mattermost", name, |out| {
            out.secret("webhook", notifier.text("url"));
            out.text("channel", notifier.text("channel"));
            out.text("username", notifier.text("username"));
            out.text("icon_url", notifier.text("icon-url"));
        }),
        Kind::Pagerduty => block(out, "pagerduty", name, |out| {
            out.secret("service_key", notifier.text("service-key"));
            out.text("client", notifier.text("client-name"));
            out.text("client_url", notifier.text("client-url"));
        }),
        Kind::Opsgenie => block(out, "opsgenie", name, |out| {
            out.secret("api_key", notifier.text("api-key"));
            out.text("entity", notifier.cluster());
        }),
        Kind::Victorops => block(out, "victorops", name, |out| {
            out.secret("api_key", notifier.text("api-key"));
            out.text("routing_key", notifier.text("routing-key"));
        }),
        Kind::Ilert => block(out, "ilert", name, |out| out.secret("api_key", notifier.text("api-key"))),
        Kind::HttpEndpoint => block(out, "http", name, |out| http(notifier, out)),
        Kind::Prometheus => block(out, "alertmanager", name, |out| {
            out.comment("The second version of the API is used, whatever `endpoint` was.");
            let urls: Vec<_> = notifier.list("base-urls").iter().map(|url| quoted(url)).collect();
            out.set("urls", &list(&urls));
        }),
        Kind::Awssns => block(out, "sns", name, |out| {
            template(notifier, out);
            out.text("topic", notifier.text("topic-arn"));
            out.text("region", notifier.text("region"));
        }),
        Kind::Influxdb
        | Kind::Mattermost
        | Kind::Hipchat
        | Kind::Alerta
        | Kind::Elasticsearch
        | Kind::Jsm => {
            return false;
        }
    }
    true
}

pub(super) fn block(out: &mut Writer, kind: &str, name: &str, body: impl FnOnce(&mut Writer)) {
    out.block(&format!("notify {} {}", quoted(kind), quoted(name)), body);
}

/// Why there can be no block.
fn impossible(notifier: &Notifier) -> Option<&'static str> {
    let needs = |keys: &[&str]| {
        let missing = |key: &&str| notifier.text(key).is_empty() && notifier.list(key).is_empty();
        keys.iter().any(missing).then_some("is on, but not all that it needs is set.")
    };
    match notifier.kind {
        Kind::Email => needs(&["url", "sender-email", "receivers"]),
        Kind::Log => needs(&["path"]),
        Kind::Slack | Kind::MattermostWebhook => needs(&["url"]),
        Kind::Pagerduty => needs(&["service-key"]),
        Kind::Opsgenie | Kind::Ilert => needs(&["api-key"]),
        Kind::Victorops => needs(&["api-key", "routing-key"]),
        Kind::Awssns => needs(&["topic-arn"]),
        Kind::HttpEndpoint => needs(&["base-url"]),
        Kind::Prometheus => needs(&["base-urls"]),
        Kind::Hipchat => Some("was a service that no longer exists."),
        Kind::Influxdb => Some(
            "spoke to InfluxDB 0.8, which no longer exists; write `notify \"influxdb\"` with `database` (version 1) \
             or `bucket` (version 2).",
        ),
        Kind::Mattermost => Some(
            "logged in as a user with an API that no longer exists; write `notify \"mattermost\"` with the `token` \
             of a bot and a `channel_id`, or a `webhook`.",
        ),
        Kind::Alerta => {
            Some("was in no release; write `notify \"http\"` with the address of Alerta's webhook.")
        }
        Kind::Elasticsearch => {
            Some("was in no release; write `notify \"http\"` with the address of the index.")
        }
        Kind::Jsm => Some("was in no release; write `notify \"http\"` with the address of the integration."),
    }
}

pub(super) fn email(notifier: &Notifier, out: &mut Writer) {
    let port = notifier.number("port");
    out.text("host", notifier.text("url"));
    if port > 0 {
        out.set("port", &port.to_string());
    }
    out.set("security", &quoted(if port == 465 { "implicit" } else { "opportunistic" }));
    if !notifier.text("username").is_empty() && !notifier.text("password").is_empty() {
        out.text("user", notifier.text("username"));
        out.secret("password", notifier.text("password"));
    }
    let (alias, address) = (notifier.text("sender-alias"), notifier.text("sender-email"));
    out.set(
        "from",
        &quoted(&if alias.is_empty() { address.to_owned() } else { format!("{alias} <{address}>") }),
    );
    let receivers: Vec<_> = notifier.list("receivers").iter().map(|receiver| quoted(receiver)).collect();
    out.set("to", &list(&receivers));
    if notifier.flag("one-per-alert") {
        out.set("batch", &quoted("alert"));
    } else if notifier.flag("one-per-node") {
        out.set("batch", &quoted("node"));
    }
}

fn template(notifier: &Notifier, out: &mut Writer) {
    let path = notifier.text("template");
    if !path.is_empty() {
        out.comment(&format!(
            "TODO: the template {path} is in Go's language; translate it into `text` or `html`."
        ));
    }
}

fn http(notifier: &Notifier, out: &mut Writer) {
    let (templates, plain): (Vec<_>, Vec<_>) =
        notifier.map("payload").into_iter().partition(|(_, value)| value.contains('{'));
    if !templates.is_empty() {
        out.comment(
            "TODO: these members of the payload are templates in Go's language; translate them into `json`:",
        );
        for (key, value) in templates {
            out.comment(&format!("  {} = {}", quoted(key), quoted(value)));
        }
    }
    out.set("url", &quoted(&format!("{}{}", notifier.text("base-url"), notifier.text("endpoint"))));
    if !plain.is_empty() {
        let members: Vec<_> =
            plain.iter().map(|(key, value)| format!("{} = {}", quoted(key), quoted(value))).collect();
        out.set("json", &format!("{{ {} }}", members.join(", ")));
    }
}
