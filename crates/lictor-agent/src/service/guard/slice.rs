//! The control group of a service: whether anything runs in it, and killing all of it at once.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::process::{Pid, Signal, kill_process};

use super::super::place::Place;

/// Rounds of killing one by one, where the kernel cannot kill a whole group. What is forked during a round
/// is found by the next.
const ROUNDS: u32 = 1_000;

/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(1);

/// The control group of a service, in each tree that systemd keeps.
#[derive(Clone, Debug)]
pub(in crate::service) struct Slice(Vec<PathBuf>);

impl Slice {
    /// That of a service on this machine. It need not be there.
    ///
    /// # Errors
    /// Control groups cannot be found, or the first process is not a systemd.
    pub(in crate::service) fn of(place: &Place) -> io::Result<Self> {
        let first = fs::read_to_string("/proc/1/cgroup")?;
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let roots = roots(&first, &mounts);
        if roots.is_empty() {
            return Err(io::Error::other("systemd's tree of control groups is not found"));
        }
        Ok(Self(roots.into_iter().map(|root| root.join(place.group())).collect()))
    }

    /// One in a place of its own.
    #[cfg(test)]
    pub(super) fn at(dir: PathBuf) -> Self {
        Self(vec![dir])
    }

    /// Whether any process is in it.
    ///
    /// # Errors
    /// That cannot be read.
    pub(in crate::service) fn is_populated(&self) -> io::Result<bool> {
        for dir in &self.0 {
            if gone(is_populated(dir))?.unwrap_or(false) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Kills all that is in it, and what that forks meanwhile. Gives whether anything was. What was killed is
    /// dead a moment later, unless it hangs in the kernel.
    ///
    /// # Errors
    /// Something may be alive.
    pub(in crate::service) fn kill(&self) -> io::Result<bool> {
        let (mut found, mut trouble) = (false, None);
        for dir in &self.0 {
            match gone(kill(dir)) {
                Ok(killed) => found |= killed.unwrap_or(false),
                // The other trees may do.
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            Some(error) if self.is_populated()? => Err(error),
            Some(_) | None => Ok(found),
        }
    }
}

/// A group that is not there is empty.
fn gone<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        // The second is what the kernel says of one that goes away while it is read.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) =>
        {
            Ok(None)
        }
        done => done.map(Some),
    }
}

fn kill(dir: &Path) -> io::Result<bool> {
    let found = is_populated(dir)?;
    let whole = OpenOptions::new().write(true).open(dir.join("cgroup.kill"));
    if whole.and_then(|mut whole| whole.write_all(b"1")).is_ok() {
        return Ok(found);
    }
    // No such file before Linux 5.14, nor in version 1.
    for _ in 0..ROUNDS {
        let mut all = Vec::new();
        members(dir, &mut all)?;
        if all.is_empty() {
            return Ok(found);
        }
        for pid in all {
            match kill_process(pid, Signal::KILL) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        pause(PAUSE)?;
    }
    Err(io::Error::other("some processes do not go"))
}

/// Waits, with nothing to wait for.
pub(super) fn pause(span: Duration) -> io::Result<()> {
    let span = Timespec::try_from(span).map_err(io::Error::other)?;
    match rustix::event::poll(&mut [], Some(&span)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_populated(dir: &Path) -> io::Result<bool> {
    match fs::read_to_string(dir.join("cgroup.events")) {
        Ok(events) => Ok(events.lines().any(|line| line == "populated 1")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut all = Vec::new();
            members(dir, &mut all)?;
            Ok(!all.is_empty())
        }
        Err(error) => Err(error),
    }
}

/// All processes of a group and of those within it.
fn members(dir: &Path, all: &mut Vec<Pid>) -> io::Result<()> {
    let pids = fs::read_to_string(dir.join("cgroup.procs"))?;
    // What is of another machine's namespace of processes is 0 here.
    all.extend(pids.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)));
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            gone(members(&entry.path(), all))?;
        }
    }
    Ok(())
}

/// Where the groups of all units begin, version 2 first. `first` is `/proc/1/cgroup`, `mounts` our mountinfo.
fn roots(first: &str, mounts: &str) -> Vec<PathBuf> {
    let own = |head: fn(&str) -> bool| {
        first.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let path = path.strip_suffix("/init.scope")?;
            head(controllers).then(|| format!("/{}", path.trim_start_matches('/')))
        })
    };
    let trees = [
        (own(str::is_empty), mount(mounts, |kind, _| kind == "cgroup2")),
        (
            own(|controllers| controllers == "name=systemd"),
            mount(mounts, |kind, options| {
                kind == "cgroup" && options.split(',').any(|option| option == "name=systemd")
            }),
        ),
    ];
    let root = |(own, mount): (Option<String>, Option<(String, String)>)| {
        let (own, (root, point)) = (own?, mount?);
        // The mount may show only a part of the tree.
        let within = Path::new(&own).strip_prefix(&root).ok()?;
        Some(Path::new(&point).join(within))
    };
    trees.into_iter().filter_map(root).collect()
}

/// What of a file system is mounted, and where.
fn mount(mounts: &str, is: impl Fn(&str, &str) -> bool) -> Option<(String, String)> {
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, point) = (place.next()?, place.next()?);
        let mut kind = kind.split(' ');
        let (kind, options) = (kind.next()?, kind.nth(1).unwrap_or_default());
        is(kind, options).then(|| (root.to_owned(), point.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup rw\n\
        32 30 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
        33 30 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";

    #[test]
    fn the_groups_of_units_are_found_however_they_are_mounted() {
        let found = |first: &str, mounts: &str| {
            let roots = roots(first, mounts);
            roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(found("0::/init.scope\n", UNIFIED), "/sys/fs/cgroup/");
        let first = "3:cpu:/\n1:name=systemd:/init.scope\n0::/init.scope\n";
        assert_eq!(found(first, HYBRID), "/sys/fs/cgroup/unified/ /sys/fs/cgroup/systemd/");
        // A container that sees all of its host's tree, or its part of that.
        let first = "0::/machine.slice/one/init.scope\n";
        assert_eq!(found(first, UNIFIED), "/sys/fs/cgroup/machine.slice/one");
        let part = UNIFIED.replace(" / /sys", " /machine.slice/one /sys");
        assert_eq!(found(first, &part), "/sys/fs/cgroup/");
        // No systemd, or no way to see where it is.
        assert_eq!(found("0::/\n", UNIFIED), "");
        assert_eq!(found("0::/../init.scope\n", &part), "");
        assert_eq!(found("0::/init.scope\n", ""), "");
    }

    #[test]
    fn a_group_that_is_not_there_is_empty_and_dead() {
        let dir = tempfile::tempdir().unwrap();
        let slice = Slice(vec![dir.path().join("none")]);
        assert!(!slice.is_populated().unwrap());
        assert!(!slice.kill().unwrap());
    }

    #[test]
    fn where_no_group_can_be_killed_as_a_whole_all_in_it_and_below_are() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("x.service/payload");
        fs::create_dir_all(&below).unwrap();
        fs::create_dir(dir.path().join("y.service")).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        for empty in ["cgroup.procs", "x.service/cgroup.procs", "y.service/cgroup.procs"] {
            fs::write(dir.path().join(empty), "").unwrap();
        }
        fs::write(below.join("cgroup.procs"), format!("{}\n0\n", child.id())).unwrap();
        let slice = Slice(vec![dir.path().to_owned()]);
        // No kernel removes it from the file.
        std::thread::scope(|scope| {
            let killed = scope.spawn(|| slice.kill());
            assert!(!child.wait().unwrap().success());
            fs::write(below.join("cgroup.procs"), "").unwrap();
            assert!(killed.join().unwrap().unwrap());
        });
        assert!(!slice.is_populated().unwrap());
    }
}
