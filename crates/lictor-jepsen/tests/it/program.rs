//! What the program says and how it ends.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use lictor_jepsen::history::{Format, History, Op};
use lictor_jepsen::sim::{Dice, Sim, plant};
use serde_json::{Value, json};

fn run(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lictor-jepsen")).current_dir(dir).args(arguments).output().unwrap()
}

/// Its exit code and what it says.
fn said(dir: &Path, arguments: &[&str]) -> (i32, String) {
    let output = run(dir, arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn write(dir: &Path, name: &str, ops: Vec<Op>) {
    let history = History::new(ops).unwrap();
    fs::write(dir.join(name), history.render(Format::of(Path::new(name)))).unwrap();
}

#[test]
fn check_ends_with_the_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let sim = Sim::default();
    write(dir, "valid.jsonl", sim.register());
    let (code, text) = said(dir, &["check", "valid.jsonl"]);
    assert_eq!((code, text.lines().last()), (0, Some("valid")), "{text}");

    let mut stale = sim.register();
    assert!(plant::stale_read(&mut stale, &mut Dice::new(1)));
    write(dir, "stale.edn", stale);
    let (code, text) = said(dir, &["check", "stale.edn"]);
    assert_eq!((code, text.lines().last()), (1, Some("invalid")), "{text}");
    assert!(text.contains("key \"k0\" is not linearizable."), "{text}");

    fs::write(dir.join("empty.jsonl"), "").unwrap();
    let (code, text) = said(dir, &["check", "empty.jsonl"]);
    assert_eq!((code, text.lines().last()), (2, Some("unknown")), "{text}");
}

#[test]
fn what_cannot_be_judged_is_no_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("broken.jsonl"), "{\"process\":0}\n").unwrap();
    let (code, text) = said(dir, &["check", "broken.jsonl"]);
    assert_eq!(code, 66);
    assert!(text.starts_with("lictor-jepsen: broken.jsonl: line 1: missing field"), "{text}");
    assert_eq!(said(dir, &["check", "none.jsonl"]).0, 66);
    write(dir, "h.jsonl", Sim::default().register());
    let (code, text) = said(dir, &["check", "h.jsonl", "--check", "regster"]);
    assert_eq!(
        (code, text.as_str()),
        (64, "lictor-jepsen: there is no check `regster`; `lictor-jepsen list` shows all\n")
    );
    assert_eq!(said(dir, &["check"]).0, 64);
    assert_eq!(said(dir, &["--help"]).0, 0);
}

#[test]
fn check_answers_programs_in_json() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "h.jsonl", Sim::default().register());
    let (code, text) =
        said(dir.path(), &["check", "h.jsonl", "--format", "json", "-c", "stats", "-c", "register"]);
    assert_eq!(code, 0);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["verdict"], "valid");
    assert_eq!(answer["outcomes"][1]["check"], "register");
}

#[test]
fn report_makes_a_page_of_a_run_with_its_logs() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let run = dir.join("run");
    fs::create_dir_all(run.join("nodes")).unwrap();
    write(&run, "history.jsonl", Sim::default().register());
    fs::write(
        run.join("run.json"),
        json!({"workload": "register", "seed": 5, "command": "lictor-jepsen run --seed 5"}).to_string(),
    )
    .unwrap();
    fs::write(run.join("nodes/n1.log"), "all is well\n").unwrap();
    let (code, text) = said(dir, &["report", "run"]);
    assert_eq!((code, text.as_str()), (0, "run/report.html: valid\n"));
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("register: valid") && page.contains("lictor-jepsen run --seed 5"));
    assert!(page.contains("href=\"./nodes/n1.log\""));

    fs::write(run.join("nodes/n1.log"), "all is well\npanic: not any more\n").unwrap();
    let (code, text) = said(dir, &["check", "run"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("n1.log:2: panic: panic: not any more"), "{text}");
    // What was found when the run was made stands.
    fs::write(run.join("verdict.json"), json!({"verdict": "unknown", "outcomes": []}).to_string()).unwrap();
    assert_eq!(said(dir, &["report", "run", "--out", "page.html"]), (2, "page.html: unknown\n".into()));
}

#[test]
fn list_names_the_checks_and_convert_writes_for_other_tools() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text) = said(dir.path(), &["list"]);
    assert_eq!(code, 0);
    assert!(text.contains("register") && text.contains("remedy:steps=N"), "{text}");
    write(dir.path(), "h.jsonl", Sim { keys: 3, ..Sim::default() }.register());
    let (code, text) = said(dir.path(), &["convert", "h.jsonl", "--to", "edn", "--key", "\"k1\""]);
    assert_eq!(code, 0);
    let history = History::parse(&text, Format::Edn).unwrap();
    assert!(!history.calls().is_empty());
    assert!(history.ops().iter().all(|op| op.key == Some(json!("k1"))));
    assert_eq!(said(dir.path(), &["convert", "h.jsonl", "--to", "edn", "--key", "k1"]).0, 64);
}
