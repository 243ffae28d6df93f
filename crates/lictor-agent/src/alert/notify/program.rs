//! `notify "exec"`: a program that is given the message on its standard input.

use lictor_config::{Notifier, NotifyProgram, view};
use lictor_core::alert::{Message, Verdict, label};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

use super::table::{Escape, Room};
use super::texts::texts;
use crate::text::one_line;
use crate::watch::exec::program::{Told, tell as run};

/// Of what a program says, characters that are shown.
const SHOWN: usize = 300;

/// Runs the program.
pub(super) async fn tell(notifier: &Notifier, program: &NotifyProgram, message: &Message) -> Verdict {
    let input = input(notifier, program, message);
    let name = program.command.argv.first().map_or("", String::as_str);
    match run(&program.command, input.into_bytes(), notifier.timeout).await {
        Err(why) => Verdict::Refused { why, retry_after: None, for_good: false },
        Ok(Told { status: Some(status), .. }) if status.success() => Verdict::Accepted,
        Ok(Told { status: Some(status), said }) => {
            let said = one_line(&said, SHOWN);
            let said = if said.is_empty() { said } else { format!(": {said}") };
            let why = format!("`{name}` ended with {status}{said}");
            // One that a signal ended may have told it before.
            if status.code().is_some() {
                Verdict::Refused { why, retry_after: None, for_good: false }
            } else {
                Verdict::Unclear { why, retry_after: None }
            }
        }
        Ok(Told { status: None, .. }) => {
            let why =
                format!("`{name}` did not end within {} and was ended", lictor_core::Span(notifier.timeout));
            Verdict::Unclear { why, retry_after: None }
        }
    }
}

/// What the program is given.
pub(super) fn input(notifier: &Notifier, program: &NotifyProgram, message: &Message) -> String {
    if program.consul_alerts {
        let messages: Vec<Old<'_>> = message.items.iter().map(|item| Old::of(message, item)).collect();
        return serde_json::to_string(&messages).unwrap_or_default();
    }
    let texts = texts(notifier, message, (Room::Chars(500), Room::Bytes(256 * 1024)), Escape::None);
    let mut view = view::of(message);
    if let Some(entries) = view.as_object_mut() {
        entries.insert("title".to_owned(), texts.title.into());
        entries.insert("text".to_owned(), texts.text.into());
        // It is the first of `items`.
        entries.remove("item");
    }
    view.to_string()
}

/// A message as consul-alerts wrote it, its entries in that order.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Old<'a> {
    node: &'a str,
    service_id: &'a str,
    service: &'a str,
    check_id: &'a str,
    check: &'a str,
    status: &'a str,
    output: &'a str,
    notes: &'a str,
    interval: u32,
    rmd_check: &'static str,
    notif_list: Option<()>,
    var_overrides: BTreeMap<&'static str, Option<()>>,
    timestamp: String,
}

/// The notifiers that consul-alerts had overrides for.
const OVERRIDES: [&str; 14] = [
    "email",
    "log",
    "influxdb",
    "slack",
    "mattermost",
    "mattermost-webhook",
    "pagerduty",
    "hipchat",
    "opsgenie",
    "awssns",
    "victorops",
    "http-endpoint",
    "ilert",
    "custom",
];

impl<'a> Old<'a> {
    fn of(message: &Message, item: &'a lictor_core::alert::Item) -> Self {
        let view = view::of(&super::texts::bare(message));
        Self {
            node: item.label(label::NODE),
            service_id: item.label(label::SERVICE_ID),
            service: item.label(label::SERVICE),
            check_id: item.label(label::CHECK_ID),
            check: item.label(label::CHECK),
            status: item.status.as_str(),
            output: &item.output,
            notes: &item.notes,
            interval: 0,
            rmd_check: "0001-01-01T00:00:00Z",
            notif_list: None,
            var_overrides: OVERRIDES.iter().map(|name| (*name, None)).collect(),
            timestamp: view.get("at").and_then(Value::as_str).unwrap_or_default().to_owned(),
        }
    }
}
