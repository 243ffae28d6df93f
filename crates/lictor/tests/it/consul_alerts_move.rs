//! Old instances of consul-alerts and ours side by side: a session of the test holds the lock as an
//! old instance does, and the records are as it wrote them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lictor_testkit::consul::{Options, Server};
use lictor_testkit::process::Child;
use lictor_testkit::service::{Answer, Service};
use lictor_testkit::{ports, wait};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::{LONG, program};

const LOCK: &str = "consul-alerts/leader";
const FLAGS: u64 = 3_304_740_253_564_472_344;

/// What an HTTP endpoint is told: each check in a word.
const PAYLOAD: &str = r#"{"text": "{{range $node, $checks := .Nodes}}{{range $checks}}{{.CheckId}}={{.Status}};{{end}}{{end}}"}"#;

struct Rig {
    consul: Server,
    sink: Service,
    dir: TempDir,
    instances: BTreeMap<&'static str, Child>,
}

impl Rig {
    fn new() -> Self {
        let consul = Server::with(Options { in_memory: true, ..Options::default() });
        let sink = Service::start(|_call| Answer::new(200, "{}"));
        let dir = tempfile::tempdir().unwrap();
        symlink(env!("CARGO_BIN_EXE_lictor"), dir.path().join("consul-alerts")).unwrap();
        let rig = Self { consul, sink, dir, instances: BTreeMap::new() };
        for (key, value) in [
            ("checks/change-threshold", "0"),
            ("notifiers/log/enabled", "false"),
            ("notifiers/http-endpoint/enabled", "true"),
            ("notifiers/http-endpoint/base-url", &rig.sink.url()),
            ("notifiers/http-endpoint/endpoint", "/hook"),
            ("notifiers/http-endpoint/payload", PAYLOAD),
            ("notif-profiles/default", r#"{"Interval": 10, "NotifList": {"http-endpoint": true}}"#),
        ] {
            rig.put(&format!("consul-alerts/config/{key}"), value);
        }
        rig
    }

    fn put(&self, key: &str, value: &str) {
        let value = STANDARD.encode(value);
        let operation = json!([{ "KV": { "Verb": "set", "Key": key, "Value": value } }]);
        let put = self.consul.put("/v1/txn", &operation.to_string());
        assert_eq!(put.map(|(status, _)| status), Some(200), "{key}");
    }

    /// The value of a key; none when there is no such key.
    fn value(&self, key: &str) -> Option<String> {
        let (status, body) = self.consul.get(&format!("/v1/kv/{key}?raw&consistent"))?;
        (status == 200).then_some(body)
    }

    /// Consul shows an output at once only when the status changes.
    fn check(&self, id: &str, status: &str) {
        let check = json!({ "ID": id, "Name": format!("Check {id}"), "TTL": "1h", "Status": "passing" });
        let put = self.consul.put("/v1/agent/check/register", &check.to_string());
        assert_eq!(put.map(|(status, _)| status), Some(200));
        let body = json!({ "Status": status, "Output": format!("<{status}>") }).to_string();
        let put = self.consul.put(&format!("/v1/agent/check/update/{id}"), &body);
        assert_eq!(put.map(|(status, _)| status), Some(200));
    }

    /// Holds the lock as an old instance does, and gives its session.
    fn other_leads(&self) -> String {
        let (_, body) = self.consul.put("/v1/session/create", r#"{"Name":"Consul API Lock"}"#).unwrap();
        let session: Value = serde_json::from_str(&body).unwrap();
        let session = session["ID"].as_str().unwrap().to_owned();
        let path = format!("/v1/kv/{LOCK}?acquire={session}&flags={FLAGS}");
        assert_eq!(self.consul.put(&path, "").unwrap().1.trim(), "true");
        session
    }

    fn other_lets_go(&self, session: &str) {
        let path = format!("/v1/kv/{LOCK}?release={session}&flags={FLAGS}");
        assert_eq!(self.consul.put(&path, "").unwrap().1.trim(), "true");
    }

    fn start(&mut self) {
        self.start_as("a");
    }

    fn start_as(&mut self, name: &'static str) {
        let mut command = Command::new(self.dir.path().join("consul-alerts"));
        let usual = program();
        command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("STATE_DIRECTORY", self.dir.path().join(format!("state-{name}")));
        let (consul, own) = (self.consul.http_address().to_string(), format!("127.0.0.1:{}", ports::free()));
        command.args(["start", "--consul-addr", &consul, "--alert-addr", &own, "--log-level=info"]);
        self.instances.insert(name, Child::spawn(name, command, self.dir.path()).unwrap());
        self.until("it is ready", |rig| rig.log_of(name).contains("is ready").then_some(()));
    }

    fn stop(&mut self, name: &str) {
        let mut instance = self.instances.remove(name).unwrap();
        instance.signal(Signal::TERM).unwrap();
        let ended = instance.wait(LONG).unwrap().unwrap();
        assert_eq!(ended.code(), Some(0), "{}", self.log());
    }

    fn log(&self) -> String {
        let logs = ["a", "b"].map(|name| self.log_of(name));
        logs.concat()
    }

    fn log_of(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(format!("{name}.log"))).unwrap_or_default()
    }

    fn until<T>(&self, what: &str, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let found = wait::until(LONG, || look(self));
        found.unwrap_or_else(|| panic!("{what}: not within {LONG:?}\n{}\n{:?}", self.log(), self.told()))
    }

    fn until_logged(&self, part: &str) {
        self.until(&format!("it says `{part}`"), |rig| rig.log().contains(part).then_some(()));
    }

    /// What the sink was told, check by check.
    fn told(&self) -> Vec<String> {
        let calls = self.sink.calls().into_iter().map(|call| {
            let body: Value = serde_json::from_str(&call.body).unwrap();
            body["text"].as_str().unwrap().to_owned()
        });
        calls.flat_map(|text| text.split_terminator(';').map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    fn until_told(&self, word: &str) {
        self.until(&format!("`{word}` is told"), |rig| rig.told().contains(&word.to_owned()).then_some(()));
    }

    /// Waits until the state of a check of the node counts as this and is told, and gives it.
    fn left(&self, check: &str, current: &str) -> String {
        self.until(&format!("the state of `{check}` is left as {current}"), |rig| {
            let text = rig.value(&format!("consul-alerts/checks/n1/_/{check}"))?;
            let state: Value = serde_json::from_str(&text).ok()?;
            (state["Current"] == current && state["ForNotification"] == false).then_some(text)
        })
    }
}

/// A state as the old program writes it.
fn state(check: &str, current: &str, since: &str, to_be_told: bool) -> String {
    format!(
        r#"{{"Current":"{current}","CurrentTimestamp":"{since}","Pending":"","PendingTimestamp":"0001-01-01T00:00:00Z","HealthCheck":{{"Node":"n1","CheckID":"{check}","Name":"Check {check}","Status":"{current}","Notes":"","Output":"","ServiceID":"","ServiceName":""}},"ForNotification":{to_be_told}}}"#
    )
}

fn minutes_ago(minutes: i64) -> String {
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
    at.to_string()
}

#[test]
fn an_old_instance_keeps_ours_silent_and_what_it_told_is_not_told_again() {
    let mut rig = Rig::new();
    rig.check("old", "critical");
    rig.check("new", "critical");
    rig.put("consul-alerts/checks/n1/_/old", &state("old", "critical", &minutes_ago(30), false));
    let reminder = json!({
        "Node": "n1", "CheckId": "old", "Check": "Check old", "Status": "critical", "Interval": 10,
        "RmdCheck": minutes_ago(2), "NotifList": { "http-endpoint": true }, "Timestamp": minutes_ago(30),
    });
    rig.put("consul-alerts/reminders/n1/old", &reminder.to_string());
    let session = rig.other_leads();
    rig.start();
    rig.until_logged("an instance on the node `n1` holds `consul-alerts/leader`");
    // As long as it would take to tell.
    let told = wait::until(Duration::from_secs(3), || rig.told().first().cloned());
    assert_eq!(told, None);

    rig.other_lets_go(&session);
    rig.until_told("new=critical");
    let left = rig.left("new", "critical");
    let value: Value = serde_json::from_str(&left).unwrap();
    let since = value["CurrentTimestamp"].as_str().unwrap();
    let expected = state("new", "critical", since, false)
        .replace(r#""Output":"""#, r#""Output":"\u003ccritical\u003e""#);
    assert_eq!(left, expected);
    let reminder = rig.until("a reminder is left", |rig| rig.value("consul-alerts/reminders/n1/new"));
    let head = r#"{"Node":"n1","ServiceId":"","Service":"","CheckId":"new","Check":"Check new","Status":"critical","Output":"\u003ccritical\u003e","Notes":"","Interval":10,"RmdCheck":""#;
    assert!(
        reminder.starts_with(head)
            && reminder.contains(r#""NotifList":{"http-endpoint":true},"VarOverrides":{"email":null,"#),
        "{reminder}"
    );

    rig.check("old", "passing");
    rig.until_told("old=passing");
    rig.left("old", "passing");
    rig.until("the reminder is over", |rig| {
        rig.value("consul-alerts/reminders/n1/old").is_none().then_some(())
    });
    assert_eq!(rig.told(), ["new=critical", "old=passing"]);

    rig.stop("a");
    assert_eq!(rig.value(LOCK), None, "{}", rig.log());
    rig.left("new", "critical");
    // An old one led meanwhile: the check recovered and failed again, and it told both.
    rig.put("consul-alerts/checks/n1/_/new", &state("new", "critical", &minutes_ago(0), false));
    rig.start();
    rig.until_logged("the records of consul-alerts are taken up");
    rig.check("new", "passing");
    rig.until_told("new=passing");
    assert_eq!(rig.told(), ["new=critical", "old=passing", "new=passing"]);
}

#[test]
fn what_an_old_instance_had_still_to_tell_is_told_and_what_is_no_record_is_left_alone() {
    let mut rig = Rig::new();
    rig.check("failed", "critical");
    rig.check("recovered", "passing");
    rig.check("well", "passing");
    rig.put("consul-alerts/checks/n1/_/failed", &state("failed", "critical", &minutes_ago(1), true));
    rig.put("consul-alerts/checks/n1/_/recovered", &state("recovered", "passing", &minutes_ago(1), true));
    let well = state("well", "passing", &minutes_ago(1), false);
    rig.put("consul-alerts/checks/n1/_/well", &well);
    rig.put("consul-alerts/checks/n1/_/broken", "{");
    rig.put("consul-alerts/reminders/", "");
    rig.start();
    rig.until_told("failed=critical");
    rig.until_told("recovered=passing");
    rig.left("failed", "critical");
    rig.left("recovered", "passing");
    let log = rig.log();
    for key in ["consul-alerts/checks/n1/_/broken", "consul-alerts/reminders/"] {
        assert!(
            log.lines().any(|line| line.contains(key) && line.contains("is left as it is")),
            "{key}: {log}"
        );
    }
    assert_eq!(rig.value("consul-alerts/checks/n1/_/broken").as_deref(), Some("{"));
    assert_eq!(rig.value("consul-alerts/checks/n1/_/well"), Some(well));
    let mut told = rig.told();
    told.sort();
    assert_eq!(told, ["failed=critical", "recovered=passing"]);
}

#[test]
fn a_lock_that_somebody_deletes_is_taken_again_and_telling_goes_on() {
    let mut rig = Rig::new();
    rig.check("a", "passing");
    rig.start();
    rig.until_logged("the lock of consul-alerts is held");
    let taken = rig.log().matches("the lock of consul-alerts is held").count();
    let operation = json!([{ "KV": { "Verb": "delete", "Key": LOCK } }]);
    assert_eq!(rig.consul.put("/v1/txn", &operation.to_string()).unwrap().0, 200);
    rig.until_logged("the lock of consul-alerts is lost");
    rig.until("it takes it again", |rig| {
        (rig.log().matches("the lock of consul-alerts is held").count() > taken).then_some(())
    });
    rig.check("a", "critical");
    rig.until_told("a=critical");
}

#[test]
fn two_of_ours_and_an_old_one_tell_one_after_the_other_and_each_thing_once() {
    let mut rig = Rig::new();
    rig.check("x", "critical");
    rig.check("y", "critical");
    let session = rig.other_leads();
    rig.put("consul-alerts/checks/n1/_/x", &state("x", "critical", &minutes_ago(5), false));
    rig.start_as("a");
    rig.start_as("b");
    rig.until_logged("an instance on the node `n1` holds `consul-alerts/leader`");
    rig.other_lets_go(&session);
    rig.until_told("y=critical");
    rig.left("y", "critical");
    let tells = |rig: &Rig, name: &str| rig.log_of(name).contains("this node tells of alerts");
    let (first, second) = if tells(&rig, "a") { ("a", "b") } else { ("b", "a") };
    assert!(tells(&rig, first) && !tells(&rig, second), "{}", rig.log());

    rig.stop(first);
    rig.until("the other one tells", |rig| tells(rig, second).then_some(()));
    rig.check("x", "passing");
    rig.until_told("x=passing");
    rig.left("x", "passing");
    rig.stop(second);
    assert_eq!((rig.value(LOCK), rig.told()), (None, vec!["y=critical".to_owned(), "x=passing".to_owned()]));
}
