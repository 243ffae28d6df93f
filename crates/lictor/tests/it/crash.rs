//! Kill -9 at every recorded step of a remedy: no step is lost, none is done twice.

use std::collections::BTreeMap;

use crate::node::Node;

/// Three programs that may not be repeated, between them a wait and a verification. Each
/// leaves one line for each time it really ran.
const BLOCKS: &str = r#"
watch "exec" "works" {
  command = ["/bin/sh", "-c", "test -e @DIR@/fixed || exit 2"]
  every   = "1s"
  timeout = "1s"
}

remedy "repair" {
  on       = check.works != "passing"
  cooldown = "1h"

  step "first" {
    act "exec" { command = ["/bin/sh", "-c", "echo $LICTOR_STEP >> @DIR@/ran-first"] }
  }
  step "fix" {
    act "exec" { command = ["/bin/sh", "-c", "echo $LICTOR_STEP >> @DIR@/ran-fix; touch @DIR@/fixed"] }
    verify        = check.works == "passing"
    verify_within = "30s"
  }
  step "settle" {
    wait_for = check.works == "passing"
    hold     = "1s"
    deadline = "1m"
  }
  step "last" {
    act "exec" { command = ["/bin/sh", "-c", "echo $LICTOR_STEP >> @DIR@/ran-last"] }
  }
}
"#;

/// Kills the agent when it reaches `point` for the `number`-th time, starts it again and
/// looks at what became of the run. `false` when it did not get that far.
fn killed_at(point: &str, number: u32) -> bool {
    let mut node = Node::new(BLOCKS);
    node.start_with(Some(&format!("{point}:{number}")));
    let killed = node.until("killed or done", |node| {
        let ended = node.agent().status().unwrap();
        let done = || node.runs().last().is_some_and(|run| run["state"] == "done").then_some(false);
        ended.map(|_killed| true).or_else(done)
    });
    if !killed {
        return false;
    }
    node.kill();
    node.start();
    let state = node.until("the run is over or parked", |node| {
        let runs = node.runs();
        let state = runs.last()?["state"].as_str()?.to_owned();
        ["done", "failed", "cancelled", "parked"].contains(&state.as_str()).then_some(state)
    });
    let place = format!("killed at {point}:{number}");
    assert_eq!(state, "done", "{place}\n{}", node.events());
    let mut counts = BTreeMap::new();
    for step in ["first", "fix", "last"] {
        counts.insert(step, node.read(&format!("ran-{step}")).lines().count());
    }
    let once = BTreeMap::from([("first", 1), ("fix", 1), ("last", 1)]);
    assert_eq!(counts, once, "{place}\n{}", node.events());
    assert_eq!(node.runs().len(), 1, "{place}: one run, not a second one");
    true
}

/// Walks all recorded steps, two at a time.
fn walk(point: &str) {
    let mut number = 1;
    loop {
        let both = std::thread::scope(|scope| {
            let walks = [number, number + 1].map(|number| scope.spawn(move || killed_at(point, number)));
            walks.map(|walk| walk.join().unwrap())
        });
        if both.contains(&false) {
            break;
        }
        number += 2;
        assert!(number < 100, "the walk has no end");
    }
    assert!(number > 5, "only {number} places: the walk has missed the remedy");
}

#[test]
fn killed_before_each_commit_nothing_is_lost_or_done_twice() {
    walk("before-commit");
}

#[test]
fn killed_after_each_commit_before_its_effects_nothing_is_lost_or_done_twice() {
    walk("committed");
}

#[test]
fn killed_after_the_effects_of_each_commit_nothing_is_lost_or_done_twice() {
    walk("let-out");
}
