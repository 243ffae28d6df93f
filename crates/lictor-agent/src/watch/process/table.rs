//! The processes of this machine, read from /proc at most once a second for all watchers.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, oneshot};
use tokio::time::Instant;

use crate::Tasks;
use crate::watch::fault::Fault;

/// How old a reading may be that is used again.
const FRESH: Duration = Duration::from_secs(1);

/// Of a command line, bytes that are looked at.
const COMMAND: u64 = 4 * 1024;

/// A process that is not a zombie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) pid: u32,
    /// `comm`: at most 15 bytes.
    pub(super) name: String,
    /// The arguments joined by spaces; empty for a thread of the kernel.
    pub(super) command: String,
    /// Resident.
    pub(super) memory_bytes: u64,
    /// When it started, in ticks since the boot. With the number it identifies the process.
    pub(super) started: u64,
    /// This agent.
    pub(super) is_us: bool,
}

/// Reads the processes.
///
/// The command line of a process that is stuck in the kernel can block its reader, so that is
/// done on a thread, and no second one is started while one is stuck.
#[derive(Debug)]
pub(in crate::watch) struct ProcessTable {
    tasks: Tasks,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<(Instant, Arc<[Running]>)>,
    reading: Option<Reading>,
}

#[derive(Debug)]
struct Reading {
    since: Instant,
    answer: oneshot::Receiver<Result<Vec<Running>, Fault>>,
}

impl ProcessTable {
    pub(in crate::watch) fn new(tasks: Tasks) -> Self {
        Self { tasks, state: Mutex::default() }
    }

    /// The processes, at most a second ago.
    pub(super) async fn read(&self) -> Result<Arc<[Running]>, Fault> {
        let mut state = self.state.lock().await;
        if let Some((_, known)) = state.last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(Arc::clone(known));
        }
        if state.reading.is_none() {
            let since = Instant::now();
            let answer = self.tasks.on_thread("proc", || all(Path::new("/proc")));
            let answer = answer.map_err(|error| Fault::io("cannot start a thread", &error))?;
            state.reading = Some(Reading { since, answer });
        }
        let Some(reading) = &mut state.reading else { return Err(given_up()) };
        // Who waits longer than its time limit leaves the thread to the next.
        let found = (&mut reading.answer).await;
        let since = reading.since;
        state.reading = None;
        let found: Arc<[Running]> = found.map_err(|_lost| given_up())??.into();
        state.last = Some((since, Arc::clone(&found)));
        Ok(found)
    }
}

fn given_up() -> Fault {
    Fault::unknown("reading /proc was given up")
}

fn all(proc: &Path) -> Result<Vec<Running>, Fault> {
    // Mounted with hidepid, /proc shows only our own processes: others would seem to be gone.
    if !proc.join("1/stat").exists() {
        return Err(Fault::unknown("/proc hides the processes of other users from us (hidepid)"));
    }
    let entries =
        fs::read_dir(proc).map_err(|error| Fault::unknown(format!("cannot read /proc: {error}")))?;
    let us = std::process::id();
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4_096);
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that ended meanwhile is no longer there to be read.
        if let Ok(Some(mut running)) = one(&entry.path(), page) {
            running.pid = pid;
            running.is_us = pid == us;
            found.push(running);
        }
    }
    Ok(found)
}

/// One process; `None` for one that has ended and was not waited for yet.
fn one(directory: &Path, page: u64) -> io::Result<Option<Running>> {
    let Some(mut running) = stat(&fs::read(directory.join("stat"))?, page) else { return Ok(None) };
    let mut line = Vec::new();
    fs::File::open(directory.join("cmdline"))?.take(COMMAND).read_to_end(&mut line)?;
    while line.last() == Some(&0) {
        line.pop();
    }
    for byte in &mut line {
        if *byte == 0 {
            *byte = b' ';
        }
    }
    running.command = String::from_utf8_lossy(&line).into_owned();
    Ok(Some(running))
}

/// Reads `/proc/PID/stat` as proc(5) has it. The name stands in parentheses and may hold any byte.
fn stat(line: &[u8], page: u64) -> Option<Running> {
    let text = String::from_utf8_lossy(line);
    let (_pid, rest) = text.split_once('(')?;
    let (name, rest) = rest.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // Field 3 of the manual is the first here.
    let field = |number: usize| fields.get(number - 3).copied();
    if matches!(field(3)?, "Z" | "X" | "x") {
        return None;
    }
    let pages: u64 = field(24)?.parse().unwrap_or(0);
    Some(Running {
        name: name.to_owned(),
        memory_bytes: pages.saturating_mul(page),
        started: field(22)?.parse().ok()?,
        ..Running::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 4242 1000000 25 18446744073709551615 1 1";

    #[test]
    fn a_name_with_parentheses_and_blanks_is_read() {
        let found = stat(LINE.as_bytes(), 4_096).unwrap();
        assert_eq!(found.name, "a) b (c");
        assert_eq!((found.started, found.memory_bytes), (4_242, 25 * 4_096));
    }

    #[test]
    fn a_zombie_is_not_running() {
        assert_eq!(stat(LINE.replace(") S", ") Z").as_bytes(), 4_096), None);
    }

    #[test]
    fn garbage_is_no_process() {
        for text in ["", "7", "7 (a", "7 (a)", "7 (a) S", "7 (a) S x x x"] {
            assert_eq!(stat(text.as_bytes(), 4_096), None, "{text}");
        }
    }

    #[tokio::test]
    async fn this_process_is_there_and_known_as_ours() {
        let table = ProcessTable::new(Tasks::new());
        let all = table.read().await.unwrap();
        let us: Vec<_> = all.iter().filter(|one| one.is_us).collect();
        assert_eq!(us.len(), 1);
        assert_eq!(us[0].pid, std::process::id());
        assert!(us[0].memory_bytes > 0 && !us[0].command.is_empty());
    }

    #[test]
    fn a_proc_without_the_first_process_tells_us_nothing() {
        let empty = tempfile::tempdir().unwrap();
        let fault = all(empty.path()).unwrap_err();
        assert_eq!(fault.status, lictor_core::Status::Unknown);
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read_without_harm(line in "[0-9]{0,4}[( ][a-z)( ]{0,12}[) ]{0,2}[SZ 0-9-]{0,120}") {
            if let Some(found) = stat(line.as_bytes(), 4_096) {
                assert!(line.contains(&found.name));
            }
        }
    }
}
