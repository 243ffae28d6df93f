use serde_json::{Value, json};

use super::*;
use crate::history::{Kind, Op, Process};
use crate::sim::Sim;

/// A history of transactions: each with when it begins and ends, what came of it, and its steps.
fn history(transactions: &[(u64, u64, Kind, Value)]) -> History {
    let mut ops = Vec::new();
    for (process, (begin, end, kind, steps)) in transactions.iter().enumerate() {
        let asked = steps.as_array().unwrap().iter().map(|step| match step[0].as_str() {
            Some("r") => json!(["r", step[1], null]),
            _ => step.clone(),
        });
        let invoke = Op::invoke(*begin, Process::Client(process as u64), "txn", None, asked.collect());
        ops.push(invoke.complete(*end, *kind, steps.clone()));
        ops.push(invoke);
    }
    ops.sort_by_key(|op| op.time);
    for (index, op) in ops.iter_mut().enumerate() {
        op.index = index as u64;
    }
    History::new(ops).unwrap()
}

fn judge(transactions: &[(u64, u64, Kind, Value)]) -> (Verdict, String) {
    let outcome = Append.check(&history(transactions));
    let findings: Vec<String> = outcome.findings.iter().map(|finding| finding.text.clone()).collect();
    (outcome.verdict, format!("{}\n{}", outcome.summary, findings.join("\n")))
}

/// That it is invalid for that reason.
fn broken(transactions: &[(u64, u64, Kind, Value)], why: &str) {
    let (verdict, text) = judge(transactions);
    assert_eq!(verdict, Verdict::Invalid, "{text}");
    assert!(text.contains(why), "{why} is not in: {text}");
}

#[test]
fn transactions_that_have_an_order_are_valid() {
    let (verdict, text) = judge(&[
        (1, 4, Kind::Ok, json!([["append", "x", 1], ["r", "y", []]])),
        (2, 5, Kind::Ok, json!([["append", "y", 1], ["r", "x", [1]]])),
        (6, 7, Kind::Ok, json!([["r", "x", [1]], ["append", "x", 2], ["r", "x", [1, 2]]])),
        (8, 9, Kind::Fail, json!([["append", "x", 3]])),
        (10, 11, Kind::Info, json!([["append", "x", 4]])),
        (12, 13, Kind::Ok, json!([["r", "x", [1, 2]], ["r", "y", [1]]])),
    ]);
    assert_eq!(verdict, Verdict::Valid, "{text}");
}

#[test]
fn a_run_without_a_success_is_unknown() {
    assert_eq!(judge(&[(1, 2, Kind::Fail, json!([["append", "x", 1]]))]).0, Verdict::Unknown);
    assert_eq!(judge(&[]).0, Verdict::Unknown);
}

#[test]
fn what_cannot_be_told_apart_is_unknown() {
    let (verdict, text) = judge(&[
        (1, 2, Kind::Ok, json!([["append", "x", 1]])),
        (3, 4, Kind::Ok, json!([["append", "x", 1]])),
    ]);
    assert_eq!(verdict, Verdict::Unknown);
    assert!(text.contains("1 is appended to \"x\" twice, by entries 0 and 2"), "{text}");
}

#[test]
fn a_read_of_what_was_aborted_is_g1a() {
    broken(
        &[(1, 2, Kind::Fail, json!([["append", "x", 1]])), (3, 4, Kind::Ok, json!([["r", "x", [1]]]))],
        "G1a: T2 reads 1 of \"x\", which T0 appended",
    );
}

#[test]
fn a_read_of_the_middle_of_a_transaction_is_g1b() {
    broken(
        &[
            (1, 5, Kind::Ok, json!([["append", "x", 1], ["append", "x", 2]])),
            (2, 6, Kind::Ok, json!([["r", "x", [1]]])),
            (7, 8, Kind::Ok, json!([["r", "x", [1, 2]]])),
        ],
        "G1b: T1 reads a list of \"x\" that ends with 1",
    );
}

#[test]
fn phantoms_duplicates_and_lists_that_do_not_fit_are_told() {
    broken(&[(1, 2, Kind::Ok, json!([["r", "x", [7]]]))], "phantom: T0 reads 7");
    let two = (1, 9, Kind::Ok, json!([["append", "x", 1]]));
    let other = (2, 10, Kind::Ok, json!([["append", "x", 2]]));
    broken(
        &[two.clone(), (3, 4, Kind::Ok, json!([["r", "x", [1, 1]]]))],
        "duplicate: T1 reads 1 of \"x\" twice",
    );
    broken(
        &[
            two,
            other,
            (3, 11, Kind::Ok, json!([["r", "x", [1, 2]]])),
            (4, 12, Kind::Ok, json!([["r", "x", [2]]])),
        ],
        "incompatible order",
    );
}

#[test]
fn a_transaction_that_does_not_see_its_own_append_is_internal() {
    broken(&[(1, 2, Kind::Ok, json!([["append", "x", 1], ["r", "x", []]]))], "internal: T0");
    broken(
        &[
            (1, 9, Kind::Ok, json!([["append", "x", 1]])),
            (2, 8, Kind::Ok, json!([["r", "x", []], ["r", "x", [1]]])),
        ],
        "internal: T1",
    );
}

#[test]
fn two_that_append_in_different_orders_are_g0() {
    broken(
        &[
            (1, 9, Kind::Ok, json!([["append", "x", 1], ["append", "y", 1]])),
            (2, 10, Kind::Ok, json!([["append", "x", 2], ["append", "y", 2]])),
            (11, 12, Kind::Ok, json!([["r", "x", [1, 2]], ["r", "y", [2, 1]]])),
        ],
        "G0: each of these",
    );
}

#[test]
fn two_that_read_each_other_are_g1c() {
    broken(
        &[
            (1, 9, Kind::Ok, json!([["append", "x", 1], ["r", "y", [1]]])),
            (2, 10, Kind::Ok, json!([["append", "y", 1], ["r", "x", [1]]])),
        ],
        "G1c: each of these",
    );
}

#[test]
fn a_read_of_half_a_transaction_is_g_single() {
    broken(
        &[
            (1, 9, Kind::Ok, json!([["append", "x", 1], ["append", "y", 1]])),
            (2, 10, Kind::Ok, json!([["r", "x", [1]], ["r", "y", []]])),
            (11, 12, Kind::Ok, json!([["r", "y", [1]]])),
        ],
        "G-single: each of these",
    );
}

#[test]
fn two_that_do_not_see_each_other_are_g2_item() {
    broken(
        &[
            (1, 9, Kind::Ok, json!([["r", "x", []], ["append", "y", 1]])),
            (2, 10, Kind::Ok, json!([["r", "y", []], ["append", "x", 1]])),
            (11, 12, Kind::Ok, json!([["r", "x", [1]], ["r", "y", [1]]])),
        ],
        "G2-item: each of these",
    );
}

#[test]
fn a_read_that_comes_too_late_to_find_nothing_takes_the_time() {
    broken(
        &[
            (1, 2, Kind::Ok, json!([["append", "x", 1]])),
            (3, 4, Kind::Ok, json!([["r", "x", []]])),
            (5, 6, Kind::Ok, json!([["r", "x", [1]]])),
        ],
        "G-single-realtime: each of these",
    );
}

#[test]
fn an_append_that_got_lost_is_found_though_nobody_ever_read_it() {
    broken(
        &[
            (1, 2, Kind::Ok, json!([["append", "x", 1]])),
            (3, 4, Kind::Ok, json!([["append", "x", 2]])),
            (5, 6, Kind::Ok, json!([["r", "x", [1]]])),
        ],
        "T4 reads \"x\" without 2, which T2 appended",
    );
}

#[test]
fn what_nobody_knows_of_need_not_have_happened() {
    let unknown = (1, 2, Kind::Info, json!([["append", "x", 1], ["append", "y", 1]]));
    let nothing = (3, 4, Kind::Ok, json!([["r", "x", []], ["r", "y", []]]));
    assert_eq!(judge(&[unknown.clone(), nothing.clone()]).0, Verdict::Valid);
    let later = (5, 6, Kind::Ok, json!([["r", "x", [1]], ["r", "y", [1]]]));
    assert_eq!(judge(&[unknown.clone(), nothing.clone(), later]).0, Verdict::Valid);
    let half = (5, 6, Kind::Ok, json!([["r", "x", [1]], ["r", "y", []]]));
    broken(&[unknown, nothing, half, (7, 8, Kind::Ok, json!([["r", "y", [1]]]))], "G-single");
}

#[test]
fn what_a_correct_system_does_is_valid() {
    for seed in 0..150 {
        let sim = Sim {
            seed,
            clients: 2 + seed % 8,
            keys: 1 + seed % 5,
            calls: 150,
            unknown: 30,
            ..Sim::default()
        };
        let outcome = Append.check(&History::new(sim.append()).unwrap());
        assert_eq!(outcome.verdict, Verdict::Valid, "{sim:?}: {outcome:?}");
    }
}

#[test]
fn a_list_that_lacks_an_element_it_should_have_is_never_valid() {
    let mut broken = 0;
    for seed in 0..150 {
        let sim = Sim { seed, clients: 5, keys: 3, calls: 150, ..Sim::default() };
        let mut ops = sim.append();
        // The last list that was read as the first thing of a transaction that did nothing else with it loses its end.
        let place = ops.iter().rposition(|op| {
            op.kind == Kind::Ok
                && op.value[0][0] == "r"
                && op.value[0][2].as_array().is_some_and(|list| list.len() > 2)
                && op.value.as_array().unwrap().iter().filter(|step| step[1] == op.value[0][1]).count() == 1
        });
        let list = ops[place.unwrap()].value[0][2].as_array_mut().unwrap();
        list.truncate(1);
        broken += 1;
        let outcome = Append.check(&History::new(ops).unwrap());
        assert_eq!(outcome.verdict, Verdict::Invalid, "{sim:?}");
    }
    assert_eq!(broken, 150);
}
