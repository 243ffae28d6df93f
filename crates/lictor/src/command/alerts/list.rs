//! `lictor alerts list`.

use lictor_agent::text::one_line;
use serde::Deserialize;

use crate::cli::AlertList;
use crate::client::{Client, unless_json};
use crate::command::events::{LIST, local};
use crate::exit::Failure;
use crate::output::{Terminal, table};

#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<Alert>,
    #[serde(default)]
    lost: Vec<Lost>,
    cannot_record: Option<String>,
}

#[derive(Deserialize)]
struct Lost {
    source: String,
    why: String,
}

#[derive(Deserialize)]
struct Alert {
    subject: String,
    title: String,
    state: String,
    status: String,
    reported: String,
    since: String,
    output: String,
    flapping: bool,
    told: Vec<Told>,
    acknowledged: Option<Acknowledged>,
    muted: Option<Muted>,
}

#[derive(Deserialize)]
struct Told {
    notifier: String,
    firing: bool,
}

#[derive(Deserialize)]
struct Acknowledged {
    by: String,
}

#[derive(Deserialize)]
struct Muted {
    text: String,
}

/// A longer subject is shown by its title; both can be acknowledged.
const SUBJECT: usize = 60;

pub(super) async fn run(args: &AlertList, terminal: &Terminal) -> Result<(), Failure> {
    let mut query: Vec<_> = args.matchers.iter().map(|matcher| ("match", matcher.clone())).collect();
    query.extend(args.status.iter().map(|status| ("status", status.clone())));
    let answer = Client::new(&args.agent)?.get("/v1/alerts", &query).await?;
    let Some(Alerts { mut alerts, lost, cannot_record }) = unless_json(args.agent.format, answer)? else {
        return Ok(());
    };
    let mut lines = Vec::new();
    if let Some(why) = cannot_record {
        lines.push(terminal.alarm(&format!("Nobody is told, since nothing can be recorded: {why}")));
    }
    lines.extend(
        lost.iter().map(|one| terminal.alarm(&format!("{} cannot be asked: {}", one.source, one.why))),
    );
    if alerts.is_empty() {
        let limited = !query.is_empty();
        terminal.say(if limited { "nothing that is wrong fits" } else { "nothing is wrong" });
    } else {
        alerts.sort_by_key(|alert| (order(alert), alert.subject.clone()));
        let rows = alerts.iter().map(|alert| row(alert, terminal));
        lines.push(table([&terminal.status("STATUS"), "SUBJECT", "SINCE", "TOLD", "NOTE", "OUTPUT"], rows));
    }
    if lines.is_empty() { Ok(()) } else { Terminal::data(&lines.join("\n")) }
}

/// What counts comes before what does not, the worst first, what nobody is told of last.
fn order(alert: &Alert) -> (u8, bool, u8) {
    let state = match alert.state.as_str() {
        "firing" => 0,
        "pending" => 1,
        _ => 2,
    };
    let worst = alert.status.parse::<lictor_core::Status>().map_or(0, |status| 3 - status as u8);
    (state, alert.muted.is_some(), worst)
}

fn row(alert: &Alert, terminal: &Terminal) -> [String; 6] {
    let status = match alert.state.as_str() {
        "pending" => format!("{} (does not count yet)", terminal.status(&alert.reported)),
        "over" => format!("{} (over)", terminal.status(&alert.status)),
        _ => terminal.status(&alert.status),
    };
    let subject = if alert.subject.chars().count() <= SUBJECT { &alert.subject } else { &alert.title };
    let told: Vec<_> =
        alert.told.iter().filter(|told| told.firing).map(|told| told.notifier.as_str()).collect();
    let told = if told.is_empty() { "nobody".to_owned() } else { told.join(", ") };
    let flapping = alert.flapping.then(|| "flapping".to_owned());
    let muted = alert.muted.as_ref().map(|muted| format!("muted: {}", muted.text));
    let acknowledged = alert.acknowledged.as_ref().map(|one| format!("{} looks after it", one.by));
    let note: Vec<_> = [flapping, muted, acknowledged].into_iter().flatten().collect();
    [
        status,
        one_line(subject, LIST),
        local(&alert.since),
        told,
        one_line(&note.join("; "), LIST),
        one_line(&alert.output, 80),
    ]
}
