//! A new plan under a state that was made under another.

use super::*;

fn wants(play: &Play) -> Plan {
    Plan::clone(play.engine.plan())
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
fn a_run_whose_remedy_is_gone_is_parked_by_its_deadline() {
    let mut play = Play::new(vec![("cure", cure(vec![act("restart")]))]);
    play.fails().reloads(plan(Vec::new())).later(3_700);
    assert!(matches!(play.run().state, RunState::Parked { .. }), "{:?}", play.run());
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
    let rows = play.rows.values().cloned().collect();
    let acting = plan(vec![("cure", cure(vec![act("restart")]))]);
    let (engine, output) = Engine::restore(Arc::new(acting), rows, play.now);
    play.engine = engine;
    play.take(output);
    assert_eq!(play.acts(), ["act r1/restart/1"], "it acts where it only observed");
}
