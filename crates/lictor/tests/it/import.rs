//! The configuration of another program, from where it lies.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lictor_testkit::consul::Server as Consul;
use serde_json::json;

use crate::node::{program, run};

const KEYS: [(&str, &str); 6] = [
    ("consul-alerts/config/checks/change-threshold", "30"),
    ("consul-alerts/config/checks/blacklist/nodes/lab1", ""),
    ("consul-alerts/config/notifiers/slack/enabled", "true"),
    ("consul-alerts/config/notifiers/slack/url", "https://hooks.example/T0/secret-hook"),
    ("consul-alerts/config/notifiers/hipchat/enabled", "true"),
    ("consul-alerts/leader", ""),
];

fn import(words: &[&str]) -> (i32, String, String) {
    let mut command = program();
    command.args(["import", "consul-alerts"]).args(words);
    run(command)
}

#[test]
fn the_keys_of_consul_alerts_become_a_valid_configuration() {
    let consul = Consul::start();
    let dir = tempfile::tempdir().unwrap();
    for (key, value) in KEYS {
        assert!(consul.put(&format!("/v1/kv/{key}"), value).is_some());
    }
    let (code, out, err) = import(&["--http-addr", &consul.url()]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("notify \"slack\" \"slack\"") && out.contains("lab1"), "{out}");
    assert!(out.contains("# TODO: `hipchat`"), "{out}");
    assert_eq!(err, "6 keys read; 1 place is marked TODO, 1 value is marked SECRET\n");
    let file = dir.path().join("alerts.hcl");
    fs::write(&file, &out).unwrap();
    let mut validate = program();
    validate.arg("validate").arg(&file);
    let (code, out, err) = run(validate);
    assert!(code == 0 && out.starts_with("the configuration is valid"), "{out}{err}");
}

#[test]
fn an_export_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("keys.json");
    let keys = KEYS.map(|(key, value)| json!({ "key": key, "flags": 0, "value": STANDARD.encode(value) }));
    fs::write(&file, json!(keys).to_string()).unwrap();
    let (code, out, err) = import(&["--file", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("webhook = \"https://hooks.example/T0/secret-hook\""), "{out}");
    fs::write(&file, "[{\"key\": \"x\", \"value\": \"?\"}]").unwrap();
    let (code, _, err) = import(&["--file", file.to_str().unwrap()]);
    assert!(code == 1 && err.contains("value of `x`") && err.contains("consul kv export"), "{err}");
}

#[test]
fn what_is_not_there_is_said_with_the_way_out() {
    let consul = Consul::start();
    let (code, out, err) = import(&["--http-addr", &consul.url()]);
    assert_eq!((code, out.as_str()), (5, ""));
    assert!(err.contains("no key below `consul-alerts/`"), "{err}");
    let (code, _, err) = import(&["--http-addr", "127.0.0.1:1"]);
    assert!(code == 4 && err.contains("CONSUL_HTTP_ADDR"), "{err}");
}
