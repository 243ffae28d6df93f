//! `lictor service switchover --check`: what would stop it, as far as this node can see.

use serde_json::json;

use super::shape::Service;
use super::{client, look};
use crate::cli::Switchover;
use crate::command::events::local;
use crate::exit::{Exit, Failure};
use crate::output::{Format, Terminal};

pub(super) async fn run(args: &Switchover, terminal: &Terminal) -> Result<(), Failure> {
    let agent = &args.one.agent;
    let client = client(agent)?;
    let (_, service) = look(&client, &args.one.name).await?;
    let found = Findings::of(&service, args.to.as_deref());
    match agent.format {
        Format::Json => Terminal::json(&json!({
            "service": service.name, "from": service.active, "to": found.to, "ready": found.against.is_empty(),
            "against": found.against, "remarks": found.remarks,
        }))?,
        Format::Text => Terminal::data(&found.shown(&service, terminal))?,
    }
    match found.against.is_empty() {
        true => Ok(()),
        false => Err(Failure::Said(Exit::Failed)),
    }
}

/// What speaks against a switchover, and what else there is to know.
#[derive(Debug, Default)]
struct Findings {
    to: Option<String>,
    against: Vec<String>,
    remarks: Vec<String>,
}

impl Findings {
    fn of(service: &Service, to: Option<&str>) -> Self {
        let Service { name, node, nodes, lease, active, .. } = service;
        let mut found = Self::default();
        match (lease.state.as_str(), &lease.holder) {
            ("held", _) if service.here.state != "running" => {
                found.against.push(format!("{node} holds the lease, but {name} does not run here"));
            }
            ("held", _) => {}
            ("other", Some(holder)) => {
                found.remarks.push(format!("whether {name} runs well on {holder} is known there"));
            }
            ("free", _) => {
                found.against.push(format!("nobody runs {name}: `lictor service start {name}` starts it"));
            }
            _ => {
                let why = lease.why.as_deref().unwrap_or("no reason was given");
                found.against.push(format!("who holds the lease is not known: {why}"));
            }
        }
        let holder = lease.holder.as_ref().or(active.as_ref());
        found.to = to.map(str::to_owned).or_else(|| nodes.iter().find(|one| Some(*one) != holder).cloned());
        match &found.to {
            None => found.against.push(format!("there is no other node that {name} could go to")),
            Some(to) if !nodes.contains(to) => {
                found.against.push(format!("{to} is none of its nodes: {}", nodes.join(", ")));
            }
            Some(to) if Some(to) == holder => found.against.push(format!("it runs on {to} already")),
            Some(to) if to == node => match (service.here.able, &service.here.why) {
                (Some(true), _) => {}
                (Some(false), Some(why)) => found.against.push(format!("{node} cannot run it: {why}")),
                (_, _) => found.remarks.push(format!("whether {node} can run it was not looked at yet")),
            },
            Some(to) => found.remarks.push(format!(
                "whether {to} can run it is asked of {to} first; when it cannot, nothing is changed"
            )),
        }
        if let Some(operation) = service.busy() {
            let (text, by, state) = (operation.text(), &operation.by, operation.phase_text());
            found.against.push(format!("{by} has asked for {text}, which is not over: {state}"));
        }
        if let Some(paused) = &service.paused {
            let until = local(&paused.until);
            found.remarks.push(format!(
                "no node takes it over by itself until {until}, as {} wanted: {}",
                paused.by, paused.why
            ));
        }
        found
    }

    fn shown(&self, service: &Service, terminal: &Terminal) -> String {
        let to = self.to.as_deref().unwrap_or("another node");
        let from = service.active.as_deref().or(service.lease.holder.as_deref()).unwrap_or("nowhere");
        let mut lines = vec![format!("{} from {from} to {to}:", service.name)];
        lines.extend(
            self.against.iter().map(|why| format!("  {} {why}", terminal.verdict(false, "against:"))),
        );
        lines.extend(self.remarks.iter().map(|remark| format!("  to know: {remark}")));
        lines.push(match self.against.is_empty() {
            true => terminal.verdict(true, "nothing that can be seen from here would stop it"),
            false => terminal.verdict(false, "it would not be done"),
        });
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::typed;
    use serde_json::Value;

    fn answer() -> Value {
        serde_json::from_str(include_str!("../../../../lictor-agent/tests/data/service.json")).unwrap()
    }

    fn check(answer: Value, to: Option<&str>) -> String {
        let service: Service = typed(answer).unwrap();
        Findings::of(&service, to).shown(&service, &Terminal::new(true))
    }

    #[test]
    fn where_nothing_speaks_against_it_that_is_said_with_what_is_not_known() {
        insta::assert_snapshot!(check(answer(), None), @r"
        web from node1 to node2:
          to know: whether node2 can run it is asked of node2 first; when it cannot, nothing is changed
          to know: no node takes it over by itself until 2026-11-21 04:04:05+00:00, as bob wanted: new disks
        nothing that can be seen from here would stop it
        ");
    }

    #[test]
    fn all_that_would_stop_it_is_told_at_once() {
        let mut answer = answer();
        answer["operation"]["phase"] = json!("stopping");
        answer["operation"]["over"] = json!(false);
        answer["here"] = json!({"state": "partly"});
        insta::assert_snapshot!(check(answer, Some("node9")), @r"
        web from node1 to node9:
          against: node1 holds the lease, but web does not run here
          against: node9 is none of its nodes: node1, node2
          against: alice has asked for a switchover to node1, which is not over: it is being stopped on node2
          to know: no node takes it over by itself until 2026-11-21 04:04:05+00:00, as bob wanted: new disks
        it would not be done
        ");
    }

    #[test]
    fn what_runs_there_already_or_nowhere_is_not_switched_over() {
        assert!(check(answer(), Some("node1")).contains("it runs on node1 already"));
        let mut nowhere = answer();
        nowhere["lease"] = json!({"state": "free", "length_ms": 4_200});
        nowhere.as_object_mut().unwrap().remove("active");
        assert!(check(nowhere, None).contains("nobody runs web: `lictor service start web` starts it"));
    }
}
