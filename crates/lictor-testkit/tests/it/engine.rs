//! The engine of `lictor-core`, simulated: see `lictor_testkit::sim`.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use lictor_testkit::sim::{self, Failure, Report, Script};

/// Seeds of a run of the tests. `LICTOR_SIM_SEEDS` asks for more (or fewer),
/// `LICTOR_SIM_FIRST` for others.
const SEEDS: u64 = 2_000;

fn seeds() -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("LICTOR_SIM_FIRST").unwrap_or(0);
    first..first + number("LICTOR_SIM_SEEDS").unwrap_or(SEEDS)
}

/// Plays all of them on all processors; the failure of the lowest seed, if any.
fn play(seeds: Range<u64>) -> Result<Report, Box<Failure>> {
    let next = AtomicU64::new(seeds.start);
    let worker = || {
        let mut report = Report::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return Ok(report);
            }
            match sim::run(seed) {
                Ok(one) => report.add(&one),
                Err(failure) => {
                    next.store(seeds.end, Ordering::Relaxed);
                    return Err(failure);
                }
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let reports: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut total = Report::default();
    for report in reports {
        total.add(&report?);
    }
    Ok(total)
}

#[test]
fn the_engine_keeps_its_promises_under_kills_faults_and_reloads() {
    let report = play(seeds()).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{report:#?}");
    // A suite in which something never happens says nothing about it.
    for kind in [
        "commanded",
        "escalated",
        "flapping",
        "incident_closed",
        "incident_opened",
        "inspecting",
        "intent",
        "matched",
        "outcome",
        "parked",
        "retrying",
        "run_ended",
        "step_done",
        "step_failed",
        "step_skipped",
        "suppressed",
        "transition",
        "value_changed",
        "verified",
        "waiting",
        "would_act",
    ] {
        let count = report.events.get(kind).copied().unwrap_or_default();
        assert!(count * 100 >= report.plays, "{kind} happened {count} times in {} plays", report.plays);
    }
    assert!(report.killed.iter().all(|kills| kills * 20 >= report.plays), "{:?}", report.killed);
    assert!(report.aborts * 20 >= report.plays && report.inspects * 20 >= report.plays);
    assert!(report.prepares * 5 >= report.plays);
}

#[test]
fn a_seed_is_one_script_and_one_play() {
    for seed in 0..50 {
        let (one, other) = (Script::new(seed), Script::new(seed));
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
        assert_eq!(sim::run(seed).unwrap(), sim::run(seed).unwrap());
    }
}
