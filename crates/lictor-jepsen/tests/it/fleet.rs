//! Short real runs of Lictor on three booted machines: its service never runs twice, and where it does that is seen.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use lictor_jepsen::history::{Kind, Op};

use crate::bench::{Bench, lictor, said};

/// The one that nobody fences has a guard that lets it run on: what no release has a way to be told.
#[test]
fn a_service_never_runs_twice_unless_nobody_fences_it_and_then_that_is_found_out() {
    let program = fs::read(lictor()).unwrap();
    let plantable = program.windows(12).any(|part| part == b"LICTOR_PLANT");
    assert!(
        plantable,
        "nothing can be planted in this Lictor: run `cargo build --package lictor --features test-faults`"
    );
    let (fenced, unfenced) = (Bench::new(), Bench::new());
    let args = "--time 14 --interval 7 --seed 3 --nemesis ";
    // They mostly wait: both at once.
    let mut planted =
        unfenced.of_lictor(&format!("{args} pause-agent-active --agent-env LICTOR_PLANT=unfenced"));
    let planted = planted.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (code, told) = said(fenced.of_lictor(&format!("{args} kill-active")).output().unwrap());
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("single: valid: never two of ") && told.contains("fencing: valid: "), "{told}");
    let ran = |op: &Op| (op.f == "active" && op.kind == Kind::Ok).then(|| op.node.clone());
    let hosts: BTreeSet<_> = fenced.history().iter().filter_map(ran).collect();
    assert!(hosts.len() > 1, "it never moved: {told}");
    assert_eq!(fenced.leftovers(), Vec::<PathBuf>::new());
    assert_eq!(fenced.processes(), Vec::<String>::new());

    let (code, told) = said(planted.wait_with_output().unwrap());
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("two are active at the same time:"), "{told}");
    assert!(told.contains("a token was overtaken and accepted all the same:"), "{told}");
}
