//! A clustered service, simulated: see `lictor_testkit::sim::service`.

use lictor_testkit::sim::service::{self, Mistake, Report, Script};

use crate::lease::{in_parallel, seeds};

/// Seeds of a run of the tests; see `seeds`.
const SEEDS: u64 = 400;

/// So many seeds find each mistake.
const ENOUGH: u64 = 2_000;

#[test]
fn it_never_runs_twice_and_runs_once_when_all_is_well() {
    let reports =
        in_parallel(seeds(SEEDS), |seed| service::run(seed).unwrap_or_else(|failure| panic!("{failure}")));
    let mut total = Report::default();
    reports.iter().for_each(|report| total.add(report));
    println!("{total:#?}");
    let Report { plays, failed_starts, guarded, kills, done, failed, moves, resumed, .. } = total;
    let Report { carried_on, blind, .. } = total;
    for (what, count) in [
        ("failed starts", failed_starts),
        ("guarded", guarded),
        ("kills", kills),
        ("operations done", done),
        ("operations failed", failed),
        ("moves", moves),
        ("resumed", resumed),
        ("carried on", carried_on),
        ("blind", blind),
    ] {
        assert!(count * 40 >= plays, "{count} {what} in {plays} plays");
    }
}

#[test]
fn each_mistake_is_found() {
    for mistake in Mistake::ALL {
        let said = |seed| {
            service::play(&Script::new(seed), mistake)
                .err()
                .filter(|why| mistake.says().iter().any(|said| why.contains(said)))
        };
        let found = (0..ENOUGH).find_map(|seed| Some((seed, said(seed)?)));
        println!("{mistake:?}: {found:?}");
        assert!(found.is_some(), "{mistake:?} is not found in {ENOUGH} plays");
    }
}
