//! Where a run keeps what nobody wants afterwards: the data of its servers, images of disks.
//!
//! A scratch directory is named after the process that owns it and when that started, so that one whose owner is gone is known
//! for certain, also when its process id belongs to another one by now. What a killed run left is removed by the next
//! one. All else a run makes (processes, networks, mounts) ends with its namespaces, see [`super::cell`].

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// What the name of a scratch directory begins with.
const PREFIX: &str = "lictor-jepsen-";

/// A file that each of them has; what lacks it was made by somebody else.
const MARK: &str = ".scratch-of-lictor-jepsen";

/// Why a scratch directory cannot be made or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {}: {source}", path.display())]
pub struct ScratchError {
    attempt: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// A scratch directory of this process. Dropping it leaves it; see [`Scratch::remove`].
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes that of this process below `parent`.
    ///
    /// # Errors
    /// If it cannot be made, or exists.
    pub fn make(parent: &Path) -> Result<Self, ScratchError> {
        let owner = Owner::this();
        let path = parent.join(format!("{PREFIX}{}-{}", owner.pid, owner.started));
        let failed = |source| ScratchError { attempt: "make the directory", path: path.clone(), source };
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        fs::write(path.join(MARK), "").map_err(failed)?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it with all that is in it.
    ///
    /// # Errors
    /// If something in it cannot be removed; the rest is gone.
    pub fn remove(self) -> Result<(), ScratchError> {
        remove(&self.path)
    }
}

/// The scratch directories below `parent` whose owners are gone: ours alone, with the mark in them.
///
/// # Errors
/// If `parent` cannot be read.
pub fn abandoned(parent: &Path) -> Result<Vec<PathBuf>, ScratchError> {
    let failed = |source| ScratchError { attempt: "look for leftovers in", path: parent.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(parent).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if is_abandoned(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Removes a directory of [`abandoned`] with all that is in it.
///
/// # Errors
/// If something in it cannot be removed; the rest is gone.
pub fn remove(path: &Path) -> Result<(), ScratchError> {
    fs::remove_dir_all(path).map_err(|source| ScratchError {
        attempt: "remove",
        path: path.to_owned(),
        source,
    })
}

fn is_abandoned(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(PREFIX));
    let Some(owner) = name.and_then(Owner::parse) else { return false };
    // Not through a link, and not what another user put there.
    let ours = fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw());
    ours && path.join(MARK).is_file() && !owner.lives()
}

/// A process, by what no other one has had since the machine was booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    pid: u32,
    /// In ticks since the machine was booted.
    started: u64,
}

impl Owner {
    fn this() -> Self {
        let pid = std::process::id();
        Self { pid, started: started(pid).unwrap_or_default() }
    }

    fn parse(text: &str) -> Option<Self> {
        let (pid, started) = text.split_once('-')?;
        Some(Self { pid: pid.parse().ok()?, started: started.parse().ok()? })
    }

    fn lives(self) -> bool {
        started(self.pid) == Some(self.started)
    }
}

/// When a process started (proc(5), field 22 of `stat`); `None` if there is no such one.
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may have blanks and brackets in it; after its last bracket is field 3.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_of_a_living_process_is_not_abandoned() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::make(parent.path()).unwrap();
        assert!(scratch.path().is_dir());
        assert_eq!(abandoned(parent.path()).unwrap(), Vec::<PathBuf>::new());
        scratch.remove().unwrap();
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn that_of_an_earlier_process_with_the_same_id_is_abandoned() {
        let parent = tempfile::tempdir().unwrap();
        let pid = std::process::id();
        let left = parent.path().join(format!("{PREFIX}{pid}-1"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("data"), "").unwrap();
        assert_eq!(
            abandoned(parent.path()).unwrap(),
            Vec::<PathBuf>::new(),
            "without the mark it is not ours"
        );
        fs::write(left.join(MARK), "").unwrap();
        assert_eq!(abandoned(parent.path()).unwrap(), std::slice::from_ref(&left));
        remove(&left).unwrap();
        assert!(!left.exists());
    }

    #[test]
    fn what_has_another_name_or_is_a_link_is_left_alone() {
        let (parent, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(elsewhere.path().join(MARK), "").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), parent.path().join(format!("{PREFIX}1-1"))).unwrap();
        for name in ["lictor-jepsen-", "lictor-jepsen-x-y", "lictor-jepsen-12", "other-1-1"] {
            let dir = parent.path().join(name);
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join(MARK), "").unwrap();
        }
        assert_eq!(abandoned(parent.path()).unwrap(), Vec::<PathBuf>::new());
    }
}
