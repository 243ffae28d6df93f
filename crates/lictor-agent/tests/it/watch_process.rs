//! Process and disk watchers at this machine.
#![cfg(test)]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lictor_config::{Disk, Process, ProcessBy, Watch, WatchKind};
use lictor_core::{Status, Value};
use regex::Regex;

use crate::watch_rig::{LONG, Rig, number, watch};

/// A process of this test, ended with it.
struct Sleeper(Child);

impl Sleeper {
    /// `tag` makes its command line unlike any other.
    fn start(tag: &str) -> Self {
        let script = format!("exec -a {tag} sleep 1000");
        let mut command = Command::new("/bin/bash");
        Self(command.args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn tag() -> String {
    format!("sleeper-{:016x}", rand::random::<u64>())
}

fn by(by: ProcessBy) -> Process {
    Process { by, at_least: 1, at_most: None, warn_memory_bytes: None }
}

fn named(tag: &str) -> Process {
    by(ProcessBy::CommandLine(Regex::new(&format!("^{tag} ")).unwrap()))
}

fn of(process: Process) -> Watch {
    watch(WatchKind::Process(process), LONG)
}

/// Looks until the result is the wanted one: the table of processes may be a second old.
async fn until(rig: &Rig, watch: &Watch, wanted: &str) {
    let mut found = String::new();
    for _ in 0..200 {
        found = rig.see(watch).await;
        if found.starts_with(wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("found {found}, wanted {wanted}");
}

#[tokio::test]
async fn a_process_is_found_by_its_command_line_and_missed_when_it_is_gone() {
    let rig = Rig::new();
    let tag = tag();
    let wanted = of(named(&tag));
    let none = format!("critical: 0 processes matching /^{tag} /, wanted at least 1");
    assert_eq!(rig.see(&wanted).await, none);
    let mut sleeper = Sleeper::start(&tag);
    until(&rig, &wanted, &format!("passing: 1 process matching /^{tag} /, ")).await;
    let sample = rig.sample(&wanted).await;
    assert_eq!(number(&sample, "count"), Some(1.0));
    assert_eq!(number(&sample, "pid"), Some(f64::from(sleeper.0.id())));
    assert!(number(&sample, "memory_bytes").unwrap() > 0.0);
    // It is not waited for: a zombie is no process that runs.
    sleeper.kill();
    until(&rig, &wanted, &none).await;
}

#[tokio::test]
async fn too_many_and_too_large_are_told_of() {
    let rig = Rig::new();
    let tag = tag();
    let _both = [Sleeper::start(&tag), Sleeper::start(&tag)];
    until(&rig, &of(Process { at_least: 2, ..named(&tag) }), "passing: 2 processes ").await;
    let found = rig.see(&of(Process { at_most: Some(1), ..named(&tag) })).await;
    assert_eq!(found, format!("critical: 2 processes matching /^{tag} /, wanted at most 1"));
    let found = rig.see(&of(Process { warn_memory_bytes: Some(1), ..named(&tag) })).await;
    assert!(found.starts_with("warning: 2 processes ") && found.ends_with("of memory, over 1 B"), "{found}");
}

#[tokio::test]
async fn a_pid_file_leads_to_its_process_until_that_ends() {
    let rig = Rig::new();
    let mut sleeper = Sleeper::start(&tag());
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{}\n", sleeper.0.id())).unwrap();
    let wanted = of(by(ProcessBy::PidFile(file.path().into())));
    let shown = file.path().display();
    until(&rig, &wanted, &format!("passing: 1 process of {shown}, ")).await;
    sleeper.kill();
    let pid = sleeper.0.id();
    until(&rig, &wanted, &format!("critical: {shown} names process {pid}, which does not run")).await;
}

#[tokio::test]
async fn a_name_is_that_of_the_program() {
    let rig = Rig::new();
    let _sleeper = Sleeper::start(&tag());
    until(&rig, &of(by(ProcessBy::Name("sleep".into()))), "passing: ").await;
    let found = rig.see(&of(by(ProcessBy::Name("no-such-program".into())))).await;
    assert_eq!(found, "critical: 0 processes named no-such-program, wanted at least 1");
}

fn disk(paths: &[&str]) -> Disk {
    Disk {
        paths: paths.iter().map(PathBuf::from).collect(),
        warn_used_percent: 100.0,
        critical_used_percent: 100.0,
        critical_available_bytes: None,
        critical_inodes_percent: 100.0,
    }
}

#[tokio::test]
async fn the_disks_of_this_machine_are_looked_at() {
    let rig = Rig::new();
    let sample = rig.sample(&watch(WatchKind::Disk(disk(&[])), LONG)).await;
    assert_eq!(sample.status, Status::Passing, "{}", sample.summary);
    assert!(number(&sample, "available_bytes").unwrap() > 0.0);
    let mount = sample.value(&"mount".parse().unwrap()).cloned();
    assert!(matches!(mount, Some(Value::Text(_))), "{sample:?}");
}

#[tokio::test]
async fn a_disk_over_its_limits_is_named() {
    let rig = Rig::new();
    let low = Disk { warn_used_percent: -1.0, ..disk(&["/"]) };
    let found = rig.see(&watch(WatchKind::Disk(low), LONG)).await;
    assert!(found.starts_with("warning: / is ") && found.contains("% used, "), "{found}");
    let little = Disk { critical_available_bytes: Some(u64::MAX), ..disk(&["/"]) };
    let found = rig.see(&watch(WatchKind::Disk(little), LONG)).await;
    assert!(found.starts_with("critical: / has "), "{found}");
    let found = rig.see(&watch(WatchKind::Disk(disk(&["/nonexistent"])), LONG)).await;
    assert_eq!(found, "unknown: /nonexistent: no such file or directory");
}
