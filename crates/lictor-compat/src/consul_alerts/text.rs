//! What messages of the old program say, word for word.

use jiff::Timestamp;
use serde::Serialize;

use super::message::{Message, template_data};
use super::notifiers::Notifier;
use super::state::RecordError;
use crate::gojson;
use crate::gotemplate::{Mode, Template, TemplateError};
use crate::gotime::Moment;
use crate::push;

/// How it stands with what a message tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Overall {
    /// All of it is well.
    Healthy,
    /// Something is a warning, nothing is critical.
    Unstable,
    /// Something is critical.
    Critical,
}

impl Overall {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::Unstable => "UNSTABLE",
            Self::Critical => "CRITICAL",
        }
    }
}

/// How many checks of a message are in which status. Those in other statuses count nowhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Critical.
    pub fail: usize,
    /// Warning.
    pub warn: usize,
    /// Passing.
    pub pass: usize,
}

impl Summary {
    /// Counts.
    pub fn of(messages: &[Message]) -> Self {
        let count = |status: &str| messages.iter().filter(|message| message.status == status).count();
        Self { fail: count("critical"), warn: count("warning"), pass: count("passing") }
    }

    /// The worst of them.
    pub const fn overall(&self) -> Overall {
        if self.fail > 0 {
            Overall::Critical
        } else if self.warn > 0 {
            Overall::Unstable
        } else {
            Overall::Healthy
        }
    }

    /// `Fail: 1, Warn: 2, Pass: 3`.
    fn counts(&self) -> String {
        format!("Fail: {}, Warn: {}, Pass: {}", self.fail, self.warn, self.pass)
    }
}

/// The plain text of Slack, Mattermost and `OpsGenie`.
pub fn standard(cluster: &str, messages: &[Message]) -> String {
    lines(cluster, messages, "")
}

/// That of Mattermost with a user: a blank line follows each output.
pub fn mattermost(cluster: &str, messages: &[Message]) -> String {
    lines(cluster, messages, "\n")
}

fn lines(cluster: &str, messages: &[Message], after: &str) -> String {
    let mut text = head(cluster, messages);
    for message in messages {
        text.push('\n');
        text.push_str(&one_line(message));
        text.push('\n');
        text.push_str(&message.output);
        text.push_str(after);
    }
    text
}

/// `n1:web:Service web check is critical.`
fn one_line(message: &Message) -> String {
    let Message { node, service, check, status, .. } = message;
    format!("{node}:{service}:{check} is {status}.")
}

/// The subject of a mail.
pub fn mail_subject(cluster: &str, messages: &[Message]) -> String {
    format!("{cluster} is {}", Summary::of(messages).overall().as_str())
}

/// How texts begin.
fn head(cluster: &str, messages: &[Message]) -> String {
    format!("{}.\n\n{}\n", mail_subject(cluster, messages), Summary::of(messages).counts())
}

/// The HTML of a mail without a template of its own.
pub const MAIL: &str = r#"<!DOCTYPE html>
<html>
<head><meta charset="utf-8"><title>{{.ClusterName}}</title></head>
<body style="font-family: sans-serif; margin: 0">
<h1 style="color: white; padding: 12px; margin: 0; background: {{if .IsCritical}}#e13329{{else if .IsWarning}}#eebb00{{else}}#24c75a{{end}}">
{{- .ClusterName}} is {{.SystemStatus}}</h1>
<p style="padding: 0 12px">Fail: {{.FailCount}}, Warn: {{.WarnCount}}, Pass: {{.PassCount}}</p>
{{- range $node, $checks := .Nodes}}
<h2 style="padding: 0 12px">{{$node}}</h2>
{{- range $checks}}
<div style="margin: 12px; padding: 0 12px; border-left: 6px solid {{if .IsCritical}}#e13329{{else if .IsWarning}}#eebb00{{else}}#24c75a{{end}}">
<p><b>{{if .Service}}{{.Service}}: {{end}}{{.Check}}</b> is {{.Status}}, since {{.Timestamp.Format "2006-01-02 15:04:05 MST"}}</p>
{{- with .Notes}}<p>{{.}}</p>{{end}}
{{- with .Output}}<pre>{{.}}</pre>{{end}}
</div>
{{- end}}
{{- end}}
</body>
</html>
"#;

/// What goes into one mail, and what that mail calls the installation.
pub fn mails(notifier: &Notifier, messages: &[Message]) -> Vec<(String, Vec<Message>)> {
    let cluster = notifier.cluster();
    if notifier.flag("one-per-alert") {
        let one = |message: &Message| {
            (format!("{cluster} {} - {}", message.node, message.check_id), vec![message.clone()])
        };
        return messages.iter().map(one).collect();
    }
    if notifier.flag("one-per-node") {
        let mut nodes: Vec<&str> = messages.iter().map(|message| message.node.as_str()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let of = |node: &str| messages.iter().filter(|message| message.node == node).cloned().collect();
        return nodes.into_iter().map(|node| (format!("{cluster} {node}"), of(node))).collect();
    }
    vec![(cluster.to_owned(), messages.to_vec())]
}

/// A message for Slack.
#[derive(Serialize)]
struct Slack<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    channel: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    username: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    icon_url: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    icon_emoji: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<Attachment>,
}

#[derive(Serialize)]
struct Attachment {
    color: &'static str,
    title: &'static str,
    pretext: String,
    text: String,
    mrkdwn_in: [&'static str; 2],
}

/// The JSON that goes to Slack: the plain text, or an attachment when the notifier is `detailed`.
pub fn slack(notifier: &Notifier, messages: &[Message]) -> Result<String, RecordError> {
    let cluster = notifier.cluster();
    let detailed = notifier.flag("detailed");
    let (text, attachments) = if detailed {
        (String::new(), vec![attachment(cluster, messages)])
    } else {
        (standard(cluster, messages), Vec::new())
    };
    let payload = Slack {
        channel: notifier.text("channel"),
        username: notifier.text("username"),
        icon_url: notifier.text("icon-url"),
        icon_emoji: notifier.text("icon-emoji"),
        text,
        attachments,
    };
    gojson::to_string(&payload).map_err(RecordError::json)
}

fn attachment(cluster: &str, messages: &[Message]) -> Attachment {
    let overall = Summary::of(messages).overall();
    let color = match overall {
        Overall::Healthy => "good",
        Overall::Unstable => "warning",
        Overall::Critical => "danger",
    };
    Attachment {
        color,
        title: "Consul monitoring report",
        pretext: pretext(cluster, overall),
        text: detail(messages, "```"),
        mrkdwn_in: ["text", "pretext"],
    }
}

fn pretext(cluster: &str, overall: Overall) -> String {
    let emoji = match overall {
        Overall::Healthy => ":white_check_mark:",
        Overall::Unstable => ":question:",
        Overall::Critical => ":x:",
    };
    format!("{emoji} {cluster} is *{}*", overall.as_str())
}

fn detail(messages: &[Message], quote: &str) -> String {
    let Summary { fail, warn, pass } = Summary::of(messages);
    let mut text = format!("*Changes:* Fail = {fail}, Warn = {warn}, Pass = {pass}\n");
    for Message { node, service, check, status, output, .. } in messages {
        push(&mut text, format_args!("\n*[{node}:{service}]* {check} is *{status}.*"));
        let output = output.trim();
        if !output.is_empty() {
            push(&mut text, format_args!("\n{quote}{output}{quote}"));
        }
    }
    text
}

/// The detailed text for Mattermost with a user.
pub fn mattermost_detailed(cluster: &str, messages: &[Message]) -> String {
    let overall = Summary::of(messages).overall();
    format!("{}\n{}", pretext(cluster, overall), detail(messages, "`"))
}

/// The JSON that goes to Mattermost's webhook.
pub fn mattermost_webhook(notifier: &Notifier, messages: &[Message]) -> Result<String, RecordError> {
    let payload = Slack {
        channel: notifier.text("channel"),
        username: notifier.text("username"),
        icon_url: notifier.text("icon-url"),
        icon_emoji: "",
        text: standard(notifier.cluster(), messages),
        attachments: Vec::new(),
    };
    gojson::to_string(&payload).map_err(RecordError::json)
}

/// A line of the log file, with its end.
pub fn log_line(message: &Message, at: &Moment) -> String {
    let Message { node, service, check, status, .. } = message;
    let time = at.format("2006/01/02 15:04:05");
    format!("[consul-notifier] {time} Node={node}, Service={service}, Check={check}, Status={status}\n")
}

/// `NODE[:SERVICE-ID]:CHECK-ID`: by this `PagerDuty` folds what belongs together. The same is
/// used for `OpsGenie` and `VictorOps`, where the old program left the check out.
pub fn incident_key(message: &Message) -> String {
    let Message { node, service_id, check_id, .. } = message;
    if service_id.is_empty() {
        format!("{node}:{check_id}")
    } else {
        format!("{node}:{service_id}:{check_id}")
    }
}

/// `OpsGenie`'s alias as the old program made it: one for all checks of a service, or of a node.
pub fn old_opsgenie_alias(message: &Message) -> String {
    let Message { node, service_id, .. } = message;
    if service_id.is_empty() { node.clone() } else { format!("{node}:{service_id}") }
}

/// `VictorOps`' entity as the old program made it: one for all checks of a service.
pub fn old_victorops_entity(message: &Message) -> String {
    let Message { node, service_id, check_id, .. } = message;
    format!("{node}:{}", if service_id.is_empty() { check_id } else { service_id })
}

/// What `PagerDuty` shows.
pub fn pagerduty_description(message: &Message) -> String {
    let mut text = message.node.clone();
    for part in [&message.service, &message.check].into_iter().filter(|part| !part.is_empty()) {
        text.push(':');
        text.push_str(part);
    }
    text.push_str(match message.status.as_str() {
        "passing" => " is now HEALTHY",
        "warning" => " is UNSTABLE",
        _ => " is CRITICAL",
    });
    text
}

#[derive(Serialize)]
struct PagerDuty<'a> {
    service_key: &'a str,
    event_type: &'static str,
    incident_key: String,
    description: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    client: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    client_url: &'a str,
    details: Message,
}

/// The JSON of an event of `PagerDuty`'s first interface. Other than before, the details hold no
/// secrets of other notifiers.
pub fn pagerduty_event(notifier: &Notifier, message: &Message) -> Result<String, RecordError> {
    let over = message.status == "passing";
    let client = |key| if over { "" } else { notifier.text(key) };
    let event = PagerDuty {
        service_key: notifier.text("service-key"),
        event_type: if over { "resolve" } else { "trigger" },
        incident_key: incident_key(message),
        description: pagerduty_description(message),
        client: client("client-name"),
        client_url: client("client-url"),
        details: Message { var_overrides: message.var_overrides.without_secrets(), ..message.clone() },
    };
    gojson::to_string(&event).map_err(RecordError::json)
}

/// `OpsGenie`'s message.
pub fn opsgenie_message(message: &Message) -> String {
    format!("\n{}", one_line(message))
}

/// `OpsGenie`'s description: the standard text of one message, with the counts of all.
pub fn opsgenie_description(cluster: &str, message: &Message, all: &[Message]) -> String {
    format!("{}\n{}\n{}", head(cluster, all), one_line(message), message.output)
}

/// What `VictorOps` calls a status.
pub fn victorops_type(status: &str) -> &'static str {
    match status {
        "critical" => "CRITICAL",
        "warning" => "WARNING",
        "passing" => "RECOVERY",
        _ => "INFO",
    }
}

#[derive(Serialize)]
struct VictorOps<'a> {
    message_type: &'static str,
    entity_id: String,
    timestamp: i64,
    state_message: String,
    monitoring_tool: &'static str,
    entity_display_name: String,
    host_name: &'a str,
    monitor_name: &'a str,
    consul_node: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    consul_service: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    consul_service_id: &'a str,
    consul_check: &'a str,
    consul_check_id: &'a str,
}

/// The JSON that goes to `VictorOps`.
pub fn victorops_event(message: &Message, at: Timestamp) -> Result<String, RecordError> {
    let kind = victorops_type(&message.status);
    let shown = if message.service.is_empty() { &message.check } else { &message.service };
    let event = VictorOps {
        message_type: kind,
        entity_id: incident_key(message),
        timestamp: at.as_second(),
        state_message: format!("{kind}: {}\n{}", message.notes, message.output),
        monitoring_tool: "consul",
        entity_display_name: if message.service.is_empty() {
            format!("{}:{shown}", message.node)
        } else {
            format!("{}:{shown}:{}", message.node, message.check)
        },
        host_name: &message.node,
        monitor_name: &message.check,
        consul_node: &message.node,
        consul_service: &message.service,
        consul_service_id: &message.service_id,
        consul_check: &message.check,
        consul_check_id: &message.check_id,
    };
    gojson::to_string(&event).map_err(RecordError::json)
}

/// iLert's key of an incident, from its template.
pub fn ilert_key(notifier: &Notifier, message: &Message) -> Result<String, TemplateError> {
    Template::parse(notifier.text("incident-key-template"), Mode::Text)?.render(&message.to_value())
}

/// iLert's kind of event, and its summary. Other than before, a warning is an alert: it is not
/// over.
pub fn ilert_event(key: &str, status: &str) -> (&'static str, String) {
    match status {
        "passing" => ("RESOLVE", format!("{key} is now HEALTHY")),
        "warning" => ("ALERT", format!("{key} is WARNING")),
        _ => ("ALERT", format!("{key} is CRITICAL")),
    }
}

/// The subject for SNS.
pub fn sns_subject(messages: &[Message]) -> String {
    let summary = Summary::of(messages);
    format!("{}--{}", summary.overall().as_str(), summary.counts())
}

/// What SNS tells without a template.
pub fn sns_text(messages: &[Message]) -> String {
    let lines: String = messages.iter().map(one_line).collect();
    format!("\n{lines}")
}

/// A template of mail or SNS, and each value of an HTTP endpoint's payload: escaped as HTML, as
/// before, also where it is none.
pub fn from_template(template: &str, cluster: &str, messages: &[Message]) -> Result<String, TemplateError> {
    Template::parse(template, Mode::Html)?.render(&template_data(cluster, messages))
}

/// The JSON that goes to an HTTP endpoint; an error names the key of the payload.
pub fn http_payload(notifier: &Notifier, messages: &[Message]) -> Result<String, (String, TemplateError)> {
    let mut payload = serde_json::Map::new();
    for (key, template) in notifier.map("payload") {
        let text = from_template(template, notifier.cluster(), messages);
        let text = text.map_err(|error| (key.to_owned(), error))?;
        payload.insert(key.to_owned(), text.into());
    }
    Ok(gojson::to_string(&payload).unwrap_or_default())
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
