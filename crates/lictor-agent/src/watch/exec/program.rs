//! Running a program: in a process group of its own, with a clean environment, a time limit
//! and a bound on what is read of its output.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use lictor_config::Command;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;
use tokio::time::{Instant, timeout, timeout_at};

use super::Fault;
use crate::watch::fault::Plain;
use crate::watch::look::World;

/// Of each output, bytes that are kept; what comes beyond is read and thrown away, so that
/// the program is not held up.
const OUTPUT: usize = 64 * 1024;

/// Of what a program that is told something prints, bytes that are kept of each output.
const SAID: usize = 4 * 1024;

/// Between TERM and KILL.
const GRACE: Duration = Duration::from_secs(2);

/// How long output is waited for after the program has ended: another process that it
/// started may hold the pipe open for ever.
const DRAIN: Duration = Duration::from_millis(200);

/// What the program printed; what is not UTF-8 is replaced.
#[derive(Debug, Default)]
pub(in crate::watch) struct Output {
    pub(in crate::watch) stdout: String,
    pub(in crate::watch) stderr: String,
}

/// A program that has ended.
#[derive(Debug)]
pub(in crate::watch) struct Ended {
    /// `None` when its time was over.
    pub(in crate::watch) status: Option<ExitStatus>,
    pub(in crate::watch) output: Output,
}

pub(super) async fn run(command: &Command, limit: Duration, world: &World) -> Result<Ended, Fault> {
    run_reading(command, limit, OUTPUT, world).await
}

/// As [`run`], keeping at most `most` bytes of each output.
pub(in crate::watch) async fn run_reading(
    command: &Command,
    limit: Duration,
    most: usize,
    world: &World,
) -> Result<Ended, Fault> {
    let deadline = Instant::now() + limit;
    let name = command.argv.first().map_or("", String::as_str);
    let place = timeout_at(deadline, world.programs.acquire()).await;
    let Ok(Ok(_place)) = place else {
        return Err(Fault::start(name, "too many programs are running already"));
    };
    let mut child = start(command, world.files.original)?;
    let group = Group::of(&child);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (out, err) = (child.stdout.take(), child.stderr.take());

    let mut reading =
        Box::pin(async { tokio::join!(drain(out, &mut stdout, most), drain(err, &mut stderr, most)) });
    let mut read_all = false;
    let exited = timeout_at(deadline, async {
        loop {
            tokio::select! {
                status = child.wait() => return status,
                _ = &mut reading, if !read_all => read_all = true,
            }
        }
    })
    .await;
    let status = match exited {
        Ok(status) => {
            let status = status.map_err(|error| Fault::start(name, Plain(&error)))?;
            group.done();
            Some(status)
        }
        Err(_late) => {
            end(&mut child, group).await;
            None
        }
    };
    if !read_all {
        // Lateness only cuts the output short.
        timeout(DRAIN, &mut reading).await.ok();
    }
    drop(reading);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ended { status, output: Output { stdout: text(&stdout), stderr: text(&stderr) } })
}

/// A program that was told something and has ended.
#[derive(Debug)]
pub(crate) struct Told {
    /// `None` when its time was over.
    pub(crate) status: Option<ExitStatus>,
    /// The end of what it printed, on either output.
    pub(crate) said: String,
}

/// Runs a program that is given `input`, and waits for its end.
///
/// # Errors
/// In words, when it cannot be started.
pub(crate) async fn tell(command: &Command, input: Vec<u8>, limit: Duration) -> Result<Told, String> {
    let deadline = Instant::now() + limit;
    let mut child = start_with(command, None, Stdio::piped()).map_err(|fault| fault.message)?;
    let group = Group::of(&child);
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let (to, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let ended = timeout_at(deadline, async {
        let feeding = async {
            if let Some(mut to) = to {
                // One that does not want to know closes its end.
                to.write_all(&input).await.ok();
            }
        };
        let talking =
            async { tokio::join!(feeding, drain(out, &mut stdout, SAID), drain(err, &mut stderr, SAID)) };
        tokio::pin!(talking);
        let mut talked = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                _ = &mut talking, if !talked => talked = true,
            }
        };
        if !talked {
            timeout(DRAIN, &mut talking).await.ok();
        }
        status
    })
    .await;
    let status = match ended {
        Ok(status) => {
            group.done();
            Some(
                status
                    .map_err(|error| format!("it cannot be told how the program ended: {}", Plain(&error)))?,
            )
        }
        Err(_late) => {
            end(&mut child, group).await;
            None
        }
    };
    let said = if stderr.is_empty() { stdout } else { stderr };
    Ok(Told { status, said: String::from_utf8_lossy(&said).into_owned() })
}

/// Starts a program whose output is read; `files` is the limit of open files that it gets.
pub(in crate::watch) fn start(command: &Command, files: Rlimit) -> Result<Child, Fault> {
    start_with(command, Some(files), Stdio::null())
}

fn start_with(command: &Command, files: Option<Rlimit>, stdin: Stdio) -> Result<Child, Fault> {
    let Some((program, arguments)) = command.argv.split_first() else {
        return Err(Fault::start("", "no program is named"));
    };
    let mut builder = std::process::Command::new(program);
    builder.args(arguments).env_clear();
    for name in ["PATH", "HOME", "LANG"] {
        if let Some(value) = std::env::var_os(name) {
            builder.env(name, value);
        }
    }
    for (name, value) in &command.env {
        let value = value.reveal().map_err(|error| Fault::start(program, error))?;
        builder.env(name, value);
    }
    if let Some(cwd) = &command.cwd {
        builder.current_dir(cwd);
    }
    builder.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut builder = tokio::process::Command::from(builder);
    builder.kill_on_drop(true);
    let child = builder.spawn().map_err(|error| explain(program, command.cwd.as_deref(), &error))?;
    if let (Some(pid), Some(files)) = (pid(&child), files) {
        // It may be gone already, or have another owner now: both are no concern of ours.
        prlimit(Some(pid), Resource::Nofile, files).ok();
    }
    Ok(child)
}

fn explain(program: &str, cwd: Option<&Path>, error: &io::Error) -> Fault {
    match cwd {
        // The system reports a missing directory as if the program were missing.
        Some(cwd) if !cwd.is_dir() => {
            Fault::start(program, format_args!("`{}` is not a directory", cwd.display()))
        }
        _ => Fault::start(program, Plain(error)),
    }
}

/// Ends a program and all it started: TERM, and KILL if that was not enough.
pub(in crate::watch) async fn end(child: &mut Child, group: Group) {
    group.signal(Signal::TERM);
    if timeout(GRACE, child.wait()).await.is_ok() {
        // What it started may have outlived it: the group is still there then.
        group.signal(Signal::KILL);
        group.done();
        return;
    }
    group.signal(Signal::KILL);
    // Only a process that waits for a broken device survives KILL; it is left to the system.
    timeout(GRACE, child.wait()).await.ok();
    group.done();
}

async fn drain(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>, most: usize) {
    let Some(mut pipe) = pipe else { return };
    let mut piece = [0; 4_096];
    while let Ok(count) = pipe.read(&mut piece).await {
        if count == 0 {
            return;
        }
        let room = most.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(piece.get(..room).unwrap_or_default());
    }
}

fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

/// The process group of a program that has not been waited for. Dropped before that, as when
/// the agent stops, it kills the whole group; the program's own number cannot be another's yet.
pub(in crate::watch) struct Group(Option<Pid>);

impl Group {
    pub(in crate::watch) fn of(child: &Child) -> Self {
        Self(pid(child))
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // No such group any more is what we want.
            kill_process_group(pid, signal).ok();
        }
    }

    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
