//! Short real runs of agents of Lictor with a server of Consul each, whose agents are killed: alerts, remedies, replication, peers. What
//! was right is found to be wrong when something is taken out of it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use lictor_jepsen::history::{Format, History, Kind, Op};

use crate::bench::{Bench, said};

/// What `check` says of the history of a run without a call of which this is true.
fn without(bench: &Bench, checks: &str, call: impl Fn(&Op) -> bool) -> (Option<i32>, String) {
    let mut ops = bench.history();
    let ended = ops.iter().position(|op| op.kind == Kind::Ok && call(op)).unwrap();
    let same = |op: &Op| op.process == ops[ended].process && op.kind == Kind::Invoke;
    let begun = ops[..ended].iter().rposition(same).unwrap();
    ops.remove(ended);
    ops.remove(begun);
    let path = bench.dir.path().join("less.jsonl");
    std::fs::write(&path, History::new(ops).unwrap().render(Format::Json)).unwrap();
    let program = env!("CARGO_BIN_EXE_lictor-jepsen");
    said(Command::new(program).arg("check").arg(path).args(["--check", checks]).output().unwrap())
}

#[test]
fn agents_that_are_killed_tell_each_alert_and_do_each_step_once_and_copy_all_and_nothing_else() {
    let [alerts, remedy, replication, peers] = [(); 4].map(|()| Bench::new());
    let benches =
        [(&alerts, "alerts"), (&remedy, "remedy"), (&replication, "replication"), (&peers, "peers")];
    // They mostly wait: all at once.
    let runs = benches.map(|(bench, workload)| {
        let args = format!("--workload {workload} --time 9 --interval 3 --nemesis kill-agent-all --seed 5");
        let mut command = bench.of_lictor(&args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    let expected = [
        "alerts: valid: all ",
        "remedy: valid: ",
        "converge: valid: 2 states are the same at 3 places",
        "turns: valid: each of ",
    ];
    for ((run, (bench, workload)), expected) in runs.into_iter().zip(benches).zip(expected) {
        let (code, said) = said(run.wait_with_output().unwrap());
        assert_eq!(code, Some(0), "{workload}: {said}");
        assert!(said.contains(expected), "{workload}: {said}");
        assert!(bench.history().iter().any(|op| op.f == "stop-kill-agent-all"), "{workload}: {said}");
        assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
        assert_eq!(bench.processes(), Vec::<String>::new());
    }

    let (code, said) = without(&alerts, "alerts", |op| op.f == "told" && op.value == "firing");
    assert!(code == Some(1) && said.contains("told"), "{said}");
    let (code, said) = without(&remedy, "remedy:steps=3", |op| op.f == "step" && op.value[1] == 2);
    assert!(code == Some(1) && said.contains("its steps are [1, 3]"), "{said}");
    let (code, said) = without(&peers, "turns", |op| op.f == "told" && op.value == "resolved");
    assert!(code == Some(1) && said.contains("turns: invalid: "), "{said}");
}
