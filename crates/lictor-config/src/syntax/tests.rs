use insta::assert_snapshot;

use crate::parse;
use crate::testing::{failure, json_mistakes, mistakes, parsed, shown};

#[test]
fn a_text_left_open_is_told_where_it_begins() {
    assert_snapshot!(shown(&failure("x.hcl", "watch \"http\" \"shop\" {\n  url = \"http://127.0.0.1/\n  every = \"5s\"\n}\n")), @r#"
      × the configuration has a mistake

    Error: LIC0102

      × this text is not closed on its line
       ╭─[x.hcl:2:9]
     1 │ watch "http" "shop" {
     2 │   url = "*****************
       ·         ─────────┬────────
       ·                  ╰── it begins here
     3 │   every = "**"
       ╰────
      help: add the closing `"`; longer texts stand between `<<END` and a line with `END`
    "#);
    assert_snapshot!(mistakes("watch \"http {\n}\n"), @r#"
    1:7: this text is not closed on its line (add the closing `"`; longer texts stand between `<<END` and a line with `END`) [LIC0102]
    2:1: unexpected `}` [LIC0101]
    "#);
    assert_snapshot!(mistakes("/* never\n"), @"1:1: this comment is never closed [LIC0102]");
    assert_snapshot!(mistakes("node {\n name = <<END\nabc\n"), @"2:9: this text is never closed: no line holds only `END` [LIC0102]");
}

#[test]
fn brackets_find_their_partners() {
    assert_snapshot!(mistakes("node {\n  name = \"a\"\n\nhttp {\n}\n"), @"1:6: this `{` is never closed [LIC0103]");
    assert_snapshot!(mistakes("node {\n}\n}\n"), @"3:1: this `}` closes nothing [LIC0103]");
    assert_snapshot!(mistakes("watch \"exec\" \"a\" {\n  command = [\"a\", \"b\"\n}\n"), @"2:13: this `[` is never closed [LIC0103]");
    assert_snapshot!(mistakes("remedy \"a\" {\n  step \"b\" {\n    act \"exec\" {\n      command = [\"x\"]\n  }\n}\nnode {\n}\n"), @"3:16: this `{` seems to lack its closing bracket [LIC0103]");
    let deep = format!("node {{\n name = {}1{}\n}}", "[".repeat(64), "]".repeat(64));
    assert_snapshot!(mistakes(&deep), @"2:72: brackets are nested more than 64 deep [LIC0104]");
}

#[test]
fn several_statements_are_wrong_at_once() {
    assert_snapshot!(mistakes(r#"
node { name = "a" datacenter = "b" }
http {
  port 80
}
agent {
  mode = observe"
}
consul {
  address = "x"
  address = "y"
}
watch "exec" "a" {
  command = ["grep", "\d"]
}
check "c" {
  all = [check.a,, check.b]
}
rule "r" {
  on = check.a ==
}
= 5
"#), @r#"
    2:19: unexpected `d` in a block (a block on one line holds at most one attribute; put each on a line of its own) [LIC0101]
    4:8: unexpected `8` (set a value by `name = value`, each on its own line; begin a block by `kind "label" {`) [LIC0101]
    7:17: this text is not closed on its line (add the closing `"`; longer texts stand between `<<END` and a line with `END`) [LIC0102]
    11:3: `address` is set twice in this block (first here: x.hcl:10:3) [LIC0204]
    14:23: `\d` is not an escape (write a backslash twice to mean itself, as in "\\d+") [LIC0101]
    17:18: a value is expected, not `,` (texts stand in double quotes) [LIC0101]
    20:18: a value is expected, not the end of the line (texts stand in double quotes) [LIC0101]
    22:1: unexpected `=` (set a value by `name = value`; compare by `==`) [LIC0101]
    "#);
}

#[test]
fn texts_are_not_templates() {
    assert_snapshot!(mistakes("node {\n name = \"${env(\"HOSTNAME\")}\"\n datacenter = \"%{ if x }y\"\n}\nhttp {\n token = <<E\n${x}\nE\n}\n"), @r#"
    2:10: texts are not templates: `${` would have no effect (write `$${` to mean the characters themselves) [LIC0105]
    3:16: texts are not templates: `%{` would have no effect (write `%%{` to mean the characters themselves) [LIC0105]
    7:1: texts are not templates: `${` would have no effect (write `$${` to mean the characters themselves) [LIC0105]
    "#);
    let body = "watch \"http\" \"a\" {\n url = \"http://h/\"\n body = \"$${a} %%{b}\"\n}";
    let config = parsed(body).config;
    let crate::WatchKind::Http(http) = &config.watches.values().next().unwrap().kind else { panic!() };
    assert_eq!(http.body.as_deref(), Some("${a} %{b}"));
}

#[test]
fn json_says_the_same_as_hcl() {
    let hcl = parsed(
        r#"
http {
  port = 99
}
watch "http" "a" {
  url     = "http://h/"
  headers = { Accept = "x" }
  flap {
    changes = 3
    within  = "1m"
  }
}
watch "exec" "b" {
  command = ["x"]
  match "m" {
    contains = "y"
  }
}
watch "exec" "c" {
  command = ["x"]
}
check "d" {
  any = [check.a, check.b]
}
remedy "r" {
  on = match.b.m || check["a"] == "critical"
  step "one" {
    act "kv" {
      key   = "k"
      value = "v"
    }
    on_failure = step.two
  }
  step "two" {
    wait_for = value.a.total_seconds < 5
  }
}
"#,
    );
    let json = r#"{
  "//": "a comment",
  "http": {"port": 99},
  "watch": {
    "http": {"a": {"url": "http://h/", "headers": {"Accept": "x"}, "flap": {"changes": 3, "within": "1m"}}},
    "exec": [
      {"b": {"command": ["x"], "match": {"m": {"contains": "y"}}}},
      {"c": {"command": ["x"]}}
    ]
  },
  "check": {"d": {"any": ["check.a", "check.b"]}},
  "remedy": {"r": {
    "on": "match.b.m || check[\"a\"] == \"critical\"",
    "step": [
      {"one": {"act": {"kv": {"key": "k", "value": "v"}}, "on_failure": "step.two"}},
      {"two": {"wait_for": "value.a.total_seconds < 5"}}
    ]
  }}
}"#;
    let json = parse("x.json", json).unwrap();
    let without_definition = |config: &crate::Config| {
        let mut plan = lictor_core::Plan::clone(&config.plan);
        plan.remedies.values_mut().for_each(|remedy| remedy.definition.clear());
        (plan, format!("{:?} {:?} {:?}", config.watches, config.actions, config.http))
    };
    assert_eq!(without_definition(&hcl.config), without_definition(&json.config));
}

#[test]
fn json_mistakes_have_places_too() {
    assert_snapshot!(json_mistakes("{\"node\": {\"name\": \"a\",}}"), @"1:23: unexpected `}`, expected a name in double quotes [LIC0101]");
    assert_snapshot!(json_mistakes("{\"node\": {\"name\": \"a}}"), @r#"1:19: this text is not closed on its line (add the closing `"`) [LIC0102]"#);
    assert_snapshot!(json_mistakes("[1]"), @"1:1: the file holds a list, not an object of blocks [LIC0206]");
    assert_snapshot!(json_mistakes(""), @"1:1: the file ends here, where a value is expected [LIC0101]");
    assert_snapshot!(json_mistakes(r#"{
  "nodes": {"name": "a"},
  "watch": {"htpp": {"a": {}}, "http": 5},
  "check": {"c": {"all": ["check.x", "check y"], "for": 5}},
  "rule": {"r": {"on": "check.c = \"critical\"", "act": {"exec": {"command": "x"}}}},
  "agent": {"mode": "act", "mode": "act", "level": {"a": 1}}
}"#), @r#"
    2:3: unknown block `nodes` in the configuration (did you mean `node`?) [LIC0202]
    3:13: unknown kind `htpp` of `watch` (did you mean `http`?) [LIC0208]
    3:40: `watch` needs an object here, not a number ("watch": {"KIND": {"NAME": {…}}}) [LIC0206]
    4:44: unexpected ` ` in an expression (write comparisons by `==` and join them by `&&` or `||`) [LIC0101]
    4:57: `for` is a duration and needs a unit (write "5s" for seconds) [LIC0301]
    5:32: unexpected ` ` in an expression (write comparisons by `==` and join them by `&&` or `||`) [LIC0101]
    5:78: `command` is a list of program and arguments: there is no shell to take it apart (write ["x"]) [LIC0206]
    6:28: `mode` of `agent` is set twice (first here: x.json:6:13) [LIC0204]
    6:43: unknown block `level` in `agent` [LIC0202]
    "#);
}

#[test]
fn json_expressions_point_into_the_text() {
    assert_snapshot!(shown(&failure("x.json", r#"{"rule": {"r": {"on": "check.\u0061bc == \"critical\" && check.d == \"critcal\"", "act": {"kv": {"key": "k", "delete": true}}}}}"#)), @r#"
      × the configuration has 3 mistakes

    Error: LIC0401

      × no watcher or check is named `abc`
       ╭─[x.json:1:30]
     1 │ {"rule": {"r": {"on": "check.\u0061bc == \"critical\" && check.d == \"critcal\"", "act": {"kv": {"key": "k", "delete": true}}}}}
       ·                              ────┬───
       ·                                  ╰── here
       ╰────

    Error: LIC0401

      × no watcher or check is named `d`
       ╭─[x.json:1:64]
     1 │ {"rule": {"r": {"on": "check.\u0061bc == \"critical\" && check.d == \"critcal\"", "act": {"kv": {"key": "k", "delete": true}}}}}
       ·                                                                ┬
       ·                                                                ╰── here
       ╰────

    Error: LIC0306

      × `critcal` is not a status
       ╭─[x.json:1:69]
     1 │ {"rule": {"r": {"on": "check.\u0061bc == \"critical\" && check.d == \"critcal\"", "act": {"kv": {"key": "k", "delete": true}}}}}
       ·                                                                     ─────┬─────
       ·                                                                          ╰── here
       ╰────
      help: did you mean `critical`?
    "#);
}

#[test]
fn hcl_wants_expressions_without_quotes() {
    assert_snapshot!(mistakes("check \"c\" {\n all = [\"check.x\"]\n}\n"), @"2:9: text stands where an expression is expected (write it without quotes) [LIC0206]");
}
