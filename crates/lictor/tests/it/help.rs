//! The words of the command line.

use crate::node::{program, run};

#[test]
fn every_command_explains_itself() {
    let commands: [&[&str]; 63] = [
        &[],
        &["dev"],
        &["run"],
        &["validate"],
        &["backtest"],
        &["test"],
        &["status"],
        &["incidents"],
        &["events"],
        &["audit"],
        &["audit", "verify"],
        &["explain"],
        &["remedy"],
        &["remedy", "list"],
        &["remedy", "show"],
        &["remedy", "start"],
        &["remedy", "cancel"],
        &["alerts"],
        &["alerts", "list"],
        &["alerts", "queue"],
        &["alerts", "retry"],
        &["alerts", "drop"],
        &["alerts", "ack"],
        &["alerts", "unack"],
        &["alerts", "test"],
        &["alerts", "preview"],
        &["silence"],
        &["silence", "add"],
        &["silence", "list"],
        &["silence", "end"],
        &["probe"],
        &["peers"],
        &["peers", "status"],
        &["import"],
        &["import", "consul-alerts"],
        &["import", "sentinella"],
        &["import", "powerconsul"],
        &["import", "consul-snapshot-agent"],
        &["import", "consul-snapshot"],
        &["service"],
        &["service", "list"],
        &["service", "status"],
        &["service", "switchover"],
        &["service", "failover"],
        &["service", "start"],
        &["service", "stop"],
        &["service", "restart"],
        &["service", "promote"],
        &["service", "demote"],
        &["service", "pause"],
        &["service", "resume"],
        &["service", "history"],
        &["service", "init"],
        &["service", "check"],
        &["service", "check", "service"],
        &["service", "check", "servicegroup"],
        &["service", "check", "crontab"],
        &["service", "check", "process"],
        &["snapshot", "drill"],
        &["state"],
        &["state", "list"],
        &["state", "forget"],
        &["completions"],
    ];
    let mut shown = String::new();
    for words in commands {
        let mut command = program();
        command.args(words).arg("--help");
        let (code, out, err) = run(command);
        assert_eq!((code, err.as_str()), (0, ""), "{words:?}");
        shown.extend(["$ lictor ", &words.join(" "), " --help\n", &out, "\n"]);
    }
    let known = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");
    let page = format!("# Commands\n\nWhat `--help` says of each.\n\n```text\n{}\n```\n", shown.trim_end());
    if std::env::var_os("LICTOR_UPDATE_DOCS").is_some() {
        std::fs::write(known, &page).unwrap();
    }
    let committed = std::fs::read_to_string(known).unwrap_or_default();
    assert!(committed == page, "docs/reference/cli.md is not what the program says: run `cargo xtask docs`");
}

#[test]
fn completions_are_a_script() {
    for shell in ["bash", "zsh", "fish"] {
        let mut command = program();
        command.args(["completions", shell]);
        let (code, out, _) = run(command);
        assert!(code == 0 && out.contains("lictor"), "{shell}");
    }
}

#[test]
fn a_wrong_word_is_a_usage_error() {
    let mut command = program();
    command.arg("statsu");
    let (code, out, err) = run(command);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("status"), "{err}");
}
