//! `lictor service`: what a person sees of clustered services, and what init scripts and Consul's watches get.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use lictor_testkit::consul::Server;
use lictor_testkit::process::Child;
use lictor_testkit::service::{Answer, Service};
use lictor_testkit::wait;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::node::{LONG, Node, program, run};

/// An agent of node2 that plays what its nodes do: with each look one step further.
struct Agent {
    service: Service,
    plays: Arc<Mutex<Plays>>,
}

#[derive(Default)]
struct Plays {
    /// How it stands, one for each look; the last one stays.
    looks: Vec<Value>,
    /// What is answered to who asks for something.
    answer: (u16, Value),
}

impl Agent {
    fn start(looks: Vec<Value>, answer: (u16, Value)) -> Self {
        let plays = Arc::new(Mutex::new(Plays { looks, answer }));
        let shared = Arc::clone(&plays);
        let service = Service::start(move |call| {
            let mut plays = shared.lock().unwrap();
            match (call.method.as_str(), call.path.as_str()) {
                ("POST", _) => Answer::new(plays.answer.0, plays.answer.1.to_string()),
                ("GET", "/v1/services/web") => {
                    let look = match plays.looks.as_slice() {
                        [_, _, ..] => plays.looks.remove(0),
                        last => last.first().cloned().unwrap_or_default(),
                    };
                    match look.get("error") {
                        Some(_) => Answer::new(503, look.to_string()),
                        None => Answer::new(200, look.to_string()),
                    }
                }
                _ => Answer::new(404, r#"{"error": {"code": "not_found", "message": "nothing"}}"#),
            }
        });
        Self { service, plays }
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = program();
        command.args(args).env("LICTOR_HTTP_ADDR", self.service.url()).env("USER", "ann");
        command
    }

    fn says(&self, args: &[&str]) -> (i32, String, String) {
        run(self.command(args))
    }

    /// The bodies of what was asked for, with the verb.
    fn asked(&self) -> Vec<(String, Value)> {
        let posts = self.service.calls().into_iter().filter(|call| call.method == "POST");
        let asked = posts.map(|call| {
            let verb = call.path.rsplit('/').next().unwrap().to_owned();
            (verb, serde_json::from_str(&call.body).unwrap())
        });
        asked.collect()
    }
}

/// It runs on node1, as node2 sees it.
fn on_node1(operation: Value) -> Value {
    json!({
        "name": "web", "node": "node2", "nodes": ["node1", "node2"], "units": ["apache2.service"],
        "failover": "automatic", "lease": {"state": "other", "holder": "node1", "token": 7, "length_ms": 4_200},
        "here": {"state": "stopped", "able": true}, "active": "node1", "operation": operation,
    })
}

/// It runs here.
fn on_node2(operation: Value) -> Value {
    let mut service = on_node1(operation);
    service["lease"] = json!({"state": "held", "holder": "node2", "token": 8, "length_ms": 4_200});
    service["here"] = json!({"state": "running", "token": 8, "able": true});
    service["active"] = json!("node2");
    service
}

fn operation(phase: &str) -> Value {
    let (over, why) = (matches!(phase, "done" | "failed"), (phase == "failed").then_some("node2 is full"));
    json!({
        "id": "7f3a", "what": "switchover", "from": "node1", "to": "node2", "by": "ann on here", "deadline_ms": 30_000, "phase": phase,
        "why": why, "over": over,
    })
}

fn taken() -> (u16, Value) {
    (
        202,
        json!({"message": "web is to run on node2; the nodes see to it (7f3a)", "operation": operation("asked")}),
    )
}

/// Without the times, which are never the same.
fn timeless(text: &str) -> String {
    regex::Regex::new(r"\(\d+\.\ds\)").unwrap().replace_all(text, "(…)").into_owned()
}

#[test]
fn a_switchover_shows_each_step_and_ends_when_it_runs_there() {
    let away = json!({"error": {"code": "unavailable", "message": "the agent is stopping"}});
    let looks = vec![
        on_node1(Value::Null),
        on_node1(operation("ready")),
        away,
        on_node1(operation("stopping")),
        on_node1(operation("handed")),
        on_node2(operation("done")),
    ];
    let agent = Agent::start(looks, taken());
    let (code, out, err) = agent.says(&["service", "switchover", "web", "--to", "node2", "--timeout", "20s"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    insta::assert_snapshot!(timeless(&out), @r"
    Preparing node2... SUCCESS (…)
    Telling node1... SUCCESS (…)
    Stopping on node1... SUCCESS (…)
    Starting on node2... SUCCESS (…)
    web runs on node2
    ");
    let [(verb, body)] = agent.asked().try_into().unwrap();
    assert_eq!(
        (verb.as_str(), &body["to"], &body["deadline_ms"]),
        ("switchover", &json!("node2"), &json!(20_000))
    );
    assert!(body["by"].as_str().unwrap().starts_with("ann on "), "{body}");
}

#[test]
fn a_switchover_that_fails_says_why_and_fails() {
    let agent = Agent::start(vec![on_node1(operation("failed"))], taken());
    let (code, out, err) = agent.says(&["service", "promote", "web"]);
    assert_eq!((code, out.as_str()), (1, "Preparing node2... FAILED\n"));
    assert!(err.contains("a switchover to node2 of web failed: node2 is full"), "{err}");
    let (code, out, _) = agent.says(&["service", "switchover", "web", "--format", "json"]);
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &out["operation"]["phase"]), (1, &json!("failed")));
}

#[test]
fn a_switchover_by_force_waits_out_the_lease_of_a_node_that_does_not_answer() {
    let looks = vec![
        on_node1(Value::Null),
        on_node1(operation("ready")),
        on_node1(operation("failed")),
        on_node1(operation("failed")),
        on_node1(operation("ready")),
        on_node2(operation("done")),
    ];
    let agent = Agent::start(looks, taken());
    let (code, out, err) = agent.says(&["service", "switchover", "web", "--force", "--timeout", "20s"]);
    assert_eq!((code, out.ends_with("web runs on node2\n")), (0, true), "{out}{err}");
    assert!(err.contains("Whether node1 still runs the service cannot be known from here"), "{err}");
    let asked: Vec<_> = agent.asked().into_iter().map(|(verb, body)| (verb, body["to"].clone())).collect();
    assert_eq!(
        asked,
        [("switchover".to_owned(), Value::Null), ("failover".to_owned(), json!("node2"))],
        "the node that said that it could run it"
    );
}

#[test]
fn force_does_not_help_against_a_node_that_cannot_run_it() {
    let looks = vec![on_node1(Value::Null), on_node1(operation("failed"))];
    let agent = Agent::start(looks, taken());
    let (code, _, err) = agent.says(&["service", "switchover", "web", "--force"]);
    assert_eq!((code, agent.asked().len()), (1, 1), "{err}");
    assert!(err.contains("a switchover to node2 of web failed: node2 is full"), "{err}");
}

#[test]
fn whoever_waits_for_nothing_is_told_what_was_asked_for() {
    let agent = Agent::start(vec![on_node1(Value::Null)], taken());
    let (code, out, _) = agent.says(&["service", "start-primary", "web", "--no-wait"]);
    assert_eq!((code, out.as_str()), (0, "web is to run on node2; the nodes see to it (7f3a)\n"));
}

#[test]
fn the_second_operator_is_told_who_was_first() {
    let message = "bob on node1 was first and has asked for a switchover to node2, which is `stopping`";
    let busy = (409, json!({"error": {"code": "busy", "message": message}}));
    let agent = Agent::start(vec![on_node1(operation("stopping"))], busy);
    let (code, out, err) = agent.says(&["service", "switchover", "web"]);
    assert_eq!((code, out.as_str()), (6, ""));
    assert!(err.contains(message), "{err}");
}

#[test]
fn whoever_stops_waiting_is_told_that_the_nodes_go_on() {
    let agent = Agent::start(vec![on_node1(operation("stopping"))], taken());
    let dir = tempfile::tempdir().unwrap();
    let command = agent.command(&["service", "switchover", "web"]);
    let mut child = Child::spawn("switchover", command, dir.path()).unwrap();
    let begun = wait::until(LONG, || child.log_tail().contains("Stopping on node1...").then_some(()));
    assert!(begun.is_some(), "{}", child.log_tail());
    child.signal(Signal::INT).unwrap();
    let status = child.wait(LONG).unwrap().unwrap();
    let said = child.log_tail();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("the nodes go on by themselves: `lictor service status web`"), "{said}");
}

#[test]
fn status_is_the_exit_code_as_well() {
    let agent = Agent::start(vec![on_node2(Value::Null)], taken());
    assert_eq!(agent.says(&["service", "status", "web"]).0, 0);
    let mut nowhere = on_node2(Value::Null);
    nowhere["active"] = Value::Null;
    agent.plays.lock().unwrap().looks = vec![nowhere];
    let (code, out, _) = agent.says(&["service", "status", "web"]);
    assert!(code == 1 && out.contains("nodes.active: none"), "{out}");
    assert!(!out.contains('\u{1b}'), "no colours in a pipe");
    assert_eq!(agent.says(&["service", "status", "other"]).0, 5);
    agent.plays.lock().unwrap().looks = vec![on_node1(Value::Null)];
    let ours = agent.says(&["service", "status", "web"]);
    assert_eq!(agent.says(&["service", "web", "status"]), ours, "as init scripts call it");
    assert_eq!(agent.says(&["powerconsul", "service", "web", "status"]), ours, "under the old name");
    assert_eq!(ours.0, 0);
}

#[test]
fn bug_18_a_script_refuses_in_the_old_words_with_the_name_of_its_own_service() {
    let agent = Agent::start(vec![on_node1(Value::Null)], taken());
    let (code, out, err) = agent.says(&["service", "web", "start"]);
    let refused = "\nCannot manually start service on a standby node! To make this node the new primary:\n";
    assert_eq!((code, out.as_str(), err.trim()), (1, refused, "> service web start-primary"));
    let (code, out, err) = agent.says(&["service", "web", "restart"]);
    let refused = "Restart commands can only be issued on primary/active nodes!";
    assert_eq!((code, out.as_str(), err.trim()), (1, "", refused));
    assert_eq!(
        agent.says(&["service", "web", "stop"]),
        (0, "service.apache2: already stopped...\n".into(), String::new())
    );
    agent.plays.lock().unwrap().looks = vec![on_node2(Value::Null)];
    let (code, out, err) = agent.says(&["service", "web", "stop"]);
    assert!(code == 1 && out.starts_with("\nCannot manually stop service on a primary node!"), "{out}");
    assert_eq!(err.trim(), "> service web start-primary");
    let (code, _, err) = agent.says(&["service", "web", "start-primary"]);
    assert_eq!((code, err.trim()), (1, "Node is already primary/active!"));
    let started = agent.says(&["service", "web", "start"]);
    assert_eq!(started, (0, "service.apache2: already running...\n".into(), String::new()));
    assert_eq!(agent.asked(), [], "nobody was asked for anything");
    // Our own verbs do what they say.
    assert_eq!(agent.says(&["service", "stop", "web", "--no-wait"]).0, 0);
    assert_eq!(agent.asked()[0].0, "stop");
}

/// Runs a handler as Consul does: with the key on its standard input.
fn handles(agent: &Agent, consul: &Server, words: &[&str], input: &str) -> (i32, String) {
    let mut command = agent.command(words);
    command.env("CONSUL_HTTP_ADDR", consul.url());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    (ended.status.code().unwrap_or(-1), String::from_utf8_lossy(&ended.stderr).into_owned())
}

fn key(consul: &Server, key: &str) -> (String, String) {
    let (_, pair) = consul.get(&format!("/v1/kv/{key}")).unwrap();
    let pairs: Value = serde_json::from_str(&pair).unwrap();
    let value = consul.get(&format!("/v1/kv/{key}?raw")).unwrap().1;
    (pairs[0].to_string(), value)
}

#[test]
fn bugs_24_and_25_a_start_key_asks_once_and_nothing_else_means_anything() {
    let consul = Server::start();
    let agent = Agent::start(vec![on_node1(Value::Null)], taken());
    let promote = ["service", "web", "promote"];
    for nothing in ["", "null\n"] {
        assert_eq!(handles(&agent, &consul, &promote, nothing), (0, String::new()));
    }
    let at = "service/web/node2/promote";
    for nothing in ["NULL", "WAIT"] {
        consul.put(&format!("/v1/kv/{at}"), nothing).unwrap();
        assert_eq!(handles(&agent, &consul, &promote, &key(&consul, at).0), (0, String::new()));
        assert_eq!(key(&consul, at).1, nothing);
    }
    assert_eq!(agent.asked(), []);
    consul.put(&format!("/v1/kv/{at}"), "START").unwrap();
    let shown = key(&consul, at).0;
    assert_eq!(handles(&agent, &consul, &promote, &shown), (0, String::new()));
    assert_eq!(key(&consul, at).1, "WAIT");
    // Consul shows the same again when its agent starts or reloads.
    assert_eq!(handles(&agent, &consul, &promote, &shown), (0, String::new()));
    let [(verb, body)] = agent.asked().try_into().unwrap();
    assert_eq!((verb.as_str(), &body["to"]), ("switchover", &json!("node2")));
    assert!(body["by"].as_str().unwrap().ends_with("by the key service/web/node2/promote"), "{body}");
    // While nobody knows who holds the lease, the key stays as it is.
    consul.put(&format!("/v1/kv/{at}"), "START").unwrap();
    let mut blind = on_node1(Value::Null);
    blind["lease"] = json!({"state": "unknown", "why": "no answer within 1s", "length_ms": 4_200});
    agent.plays.lock().unwrap().looks = vec![blind];
    let (code, err) = handles(&agent, &consul, &promote, &key(&consul, at).0);
    assert!(code == 4 && err.contains("no answer within 1s"), "{code} {err}");
    assert_eq!((key(&consul, at).1.as_str(), agent.asked().len()), ("START", 1));
    let (code, err) = handles(&agent, &consul, &["service", "web", "demote"], &shown);
    assert!(code == 1 && err.contains("no key for `demote` of node2"), "{err}");
}

#[test]
fn a_demoted_node_hands_over_to_the_one_that_is_promoted() {
    let consul = Server::start();
    let agent = Agent::start(vec![on_node2(Value::Null)], taken());
    consul.put("/v1/kv/service/web/node3/promote", "START").unwrap();
    consul.put("/v1/kv/service/web/node2/demote", "START").unwrap();
    let shown = key(&consul, "service/web/node2/demote").0;
    assert_eq!(handles(&agent, &consul, &["service", "web", "demote"], &shown), (0, String::new()));
    let [(verb, body)] = agent.asked().try_into().unwrap();
    assert_eq!((verb.as_str(), &body["to"]), ("switchover", &json!("node3")));
}

#[test]
fn files_are_shown_written_once_and_not_replaced_unasked() {
    let agent = Agent::start(vec![on_node1(Value::Null)], (200, json!({"message": "made"})));
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    let definitions = ["--consul-definitions", "/etc/consul"];
    let args = [&["service", "init", "web", "--root", root, "--init-script"][..], &definitions].concat();
    let (code, out, _) = agent.says(&[&args[..], &["--print"]].concat());
    assert!(code == 0 && out.contains("==> /etc/init.d/web <=="), "{out}");
    assert!(!dir.path().join("etc").exists(), "nothing is written");
    let (code, out, err) = agent.says(&args);
    assert!(code == 0 && out.contains("etc/init.d/web: written"), "{out}{err}");
    let bound = dir.path().join("etc/systemd/system/apache2.service.d/50-lictor-service.conf");
    assert!(std::fs::read_to_string(bound).unwrap().contains("BindsTo=lictor-guard@web.service"));
    assert!(err.contains("`systemctl disable apache2.service`"), "{err}");
    assert!(err.contains("still to be done") && err.contains("the same on node1"), "{err}");
    let (code, out, _) = agent.says(&args);
    assert_eq!((code, out.matches(": as it should be").count(), out.lines().count()), (0, 4, 4), "{out}");
    let script = dir.path().join("etc/init.d/web");
    std::fs::write(&script, "mine").unwrap();
    let (code, _, err) = agent.says(&args);
    assert!(code == 6 && err.contains("there is something else already"), "{err}");
    assert_eq!(std::fs::read_to_string(&script).unwrap(), "mine");
    let (code, out, _) = agent.says(&[&args[..], &["--force"]].concat());
    assert!(code == 0 && out.contains("etc/init.d/web: replaced"), "{out}");
    // The script as the system runs it.
    let mut command = std::process::Command::new(&script);
    command.arg("start").env("LICTOR_HTTP_ADDR", agent.service.url());
    let (code, out, _) = run(command);
    assert!(code == 1 && out.contains("Cannot manually start service on a standby node!"), "{out}");
    let (code, _, err) = run(std::process::Command::new(&script));
    assert!(code == 2 && err.starts_with("Usage: service web {start|stop|"), "{err}");
}

/// A real node and its Consul; no node can run the unit, since there is none of that name.
fn real(consul: &Server) -> Node {
    let blocks = format!(
        "consul {{\n  address = \"{}\"\n}}\n\
         watch \"heartbeat\" \"alive\" {{\n  within = \"1h\"\n}}\n\
         service \"web\" {{\n  nodes = [\"node1\", \"node2\", \"node3\"]\n  units = [\"lictor-test-none.service\"]\n}}\n",
        consul.url()
    );
    Node::named("node1", &blocks)
}

#[test]
fn a_real_agent_is_asked_paused_and_tells_what_has_happened() {
    let consul = Server::start();
    let mut node = real(&consul);
    node.start();
    let (code, out, _) = node.says(&["service", "list"]);
    assert!(code == 0 && out.contains("web") && out.contains("node1, node2, node3"), "{out}");
    // Nobody runs it before there is a record of its lease.
    let (code, out, err) = node.says(&["service", "status", "web"]);
    assert_eq!(code, 1, "{out}{err}");
    let (code, _, err) = node.says(&["service", "switchover", "web", "--check"]);
    assert_eq!(code, 1, "{err}");

    let paused = node.says(&["service", "pause", "web", "--for", "1h", "--why", "new disks", "--by", "bob"]);
    assert!(paused.0 == 0 && paused.1.starts_with("no node takes web over by itself until"), "{paused:?}");
    node.until("the pause is shown", |node| {
        node.says(&["service", "status", "web"]).1.contains("by bob: new disks").then_some(())
    });
    assert_eq!(node.says(&["service", "resume", "web"]).0, 0);
    node.until("its end is shown", |node| {
        let shown = node.ask(&["service", "status", "web", "--format", "json"]).ok()?;
        shown.get("paused").is_none().then_some(())
    });

    // node3 never answers.
    let asked = node.says(&["service", "failover", "web", "--to", "node3", "--no-wait", "--by", "bob"]);
    assert_eq!(asked.0, 0, "{asked:?}");
    node.until("it is under way", |node| {
        let shown = node.ask(&["service", "status", "web", "--format", "json"]).ok()?;
        (shown["operation"]["by"] == "bob").then_some(())
    });
    let second = node.says(&["service", "start", "web", "--by", "ann"]);
    assert!(
        second.0 == 6 && second.2.contains("bob was first and has asked for a take to node3"),
        "{second:?}"
    );
    node.until("what happened is told", |node| {
        let (code, out, _) = node.says(&["service", "history", "web"]);
        (code == 0 && out.contains("bob asks for a start on node3") && out.contains("new disks"))
            .then_some(())
    });
    assert_eq!(node.says(&["service", "history", "other"]).0, 5);
}

#[test]
fn a_start_where_it_cannot_run_fails_and_says_why() {
    let consul = Server::start();
    let mut node = real(&consul);
    node.start();
    node.until("the agent has looked whether it could run it", |node| {
        let shown = node.ask(&["service", "status", "web", "--format", "json"]).ok()?;
        shown["here"]["able"].is_boolean().then_some(())
    });
    let (code, out, err) = node.says(&["service", "start", "web", "--timeout", "20s"]);
    assert_eq!((code, timeless(&out).as_str()), (1, "Preparing node1... FAILED\n"), "{err}");
    assert!(err.contains("node1 cannot run it"), "{err}");
    let status = node.says(&["service", "status", "web"]).1;
    assert!(status.contains("node1 cannot run it:") && status.contains("nodes.active: none"), "{status}");
}

#[test]
fn without_consul_the_reason_is_told() {
    let mut consul = Server::start();
    let mut node = real(&consul);
    node.start();
    consul.kill();
    let (code, _, err) = node.says(&["service", "pause", "web", "--for", "1m", "--why", "x"]);
    assert!(code == 4 && err.contains("error:"), "{code} {err}");
    let (code, _, err) = node.says(&["service", "switchover", "web"]);
    assert!(matches!(code, 4 | 6), "{code} {err}");
    drop(consul);
}

#[test]
fn nobody_waits_for_ever() {
    let agent = Agent::start(vec![on_node1(operation("asked"))], taken());
    let (code, out, err) = agent.says(&["service", "switchover", "web", "--timeout", "1s"]);
    assert_eq!((code, out.as_str()), (1, "Preparing node2... \n"));
    assert!(err.contains("nothing has changed for 1 s: asked for"), "{err}");
}
