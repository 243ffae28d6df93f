//! A place for real runs, and what is left of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use lictor_jepsen::history::{self, Kind, Op, Process};
use lictor_testkit::{consul, wait};
use tempfile::TempDir;

/// How long something may take that a busy machine does.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A place for runs, which goes with the test.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        let scratch = self.dir.path().join("scratch");
        fs::create_dir_all(&scratch).unwrap();
        scratch
    }

    pub(crate) fn kept(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// A run of three servers.
    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lictor-jepsen"));
        command.args(["run", "--nodes", "3", "--settle", "1"]).args(args.split_whitespace());
        command.arg("--scratch").arg(self.scratch()).arg("--dir").arg(self.kept());
        command.env("LICTOR_CONSUL_BIN", consul::binary()).stdin(Stdio::null());
        command
    }

    /// A run of three hosts with agents.
    pub(crate) fn of_lictor(&self, args: &str) -> Command {
        let mut command = self.command(&format!("--target lictor {args}"));
        command.env("LICTOR_BIN", lictor());
        command
    }

    pub(crate) fn run(&self, args: &str) -> (Option<i32>, String) {
        said(self.command(args).output().unwrap())
    }

    pub(crate) fn start(&self, args: &str) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    pub(crate) fn history(&self) -> Vec<Op> {
        history::read_path(self.kept().join("history.jsonl")).unwrap()
    }

    /// The processes that have to do with a run here.
    pub(crate) fn processes(&self) -> Vec<String> {
        let scratch = self.scratch();
        let lines = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(&*scratch.to_string_lossy()).then_some(line)
        });
        lines.collect()
    }

    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        fs::read_dir(self.scratch()).unwrap().flatten().map(|entry| entry.path()).collect()
    }

    /// Waits until the servers of a run work.
    pub(crate) fn until_it_works(&self) {
        let log = self.kept().join("nodes/n1.log");
        let led =
            || fs::read_to_string(&log).is_ok_and(|log| log.contains("New leader elected")).then_some(());
        wait::until(SOON, led).unwrap_or_else(|| panic!("no leader: {:?}", self.processes()));
    }
}

/// How many entries of clients are of a kind.
pub(crate) fn count(history: &[Op], kind: Kind) -> usize {
    history.iter().filter(|op| op.kind == kind && op.process != Process::Nemesis).count()
}

/// How a run ended, and what it said.
pub(crate) fn said(output: Output) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = output;
    let said = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    (status.code(), said.into_owned())
}

/// The program of Lictor that is built with the tests of a workspace, beside that of the runs.
pub(crate) fn lictor() -> PathBuf {
    let lictor = Path::new(env!("CARGO_BIN_EXE_lictor-jepsen")).with_file_name("lictor");
    assert!(
        lictor.is_file(),
        "{} is missing: run `cargo build --package lictor --features test-faults`",
        lictor.display()
    );
    lictor
}
