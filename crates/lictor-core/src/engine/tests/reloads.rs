//! A new plan under a state that was made under another.

use super::*;

fn wants(play: &Play) -> Plan {
    Plan::clone(play.engine.plan())
}

fn step(name: &str) -> Option<StepName> {
    Some(StepName::new(name).unwrap())
}

/// A remedy of one step that may be done again, and what it still does when it is cancelled.
fn again(name: &str, on_cancel: Option<&str>) -> Remedy {
    let mut act = act(name);
    if let StepKind::Act { repeat, .. } = &mut act.kind {
        *repeat = Repeatability::Idempotent;
    }
    Remedy { on_cancel: on_cancel.and_then(step), ..cure(vec![act]) }
}

#[test]
fn nothing_more_is_done_once_the_agent_only_observes() {
    let mut play = Play::new(vec![("cure", cure(vec![act("stop"), act("start")]))]);
    play.fails();
    let observing = Plan { mode: Mode::Observe, ..wants(&play) };
    play.reloads(observing).done();
    assert_eq!(play.acts(), ["act r1/stop/1"]);
    assert!(matches!(play.run().state, RunState::Parked { .. }));
    assert!(play.asks(Command::Retry(RunId(1))).is_err());
    let acting = Plan { mode: Mode::Act, ..wants(&play) };
    play.reloads(acting);
    play.asks(Command::Retry(RunId(1))).unwrap();
    assert_eq!(play.acts().last().unwrap(), "act r1/start/1");
}

#[test]
fn a_fault_that_was_only_observed_is_acted_on_when_acting_begins() {
    let mut play =
        Play::with(Plan { mode: Mode::Observe, ..plan(vec![("cure", cure(vec![act("restart")]))]) });
    play.fails().later(100);
    assert!(play.acts().is_empty());
    let acting = Plan { mode: Mode::Act, ..wants(&play) };
    play.reloads(acting);
    assert_eq!(play.acts(), ["act r1/restart/1"]);
}

#[test]
fn a_new_trigger_that_holds_already_starts_its_remedy() {
    let definition = Remedy { defer: false, ..cure(vec![act("restart")]) };
    let mut play = Play::new(vec![("cure", definition.clone())]);
    play.fails().done().sees("db", Status::Critical).later(100);
    let on = vec![Trigger::When(is("db", Status::Critical))];
    play.reloads(plan(vec![("cure", Remedy { on, ..definition })]));
    assert_eq!(play.acts().len(), 2, "{:#?}", play.told);
}

#[test]
fn a_run_whose_action_is_under_way_is_parked_when_it_has_ended() {
    let mut play = Play::new(vec![("cure", cure(vec![act("restart"), act("announce")]))]);
    play.fails().reloads(plan(vec![("cure", cure(vec![act("restart")]))]));
    assert!(play.run().in_flight(), "{:?}", play.run());
    play.done();
    assert!(matches!(play.run().state, RunState::Parked { .. }), "{:?}", play.run());
    assert_eq!(play.acts(), ["act r1/restart/1"]);
}

#[test]
fn a_run_whose_remedy_is_gone_is_parked_when_its_action_was_stopped_by_its_deadline() {
    let mut play = Play::new(vec![("cure", cure(vec![act("restart")]))]);
    play.fails().reloads(plan(Vec::new())).later(3_610);
    assert_eq!(play.acts(), ["act r1/restart/1", "abort r1/restart/1"]);
    assert!(play.run().in_flight(), "it has a moment to end: {:?}", play.run());
    play.later(30);
    assert!(play.parked(), "{:?}", play.run());
    assert_eq!(play.tells("nobody could say what became of it"), 1, "{:#?}", play.told);
}

#[test]
fn what_outlived_the_agent_is_looked_at_also_when_its_definition_changed() {
    let mut play = Play::new(vec![("cure", again("restart", None))]);
    play.fails().restarts(plan(vec![("cure", cure(vec![act("reboot")]))]));
    assert_eq!(play.acts(), ["act r1/restart/1", "inspect r1/restart/1"]);
    assert_eq!(play.order().action, None, "another may have its name now");
    assert!(play.asks(Command::Retry(RunId(1))).is_err(), "it may run still: {:?}", play.run());
    play.done();
    assert!(play.parked(), "{:?}", play.run());
    assert_eq!(play.acts().len(), 2);
}

#[test]
fn what_outlived_the_agent_has_ended_before_the_run_tidies_up_under_its_old_definition() {
    let old = plan(vec![("cure", again("restart", Some("restart")))]);
    let mut play = Play::with(old.clone());
    play.fails().restarts(plan(Vec::new())).reloads(old);
    play.asks(Command::Cancel(RunId(1))).unwrap();
    assert_eq!(play.acts(), ["act r1/restart/1", "inspect r1/restart/1", "abort r1/restart/1"]);
    play.unclear();
    assert_eq!(play.acts().last().unwrap(), "act r1/restart/2");
}

#[test]
fn what_outlived_the_agent_keeps_its_target_until_it_has_ended() {
    let other = Remedy { on: Vec::new(), ..cure(vec![act("reboot")]) };
    let mut play = Play::new(vec![("cure", again("restart", None)), ("other", other.clone())]);
    play.fails().restarts(plan(vec![("other", other)]));
    play.asks(Command::Cancel(RunId(1))).unwrap();
    assert_eq!(play.acts().last().unwrap(), "abort r1/restart/1");
    assert!(play.asks(Command::Start(remedy("other"))).is_err());
    play.unclear();
    assert!(play.run().ended(), "{:?}", play.run());
    assert!(play.asks(Command::Start(remedy("other"))).is_ok());
}

#[test]
fn what_nobody_knows_is_not_repeated_when_its_definition_changed_meanwhile() {
    let old = plan(vec![("cure", Remedy { on_cancel: step("restart"), ..cure(vec![act("restart")]) })]);
    let mut play = Play::with(old.clone());
    play.fails().reloads(plan(Vec::new())).later(3_700).reloads(old);
    play.asks(Command::Cancel(RunId(1))).unwrap();
    assert!(play.parked(), "{:?}", play.run());
    assert_eq!(play.acts(), ["act r1/restart/1", "abort r1/restart/1"]);
}

#[test]
fn what_was_not_begun_by_its_deadline_may_be_begun_later_although_its_definition_changed_meanwhile() {
    let old = plan(vec![("cure", Remedy { on_cancel: step("restart"), ..cure(vec![act("restart")]) })]);
    let mut play = Play::with(old.clone());
    play.slow = true;
    play.fails().reloads(plan(Vec::new())).later(3_700).reloads(old);
    assert!(play.parked(), "{:?}", play.run());
    assert_eq!(play.acts(), ["act r1/restart/1"], "there is nothing to stop");
    play.asks(Command::Cancel(RunId(1))).unwrap();
    assert_eq!(play.acts().last().unwrap(), "act r1/restart/2", "{:#?}", play.told);
}

#[test]
fn what_outlived_the_agent_is_stopped_again_when_its_run_was_being_cancelled() {
    let mut play = Play::new(vec![("cure", again("restart", None))]);
    play.fails();
    play.asks(Command::Cancel(RunId(1))).unwrap();
    play.restarts(plan(Vec::new()));
    let stopped = ["act r1/restart/1", "abort r1/restart/1", "inspect r1/restart/1", "abort r1/restart/1"];
    assert_eq!(play.acts(), stopped);
    play.unclear();
    assert!(play.run().ended(), "{:?}", play.run());
}

#[test]
fn who_only_looks_is_stopped_by_the_deadline_also_when_its_definition_changed() {
    let mut prepared = act("restart");
    if let StepKind::Act { prepare, .. } = &mut prepared.kind {
        *prepare = true;
    }
    let mut play = Play::new(vec![("cure", cure(vec![prepared]))]);
    play.fails().reloads(plan(Vec::new())).later(3_600);
    assert_eq!(play.acts(), ["prepare r1/restart/1", "abort r1/restart/1"]);
    assert!(play.parked(), "nothing was begun, so nothing is waited for: {:?}", play.run());
}

#[test]
fn what_was_only_being_prepared_is_parked_at_once_when_the_next_start_has_another_definition() {
    let mut prepared = act("restart");
    if let StepKind::Act { prepare, .. } = &mut prepared.kind {
        *prepare = true;
    }
    let mut play = Play::new(vec![("cure", cure(vec![prepared]))]);
    play.fails().restarts(plan(Vec::new()));
    assert!(play.parked(), "{:?}", play.run());
    assert_eq!(play.acts(), ["prepare r1/restart/1"]);
}

#[test]
fn a_check_that_is_watched_otherwise_is_not_silent_at_once() {
    let mut strict = plan(Vec::new());
    let mut play = Play::with(strict.clone());
    play.passes().later(300);
    strict.checks.get_mut(&check("web")).unwrap().stale_after = Some(secs(30));
    play.reloads(strict).later(29);
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Passing);
    play.later(2);
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Unknown);
}

#[test]
fn a_check_that_may_flap_no_more_is_steady() {
    let mut strict = plan(Vec::new());
    strict.checks.get_mut(&check("web")).unwrap().flap = Some(Flap { changes: n(3), within: secs(60) });
    let mut play = Play::with(strict);
    play.passes().later(1).fails().later(1).passes().later(1).fails();
    assert!(play.engine.checks()[&check("web")].flapping);
    play.reloads(plan(Vec::new())).passes();
    assert!(!play.engine.checks()[&check("web")].flapping);
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Passing);
}

#[test]
fn another_trigger_begins_anew_also_by_a_restart() {
    let mut play = Play::new(vec![("cure", Remedy { mode: Mode::Observe, ..cure(vec![act("restart")]) })]);
    play.fails().later(100);
    assert!(play.acts().is_empty());
    play.restarts(plan(vec![("cure", cure(vec![act("restart")]))]));
    assert_eq!(play.acts(), ["act r1/restart/1"], "it acts where it only observed");
}

#[test]
fn what_is_due_is_known_before_a_new_plan_decides_by_it() {
    let mut strict = plan(Vec::new());
    strict.checks.get_mut(&check("web")).unwrap().bad_for = secs(60);
    let mut play = Play::with(strict.clone());
    play.passes().sees("db", Status::Critical).later(1).fails();
    play.now.boot = play.now.boot.after(secs(60));
    let on = vec![Trigger::When(is("db", Status::Critical))];
    let guarded = Remedy { on, guard: Some(is("web", Status::Passing)), ..cure(vec![act("restart")]) };
    strict.remedies.insert(remedy("cure"), guarded);
    play.reloads(strict);
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Critical);
    assert!(play.acts().is_empty(), "{:#?}", play.told);
}

#[test]
fn a_machine_that_was_asleep_does_not_take_that_for_silence_at_a_reload() {
    let mut strict = plan(Vec::new());
    strict.checks.get_mut(&check("web")).unwrap().stale_after = Some(secs(30));
    let mut play = Play::with(strict.clone());
    play.passes();
    play.now.boot = play.now.boot.after(secs(3_600));
    play.reloads(strict);
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Passing, "{:#?}", play.told);
}
