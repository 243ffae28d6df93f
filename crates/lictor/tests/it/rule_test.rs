//! Tests of rules, and the program that the example replaces.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::node::{program, run};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

fn test(args: &[&str]) -> Command {
    let mut command = program();
    command.arg("test").args(args);
    command
}

const CONFIG: &str = r#"watch "journal" "log" {
  match "bad" {
    contains = "bad"
  }
}
rule "restart" {
  on = match.log.bad
  act "exec" {
    command = ["x"]
  }
}
"#;

const TESTS: &str = r#"config = "x.hcl"

test "a bad line restarts" {
  at "1s" {
    read "log" {
      lines = ["bad"]
    }
  }
  expect "2s" {
    ran = ["restart"]
  }
}

test "a bad line restarts nothing" {
  at "1s" {
    read "log" {
      lines = ["bad"]
    }
  }
  expect "2s" {
    ran = []
  }
}
"#;

fn dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.hcl"), CONFIG).unwrap();
    fs::write(dir.path().join("x.test.hcl"), TESTS).unwrap();
    dir
}

#[test]
fn the_rules_of_the_examples_do_what_their_tests_say() {
    for entry in fs::read_dir(example("")).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".test.hcl") {
            let (code, out, err) = run(test(&[&path.display().to_string()]));
            assert_eq!(code, 0, "{out}{err}");
        }
    }
}

#[test]
fn the_tests_in_the_manual_are_good() {
    let mut seen = 0;
    for page in ["docs/supervisor.md", "docs/reference/rule-tests.md"] {
        let text = fs::read_to_string(example("..").join(page)).unwrap();
        for block in text.split("```hcl test\n").skip(1) {
            let dir = tempfile::tempdir().unwrap();
            fs::copy(example("minimal.hcl"), dir.path().join("lictor.hcl")).unwrap();
            fs::write(dir.path().join("x.test.hcl"), block.split("```").next().unwrap()).unwrap();
            let (code, out, err) = run(test(&[&dir.path().display().to_string()]));
            assert_eq!(code, 0, "{page}: {out}{err}");
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn every_rule_of_the_box_is_tested() {
    let rules = lictor_config::load(&[example("bitbox.hcl")], &lictor_config::ProcessEnv).unwrap();
    let tests = fs::read_to_string(example("bitbox.test.hcl")).unwrap();
    for remedy in rules.config.plan.remedies.keys() {
        assert!(tests.contains(&format!("\"{remedy}")), "{remedy} is not tested");
    }
}

#[test]
fn a_test_that_fails_says_what_was_expected_and_what_came() {
    let dir = dir();
    let (code, out, err) = run({
        let mut command = test(&["."]);
        command.current_dir(dir.path());
        command
    });
    assert_eq!((code, err.as_str()), (1, ""));
    insta::assert_snapshot!(out, @r#"
    ./x.test.hcl
      ok    a bad line restarts
      FAIL  a bad line restarts nothing
            at 2s, ./x.test.hcl:20: ran
              expected  nothing
              got       restart
            what happened:
                    1s  log matched bad: bad
                    1s  restart started: log matched bad
                    1s  step act: doing restart/act (attempt 1)
                    1s  step act: done: taken as done
                    1s  step act: complete
                    1s  restart is done after 0ms
    1 test passed, 1 failed
    "#);
}

#[test]
fn tests_are_chosen_by_name_and_told_as_json() {
    let dir = dir();
    let file = dir.path().join("x.test.hcl").display().to_string();
    let (code, out, _) = run(test(&[&file, "--run", "restarts$", "--format", "json"]));
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, told["passed"].as_u64(), told["failed"].as_u64()), (0, Some(1), Some(0)));
    let (code, out, _) = run(test(&[&file, "--format", "json"]));
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told["tests"][1]["differences"][0]["got"][0]), (1, &Value::from("restart")));
    let (code, _, err) = run(test(&[&file, "--run", "no such"]));
    assert!(code == 5 && err.contains("no test has a name"), "{err}");
    let (code, _, err) = run(test(&[&file, "--run", "("]));
    assert!(code == 2 && err.contains("regular expression"), "{err}");
}

#[test]
fn a_mistake_in_a_test_has_its_place() {
    let dir = dir();
    let path = dir.path().join("y.test.hcl");
    fs::write(&path, TESTS.replace("ran = [\"restart\"]", "ran = [\"restrat\"]")).unwrap();
    let (code, out, err) = run(test(&[&path.display().to_string()]));
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("did you mean `restart`?") && err.contains("y.test.hcl:10"), "{err}");
    let (code, _, err) = run(test(&["/no/such/place"]));
    assert!(code == 3 && err.contains("cannot be read"), "{err}");
    let empty = tempfile::tempdir().unwrap();
    let (code, _, err) = run(test(&[&empty.path().display().to_string()]));
    assert!(code == 5 && err.contains("holds no tests of rules"), "{err}");
}

#[test]
fn called_as_the_old_supervisor_it_takes_its_flags() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("bbbsupervisor");
    symlink(program().get_program(), &name).unwrap();
    let called = |args: &[&str]| {
        let mut command = Command::new(&name);
        command.args(args).env_clear().env("TZ", "UTC");
        run(command)
    };
    let (code, out, err) = called(&["--version"]);
    assert!(code == 0 && out.is_empty() && err.contains(" bbbsupervisor version 1.0"), "{out}{err}");
    let (code, out, err) = called(&["-help"]);
    assert!(code == 0 && out.contains("-redis-port") && err.contains("version 1.0"), "{out}{err}");
    let (code, _, err) = called(&["-h"]);
    assert!(code == 0 && err.contains("Usage of bbbsupervisor"), "{err}");
    let (code, _, err) = called(&["--redis-addr", "localhost:6379"]);
    assert!(code == 2 && err.contains("flag provided but not defined: -redis-addr"), "{err}");
    let mut command = program();
    command.args(["bbbsupervisor", "--version"]);
    assert_eq!(run(command).0, 0);
}
