//! A program of the run on a host: started, frozen, killed, and its log kept.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a process may take to be gone after it was killed. One in the middle of a write to disk ends after it.
const GONE: Duration = Duration::from_secs(20);

/// Where programs look for others.
pub(super) const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Why something cannot be done with a program of the run.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {name}: {source}")]
pub struct ProcessError {
    attempt: &'static str,
    name: String,
    source: io::Error,
}

impl ProcessError {
    /// A program was asked for something, and said this.
    #[must_use]
    pub fn refused(attempt: &'static str, name: &str, said: &str) -> Self {
        Self::new(attempt, name, io::Error::other(said.trim().to_owned()))
    }

    pub(super) fn new(attempt: &'static str, name: &str, source: io::Error) -> Self {
        Self { attempt, name: name.to_owned(), source }
    }
}

/// What a program is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Running,
    /// It was stopped where it stood (SIGSTOP).
    Frozen,
    /// It was ended, or was not started yet.
    Down,
}

/// A program that is started again and again.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Option<Child>,
    state: State,
    /// How it ended, each time that nobody had killed it.
    falls: Vec<String>,
}

impl Process {
    /// One that does not run yet.
    #[must_use]
    pub fn new(name: String, log: PathBuf) -> Self {
        Self { name, log, child: None, state: State::Down, falls: Vec::new() }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is doing, as far as it was done by us.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, each time that nobody had killed it.
    #[must_use]
    pub fn falls(&self) -> &[String] {
        &self.falls
    }

    /// Starts it by this command if it does not run, in an environment that has no more than the command says.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&mut self, mut command: Command) -> Result<(), ProcessError> {
        if self.look()? != State::Down {
            return Ok(());
        }
        let mut open = || -> io::Result<Child> {
            let log = File::options().create(true).append(true).open(&self.log)?;
            command.stderr(log.try_clone()?).stdout(log).kill_on_drop(true).spawn()
        };
        let child = open();
        self.child = Some(child.map_err(|source| self.error("start", source))?);
        self.state = State::Running;
        Ok(())
    }

    /// Ends it as a power cut would (SIGKILL), and waits until it is gone.
    ///
    /// # Errors
    /// If it is not gone in time.
    pub async fn kill(&mut self) -> Result<(), ProcessError> {
        if self.look()? == State::Down {
            return Ok(());
        }
        self.state = State::Down;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let gone = async {
            child.start_kill()?;
            child.wait().await
        };
        match timeout(GONE, gone).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(source)) => Err(self.error("kill", source)),
            Err(_) => Err(self.error("kill", io::Error::other(format!("it is not gone after {GONE:?}")))),
        }
    }

    /// Has no more to do with it until it ends by itself, which is then not a fall: it was asked to leave.
    ///
    /// # Errors
    /// If it does not end in time.
    pub async fn depart(&mut self, within: Duration) -> Result<(), ProcessError> {
        let Some(child) = self.child.as_mut() else { return Ok(()) };
        match timeout(within, child.wait()).await {
            Ok(Ok(_)) => {
                self.child = None;
                self.state = State::Down;
                Ok(())
            }
            Ok(Err(source)) => Err(self.error("wait for the end of", source)),
            Err(_) => {
                Err(self.error("wait for the end of", io::Error::other(format!("it runs after {within:?}"))))
            }
        }
    }

    /// Stops it where it stands (SIGSTOP): its sockets stay open and answer nothing.
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub fn freeze(&mut self) -> Result<(), ProcessError> {
        if self.look()? == State::Running {
            self.signal(Signal::STOP, "freeze")?;
            self.state = State::Frozen;
        }
        Ok(())
    }

    /// Lets a frozen one go on (SIGCONT).
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub fn thaw(&mut self) -> Result<(), ProcessError> {
        if self.look()? == State::Frozen {
            self.signal(Signal::CONT, "thaw")?;
            self.state = State::Running;
        }
        Ok(())
    }

    /// Looks whether it ended by itself, and notes it.
    ///
    /// # Errors
    /// If that cannot be told.
    pub fn look(&mut self) -> Result<State, ProcessError> {
        let ended = match &mut self.child {
            Some(child) => child.try_wait(),
            None => Ok(None),
        };
        if let Some(status) = ended.map_err(|source| self.error("look at", source))? {
            self.falls.push(format!("{} ended by itself: {status}", self.name));
            self.child = None;
            self.state = State::Down;
        }
        Ok(self.state)
    }

    fn signal(&self, signal: Signal, attempt: &'static str) -> Result<(), ProcessError> {
        let pid = self.child.as_ref().and_then(Child::id);
        let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| self.error(attempt, io::Error::other("it has ended")))?;
        kill_process(pid, signal).map_err(|error| self.error(attempt, error.into()))
    }

    fn error(&self, attempt: &'static str, source: io::Error) -> ProcessError {
        ProcessError::new(attempt, &self.name, source)
    }
}
