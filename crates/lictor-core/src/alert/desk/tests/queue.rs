//! The way of messages to their notifiers.

use super::*;

#[test]
fn a_message_that_was_being_sent_at_a_crash_is_sent_again() {
    let mut stage = Stage::new(simple());
    stage.report(&consul("n1", "web", "alive"), Critical);
    let first = stage.under_way[0].clone();
    stage.crash();
    let again = stage.under_way[0].clone();
    assert_eq!((again.id, again.items), (first.id, first.items));
    assert_eq!(again.attempt, 2);
}

#[test]
fn a_notifier_that_refuses_is_tried_again_later_and_later() {
    let mut stage = Stage::new(simple());
    stage.report(&consul("n1", "web", "alive"), Critical);
    for pause in [1, 2, 4] {
        stage.answer(&refused("no"));
        stage.pass(secs(pause) - Duration::from_millis(1));
        assert!(stage.under_way.is_empty(), "tried before {pause} s");
        stage.pass(Duration::from_millis(1));
        assert_eq!(stage.under_way.len(), 1, "not tried after {pause} s");
    }
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 critical"]);
}

#[test]
fn a_notifier_says_itself_when_it_may_be_tried_again() {
    let mut stage = Stage::new(simple());
    stage.report(&consul("n1", "web", "alive"), Critical);
    let later = Verdict::Refused { why: "429".into(), retry_after: Some(secs(77)), for_good: false };
    stage.answer(&later);
    stage.report(&consul("n2", "web", "alive"), Critical);
    stage.pass(secs(76));
    assert!(stage.under_way.is_empty());
    stage.pass(SECOND);
    assert_eq!(stage.accept().len(), 2);
}

#[test]
fn a_notifier_that_hangs_delays_nobody_else() {
    let mut stage = Stage::new(plan(vec![route("all", &["ops", "page"])]));
    stage.report(&consul("n1", "web", "alive"), Critical);
    stage.report(&consul("n2", "web", "alive"), Critical);
    let (page, ops) = stage.parted("page");
    assert_eq!((page.len(), ops.len()), (1, 1));
    stage.under_way = ops;
    let told = stage.accept();
    assert_eq!(told, ["ops: firing web: alive on n1 critical", "ops: firing web: alive on n2 critical"]);
}

#[test]
fn the_end_follows_the_beginning_however_late_that_is_accepted() {
    let mut stage = Stage::new(simple());
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    stage.report(&web, Passing);
    stage.report(&web, Critical);
    stage.report(&web, Passing);
    stage.pass(secs(5));
    let told = stage.accept();
    assert_eq!(told, ["ops: firing web: alive on n1 critical", "ops: resolved web: alive on n1 passing"]);
}

#[test]
fn what_was_perhaps_accepted_and_expired_is_told_to_be_over() {
    let mut stage = Stage::new(simple());
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    stage.answer(&unclear());
    stage.report(&web, Passing);
    for _ in 0..30 {
        stage.pass(secs(3_600));
        stage.answer(&refused("down"));
    }
    stage.pass(secs(3_600));
    let told = stage.accept();
    assert_eq!(told, ["ops: resolved web: alive on n1 passing"]);
}

#[test]
fn who_perhaps_heard_otherwise_is_told_anew_when_it_is_as_they_heard_before() {
    let mut plan = simple();
    plan.notifiers.get_mut(&notifier("ops")).unwrap().expire = secs(60);
    let web = consul("n1", "web", "alive");
    let (why, retry_after) = ("no answer".to_owned(), Some(secs(120)));
    let refused = Verdict::Refused { why: why.clone(), retry_after, for_good: false };
    let perhaps = Verdict::Unclear { why, retry_after };
    let anew: &[&str] = &["ops: firing web: alive on n1 critical"];
    for (verdict, wanted) in [(perhaps, anew), (refused, &[])] {
        let mut stage = Stage::new(plan.clone());
        stage.report(&web, Critical);
        assert_eq!(stage.accept(), anew);
        stage.report(&web, Warning);
        stage.answer(&verdict);
        stage.report(&web, Critical);
        stage.pass(secs(120));
        assert_eq!(stage.accept(), wanted, "{verdict:?}");
    }
}

#[test]
fn what_was_never_accepted_and_is_over_is_forgotten_when_it_expires() {
    let mut stage = Stage::new(simple());
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    stage.answer(&refused("down"));
    stage.report(&web, Passing);
    for _ in 0..30 {
        stage.pass(secs(3_600));
        stage.answer(&refused("down"));
    }
    assert_eq!(stage.accept(), Vec::<String>::new());
    let subjects: Vec<_> = stage.desk.cases().keys().map(SubjectKey::as_str).collect();
    assert_eq!(subjects, ["lictor/notifier%20ops"], "only that the notifier fails");
}

#[test]
fn a_notifier_that_accepts_nothing_is_told_of_by_the_others() {
    let mut stage = Stage::new(plan(vec![route("all", &["ops", "page"])]));
    stage.report(&consul("n1", "web", "alive"), Critical);
    stage.ops_fails(40, &refused("down"));
    let told: Vec<_> = stage.accepted.iter().map(said).collect();
    let wanted = ["page: firing web: alive on n1 critical", "page: firing notifier ops critical"];
    assert_eq!(told, wanted);
}

#[test]
fn a_message_tells_a_hundred_in_words_and_counts_the_rest() {
    let mut plan = simple();
    plan.routes[0].group_wait = SECOND;
    let mut stage = Stage::new(plan);
    let shops: Vec<_> = (0..2_800).map(|number| consul(&format!("n{number:04}"), "shop", "alive")).collect();
    stage.reports(false, shops.iter().map(|one| Report::new(one.clone(), Critical, "down")).collect());
    stage.pass(SECOND);
    stage.accept();
    let counted: usize = stage.accepted.iter().map(|message| message.items.len() + message.omitted).sum();
    assert_eq!((stage.accepted.len(), counted), (2, 2_800));
    assert!(stage.accepted.iter().all(|message| message.items.len() <= 100));
    stage.reports(false, shops.iter().map(|one| Report::new(one.clone(), Passing, "up")).collect());
    stage.pass(SECOND);
    stage.accept();
    assert!(stage.desk.cases().is_empty(), "everybody who was counted was told to be over");
}

#[test]
fn nodes_or_alerts_may_have_messages_of_their_own() {
    for (batch, messages) in [(Batching::Together, 1), (Batching::PerNode, 2), (Batching::PerAlert, 4)] {
        let mut plan = simple();
        plan.routes[0].group_wait = SECOND;
        plan.notifiers.insert(notifier("ops"), NotifierPlan { batch, ..NotifierPlan::default() });
        let mut stage = Stage::new(plan);
        for node in ["n1", "n2"] {
            stage.report(&consul(node, "web", "alive"), Critical);
            stage.report(&consul(node, "db", "alive"), Critical);
        }
        stage.pass(SECOND);
        stage.accept();
        assert_eq!(stage.accepted.len(), messages, "{batch:?}");
    }
}

#[test]
fn a_rate_is_kept() {
    let mut plan = simple();
    let rate = Some((NonZeroU32::new(2).unwrap(), secs(60)));
    plan.notifiers.insert(notifier("ops"), NotifierPlan { rate, ..NotifierPlan::default() });
    let mut stage = Stage::new(plan);
    for node in ["n1", "n2", "n3", "n4", "n5"] {
        stage.report(&consul(node, "web", "alive"), Critical);
    }
    assert_eq!(stage.accept().len(), 2);
    stage.pass(secs(60));
    assert_eq!(stage.accept().len(), 2);
    stage.pass(secs(60));
    assert_eq!(stage.accept().len(), 1);
}

#[test]
fn what_is_said_again_lets_what_is_new_go_first() {
    let mut plan = simple();
    plan.routes[0].remind_every = Some(secs(40));
    plan.notifiers.get_mut(&notifier("ops")).unwrap().parallel = NonZeroU32::MIN;
    let mut stage = Stage::new(plan);
    stage.report(&consul("n1", "web", "alive"), Critical);
    stage.accept();
    stage.report(&consul("n2", "web", "alive"), Critical);
    stage.pass(secs(40));
    stage.report(&consul("n3", "web", "alive"), Critical);
    let told = stage.accept();
    let wanted = ["firing web: alive on n2", "firing web: alive on n3", "reminder web: alive on n1"];
    assert_eq!(told, wanted.map(|one| format!("ops: {one} critical")));
}

#[test]
fn reminders_that_come_faster_than_they_go_keep_nobody_from_hearing_of_all() {
    let mut plan = simple();
    plan.routes[0].remind_every = Some(secs(40));
    let ops = plan.notifiers.get_mut(&notifier("ops")).unwrap();
    (ops.batch, ops.parallel, ops.expire) = (Batching::PerAlert, NonZeroU32::MIN, secs(85));
    let mut stage = Stage::new(plan);
    for number in 1..=8 {
        stage.report(&consul(&format!("n{number}"), "web", "alive"), Critical);
    }
    for _ in 0..40 {
        stage.answer(&Verdict::Accepted);
        stage.pass(secs(30));
    }
    let fires = |one: &&Message| one.items[0].tells == Tells::Firing;
    let told: BTreeSet<_> = stage.accepted.iter().filter(fires).map(|one| one.items[0].key.clone()).collect();
    assert_eq!(told.len(), 8);
}

#[test]
fn a_person_can_retry_and_drop_what_waits() {
    let mut stage = Stage::new(simple());
    let web = consul("n1", "web", "alive");
    stage.report(&web, Critical);
    stage.answer(&Verdict::Refused { why: "bad request".into(), retry_after: None, for_good: true });
    assert_eq!(
        stage.command(Command::Retry { which: Deliveries::All, by: "me".into() }),
        "1 delivery tried again"
    );
    stage.answer(&Verdict::Refused { why: "bad request".into(), retry_after: None, for_good: true });
    assert_eq!(
        stage.command(Command::Drop { which: Deliveries::Of(notifier("ops")), by: "me".into() }),
        "1 delivery given up"
    );
    stage.pass(secs(3_600));
    assert!(stage.under_way.is_empty(), "it is not told anew");
    stage.report(&web, Passing);
    assert_eq!(stage.accept(), Vec::<String>::new(), "nobody was told that it was wrong");
    assert!(stage.desk.cases().is_empty());
}
