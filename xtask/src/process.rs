//! Processes by way of `/proc`: who descends from whom, and ending a whole family.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a family has to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// Ends a child and everything that descends from it: TERM, then KILL after [`GRACE`].
///
/// The family is listed before the first signal, because a process whose parent
/// has ended cannot be found by descent any more.
pub(crate) fn end_tree(child: &mut Child) {
    let family = family(child.id());
    signal(&family, Signal::TERM);
    let asked = Instant::now();
    while asked.elapsed() < GRACE {
        let root_ended = matches!(child.try_wait(), Ok(Some(_)) | Err(_));
        if root_ended && !family.iter().any(|&pid| is_running(pid)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    signal(&family, Signal::KILL);
    // An error here means that it is reaped already.
    drop(child.wait());
}

/// Whether a process with this id exists and is not a zombie.
pub(crate) fn is_running(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.state != 'Z')
}

/// A process and all that descend from it, the oldest generation first.
pub(crate) fn family(root: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?.parent)))
        .collect();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(all.iter().filter(|&&(pid, of)| of == parent && pid != root).map(|&(pid, _)| pid));
        next += 1;
    }
    family
}

fn signal(family: &[u32], signal: Signal) {
    for &pid in family {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // It may have ended meanwhile, which is what we want.
            kill_process(pid, signal).ok();
        }
    }
}

/// The fields of `/proc/PID/stat` that are of use here (proc(5)).
struct Stat {
    state: char,
    parent: u32,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // The name in parentheses may hold spaces and parentheses itself.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Stat { state, parent })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_family_holds_children_and_grandchildren() {
        let mut child = Command::new("sh").args(["-c", "sh -c 'sleep 60; true' & wait"]).spawn().unwrap();
        let started = Instant::now();
        while family(child.id()).len() < 3 && started.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let family = family(child.id());
        assert_eq!(family.first(), Some(&child.id()));
        assert_eq!(family.len(), 3, "{family:?}");
        end_tree(&mut child);
        assert!(family.iter().all(|&pid| !is_running(pid)));
    }
}
