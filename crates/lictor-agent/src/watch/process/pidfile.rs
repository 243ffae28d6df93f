//! The process a pid file names, if it is still that process.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::fstatfs;
use rustix::param::clock_ticks_per_second;

use super::table::Running;
use crate::watch::fault::{Fault, Plain};

/// Of a pid file, bytes that are read.
const FILE: u64 = 64;

/// A process may have started so much after its pid file was written: the clocks of file
/// systems and of the process table are coarse.
const SLACK: Duration = Duration::from_secs(5);

/// linux/magic.h: file systems that do not outlive the machine's boot.
const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];

/// What a pid file led to before: the same file must lead to the same process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::watch) struct Sighting {
    written: SystemTime,
    pid: u32,
    started: u64,
}

/// Finds the process that the file names among those that run.
pub(super) fn find<'a>(
    path: &Path,
    running: &'a [Running],
    before: &mut Option<Box<Sighting>>,
) -> Result<&'a Running, Fault> {
    find_by(path, &open(path)?, running, before)
}

fn find_by<'a>(
    path: &Path,
    content: &Content,
    running: &'a [Running],
    before: &mut Option<Box<Sighting>>,
) -> Result<&'a Running, Fault> {
    let shown = path.display();
    let Content { text, written, in_memory, .. } = content;
    let (written, in_memory) = (*written, *in_memory);
    let first = text.split_whitespace().next().unwrap_or_default();
    let pid = match first.parse::<u32>() {
        Ok(pid) if pid > 0 => pid,
        Ok(_) | Err(_) => {
            return Err(Fault::critical(format!("{shown} holds no process number but {first:?}")));
        }
    };
    let Some(process) = running.iter().find(|one| one.pid == pid) else {
        return Err(Fault::critical(format!("{shown} names process {pid}, which does not run")));
    };
    let same_file = before.as_deref().filter(|seen| seen.written == written && seen.pid == pid);
    let reused = match same_file {
        Some(seen) => seen.started != process.started,
        None => started_later(process, written, in_memory),
    };
    if reused {
        let name = &process.name;
        return Err(Fault::critical(format!(
            "{shown} is out of date: process {pid} ({name}) started after it was written"
        )));
    }
    *before = Some(Box::new(Sighting { written, pid, started: process.started }));
    Ok(process)
}

/// The number in a pid file, if it is still that of the process that it was written for, and the file that
/// was read; `started` tells when a process was started.
pub(crate) fn pid_in_file(
    path: &Path,
    started: impl Fn(u32) -> Option<u64>,
) -> Result<(u32, Metadata), String> {
    let content = open(path).map_err(|fault| fault.message)?;
    let pid = content.text.split_whitespace().next().and_then(|first| first.parse().ok());
    let process = pid.and_then(|pid| Some(Running { pid, started: started(pid)?, ..Running::default() }));
    // What is wrong with it is said there.
    let found = find_by(path, &content, process.as_slice(), &mut None);
    let pid = found.map(|process| process.pid).map_err(|fault| fault.message)?;
    Ok((pid, content.metadata))
}

/// What is in a pid file.
struct Content {
    text: String,
    written: SystemTime,
    in_memory: bool,
    metadata: Metadata,
}

fn open(path: &Path) -> Result<Content, Fault> {
    let shown = path.display();
    read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Fault::critical(format!("there is no pid file {shown}")),
        _ => Fault::unknown(format!("cannot read {shown}: {}", Plain(&error))),
    })
}

fn read(path: &Path) -> io::Result<Content> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let written = metadata.modified()?;
    let kind = fstatfs(&file).ok().and_then(|stat| u32::try_from(stat.f_type).ok());
    let in_memory = kind.is_some_and(|kind| IN_MEMORY.contains(&kind));
    let mut bytes = Vec::new();
    file.take(FILE).read_to_end(&mut bytes)?;
    Ok(Content { text: String::from_utf8_lossy(&bytes).into_owned(), written, in_memory, metadata })
}

/// Whether the process started after the file was written: then it has only inherited the number.
///
/// A file in memory that seems older than the boot cannot be: the clock was set meanwhile, as
/// on machines without a clock of their own, and its date proves nothing.
fn started_later(process: &Running, written: SystemTime, in_memory: bool) -> bool {
    let Some(booted) = booted() else { return false };
    if in_memory && written < booted {
        return false;
    }
    let ticks = clock_ticks_per_second().max(1);
    let seconds = Duration::from_secs(process.started / ticks);
    booted + seconds > written + SLACK
}

/// When the machine was booted, by its clock of now (`btime`).
fn booted() -> Option<SystemTime> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, started: u64) -> Running {
        Running { pid, started, name: "sleep".into(), ..Running::default() }
    }

    fn pid_file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn message(file: &Path, running: &[Running], before: &mut Option<Box<Sighting>>) -> String {
        match find(file, running, before) {
            Ok(process) => format!("process {}", process.pid),
            Err(fault) => {
                format!("{}: {}", fault.status, fault.message.replace(&*file.to_string_lossy(), "FILE"))
            }
        }
    }

    #[test]
    fn a_pid_file_leads_to_its_process() {
        let file = pid_file(" 42\nmore\n");
        assert_eq!(message(file.path(), &[process(7, 1), process(42, 1)], &mut None), "process 42");
    }

    #[test]
    fn a_stale_number_is_critical() {
        let file = pid_file("42\n");
        let found = message(file.path(), &[process(7, 1)], &mut None);
        assert_eq!(found, "critical: FILE names process 42, which does not run");
    }

    #[test]
    fn garbage_and_an_absent_file_are_critical() {
        for text in ["", "x", "-5", "0", "99999999999999999999"] {
            let file = pid_file(text);
            let found = message(file.path(), &[process(42, 1)], &mut None);
            assert_eq!(found, format!("critical: FILE holds no process number but {text:?}"));
        }
        let path = Path::new("/nonexistent/pid");
        assert_eq!(message(path, &[], &mut None), "critical: there is no pid file FILE");
    }

    #[test]
    fn a_process_that_started_after_the_file_was_written_has_only_its_number() {
        let file = pid_file("42\n");
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        File::options().append(true).open(file.path()).unwrap().set_modified(long_ago).unwrap();
        assert!(started_later(&process(42, 1), long_ago, false));
        assert!(!started_later(&process(42, 1), long_ago, true));
    }

    #[test]
    fn another_process_behind_the_same_file_is_noticed() {
        let file = pid_file("42\n");
        let mut before = None;
        assert_eq!(message(file.path(), &[process(42, 1)], &mut before), "process 42");
        let found = message(file.path(), &[process(42, 2)], &mut before);
        assert_eq!(found, "critical: FILE is out of date: process 42 (sleep) started after it was written");
    }
}
