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
    Node::new(&blocks(consul, add))
}

fn blocks(consul: &Server, add: &str) -> String {
    format!("consul {{\n  address = \"{}\"\n}}\n{}", consul.url(), REPAIR.replace("ADD", add))
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
    // The step is under way when the disk is lost.
    let mut node = Node::new(&blocks(&consul, "").replace("sleep 2", "sleep 300"));
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
    // Its record is there a moment before it knows that it is.
    node.until("confirmed", |node| node.log().contains("the copies in Consul are in step").then_some(()));
    node.kill();
    consul.kill();
    fs::remove_file(node.path("fixed")).unwrap();
    node.start();
    node.until("it acts", |node| (ran(node) == 1).then_some(()));
}

/// A machine that is alive is not taken for dead in less than 5 s.
const ALIVE: [(&str, &str); 1] = [("LICTOR_PULSE", "250:5000")];

#[test]
fn a_second_live_machine_of_the_same_name_waits_and_says_so_until_the_first_is_dead() {
    let consul = Server::start();
    let (mut first, mut second) = (node(&consul, ""), node(&consul, ""));
    first.start_in(&ALIVE);
    first.until("it acts", |node| (ran(node) == 1).then_some(()));
    first.until("copied", |_| copied(&consul, "lictor/").contains("\"restart\"").then_some(()));

    // The same image once more, with an empty state directory: what it did would show here.
    let here = first.path("").display().to_string();
    second.configure(&blocks(&consul, "").replace("@DIR@", here.trim_end_matches('/')));
    second.start_in(&ALIVE);
    second.until("it judges", |node| (node.status("works") == "critical").then_some(()));
    let said = second.until("it says why", |node| {
        let (_, text, _) = node.says(&["status"]);
        text.contains("another machine called `test` is alive").then_some(text)
    });
    assert!(said.contains("Watching, but not acting") && said.contains("another node.name"), "{said}");
    assert!(!said.contains("--new-node"), "that would make both act: {said}");
    second.until("it is in the ledger", |node| {
        node.events().contains("nothing is acted on: another machine called `test`").then_some(())
    });
    let (_, why, _) = second.says(&["explain", "works"]);
    assert!(why.contains("another machine called `test` is alive"), "{why}");
    first
        .until("the first goes on", |node| (node.runs().last()?["step"].as_str()? == "settle").then_some(()));
    first.until("its copies too", |_| copied(&consul, "lictor/").contains("\"settle\"").then_some(()));
    assert_eq!((ran(&first), second.runs().len()), (1, 0), "{}", second.events());
    let (_, fine, _) = first.says(&["status"]);
    assert!(!fine.contains("Consul") && !first.events().contains("another machine"), "{fine}");

    first.kill();
    second.until("it takes over", |node| (node.runs().last()?["step"].as_str()? == "settle").then_some(()));
    fs::write(first.path("fixed"), "").unwrap();
    second.until("done", |node| (last_state(node)? == "done").then_some(()));
    assert_eq!(ran(&first), 1, "{}", second.events());
    let (_, fine, _) = second.says(&["status"]);
    assert!(!fine.contains("another machine"), "{fine}");
}

#[test]
fn a_copied_machine_says_that_another_one_has_its_name() {
    let consul = Server::start();
    let (mut original, mut copy) = (node(&consul, ""), node(&consul, ""));
    fs::write(original.path("fixed"), "").unwrap();
    fs::write(copy.path("fixed"), "").unwrap();
    original.start();
    // Its record is there a moment before it knows that it is.
    original.until("copied", |node| node.log().contains("the copies in Consul are in step").then_some(()));
    original.agent().signal(rustix::process::Signal::TERM).unwrap();
    original.agent().wait(crate::node::LONG).unwrap();
    assert!(copied(&consul, "lictor/").contains("\"stopped\":true"), "{}", copied(&consul, "lictor/"));
    fs::create_dir(copy.path("state")).unwrap();
    fs::copy(original.path("state/state.redb"), copy.path("state/state.redb")).unwrap();
    original.start_in(&ALIVE);
    original.until("judged", |node| (node.status("works") == "passing").then_some(()));
    copy.start_in(&ALIVE);
    let mut both = [original, copy];
    let found = lictor_testkit::wait::until(crate::node::LONG, || {
        both.iter().position(|node| {
            let (_, text, _) = node.says(&["status"]);
            text.contains("Nothing is copied to Consul: another machine called `test` is alive")
        })
    });
    let Some(found) = found else { panic!("{}\n{}", both[0].log(), both[1].log()) };
    both[found].until("it is in the ledger", |node| {
        node.events().contains("nothing is copied to Consul: another machine").then_some(())
    });
}

#[test]
fn after_an_orderly_stop_a_lost_disk_is_made_good_at_once() {
    let consul = Server::start();
    let mut node = node(&consul, "verify = check.works == \"passing\"\n    verify_within = \"1m\"");
    node.start();
    node.until("it acts", |node| (ran(node) == 1).then_some(()));
    node.until("copied", |_| copied(&consul, "lictor/").contains("\"restart\"").then_some(()));
    node.agent().signal(rustix::process::Signal::TERM).unwrap();
    node.agent().wait(crate::node::LONG).unwrap();
    fs::remove_dir_all(node.path("state")).unwrap();
    fs::write(node.path("fixed"), "").unwrap();
    // With a pulse for which this test would be too short.
    node.start_in(&[("LICTOR_PULSE", "60000:600000")]);
    node.until("done", |node| (last_state(node)? == "done").then_some(()));
    assert_eq!(ran(&node), 1, "{}", node.events());
}

/// All values under a prefix, as text.
pub(crate) fn copied(consul: &Server, prefix: &str) -> String {
    let keys = consul.get(&format!("/v1/kv/{prefix}?keys")).map(|(_, body)| body).unwrap_or_default();
    let keys: Vec<String> = serde_json::from_str(&keys).unwrap_or_default();
    keys.iter().filter_map(|key| consul.get(&format!("/v1/kv/{key}?raw"))).map(|(_, body)| body).collect()
}
