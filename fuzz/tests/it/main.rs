//! The driver against targets with planted faults.
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on has failed its test")]

use std::path::Path;
use std::process::{Command, Output};

/// Drives a target; each planted fault shows within the first seconds.
fn drive(target: &str, seed: &str, dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lictor-fuzz"))
        .args(["run", target, "--seconds", "20", "--seed", seed])
        .arg("--corpus")
        .arg(dir.join("corpus"))
        .arg("--failures")
        .arg(dir.join("failures"))
        .output()
        .unwrap()
}

/// The one file that was kept for a target.
fn kept(target: &str, dir: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> = std::fs::read_dir(dir.join("failures").join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

fn assert_found(target: &str, how: &str) {
    let dir = tempfile::tempdir().unwrap();
    let output = drive(target, "7", dir.path());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("seed 7"), "{said}");
    assert!(said.contains(how), "{said}");
    kept(target, dir.path());
}

#[test]
fn a_planted_panic_is_found_and_the_kept_input_repeats_it() {
    let dir = tempfile::tempdir().unwrap();
    let output = drive("planted-panic", "7", dir.path());
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("it panicked"), "{said}");
    assert!(said.contains("is not a char boundary"), "{said}");
    let replay = Command::new(env!("CARGO_BIN_EXE_lictor-fuzz"))
        .args(["replay", "planted-panic"])
        .arg(kept("planted-panic", dir.path()))
        .output()
        .unwrap();
    assert_eq!(replay.status.code(), Some(101));
}

#[test]
fn the_same_seed_finds_the_same_input() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drive("planted-panic", "11", one.path());
    drive("planted-panic", "11", two.path());
    let read = |dir: &Path| std::fs::read(kept("planted-panic", dir)).unwrap();
    assert_eq!(read(one.path()), read(two.path()));
}

#[test]
fn a_planted_endless_loop_is_found() {
    assert_found("planted-loop", "one input took more than 5 s of processor time");
}

#[test]
fn a_planted_stack_overflow_is_found() {
    assert_found("planted-overflow", "overflowed its stack");
}

#[test]
fn a_planted_demand_for_memory_is_found() {
    assert_found("planted-memory", "memory allocation of");
}

#[test]
fn a_corpus_file_that_fails_is_the_first_find() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = dir.path().join("corpus/planted-panic");
    std::fs::create_dir_all(&corpus).unwrap();
    std::fs::write(corpus.join("a"), "fine").unwrap();
    std::fs::write(corpus.join("b"), "key\u{e9}").unwrap();
    let output = drive("planted-panic", "7", dir.path());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("FAILED at input 1:"), "{said}");
}

#[test]
fn a_target_without_a_fault_stands_its_time_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lictor-fuzz"))
        .args(["run", "planted-none", "--seconds", "1"])
        .arg("--corpus")
        .arg(dir.path())
        .arg("--failures")
        .arg(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("no fault in "), "{said}");
    assert_eq!(std::fs::read_dir(dir.path().join("planted-none")).unwrap().count(), 0);
}

#[test]
fn an_unknown_target_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_lictor-fuzz")).args(["run", "nonsense"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no target `nonsense`"));
}
