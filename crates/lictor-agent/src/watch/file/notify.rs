//! What the kernel tells of changes in directories.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init, remove_watch};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::lines::files::Hint;

/// Directories that are watched at most; in others changes are found by looking.
const MOST: usize = 1_000;

/// Bytes of events read at once.
const EVENTS: usize = 8 * 1024;

/// Names of files.
pub(super) type Names = BTreeSet<OsString>;

/// What has changed.
#[derive(Debug)]
pub(super) struct News {
    /// Files may have come and gone.
    everywhere: bool,
    /// Files that were written to.
    names: Names,
    /// Names of files that are followed.
    known: Names,
}

impl News {
    /// All is new.
    pub(super) const fn everything() -> Self {
        Self { everywhere: true, names: Names::new(), known: Names::new() }
    }

    pub(super) const fn everywhere(&mut self) {
        self.everywhere = true;
    }

    /// Has only files of these names reported when they are written to.
    pub(super) fn know(&mut self, names: Names) {
        self.known = names;
    }

    /// Whether there is something that could not be looked at yet.
    pub(super) const fn waits(&self) -> bool {
        self.everywhere
    }

    /// Where to look now; all files may only be looked at when `all` says so.
    pub(super) fn take(&mut self, all: bool) -> Hint {
        let names = std::mem::take(&mut self.names);
        if self.everywhere && all {
            self.everywhere = false;
            return Hint::Anywhere;
        }
        Hint::Names(names)
    }

    /// Notes an event; whether it is of any interest.
    fn note(&mut self, events: ReadFlags, name: Option<&OsStr>) -> bool {
        match name {
            Some(name) if events == ReadFlags::MODIFY => {
                let known = self.known.contains(name);
                if known && !self.names.contains(name) {
                    self.names.insert(name.to_owned());
                }
                known
            }
            // Told by us that a directory is not watched any more, or that it is gone; or too many events.
            Some(_) | None => {
                let new = !self.everywhere;
                self.everywhere = true;
                new
            }
        }
    }
}

/// Where the kernel's events come from.
#[derive(Debug)]
pub(super) struct Notify {
    events: Option<AsyncFd<Arc<OwnedFd>>>,
}

impl Notify {
    /// Without any when the system has none left.
    pub(super) fn new() -> Self {
        let flags = CreateFlags::NONBLOCK | CreateFlags::CLOEXEC;
        Self { events: init(flags).ok().and_then(|fd| registered(Arc::new(fd))) }
    }

    /// The directories, to be set by whoever may be held up by a file system.
    pub(super) fn watched(&self) -> Watched {
        let fd = self.events.as_ref().map(|events| Arc::clone(events.get_ref()));
        Watched { blind: fd.is_none(), fd, watches: BTreeMap::new() }
    }

    /// Takes in what was told so far.
    pub(super) fn hear(&self, news: &mut News) -> bool {
        self.events.as_ref().is_some_and(|events| hear(events.get_ref(), news))
    }

    /// Returns when there is something of interest.
    pub(super) async fn next(&self, news: &mut News) {
        let Some(events) = &self.events else { return std::future::pending().await };
        loop {
            let Ok(mut ready) = events.readable().await else { return std::future::pending().await };
            let found = hear(events.get_ref(), news);
            ready.clear_ready();
            // What came after it was read and before that is read now.
            if hear(events.get_ref(), news) || found {
                return;
            }
        }
    }
}

fn hear(fd: &OwnedFd, news: &mut News) -> bool {
    let mut buffer = [MaybeUninit::uninit(); EVENTS];
    let mut events = Reader::new(fd, &mut buffer);
    let mut found = false;
    loop {
        match events.next() {
            Ok(event) => {
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                found |= news.note(event.events(), name);
            }
            Err(Errno::INTR) => {}
            Err(_empty) => return found,
        }
    }
}

#[expect(
    deprecated,
    reason = "what takes its place is unsafe, for descriptors that are not owned; this one is"
)]
fn registered(fd: Arc<OwnedFd>) -> Option<AsyncFd<Arc<OwnedFd>>> {
    AsyncFd::with_interest(fd, Interest::READABLE).ok()
}

/// The directories of which the kernel tells.
#[derive(Debug)]
pub(super) struct Watched {
    fd: Option<Arc<OwnedFd>>,
    watches: BTreeMap<PathBuf, i32>,
    blind: bool,
}

impl Watched {
    /// Watches these and no others; whether there is a new one.
    pub(super) fn these(&mut self, directories: BTreeSet<PathBuf>) -> bool {
        let Some(fd) = &self.fd else { return false };
        let flags = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        self.blind = directories.len() > MOST;
        let (mut new, mut watches) = (false, BTreeMap::new());
        for directory in directories.into_iter().take(MOST) {
            match add_watch(fd, &directory, flags) {
                Ok(watch) => {
                    // Another directory may be there under the same name.
                    new |= self.watches.get(&directory) != Some(&watch);
                    watches.insert(directory, watch);
                }
                // It is looked for.
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(_full_or_forbidden) => self.blind = true,
            }
        }
        let kept: BTreeSet<i32> = watches.values().copied().collect();
        let before = std::mem::replace(&mut self.watches, watches);
        for watch in before.into_values().collect::<BTreeSet<_>>().difference(&kept) {
            // One that is gone was removed by the kernel.
            remove_watch(fd, *watch).ok();
        }
        new
    }

    /// Whether there are changes of which nobody tells.
    pub(super) const fn is_blind(&self) -> bool {
        self.blind
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    fn only(path: &std::path::Path) -> BTreeSet<PathBuf> {
        BTreeSet::from([path.to_owned()])
    }

    fn names(names: &[&str]) -> Names {
        names.iter().map(OsString::from).collect()
    }

    #[tokio::test]
    async fn what_is_written_to_a_known_file_is_told_and_what_others_write_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str| fs::File::create(dir.path().join(name)).unwrap();
        let (mut ours, mut other) = (open("ours"), open("other"));
        let (notify, mut news) = (Notify::new(), News::everything());
        let mut watched = notify.watched();
        assert!(watched.these(only(dir.path())));
        assert!(!watched.these(only(dir.path())), "it is watched already");
        news.know(names(&["ours"]));
        assert_eq!(news.take(true), Hint::Anywhere);
        other.write_all(b"x").unwrap();
        assert!(!notify.hear(&mut news));
        ours.write_all(b"x").unwrap();
        notify.next(&mut news).await;
        assert_eq!(news.take(true), Hint::Names(names(&["ours"])));
    }

    #[tokio::test]
    async fn files_that_come_and_go_are_told_as_soon_as_that_may_be() {
        let dir = tempfile::tempdir().unwrap();
        let (notify, mut news) = (Notify::new(), News::everything());
        let mut watched = notify.watched();
        watched.these(only(dir.path()));
        news.take(true);
        fs::write(dir.path().join("new"), "x").unwrap();
        notify.next(&mut news).await;
        assert_eq!(news.take(false), Hint::Names(Names::new()));
        assert!(news.waits());
        assert_eq!(news.take(true), Hint::Anywhere);
        fs::rename(dir.path().join("new"), dir.path().join("old")).unwrap();
        notify.next(&mut news).await;
        assert!(news.waits());
    }

    #[tokio::test]
    async fn a_directory_that_took_the_place_of_another_is_watched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("logs");
        let (notify, mut news) = (Notify::new(), News::everything());
        let mut watched = notify.watched();
        assert!(!watched.these(only(&path)), "it is not there yet");
        assert!(!watched.is_blind());
        for _ in 0..2 {
            fs::create_dir(&path).unwrap();
            assert!(watched.these(only(&path)));
            fs::write(path.join("x"), "x").unwrap();
            news.take(true);
            notify.next(&mut news).await;
            fs::remove_dir_all(&path).unwrap();
        }
    }
}
