//! Waking journalctl as soon as the journal has grown.
//!
//! journald writes through memory maps, of which the kernel tells nobody, and itself gives its readers
//! a sign only a quarter to half a second later. But how far a file has grown stands in its head,
//! and journalctl looks at the journal whenever anything happens in a directory that it follows.
//! So it follows one of ours, with links to those of the journal, and we touch that.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::Tasks;

/// How often it is looked for new files and directories.
const SCAN: Duration = Duration::from_secs(2);

/// How long it may take until there is something to follow.
const READY: Duration = Duration::from_secs(2);

/// Files that are looked at; there is one of the system and one of each user.
const FILES: usize = 64;

/// Directories that are linked to.
const LINKS: usize = 64;

/// What a journal file begins with.
const SIGNATURE: &[u8] = b"LPKSHHRH";

/// Of the head of a file: from its state to the number of its latest record.
const HEAD: (u64, usize) = (16, 152);

/// The state of a file to which nothing is added any more.
const ARCHIVED: u8 = 2;

/// The beginning of our directories' names; the number of our process follows.
const NAME: &str = "lictor-journal-";

/// Where the files of a journal are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In these directories, which may not all be there.
    These(Vec<PathBuf>),
    /// In this one, and in those of machines within it.
    Within(PathBuf),
}

impl Place {
    /// Those of this machine.
    pub(super) fn own(machine: &str) -> Self {
        Self::These(["/run/log/journal", "/var/log/journal"].map(|root| Path::new(root).join(machine)).into())
    }

    fn directories(&self) -> Vec<PathBuf> {
        match self {
            Self::These(directories) => directories.iter().filter(|path| path.is_dir()).cloned().collect(),
            Self::Within(root) => {
                let machines = names(root).filter(|name| is_id(name)).map(|name| root.join(name));
                std::iter::once(root.clone())
                    .chain(machines)
                    .filter(|path| path.is_dir())
                    .take(LINKS)
                    .collect()
            }
        }
    }
}

/// A thread that wakes journalctl: on a disk that hangs it hangs alone. Dropping this ends it, and
/// the directory goes with it.
#[derive(Debug)]
pub(super) struct Waker {
    directory: PathBuf,
    _stop: mpsc::Sender<()>,
}

impl Waker {
    /// Has the journal looked at so often. `None` when there is none, or it cannot be looked at:
    /// then lines come half a second later.
    pub(super) async fn start(tasks: &Tasks, place: Place, every: Duration) -> Option<Self> {
        let (stop, stopped) = mpsc::channel();
        let (made, directory) = oneshot::channel();
        let work = move || {
            let Ok(mut wake) = Wake::new(place, &std::env::temp_dir()) else { return };
            if made.send(wake.directory.clone()).is_err() {
                return;
            }
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                wake.look();
            }
        };
        drop(tasks.on_thread("journal wake", work).ok()?);
        let directory = timeout(READY, directory).await.ok()?.ok()?;
        Some(Self { directory, _stop: stop })
    }

    /// What journalctl is to follow.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

/// A directory to follow, which can be touched when the journal has grown.
#[derive(Debug)]
struct Wake {
    place: Place,
    directory: PathBuf,
    /// Held open, to be touched.
    handle: File,
    linked: Vec<PathBuf>,
    files: Vec<Head>,
    scanned: Instant,
}

#[derive(Debug)]
struct Head {
    path: PathBuf,
    file: File,
    number: [u8; 8],
}

impl Wake {
    /// Makes the directory, in `parent`.
    fn new(place: Place, parent: &Path) -> io::Result<Self> {
        tidy(parent);
        let directory = make(parent)?;
        let handle = File::open(&directory);
        let handle = handle.inspect_err(|_error| drop(fs::remove_dir(&directory)))?;
        let scanned = Instant::now();
        let mut wake = Self { place, directory, handle, linked: Vec::new(), files: Vec::new(), scanned };
        wake.scan();
        if wake.linked.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no journal"));
        }
        Ok(wake)
    }

    /// Wakes journalctl if there is something new.
    fn look(&mut self) {
        let mut grown = false;
        let mut over = self.scanned.elapsed() >= SCAN;
        for head in &mut self.files {
            match head.read() {
                Some((state, number)) => {
                    grown |= std::mem::replace(&mut head.number, number) != number;
                    over |= state == ARCHIVED;
                }
                None => over = true,
            }
        }
        if over {
            grown |= self.scan();
        }
        if grown {
            // Which time is set does not matter. If it cannot be, journald's own sign comes later.
            self.handle.set_modified(SystemTime::UNIX_EPOCH).ok();
        }
    }

    /// Looks for new files, and links to new directories; whether there are any.
    fn scan(&mut self) -> bool {
        self.scanned = Instant::now();
        let mut found = false;
        for directory in self.place.directories() {
            if !self.linked.contains(&directory) {
                // journalctl looks into directories that are named by an id.
                let link = self.directory.join(format!("{:032x}", self.linked.len() + 1));
                if symlink(&directory, link).is_err() {
                    continue;
                }
                self.linked.push(directory);
                found = true;
            }
        }
        self.files
            .retain(|head| head.read().is_some_and(|(state, _)| state != ARCHIVED) && head.path.exists());
        for directory in &self.linked {
            for name in names(directory) {
                // Archived ones have an `@`.
                let path = directory.join(&name);
                let active = name.ends_with(".journal") && !name.contains('@');
                let known = self.files.iter().any(|head| head.path == path);
                if !active || known || self.files.len() >= FILES {
                    continue;
                }
                if let Some(head) = Head::open(path) {
                    self.files.push(head);
                    found = true;
                }
            }
        }
        found
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.directory).ok();
    }
}

impl Head {
    fn open(path: PathBuf) -> Option<Self> {
        let file = File::open(&path).ok()?;
        let mut signature = [0; 8];
        file.read_exact_at(&mut signature, 0).ok()?;
        let mut head = Self { path, file, number: [0; 8] };
        let (state, number) = head.read().filter(|_| signature == SIGNATURE)?;
        head.number = number;
        (state != ARCHIVED).then_some(head)
    }

    /// The state of the file and the number of its latest record.
    fn read(&self) -> Option<(u8, [u8; 8])> {
        let mut bytes = [0; HEAD.1];
        self.file.read_exact_at(&mut bytes, HEAD.0).ok()?;
        Some((*bytes.first()?, *bytes.last_chunk()?))
    }
}

fn names(directory: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
}

fn is_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A new directory that only we may enter.
fn make(parent: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{NAME}{}-{number}", std::process::id()));
        match builder.create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 10_000 => {}
            made => return made.map(|()| path),
        }
    }
}

/// Removes what agents left that were killed.
fn tidy(parent: &Path) {
    for name in names(parent) {
        let process =
            name.strip_prefix(NAME).and_then(|rest| rest.split_once('-')).map(|(process, _)| process);
        let Some(process) = process.filter(|process| process.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            continue;
        };
        if !process.is_empty() && !Path::new("/proc").join(process).exists() {
            // Others' directories we cannot remove, and need not.
            fs::remove_dir_all(parent.join(&name)).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with the head of a journal.
    fn journal(path: &Path, state: u8, number: u64) {
        let mut bytes = vec![0; 256];
        bytes[..8].copy_from_slice(SIGNATURE);
        bytes[16] = state;
        bytes[160..168].copy_from_slice(&number.to_le_bytes());
        fs::write(path, bytes).unwrap();
    }

    /// Whether a look touched the directory.
    fn touches(wake: &mut Wake) -> bool {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        wake.handle.set_modified(now).unwrap();
        wake.look();
        fs::metadata(&wake.directory).unwrap().modified().unwrap() != now
    }

    #[tokio::test(start_paused = true)]
    async fn it_touches_its_directory_when_a_file_has_grown() {
        let dir = tempfile::tempdir().unwrap();
        let (root, tmp) = (dir.path().join("root"), dir.path().join("tmp"));
        let machine = root.join("0123456789abcdef0123456789abcdef");
        fs::create_dir_all(&machine).unwrap();
        fs::create_dir_all(&tmp).unwrap();
        journal(&machine.join("system.journal"), 1, 7);
        let mut wake = Wake::new(Place::Within(root.clone()), &tmp).unwrap();
        assert!(!touches(&mut wake));
        journal(&machine.join("system.journal"), 1, 8);
        assert!(touches(&mut wake));
        assert!(!touches(&mut wake));

        // Rotated: what it was is archived, and there is a new one.
        fs::rename(machine.join("system.journal"), machine.join("system@1.journal")).unwrap();
        journal(&machine.join("system@1.journal"), ARCHIVED, 8);
        journal(&machine.join("system.journal"), 1, 9);
        assert!(touches(&mut wake));
        journal(&machine.join("system.journal"), 1, 10);
        assert!(touches(&mut wake));

        // A new user's, and a new machine's.
        journal(&machine.join("user-1000.journal"), 1, 1);
        let other = root.join("fedcba9876543210fedcba9876543210");
        fs::create_dir(&other).unwrap();
        tokio::time::advance(SCAN).await;
        assert!(touches(&mut wake));
        assert_eq!(fs::read_dir(&wake.directory).unwrap().count(), 3);

        let directory = wake.directory.clone();
        drop(wake);
        assert!(!directory.exists() && other.exists());
    }

    #[tokio::test]
    async fn what_is_no_journal_wakes_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let missing = Place::These(vec![dir.path().join("none")]);
        assert!(Wake::new(missing, dir.path()).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        fs::write(dir.path().join("short.journal"), "x").unwrap();
        fs::write(dir.path().join("other.journal"), [0; 500]).unwrap();
        let wake = Wake::new(Place::These(vec![dir.path().to_owned()]), dir.path()).unwrap();
        assert!(wake.files.is_empty());
    }

    #[tokio::test]
    async fn what_a_killed_agent_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["lictor-journal-4194999-0", "lictor-journal-1-0", "lictor-journal--0", "other"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        tidy(dir.path());
        let mut left: Vec<String> = names(dir.path()).collect();
        left.sort();
        assert_eq!(left, ["lictor-journal--0", "lictor-journal-1-0", "other"]);
    }
}
