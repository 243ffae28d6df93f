//! Exec watchers with real programs.
#![cfg(test)]

use std::path::Path;
use std::time::Duration;

use lictor_config::{Command, Pattern, Secret, Watch, WatchKind};
use lictor_core::{Match, Status};
use lictor_testkit::wait;
use regex::Regex;

use crate::watch_rig::{LONG, Rig, number, watch};

fn command(argv: &[&str]) -> Command {
    Command {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        captured: Vec::new(),
        env: Vec::new(),
        cwd: None,
    }
}

fn of(command: Command) -> Watch {
    watch(WatchKind::Exec(command), LONG)
}

fn shell(script: &str) -> Watch {
    of(command(&["/bin/sh", "-c", script]))
}

/// Whether a process of that number runs and is no zombie.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

async fn gone(pid: String) -> bool {
    let check = move || wait::until(Duration::from_secs(10), || (!runs(&pid)).then_some(()));
    tokio::task::spawn_blocking(check).await.unwrap().is_some()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

#[tokio::test]
async fn exit_codes_mean_what_they_mean_to_nagios() {
    let rig = Rig::new();
    for (script, wanted) in [
        ("echo all is well", "passing: all is well"),
        ("echo hm; exit 1", "warning: hm"),
        ("echo bad; echo more; exit 2", "critical: bad"),
        ("echo who knows; exit 3", "unknown: who knows"),
        ("echo odd; exit 4", "unknown: exit status 4: odd"),
        ("exit 2", "critical: exit status 2"),
        ("echo the reason >&2; exit 2", "critical: the reason"),
        ("kill -9 $$", "unknown: ended by signal 9"),
    ] {
        assert_eq!(rig.see(&shell(script)).await, wanted, "{script}");
    }
}

#[tokio::test]
async fn values_after_the_bar_are_read() {
    let rig = Rig::new();
    let sample = rig.sample(&shell("echo 'OK - fine | load=0.5;1;2 time=20ms'; exit 0")).await;
    assert_eq!(sample.summary, "OK - fine");
    assert_eq!(number(&sample, "load"), Some(0.5));
    assert_eq!(number(&sample, "time"), Some(0.02));
    assert_eq!(number(&sample, "exit_status"), Some(0.0));
}

#[tokio::test]
async fn what_cannot_be_started_is_our_own_fault() {
    let rig = Rig::new();
    let found = rig.see(&of(command(&["/nonexistent/check"]))).await;
    assert_eq!(found, "unknown: cannot start `/nonexistent/check`: no such file or directory");

    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let found = rig.see(&of(command(&[&path]))).await;
    assert_eq!(found, format!("unknown: cannot start `{path}`: permission denied"));

    let elsewhere = Command { cwd: Some("/nonexistent".into()), ..command(&["/bin/true"]) };
    let found = rig.see(&of(elsewhere)).await;
    assert_eq!(found, "unknown: cannot start `/bin/true`: `/nonexistent` is not a directory");
}

#[tokio::test]
async fn no_shell_comes_between() {
    let rig = Rig::new();
    let found = rig.see(&of(command(&["/bin/echo", "$HOME; *", "`id`"]))).await;
    assert_eq!(found, "passing: $HOME; * `id`");
}

#[tokio::test]
async fn the_environment_is_the_given_one_and_little_else() {
    let rig = Rig::new();
    let given = Command {
        env: vec![("TOKEN".into(), Secret::value("t"))],
        cwd: Some("/tmp".into()),
        ..command(&["/bin/sh", "-c", "env | cut -d= -f1 | sort | tr '\\n' ' '; pwd"])
    };
    let found = rig.see(&of(given)).await;
    let names: Vec<&str> = found.trim_start_matches("passing: ").split_whitespace().collect();
    assert!(names.contains(&"TOKEN") && names.contains(&"PATH") && names.last() == Some(&"/tmp"), "{found}");
    let known = ["TOKEN", "PATH", "HOME", "LANG", "PWD", "OLDPWD", "SHLVL", "_", "/tmp"];
    assert!(names.iter().all(|name| known.contains(name)), "{found}");
}

#[tokio::test]
async fn a_program_beyond_its_time_is_ended_with_all_it_started() {
    let rig = Rig::new();
    let dir = tempfile::tempdir().unwrap();
    let (parent, child) = (dir.path().join("parent"), dir.path().join("child"));
    // Both ignore TERM: only KILL ends them.
    let script = format!(
        "trap '' TERM; echo $$ > {}; (echo $BASHPID; exec sleep 1000) & echo $! > {}; echo waiting; wait; sleep 1000",
        parent.display(),
        child.display()
    );
    let mut stubborn = shell(&script);
    stubborn.timeout = Duration::from_secs(2);
    let sample = rig.sample(&stubborn).await;
    assert_eq!(sample.status, Status::Critical);
    let start = "`/bin/sh` took longer than 2s and was ended";
    assert!(sample.summary.starts_with(start), "{}", sample.summary);
    for file in [parent, child] {
        let pid = read(&file);
        assert!(!pid.is_empty(), "it did not get as far as writing {}", file.display());
        assert!(gone(pid).await, "{} is still there", file.display());
    }
}

#[tokio::test]
async fn a_look_that_is_given_up_leaves_nothing_running() {
    let rig = Rig::new();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("child");
    let endless = shell(&format!("sleep 1000 & echo $! > {}; wait", file.display()));
    {
        let look = rig.look(&endless);
        tokio::pin!(look);
        while read(&file).is_empty() {
            let step = tokio::time::timeout(Duration::from_millis(10), &mut look).await;
            assert!(step.is_err(), "it ended: {step:?}");
        }
    }
    assert!(gone(read(&file)).await, "what the program started is still there");
}

#[tokio::test]
async fn a_process_left_behind_does_not_hold_up_the_look() {
    let rig = Rig::new();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("child");
    let sample = rig.sample(&shell(&format!("sleep 1000 & echo $! > {}; echo done", file.display()))).await;
    assert_eq!((sample.status, sample.summary.as_str()), (Status::Passing, "done"));
    assert!(number(&sample, "total_seconds").unwrap() < 10.0);
    let pid = read(&file).parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn endless_output_is_read_to_a_limit_and_does_not_hold_up_the_program() {
    let rig = Rig::new();
    let found = rig.see(&shell("head -c 10000000 /dev/zero | tr '\\0' x; exit 1")).await;
    assert_eq!(found, format!("warning: {}", "x".repeat(1_024)));
    let found = rig.see(&shell("printf '\\377\\376 caf\\303\\251\\n'")).await;
    assert_eq!(found, "passing: \u{fffd}\u{fffd} caf\u{e9}");
}

#[tokio::test]
async fn patterns_are_found_in_the_output() {
    let rig = Rig::new();
    let pattern = Pattern { name: "failed".parse().unwrap(), regex: Regex::new("failed$").unwrap() };
    let watch = Watch { patterns: vec![pattern], ..shell("echo ok; echo job 7 failed; exit 1") };
    let look = rig.look(&watch).await;
    assert_eq!(look.matches, [Match::new("failed".parse().unwrap(), "job 7 failed")]);
}

#[tokio::test]
async fn programs_are_given_the_usual_limit_of_open_files() {
    let rig = Rig::new();
    let own = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let found = rig.see(&shell("sleep 0.2; ulimit -Sn")).await;
    // Where the soft limit was the hard one from the start there is nothing to see.
    let soft: u64 = found.trim_start_matches("passing: ").parse().unwrap();
    assert!(soft <= own.current.unwrap_or(u64::MAX), "{found}");
}
