//! A folder of this machine.
//!
//! A file is written under a hidden name, `.NAME.unverified.RANDOM`, made durable, and only then gets its own. Folders
//! on the way to a name are opened one by one and no link is followed, so nothing leads out.

mod disk;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{self, Arc, PoisonError, Weak};

use rustix::io::Errno;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinError, spawn_blocking};

use crate::error::PlaceError;
use crate::limits;
use crate::place::{Kept, Put, Stored};
use crate::settings;
use disk::{Disk, Trouble};

/// Pieces that are read and written at a time, in bytes.
const PIECE: usize = 256 * 1024;

/// How many reports of progress wait to be heard. When there is no room the copying waits.
const REPORTS: usize = 4;

/// See [`settings::Folder`].
pub(crate) struct Folder {
    disk: Arc<Disk>,
    shown: String,
    turns: Arc<Turns>,
}

/// Who uses a folder takes turns, also if it was opened several times: on one that hangs, as one that is mounted may, two threads
/// wait and not two for each who asks.
#[derive(Default)]
struct Turns {
    /// What takes no time.
    at_once: Arc<Mutex<()>>,
    /// Copying a file there.
    put: Arc<Mutex<()>>,
}

impl Turns {
    /// Those of a folder.
    fn of(path: &Path) -> Arc<Self> {
        static ALL: sync::Mutex<BTreeMap<PathBuf, Weak<Turns>>> = sync::Mutex::new(BTreeMap::new());
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        // Who waits for a turn holds on to it.
        all.retain(|_, turns| turns.strong_count() > 0);
        let known = all.get(path).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let turns = Arc::default();
            all.insert(path.to_owned(), Arc::downgrade(&turns));
            turns
        })
    }
}

impl Folder {
    pub(crate) fn new(settings: &settings::Folder) -> Result<Self, PlaceError> {
        let shown = settings.path.display().to_string();
        if !settings.path.is_absolute() {
            let why = "must be absolute: what it is relative to may change".to_owned();
            return Err(PlaceError::Settings { place: shown, setting: "the path", why });
        }
        let disk = Arc::new(Disk::new(settings.path.clone()));
        Ok(Self { disk, shown, turns: Turns::of(&settings.path) })
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) async fn put(
        &self,
        name: &str,
        file: &Path,
        how: Put,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Stored, PlaceError> {
        let tried = format!("put `{name}`");
        let (reports, mut heard) = mpsc::channel(REPORTS);
        let turn = Arc::clone(&self.turns.put).lock_owned().await;
        let work = {
            let (disk, name, file) = (Arc::clone(&self.disk), name.to_owned(), file.to_owned());
            let turns = Arc::clone(&self.turns);
            spawn_blocking(move || {
                let _turn = (turns, turn);
                // When the caller has gone nobody hears a report, and the thread stops.
                disk.put(&name, &file, how, &|sent| reports.blocking_send(sent).is_ok())
            })
        };
        while let Some(sent) = heard.recv().await {
            progress(sent);
        }
        let size = self.ended(work.await, name, &tried)?;
        Ok(Stored { size, etag: None, version: None })
    }

    pub(crate) async fn list(&self) -> Result<Vec<Kept>, PlaceError> {
        self.at_once("", "list what is there", Disk::list).await
    }

    pub(crate) async fn fetch(
        &self,
        name: &str,
        to: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<u64, PlaceError> {
        let tried = format!("fetch `{name}`");
        let asked = name.to_owned();
        let (file, size) = self.at_once(name, &tried, move |disk| disk.open(&asked)).await?;
        let mut file = tokio::fs::File::from_std(file);
        let mut piece = vec![0; PIECE];
        let mut read = 0;
        loop {
            let path = || self.disk.path(name);
            let count = file.read(&mut piece).await;
            let count = count
                .map_err(|source| self.trouble(Trouble::Place { path: path(), source }, name, &tried))?;
            let Some(bytes) = piece.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            to.write_all(bytes).await.map_err(|source| self.written(&tried, source))?;
            read += bytes.len() as u64;
        }
        to.flush().await.map_err(|source| self.written(&tried, source))?;
        if read != size {
            return Err(PlaceError::Changed { place: self.shown.clone(), tried, what: format!("`{name}`") });
        }
        Ok(read)
    }

    pub(crate) async fn size(&self, name: &str) -> Result<Option<u64>, PlaceError> {
        let tried = format!("look at `{name}`");
        let asked = name.to_owned();
        match self.at_once(name, &tried, move |disk| disk.open(&asked)).await {
            Ok((_, size)) => Ok(Some(size)),
            Err(PlaceError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn remove(&self, name: &str) -> Result<(), PlaceError> {
        let tried = format!("remove `{name}`");
        let asked = name.to_owned();
        match self.at_once(name, &tried, move |disk| disk.remove(&asked)).await {
            Err(PlaceError::NotFound { .. }) => Ok(()),
            done => done,
        }
    }

    /// Does what takes no time, when it is its turn.
    async fn at_once<T: Send + 'static>(
        &self,
        name: &str,
        tried: &str,
        work: impl FnOnce(&Disk) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, PlaceError> {
        let turn = Arc::clone(&self.turns.at_once).lock_owned().await;
        let (disk, turns) = (Arc::clone(&self.disk), Arc::clone(&self.turns));
        let done = spawn_blocking(move || {
            // Also when nobody waits for it any more.
            let _turn = (turns, turn);
            work(&disk)
        });
        self.ended(done.await, name, tried)
    }

    /// What came of it, or of the thread that did it.
    fn ended<T>(
        &self,
        work: Result<Result<T, Trouble>, JoinError>,
        name: &str,
        tried: &str,
    ) -> Result<T, PlaceError> {
        match work {
            Ok(done) => done.map_err(|trouble| self.trouble(trouble, name, tried)),
            Err(error) => Err(PlaceError::Other {
                place: self.shown.clone(),
                tried: tried.to_owned(),
                why: format!("its thread did not end well: {error}"),
            }),
        }
    }

    fn trouble(&self, trouble: Trouble, name: &str, tried: &str) -> PlaceError {
        let (place, tried) = (self.shown.clone(), tried.to_owned());
        let (path, source) = match trouble {
            Trouble::Exists => return PlaceError::Exists { place, name: name.to_owned() },
            Trouble::Changed => {
                return PlaceError::Changed { place, tried, what: "the file that is put".to_owned() };
            }
            Trouble::TooMany => return PlaceError::TooMany { place, limit: limits::NAMES },
            Trouble::Stopped => {
                return PlaceError::Other { place, tried, why: "nobody waits for it any more".to_owned() };
            }
            Trouble::Source { path, source } => return PlaceError::File { place, tried, path, source },
            Trouble::Place { path, source } => (path, source),
        };
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                PlaceError::NoSpace { place, tried, why: source.to_string() }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                let why = format!("{}: {source}", path.display());
                PlaceError::Denied { place, tried, why }
            }
            // A link on the way, or something else where a folder should be: nothing was put there.
            _ if is_elsewhere(&source) => {
                let what = path.display().to_string();
                let root = path == self.disk.path("");
                let why = if root { "make it, or mount what belongs there" } else { "" };
                PlaceError::NotFound { place, tried, what, why: why.to_owned() }
            }
            _ => PlaceError::File { place, tried, path, source },
        }
    }

    /// Whatever a fetch is written to does not take it.
    fn written(&self, tried: &str, source: io::Error) -> PlaceError {
        PlaceError::unwritten(&self.shown, tried, &source)
    }
}

fn is_elsewhere(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}
