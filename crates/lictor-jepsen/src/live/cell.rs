//! Namespaces of a run's own: of processes, network and mounts, and of users when it is not run by root.
//!
//! A run is two processes. The outer one, which a person starts and sees, only waits; the inner one is the first
//! process of namespaces that the kernel takes down with it:
//!
//! ```text
//! lictor-jepsen run ── setpriv ── unshare ── lictor-jepsen run --inside ──┬─ consul (n1)   in network n1
//!   outer: waits          each ends with the one before it                ├─ consul (n2)   in network n2
//!                                                                         └─ …
//! ```
//!
//! Whichever of them is killed, and however, the inner one ends, and with it all servers, networks and mounts. Nothing has a
//! name outside, so nothing can be left over there but the scratch directory ([`super::scratch`]), and nothing of this
//! machine's network is touched.
//!
//! Whoever wants a run to stop early sends the outer process SIGINT or SIGTERM. It then closes the inner one's standard
//! input, which heals the cluster and finishes in order.

use std::ffi::OsString;
use std::fs::{self, File};
use std::future::pending;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked at whether the inner process hangs at its end.
const LOOK: Duration = Duration::from_secs(2);

/// Why a run cannot have namespaces of its own.
#[derive(Debug, thiserror::Error)]
pub enum CellError {
    /// Where this program is cannot be told.
    #[error("cannot tell where this program is: {0}")]
    Program(io::Error),
    /// The programs that make them cannot be started.
    #[error("cannot start `setpriv` and `unshare` ({0}): they are part of util-linux")]
    Start(io::Error),
    /// The inner process cannot be waited for, or signals cannot be listened for.
    #[error("cannot wait for the run: {0}")]
    Wait(io::Error),
    /// The inner process was killed.
    #[error("the run was ended by signal {0} before it had a verdict")]
    Killed(i32),
}

/// Runs this program again, with these arguments, as the first process of namespaces of its own, and gives its exit code.
/// What is temporary in there lies in `scratch`.
///
/// `dying` is called, now and then, while the inner process has been killed and is not gone: one of those that have to go with it
/// hangs in the kernel, as one that writes to a frozen disk does.
///
/// # Errors
/// If that cannot be done, or the process was killed.
pub async fn enclose(args: &[OsString], scratch: &Path, dying: impl AsyncFn()) -> Result<u8, CellError> {
    let program = std::env::current_exe().map_err(CellError::Program)?;
    let mut signals = Signals::listen().map_err(CellError::Wait)?;
    let mut inner = command(program, args).env("TMPDIR", scratch).spawn().map_err(CellError::Start)?;
    // Whoever closes it, closes it for ever: the end of it is what the inner process waits for.
    let mut wish = inner.stdin.take();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let status = loop {
        tokio::select! {
            ended = inner.wait() => break ended.map_err(CellError::Wait)?,
            _ = looks.tick() => if inner.id().is_some_and(is_dying) { dying().await },
            () = signals.next() => match wish.take() {
                Some(open) => drop(open),
                // Asked twice: at once.
                None => break end(&mut inner).await.map_err(CellError::Wait)?,
            }
        }
    };
    code(status)
}

fn command(program: PathBuf, args: &[OsString]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork"]);
    command.args(["--kill-child=KILL", "--mount-proc"]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--").arg(program).args(args);
    // Of a process group of its own: what a terminal sends to all comes from here, in order.
    command.stdin(Stdio::piped()).process_group(0).kill_on_drop(true);
    command
}

async fn end(inner: &mut Child) -> io::Result<ExitStatus> {
    inner.start_kill()?;
    inner.wait().await
}

/// Whether the process that `unshare` waits for has ended but for what has to go with it: it has no memory any more.
fn is_dying(unshare: u32) -> bool {
    let child = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).unwrap_or_default();
    let Some(inner) = child.split_whitespace().next() else { return false };
    fs::read(format!("/proc/{inner}/cmdline")).is_ok_and(|line| line.is_empty())
}

fn code(status: ExitStatus) -> Result<u8, CellError> {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        (None, signal) => Err(CellError::Killed(signal.unwrap_or_default())),
    }
}

/// What asks a run to stop.
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Whether this is the inner process: the first one of its namespace of processes, which nobody in there started.
#[must_use]
pub fn is_inside() -> bool {
    std::process::id() == 1 && rustix::process::getppid().is_none()
}

/// Tells, in the inner process, when the outer one wants it to stop.
#[derive(Debug)]
pub struct Unwanted {
    input: Option<Receiver>,
}

impl Unwanted {
    /// Listens on the standard input. One that is no pipe never tells anything.
    #[must_use]
    pub fn listen() -> Self {
        // Not by tokio's standard input, which nothing can take its thread from.
        let input = File::open("/dev/stdin").and_then(Receiver::from_file);
        if let Err(error) = &input {
            tracing::debug!(%error, "the standard input is no pipe: nobody can stop this run in order");
        }
        Self { input: input.ok() }
    }

    /// Waits until the outer process wants it to stop.
    pub async fn come(&mut self) {
        let Some(input) = &mut self.input else { return pending().await };
        // Nothing is ever written there: whatever comes is the end of it.
        let end = input.read_u8().await;
        tracing::debug!(?end, "this run is to stop");
    }
}
