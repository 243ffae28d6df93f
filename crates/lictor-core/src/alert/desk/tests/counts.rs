//! When an alert counts, and when it is over.

use super::*;

#[test]
fn what_turns_bad_is_told_and_so_is_its_end() {
    let mut stage = Stage::new(simple());
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 critical"]);
    stage.report(&web, Passing);
    assert_eq!(stage.accept(), ["ops: resolved web: alive on n1 passing"]);
    assert!(stage.desk.cases().is_empty(), "{:?}", stage.desk.cases());
    assert!(stage.rows.keys().all(|key| *key == RowKey::Counters), "{:?}", stage.rows);
}

#[test]
fn what_was_never_seen_bad_is_not_told_when_it_is_first_seen_to_pass() {
    let mut stage = Stage::new(simple());
    stage.report(&consul("n1", "web", "alive"), Passing);
    assert_eq!(stage.accept(), Vec::<String>::new());
    assert!(stage.desk.cases().is_empty());
}

#[test]
fn a_threshold_runs_out_by_itself() {
    let mut plan = simple();
    plan.thresholds = vec![
        Threshold { when: is("check", "slow"), bad_for: secs(300), good_for: SECOND },
        Threshold { when: all(), bad_for: secs(60), good_for: secs(30) },
    ];
    let mut stage = Stage::new(plan);
    let (web, slow) = (consul("n1", "web", "alive"), consul("n1", "web", "slow"));
    stage.report(&web, Critical);
    stage.report(&slow, Critical);
    stage.pass(secs(59));
    assert_eq!(stage.accept(), Vec::<String>::new());
    stage.pass(SECOND);
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 critical"]);
    stage.pass(secs(240));
    assert_eq!(stage.accept(), ["ops: firing web: slow on n1 critical"]);
    stage.report(&web, Passing);
    stage.pass(secs(29));
    assert_eq!(stage.accept(), Vec::<String>::new());
    stage.pass(SECOND);
    assert_eq!(stage.accept(), ["ops: resolved web: alive on n1 passing"]);
}

#[test]
fn one_that_recovers_before_its_time_is_never_told() {
    let mut plan = simple();
    plan.thresholds = vec![Threshold { when: all(), bad_for: secs(60), good_for: secs(60) }];
    let mut stage = Stage::new(plan);
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    stage.pass(secs(30));
    stage.report(&web, Passing);
    stage.pass(secs(300));
    assert_eq!(stage.accept(), Vec::<String>::new());
    assert!(stage.desk.cases().is_empty());
}

#[test]
fn one_that_changes_between_warning_and_critical_counts_from_when_it_left_passing() {
    let mut plan = simple();
    plan.thresholds = vec![Threshold { when: all(), bad_for: secs(60), good_for: secs(60) }];
    let mut stage = Stage::new(plan);
    let web = consul("n1", "web", "alive");
    for _ in 0..3 {
        stage.report(&web, Critical);
        stage.pass(secs(15));
        stage.report(&web, Warning);
        stage.pass(secs(15));
    }
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 warning"]);
}

#[test]
fn a_deregistered_check_is_over_for_those_who_were_told() {
    let mut stage = Stage::new(simple());
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    stage.accept();
    stage.gone(&web);
    assert_eq!(stage.accept(), ["ops: resolved web: alive on n1 passing"]);
    let item = &stage.accepted.last().unwrap().items[0];
    assert_eq!(
        (item.notes.as_str(), item.over),
        ("it is no longer registered", Some(Over::Gone(Gone::Deregistered)))
    );
}

#[test]
fn what_vanished_while_nobody_looked_is_over() {
    let mut stage = Stage::new(simple());
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    stage.accept();
    stage.crash();
    assert_eq!(stage.accept(), Vec::<String>::new(), "nothing is known before the source reports");
    stage.reports(true, vec![]);
    assert_eq!(stage.accept(), ["ops: resolved web: alive on n1 passing"]);
}

#[test]
fn a_service_is_judged_by_its_healthy_instances() {
    let mut plan = simple();
    plan.services = vec![ServicePlan {
        when: is("service", "web"),
        at_least: NonZeroU32::new(2).unwrap(),
        warn_below: NonZeroU32::new(3),
        instead: true,
    }];
    let mut stage = Stage::new(plan);
    assert_eq!(stage.accept(), ["ops: firing web: instances critical"], "it was never there");
    let on = |node: &str| consul(node, "web", "alive");
    let up = |node: &str| Report::new(on(node), Passing, "ok");
    stage.reports(true, vec![up("n1"), up("n2"), up("n3")]);
    assert_eq!(stage.accept(), ["ops: resolved web: instances passing"]);
    stage.reports(false, vec![Report::new(on("n1"), Critical, "connection refused")]);
    assert_eq!(stage.accept(), ["ops: firing web: instances warning"], "and nothing of the instance alone");
    let output = &stage.accepted.last().unwrap().items[0].output;
    assert!(output.contains("2 of 3") && output.contains("connection refused"), "{output}");
    stage.report(&consul("n2", "", "serfHealth"), Critical);
    let told = stage.accept();
    let wanted = ["ops: firing serfHealth on n2 critical", "ops: firing web: instances critical"];
    assert_eq!(told, wanted, "an instance on a dead node is not healthy");
}

#[test]
fn one_that_flaps_is_told_once_and_is_over_when_it_was_calm() {
    let mut plan = simple();
    plan.flap = Some(Flap { changes: NonZeroU32::new(4).unwrap(), within: secs(600) });
    let mut stage = Stage::new(plan);
    let web = consul("n1", "web", "alive");
    for _ in 0..20 {
        stage.report(&web, Critical);
        stage.pass(secs(10));
        stage.accept();
        stage.report(&web, Passing);
        stage.pass(secs(10));
        stage.accept();
    }
    let told = stage.accepted.len();
    assert!(told <= 5, "{told} messages");
    stage.pass(secs(600));
    assert_eq!(stage.accept(), ["ops: resolved web: alive on n1 passing"]);
}

#[test]
fn a_lost_source_is_an_alert_and_its_thresholds_stand_still() {
    let mut plan = simple();
    plan.thresholds = vec![Threshold { when: all(), bad_for: secs(60), good_for: secs(60) }];
    let mut stage = Stage::new(plan);
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    stage.pass(secs(30));
    let source = Source::new("consul/dc1");
    stage.step(Input::Lost { source, why: "connection refused".into() });
    assert_eq!(stage.accept(), ["ops: firing source consul/dc1 critical"]);
    stage.pass(secs(600));
    assert_eq!(stage.accept(), Vec::<String>::new(), "nobody knows whether it is still so");
    stage.reports(true, vec![Report::new(web, Passing, "fine")]);
    assert_eq!(stage.accept(), ["ops: resolved source consul/dc1 passing"]);
}

/// Why the last message says that its only item is over.
fn over(stage: &Stage) -> Option<Over> {
    stage.accepted.last().unwrap().items[0].over
}

#[test]
fn what_is_over_says_why() {
    let pager = Route { status: [Critical].into(), ..route("pager", &["ops"]) };
    let mut stage = Stage::new(plan(vec![pager]));
    let web = consul("n1", "web", "alive");
    let bad = |stage: &mut Stage| {
        stage.report(&web, Critical);
        stage.accept();
        assert_eq!(over(stage), None, "it is not over");
    };
    bad(&mut stage);
    stage.report(&web, Passing);
    stage.accept();
    assert_eq!(over(&stage), Some(Over::Recovered));
    bad(&mut stage);
    stage.report(&web, Warning);
    stage.accept();
    assert_eq!(over(&stage), Some(Over::Milder), "it is still a warning");
    bad(&mut stage);
    stage.step(Input::Watched { consul: None });
    stage.accept();
    assert_eq!(over(&stage), Some(Over::Gone(Gone::Unwatched)));
    stage.reports(true, vec![]);
    bad(&mut stage);
    let mut ignoring = plan(vec![route("pager", &["ops"])]);
    ignoring.ignored = vec![all()];
    stage.reload(ignoring);
    stage.report(&web, Critical);
    stage.accept();
    assert_eq!(over(&stage), Some(Over::Gone(Gone::Ignored)));
}
