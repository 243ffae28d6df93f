//! The shim: a process of its own between the agent and a program it runs. It outlives
//! the agent, holds the program to its time limit and leaves behind how it ended.
//!
//! It is the same program as the agent, started as `… shim DIR` with the job on its
//! standard input. It has no runtime and no threads: one loop around `poll(2)`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, PipeReader, Read as _};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use lictor_core::Boot;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getrlimit, kill_process, kill_process_group,
    setrlimit, waitid,
};

use super::claim::{Claim, End, Holder, Status, StatusFile, Stop};
use super::job::{self, Job};
use super::output::Output;
use super::process::{ProcessId, members};
use super::signals::Signals;
use crate::clock::{Clock, boot_id};

/// The shim recorded how the program ended.
pub(super) const RECORDED: u8 = 0;
/// The program was started, but how it ended could not be recorded (`EX_IOERR`).
pub(super) const LOST: u8 = 74;
/// The program was not started, and that could not be recorded either (`EX_TEMPFAIL`).
pub(super) const NOT_STARTED: u8 = 75;

/// The agent has handed over the job by then.
const HAND_OVER: Duration = Duration::from_secs(10);

/// A program that was killed is waited for so long; one that hangs in the kernel does
/// not go at all.
pub(super) const REAP: Duration = Duration::from_secs(5);

/// Descriptors that a program may open unless it asks for more. The agent may have many, but
/// programs that use `select(2)`, or close all they might have, do badly with many.
const DESCRIPTORS: u64 = 1_024;

/// The longest single wait: a machine that was suspended meanwhile notices soon that a
/// deadline has passed.
const NAP: Duration = Duration::from_secs(30);

/// Runs the shim and returns its exit code; `args` are those after `shim`.
///
/// Call it first of all, before threads, a runtime or anything else exists.
pub fn main(mut args: impl Iterator<Item = OsString>) -> u8 {
    let (Some(dir), None) = (args.next(), args.next()) else { return NOT_STARTED };
    let claim = Claim::at(dir);
    let clock = Clock::fresh();
    match begin(&claim, &clock) {
        Ok((mut watch, room)) => {
            let status = watch.until_ended();
            if room.write(status).is_ok() { RECORDED } else { LOST }
        }
        Err(NotBegun(code)) => code,
    }
}

/// The program was not started; the exit code says whether that is recorded.
struct NotBegun(u8);

impl<E: Into<io::Error>> From<E> for NotBegun {
    fn from(_error: E) -> Self {
        Self(NOT_STARTED)
    }
}

/// Starts the program. Everything that can fail comes before that.
fn begin(claim: &Claim, clock: &Clock) -> Result<(Watch, StatusFile), NotBegun> {
    rustix::process::setsid()?;
    let signals = Signals::new()?;
    let job = read_job(clock)?;
    let most = getrlimit(Resource::Nofile);
    if most.current.is_none_or(|most| most > DESCRIPTORS) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), ..most })?;
    }
    let process = ProcessId::own()?;
    let holder = Holder::Shim { process, boot_id: boot_id()? };
    let room = claim.reserve()?;
    let output = Output::new(claim.output_file()?, job.secrets.iter().cloned());
    if claim.hold(holder.clone())? != holder {
        return Err(NotBegun(NOT_STARTED));
    }
    // From here on the claim is ours: whatever happens is recorded or remains unknown.
    if signals.stop_asked() {
        return Err(record(room, "it was stopped before its start".to_owned()));
    }
    let (reader, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    let begun = clock.boot();
    let child = match start(&job, writer) {
        Ok(child) => child,
        Err(reason) => return Err(record(room, reason)),
    };
    // It runs: nothing from here on may end the shim early.
    let watch = Watch {
        clock: clock.clone(),
        shim: process,
        pid: Pid::from_child(&child),
        child,
        signals,
        reader: Some(reader),
        output,
        grace: Duration::from_millis(job.grace_millis),
        begun,
        limit: begun.after(Duration::from_millis(job.limit_millis)),
        stopping: None,
    };
    Ok((watch, room))
}

/// Records that the program was not started, and why.
fn record(room: StatusFile, reason: String) -> NotBegun {
    let status = Status { end: End::NotStarted(reason), stopped: None, millis: 0 };
    NotBegun(if room.write(status).is_ok() { RECORDED } else { NOT_STARTED })
}

/// Reads the job; one that was cut short does not parse.
fn read_job(clock: &Clock) -> io::Result<Job> {
    let deadline = clock.boot().after(HAND_OVER);
    let stdin = io::stdin();
    let mut bytes = Vec::new();
    let mut chunk = [0; 8 * 1024];
    loop {
        if clock.until(deadline).is_zero() {
            return Err(io::Error::other("the agent handed over no job"));
        }
        if !readable(&[stdin.as_fd()], clock.until(deadline))? {
            continue;
        }
        match rustix::io::read(&stdin, &mut chunk) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        if bytes.len() as u64 > job::LARGEST {
            return Err(io::Error::other("the job is too large"));
        }
    }
    serde_json::from_slice(&bytes).map_err(io::Error::other)
}

/// Starts the program, leader of its own process group; the error is a sentence.
fn start(job: &Job, writer: io::PipeWriter) -> Result<Child, String> {
    let Some((program, args)) = job.argv.split_first() else { return Err("no program is named".into()) };
    let cwd = &job.cwd;
    match fs::metadata(cwd).map(|found| found.is_dir()) {
        Ok(true) => {}
        Ok(false) => return Err(format!("its working directory `{}` is a file", cwd.display())),
        Err(error) => return Err(format!("its working directory `{}`: {error}", cwd.display())),
    }
    let stderr = writer.try_clone().map_err(|error| format!("no pipe for its output: {error}"))?;
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(&job.env).current_dir(cwd).process_group(0);
    command.stdin(Stdio::null()).stdout(writer).stderr(stderr);
    command.spawn().map_err(|error| why_not(program, job, &error))
}

/// Says why a program could not be started.
fn why_not(program: &str, job: &Job, error: &io::Error) -> String {
    let beside = job.cwd.join(program);
    match error.kind() {
        io::ErrorKind::NotFound if !program.contains('/') => {
            let path = job.env.get("PATH").map_or("", String::as_str);
            format!("there is no program `{program}` in PATH ({path})")
        }
        io::ErrorKind::NotFound if beside.exists() => {
            format!("`{program}` names an interpreter that does not exist")
        }
        io::ErrorKind::NotFound => format!("`{program}` does not exist"),
        io::ErrorKind::PermissionDenied => match fs::metadata(&beside) {
            Ok(found) if found.is_dir() => format!("`{program}` is a directory"),
            Ok(found) if found.permissions().mode() & 0o111 == 0 => format!("`{program}` is not executable"),
            Ok(_) | Err(_) => format!("`{program}` may not be run: {error}"),
        },
        _ => format!("`{program}` cannot be run: {error}"),
    }
}

/// A program under watch.
struct Watch {
    clock: Clock,
    shim: ProcessId,
    child: Child,
    pid: Pid,
    signals: Signals,
    /// `None` when every writer has closed it.
    reader: Option<PipeReader>,
    output: Output,
    grace: Duration,
    begun: Boot,
    limit: Boot,
    stopping: Option<Stopping>,
}

/// A program is being stopped.
#[derive(Clone, Copy)]
struct Stopping {
    why: Stop,
    /// When what is left of it is killed, or, when it was, given up.
    next: Boot,
    killed: bool,
}

impl Watch {
    /// Watches until the program has ended, then what is left of it if it was stopped.
    fn until_ended(&mut self) -> Status {
        let end = loop {
            self.drain();
            // Looked at before any signal of ours, so that an end of its own counts as one.
            let ended = self.has_ended();
            if ended && (self.stopping.is_none() || members(self.shim).is_empty()) {
                break self.reap();
            }
            if self.push() {
                break End::Stuck;
            }
            self.wait(ended);
        };
        // What it wrote last; what others that still hold the pipe write later is not its.
        self.drain();
        self.output.close();
        Status { end, stopped: self.stopping.map(|stopping| stopping.why), millis: self.age() }
    }

    /// Whether the program itself has ended. It stays a zombie until [`Self::reap`], so
    /// that its number, which is that of its group, is not used again meanwhile.
    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // An error can only mean that there is nothing to wait for.
        waitid(WaitId::Pid(self.pid), options).map_or(true, |status| status.is_some())
    }

    fn reap(&mut self) -> End {
        match self.child.wait() {
            Ok(status) => end_of(status),
            Err(_not_ours) => End::Stuck,
        }
    }

    /// Goes on with stopping the program when it is time; `true` when there is nothing
    /// left to try.
    fn push(&mut self) -> bool {
        match self.stopping {
            None => {
                let over = self.clock.until(self.limit).is_zero();
                let why = if over { Stop::Limit } else { Stop::Abort };
                if over || self.signals.stop_asked() {
                    self.send(Signal::TERM);
                    let next = self.clock.boot().after(self.grace);
                    self.stopping = Some(Stopping { why, next, killed: false });
                }
                false
            }
            Some(stopping) if !self.clock.until(stopping.next).is_zero() => {
                // What was started while the others were being killed.
                if stopping.killed {
                    self.send(Signal::KILL);
                }
                false
            }
            Some(Stopping { why, killed: false, .. }) => {
                self.send(Signal::KILL);
                self.stopping = Some(Stopping { why, next: self.clock.boot().after(REAP), killed: true });
                false
            }
            Some(Stopping { killed: true, .. }) => true,
        }
    }

    /// Sends a signal to the group of the program and to whatever made itself a group of
    /// its own but stayed in our session. Those that are gone do not matter.
    fn send(&self, signal: Signal) {
        let whole = kill_process_group(self.pid, signal);
        let rest = members(self.shim).into_iter().filter_map(|member| Pid::from_raw(member.pid));
        for pid in rest {
            if rustix::process::getpgid(Some(pid)).is_ok_and(|group| group != self.pid) || whole.is_err() {
                kill_process(pid, signal).ok();
            }
        }
    }

    /// Takes in what the program has written so far and saves it when it is time to.
    fn drain(&mut self) {
        if let Some(reader) = self.reader.take()
            && self.take_from(&reader)
        {
            self.reader = Some(reader);
        }
        self.output.save(self.clock.boot());
    }

    /// Reads what is there; `false` when there will be no more.
    fn take_from(&mut self, mut reader: &PipeReader) -> bool {
        // Bounded, so that one that never stops writing is still held to its limit.
        const MOST: usize = 1024 * 1024;
        let mut chunk = [0; 64 * 1024];
        let mut taken = 0;
        while taken < MOST {
            match reader.read(&mut chunk) {
                Ok(0) => return false,
                Ok(count) => {
                    taken += count;
                    self.output.push(chunk.get(..count).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }

    /// Waits until something may have changed. Other processes than the program tell
    /// nothing when they end, so while it is those that are waited for we look often.
    fn wait(&self, ended: bool) {
        const OFTEN: Duration = Duration::from_millis(20);
        let deadline = self.stopping.map_or(self.limit, |stopping| stopping.next);
        let mut most = self.clock.until(deadline).min(NAP);
        if ended || self.stopping.is_some_and(|stopping| stopping.killed) {
            most = most.min(OFTEN);
        }
        if let Some(save) = self.output.due() {
            most = most.min(self.clock.until(save));
        }
        let signals = self.signals.as_fd();
        let waited = match &self.reader {
            Some(reader) => readable(&[signals, reader.as_fd()], most),
            None => readable(&[signals], most),
        };
        // An error here would repeat at once: do not spin on it.
        if waited.is_err() {
            readable(&[], OFTEN).ok();
        }
        self.signals.clear();
    }

    fn age(&self) -> u64 {
        u64::try_from(self.clock.boot().since(self.begun).as_millis()).unwrap_or(u64::MAX)
    }
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, Some(signal)) => End::Signal(signal),
        (None, None) => End::Stuck,
    }
}

/// Waits until one of the descriptors can be read, or at most so long; whether one can.
fn readable(fds: &[std::os::fd::BorrowedFd<'_>], most: Duration) -> io::Result<bool> {
    let mut fds: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    // One more millisecond: deadlines are in whole ones, and one too early would spin.
    let most = most + Duration::from_millis(1);
    let timeout = Timespec {
        tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(most.subsec_nanos()),
    };
    match poll(&mut fds, Some(&timeout)) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
