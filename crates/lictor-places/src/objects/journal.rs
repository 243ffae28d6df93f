//! What is written down of an upload, so that it is gone on with after a kill.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::source::Identity;

/// An upload that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// The place, as it is shown.
    pub(super) place: String,
    /// What it is to be called there.
    pub(super) name: String,
    /// The file.
    pub(super) file: Identity,
    /// What the object carries, by which we know it again.
    pub(super) token: String,
    /// What the server calls the upload, once it was begun.
    pub(super) upload: Option<String>,
    /// The parts that are there, and what the server calls them.
    pub(super) parts: BTreeMap<u64, String>,
}

/// What is written, in versions.
#[derive(Serialize, Deserialize)]
#[serde(tag = "v")]
enum Saved {
    #[serde(rename = "1")]
    V1 {
        place: String,
        name: String,
        file: Identity,
        token: String,
        upload: Option<String>,
        parts: Vec<(u64, String)>,
    },
}

/// The file that notes are kept in; without one they are not kept.
#[derive(Clone, Debug)]
pub(super) struct Journal(Option<PathBuf>);

impl Journal {
    pub(super) fn new(path: Option<&Path>) -> Self {
        Self(path.map(Path::to_owned))
    }

    /// Whether what is broken off can be gone on with.
    pub(super) const fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// For messages.
    pub(super) fn path(&self) -> PathBuf {
        self.0.clone().unwrap_or_default()
    }

    /// What was written last; `None` if nothing was, or nothing that makes sense: a journal is a help and not needed.
    pub(super) async fn read(&self) -> io::Result<Option<Note>> {
        let Some(path) = self.0.clone() else { return Ok(None) };
        blocking(move || {
            let text = match fs::read(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                text => text?,
            };
            let Ok(Saved::V1 { place, name, file, token, upload, parts }) = serde_json::from_slice(&text)
            else {
                return Ok(None);
            };
            Ok(Some(Note { place, name, file, token, upload, parts: parts.into_iter().collect() }))
        })
        .await
    }

    pub(super) async fn write(&self, note: &Note) -> io::Result<()> {
        let (Some(path), note) = (self.0.clone(), note.clone()) else { return Ok(()) };
        let Note { place, name, file, token, upload, parts } = note;
        let parts = parts.into_iter().collect();
        let text = serde_json::to_vec(&Saved::V1 { place, name, file, token, upload, parts })?;
        blocking(move || {
            let new = beside(&path);
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&text)?;
            file.sync_data()?;
            fs::rename(new, path)
        })
        .await
    }

    pub(super) async fn remove(&self) -> io::Result<()> {
        let Some(path) = self.0.clone() else { return Ok(()) };
        blocking(move || {
            for path in [beside(&path), path.clone()] {
                match fs::remove_file(path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
            match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                Some(folder) => File::open(folder)?.sync_all(),
                None => Ok(()),
            }
        })
        .await
    }
}

/// Where a note is written before it is whole.
fn beside(path: &Path) -> PathBuf {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    new.into()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = r#"{"v":"1","place":"s3://b/p","name":"a","file":{"size":9,"device":1,"inode":2,"seconds":3,"nanoseconds":4},"token":"t","upload":"u","parts":[[0,"x"],[2,"z"]]}"#;

    #[tokio::test]
    async fn what_was_written_is_read_and_in_the_form_of_the_first_version() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let journal = Journal::new(Some(&path));
        assert_eq!(journal.read().await.unwrap(), None);
        fs::write(&path, FIRST).unwrap();
        let note = journal.read().await.unwrap().unwrap();
        assert_eq!((&*note.name, note.parts.len(), note.file.size), ("a", 2, 9));
        journal.write(&note).await.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), FIRST);
        journal.remove().await.unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_journal_that_makes_no_sense_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        for text in ["", "{", r#"{"v":"2"}"#, "[]"] {
            fs::write(&path, text).unwrap();
            assert_eq!(Journal::new(Some(&path)).read().await.unwrap(), None, "{text}");
        }
    }
}
