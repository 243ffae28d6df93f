//! A service on real machines, and what can happen to them: it never runs twice, and is never away for long.
//!
//! Each fault is played once; `LICTOR_FAULTS=1000` plays so many as the dice have it, `LICTOR_SEED` is another history,
//! `LICTOR_ONLY=PowerCut,CutOff` plays only these, and the times without a line are printed for each kind:
//!
//! ```text
//! LICTOR_FAULTS=1000 cargo test --release -p lictor --test it fleet:: -- --nocapture
//! ```
//!
//! `LICTOR_ROUNDS=30` plays so many rounds of what is measured (`cargo xtask bench failover`), and writes the times to
//! the file `LICTOR_FIGURES`.

mod fault;
mod lines;
mod machine;
mod rig;
mod steps;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use fault::Fault;
use rig::Fleet;

use crate::flaky::Dice;

/// What is measured (`xtask/src/bench/failover.rs` knows these names).
const MEASURED: [Round; 8] = [
    (Fault::Switchover, None),
    (Fault::AgentKilled, None),
    (Fault::UnitKilled, None),
    (Fault::AgentFrozen, None),
    (Fault::PowerCut, Some(false)),
    (Fault::PowerCut, Some(true)),
    (Fault::CutOff, Some(false)),
    (Fault::CutOff, Some(true)),
];

/// A fault, and whether Consul's leader is to be on the machine to which it happens.
type Round = (Fault, Option<bool>);

/// What the environment asks for.
fn wanted(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The faults in their order, as the dice have it where so many are wanted.
fn rounds(seed: u64) -> Vec<Round> {
    let only = std::env::var("LICTOR_ONLY").ok();
    let is_wanted = |(fault, _): &Round| {
        only.as_ref().is_none_or(|only| only.split(',').any(|name| name == format!("{fault:?}")))
    };
    if let Some(rounds) = wanted("LICTOR_ROUNDS") {
        return (0..rounds).flat_map(|_| MEASURED).filter(is_wanted).collect();
    }
    let all: Vec<Round> = Fault::ALL.map(|fault| (fault, None)).into_iter().filter(is_wanted).collect();
    assert!(!all.is_empty(), "LICTOR_ONLY={only:?} is none of {:?}", Fault::ALL);
    let Some(count) = wanted("LICTOR_FAULTS") else { return all };
    let mut dice = Dice(seed);
    (0..count).map(|_| all[usize::try_from(dice.below(all.len() as u64)).unwrap()]).collect()
}

#[test]
fn a_service_survives_the_faults_of_its_machines_and_never_runs_twice() {
    let (alone, measures) = (wanted("LICTOR_FAULTS").is_none(), wanted("LICTOR_ROUNDS").is_some());
    let seed = wanted("LICTOR_SEED").unwrap_or(1);
    println!("LICTOR_SEED={seed}");
    let rounds = rounds(seed);
    let mut fleet = Fleet::start();
    fleet.settles();
    let mut gaps: BTreeMap<Round, Vec<Duration>> = BTreeMap::new();
    for (number, (fault, leads)) in rounds.into_iter().enumerate() {
        if let Some(leads) = leads {
            fleet.runs_where_consul(leads);
        }
        if measures {
            fleet.rests();
        }
        let gap = fleet.plays(fault, alone);
        println!("{}. {fault:?}: {} ms", number + 1, gap.as_millis());
        fleet.lines().never_two();
        gaps.entry((fault, leads)).or_default().push(gap);
    }
    let overlap = fleet.lines().overlap();
    told(&gaps).iter().for_each(|line| println!("{line}"));
    println!("both at once for {} ms", overlap.as_millis());
    if let Some(file) = std::env::var_os("LICTOR_FIGURES") {
        fs::write(file, figures(&gaps, overlap).to_string()).unwrap();
    }
}

/// How long nothing was written, a line for each kind of fault.
fn told(gaps: &BTreeMap<Round, Vec<Duration>>) -> Vec<String> {
    let of = |((fault, leads), gaps): (&Round, &Vec<Duration>)| {
        let mut sorted = gaps.clone();
        sorted.sort();
        let at = |part: usize| sorted[(sorted.len() * part / 100).min(sorted.len() - 1)].as_millis();
        let (fault, times) = (format!("{fault:?}"), sorted.len());
        let led = match leads {
            Some(true) => " where Consul's leader is",
            Some(false) => " elsewhere than Consul's leader",
            None => "",
        };
        format!("{fault:20} {times:4} times, p50 {:6} ms, p99 {:6} ms{led}", at(50), at(99))
    };
    gaps.iter().map(of).collect()
}

/// The same for programs: each time, in the order of the rounds.
fn figures(gaps: &BTreeMap<Round, Vec<Duration>>, overlap: Duration) -> Value {
    let millis = |time: &Duration| time.as_secs_f64() * 1_000.0;
    let of = |((fault, leads), gaps): (&Round, &Vec<Duration>)| {
        json!({
            "fault": format!("{fault:?}"),
            "leads": leads,
            "gaps_ms": gaps.iter().map(millis).collect::<Vec<_>>(),
        })
    };
    json!({ "overlap_ms": millis(&overlap), "figures": gaps.iter().map(of).collect::<Vec<_>>() })
}
