//! What the real servers of this kit share: a directory of their own, a start that waits until they
//! answer, and the ways in which a test has them fail.

use std::env;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::process::Child;
use crate::wait;

/// How long one may take to answer after its start. A machine that compiles meanwhile is slow.
const READY: Duration = Duration::from_secs(60);

/// How long an answer to a question about its health may take.
const ANSWER: Duration = Duration::from_secs(2);

/// A server of this test. Dropping it ends it and removes its directory.
#[derive(Debug)]
pub(crate) struct Daemon {
    // The fields are dropped in this order: the process must be gone before its directory.
    child: Option<Child>,
    dir: TempDir,
    name: &'static str,
    program: PathBuf,
    args: Vec<OsString>,
    starts: u32,
}

impl Daemon {
    /// A server that is not started yet. `variable` may say where its program is; else PATH does.
    ///
    /// # Panics
    /// If there is no place for its directory.
    pub(crate) fn new(name: &'static str, variable: &str) -> Self {
        let dir = TempDir::with_prefix(format!("lictor-{name}-"))
            .unwrap_or_else(|error| panic!("cannot make a directory for {name}: {error}"));
        let program = env::var_os(variable).map_or_else(|| PathBuf::from(name), PathBuf::from);
        Self { child: None, dir, name, program, args: Vec::new(), starts: 0 }
    }

    /// Takes another program than the one it was made with.
    pub(crate) fn use_program(&mut self, program: PathBuf) {
        self.program = program;
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file into its directory, and gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }

    /// Starts it with these arguments, and waits until `up` says that it answers.
    ///
    /// # Panics
    /// If it cannot be started, ends, or does not answer in time; with the end of its output.
    pub(crate) fn launch(&mut self, args: Vec<OsString>, up: impl FnMut(&Self) -> bool) {
        self.args = args;
        self.again(up);
    }

    /// Starts it again as it was started before, killing it first if it runs.
    ///
    /// # Panics
    /// As [`Self::launch`].
    pub(crate) fn again(&mut self, mut up: impl FnMut(&Self) -> bool) {
        self.kill();
        self.starts += 1;
        let mut command = Command::new(&self.program);
        // Nothing of the machine's own: no proxy, no settings of a user.
        command.args(&self.args).current_dir(self.dir.path()).env_clear().env("HOME", self.dir.path());
        let log = format!("{}-{}", self.name, self.starts);
        let child = Child::spawn(&log, command, self.dir.path()).unwrap_or_else(|error| {
            panic!("cannot start {} ({error}): `cargo xtask setup` installs it", self.program.display())
        });
        self.child = Some(child);
        let ready = wait::until(READY, || {
            let ended = self.child.as_mut().is_none_or(|child| matches!(child.status(), Ok(Some(_))));
            if ended { Some(false) } else { up(self).then_some(true) }
        });
        assert!(ready == Some(true), "{} does not answer; its output ends:\n{}", self.name, self.output());
    }

    /// Ends it as a power cut would (SIGKILL).
    ///
    /// # Panics
    /// If the operating system refuses.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap_or_else(|error| panic!("cannot end {}: {error}", self.name));
        }
    }

    /// Freezes it (SIGSTOP): it accepts connections and never answers.
    ///
    /// # Panics
    /// If it does not run.
    pub(crate) fn pause(&mut self) {
        let paused = self.child.as_mut().map(Child::pause);
        assert!(matches!(paused, Some(Ok(()))), "{} does not run: {paused:?}", self.name);
    }

    /// Lets a frozen one go on (SIGCONT).
    ///
    /// # Panics
    /// If it does not run.
    pub(crate) fn resume(&mut self) {
        let resumed = self.child.as_mut().map(Child::resume);
        assert!(matches!(resumed, Some(Ok(()))), "{} does not run: {resumed:?}", self.name);
    }

    /// The end of what it has written since its last start.
    pub(crate) fn output(&self) -> String {
        self.child.as_ref().map(Child::log_tail).unwrap_or_default()
    }
}

/// What a GET is answered with, head and all; `None` when it is not answered.
pub(crate) fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
