//! A wall clock that is stepped while the agent runs (by libfaketime; the other clocks are real).

use std::fs;
use std::path::PathBuf;

use crate::node::Node;

const BLOCKS: &str = r#"
watch "exec" "works" {
  command = ["/bin/false"]
  every   = "1s"
  timeout = "1s"
}

rule "repair" {
  on            = check.works != "passing"
  cooldown      = "4s"
  give_up_after = 0
  act "exec" { command = ["/bin/sh", "-c", "cut -d ' ' -f 1 /proc/uptime >> @DIR@/ran"] }
}
"#;

pub(crate) fn libfaketime() -> PathBuf {
    let places = fs::read_dir("/usr/lib").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let mut found = places.map(|place| place.join("faketime/libfaketime.so.1"));
    found
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("libfaketime is not there: run `cargo xtask setup`"))
}

/// Seconds of uptime at which the action ran.
fn ran(node: &Node) -> Vec<f64> {
    node.read("ran").lines().map(|line| line.parse().unwrap()).collect()
}

/// The year in which the newest entry of the ledger says that it happened.
fn year(node: &Node) -> Option<String> {
    let event = node.ask(&["events", "--limit", "1", "--format", "json"]).ok()?;
    Some(event["events"][0]["at"].as_str()?.get(..4)?.to_owned())
}

#[test]
fn a_step_of_the_clock_shortens_no_cooldown_and_times_follow_it() {
    let mut node = Node::new(BLOCKS);
    let step = node.path("step");
    fs::write(&step, "+0\n").unwrap();
    let (library, file) = (libfaketime(), step.display().to_string());
    node.start_in(&[
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", &file),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    node.until("it acts", |node| (ran(node).len() == 1).then_some(()));
    let real = node.until("it tells when", |node| year(node));
    // An hour back, then years ahead: the cooldown is neither stretched nor cut short.
    fs::write(&step, "-3600\n").unwrap();
    node.until("it acts again", |node| (ran(node).len() == 2).then_some(()));
    fs::write(&step, "+315360000\n").unwrap();
    node.until("it acts again", |node| (ran(node).len() == 3).then_some(()));
    let times = ran(&node);
    for pair in times.windows(2) {
        let pause = pair[1] - pair[0];
        // When a program has begun varies by as much as this machine is busy; a cooldown cut short would leave about a second.
        assert!((2.0..20.0).contains(&pause), "{times:?}\n{}", node.events());
    }
    let ahead = (real.parse::<u32>().unwrap() + 10).to_string();
    node.until("times are those of the clock", |node| (year(node)? >= ahead).then_some(()));
    fs::write(&step, "+0\n").unwrap();
    node.until("also when it is set right", |node| (year(node)? == real).then_some(()));
    assert_eq!(node.status("works"), "warning", "a step of the clock is no silence of a watcher");
}
