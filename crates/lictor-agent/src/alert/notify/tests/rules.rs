//! What holds for all kinds, and those that are no service of the table.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use lictor_config::{NotifierKind, parse};
use lictor_core::NotifierName;
use lictor_core::alert::{Message, Occasion};
use serde_json::Value;

use super::super::sampled::{message, notifier, over};
use super::super::table::Row;
use super::super::texts::texts;
use super::super::{Notifiers, file, mail, preview, program, table};
use super::{BLOCKS, block, made, said};
use crate::clock::Clock;

#[test]
fn an_alertmanager_knows_the_alert_again_that_is_over() {
    let notifier = block(BLOCKS.last().unwrap());
    let labels = |message: &Message| {
        serde_json::from_str::<Value>(&made(&notifier, message)[0].body).unwrap()[0]["labels"].clone()
    };
    assert_eq!(labels(&message(1)), labels(&over(message(1))));
}

#[test]
fn an_incident_has_one_key_from_its_beginning_to_its_end() {
    for kind in ["pagerduty", "opsgenie", "victorops", "ilert", "pushover"] {
        let notifier = block(BLOCKS.iter().find(|(known, _)| *known == kind).unwrap());
        let mut reminder = message(1);
        reminder.items[0].tells = lictor_core::alert::Tells::Reminder;
        reminder.items[0].reminders = 2;
        for message in [message(1), reminder, over(message(1))] {
            let said = said(&made(&notifier, &message));
            assert!(said.contains("i1/x") || said.contains("i1%2Fx"), "{kind}: {said}");
        }
    }
}

#[test]
fn what_keeps_an_incident_of_each_is_told_of_each() {
    let notifier = block(BLOCKS.iter().find(|(kind, _)| *kind == "pagerduty").unwrap());
    let requests = made(&notifier, &message(3));
    let keys: Vec<Value> = requests
        .iter()
        .map(|one| serde_json::from_str::<Value>(&one.body).unwrap()["dedup_key"].clone())
        .collect();
    assert_eq!(keys, ["i1/x", "i2/x", "i3/x"]);
}

#[test]
fn a_digest_when_all_is_well_is_told_to_people_only() {
    let mut well = message(0);
    well.occasion = Occasion::Digest;
    for found in BLOCKS {
        let notifier = block(found);
        let requests = made(&notifier, &well);
        let keeps = ["pushover", "pagerduty", "opsgenie", "victorops", "ilert", "influxdb", "alertmanager"];
        assert_eq!(requests.is_empty(), keeps.contains(&found.0), "{}", found.0);
        assert!(
            requests.iter().all(|request| request.body.replace('+', " ").contains("All is well")),
            "{}",
            found.0
        );
    }
}

#[test]
fn no_message_is_larger_than_the_service_takes() {
    let mut large = message(120);
    for item in &mut large.items {
        item.output = "\u{1f600}ü\"\\\n<&>".repeat(300);
        item.title = "ü".repeat(500);
    }
    let limit = BTreeMap::from([
        ("telegram", 30_000),
        ("discord", 20_000),
        ("teams", 28_672),
        ("ntfy", 14_000),
        ("matrix", 65_536),
    ]);
    for found in BLOCKS {
        let notifier = block(found);
        let row: &Row = table::row(found.0).unwrap();
        let texts = texts(&notifier, &large, (row.title, row.text), row.escape);
        assert!(row.title.holds(&texts.title) && row.text.holds(&texts.text), "{}", found.0);
        if let Some(limit) = limit.get(found.0) {
            for request in made(&notifier, &large) {
                assert!(request.body.len() <= *limit, "{}: {}", found.0, request.body.len());
            }
        }
        if row.each {
            for request in made(&notifier, &large) {
                assert!(request.body.len() < 200_000, "{}: {}", found.0, request.body.len());
            }
        }
    }
    let telegram = block(&BLOCKS[4]);
    let body: Value = serde_json::from_str(&made(&telegram, &large)[0].body).unwrap();
    assert!(body["text"].as_str().unwrap().encode_utf16().count() <= 4_096);
    let discord = block(&BLOCKS[5]);
    let body: Value = serde_json::from_str(&made(&discord, &large)[0].body).unwrap();
    assert!(body["content"].as_str().unwrap().encode_utf16().count() <= 2_000);
}

#[test]
fn a_preview_shows_no_secret() {
    for found in BLOCKS {
        let notifier = block(found);
        let shown = preview(&notifier, &message(1)).unwrap();
        assert!(!shown.is_empty(), "{}", found.0);
        let shown = format!("{shown:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVy"), "{shown}");
        let secret = !matches!(found.0, "alertmanager");
        assert_eq!(shown.contains("***"), secret, "{shown}");
    }
}

#[test]
fn what_a_user_describes_is_sent_and_sees_no_secret() {
    let text = r#"notify "http" "n" {
  url    = "https://tickets.example/new?kind=1"
  method = "PUT"
  bearer = "hunter2"
  title  = "{{ item.node }}: {{ item.status }}"
  json   = { subject = "{{ title }}", count = "=items | length", secret = "{{ title }}" }
}"#;
    assert_snapshot!(said(&made(&notifier(text), &message(1))), @r#"
    PUT https://tickets.example/new?kind=1
    authorization: Bearer hunter2
    {
      "count": 1,
      "secret": "web1: critical",
      "subject": "web1: critical"
    }
    "#);
    let text = r#"notify "http" "n" {
  url  = "https://tickets.example/new"
  form = { a = "{{ item.output }}", b = "1" }
  each = true
}"#;
    assert_snapshot!(said(&made(&notifier(text), &message(2))), @r#"
    POST https://tickets.example/new
    a=HTTP+GET+http%3A%2F%2F10.0.0.1%2F%3A+500+%22Internal%22+%3Cerror%3E+%26+more&b=1
    POST https://tickets.example/new
    a=HTTP+GET+http%3A%2F%2F10.0.0.1%2F%3A+500+%22Internal%22+%3Cerror%3E+%26+more&b=1
    "#);
}

#[test]
fn a_mail_is_part_of_the_threads_of_its_incidents() {
    let text = "notify \"email\" \"n\" {\n host = \"localhost\"\n from = \"Wächter <lictor@example.org>\"\n to = [\"ops@example.org\"]\n title = \"{{ item.title }} kaputt – ü\"\n}";
    let notifier = notifier(text);
    let NotifierKind::Email(email) = &notifier.kind else { panic!() };
    let mail = mail::Mail::of(&notifier, email, &message(2));
    assert_eq!(mail.message_id, "<lictor.d17@example.org>");
    assert_eq!(mail.references, ["<incident.i1/x@example.org>", "<incident.i2/x@example.org>"]);
    assert!(mail.html.contains("&lt;error&gt; &amp; more"), "{}", mail.html);
    let raw = String::from_utf8(mail.encoded(email, &message(2)).unwrap().formatted()).unwrap();
    assert!(raw.contains("Message-ID: <lictor.d17@example.org>\r\n"), "{raw}");
    assert!(raw.contains("In-Reply-To: <incident.i1/x@example.org>\r\n"), "{raw}");
    assert!(raw.contains("Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"), "{raw}");
    assert!(raw.contains("Subject: =?utf-8?b?") || raw.contains("=?utf-8?"), "{raw}");
    assert!(raw.contains("multipart/alternative"), "{raw}");
}

#[test]
fn a_line_of_the_log_is_one_line() {
    let lines = |lines: &str, message: &Message| {
        let notifier = notifier(&format!("notify \"log\" \"n\" {{\n path = \"/l\"\n{lines}\n}}"));
        let NotifierKind::Log(log) = notifier.kind.clone() else { panic!() };
        file::lines(&notifier, &log, message)
    };
    let mut message = message(1);
    message.items[0].output = "first\nsecond \u{1b}[2J".to_owned();
    assert_snapshot!(lines("", &message), @r#"2023-11-14T22:13:20Z CRITICAL: shop: Service 'shop' check on web1 [dc1] (consul/dc1/web1/shop-1/service:shop, incident i1/x): first second \u{1b}[2J"#);
    assert_eq!(
        lines("text = \"{{ item.node }}\\n{{ item.status }}\"", &message),
        "2023-11-14T22:13:20Z web1 critical\n"
    );
    let json: Value = serde_json::from_str(&lines("format = \"json\"", &message)).unwrap();
    assert_eq!((&json["id"], &json["alert"]["node"]), (&Value::from("d17"), &Value::from("web1")));
}

#[test]
fn a_program_of_consul_alerts_gets_what_it_got() {
    let input = |lines: &str| {
        let notifier = notifier(&format!("notify \"exec\" \"n\" {{\n command = [\"x\"]\n{lines}\n}}"));
        let NotifierKind::Exec(program) = notifier.kind.clone() else { panic!() };
        program::input(&notifier, &program, &message(1))
    };
    let old = input("input = \"consul-alerts\"");
    let start = r#"[{"Node":"web1","ServiceId":"shop-1","Service":"shop","CheckId":"service:shop","Check":"Service 'shop' check","Status":"critical","Output":"#;
    assert!(old.starts_with(start), "{old}");
    let ours: Value = serde_json::from_str(&input("")).unwrap();
    assert_eq!(ours["items"][0]["incident"], "i1/x");
    assert_eq!(ours["title"], "CRITICAL: shop: Service 'shop' check on web1 [dc1]");
}

#[tokio::test]
async fn a_notifier_that_is_no_more_refuses_for_good() {
    let config = parse("x.hcl", "").unwrap().config;
    let notifiers = Notifiers::new(&config, Clock::fresh());
    let verdict = notifiers.send(&NotifierName::new("gone").unwrap(), &message(1)).await;
    assert!(matches!(verdict, lictor_core::alert::Verdict::Refused { for_good: true, .. }), "{verdict:?}");
}
