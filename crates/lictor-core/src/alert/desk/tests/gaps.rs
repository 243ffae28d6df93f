//! What restarts, mutes that come late and circles once let through.

use super::*;

fn rated(most: u32) -> AlertPlan {
    let mut plan = simple();
    let rate = Some((NonZeroU32::new(most).unwrap(), secs(60)));
    plan.notifiers.insert(notifier("ops"), NotifierPlan { rate, ..NotifierPlan::default() });
    plan
}

fn silence(when: Matchers, lasting: u64) -> Command {
    Command::Silence { id: None, when, lasting: secs(lasting), by: "me".into(), comment: String::new() }
}

fn rule(source: Matchers, target: Matchers) -> Inhibition {
    Inhibition { source, target, equal: vec![], wait: Duration::ZERO }
}

fn nothing() -> Vec<String> {
    vec![]
}

fn web(node: &str) -> Subject {
    consul(node, "web", "alive")
}

#[test]
fn a_rate_is_kept_over_a_restart() {
    let mut stage = Stage::new(rated(2));
    for node in ["n1", "n2", "n3"] {
        stage.report(&web(node), Critical);
    }
    assert_eq!(stage.accept().len(), 2);
    stage.pass(secs(30));
    stage.crash();
    assert_eq!(stage.accept(), nothing(), "a restart allows a burst");
    stage.pass(secs(30));
    assert_eq!(stage.accept(), ["ops: firing web: alive on n3 critical"]);
}

#[test]
fn what_is_kept_of_a_high_rate_is_bounded_and_the_rate_is_met() {
    let mut plan = rated(300);
    plan.notifiers.get_mut(&notifier("ops")).unwrap().batch = Batching::PerAlert;
    let mut stage = Stage::new(plan);
    let wrong = (0..2_000).map(|number| Report::new(web(&format!("n{number}")), Critical, ""));
    stage.reports(false, wrong.collect());
    let mut sent = Vec::new();
    for number in 0..2_400 {
        while let Some(message) = stage.under_way.pop() {
            sent.push(stage.now);
            let delivery = message.id.split('-').next().unwrap().parse().unwrap();
            let attempt = message.attempt;
            stage.step(Input::Outcome { delivery, attempt, verdict: Verdict::Accepted });
            if sent.len() % 7 == 0 {
                break;
            }
        }
        if number % 500 == 499 {
            stage.crash();
        }
        stage.pass(Duration::from_millis(100));
        assert!(stage.desk.counters.used[&notifier("ops")].len() <= 66);
    }
    for (one, later) in sent.iter().zip(sent.iter().skip(300)) {
        assert!(later - one + 100 >= 60_000, "more than 300 in 60 s: from {one} to {later}");
    }
    assert!(sent.len() > 1_100, "240 s allow 1200: {}", sent.len());
}

#[test]
fn a_notifier_whose_rate_is_taken_away_is_not_counted_any_more() {
    let mut stage = Stage::new(rated(1));
    stage.report(&web("n1"), Critical);
    stage.report(&web("n2"), Critical);
    assert_eq!(stage.accept().len(), 1);
    let output = stage.desk.reload(Arc::new(simple()), stage.now());
    stage.take(output);
    assert_eq!(stage.accept().len(), 1);
    assert!(stage.desk.counters.used.is_empty());
}

/// A parent that was told and recovered, and what follows of it, still wrong.
fn recovering() -> (Stage, Subject, Subject) {
    let mut plan = simple();
    plan.inhibitions = vec![rule(is("check", "gate"), is("service", "web"))];
    let (gate, below) = (consul("n1", "", "gate"), web("n1"));
    let mut stage = Stage::new(plan);
    stage.report(&gate, Critical);
    stage.report(&below, Critical);
    stage.accept();
    stage.report(&gate, Passing);
    assert_eq!(stage.accept(), ["ops: resolved gate on n1 passing"]);
    stage.pass(secs(10));
    (stage, gate, below)
}

#[test]
fn what_follows_of_a_parent_has_time_to_recover_also_over_a_restart() {
    let (mut stage, gate, below) = recovering();
    stage.crash();
    let report = |subject: &Subject, status| Report::new(subject.clone(), status, "");
    stage.reports(true, vec![report(&gate, Passing), report(&below, Critical)]);
    stage.pass(secs(15));
    assert_eq!(stage.accept(), nothing(), "it has 30 s");
    stage.report(&below, Passing);
    assert_eq!(stage.accept(), nothing());
    stage.pass(secs(5));
    assert!(stage.desk.cases().is_empty(), "{:?}", stage.desk.cases());
    assert_eq!(stage.desk.next_wake(), None);
}

#[test]
fn what_stays_wrong_after_its_parent_is_told_in_time_also_over_a_restart() {
    let (mut stage, _, below) = recovering();
    stage.crash();
    // The parent is no longer registered.
    stage.reports(true, vec![Report::new(below, Critical, "")]);
    stage.pass(secs(19));
    assert_eq!(stage.accept(), nothing());
    stage.pass(SECOND);
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 critical"]);
    assert_eq!(stage.desk.cases().len(), 1, "the parent is not kept any longer");
}

#[test]
fn what_follows_of_a_parent_has_time_to_recover_also_over_a_reload() {
    let (mut stage, _, below) = recovering();
    let mut plan = AlertPlan::clone(stage.desk.plan());
    plan.inhibitions.insert(0, rule(is("check", "none"), is("check", "none")));
    let output = stage.desk.reload(Arc::new(plan), stage.now());
    stage.take(output);
    stage.pass(secs(15));
    assert_eq!(stage.accept(), nothing());
    let output = stage.desk.reload(Arc::new(simple()), stage.now());
    stage.take(output);
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 critical"], "nothing inhibits any more");
    stage.report(&below, Passing);
    stage.accept();
    assert!(stage.desk.cases().is_empty(), "{:?}", stage.desk.cases());
}

#[test]
fn what_waits_when_a_silence_begins_is_not_told_until_that_is_over() {
    let mut stage = Stage::new(simple());
    stage.report(&web("n1"), Critical);
    stage.answer(&refused("down"));
    stage.command(silence(all(), 600));
    stage.pass(secs(599));
    assert_eq!(stage.accept(), nothing());
    assert!(stage.desk.deliveries().is_empty());
    stage.pass(SECOND);
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 critical"]);
    stage.report(&web("n1"), Passing);
    assert_eq!(stage.accept(), ["ops: resolved web: alive on n1 passing"]);
    assert!(stage.desk.cases().is_empty());
}

#[test]
fn what_waits_and_is_over_before_the_silence_is_never_told() {
    let mut stage = Stage::new(simple());
    stage.report(&web("n1"), Critical);
    stage.answer(&refused("down"));
    stage.command(silence(all(), 600));
    stage.pass(secs(10));
    stage.report(&web("n1"), Passing);
    stage.pass(secs(900));
    assert_eq!(stage.accept(), nothing());
    assert!(stage.desk.cases().is_empty());
}

#[test]
fn who_may_have_heard_of_what_is_withheld_is_told_that_it_is_over() {
    let mut stage = Stage::new(simple());
    stage.report(&web("n1"), Critical);
    stage.answer(&unclear());
    stage.command(silence(all(), 600));
    stage.pass(secs(60));
    assert_eq!(stage.accept(), nothing());
    stage.crash();
    stage.reports(true, vec![Report::new(web("n1"), Passing, "")]);
    assert_eq!(stage.accept(), ["ops: resolved web: alive on n1 passing"]);
}

#[test]
fn who_may_have_heard_of_what_is_withheld_is_told_anew_while_it_lasts() {
    let mut stage = Stage::new(simple());
    stage.report(&web("n1"), Critical);
    stage.answer(&unclear());
    stage.command(silence(all(), 600));
    stage.pass(secs(600));
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 critical"]);
}

#[test]
fn only_what_is_muted_is_taken_out_of_a_message() {
    let mut plan = simple();
    plan.routes[0].group_wait = SECOND;
    let mut stage = Stage::new(plan);
    stage.report(&web("n0"), Critical);
    stage.pass(SECOND);
    stage.accept();
    stage.report(&web("n0"), Passing);
    stage.report(&web("n1"), Critical);
    stage.report(&web("n2"), Critical);
    stage.pass(SECOND);
    stage.answer(&refused("down"));
    let maintenance = Report { maintenance: true, ..Report::new(web("n1"), Critical, "") };
    stage.reports(false, vec![maintenance]);
    stage.command(silence(is("node", "n0"), 600));
    stage.pass(SECOND);
    let told = stage.accept();
    assert_eq!(told, ["ops: firing web: alive on n2 critical, resolved web: alive on n0 passing"]);
    stage.report(&web("n1"), Critical);
    stage.pass(SECOND);
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 critical"]);
}

#[test]
fn what_was_only_counted_is_told_in_words_when_there_is_room() {
    let mut plan = simple();
    plan.routes[0].group_wait = SECOND;
    let mut stage = Stage::new(plan);
    let reports = |node: &str, count: u32| -> Vec<_> {
        (0..count).map(|one| Report::new(consul(node, &format!("s{one}"), "alive"), Critical, "")).collect()
    };
    stage.reports(false, [reports("n1", 90), reports("n2", 120)].concat());
    stage.pass(SECOND);
    stage.answer(&refused("down"));
    stage.command(silence(is("node", "n1"), 600));
    stage.pass(SECOND);
    let [message] = stage.under_way.as_slice() else { panic!("{:?}", stage.under_way) };
    assert_eq!((message.items.len(), message.omitted), (100, 20));
    assert!(message.items.iter().all(|item| item.label("node") == "n2"));
}

#[test]
fn a_parent_that_is_seen_late_still_mutes_what_waits() {
    let mut plan = simple();
    plan.inhibitions = vec![rule(is("check", "gate"), is("service", "web"))];
    let mut stage = Stage::new(plan);
    stage.report(&web("n1"), Critical);
    stage.answer(&refused("down"));
    stage.report(&consul("n1", "", "gate"), Critical);
    stage.pass(SECOND);
    assert_eq!(stage.accept(), ["ops: firing gate on n1 critical"]);
}

#[test]
fn a_reminder_that_waits_is_withheld_when_somebody_looks_after_it() {
    let mut plan = simple();
    plan.routes[0].remind_every = Some(secs(600));
    let mut stage = Stage::new(plan);
    stage.report(&web("n1"), Critical);
    stage.accept();
    stage.pass(secs(600));
    stage.answer(&refused("down"));
    let (subject, by, comment) = (web("n1").key, "me".to_owned(), String::new());
    stage.command(Command::Acknowledge { subject, by, comment, lasting: Some(secs(900)) });
    stage.pass(secs(899));
    assert_eq!(stage.accept(), nothing());
    stage.pass(SECOND);
    assert_eq!(stage.accept(), ["ops: reminder web: alive on n1 critical"]);
    assert_eq!(stage.accepted.last().unwrap().items[0].reminders, 1, "the one withheld does not count");
}

#[test]
fn a_digest_says_what_is_muted_too() {
    let mut stage = Stage::new(simple());
    stage.command(silence(all(), 600));
    stage.report(&web("n1"), Critical);
    let (name, to) = ("daily".to_owned(), vec![notifier("ops")]);
    let due = Due::At(stage.now().wall);
    stage.command(Command::Digest { name, when: all(), to, also_when_well: false, due });
    assert_eq!(stage.accept().len(), 1);
}

fn flapping() -> AlertPlan {
    AlertPlan { flap: Some(Flap { changes: NonZeroU32::new(4).unwrap(), within: secs(600) }), ..simple() }
}

#[test]
fn one_that_flaps_by_being_registered_anew_is_told_once() {
    let mut stage = Stage::new(flapping());
    for turn in 0..20 {
        stage.report(&web("n1"), Critical);
        stage.pass(secs(10));
        stage.accept();
        stage.gone(&web("n1"));
        stage.pass(secs(10));
        stage.accept();
        if turn == 7 {
            stage.crash();
            stage.reports(true, vec![]);
        }
    }
    let told = stage.accepted.len();
    assert!(told <= 5, "{told} messages");
    stage.pass(secs(600));
    assert_eq!(stage.accept(), ["ops: resolved web: alive on n1 passing"]);
    assert_eq!(stage.accepted.last().unwrap().items[0].notes, "it is no longer registered");
    stage.pass(secs(600));
    assert!(stage.desk.cases().is_empty());
}

#[test]
fn one_that_flaps_and_is_no_longer_looked_at_is_over_at_once() {
    let mut stage = Stage::new(flapping());
    for status in [Critical, Passing, Critical, Passing, Critical] {
        stage.report(&web("n1"), status);
        stage.accept();
    }
    assert!(stage.desk.cases()[&web("n1").key].flapping);
    stage.gone(&web("n1"));
    assert_eq!(stage.accept(), nothing());
    stage.step(Input::Watched { consul: None });
    assert_eq!(stage.accept(), ["ops: resolved web: alive on n1 passing"]);
}

#[test]
fn what_is_watched_but_not_looked_at_stays_as_it_was() {
    let mut plan = simple();
    plan.thresholds = vec![Threshold { when: all(), bad_for: secs(60), good_for: secs(60) }];
    let mut stage = Stage::new(plan);
    stage.report(&web("n1"), Critical);
    stage.step(Input::Watched { consul: Some(vec![]) });
    stage.pass(secs(3_600));
    assert_eq!(stage.accept(), nothing());
    stage.reports(true, vec![Report::new(web("n1"), Critical, "")]);
    assert_eq!(stage.accept(), ["ops: firing web: alive on n1 critical"]);
}

#[test]
fn of_a_circle_of_inhibitions_the_first_is_told() {
    for length in 2..6_usize {
        let names: Vec<_> = (0..length).map(|place| format!("c{place}")).collect();
        let mut plan = simple();
        for place in 0..length {
            let next = &names[(place + 1) % length];
            plan.inhibitions.push(rule(is("check", &names[place]), is("check", next)));
        }
        plan.inhibitions.push(rule(is("check", "c1"), is("service", "web")));
        let mut stage = Stage::new(plan);
        let reports = names.iter().rev().map(|one| Report::new(consul("n1", "", one), Critical, ""));
        stage.reports(false, reports.chain([Report::new(web("n1"), Critical, "")]).collect());
        stage.pass(secs(3_600));
        assert_eq!(stage.accept(), ["ops: firing c0 on n1 critical"], "{length} in a circle");
        // What follows of it is told as soon as the circle is broken.
        stage.report(&consul("n1", "", "c0"), Passing);
        stage.pass(secs(30));
        let told = stage.accept();
        assert_eq!(told, ["ops: resolved c0 on n1 passing", "ops: firing c1 on n1 critical"], "{length}");
    }
}

#[test]
fn circles_that_share_a_member_have_one_first_and_what_mutes_them_all_still_does() {
    let mut plan = simple();
    for (source, target) in [("b", "c"), ("c", "d"), ("d", "b"), ("d", "e"), ("e", "d"), ("root", "b")] {
        plan.inhibitions.push(rule(is("check", source), is("check", target)));
    }
    let mut stage = Stage::new(plan);
    let bad = |one: &str| Report::new(consul("n1", "", one), Critical, "");
    stage.reports(false, ["e", "d", "c", "b"].map(bad).to_vec());
    assert_eq!(stage.accept(), ["ops: firing b on n1 critical"]);
    stage.reports(false, vec![bad("root")]);
    assert_eq!(stage.accept(), ["ops: firing root on n1 critical"]);
    let muted = stage.desk.muted(&stage.desk.cases()[&consul("n1", "", "b").key]);
    assert_eq!(muted, Some(Mute::Inhibited(consul("n1", "", "root").key)));
}

#[test]
fn one_that_becomes_the_first_of_its_circle_is_told() {
    let mut plan = simple();
    for (source, target) in [("b", "c"), ("c", "d"), ("d", "b"), ("c", "a"), ("a", "d")] {
        plan.inhibitions.push(rule(is("check", source), is("check", target)));
    }
    let mut stage = Stage::new(plan);
    let report = |one: &str, status| Report::new(consul("n1", "", one), status, "");
    stage.reports(false, ["a", "b", "c", "d"].map(|one| report(one, Critical)).to_vec());
    assert_eq!(stage.accept(), ["ops: firing a on n1 critical"]);
    // It leaves a circle in which it muted only the last.
    stage.reports(false, vec![report("a", Passing)]);
    stage.pass(secs(30));
    assert_eq!(stage.accept(), ["ops: resolved a on n1 passing", "ops: firing b on n1 critical"]);
}

#[test]
fn the_first_of_a_circle_that_comes_to_hold_what_muted_it_is_told() {
    let mut plan = simple();
    for (source, target, equal) in [("a", "b", "node"), ("b", "c", "node"), ("c", "a", "datacenter")] {
        let equal = vec![equal.to_owned()];
        plan.inhibitions.push(Inhibition { equal, ..rule(is("check", source), is("check", target)) });
    }
    let mut stage = Stage::new(plan);
    let bad = |node: &str, one: &str| vec![Report::new(consul(node, "", one), Critical, "")];
    stage.reports(false, bad("n2", "b"));
    assert_eq!(stage.accept(), ["ops: firing b on n2 critical"]);
    // It is the first of those of its node, and `c` of the other mutes it.
    for (node, one) in [("n2", "c"), ("n1", "a"), ("n1", "b"), ("n1", "c")] {
        stage.reports(false, bad(node, one));
    }
    assert!(stage.under_way.is_empty());
    stage.reports(false, bad("n2", "a"));
    assert_eq!(stage.accept(), ["ops: firing a on n1 critical"]);
}

#[test]
fn a_silence_is_answered_with_its_id_and_the_ledger_says_who_wanted_what() {
    let mut stage = Stage::new(simple());
    let id = stage.command(silence(is("node", "n1"), 7_200));
    assert_eq!(id, "s1");
    stage.command(Command::Unsilence { id, by: "ada".into() });
    stage.report(&web("n1"), Critical);
    stage.answer(&Verdict::Refused { why: "403".into(), retry_after: None, for_good: true });
    stage.command(Command::Retry { which: Deliveries::All, by: "ada".into() });
    stage.answer(&Verdict::Refused { why: "403".into(), retry_after: None, for_good: true });
    stage.command(Command::Drop { which: Deliveries::All, by: "grace".into() });
    let subject = web("n1").key;
    let (by, comment) = ("linus".to_owned(), String::new());
    stage.command(Command::Acknowledge { subject: subject.clone(), by, comment, lasting: None });
    stage.command(Command::Unacknowledge { subject, by: "grace".into() });
    for wanted in [
        "silence s1 by me for 2h: node=n1",
        "silence s1 is over by ada: node=n1",
        "asked for: 1 delivery tried again by ada",
        "ops did not accept d1: grace asked for it; given up",
        "linus looks after web: alive on n1",
        "nobody looks after web: alive on n1 any more, says grace",
    ] {
        assert!(stage.events.iter().any(|event| event == wanted), "{wanted}: {:?}", stage.events);
    }
    stage.events.clear();
    stage.command(silence(is("node", "n1"), 60));
    stage.pass(secs(60));
    assert_eq!(stage.events.last().unwrap(), "silence s2 is over: node=n1");
}

#[test]
fn a_condition_is_shown_as_people_write_it() {
    let exactly = |text: &str| Pattern::Exactly(text.to_owned());
    let regex = |text: &str| Pattern::Regex(regex::Regex::new(text).unwrap());
    let shown = |any, not| Matcher { label: "path".into(), any, not }.to_string();
    assert_eq!(shown(vec![exactly("a"), regex("^b"), exactly("/c,\"")], true), r#"path!=a,/^b/,"/c,\"""#);
    assert_eq!(
        shown(vec![regex("a/,b"), regex(r"a\/,b"), regex(r"a\\/,")], false),
        r"path=/a\/,b/,/a\/,b/,/a\\\/,/"
    );
}

#[test]
fn a_message_fits_into_a_record_however_long_the_keys_are() {
    // Prometheus's alerts have all their labels in their keys.
    let long = |number: usize| {
        let value = format!("{number:04}{}", "x".repeat(900));
        let labels = text(&[(label::SOURCE, "alertmanager"), ("alertname", &value)]);
        let key = SubjectKey::of(&["alertmanager", &value]);
        Report::new(Subject { key, labels, tags: [].into() }, Status::Critical, "y".repeat(4_000))
    };
    let mut stage = Stage::new(simple());
    stage.reports(true, (0..1_500).map(long).collect());
    stage.pass(secs(60));
    let mut told = 0;
    for delivery in stage.desk.deliveries().values() {
        let names: usize = delivery.subjects().map(|(key, ..)| key.as_str().len()).sum();
        let items: usize = delivery.items.iter().map(|item| item.output.len() + 2 * 910).sum();
        assert!(names + items < 330 << 10, "{names} {items}");
        told += delivery.subjects().count();
    }
    assert_eq!(told, 1_500);
}

#[test]
fn how_long_it_was_wrong_does_not_follow_the_clock() {
    for step in [86_400_000, -86_400_000] {
        let mut stage = Stage::new(simple());
        let web = consul("n1", "web", "alive");
        stage.report(&web, Critical);
        stage.accept();
        stage.pass(secs(5));
        stage.ahead = step;
        stage.pass(secs(4));
        stage.report(&web, Passing);
        stage.pass(secs(60));
        stage.accept();
        let lasted: Vec<_> = stage.accepted.iter().map(|message| message.items[0].lasted).collect();
        assert_eq!(lasted, [None, Some(secs(9))]);
    }
}
