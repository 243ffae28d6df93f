//! `lictor status`.

use std::time::Duration;

use lictor_agent::text::one_line;
use lictor_core::Span;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::Status as Args;
use crate::client::{Client, typed};
use crate::command::alerts::summary as alerts_summary;
use crate::command::events::{LIST, local};
use crate::command::peers::summary as peers_summary;
use crate::command::service::summary as services_summary;
use crate::command::watch::{Look, Pace, look};
use crate::exit::Failure;
use crate::output::Terminal;
use crate::shape::{Check, Copies, Incident, Monitor, Status};
use crate::sheet::{About, Sheet};

/// Longest name of a group in a list, characters.
const GROUP: usize = 30;

/// Passing checks shown without `--all`.
const FEW: usize = 20;

pub(crate) async fn run(args: &Args, terminal: &Terminal) -> Result<(), Failure> {
    look(&Whole { all: args.all }, &args.how, terminal).await
}

/// How all stands.
struct Whole {
    /// Also the checks that pass.
    all: bool,
}

impl Look for Whole {
    fn pace(&self) -> Pace {
        // Every look of a watcher changes what is shown of its check, and nobody wants to see each.
        Pace::Recorded
    }

    async fn ask(&self, client: &Client) -> Result<Value, Failure> {
        let status = client.get("/v1/status", &[]).await?;
        let checks = client.get("/v1/checks", &[]).await?;
        let open = [("open", "true".to_owned())];
        let incidents = client.get("/v1/incidents", &open).await?;
        // How the alerts stand may be known to another node only, and that be out of reach.
        let alerts = client.get("/v1/alerts", &[]).await.ok();
        // An older agent has none.
        let peers = client.get("/v1/peers", &[]).await.ok();
        let services = client.get("/v1/services", &[]).await.ok();
        let list = |value: &Value, name: &str| value.get(name).cloned().unwrap_or_default();
        Ok(json!({
            "status": status,
            "checks": list(&checks, "checks"),
            "incidents": list(&incidents, "incidents"),
            "alerts": alerts,
            "peers": peers,
            "services": services.as_ref().map(|answer| list(answer, "services")),
        }))
    }

    async fn show(&self, answer: Value, _client: &Client, terminal: &Terminal) -> Result<(), Failure> {
        let Seen { status, checks, incidents, alerts, peers, services } = typed(answer)?;
        let services = services.map(|services| json!({ "services": services }));
        let mut lines = head(&status, alerts, peers, services, terminal)?;
        if !incidents.is_empty() {
            let heading = terminal.heading("Open incidents");
            lines.extend([String::new(), heading, incident_sheet(&incidents, terminal).text()]);
        }
        let total = checks.len();
        let bad = checks.iter().filter(|check| check.status != "passing").count();
        let shown = if self.all { total } else { total.min(bad.max(FEW)) };
        if shown > 0 {
            let mut sheet = check_sheet(checks, terminal);
            sheet.lines.truncate(shown);
            lines.extend([String::new(), sheet.text()]);
        }
        if shown < total {
            lines.push(format!("… and {} more that pass (--all)", total - shown));
        }
        Terminal::data(&lines.join("\n"))
    }

    fn is_well(&self, answer: &Value) -> Result<bool, Failure> {
        let status: Status = typed(answer.get("status").cloned().unwrap_or_default())?;
        Ok(status.checks.passing == status.checks.total)
    }
}

/// All that is shown.
#[derive(Deserialize)]
struct Seen {
    status: Status,
    checks: Vec<Check>,
    incidents: Vec<Incident>,
    alerts: Option<Value>,
    peers: Option<Value>,
    services: Option<Value>,
}

/// What is to be known before all else.
pub(super) fn head(
    status: &Status,
    alerts: Option<Value>,
    peers: Option<Value>,
    services: Option<Value>,
    terminal: &Terminal,
) -> Result<Vec<String>, Failure> {
    let peers = peers.map(|peers| peers_summary(peers, terminal)).transpose()?.flatten();
    let services = services.map(|services| services_summary(services, terminal)).transpose()?.flatten();
    let mut lines = headline(status, peers.is_some(), terminal);
    match alerts {
        Some(alerts) => lines.extend(alerts_summary(alerts, terminal)?),
        None => lines.push(terminal.alarm("alerts: the agent cannot say how they stand")),
    }
    lines.extend(peers);
    lines.extend(services);
    Ok(lines)
}

/// The checks, the worst first; with their groups where any has one.
pub(super) fn check_sheet(mut checks: Vec<Check>, terminal: &Terminal) -> Sheet {
    let order =
        |check: &Check| check.status.parse::<lictor_core::Status>().map_or(0, |status| 3 - status as u8);
    checks.sort_by_cached_key(|check| {
        (order(check), check.group.is_none(), check.group.clone(), check.name.clone())
    });
    let about = |check: &Check| About::Check(check.name.clone());
    let (name, status) = ("CHECK", terminal.status("STATUS"));
    if checks.iter().all(|check| check.group.is_none()) {
        let lines = checks.iter().map(|check| (about(check), row(check, terminal)));
        return Sheet::new([name, &status, "FOR", "LAST RESULT"], lines);
    }
    let lines = checks.iter().map(|check| {
        let [name, status, lasts, last] = row(check, terminal);
        let group = one_line(check.group.as_deref().unwrap_or_default(), GROUP);
        (about(check), [name, group, status, lasts, last])
    });
    Sheet::new([name, "GROUP", &status, "FOR", "LAST RESULT"], lines)
}

fn headline(status: &Status, watches_peers: bool, terminal: &Terminal) -> Vec<String> {
    let place = match &status.datacenter {
        Some(datacenter) => format!("{} ({datacenter})", status.node),
        None => status.node.clone(),
    };
    let checks = &status.checks;
    let judged = match checks.total {
        0 if watches_peers => "no checks are configured".to_owned(),
        0 => "nothing is watched".to_owned(),
        1 if checks.passing == 1 => "its one check passes".to_owned(),
        total if checks.passing == total => format!("all {total} checks pass"),
        1 => "its one check does not pass".to_owned(),
        total => format!("{} of {total} checks pass", checks.passing),
    };
    let mut more = vec![count(status.incidents.open, "open incident", "open incidents")];
    more.push(count(status.runs.active, "run under way", "runs under way"));
    if status.runs.parked > 0 {
        more.push(format!("{} parked, waiting for a person", status.runs.parked));
    }
    if status.mode != "act" {
        more.push(format!("{} mode: nothing is done", status.mode));
    }
    let mut lines = Vec::new();
    if let Some(stuck) = &status.cannot_record {
        let line = format!("Nothing is acted on since {}: {}", span(stuck.lasts_ms), stuck.why);
        lines.push(terminal.alarm(&line));
    }
    if let Some(withheld) = &status.withheld {
        lines.push(terminal.alarm(&format!("Watching, but not acting: {}", withheld.why)));
        lines.push(format!("  {}", withheld.help));
    } else if let Some(Copies { state, why: Some(why) }) = &status.copies {
        let line = match state.as_str() {
            "duplicate" => terminal.alarm(&format!("Nothing is copied to Consul: {why}")),
            _ => format!("The copies in Consul are behind: {why}"),
        };
        lines.push(line);
    }
    lines.push(terminal.heading(&format!("{place}: {judged}")));
    lines.push(format!("{}; lictor {}", more.join(", "), status.version));
    lines.extend(status.monitors.iter().map(|monitor| connection(monitor, terminal)));
    lines
}

/// A connection monitor in one line.
fn connection(monitor: &Monitor, terminal: &Terminal) -> String {
    let mut told = vec![match monitor.connection.as_deref() {
        Some("stable") => terminal.status("passing").replace("passing", "stable"),
        Some("unstable") => terminal.status("critical").replace("critical", "unstable"),
        _ => "not known yet".to_owned(),
    }];
    if monitor.phase != "None" {
        told.push(monitor.phase.clone());
    }
    if monitor.given_up {
        told.push("gave up; it waits for the connection, or for a person".to_owned());
    }
    if monitor.stopped_torrents > 0 {
        told.push(format!("{} stopped", count(monitor.stopped_torrents, "torrent", "torrents")));
    }
    told.extend(monitor.vpn.as_ref().map(|vpn| format!("vpn {vpn}")));
    if let Some(ip) = &monitor.public_ip {
        let place =
            ["city", "country", "organization"].into_iter().filter_map(|name| monitor.place.get(name));
        let place: Vec<&str> = place.map(String::as_str).collect();
        told.push(if place.is_empty() { ip.clone() } else { format!("{ip} ({})", place.join(", ")) });
    }
    if monitor.acts.as_deref() != Some("ours") {
        told.extend(monitor.acts_text.as_ref().map(|text| format!("this node does not act: {text}")));
    }
    told.extend(monitor.behind.as_ref().map(|why| format!("its state is not in Consul: {why}")));
    format!("{}: {}", monitor.name, told.join("; "))
}

/// `1 check`, `2 checks`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn row(check: &Check, terminal: &Terminal) -> [String; 4] {
    let flapping = if check.flapping { " (flapping)" } else { "" };
    let last = check.last.as_ref().map_or("not looked at yet", |seen| seen.summary.as_str());
    [
        check.name.clone(),
        format!("{}{flapping}", terminal.status(&check.status)),
        span(check.lasts_ms),
        one_line(last, LIST),
    ]
}

/// A list of incidents.
pub(crate) fn incident_sheet(incidents: &[Incident], terminal: &Terminal) -> Sheet {
    let lines = incidents.iter().map(|incident| {
        let state = terminal.status(if incident.open { &incident.status } else { "closed" });
        let asks = if incident.escalated { " (needs a person)" } else { "" };
        let cells = [
            incident.id.clone(),
            incident.check.clone(),
            format!("{state}{asks}"),
            incident.worst.clone(),
            local(&incident.opened),
            span(incident.lasts_ms),
            one_line(&incident.summary, LIST),
        ];
        (About::Incident(incident.id.clone()), cells)
    });
    let status = terminal.status("STATUS");
    Sheet::new(["ID", "CHECK", &status, "WORST", "OPENED", "LASTS", "LAST CHANGE"], lines)
}

pub(crate) fn span(millis: u64) -> String {
    Span(Duration::from_millis(millis)).to_string()
}
