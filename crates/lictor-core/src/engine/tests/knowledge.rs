//! What counts as known: no data, silence, old values.

use super::*;

fn stale(name: &str, after: u64) -> Plan {
    let mut plan = plan(Vec::new());
    plan.checks.get_mut(&check(name)).unwrap().stale_after = Some(secs(after));
    plan
}

fn with(mut plan: Plan, name: &str, definition: Remedy) -> Plan {
    plan.remedies.insert(remedy(name), definition);
    plan
}

fn value(name: &str) -> ValueName {
    ValueName::new(name).unwrap()
}

fn used() -> Condition {
    Condition::Value { check: check("db"), value: value("used"), op: Compare::Greater, number: 90.0 }
}

impl Play {
    fn measures(&mut self, status: Status, number: f64) -> &mut Self {
        let sample = Sample::new(status, "looked").with(value("used"), Value::Number(number));
        self.step(Input::Observed { check: check("db"), sample })
    }

    fn open(&self) -> usize {
        self.engine.incidents().values().filter(|incident| incident.closed.is_none()).count()
    }
}

#[test]
fn a_check_that_never_had_data_is_an_incident() {
    let mut play = Play::new(Vec::new());
    play.sees("web", Status::Unknown);
    assert_eq!(play.open(), 1);
    assert_eq!(play.tells("web is unknown: it is unknown"), 1, "{:#?}", play.told);
    play.sees("web", Status::Unknown).killed(1).sees("web", Status::Unknown);
    assert_eq!(play.tells("web is unknown"), 1, "once");
    play.passes();
    assert_eq!(play.open(), 0);
}

#[test]
fn no_data_counts_as_the_other_failures_do() {
    let mut strict = plan(Vec::new());
    strict.checks.get_mut(&check("web")).unwrap().fail_after = n(3);
    let mut play = Play::with(strict);
    play.sees("web", Status::Unknown).fails();
    assert_eq!(play.open(), 0);
    play.sees("web", Status::Unknown);
    assert_eq!(play.open(), 1);
}

#[test]
fn a_watcher_that_never_says_anything_is_an_incident() {
    let mut play = Play::with(stale("web", 30));
    play.later(29);
    assert_eq!(play.open(), 0);
    play.later(2);
    assert_eq!(play.open(), 1);
    assert_eq!(play.tells("web is unknown: no data for 30s"), 1, "{:#?}", play.told);
    play.later(300);
    assert_eq!(play.tells("web is unknown"), 1, "once");
}

#[test]
fn a_machine_that_was_asleep_does_not_take_that_for_silence() {
    let mut strict = stale("web", 30);
    strict.checks.get_mut(&check("web")).unwrap().bad_for = secs(60);
    let steps = vec![wait("settle", is("web", Status::Passing), 100, 100_000)];
    let on = vec![Trigger::When(is("db", Status::Critical))];
    let mut play = Play::with(with(strict, "cure", Remedy { on, deadline: secs(100_000), ..cure(steps) }));
    play.passes().sees("db", Status::Critical).later(1).passes().later(1);
    play.now.boot = play.now.boot.after(secs(3_600));
    play.step(Input::Tick);
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Passing, "{:#?}", play.told);
    assert!(!play.run().ended(), "nobody saw it hold");
    play.fails();
    play.now.boot = play.now.boot.after(secs(3_600));
    play.step(Input::Tick);
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Passing, "nobody saw it last");
    play.later(31);
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Unknown);
}

#[test]
fn what_is_no_longer_known_is_not_decided_by() {
    let mut guarded = stale("db", 30);
    guarded.remedies.insert(
        remedy("cure"),
        Remedy { guard: Some(is("db", Status::Passing)), ..cure(vec![act("restart")]) },
    );
    let mut play = Play::with(guarded);
    play.passes().sees("db", Status::Passing);
    // Both at once: the silence of the guard's check, and the fault.
    play.now.boot = play.now.boot.after(secs(30));
    play.fails();
    assert!(play.acts().is_empty(), "{:#?}", play.told);
}

#[test]
fn a_composite_waits_for_the_first_look_at_each_member() {
    let mut composed = plan(Vec::new());
    let source = CheckSource::Checks { at_least: 2, of: vec![check("web"), check("db")] };
    composed.checks.insert(check("both"), CheckPlan { source, ..CheckPlan::observed() });
    let mut play = Play::with(composed);
    play.passes();
    assert_eq!(play.open(), 0, "{:#?}", play.told);
    play.sees("db", Status::Unknown);
    assert_eq!(play.open(), 2, "{:#?}", play.told);
}

#[test]
fn a_composite_that_is_bad_when_its_grace_ends_is_bad() {
    let mut composed = plan(Vec::new());
    let source = CheckSource::Checks { at_least: 1, of: vec![check("web")] };
    composed.checks.insert(check("one"), CheckPlan { source, grace: secs(30), ..CheckPlan::observed() });
    let mut play = Play::with(composed);
    play.fails().later(29);
    assert_eq!(play.open(), 1, "{:#?}", play.told);
    play.later(2);
    assert_eq!(play.open(), 2, "{:#?}", play.told);
}

#[test]
fn that_a_budget_is_used_up_is_said_when_the_cooldown_ends() {
    let budget = Some(Budget { runs: n(1), per: secs(1_000) });
    let mut play = Play::new(vec![("cure", Remedy { budget, ..cure(vec![act("restart")]) })]);
    play.fails().done().later(5).fails().later(60);
    assert_eq!(play.tells("needs a person"), 1, "{:#?}", play.told);
}

#[test]
fn a_remedy_for_silence_is_tried_again_while_the_silence_goes_on() {
    let on = vec![Trigger::When(is("web", Status::Unknown))];
    let definition =
        Remedy { on, cooldown: secs(60), give_up_after: Some(n(3)), ..cure(vec![act("restart")]) };
    let mut play = Play::with(with(stale("web", 30), "cure", definition));
    play.passes().later(31);
    assert_eq!(play.acts().len(), 1);
    play.done().later(29);
    assert_eq!(play.acts().len(), 1);
    play.later(40);
    assert_eq!(play.acts().len(), 2, "{:#?}", play.told);
    for _ in 0..20 {
        if play.run().in_flight() {
            play.done();
        }
        play.later(20);
    }
    assert_eq!(play.acts().len(), 3, "{:?} {:#?}", play.acts(), play.told);
    assert_eq!(play.tells("needs a person: 3 runs did not help"), 1);
}

#[test]
fn that_nobody_has_looked_yet_is_no_reason_to_act() {
    let on = vec![Trigger::When(Condition::Not(Box::new(is("web", Status::Passing))))];
    let definition = Remedy { on, guard: Some(is("db", Status::Unknown)), ..cure(vec![act("restart")]) };
    let mut play = Play::new(vec![("cure", definition)]);
    play.later(100).fails();
    assert!(play.acts().is_empty(), "{:#?}", play.told);
    play.sees("db", Status::Unknown);
    assert_eq!(play.acts().len(), 1);
}

#[test]
fn a_value_from_before_a_restart_is_not_a_fact() {
    let on = vec![Trigger::When(used())];
    let mut play = Play::new(vec![("free", Remedy { on, ..cure(vec![act("clean")]) })]);
    play.measures(Status::Critical, 95.0).done();
    // The status does not change any more, so this is in no row.
    play.later(100).measures(Status::Critical, 50.0).later(100);
    assert_eq!(play.acts().len(), 1);
    play.killed(10).later(10);
    assert_eq!(play.acts().len(), 1, "{:#?}", play.told);
    play.measures(Status::Critical, 95.0);
    assert_eq!(play.acts().len(), 2);
}

#[test]
fn no_data_and_no_number_are_not_values() {
    let on = vec![Trigger::When(Condition::Not(Box::new(used())))];
    let mut play = Play::new(vec![("free", Remedy { on, ..cure(vec![act("clean")]) })]);
    play.measures(Status::Unknown, 10.0).measures(Status::Passing, f64::NAN);
    assert!(play.acts().is_empty(), "{:#?}", play.told);
    play.measures(Status::Passing, 10.0);
    assert_eq!(play.acts().len(), 1);
}

#[test]
fn a_change_is_seen_across_a_gap_and_across_a_restart() {
    let on = vec![Trigger::Changed { check: check("db"), value: value("used"), from: None, to: None }];
    let definition = Remedy { on, cooldown: Duration::ZERO, ..cure(vec![act("tell")]) };
    let mut play = Play::new(vec![("told", definition)]);
    play.measures(Status::Passing, 1.0).sees("db", Status::Unknown);
    assert!(play.acts().is_empty());
    play.measures(Status::Passing, 2.0);
    assert_eq!(play.acts().len(), 1, "{:#?}", play.told);
    play.done().killed(1).measures(Status::Passing, 2.0);
    assert_eq!(play.acts().len(), 1, "it was told before the restart");
    play.killed(1).measures(Status::Passing, 3.0);
    assert_eq!(play.acts().len(), 2);
}

#[test]
fn a_check_that_seldom_reports_does_not_hold_up_a_deferred_start() {
    let on =
        vec![Trigger::When(Condition::All(vec![is("web", Status::Critical), is("net", Status::Passing)]))];
    let mut play = Play::new(vec![("cure", Remedy { on, ..cure(vec![act("restart")]) })]);
    play.passes().sees("net", Status::Passing).fails().later(5).done();
    // A new fault within the cooldown; nothing is heard from `net` meanwhile.
    play.later(5).passes().later(5).fails().later(60);
    assert_eq!(play.acts().len(), 2, "{:#?}", play.told);
}

#[test]
fn one_fresh_result_decides_where_one_is_enough() {
    let on =
        vec![Trigger::When(Condition::Any(vec![is("web", Status::Critical), is("net", Status::Critical)]))];
    let mut play = Play::new(vec![("cure", Remedy { on, ..cure(vec![act("restart")]) })]);
    play.sees("net", Status::Passing).fails().done().later(5).fails().later(60);
    assert_eq!(play.acts().len(), 2, "{:#?}", play.told);
}

#[test]
fn a_match_that_was_deferred_needs_no_condition() {
    let pattern = || PatternName::new("oom").unwrap();
    let mut definition = cure(vec![act("restart")]);
    definition.on.push(Trigger::Match { source: check("db"), pattern: pattern() });
    let mut play = Play::new(vec![("cure", definition)]);
    let oom =
        || Input::Read { source: check("db"), matches: vec![Match::new(pattern(), "oom")], position: None };
    play.passes().step(oom()).done().later(5).step(oom()).later(60);
    assert_eq!(play.acts().len(), 2, "{:#?}", play.told);
    assert_eq!(play.engine.floods()[&remedy("cure")].deferred, None);
}

#[test]
fn a_budget_that_is_used_up_anew_is_told_anew() {
    let pattern = || PatternName::new("oom").unwrap();
    let on = vec![Trigger::Match { source: check("web"), pattern: pattern() }];
    let budget = Some(Budget { runs: n(1), per: secs(1_000) });
    let definition = Remedy { on, budget, defer: false, ..cure(vec![act("restart")]) };
    let mut play = Play::new(vec![("cure", definition)]);
    for _ in 0..2 {
        for _ in 0..3 {
            play.step(Input::Read {
                source: check("web"),
                matches: vec![Match::new(pattern(), "oom")],
                position: None,
            });
            if play.run().in_flight() {
                play.done();
            }
            play.later(100);
        }
        play.later(1_000);
    }
    assert_eq!(play.tells("needs a person"), 2, "{:#?}", play.told);
}

#[test]
fn a_flapping_check_flaps_until_it_has_been_fine_for_long_enough() {
    let mut strict = plan(Vec::new());
    strict.checks.get_mut(&check("web")).unwrap().flap = Some(Flap { changes: n(3), within: secs(60) });
    let mut play = Play::with(strict);
    play.passes().later(1).fails().later(1).passes().later(1).fails().later(600);
    play.sees("web", Status::Warning).passes();
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Warning);
    play.later(61);
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Passing);
}

#[test]
fn what_was_seen_before_a_restart_starts_nothing_that_waited() {
    let mut play = Play::new(vec![("cure", Remedy { cooldown: secs(60), ..cure(vec![act("restart")]) })]);
    play.fails().done().passes().later(5).fails();
    assert_eq!(play.acts().len(), 1, "it is cooling down");
    play.killed(86_400);
    assert_eq!(play.acts().len(), 1, "nobody has looked since yesterday");
    play.fails();
    assert_eq!(play.acts().len(), 2);
}

#[test]
fn what_another_trigger_of_the_same_result_started_has_to_help_as_well() {
    let change = Trigger::Changed { check: check("db"), value: value("used"), from: None, to: None };
    let on = vec![change, Trigger::When(used())];
    let definition = Remedy { on, give_up_after: Some(n(1)), ..cure(vec![act("clean")]) };
    let mut play = Play::new(vec![("free", definition)]);
    play.measures(Status::Passing, 10.0).measures(Status::Passing, 95.0).done();
    play.later(100).measures(Status::Passing, 95.0);
    assert_eq!(play.acts(), ["act r1/clean/1"], "{:#?}", play.told);
    assert_eq!(play.tells("needs a person: 1 run did not help"), 1, "{:#?}", play.told);
}

/// Started by not knowing how `web` is, which counts as a fault after it has lasted for 30 s.
fn unknown_web(cooldown: u64) -> Plan {
    let on = vec![Trigger::When(is("web", Status::Unknown))];
    let definition = Remedy { on, cooldown: secs(cooldown), ..cure(vec![act("restart")]) };
    let mut strict = with(stale("web", 30), "cure", definition);
    strict.checks.get_mut(&check("web")).unwrap().bad_for = secs(30);
    strict
}

#[test]
fn nothing_is_decided_by_silence_that_is_a_fault_at_the_same_instant() {
    let mut play = Play::with(unknown_web(60));
    play.passes().later(1).fails().later(30);
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Critical);
    assert!(play.acts().is_empty(), "{:#?}", play.told);
}

#[test]
fn nothing_is_decided_by_a_result_without_data_that_comes_when_a_fault_has_lasted_long_enough() {
    let mut play = Play::with(unknown_web(10));
    let unknown = |play: &mut Play| {
        play.sees("web", Status::Unknown);
    };
    unknown(&mut play);
    play.later(15);
    unknown(&mut play);
    play.later(15);
    unknown(&mut play);
    assert_eq!(play.acts(), ["act r1/restart/1"]);
    play.done().later(1).fails().later(29).done();
    let before = play.acts().len();
    play.now.boot = play.now.boot.after(secs(1));
    unknown(&mut play);
    assert_eq!(play.engine.checks()[&check("web")].status, Status::Critical);
    assert_eq!(play.acts().len(), before, "{:#?}", play.told);
}

#[test]
fn a_composite_forgets_what_it_is_not_any_more() {
    let source = |at_least| CheckSource::Checks { at_least, of: vec![check("web"), check("db")] };
    let composed = |at_least| {
        let mut plan = plan(Vec::new());
        let composite = CheckPlan { source: source(at_least), bad_for: secs(60), ..CheckPlan::observed() };
        plan.checks.insert(check("both"), composite);
        plan
    };
    let mut play = Play::with(composed(1));
    play.sees("web", Status::Unknown).sees("db", Status::Unknown).later(61);
    play.sees("web", Status::Warning).later(30).reloads(composed(2)).later(100);
    assert_eq!(play.engine.checks()[&check("both")].status, Status::Unknown, "{:#?}", play.told);
}
