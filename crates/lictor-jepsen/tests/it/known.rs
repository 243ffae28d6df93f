//! A system that keeps its promises is judged so, and one broken promise among thousands of calls is found.

use std::num::NonZero;
use std::time::{Duration, Instant};

use lictor_jepsen::check::Verdict;
use lictor_jepsen::check::linear::model::{Kind, Lock, Register, Set, Versioned};
use lictor_jepsen::check::linear::{KeyVerdict, Limits, Linearizable};
use lictor_jepsen::history::{History, Op};
use lictor_jepsen::sim::{Dice, Sim, plant};

/// What is said of a history, and how many operations the least that is wrong has.
fn judge<K: Kind>(kind: K, ops: Vec<Op>) -> (Verdict, usize) {
    let history = History::new(ops).unwrap();
    let limits =
        Limits { time: Duration::from_secs(30), threads: NonZero::<usize>::MIN, ..Limits::default() };
    let analysis = Linearizable { kind, limits }.analyse(&history);
    let least = analysis.keys.iter().find_map(|key| match &key.result {
        KeyVerdict::Invalid(violation) => Some(violation.least.len()),
        KeyVerdict::Valid(_) | KeyVerdict::Unknown(_) | KeyVerdict::Skipped => None,
    });
    (analysis.verdict(), least.unwrap_or_default())
}

/// Histories of many shapes.
fn shapes(seeds: std::ops::Range<u64>) -> impl Iterator<Item = Sim> {
    seeds.map(|seed| Sim {
        seed,
        clients: 2 + seed % 9,
        keys: 1 + seed % 3,
        calls: 60 + seed * 7 % 200,
        unknown: [0, 10, 50, 150][(seed % 4) as usize],
        ..Sim::default()
    })
}

#[test]
fn a_correct_register_is_valid() {
    for sim in shapes(0..200) {
        assert_eq!(judge(Register, sim.register()).0, Verdict::Valid, "{sim:?}");
        assert_eq!(judge(Versioned, sim.register()).0, Verdict::Valid, "{sim:?}");
    }
}

#[test]
fn a_correct_register_with_few_values_is_valid() {
    for sim in shapes(0..200) {
        let sim = Sim { values: 4, unknown: sim.unknown / 3, ..sim };
        assert_eq!(judge(Register, sim.register()).0, Verdict::Valid, "{sim:?}");
    }
}

#[test]
fn a_correct_lock_and_a_correct_set_are_valid() {
    for sim in shapes(0..150) {
        assert_eq!(judge(Lock::default(), sim.lock()).0, Verdict::Valid, "{sim:?}");
        assert_eq!(judge(Lock { reentrant: true }, sim.lock()).0, Verdict::Valid, "{sim:?}");
        assert_eq!(judge(Set, sim.set()).0, Verdict::Valid, "{sim:?}");
    }
}

/// Breaks a promise in each of many histories and says how many could be broken.
fn broken<K: Kind + Copy>(
    kind: K,
    make: impl Fn(&Sim) -> Vec<Op>,
    plant: impl Fn(&mut Vec<Op>, &mut Dice) -> bool,
    most: usize,
) -> usize {
    let mut count = 0;
    for sim in shapes(1000..1150) {
        let mut ops = make(&sim);
        if !plant(&mut ops, &mut Dice::new(sim.seed)) {
            continue;
        }
        count += 1;
        let (verdict, least) = judge(kind, ops);
        assert_eq!(verdict, Verdict::Invalid, "{sim:?}");
        assert!((1..=most).contains(&least), "{least} operations are the least of {sim:?}");
    }
    count
}

#[test]
fn a_stale_read_is_found_and_made_small() {
    let count = broken(Register, Sim::register, |ops, dice| plant::stale_read(ops, dice), 6);
    assert!(count > 120, "{count}");
    let count = broken(Versioned, Sim::register, |ops, dice| plant::stale_read(ops, dice), 6);
    assert!(count > 120, "{count}");
}

#[test]
fn a_lost_update_is_found_and_made_small() {
    let count = broken(Register, Sim::register, |ops, dice| plant::lost_update(ops, dice), 8);
    assert!(count > 60, "{count}");
}

#[test]
fn a_lock_that_two_hold_is_found_and_made_small() {
    let count = broken(Lock::default(), Sim::lock, plant::double_acquire, 3);
    assert!(count > 120, "{count}");
}

#[test]
fn an_element_that_got_lost_is_found() {
    // What a read found has to stay, so that this does not become small.
    let count = broken(Set, Sim::set, |ops, dice| plant::lost_element(ops, dice), usize::MAX);
    assert!(count > 120, "{count}");
}

#[test]
fn one_stale_read_among_many_calls_of_many_clients_is_found_soon() {
    let sim = Sim { seed: 7, clients: 30, calls: 10_000, ..Sim::default() };
    assert_eq!(judge(Register, sim.register()).0, Verdict::Valid);
    let mut ops = sim.register();
    assert!(plant::stale_read(&mut ops, &mut Dice::new(7)));
    assert_eq!(judge(Register, ops).0, Verdict::Invalid);
}

/// Many writes of which nobody knows, with few values, so that none can be left out: the worst there is.
#[test]
fn what_cannot_be_told_in_time_is_unknown_and_never_valid() {
    let sim = Sim { seed: 3, clients: 30, calls: 1500, unknown: 400, values: 6, ..Sim::default() };
    let mut ops = sim.register();
    // Nobody ever wrote this, which only trying everything tells.
    let read =
        ops.iter().rposition(|op| op.f == "read" && op.kind == lictor_jepsen::history::Kind::Ok).unwrap();
    ops[read].value = serde_json::json!(77);
    let history = History::new(ops).unwrap();
    let limits = Limits {
        time: Duration::from_millis(300),
        explain: Duration::from_millis(300),
        memory: 1 << 28,
        threads: NonZero::<usize>::MIN,
    };
    #[expect(clippy::disallowed_methods, reason = "that it ends in time is what is tested")]
    let begin = Instant::now();
    let verdict = Linearizable { kind: Register, limits }.analyse(&history).verdict();
    assert_ne!(verdict, Verdict::Valid);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}
