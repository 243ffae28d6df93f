//! Real programs under test: started with their output in a file, paused, ended, never left behind.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// How much of a log is shown when something went wrong, in bytes.
const TAIL: usize = 4096;

/// How long a program's threads may take to stop. A thread in the middle of a write to disk stops
/// after it.
const STOPS: Duration = Duration::from_secs(10);

/// A running program of this test. Dropping it ends the program at once (SIGKILL, by its process id)
/// and waits for it.
///
/// Should the test itself be killed, or never drop the value because it is in a `static`, a small
/// keeper process ends the program instead.
#[derive(Debug)]
pub struct Child {
    name: String,
    child: std::process::Child,
    keeper: std::process::Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Child {
    /// Starts `command` with an empty standard input and both outputs appended to `NAME.log` in
    /// `scratch`, a directory of this test alone: the keeper removes it when the test is gone.
    ///
    /// # Errors
    /// If the log cannot be opened or the program cannot be started.
    pub fn spawn(name: &str, mut command: Command, scratch: &Path) -> io::Result<Self> {
        let log = scratch.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log)?;
        let mut child = command.stdin(Stdio::null()).stderr(out.try_clone()?).stdout(out).spawn()?;
        let keeper = match keeper(child.id(), scratch) {
            Ok(keeper) => keeper,
            Err(error) => {
                child.kill()?;
                child.wait()?;
                return Err(error);
            }
        };
        Ok(Self { name: name.to_owned(), child, keeper, log, ended: None })
    }

    /// The name it was started under, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops the program where it stands (SIGSTOP) and waits until all its threads do; its sockets
    /// stay open and answer nothing.
    ///
    /// # Errors
    /// If the program has ended.
    pub fn pause(&mut self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        let pid = self.pid();
        let stopped = wait::until(STOPS, || all_stopped(pid).then_some(()));
        stopped.ok_or_else(|| io::Error::other(format!("{} does not stop", self.name)))
    }

    /// Lets a paused program go on (SIGCONT).
    ///
    /// # Errors
    /// If the program has ended.
    pub fn resume(&mut self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// If the program has ended: its process id may be another's by now, so nothing is sent.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if let Some(status) = self.status()? {
            return Err(io::Error::other(format!("{} has ended: {status}", self.name)));
        }
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the process id is not one"))?;
        Ok(kill_process(pid, signal)?)
    }

    /// How the program ended; `None` while it runs.
    ///
    /// # Errors
    /// If the operating system cannot say.
    pub fn status(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
            if self.ended.is_some() {
                self.dismiss_keeper()?;
            }
        }
        Ok(self.ended)
    }

    /// Waits until the program has ended by itself; `None` if it still runs after `within`.
    ///
    /// # Errors
    /// If the operating system cannot say.
    pub fn wait(&mut self, within: Duration) -> io::Result<Option<ExitStatus>> {
        wait::until(within, || self.status().transpose()).transpose()
    }

    /// Ends the program at once (SIGKILL) and waits for it. A program that has ended is left alone.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn kill(&mut self) -> io::Result<()> {
        if self.status()?.is_none() {
            self.dismiss_keeper()?;
            self.child.kill()?;
            self.ended = Some(self.child.wait()?);
        }
        Ok(())
    }

    /// The file with the program's output.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The end of the program's output, for messages.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let from = bytes.len().saturating_sub(TAIL);
        String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
    }

    /// The keeper must be gone before the program's id can belong to another process.
    fn dismiss_keeper(&mut self) -> io::Result<()> {
        self.keeper.kill()?;
        self.keeper.wait()?;
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tell(&format!("cannot end {}: {error}", self.name));
        }
    }
}

/// Whether every thread of a process stands still.
fn all_stopped(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads.flatten().all(|thread| {
        // One that ended in between is no thread any more, and the next look is without it.
        fs::read_to_string(thread.path().join("stat")).is_ok_and(|stat| stat.contains(") T "))
    })
}

#[expect(clippy::print_stderr, reason = "the test's output is the only place to say it")]
fn tell(message: &str) {
    eprintln!("{message}");
}

/// Starts a process that ends `pid` when this one is gone: it waits for the end of its input, whose
/// other end only this process holds. It has a process group of its own, to outlive a Ctrl-C.
fn keeper(pid: u32, scratch: &Path) -> io::Result<std::process::Child> {
    use std::os::unix::process::CommandExt as _;
    Command::new("/bin/sh")
        .args(["-c", r#"read _; kill -9 "$1"; rm -rf "$2""#, "keeper"])
        .arg(pid.to_string())
        .arg(scratch)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str, dir: &Path) -> Child {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        Child::spawn("shell", command, dir).unwrap()
    }

    fn alive(pid: u32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    }

    #[test]
    fn a_dropped_child_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let child = shell("exec sleep 1000", dir.path());
        let (pid, keeper) = (child.pid(), child.keeper.id());
        assert!(alive(pid) && alive(keeper));
        drop(child);
        assert!(!alive(pid) && !alive(keeper));
    }

    #[test]
    fn a_paused_child_stands_still_until_it_is_resumed() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = shell("exec sleep 1000", dir.path());
        child.pause().unwrap();
        assert!(all_stopped(child.pid()));
        child.resume().unwrap();
        assert!(wait::until(SOON, || (!all_stopped(child.pid())).then_some(())).is_some());
    }

    #[test]
    fn a_child_that_ended_is_not_signalled() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = shell("echo last words; exit 3", dir.path());
        let status = child.wait(SOON).unwrap().unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(child.log_tail(), "last words\n");
        let error = child.pause().unwrap_err().to_string();
        assert_eq!(error, "shell has ended: exit status: 3");
    }

    #[test]
    fn the_keeper_ends_the_child_of_a_test_that_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = shell("exec sleep 1000", dir.path());
        // What happens to the pipe when this process ends, however it ends.
        drop(child.keeper.stdin.take());
        let status = child.wait(SOON).unwrap().unwrap();
        assert_eq!(status.signal(), Some(9));
        assert!(wait::until(SOON, || (!dir.path().exists()).then_some(())).is_some());
    }
}
