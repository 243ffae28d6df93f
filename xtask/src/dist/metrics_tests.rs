//! The rules for Prometheus and the dashboard for Grafana that are shipped: they use metrics that the program has, and
//! Prometheus' own `promtool` is content with them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::setup::find_program;
use crate::tool::Tool;

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The metrics of ours in a text; of a histogram, the name of the whole.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    let ours = words.filter(|word| word.starts_with("lictor_"));
    ours.map(|name| name.strip_suffix("_bucket").unwrap_or(name)).collect()
}

/// What docs/http.md lists; that it is what the program has, a test of the program says.
fn known(manual: &str) -> BTreeSet<&str> {
    let rows = manual.lines().filter(|line| line.starts_with("| `lictor_"));
    rows.filter_map(|row| row.split('|').nth(1)).flat_map(metrics).collect()
}

fn promtool(words: &[&str], path: &Path) -> String {
    let program =
        find_program("promtool").expect("promtool of the package prometheus: run `cargo xtask setup`");
    Tool::new(program).args(words).arg(path).output().unwrap_or_else(|error| panic!("{error}"))
}

/// The expressions of a dashboard: its panels' and its annotations'.
fn expressions(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("expr").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(expressions)).collect()
        }
        Value::Array(values) => values.iter().flat_map(expressions).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[test]
fn what_is_shipped_uses_only_metrics_that_the_program_has() {
    let manual = text("docs/http.md");
    let known = known(&manual);
    assert!(known.contains("lictor_up") && known.contains("lictor_probe_lateness_seconds"), "{known:?}");
    for path in [
        "packaging/prometheus/lictor.rules.yml",
        "packaging/prometheus/lictor.rules.test.yml",
        "packaging/grafana/lictor.json",
    ] {
        let text = text(path);
        let used = metrics(&text);
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(
            used.len() > 5 && unknown.is_empty(),
            "{path} has what docs/http.md does not list: {unknown:?}"
        );
    }
}

#[test]
fn every_rule_is_in_order_and_fires_in_a_test_of_its_own() {
    let rules = text("packaging/prometheus/lictor.rules.yml");
    let tests = text("packaging/prometheus/lictor.rules.test.yml");
    promtool(&["check", "rules"], &file("packaging/prometheus/lictor.rules.yml"));
    promtool(&["test", "rules"], &file("packaging/prometheus/lictor.rules.test.yml"));
    let names: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 20, "{names:?}");
    let untried: Vec<_> = names.into_iter().filter(|name| !tests.contains(name)).collect();
    assert!(untried.is_empty(), "no test names {untried:?}");
}

#[test]
fn every_expression_of_the_dashboard_is_one_for_prometheus() {
    let dashboard: Value = serde_json::from_str(&text("packaging/grafana/lictor.json")).unwrap();
    let expressions = expressions(&dashboard);
    assert!(expressions.len() > 25, "{expressions:?}");
    let rules: Vec<_> = expressions
        .iter()
        .enumerate()
        .map(|(number, expression)| json!({ "record": format!("r{number}"), "expr": expression }))
        .collect();
    // JSON is YAML.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.yml");
    fs::write(&path, json!({ "groups": [{ "name": "all", "rules": rules }] }).to_string()).unwrap();
    promtool(&["check", "rules"], &path);
}
