//! What is done in a folder, blocking.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, flock};
use rustix::io::Errno;

use crate::limits;
use crate::place::{Kept, Put};

/// Pieces that are copied at a time, in bytes.
const PIECE: usize = 256 * 1024;

/// What stands between a file's name and random digits while it is not whole.
const DRAFT: &str = ".unverified.";

/// How many random digits.
const DIGITS: usize = 8;

/// After this many seconds nobody writes a draft any more, whatever is known of it.
const LEFT_OVER: i64 = 24 * 60 * 60;

/// After this many seconds without a write nobody does who has not locked it: some network file systems show no locks of
/// other machines.
const QUIET: i64 = 60;

/// How deep folders are gone into.
const DEEPEST: usize = 32;

/// What went wrong.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The name is taken.
    Exists,
    /// Nobody waits for it any more.
    Stopped,
    /// The file that is put was written to meanwhile.
    Changed,
    /// More names than are ever listed.
    TooMany,
    /// The file that is put cannot be read.
    Source { path: PathBuf, source: io::Error },
    /// Something in the folder.
    Place { path: PathBuf, source: io::Error },
}

/// One folder.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
}

impl Disk {
    pub(super) const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where something is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.root.clone() } else { self.root.join(name) }
    }

    /// Copies a file there and gives its size. `tell` hears how many bytes are copied, and says whether to go on.
    pub(super) fn put(
        &self,
        name: &str,
        file: &Path,
        how: Put,
        tell: &dyn Fn(u64) -> bool,
    ) -> Result<u64, Trouble> {
        let unreadable = |source| Trouble::Source { path: file.to_owned(), source };
        let at = |source| Trouble::Place { path: self.path(name), source };
        let mut from = File::open(file).map_err(unreadable)?;
        let before = from.metadata().map_err(unreadable)?;
        if !before.is_file() {
            return Err(unreadable(io::Error::other("it is no file")));
        }
        let root = |source| Trouble::Place { path: self.root.clone(), source };
        let (folder, last) = way(self.enter(true).map_err(root)?, name, true).map_err(at)?;
        if how == Put::New && is_there(&folder, last).map_err(at)? {
            return Err(Trouble::Exists);
        }
        let mut draft = Draft::begin(&folder, last).map_err(at)?;
        self.tidy(&folder, &draft).map_err(at)?;
        let mut copied = 0;
        let mut piece = vec![0; PIECE];
        loop {
            let count = from.read(&mut piece).map_err(unreadable)?;
            let Some(bytes) = piece.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            draft.file.write_all(bytes).map_err(at)?;
            copied += bytes.len() as u64;
            if !tell(copied) {
                return Err(Trouble::Stopped);
            }
        }
        draft.file.sync_all().map_err(at)?;
        let after = from.metadata().map_err(unreadable)?;
        if copied != before.len() || written(&before) != written(&after) {
            return Err(Trouble::Changed);
        }
        if !tell(copied) {
            return Err(Trouble::Stopped);
        }
        draft.name(last, how).map_err(|source| {
            if source.kind() == io::ErrorKind::AlreadyExists { Trouble::Exists } else { at(source) }
        })?;
        Ok(copied)
    }

    /// All files, also those in folders.
    pub(super) fn list(&self) -> Result<Vec<Kept>, Trouble> {
        let mut kept = Vec::new();
        let made = match fs::symlink_metadata(&self.root) {
            // The first file makes it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                !self.root.parent().is_some_and(Path::is_dir)
            }
            Ok(_) | Err(_) => true,
        };
        if made {
            self.collect("", 0, &mut kept)?;
        }
        Ok(kept)
    }

    fn collect(&self, within: &str, depth: usize, kept: &mut Vec<Kept>) -> Result<(), Trouble> {
        let folder = self.path(within);
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| Trouble::Place { path, source }
        };
        for entry in fs::read_dir(&folder).map_err(at(&folder))? {
            let entry = entry.map_err(at(&folder))?;
            // What is not UTF-8 was not put here by us.
            let Ok(file) = entry.file_name().into_string() else { continue };
            if file.starts_with('.') {
                continue;
            }
            let name = if within.is_empty() { file } else { format!("{within}/{file}") };
            let kind = entry.file_type().map_err(at(&entry.path()))?;
            if kind.is_dir() && depth < DEEPEST {
                self.collect(&name, depth + 1, kept)?;
            } else if kind.is_file() {
                let metadata = match entry.metadata() {
                    // Removed meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    metadata => metadata.map_err(at(&entry.path()))?,
                };
                let modified = metadata.modified().map_err(at(&entry.path()))?;
                let modified =
                    Timestamp::try_from(modified).map_err(io::Error::other).map_err(at(&entry.path()))?;
                kept.push(Kept { name, size: metadata.len(), modified });
                if kept.len() > limits::NAMES {
                    return Err(Trouble::TooMany);
                }
            }
        }
        Ok(())
    }

    /// A file for reading, and its size.
    pub(super) fn open(&self, name: &str) -> Result<(File, u64), Trouble> {
        let at = |source| Trouble::Place { path: self.path(name), source };
        let open = || -> io::Result<(File, u64)> {
            let (folder, last) = way(self.enter(false)?, name, false)?;
            // Not to wait for whoever writes to a pipe.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
            let file = File::from(rustix::fs::openat(&folder, last, flags, Mode::empty())?);
            let metadata = file.metadata()?;
            if !metadata.is_file() {
                return Err(io::ErrorKind::NotFound.into());
            }
            Ok((file, metadata.len()))
        };
        open().map_err(at)
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), Trouble> {
        let at = |source| Trouble::Place { path: self.path(name), source };
        let remove = || -> io::Result<()> {
            let (folder, last) = way(self.enter(false)?, name, false)?;
            rustix::fs::unlinkat(&folder, last, AtFlags::empty())?;
            rustix::fs::fsync(&folder)?;
            Ok(())
        };
        remove().map_err(at)
    }

    fn enter(&self, make: bool) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(&self.root, flags, Mode::empty()) {
            Err(Errno::NOENT) if make => {
                match fs::DirBuilder::new().mode(0o700).create(&self.root) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    Ok(()) | Err(_) => {}
                }
                if let Some(parent) = self.root.parent() {
                    File::open(parent)?.sync_all()?;
                }
                Ok(rustix::fs::open(&self.root, flags, Mode::empty())?)
            }
            entered => Ok(entered?),
        }
    }

    /// Removes drafts that a process left which was killed. That one cannot be removed is told, and stops nothing.
    fn tidy(&self, folder: &OwnedFd, draft: &Draft<'_>) -> io::Result<()> {
        // By the clock of the place, which made the draft just now.
        let now = draft.file.metadata()?.mtime();
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if !is_draft(name) {
                continue;
            }
            let left = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|found| {
                let age = now.saturating_sub(found.st_mtime);
                FileType::from_raw_mode(found.st_mode) == FileType::RegularFile
                    && (age > LEFT_OVER || (age > QUIET && is_dead(folder, name)))
            });
            if left && let Err(error) = rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
                let error = io::Error::from(error).to_string();
                tracing::warn!(folder = %self.root.display(), name, error, "a file that was never finished cannot be removed");
            }
        }
        Ok(())
    }
}

/// The folder that a name is in, and its last part. `make`: folders that are not there are made, and are on the
/// disk when this has come back.
fn way(root: OwnedFd, name: &str, make: bool) -> io::Result<(OwnedFd, &str)> {
    let mut folder = root;
    let mut parts = name.split('/').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return Ok((folder, part));
        }
        folder = match step(&folder, part) {
            Err(Errno::NOENT) if make => {
                match rustix::fs::mkdirat(&folder, part, Mode::RWXU) {
                    Ok(()) => rustix::fs::fsync(&folder)?,
                    // Somebody else was faster.
                    Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
                step(&folder, part)?
            }
            stepped => stepped?,
        };
    }
    Err(io::ErrorKind::InvalidFilename.into())
}

/// Into a folder, and not over a link.
fn step(folder: &OwnedFd, part: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, part, flags, Mode::empty())
}

/// Whether the process that wrote a draft is gone: it has it locked while it lives.
fn is_dead(folder: &OwnedFd, name: &str) -> bool {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags, Mode::empty());
    file.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

fn is_there(folder: &OwnedFd, name: &str) -> io::Result<bool> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// When something was written to last.
fn written(metadata: &fs::Metadata) -> (i64, i64, u64) {
    (metadata.mtime(), metadata.mtime_nsec(), metadata.len())
}

fn is_draft(name: &str) -> bool {
    name.starts_with('.')
        && name.rsplit_once(DRAFT).is_some_and(|(_, digits)| {
            digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        })
}

/// A file that is not whole. It is removed unless it gets its name.
struct Draft<'a> {
    file: File,
    folder: &'a OwnedFd,
    draft: String,
    named: bool,
}

impl<'a> Draft<'a> {
    fn begin(folder: &'a OwnedFd, name: &str) -> io::Result<Self> {
        let draft = format!(".{name}{DRAFT}{:0DIGITS$x}", rand::random::<u32>());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(folder, &*draft, flags, Mode::RUSR | Mode::WUSR)?);
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            // Not every file system can: then it goes after a day, if it is left over.
            tracing::debug!(draft, %error, "a file that is not finished cannot be locked");
        }
        Ok(Self { file, folder, draft, named: false })
    }

    /// Gives it its name, which is on the disk when this has come back.
    fn name(&mut self, name: &str, how: Put) -> io::Result<()> {
        let (folder, draft) = (self.folder, &*self.draft);
        match how {
            Put::Replace => rustix::fs::renameat(folder, draft, folder, name)?,
            Put::New => {
                match rustix::fs::renameat_with(folder, draft, folder, name, RenameFlags::NOREPLACE) {
                    // Not every file system can do that: NFS cannot. A second name replaces nothing either.
                    Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                        rustix::fs::linkat(folder, draft, folder, name, AtFlags::empty())?;
                        rustix::fs::unlinkat(folder, draft, AtFlags::empty())?;
                    }
                    renamed => renamed?,
                }
            }
        }
        self.named = true;
        Ok(rustix::fs::fsync(folder)?)
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.named
            && let Err(error) = rustix::fs::unlinkat(self.folder, &*self.draft, AtFlags::empty())
        {
            // It is hidden, and the next file that is put here after a minute removes it.
            let error = io::Error::from(error).to_string();
            tracing::warn!(name = self.draft, error, "a file that was not finished cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_begun_here_is_taken_for_a_draft() {
        assert!(is_draft(".a.snap.unverified.0123abcd"));
        for name in [
            "a.unverified.0123abcd",
            ".a.unverified.",
            ".a.unverified.0123abcx",
            ".bashrc",
            ".a.unverified.0",
        ] {
            assert!(!is_draft(name), "{name}");
        }
    }
}
