//! Tests of what is made of reported alerts. Time is an argument.

use lictor_core::Wall;
use lictor_core::alert::{AlertPlan, Desk, Input};

use super::*;

/// 2026-11-21T03:04:05Z, ten minutes after boot.
fn at(seconds: u64) -> Now {
    let millis = i64::try_from(seconds * 1_000).unwrap();
    Now {
        boot: Boot::from_millis(600_000 + seconds * 1_000),
        wall: Wall::from_unix_millis(1_795_230_245_000 + millis),
    }
}

fn posted(json: serde_json::Value) -> Vec<Posted> {
    serde_json::from_value(json).unwrap()
}

fn disk(ends_at: &str) -> Vec<Posted> {
    posted(serde_json::json!([{
        "labels": {"alertname": "DiskFull", "instance": "web1:9100", "severity": "warning", "mount": "/data"},
        "annotations": {"summary": "95 % used", "description": "Four days left.", "runbook_url": "https://run.example/disk"},
        "startsAt": "2026-11-21T03:00:00Z",
        "endsAt": ends_at,
        "generatorURL": "http://prom.example/graph?g0",
    }]))
}

fn status(reports: &[Report]) -> Vec<Status> {
    reports.iter().map(|report| report.status).collect()
}

#[test]
fn an_alert_is_a_subject_with_its_labels_and_texts() {
    let (reports, refused) = Book::default().take(disk("2026-11-21T03:08:05Z"), at(0));
    assert!(refused.is_empty());
    let [report] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!(report.subject.title(), "DiskFull on web1");
    let labels: Vec<_> =
        report.subject.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        labels,
        [
            "alertname=DiskFull",
            "check=DiskFull",
            "instance=web1:9100",
            "mount=/data",
            "node=web1",
            "severity=warning",
            "source=alertmanager"
        ]
    );
    assert_eq!(
        report.subject.key.as_str(),
        "alertmanager/alertname=\"DiskFull\",instance=\"web1:9100\",mount=\"%2Fdata\",severity=\"warning\""
    );
    assert_eq!(report.output, "95 % used\nFour days left.");
    assert_eq!(report.notes, "https://run.example/disk\nhttp://prom.example/graph?g0");
    assert_eq!((report.status, report.judged, report.maintenance), (Status::Warning, false, false));
}

#[test]
fn only_the_severity_warning_is_less_than_critical() {
    for (severity, wanted) in [
        ("warning", Status::Warning),
        ("Warning", Status::Warning),
        ("page", Status::Critical),
        ("", Status::Critical),
    ] {
        let alerts = posted(serde_json::json!([{"labels": {"alertname": "A", "severity": severity}}]));
        assert_eq!(status(&Book::default().take(alerts, at(0)).0), [wanted], "{severity}");
    }
}

#[test]
fn what_another_node_judged_counts_by_what_is_left_and_not_by_our_clock() {
    // By our clock it is over since an hour, or is for a day.
    for ends_at in ["2026-11-21T02:04:05Z", "2026-11-22T03:04:05Z"] {
        let left = |left: u64| {
            let alert = disk(ends_at).remove(0);
            vec![Posted { left: Some(Duration::from_secs(left)), ..alert }]
        };
        let mut book = Book::default();
        assert_eq!(status(&book.take(left(240), at(0)).0), [Status::Warning], "{ends_at}");
        assert_eq!(book.next(), Some(at(240).boot));
        assert_eq!(status(&book.take(left(0), at(1)).0), [Status::Passing], "{ends_at}");
    }
    let said = serde_json::to_value(&disk("2026-11-21T02:04:05Z")[0]).unwrap();
    assert_eq!(said.get("left"), None, "nobody else says what is left");
}

#[test]
fn what_ends_in_the_past_is_over() {
    let mut book = Book::default();
    assert_eq!(status(&book.take(disk("2026-11-21T03:08:05Z"), at(0)).0), [Status::Warning]);
    assert_eq!(book.next(), Some(at(240).boot));
    assert_eq!(status(&book.take(disk("2026-11-21T03:04:06Z"), at(1)).0), [Status::Passing]);
    assert_eq!(book.next(), None);
}

#[test]
fn what_is_not_said_again_until_its_end_is_over() {
    let mut book = Book::default();
    let key = book.take(disk("2026-11-21T03:06:05Z"), at(0)).0.remove(0).subject.key;
    drop(book.take(disk("2026-11-21T03:08:05Z"), at(100)));
    assert!(book.overdue(at(239).boot).is_empty(), "it was said again");
    assert_eq!(book.overdue(at(240).boot), [key]);
    assert!(book.overdue(at(240).boot).is_empty(), "once");
    // Without an end, or with the zero time of the sender's language, it holds for five minutes.
    for none in ["", "0001-01-01T00:00:00Z"] {
        drop(book.take(disk(none), at(0)));
        assert_eq!(book.next(), Some(at(300).boot), "{none:?}");
    }
    // Nor is it eternal.
    drop(book.take(disk("2999-01-01T00:00:00Z"), at(0)));
    assert_eq!(book.next(), Some(at(86_400).boot));
}

#[test]
fn what_cannot_be_taken_is_said_and_the_rest_is_taken() {
    let many: BTreeMap<_, _> = (0..65).map(|n| (format!("l{n}"), "x")).collect();
    let alerts = posted(serde_json::json!([
        {"labels": {}}, {"labels": {"alertname": ""}}, {"labels": {"alertname": "A"}, "endsAt": "soon"},
        {"labels": {"alertname": "x".repeat(9_000)}}, {"labels": many}, {"labels": {"alertname": "Fine"}},
    ]));
    let (reports, refused) = Book::default().take(alerts, at(0));
    let reasons = [
        "it has no label",
        "it has no label",
        "its `endsAt` is not a time as RFC 3339 has it",
        "it has more than 64 labels, or they have more than 8192 bytes",
        "it has more than 64 labels, or they have more than 8192 bytes",
    ];
    assert_eq!(refused, reasons);
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].subject.title(), "Fine");
}

#[test]
fn more_alerts_than_can_be_known_are_refused_and_known_ones_are_not() {
    let one = |n: usize| posted(serde_json::json!([{"labels": {"alertname": "A", "n": n.to_string()}}]));
    let mut book = Book::default();
    for n in 0..KNOWN {
        assert_eq!(book.take(one(n), at(0)).1.len(), 0);
    }
    assert_eq!(book.take(one(KNOWN), at(0)).1, ["20000 alerts are known already"]);
    assert_eq!(book.take(one(7), at(0)).1.len(), 0);
}

#[test]
fn what_would_take_the_place_of_our_labels_is_kept_beside_them() {
    let alerts = posted(serde_json::json!([{"labels": {
        "alertname": "A", "source": "nagios", "check": "ping", "node": "n9", "instance": "n1:1", "service": "web"
    }}]));
    let subject = Book::default().take(alerts, at(0)).0.remove(0).subject;
    let label = |name: &str| subject.label(name).to_owned();
    assert_eq!([label("source"), label("exported_source")], ["alertmanager", "nagios"]);
    assert_eq!([label("check"), label("node")], ["ping", "n9"]);
    assert_eq!(subject.title(), "web: ping on n9");
}

#[test]
fn an_instance_is_cut_to_its_host() {
    for (instance, wanted) in [
        ("web1:9100", Some("web1")),
        ("web1", Some("web1")),
        ("[2001:db8::1]:9100", Some("2001:db8::1")),
        ("2001:db8::1", Some("2001:db8::1")),
        ("https://user:pw@web1.example:8443/health?x", Some("web1.example")),
        ("", None),
        (":9100", None),
    ] {
        assert_eq!(host(instance), wanted, "{instance}");
    }
}

/// A desk, what it knows, and the reports that a start makes of it.
fn restarted(desk: &Desk, now: Now) -> (Book, Vec<Report>) {
    let case = |case: &lictor_core::alert::Case| (case.clone(), desk.muted(case));
    let view = AlertView {
        at: now,
        seat: Seat::Local,
        plan: Arc::clone(desk.plan()),
        cases: desk.cases().iter().map(|(key, one)| (key.clone(), case(one))).collect(),
        deliveries: desk.deliveries().clone(),
        silences: desk.silences().clone(),
        lost: BTreeMap::new(),
        cannot_record: None,
    };
    let mut book = Book::default();
    let reports = book.resume(&view, now);
    (book, reports)
}

#[test]
fn a_known_alert_has_time_to_be_said_again_after_a_start() {
    let (mut desk, _) = Desk::restore(Arc::new(AlertPlan::default()), Vec::new(), at(0));
    let mut book = Book::default();
    let hand_in = |desk: &mut Desk, complete, reports, gone, now| {
        desk.step(Input::Reports { source: source(), complete, reports, gone }, now)
    };
    hand_in(&mut desk, true, Vec::new(), Vec::new(), at(0));
    let (reports, _) = book.take(disk("2026-11-21T03:08:05Z"), at(0));
    let rows = hand_in(&mut desk, false, reports, Vec::new(), at(0)).rows;
    assert_eq!(desk.cases().values().next().unwrap().settled, Status::Warning);

    let (mut desk, _) = Desk::restore(Arc::new(AlertPlan::default()), rows, at(1_000));
    let (mut book, reports) = restarted(&desk, at(1_000));
    hand_in(&mut desk, true, reports, Vec::new(), at(1_000));
    assert_eq!(desk.cases().values().next().unwrap().settled, Status::Warning, "it is as it was");
    assert!(book.overdue(at(1_299).boot).is_empty());
    let gone = book.overdue(at(1_300).boot);
    assert_eq!(gone.len(), 1);
    hand_in(&mut desk, false, Vec::new(), gone, at(1_300));
    assert!(desk.cases().is_empty(), "nobody was told, so nothing is owed");
}
