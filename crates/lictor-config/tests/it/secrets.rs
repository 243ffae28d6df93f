//! Secrets are never shown, whatever is wrong around them.

use lictor_config::{Failure, Loaded, parse};

const SECRET: &str = "hunter2";

fn shown(diagnostic: &dyn miette::Diagnostic) -> String {
    let mut out = String::new();
    let theme = miette::GraphicalTheme::unicode_nocolor();
    let handler = miette::GraphicalReportHandler::new_themed(theme).with_context_lines(20);
    handler.render_report(&mut out, diagnostic).unwrap();
    out
}

fn all(found: &Result<Loaded, Failure>) -> String {
    match found {
        Ok(loaded) => {
            let shown: String = loaded.warnings.iter().map(|warning| shown(warning)).collect();
            format!("{loaded:?} {shown}")
        }
        Err(failure) => {
            let warnings: String = failure.warnings.iter().map(|warning| shown(warning)).collect();
            let lines: Vec<_> = failure.lines().collect();
            format!("{failure:?} {failure} {} {warnings} {} {lines:?}", shown(failure), failure.to_json())
        }
    }
}

/// Everything in which a secret can be written.
const WHOLE: &str = r#"
http {
  token = "hunter2"
}
consul {
  token = "hunter2"
}
watch "http" "a" {
  url     = "http://h/"
  headers = { Authorization = "Bearer hunter2", X = "hunter2" }
}
watch "http" "e" {
  url    = "http://h/"
  bearer = "hunter2"
}
watch "http" "b" {
  url        = "http://h/"
  basic_auth = { user = "me", password = "hunter2" }
}
watch "exec" "c" {
  command = ["x"]
  env {
    PASSWORD = "hunter2"
  }
}
watch "heartbeat" "d" {
  within = "1m"
  token  = <<END
hunter2
END
}
rule "r" {
  on = check.a == "critical"
  act "kv" {
    key   = "k"
    value = "hunter2"
  }
}
"#;

#[test]
fn nothing_that_is_good_shows_one() {
    let found = parse("x.hcl", WHOLE);
    assert!(found.is_ok());
    let text = all(&found);
    assert!(!text.contains(SECRET), "{text}");
}

#[test]
fn no_mistake_on_any_line_shows_one() {
    // A misspelt name, a lost bracket, a lost quote, a lost line, on each line in turn.
    let lines: Vec<&str> = WHOLE.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let changes = [
            line.replacen('=', "", 1),
            line.replacen('"', "", 1),
            line.replacen(['{', '}', '<'], "", 1),
            line.replacen(|c: char| c.is_ascii_lowercase(), "", 1),
            line.replace("hunter2\"", "hunter2"),
            line.replace("hunter2", "hunter2\" x = \"hunter2"),
            line.replace("= ", "= 5 "),
            line.replace("token", "tokn").replace("bearer", "beare").replace("headers", "header"),
            format!("{line} $"),
            String::new(),
        ];
        for changed in changes {
            let mut text = lines.clone();
            text[index] = &changed;
            let found = parse("x.hcl", &text.join("\n"));
            let shown = all(&found);
            assert!(!shown.contains(SECRET), "line {index} as {changed:?} shows it:\n{shown}");
        }
    }
}

#[test]
fn a_mistake_in_json_shows_none() {
    for text in [
        r#"{"http": {"token": "hunter2", "x": 1}}"#,
        r#"{"http": {"token": "hunter2" "x": 1}}"#,
        r#"{"http": {"tokn": "hunter2"}}"#,
        r#"{"http": {"token": ["hunter2"]}}"#,
        r#"{"http": {"token": "hunter2}}"#,
        "{\"htp\": {\n\"token\": \"hunter2\"\n},\n}",
        r#"{"watch": {"http": {"a": {"headers": {"X": ["hunter2"]}}}}}"#,
        r#"{"watch": {"htpp": {"a": {"headers": {"X": "hunter2"}}}}}"#,
    ] {
        let found = parse("x.json", text);
        assert!(found.is_err(), "{text}");
        let shown = all(&found);
        assert!(!shown.contains(SECRET), "{text} shows it:\n{shown}");
    }
}
