//! Disk: space and inodes of file systems, as df sees them.
//!
//! Asking a dead network file system blocks in the kernel, for ever and beyond any signal. So
//! the question is asked on a thread of its own, and while one is stuck no other is sent after it.

mod mounts;

pub(crate) use mounts::unescape;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lictor_config::Disk;
use lictor_core::{Sample, Span, Status, Value, ValueName};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::fault::{Fault, Plain, is_ours};
use super::look::{Look, Memory, World, worst};
use super::value::{self, Measured as _, float, named};

/// File systems whose values are reported one by one.
const REPORTED: usize = 32;

/// A file system's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Space {
    /// Of what users can have, in percent: what df shows.
    used_percent: f64,
    available_bytes: u64,
    /// `None` for a file system without a fixed number of inodes.
    inodes_used_percent: Option<f64>,
}

/// What came of asking about one path.
type Asked = (PathBuf, io::Result<Space>);

/// A thread that asks, and may be stuck.
#[derive(Debug)]
pub(super) struct Pending {
    answer: oneshot::Receiver<io::Result<Vec<Asked>>>,
    /// What it is asking about.
    at: Arc<Mutex<PathBuf>>,
    since: Instant,
}

pub(super) async fn look(disk: &Disk, limit: Duration, memory: &mut Memory, world: &World) -> Look {
    let pending = match memory.statvfs.take() {
        Some(pending) => pending,
        None => match ask(disk.paths.clone(), world, space) {
            Ok(pending) => Box::new(pending),
            Err(error) => return Look::new(Fault::io("cannot start a thread", &error).into_sample()),
        },
    };
    Look::new(wait(disk, pending, limit, &mut memory.statvfs).await)
}

/// Waits for the thread's answer, and leaves it in `stuck` if that does not come in time.
async fn wait(
    disk: &Disk,
    mut pending: Box<Pending>,
    limit: Duration,
    stuck: &mut Option<Box<Pending>>,
) -> Sample {
    match timeout(limit, &mut pending.answer).await {
        Ok(Ok(Ok(asked))) => judge(disk, &asked),
        Ok(Ok(Err(error))) => Fault::io("cannot read the table of mounts", &error).into_sample(),
        Ok(Err(_lost)) => Fault::unknown("asking for the space was given up").into_sample(),
        Err(_late) => {
            let at = pending.at.lock().unwrap_or_else(PoisonError::into_inner).display().to_string();
            let silent = Span(pending.since.elapsed());
            *stuck = Some(pending);
            Sample::new(Status::Critical, format!("{at} has not answered for {silent}"))
        }
    }
}

/// Starts asking about each path in turn; about every mount when there is none.
fn ask(
    paths: Vec<PathBuf>,
    world: &World,
    space: impl Fn(&Path) -> io::Result<Space> + Send + 'static,
) -> io::Result<Pending> {
    let at = Arc::new(Mutex::new(PathBuf::from("/proc/self/mountinfo")));
    let shown = Arc::clone(&at);
    let work = move || {
        let paths = if paths.is_empty() { mounts::on_devices()? } else { paths };
        let about = |path: PathBuf| {
            shown.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&path);
            let found = space(&path);
            (path, found)
        };
        Ok(paths.into_iter().map(about).collect())
    };
    let answer = world.tasks.on_thread("statvfs", work)?;
    Ok(Pending { answer, at, since: Instant::now() })
}

/// statvfs(3).
fn space(path: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(path)?;
    let used = stat.f_blocks.saturating_sub(stat.f_bfree);
    let nodes = stat.f_files.saturating_sub(stat.f_ffree);
    Ok(Space {
        used_percent: percent(used, used.saturating_add(stat.f_bavail)),
        available_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        inodes_used_percent: (stat.f_files > 0).then(|| percent(nodes, stat.f_files)),
    })
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { float(part) * 100.0 / float(whole) }
}

/// A verdict on one file system.
#[derive(Debug)]
struct Finding {
    status: Status,
    path: String,
    message: String,
    space: Option<Space>,
}

fn judge(disk: &Disk, asked: &[Asked]) -> Sample {
    let mut findings: Vec<Finding> = asked.iter().map(|(path, found)| finding(disk, path, found)).collect();
    // The worst first, and among those of one rank the fullest.
    findings.sort_by(|a, b| {
        let used = |finding: &Finding| finding.space.map_or(-1.0, |space| space.used_percent);
        b.status.cmp(&a.status).then(used(b).total_cmp(&used(a)))
    });
    let status = worst(Status::Passing, findings.iter().map(|finding| finding.status));
    let bad: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.status == status && status != Status::Passing)
        .map(|finding| finding.message.as_str())
        .collect();
    let summary = match (bad.is_empty(), findings.first()) {
        (false, _) => bad.join("; "),
        (true, Some(fullest)) => fullest.message.clone(),
        (true, None) => return Sample::new(Status::Unknown, "there is no file system to look at"),
    };
    let mut sample = Sample::new(status, summary);
    if let Some((finding, space)) = findings.iter().find_map(|found| Some((found, found.space?))) {
        sample.number(&value::USED_PERCENT, round(space.used_percent));
        sample.count(&value::AVAILABLE_BYTES, space.available_bytes);
        if let Some(nodes) = space.inodes_used_percent {
            sample.number(&value::INODES_USED_PERCENT, round(nodes));
        }
        sample.values.push((value::MOUNT.clone(), Value::Text(finding.path.clone())));
    }
    if findings.len() > 1 {
        for finding in findings.iter().take(REPORTED) {
            let Some(space) = finding.space else { continue };
            let mut add = |what: &str, number: f64| {
                let name: Option<ValueName> = named(&format!("{what}:{}", finding.path));
                sample.values.extend(name.map(|name| (name, Value::Number(number))));
            };
            add("used_percent", round(space.used_percent));
            add("available_bytes", float(space.available_bytes));
        }
    }
    sample
}

fn finding(disk: &Disk, path: &Path, found: &io::Result<Space>) -> Finding {
    let path = path.display().to_string();
    let space = match found {
        Ok(space) => *space,
        Err(error) => {
            // A path that is not there is no full disk: it cannot be looked at.
            let absent = error.kind() == io::ErrorKind::NotFound;
            let status = if absent || is_ours(error) { Status::Unknown } else { Status::Critical };
            return Finding { status, message: format!("{path}: {}", Plain(error)), path, space: None };
        }
    };
    let used =
        format!("{path} is {:.1}% used, {} available", space.used_percent, Size(space.available_bytes));
    let (status, message) = if space.used_percent > disk.critical_used_percent {
        (Status::Critical, used)
    } else if let Some(least) = disk.critical_available_bytes.filter(|least| space.available_bytes < *least) {
        let message =
            format!("{path} has {} available, less than {}", Size(space.available_bytes), Size(least));
        (Status::Critical, message)
    } else if let Some(nodes) = space.inodes_used_percent.filter(|used| *used > disk.critical_inodes_percent)
    {
        (Status::Critical, format!("{path} has {nodes:.1}% of its inodes used"))
    } else if space.used_percent > disk.warn_used_percent {
        (Status::Warning, used)
    } else {
        (Status::Passing, used)
    };
    Finding { status, path, message, space: Some(space) }
}

/// To two decimals: more would make every look a different value.
fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// A number of bytes for people, in powers of 1024.
pub(super) struct Size(pub(super) u64);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        let mut size = float(self.0);
        let mut unit = "B";
        for larger in UNITS {
            if size < 1_024.0 {
                break;
            }
            size /= 1_024.0;
            unit = larger;
        }
        if unit == "B" { write!(f, "{size} B") } else { write!(f, "{size:.1} {unit}") }
    }
}

#[cfg(test)]
mod tests;
