//! Called as powerconsul, with a real Consul and real programs: what a check says.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use lictor_testkit::consul::{Datacenters, Member, Options, Server};
use lictor_testkit::host::{self, Host};
use lictor_testkit::wait;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::node::{LONG, program, run};

/// As `service` is where init scripts are: services are files with an exit status and a text.
const SERVICE: &str = r#"#!/bin/sh
file="$SERVICES/$1"
if [ "$2" != status ]; then
  echo "$1 $2" >> "$SERVICES/calls"
  case $2 in start) echo "0 is running" > "$file" ;; stop) echo "3 is stopped" > "$file" ;; esac
  exit 0
fi
[ -e "$file" ] || { echo "$1: unrecognized service" >&2; exit 1; }
read code text < "$file"
echo " * $1 $text"
exit "$code"
"#;

/// As `check_procs` is: ends with its first argument.
const CHECK_PROCS: &str = "#!/bin/sh\necho \"PROCS: $*\"\n[ \"$1\" = KILL ] && kill -9 $$\nexit \"$1\"\n";

/// A machine: its services, its files, and the Consul that it asks.
pub(crate) struct Rig {
    dir: TempDir,
    /// Address of Consul.
    pub(crate) consul: String,
    /// What Consul calls this machine.
    node: String,
}

impl Rig {
    pub(crate) fn new(consul: &str, node: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rig = Self { dir, consul: consul.to_owned(), node: node.to_owned() };
        for name in ["bin", "home", "services", "crontabs"] {
            fs::create_dir(rig.path(name)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_lictor"), rig.path("bin/powerconsul")).unwrap();
        rig.script("bin/service", SERVICE);
        rig.script("bin/systemctl", "#!/bin/sh\necho LoadState=not-found\n");
        rig.script("check_procs", CHECK_PROCS);
        rig.conf(&json!({ "clusterKey": "cluster" }));
        rig
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn script(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn conf(&self, conf: &Value) {
        fs::write(self.path("home/.powerconsul.conf"), conf.to_string()).unwrap();
    }

    /// How a service is: an exit status and a text.
    pub(crate) fn service(&self, name: &str, says: &str) {
        fs::write(self.path("services").join(name), format!("{says}\n")).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.path("bin/powerconsul"));
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.path("bin").display());
        command.env_clear().env("PATH", path).env("TZ", "UTC").env("HOME", self.path("home"));
        command.env("SERVICES", self.path("services")).env("CONSUL_HTTP_ADDR", &self.consul);
        for (name, below) in [
            ("LOG_DIR", "log"),
            ("STATE_DIR", "state"),
            ("CRONTABS", "crontabs"),
            ("CHECK_PROCS", "check_procs"),
            ("CONSUL_CONFIG", "config.json"),
        ] {
            command.env(format!("POWERCONSUL_{name}"), self.path(below));
        }
        command.env("POWERCONSUL_NODE", &self.node).env("POWERCONSUL_SWAP_AFTER", "0").args(words);
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> (i32, String, String) {
        run(self.command(words))
    }

    /// A check: its exit status and its line.
    pub(crate) fn check(&self, words: &[&str]) -> (i32, Value) {
        let (code, out, err) = self.run(&[&["check"], words].concat());
        let line: Value = serde_json::from_str(&out).unwrap_or_else(|why| panic!("{why}: {out:?} {err}"));
        assert_eq!(line["code"], code, "{line}");
        (code, line)
    }

    /// The check of `apache2` for `web`: exit status, what is expected, and the state.
    pub(crate) fn apache2(&self) -> (i32, Value, String) {
        let (code, line) = self.check(&["service", "-s", "apache2", "-S", "web", "-U"]);
        (code, line["expects"].clone(), line["state"].as_str().unwrap().to_owned())
    }
}

pub(crate) fn consul() -> Server {
    Server::with(Options { in_memory: true, ..Options::default() })
}

pub(crate) fn put(consul: &Server, path: &str, body: &Value) {
    let (status, answer) = consul.put(path, &body.to_string()).unwrap();
    assert_eq!(status, 200, "{path}: {answer}");
}

/// The cluster data of `web`.
pub(crate) fn agree(consul: &Server, data: &Value) {
    put(consul, "/v1/kv/cluster/web", data);
}

pub(crate) fn agreed(consul: &Server) -> String {
    consul.get("/v1/kv/cluster/web?raw").unwrap().1
}

/// The service `web` on another node, with one check of the node and two of its own.
pub(crate) fn elsewhere(consul: &Server, node: &str, statuses: [&str; 3]) {
    let [of_node, first, second] = statuses;
    let check = |id: &str, service: &str, status: &str| json!({ "Node": node, "CheckID": id, "Name": id, "ServiceID": service, "Status": status });
    put(
        consul,
        "/v1/catalog/register",
        &json!({
            "Node": node, "Address": "192.0.2.1", "Service": { "ID": "web", "Service": "web" },
            "Checks": [check("node", "", of_node), check("service:web:1", "web", first), check("service:web:2", "web", second)]
        }),
    );
}

/// The service `web` on this node.
pub(crate) fn here(consul: &Server) {
    put(consul, "/v1/agent/service/register", &json!({ "Name": "web" }));
}

const WELL: [&str; 3] = ["passing", "passing", "passing"];
const ILL: [&str; 3] = ["passing", "critical", "passing"];

#[test]
fn a_standalone_check_puts_out_the_old_line_and_needs_no_consul() {
    // Nobody listens there: bug 20a.
    let rig = Rig::new("127.0.0.1:9", "n1");
    rig.conf(&json!({}));
    rig.service("apache2", "0 is running");
    let words = ["check", "service", "-s", "apache2", "-S", "web"];
    let line = "{\"clustered\": false, \"code\": 0, \"expects\": true, \"service\": \"apache2\", \"state\": \"passing\", \"type\": \"service\"}\n";
    assert_eq!(rig.run(&words), (0, line.to_owned(), String::new()));
    rig.service("apache2", "3 is stopped");
    assert_eq!(rig.apache2(), (2, json!(true), "critical".to_owned()));
    let log = rig.read("log/check/service.web.log");
    assert!(
        log.contains(" powerconsul.check - INFO: ConsulService[web].check: {\"clustered\": false"),
        "{log}"
    );
    assert!(log.contains("ConsulService[web].setDNS: Failed to update DNS tag: "), "{log}");
}

#[test]
fn bug_20a_help_and_mistakes_need_neither_consul_nor_a_configuration() {
    let rig = Rig::new("127.0.0.1:9", "n1");
    fs::remove_file(rig.path("home/.powerconsul.conf")).unwrap();
    let said = |words: &[&str]| rig.run(words);
    assert_eq!(said(&["help"]), (1, String::new(), "Usage: powerconsul help [command]\n".to_owned()));
    let (code, out, err) = said(&[]);
    assert!(code == 0 && out.contains("Commands:") && err.is_empty(), "{out}{err}");
    assert!(said(&["help", "check"]).1.contains("--noopfile"));
    let (code, out, err) = said(&["bogus"]);
    assert!(
        code == 1 && out.contains("Commands:") && err.contains("Unsupported command: bogus"),
        "{out}{err}"
    );
    let (code, out, err) = said(&["check", "service", "-s", "a"]);
    let text = "Must supply a Consul servicename: powerconsul check service -S <serviceName>";
    assert!(code == 1 && err == format!("{text}\n") && out.contains("\"state\": \"unknown\""), "{out}{err}");
    let (code, _, err) = said(&["watch", "critical"]);
    let text = "You must create a local configuration file using: powerconsul config bootstrap <options>\n";
    assert_eq!((code, err.as_str()), (1, text));
    let conf = r#"{"clusterKey": "c", "subVars": {"@ENV": "ü"}}"#;
    assert_eq!(said(&["config", "bootstrap", "-C", conf]), (0, String::new(), String::new()));
    let written = "{\"clusterKey\": \"c\", \"subVars\": {\"@ENV\": \"\\u00fc\"}}";
    assert_eq!(rig.read("home/.powerconsul.conf"), written);
    assert!(
        rig.read("log/config.log").contains(" powerconsul.config - INFO: "),
        "{}",
        rig.read("log/config.log")
    );
    let (code, _, err) = said(&["config", "bootstrap", "--config={"]);
    assert!(code == 1 && err.starts_with("Failed to parse configuration string: "), "{err}");
}

#[test]
fn bug_4_11_and_17_a_standby_is_stopped_while_the_active_node_passes_and_takes_over_when_it_does_not() {
    let consul = consul();
    let rig = Rig::new(&consul.url(), "n1");
    agree(&consul, &json!({ "active_nodes": ["other"], "standby_nodes": ["n1"] }));
    let tagged = json!({
        "ID": "web-1", "Name": "web", "Tags": ["production"], "Port": 80, "EnableTagOverride": true,
        "Checks": [{ "CheckID": "c1", "TTL": "1h", "Status": "passing" }, { "CheckID": "c2", "TTL": "1h", "Status": "passing" }]
    });
    put(&consul, "/v1/agent/service/register", &tagged);
    elsewhere(&consul, "other", WELL);
    rig.service("apache2", "3 is stopped");
    let (code, line) = rig.check(&["service", "-s", "apache2", "-S", "web"]);
    assert_eq!(
        (code, &line["expects"], &line["clustered"], &line["role"]),
        (0, &json!(false), &json!(true), &json!("secondary"))
    );
    // Bug 17: the tag is all that has changed, also where the id is not the name.
    let known = |path: &str| serde_json::from_str::<Value>(&consul.get(path).unwrap().1).unwrap();
    let service = &known("/v1/agent/services")["web-1"];
    assert_eq!(
        (&service["Tags"], &service["EnableTagOverride"]),
        (&json!(["production", "nodns"]), &json!(true))
    );
    let checks = known("/v1/agent/checks");
    assert_eq!((&checks["c1"]["Status"], &checks["c2"]["Status"]), (&json!("passing"), &json!("passing")));
    rig.service("apache2", "0 is running");
    assert_eq!(rig.apache2(), (2, json!(false), "critical".to_owned()));

    elsewhere(&consul, "other", ["passing", "passing", "critical"]);
    // Bug 4: the second check of the service counts too.
    assert_eq!(rig.apache2(), (0, json!(true), "passing".to_owned()));
    assert_eq!(known("/v1/agent/services")["web-1"]["Tags"], json!(["production"]));
    rig.service("apache2", "1 is dead but its pid file exists");
    // Bug 11.
    assert_eq!(rig.apache2(), (2, json!(true), "critical".to_owned()));
}

#[test]
fn bug_2_a_node_that_dies_is_noticed_although_its_service_still_passes() {
    let options = Options { in_memory: true, config: Member::GOSSIP.to_owned(), ..Options::default() };
    let consul = Server::with(options);
    let rig = Rig::new(&consul.url(), "n1");
    agree(&consul, &json!({ "active_nodes": ["web1"], "standby_nodes": ["n1"] }));
    here(&consul);
    let mut member = Member::join(&consul, "web1");
    let service = json!({ "Name": "web", "Check": { "TTL": "1h", "Status": "passing" } });
    assert_eq!(member.put("/v1/agent/service/register", &service.to_string()).unwrap().0, 200);
    rig.service("apache2", "3 is stopped");
    let standby =
        wait::until(LONG, || (rig.apache2() == (0, json!(false), "passing".to_owned())).then_some(()));
    assert!(standby.is_some(), "{:?}", rig.apache2());
    member.kill();
    let noticed =
        wait::until(LONG, || (rig.apache2() == (2, json!(true), "critical".to_owned())).then_some(()));
    let health: Value = serde_json::from_str(&consul.get("/v1/health/service/web").unwrap().1).unwrap();
    let of_dead = health.as_array().unwrap().iter().find(|entry| entry["Node"]["Node"] == "web1").unwrap();
    let mut statuses: Vec<&str> =
        of_dead["Checks"].as_array().unwrap().iter().map(|check| check["Status"].as_str().unwrap()).collect();
    statuses.sort_unstable();
    assert!(noticed.is_some(), "{health}");
    assert_eq!(statuses, ["critical", "passing"]);
}

#[test]
fn bug_13_what_is_wrong_with_the_data_is_told_and_is_no_warning_of_the_service() {
    let consul = consul();
    let rig = Rig::new(&consul.url(), "n1");
    rig.service("apache2", "0 is running");
    for (data, text) in [
        (json!({ "active_nodes": ["n1"] }), "Must specify both active/standby nodes attributes"),
        (
            json!({ "active_nodes": ["a"], "standby_nodes": ["b"] }),
            r#"Local node address [n1] must be in either active ["a"] or standby ["b"] node list!"#,
        ),
        (json!({ "filter": { "x": {} } }), "Host must match at least one cluster filter!"),
        (
            json!({ "active_datacenter": "dc1", "standby_datacenter": "dc2" }),
            r#"Standby datacenter [dc2] not valid, available datacenters: ["dc1"]"#,
        ),
    ] {
        agree(&consul, &data);
        let (code, out, err) = rig.run(&["check", "service", "-s", "apache2", "-S", "web"]);
        assert_eq!((code, err), (1, format!("{text}\n")));
        let line: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            (&line["state"], &line["error"], &line["expects"]),
            (&json!("unknown"), &json!(text), &json!(null))
        );
    }
    // Nor does it become one where another node rests on that check.
    agree(&consul, &json!({ "active_nodes": ["other"], "standby_nodes": ["n1"] }));
    elsewhere(&consul, "other", ["passing", "passing", "warning"]);
    assert_eq!(rig.apache2().1, json!(true));
    let unknown = json!({
        "Node": "other", "Address": "192.0.2.1",
        "Check": { "CheckID": "service:web:2", "ServiceID": "web", "Status": "warning", "Output": "{\"code\": 1, \"state\": \"unknown\"}" }
    });
    put(&consul, "/v1/catalog/register", &unknown);
    assert_eq!(rig.apache2(), (1, json!(null), "unknown".to_owned()));
}

#[test]
fn bug_3_and_8_datacenters_say_how_they_are_and_one_that_is_gone_matters_only_where_it_must() {
    let mut both = Datacenters::start(&["dc1", "dc2"]);
    let (active, standby) = (Rig::new(&both.server(0).url(), "n1"), Rig::new(&both.server(1).url(), "n2"));
    fs::write(standby.path("config.json"), r#"{"datacenter": "DC2", "a-b": {}}"#).unwrap();
    let data = json!({ "active_datacenter": "dc1", "standby_datacenter": "dc2" });
    let nodes = json!({ "active_nodes": ["n1"], "standby_nodes": ["n2"] });
    for server in [0, 1] {
        agree(both.server(server), &data);
    }
    elsewhere(both.server(0), "other", WELL);
    active.service("apache2", "3 is stopped");
    // Bug 3: the active side says how it is.
    assert_eq!(active.apache2(), (2, json!(true), "critical".to_owned()));
    active.service("apache2", "0 is running");
    assert_eq!(active.apache2(), (0, json!(true), "passing".to_owned()));
    standby.service("apache2", "3 is stopped");
    assert_eq!(standby.apache2(), (0, json!(false), "passing".to_owned()));
    elsewhere(both.server(0), "other", ILL);
    assert_eq!(standby.apache2(), (2, json!(true), "critical".to_owned()));
    // Who runs takes the role, in both datacenters.
    standby.service("apache2", "0 is running");
    for _look in 0..3 {
        assert_eq!(standby.apache2().0, 0);
    }
    let exchanged = r#"{"active_datacenter": "dc2", "standby_datacenter": "dc1"}"#;
    assert_eq!([0, 1].map(|server| agreed(both.server(server))), [exchanged; 2]);

    // Bug 8: the nodes of the other datacenter cannot be seen, and who does not need them does not care.
    agree(both.server(1), &nodes);
    here(both.server(1));
    both.kill(0);
    let (code, line) = standby.check(&["service", "-s", "apache2", "-S", "web"]);
    assert_eq!((code, &line["state"]), (1, &json!("unknown")), "{line}");
    agree(both.server(1), &json!({ "active_nodes": ["n2"], "standby_nodes": ["n1"] }));
    assert_eq!(standby.apache2(), (0, json!(true), "passing".to_owned()));
}

#[test]
fn bug_12_and_20_groups_crontabs_and_processes_are_judged_without_the_old_mistakes() {
    let consul = consul();
    let rig = Rig::new(&consul.url(), "n1");
    let standby = || agree(&consul, &json!({ "active_nodes": ["other"], "standby_nodes": ["n1"] }));
    let active = || agree(&consul, &json!({ "active_nodes": ["n1"], "standby_nodes": ["other"] }));
    elsewhere(&consul, "other", WELL);
    let code = |words: &[&str]| rig.check(&[words, &["-S", "web"]].concat()).0;

    rig.service("a", "0 is running");
    rig.service("b", "3 is stopped");
    let group = ["servicegroup", "-s", "a,b"];
    active();
    assert_eq!(code(&group), 2);
    standby();
    assert_eq!(code(&group), 2);
    rig.service("a", "3 is stopped");
    assert_eq!(code(&group), 0);
    assert_eq!(code(&["servicegroup", "-s", "a,nosuch"]), 1);

    let crontab = ["crontab", "-u", "me", "-p", "backup"];
    assert_eq!(code(&crontab), 0);
    fs::write(rig.path("crontabs/me"), "# * * * * * backup\n\n").unwrap();
    // Bug 20: a comment runs nothing.
    assert_eq!(code(&crontab), 0);
    fs::write(rig.path("crontabs/me"), "* * * * * backup\n").unwrap();
    let (_, line) = rig.check(&["crontab", "-u", "me", "-S", "web"]);
    assert_eq!(line["error"], format!("Crontab is enabled: {}", rig.path("crontabs/me").display()));
    active();
    let (_, line) = rig.check(&["crontab", "-u", "me", "-S", "web"]);
    assert_eq!(line["error"], "Incorrect permissions \"root:root\" for me crontab, expected \"me:crontab\"");
    let (_, line) = rig.check(&["crontab", "-u", "you", "-S", "web"]);
    assert_eq!(line["error"], format!("Crontab file not found: {}", rig.path("crontabs/you").display()));

    let process = |args: &str| rig.check(&["process", "-n", args, "-S", "web"]);
    assert_eq!(["0 -C x", "1", "2"].map(|args| process(args).0), [0, 1, 2]);
    assert_eq!(process("0  -C x").1["nagiosOutput"], "PROCS: 0 -C x");
    // Bug 12: what is no status of Nagios, and a death, are told.
    for args in ["3", "7", "KILL"] {
        let (code, line) = process(args);
        assert_eq!((code, &line["state"]), (1, &json!("unknown")), "{args}: {line}");
    }
    standby();
    assert_eq!(["0", "1", "2"].map(|args| process(args).0), [2, 2, 0]);
}

#[test]
fn bug_9_and_10_planned_work_keeps_every_check_green_and_not_for_ever() {
    let consul = consul();
    let rig = Rig::new(&consul.url(), "n1");
    agree(&consul, &json!({ "active_nodes": ["other"], "standby_nodes": ["n1"] }));
    elsewhere(&consul, "other", WELL);
    rig.service("apache2", "0 is running");
    fs::write(rig.path("crontabs/me"), "* * * * * x\n").unwrap();
    let file = rig.path("noop");
    fs::write(&file, "").unwrap();
    let path = file.to_str().unwrap();
    // Bug 10: crontab and process as well, also on a standby.
    for words in [["service", "-s", "apache2"], ["crontab", "-u", "me"], ["process", "-n", "0"]] {
        assert_eq!(rig.check(&[&words[..], &["-S", "web"]].concat()).0, 2);
        let (code, line) = rig.check(&[&words[..], &["-S", "web", "-F", path]].concat());
        assert!(code == 0 && line["noop"].as_str().unwrap().starts_with(&format!("{path}, for ")), "{line}");
    }
    // Bug 23: a file that was left behind does not count for ever.
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(&file).unwrap().set_modified(long_ago).unwrap();
    let (code, line) = rig.check(&["service", "-s", "apache2", "-S", "web", "-F", path]);
    assert!(code == 2 && line["noop"].as_str().unwrap().ends_with("does not count any more"), "{line}");
    // One from the future counts from when it was touched.
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    fs::File::options().write(true).open(&file).unwrap().set_modified(far).unwrap();
    let of_future = || {
        let mut command = rig.command(&["check", "service", "-s", "apache2", "-S", "web", "-F", path]);
        command.env("POWERCONSUL_NOOP_MAX_AGE", "4");
        run(command)
    };
    assert_eq!(of_future().0, 0);
    let expired =
        wait::until(LONG, || Some(of_future().1).filter(|out| out.contains("does not count any more")));
    assert!(expired.is_some());
    // Bug 9: a process that is looked for says that what is expected is so, also on a standby.
    let mut sleep = Command::new("sleep").arg("61.3917").spawn().unwrap();
    let (code, line) = rig.check(&["service", "-s", "apache2", "-S", "web", "-P", "sleep 61.3917"]);
    let (matched, _) = rig.check(&["service", "-s", "apache2", "-S", "web", "-R", r"\S+ .*sleep 61\.3917"]);
    let (unmatched, _) = rig.check(&["service", "-s", "apache2", "-S", "web", "-R", r"sleep 61\.3917"]);
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    assert_eq!((code, &line["noop"], matched, unmatched), (0, &json!("process sleep 61.3917"), 0, 2));
}

#[test]
fn bug_11_real_host_a_unit_runs_when_systemd_says_so() {
    let programs = vec![PathBuf::from(env!("CARGO_BIN_EXE_lictor"))];
    let host = Host::with(&host::Options { programs, ..host::Options::default() });
    host.unit("app.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    let check = |service: &str| {
        let said = host.run(&["lictor", "service", "check", "service", "-s", service, "-S", "web"]);
        (said.code, serde_json::from_str::<Value>(&said.stdout).unwrap()["state"].clone())
    };
    assert_eq!(check("app"), (2, json!("critical")));
    host.ok(&["systemctl", "start", "app"]);
    assert_eq!(check("app"), (0, json!("passing")));
    assert_eq!(check("app.service"), (0, json!("passing")));
    assert_eq!(check("nosuch"), (1, json!("unknown")));
}

#[test]
fn the_same_check_has_a_place_of_its_own() {
    let mut command = program();
    let words = ["service", "check", "process", "-n", "-C x", "-S", "web"];
    command.env("CONSUL_HTTP_ADDR", "127.0.0.1:9").env("HOME", "/dev/null/none").args(words);
    command.env("POWERCONSUL_CHECK_PROCS", "/no/such").env("POWERCONSUL_LOG_DIR", "/dev/null/none");
    let (code, out, err) = run(command);
    assert_eq!((code, err.as_str()), (1, "Unable to location Nagios process check script: /no/such\n"));
    assert!(out.contains("\"state\": \"unknown\""), "{out}");
}
