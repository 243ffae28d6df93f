//! Called as consul-alerts: what clients may do, how many checks one message names, and what a token
//! must be allowed.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use lictor_testkit::consul::{Options, Server};
use lictor_testkit::wait;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::consul_alerts::{PAYLOAD, Rig, token};
use crate::node::LONG;

/// Connections that are open at a time.
const MOST: usize = 512;

/// How long a request has for its head.
const HEAD: Duration = Duration::from_secs(20);

/// A body larger than anybody sends, and what of it may be kept at a time.
const BODY: usize = 96 << 20;
const KEPT: u64 = 24 << 10;

fn connected(rig: &Rig) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", rig.port)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// The most memory that the instance has had, KiB.
fn peak(rig: &Rig) -> u64 {
    let pid = rig.instance.as_ref().unwrap().pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Whether the other side has closed.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0; 64]);
    stream.set_nonblocking(false).unwrap();
    match read {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn a_body_however_large_is_taken_and_not_kept() {
    let mut rig = Rig::new(&[]);
    rig.start();
    let before = peak(&rig);
    let mut stream = connected(&rig);
    write!(stream, "PUT /v1/process/checks HTTP/1.0\r\nHost: x\r\nContent-Length: {BODY}\r\n\r\n").unwrap();
    let part = vec![b'['; 1 << 20];
    for _ in 0..BODY / part.len() {
        stream.write_all(&part).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    let grown = peak(&rig).saturating_sub(before);
    assert!(grown < KEPT, "its memory grew by {grown} KiB");
}

#[test]
fn who_says_nothing_or_little_keeps_nobody_out() {
    let mut rig = Rig::new(&[]);
    rig.start();
    let silent: Vec<_> = (0..MOST + 50).map(|_| connected(&rig)).collect();
    let begun = Instant::now();
    assert_eq!(rig.ask("GET", "/v1/info").map(|(status, _)| status), Some(201));
    assert!(begun.elapsed() < HEAD / 2, "it took {:?}", begun.elapsed());
    let open = || silent.iter().filter(|stream| !is_closed(stream)).count();
    rig.until("the oldest make room", |_rig| (open() <= MOST).then_some(()));
    assert!(open() > MOST / 2, "only as many as it takes: {} are open", open());

    // One that never comes to its end.
    let slow = connected(&rig);
    (&slow).write_all(b"GET /v1/info HTTP/1.1\r\nHost:").unwrap();
    let begun = Instant::now();
    rig.until("the slow one is let go", |_rig| is_closed(&slow).then_some(()));
    assert!(begun.elapsed() > HEAD / 2, "it had {:?}", begun.elapsed());

    let answered = |size: usize| {
        let mut long = connected(&rig);
        let head = format!("GET /v1/info HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(size));
        // It may be answered and closed before all is written.
        drop(long.write_all(head.as_bytes()));
        let mut answer = [0; 12];
        long.read_exact(&mut answer).ok().map(|()| String::from_utf8_lossy(&answer).into_owned())
    };
    assert!([None, Some("HTTP/1.1 431".to_owned())].contains(&answered(1 << 20)));
    assert_eq!(answered(100 << 10).as_deref(), Some("HTTP/1.1 431"));
    assert_eq!(answered(60 << 10).as_deref(), Some("HTTP/1.1 201"));
    assert_eq!(rig.ask("GET", "/v1/info").map(|(status, _)| status), Some(201));
}

/// The keys of an HTTP endpoint that is told which checks there are.
const HOOK: [(&str, &str); 4] = [
    ("notifiers/http-endpoint/enabled", "true"),
    ("notifiers/http-endpoint/base-url", "@SINK@"),
    ("notifiers/http-endpoint/endpoint", "/hook"),
    ("notifiers/http-endpoint/payload", PAYLOAD),
];

#[test]
fn every_check_of_a_large_message_is_named() {
    const CHECKS: usize = 130;
    let mut rig = Rig::new(&HOOK);
    for number in 0..CHECKS {
        let id = format!("c{number:03}");
        let check = json!({ "ID": id, "Name": id, "TTL": "1h", "Status": "passing" });
        let put = rig.consul.put("/v1/agent/check/register", &check.to_string());
        assert_eq!(put.map(|(status, _)| status), Some(200));
        rig.set(&id, "critical", &format!("<{number}>"));
    }
    rig.start();
    let names =
        |text: &str| (0..CHECKS).filter(|number| text.contains(&format!(":c{number:03} critical"))).count();
    let text = rig.until("all are told", |rig| {
        let calls = rig.sink.calls();
        let bodies = calls.iter().filter_map(|call| serde_json::from_str::<Value>(&call.body).ok());
        let texts: Vec<_> = bodies.filter_map(|body| Some(body["text"].as_str()?.to_owned())).collect();
        let all = texts.iter().find(|text| names(text) == CHECKS).cloned();
        all.or_else(|| (names(&texts.concat()) == CHECKS).then(|| texts.concat()))
    });
    assert!(!text.contains("more"), "{text}");
    assert!(text.contains("c129 critical &lt;129&gt;"), "its output as well: {text}");
    rig.until("the log names all", |rig| (rig.read("told.log").lines().count() == CHECKS).then_some(()));
    let calls = rig.sink.calls();
    assert!(calls.iter().any(|call| names(&call.body) > 100), "no message was large: {} calls", calls.len());
}

/// What the manual says that a token needs.
const RULES: [(&str, &str); 8] = [
    ("config", r#"key_prefix "consul-alerts/config/" { policy = "read" }"#),
    ("checks", r#"key_prefix "consul-alerts/checks/" { policy = "write" }"#),
    ("reminders", r#"key_prefix "consul-alerts/reminders/" { policy = "write" }"#),
    ("leader", r#"key "consul-alerts/leader" { policy = "write" }"#),
    ("lictor", r#"key_prefix "consul-alerts/lictor/" { policy = "write" }"#),
    ("session", r#"session_prefix "" { policy = "write" }"#),
    ("node", r#"node_prefix "" { policy = "read" }"#),
    ("service", r#"service_prefix "" { policy = "read" }"#),
];

/// A Consul that asks for rights, with a failing check, an endpoint and a profile with reminders.
fn secured() -> Rig {
    let consul = Server::with(Options { in_memory: true, acl: true, ..Options::default() });
    let mut keys = HOOK.to_vec();
    keys.push(("notif-profiles/default", r#"{"Interval": 10, "NotifList": {"http-endpoint": true}}"#));
    let rig = Rig::at(consul, &keys);
    rig.check("a");
    rig.set("a", "critical", "down");
    rig
}

/// Starts it with a token that has all these rules but that of one name.
fn start_without(rig: &mut Rig, left_out: &str) {
    let rules = RULES.iter().filter(|(name, _)| *name != left_out).map(|(_, rule)| *rule);
    let (secret, _) =
        token(&rig.consul, &format!("without-{left_out}"), &rules.collect::<Vec<_>>().join("\n"));
    let mut command = rig.starting();
    command.env("CONSUL_HTTP_TOKEN", secret);
    rig.start_by(command);
}

fn value(rig: &Rig, key: &str) -> Option<String> {
    let (status, body) = rig.consul.get(&format!("/v1/kv/consul-alerts/{key}?raw&consistent"))?;
    (status == 200).then_some(body)
}

#[test]
fn the_rights_that_the_manual_names_are_enough() {
    let manual =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/consul-alerts.md")).unwrap();
    for (_, rule) in RULES {
        assert!(manual.contains(rule), "the manual lacks {rule}");
    }
    let mut rig = secured();
    start_without(&mut rig, "nothing");
    rig.told("/hook", "Check a critical down");
    rig.until("lock, state and reminder are written", |rig| {
        let (_, lock) = rig.consul.get("/v1/kv/consul-alerts/leader")?;
        let state: Value = serde_json::from_str(&value(rig, "checks/n1/_/a")?).ok()?;
        let led = lock.contains("\"Session\"");
        (led && state["Current"] == "critical" && value(rig, "reminders/n1/a").is_some()).then_some(())
    });
    rig.set("a", "passing", "up");
    rig.told("/hook", "Check a passing up");
    rig.until("the reminder is over", |rig| value(rig, "reminders/n1/a").is_none().then_some(()));
    rig.put("notifiers/http-endpoint/cluster-name", "Prod");
    rig.in_force(1);
    let log = rig.read("instance.log");
    for word in ["denied", "\"ERROR\""] {
        // Events are watched, and need a right of their own.
        let found = log.lines().find(|line| line.contains(word) && !line.contains("Consul's events"));
        assert_eq!(found, None, "{log}");
    }
}

#[test]
fn without_one_of_these_rights_it_says_what_it_cannot_do() {
    let mut rig = secured();
    for (left_out, said) in [
        ("lictor", "may not write the keys below consul-alerts/lictor/"),
        ("leader", "alerts are not told from here: it cannot be"),
        ("session", "alerts are not told from here: no session can be made in Consul"),
    ] {
        start_without(&mut rig, left_out);
        rig.until(said, |rig| rig.read("instance.log").contains(said).then_some(()));
        assert!(rig.sink.calls().is_empty(), "without {left_out}: {:?}", rig.sink.calls());
        rig.instance = None;
    }
    // What it cannot leave for the old program it tells all the same.
    start_without(&mut rig, "reminders");
    let said = "the records of consul-alerts cannot be written";
    rig.until(said, |rig| rig.read("instance.log").contains(said).then_some(()));
    rig.told("/hook", "Check a critical down");
    let told = wait::until(Duration::ZERO, || value(&rig, "reminders/n1/a"));
    assert_eq!(told, None);
}
