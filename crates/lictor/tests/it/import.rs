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

#[test]
fn the_environment_of_sentinella_becomes_a_valid_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("env");
    let all = "PORT=5988\nURLS=\"http://127.0.0.1:8080/ example.com\"\nVOLUMES=/\nAUTH_FILE=/etc/users\n\
               PEERS_SRV=_s._tcp.example.com\nPEERS_SCHEME=https\nPEERS_TOKEN=dTpw\nSELF=10.0.0.1\n\
               TG_TOKEN=1:secret\nTG_CHAT_ID=-100\nPOLLING_INTERVAL_SEC=60\n";
    let environments = [
        (all, 0, 2),
        ("URLS=\n", 0, 0),
        (
            "PEERS_DNS=p.example\nPEERS_PORT=81\nTG_TOKEN=t\nTG_CHAT_ID=c\nSPAM=1\nDIG=dig -4\nGETENT=/x/getent\n",
            0,
            1,
        ),
        ("PEERS_TOKEN=dTpw\n", 2, 1),
        ("SERVERS=http://a:5988,http://b\nTOKENS=dTpw,dTpw\nTOKEN=t\nCHAT_ID=c\n", 0, 2),
        ("SERVERS=http://a/x,http://a/x\nTOKENS=dTpw\nTOKEN=t\nCHAT_ID=c\nTIMEOUT=0.5\n", 0, 2),
    ];
    for (text, decisions, secrets) in environments {
        fs::write(&file, text).unwrap();
        let mut command = program();
        command.args(["import", "sentinella"]).arg(&file);
        let (code, out, err) = run(command);
        assert_eq!(code, 0, "{text}{out}{err}");
        let marked = |mark: &str| out.lines().filter(|line| line.contains(mark)).count();
        assert_eq!((marked("# TODO"), marked("# SECRET")), (decisions, secrets), "{out}");
        let written = dir.path().join("imported.hcl");
        fs::write(&written, &out).unwrap();
        let mut validate = program();
        validate.arg("validate").arg(&written);
        let (code, valid, err) = run(validate);
        assert!(code == 0 && valid.starts_with("the configuration is valid"), "{out}{valid}{err}");
    }
}

#[test]
fn an_environment_of_something_else_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("env");
    let import = |text: &str| {
        fs::write(&file, text).unwrap();
        let mut command = program();
        command.args(["import", "sentinella"]).arg(&file);
        run(command)
    };
    let (code, out, err) = import("PATH=/bin\n");
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("no variable of the probe (PORT") && err.contains("EnvironmentFile="), "{err}");
    let (code, _, err) = import("PEERS_SRV=x\nTIMEOUT=soon\n");
    assert!(code == 1 && err.contains("TIMEOUT is `soon`"), "{err}");
    let mut command = program();
    command.args(["import", "sentinella", "/nonexistent/env"]);
    let (code, _, err) = run(command);
    assert!(code == 1 && err.contains("/nonexistent/env"), "{err}");
}

#[test]
fn the_settings_of_the_snapshot_agent_become_a_valid_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = r#"{"snapshot_agent": {"token": "geheim", "snapshot": {"retain": 7},
        "aws_storage": {"s3_bucket": "b", "s3_region": "r", "access_key_id": "geheim", "secret_access_key": "geheim"}}}"#;
    fs::write(dir.path().join("agent.json"), file).unwrap();
    fs::write(dir.path().join("server.json"), "{\"server\": true}").unwrap();
    let mut command = program();
    command.args(["import", "consul-snapshot-agent", "-config-dir"]).arg(dir.path()).arg("-interval=30m");
    let (code, out, err) = run(command);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("every        = \"30m\"")
            && out.contains("place \"s3\" \"s3\"")
            && !out.contains("geheim"),
        "{out}"
    );
    assert!(err.starts_with("1 file read; 2 places are marked TODO, 0 values are marked SECRET"), "{err}");
    let mut command = program();
    command.args(["import", "consul-snapshot-agent", "-nonsense"]);
    let (code, _, err) = run(command);
    assert!(code == 2 && err.contains("flag provided but not defined: -nonsense"), "{code}: {err}");
}

#[test]
fn an_environment_of_consul_snapshot_becomes_a_valid_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("env");
    fs::write(&file, "S3BUCKET=b\nS3REGION=r\nCRYPTO_PASSWORD=geheim\n").unwrap();
    let mut command = program();
    command.args(["import", "consul-snapshot"]).arg(&file);
    let (code, out, err) = run(command);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("prefix = \"backups\"") && out.contains("passphrase_file") && !out.contains("geheim"),
        "{out}"
    );
}

#[test]
fn the_settings_of_consul_replicate_become_a_valid_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.hcl");
    let old = "consul {\n  token = \"geheim\"\n}\nprefix {\n  source = \"global@dc1\"\n}\n";
    fs::write(&file, old).unwrap();
    let mut import = program();
    import.args(["import", "consul-replicate", "-prefix=b@dc1", "-config"]).arg(&file);
    let (code, out, err) = run(import);
    assert_eq!(
        (code, err.as_str()),
        (0, "1 file read; 1 place is marked TODO, 0 values are marked SECRET\n"),
        "{out}"
    );
    assert!(out.contains("global@dc1:global") && out.contains("b@dc1:b") && !out.contains("geheim"), "{out}");
    let mut import = program();
    import.args(["import", "consul-replicate", "-config"]).arg(dir.path().join("none.hcl"));
    let (code, _, err) = run(import);
    assert!(code == 1 && err.contains("missing file/folder: ") && err.contains("none.hcl"), "{err}");
}
