//! The way of an order from the decision to the act: recording takes time, or fails for long.

use super::*;

impl Play {
    /// The latest order was not handed over.
    fn withdrawn(&mut self) -> &mut Self {
        let Order { run, step, attempt, .. } = self.order();
        self.step(Input::Withdrawn { run, step, attempt, why: "the agent stops".into() })
    }
}

#[test]
fn what_cannot_be_recorded_for_long_is_not_overdue() {
    let mut play = Play::new(vec![("cure", cure(vec![act("restart")]))]);
    play.slow = true;
    play.fails().later(1_000);
    assert_eq!(play.acts(), ["act r1/restart/1"]);
    let run = play.run().id;
    play.step(Input::HandedOver { run });
    play.later(59);
    assert_eq!(play.acts().len(), 1);
    play.later(2);
    assert_eq!(play.acts().last().unwrap(), "inspect r1/restart/1", "now it is");
}

#[test]
fn a_run_whose_deadline_came_before_its_act_was_recorded_has_done_nothing() {
    let mut play = Play::new(vec![("cure", Remedy { deadline: secs(20), ..cure(vec![act("restart")]) })]);
    play.slow = true;
    play.fails().later(21);
    assert!(matches!(play.run().state, RunState::Ended(Ending::Failed { .. }, _)), "{:?}", play.run());
    assert!(!play.engine.wants(&play.order()));
}

#[test]
fn an_order_that_was_withdrawn_costs_no_attempt() {
    let mut play = Play::new(vec![("cure", cure(vec![act("restart")]))]);
    play.fails().withdrawn();
    assert_eq!(play.acts(), ["act r1/restart/1", "act r1/restart/2"]);
    play.done();
    assert!(matches!(play.run().state, RunState::Ended(Ending::Done, _)));
}

#[test]
fn what_cannot_be_started_is_tried_again_until_the_deadline() {
    let mut play = Play::new(vec![("cure", Remedy { deadline: secs(20), ..cure(vec![act("restart")]) })]);
    let full = || Outcome::NotStarted { detail: "no space left".into() };
    play.fails();
    for _ in 0..3 {
        play.answers(full()).later(3);
    }
    assert_eq!(play.acts().last().unwrap(), "act r1/restart/4");
    play.answers(full()).later(20).answers(full());
    assert!(matches!(play.run().state, RunState::Ended(Ending::Failed { .. }, _)));
}

#[test]
fn an_agent_that_stops_orders_nothing_and_the_next_start_goes_on() {
    let mut play = Play::new(vec![("cure", cure(vec![act("stop"), act("start")]))]);
    play.fails();
    play.engine.close();
    play.done().later(5);
    assert_eq!(play.acts(), ["act r1/stop/1"]);
    play.killed(1);
    assert_eq!(play.acts().last().unwrap(), "act r1/start/1");
}

#[test]
fn a_target_is_free_only_when_the_action_on_it_has_ended() {
    let first = Remedy { deadline: secs(20), ..cure(vec![repeats_at_will("restart")]) };
    let second = Remedy { on: Vec::new(), ..cure(vec![act("reboot")]) };
    let mut play = Play::new(vec![("first", first), ("second", second)]);
    play.fails().later(25);
    assert_eq!(play.acts().last().unwrap(), "abort r1/restart/1");
    assert!(play.asks(Command::Start(remedy("second"))).is_err());
    play.unclear();
    assert!(play.run().ended());
    assert!(play.asks(Command::Start(remedy("second"))).is_ok());
}

#[test]
fn what_a_person_cancelled_does_not_start_again_by_itself() {
    let mut play = Play::new(vec![("cure", Remedy { cooldown: secs(0), ..cure(vec![act("restart")]) })]);
    play.fails();
    play.asks(Command::Cancel(RunId(1))).unwrap();
    play.unclear().later(5).fails().later(500);
    assert_eq!(play.engine.runs().len(), 1, "{:#?}", play.told);
    play.passes().fails();
    assert_eq!(play.engine.runs().len(), 2, "it is another fault");
}

fn repeats_at_will(name: &str) -> Step {
    let mut step = act(name);
    if let StepKind::Act { repeat, .. } = &mut step.kind {
        *repeat = Repeatability::Idempotent;
    }
    step
}

/// Two remedies and one place in flight, which the first one has.
fn one_place(first: Remedy) -> Play {
    let on = vec![Trigger::When(is("net", Status::Critical))];
    let second = Remedy { on, target: Target::new("net").unwrap(), ..cure(vec![act("reset")]) };
    let limits = Limits { in_flight: n(1), ..Limits::default() };
    let mut play = Play::with(Plan { limits, ..plan(vec![("first", first), ("second", second)]) });
    play.sees("db", Status::Passing).fails().sees("net", Status::Critical);
    assert_eq!(play.acts().len(), 1, "{:#?}", play.told);
    play
}

/// A remedy that looks what it would change, and then waits.
fn looks(skip_when: Option<Condition>) -> Remedy {
    let mut looks = Step { skip_when, ..act("look") };
    if let StepKind::Act { prepare, .. } = &mut looks.kind {
        *prepare = true;
    }
    cure(vec![looks, wait("settle", is("web", Status::Passing), 10, 600)])
}

#[test]
fn who_waits_for_a_place_has_that_of_a_step_that_is_left_out() {
    let mut play = one_place(looks(Some(is("db", Status::Critical))));
    play.sees("db", Status::Critical);
    assert_eq!(play.acts().last().unwrap(), "act r2/reset/1", "{:#?}", play.told);
}

#[test]
fn who_waits_for_a_place_has_that_of_a_run_that_was_cancelled_while_it_looked() {
    for on_cancel in [Some(StepName::new("settle").unwrap()), None] {
        let mut play = one_place(Remedy { on_cancel, ..looks(None) });
        play.asks(Command::Cancel(RunId(1))).unwrap();
        assert_eq!(play.acts().last().unwrap(), "act r2/reset/1", "{:#?}", play.told);
    }
}

#[test]
fn who_waits_for_a_place_has_that_of_an_action_that_has_ended() {
    let mut play = one_place(cure(vec![verified(act("restart"), 30)]));
    play.done();
    assert_eq!(play.acts(), ["act r1/restart/1", "act r2/reset/1"], "{:#?}", play.told);
}

#[test]
fn who_waits_for_a_place_has_that_of_an_action_nobody_says_anything_of() {
    let mut play = one_place(Remedy { deadline: secs(20), ..cure(vec![act("restart")]) });
    play.later(50);
    assert_eq!(play.acts(), ["act r1/restart/1", "abort r1/restart/1", "act r2/reset/1"], "{:#?}", play.told);
}
