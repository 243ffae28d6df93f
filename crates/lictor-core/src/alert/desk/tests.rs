//! The desk in virtual time.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::{Desk, Mute};
use crate::alert::{
    AlertPlan, Batching, Command, Deliveries, Inhibition, Input, Matcher, Matchers, Message, NotifierPlan,
    Occasion, Output, Pattern, Report, Route, Row, RowKey, ServicePlan, Source, Subject, SubjectKey, Tells,
    Threshold, Verdict, label, text,
};
use crate::check::Status::{self, Critical, Passing, Unknown, Warning};
use crate::name::NotifierName;
use crate::plan::Flap;
use crate::time::{Boot, Now, Wall};

mod contract;
mod faults;
mod gaps;

const SECOND: Duration = Duration::from_secs(1);

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn notifier(text: &str) -> NotifierName {
    NotifierName::new(text).unwrap()
}

fn is(name: &str, value: &str) -> Matchers {
    Matchers(vec![Matcher {
        label: name.to_owned(),
        any: vec![Pattern::Exactly(value.to_owned())],
        not: false,
    }])
}

fn all() -> Matchers {
    Matchers::default()
}

fn route(name: &str, to: &[&str]) -> Route {
    Route {
        name: crate::RouteName::new(name).unwrap(),
        when: all(),
        status: [Warning, Unknown, Critical].into(),
        to: to.iter().map(|name| notifier(name)).collect(),
        group_by: vec![],
        group_wait: Duration::ZERO,
        group_interval: Duration::ZERO,
        remind_every: None,
        resolved: true,
        go_on: false,
    }
}

fn plan(routes: Vec<Route>) -> AlertPlan {
    let names: BTreeSet<_> = routes.iter().flat_map(|route| route.to.iter().cloned()).collect();
    let notifiers = names.into_iter().map(|name| (name, NotifierPlan::default())).collect();
    AlertPlan { cluster: "dc1".into(), notifiers, routes, ..AlertPlan::default() }
}

/// One route to `ops`, at once.
fn simple() -> AlertPlan {
    plan(vec![route("all", &["ops"])])
}

fn consul(node: &str, service: &str, check: &str) -> Subject {
    let id = if service.is_empty() { String::new() } else { format!("{service}-{node}") };
    let labels = text(&[
        (label::SOURCE, "consul"),
        (label::DATACENTER, "dc1"),
        (label::NODE, node),
        (label::SERVICE, service),
        (label::SERVICE_ID, &id),
        (label::CHECK, check),
        (label::CHECK_ID, check),
    ]);
    Subject { key: SubjectKey::consul("dc1", node, &id, check), labels, tags: [].into() }
}

/// A desk with a clock, a store and notifiers that a test answers for.
struct Stage {
    desk: Desk,
    now: u64,
    rows: std::collections::BTreeMap<RowKey, Row>,
    /// What was given to notifiers and not answered yet.
    under_way: Vec<Message>,
    /// Everything that notifiers accepted, in order.
    accepted: Vec<Message>,
    events: Vec<String>,
}

impl Stage {
    fn new(plan: AlertPlan) -> Self {
        let now = Now { boot: Boot::from_millis(1_000), wall: Wall::from_unix_millis(1_000) };
        let (desk, first) = Desk::restore(Arc::new(plan), vec![], now);
        let mut stage =
            Self { desk, now: 1_000, rows: [].into(), under_way: vec![], accepted: vec![], events: vec![] };
        stage.take(first);
        stage.reports(true, vec![]);
        stage
    }

    fn now(&self) -> Now {
        let millis = i64::try_from(self.now).unwrap();
        Now { boot: Boot::from_millis(self.now), wall: Wall::from_unix_millis(millis) }
    }

    fn take(&mut self, output: Output) {
        for row in output.rows {
            self.rows.insert(row.key(), row);
        }
        for key in output.gone {
            self.rows.remove(&key);
        }
        self.events.extend(output.events.iter().map(|event| event.what.to_string()));
        for id in output.send {
            self.under_way.push(self.desk.message(id).unwrap());
        }
    }

    fn step(&mut self, input: Input) -> Option<Result<String, crate::Refusal>> {
        let mut output = self.desk.step(input, self.now());
        let answer = output.answer.take();
        self.take(output);
        answer
    }

    fn command(&mut self, command: Command) -> String {
        self.step(Input::Command(command)).unwrap().unwrap()
    }

    fn reports(&mut self, complete: bool, reports: Vec<Report>) {
        self.step(Input::Reports { source: Source::new("consul/dc1"), complete, reports, gone: vec![] });
    }

    fn report(&mut self, subject: &Subject, status: Status) {
        self.reports(false, vec![Report::new(subject.clone(), status, format!("it is {status}"))]);
    }

    fn gone(&mut self, subject: &Subject) {
        let gone = vec![subject.key.clone()];
        self.step(Input::Reports {
            source: Source::new("consul/dc1"),
            complete: false,
            reports: vec![],
            gone,
        });
    }

    /// Lets time pass; what wakes the desk wakes it when it is due.
    fn pass(&mut self, by: Duration) {
        let end = self.now + u64::try_from(by.as_millis()).unwrap();
        while let Some(at) = self.desk.next_wake().filter(|at| at.as_millis() <= end) {
            assert!(at.as_millis() >= self.now || self.desk.next_wake().is_some());
            self.now = self.now.max(at.as_millis());
            let before = self.desk.next_wake();
            self.step(Input::Tick);
            assert!(
                self.desk.next_wake() != before || before > Some(self.now().boot),
                "the desk does not move on"
            );
        }
        self.now = end;
    }

    fn answer(&mut self, verdict: &Verdict) {
        for message in std::mem::take(&mut self.under_way) {
            let id = message.id.split('-').next().unwrap().parse().unwrap();
            if *verdict == Verdict::Accepted {
                self.accepted.push(message.clone());
            }
            self.step(Input::Outcome { delivery: id, attempt: message.attempt, verdict: verdict.clone() });
        }
    }

    /// Accepts everything, also what follows of it, and says what it was.
    fn accept(&mut self) -> Vec<String> {
        let from = self.accepted.len();
        while !self.under_way.is_empty() {
            self.answer(&Verdict::Accepted);
        }
        self.accepted.iter().skip(from).map(said).collect()
    }

    /// Ends the process at this instant and starts it again.
    fn crash(&mut self) {
        self.under_way.clear();
        let rows = self.rows.values().cloned().collect();
        let plan = Arc::clone(self.desk.plan());
        let (desk, output) = Desk::restore(plan, rows, self.now());
        self.desk = desk;
        self.take(output);
    }
}

/// `ops: firing web on n1 critical, resolved …`.
fn said(message: &Message) -> String {
    let items: Vec<_> = message
        .items
        .iter()
        .map(|item| format!("{} {} {}", item.tells.as_str(), item.title, item.status))
        .collect();
    let more = if message.omitted > 0 { format!(" and {} more", message.omitted) } else { String::new() };
    format!("{}: {}{more}", message.notifier, items.join(", "))
}

fn refused(why: &str) -> Verdict {
    Verdict::Refused { why: why.to_owned(), retry_after: None, for_good: false }
}

fn unclear() -> Verdict {
    Verdict::Unclear { why: "no answer".to_owned(), retry_after: None }
}

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
    assert_eq!(stage.accepted.last().unwrap().items[0].notes, "it is no longer registered");
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
    let (page, ops): (Vec<_>, Vec<_>) =
        stage.under_way.drain(..).partition(|message| message.notifier == notifier("page"));
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
    for _ in 0..40 {
        let (ops, page): (Vec<_>, Vec<_>) =
            stage.under_way.drain(..).partition(|message| message.notifier == notifier("ops"));
        stage.under_way = page;
        stage.accept();
        stage.under_way = ops;
        stage.answer(&refused("down"));
        stage.pass(secs(30));
    }
    let told: Vec<_> = stage.accepted.iter().map(said).collect();
    let wanted = ["page: firing web: alive on n1 critical", "page: firing notifier ops critical"];
    assert_eq!(told, wanted);
}

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

#[test]
fn a_digest_says_everything_that_is_wrong() {
    let mut stage = Stage::new(simple());
    for node in ["n1", "n2"] {
        stage.report(&consul(node, "web", "alive"), Critical);
    }
    stage.accept();
    let digest = |well| Command::Digest {
        name: "daily".into(),
        when: all(),
        to: vec![notifier("ops")],
        also_when_well: well,
    };
    stage.command(digest(false));
    stage.accept();
    let message = stage.accepted.last().unwrap();
    assert_eq!((message.occasion, message.items.len()), (Occasion::Digest, 2));
    assert_eq!(message.items[0].tells, Tells::Firing);
    stage.report(&consul("n1", "web", "alive"), Passing);
    stage.report(&consul("n2", "web", "alive"), Passing);
    stage.accept();
    assert_eq!(stage.command(digest(false)), "digest daily: nothing is wrong");
    stage.command(digest(true));
    stage.accept();
    assert!(stage.accepted.last().unwrap().items.is_empty());
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
