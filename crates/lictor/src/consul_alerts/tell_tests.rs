use std::os::unix::fs::PermissionsExt as _;

use lictor_compat::consul_alerts::Start;
use lictor_compat::consul_alerts::cli::Options;
use lictor_compat::consul_alerts::run::Place;
use lictor_core::Status;
use lictor_core::alert::{Failing, Gone, Occasion, Over, SubjectKey, text as labels};
use lictor_testkit::smtp::{self, Smtp};
use serde_json::Value;

use super::super::live::Live;
use super::*;

fn teller(keys: &[(&str, &str)]) -> OldWords {
    let place = Place {
        node: "n".to_owned(),
        state_dir: "/s".to_owned(),
        listen: "127.0.0.1:1".to_owned(),
        prefix: "consul-alerts/lictor/".to_owned(),
    };
    let live = Live::new(Start::new(&Options::default(), None, |_| None), place);
    live.put(keys);
    let config = live.load().unwrap();
    OldWords::new(&config, live.put_in_force(), Rest::new().0)
}

fn item(node: &str, check_id: &str, tells: Tells, status: Status) -> Item {
    let key = SubjectKey::consul("dc1", node, "web1", check_id);
    let at = Wall::from_unix_millis(1_700_000_000_000);
    Item {
        incident: key.to_string(),
        key,
        title: "t".to_owned(),
        labels: labels(&[
            (label::SOURCE, "consul"),
            (label::NODE, node),
            (label::SERVICE, "web"),
            (label::SERVICE_ID, "web1"),
            (label::CHECK, "Web check"),
            (label::CHECK_ID, check_id),
        ]),
        tags: [].into(),
        tells,
        over: (tells == Tells::Resolved).then_some(Over::Recovered),
        status,
        before: None,
        since: at,
        opened: at,
        lasted: None,
        output: "refused".to_owned(),
        notes: String::new(),
        reminders: 0,
    }
}

fn message(notifier: &str, items: Vec<Item>, attempt: u32) -> Told {
    Told {
        id: "d1".to_owned(),
        notifier: NotifierName::new(notifier).unwrap(),
        occasion: Occasion::Change,
        cluster: "here".to_owned(),
        items,
        omitted: 0,
        failing: Failing::default(),
        at: Wall::from_unix_millis(1_700_000_100_000),
        attempt,
    }
}

fn one(notifier: &str, attempt: u32) -> Told {
    message(notifier, vec![item("n1", "c1", Tells::Firing, Status::Critical)], attempt)
}

async fn send(teller: &OldWords, message: &Told) -> Verdict {
    Tell::send(teller, &message.notifier, message).await
}

#[tokio::test]
async fn a_program_reads_the_profile_that_chose_it_and_runs_three_times_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let (program, read) = (dir.path().join("mine"), dir.path().join("read"));
    std::fs::write(&program, format!("#!/bin/sh\ncat > {}\nexit 7\n", read.display())).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let teller = teller(&[
        ("notifiers/custom/mine", program.to_str().unwrap()),
        ("notif-profiles/team", r#"{"Interval": 10, "NotifList": {"mine": true}}"#),
        ("notif-selection/services/web1", "team"),
    ]);
    for attempt in [1, 2] {
        let verdict = send(&teller, &one("mine", attempt)).await;
        let Verdict::Refused { why, for_good, .. } = verdict else { panic!("{verdict:?}") };
        assert!(!for_good && why.contains("exit status: 7"), "{attempt}: {why}");
    }
    assert_eq!(send(&teller, &one("mine", 3)).await, Verdict::Accepted, "it counts as told");
    let read: Value = serde_json::from_str(&std::fs::read_to_string(read).unwrap()).unwrap();
    assert_eq!((&read[0]["Interval"], &read[0]["NotifList"]["mine"]), (&10.into(), &true.into()));
    assert_eq!(read[0]["RmdCheck"], "0001-01-01T00:00:00Z");
}

#[tokio::test]
async fn a_line_of_the_log_makes_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/told.log");
    let teller = teller(&[("notifiers/log/path", path.to_str().unwrap())]);
    assert_eq!(send(&teller, &one("log", 1)).await, Verdict::Accepted);
    let line = std::fs::read_to_string(path).unwrap();
    assert!(line.ends_with(" Node=n1, Service=web, Check=Web check, Status=critical\n"), "{line}");
}

#[tokio::test]
async fn each_alert_has_its_mail_and_each_mail_the_old_subject() {
    let server = Smtp::start(&smtp::Options::default());
    let (host, port) = (server.address().ip().to_string(), server.address().port().to_string());
    let teller = teller(&[
        ("notifiers/email/enabled", "true"),
        ("notifiers/email/url", &host),
        ("notifiers/email/port", &port),
        ("notifiers/email/sender-email", "alerts@example.com"),
        ("notifiers/email/receivers", r#"["ops@example.com"]"#),
        ("notifiers/email/one-per-alert", "true"),
        ("notifiers/email/template", "/nonexistent"),
    ]);
    let items = vec![
        item("n1", "c1", Tells::Firing, Status::Critical),
        item("n2", "c2", Tells::Resolved, Status::Passing),
    ];
    assert_eq!(send(&teller, &message("email", items, 1)).await, Verdict::Accepted);
    let mails = server.mails();
    let subjects: Vec<_> = mails.iter().map(|mail| mail.headers["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["Consul-Alerts n1 - c1 is CRITICAL", "Consul-Alerts n2 - c2 is HEALTHY"]);
    assert_eq!(mails[0].headers["from"], "Consul Alerts <alerts@example.com>");
    assert!(mails[0].html.contains("refused") && mails[0].text.contains("n1:web:Web check is critical."));
    assert_ne!(mails[0].headers["message-id"], mails[1].headers["message-id"]);
}

#[tokio::test]
async fn what_the_alerts_say_of_themselves_has_the_node_that_speaks() {
    let teller = teller(&[]);
    let mut item = item("", "", Tells::Reminder, Status::Critical);
    item.labels = labels(&[(label::SOURCE, "lictor"), (label::CHECK, "source consul/dc1")]);
    let message = message("log", vec![item], 1);
    let old = teller.old(&message.items[0], &message).message;
    assert_eq!((old.node.as_str(), old.check.as_str()), ("here", "source consul/dc1"));
    assert_eq!(old.timestamp.timestamp().as_second(), 1_700_000_000, "a reminder says since when");
    assert_eq!(old.rmd_check.timestamp().as_second(), 1_700_000_100);
}

#[tokio::test]
async fn a_check_that_is_no_longer_there_says_so_in_place_of_its_last_output() {
    let teller = teller(&[]);
    let mut item = item("n1", "c1", Tells::Resolved, Status::Passing);
    let output = |item: &Item| teller.old(item, &message("log", vec![item.clone()], 1)).message.output;
    item.notes = "call the owner".to_owned();
    assert_eq!(output(&item), "refused");
    item.notes = "it is no longer ours to call for".to_owned();
    assert_eq!(output(&item), "refused", "words alone say nothing");
    item.over = Some(Over::Gone(Gone::Deregistered));
    item.notes = Gone::Deregistered.as_str().to_owned();
    assert_eq!(output(&item), item.notes);
}
