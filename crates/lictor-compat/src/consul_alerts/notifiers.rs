//! The notifiers and their settings.

use std::collections::BTreeMap;
use std::fmt;

/// A notifier that the old program had, or that a patch of it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Mail.
    Email,
    /// A file.
    Log,
    /// `InfluxDB`.
    Influxdb,
    /// Slack.
    Slack,
    /// Mattermost, with a user.
    Mattermost,
    /// Mattermost, by webhook.
    MattermostWebhook,
    /// `PagerDuty`.
    Pagerduty,
    /// `HipChat`, which no longer exists.
    Hipchat,
    /// `OpsGenie`.
    Opsgenie,
    /// AWS SNS.
    Awssns,
    /// `VictorOps`.
    Victorops,
    /// Any HTTP endpoint.
    HttpEndpoint,
    /// iLert.
    Ilert,
    /// The Alertmanager of Prometheus; in no release.
    Prometheus,
    /// Alerta; in no release.
    Alerta,
    /// Elasticsearch; in no release.
    Elasticsearch,
    /// Jira Service Management; in no release.
    Jsm,
}

/// A setting of a notifier.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The last part of its key.
    pub key: &'static str,
    /// Its name in `VarOverrides`; empty when it cannot be overridden.
    pub json: &'static str,
    /// Its type and default.
    pub shape: Shape,
    /// Whether it opens something.
    pub secret: bool,
}

/// The type of a setting, with its default.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Text.
    Text(&'static str),
    /// A whole number.
    Number(i64),
    /// Yes or no; no, unless it is set.
    Flag,
    /// A JSON array of texts.
    List,
    /// A JSON object of texts.
    Map,
}

/// What messages call the installation.
pub const CLUSTER: &str = "Consul-Alerts";

const fn text(key: &'static str) -> Field {
    Field { key, json: key, shape: Shape::Text(""), secret: false }
}

const fn default(key: &'static str, default: &'static str) -> Field {
    Field { shape: Shape::Text(default), ..text(key) }
}

const fn secret(key: &'static str) -> Field {
    Field { secret: true, ..text(key) }
}

const fn number(key: &'static str, default: i64) -> Field {
    Field { shape: Shape::Number(default), ..text(key) }
}

const fn flag(key: &'static str) -> Field {
    Field { shape: Shape::Flag, ..text(key) }
}

const fn list(key: &'static str) -> Field {
    Field { shape: Shape::List, ..text(key) }
}

const fn map(key: &'static str) -> Field {
    Field { shape: Shape::Map, ..text(key) }
}

/// Another name in `VarOverrides` than in the key.
const fn named(json: &'static str, field: Field) -> Field {
    Field { json, ..field }
}

const EMAIL: &[Field] = &[
    default("cluster-name", CLUSTER),
    text("url"),
    number("port", 0),
    text("username"),
    secret("password"),
    default("sender-alias", "Consul Alerts"),
    text("sender-email"),
    list("receivers"),
    text("template"),
    flag("one-per-alert"),
    flag("one-per-node"),
];
const LOG: &[Field] = &[default("path", "/tmp/consul-notifications.log")];
const INFLUXDB: &[Field] = &[
    default("host", "localhost:8086"),
    default("username", "root"),
    Field { shape: Shape::Text("root"), ..secret("password") },
    text("database"),
    default("series-name", "consul-alerts"),
];
const SLACK: &[Field] = &[
    named("cluster_name", default("cluster-name", CLUSTER)),
    secret("url"),
    text("channel"),
    text("username"),
    named("icon_url", text("icon-url")),
    named("icon_emoji", text("icon-emoji")),
    flag("detailed"),
];
const MATTERMOST: &[Field] = &[
    named("clustername", default("cluster-name", CLUSTER)),
    text("url"),
    text("username"),
    secret("password"),
    text("team"),
    text("channel"),
    flag("detailed"),
];
const MATTERMOST_WEBHOOK: &[Field] = &[
    named("cluster_name", default("cluster-name", CLUSTER)),
    named("", secret("url")),
    text("channel"),
    text("username"),
    named("icon_url", text("icon-url")),
];
const PAGERDUTY: &[Field] = &[
    secret("service-key"),
    text("client-name"),
    text("client-url"),
    number("max-retry", 0),
    number("retry-base-interval", 0),
];
const HIPCHAT: &[Field] = &[
    default("cluster-name", CLUSTER),
    text("from"),
    default("base-url", "https://api.hipchat.com/v2/"),
    text("room-id"),
    secret("auth-token"),
];
const OPSGENIE: &[Field] = &[default("cluster-name", CLUSTER), secret("api-key")];
const AWSSNS: &[Field] =
    &[default("cluster-name", CLUSTER), text("region"), text("topic-arn"), text("template")];
const VICTOROPS: &[Field] = &[secret("api-key"), text("routing-key")];
const HTTP_ENDPOINT: &[Field] =
    &[default("cluster-name", CLUSTER), text("base-url"), text("endpoint"), map("payload")];
const ILERT: &[Field] =
    &[secret("api-key"), default("incident-key-template", "{{.Node}}:{{.Service}}:{{.Check}}")];
const PROMETHEUS: &[Field] =
    &[default("cluster-name", CLUSTER), list("base-urls"), text("endpoint"), map("payload")];
const ALERTA: &[Field] = &[
    text("url"),
    secret("token"),
    default("cluster-name", CLUSTER),
    text("domain"),
    text("link"),
    text("origin"),
    text("type"),
];
const ELASTICSEARCH: &[Field] = &[text("host"), text("index-name")];
const JSM: &[Field] = &[default("cluster-name", CLUSTER), secret("api-key")];

impl Kind {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Email,
        Self::Log,
        Self::Influxdb,
        Self::Slack,
        Self::Mattermost,
        Self::MattermostWebhook,
        Self::Pagerduty,
        Self::Hipchat,
        Self::Opsgenie,
        Self::Awssns,
        Self::Victorops,
        Self::HttpEndpoint,
        Self::Ilert,
        Self::Prometheus,
        Self::Alerta,
        Self::Elasticsearch,
        Self::Jsm,
    ];

    /// The name in keys, in `NotifList` and in `VarOverrides`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Log => "log",
            Self::Influxdb => "influxdb",
            Self::Slack => "slack",
            Self::Mattermost => "mattermost",
            Self::MattermostWebhook => "mattermost-webhook",
            Self::Pagerduty => "pagerduty",
            Self::Hipchat => "hipchat",
            Self::Opsgenie => "opsgenie",
            Self::Awssns => "awssns",
            Self::Victorops => "victorops",
            Self::HttpEndpoint => "http-endpoint",
            Self::Ilert => "ilert",
            Self::Prometheus => "prometheus",
            Self::Alerta => "alerta",
            Self::Elasticsearch => "elasticsearch",
            Self::Jsm => "jsm",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its settings.
    pub const fn fields(self) -> &'static [Field] {
        match self {
            Self::Email => EMAIL,
            Self::Log => LOG,
            Self::Influxdb => INFLUXDB,
            Self::Slack => SLACK,
            Self::Mattermost => MATTERMOST,
            Self::MattermostWebhook => MATTERMOST_WEBHOOK,
            Self::Pagerduty => PAGERDUTY,
            Self::Hipchat => HIPCHAT,
            Self::Opsgenie => OPSGENIE,
            Self::Awssns => AWSSNS,
            Self::Victorops => VICTOROPS,
            Self::HttpEndpoint => HTTP_ENDPOINT,
            Self::Ilert => ILERT,
            Self::Prometheus => PROMETHEUS,
            Self::Alerta => ALERTA,
            Self::Elasticsearch => ELASTICSEARCH,
            Self::Jsm => JSM,
        }
    }
}

/// The value of a setting.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Setting {
    Text(String),
    Number(i64),
    Flag(bool),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may be a secret.
        f.write_str("***")
    }
}

impl Setting {
    fn default_of(shape: Shape) -> Self {
        match shape {
            Shape::Text(text) => Self::Text(text.to_owned()),
            Shape::Number(number) => Self::Number(number),
            Shape::Flag => Self::Flag(false),
            Shape::List => Self::List(Vec::new()),
            Shape::Map => Self::Map(BTreeMap::new()),
        }
    }

    /// What is empty overrides nothing.
    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Number(number) => *number == 0,
            Self::Flag(yes) => !yes,
            Self::List(values) => values.is_empty(),
            Self::Map(values) => values.is_empty(),
        }
    }
}

/// A notifier with its settings; those that were not set have their defaults. Two that are equal
/// share a message.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Notifier {
    /// Which one.
    pub kind: Kind,
    /// Whether it tells anything at all.
    pub enabled: bool,
    settings: BTreeMap<&'static str, Setting>,
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier")
            .field("kind", &self.kind)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

/// What a profile says of a notifier's settings, by their keys.
pub(crate) type Overrides = BTreeMap<&'static str, Setting>;

impl Notifier {
    /// One as it is when nothing is set: off, unless it is the log.
    pub fn new(kind: Kind) -> Self {
        let settings =
            kind.fields().iter().map(|field| (field.key, Setting::default_of(field.shape))).collect();
        Self { kind, enabled: kind == Kind::Log, settings }
    }

    pub(crate) fn set(&mut self, key: &'static str, value: Setting) {
        self.settings.insert(key, value);
    }

    /// A text; empty when it is not set or is no text.
    pub fn text(&self, key: &str) -> &str {
        match self.settings.get(key) {
            Some(Setting::Text(text)) => text,
            _ => "",
        }
    }

    /// A number; 0 when it is not set or is none.
    pub fn number(&self, key: &str) -> i64 {
        match self.settings.get(key) {
            Some(Setting::Number(number)) => *number,
            _ => 0,
        }
    }

    /// Yes or no.
    pub fn flag(&self, key: &str) -> bool {
        matches!(self.settings.get(key), Some(Setting::Flag(true)))
    }

    /// A list; empty when it is not set or is none.
    pub fn list(&self, key: &str) -> &[String] {
        match self.settings.get(key) {
            Some(Setting::List(values)) => values,
            _ => &[],
        }
    }

    /// A map; empty when it is not set or is none.
    pub fn map(&self, key: &str) -> BTreeMap<&str, &str> {
        match self.settings.get(key) {
            Some(Setting::Map(values)) => {
                values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
            }
            _ => BTreeMap::new(),
        }
    }

    /// What messages call the installation.
    pub fn cluster(&self) -> &str {
        if self.settings.contains_key("cluster-name") { self.text("cluster-name") } else { CLUSTER }
    }

    /// The same with a profile's settings: those that are not empty replace, and maps take them in.
    #[must_use]
    pub(crate) fn with(&self, overrides: &Overrides) -> Self {
        let mut changed = self.clone();
        for (key, value) in overrides.iter().filter(|(_, value)| !value.is_empty()) {
            match (changed.settings.get_mut(key), value) {
                (Some(Setting::Map(old)), Setting::Map(new)) => {
                    old.extend(new.iter().map(|(key, value)| (key.clone(), value.clone())));
                }
                (Some(old), new) => *old = new.clone(),
                (None, _) => {}
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
        }
        assert_eq!(Kind::named("custom"), None);
    }

    #[test]
    fn only_the_log_tells_without_being_told_to() {
        let on: Vec<_> = Kind::ALL.into_iter().filter(|kind| Notifier::new(*kind).enabled).collect();
        assert_eq!(on, [Kind::Log]);
        assert_eq!(Notifier::new(Kind::Log).text("path"), "/tmp/consul-notifications.log");
        assert_eq!(Notifier::new(Kind::Email).cluster(), "Consul-Alerts");
        assert_eq!(Notifier::new(Kind::Log).cluster(), "Consul-Alerts");
    }

    #[test]
    fn what_opens_something_is_not_shown() {
        let mut notifier = Notifier::new(Kind::Slack);
        notifier.set("url", Setting::Text("geheim".to_owned()));
        assert!(!format!("{notifier:?}").contains("geheim"));
    }

    #[test]
    fn what_is_empty_overrides_nothing_and_maps_grow() {
        let mut notifier = Notifier::new(Kind::HttpEndpoint);
        notifier.set("base-url", Setting::Text("http://a".to_owned()));
        notifier.set(
            "payload",
            Setting::Map([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())].into()),
        );
        let overrides = [
            ("base-url", Setting::Text(String::new())),
            ("endpoint", Setting::Text("/e".to_owned())),
            (
                "payload",
                Setting::Map([("b".to_owned(), "3".to_owned()), ("c".to_owned(), "4".to_owned())].into()),
            ),
        ];
        let changed = notifier.with(&overrides.into());
        assert_eq!((changed.text("base-url"), changed.text("endpoint")), ("http://a", "/e"));
        assert_eq!(changed.map("payload"), [("a", "1"), ("b", "3"), ("c", "4")].into());
        assert_eq!(notifier.map("payload"), [("a", "1"), ("b", "2")].into(), "an override must not leak");
    }
}
