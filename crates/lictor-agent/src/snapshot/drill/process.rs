//! A program that must not outlive us, with all that it starts.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;

use crate::task::Tasks;
use crate::text::one_line;

/// What was killed is waited for so long; one that hangs in the kernel does not go at all.
const REAP: Duration = Duration::from_secs(5);

/// What is kept of what a program writes, in bytes: its end.
const KEPT: usize = 16 << 10;

/// Lines of it that are shown.
const LINES: usize = 8;

/// Characters of such a line that are shown.
const SHOWN: usize = 300;

/// What a program is started with.
pub(super) struct Start<'a> {
    /// This program and the word by which it becomes another one: see [`launch`](super::launch).
    pub(super) launcher: &'a [OsString],
    pub(super) program: &'a Path,
    pub(super) args: &'a [OsString],
    /// Where it is, and where its temporary files are.
    pub(super) folder: &'a Path,
}

/// A running program, leader of its own process group. Dropping it kills the group and waits until the program is gone.
///
/// It is started by a thread that waits for its end: the kernel kills it when that thread is gone, so also when
/// this process is killed.
pub(super) struct Process {
    life: Arc<Life>,
    ended: oneshot::Receiver<io::Result<ExitStatus>>,
    /// `None` when every writer has closed it.
    output: Option<Receiver>,
    said: Said,
}

impl Process {
    /// Starts it. What it writes is taken in while [`Self::ended`] is asked.
    pub(super) fn start(start: &Start<'_>, said: Said) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let output = Receiver::from_owned_fd(OwnedFd::from(reader))?;
        let [word, words @ ..] = start.launcher else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "nothing is said to start it by"));
        };
        let mut command = Command::new(word);
        command.args(words).arg(std::process::id().to_string()).arg(start.program).args(start.args);
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.env("TMPDIR", start.folder).current_dir(start.folder).process_group(0);
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let life = Arc::new(Life::default());
        let (started, begun) = sync_channel(1);
        let lived = Arc::clone(&life);
        let ended = Tasks::new().on_thread("drill", move || lived.live(command, &started))?;
        // As long as a start takes.
        begun.recv().map_err(io::Error::other)??;
        Ok(Self { life, ended, output: Some(output), said })
    }

    /// Returns when it has ended; ask no more then. It can be asked again when it was not waited for to the end.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        let mut piece = [0; 4 << 10];
        loop {
            let output = &mut self.output;
            let read = async {
                match output {
                    Some(output) => output.read(&mut piece).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                status = &mut self.ended => {
                    self.drain();
                    return status.map_err(io::Error::other)?;
                }
                read = read => match read {
                    Ok(0) | Err(_) => self.output = None,
                    Ok(count) => self.said.push(piece.get(..count).unwrap_or_default()),
                },
            }
        }
    }

    /// Takes in what it wrote last; others that still hold the pipe are not waited for.
    fn drain(&mut self) {
        let mut piece = [0; 4 << 10];
        // Not its `try_read`, which reads nothing before the runtime has heard that there is something.
        while let Some(output) = &self.output
            && let Ok(count @ 1..) = rustix::io::read(output, &mut piece)
        {
            self.said.push(piece.get(..count).unwrap_or_default());
        }
    }

    /// Kills it, and returns when it is gone.
    pub(super) async fn end(mut self) -> io::Result<()> {
        self.life.kill();
        match tokio::time::timeout(REAP, self.ended()).await {
            Ok(ended) => ended.map(drop),
            Err(_late) => Err(io::Error::new(io::ErrorKind::TimedOut, "it was killed, and does not go")),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.life.kill();
        // What is in its folder must not be removed under it, and whoever dropped this may end the process next.
        if !self.life.gone_within(REAP) {
            tracing::warn!("the server of a drill was killed, and does not go");
        }
    }
}

/// What is known of it from outside.
#[derive(Default)]
struct Life {
    stage: Mutex<Stage>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
enum Stage {
    #[default]
    Starting,
    /// Its number is that of its group, and belongs to nobody else.
    Running(Pid),
    Gone,
}

impl Life {
    /// Starts it and waits for its end.
    fn live(&self, command: Command, started: &SyncSender<io::Result<()>>) -> io::Result<ExitStatus> {
        let mut child = match spawn(command) {
            Ok(child) => child,
            Err(error) => {
                self.become_stage(Stage::Gone);
                // Whoever starts it waits for this.
                drop(started.send(Err(error)));
                return Err(io::Error::other("it was not started"));
            }
        };
        let group = Pid::from_child(&child);
        self.become_stage(Stage::Running(group));
        drop(started.send(Ok(())));
        let ended = watch(group);
        // What it left behind. It is not waited for yet, so that its number is not used again.
        kill(group);
        self.become_stage(Stage::Gone);
        let status = child.wait();
        ended.and(status)
    }

    fn become_stage(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
        self.changed.notify_all();
    }

    fn kill(&self) {
        // Held, so that it is not waited for meanwhile.
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Stage::Running(group) = *stage {
            kill(group);
        }
    }

    /// Whether it was gone within that time.
    fn gone_within(&self, most: Duration) -> bool {
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(stage, most, |stage| !matches!(stage, Stage::Gone));
        let (stage, _) = waited.unwrap_or_else(PoisonError::into_inner);
        matches!(*stage, Stage::Gone)
    }
}

/// The command holds the pipe's other end, which must be the program's alone.
fn spawn(mut command: Command) -> io::Result<Child> {
    command.spawn()
}

/// Returns when it has ended, and leaves it to be waited for.
fn watch(pid: Pid) -> io::Result<()> {
    loop {
        match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A group that is gone already does not matter.
fn kill(group: Pid) {
    kill_process_group(group, Signal::KILL).ok();
}

/// The end of what a program has written. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Said(Arc<Mutex<VecDeque<u8>>>);

impl Said {
    fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
    }

    /// All that is kept, as text.
    pub(super) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its last lines, fit to be shown, each with a line break and blanks before it; nothing if it said nothing.
    pub(super) fn last(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines.iter().skip(lines.len().saturating_sub(LINES));
        last.map(|line| format!("\n  {}", one_line(line, SHOWN))).collect()
    }
}
