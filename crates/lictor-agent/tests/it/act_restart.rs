//! Programs whose agent ends while they run, and what the next agent finds.
#![cfg(test)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lictor_config::{Action, KvAction};
use lictor_core::{Effect, Order, Outcome};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::act_bench::{
    Bench, HOST, LONG, done, failed, file, kill, not_started, order, processes_with, program, script, unknown,
};

const SLOW: &str = "echo once >> $DIR/count; echo $PPID > $DIR/shim; \
    while [ ! -e $DIR/go ]; do sleep 0.02; done; echo it is done";

/// An agent in a process of its own that runs a script as `r1/step/1`.
fn killable(dir: &TempDir, limit: Duration, text: &str) -> Child {
    let text = format!("DIR={}; {text}", dir.path().display());
    Command::new(HOST)
        .arg("agent")
        .arg(dir.path())
        .arg(limit.as_millis().to_string())
        .args(["/bin/sh", "-c", &text])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn kill_agent(mut agent: Child) {
    agent.kill().unwrap();
    agent.wait().unwrap();
}

#[tokio::test]
async fn a_program_goes_on_when_its_agent_ends_and_the_next_one_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let action = script(dir.path(), SLOW);
    let bench = Bench::on(dir, action.clone());
    bench.actors.run(Effect::Act(order()), LONG);
    file(&bench.path("shim")).await;
    let mut bench = bench.restart(action).await;
    bench.actors.run(Effect::Inspect(order()), LONG);
    let early = tokio::time::timeout(Duration::from_millis(200), bench.outcome(&order())).await;
    assert!(early.is_err(), "reported while it still runs: {early:?}");
    fs::write(bench.path("go"), "").unwrap();
    assert!(done(&bench.outcome(&order()).await).ends_with("\nit is done"));
    assert_eq!(file(&bench.path("count")).await, "once\n");
}

#[tokio::test]
async fn the_end_of_a_program_while_no_agent_was_there_is_known_afterwards() {
    for (ending, told) in
        [("exit 0", "exit status 0"), ("exit 4", "exit status 4"), ("kill -ABRT $$", "ended by SIGABRT")]
    {
        let dir = tempfile::tempdir().unwrap();
        let agent = killable(&dir, LONG, &format!("{SLOW}; {ending}"));
        let shim: i32 = file(&dir.path().join("shim")).await.trim().parse().unwrap();
        kill_agent(agent);
        fs::write(dir.path().join("go"), "").unwrap();
        let action = program(&["false"]);
        let mut bench = Bench::on(dir, action);
        crate::act_bench::eventually("the shim ends", || {
            // One that nobody reaps has ended too.
            let stat = fs::read_to_string(format!("/proc/{shim}/stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
        })
        .await;
        let outcome = bench.inspect(&order(), LONG).await;
        let detail = if ending == "exit 0" { done(&outcome) } else { failed(&outcome) };
        assert!(detail.starts_with(told) && detail.ends_with("\nit is done"), "{detail}");
        // Ordered again, it is not done again: the action that is configured now would fail.
        assert_eq!(bench.act(&order(), LONG).await, outcome);
        assert_eq!(file(&bench.path("count")).await, "once\n");
    }
}

#[tokio::test]
async fn the_time_limit_holds_while_no_agent_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mark = format!("DIR={}", dir.path().display());
    let agent = killable(&dir, Duration::from_millis(700), &format!("export DIR; {SLOW}"));
    file(&dir.path().join("shim")).await;
    kill_agent(agent);
    let mut bench = Bench::on(dir, program(&["false"]));
    let outcome = bench.inspect(&order(), Duration::from_millis(700)).await;
    assert!(unknown(&outcome).starts_with("stopped at its time limit after "), "{outcome:?}");
    assert_eq!(processes_with("environ", &mark), [0_u32; 0], "left behind");
}

#[tokio::test]
async fn an_abort_reaches_a_program_that_another_agent_began() {
    let dir = tempfile::tempdir().unwrap();
    let agent = killable(&dir, LONG, SLOW);
    file(&dir.path().join("shim")).await;
    kill_agent(agent);
    let mut bench = Bench::on(dir, program(&["false"]));
    // Nobody asked what became of it yet: then it is only stopped.
    bench.actors.run(Effect::Abort(order()), LONG);
    let outcome = bench.inspect(&order(), LONG).await;
    assert!(unknown(&outcome).starts_with("stopped on request after "), "{outcome:?}");
    assert!(bench.is_quiet());
}

#[tokio::test]
async fn a_program_whose_definition_changed_meanwhile_is_waited_for_by_its_trace_and_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let agent = killable(&dir, LONG, SLOW);
    file(&dir.path().join("shim")).await;
    kill_agent(agent);
    let mut bench = Bench::on(dir, Action::Kv(KvAction { key: "k".into(), value: None }));
    let order = Order { action: None, ..order() };
    bench.actors.run(Effect::Inspect(order.clone()), Duration::MAX);
    let early = tokio::time::timeout(Duration::from_millis(200), bench.outcome(&order)).await;
    assert!(early.is_err(), "reported while it still runs: {early:?}");
    bench.actors.run(Effect::Abort(order.clone()), LONG);
    let outcome = bench.outcome(&order).await;
    assert!(unknown(&outcome).starts_with("stopped on request after "), "{outcome:?}");
    assert_eq!(bench.deletions(), 0, "what the configuration says now was done");
}

#[tokio::test]
async fn when_the_shim_is_killed_too_nothing_is_known_and_nothing_goes_on_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let agent = killable(&dir, LONG, SLOW);
    let shim = file(&dir.path().join("shim")).await.trim().parse().unwrap();
    kill_agent(agent);
    kill(shim);
    let text = "node1.lineage/r1/step/1";
    let running = || {
        let all = processes_with("environ", &format!("LICTOR_STEP={text}"));
        all.into_iter().filter(|pid| cmdline(*pid).contains(dir.path().to_str().unwrap())).count()
    };
    assert_ne!(running(), 0, "the program itself was killed too");
    let action = program(&["false"]);
    let begun = Instant::now();
    let mut bench = Bench::at(dir.path(), action);
    let outcome = bench.inspect(&order(), Duration::from_millis(300)).await;
    assert_eq!(unknown(&outcome), "its shim was killed while it ran; how it ended is lost");
    assert_eq!(running(), 0, "it goes on beside whatever is done next");
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert_eq!(unknown(&bench.act(&order(), LONG).await), "its shim was killed; how it ended is lost");
    assert_eq!(file(&dir.path().join("count")).await, "once\n");
}

#[tokio::test]
async fn the_agent_itself_notices_that_the_shim_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let action = script(
        dir.path(),
        "echo $PPID > $DIR/shim; echo so far; while [ ! -e $DIR/go ]; do sleep 0.02; done",
    );
    let mut bench = Bench::on(dir, action);
    bench.actors.run(Effect::Act(order()), LONG);
    let shim = file(&bench.path("shim")).await.trim().parse().unwrap();
    let output = bench.claim(&order()).join("output");
    assert_eq!(file(&output).await, "so far\n");
    kill(shim);
    fs::write(bench.path("go"), "").unwrap();
    let outcome = bench.outcome(&order()).await;
    assert_eq!(unknown(&outcome), "its shim was killed while it ran; how it ended is lost\nso far");
}

#[tokio::test]
async fn what_is_ordered_while_the_agent_stops_is_known_not_to_have_been_begun() {
    // Of a key nobody could tell by looking, and neither of a request.
    let action = Action::Kv(KvAction { key: "k".into(), value: None });
    let bench = Bench::new(action.clone());
    bench.stop().await;
    bench.actors.run(Effect::Act(order()), LONG);
    let mut bench = bench.restart(action).await;
    assert_eq!(bench.deletions(), 0, "begun in spite of the stop");
    let outcome = bench.inspect(&order(), LONG).await;
    assert_eq!(not_started(&outcome), "was never started: the agent was stopping");
}

#[tokio::test]
async fn without_a_trace_it_was_never_started() {
    let mut bench = Bench::new(program(&["true"]));
    let outcome = bench.inspect(&order(), LONG).await;
    assert_eq!(not_started(&outcome), "was never started: there is no trace of it");
}

#[tokio::test]
async fn a_claim_that_nobody_began_is_never_begun_by_a_shim_that_comes_late() {
    let dir = tempfile::tempdir().unwrap();
    let count = dir.path().join("count");
    let mut bench = Bench::on(dir, program(&["true"]));
    let claim = bench.claim(&order());
    fs::create_dir(&claim).unwrap();
    let shim = || {
        let mut shim = Command::new(HOST);
        shim.arg("shim").arg(&claim).stdin(Stdio::piped()).spawn().unwrap()
    };
    let job = serde_json::json!({
        "argv": ["/bin/sh", "-c", format!("echo once >> {}", count.display())],
        "env": {"PATH": "/usr/bin:/bin"}, "secrets": [], "cwd": "/",
        "limit_millis": 10_000, "grace_millis": 100,
    });
    let job = job.to_string();
    // The agent died while it handed the job over: the shim begins nothing.
    let mut cut = shim();
    cut.stdin.take().unwrap().write_all(&job.as_bytes()[..job.len() - 1]).unwrap();
    assert_eq!(cut.wait().unwrap().code(), Some(75));
    // This one is still on its way when the next agent looks.
    let mut late = shim();
    let outcome = bench.inspect(&order(), LONG).await;
    assert_eq!(not_started(&outcome), "was never started: it was given up before it had begun");
    late.stdin.take().unwrap().write_all(job.as_bytes()).unwrap();
    assert_eq!(late.wait().unwrap().code(), Some(75));
    assert!(!count.exists(), "it was begun after it had been said that it never would be");
    assert_eq!(bench.act(&order(), LONG).await, outcome);

    // The same without an agent that looked: the very job is a good one.
    fs::remove_file(claim.join("holder")).unwrap();
    let mut good = shim();
    good.stdin.take().unwrap().write_all(job.as_bytes()).unwrap();
    assert_eq!(good.wait().unwrap().code(), Some(0));
    assert_eq!(file(&count).await, "once\n");
}

#[tokio::test]
async fn a_program_that_ran_when_the_machine_went_down_is_unknown() {
    let mut bench = Bench::new(program(&["true"]));
    let claim = bench.claim(&order());
    fs::create_dir(&claim).unwrap();
    let own = std::process::id();
    let holder = format!(r#"{{"v":"1","by":"shim","pid":{own},"started":1,"boot_id":"another"}}"#);
    fs::write(claim.join("holder"), holder).unwrap();
    let outcome = bench.inspect(&order(), LONG).await;
    assert_eq!(unknown(&outcome), "the machine went down while it ran");
}

#[tokio::test]
async fn a_trace_that_cannot_be_read_is_unknown_never_a_repetition() {
    let dir = tempfile::tempdir().unwrap();
    let action = script(dir.path(), "echo once >> $DIR/count");
    let mut bench = Bench::on(dir, action);
    let claim = bench.claim(&order());
    fs::create_dir(&claim).unwrap();
    for file in ["holder", "status"] {
        fs::write(claim.join(file), "{\"v\":\"1\",").unwrap();
        for outcome in [bench.inspect(&order(), LONG).await, bench.act(&order(), LONG).await] {
            assert!(unknown(&outcome).contains("is not readable"), "{outcome:?}");
        }
        fs::remove_file(claim.join(file)).unwrap();
    }
    assert!(!bench.path("count").exists());
}

#[tokio::test]
async fn killed_at_any_instant_it_is_done_once_or_known_not_to_have_been() {
    let seed = 20_261_121;
    let mut random = StdRng::seed_from_u64(seed);
    let (mut finished, mut never) = (0, 0);
    // How long one takes that is left alone: the instants lie within that, on any machine.
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    killable(&dir, LONG, "echo once >> $DIR/count").wait().unwrap();
    let mut whole = u64::try_from(begun.elapsed().as_micros()).unwrap();
    for round in 0..400 {
        if round > 0 && round % 40 == 0 {
            if finished > 0 && never > 0 {
                break;
            }
            // This machine was quicker then than it is now, or slower.
            whole = if finished == 0 { whole * 2 } else { whole / 2 };
        }
        let dir = tempfile::tempdir().unwrap();
        let mut agent = killable(&dir, LONG, "echo once >> $DIR/count");
        let micros = random.random_range(0..whole);
        tokio::time::sleep(Duration::from_micros(micros)).await;
        agent.kill().unwrap();
        let mut told = String::new();
        agent.stdout.take().unwrap().read_to_string(&mut told).unwrap();
        agent.wait().unwrap();

        let at = format!("seed {seed}, round {round}, killed after {micros} us");
        let count = dir.path().join("count");
        let mut bench = Bench::on(dir, script(std::path::Path::new("/nonexistent"), "exit 9"));
        let outcome = bench.inspect(&order(), LONG).await;
        let times = fs::read_to_string(&count).unwrap_or_default().lines().count();
        match &outcome {
            Outcome::Done { .. } => finished += 1,
            Outcome::NotStarted { .. } => never += 1,
            Outcome::Failed { .. } | Outcome::Unknown { .. } => panic!("{at}: {outcome:?}"),
        }
        assert_eq!(times, usize::from(matches!(outcome, Outcome::Done { .. })), "{at}: {outcome:?}");
        assert!(
            told.is_empty() || matches!(outcome, Outcome::Done { .. }),
            "{at}: told {told}, then {outcome:?}"
        );
        if bench.claim(&order()).exists() {
            assert_eq!(bench.act(&order(), LONG).await, outcome, "{at}");
        }
    }
    assert!(finished > 0 && never > 0, "all rounds are alike: {finished} finished, {never} never begun");
}

fn cmdline(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}
