//! `lictor alerts list`.

use lictor_agent::text::one_line;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::AlertList;
use crate::client::typed;
use crate::command::events::{LIST, local};
use crate::command::status::count;
use crate::command::watch::{Pace, Page, look};
use crate::exit::Failure;
use crate::output::Terminal;
use crate::sheet::{About, Sheet};

#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<Alert>,
    #[serde(default)]
    lost: Vec<Lost>,
    cannot_record: Option<String>,
    teller: Teller,
    #[serde(default)]
    notifiers: usize,
    #[serde(default)]
    queued: usize,
}

/// Who tells.
#[derive(Deserialize)]
struct Teller {
    who: String,
    node: Option<String>,
    why: Option<String>,
}

impl Alerts {
    /// What is to be known before any alert: that nobody is told, or that another node tells.
    fn notes(&self, terminal: &Terminal) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(why) = &self.cannot_record {
            lines.push(terminal.alarm(&format!("Nobody is told, since nothing can be recorded: {why}")));
        }
        match (self.teller.who.as_str(), &self.teller.node, &self.teller.why) {
            ("nobody", _, why) => {
                let why = why.as_deref().unwrap_or("no node says why");
                lines.push(terminal.alarm(&format!("No node tells of alerts at present: {why}")));
            }
            (_, Some(node), _) => lines.push(format!("{node} tells; this node stands by")),
            _ => {}
        }
        let lost = |one: &Lost| terminal.alarm(&format!("{} cannot be asked: {}", one.source, one.why));
        lines.extend(self.lost.iter().map(lost));
        lines
    }
}

/// The alerts in a line or a few, for `lictor status`; nothing where nobody is to be told.
pub(in crate::command) fn summary(answer: Value, terminal: &Terminal) -> Result<Vec<String>, Failure> {
    let answer: Alerts = typed(answer)?;
    if answer.notifiers == 0 {
        return Ok(Vec::new());
    }
    let of = |state: &str| answer.alerts.iter().filter(|alert| alert.state == state).count();
    let muted = answer.alerts.iter().filter(|alert| alert.state == "firing" && alert.muted.is_some()).count();
    let (firing, pending) = (of("firing"), of("pending"));
    let mut said = match firing {
        0 => vec!["none".to_owned()],
        _ => vec![format!("{firing} firing")],
    };
    if muted > 0 {
        said.push(format!("{muted} of them muted"));
    }
    if pending > 0 {
        said.push(format!("{pending} pending"));
    }
    if answer.queued > 0 {
        said.push(format!("{} in the queue", count(answer.queued, "message", "messages")));
    }
    let mut lines = answer.notes(terminal);
    lines.push(format!("alerts: {}", said.join(", ")));
    Ok(lines)
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
    let limited = !query.is_empty();
    let show = |answer: Value, terminal: &Terminal| {
        let answer: Alerts = typed(answer)?;
        let mut lines = answer.notes(terminal);
        if answer.alerts.is_empty() {
            terminal.say(if limited { "nothing that is wrong fits" } else { "nothing is wrong" });
        } else {
            lines.push(listed(answer.alerts, terminal).text());
        }
        if lines.is_empty() { Ok(()) } else { Terminal::data(&lines.join("\n")) }
    };
    look(&Page { path: "/v1/alerts", query, pace: Pace::Steady, show }, &args.how, terminal).await
}

/// The alerts as a list.
pub(in crate::command) fn sheet(answer: Value, terminal: &Terminal) -> Result<Sheet, Failure> {
    Ok(listed(typed::<Alerts>(answer)?.alerts, terminal))
}

fn listed(mut alerts: Vec<Alert>, terminal: &Terminal) -> Sheet {
    alerts.sort_by_cached_key(|alert| (order(alert), alert.subject.clone()));
    let lines = alerts.iter().map(|alert| (About::Itself(alert.subject.clone()), row(alert, terminal)));
    let header = [&terminal.status("STATUS"), "SUBJECT", "SINCE", "TOLD", "NOTE", "OUTPUT"];
    let mut sheet = Sheet::new(header, lines);
    for (line, alert) in sheet.lines.iter_mut().zip(alerts) {
        line.more = Some(alert.output);
    }
    sheet
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
