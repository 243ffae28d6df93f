use lictor_core::alert::{Desk, Input, NotifierPlan, Report, Route, Tells};
use lictor_core::{Boot, RouteName};

use super::*;

/// 2026-11-21T12:00:00Z.
const NOON: i64 = 1_795_262_400_000;

/// So many seconds after noon.
fn at(seconds: i64) -> Now {
    let boot = Boot::from_millis(u64::try_from(1_000_000_000 + seconds * 1_000).unwrap());
    Now { boot, wall: Wall::from_unix_millis(NOON + seconds * 1_000) }
}

/// As the old program writes it.
fn time(seconds: i64) -> String {
    moment(at(seconds).wall).rfc3339()
}

fn name(text: &str) -> NotifierName {
    NotifierName::new(text).unwrap()
}

fn route(to: &str, status: &[Status], remind_minutes: u64) -> Route {
    Route {
        name: RouteName::new(to).unwrap(),
        when: lictor_core::alert::Matchers::default(),
        status: status.iter().copied().collect(),
        to: vec![name(to)],
        group_by: vec![],
        group_wait: Duration::ZERO,
        group_interval: Duration::ZERO,
        remind_every: (remind_minutes > 0).then(|| Duration::from_secs(remind_minutes * 60)),
        resolved: true,
        go_on: true,
    }
}

/// Slack hears of everything, the pager of what is critical; a change counts after a minute.
fn plan() -> AlertPlan {
    let routes = vec![
        route("slack", &[Status::Critical, Status::Warning, Status::Unknown], 10),
        route("pager", &[Status::Critical], 0),
    ];
    let notifiers = ["slack", "pager"].map(|one| (name(one), NotifierPlan::default())).into();
    let threshold = lictor_core::alert::Threshold {
        when: lictor_core::alert::Matchers::default(),
        bad_for: Duration::from_secs(60),
        good_for: Duration::from_secs(60),
    };
    AlertPlan {
        cluster: "c".to_owned(),
        notifiers,
        routes,
        thresholds: vec![threshold],
        ..AlertPlan::default()
    }
}

/// What the old program stored of the check `mem` of the node `n1`.
fn state(current: &str, since: i64, pending: Option<(&str, i64)>, to_be_told: bool) -> String {
    let (pending, pending_at) =
        pending.map_or((String::new(), Moment::zero().rfc3339()), |(word, at)| (word.to_owned(), time(at)));
    let since = time(since);
    format!(
        r#"{{"Current":"{current}","CurrentTimestamp":"{since}","Pending":"{pending}","PendingTimestamp":"{pending_at}","HealthCheck":{{"Node":"n1","CheckID":"mem","Name":"Memory","Status":"{current}","Notes":"","Output":"full","ServiceID":"","ServiceName":""}},"ForNotification":{to_be_told}}}"#
    )
}

fn reminder(status: &str, at: i64) -> String {
    let at = time(at);
    format!(
        r#"{{"Node":"n1","CheckId":"mem","Check":"Memory","Status":"{status}","Interval":10,"RmdCheck":"{at}"}}"#
    )
}

fn stored(state: &str, reminder: Option<&str>) -> Stored {
    let pairs =
        [("consul-alerts/checks/n1/_/mem", Some(state)), ("consul-alerts/reminders/n1/mem", reminder)];
    let pairs = pairs.iter().filter_map(|(key, value)| Some((*key, (*value)?.as_bytes())));
    let stored = Stored::read(PREFIX, pairs);
    assert!(stored.unusable.is_empty(), "{:?}", stored.unusable);
    stored
}

fn taken(stored: &Stored, ours: Vec<Row>, now: Now) -> Vec<Row> {
    let plan = plan();
    let registered = [("n1".to_owned(), "mem".to_owned())].into();
    Scene { plan: &plan, datacenter: "dc1", registered: &registered, now }.take_up(stored, ours)
}

fn subject() -> Subject {
    let labels = [
        (label::SOURCE, "consul"),
        (label::DATACENTER, "dc1"),
        (label::NODE, "n1"),
        (label::CHECK, "Memory"),
        (label::CHECK_ID, "mem"),
    ];
    Subject {
        key: SubjectKey::consul("dc1", "n1", "", "mem"),
        labels: lictor_core::alert::text(&labels),
        tags: ["a".to_owned()].into(),
    }
}

/// The desk that goes on from there, and what it has told.
struct Played {
    desk: Desk,
    told: Vec<String>,
    from: Now,
}

impl Played {
    fn take_up(stored: &Stored, ours: Vec<Row>, now: Now) -> Self {
        let rows = taken(stored, ours, now);
        let (desk, first) = Desk::restore(plan().into(), rows, now);
        let mut played = Self { desk, told: Vec::new(), from: now };
        played.note(&first.send, now);
        played
    }

    fn reports(mut self, status: Status, now: Now) -> Self {
        let source = Source::new("consul/dc1");
        let reports = vec![Report::new(subject(), status, "now")];
        self.step(Input::Reports { source, complete: true, reports, gone: vec![] }, now);
        self
    }

    fn until(mut self, end: Now) -> Self {
        while let Some(wake) = self.desk.next_wake().filter(|wake| *wake <= end.boot) {
            let passed = i64::try_from(wake.since(self.from.boot).as_millis()).unwrap();
            let wall = Wall::from_unix_millis(self.from.wall.as_unix_millis() + passed);
            self.step(Input::Tick, Now { boot: wake, wall });
        }
        self
    }

    fn step(&mut self, input: Input, now: Now) {
        let output = self.desk.step(input, now);
        self.note(&output.send, now);
    }

    /// Everything that is sent is accepted.
    fn note(&mut self, send: &[lictor_core::DeliveryId], now: Now) {
        for id in send {
            let Some(message) = self.desk.message(*id) else { continue };
            for item in &message.items {
                let seconds = (now.wall.as_unix_millis() - NOON) / 1_000;
                let tells = match item.tells {
                    Tells::Resolved => "resolved".to_owned(),
                    tells => format!("{} {}", tells.as_str(), item.status),
                };
                self.told.push(format!("{seconds}s {} {tells}", message.notifier));
            }
            let verdict = lictor_core::alert::Verdict::Accepted;
            self.step(Input::Outcome { delivery: *id, attempt: message.attempt, verdict }, now);
        }
    }
}

/// What is told from noon on, when Consul reports this status then, for half an hour.
fn play(stored: &Stored, reported: Status) -> Vec<String> {
    Played::take_up(stored, vec![], at(0)).reports(reported, at(0)).until(at(1_800)).told
}

#[test]
fn what_was_announced_is_not_announced_again_and_reminded_of_in_time() {
    let found = stored(&state("critical", -300, None, false), None);
    assert_eq!(
        play(&found, Status::Critical),
        ["300s slack reminder critical", "900s slack reminder critical", "1500s slack reminder critical"]
    );
    let found = stored(&state("critical", -9_000, None, false), Some(&reminder("critical", -60)));
    assert_eq!(play(&found, Status::Critical)[0], "540s slack reminder critical");
}

#[test]
fn the_recovery_of_what_was_announced_is_told_to_all_who_heard_of_it() {
    let found = stored(&state("critical", -300, None, false), None);
    let told = play(&found, Status::Passing);
    assert_eq!(told, ["60s pager resolved", "60s slack resolved"]);
    let found = stored(&state("warning", -300, None, false), None);
    assert_eq!(play(&found, Status::Passing), ["60s slack resolved"]);
}

#[test]
fn what_was_still_to_be_told_is_told() {
    let found = stored(&state("critical", -5, None, true), None);
    let told = play(&found, Status::Critical);
    assert_eq!(told[..2], ["0s pager firing critical", "0s slack firing critical"]);
    // Of the warning before, slack alone heard.
    let found = stored(&state("critical", -5, None, true), Some(&reminder("warning", -900)));
    assert_eq!(play(&found, Status::Critical)[..2], ["0s pager firing critical", "0s slack firing critical"]);
}

#[test]
fn an_end_that_was_still_to_be_told_is_told() {
    let found = stored(&state("passing", -5, None, true), Some(&reminder("warning", -900)));
    assert_eq!(play(&found, Status::Passing), ["0s slack resolved"]);
    let found = stored(&state("passing", -5, None, true), None);
    assert_eq!(play(&found, Status::Passing), ["0s pager resolved", "0s slack resolved"]);
}

#[test]
fn a_threshold_goes_on() {
    let found = stored(&state("passing", -9_000, Some(("critical", -40)), false), None);
    let told = play(&found, Status::Critical);
    assert_eq!(told[..2], ["20s pager firing critical", "20s slack firing critical"]);
    let found = stored(&state("", -9_000, Some(("warning", -40)), false), None);
    assert_eq!(play(&found, Status::Warning)[0], "20s slack firing warning");
    let found =
        stored(&state("critical", -9_000, Some(("passing", -40)), false), Some(&reminder("critical", -9)));
    assert_eq!(play(&found, Status::Passing), ["20s pager resolved", "20s slack resolved"]);
}

#[test]
fn of_what_is_well_nothing_is_remembered() {
    let found = stored(&state("passing", -300, None, false), Some(&reminder("critical", -60)));
    assert_eq!(taken(&found, vec![], at(0)), []);
}

#[test]
fn what_is_long_gone_is_forgotten_and_what_has_just_gone_is_over() {
    let rows = |since: i64, reminded: Option<&str>| {
        let plan = plan();
        let registered = [("n2".to_owned(), "mem".to_owned())].into();
        let scene = Scene { plan: &plan, datacenter: "dc1", registered: &registered, now: at(0) };
        scene.take_up(&stored(&state("critical", since, None, false), reminded), vec![]).len()
    };
    assert_eq!((rows(-90_000, None), rows(-80_000, None)), (0, 1));
    assert_eq!(rows(-90_000, Some(&reminder("critical", -60))), 1);
}

/// A case of ours as the desk has it: critical since a minute after noon, told two minutes after.
fn ours() -> Case {
    let found = stored(&state("critical", 60, None, true), None);
    let [Row::Case(case)] = &taken(&found, vec![], at(180))[..] else { panic!("one case") };
    let told = Told { status: Status::Critical, firing: true, at: at(120), reminders: 0, news: None };
    Case { subject: subject(), told: [(name("slack"), told)].into(), ..case.clone() }
}

fn names() -> Names {
    Names::of(&subject().key, "dc1").unwrap()
}

fn one(rows: Vec<Row>) -> Case {
    let [row] = <[Row; 1]>::try_from(rows).unwrap();
    let Row::Case(case) = row else { panic!("a case") };
    case
}

#[test]
fn our_own_record_says_nothing_new_and_nobody_is_forgotten_by_it() {
    // The pager was not told yet: the record cannot say so.
    let left = state_of(&ours(), &names(), true);
    assert!(!left.for_notification);
    let found = stored(&left.to_json().unwrap(), None);
    assert_eq!(one(taken(&found, vec![Row::Case(ours())], at(600))), ours());
}

#[test]
fn what_they_told_and_reminded_of_meanwhile_is_known() {
    let untold = Case { told: Heard::new(), ..ours() };
    let left = state_of(&untold, &names(), true);
    assert!(left.for_notification);
    let told = CheckState { for_notification: false, ..left };
    let case = one(taken(&stored(&told.to_json().unwrap(), None), vec![Row::Case(untold)], at(600)));
    assert_eq!(case.told.keys().map(NotifierName::as_str).collect::<Vec<_>>(), ["pager", "slack"]);
    let left = state_of(&ours(), &names(), true).to_json().unwrap();
    let found = stored(&left, Some(&reminder("critical", 500)));
    let case = one(taken(&found, vec![Row::Case(ours())], at(600)));
    assert_eq!(case.told.values().map(|told| told.at.wall).collect::<Vec<_>>(), [at(500).wall]);
}

#[test]
fn the_later_status_counts_and_an_owed_end_is_never_lost() {
    let found = stored(&state("passing", 300, None, false), None);
    let case = one(taken(&found, vec![Row::Case(ours())], at(600)));
    assert_eq!(
        (case.settled, case.told, case.subject.tags),
        (Status::Passing, ours().told, ours().subject.tags)
    );
    let found = stored(&state("warning", 300, None, false), None);
    let case = one(taken(&found, vec![Row::Case(ours())], at(600)));
    assert_eq!(
        (case.settled, case.since, case.told[&name("slack")].status),
        (Status::Warning, at(300), Status::Warning)
    );
    // Ours is later; what they told before is not forgotten.
    let found = stored(&state("warning", 0, None, false), None);
    let case = one(taken(&found, vec![Row::Case(Case { told: Heard::new(), ..ours() })], at(600)));
    assert_eq!((case.settled, case.told[&name("slack")].status), (Status::Critical, Status::Warning));
}

#[test]
fn what_is_left_has_the_old_format() {
    let settings = Settings::read(
        PREFIX,
        [(
            "consul-alerts/config/notif-profiles/default",
            &br#"{"Interval": 10, "NotifList": {"slack": true}}"#[..],
        )],
    );
    let case = Case { live: Status::Passing, live_since: at(150), ..ours() };
    assert_eq!(
        state_of(&case, &names(), true).to_json().unwrap(),
        concat!(
            r#"{"Current":"critical","CurrentTimestamp":"2026-11-21T12:01:00Z","Pending":"passing","PendingTimestamp":"2026-11-21T12:02:30Z","#,
            r#""HealthCheck":{"Node":"n1","CheckID":"mem","Name":"Memory","Status":"passing","Notes":"","Output":"full","ServiceID":"","ServiceName":""},"#,
            r#""ForNotification":false}"#
        )
    );
    let reminder = reminder_of(&case, &names(), &settings).unwrap().to_json().unwrap();
    let head = r#"{"Node":"n1","ServiceId":"","Service":"","CheckId":"mem","Check":"Memory","Status":"critical","Output":"full","Notes":"","Interval":10,"RmdCheck":"2026-11-21T12:02:00Z","NotifList":{"slack":true},"VarOverrides":{"#;
    assert!(
        reminder.starts_with(head) && reminder.ends_with(r#""Timestamp":"2026-11-21T12:01:00Z"}"#),
        "{reminder}"
    );
    assert_eq!(reminder_of(&case, &names(), &Settings::default()), None);
    assert_eq!(reminder_of(&Case { told: Heard::new(), ..case.clone() }, &names(), &settings), None);
    let well = well(&state_of(&case, &names(), true), at(200).wall);
    assert_eq!(
        (counts(&well), well.health_check.status.as_str()),
        (("passing", at(200).wall.as_unix_millis(), "", millis(&Moment::zero())), "passing")
    );
}

#[test]
fn parts_of_a_key_are_as_they_were() {
    let key = SubjectKey::consul("dc1", "n 1", "web/é", "a/%b");
    let names = Names::of(&key, "dc1").unwrap();
    assert_eq!((&*names.node, &*names.service_id, &*names.check_id), ("n 1", "web/é", "a/%b"));
    assert_eq!(Names::of(&key, "dc2"), None);
    assert_eq!(Names::of(&SubjectKey::service("dc1", "web"), "dc1"), None);
}
