//! `lictor snapshot agent` in the place of Consul Enterprise's: its flags and files, against real Consul servers.

use std::fs;
use std::path::Path;
use std::process::Command;

use lictor_testkit::consul::{Options, Server, binary};
use lictor_testkit::process::Child;
use lictor_testkit::wait;
use rustix::process::Signal;
use serde_json::Value;

use crate::consul_alerts::token;
use crate::keys::Keys;
use crate::node::{LONG, program, run};

/// What the manual of that agent asks for, of a node of this name.
const RULES: &str = r#"acl = "write" key "consul-snapshot/lock" { policy = "write" } session_prefix "" { policy = "write" }
    service "consul-snapshot" { policy = "write" }"#;

fn server(acl: bool) -> Server {
    Server::with(Options { in_memory: true, acl, ..Options::default() })
}

/// The agent in a folder, with these arguments.
fn agent(server: &Server, folder: &Path, words: &[&str]) -> Command {
    let mut command = program();
    command.args(["snapshot", "agent"]).args(words);
    command.arg(format!("-http-addr={}", server.http_address())).current_dir(folder).env("TMPDIR", folder);
    command
}

/// Names of the snapshots in a folder, the oldest first.
fn snapshots(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".snap")).collect();
    names.sort();
    names
}

fn is_sound(path: &Path) -> bool {
    Command::new(binary()).args(["snapshot", "inspect"]).arg(path).output().unwrap().status.success()
}

/// The service with its checks, by their names.
fn checks(server: &Server) -> Vec<(String, String)> {
    let (_, found) = server.get("/v1/health/service/consul-snapshot").unwrap();
    let found: Value = serde_json::from_str(&found).unwrap_or_default();
    let checks = found[0]["Checks"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut checks: Vec<_> = checks
        .iter()
        .map(|check| (text(&check["Name"]), text(&check["Status"])))
        .filter(|(name, _)| name.starts_with("Consul Snapshot Agent"))
        .collect();
    checks.sort();
    checks
}

#[test]
fn one_is_taken_once_and_what_is_too_old_is_removed_also_of_the_old_agents() {
    let server = server(false);
    Keys(&server).put("config/port", "80");
    let dir = tempfile::tempdir().unwrap();
    let kept = dir.path().join("kept");
    fs::create_dir(&kept).unwrap();
    let old = ["consul-1479360073448728784.snap", "consul-1479360073448728785.snap"];
    for name in old.into_iter().chain(["vault-1479360073448728784.snap"]) {
        fs::write(kept.join(name), "x").unwrap();
    }
    let once = || {
        let (code, out, said) =
            run(agent(&server, dir.path(), &["-interval=0", "-retain", "2", "-local-path=kept"]));
        assert_eq!((code, out.as_str()), (0, ""), "{said}");
        said
    };
    once();
    assert_eq!(snapshots(&kept).len(), 3);
    let said = once();
    let found = snapshots(&kept);
    assert_eq!((found.len(), found[2].as_str()), (3, "vault-1479360073448728784.snap"), "{found:?}");
    assert!(is_sound(&kept.join(&found[0])) && is_sound(&kept.join(&found[1])));
    let nanoseconds = found[1].strip_prefix("consul-").unwrap().strip_suffix(".snap").unwrap();
    assert!(said.contains(&format!("[INFO] Saved snapshot {nanoseconds}")), "{said}");
    // Nothing else is there, and Consul knows nothing of it.
    assert_eq!(fs::read_dir(&kept).unwrap().count(), 3);
    assert!(checks(&server).is_empty() && Keys(&server).below("consul-snapshot/").is_empty());
}

#[test]
fn with_the_rights_of_the_manual_one_works_and_another_waits_for_the_lock() {
    let server = server(true);
    let dir = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let (secret, _) = token(&server, "snapshots", RULES);
    fs::write(dir.path().join("token"), secret).unwrap();
    let start = |name: &str| {
        let words = ["-interval=2s", "-retain=2", "-token-file=token", &format!("-local-path={name}")];
        Child::spawn(name, agent(&server, dir.path(), &words), dir.path()).unwrap()
    };
    let log = |child: &Child| fs::read_to_string(child.log()).unwrap();
    let until = |what: &str, of: &Child, mut look: Box<dyn FnMut() -> bool + '_>| {
        assert!(wait::until(LONG, || look().then_some(())).is_some(), "{what}: {}", log(of));
    };
    let (one_has, two_has) = (dir.path().join("one"), dir.path().join("two"));
    let mut one = start("one");
    until("it takes them", &one, Box::new(|| snapshots(&one_has).len() == 2));
    let passing = |name: &str| (name.to_owned(), "passing".to_owned());
    let both = [passing("Consul Snapshot Agent Alive"), passing("Consul Snapshot Agent Saving Snapshots")];
    until("both checks are there", &one, Box::new(|| checks(&server) == both));
    let said = log(&one);
    for wanted in [
        "[INFO] Snapshot agent running",
        "[INFO] Waiting to obtain leadership...",
        "[INFO] Obtained leadership",
        "[INFO] Saved snapshot ",
    ] {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let mut two = start("two");
    until("it waits", &two, Box::new(|| log(&two).contains("Waiting to obtain leadership...")));
    // As long as the first one takes two more, the second one takes none.
    let before = snapshots(&one_has);
    until(
        "the first one goes on",
        &one,
        Box::new(|| snapshots(&one_has).iter().all(|now| !before.contains(now))),
    );
    assert!(snapshots(&two_has).is_empty() && !log(&two).contains("Obtained"), "{}", log(&two));
    one.signal(Signal::TERM).unwrap();
    assert!(one.wait(LONG).unwrap().unwrap().success(), "{}", log(&one));
    until("the second one takes them", &two, Box::new(|| snapshots(&two_has).len() == 2));
    assert!(snapshots(&one_has).iter().all(|name| is_sound(&one_has.join(name))));
    two.signal(Signal::INT).unwrap();
    assert!(two.wait(LONG).unwrap().unwrap().success());
    until("nothing is left of it", &two, Box::new(|| checks(&server).is_empty()));
    // The lock is free at once, and no key of ours is there.
    assert!(!server.get("/v1/kv/consul-snapshot/lock").unwrap().1.contains("Session"));
    let (_, all) = server.get("/v1/kv/?keys").unwrap();
    assert!(!all.contains("lictor"), "{all}");
}

#[test]
fn files_of_a_folder_say_the_same_and_flags_go_before_them() {
    let server = server(false);
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    for folder in [&config, &dir.path().join("here"), &dir.path().join("there")] {
        fs::create_dir(folder).unwrap();
    }
    let file = |name: &str, text: &str| fs::write(config.join(name), text).unwrap();
    file("agent.json", r#"{"server": true, "datacenter": "elsewhere"}"#);
    file(
        "a.json",
        r#"{"snapshot_agent": {"snapshot": {"interval": "1h"}, "local_storage": {"path": "here"}}}"#,
    );
    file("b.json", r#"{"snapshot_agent": {"snapshot": {"interval": "0"}, "license_path": "/x"}}"#);
    let (code, _, said) = run(agent(&server, dir.path(), &["-config-dir=config"]));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("[WARN] no license is needed: license_path has no effect"), "{said}");
    assert_eq!(snapshots(&dir.path().join("here")).len(), 1);
    let words = ["-config-dir", "config", "--local-path", "there", "-log-level=error"];
    let (code, _, said) = run(agent(&server, dir.path(), &words));
    assert!(code == 0 && said.lines().count() == 1, "{said}");
    assert_eq!(snapshots(&dir.path().join("there")).len(), 1);

    file("c.json", r#"{"snapshot_agent": {"snapshot": {"retian": 5}, "tokn": "geheim"}}"#);
    let (code, out, said) = run(agent(&server, dir.path(), &["-config-dir=config"]));
    assert_eq!((code, out.as_str()), (1, ""));
    for wanted in [
        "config/c.json: snapshot_agent.snapshot.retian: it is not known; known here: interval, retain,",
        "config/c.json: snapshot_agent.tokn: it is not known",
    ] {
        assert!(said.contains(wanted), "{said}");
    }
    assert!(!said.contains("geheim"));
}

#[test]
fn what_cannot_be_done_ends_it_with_1_and_says_why() {
    let server = server(false);
    let dir = tempfile::tempdir().unwrap();
    let ended = |words: &[&str]| {
        let (code, out, said) = run(agent(&server, dir.path(), words));
        assert_eq!((code, out.as_str()), (1, ""), "{words:?}: {said}");
        said
    };
    assert!(ended(&["-retian=5"]).contains("flag provided but not defined: -retian"));
    assert!(ended(&["-interval=soon"]).contains("for flag -interval"));
    assert!(ended(&["-interval=0", "-local-path=away/there"]).contains("/away/there is not there"));
    // Another datacenter's are taken only once.
    let said = ended(&["-datacenter=dc2"]);
    assert!(
        said.contains("the agent is one of `dc1`, and snapshots of `dc2`") && said.contains("-interval=0")
    );
    assert!(ended(&["-datacenter=dc2", "-interval=0"]).contains("No path to datacenter"));
    let (code, _, said) = run({
        let mut command = program();
        command.args(["snapshot", "agent", "-interval=0", "-http-addr=127.0.0.1:1"]).current_dir(dir.path());
        command
    });
    assert!(code == 1 && said.contains("cannot connect to http://127.0.0.1:1"), "{said}");
    assert!(snapshots(dir.path()).is_empty());
}

#[test]
fn its_usage_has_its_flags_and_ours_says_where_they_are() {
    let help = |word: &str| {
        let mut command = program();
        command.args(["snapshot", "agent", word]);
        run(command)
    };
    let (code, theirs, said) = help("-help");
    assert_eq!((code, said.as_str()), (0, ""));
    assert!(theirs.contains("-aws-s3-static-snapshot-name=<name>"), "{theirs}");
    let (code, ours, _) = help("--help");
    assert!(code == 0 && ours.contains("-help, with one") && ours.contains("--once"), "{ours}");
}

mod objects {
    use lictor_testkit::buckets::Moto;

    use super::*;

    #[test]
    fn a_bucket_gets_them_under_the_names_of_the_manual() {
        let server = server(false);
        let moto = Moto::start(&["backups"]);
        let dir = tempfile::tempdir().unwrap();
        let keys = moto.keys();
        let s3 = [
            "-interval=0",
            "-aws-s3-bucket=backups",
            "-aws-s3-region=us-east-1",
            "-aws-s3-force-path-style",
            &format!("-aws-s3-endpoint=http://{}", moto.address()),
            "-local-path=unused",
        ];
        let once = |more: &[&str]| {
            let mut command = agent(&server, dir.path(), &[&s3[..], more].concat());
            command.env("AWS_ACCESS_KEY_ID", &keys.id).env("AWS_SECRET_ACCESS_KEY", &keys.secret);
            run(command)
        };
        for _ in 0..3 {
            let (code, _, said) = once(&["-retain=2"]);
            assert_eq!(code, 0, "{said}");
            assert!(said.contains("place=\"s3://backups/consul-snapshot\""), "{said}");
            assert!(said.contains("nothing is kept in unused"), "{said}");
        }
        let (code, _, said) = once(&["-aws-s3-static-snapshot-name=all/latest.snap"]);
        assert!(code == 0 && said.contains("file=\"all/latest.snap\""), "{said}");
        // What there is, as our own configuration sees it.
        let text = format!(
            "consul {{\n  address = \"{}\"\n}}\nsnapshot \"all\" {{\n  place \"s3\" \"far\" {{\n    bucket = \"backups\"\n    \
             endpoint = \"http://{}\"\n  }}\n}}\n",
            server.http_address(),
            moto.address()
        );
        fs::write(dir.path().join("c.hcl"), text).unwrap();
        let mut list = program();
        list.args(["snapshot", "list", "--format=json", "--config"]).arg(dir.path().join("c.hcl"));
        list.env("AWS_ACCESS_KEY_ID", &keys.id).env("AWS_SECRET_ACCESS_KEY", &keys.secret);
        let (code, out, said) = run(list);
        assert_eq!(code, 0, "{said}");
        let all: Value = serde_json::from_str(&out).unwrap();
        let mut names: Vec<&str> =
            all.as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!((names.len(), names[0]), (3, "all/latest.snap"), "{out}");
        assert!(names[1..].iter().all(|name| name.starts_with("consul-snapshot/consul-1")), "{names:?}");
        let (code, _, said) = once(&["-aws-secret-access-key=wrong", "-aws-access-key-id=x"]);
        assert!(code == 1 && said.contains("s3://backups/consul-snapshot"), "{said}");
    }
}
