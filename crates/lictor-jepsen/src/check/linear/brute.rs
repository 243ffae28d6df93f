//! The search against all orders: what it says of small histories of every kind is what trying everything says.

use std::num::NonZero;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

use super::explain::explain;
use super::model::{
    Kind, Lock, LockAction, Model, NEVER, Register, RegisterAction, Set, SetAction, Timed, Versioned,
    VersionedAction,
};
use super::search::{Bounds, Found, search};
use super::shrink::Judge;
use super::{Limits, Linearizable, in_place};
use crate::check::Verdict;
use crate::history::{History, Kind as Entry, Op};
use crate::sim::{Dice, Sim, plant};

/// Tries every order, without any of the search's shortcuts.
fn possible<A, M: Model>(operations: &[Timed<A>], model: &mut M) -> bool {
    fn go<A, M: Model>(all: &[Timed<A>], done: &mut Vec<bool>, state: M::State, model: &mut M) -> bool {
        let Some(first) = (0..all.len()).filter(|at| !done[*at]).map(|at| all[at].end).min() else {
            return true;
        };
        if first == NEVER {
            return true;
        }
        for at in 0..all.len() {
            if done[at] || all[at].begin > first {
                continue;
            }
            if let Some(state) = model.step(state, at) {
                done[at] = true;
                let possible = go(all, done, state, model);
                done[at] = false;
                if possible {
                    return true;
                }
            }
        }
        false
    }
    let initial = model.initial();
    go(operations, &mut vec![false; operations.len()], initial, model)
}

fn found<K: Kind>(kind: &K, operations: &[Timed<K::Action>]) -> Found {
    let mut simple = operations.to_vec();
    kind.simplify(&mut simple);
    let stop = AtomicBool::new(false);
    let bounds = Bounds { deadline: None, memory: 1 << 26, steps: 1_000_000, stop: &stop };
    in_place(search(&simple, kind.model(&simple), &bounds, true), operations, &simple)
}

/// Whether an order keeps all ends and the state follows in it.
fn replayed<K: Kind>(kind: &K, operations: &[Timed<K::Action>], order: &[usize]) -> Result<(), String> {
    let mut model = kind.model(operations);
    let mut state = model.initial();
    for (place, &at) in order.iter().enumerate() {
        state = model.step(state, at).ok_or_else(|| format!("{:?} cannot come there", operations[at]))?;
        if let Some(late) = order[place..].iter().find(|late| operations[**late].end < operations[at].begin) {
            return Err(format!("{:?} had ended before {:?}", operations[*late], operations[at]));
        }
    }
    let missing = (0..operations.len()).find(|at| operations[*at].end != NEVER && !order.contains(at));
    missing.map_or(Ok(()), |missing| Err(format!("{:?} is missing", operations[missing])))
}

/// That the search says what trying everything says, and that what it says can be verified.
fn agree<K: Kind>(kind: &K, operations: &[Timed<K::Action>]) -> Result<(), TestCaseError> {
    let expected = possible(operations, &mut kind.model(operations));
    match found(kind, operations) {
        Found::Order(order) => {
            prop_assert!(expected, "an order was found where there is none: {order:?}");
            prop_assert_eq!(replayed(kind, operations, &order), Ok(()));
        }
        Found::Nothing(blocked) => {
            prop_assert!(!expected, "no order was found where there is one");
            let limits = Limits {
                explain: Duration::from_secs(60),
                threads: NonZero::<usize>::MIN,
                ..Limits::default()
            };
            let violation = explain(kind, operations, &blocked, limits);
            let judge = Judge { kind, deadline: None };
            let until = |end| {
                let piece = judge.until(operations, end);
                let mut model = kind.model(&piece);
                possible(&piece, &mut model)
            };
            let culprit = operations.iter().find(|operation| operation.call == violation.culprit).unwrap();
            prop_assert!(!until(culprit.end), "up to the culprit there is an order");
            prop_assert!(until(culprit.end - 1), "there is none before the culprit either");
            let least: Vec<_> = judge
                .until(operations, culprit.end)
                .into_iter()
                .filter(|operation| violation.least.contains(&operation.call))
                .collect();
            prop_assert!(
                !possible(&least, &mut kind.model(&least)),
                "what was made small is right: {least:?}"
            );
        }
        Found::GivenUp(limit) => prop_assert!(false, "given up: {limit:?}"),
    }
    Ok(())
}

/// Gives actions a begin and an end each, in an order that goes by dice; some have no end.
fn timed<A>(actions: Vec<(A, Index, Index, u8)>) -> Vec<Timed<A>> {
    let mut marks: Vec<(usize, bool)> = Vec::new();
    for (number, (_, begin, length, _)) in actions.iter().enumerate() {
        let from = begin.index(marks.len() + 1);
        marks.insert(from, (number, true));
        let room = marks.len() - from;
        // Most are short: only then does the order matter.
        let to = from + 1 + length.index(room).min(4);
        marks.insert(to, (number, false));
    }
    let place =
        |mark: (usize, bool)| u32::try_from(marks.iter().position(|other| *other == mark).unwrap()).unwrap();
    let mut operations: Vec<_> = actions
        .into_iter()
        .enumerate()
        .map(|(number, (action, _, _, dice))| {
            let end = if dice < 50 { NEVER } else { place((number, false)) };
            Timed { action, call: 0, begin: place((number, true)), end }
        })
        .collect();
    operations.sort_by_key(|operation| operation.begin);
    for (call, operation) in operations.iter_mut().enumerate() {
        operation.call = u32::try_from(call).unwrap();
    }
    operations
}

/// Reads without an answer say nothing, so there are none.
fn answered<K: Kind>(kind: &K, operations: Vec<Timed<K::Action>>) -> Vec<Timed<K::Action>> {
    operations
        .into_iter()
        .filter(|operation| operation.end != NEVER || !kind.reads(&operation.action))
        .collect()
}

fn history<A: std::fmt::Debug>(
    action: impl Strategy<Value = A>,
    most: usize,
) -> impl Strategy<Value = Vec<Timed<A>>> {
    prop::collection::vec((action, any::<Index>(), any::<Index>(), any::<u8>()), 1..=most).prop_map(timed)
}

fn register(values: u32) -> impl Strategy<Value = RegisterAction> {
    prop_oneof![
        3 => (0..=values).prop_map(RegisterAction::Read),
        2 => (0..=values).prop_map(RegisterAction::Write),
        1 => (0..=values, 0..=values).prop_map(|(from, to)| RegisterAction::Cas(from, to)),
    ]
}

/// Each value is written once, as workloads do it.
fn once(mut operations: Vec<Timed<RegisterAction>>) -> Vec<Timed<RegisterAction>> {
    let mut next = 0;
    for operation in &mut operations {
        match &mut operation.action {
            RegisterAction::Read(_) => {}
            RegisterAction::Write(to) | RegisterAction::Cas(_, to) => {
                next += 1;
                *to = next;
            }
        }
    }
    operations
}

fn lock() -> impl Strategy<Value = LockAction> {
    let session = 1..=3u32;
    prop_oneof![
        4 => session.clone().prop_map(LockAction::Acquire),
        3 => session.clone().prop_map(LockAction::Release),
        1 => session.prop_map(LockAction::Expire),
        1 => (0..=3u32).prop_map(LockAction::Read),
    ]
}

fn versioned() -> impl Strategy<Value = VersionedAction> {
    let index = || prop_oneof![1 => Just(None), 3 => (1..=6u64).prop_map(Some)];
    prop_oneof![
        4 => (0..=3u32, index()).prop_map(|(value, index)| VersionedAction::Read(value, index)),
        4 => (0..=3u32, index()).prop_map(|(value, index)| VersionedAction::Write(value, index)),
        1 => (0..=3u32, 1..=3u32, index()).prop_map(|(from, to, index)| VersionedAction::Cas(from, to, index)),
        1 => (0..=4u64, 1..=3u32, index()).prop_map(|(from, to, index)| VersionedAction::CasIndex(from, to, index)),
    ]
}

fn set() -> impl Strategy<Value = SetAction> {
    prop_oneof![
        Just(SetAction::Add(0)),
        prop::collection::btree_set(1..=5u32, 0..=4)
            .prop_map(|elements| SetAction::Read(elements.into_iter().collect())),
    ]
}

/// Each element is added once.
fn added(mut operations: Vec<Timed<SetAction>>) -> Vec<Timed<SetAction>> {
    let mut next = 0;
    for operation in &mut operations {
        if let SetAction::Add(element) = &mut operation.action {
            next += 1;
            *element = next;
        }
    }
    operations
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_register_with_few_values_is_judged_as_by_trying_everything(operations in history(register(2), 7)) {
        agree(&Register, &answered(&Register, operations))?;
    }

    #[test]
    fn a_register_with_unique_values_is_judged_as_by_trying_everything(operations in history(register(4), 8)) {
        agree(&Register, &answered(&Register, once(operations)))?;
    }

    #[test]
    fn a_versioned_register_is_judged_as_by_trying_everything(operations in history(versioned(), 6)) {
        agree(&Versioned, &answered(&Versioned, operations))?;
    }

    #[test]
    fn a_lock_is_judged_as_by_trying_everything(operations in history(lock(), 7), reentrant: bool) {
        let lock = Lock { reentrant };
        agree(&lock, &answered(&lock, operations))?;
    }

    #[test]
    fn a_set_is_judged_as_by_trying_everything(operations in history(set(), 7)) {
        agree(&Set, &answered(&Set, added(operations)))?;
    }
}

/// Simulated histories of a correct system, each as it is and with one answer changed: judged as by trying everything.
/// Returns how many of the changed ones are invalid.
fn changed<K: Kind + Copy>(kind: K, make: impl Fn(&Sim) -> Vec<Op>) -> usize {
    let mut invalid = 0;
    for seed in 0..300 {
        let sim =
            Sim { seed, clients: 4, keys: 1, calls: 9, unknown: 150, refused: 50, values: seed % 2 * 3 };
        let mut ops = make(&sim);
        let verdict = |ops: &[Op]| {
            let history = History::new(ops.to_vec()).unwrap();
            for part in Linearizable::new(kind).parts(&history) {
                agree(&kind, &part.operations.unwrap()).unwrap();
            }
            Linearizable::new(kind).analyse(&history).verdict()
        };
        assert_ne!(verdict(&ops), Verdict::Invalid, "{sim:?}");
        let mut dice = Dice::new(seed);
        let answers: Vec<usize> =
            (0..ops.len()).filter(|at| ops[*at].kind == Entry::Ok && ops[*at].f == "read").collect();
        let values: Vec<Value> =
            ops.iter().filter(|op| op.f == "write" || op.f == "read").map(|op| op.value.clone()).collect();
        let pick = |below: usize, dice: &mut Dice| usize::try_from(dice.below(below as u64)).unwrap();
        if answers.is_empty() {
            continue;
        }
        let at = answers[pick(answers.len(), &mut dice)];
        ops[at].value = values[pick(values.len(), &mut dice)].clone();
        invalid += usize::from(verdict(&ops) == Verdict::Invalid);
    }
    invalid
}

#[test]
fn one_answer_that_is_changed_is_refused_when_it_has_to_be() {
    assert!(changed(Register, Sim::register) > 50);
    assert!(changed(Versioned, Sim::register) > 100);
    assert!(changed(Set, Sim::set) > 50);
}

#[test]
fn a_correct_lock_is_judged_as_by_trying_everything() {
    for seed in 0..300 {
        let sim = Sim { seed, clients: 3, keys: 1, calls: 9, unknown: 200, refused: 50, values: 0 };
        let mut ops = sim.lock();
        for double in [false, true] {
            if double && !plant::double_acquire(&mut ops, &mut Dice::new(seed)) {
                continue;
            }
            let history = History::new(ops.clone()).unwrap();
            for part in Linearizable::new(Lock::default()).parts(&history) {
                agree(&Lock::default(), &part.operations.unwrap()).unwrap();
            }
        }
    }
}
