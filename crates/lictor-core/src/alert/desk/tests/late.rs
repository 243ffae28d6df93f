//! Messages that a node sent when it was no longer the one that tells, against what is on its way.
//!
//! A receiver stays with what it heard last. What is under way may be heard before the late message.

use super::*;

/// A node that was frozen sent this message just now.
fn late(stage: &mut Stage, message: &Message) {
    stage.step(Input::Late { notifier: message.notifier.clone(), items: message.items.clone() });
}

/// One that was told to be wrong and to be over, with both messages.
fn over() -> (Stage, Subject, Message, Message) {
    let mut stage = Stage::new(simple());
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    stage.accept();
    stage.report(&web, Passing);
    stage.accept();
    let [wrong, over] = stage.accepted.clone().try_into().unwrap();
    (stage, web, wrong, over)
}

/// One whose end is being sent, with the message that it was wrong.
fn ending() -> (Stage, Message) {
    let (mut stage, web, wrong, _) = over();
    stage.report(&web, Critical);
    stage.accept();
    stage.report(&web, Passing);
    assert_eq!(stage.under_way.iter().map(said).collect::<Vec<_>>(), [OVER]);
    (stage, wrong)
}

const WRONG: &str = "ops: firing web: alive on n1 critical";
const OVER: &str = "ops: resolved web: alive on n1 passing";

#[test]
fn an_end_that_was_being_sent_is_told_once_more() {
    let (mut stage, wrong) = ending();
    late(&mut stage, &wrong);
    assert_eq!(stage.accept(), [OVER, OVER], "the second is heard after the late message");
    assert!(stage.desk.cases().is_empty() && stage.desk.overtaken.is_empty());
}

#[test]
fn an_end_that_is_sent_again_is_the_last_word() {
    let (mut stage, wrong) = ending();
    late(&mut stage, &wrong);
    stage.answer(&unclear());
    stage.pass(secs(5));
    assert_eq!(stage.accept(), [OVER]);
    assert!(stage.desk.cases().is_empty() && stage.desk.overtaken.is_empty());
}

#[test]
fn an_end_that_waits_is_the_last_word() {
    let (mut stage, wrong) = ending();
    stage.answer(&refused("no"));
    late(&mut stage, &wrong);
    stage.pass(secs(5));
    assert_eq!(stage.accept(), [OVER]);
    assert!(stage.desk.cases().is_empty());
}

#[test]
fn an_end_that_is_sent_again_after_a_restart_is_the_last_word() {
    let (mut stage, wrong) = ending();
    late(&mut stage, &wrong);
    stage.crash();
    assert_eq!(stage.accept(), [OVER]);
    assert!(stage.desk.cases().is_empty());
}

#[test]
fn a_reload_does_not_forget_that_an_end_is_told_once_more() {
    let (mut stage, wrong) = ending();
    late(&mut stage, &wrong);
    stage.reload(simple());
    assert_eq!(stage.accept(), [OVER, OVER]);
}

#[test]
fn what_was_being_told_to_be_wrong_again_is_told_once_more() {
    let (mut stage, web, _, over) = over();
    stage.report(&web, Critical);
    late(&mut stage, &over);
    assert_eq!(stage.accept(), [WRONG, WRONG], "nobody stays with the late end");
    stage.report(&web, Passing);
    assert_eq!(stage.accept(), [OVER]);
}

#[test]
fn what_waits_to_be_told_anew_and_is_given_up_is_not_taken_for_told() {
    let (mut stage, web, _, over) = over();
    stage.report(&web, Critical);
    stage.answer(&refused("no"));
    late(&mut stage, &over);
    stage.ops_fails(3_000, &refused("no"));
    assert!(stage.accepted.len() == 2, "{:?}", stage.accepted.iter().map(said).collect::<Vec<_>>());
    stage.pass(secs(3_600));
    assert_eq!(stage.accept(), [WRONG]);
}

#[test]
fn a_late_status_that_differs_is_put_right() {
    let (mut stage, web, wrong, _) = over();
    stage.report(&web, Warning);
    late(&mut stage, &wrong);
    let warning = "ops: firing web: alive on n1 warning";
    assert_eq!(stage.accept(), [warning, warning]);
}

#[test]
fn the_same_word_is_not_told_twice() {
    let (mut stage, web, wrong, over) = over();
    stage.report(&web, Critical);
    late(&mut stage, &wrong);
    assert_eq!(stage.accept(), [WRONG]);
    stage.report(&web, Passing);
    late(&mut stage, &over);
    assert_eq!(stage.accept(), [OVER]);
    assert!(stage.desk.cases().is_empty());
}
