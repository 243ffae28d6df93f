use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write as _;

use lictor_core::{Boot, Effect, Engine, Input, Now, Outcome, Output};
use proptest::prelude::*;

use super::*;
use crate::lines::Matcher;

/// 2026-11-14T12:00:00Z, milliseconds.
const NOON: i64 = 1_794_657_600_000;

const CONFIG: &str = r#"
watch "journal" "log" {
  unit = "a"
  match "bad" {
    contains = "bad"
  }
  match "often" {
    regex    = "slow (?P<what>[a-z]+)"
    at_least = 3
    within   = "20s"
  }
  match "beat" {
    contains   = "beat"
    absent_for = "1m"
  }
}
rule "bad" {
  on       = match.log.bad
  target   = "a"
  cooldown = "30s"
  budget   = "3 in 5m"
  escalate = remedy.last
  act "exec" {
    command = ["x"]
  }
}
rule "often" {
  on       = match.log.often
  target   = "a"
  cooldown = "10s"
  defer    = true
  act "exec" {
    command = ["x", capture.what]
  }
}
remedy "silent" {
  on       = match.log.beat
  cooldown = "0s"
  step "one" {
    act "exec" {
      command = ["x"]
    }
  }
  step "two" {
    act "exec" {
      command = ["y"]
    }
  }
}
rule "last" {
  cooldown = "2m"
  act "exec" {
    command = ["z"]
  }
}
"#;

const LINES: [&str; 5] = ["bad", "slow disk", "slow net and bad", "beat", "fine"];

/// What an agent would have decided: an engine that is asked every ten milliseconds, with the plan
/// as it is and a watcher that says every ten seconds that it follows.
fn live(lines: &[(i64, &str)], last: i64) -> Vec<(i64, String)> {
    let config = lictor_config::parse("x.hcl", CONFIG).unwrap().config;
    let (check, watch) = config.watches.iter().next().unwrap();
    let matcher = Matcher::new(&watch.patterns);
    let at = |millis: i64| Now {
        boot: Boot::from_millis(u64::try_from(millis).unwrap() + 1_000_000_000),
        wall: Wall::from_unix_millis(NOON + millis),
    };
    let mut events = Vec::new();
    let begin = lines.first().map_or(0, |(at, _)| *at);
    let (mut engine, output) = Engine::restore(config.plan.clone(), Vec::new(), at(begin));
    let (mut outputs, mut ended) = (VecDeque::from([output]), VecDeque::new());
    let mut lines = lines.iter().peekable();
    for now in (begin..=last).step_by(10) {
        // What is due goes before what comes in the same moment.
        let mut inputs = VecDeque::from([Input::Tick]);
        if (now - begin) % 10_000 == 0 {
            let sample = Sample::new(Status::Passing, "it is read");
            inputs.push_back(Input::Observed { check: check.clone(), sample });
        }
        while let Some((_, line)) = lines.next_if(|(at, _)| *at <= now) {
            let matches = matcher.message(line.as_bytes());
            inputs.push_back(Input::Read { source: check.clone(), matches, position: None });
        }
        loop {
            while let Some(Output { events: told, effects, .. }) = outputs.pop_front() {
                events.extend(
                    told.iter().map(|event| (event.at.wall.as_unix_millis(), event.what.to_string())),
                );
                for effect in effects {
                    let Effect::Act(order) = effect else { panic!("{effect:?}") };
                    let (run, step, attempt) = (order.run, order.step, order.attempt);
                    let outcome = Outcome::Done { detail: "taken as done".to_owned() };
                    outputs.push_back(engine.step(Input::HandedOver { run }, at(now)));
                    ended.push_back(Input::Outcome { run, step, attempt, outcome });
                }
            }
            // What was done is known before anything else comes.
            match ended.pop_front().or_else(|| inputs.pop_front()) {
                Some(input) => outputs.push_back(engine.step(input, at(now))),
                None if engine.next_wake().is_some_and(|wake| wake <= at(now).boot) => {
                    outputs.push_back(engine.step(Input::Tick, at(now)));
                }
                None => break,
            }
        }
    }
    events
}

fn played(lines: &[(i64, &str)]) -> (Vec<(i64, String)>, Report) {
    let mut text = String::new();
    for (at, line) in lines {
        let realtime = (NOON + at) * 1_000;
        writeln!(
            text,
            "__CURSOR=x\n__REALTIME_TIMESTAMP={realtime}\n_SYSTEMD_UNIT=a.service\nMESSAGE={line}\n"
        )
        .unwrap();
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let config = lictor_config::parse("x.hcl", CONFIG).unwrap().config;
    let past = Past { sources: vec![(None, file.path().to_owned())], ..Past::default() };
    let events = RefCell::new(Vec::new());
    let on_event = |event: &lictor_core::Event| {
        events.borrow_mut().push((event.at.wall.as_unix_millis(), event.what.to_string()));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let report = runtime.block_on(run(&config, &past, Box::new(on_event))).unwrap();
    (events.into_inner(), report)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_play_decides_what_an_agent_would_have_decided(
        steps in prop::collection::vec((prop::sample::select(vec![0_i64, 10, 500, 3_000, 9_990, 10_000, 31_000, 70_000]), 0..LINES.len()), 1..60),
    ) {
        let mut at = 0;
        let lines: Vec<(i64, &str)> = steps.iter().map(|(pause, line)| { at += pause; (at, LINES[*line]) }).collect();
        let (events, report) = played(&lines);
        let wanted = live(&lines, at);
        prop_assert_eq!(&events, &wanted);
        // The count of what ran is that of the ledger.
        for (name, one) in report.tally.remedies() {
            let started = |(_, text): &&(i64, String)| {
                text.starts_with(&format!("{name} started")) || text.starts_with(&format!("{name} on a started"))
            };
            prop_assert_eq!(one.ran, wanted.iter().filter(started).count() as u64);
            prop_assert!(one.fired >= one.ran.min(1) && one.fired <= one.ran + one.held());
        }
    }
}

#[test]
fn every_trigger_that_is_held_back_is_counted() {
    let lines: Vec<(i64, &str)> = (0..1_000).map(|number| (number * 10, "bad")).collect();
    let (_, report) = played(&lines);
    let bad = &report.tally.remedies()[&"bad".parse().unwrap()];
    assert_eq!((bad.fired, bad.ran, bad.held()), (1_000, 1, 999));
    // What waits for its time is one start, whichever way it is counted.
    let lines: Vec<(i64, &str)> =
        (0..4).map(|number| (number * 1_000, "slow x")).chain([(20_000, "fine")]).collect();
    let (_, report) = played(&lines);
    let often = &report.tally.remedies()[&"often".parse().unwrap()];
    assert_eq!((often.fired, often.ran, often.held()), (1, 1, 0));
    let lines: Vec<(i64, &str)> =
        [0, 1, 2, 3, 4, 5, 20].map(|at| (at * 1_000, if at < 20 { "slow x" } else { "fine" })).into();
    let (_, report) = played(&lines);
    let often = &report.tally.remedies()[&"often".parse().unwrap()];
    assert_eq!((often.fired, often.ran, often.held()), (2, 2, 1));
}

#[test]
fn a_path_is_known_by_what_it_was_called_before_it_was_rotated() {
    let names = |path: &str| {
        let found = before_rotation(PathBuf::from(path));
        found.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("/l/a.log"), ["/l/a.log"]);
    assert_eq!(names("/l/a.log.2.gz"), ["/l/a.log.2.gz", "/l/a.log.2", "/l/a.log"]);
    assert_eq!(names("/l/a.log-20261121"), ["/l/a.log-20261121", "/l/a.log"]);
}
