//! What templates can name of a message.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use lictor_core::alert::{Failing, Item, Message, Occasion, Over, SubjectKey, Tells, label};
use lictor_core::{NotifierName, Status, Wall};
use serde_json::{Value, json};

/// The names of what a message has.
pub const NAMES: &[&str] = &[
    "id",
    "notifier",
    "occasion",
    "cluster",
    "items",
    "item",
    "omitted",
    "failing",
    "firing",
    "resolved_items",
    "resolved",
    "status",
    "word",
    "at",
    "at_unix",
    "at_ms",
    "attempt",
    "title",
    "text",
];

/// The title where none is configured.
pub const TITLE: &str = "\
{%- if occasion == 'digest' and not items %}All is well\
{%- elif occasion == 'digest' %}Still wrong: {{ failing.summary }}\
{%- elif items | length == 1 and not omitted %}{{ item.word }}: {{ item.title }}\
{%- else %}{{ firing.summary }}: {% for item in items[:3] %}{{ item.title }}{% if not loop.last %}, {% endif %}{% endfor %}\
{% if items | length + omitted > 3 %}, …{% endif %}{% endif %}\
{% if cluster %} [{{ cluster }}]{% endif %}";

/// The text where none is configured.
pub const TEXT: &str = "\
{% for item in items %}
{{ item.word }}: {{ item.title }}, since {{ item.since }}{% if item.before and item.before != item.status and item.tells == 'firing' %} (was {{ item.before }}){% endif %}

{% if item.output %}
{{ item.output }}
{% endif %}
{% if item.notes %}
{{ item.notes }}
{% endif %}
{% if not loop.last %}

{% endif %}
{% endfor %}
{% if failing.total > firing.total %}

In all {{ failing.summary }}.
{% endif %}";

/// A message as templates see it.
pub fn of(message: &Message) -> Value {
    of_mapped(message, &str::to_owned)
}

/// The same with every text that came from elsewhere as `map` makes it: escaped for where it goes.
pub fn of_mapped(message: &Message, map: &dyn Fn(&str) -> String) -> Value {
    let items: Vec<Value> = message.items.iter().map(|one| item(one, map)).collect();
    let told = |tells: Tells| message.items.iter().filter(|item| item.tells == tells).count();
    let over = told(Tells::Resolved);
    let mut counts = Failing::default();
    let wrong = message.items.iter().filter(|item| item.tells != Tells::Resolved);
    wrong.for_each(|item| counts.add(item.status));
    let resolved = message.resolved() && !message.items.is_empty();
    let status = message.worst();
    let word = if resolved { "RESOLVED".to_owned() } else { upper(status) };
    json!({
        "id": message.id,
        "notifier": message.notifier.as_str(),
        "occasion": message.occasion.as_str(),
        "cluster": map(&message.cluster),
        "item": items.first(),
        "items": items,
        "omitted": message.omitted,
        "failing": {
            "critical": message.failing.critical,
            "warning": message.failing.warning,
            "unknown": message.failing.unknown,
            "total": message.failing.total(),
            "summary": summary(message.failing, 0),
        },
        "firing": {
            "critical": counts.critical,
            "warning": counts.warning,
            "unknown": counts.unknown,
            "total": counts.total(),
            "summary": summary(counts, over),
        },
        "resolved_items": over,
        "resolved": resolved,
        "status": status.as_str(),
        "word": word,
        "at": time(message.at),
        "at_unix": message.at.as_unix_millis().div_euclid(1_000),
        "at_ms": message.at.as_unix_millis(),
        "attempt": message.attempt,
    })
}

fn item(item: &Item, map: &dyn Fn(&str) -> String) -> Value {
    let labels: BTreeMap<&str, String> =
        item.labels.iter().map(|(name, value)| (name.as_str(), map(value))).collect();
    let word = match item.tells {
        Tells::Firing => upper(item.status),
        Tells::Reminder => format!("STILL {}", upper(item.status)),
        Tells::Resolved => "RESOLVED".to_owned(),
    };
    let told = item.before.filter(|before| *before != Status::Passing);
    let severity = match item.tells {
        Tells::Firing | Tells::Reminder => item.status,
        Tells::Resolved => told.unwrap_or(Status::Critical),
    };
    let changed = item.tells != Tells::Resolved && told.is_some_and(|before| before != item.status);
    json!({
        "key": item.key.as_str(),
        "incident": item.incident,
        "title": map(&item.title),
        "labels": labels,
        "tags": item.tags.iter().map(|tag| map(tag)).collect::<Vec<_>>(),
        "node": map(item.label(label::NODE)),
        "service": map(item.label(label::SERVICE)),
        "service_id": map(item.label(label::SERVICE_ID)),
        "check": map(item.label(label::CHECK)),
        "check_id": map(item.label(label::CHECK_ID)),
        "datacenter": map(item.label(label::DATACENTER)),
        "tells": item.tells.as_str(),
        "word": word,
        "status": item.status.as_str(),
        "severity": severity.as_str(),
        "before": item.before.map(Status::as_str),
        "changed": changed,
        "resolved": item.tells == Tells::Resolved,
        "since": time(item.since),
        "since_unix": item.since.as_unix_millis().div_euclid(1_000),
        "opened": time(item.opened),
        "opened_unix": item.opened.as_unix_millis().div_euclid(1_000),
        "output": map(item.output.trim_end()),
        "notes": map(item.notes.trim_end()),
        "reminders": item.reminders,
    })
}

fn upper(status: Status) -> String {
    status.as_str().to_uppercase()
}

/// `2 critical, 1 warning, 3 resolved`
fn summary(counts: Failing, over: usize) -> String {
    let counts = [
        (counts.critical, "critical"),
        (counts.warning, "warning"),
        (counts.unknown, "unknown"),
        (over, "resolved"),
    ];
    let parts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

/// RFC 3339 in UTC, to the second.
fn time(at: Wall) -> String {
    let seconds = at.as_unix_millis().div_euclid(1_000);
    Timestamp::from_second(seconds).map_or_else(|_odd| String::new(), |at| at.to_string())
}

/// A message that tries a notifier: something that never was, said to be wrong, or over.
pub fn sample(notifier: &NotifierName, id: &str, cluster: &str, at: Wall, tells: Tells) -> Message {
    let opened = Wall::from_unix_millis(at.as_unix_millis() - 60_000);
    let status = if tells == Tells::Resolved { Status::Passing } else { Status::Critical };
    let labels = [
        (label::SOURCE, "own"),
        (label::NODE, "example"),
        (label::SERVICE, "lictor"),
        (label::CHECK, "test"),
        (label::CHECK_ID, "test"),
    ];
    let item = Item {
        key: SubjectKey::of(&["own", "example", "test"]),
        incident: format!("lictor-test-{id}"),
        title: "test of this notifier".to_owned(),
        labels: lictor_core::alert::text(&labels),
        tags: BTreeSet::from(["test".to_owned()]),
        tells,
        over: (tells == Tells::Resolved).then_some(Over::Recovered),
        status,
        before: (tells != Tells::Firing).then_some(Status::Critical),
        since: opened,
        opened,
        lasted: None,
        output: "Nothing is wrong: somebody tries whether messages arrive.".to_owned(),
        notes: String::new(),
        reminders: u32::from(tells == Tells::Reminder),
    };
    let mut failing = Failing::default();
    failing.add(status);
    Message {
        id: id.to_owned(),
        notifier: notifier.clone(),
        occasion: Occasion::Test,
        cluster: cluster.to_owned(),
        items: vec![item],
        omitted: 0,
        failing,
        at,
        attempt: 1,
    }
}

/// One message of each kind, to try templates with.
pub(super) fn samples() -> Vec<Message> {
    let Ok(name) = NotifierName::new("example") else { return Vec::new() };
    let at = Wall::from_unix_millis(1_700_000_000_000);
    let one = |tells| sample(&name, "d1", "dc1", at, tells);
    let mut many = one(Tells::Reminder);
    many.items.extend(one(Tells::Firing).items);
    many.items.extend(one(Tells::Resolved).items);
    (many.occasion, many.omitted, many.failing.critical) = (Occasion::Change, 3, 7);
    let mut empty = one(Tells::Firing);
    empty.items.clear();
    (empty.occasion, empty.cluster) = (Occasion::Digest, String::new());
    vec![one(Tells::Firing), one(Tells::Reminder), one(Tells::Resolved), many, empty]
}
