//! A message as a mail: plain text and HTML together, in the thread of its incidents.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lictor_config::{Email, Notifier, Template, view};
use lictor_core::alert::Message;
use serde_json::Value;

use super::table::{Escape, Room};
use super::texts::{Texts, bare, texts};

/// Subject and text are cut to this.
const SUBJECT: Room = Room::Chars(250);
const TEXT: Room = Room::Bytes(256 * 1024);

/// Alerts that the HTML part shows at most; the text has them all.
const SHOWN: usize = 200;

/// Incidents whose threads a mail is part of at most.
const THREADS: usize = 20;

/// The HTML part where none is configured. Mail programs know little of style sheets.
const HTML: &str = r#"<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>{{ title }}</title></head>
<body style="margin:0;padding:16px;background:#f4f4f2;color:#1c1c1a;font:15px/1.45 sans-serif">
<h1 style="font-size:19px;margin:0 0 12px">{{ title }}</h1>
<table role="presentation" cellspacing="0" cellpadding="0" style="width:100%;max-width:760px;border-collapse:collapse">
{% for item in items %}
{% set colour = '#2e7d4f' if item.resolved else '#b3261e' if item.status == 'critical' else '#b26a00' if item.status == 'warning' else '#5b4b8a' %}
<tr><td style="padding:10px 14px;background:#fff;border-left:5px solid {{ colour }};border-bottom:8px solid #f4f4f2">
<strong style="color:{{ colour }}">{{ item.word }}</strong> {{ item.title }}
<div style="color:#666;font-size:13px">since {{ item.since }}{% if item.before and item.before != item.status %}, was {{ item.before }}{% endif %}</div>
{% if item.output %}
<pre style="white-space:pre-wrap;margin:8px 0 0;font:13px/1.4 monospace">{{ item.output }}</pre>
{% endif %}
{% if item.notes %}
<p style="margin:8px 0 0">{{ item.notes }}</p>
{% endif %}
</td></tr>
{% endfor %}
</table>
{% if omitted %}
<p>… and {{ omitted }} more</p>
{% endif %}
{% if failing.total > firing.total %}
<p>In all {{ failing.summary }}.</p>
{% endif %}
</body></html>
"#;

/// A mail before it is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mail {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
    pub(super) message_id: String,
    /// The threads it is part of.
    pub(super) references: Vec<String>,
}

impl Mail {
    /// The mail that tells a message.
    pub(super) fn of(notifier: &Notifier, email: &Email, message: &Message) -> Self {
        let Texts { title, text } = texts(notifier, message, (SUBJECT, TEXT), Escape::None);
        let items: Vec<_> = message.items.iter().take(SHOWN).cloned().collect();
        let omitted = message.omitted + message.items.len().saturating_sub(SHOWN);
        let part = Message { items, omitted, ..bare(message) };
        let mut seen = view::of(&part);
        if let Some(entries) = seen.as_object_mut() {
            entries.insert("title".to_owned(), Value::from(title.as_str()));
        }
        let ours = Template::trusted_html(HTML);
        let html = email.html.as_ref().unwrap_or(&ours).render(&seen);
        let html = html.or_else(|_failed| ours.render(&seen)).unwrap_or_default();
        let host = email.from.rsplit_once('@').map_or("localhost", |(_, host)| host.trim_end_matches('>'));
        let id = |text: &str| format!("<{}@{host}>", id_part(text));
        let mut references: Vec<String> = Vec::new();
        for item in &message.items {
            let thread = id(&format!("incident.{}", item.incident));
            if references.len() < THREADS && !references.contains(&thread) {
                references.push(thread);
            }
        }
        let message_id = id(&format!("lictor.{}", message.id));
        Self { subject: title, text, html, message_id, references }
    }

    /// The mail as it is sent.
    ///
    /// # Errors
    /// In words, when an address is none.
    pub(super) fn encoded(&self, email: &Email, message: &Message) -> Result<lettre::Message, String> {
        let mailbox = |text: &String| {
            text.parse::<Mailbox>().map_err(|error| format!("`{text}` is not an address: {error}"))
        };
        let millis = u64::try_from(message.at.as_unix_millis()).unwrap_or(0);
        let mut builder = lettre::Message::builder()
            .from(mailbox(&email.from)?)
            .date(UNIX_EPOCH + Duration::from_millis(millis))
            .message_id(Some(self.message_id.clone()))
            .subject(&self.subject)
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .raw_header(header("X-Lictor-Delivery", &id_part(&message.id)));
        for receiver in &email.to {
            builder = builder.to(mailbox(receiver)?);
        }
        if let Some(first) = self.references.first() {
            builder = builder.in_reply_to(first.clone()).references(self.references.join(" "));
        }
        let parts = MultiPart::alternative_plain_html(self.text.clone(), self.html.clone());
        builder.multipart(parts).map_err(|error| format!("cannot make the mail: {error}"))
    }
}

fn header(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

/// A text as part of a message id: what may not stand there is encoded, so that others stay others.
fn id_part(text: &str) -> String {
    let mut part = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_+/".contains(&byte) {
            part.push(char::from(byte));
        } else {
            write!(part, "={byte:02X}").ok();
        }
    }
    part
}
