//! The mesh of `lictor-core`, simulated: see `lictor_testkit::sim::peers`.

use std::ops::Range;
use std::thread;

use lictor_testkit::sim::peers::{self, Mistake, Report, Script};

/// Seeds of a run of the tests. `LICTOR_SIM_SEEDS` asks for more (or fewer),
/// `LICTOR_SIM_FIRST` for others, and `LICTOR_SIM_EXACT=1` for [`Script::exact`].
const SEEDS: u64 = 1_000;

/// So many seeds find each mistake.
const ENOUGH: u64 = 300;

fn seeds() -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let first = number("LICTOR_SIM_FIRST").unwrap_or(0);
    first..first + number("LICTOR_SIM_SEEDS").unwrap_or(SEEDS)
}

fn script(seed: u64) -> Script {
    let exact = std::env::var("LICTOR_SIM_EXACT").is_ok_and(|value| value == "1");
    Script { exact, ..Script::new(seed) }
}

/// Plays all of them on all processors.
fn play(seeds: Range<u64>) -> Report {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let worker = |number: usize| {
        let mut report = Report::default();
        for seed in seeds.clone().skip(number).step_by(workers) {
            report.add(&peers::run(script(seed)).unwrap_or_else(|failure| panic!("{failure}")));
        }
        report
    };
    let mut total = Report::default();
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|number| scope.spawn(move || worker(number))).collect();
        threads.into_iter().for_each(|thread| total.add(&thread.join().unwrap()));
    });
    total
}

#[test]
fn what_is_told_of_peers_is_so_and_is_told_once() {
    let report = play(seeds());
    println!("{report:#?}");
    // A suite in which something never happens says nothing about it.
    let Report { plays, restarts, told, early, unconfirmed, ended, .. } = report;
    let Report { vanished, handed_over, cut_off, disputed, lost_for_one, .. } = report;
    for (what, count) in [
        ("restarts", restarts),
        ("messages", told),
        ("early messages", early),
        ("unconfirmed messages", unconfirmed),
        ("ends", ended),
        ("vanished peers", vanished),
        ("peers handed over", handed_over),
        ("nodes cut off", cut_off),
        ("disputes", disputed),
        ("dead nodes of which one is to tell", lost_for_one),
    ] {
        assert!(count * 10 >= plays, "{count} {what} in {plays} plays");
    }
}

#[test]
fn each_mistake_of_a_driver_is_found() {
    for mistake in [
        Mistake::ForgetsAtARestart,
        Mistake::CountsALookTwice,
        Mistake::TakesNoAnswerForNobody,
        Mistake::AsksNobody,
        Mistake::KeepsWhatIsGone,
    ] {
        let found = (0..ENOUGH).find_map(|seed| {
            let why = peers::play(&Script::new(seed), mistake).err()?;
            Some((seed, why))
        });
        println!("{mistake:?}: {found:?}");
        assert!(found.is_some(), "{mistake:?} is not found in {ENOUGH} plays");
    }
}

#[test]
fn a_seed_is_one_play_and_a_failure_is_told_with_it() {
    for seed in 0..20 {
        assert_eq!(peers::run(script(seed)).unwrap(), peers::run(script(seed)).unwrap());
    }
    let script = (0..ENOUGH)
        .map(Script::new)
        .find(|script| !script.one_way && peers::play(script, Mistake::TakesNoAnswerForNobody).is_err());
    let script = script.unwrap();
    let (seed, faults) = (script.seed, script.faults.len());
    let failure = peers::explain(script, Mistake::TakesNoAnswerForNobody);
    assert!(failure.to_string().starts_with(&format!("seed {seed}: ")), "{failure}");
    assert!(failure.script.faults.len() < faults.max(2) && !failure.log.is_empty(), "{failure}");
}
