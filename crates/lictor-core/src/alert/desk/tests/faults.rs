//! Sequences that once went wrong.

use super::*;

fn hush(id: Option<&str>, when: Matchers, lasting: u64) -> Command {
    let id = id.map(str::to_owned);
    Command::Silence { id, when, lasting: secs(lasting), by: "me".into(), comment: String::new() }
}

fn forbidden() -> Verdict {
    Verdict::Refused { why: "status 403".into(), retry_after: None, for_good: true }
}

fn none() -> Vec<String> {
    vec![]
}

#[test]
fn a_silence_that_is_replaced_frees_what_it_no_longer_means() {
    let mut stage = Stage::new(simple());
    stage.command(hush(Some("x"), is("node", "n1"), 600));
    stage.report(&consul("n1", "web", "alive"), Critical);
    stage.command(hush(Some("x"), is("node", "n2"), 600));
    stage.pass(secs(86_400));
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 critical"]);
}

#[test]
fn a_parent_whose_labels_change_does_not_mute_for_ever() {
    let mut plan = simple();
    plan.inhibitions = vec![Inhibition {
        source: is("tag", "core"),
        target: is("service", "web"),
        equal: vec![],
        wait: secs(0),
    }];
    let mut stage = Stage::new(plan);
    let mut gate = consul("n1", "gate", "alive");
    gate.tags = ["core".to_owned()].into();
    stage.report(&gate, Critical);
    gate.tags = [].into();
    stage.report(&gate, Critical);
    stage.report(&gate, Passing);
    stage.accept();
    stage.pass(secs(3_600));
    stage.report(&consul("n1", "web", "alive"), Critical);
    stage.pass(secs(86_400));
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 critical"]);
}

#[test]
fn two_sources_of_one_rule_do_not_mute_each_other() {
    let mut plan = simple();
    // `inhibit { when { check = "/^core-/" } mutes { } equal = ["node"] }`: validate takes it.
    let core = Matchers(vec![Matcher {
        label: "check".into(),
        any: vec![Pattern::Regex(regex::Regex::new("^core-").unwrap())],
        not: false,
    }]);
    plan.inhibitions =
        vec![Inhibition { source: core, target: all(), equal: vec!["node".into()], wait: secs(0) }];
    let mut stage = Stage::new(plan);
    let reports = ["core-a", "core-b"].map(|one| Report::new(consul("n1", "", one), Critical, "down"));
    stage.reports(false, reports.to_vec());
    stage.pass(secs(86_400));
    assert!(!stage.accept().is_empty(), "two are critical and nobody is told of either");
}

#[test]
fn two_rules_do_not_mute_each_other() {
    let mut plan = simple();
    let rule =
        |a, b| Inhibition { source: is("check", a), target: is("check", b), equal: vec![], wait: secs(0) };
    plan.inhibitions = vec![rule("a", "b"), rule("b", "a")];
    let mut stage = Stage::new(plan);
    let reports = ["a", "b"].map(|one| Report::new(consul("n1", "", one), Critical, "down"));
    stage.reports(false, reports.to_vec());
    stage.pass(secs(86_400));
    assert!(!stage.accept().is_empty(), "two are critical and nobody is told of either");
}

#[test]
fn one_that_changes_between_warning_and_critical_is_told_though_it_may_have_a_parent() {
    let mut plan = simple();
    plan.inhibitions = vec![Inhibition {
        source: is("check", "p"),
        target: is("check", "c"),
        equal: vec![],
        wait: secs(10),
    }];
    let mut stage = Stage::new(plan);
    let web = consul("n1", "web", "c");
    for _ in 0..500 {
        stage.report(&web, Critical);
        stage.pass(secs(9));
        stage.report(&web, Warning);
        stage.pass(secs(9));
    }
    assert!(!stage.accept().is_empty(), "2 h 30 min bad, never told");
}

fn services(when: Matchers) -> AlertPlan {
    let mut plan = simple();
    plan.services = vec![ServicePlan { when, at_least: NonZeroU32::MIN, warn_below: None, instead: true }];
    plan
}

fn regex_web() -> Matchers {
    let any = vec![Pattern::Regex(regex::Regex::new("^web").unwrap())];
    Matchers(vec![Matcher { label: "service".into(), any, not: false }])
}

#[test]
fn a_service_that_vanished_while_nobody_looked_is_over() {
    let mut stage = Stage::new(services(regex_web()));
    stage.report(&consul("n1", "web", "alive"), Critical);
    assert_eq!(stage.accept(), ["ops: firing web: instances critical"]);
    stage.crash();
    stage.reports(true, vec![]);
    stage.pass(secs(86_400));
    assert_eq!(stage.accept(), ["ops: resolved web: instances passing"]);
}

#[test]
fn a_service_that_is_no_longer_configured_is_over() {
    let mut stage = Stage::new(services(is("service", "web")));
    stage.report(&consul("n1", "web", "alive"), Critical);
    stage.accept();
    let output = stage.desk.reload(Arc::new(simple()), stage.now());
    stage.take(output);
    stage.reports(true, vec![Report::new(consul("n1", "web", "alive"), Passing, "ok")]);
    stage.pass(secs(86_400));
    let over = stage.accept();
    assert!(over.iter().any(|one| one.contains("resolved web: instances")), "{over:?}");
}

#[test]
fn the_end_is_told_however_long_the_notifier_was_away() {
    let mut stage = Stage::new(simple());
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    stage.accept();
    stage.report(&web, Passing);
    for _ in 0..60 {
        stage.answer(&refused("down"));
        stage.pass(secs(3_600));
    }
    stage.pass(secs(3_600));
    assert_eq!(stage.accept().iter().filter(|one| one.contains("resolved web")).count(), 1);
}

#[test]
fn the_end_is_told_by_the_route_that_told_of_it() {
    let quiet = Route { status: [Critical].into(), resolved: false, go_on: true, ..route("quiet", &["ops"]) };
    let loud = Route { status: [Warning].into(), ..route("loud", &["ops"]) };
    let mut stage = Stage::new(plan(vec![quiet, loud]));
    let web = consul("n1", "web", "alive");
    stage.report(&web, Warning);
    stage.accept();
    stage.report(&web, Passing);
    assert_eq!(stage.accept(), ["ops: resolved web: alive on n1 passing"]);
}

#[test]
fn retry_after_is_kept_also_when_another_was_accepted_meanwhile() {
    let mut plan = simple();
    let parallel = NonZeroU32::new(2).unwrap();
    plan.notifiers.insert(notifier("ops"), NotifierPlan { parallel, ..NotifierPlan::default() });
    let mut stage = Stage::new(plan);
    for node in ["n1", "n2", "n3"] {
        stage.report(&consul(node, "web", "alive"), Critical);
    }
    assert_eq!(stage.under_way.len(), 2);
    let second = stage.under_way.pop().unwrap();
    stage.answer(&Verdict::Refused { why: "429".into(), retry_after: Some(secs(77)), for_good: false });
    stage.under_way = vec![second];
    stage.answer(&Verdict::Accepted);
    assert!(stage.under_way.is_empty(), "sent although the service wants 77 s of quiet");
}

#[test]
fn one_short_outage_does_not_stop_a_parallel_notifier_for_minutes() {
    let mut plan = simple();
    let parallel = NonZeroU32::new(16).unwrap();
    plan.notifiers.insert(notifier("ops"), NotifierPlan { parallel, ..NotifierPlan::default() });
    let mut stage = Stage::new(plan);
    for node in 0..16 {
        stage.report(&consul(&format!("n{node}"), "web", "alive"), Critical);
    }
    assert_eq!(stage.under_way.len(), 16);
    stage.answer(&unclear());
    stage.pass(secs(30));
    assert!(!stage.under_way.is_empty(), "not tried for {:?}", stage.desk.next_wake());
}

#[test]
fn a_notifier_that_refuses_everything_for_good_is_told_of() {
    let mut stage = Stage::new(plan(vec![route("all", &["ops", "page"])]));
    for number in 0..40 {
        stage.report(&consul(&format!("n{number}"), "web", "alive"), Critical);
        stage.ops_fails(1, &forbidden());
    }
    let told: Vec<_> = stage.accepted.iter().map(said).collect();
    assert!(
        told.contains(&"page: firing notifier ops critical".to_owned()),
        "20 min, 40 alerts, all refused"
    );
}

#[test]
fn a_source_that_is_no_longer_configured_is_not_wrong_for_ever() {
    let mut stage = Stage::new(simple());
    stage.report(&consul("n1", "web", "alive"), Critical);
    stage.step(Input::Lost { source: Source::new("consul/dc1"), why: "away".into() });
    stage.accept();
    // The configuration no longer has Consul: nobody reports for this source any more.
    stage.step(Input::Watched { consul: None });
    let output = stage.desk.reload(Arc::new(simple()), stage.now());
    stage.take(output);
    stage.crash();
    stage.pass(secs(30 * 86_400));
    stage.accept();
    assert!(stage.desk.cases().is_empty(), "{:?}", stage.desk.cases().keys());
}

#[test]
fn a_notifier_that_is_no_longer_configured_is_not_wrong_for_ever() {
    let mut stage = Stage::new(plan(vec![route("all", &["ops", "page"])]));
    stage.report(&consul("n1", "web", "alive"), Critical);
    stage.ops_fails(40, &refused("down"));
    let output = stage.desk.reload(Arc::new(plan(vec![route("all", &["page"])])), stage.now());
    stage.take(output);
    stage.under_way.retain(|message| message.notifier == notifier("page"));
    stage.report(&consul("n1", "web", "alive"), Passing);
    stage.pass(secs(86_400));
    let told = stage.accept();
    assert!(told.contains(&"page: resolved notifier ops passing".to_owned()), "{told:?}");
}

#[test]
fn a_service_is_not_missed_before_its_source_said_all_it_has() {
    let mut stage = Stage::new(services(is("service", "web")));
    let up = || Report::new(consul("n1", "web", "alive"), Passing, "ok");
    stage.reports(true, vec![up()]);
    stage.accept();
    stage.accepted.clear();
    stage.crash();
    stage.report(&consul("n9", "db", "alive"), Passing);
    stage.accept();
    stage.reports(true, vec![up()]);
    assert_eq!(stage.accepted.iter().map(said).collect::<Vec<_>>(), none());
}

#[test]
fn the_time_of_a_service_stands_still_while_its_source_is_lost() {
    let mut plan = services(is("service", "web"));
    plan.thresholds = vec![Threshold { when: all(), bad_for: secs(60), good_for: secs(60) }];
    let mut stage = Stage::new(plan);
    let up = |status| Report::new(consul("n1", "web", "alive"), status, "ok");
    stage.reports(true, vec![up(Passing)]);
    stage.accept();
    stage.reports(false, vec![up(Critical)]);
    stage.pass(secs(5));
    stage.step(Input::Lost { source: Source::new("consul/dc1"), why: "away".into() });
    stage.accept();
    stage.pass(secs(600));
    assert_eq!(stage.accept(), none());
}

#[test]
fn what_is_remembered_of_groups_is_bounded() {
    let mut plan = simple();
    plan.routes[0].group_by = vec!["node".into()];
    plan.routes[0].group_interval = secs(15);
    let mut stage = Stage::new(plan);
    for number in 0..500 {
        let one = consul(&format!("n{number}"), "web", "alive");
        stage.report(&one, Critical);
        stage.accept();
        stage.gone(&one);
        stage.pass(secs(60));
        stage.accept();
    }
    assert!(stage.desk.cases().is_empty());
    assert!(stage.desk.flushed.len() < 10, "{} groups are remembered", stage.desk.flushed.len());
}

#[test]
fn an_instance_that_changes_its_service_leaves_the_old_one() {
    let mut stage = Stage::new(services(regex_web()));
    let mut one = consul("n1", "web", "alive");
    stage.report(&one, Critical);
    stage.accept();
    one.labels.insert("service".into(), "web2".into());
    stage.report(&one, Passing);
    stage.pass(secs(86_400));
    let told = stage.accept();
    assert!(told.iter().any(|one| one == "ops: resolved web: instances passing"), "{told:?}");
}

#[test]
fn a_reload_at_the_instant_a_group_is_due_mutes_as_the_new_plan_says() {
    let mut plan = simple();
    plan.routes[0].group_wait = secs(2);
    let rule =
        Inhibition { source: is("check", "p"), target: is("check", "c"), equal: vec![], wait: secs(0) };
    let other = Inhibition { source: is("check", "no"), target: is("check", "no"), ..rule.clone() };
    plan.inhibitions = vec![rule.clone()];
    let mut stage = Stage::new(plan.clone());
    stage.report(&consul("n1", "web", "c"), Critical);
    stage.report(&consul("n1", "", "p"), Critical);
    stage.pass(secs(1));
    stage.now += 1_000;
    plan.inhibitions = vec![other, rule];
    let output = stage.desk.reload(Arc::new(plan), stage.now());
    stage.take(output);
    stage.pass(secs(5));
    let told = stage.accept().join(" ");
    assert!(!told.contains("c on n1"), "{told}");
}

#[test]
fn an_acknowledgement_that_ended_is_not_shown() {
    let mut stage = Stage::new(simple());
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    stage.accept();
    let (by, comment) = ("me".to_owned(), String::new());
    stage.command(Command::Acknowledge { subject: web.key.clone(), by, comment, lasting: Some(secs(60)) });
    stage.pass(secs(600));
    assert_eq!(stage.desk.cases()[&web.key].acknowledged, None);
}

#[test]
fn a_new_silence_does_not_replace_one_that_somebody_named() {
    let mut stage = Stage::new(simple());
    stage.command(hush(Some("s1"), is("node", "n1"), 600));
    stage.command(hush(None, is("node", "n2"), 600));
    assert_eq!(stage.desk.silences().len(), 2);
}

#[test]
fn a_digest_is_of_bounded_size() {
    let mut plan = simple();
    plan.routes[0].status = [Unknown].into();
    let mut stage = Stage::new(plan);
    let many = (0..5_000).map(|number| {
        Report::new(
            consul(&format!("node-with-a-name-{number}"), "shop", "alive"),
            Critical,
            "x".repeat(5_000),
        )
    });
    stage.reports(false, many.collect());
    stage.command(Command::Digest {
        name: "d".into(),
        when: all(),
        to: vec![notifier("ops")],
        also_when_well: true,
        due: Due::At(stage.now().wall),
    });
    let delivery = stage.desk.deliveries().values().next().unwrap();
    let output: usize = delivery.items.iter().map(|one| one.output.len()).sum();
    let rest: usize = delivery.rest.iter().map(|one| one.key.as_str().len() + 20).sum();
    assert!(output <= 64 << 10 && rest <= 200_000, "{output} and {rest} bytes");
}

#[test]
fn a_digest_to_nobody_is_refused() {
    let mut stage = Stage::new(simple());
    let to = vec![notifier("nobody")];
    let said = stage.step(Input::Command(Command::Digest {
        name: "d".into(),
        when: all(),
        to,
        also_when_well: true,
        due: Due::At(stage.now().wall),
    }));
    assert!(said.unwrap().is_err());
}

#[test]
fn a_judged_report_counts_at_once_also_when_it_flaps() {
    let mut plan = simple();
    plan.flap = Some(Flap { changes: NonZeroU32::new(4).unwrap(), within: secs(600) });
    let mut stage = Stage::new(plan);
    let web = consul("n1", "web", "alive");
    for status in [Critical, Passing, Critical, Passing, Critical, Passing] {
        stage.reports(false, vec![Report { judged: true, ..Report::new(web.clone(), status, "") }]);
        stage.pass(secs(1));
    }
    assert_eq!(stage.desk.cases()[&web.key].settled, Passing);
}

#[test]
fn restored_at_another_boot_axis_is_not_stuck() {
    let mut stage = Stage::new(simple());
    stage.now += 30 * 86_400_000;
    stage.command(hush(None, is("node", "n1"), 60));
    stage.report(&consul("n1", "web", "alive"), Critical);
    stage.report(&consul("n2", "web", "alive"), Critical);
    stage.answer(&refused("no"));
    stage.now = 5_000;
    stage.crash();
    stage.pass(secs(3_600));
    assert!(!stage.accept().is_empty(), "a store restored, or taken over by another machine");
}

#[test]
fn reloads_do_not_put_a_group_off_for_ever() {
    let mut plan = simple();
    plan.routes[0].group_wait = secs(10);
    let mut stage = Stage::new(plan.clone());
    stage.report(&consul("n1", "web", "alive"), Critical);
    for _ in 0..20 {
        stage.pass(secs(8));
        let output = stage.desk.reload(Arc::new(plan.clone()), stage.now());
        stage.take(output);
    }
    assert!(!stage.accept().is_empty());
}
