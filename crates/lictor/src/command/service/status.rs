//! `lictor service list` and `lictor service status`.

use std::collections::BTreeMap;

use lictor_agent::text::one_line;
use serde::Deserialize;
use serde_json::Value;

use super::path;
use super::shape::{Service, Services};
use crate::cli::{Agent, Watched};
use crate::client::{Client, typed};
use crate::command::events::{LIST, local};
use crate::command::watch::{Look, Pace, Page, look};
use crate::exit::Failure;
use crate::output::Terminal;
use crate::sheet::{About, Sheet};

/// Nothing is configured.
const NONE: &str = "no service is configured on this node: a block `service` in its configuration is one";

pub(super) async fn list(how: &Watched, terminal: &Terminal) -> Result<(), Failure> {
    let show = |answer: Value, terminal: &Terminal| {
        let Services { services } = typed(answer)?;
        if services.is_empty() {
            terminal.say(NONE);
            return Ok(());
        }
        Terminal::data(&listed(&services).text())
    };
    let page = Page { path: "/v1/services", query: Vec::new(), pace: Pace::Steady, show };
    look(&page, how, terminal).await
}

/// The services as a list.
pub(crate) fn sheet(answer: Value) -> Result<Sheet, Failure> {
    Ok(listed(&typed::<Services>(answer)?.services))
}

fn listed(services: &[Service]) -> Sheet {
    let lines = services.iter().map(|one| {
        let operation =
            one.busy().map(|operation| format!("{}: {}", operation.text(), operation.phase_text()));
        let paused = one.paused.as_ref().map(|paused| format!("paused until {}", local(&paused.until)));
        let more: Vec<_> = operation.into_iter().chain(paused).collect();
        let cells = [
            one.name.clone(),
            one.active.clone().unwrap_or_else(|| "-".to_owned()),
            one.nodes.join(", "),
            one.here.state.clone(),
            one.failover.clone(),
            one_line(&more.join("; "), LIST),
        ];
        (About::Service(one.name.clone()), cells)
    });
    Sheet::new(["SERVICE", "RUNS ON", "NODES", "HERE", "FAILOVER", "UNDER WAY"], lines)
}

/// The services in a line, for `lictor status`; nothing where there are none.
pub(crate) fn summary(answer: Value, terminal: &Terminal) -> Result<Option<String>, Failure> {
    let Services { services } = typed(answer)?;
    if services.is_empty() {
        return Ok(None);
    }
    let says = |one: &Service| {
        let place = match &one.active {
            Some(node) => format!("{} runs on {node}", one.name),
            None => format!("{} runs nowhere, for all that is known", one.name),
        };
        let pause = one.paused.as_ref().map(|paused| format!(" (paused until {})", local(&paused.until)));
        place + &pause.unwrap_or_default()
    };
    // What is not well is not to be cut off.
    let (well, bad): (Vec<_>, Vec<_>) = services.iter().partition(|one| one.is_well());
    let said: Vec<_> = bad.iter().chain(&well).map(|one| says(one)).collect();
    let line = format!("services: {}", one_line(&said.join("; "), LIST));
    Ok(Some(if bad.is_empty() { line } else { terminal.alarm(&line) }))
}

/// Shows one service, or all, and fails when one runs nowhere or that is in doubt.
pub(super) async fn status(name: Option<&str>, how: &Watched, terminal: &Terminal) -> Result<(), Failure> {
    look(&Standing { name, here: is_here(&how.agent) }, how, terminal).await
}

/// How one service stands, or all of them.
struct Standing<'a> {
    name: Option<&'a str>,
    /// Whether the agent is on this machine.
    here: bool,
}

impl Standing<'_> {
    fn services(&self, answer: Value) -> Result<Vec<Service>, Failure> {
        match self.name {
            Some(_) => Ok(vec![typed(answer)?]),
            None => Ok(typed::<Services>(answer)?.services),
        }
    }
}

impl Look for Standing<'_> {
    fn pace(&self) -> Pace {
        Pace::Steady
    }

    async fn ask(&self, client: &Client) -> Result<Value, Failure> {
        match self.name {
            Some(name) => client.get(&path(name, ""), &[]).await,
            None => client.get("/v1/services", &[]).await,
        }
    }

    async fn show(&self, answer: Value, client: &Client, terminal: &Terminal) -> Result<(), Failure> {
        let services = self.services(answer)?;
        if services.is_empty() {
            terminal.say(NONE);
        }
        // An older agent, or one that watches no peers, knows nothing of the other nodes.
        let seen = client.get("/v1/peers", &[]).await.ok().map(seen).unwrap_or_default();
        for service in &services {
            let units = if self.here { units(&service.units).await } else { BTreeMap::new() };
            Terminal::data(&shown(service, &seen, &units, terminal))?;
        }
        Ok(())
    }

    fn is_well(&self, answer: &Value) -> Result<bool, Failure> {
        Ok(self.services(answer.clone())?.iter().all(Service::is_well))
    }
}

/// One service in full; the states of its units are not asked for.
pub(crate) fn text(answer: Value, peers: Option<Value>, terminal: &Terminal) -> Result<String, Failure> {
    let service: Service = typed(answer)?;
    Ok(shown(&service, &peers.map(seen).unwrap_or_default(), &BTreeMap::new(), terminal))
}

/// A service as the init scripts of powerconsul have shown it, and what they did not know below that.
fn shown(
    service: &Service,
    seen: &BTreeMap<String, bool>,
    units: &BTreeMap<String, Unit>,
    terminal: &Terminal,
) -> String {
    let node = |name: &String| format!("{name}.{}", terminal.status(word(service, name, seen)));
    let of = |active: bool| {
        let those = service.nodes.iter().filter(|&name| (service.active.as_ref() == Some(name)) == active);
        those.map(node).collect::<Vec<_>>()
    };
    let (active, standby) = (of(true), of(false));
    let mut lines = vec![String::new(), terminal.heading(&format!("{}.service:", service.name))];
    lines.push(format!("  {}", terminal.heading("cluster:")));
    match active.is_empty() {
        true => lines.push(format!("    nodes.active: {}", terminal.alarm("none"))),
        false => lines.push(format!("    nodes.active: {}", active.join(", "))),
    }
    if !standby.is_empty() {
        lines.push(format!("    nodes.standby: {}", standby.join(", ")));
    }
    let place = service.datacenter.as_ref().map(|name| format!(", in the datacenter {name}"));
    lines.push(format!("    lease: {}{}", lease(service), place.unwrap_or_default()));
    match &service.barred {
        None => lines.push(format!("    failover: {}", service.failover)),
        Some(why) => {
            lines.push(format!("    failover: {}, but not now: {}", service.failover, terminal.alarm(why)));
        }
    }
    if let Some(operation) = &service.operation {
        let state = operation.phase_text();
        lines.push(format!("    operation: {} by {}: {state}", operation.text(), operation.by));
    }
    if let Some(paused) = &service.paused {
        let text = format!("until {} by {}: {}", local(&paused.until), paused.by, paused.why);
        lines.push(format!("    paused: {}", terminal.alarm(&text)));
    }
    lines.push(format!("  {}", terminal.heading("local:")));
    for name in &service.units {
        let bare = name.strip_suffix(".service").unwrap_or(name);
        let state = match units.get(name) {
            Some(unit) if unit.runs => format!("{} [ {} ]", terminal.verdict(true, "running..."), unit.text),
            Some(unit) => format!("{} [ {} ]", terminal.verdict(false, "stopped..."), unit.text),
            None => "not asked".to_owned(),
        };
        lines.push(format!("    service.{bare}: {state}"));
    }
    let token = service.here.token.map(|token| format!(" under token {token}")).unwrap_or_default();
    lines.push(format!("    together: {}{token} on {}", service.here.state, service.node));
    if let (Some(false), Some(why)) = (service.here.able, &service.here.why) {
        lines.push(format!("    {} cannot run it: {}", service.node, terminal.alarm(why)));
    }
    if service.here.blind {
        let text = "it cannot be told how it stands here: this node neither keeps nor takes its lease";
        lines.push(format!("    {}", terminal.alarm(text)));
    }
    lines.push(String::new());
    // The last line end is not added to what has one.
    lines.join("\n") + "\n"
}

/// How a node is: of this one whether the service is as it should be, of another one whether it is seen.
fn word(service: &Service, name: &str, seen: &BTreeMap<String, bool>) -> &'static str {
    let active = service.active.as_deref() == Some(name);
    if name == service.node {
        return match (active, service.here.state.as_str()) {
            (true, "running") | (false, "stopped") => "passing",
            (_, "unknown") => "unknown",
            _ => "critical",
        };
    }
    match seen.get(name) {
        // It renews its lease.
        _ if active => "passing",
        Some(true) => "passing",
        Some(false) => "critical",
        None => "unknown",
    }
}

fn lease(service: &Service) -> String {
    let lease = &service.lease;
    let token = lease.token.map(|token| format!(" (token {token})")).unwrap_or_default();
    match (lease.state.as_str(), &lease.holder) {
        ("held", _) => format!("held by {}{token}, which is this node", service.node),
        ("other", Some(holder)) => format!("held by {holder}{token}"),
        (state, _) => match &lease.why {
            Some(why) => format!("{state}: {why}"),
            None => state.to_owned(),
        },
    }
}

/// Which other nodes are seen, as the mesh of peers has it.
fn seen(answer: Value) -> BTreeMap<String, bool> {
    #[derive(Deserialize)]
    struct Mesh {
        peers: Vec<Peer>,
    }
    #[derive(Deserialize)]
    struct Peer {
        node: Option<String>,
        seen: Option<Found>,
    }
    #[derive(Deserialize)]
    struct Found {
        up: bool,
    }
    let peers = typed::<Mesh>(answer).map(|mesh| mesh.peers).unwrap_or_default();
    peers.into_iter().filter_map(|peer| Some((peer.node?, peer.seen?.up))).collect()
}

/// A unit of this machine.
#[derive(Debug)]
struct Unit {
    runs: bool,
    text: String,
}

/// Whether the agent is on this machine, so that its units are the ones here.
fn is_here(agent: &Agent) -> bool {
    let rest = agent.address.split_once("://").map_or(agent.address.as_str(), |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]")
}

/// What systemd says of these units; of those that it knows nothing of, nothing.
async fn units(names: &[String]) -> BTreeMap<String, Unit> {
    let mut command = tokio::process::Command::new("systemctl");
    command.args(["show", "--property=Id,LoadState,ActiveState,SubState", "--"]).args(names);
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(5), command.output()).await;
    let Ok(Ok(output)) = ended else { return BTreeMap::new() };
    read_units(&String::from_utf8_lossy(&output.stdout))
}

fn read_units(text: &str) -> BTreeMap<String, Unit> {
    let one = |block: &str| {
        let said: BTreeMap<_, _> = block.lines().filter_map(|line| line.split_once('=')).collect();
        let (id, load) = (said.get("Id")?, said.get("LoadState")?);
        let (active, sub) = (said.get("ActiveState")?, said.get("SubState")?);
        let text = match *load {
            "loaded" => format!("{active} ({sub})"),
            other => format!("{active}: {other}"),
        };
        let runs = matches!(*active, "active" | "reloading");
        Some(((*id).to_owned(), Unit { runs, text: one_line(&text, LIST) }))
    };
    text.split("\n\n").filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// An answer of an agent: its tests say that it is one.
    const ANSWER: &str = include_str!("../../../../lictor-agent/tests/data/service.json");

    fn answer() -> Value {
        serde_json::from_str(ANSWER).unwrap()
    }

    fn status_of(answer: Value) -> String {
        let units = read_units(
            "Id=apache2.service\nLoadState=loaded\nActiveState=active\nSubState=running\n\n\
             Id=mysql.service\nLoadState=not-found\nActiveState=inactive\nSubState=dead\n",
        );
        let seen = BTreeMap::from([("node2".to_owned(), true)]);
        shown(&typed(answer).unwrap(), &seen, &units, &Terminal::new(true))
    }

    #[test]
    fn the_layout_is_that_of_the_old_init_scripts_and_says_more() {
        insta::assert_snapshot!(status_of(answer()), @r"

        web.service:
          cluster:
            nodes.active: node1.passing
            nodes.standby: node2.passing
            lease: held by node1 (token 7), which is this node
            failover: automatic
            operation: a switchover to node1 by alice: done
            paused: until 2026-11-21 04:04:05+00:00 by bob: new disks
          local:
            service.apache2: running... [ active (running) ]
            service.mysql: stopped... [ inactive: not-found ]
            together: running under token 7 on node1
        ");
    }

    #[test]
    fn a_service_that_runs_nowhere_says_so() {
        let mut answer = answer();
        let members = answer.as_object_mut().unwrap();
        for gone in ["active", "operation", "paused"] {
            members.remove(gone);
        }
        answer["lease"] = json!({"state": "unknown", "why": "no answer within 1s", "length_ms": 4_200});
        answer["here"] = json!({"state": "stopped"});
        insta::assert_snapshot!(status_of(answer.clone()), @r"

        web.service:
          cluster:
            nodes.active: none
            nodes.standby: node1.passing, node2.passing
            lease: unknown: no answer within 1s
            failover: automatic
          local:
            service.apache2: running... [ active (running) ]
            service.mysql: stopped... [ inactive: not-found ]
            together: stopped on node1
        ");
        assert!(!typed::<Service>(answer.clone()).unwrap().is_well());
        answer["here"] = json!({
            "state": "unknown", "able": false, "why": "systemd cannot be reached", "blind": true
        });
        let shown = status_of(answer);
        let local = shown.split_once("together: ").unwrap().1;
        insta::assert_snapshot!(local, @r"
        unknown on node1
            node1 cannot run it: systemd cannot be reached
            it cannot be told how it stands here: this node neither keeps nor takes its lease
        ");
    }

    #[test]
    fn the_line_of_the_status_begins_with_what_runs_nowhere() {
        let line = |services: Value| summary(json!({ "services": services }), &Terminal::new(true)).unwrap();
        assert_eq!(line(json!([])), None);
        let mut nowhere = answer();
        nowhere["name"] = json!("db");
        let members = nowhere.as_object_mut().unwrap();
        members.remove("active");
        members.remove("paused");
        assert_eq!(
            line(json!([answer(), nowhere])).unwrap(),
            "services: db runs nowhere, for all that is known; web runs on node1 (paused until 2026-11-21 \
             04:04:05+00:00)"
        );
    }

    #[test]
    fn the_list_has_a_line_for_each_service() {
        let services = vec![typed(answer()).unwrap()];
        insta::assert_snapshot!(listed(&services).text(), @r"
        SERVICE  RUNS ON  NODES         HERE     FAILOVER   UNDER WAY
        web      node1    node1, node2  running  automatic  paused until 2026-11-21 04:04:05+00:00
        ");
    }

    #[test]
    fn a_node_of_which_nothing_is_known_is_not_said_to_be_well() {
        let service: Service = typed(answer()).unwrap();
        assert_eq!(word(&service, "node2", &BTreeMap::new()), "unknown");
        assert_eq!(word(&service, "node2", &BTreeMap::from([("node2".to_owned(), false)])), "critical");
    }
}
