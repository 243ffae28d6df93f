use lictor_config::SystemdBus;

use super::*;

fn action(verb: UnitVerb) -> SystemdAction {
    let unit = UnitName::new("x").unwrap();
    SystemdAction { unit, bus: SystemdBus::System, verb, reset_failed: false }
}

fn state(active: &str, invocation: &str, changed: u64) -> UnitState {
    UnitState {
        load: "loaded".into(),
        active: active.into(),
        sub: active.into(),
        invocation: invocation.into(),
        changed,
        ..UnitState::default()
    }
}

fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done { .. } => "done",
        Outcome::Failed { .. } => "failed",
        Outcome::NotStarted { .. } => "not started",
        Outcome::Unknown { .. } => "unknown",
    }
}

#[test]
fn after_a_crash_the_start_of_the_unit_tells_what_was_done() {
    let note = Note::of("boot".into(), &state("active", "a", 5), None);
    let judged = |verb, same_boot, state: &UnitState| kind(&judge(&action(verb), &note, same_boot, state));
    let untouched = state("active", "a", 5);
    let anew = state("active", "b", 9);
    let broken = state("failed", "b", 9);
    let down = state("inactive", "a", 9);
    assert_eq!(judged(UnitVerb::Restart, true, &untouched), "not started");
    assert_eq!(judged(UnitVerb::Restart, true, &anew), "done");
    assert_eq!(judged(UnitVerb::Restart, true, &broken), "failed");
    assert_eq!(judged(UnitVerb::Restart, true, &down), "unknown");
    // Another boot has started everything anew, whatever the numbers are.
    assert_eq!(judged(UnitVerb::Restart, false, &untouched), "done");
    assert_eq!(judged(UnitVerb::Stop, true, &untouched), "not started");
    assert_eq!(judged(UnitVerb::Stop, true, &down), "done");
    assert_eq!(judged(UnitVerb::Stop, true, &anew), "unknown");
    assert_eq!(judged(UnitVerb::Start, true, &anew), "done");
    assert_eq!(judged(UnitVerb::Start, true, &broken), "failed");
    // A reload leaves the same start; only the time of its last change has moved.
    assert_eq!(judged(UnitVerb::Reload, true, &state("active", "a", 9)), "unknown");
    assert_eq!(judged(UnitVerb::Reload, true, &untouched), "not started");
    assert_eq!(judged(UnitVerb::ResetFailed, true, &down), "done");
    assert_eq!(judged(UnitVerb::ResetFailed, true, &broken), "unknown");
}

#[test]
fn the_result_of_a_job_is_told_with_the_way_out() {
    let unit = UnitName::new("x").unwrap();
    let note = Note::of("boot".into(), &state("failed", "a", 5), None);
    let told = |result: &str, state: &UnitState| match ended(&unit, UnitVerb::Restart, result, &note, state) {
        Outcome::Done { detail } => format!("done: {detail}"),
        Outcome::Failed { detail } => format!("failed: {detail}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(told("done", &state("active", "b", 9)), "done: restart: x.service is active");
    let failed = UnitState { result: Some("exit-code".into()), ..state("failed", "b", 9) };
    assert_eq!(told("failed", &failed), "failed: restart: failed; x.service is failed: exit-code");
    // It was not started at all.
    let limited = UnitState { result: Some("exit-code".into()), ..state("failed", "a", 9) };
    assert_eq!(
        told("failed", &limited),
        "failed: restart: refused; x.service is failed: exit-code. It failed to start too often; with \
         reset_failed = true it is tried all the same"
    );
}

#[test]
fn a_note_of_an_attempt_before_is_kept_while_its_job_is_under_way() {
    let first = Note::of("boot".into(), &state("active", "a", 5), None);
    assert_eq!(Note::from_text(&first.to_text()), Some(first.clone()));
    let second = Note::of("boot".into(), &state("activating", "b", 7), Some(&first));
    assert_eq!(second.waits_for(), Some("a"));
    let third = Note::of("boot".into(), &state("activating", "c", 8), Some(&second));
    assert_eq!(third.waits_for(), Some("a"));
    assert_eq!(Note::from_text("{}"), None);
    assert_eq!(Note::from_text(&first.to_text().replace("\"v\":1", "\"v\":2")), None);
}

#[test]
fn a_unit_that_broke_after_its_job_was_done_was_not_started() {
    let unit = UnitName::new("x").unwrap();
    let note = Note::of("boot".into(), &state("active", "a", 5), None);
    let told = |verb, state: &UnitState| match ended(&unit, verb, "done", &note, state) {
        Outcome::Done { .. } => "done".to_owned(),
        Outcome::Failed { detail } => detail,
        other => panic!("{other:?}"),
    };
    let broken = UnitState { result: Some("exit-code".into()), ..state("failed", "b", 9) };
    let between = |invocation: &str| UnitState {
        sub: "auto-restart".into(),
        result: Some("exit-code".into()),
        ..state("activating", invocation, 9)
    };
    for verb in [UnitVerb::Start, UnitVerb::Restart, UnitVerb::ReloadOrRestart, UnitVerb::TryRestart] {
        let verb_is = verb.as_str();
        assert_eq!(
            told(verb, &broken),
            format!("{verb_is}: it was started and broke at once; x.service is failed: exit-code")
        );
        assert_eq!(
            told(verb, &between("b")),
            format!(
                "{verb_is}: it was started and broke at once; x.service is activating (auto-restart): exit-code"
            )
        );
        assert_eq!(told(verb, &state("active", "b", 9)), "done");
        // One that does its work and ends.
        assert_eq!(told(verb, &state("inactive", "b", 9)), "done");
    }
    assert_eq!(told(UnitVerb::Stop, &broken), "done");
    assert_eq!(told(UnitVerb::TryRestart, &state("failed", "a", 5)), "done");
}

#[test]
fn a_restart_that_was_late_and_went_on_is_told_from_one_that_did_not_help() {
    let first = Note::of("boot".into(), &state("active", "a", 5), None);
    let went = |verb, state: &UnitState| went_on(&action(verb), &first, state);
    assert!(went(UnitVerb::Restart, &state("active", "b", 9)));
    assert!(!went(UnitVerb::Restart, &state("active", "a", 5)));
    assert!(!went(UnitVerb::Restart, &state("failed", "b", 9)));
    assert!(!went(UnitVerb::Reload, &state("active", "b", 9)));
    // The second attempt waited for the job, and was late as well.
    let second = Note::of("boot".into(), &state("activating", "b", 7), Some(&first));
    assert!(went_on(&action(UnitVerb::Restart), &second, &state("active", "b", 9)));

    let late = Late::default();
    let order = order();
    assert!(!late.take(&order));
    late.keep(&order, &unknown("late".to_owned()));
    assert!(late.take(&order) && !late.take(&order));
    // It was done, and its verification failed: it is to be done again.
    late.keep(&order, &unknown("late".to_owned()));
    late.keep(&order, &Outcome::Done { detail: String::new() });
    assert!(!late.take(&order));
    late.keep(&order, &unknown("late".to_owned()));
    late.forget(order.run);
    assert!(!late.take(&order));
}

fn order() -> Order {
    Order {
        run: RunId(1),
        step: StepName::new("step").unwrap(),
        attempt: 2,
        action: Some(lictor_core::ActionName::new("act").unwrap()),
        target: lictor_core::Target::new("target").unwrap(),
        remedy: lictor_core::RemedyName::new("remedy").unwrap(),
        definition: "d".to_owned(),
        lease: None,
        notes: lictor_core::Notes::default(),
        captures: lictor_core::Captures::default(),
        change: None,
        since: lictor_core::Boot::default(),
    }
}
