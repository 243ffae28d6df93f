//! Called as consul-alerts, with a real Consul.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use lictor_testkit::consul::{MANAGEMENT_TOKEN, Options, Server};
use lictor_testkit::process::Child;
use lictor_testkit::service::{Answer, Service};
use lictor_testkit::{ports, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::{LONG, program, run};

/// What an HTTP endpoint is told.
pub(crate) const PAYLOAD: &str = r#"{"text": "{{.ClusterName}} is {{.SystemStatus}}:{{range $node, $checks := .Nodes}}{{range $checks}} {{$node}}:{{.Service}}:{{.Check}} {{.Status}} {{.Output}}{{end}}{{end}}"}"#;

/// Consul, a service that is told, and a place for an instance.
pub(crate) struct Rig {
    pub(crate) consul: Server,
    pub(crate) sink: Service,
    dir: TempDir,
    pub(crate) port: u16,
    pub(crate) instance: Option<Child>,
}

impl Rig {
    /// With these keys below `consul-alerts/config/`, and a short threshold.
    pub(crate) fn new(keys: &[(&str, &str)]) -> Self {
        Self::at(Server::with(Options { in_memory: true, ..Options::default() }), keys)
    }

    pub(crate) fn at(consul: Server, keys: &[(&str, &str)]) -> Self {
        let sink = Service::start(|_call| Answer::new(200, "{}"));
        let dir = tempfile::tempdir().unwrap();
        symlink(env!("CARGO_BIN_EXE_lictor"), dir.path().join("consul-alerts")).unwrap();
        let rig = Self { consul, sink, dir, port: ports::free(), instance: None };
        rig.put("checks/change-threshold", "0");
        rig.put("notifiers/log/path", &rig.path("told.log").display().to_string());
        for (key, value) in keys {
            rig.put(
                key,
                &value
                    .replace("@SINK@", &rig.sink.url())
                    .replace("@DIR@", &rig.path("").display().to_string()),
            );
        }
        rig
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn put(&self, key: &str, value: &str) {
        let put = self.consul.put(&format!("/v1/kv/consul-alerts/config/{key}"), value);
        assert_eq!(put.map(|(status, _)| status), Some(200), "{key}");
    }

    pub(crate) fn delete(&self, key: &str) {
        let operation = json!([{ "KV": { "Verb": "delete", "Key": format!("consul-alerts/config/{key}") } }]);
        let put = self.consul.put("/v1/txn", &operation.to_string());
        assert_eq!(put.map(|(status, _)| status), Some(200), "{key}");
    }

    /// The program by its old name, with these words.
    pub(crate) fn called(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.path("consul-alerts"));
        let usual = program();
        command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("STATE_DIRECTORY", self.path("state")).args(words);
        command
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn starting(&self) -> Command {
        let (consul, own) = (self.consul.http_address().to_string(), self.address());
        let mut command = self.called(&["start", "--consul-addr", &consul, "--alert-addr", &own]);
        command.args(["--watch-checks", "--watch-events", "--log-level=info"]);
        command
    }

    pub(crate) fn start(&mut self) {
        self.start_by(self.starting());
    }

    pub(crate) fn start_by(&mut self, command: Command) {
        self.instance = Some(Child::spawn("instance", command, self.dir.path()).unwrap());
        self.until("it answers", |rig| (rig.ask("GET", "/v1/info")?.0 == 201).then_some(()));
    }

    pub(crate) fn until<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Option<T>) -> T {
        let found = wait::until(LONG, || look(self));
        found.unwrap_or_else(|| {
            panic!("{what}: not within {LONG:?}\n{}\n{:?}", self.read("instance.log"), self.sink.calls())
        })
    }

    /// Status and body of an answer.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    pub(crate) fn check(&self, id: &str) {
        let check = json!({ "ID": id, "Name": format!("Check {id}"), "TTL": "1h", "Status": "passing" });
        let put = self.consul.put("/v1/agent/check/register", &check.to_string());
        assert_eq!(put.map(|(status, _)| status), Some(200));
    }

    pub(crate) fn set(&self, id: &str, status: &str, output: &str) {
        let body = json!({ "Status": status, "Output": output }).to_string();
        let put = self.consul.put(&format!("/v1/agent/check/update/{id}"), &body);
        assert_eq!(put.map(|(status, _)| status), Some(200));
    }

    /// Waits for what the sink is told at a path that has this in it.
    pub(crate) fn told(&mut self, path: &str, part: &str) -> Value {
        self.until(&format!("{path} is told `{part}`"), |rig| {
            let calls = rig.sink.calls();
            let found = calls.iter().find(|call| call.path == path && call.body.contains(part))?;
            serde_json::from_str(&found.body).ok()
        })
    }

    /// Waits until a change of the keys is in force for the so-manieth time.
    pub(crate) fn in_force(&mut self, times: usize) {
        self.until("the change is in force", |rig| {
            let log = rig.read("instance.log");
            (log.matches("the changed settings are in force").count() >= times).then_some(())
        });
    }
}

#[test]
fn a_failing_check_is_told_in_the_old_words_and_changed_keys_count_at_once() {
    let mut rig = Rig::new(&[
        ("notifiers/http-endpoint/enabled", "true"),
        ("notifiers/http-endpoint/base-url", "@SINK@"),
        ("notifiers/http-endpoint/endpoint", "/hook"),
        ("notifiers/http-endpoint/payload", PAYLOAD),
        ("notifiers/slack/enabled", "true\n"),
        ("notifiers/slack/url", "@SINK@/slack"),
        ("notifiers/custom/mine", "@DIR@mine"),
        ("notifiers/opsgenie/enabled", "true"),
    ]);
    let script = format!("#!/bin/sh\ncat >> {0}; echo >> {0}\n", rig.path("mine.json").display());
    fs::write(rig.path("mine"), script).unwrap();
    fs::set_permissions(rig.path("mine"), fs::Permissions::from_mode(0o755)).unwrap();
    rig.check("a");
    rig.check("b");
    rig.start();

    rig.put("notifiers/http-endpoint/cluster-name", "Prod");
    rig.in_force(1);
    rig.set("a", "critical", "dial: <refused>");
    let told = rig.told("/hook", "Check a");
    assert_eq!(told, json!({ "text": "Prod is CRITICAL: n1::Check a critical dial: &lt;refused&gt;" }));
    let told = rig.told("/slack", "Check a");
    let text = "Consul-Alerts is CRITICAL.\n\nFail: 1, Warn: 0, Pass: 0\n\nn1::Check a is critical.\ndial: <refused>";
    assert_eq!(told, json!({ "text": text }));
    let line =
        rig.until("the log file is told", |rig| rig.read("told.log").lines().next().map(str::to_owned));
    assert!(
        line.starts_with("[consul-notifier] 20")
            && line.ends_with("Node=n1, Service=, Check=Check a, Status=critical"),
        "{line}"
    );
    let mine: Value = rig
        .until("the program is told", |rig| serde_json::from_str(rig.read("mine.json").lines().next()?).ok());
    assert_eq!(
        (&mine[0]["Node"], &mine[0]["CheckId"], &mine[0]["NotifList"]),
        (&"n1".into(), &"a".into(), &Value::Null)
    );
    let log = rig.read("instance.log");
    assert!(log.contains("consul-alerts/config/notifiers/opsgenie is on, but not all"), "{log}");

    assert_eq!(
        rig.ask("GET", "/v1/health?node=n1&check=a"),
        Some((503, "status: critical\noutput: dial: <refused>\n".to_owned()))
    );
    assert_eq!(rig.ask("GET", "/v1/health?node=n1&check=b").unwrap().0, 200);
    assert_eq!(rig.ask("GET", "/v1/health?node=n1&check=c"), Some((404, "status: unknown\n".to_owned())));
    let (status, body) = rig.ask("PUT", "/v1/health/wildcard?status=critical,warning").unwrap();
    let listed: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &listed[0]["CheckID"], listed.as_array().unwrap().len()), (503, &"a".into(), 1));
    assert_eq!(rig.ask("POST", "/v1/process/checks"), Some((200, String::new())));
    assert_eq!(rig.ask("GET", "/v1/info/"), Some((404, "404 page not found\n".to_owned())));

    // A key counts as long as it is there.
    let listed = |rig: &Rig| rig.ask("GET", "/v1/health/wildcard?check=b").unwrap();
    rig.put("checks/blacklist/checks/b", "");
    rig.in_force(2);
    assert_eq!(listed(&rig), (200, "[]".to_owned()));
    rig.delete("checks/blacklist/checks/b");
    rig.in_force(3);
    rig.delete("notifiers/http-endpoint/cluster-name");
    rig.in_force(4);
    assert!(listed(&rig).1.contains("Check b"));
    rig.set("a", "passing", "fine");
    let told = rig.told("/hook", "fine");
    assert_eq!(told, json!({ "text": "Consul-Alerts is HEALTHY: n1::Check a passing fine" }));

    // Another one at the same address leaves it alone.
    let (code, _, err) = run(rig.starting());
    assert!(code == 1 && err.contains("already running"), "{code}: {err}");
    // Whoever still has the old watches may keep them.
    let mut watch = rig.called(&["watch", "checks", "--alert-addr", &rig.address()]);
    watch.stdin(Stdio::null());
    assert_eq!(run(watch).0, 0);
    let instance = rig.instance.as_mut().unwrap();
    instance.signal(rustix::process::Signal::TERM).unwrap();
    let ended = instance.wait(LONG).unwrap().unwrap();
    assert_eq!(ended.code(), Some(0), "{}", rig.read("instance.log"));
}

#[test]
fn checks_that_are_switched_off_stay_as_they_were_and_nobody_is_told() {
    let mut rig = Rig::new(&[
        ("checks/enabled", "false"),
        ("notifiers/http-endpoint/enabled", "true"),
        ("notifiers/http-endpoint/base-url", "@SINK@"),
        ("notifiers/http-endpoint/endpoint", "/hook"),
        ("notifiers/http-endpoint/payload", PAYLOAD),
    ]);
    let health = |rig: &Rig| rig.ask("GET", "/v1/health?node=n1&check=a");
    let stays = |rig: &mut Rig, (status, body): (u16, &str)| {
        let answer = Some((status, body.to_owned()));
        rig.until(body, |rig| (health(rig) == answer).then_some(()));
        let other = || Some(health(rig)).filter(|found| *found != answer);
        assert_eq!(wait::until(Duration::from_secs(3), other), None);
    };
    rig.check("a");
    rig.set("a", "critical", "down");
    rig.start();
    stays(&mut rig, (404, "status: unknown\n"));
    assert!(rig.sink.calls().is_empty(), "{:?}", rig.sink.calls());

    rig.put("checks/enabled", "true");
    let told = rig.told("/hook", "Check a");
    assert_eq!(told, json!({ "text": "Consul-Alerts is CRITICAL: n1::Check a critical down" }));
    // It is told by the one that has the lock.
    let (_, lock) = rig.consul.get("/v1/kv/consul-alerts/leader").unwrap();
    assert!(lock.contains("\"Session\""), "{lock}");

    rig.put("checks/enabled", "false");
    rig.in_force(2);
    rig.set("a", "passing", "up");
    stays(&mut rig, (503, "status: critical\n"));
    rig.put("checks/enabled", "true");
    rig.told("/hook", "Check a passing up");
    let calls = rig.sink.calls();
    assert!(calls.iter().all(|call| !call.body.contains("no longer")), "{calls:?}");
}

/// A token with these rules and what it is listed as.
pub(crate) fn token(consul: &Server, name: &str, rules: &str) -> (String, String) {
    let made = |path: &str, body: &Value| -> Value {
        let (status, answer) = consul.put(path, &body.to_string()).unwrap();
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str(&answer).unwrap()
    };
    made("/v1/acl/policy", &json!({ "Name": name, "Rules": rules }));
    let token = made("/v1/acl/token", &json!({ "Policies": [{ "Name": name }] }));
    let text = |name: &str| token[name].as_str().unwrap().to_owned();
    (text("SecretID"), text("AccessorID"))
}

#[test]
fn a_token_without_the_right_for_our_keys_is_an_error_and_the_next_one_in_its_file_is_taken_up() {
    let rules = r#"
        key_prefix "consul-alerts/" { policy = "write" }
        session_prefix "" { policy = "write" }
        node_prefix "" { policy = "read" }
        service_prefix "" { policy = "read" }
        agent_prefix "" { policy = "read" }
        event_prefix "" { policy = "read" }
    "#;
    let consul = Server::with(Options { in_memory: true, acl: true, ..Options::default() });
    let less = format!("{rules}\nkey_prefix \"consul-alerts/lictor/\" {{ policy = \"read\" }}");
    let (first, accessor) = token(&consul, "first", &less);
    let (second, _) = token(&consul, "second", rules);
    let mut rig = Rig::at(
        consul,
        &[
            ("notifiers/http-endpoint/enabled", "true"),
            ("notifiers/http-endpoint/base-url", "@SINK@"),
            ("notifiers/http-endpoint/endpoint", "/hook"),
            ("notifiers/http-endpoint/payload", PAYLOAD),
        ],
    );
    fs::write(rig.path("token"), first).unwrap();
    rig.check("a");
    rig.set("a", "critical", "down");
    let mut command = rig.starting();
    command.env("CONSUL_HTTP_TOKEN_FILE", rig.path("token"));
    rig.start_by(command);
    for said in ["may not write the keys below consul-alerts/lictor/", "the lease may not be written"] {
        rig.until(said, |rig| rig.read("instance.log").contains(said).then_some(()));
    }
    assert!(rig.sink.calls().is_empty(), "{:?}", rig.sink.calls());

    fs::write(rig.path("token"), second).unwrap();
    let mut stream = TcpStream::connect(rig.consul.http_address()).unwrap();
    write!(
        stream,
        "DELETE /v1/acl/token/{accessor} HTTP/1.0\r\nHost: x\r\nX-Consul-Token: {MANAGEMENT_TOKEN}\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 "), "{answer}");
    rig.told("/hook", "Check a critical down");
}

#[test]
fn an_event_is_handled_once_and_those_of_before_are_not() {
    let mut rig = Rig::new(&[("events/handlers", r#"["@DIR@handler"]"#)]);
    let script =
        format!("#!/bin/sh\ntest $# = 0 && cat >> {0}; echo >> {0}\n", rig.path("events.json").display());
    fs::write(rig.path("handler"), script).unwrap();
    fs::set_permissions(rig.path("handler"), fs::Permissions::from_mode(0o755)).unwrap();
    let fire = |rig: &Rig, name: &str| {
        assert_eq!(
            rig.consul.put(&format!("/v1/event/fire/{name}"), "123").map(|(status, _)| status),
            Some(200)
        );
    };
    fire(&rig, "before");
    rig.until("Consul has it", |rig| {
        rig.consul.get("/v1/event/list").filter(|(_, list)| list.contains("before")).map(drop)
    });
    rig.start();
    // It is not known when it begins to look: the first one it sees as new is enough.
    let mut fired = 0;
    rig.until("an event is handled", |rig| {
        fired += 1;
        fire(rig, &format!("deploy{fired}"));
        wait::until(Duration::from_millis(500), || rig.read("events.json").contains("deploy").then_some(()))
    });
    fire(&rig, "last");
    rig.until("the last one is handled", |rig| rig.read("events.json").contains("\"last\"").then_some(()));
    let events = rig.read("events.json");
    assert!(!events.contains("before") && events.matches("\"last\"").count() == 1, "{events}");
    let last: Value =
        serde_json::from_str(events.lines().find(|line| line.contains("\"last\"")).unwrap()).unwrap();
    assert_eq!((&last["Payload"], &last["Name"]), (&"MTIz".into(), &"last".into()));
}

#[test]
fn its_arguments_and_how_it_ends_are_those_of_before() {
    let dir = tempfile::tempdir().unwrap();
    symlink(env!("CARGO_BIN_EXE_lictor"), dir.path().join("consul-alerts")).unwrap();
    let called = |words: &[&str]| {
        let mut command = Command::new(dir.path().join("consul-alerts"));
        command.env_clear().args(words).stdin(Stdio::null());
        run(command)
    };
    let (code, out, _) = called(&["--version"]);
    assert_eq!((code, out.as_str()), (0, "Consul Alerts 0.5.0\n"));
    let (code, out, _) = called(&["start", "--help"]);
    assert!(code == 0 && out.contains("consul-alerts watch (checks|event)"), "{out}");
    for words in
        [&[][..], &["stop"], &["watch", "events"], &["start", "--consul-a", "x"], &["start", "--log-level"]]
    {
        let (code, _, err) = called(words);
        assert!(code == 1 && err.contains("Usage:"), "{words:?}: {code}: {err}");
    }
    let nobody = format!("--alert-addr=127.0.0.1:{}", ports::free());
    let (code, _, err) = called(&["watch", "event", &nobody]);
    assert!(code == 2 && err.contains("/v1/process/events"), "{code}: {err}");
    let mut lictor = program();
    lictor.args(["consul-alerts", "--version"]);
    assert_eq!(run(lictor).1, "Consul Alerts 0.5.0\n");
}
