//! The drill: a snapshot is restored into a throw-away server, saved again, and compared. That is the proof that a backup
//! can be restored.
//!
//! ```text
//! read the snapshot ─▶ a folder in memory ─▶ a server in it ─▶ restore ─▶ save again ─▶ end it ─▶ compare
//! ```
//!
//! The server holds every secret of the cluster. So its folder is ours alone, it is reached by nobody without
//! what only we know (`server.rs`), and it ends with us, however we end ([`launch`]).

mod compared;
mod error;
mod folder;
pub mod launch;
mod original;
mod process;
mod sending;
mod server;

#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lictor_snapshot::{Shape, Source};
use serde::Serialize;
use tokio::time::{Instant, timeout};

use crate::task::Tasks;
use folder::{Folder, Needs};
use original::Original;
use process::Said;
use server::Server;

pub use compared::{Became, Counted, Difference};
pub use error::{Differing, DrillError};
pub use server::Version;

/// The datacenter of a snapshot in which no node says one.
const DATACENTER: &str = "dc1";

/// How long a drill may take unless it is said otherwise.
pub const LIMIT: Duration = Duration::from_mins(5);

/// What a drill is done with.
#[derive(Clone, Debug)]
pub struct DrillMeans {
    /// The program `consul`; it must know all kinds of records that are in the snapshot.
    pub consul: PathBuf,
    /// This program and the word by which it calls [`launch::main`].
    pub launcher: Vec<OsString>,
    /// Where the drill's folder is made. If it is not said: in memory if there is room (`/dev/shm`, `/run`), else where
    /// temporary files are.
    pub scratch: Option<PathBuf>,
    /// How long it may take.
    pub limit: Duration,
}

impl DrillMeans {
    /// With this program and [`LIMIT`].
    pub fn new(consul: impl Into<PathBuf>) -> Self {
        let launcher = vec!["/proc/self/exe".into(), launch::WORD.into()];
        Self { consul: consul.into(), launcher, scratch: None, limit: LIMIT }
    }
}

/// Finds `consul` in a list of folders such as `PATH`.
#[must_use]
pub fn find_consul(path: Option<&OsStr>) -> Option<PathBuf> {
    let runs = |file: &PathBuf| {
        file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(path?).map(|folder| folder.join("consul")).find(runs)
}

/// What a drill is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The snapshot is read to its end.
    Reading,
    /// The server is started, and elected.
    Starting,
    /// It restores the snapshot.
    Restoring,
    /// It saves what it has.
    Saving,
    /// Both are compared.
    Comparing,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reading => "reading the snapshot",
            Self::Starting => "starting a server",
            Self::Restoring => "restoring the snapshot",
            Self::Saving => "saving what was restored",
            Self::Comparing => "comparing",
        })
    }
}

/// What a drill found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drilled {
    /// How long all of it took, in milliseconds.
    pub took_ms: u64,
    /// How long the server took to restore the snapshot, in milliseconds.
    pub restore_ms: u64,
    /// The index up to which the snapshot goes.
    pub index: u64,
    /// How many records it has.
    pub records: u64,
    /// The version of the server.
    pub consul: String,
    /// The datacenter that the server was given: that of the snapshot if it says one.
    pub datacenter: String,
    /// What there was, and is, by sorts of things.
    pub counted: Vec<Counted>,
}

impl Drilled {
    /// How many things were compared one by one.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.counted.iter().map(|counted| counted.compared).sum()
    }
}

/// Restores an archive of Consul into a throw-away server and compares what that has with it. `seen` is told of each
/// step as it begins.
///
/// Compared one by one: keys that no session holds, tokens that do not expire, policies, roles, rules, methods,
/// intentions, config entries and prepared queries. The rest is counted: a server that is alone with them removes nodes of which
/// gossip does not know, and with them their services, checks, sessions and what these held.
///
/// When this has come back, or was dropped, the server has ended and its folder is removed.
///
/// # Errors
/// If it did not go well; [`DrillError::blames_snapshot`] tells whether that is because of the snapshot.
pub async fn drill(
    archive: &Path,
    means: &DrillMeans,
    seen: impl Fn(Step) + Send + Sync,
) -> Result<Drilled, DrillError> {
    let course = Course { seen: &seen, step: Mutex::new(Step::Reading), said: Said::default() };
    match timeout(means.limit, Box::pin(course.run(archive, means))).await {
        Ok(done) => done,
        Err(_late) => {
            let step = *course.step.lock().unwrap_or_else(PoisonError::into_inner);
            Err(DrillError::TimedOut { limit: means.limit, step, said: course.said.last() })
        }
    }
}

/// A drill under way.
struct Course<'a> {
    seen: &'a (dyn Fn(Step) + Send + Sync),
    step: Mutex<Step>,
    said: Said,
}

impl Course<'_> {
    fn at(&self, step: Step) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
        (self.seen)(step);
    }

    async fn run(&self, archive: &Path, means: &DrillMeans) -> Result<Drilled, DrillError> {
        let begun = Instant::now();
        self.at(Step::Reading);
        let program = std::path::absolute(&means.consul).map_err(DrillError::io("find the program"))?;
        let version = Version::of(means, &program).await?;
        let held = Arc::new(Held::open(archive)?);
        let reading = Arc::clone(&held);
        let original = off(move || Original::read(&reading.source)).await?.map_err(DrillError::Unsound)?;
        let kinds = original.inspection.refused_by(version.number);
        if !kinds.is_empty() {
            return Err(DrillError::TooOld { program, version, kinds });
        }
        let (scratch, needs) = (
            means.scratch.clone(),
            Needs::of(original.state_bytes, original.inspection.total().count, held.size),
        );
        let folder = off(move || Folder::make(scratch.as_deref(), needs)).await??;

        self.at(Step::Starting);
        let datacenter = original.datacenter.clone().unwrap_or_else(|| DATACENTER.to_owned());
        let mut server = Server::up(means, &program, &version, &datacenter, &folder, &self.said).await?;
        self.at(Step::Restoring);
        let restoring = Instant::now();
        let client = server.client.clone();
        let pieces = sending::pieces(held.again()?);
        server.meanwhile(Step::Restoring, client.snapshot().restore(pieces)).await?;
        let restore_ms = millis(restoring);
        self.at(Step::Saving);
        let saved = folder.path().join("after.snap");
        server.meanwhile(Step::Saving, sending::save(&client, &saved)).await??;
        let own = server.token.clone();
        server.end().await?;

        self.at(Step::Comparing);
        let number = version.number;
        let (index, records) = (original.index, original.inspection.total().count);
        let comparison = off(move || {
            let after = Source::open(&saved)?;
            compared::compare(&held.source, &original, &after, own.expose().as_bytes(), number)
        });
        let comparison = comparison.await?.map_err(DrillError::UnsoundAfter)?;
        folder.remove()?;
        let drilled = Drilled {
            took_ms: millis(begun),
            restore_ms,
            index,
            records,
            consul: version.to_string(),
            datacenter,
            counted: comparison.counted,
        };
        match comparison.differing {
            0 => Ok(drilled),
            total => {
                Err(DrillError::Differs(Box::new(Differing { total, first: comparison.first, drilled })))
            }
        }
    }
}

/// The snapshot, which is the same one to the end even if another file gets its name, or it loses its own.
struct Held {
    file: File,
    /// Bytes of the file.
    size: u64,
    /// To be read only while the file is open.
    source: Source,
}

impl Held {
    fn open(archive: &Path) -> Result<Self, DrillError> {
        let unreadable = DrillError::io("open the snapshot");
        let found = archive.metadata().and_then(|found| match found.is_file() {
            true => File::open(archive),
            false => Err(io::Error::other("it is no file")),
        });
        let file = found.map_err(unreadable)?;
        let size = file.metadata().map_err(DrillError::io("look at the snapshot"))?.len();
        let source = Source::open(path_of(&file)).map_err(|error| DrillError::Unsound(error.into()))?;
        match source.shape() {
            Shape::Archive => Ok(Self { file, size, source }),
            Shape::State | Shape::ConsulSnapshot | Shape::ConsulSnapshotV1 | Shape::Encrypted => {
                Err(DrillError::NoArchive)
            }
        }
    }

    /// The same file from its beginning.
    fn again(&self) -> Result<File, DrillError> {
        File::open(path_of(&self.file)).map_err(DrillError::io("open the snapshot"))
    }
}

/// Leads to an open file, whatever its name is now.
fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Does what takes long on a thread of its own. Nobody waits for it who has given up the drill.
async fn off<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, DrillError> {
    let done = Tasks::new().on_thread("drill", work).map_err(DrillError::io("start a thread"))?;
    done.await.map_err(|lost| DrillError::io("finish what a thread did")(io::Error::other(lost)))
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
