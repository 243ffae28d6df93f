//! A snapshot is saved: it gets its name only when it was written, read again and decoded to its end.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lictor_consul::{Client, Error, Query};
use lictor_snapshot::archive::Limits;
use lictor_snapshot::{Report, Source, verify};
use tokio::time::sleep;

use super::inspect::written;
use crate::cli::{SnapshotPart, SnapshotSave};
use crate::command::consul;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;

/// What a server says that has just started and has nothing newer than its latest snapshot.
const NOTHING_NEW: &str = "nothing new to snapshot";

/// How often it is asked again then, and after how long.
const AGAIN: (u32, Duration) = (5, Duration::from_secs(1));

pub(super) async fn run(args: &SnapshotSave, terminal: &Terminal) -> Result<(), Failure> {
    let (client, shown) = consul(args.http_addr.as_deref(), args.token_file.as_deref())?;
    let client = match &args.datacenter {
        Some(name) => client.in_datacenter(name.as_str()),
        None => client,
    };
    let of = args.datacenter.as_ref().map_or_else(String::new, |name| format!("{name} by "));
    let to_stdout = args.file.as_os_str() == "-";
    let target = match to_stdout {
        true => std::env::temp_dir().join("lictor.snap"),
        false => named(&args.file, &client, &args.append_filename)
            .await
            .map_err(|why| FillError::Consul(why).said(&shown, &args.file))?,
    };
    let saved = Unverified::beside(&target).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot write beside {}: {error}", target.display()))
    })?;
    fill(&saved, &client, args.stale).await.map_err(|why| why.said(&format!("{of}{shown}"), &saved.path))?;
    let report = check(&saved)?;
    if to_stdout {
        let mut file = File::open(&saved.path).map_err(|error| written(&error))?;
        io::copy(&mut file, &mut io::stdout().lock()).map_err(|error| written(&error))?;
    } else {
        saved.name(&target).map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot name it {}: {error}", target.display()))
        })?;
    }
    let index = report.whole.meta.map_or(report.whole.last_index, |meta| meta.index);
    terminal.say(&format!("Saved and verified snapshot to index {index}: {} records", report.whole.records));
    Ok(())
}

/// The file's name with what is to be put into it.
async fn named(file: &Path, client: &Client, parts: &[SnapshotPart]) -> Result<PathBuf, Error> {
    if parts.is_empty() {
        return Ok(file.to_owned());
    }
    let info = client.agent().info().await?;
    let leads = info.stats["consul"]["leader"] == "true";
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    for part in parts {
        name.push("-");
        name.push(match part {
            SnapshotPart::Version => info.config.version.as_str(),
            SnapshotPart::Dc => info.config.datacenter.as_str(),
            SnapshotPart::Node => info.config.node_name.as_str(),
            SnapshotPart::Status if leads => "leader",
            SnapshotPart::Status => "follower",
        });
    }
    if let Some(end) = file.extension() {
        name.push(".");
        name.push(end);
    }
    Ok(file.with_file_name(name))
}

/// Why there is no snapshot.
pub(super) enum FillError {
    Consul(Error),
    File(io::Error),
}

impl FillError {
    /// `place`: where Consul is; `path`: what was written to.
    pub(super) fn said(self, place: &str, path: &Path) -> Failure {
        Failure::new(
            Exit::Failed,
            match self {
                Self::Consul(why) => format!("no snapshot of Consul at {place}: {why}"),
                Self::File(why) => format!("cannot write {}: {why}", path.display()),
            },
        )
    }
}

/// Has Consul write all it knows into a file.
pub(super) async fn fill(saved: &Unverified, client: &Client, stale: bool) -> Result<(), FillError> {
    let query = if stale { Query::new().stale() } else { Query::new() };
    let mut tries = 0;
    let mut archive = loop {
        match client.snapshot().save(&query).await {
            Err(error) if tries < AGAIN.0 && error.to_string().contains(NOTHING_NEW) => {
                tries += 1;
                sleep(AGAIN.1).await;
            }
            answer => break answer.map_err(FillError::Consul)?,
        }
    };
    let mut file = &saved.file;
    while let Some(piece) = archive.chunk().await.map_err(FillError::Consul)? {
        file.write_all(&piece).map_err(FillError::File)?;
    }
    file.sync_all().map_err(FillError::File)
}

/// What was written is read again: an answer that was cut off is known by nothing else.
fn check(saved: &Unverified) -> Result<Report, Failure> {
    let sound = Source::open(&saved.path)
        .map_err(Into::into)
        .and_then(|source| verify(&source, &Limits::default(), None));
    sound.map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("what Consul sent is no sound snapshot, and was not kept: {error}"),
        )
    })
}

/// A file that nobody takes for a snapshot yet. It is removed unless it gets its name.
pub(super) struct Unverified {
    file: File,
    path: PathBuf,
}

impl Unverified {
    /// In the folder of what it is to become, for its owner only.
    pub(super) fn beside(target: &Path) -> io::Result<Self> {
        let mut name = target.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_owned();
        name.push(format!(".unverified.{:08x}", rand::random::<u32>()));
        let path = target.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { file, path })
    }

    /// Where it is now.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it a name that nothing has, in the folder of what it was saved before; which it is.
    pub(super) fn kept_beside(&self, restored: &Path) -> io::Result<PathBuf> {
        let mut name = OsString::from(format!("before-{}-", jiff::Timestamp::now().as_second()));
        name.push(restored.file_name().ok_or(io::ErrorKind::InvalidFilename)?);
        let target = restored.with_file_name(name);
        // A link does not go over what is there.
        fs::hard_link(&self.path, &target)?;
        self.name(&target)?;
        Ok(target)
    }

    /// Gives it its name, which is on the disk when this has come back.
    fn name(&self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Unverified {
    fn drop(&mut self) {
        // It is not there any more when it got its name.
        fs::remove_file(&self.path).unwrap_or_default();
    }
}
