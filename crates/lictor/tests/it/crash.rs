//! Kill -9 at every recorded step of a remedy: no step is lost, none is done twice.

use std::fs;

use lictor_testkit::consul::Server;

use crate::consul::copied;
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

/// A program that may be done again and goes on until it is let go.
const LONG_STEP: &str = r#"
watch "exec" "works" {
  command = ["/bin/false"]
  every   = "1s"
  timeout = "1s"
}

remedy "sync" {
  on       = check.works != "passing"
  cooldown = "1h"

  step "copy" {
    act "exec" {
      command = ["/bin/sh", "-c", "echo WORD >> @DIR@/ran; until test -e @DIR@/go; do sleep 0.1; done"]
    }
    repeat = "idempotent"
  }
}
"#;

/// Where the agent is killed, and what it has besides its disk.
struct Walk {
    point: &'static str,
    consul: Option<Server>,
    /// Whether the disk is lost with it.
    lose_disk: bool,
}

/// What became of a run whose agent was killed.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It was over before the place came.
    NotReached,
    /// The disk went before Consul had heard of the run.
    Forgotten,
    Done,
    Parked,
}

impl Walk {
    fn new(point: &'static str) -> Self {
        Self { point, consul: None, lose_disk: false }
    }

    fn with_consul(point: &'static str) -> Self {
        Self { consul: Some(Server::start()), ..Self::new(point) }
    }

    /// Kills the agent when it reaches the point for the `number`-th time, starts it again
    /// and looks at what became of the run.
    fn killed_at(&self, number: u32) -> Fate {
        let prefix = format!("walk-{number}/");
        let consul = self.consul.as_ref().map_or_else(String::new, |server| {
            format!("consul {{\n  address = \"{}\"\n  prefix = \"{prefix}\"\n}}\n", server.url())
        });
        let mut node = Node::new(&format!("{consul}{BLOCKS}"));
        node.start_with(Some(&format!("{}:{number}", self.point)));
        let killed = node.until("killed or done", |node| {
            let ended = node.agent().status().unwrap();
            let done = || node.runs().last().is_some_and(|run| run["state"] == "done").then_some(false);
            ended.map(|_killed| true).or_else(done)
        });
        if !killed {
            return Fate::NotReached;
        }
        node.kill();
        if self.lose_disk {
            fs::remove_dir_all(node.path("state")).unwrap();
            let copies = self.consul.as_ref().map(|server| copied(server, &prefix)).unwrap_or_default();
            if !copies.contains("\"first\"") {
                return Fate::Forgotten;
            }
        }
        node.start();
        let state = node.until("the run is over or parked", |node| {
            let runs = node.runs();
            let state = runs.last()?["state"].as_str()?.to_owned();
            ["done", "failed", "cancelled", "parked"].contains(&state.as_str()).then_some(state)
        });
        let place = format!("killed at {}:{number}", self.point);
        let told = || format!("{place}\n{}", node.events());
        assert_eq!(node.runs().len(), 1, "one run, not a second one; {}", told());
        let counts = ["first", "fix", "last"].map(|step| node.read(&format!("ran-{step}")).lines().count());
        match state.as_str() {
            "done" => assert_eq!(counts, [1, 1, 1], "{}", told()),
            // Nobody can tell any more whether a step was done: it is not done again.
            "parked" => assert!(self.lose_disk && counts.iter().all(|&count| count <= 1), "{}", told()),
            other => panic!("{other}; {}", told()),
        }
        if state == "done" { Fate::Done } else { Fate::Parked }
    }

    /// Walks all recorded steps, two at a time.
    fn walk(&self) -> Vec<Fate> {
        let mut fates = Vec::new();
        while fates.last() != Some(&Fate::NotReached) {
            let next = u32::try_from(fates.len()).unwrap() + 1;
            assert!(next < 100, "the walk has no end");
            std::thread::scope(|scope| {
                let walks = [next, next + 1].map(|number| scope.spawn(move || self.killed_at(number)));
                fates.extend(walks.map(|walk| walk.join().unwrap()));
            });
        }
        fates.retain(|fate| *fate != Fate::NotReached);
        assert!(fates.len() > 5, "only {} places: the walk has missed the remedy", fates.len());
        fates
    }
}

#[test]
fn killed_before_each_commit_nothing_is_lost_or_done_twice() {
    Walk::new("before-commit").walk();
}

#[test]
fn killed_after_each_commit_before_its_effects_nothing_is_lost_or_done_twice() {
    Walk::new("committed").walk();
}

#[test]
fn killed_after_the_effects_of_each_commit_nothing_is_lost_or_done_twice() {
    Walk::new("let-out").walk();
}

#[test]
fn a_program_that_outlives_the_agent_and_its_own_definition_is_not_begun_a_second_time_beside_it() {
    let blocks = |word: &str| LONG_STEP.replace("WORD", word);
    let mut node = Node::new(&blocks("old"));
    node.start();
    node.until("it has begun", |node| (node.read("ran") == "old\n").then_some(()));
    node.kill();
    node.configure(&blocks("new"));
    node.start();
    let state = |node: &Node| node.runs().last().and_then(|run| run["state"].as_str().map(str::to_owned));
    node.until("it is looked at", |node| (state(node)? == "inspecting").then_some(()));
    let (code, _, err) = node.says(&["remedy", "retry", "r1"]);
    assert_ne!(code, 0, "it was begun beside the one that runs: {}", node.events());
    assert!(err.contains("is not parked"), "{err}");
    assert_eq!(node.read("ran"), "old\n");

    fs::write(node.path("go"), "").unwrap();
    node.until("a person is asked", |node| (state(node)? == "parked").then_some(()));
    assert_eq!(node.says(&["remedy", "retry", "r1"]).0, 0);
    node.until("it was done anew", |node| (state(node)? == "done").then_some(()));
    assert_eq!(node.read("ran"), "old\nnew\n", "{}", node.events());
}

#[test]
fn killed_with_a_copy_in_consul_nothing_is_lost_or_done_twice() {
    for point in ["before-commit", "committed", "let-out"] {
        Walk::with_consul(point).walk();
    }
}

#[test]
fn killed_and_its_disk_lost_nothing_that_consul_heard_of_is_done_twice() {
    let fates = Walk { lose_disk: true, ..Walk::with_consul("let-out") }.walk();
    let known = fates.iter().filter(|fate| **fate != Fate::Forgotten).count();
    assert!(known >= 3, "Consul heard of too few to tell: {fates:?}");
}
