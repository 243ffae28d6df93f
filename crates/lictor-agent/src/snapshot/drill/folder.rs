//! Where a drill keeps everything: a folder of its own, in memory if there is room, that only we can look into.
//!
//! Who has one holds a lock on it, which the kernel takes back however that process ends: so a drill knows the
//! folders of those that were killed, and removes them.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock, statfs};

use super::error::DrillError;

/// What the name of each begins with; sixteen digits of chance follow.
const NAME: &str = "lictor-drill-";

/// How a file system in memory is known.
const TMPFS: i64 = 0x0102_1994;

/// Where file systems in memory are.
const IN_MEMORY: [&str; 2] = ["/dev/shm", "/run"];

/// Beside what grows with the state, in bytes: Raft's log and the configuration; the server's own memory.
const RESERVE: u64 = 64 << 20;

/// What a record takes of the server's memory, in bytes, apart from what is in it.
const RECORD: u64 = 2 << 10;

/// The longest path of a unix socket, in bytes.
const SOCKET: usize = 107;

/// The name of the server's socket in its folder.
pub(super) const SOCKET_NAME: &str = "http.sock";

/// What a drill takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    /// Bytes of files.
    pub(super) files: u64,
    /// Bytes of the server's own memory.
    pub(super) memory: u64,
}

impl Needs {
    /// Those of a state of so many bytes and records, in an archive of so many bytes.
    ///
    /// The server unpacks the state and writes it as a snapshot of Raft's, then writes another one, and packs that; we
    /// keep that archive. Its memory was measured with 1.8.7 and 150,000 keys: 50 MiB, 1.1 KiB for each record, and once the
    /// state; what is asked for is nearly twice that.
    pub(super) fn of(state: u64, records: u64, archive: u64) -> Self {
        let files = state.saturating_mul(3).saturating_add(archive.saturating_mul(2)).saturating_add(RESERVE);
        let records = records.saturating_mul(RECORD);
        Self { files, memory: state.saturating_mul(2).saturating_add(records).saturating_add(RESERVE) }
    }
}

/// A folder of a drill. Dropping it removes it with all that is in it.
pub(super) struct Folder {
    path: PathBuf,
    /// Holds the lock.
    _lock: File,
    removed: bool,
}

impl Folder {
    /// Makes one in `scratch`, or in memory, or else where temporary files are. What killed drills left behind is removed
    /// first.
    pub(super) fn make(scratch: Option<&Path>, needs: Needs) -> Result<Self, DrillError> {
        let temporary = std::env::temp_dir();
        let memory = IN_MEMORY.map(Path::new);
        for place in memory.into_iter().chain([temporary.as_path()]).chain(scratch) {
            sweep(place);
        }
        let available = available(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
        if let Some(available) = available.filter(|available| *available < needs.memory) {
            return Err(DrillError::NoMemory { needs: needs.memory, available });
        }
        let mut tried = Vec::new();
        let places = match scratch {
            Some(scratch) => vec![scratch],
            None => memory.into_iter().chain([temporary.as_path()]).collect(),
        };
        for place in places {
            let given = scratch.is_some() || place == temporary;
            match fits(place, needs, available, given).and_then(|()| Self::within(place)) {
                Ok(folder) => return Ok(folder),
                Err(error) => tried.push((place.to_owned(), error)),
            }
        }
        Err(DrillError::NoRoom { needs: needs.files, tried })
    }

    /// Makes it and takes its lock, which is free: nobody knows its name. A sweep that was quicker has removed it.
    fn within(place: &Path) -> io::Result<Self> {
        let place = fs::canonicalize(place)?;
        loop {
            let path = place.join(format!("{NAME}{:016x}", rand::random::<u64>()));
            if path.join(SOCKET_NAME).as_os_str().len() > SOCKET {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidFilename,
                    "its path is too long for a socket",
                ));
            }
            DirBuilder::new().mode(0o700).create(&path)?;
            let lock = match opened(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            let locked = flock(&lock, FlockOperation::NonBlockingLockExclusive);
            match locked {
                Ok(()) if path.symlink_metadata().is_ok_and(|found| same(&found, &lock)) => {
                    return Ok(Self { path, _lock: lock, removed: false });
                }
                Ok(()) | Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => {
                    fs::remove_dir(&path)?;
                    return Err(error.into());
                }
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it with all that is in it.
    pub(super) fn remove(mut self) -> Result<(), DrillError> {
        self.removed = true;
        fs::remove_dir_all(&self.path)
            .map_err(|error| DrillError::Left { folder: self.path.clone(), source: error })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            let folder = self.path.display();
            tracing::warn!(%folder, %error, "the folder of a drill, which holds secrets, cannot be removed");
        }
    }
}

/// Whether a drill has room there. What is `given` need not be in memory.
fn fits(place: &Path, needs: Needs, available: Option<u64>, given: bool) -> io::Result<()> {
    let found = statfs(place)?;
    let in_memory = found.f_type == TMPFS;
    if !in_memory && !given {
        return Err(io::Error::other("it is not in memory"));
    }
    let block = u64::try_from(found.f_bsize).unwrap_or_default();
    let free = found.f_bavail.saturating_mul(block);
    if free < needs.files {
        return Err(io::Error::other(format!("{} are free", mebibytes(free))));
    }
    // Its files take memory, too.
    let both = needs.files.saturating_add(needs.memory);
    match available.filter(|available| in_memory && *available < both) {
        Some(available) => Err(io::Error::other(format!("{} of memory are available", mebibytes(available)))),
        None => Ok(()),
    }
}

/// Removes the folders of drills that were killed: ours by name and owner, no links, and without anybody who holds the
/// lock. What cannot be removed is told and left.
fn sweep(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        if !is_named_so(&entry.file_name()) {
            continue;
        }
        let path = entry.path();
        match left_behind(&path) {
            Ok(None) => {}
            Ok(Some(_lock)) => remove_left(&path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tell(&path, &error),
        }
    }
}

fn remove_left(path: &Path) {
    match fs::remove_dir_all(path) {
        Ok(()) => tracing::info!(folder = %path.display(), "removed what a drill that was killed left"),
        // Its drill was not killed, and has just ended.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tell(path, &error),
    }
}

fn tell(path: &Path, error: &io::Error) {
    let folder = path.display();
    tracing::warn!(%folder, %error, "what a drill that was killed left, with secrets in it, cannot be removed");
}

fn is_named_so(name: &OsStr) -> bool {
    let digits = name.to_str().and_then(|name| name.strip_prefix(NAME));
    digits.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// The lock on a folder that is ours and that nobody else holds.
fn left_behind(path: &Path) -> io::Result<Option<File>> {
    let ours = |found: &fs::Metadata| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    if !ours(&path.symlink_metadata()?) {
        return Ok(None);
    }
    let folder = opened(path)?;
    if !ours(&folder.metadata()?) {
        return Ok(None);
    }
    match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(folder)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A folder itself, and not what a link leads to.
fn opened(path: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn same(found: &fs::Metadata, open: &File) -> bool {
    open.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (found.dev(), found.ino()))
}

/// Bytes of memory that programs can have, as the kernel estimates it.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// `64 MiB`, rounded up.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const LITTLE: Needs = Needs { files: 1, memory: 1 };

    fn left(place: &Path, name: &str) -> PathBuf {
        let path = place.join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("state"), "secret").unwrap();
        path
    }

    #[test]
    fn it_is_ours_alone_and_gone_when_it_is_dropped() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::make(Some(place.path()), LITTLE).unwrap();
        let path = folder.path().to_owned();
        assert!(path.starts_with(place.path().canonicalize().unwrap()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir(path.join("raft")).unwrap();
        fs::write(path.join("raft/state.bin"), "secret").unwrap();
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_drill_needs_is_more_than_was_measured() {
        let mib = |bytes: u64| bytes >> 20;
        let needs = |state, archive| Needs::of(state, 150_001, archive);
        // Of values with 12, 400 and 2000 bytes.
        for (state, archive, files, memory) in [
            (15_444_886, 1_317_820, 30, 222),
            (74_055_996, 1_862_419, 144, 266),
            (314_055_996, 173_441_424, 893, 533),
        ] {
            let needs = needs(state, archive);
            assert!(mib(needs.files) > files && mib(needs.memory) * 2 > memory * 3, "{needs:?}");
        }
        assert_eq!(Needs::of(u64::MAX, u64::MAX, u64::MAX), Needs { files: u64::MAX, memory: u64::MAX });
    }

    #[test]
    fn what_a_killed_drill_left_is_removed_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let dead = left(place.path(), "lictor-drill-00112233445566aa");
        let alive = Folder::make(Some(place.path()), LITTLE).unwrap();
        let others =
            [left(place.path(), "lictor-drill-"), left(place.path(), "lictor-drill-0011223344556zzz")];
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("mine"), "").unwrap();
        let link = place.path().join("lictor-drill-ffffffffffffffff");
        symlink(elsewhere.path(), &link).unwrap();
        let file = place.path().join("lictor-drill-eeeeeeeeeeeeeeee");
        fs::write(&file, "").unwrap();
        assert!(!dead.exists(), "the first one has removed it");
        let again = left(place.path(), "lictor-drill-00112233445566bb");
        sweep(place.path());
        assert!(!again.exists() && alive.path().exists());
        assert!(others.iter().all(|other| other.exists()));
        assert!(link.is_symlink() && file.exists() && elsewhere.path().join("mine").exists());
    }

    #[test]
    fn where_there_is_no_room_nothing_is_made() {
        let place = tempfile::tempdir().unwrap();
        let why = |needs| match Folder::make(Some(place.path()), needs) {
            Ok(folder) => folder.path().display().to_string(),
            Err(error) => error.to_string(),
        };
        let much = why(Needs { files: u64::MAX, memory: 1 });
        assert!(
            much.contains("MiB are free") && much.contains(&place.path().display().to_string()),
            "{much}"
        );
        let memory = why(Needs { files: 1, memory: u64::MAX });
        assert!(memory.contains("of memory"), "{memory}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        let long = place.path().join("x".repeat(100));
        fs::create_dir(&long).unwrap();
        let long = Folder::make(Some(&long), LITTLE).map(drop).unwrap_err().to_string();
        assert!(long.contains("too long for a socket"), "{long}");
    }

    #[test]
    fn many_at_once_do_not_take_each_others_away() {
        let place = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let folder = Folder::make(Some(place.path()), LITTLE).unwrap();
                        fs::write(folder.path().join("a"), "").unwrap();
                        folder.remove().unwrap();
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
