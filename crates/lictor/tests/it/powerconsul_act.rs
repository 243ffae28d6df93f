//! Called as powerconsul, with a real Consul: what follows from a check.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use lictor_testkit::consul::Server;
use lictor_testkit::wait;
use serde_json::{Value, json};

use crate::node::{LONG, program, run};
use crate::powerconsul::{Rig, agree, agreed, consul, elsewhere};

const ILL: [&str; 3] = ["passing", "critical", "passing"];
const WELL: [&str; 3] = ["passing", "passing", "passing"];

/// A failing check of `web` on this node, as a watch gives it.
fn failing(service: &str) -> Value {
    json!({ "Node": "n1", "CheckID": format!("service:{service}"), "ServiceName": service, "Output": "it is down" })
}

fn trigger(consul: &Server, key: &str, text: &str) {
    let (status, _) = consul.put(&format!("/v1/kv/triggers/{key}"), text).unwrap();
    assert_eq!(status, 200);
}

/// Gives a list of checks to `watch`, after a while.
fn watch(rig: &Rig, state: &str, checks: &str) -> (i32, String) {
    let mut command = rig.command(&["watch", state]);
    command.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Bug 15: Consul may not have written yet.
    lictor_testkit::wait::until(Duration::from_millis(300), || None::<()>);
    child.stdin.take().unwrap().write_all(checks.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn bug_5_and_6_roles_are_exchanged_by_who_runs_after_a_while_and_nothing_else_is_changed() {
    let consul = consul();
    let rig = Rig::new(&consul.url(), "n1");
    let group = |active: &str, standby: &str| json!({ "active_nodes": [active], "standby_nodes": [standby] });
    let data = |own: Value| json!({ "filter": { "n": own, "db": group("db1", "db2") }, "comment": "ours" });
    agree(&consul, &data(group("nother", "n1")));
    elsewhere(&consul, "nother", ILL);
    rig.service("apache2", "3 is stopped");
    for _look in 0..4 {
        assert_eq!(rig.apache2(), (2, json!(true), "critical".to_owned()));
    }
    let now = || serde_json::from_str::<Value>(&agreed(&consul)).unwrap();
    // Bug 5: who does not run it takes no role, and who does only after it was so for a while.
    assert_eq!(now(), data(group("nother", "n1")));
    rig.service("apache2", "0 is running");
    for _look in 0..2 {
        assert_eq!(rig.apache2().0, 0);
    }
    assert_eq!(now(), data(group("nother", "n1")));
    assert_eq!(rig.apache2().0, 0);
    // Bugs 6 and 30: the other group and the comment are there still.
    assert_eq!(now(), data(group("n1", "nother")));
    assert!(agreed(&consul).starts_with("{\"comment\": \"ours\", \"filter\": "), "{}", agreed(&consul));
    assert!(rig.read("log/check/service.web.log").contains("setPrimary: done in all datacenters"));

    // The old one is down and takes nothing back, however often it looks.
    let old = Rig::new(&consul.url(), "nother");
    old.service("apache2", "3 is stopped");
    for _look in 0..4 {
        old.apache2();
    }
    assert_eq!(now(), data(group("n1", "nother")));
    // A lock forbids it, until an active node passes.
    let locked = |own: Value| {
        let mut own = own;
        own["lock"] = json!(true);
        own
    };
    agree(&consul, &data(locked(group("nother", "n1"))));
    for _look in 0..4 {
        rig.apache2();
    }
    assert_eq!(now(), data(locked(group("nother", "n1"))));
    elsewhere(&consul, "nother", WELL);
    rig.apache2();
    assert_eq!(now(), data(group("nother", "n1")));
}

#[test]
fn bug_14_and_15_a_failing_check_runs_what_lies_in_consul_for_the_role() {
    let consul = consul();
    let rig = Rig::new(&consul.url(), "n1");
    let conf = json!({ "clusterKey": "cluster", "subVars": { "@ENV": "prod", "DIR": rig.path("").display().to_string() }, "noopTriggers": ["quiet"] });
    rig.conf(&conf);
    agree(&consul, &json!({ "active_nodes": ["other"], "standby_nodes": ["n1"] }));
    elsewhere(&consul, "other", WELL);
    trigger(&consul, "web/secondary/critical", "service second-@ENV restart");
    trigger(
        &consul,
        "web/primary/critical",
        "#!/bin/bash\n# @ENVIRONMENT\nread -r nothing\necho \"$0 @ENV\" > @DIR/script\nservice first-@ENV restart\nls -l /proc/self/fd > @DIR/fds\nls -d /tmp/trigger_* 2>/dev/null\necho done\n",
    );
    trigger(&consul, "other/standalone/warning", "/bin/false");
    trigger(&consul, "quiet/standalone/critical", "service quiet restart");
    let elsewhere_failing = json!({ "Node": "n2", "ServiceName": "web", "Output": "x" });
    let started = json!({ "Node": "n1", "ServiceName": "web", "Output": "" });
    let of_node = json!({ "Node": "n1", "ServiceName": "", "CheckID": "disk", "Output": "full" });
    let unknown = json!({ "Node": "n1", "ServiceName": "web", "CheckID": "u", "Output": "Host must match!\n{\"code\": 1, \"state\": \"unknown\"}\n" });
    let checks = json!([elsewhere_failing, started, of_node, unknown, failing("quiet"), failing("web")]);
    assert_eq!(watch(&rig, "critical", &checks.to_string()), (0, String::new()));
    assert_eq!(rig.read("services/calls"), "second-prod restart\n");
    let log = rig.read("log/watch/critical.log");
    assert!(log.contains("no trigger for check disk: it is of no service"), "{log}");
    assert!(log.contains("no trigger for check u: it could not tell how the service is"), "{log}");
    let log = rig.read("log/trigger/quiet.critical.log");
    assert!(
        log.contains("ConsulService[quiet].run: Service trigger(s) configured as noop. Skipping..."),
        "{log}"
    );
    assert!(rig.read("log/trigger/web.critical.log").contains("type=command, state=critical, output="));

    // A standby that is to take over does what an active node does.
    elsewhere(&consul, "other", ILL);
    let json = failing("web").to_string();
    // Bug 14: it ends well, and leaves nothing behind.
    assert_eq!(rig.run(&["trigger", "critical", "-s", &json]), (0, String::new(), String::new()));
    assert_eq!(rig.read("services/calls"), "second-prod restart\nfirst-prod restart\n");
    let script = rig.read("script");
    assert!(script.ends_with(" prod\n"), "{script}");
    let path = script.split(' ').next().unwrap();
    assert!(path.starts_with("/proc/") && !std::path::Path::new(path).exists(), "{path}");
    let open = rig.read("fds");
    assert!(
        open.contains("/dev/null") && !open.contains("memfd"),
        "what the script starts can read it: {open}"
    );
    let log = rig.read("log/trigger/web.critical.log");
    assert!(log.contains("type=script, state=critical, output=done\n"), "{log}");

    // Nothing there, and what fails.
    let (code, _, _) = rig.run(&["trigger", "warning", "-s", &json]);
    assert_eq!(code, 0);
    assert!(rig.read("log/trigger/web.warning.log").contains("type=default, state=warning, output=noop"));
    let (code, _, _) = rig.run(&["trigger", "warning", "-s", &failing("other").to_string()]);
    assert_eq!(code, 0);
    let log = rig.read("log/trigger/other.warning.log");
    assert!(
        log.contains(" - ERROR: ConsulService[other].run: type=command, state=warning, error=exit status 1"),
        "{log}"
    );
}

#[test]
fn bug_14_an_action_has_a_time_limit_and_what_is_no_check_is_told() {
    let consul = consul();
    let rig = Rig::new(&consul.url(), "n1");
    trigger(&consul, "web/standalone/critical", "sleep 60");
    let mut command = rig.command(&["trigger", "critical", "-s", &failing("web").to_string()]);
    command.env("POWERCONSUL_ACTION_TIMEOUT", "1");
    assert_eq!(run(command).0, 0);
    let log = rig.read("log/trigger/web.critical.log");
    assert!(log.contains("type=command, state=critical, error=ended after 1s"), "{log}");
    let (code, _, err) = rig.run(&["trigger", "critical", "-s", "{"]);
    assert!(code == 1 && err.starts_with("Failed to parse service JSON object: "), "{err}");
    let (code, _, err) = rig.run(&["trigger", "critical", "-s", "{}"]);
    assert_eq!((code, err.as_str()), (1, "Failed to parse service JSON object: it has no ServiceName\n"));
    let mut empty = rig.command(&["watch", "critical"]);
    empty.stdin(Stdio::null());
    let text = "Command \"powerconsul watch\" requires data from STDIN!\n";
    assert_eq!(run(empty), (1, String::new(), text.to_owned()));
    let (code, err) = watch(&rig, "warning", "{}");
    assert!(code == 1 && err.starts_with("Failed to get Consul services: "), "{err}");
    assert_eq!(watch(&rig, "warning", "null"), (0, String::new()));
}

#[test]
fn bug_13_broken_data_runs_nothing() {
    let consul = consul();
    let rig = Rig::new(&consul.url(), "n1");
    agree(&consul, &json!({ "active_nodes": ["other"] }));
    for role in ["primary", "secondary", "standalone"] {
        trigger(&consul, &format!("web/{role}/warning"), "service web restart");
    }
    let json = failing("web").to_string();
    let (code, _, err) = rig.run(&["trigger", "warning", "-s", &json]);
    assert_eq!((code, err.as_str()), (1, "Must specify both active/standby nodes attributes\n"));
    let (_, out, err) = rig.run(&["check", "service", "-s", "apache2", "-S", "web"]);
    let check = json!([{ "Node": "n1", "ServiceName": "web", "Output": format!("{err}{out}") }]);
    assert_eq!(watch(&rig, "warning", &check.to_string()).0, 0);
    assert_eq!(rig.read("services/calls"), "");
}

#[test]
fn consul_itself_runs_the_check_and_the_watch() {
    let rig = Rig::new("set below", "n1");
    rig.service("apache2", "0 is running");
    let usual = rig.command(&[]);
    let environment: Vec<String> = usual
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)))
        .filter(|(name, _)| *name != "CONSUL_HTTP_ADDR")
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let wrapper = rig.path("powerconsul.sh");
    // The address is known only when it runs.
    let address = rig.path("address");
    let text = format!(
        "#!/bin/sh\nexec env {} CONSUL_HTTP_ADDR=\"$(cat {})\" {} \"$@\"\n",
        environment.join(" "),
        address.display(),
        rig.path("bin/powerconsul").display()
    );
    rig.script("powerconsul.sh", &text);
    let config = format!(
        r#"
        enable_local_script_checks = true
        services {{
          name = "web"
          tags = ["nodns", "production"]
          enable_tag_override = true
          checks = [{{ args = ["{0}", "check", "service", "-s", "apache2", "-S", "web"] interval = "500ms" }}]
        }}
        watches = [{{ type = "checks" state = "critical" handler_type = "script" args = ["{0}", "watch", "critical"] }}]
        "#,
        wrapper.display()
    );
    let options = lictor_testkit::consul::Options { in_memory: true, config, ..Default::default() };
    let consul = Server::with(options);
    trigger(&consul, "web/standalone/critical", "service apache2 start");
    fs::write(&address, consul.url()).unwrap();
    let becomes = |wanted: &str| {
        let status = lictor_testkit::wait::until(crate::node::LONG, || {
            let (_, body) = consul.get("/v1/health/checks/web")?;
            let checks: Value = serde_json::from_str(&body).ok()?;
            (checks[0]["Status"] == wanted).then(|| checks[0]["Output"].clone())
        });
        let logs = (rig.read("log/watch/critical.log"), rig.read("log/check/service.web.log"));
        status.unwrap_or_else(|| panic!("never {wanted}: {logs:?}\n{}", consul.log_tail()))
    };
    let output = becomes("passing");
    assert!(output.as_str().is_some_and(|output| output.contains("\"state\": \"passing\"")), "{output}");
    // The tag is gone, and the check from Consul's own file is made as before.
    let (_, services) = consul.get("/v1/agent/services").unwrap();
    let services: Value = serde_json::from_str(&services).unwrap();
    let kept = (&services["web"]["Tags"], &services["web"]["EnableTagOverride"]);
    assert_eq!(kept, (&json!(["production"]), &json!(true)));
    // It is noticed, started, and well again.
    rig.service("apache2", "3 is stopped");
    becomes("critical");
    becomes("passing");
    assert_eq!(rig.read("services/calls"), "apache2 start\n");
    // It is written when its program has ended.
    let written =
        || rig.read("log/trigger/web.critical.log").contains("type=command, state=critical, output=");
    assert!(wait::until(LONG, || written().then_some(())).is_some());
}

#[test]
fn what_powerconsul_has_on_a_machine_becomes_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let import = |paths: &[&std::path::PathBuf]| {
        let mut command: Command = program();
        command.args(["import", "powerconsul"]).args(paths);
        run(command)
    };
    let script = "#!/usr/bin/env python\nPowerConsul_Service.process(\n  name='myservice', consul_service='my',\n  local_services=['apache2', 'mysql'])\n";
    let (script, conf) =
        (write("myservice", script), write(".powerconsul.conf", r#"{"clusterKey": "cluster/x"}"#));
    let (code, out, err) = import(&[&script, &conf]);
    assert_eq!(err, "2 files with 1 service read; 0 places are marked TODO, 0 values are marked SECRET\n");
    assert!(code == 0 && out.contains("units          = [\"apache2.service\", \"mysql.service\"]"), "{out}");
    let wrong = write("wrong", "\nPowerConsul_Service.process(name=NAME)\n");
    let (code, _, err) = import(&[&wrong]);
    let text =
        format!("error: cannot use `{}`: line 2: `name` must be written out here: a text\n", wrong.display());
    assert_eq!((code, err), (1, text));
}
