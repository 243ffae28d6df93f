//! Programs under the real shim, while the agent lives.
#![cfg(test)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use lictor_config::{Action, Command, KvAction, Secret};
use lictor_core::{Effect, Order, Outcome, RunId};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::Instant;

use crate::act_bench::{
    Bench, LONG, actions, done, eventually, failed, file, kill, not_started, order, processes_with, program,
    script, unknown,
};

/// A script in a directory of its own, run to its end.
async fn run(text: &str, limit: Duration) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let action = script(dir.path(), text);
    Bench::on(dir, action).act(&order(), limit).await
}

#[tokio::test]
async fn a_program_that_succeeds_is_done_and_what_it_said_is_kept() {
    let outcome = run("echo to stdout; echo to stderr >&2", LONG).await;
    let detail = done(&outcome);
    assert!(detail.starts_with("exit status 0 after "), "{detail}");
    assert!(detail.ends_with(" s\nto stdout\nto stderr"), "{detail}");
}

#[tokio::test]
async fn a_program_that_fails_has_failed_with_its_status() {
    let outcome = run("echo no disk >&2; exit 3", LONG).await;
    let detail = failed(&outcome);
    assert!(detail.starts_with("exit status 3 after ") && detail.ends_with("\nno disk"), "{detail}");
}

#[tokio::test]
async fn a_program_that_dies_by_a_signal_has_failed_and_the_signal_is_named() {
    for (signal, name) in [("SEGV", "SIGSEGV"), ("KILL", "SIGKILL"), ("TERM", "SIGTERM")] {
        let outcome = run(&format!("kill -{signal} $$"), LONG).await;
        let detail = failed(&outcome);
        assert!(detail.starts_with(&format!("ended by {name} after ")), "{detail}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_run_has_failed_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("plain"), "x").unwrap();
    fs::write(at("script"), "#!/nonexistent/interpreter\n").unwrap();
    fs::set_permissions(at("script"), fs::Permissions::from_mode(0o755)).unwrap();
    let cases = [
        (vec!["no-such-program".to_owned()], None, "there is no program `no-such-program` in PATH ("),
        (vec!["/nonexistent/x".to_owned()], None, "`/nonexistent/x` does not exist"),
        (vec![at("plain")], None, "is not executable"),
        (vec![at("")], None, "is a directory"),
        (vec![at("script")], None, "names an interpreter that does not exist"),
        (
            vec!["true".to_owned()],
            Some("/nonexistent/cwd".into()),
            "its working directory `/nonexistent/cwd`: No",
        ),
        (vec!["true".to_owned()], Some(at("plain").into()), "is a file"),
        (vec!["true".to_owned(), "x".repeat(200_000)], None, "`true` cannot be run: Argument list too long"),
    ];
    for (argv, cwd, reason) in cases {
        let mut bench =
            Bench::new(Action::Exec(Command { argv, captured: Vec::new(), env: Vec::new(), cwd }));
        let outcome = bench.act(&order(), LONG).await;
        let detail = failed(&outcome);
        assert!(detail.starts_with("was never started: ") && detail.contains(reason), "{detail}");
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_starts_nothing() {
    let env = vec![("TOKEN".to_owned(), Secret::file("/nonexistent/token"))];
    let action = Action::Exec(Command { argv: vec!["true".into()], captured: Vec::new(), env, cwd: None });
    let mut bench = Bench::new(action);
    for _ in 0..2 {
        let outcome = bench.act(&order(), LONG).await;
        let detail = not_started(&outcome);
        assert!(detail.contains("cannot read the secret in `/nonexistent/token`"), "{detail}");
    }
}

#[tokio::test]
async fn a_program_gets_the_few_variables_it_was_promised_and_no_others() {
    let env = vec![
        ("GREETING".to_owned(), Secret::value("hello")),
        ("LICTOR_STEP".to_owned(), Secret::value("forged")),
    ];
    let command =
        Command { argv: vec!["/usr/bin/env".into()], captured: Vec::new(), env, cwd: Some("/".into()) };
    let outcome = Bench::new(Action::Exec(command)).act(&order(), LONG).await;
    let (_, said) = done(&outcome).split_once('\n').unwrap();
    let mut names: Vec<&str> = said.lines().map(|line| line.split_once('=').unwrap().0).collect();
    names.retain(|name| !["PATH", "HOME", "LANG"].contains(name));
    assert_eq!(names, ["GREETING", "LICTOR_REMEDY", "LICTOR_RUN", "LICTOR_STEP", "LICTOR_TARGET"]);
    let step = "LICTOR_STEP=node1.lineage/r1/step/1";
    for line in ["GREETING=hello", step, "LICTOR_RUN=r1", "LICTOR_REMEDY=remedy"] {
        assert!(said.lines().any(|said| said == line), "{line} in {said}");
    }
    assert!(said.contains("PATH=/"), "{said}");
}

#[tokio::test]
async fn a_program_has_no_input_no_terminal_and_a_session_of_its_own() {
    let text = "read line; echo $PWD read $?; ps -o tty=,sid=,pgid=,pid= -p $$ | xargs";
    let outcome = run(text, LONG).await;
    let (_, said) = done(&outcome).split_once('\n').unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "/ read 1");
    let fields: Vec<&str> = lines[1].split(' ').collect();
    assert_eq!(fields[0], "?", "{said}");
    assert_ne!(fields[1], fields[3], "the shim leads the session: {said}");
    assert_eq!(fields[2], fields[3], "the program leads its group: {said}");
    // Of `/proc/self/stat`, because the leader may live outside this PID namespace (then: 0).
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let own = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap();
    assert_ne!(fields[1], own, "{said}");
}

#[tokio::test]
async fn a_program_may_open_as_many_files_as_is_usual_and_ask_for_more() {
    // The agent itself may open all it can.
    let most = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: most.maximum, ..most }).unwrap();
    let outcome = run("ulimit -n; ulimit -Hn", LONG).await;
    let hard = most.maximum.map_or_else(|| "unlimited".to_owned(), |most| most.to_string());
    assert!(done(&outcome).ends_with(&format!(" s\n1024\n{hard}")), "{outcome:?}");
}

#[tokio::test]
async fn at_its_time_limit_all_of_it_goes_however_deaf_and_even_in_another_group() {
    let dir = tempfile::tempdir().unwrap();
    let mark = format!("DIR={}", dir.path().display());
    let text = "trap '' TERM; \
        sh -c 'trap \"\" TERM; sleep 60 & sleep 61; true' & \
        timeout 62 sh -c 'trap \"\" TERM; sleep 62; true' & \
        echo begun; sleep 63; true";
    let action = script(dir.path(), text);
    let mut bench = Bench::on(dir, action);
    let begun = Instant::now();
    let outcome = bench.act(&order(), Duration::from_secs(2)).await;
    let detail = unknown(&outcome);
    assert!(detail.starts_with("stopped at its time limit after "), "{detail}");
    assert!(detail.contains(": ended by SIGKILL\nbegun"), "{detail}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(processes_with("environ", &mark), [0_u32; 0], "left behind");
}

#[tokio::test]
async fn what_the_program_leaves_running_at_its_time_limit_goes_too() {
    let dir = tempfile::tempdir().unwrap();
    let mark = format!("DIR={}", dir.path().display());
    let text = "sh -c 'trap \"\" TERM; echo deaf; sleep 64; true' & sleep 65; true";
    let action = script(dir.path(), text);
    let mut bench = Bench::on(dir, action);
    let outcome = bench.act(&order(), Duration::from_secs(2)).await;
    let detail = unknown(&outcome);
    assert!(detail.contains(": ended by SIGTERM\ndeaf"), "{detail}");
    assert_eq!(processes_with("environ", &mark), [0_u32; 0], "left behind");
}

#[tokio::test]
async fn a_program_that_minds_term_is_given_the_time_to_end() {
    let begun = Instant::now();
    let text = "trap 'echo tidied; exit 0' TERM; echo begun; while :; do sleep 0.05; done";
    let outcome = run(text, Duration::from_secs(2)).await;
    // It ended by itself, but because it was told to: whether it did its work is not known.
    let detail = unknown(&outcome);
    assert!(detail.contains(": exit status 0\nbegun\n") && detail.ends_with("tidied"), "{detail}");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn of_a_flood_of_output_only_the_end_is_kept_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let action = script(dir.path(), "head -c 300000000 /dev/zero | tr '\\0' x; echo; echo the end");
    let mut bench = Bench::on(dir, action);
    let outcome = bench.act(&order(), LONG).await;
    let detail = done(&outcome);
    assert!(detail.ends_with("xxx\nthe end") && detail.len() <= 4_096, "{}", detail.len());
    let files = fs::read_dir(bench.claim(&order())).unwrap().flatten();
    let bytes: u64 = files.map(|file| file.metadata().unwrap().len()).sum();
    assert!((16_000..20_000).contains(&bytes), "{bytes} bytes are kept");
}

#[tokio::test]
async fn output_cannot_play_tricks_on_a_terminal() {
    let outcome = run(r"printf 'a\033[2J\377\000b\r\n'", LONG).await;
    let (_, said) = done(&outcome).split_once('\n').unwrap();
    assert_eq!(said, "a\\u{1b}[2J\u{fffd}\\u{0}b");
}

#[tokio::test]
async fn a_secret_is_in_no_command_line_and_no_file_even_if_the_program_says_it() {
    let secret = "correct-horse-battery-staple";
    let dir = tempfile::tempdir().unwrap();
    let Action::Exec(mut command) = script(
        dir.path(),
        "echo token is $TOKEN; echo said > $DIR/said; while [ ! -e $DIR/go ]; do sleep 0.02; done; echo $TOKEN",
    ) else {
        unreachable!()
    };
    command.env.push(("TOKEN".to_owned(), Secret::value(secret)));
    let mut bench = Bench::on(dir, Action::Exec(command));
    bench.actors.run(Effect::Act(order()), LONG);
    file(&bench.path("said")).await;
    let output = bench.claim(&order()).join("output");
    eventually("the output is kept while the program runs", || {
        fs::read_to_string(&output).is_ok_and(|text| text == "token is ***\n")
    })
    .await;

    let shown = |file: &str| processes_with(file, secret);
    // The test sees the program itself by the same means: were it blind, this would fail.
    assert!(!shown("environ").is_empty(), "cannot see the environment of the program");
    assert_eq!(shown("cmdline"), [0_u32; 0]);
    let shims = processes_with("cmdline", bench.claim(&order()).to_str().unwrap());
    assert_eq!(shims.len(), 1);
    assert!(!shown("environ").contains(&shims[0]), "the shim has it in its environment");
    let in_files = |dir: &std::path::Path| {
        let output = std::process::Command::new("grep").arg("-rl").arg(secret).arg(dir).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(in_files(&bench.path("")), "");

    fs::write(bench.path("go"), "").unwrap();
    let outcome = bench.outcome(&order()).await;
    assert!(done(&outcome).ends_with("\ntoken is ***\n***"), "{outcome:?}");
    assert_eq!(in_files(&bench.path("")), "");
}

#[tokio::test]
async fn one_identity_is_carried_out_once_however_often_it_is_ordered() {
    let dir = tempfile::tempdir().unwrap();
    let action = script(dir.path(), "echo once >> $DIR/count; sleep 0.3");
    let mut bench = Bench::on(dir, action);
    for _ in 0..8 {
        bench.actors.run(Effect::Act(order()), LONG);
    }
    for _ in 0..8 {
        done(&bench.outcome(&order()).await);
    }
    assert!(bench.is_quiet(), "more outcomes than orders");
    done(&bench.act(&order(), LONG).await);
    assert_eq!(file(&bench.path("count")).await, "once\n");
}

#[tokio::test]
async fn another_attempt_is_another_identity() {
    let dir = tempfile::tempdir().unwrap();
    let action = script(dir.path(), "echo $LICTOR_STEP >> $DIR/count");
    let mut bench = Bench::on(dir, action);
    for attempt in 1..=3 {
        done(&bench.act(&Order { attempt, ..order() }, LONG).await);
    }
    let names = [1, 2, 3].map(|attempt| format!("node1.lineage/r1/step/{attempt}\n"));
    assert_eq!(file(&bench.path("count")).await, names.concat());
}

#[tokio::test]
async fn what_a_program_leaves_in_the_background_neither_delays_its_end_nor_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    // It even keeps the pipe of its output open.
    let action = script(dir.path(), "sleep 60 & echo $! > $DIR/pid; echo ok");
    let mut bench = Bench::on(dir, action);
    let begun = Instant::now();
    let outcome = bench.act(&order(), LONG).await;
    assert!(done(&outcome).ends_with("\nok"), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let pid: u32 = file(&bench.path("pid")).await.trim().parse().unwrap();
    // Until it has become sleep it is a copy of the shell.
    let cmdline = format!("/proc/{pid}/cmdline");
    eventually("it sleeps on", || fs::read_to_string(&cmdline).unwrap().starts_with("sleep")).await;
    kill(pid);
}

#[tokio::test]
async fn an_abort_ends_the_program_and_its_outcome_is_still_reported() {
    let dir = tempfile::tempdir().unwrap();
    let mark = format!("DIR={}", dir.path().display());
    let action = script(dir.path(), "echo begun > $DIR/begun; sleep 60; true");
    let mut bench = Bench::on(dir, action);
    bench.actors.run(Effect::Act(order()), LONG);
    file(&bench.path("begun")).await;
    bench.actors.run(Effect::Abort(order()), LONG);
    let outcome = bench.outcome(&order()).await;
    let detail = unknown(&outcome);
    assert!(detail.starts_with("stopped on request after "), "{detail}");
    assert_eq!(processes_with("environ", &mark), [0_u32; 0], "left behind");
    assert!(bench.is_quiet());
}

#[tokio::test]
async fn a_hangup_sent_to_all_of_us_by_name_leaves_the_program_alone() {
    let dir = tempfile::tempdir().unwrap();
    let action = script(dir.path(), "echo $PPID > $DIR/shim; while [ ! -e $DIR/go ]; do sleep 0.02; done");
    let mut bench = Bench::on(dir, action);
    bench.actors.run(Effect::Act(order()), LONG);
    let shim = file(&bench.path("shim")).await.trim().parse().unwrap();
    let shim = rustix::process::Pid::from_raw(shim).unwrap();
    rustix::process::kill_process(shim, rustix::process::Signal::HUP).unwrap();
    fs::write(bench.path("go"), "").unwrap();
    done(&bench.outcome(&order()).await);
}

#[tokio::test]
async fn an_order_does_what_was_configured_when_it_was_made_or_nothing() {
    let mut bench = Bench::new(program(&["echo", "the old"]));
    let old = |run| Order { run: RunId(run), ..order() };
    let new = |run| Order { definition: "new".to_owned(), ..old(run) };
    let says = |outcome: &Outcome, text: &str| {
        assert!(done(outcome).ends_with(text), "{outcome:?}");
    };
    let reload = |definition: &str, text: &str| {
        bench.actors.announce(actions(definition, program(&["echo", text])));
    };
    // Both are understood from the moment at which the engine may already have the new plan.
    reload("new", "the new");
    says(&bench.act(&old(1), LONG).await, "the old");
    says(&bench.act(&new(2), LONG).await, "the new");
    // An old order may still wait for its record when the new plan is in force.
    bench.actors.take_up();
    says(&bench.act(&old(3), LONG).await, "the old");
    says(&bench.act(&new(4), LONG).await, "the new");
    bench.actors.announce(actions("newer", program(&["echo", "the newer"])));
    bench.actors.take_up();
    let outcome = bench.act(&old(5), LONG).await;
    assert!(not_started(&outcome).contains("has no action `remedy/step` as it was"), "{outcome:?}");
}

#[tokio::test]
async fn what_is_called_off_before_it_has_begun_is_not_begun() {
    let dir = tempfile::tempdir().unwrap();
    let action = script(dir.path(), "echo > $DIR/begun");
    let mut bench = Bench::on(dir, action);
    bench.actors.run(Effect::Act(order()), LONG);
    bench.actors.run(Effect::Abort(order()), LONG);
    let outcome = bench.outcome(&order()).await;
    assert_eq!(not_started(&outcome), "was never started: it was called off before it had begun");
    assert!(!bench.path("begun").exists());
}

#[tokio::test]
async fn a_panic_in_an_action_is_an_unknown_outcome() {
    let put = KvAction { key: "k".into(), value: Some(Secret::value("v")) };
    let mut bench = Bench::new(Action::Kv(put));
    let outcome = bench.act(&order(), LONG).await;
    assert_eq!(unknown(&outcome), "a fault of this program broke the action off: planted");
}

#[tokio::test]
async fn a_store_that_never_answers_costs_no_more_than_the_time_limit() {
    let mut bench = Bench::new(Action::Kv(KvAction { key: "k".into(), value: None }));
    let outcome = bench.act(&order(), Duration::from_millis(200)).await;
    let told = "key `k` may have been deleted: no answer within 0.2 s; it cannot be read: no answer";
    assert_eq!(unknown(&outcome), told);
    bench.actors.run(Effect::Act(order()), LONG);
    eventually("it is under way", || bench.deletions() == 2).await;
    bench.actors.run(Effect::Abort(order()), LONG);
    assert!(unknown(&bench.outcome(&order()).await).starts_with("given up on request"));
}

#[tokio::test]
async fn a_run_that_is_over_is_forgotten_and_no_other() {
    let mut bench = Bench::new(program(&["true"]));
    let other = Order { run: RunId(11), ..order() };
    done(&bench.act(&order(), LONG).await);
    done(&bench.act(&other, LONG).await);
    bench.actors.forget(RunId(1));
    let gone = bench.claim(&order());
    eventually("the traces of r1 are removed", || !gone.exists()).await;
    assert!(bench.claim(&other).exists(), "r11 is not r1");
}

#[tokio::test]
async fn a_sweep_takes_what_is_old_unless_its_run_is_open_or_its_program_lives() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let action = script(
        dir.path(),
        "[ $LICTOR_RUN != r4 ] || { echo > $DIR/begun; while [ ! -e $DIR/go ]; do sleep 0.02; done; }",
    );
    let mut bench = Bench::on(dir, action);
    let orders = [1, 2, 3, 4].map(|run| Order { run: RunId(run), ..order() });
    for order in &orders[..3] {
        done(&bench.act(order, LONG).await);
    }
    bench.actors.run(Effect::Act(orders[3].clone()), LONG);
    file(&bench.path("begun")).await;
    for order in [&orders[0], &orders[1], &orders[3]] {
        let touched =
            std::process::Command::new("touch").args(["-d", "8 days ago"]).arg(bench.claim(order)).status();
        assert!(touched.unwrap().success());
    }
    let foreign = bench.path("children/another/r1-step-1");
    fs::create_dir_all(&foreign).unwrap();
    let touched = std::process::Command::new("touch").args(["-d", "8 days ago"]).arg(&foreign).status();
    assert!(touched.unwrap().success());

    bench.actors.sweep(&[RunId(2)]).await.unwrap();
    let left = orders.each_ref().map(|order| bench.claim(order).exists());
    assert_eq!(left, [false, true, true, true], "old, open, young, alive");
    assert!(!foreign.exists(), "of another store");
    fs::write(go, "").unwrap();
    done(&bench.outcome(&orders[3]).await);
}
