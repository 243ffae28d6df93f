//! A node under test: a configuration, a state directory, and the program itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lictor_testkit::process::Child;
use lictor_testkit::{ports, wait};
use serde_json::Value;
use tempfile::TempDir;

/// The longest that anything in these tests may take on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A node and its agent.
pub(crate) struct Node {
    name: String,
    dir: TempDir,
    pub(crate) port: u16,
    agent: Option<Child>,
    starts: u32,
}

impl Node {
    /// A node with this configuration besides its `node` and `http` blocks. `@DIR@` in it
    /// stands for a directory of this test.
    pub(crate) fn new(blocks: &str) -> Self {
        Self::named("test", blocks)
    }

    /// The same with a name of its own.
    pub(crate) fn named(name: &str, blocks: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let node = Self { name: name.to_owned(), port: ports::free(), dir, agent: None, starts: 0 };
        node.configure(blocks);
        node
    }

    pub(crate) fn configure(&self, blocks: &str) {
        fs::write(self.config(), self.text(blocks)).unwrap();
    }

    pub(crate) fn text(&self, blocks: &str) -> String {
        let dir = self.path("").display().to_string();
        let head = format!(
            "node {{\n  name = \"{}\"\n  state_dir = \"{dir}state\"\n}}\nhttp {{\n  address = \"127.0.0.1:{}\"\n}}\n",
            self.name, self.port
        );
        format!("{head}{}", blocks.replace("@DIR@", dir.trim_end_matches('/')))
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("lictor.hcl")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the agent; `fault` is where it is to be killed.
    pub(crate) fn start_with(&mut self, fault: Option<&str>) {
        let fault = fault.map(|fault| ("LICTOR_FAULT", fault));
        self.start_in(fault.as_slice());
    }

    /// Starts the agent in an environment.
    pub(crate) fn start_in(&mut self, environment: &[(&str, &str)]) {
        self.starts += 1;
        let mut command = program();
        command.arg("run").arg("--config").arg(self.config());
        // One that is gone is held for dead after 1.5 s.
        command.env("LICTOR_PULSE", "200:1500").envs(environment.iter().copied());
        let name = format!("agent-{}", self.starts);
        self.agent = Some(Child::spawn(&name, command, self.dir.path()).unwrap());
    }

    /// Starts the agent and waits until it answers.
    pub(crate) fn start(&mut self) {
        self.start_with(None);
        let answers = wait::until(LONG, || self.ask(&["status", "--format", "json"]).ok());
        assert!(answers.is_some(), "the agent does not answer:\n{}", self.log());
    }

    pub(crate) fn agent(&mut self) -> &mut Child {
        self.agent.as_mut().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        (1..=self.starts).map(|start| self.read(&format!("agent-{start}.log"))).collect()
    }

    /// The text of a file of this test; empty when there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read(self.path(name))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Kills the agent (SIGKILL).
    pub(crate) fn kill(&mut self) {
        self.agent = None;
    }

    /// Asks the agent by the program; the answer as JSON, or exit code and message.
    pub(crate) fn ask(&self, args: &[&str]) -> Result<Value, (i32, String)> {
        let (code, out, err) = self.says(args);
        serde_json::from_str(&out).map_err(|_no_json| (code, err))
    }

    /// Runs a command against the agent: exit code, stdout, stderr.
    pub(crate) fn says(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = program();
        command.args(args).env("LICTOR_HTTP_ADDR", format!("http://127.0.0.1:{}", self.port));
        run(command)
    }

    /// Waits until what `look` wants is so, and gives it.
    pub(crate) fn until<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Option<T>) -> T {
        let found = wait::until(LONG, || look(self));
        found.unwrap_or_else(|| panic!("{what}: not within {LONG:?}\n{}\n{}", self.events(), self.log()))
    }

    /// The judged status of a check; empty when nobody answers.
    pub(crate) fn status(&self, check: &str) -> String {
        let Ok(all) = self.ask(&["status", "--format", "json"]) else { return String::new() };
        let checks = all["checks"].as_array().cloned().unwrap_or_default();
        let found = checks.iter().find(|one| one["name"] == check);
        found.and_then(|one| one["status"].as_str()).unwrap_or_default().to_owned()
    }

    /// Every run, newest last.
    pub(crate) fn runs(&self) -> Vec<Value> {
        let Ok(all) = self.ask(&["remedy", "list", "--format", "json"]) else { return Vec::new() };
        let mut runs = all["runs"].as_array().cloned().unwrap_or_default();
        runs.sort_by_key(|run| run["started"].as_str().map(str::to_owned));
        runs
    }

    /// The ledger in words.
    pub(crate) fn events(&self) -> String {
        self.says(&["events", "--limit", "1000"]).1
    }
}

/// The program under test in a bare environment.
pub(crate) fn program() -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_lictor")));
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("TZ", "UTC").env("COLUMNS", "100");
    command
}

/// Runs a program to its end: exit code, stdout, stderr.
pub(crate) fn run(mut command: Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}
