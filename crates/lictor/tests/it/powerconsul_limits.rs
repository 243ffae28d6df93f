//! Called as powerconsul: what a check says where it cannot tell, and how long it may take.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use lictor_testkit::wait;
use serde_json::json;

use crate::node::{LONG, program, run};
use crate::powerconsul::Rig;

#[test]
fn bug_13_what_cannot_be_asked_is_not_taken_for_what_is_not_there() {
    let rig = Rig::new("127.0.0.1:9", "n1");
    rig.conf(&json!({}));
    rig.service("apache2", "0 is running");
    let error = |words: &[&str]| {
        let (code, line) = rig.check(words);
        assert_eq!((code, &line["state"]), (1, &json!("unknown")), "{line}");
        line["error"].as_str().unwrap().to_owned()
    };
    fs::create_dir(rig.path("crontabs/me")).unwrap();
    let crontab = error(&["crontab", "-u", "me", "-S", "web"]);
    assert!(
        crontab.starts_with("Failed to read crontab: ") && crontab.contains("s a directory"),
        "{crontab}"
    );
    fs::remove_file(rig.path("home/.powerconsul.conf")).unwrap();
    symlink(".powerconsul.conf", rig.path("home/.powerconsul.conf")).unwrap();
    let conf = error(&["service", "-s", "apache2", "-S", "web"]);
    assert!(conf.starts_with("Failed to parse local configuration: ") && conf.contains("symbolic"), "{conf}");
    // Under its own name a configuration may be missing, but not be one that cannot be read.
    let old = rig.command(&[]);
    let mut own = program();
    own.env_clear().envs(old.get_envs().filter_map(|(name, value)| Some((name, value?))));
    own.args(["service", "check", "process", "-n", "0", "-S", "web"]);
    let (code, out, _) = run(own);
    assert!(code == 1 && out.contains("Failed to parse local configuration"), "{code} {out}");
}

#[test]
fn a_check_ends_in_its_time_and_leaves_nothing_behind() {
    let rig = Rig::new("127.0.0.1:9", "n1");
    rig.conf(&json!({}));
    rig.script(
        "check_procs",
        "#!/bin/sh\n(sleep 10; touch \"$SERVICES/left\") &\ntouch \"$SERVICES/started\"\nwait\n",
    );
    let mut command = rig.command(&["check", "process", "-n", "0", "-S", "web"]);
    command.env("POWERCONSUL_CHECK_TIMEOUT", "1");
    let begun = tokio::time::Instant::now();
    let (code, out, err) = run(command);
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    assert!(code == 1 && out.contains("\"state\": \"unknown\""), "{out}");
    assert_eq!(err, "no answer within 1s in all\n");
    // The same when somebody ends it.
    fs::remove_file(rig.path("services/started")).unwrap();
    let mut child = rig.command(&["check", "process", "-n", "0", "-S", "web"]).spawn().unwrap();
    let started = || rig.path("services/started").exists().then_some(());
    assert!(wait::until(LONG, started).is_some());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    #[expect(clippy::disallowed_methods, reason = "that nothing comes gives no event to wait on")]
    std::thread::sleep(Duration::from_secs(10));
    assert!(!rig.path("services/left").exists(), "what it started goes on");
}

#[test]
fn bug_13_arguments_that_make_no_sense_are_no_fault_of_the_service() {
    let rig = Rig::new("127.0.0.1:9", "n1");
    for words in [
        &["check", "disk", "-S", "web"][..],
        &["check", "service", "-S", "web"],
        &["check", "service", "-s", "a", "-S", "web", "--bogus"],
    ] {
        let (code, out, _) = rig.run(words);
        assert!(code == 1 && lictor_compat::powerconsul::says_unknown(&out), "{words:?}: {out}");
    }
    for words in [
        &["service", "check", "disk", "-S", "web"][..],
        &["service", "check", "service", "-S", "web"],
        &["service", "check", "service", "-s", "a", "-S", "web", "--procre", "("],
        &["service", "check", "servicegroup", "-s", "a,,b", "-S", "web"],
    ] {
        let mut command = program();
        command.args(words);
        let (code, out, err) = run(command);
        assert_eq!(code, 2, "{words:?}: {err}");
        assert!(lictor_compat::powerconsul::says_unknown(&out) && !err.is_empty(), "{words:?}: {out}");
    }
}
