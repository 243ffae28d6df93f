//! Who is told: routes, groups, and what mutes.

use super::*;

#[test]
fn a_silence_mutes_what_is_new_and_ends_by_itself() {
    let mut stage = Stage::new(simple());
    stage.command(Command::Silence {
        id: None,
        when: is("node", "n1"),
        lasting: secs(600),
        by: "me".into(),
        comment: "work".into(),
    });
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    assert_eq!(stage.accept(), Vec::<String>::new());
    assert_eq!(stage.desk.muted(&stage.desk.cases()[&web.key]), Some(Mute::Silence("s1".into())));
    stage.crash();
    stage.reports(true, vec![Report::new(web, Critical, "still")]);
    stage.pass(secs(599));
    assert_eq!(stage.accept(), Vec::<String>::new(), "it survives a restart");
    stage.pass(SECOND);
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 critical"]);
}

#[test]
fn who_was_told_hears_that_it_is_over_also_through_a_silence() {
    let mut stage = Stage::new(simple());
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    stage.accept();
    let lasting = secs(600);
    let (by, comment) = ("me".to_owned(), String::new());
    stage.command(Command::Silence { id: None, when: all(), lasting, by, comment });
    stage.report(&web, Passing);
    assert_eq!(stage.accept(), ["ops: resolved web: alive on n1 passing"]);
}

#[test]
fn what_is_in_maintenance_is_shown_and_not_told() {
    let mut stage = Stage::new(simple());
    let web = consul("n1", "web", "alive");
    let report = Report { maintenance: true, ..Report::new(web.clone(), Critical, "down for work") };
    stage.reports(false, vec![report]);
    assert_eq!(stage.accept(), Vec::<String>::new());
    assert!(stage.desk.cases().contains_key(&web.key));
    stage.report(&web, Critical);
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 critical"]);
}

#[test]
fn reminders_come_until_it_is_over_or_somebody_looks_after_it() {
    let mut plan = simple();
    plan.routes[0].remind_every = Some(secs(600));
    let mut stage = Stage::new(plan);
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    stage.accept();
    stage.pass(secs(600));
    assert_eq!(stage.accept(), ["ops: reminder web: alive on n1 critical"]);
    assert_eq!(stage.accepted.last().unwrap().occasion, Occasion::Reminder);
    stage.pass(secs(600));
    stage.accept();
    assert_eq!(stage.accepted.last().unwrap().items[0].reminders, 2);
    stage.command(Command::Acknowledge {
        subject: web.key.clone(),
        by: "me".into(),
        comment: String::new(),
        lasting: None,
    });
    stage.pass(secs(6_000));
    assert_eq!(stage.accept(), Vec::<String>::new());
    stage.report(&web, Passing);
    assert_eq!(stage.accept(), ["ops: resolved web: alive on n1 passing"]);
    stage.pass(secs(6_000));
    assert_eq!(stage.accept(), Vec::<String>::new());
}

#[test]
fn a_group_waits_and_then_tells_everything_in_one_message() {
    let mut plan = simple();
    plan.routes[0].group_wait = secs(2);
    plan.routes[0].group_interval = secs(30);
    let mut stage = Stage::new(plan);
    for node in ["n1", "n2", "n3"] {
        stage.report(&consul(node, "web", "alive"), Critical);
    }
    assert!(stage.under_way.is_empty());
    stage.pass(secs(2));
    let told = stage.accept();
    assert_eq!(
        told,
        [
            "ops: firing web: alive on n1 critical, firing web: alive on n2 critical, firing web: alive on n3 critical"
        ]
    );
    stage.report(&consul("n4", "web", "alive"), Critical);
    stage.pass(secs(29));
    assert!(stage.under_way.is_empty(), "not before the interval is over");
    stage.pass(SECOND);
    assert_eq!(stage.accept().len(), 1);
}

#[test]
fn the_first_route_takes_it_unless_it_goes_on() {
    let first = Route { when: is("service", "db"), ..route("db", &["dba"]) };
    let second = Route { when: is("datacenter", "dc1"), go_on: true, ..route("dc", &["ops"]) };
    let third = Route { status: [Critical].into(), ..route("rest", &["page"]) };
    let mut stage = Stage::new(plan(vec![first, second, third]));
    stage.report(&consul("n1", "db", "alive"), Critical);
    assert_eq!(stage.accept(), ["dba: firing db: alive on n1 critical"]);
    stage.report(&consul("n1", "web", "alive"), Warning);
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 warning"]);
    stage.report(&consul("n1", "web", "alive"), Critical);
    let told = stage.accept();
    assert_eq!(told, ["ops: firing web: alive on n1 critical", "page: firing web: alive on n1 critical"]);
    stage.report(&consul("n1", "web", "alive"), Warning);
    let told = stage.accept();
    let wanted = ["ops: firing web: alive on n1 warning", "page: resolved web: alive on n1 warning"];
    assert_eq!(told, wanted, "who wants to hear of critical ones only hears that it is over");
}

#[test]
fn a_dead_node_is_one_alert() {
    let mut plan = simple();
    let target = Matchers(vec![Matcher {
        label: label::CHECK_ID.to_owned(),
        any: vec![Pattern::Exactly("serfHealth".to_owned())],
        not: true,
    }]);
    let equal = vec![label::DATACENTER.to_owned(), label::NODE.to_owned()];
    plan.inhibitions =
        vec![Inhibition { source: is(label::CHECK_ID, "serfHealth"), target, equal, wait: Duration::ZERO }];
    plan.thresholds = vec![Threshold { when: all(), bad_for: secs(60), good_for: secs(60) }];
    let mut stage = Stage::new(plan);
    let serf = consul("n1", "", "serfHealth");
    for number in 0..200 {
        stage.report(&consul("n1", &format!("s{number}"), "alive"), Critical);
    }
    stage.pass(secs(10));
    stage.report(&serf, Critical);
    stage.report(&consul("n2", "web", "alive"), Critical);
    stage.pass(secs(60));
    let told = stage.accept();
    assert_eq!(told, ["ops: firing serfHealth on n1 critical", "ops: firing web: alive on n2 critical"]);
    stage.report(&serf, Passing);
    for number in 1..200 {
        stage.report(&consul("n1", &format!("s{number}"), "alive"), Passing);
    }
    stage.pass(secs(61));
    let told = stage.accept();
    let wanted = ["ops: firing s0: alive on n1 critical", "ops: resolved serfHealth on n1 passing"];
    assert_eq!(told, wanted, "what stays wrong after it is told after all");
}

#[test]
fn many_failures_under_one_parent_make_at_most_three_messages() {
    let mut plan = simple();
    (plan.routes[0].group_wait, plan.routes[0].group_interval) = (SECOND, secs(15));
    plan.inhibitions = vec![Inhibition {
        source: is("check", "gateway"),
        target: is("service", "shop"),
        equal: vec![],
        wait: secs(10),
    }];
    let mut stage = Stage::new(plan);
    let shops: Vec<_> = (0..2_800).map(|number| consul(&format!("n{number}"), "shop", "alive")).collect();
    let gateway = consul("n1", "", "gateway");
    for some in shops.chunks(280) {
        stage.reports(false, some.iter().map(|one| Report::new(one.clone(), Critical, "down")).collect());
        stage.pass(Duration::from_millis(500));
    }
    stage.report(&gateway, Critical);
    stage.pass(secs(300));
    stage.accept();
    stage.report(&gateway, Passing);
    stage.reports(false, shops.iter().map(|one| Report::new(one.clone(), Passing, "up")).collect());
    stage.pass(secs(300));
    stage.accept();
    assert!(stage.accepted.len() <= 3, "{:?}", stage.accepted.iter().map(said).collect::<Vec<_>>());
    assert!(stage.desk.cases().is_empty());
}

#[test]
fn a_reload_keeps_what_is_owed() {
    let mut stage = Stage::new(plan(vec![route("all", &["ops", "page"])]));
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    stage.accept();
    let mut other = plan(vec![route("all", &["ops"])]);
    other.notifiers.insert(notifier("page"), NotifierPlan::default());
    let output = stage.desk.reload(Arc::new(other), stage.now());
    stage.take(output);
    assert_eq!(stage.accept(), Vec::<String>::new());
    stage.report(&web, Passing);
    let told = stage.accept();
    assert_eq!(told, ["ops: resolved web: alive on n1 passing", "page: resolved web: alive on n1 passing"]);
}

#[test]
fn a_route_takes_alerts_in_its_statuses_and_leaves_the_others_to_those_after_it() {
    let phone = Route { status: [Critical].into(), ..route("phone", &["phone"]) };
    let mut stage = Stage::new(plan(vec![phone, route("chat", &["chat"])]));
    let web = consul("n1", "web", "alive");
    stage.report(&web, Warning);
    assert_eq!(stage.accept(), ["chat: firing web: alive on n1 warning"]);
    stage.report(&web, Critical);
    assert_eq!(stage.accept(), ["phone: firing web: alive on n1 critical"], "the chat hears when it is over");
    stage.report(&web, Warning);
    assert_eq!(stage.accept(), ["phone: resolved web: alive on n1 warning"]);
    stage.report(&web, Passing);
    assert_eq!(stage.accept(), ["chat: resolved web: alive on n1 passing"]);
    assert!(stage.desk.cases().is_empty());
}
