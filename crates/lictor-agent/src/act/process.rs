//! Processes as /proc shows them: who one is, who is in a session, and when one ends.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How often a process is looked at when the kernel cannot tell of its end (Linux before
/// 5.3, or a filter of system calls).
const LOOK: Duration = Duration::from_millis(500);

/// A process for as long as the machine is up: a number is used again, a number with its
/// start time is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// When it was started, clock ticks since the machine was (field 22 of proc_pid_stat(5)).
    pub started: u64,
}

impl ProcessId {
    /// This process.
    pub(super) fn own() -> io::Result<Self> {
        let stat = Stat::read("/proc/self/stat")?;
        Ok(Self { pid: stat.pid, started: stat.started })
    }

    /// The process that has this number now; `None` when none has.
    pub(super) fn of(pid: u32) -> io::Result<Option<Self>> {
        match Stat::read(&format!("/proc/{pid}/stat")) {
            Ok(stat) => Ok(stat.living().then_some(Self { pid: stat.pid, started: stat.started })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether it is still there; one that has ended but was not waited for is not.
    pub(super) fn alive(self) -> bool {
        Stat::read(&format!("/proc/{}/stat", self.pid))
            .is_ok_and(|stat| stat.started == self.started && stat.living())
    }

    /// Whether its number belongs to another process by now.
    fn replaced(self) -> bool {
        Stat::read(&format!("/proc/{}/stat", self.pid)).is_ok_and(|stat| stat.started != self.started)
    }

    /// Sends it a signal; `false` when it is gone.
    pub(super) fn signal(self, signal: Signal) -> io::Result<bool> {
        match self.open() {
            Ok(Some(fd)) => match pidfd_send_signal(&fd, signal) {
                Ok(()) => Ok(true),
                Err(rustix::io::Errno::SRCH) => Ok(false),
                Err(error) => Err(error.into()),
            },
            Ok(None) => Ok(false),
            Err(_unsupported) => match Pid::from_raw(self.pid) {
                Some(pid) if self.alive() => {
                    rustix::process::kill_process(pid, signal)?;
                    Ok(true)
                }
                Some(_) | None => Ok(false),
            },
        }
    }

    /// Returns when it has ended.
    pub(super) async fn ended(self) {
        let told = match self.open() {
            Ok(None) => return,
            Ok(Some(fd)) => watched(fd),
            Err(error) => Err(error),
        };
        if let Ok(fd) = told
            && fd.readable().await.is_ok()
        {
            return;
        }
        self.ended_by_looking().await;
    }

    /// Returns soon after it has ended, without the kernel's help.
    async fn ended_by_looking(self) {
        while self.alive() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A descriptor of this very process; `None` when it is gone.
    fn open(self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            // Looked at after the number was bound: what is open is what is looked at.
            Ok(fd) => Ok(self.alive().then_some(fd)),
            Err(rustix::io::Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[expect(
    deprecated,
    reason = "what takes its place is unsafe, for descriptors that are not owned; this one is"
)]
fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// The living processes of the session that `leader` began, without the leader itself.
///
/// Only sound while the leader is known to live, or was not replaced: see [`orphans`].
pub(super) fn members(leader: ProcessId) -> Vec<ProcessId> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers
        .filter(|pid| *pid != leader.pid)
        .filter_map(|pid| Stat::read(&format!("/proc/{pid}/stat")).ok())
        .filter(|stat| stat.session == leader.pid && stat.started >= leader.started && stat.living())
        .map(|stat| ProcessId { pid: stat.pid, started: stat.started })
        .collect()
}

/// What is left of the session of a leader that has ended: processes that still carry a
/// variable (`NAME=value`) that `marks` them in their environment, so that a session number
/// that was used again is never taken for it.
pub(super) fn orphans(leader: ProcessId, marks: impl Fn(&[u8]) -> bool) -> Vec<ProcessId> {
    if leader.replaced() {
        return Vec::new();
    }
    let marked = |process: &ProcessId| {
        fs::read(format!("/proc/{}/environ", process.pid))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(&marks))
    };
    members(leader).into_iter().filter(marked).collect()
}

/// What we need of proc_pid_stat(5).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    pid: i32,
    state: char,
    session: i32,
    started: u64,
}

impl Stat {
    fn read(path: &str) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        Self::parse(&String::from_utf8_lossy(&bytes))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("`{path}` is not as expected")))
    }

    /// The name of the process may hold blanks and parentheses: the last one ends it.
    fn parse(text: &str) -> Option<Self> {
        let (head, tail) = text.rsplit_once(')')?;
        let pid = head.split_once(' ')?.0.parse().ok()?;
        let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
        Some(Self {
            pid,
            state: fields.first()?.chars().next()?,
            session: fields.get(3)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    fn living(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_shift_the_fields() {
        let text = "71 (a) b (c)) S 1 70 69 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 9876 1 2 3";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat, Stat { pid: 71, state: 'S', session: 69, started: 9876 });
        assert_eq!(Stat::parse("71 (a"), None);
        assert_eq!(Stat::parse("71 (a) S 1"), None);
    }

    #[test]
    fn a_number_with_another_start_time_is_another_process() {
        let own = ProcessId::own().unwrap();
        assert!(own.alive());
        let other = ProcessId { started: own.started + 1, ..own };
        assert!(!other.alive());
        assert!(other.replaced());
        assert!(!other.signal(Signal::KILL).unwrap());
    }

    #[tokio::test]
    async fn the_end_of_a_process_is_seen_with_and_without_the_kernels_help() {
        for by_looking in [false, true] {
            let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
            let pid = i32::try_from(child.id()).unwrap();
            let stat = Stat::read(&format!("/proc/{pid}/stat")).unwrap();
            let process = ProcessId { pid, started: stat.started };
            let ended =
                async { if by_looking { process.ended_by_looking().await } else { process.ended().await } };
            tokio::pin!(ended);
            let early = tokio::time::timeout(Duration::from_millis(100), &mut ended).await;
            assert!(early.is_err(), "seen to end while it lives");
            assert!(process.signal(Signal::KILL).unwrap());
            tokio::time::timeout(Duration::from_secs(5), ended).await.unwrap();
            child.wait().unwrap();
        }
    }
}
