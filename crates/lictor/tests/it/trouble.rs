//! Trouble: damaged state, nobody there, wrong words.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use lictor_testkit::process::Child;

use crate::node::{Node, program, run};

const WATCHED: &str = r#"
watch "exec" "works" {
  command = ["/usr/bin/false"]
  every   = "1s"
}
"#;

#[test]
fn a_state_file_cut_in_half_is_kept_aside_and_told() {
    let mut node = Node::new(WATCHED);
    node.start();
    node.until("judged", |node| (node.status("works") == "warning").then_some(()));
    node.kill();
    let file = node.path("state/state.redb");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, bytes.get(..bytes.len() / 2).unwrap()).unwrap();
    node.start();
    let kept = fs::read_dir(node.path("state")).unwrap().filter_map(Result::ok);
    let kept: Vec<_> =
        kept.filter(|entry| entry.file_name().to_string_lossy().contains("unreadable")).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(
        fs::read(kept.first().unwrap().path()).unwrap().len(),
        bytes.len() / 2,
        "nothing is thrown away"
    );
    let log = node.log();
    assert!(log.contains("could not be read and is kept as") && !log.contains("panicked"), "{log}");
    let events = node.ask(&["events", "--kind", "state_set_aside", "--format", "json"]).unwrap();
    assert!(events["events"][0]["text"].as_str().unwrap().contains(".unreadable-1"), "{events}");
    node.until("it goes on", |node| (node.status("works") == "warning").then_some(()));
}

#[test]
fn without_an_agent_a_command_says_how_to_start_one() {
    let node = Node::new("");
    let (code, out, err) = node.says(&["status"]);
    assert_eq!((code, out.as_str()), (4, ""));
    assert!(
        err.contains("cannot reach the agent at http://127.0.0.1:") && err.contains("lictor dev"),
        "{err}"
    );
}

#[test]
fn what_does_not_exist_is_named() {
    let mut node = Node::new(&format!(
        "{WATCHED}\nremedy \"by-hand\" {{\n  step \"do\" {{\n    act \"exec\" {{\n      command = [\"/bin/true\"]\n    }}\n  }}\n}}\n"
    ));
    node.start();
    for args in [
        ["incidents", "i99"].as_slice(),
        &["explain", "nothing"],
        &["remedy", "show", "r7"],
        &["remedy", "retry", "r7"],
        &["remedy", "retry", "nothing"],
        &["events", "--check", "nothing"],
        &["events", "--incident", "i99"],
        &["events", "--run", "rr"],
    ] {
        let (code, out, err) = node.says(args);
        assert_eq!(code, 5, "{args:?}: {out}{err}");
        assert!(err.starts_with("error: ") && !err.contains("GET /"), "{args:?}: {err}");
        assert!(err.contains("help: `lictor "), "{args:?}: {err}");
    }
    let (code, _, err) = node.says(&["events", "--kind", "transition", "--kind", "nothing"]);
    assert!(code == 2 && err.contains("`nothing`") && err.contains("incident_opened"), "{code} {err}");
    let (_, _, err) = node.says(&["remedy", "retry", "by-hand"]);
    assert!(err.contains("`lictor remedy start by-hand`"), "{err}");
    let (code, out, err) = node.says(&["remedy", "start", "by-hand"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
}

#[test]
fn what_programs_say_plays_no_tricks_on_the_terminal() {
    let script = r#"printf 'a\\033[2J\\033]0;title\\007 \\302\\2332J \\342\\200\\256gpj'; exit 2"#;
    let mut node = Node::new(&format!(
        "watch \"exec\" \"loud\" {{\n  command = [\"/bin/sh\", \"-c\", \"{script}\"]\n  every = \"1s\"\n  fail_after = 1\n}}\n\
         remedy \"louder\" {{\n  on = check.loud != \"passing\"\n  step \"say\" {{\n    act \"exec\" {{\n      command = [\"/bin/sh\", \"-c\", \"{script}\"]\n    }}\n  }}\n}}\n"
    ));
    node.start();
    node.until("judged", |node| (node.status("loud") == "critical").then_some(()));
    node.until("tried", |node| (!node.runs().is_empty()).then_some(()));
    let tricks = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    for args in [
        ["status", "-a"].as_slice(),
        &["incidents"],
        &["incidents", "i1"],
        &["events"],
        &["explain", "loud"],
        &["remedy", "list"],
        &["remedy", "show", "r1"],
        &["status", "--format", "json"],
        &["events", "--format", "json"],
    ] {
        let (_, out, err) = node.says(args);
        assert!(
            !out.is_empty() && !out.contains(tricks) && !err.contains(tricks),
            "{args:?}: {out:?}{err:?}"
        );
    }
    let (_, out, _) = node.says(&["status", "-a"]);
    assert!(out.contains(r"\u{1b}[2J") && out.contains(r"\u{9b}2J") && out.contains(r"\u{202e}gpj"), "{out}");
    let last = node.ask(&["status", "--format", "json"]).unwrap();
    let last = last["checks"][0]["last"]["summary"].as_str().unwrap().to_owned();
    assert!(last.contains("gpj"), "{last:?}");
}

#[test]
fn a_node_that_watches_but_does_not_act_says_so_first() {
    let mut node = Node::new(&format!("{WATCHED}\nconsul {{\n  address = \"http://127.0.0.1:1\"\n}}\n"));
    node.start();
    let (_, out, _) = node.says(&["status"]);
    assert!(out.starts_with("Watching, but not acting: ") && out.contains("--new-node"), "{out}");
    let shown = node.ask(&["status", "--format", "json"]).unwrap();
    assert!(shown["status"]["withheld"]["why"].is_string(), "{shown}");
}

#[test]
fn whoever_follows_the_events_comes_back_when_the_agent_does() {
    let mut node = Node::new(WATCHED);
    node.start();
    node.until("judged", |node| (node.status("works") == "warning").then_some(()));
    let follow = |node: &Node, name: &str, args: &[&str]| {
        let mut command = program();
        command.args(args).env("LICTOR_HTTP_ADDR", format!("http://127.0.0.1:{}", node.port));
        Child::spawn(name, command, &node.path("")).unwrap()
    };
    let _events = follow(&node, "events", &["events", "--follow"]);
    let _status = follow(&node, "status", &["status", "--watch"]);
    let heads = |node: &Node| node.read("status.log").matches("test: its one check").count();
    node.until("they follow", |node| {
        (node.read("events.log").contains("started") && heads(node) > 0).then_some(())
    });
    node.kill();
    let gone = "the agent is gone, waiting for it";
    for log in ["events.log", "status.log"] {
        node.until("it is said", |node| node.read(log).contains(gone).then_some(()));
    }
    let seen = heads(&node);
    node.start();
    node.until("they are back", |node| {
        let events = node.read("events.log");
        (events.contains("after an unclean stop") && heads(node) > seen).then_some(())
    });
    let events = node.read("events.log");
    assert_eq!((events.matches(" started").count(), events.matches(gone).count()), (2, 1), "{events}");
}

#[test]
fn what_is_watched_as_json_is_one_document_a_line_and_only_what_changed_is_shown_again() {
    let mut node = Node::new(&format!(
        "{WATCHED}\nwatch \"heartbeat\" \"calls\" {{\n  within = \"1h\"\n  group  = \"Backups\"\n}}\n"
    ));
    node.start();
    node.until("judged", |node| (node.status("works") == "warning").then_some(()));
    let mut all = Vec::new();
    for (name, args) in [
        ("silences", "silence list"),
        ("alerts", "alerts"),
        ("queue", "alerts queue"),
        ("incidents", "incidents --open"),
        ("remedies", "remedy list"),
        ("copies", "replicate status"),
        ("snapshots", "snapshot status"),
        ("services", "service list"),
        ("peers", "peers status"),
        ("all", "status"),
    ] {
        let mut command = program();
        command.args(args.split(' ')).args(["--watch", "--format", "json"]);
        command.env("LICTOR_HTTP_ADDR", format!("http://127.0.0.1:{}", node.port));
        all.push((name, Child::spawn(name, command, &node.path("")).unwrap()));
    }
    let documents = |node: &Node, name: &str| -> Vec<serde_json::Value> {
        let log = node.read(&format!("{name}.log"));
        log.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{name}: {log}")))
            .collect()
    };
    for (name, _) in &all {
        node.until(name, |node| (!documents(node, name).is_empty()).then_some(()));
    }
    assert_eq!(documents(&node, "silences")[0]["silences"].as_array().unwrap().len(), 0);
    let checks = documents(&node, "all")[0]["checks"].clone();
    assert_eq!((&checks[0]["group"], &checks[1]["group"]), (&"Backups".into(), &serde_json::Value::Null));
    let (code, out, _) = node.says(&["status"]);
    assert!(code == 1 && out.contains("CHECK  GROUP") && out.contains("calls  Backups"), "{out}");
    let (code, ..) = node.says(&["silence", "add", "check=works", "--for", "2h"]);
    assert_eq!(code, 0);
    let silences =
        node.until("it is shown", |node| Some(documents(node, "silences")).filter(|all| all.len() > 1));
    assert_eq!(silences[1]["silences"].as_array().unwrap().len(), 1);
    // What has nothing is shown once, however often it is looked at.
    for name in ["copies", "snapshots", "services", "peers", "queue"] {
        assert_eq!(documents(&node, name).len(), 1, "{name}");
    }
}

#[test]
fn no_family_of_metrics_is_there_twice() {
    let mut node = Node::new(WATCHED);
    node.start();
    for accept in ["text/plain", "application/openmetrics-text"] {
        let mut stream = TcpStream::connect(("127.0.0.1", node.port)).unwrap();
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let mut families: Vec<_> =
            page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        assert!(families.len() > 30, "{page}");
        families.sort_unstable();
        let all = families.len();
        families.dedup();
        assert_eq!(families.len(), all, "{page}");
        let manual = include_str!("../../../../docs/http.md");
        for family in families.iter().filter(|family| family.starts_with("lictor_")) {
            let family = family.strip_suffix("_total").unwrap_or(family);
            assert!(manual.contains(&format!("`{family}")), "docs/http.md lacks {family}");
        }
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir(path("empty")).unwrap();
    fs::write(path("nothing.hcl"), "").unwrap();
    let pipe = Command::new("mkfifo").arg(path("pipe.hcl")).status().unwrap();
    assert!(pipe.success());
    for (name, wanted) in [("absent.hcl", 3), ("empty", 3), ("pipe.hcl", 3), ("nothing.hcl", 0)] {
        let mut command = program();
        command.arg("validate").arg(path(name));
        let (code, _, err) = run(command);
        // Long lines are wrapped.
        let said: String = err.split_whitespace().collect();
        assert!(code == wanted && said.contains(&path(name).display().to_string()), "{name}: {code} {err}");
    }
}

#[test]
fn without_a_home_the_trial_keeps_its_state_among_temporary_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(["dev", "--print-config"]).env("HOME", "/proc/nowhere").env("TMPDIR", dir.path());
    let (code, out, err) = run(command);
    assert!(code == 0 && err.contains("warning: ") && err.contains("/proc/nowhere"), "{code} {err}");
    assert!(out.contains(&dir.path().join("lictor-dev-").display().to_string()), "{out}");
}

#[test]
fn every_mistake_in_a_configuration_is_shown_with_its_place() {
    let node =
        Node::new("watch \"http\" \"shop\" {\n  urll = \"http://127.0.0.1/\"\n  every = \"never\"\n}\n");
    let mut command = program();
    command.arg("validate").arg(node.config());
    let (code, out, err) = run(command);
    assert_eq!((code, out.as_str()), (3, ""));
    for part in ["urll", "url", "never", "lictor.hcl:9", "lictor.hcl:10"] {
        assert!(err.contains(part), "no {part} in:\n{err}");
    }
    let mut command = program();
    command.args(["validate", "-format", "json"]).arg(node.config());
    let (code, out, _) = run(command);
    let shown: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &shown["valid"]), (3, &serde_json::Value::Bool(false)));
    assert!(
        shown["problems"]
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["line"].is_u64() && one["code"].is_string())
    );
}

#[test]
fn status_answers_by_its_exit_code_too() {
    let mut node = Node::new(WATCHED);
    node.start();
    node.until("judged", |node| (node.status("works") == "warning").then_some(()));
    assert_eq!(node.says(&["status"]).0, 1);
}
