//! Short real runs: three servers of Consul on hosts of their own. What is planted is found, and nothing is left over.
//!
//! Default reads of servers that were all killed are planted in `cargo xtask jepsen --long`: they take longer to be wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use lictor_jepsen::history::Kind;
use lictor_testkit::{consul, wait};
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::{Bench, SOON, count};

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn a_register_without_faults_is_linearizable_and_nothing_is_left() {
    let bench = Bench::new();
    let (code, said) = bench.run("--time 3");
    assert_eq!(code, Some(0), "{said}");
    let history = bench.history();
    assert!(count(&history, Kind::Ok) > 100, "{said}");
    assert_eq!(count(&history, Kind::Info), 0, "{said}");
    assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
    assert_eq!(bench.processes(), Vec::<String>::new());
    let page = fs::read_to_string(bench.kept().join("report.html")).unwrap();
    assert!(page.contains("register: valid") && page.contains("href=\"./nodes/n3.log\""));
    // What it found is found again.
    let program = env!("CARGO_BIN_EXE_lictor-jepsen");
    let again = Command::new(program).arg("check").arg(bench.kept()).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert!(String::from_utf8_lossy(&again.stdout).contains("register: valid: all "), "{again:?}");
}

#[test]
fn sure_reads_are_right_whatever_is_done() {
    let bench = Bench::new();
    let (code, said) =
        bench.run("--time 13 --interval 2 --nemesis partition-one,kill-leader,pause-one --seed 1");
    assert_eq!(code, Some(0), "{said}");
    let history = bench.history();
    assert!(count(&history, Kind::Info) > 0, "no fault was felt: {said}");
    for fault in ["partition-one", "kill-leader", "pause-one"] {
        let did = |verb: &str| history.iter().any(|op| op.f == format!("{verb}-{fault}"));
        assert!(did("start") && did("stop"), "{fault}: {said}");
    }
}

#[test]
fn stale_reads_are_found_out_under_a_partition() {
    let bench = Bench::new();
    let (code, said) = bench.run("--time 5 --interval 2 --nemesis partition-one --reads stale");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(" is not linearizable."), "{said}");
}

/// A server that is stopped for longer than its cluster waits loses its sessions, and what works there does not know it.
#[test]
fn locks_are_held_twice_unless_their_tokens_are_looked_at() {
    let (bare, fenced) = (Bench::new(), Bench::new());
    let args = |workload: &str| {
        format!("--workload {workload} --clients 36 --time 18 --interval 9 --nemesis pause-one --seed 4")
    };
    // They mostly wait: both at once.
    let run = fenced.command(&args("fenced-lock")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let (code, said) = bare.run(&args("lock"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("overlap: invalid: ") && said.contains("two hold it at the same time:"), "{said}");
    assert!(said.contains("reentrant-lock: valid: "), "Consul itself gave none to two: {said}");

    let output = run.unwrap().wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("overlap: valid: none of "), "{said}");
    let refused = fenced.history().iter().any(|op| {
        op.kind == Kind::Fail && op.error.as_deref().is_some_and(|error| error.starts_with("token "))
    });
    assert!(refused, "no token was too old: {said}");
}

#[test]
fn a_run_that_is_asked_to_stop_heals_and_ends_in_order() {
    let bench = Bench::new();
    let mut run = bench.start("--time 600 --interval 1 --nemesis pause-all");
    bench.until_it_works();
    let history = bench.kept().join("history.jsonl");
    let paused =
        || fs::read_to_string(&history).is_ok_and(|text| text.contains("start-pause-all")).then_some(());
    wait::until(SOON, paused).unwrap();
    signal(&run, Signal::TERM);
    let ended = wait::until(SOON, || run.try_wait().unwrap()).unwrap();
    assert_eq!(ended.code(), Some(2), "it was stopped before its time");
    assert!(bench.history().iter().any(|op| op.f == "settled"));
    assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn a_run_that_is_killed_takes_everything_with_it_and_the_rest_is_cleaned_up() {
    let bench = Bench::new();
    let mut run = bench.start("--time 600");
    bench.until_it_works();
    assert!(!bench.processes().is_empty());
    run.kill().unwrap();
    run.wait().unwrap();
    let gone = || bench.processes().is_empty().then_some(());
    wait::until(SOON, gone).unwrap_or_else(|| panic!("left over: {:?}", bench.processes()));
    assert_eq!(bench.leftovers().len(), 1, "the data of the servers");
    let mut clean = Command::new(env!("CARGO_BIN_EXE_lictor-jepsen"));
    let cleaned = clean.arg("clean").arg("--scratch").arg(bench.scratch()).output().unwrap();
    assert!(cleaned.status.success(), "{cleaned:?}");
    assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn it_runs_without_root() {
    if !rustix::process::geteuid().is_root() {
        // All others ran so already.
        return;
    }
    let bench = Bench::new();
    let nobody = |path: &Path| std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).unwrap();
    let dir = bench.dir.path();
    nobody(dir);
    nobody(&bench.scratch());
    // They may lie where others must not look.
    let program = |from: &Path, name: &str| {
        let to = dir.join(name);
        fs::copy(from, &to).unwrap();
        to
    };
    let consul = program(&consul::binary(), "consul");
    let jepsen = program(Path::new(env!("CARGO_BIN_EXE_lictor-jepsen")), "lictor-jepsen");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(jepsen);
    command.args(
        "run --nodes 3 --settle 1 --time 5 --interval 2 --nemesis partition-halves --consul".split(' '),
    );
    command.arg(consul).arg("--scratch").arg(bench.scratch()).arg("--dir").arg(bench.kept());
    let said = command.current_dir(dir).stdin(Stdio::null()).output().unwrap();
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
    assert!(bench.history().iter().any(|op| op.f == "stop-partition-halves"));
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_begun() {
    let bench = Bench::new();
    for (args, why) in [
        ("--nemesis clock", "the clocks cannot be stepped"),
        ("--nemesis kill-cat", "there is no fault `kill-cat`"),
        ("--workload juggling", "there is no workload `juggling`"),
        ("--nemesis kill-active", "the fault `kill-active` is done to agents: it is for --target lictor"),
        ("--workload failover", "the workload `failover` is for --target lictor"),
        ("--target lictor --workload set", "the workload `set` is for --target consul"),
        ("--target lictor --lictor /nowhere", "there is no program of Lictor at /nowhere"),
        ("--agent-env x", "`x` is not NAME=VALUE"),
        ("--inside /nowhere", "--inside is for the process that `run` starts"),
    ] {
        let (code, said) = bench.run(args);
        assert!(code.is_some_and(|code| code > 1) && said.contains(why), "{args}: {code:?} {said}");
    }
    assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
}
