use std::fs;

use insta::assert_snapshot;

use super::*;

const CONFIG: &str = r#"watch "journal" "log" {
  unit = "a"
  match "bad" {
    contains = "bad"
  }
}
watch "heartbeat" "beat" {
  within = "1h"
}
check "all" {
  all = [check.log, check.beat]
}
rule "restart" {
  on = match.log.bad
  act "exec" {
    command = ["x"]
  }
}
remedy "long" {
  on = check.beat == "critical"
  step "one" {
    act "exec" {
      command = ["x"]
    }
  }
}
"#;

fn load(tests: &str) -> Result<RuleTests, Failure> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x.hcl"), CONFIG).unwrap();
    let path = dir.path().join("x.test.hcl");
    fs::write(&path, tests).unwrap();
    RuleTests::load(&path, &BTreeMap::new())
}

fn mistakes(tests: &str) -> String {
    let failure = load(&format!("config = \"x.hcl\"\n{tests}")).unwrap_err();
    let short = |problem: &Problem| {
        let line = problem.one_line();
        let place = line.split("x.test.hcl:").next().unwrap_or_default().to_owned() + "x.test.hcl:";
        line.replace(&place, "")
    };
    failure.errors.iter().map(short).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_test_is_what_happens_and_what_has_to_come_of_it_in_order() {
    let found = load(
        r#"config = ["x.hcl"]
test "one" {
  fail  = ["long/one"]
  takes = "5s"
  at "0s" {
    observe "beat" {
      status = "critical"
      values = { age_seconds = 7, word = "x" }
      once   = true
    }
    read "log" {
      lines = "bad"
    }
    silent = ["log"]
  }
  expect "1m 1s" {
    ran       = ["restart", "long"]
    did       = []
    held_back = { long = "cooldown" }
    checks    = { all = "unknown" }
  }
}
"#,
    )
    .unwrap();
    assert_eq!(found.loaded.config.plan.remedies.len(), 2);
    let test = &found.tests[0];
    assert_eq!((test.name.as_str(), test.line, test.takes.as_secs()), ("one", 2, 5));
    assert_eq!(test.fail, ["long/one"]);
    let Happening::Given(given) = &test.moments[0].what else { panic!() };
    assert!(matches!(&given[0], Given::Silent(check) if check.as_str() == "log"));
    let Given::Result { sample, once: true, .. } = &given[1] else { panic!("{given:?}") };
    assert_eq!((sample.status, sample.values.len()), (Status::Critical, 2));
    assert!(matches!(&given[2], Given::Lines(_, lines) if lines == &["bad"]));
    let Happening::Expected(expected) = &test.moments[1].what else { panic!() };
    assert_eq!((test.moments[1].at.as_secs(), test.moments[1].line), (61, 16));
    assert_eq!(expected.ran.as_ref().unwrap().len(), 2);
    assert_eq!((expected.did.as_deref(), &expected.failed), (Some(&[][..]), &None));
    assert_eq!(expected.checks.len(), 1);
}

#[test]
fn every_name_is_one_of_the_configuration() {
    assert_snapshot!(mistakes(r#"
test "one" {
  fail = ["long/two"]
  at "0s" {
    read "lgo" {
      lines = ["bad"]
    }
    read "beat" {
      lines = ["bad"]
    }
    observe "all" {}
  }
  expect "1s" {
    ran       = ["restrat"]
    did       = ["long/on"]
    held_back = { restart = "cooldwon" }
    checks    = { al = "passing", all = "fine" }
  }
}
"#), @r#"
    4:11: no rule, remedy or step that acts is named `long/two` (did you mean `long/one`?) [LIC0401]
    6:10: no watcher or check is named `lgo` (did you mean `log`?) [LIC0401]
    9:10: `beat` looks for nothing in lines (add a `match` block to the watcher, or use `observe`) [LIC0207]
    12:13: `all` is a check over checks (say what its members see) [LIC0401]
    15:18: no rule or remedy is named `restrat` (did you mean `restart`?) [LIC0401]
    16:18: no rule, remedy or step that acts is named `long/on` (did you mean `long/one`?) [LIC0401]
    17:29: nothing is held back by `cooldwon` (did you mean `cooldown`?) [LIC0306]
    18:19: no watcher or check is named `al` (did you mean `all`?) [LIC0401]
    18:41: `fine` is not a status (known here: `critical`, `passing`, `unknown`, `warning`) [LIC0306]
    "#);
}

#[test]
fn times_go_forward_and_something_is_expected() {
    assert_snapshot!(mistakes(r#"
test "one" {
  at "10s" {}
  at "5s" {}
  expect "soon" {}
}
test "one" {
  expect "1s" {}
  after "1s" {}
  takes = 5
}
"#), @r#"
    3:1: `test "one"` expects nothing (add expect "TIME" { … }) [LIC0203]
    5:6: this is before 10s, which stands above it (times go forward in a test) [LIC0302]
    6:10: `soon` is not a duration (write how long after the beginning, such as "30s" or "1h 5m") [LIC0301]
    8:6: the name `one` is used twice (first here: 3:6) [LIC0204]
    10:3: unknown block `after` in `test "one"` (known here: `at`, `expect`) [LIC0202]
    11:11: `takes` is a duration and needs a unit (write "5s" for seconds) [LIC0301]
    "#);
}

#[test]
fn a_file_without_tests_or_without_a_configuration_is_none() {
    assert_snapshot!(mistakes(""), @r#"1:1: there is no test in this file (add test "NAME" { … }) [LIC0203]"#);
    let lines = |failure: Failure| failure.lines().collect::<Vec<_>>().join("\n");
    assert!(lines(load("test \"x\" {}").unwrap_err()).contains("`config` of `the file` is missing"));
    let gone = load("config = \"gone.hcl\"\ntest \"x\" {}").unwrap_err();
    assert!(lines(gone).contains("gone.hcl` cannot be read"));
}

#[test]
fn a_variable_of_the_file_is_one_of_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let config = "http {\n address = \"0.0.0.0:1\"\n token_env = \"SOME_TOKEN\"\n}\n".to_owned() + CONFIG;
    fs::write(dir.path().join("x.hcl"), config).unwrap();
    let tests = "config = \"x.hcl\"\nenv = { SOME_TOKEN = \"abc\" }\ntest \"x\" {\n expect \"0s\" {}\n}";
    let path = dir.path().join("x.test.hcl");
    fs::write(&path, tests).unwrap();
    RuleTests::load(&path, &BTreeMap::new()).unwrap();
}
