//! Trouble: damaged state, nobody there, wrong words.

use std::fs;

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
    assert!(node.log().contains("could not be read and is kept as"), "{}", node.log());
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
    let mut node = Node::new(WATCHED);
    node.start();
    for args in [
        ["incidents", "i99"].as_slice(),
        &["explain", "nothing"],
        &["remedy", "show", "r7"],
        &["remedy", "retry", "r7"],
    ] {
        let (code, out, err) = node.says(args);
        assert_eq!(code, 5, "{args:?}: {out}{err}");
        assert!(err.starts_with("error: "), "{args:?}: {err}");
    }
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
