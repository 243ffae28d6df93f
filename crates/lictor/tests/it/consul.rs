//! With a real Consul: a lost disk, an outage, the agent's own entry.

use std::fs;

use lictor_testkit::consul::Server;

use crate::node::Node;

/// Restarting may not be repeated; whether it worked can be seen.
const REPAIR: &str = r#"
watch "exec" "works" {
  command = ["/bin/sh", "-c", "test -e @DIR@/fixed || exit 2"]
  every   = "1s"
}

remedy "repair" {
  on       = check.works == "critical"
  cooldown = "1h"

  step "restart" {
    act "exec" { command = ["/bin/sh", "-c", "echo $LICTOR_STEP >> @DIR@/ran; sleep 2"] }
    ADD
  }
  step "settle" {
    wait_for = check.works == "passing"
    deadline = "10m"
  }
}
"#;

fn node(consul: &Server, add: &str) -> Node {
    let block = format!("consul {{\n  address = \"{}\"\n}}\n{}", consul.url(), REPAIR.replace("ADD", add));
    Node::new(&block)
}

fn lose_the_disk(node: &mut Node) {
    node.kill();
    fs::remove_dir_all(node.path("state")).unwrap();
}

fn ran(node: &Node) -> usize {
    node.read("ran").lines().count()
}

fn last_state(node: &Node) -> Option<String> {
    Some(node.runs().last()?["state"].as_str()?.to_owned())
}

#[test]
fn a_run_whose_disk_is_lost_is_parked_when_nobody_can_tell_what_was_done() {
    let consul = Server::start();
    let mut node = node(&consul, "");
    node.start();
    node.until("it acts", |node| (ran(node) == 1).then_some(()));
    node.until("copied", |_| copied(&consul, "lictor/").contains("\"restart\"").then_some(()));
    lose_the_disk(&mut node);
    node.start();
    node.until("parked", |node| (last_state(node)? == "parked").then_some(()));
    let (_, text, _) = node.says(&["remedy", "show", "r1"]);
    assert!(text.contains("the store that knew what was done last is lost"), "{text}");
    assert_eq!(ran(&node), 1, "{text}");
}

#[test]
fn a_run_whose_disk_is_lost_goes_on_when_one_can_see_what_was_done() {
    let consul = Server::start();
    let mut node = node(&consul, "verify = check.works == \"passing\"\n    verify_within = \"1m\"");
    node.start();
    node.until("it acts", |node| (ran(node) == 1).then_some(()));
    node.until("copied", |_| copied(&consul, "lictor/").contains("\"restart\"").then_some(()));
    lose_the_disk(&mut node);
    fs::write(node.path("fixed"), "").unwrap();
    node.start();
    node.until("done", |node| (last_state(node)? == "done").then_some(()));
    assert_eq!(ran(&node), 1, "{}", node.events());
}

#[test]
fn a_new_store_does_not_act_while_consul_is_away() {
    let mut consul = Server::start();
    consul.kill();
    let mut node = node(&consul, "");
    node.start();
    node.until("it judges", |node| (node.status("works") == "critical").then_some(()));
    node.until("it says why", |node| node.events().contains("it is not known yet").then_some(()));
    assert_eq!(ran(&node), 0, "{}", node.events());
    consul.restart();
    node.until("it acts", |node| (ran(node) == 1).then_some(()));
}

#[test]
fn without_consul_a_known_store_acts() {
    let mut consul = Server::start();
    let mut node = node(&consul, "");
    fs::write(node.path("fixed"), "").unwrap();
    node.start();
    node.until("it judges", |node| (node.status("works") == "passing").then_some(()));
    node.until("confirmed", |_| copied(&consul, "lictor/").contains("lineage").then_some(()));
    node.kill();
    consul.kill();
    fs::remove_file(node.path("fixed")).unwrap();
    node.start();
    node.until("it acts", |node| (ran(node) == 1).then_some(()));
}

/// All values under a prefix, as text.
pub(crate) fn copied(consul: &Server, prefix: &str) -> String {
    let keys = consul.get(&format!("/v1/kv/{prefix}?keys")).map(|(_, body)| body).unwrap_or_default();
    let keys: Vec<String> = serde_json::from_str(&keys).unwrap_or_default();
    keys.iter().filter_map(|key| consul.get(&format!("/v1/kv/{key}?raw"))).map(|(_, body)| body).collect()
}
