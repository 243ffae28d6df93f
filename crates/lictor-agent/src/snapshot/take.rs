//! A snapshot is taken: written down as it comes, decoded to its end, encrypted, and only then called one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use lictor_consul::{Archive, Client, Error, Query};
use lictor_snapshot::archive::Limits;
use lictor_snapshot::seal::{Recipients, seal};
use lictor_snapshot::{Report, Source, verify};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

use crate::task::Tasks;

/// What a server says that has just started and has nothing newer than its latest snapshot.
const NOTHING_NEW: &str = "nothing new to snapshot";

/// How often it is asked again then, and after how long.
const AGAIN: (u32, Duration) = (5, Duration::from_secs(1));

/// What names of files begin with that are not yet snapshots.
pub(super) const UNFINISHED: &str = ".unfinished.";

/// What stands in the names of files for the `/` of names; in none of those it stands itself.
pub(super) const PART: &str = "+";

/// The sum of what is sent: SHA-256.
pub(super) type Sum = [u8; 32];

/// A snapshot that lies in the scratch folder, as it is to be sent.
#[derive(Clone, Debug)]
pub(super) struct Fresh {
    pub(super) path: PathBuf,
    pub(super) name: String,
    /// When it was begun.
    pub(super) at: Timestamp,
    pub(super) size: u64,
    pub(super) sum: Sum,
    /// Whether an earlier process has taken it.
    pub(super) left: bool,
    /// When the one before it was begun, whoever of this cluster has taken that; `None`: it is not known.
    pub(super) after: Option<Timestamp>,
}

/// What was found in one when it was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) index: u64,
    /// Bytes of the archive, before encryption.
    pub(super) bytes: u64,
}

/// A file that is removed unless it gets a name.
pub(super) struct Unfinished {
    path: PathBuf,
    named: bool,
}

impl Unfinished {
    pub(super) fn new(folder: &Path) -> io::Result<(Self, File)> {
        let path = folder.join(format!("{UNFINISHED}{:016x}", rand::random::<u64>()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok((Self { path, named: false }, file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn name(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.named = true;
        let folder = target.parent().unwrap_or(Path::new("/"));
        File::open(folder)?.sync_all()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.named {
            // The next start removes what cannot be removed now.
            fs::remove_file(&self.path).unwrap_or_default();
        }
    }
}

/// Makes the folder, for its owner only. What lies there is sent: so one in which others can write is refused.
pub(super) fn folder(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    let found = made.and_then(|()| fs::symlink_metadata(path));
    let found = found.map_err(|error| format!("cannot make the scratch folder {shown}: {error}"))?;
    // Where everybody may make folders, whoever has made it could put other files in the place of ours.
    let own = found.uid() == rustix::process::geteuid().as_raw();
    if !found.is_dir() || !own || found.mode() & 0o022 != 0 {
        return Err(format!(
            "the scratch folder {shown} belongs to somebody else, or others may write there: remove it, or name another one"
        ));
    }
    Ok(())
}

/// Takes one. `name`: what it is to be called, by the time at which it was begun.
///
/// # Errors
/// Why there is none, in words.
pub(super) async fn take(
    client: &Client,
    stale: bool,
    folder: &Path,
    name: &str,
    at: Timestamp,
    to: Option<Recipients>,
    tasks: &Tasks,
) -> Result<(Fresh, Found), String> {
    let wrote = |error: io::Error| format!("cannot write into {}: {error}", folder.display());
    // Who takes one without the lease removes it when nothing is left there.
    self::folder(folder)?;
    let (raw, file) = Unfinished::new(folder).map_err(wrote)?;
    download(client, stale, file).await.map_err(|failed| match failed {
        DownloadError::Consul(error) => format!("no snapshot from Consul: {error}"),
        DownloadError::Write(error) => wrote(error),
    })?;
    let (folder, name) = (folder.to_owned(), name.to_owned());
    let work = move || finish(raw, &folder, &name, at, to);
    let done = tasks.on_thread("snapshot", work).map_err(|error| format!("no thread: {error}"))?;
    done.await.map_err(|_panicked| "the check of the snapshot broke off".to_owned())?
}

/// Why a snapshot could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// Consul did not send it, or not to its end.
    #[error(transparent)]
    Consul(#[from] Error),
    /// It could not be written.
    #[error("cannot write it: {0}")]
    Write(#[from] io::Error),
}

/// Has Consul write all it knows into a file, which is on the disk afterwards.
///
/// # Errors
/// If it did not come, or could not be written. That it came to its end says only [`verify`].
pub async fn download(client: &Client, stale: bool, file: File) -> Result<(), DownloadError> {
    let mut archive = begin(client, stale).await?;
    let mut file = tokio::fs::File::from_std(file);
    while let Some(piece) = archive.chunk().await? {
        file.write_all(&piece).await?;
    }
    file.flush().await?;
    Ok(file.sync_all().await?)
}

async fn begin(client: &Client, stale: bool) -> Result<Archive, Error> {
    let query = if stale { Query::new().stale() } else { Query::new() };
    let mut tries = 0;
    loop {
        match client.snapshot().save(&query).await {
            Err(error) if tries < AGAIN.0 && error.to_string().contains(NOTHING_NEW) => {
                tries += 1;
                sleep(AGAIN.1).await;
            }
            answer => return answer,
        }
    }
}

/// Checks what came, encrypts it, and gives it its name.
fn finish(
    raw: Unfinished,
    folder: &Path,
    name: &str,
    at: Timestamp,
    to: Option<Recipients>,
) -> Result<(Fresh, Found), String> {
    let wrote = |error: io::Error| format!("cannot write into {}: {error}", folder.display());
    let report: Report = Source::open(raw.path())
        .map_err(Into::into)
        .and_then(|source| verify(&source, &Limits::default(), None))
        .map_err(|error| format!("what Consul sent is no sound snapshot: {error}"))?;
    let bytes = fs::metadata(raw.path()).map_err(wrote)?.len();
    let index = report.whole.meta.as_ref().map_or(report.whole.last_index, |meta| meta.index);
    let ready = match to {
        None => raw,
        Some(to) => {
            let (sealed, file) = Unfinished::new(folder).map_err(wrote)?;
            let plain = BufReader::new(File::open(raw.path()).map_err(wrote)?);
            let mut out = BufWriter::new(file);
            seal(&to, plain, &mut out).map_err(|error| format!("cannot encrypt it: {error}"))?;
            let file = out.into_inner().map_err(|error| wrote(error.into_error()))?;
            file.sync_all().map_err(wrote)?;
            // Only the encrypted one is left.
            drop(raw);
            sealed
        }
    };
    let (size, sum) = sum(ready.path()).map_err(wrote)?;
    let path = folder.join(filed(name));
    ready.name(&path).map_err(wrote)?;
    Ok((
        Fresh { path, name: name.to_owned(), at, size, sum, left: false, after: None },
        Found { index, bytes },
    ))
}

/// Length and sum of one that was left, after a check of what can be read without a key.
pub(super) fn checked(path: &Path, sealed: bool) -> Result<(u64, Sum), String> {
    if !sealed {
        let source = Source::open(path).map_err(|error| error.to_string())?;
        let report = verify(&source, &Limits::default(), None);
        report.map_err(|error| format!("it is not sound: {error}"))?;
    }
    sum(path).map_err(|error| format!("it cannot be read: {error}"))
}

/// The file in which one of this name lies in the scratch folder.
fn filed(name: &str) -> String {
    name.replace('/', PART)
}

/// Length and sum of a file.
fn sum(path: &Path) -> io::Result<(u64, Sum)> {
    let mut sum = Summing::default();
    io::copy(&mut BufReader::with_capacity(1 << 16, File::open(path)?), &mut sum)?;
    Ok(sum.end())
}

/// Adds up what is written to it.
#[derive(Clone, Default)]
pub(super) struct Summing {
    sum: Sha256,
    bytes: u64,
}

impl Summing {
    pub(super) fn end(self) -> (u64, Sum) {
        (self.bytes, self.sum.finalize().into())
    }
}

impl Write for Summing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why something is not in the clear.
#[derive(Debug)]
pub(super) enum Sealed {
    /// It cannot be opened with these keys, or is damaged.
    Shut(String),
    /// Nothing is known of it: this machine could not do it.
    Untried(String),
}

/// Writes what is encrypted in the clear, into the scratch folder.
pub(super) fn unseal(
    path: &Path,
    folder: &Path,
    keys: &lictor_snapshot::seal::Keys,
) -> Result<Unfinished, Sealed> {
    let failed = |error: &dyn std::fmt::Display| format!("cannot decrypt {}: {error}", path.display());
    let here = |error: io::Error| Sealed::Untried(failed(&error));
    let file = BufReader::new(File::open(path).map_err(here)?);
    let mut plain = lictor_snapshot::seal::open(keys, file).map_err(|error| Sealed::Shut(failed(&error)))?;
    let (clear, mut out) = Unfinished::new(folder).map_err(here)?;
    copy(&mut plain, &mut out).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Sealed::Shut(failed(&error)),
        _ => here(error),
    })?;
    Ok(clear)
}

fn copy(from: &mut impl Read, to: &mut File) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, to);
    io::copy(from, &mut out)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_in_which_others_can_write_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("scratch");
        folder(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(folder(&path).unwrap_err().contains("others may write there"));
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        assert!(folder(&link).unwrap_err().contains("belongs to somebody else"));
    }
}
