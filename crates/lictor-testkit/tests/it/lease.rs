//! The lease of `lictor-core`, simulated: see `lictor_testkit::sim::lease`.

use std::ops::Range;
use std::thread;

use lictor_testkit::sim::lease::{self, Mistake, Report, Script};

/// Seeds of a run of the tests. `LICTOR_SIM_SEEDS` asks for more (or fewer),
/// `LICTOR_SIM_FIRST` for others.
const SEEDS: u64 = 3_000;

/// So many seeds find each mistake.
const ENOUGH: u64 = 1_000;

/// The seeds to play: so many, or what the environment says.
pub(crate) fn seeds(count: u64) -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("LICTOR_SIM_FIRST").unwrap_or(0);
    first..first + number("LICTOR_SIM_SEEDS").unwrap_or(count)
}

/// Plays all of them on all processors.
pub(crate) fn in_parallel<R: Send>(seeds: Range<u64>, play: impl Fn(u64) -> R + Sync) -> Vec<R> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let worker =
        |number: usize| -> Vec<R> { seeds.clone().skip(number).step_by(workers).map(&play).collect() };
    thread::scope(|scope| {
        let worker = &worker;
        let threads: Vec<_> = (0..workers).map(|number| scope.spawn(move || worker(number))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn no_two_nodes_act_at_once_and_one_does_when_all_is_well() {
    let reports =
        in_parallel(seeds(SEEDS), |seed| lease::run(seed).unwrap_or_else(|failure| panic!("{failure}")));
    let mut report = Report::default();
    reports.iter().for_each(|one| report.add(one));
    println!("{report:#?}");
    // A suite in which something never happens says nothing about it.
    let Report {
        plays,
        conflicts,
        unclear,
        late,
        takings,
        lapses,
        releases,
        restores,
        promises,
        carried,
        ..
    } = report;
    for (what, count) in [
        ("conflicts", conflicts),
        ("unclear answers", unclear),
        ("late writes", late),
        ("takings", takings),
        ("lapses", lapses),
        ("releases", releases),
        ("restores", restores),
        ("promises", promises),
        ("times that promises carried a holder", carried),
    ] {
        assert!(count * 20 >= plays, "{count} {what} in {plays} plays");
    }
}

#[test]
fn each_mistake_lets_two_nodes_act_at_once() {
    for mistake in Mistake::ALL {
        let overlap =
            |seed| lease::play(&Script::new(seed), mistake).err().filter(|why| why.contains("acts while"));
        let found = (0..ENOUGH).find_map(|seed| Some((seed, overlap(seed)?)));
        println!("{mistake:?}: {found:?}");
        assert!(found.is_some(), "{mistake:?} is not found in {ENOUGH} plays");
    }
}

#[test]
fn a_seed_is_one_play_and_a_failure_is_told_with_it() {
    for seed in 0..20 {
        assert_eq!(lease::run(seed).unwrap(), lease::run(seed).unwrap());
    }
    let failure = lease::explain(Script::new(0), Mistake::KeepsTheBeat);
    let told = failure.to_string();
    assert!(told.starts_with("seed 0: ") && failure.script.faults.len() <= 1, "{told}");
}
