//! Finding the first process of a host among ours.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Process 1 of the host that `keeper` looks after, as we see it; `None` while there is none.
pub(super) fn leader(keeper: u32) -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?;
    let all: Vec<u32> =
        processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let parents: BTreeMap<u32, u32> = all.iter().filter_map(|&pid| Some((pid, parent(pid)?))).collect();
    // Ours, that of the inner shell, that of the host.
    let depth = spaces(keeper)?.len() + 2;
    let descends = |pid: u32| {
        let ancestor = |pid: &u32| parents.get(pid).copied();
        std::iter::successors(Some(pid), ancestor).take(64).any(|ancestor| ancestor == keeper)
    };
    all.into_iter().find(|&pid| {
        descends(pid)
            && spaces(pid).is_some_and(|pids| pids.len() == depth && pids.last() == Some(&1))
            // Before that it is still nspawn, with half of its mounts.
            && fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == "systemd")
    })
}

/// Ends a process at once.
pub(super) fn kill(pid: u32) {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(process) = process {
        // One that is gone is what was wanted.
        kill_process(process, Signal::KILL).ok();
    }
}

fn parent(pid: u32) -> Option<u32> {
    field(pid, "PPid:")?.trim().parse().ok()
}

/// Its numbers in the namespaces of processes, from ours inwards.
fn spaces(pid: u32) -> Option<Vec<u32>> {
    Some(field(pid, "NSpid:")?.split_whitespace().filter_map(|number| number.parse().ok()).collect())
}

fn field(pid: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned)
}
