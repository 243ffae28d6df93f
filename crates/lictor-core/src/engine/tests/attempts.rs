//! What is done again, what never is, and under which number.

use super::*;

fn name(text: &str) -> StepName {
    StepName::new(text).unwrap()
}

fn goes_to(mut step: Step, to: &str, visits: u32) -> Step {
    step.on_failure = OnFailure::GoTo { step: name(to), visits, then: None };
    step
}

fn repeats(mut step: Step, how: Repeatability) -> Step {
    if let StepKind::Act { repeat, .. } = &mut step.kind {
        *repeat = how;
    }
    step
}

fn tries(step: Step, attempts: u32) -> Step {
    Step { attempts: n(attempts), ..step }
}

#[test]
fn an_attempt_keeps_its_identity_when_a_run_comes_back_to_a_step() {
    let settle = goes_to(wait("settle", is("web", Status::Passing), 0, 10), "restart", 2);
    let mut play = Play::new(vec![("cure", cure(vec![act("restart"), act("announce"), settle]))]);
    play.fails();
    for _ in 0..3 {
        // Coming back waits as long as another try does.
        play.done().done().later(11).later(5);
    }
    assert_eq!(
        play.acts(),
        [
            "act r1/restart/1",
            "act r1/announce/1",
            "act r1/restart/2",
            "act r1/announce/2",
            "act r1/restart/3",
            "act r1/announce/3",
        ]
    );
}

#[test]
fn what_was_never_begun_does_not_count_as_a_try() {
    let mut play = Play::new(vec![("cure", cure(vec![tries(act("restart"), 2)]))]);
    play.fails().killed(5).answers(Outcome::NotStarted { detail: "no trace of it".into() });
    play.failed().later(5);
    assert_eq!(play.acts().last().unwrap(), "act r1/restart/3", "{:#?}", play.told);
    play.failed().later(5);
    assert!(play.run().ended());
}

#[test]
fn a_person_who_retries_gets_every_try_again() {
    let step = Step { on_failure: OnFailure::Park, ..tries(act("restart"), 2) };
    let mut play = Play::new(vec![("cure", cure(vec![step]))]);
    play.fails().failed().later(5).failed();
    assert!(matches!(play.run().state, RunState::Parked { .. }));
    play.asks(Command::Retry(RunId(1))).unwrap();
    play.failed().later(5);
    assert_eq!(play.acts().last().unwrap(), "act r1/restart/4", "{:#?}", play.told);
}

#[test]
fn visits_of_a_step_are_counted_whichever_way_leads_there() {
    let soft = goes_to(act("soft"), "last", 2);
    let early = goes_to(act("early"), "last", 2);
    let last = goes_to(act("last"), "soft", 9);
    let mut play = Play::new(vec![("cure", cure(vec![early, soft, last]))]);
    play.fails().failed().failed().failed().later(5).failed().later(5).failed();
    let acts = ["act r1/early/1", "act r1/last/1", "act r1/soft/1", "act r1/last/2", "act r1/soft/2"];
    assert_eq!(play.acts(), acts);
    assert!(play.run().ended(), "{:#?}", play.told);
}

#[test]
fn no_pause_is_longer_than_its_bound() {
    let step = Step { backoff: secs(60), backoff_max: secs(60), ..tries(act("restart"), 40) };
    let mut play = Play::new(vec![("cure", Remedy { deadline: secs(86_400), ..cure(vec![step]) })]);
    play.fails();
    for attempt in 2..=40 {
        play.failed().later(60);
        assert_eq!(play.acts().len(), attempt);
    }
}

#[test]
fn the_last_steps_of_a_cancelled_run_do_not_repeat_what_nobody_knows() {
    let tidy = Some(name("tidy"));
    let definition = Remedy {
        on_cancel: tidy,
        cancel: Some(is("net", Status::Critical)),
        ..cure(vec![act("stop"), act("tidy")])
    };
    let mut play = Play::new(vec![("cure", definition)]);
    play.fails().done().sees("net", Status::Critical);
    assert_eq!(play.acts(), ["act r1/stop/1", "act r1/tidy/1", "abort r1/tidy/1"]);
    play.unclear();
    assert!(matches!(play.run().state, RunState::Parked { .. }), "{:?}", play.run());
    play.asks(Command::Retry(RunId(1))).unwrap();
    assert_eq!(play.acts().last().unwrap(), "act r1/tidy/2");
}

#[test]
fn a_jump_back_does_not_repeat_what_nobody_knows() {
    let tidy = goes_to(act("tidy"), "stop", 1);
    let definition = Remedy { on_cancel: Some(name("tidy")), ..cure(vec![act("stop"), tidy]) };
    let mut play = Play::new(vec![("cure", definition)]);
    play.fails();
    play.asks(Command::Cancel(RunId(1))).unwrap();
    play.unclear().failed();
    assert_eq!(play.acts(), ["act r1/stop/1", "abort r1/stop/1", "act r1/tidy/1"]);
    assert!(matches!(play.run().state, RunState::Parked { .. }), "{:?}", play.run());
}

#[test]
fn a_deadline_while_an_act_is_not_yet_verified_parks() {
    let definition = Remedy { deadline: secs(5), ..cure(vec![verified(act("restart"), 60)]) };
    let mut play = Play::new(vec![("cure", definition)]);
    play.fails().unclear().later(10);
    assert!(matches!(play.run().state, RunState::Parked { .. }), "{:?}", play.run());
}

#[test]
fn an_act_that_must_not_be_repeated_is_not_even_when_it_is_seen_not_to_have_helped() {
    let step = repeats(tries(verified(act("restart"), 5), 3), Repeatability::Neither);
    let mut play = Play::new(vec![("cure", cure(vec![step]))]);
    play.fails().unclear().later(1).fails().later(20);
    assert_eq!(play.acts().len(), 1);
    assert!(matches!(play.run().state, RunState::Parked { .. }), "{:?}", play.run());
}

#[test]
fn a_look_that_failed_does_not_show_that_nothing_was_done() {
    let mut play = Play::new(vec![("cure", cure(vec![tries(verified(act("restart"), 5), 3)]))]);
    play.fails().unclear().later(1).sees("web", Status::Unknown).later(60);
    assert_eq!(play.acts().len(), 1, "{:#?}", play.told);
    assert!(matches!(&play.run().state, RunState::Parked { why, .. } if why.contains("no data")));
}

#[test]
fn without_data_what_may_be_repeated_is_repeated() {
    let step = repeats(tries(verified(act("restart"), 5), 2), Repeatability::Idempotent);
    let mut play = Play::new(vec![("cure", cure(vec![step]))]);
    play.fails().unclear().later(1).sees("web", Status::Unknown).later(60);
    assert_eq!(play.acts().len(), 2, "{:#?}", play.told);
}

#[test]
fn a_run_that_is_cancelled_at_a_restart_still_has_its_deadlines() {
    let definition = Remedy { cancel: Some(is("net", Status::Critical)), ..cure(vec![act("restart")]) };
    let mut play = Play::new(vec![("cure", definition)]);
    play.fails().sees("net", Status::Critical).killed(1).later(200);
    assert!(play.run().ended(), "{:?}, {:#?}", play.run(), play.told);
    assert!(play.acts().contains(&"abort r1/restart/1".to_owned()));
}

#[test]
fn an_abort_that_was_lost_with_the_agent_is_asked_for_again() {
    let mut play = Play::new(vec![("cure", cure(vec![act("restart")]))]);
    play.fails();
    play.asks(Command::Cancel(RunId(1))).unwrap();
    play.effects.clear();
    play.killed(1);
    assert_eq!(play.acts(), ["inspect r1/restart/1", "abort r1/restart/1"]);
}

#[test]
fn a_run_that_was_parked_for_long_still_tidies_up_when_it_is_cancelled() {
    let definition = Remedy {
        on_cancel: Some(name("tidy")),
        deadline: secs(20),
        ..cure(vec![act("stop"), act("start"), act("tidy")])
    };
    let mut play = Play::new(vec![("cure", definition)]);
    play.fails().later(500);
    assert!(matches!(play.run().state, RunState::Parked { .. }));
    play.asks(Command::Cancel(RunId(1))).unwrap();
    assert_eq!(play.acts().last().unwrap(), "act r1/tidy/1");
    play.done();
    assert!(matches!(play.run().state, RunState::Ended(Ending::Cancelled { .. }, _)));
}

#[test]
fn a_retry_of_a_run_that_was_being_cancelled_goes_on_with_it() {
    let definition = Remedy { deadline: secs(20), ..cure(vec![act("stop"), act("start")]) };
    let mut play = Play::new(vec![("cure", definition)]);
    play.fails();
    play.asks(Command::Cancel(RunId(1))).unwrap();
    play.later(60);
    assert!(matches!(play.run().state, RunState::Parked { .. }));
    play.asks(Command::Retry(RunId(1))).unwrap();
    play.done();
    assert_eq!(play.acts().last().unwrap(), "act r1/start/1");
}

#[test]
fn a_hold_begins_anew_after_a_restart() {
    let steps = vec![wait("settle", is("web", Status::Passing), 100, 1_000)];
    let mut play = Play::new(vec![("cure", cure(steps))]);
    play.fails().later(1).passes().later(10).killed(85).passes().later(10);
    assert!(!play.run().ended(), "nobody looked for 85 seconds");
    play.later(95);
    assert!(play.run().ended());
}

#[test]
fn what_nobody_knows_is_not_repeated_under_a_later_definition_that_forbids_it() {
    let second = goes_to(repeats(act("second"), Repeatability::Idempotent), "first", 1);
    let mut play = Play::new(vec![("cure", cure(vec![act("first"), second]))]);
    play.fails().done().unclear().later(2);
    assert_eq!(play.acts(), ["act r1/first/1", "act r1/second/1", "act r1/first/2"]);
    play.reloads(plan(vec![("cure", cure(vec![act("first"), act("second")]))])).done();
    // A person asks for the first step, and says nothing of the second one.
    play.asks(Command::Retry(RunId(1))).unwrap();
    play.done();
    assert_eq!(play.acts().last().unwrap(), "act r1/first/3");
    assert!(play.parked(), "{:?}", play.run());
}

#[test]
fn what_is_known_of_a_later_attempt_counts_under_a_later_definition() {
    let first = tries(repeats(act("first"), Repeatability::Idempotent), 2);
    let second = goes_to(act("second"), "first", 1);
    let mut play = Play::new(vec![("cure", cure(vec![first, second]))]);
    play.fails().unclear().later(2).done();
    assert_eq!(play.acts(), ["act r1/first/1", "act r1/first/2", "act r1/second/1"]);
    let second = goes_to(act("second"), "first", 1);
    play.reloads(plan(vec![("cure", cure(vec![act("first"), second]))])).failed();
    play.asks(Command::Retry(RunId(1))).unwrap();
    play.failed().later(2);
    assert_eq!(play.acts().last().unwrap(), "act r1/first/3", "{:#?}", play.told);
}

#[test]
fn an_attempt_that_is_not_begun_says_nothing_of_the_one_before_it() {
    let mut first = tries(repeats(act("first"), Repeatability::Idempotent), 2);
    if let StepKind::Act { prepare, .. } = &mut first.kind {
        *prepare = true;
    }
    let second = goes_to(act("second"), "first", 1);
    let mut play = Play::new(vec![("cure", cure(vec![first, second.clone()]))]);
    let Order { run, step, attempt, .. } = play.fails().order();
    play.step(Input::Prepared { run, step, attempt, note: "a list".into() }).unclear().later(2).done();
    assert_eq!(
        play.acts(),
        ["prepare r1/first/1", "act r1/first/1", "prepare r1/first/2", "act r1/second/1"],
        "there was nothing to do any more"
    );
    play.reloads(plan(vec![("cure", cure(vec![act("first"), second]))])).failed();
    play.asks(Command::Retry(RunId(1))).unwrap();
    play.failed().later(2);
    assert!(play.parked(), "nobody knows what became of the first attempt: {:?}", play.acts());
}
