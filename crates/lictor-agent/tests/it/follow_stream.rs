//! Following what real programs print.
#![cfg(test)]

use std::fs;
use std::time::Duration;

use lictor_config::{Command, Joined, Multiline, Pattern, Restart, Stream, Watch, WatchKind};
use lictor_testkit::wait;
use regex::Regex;

use crate::follow_rig::Follow;
use crate::watch_rig::told;

fn stream(argv: &[&str]) -> Watch {
    let command = Command {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        captured: Vec::new(),
        env: Vec::new(),
        cwd: None,
    };
    let pattern =
        |name: &str, regex: &str| Pattern { name: name.parse().unwrap(), regex: Regex::new(regex).unwrap() };
    Watch {
        kind: WatchKind::Stream(Stream { command, restart: Restart::Always, multiline: None }),
        every: Duration::from_millis(200),
        timeout: Duration::from_secs(5),
        patterns: vec![pattern("numbered", "(?s)number (?P<number>[0-9]+)"), pattern("long", "^x+$")],
    }
}

fn shell(script: &str) -> Watch {
    stream(&["/bin/sh", "-c", script])
}

fn changed(watch: Watch, change: impl FnOnce(&mut Stream)) -> Watch {
    let WatchKind::Stream(mut stream) = watch.kind else { unreachable!() };
    change(&mut stream);
    Watch { kind: WatchKind::Stream(stream), ..watch }
}

fn runs(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.trim())).is_ok_and(|stat| !stat.contains(") Z "))
}

#[tokio::test]
async fn lines_come_as_they_are_printed() {
    let mut follow = Follow::new(shell("for n in 1 2 3; do echo number $n; done; exec sleep 100")).await;
    assert_eq!(follow.lines(3).await, ["number 1", "number 2", "number 3"]);
    follow.says("passing: `/bin/sh` runs").await;
    assert!(runs(&follow.value("pid").await.to_string()));
}

#[tokio::test]
async fn one_that_ends_is_started_again_and_its_last_words_are_the_reason() {
    let script = "echo number 1; echo first >&2; printf '\\033[31mno such device\\n' >&2; exit 3";
    let mut follow = Follow::new(shell(script)).await;
    follow.lines(2).await;
    follow
        .says("unknown: `/bin/sh` ended with exit status: 3:  [31mno such device; it is tried again in")
        .await;
    assert!(follow.restarts[0].ends_with("[31mno such device"), "{:?}", follow.restarts);
    let mut follow = Follow::new(stream(&["/no/such/program"])).await;
    follow.says("unknown: cannot start `/no/such/program`: no such file or directory").await;
}

#[tokio::test]
async fn one_that_is_done_is_not_started_again_when_that_is_wanted() {
    let done = changed(shell("printf 'number 1\\nnumber 2'"), |stream| stream.restart = Restart::OnFailure);
    let mut follow = Follow::new(done).await;
    follow.says("passing: `/bin/sh` ended with exit status: 0").await;
    assert_eq!(follow.lines(2).await, ["number 1", "number 2"]);
    assert!(follow.restarts.is_empty());
    let failed = changed(shell("exit 1"), |stream| stream.restart = Restart::OnFailure);
    Follow::new(failed).await.until("a restart", |follow| !follow.restarts.is_empty()).await;
}

#[tokio::test]
async fn it_ends_with_the_agent_and_so_does_what_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pids").display().to_string();
    // Neither heeds TERM.
    let script = format!(
        "trap '' TERM; (trap '' TERM; sleep 1000) & echo $$ > {file}; echo $! >> {file}; echo number 1; sleep 1000"
    );
    let mut follow = Follow::new(shell(&script)).await;
    follow.lines(1).await;
    let pids = fs::read_to_string(&file).unwrap();
    assert!(pids.lines().count() == 2 && pids.lines().all(runs));
    drop(follow);
    tokio::task::yield_now().await;
    let gone = tokio::task::spawn_blocking(move || {
        wait::until(Duration::from_secs(10), || (!pids.lines().any(runs)).then_some(()))
    });
    assert!(gone.await.unwrap().is_some(), "they outlive the agent");
}

#[tokio::test]
async fn what_it_leaves_behind_does_not_outlive_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid").display().to_string();
    let mut follow = Follow::new(shell(&format!("sleep 1000 & echo $! > {file}; echo number 1"))).await;
    follow.until("a restart", |follow| !follow.restarts.is_empty()).await;
    let pid = fs::read_to_string(&file).unwrap();
    drop(follow);
    let gone = wait::until(Duration::from_secs(10), || (!runs(&pid)).then_some(()));
    assert!(gone.is_some());
}

#[tokio::test]
async fn long_lines_and_bytes_that_are_no_characters_are_cut_and_replaced() {
    let script =
        "head -c 10000000 /dev/zero | tr '\\0' x; printf '\\nnumber \\377 number 2\\n'; exec sleep 100";
    let mut follow = Follow::new(shell(script)).await;
    let lines = follow.lines(2).await;
    assert_eq!((lines[0].len(), lines[1].as_str()), (4_096, "number \u{fffd} number 2"));
    assert_eq!(follow.value("skipped").await, 10_000_000.0 - 65_536.0);
}

#[tokio::test]
async fn several_lines_make_a_record_that_is_over_after_a_pause() {
    let script = "printf 'trace\\n number 1\\n at\\nnext\\n number 2\\n'; exec sleep 100";
    let multiline = Multiline {
        by: Joined::Continue(Regex::new("^ ").unwrap()),
        max_lines: 100,
        flush_after: Duration::from_millis(300),
    };
    let mut follow = Follow::new(changed(shell(script), |stream| stream.multiline = Some(multiline))).await;
    assert_eq!(follow.lines(2).await, ["trace\n number 1\n at", "next\n number 2"]);
}

#[tokio::test]
async fn nothing_of_a_million_lines_is_lost_and_a_program_that_talks_on_stderr_is_not_held_up() {
    let script = "i=0; while [ $i -lt 2000 ]; do echo 'some talk that fills the pipe of the other output' >&2; i=$((i+1)); done; \
                  seq -f 'number %.0f' 1000000; exec sleep 100";
    let mut follow = Follow::new(shell(script)).await;
    let total = |follow: &Follow| follow.matches.iter().map(|found| u64::from(found.count)).sum::<u64>();
    follow.until("a million", |follow| total(follow) >= 1_000_000).await;
    assert_eq!(total(&follow), 1_000_000);
    assert_eq!(follow.matches.last().unwrap().line, "number 1000000");
    let sample = follow.look().await.unwrap();
    assert_eq!(follow.value("lines").await, 1_000_000.0, "{}", told(&sample));
}
