//! A machine with a systemd of its own, booted on a host: the services of Lictor are units.
//!
//! It lives in the network of its host, where the server of Consul is too, and sees the scratch directory of the run only as
//! far as its agent needs it. Killing it is a power cut: all its processes end at once, and a boot begins with its disk.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lictor_testkit::host::{Host, Options, Output};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use super::process::{ProcessError, State};

/// The unit of the agent.
const UNIT: &str = "lictor.service";

/// How long the agent may take to be gone after it was killed.
const GONE: Duration = Duration::from_secs(20);

/// How long to rest between two looks whether it is.
const POLL: Duration = Duration::from_millis(50);

/// What a machine is made of.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// What its agent is called.
    pub(super) name: String,
    /// The file of the network namespace in which it lives.
    pub(super) network: PathBuf,
    /// The program of Lictor.
    pub(super) program: &'a Path,
    /// Directories out here, and where they are in there.
    pub(super) binds: Vec<(PathBuf, &'static str)>,
    /// Files in there, and what is in them.
    pub(super) files: Vec<(String, String)>,
}

/// A booted machine, and what its agent is doing.
#[derive(Debug)]
pub(super) struct Machine {
    name: String,
    host: Host,
    powered: bool,
    state: State,
    falls: Vec<String>,
}

impl Machine {
    /// Boots machines, all at once. Their agents are not started.
    ///
    /// # Errors
    /// If one cannot be booted.
    pub(super) fn boot(all: Vec<Parts<'_>>) -> Result<Vec<Self>, ProcessError> {
        block_in_place(|| {
            std::thread::scope(|scope| {
                let boots: Vec<_> = all.into_iter().map(|parts| scope.spawn(|| Self::one(parts))).collect();
                let ended = boots.into_iter().map(std::thread::ScopedJoinHandle::join);
                let unwound = |panic| Err(ProcessError::new("boot", "a machine", said(panic)));
                ended.map(|ended| ended.unwrap_or_else(unwound)).collect()
            })
        })
    }

    fn one(parts: Parts<'_>) -> Result<Self, ProcessError> {
        let bind = |(out, within): &(PathBuf, &str)| format!("--bind={}:{within}", out.display());
        let options = Options {
            programs: vec![parts.program.to_owned()],
            network: Some(parts.network),
            nspawn: parts.binds.iter().map(bind).collect(),
            ..Options::default()
        };
        let prepare = || {
            let host = Host::with(&options);
            parts.files.iter().for_each(|(path, text)| host.write(path, text));
            host.ok(&["systemctl", "daemon-reload"]);
            host
        };
        let host = catch_unwind(AssertUnwindSafe(prepare));
        let host =
            host.map_err(|panic| ProcessError::new("boot the machine of", &parts.name, said(panic)))?;
        Ok(Self { name: parts.name, host, powered: true, state: State::Down, falls: Vec::new() })
    }

    /// What its agent is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How its agent ended, each time that nobody had killed it.
    pub(super) fn falls(&self) -> &[String] {
        &self.falls
    }

    /// Starts its agent, and boots it before if its power was cut. Does not wait until the agent answers.
    ///
    /// # Errors
    /// If it cannot be booted.
    pub(super) fn start(&mut self) -> Result<(), ProcessError> {
        if self.look()? != State::Down {
            return Ok(());
        }
        let off = !self.powered;
        self.with("boot the machine of", |host| {
            if off {
                host.start();
            }
        })?;
        self.powered = true;
        self.ok("start", &["systemctl", "start", "--no-block", UNIT])?;
        self.state = State::Running;
        Ok(())
    }

    /// Kills its agent, and nothing else.
    ///
    /// # Errors
    /// If it is not gone in time.
    pub(super) async fn kill(&mut self) -> Result<(), ProcessError> {
        if self.look()? == State::Down {
            return Ok(());
        }
        self.ok("kill", &["systemctl", "kill", "--kill-who=main", "--signal=KILL", UNIT])?;
        self.state = State::Down;
        let deadline = Instant::now() + GONE;
        while self.is_active()? {
            if Instant::now() >= deadline {
                let late = io::Error::other(format!("it is not gone after {GONE:?}"));
                return Err(ProcessError::new("kill", &self.name, late));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Takes its power away.
    ///
    /// # Errors
    /// If it does not go down.
    pub(super) fn power_cut(&mut self) -> Result<(), ProcessError> {
        if self.powered {
            self.look()?;
            self.with("take the power from", Host::power_cut)?;
            (self.powered, self.state) = (false, State::Down);
        }
        Ok(())
    }

    /// Stops its agent where it stands.
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub(super) fn freeze(&mut self) -> Result<(), ProcessError> {
        if self.look()? == State::Running {
            self.ok("freeze", &["systemctl", "kill", "--kill-who=main", "--signal=STOP", UNIT])?;
            self.state = State::Frozen;
        }
        Ok(())
    }

    /// Lets a frozen agent go on.
    ///
    /// # Errors
    /// If the signal cannot be sent.
    pub(super) fn thaw(&mut self) -> Result<(), ProcessError> {
        if self.look()? == State::Frozen {
            self.ok("thaw", &["systemctl", "kill", "--kill-who=main", "--signal=CONT", UNIT])?;
            self.state = State::Running;
        }
        Ok(())
    }

    /// Looks whether the agent ended by itself, and notes it.
    ///
    /// # Errors
    /// If that cannot be told.
    pub(super) fn look(&mut self) -> Result<State, ProcessError> {
        if self.state != State::Down && !self.is_active()? {
            let show = ["systemctl", "show", "--property=Result,ExecMainStatus", UNIT];
            let how = self.ok("look at", &show)?.trim().replace('\n', ", ");
            self.falls.push(format!("{} ended by itself: {how}", self.name));
            self.state = State::Down;
        }
        Ok(self.state)
    }

    /// Runs a command in there, a minute at most.
    ///
    /// # Errors
    /// If it cannot be run at all.
    pub(super) fn run(&mut self, argv: &[&str]) -> Result<Output, ProcessError> {
        self.with("enter the machine of", |host| host.run(argv))
    }

    fn is_active(&mut self) -> Result<bool, ProcessError> {
        let state = self.run(&["systemctl", "is-active", UNIT])?.stdout;
        // Also while it starts, and while it ends.
        Ok(!matches!(state.trim(), "failed" | "inactive"))
    }

    /// Runs a command that has to succeed.
    fn ok(&mut self, attempt: &'static str, argv: &[&str]) -> Result<String, ProcessError> {
        let output = self.run(argv)?;
        if output.code == 0 {
            return Ok(output.stdout);
        }
        let why = io::Error::other(format!("`{}`: {}", argv.join(" "), output.stderr.trim()));
        Err(ProcessError::new(attempt, &self.name, why))
    }

    /// Does something with it that blocks, and that says by a panic that it cannot be done.
    fn with<T>(
        &mut self,
        attempt: &'static str,
        work: impl FnOnce(&mut Host) -> T,
    ) -> Result<T, ProcessError> {
        let done = block_in_place(|| catch_unwind(AssertUnwindSafe(|| work(&mut self.host))));
        done.map_err(|panic| ProcessError::new(attempt, &self.name, said(panic)))
    }
}

/// What a panic said.
fn said(panic: Box<dyn Any + Send>) -> io::Error {
    let text = panic.downcast::<String>().map(|text| *text);
    let text = text.or_else(|panic| panic.downcast::<&str>().map(|text| (*text).to_owned()));
    io::Error::other(text.unwrap_or_else(|_| "it panicked".to_owned()))
}
