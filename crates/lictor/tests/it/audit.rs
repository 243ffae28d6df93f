//! Who asked for what, as people see it, and over kill -9.

use std::time::Duration;

use lictor_testkit::wait;
use rustix::process::Signal;
use serde_json::Value;

use crate::node::Node;

/// A remedy that only a person starts.
const BLOCKS: &str = r#"
watch "heartbeat" "backup" {
  within = "1h"
}

remedy "repair" {
  on       = check.backup == "critical"
  cooldown = "1h"

  step "only" {
    act "exec" { command = ["/bin/true"] }
  }
}
"#;

const START: &str = "POST /v1/remedies/repair/start";

fn acts(node: &Node) -> Vec<Value> {
    let all = node.ask(&["audit", "--format", "json"]).unwrap();
    all["acts"].as_array().unwrap().clone()
}

/// How often the ledger says that the remedy was asked for.
fn commanded(node: &Node) -> usize {
    let (code, out, _) = node.says(&["events", "--kind", "commanded", "--limit", "100"]);
    assert_eq!(code, 0);
    out.matches("asked for: start repair").count()
}

#[test]
fn what_was_asked_for_is_listed_with_who_and_what_became_of_it_and_the_chain_is_whole() {
    let mut node = Node::new(BLOCKS);
    node.start();
    let (code, out, _) = node.says(&["audit", "verify"]);
    assert_eq!((code, out.as_str()), (0, "the record of acts is whole: it has no entries\n"));
    node.ask(&["remedy", "start", "repair", "--format", "json"]).unwrap();
    let (code, ..) = node.says(&["remedy", "start", "none"]);
    assert_eq!(code, 5);
    let (code, ..) = node.says(&["silence", "add", "check=backup", "--for", "2h", "--by", "ann"]);
    assert_eq!(code, 0);
    let told: Vec<String> = acts(&node)
        .iter()
        .rev()
        .map(|act| {
            let word = |name: &str| act[name].as_str().unwrap_or_default().to_owned();
            format!("{} {} {} {}", word("door"), word("from"), word("what"), word("end"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "cli 127.0.0.1 POST /v1/remedies/repair/start done",
            "cli 127.0.0.1 POST /v1/remedies/none/start refused",
            "cli 127.0.0.1 POST /v1/alerts/silences begun",
            "cli 127.0.0.1 POST /v1/alerts/silences done",
        ]
    );
    let first = acts(&node).pop().unwrap();
    assert!(first["by"].as_str().unwrap().contains(" on "), "{first}");
    // Somebody may say another name, and does not hide behind it.
    let by = acts(&node)[0]["by"].as_str().unwrap().to_owned();
    assert!(by.starts_with("ann (as ") && by.contains(" on "), "{by}");
    let (_, out, _) = node.says(&["audit"]);
    assert!(out.starts_with("NUMBER") && out.contains("done (of 3)") && out.contains(") (cli from"), "{out}");
    node.kill();
    node.start();
    let (code, out, _) = node.says(&["audit", "verify"]);
    assert!(
        code == 0 && out.starts_with("the record of acts is whole: 4 entries, 1 to 4\nlast hash: "),
        "{out}"
    );
}

#[test]
fn a_command_and_who_gave_it_are_there_together_or_not_at_all_wherever_the_agent_is_killed() {
    let mut done = Vec::new();
    for point in ["before-commit", "committed", "let-out"] {
        for number in 1..=4 {
            let mut node = Node::new(BLOCKS);
            node.start_with(Some(&format!("{point}:{number}")));
            // It may be dead before it answers, while it does, or not yet.
            wait::until(Duration::from_secs(3), || node.ask(&["status", "--format", "json"]).ok());
            drop(node.says(&["remedy", "start", "repair"]));
            node.kill();
            node.start();
            let asked = acts(&node).iter().filter(|act| act["what"] == START && act["end"] == "done").count();
            assert_eq!(asked, commanded(&node), "{point}:{number}");
            done.push(asked);
            assert_eq!(node.says(&["audit", "verify"]).0, 0, "{point}:{number}");
        }
    }
    // It was killed before the command in some rounds, and after it in others.
    assert!(done.contains(&0) && done.contains(&1), "{done:?}");
}

#[test]
fn a_signal_that_has_the_configuration_read_again_is_an_act_and_says_what_became_of_it() {
    let mut node = Node::new(BLOCKS);
    node.start();
    let told = |node: &Node| -> Vec<String> {
        let word = |act: &Value, name: &str| act[name].as_str().unwrap_or_default().to_owned();
        let line = |act: &Value| {
            let names = ["door", "by", "from", "what", "end", "said"];
            names.map(|name| word(act, name)).join(" ").trim_end().to_owned()
        };
        acts(node).iter().rev().map(line).collect()
    };
    let ends = |node: &mut Node, count: usize| {
        node.until("it is over", |node| Some(told(node)).filter(|told| told.len() == count))
    };
    node.agent().signal(Signal::HUP).unwrap();
    let signal = "signal unknown this machine SIGHUP";
    assert_eq!(ends(&mut node, 2), [format!("{signal} begun"), format!("{signal} done")]);
    node.configure("watch \"disk\" {}");
    node.agent().signal(Signal::HUP).unwrap();
    let refused = ends(&mut node, 4).pop().unwrap();
    assert!(refused.starts_with(&format!("{signal} refused ")), "{refused}");
    assert_eq!(node.says(&["audit", "verify"]).0, 0);
}
