//! What is in a place, for people: also where no agent runs and Consul is gone.

use std::fs::File;

use lictor_config::{Place as Settings, Snapshot};
use lictor_core::snapshot::{Names, Series};
use lictor_places::{Kept, PlaceError};
use tokio::io::AsyncWriteExt as _;

use super::place;
use super::send::Spot;

/// A place of a block. Cheap to clone.
#[derive(Clone)]
pub struct Stored(Spot);

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It could not be read, or not to its end.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// It could not be written here.
    #[error("cannot write what was fetched: {0}")]
    Write(#[from] std::io::Error),
}

/// A file that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// What it is called there.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// When it was put, by the clock of the place.
    pub modified: jiff::Timestamp,
}

impl Stored {
    /// Nothing is asked of it yet.
    ///
    /// # Errors
    /// What is missing of its settings, in words.
    pub fn open(settings: &Settings) -> Result<Self, String> {
        place::open(settings).map(Self)
    }

    /// Its name in the block.
    pub fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// Where it is, without secrets.
    pub fn shown(&self) -> &str {
        self.0.place.shown()
    }

    /// All that is there, also what others have put, the oldest first.
    ///
    /// # Errors
    /// If it cannot be listed.
    pub async fn list(&self) -> Result<Vec<StoredFile>, PlaceError> {
        let file = |Kept { name, size, modified }| StoredFile { name, size, modified };
        let mut all: Vec<StoredFile> = self.0.place.list().await?.into_iter().map(file).collect();
        all.sort_by(|one, other| (one.modified, &one.name).cmp(&(other.modified, &other.name)));
        Ok(all)
    }

    /// Writes a file that is there into one that is here, which is on the disk afterwards; its bytes.
    ///
    /// # Errors
    /// If it could not be read or written to its end.
    pub async fn fetch(&self, name: &str, file: File) -> Result<u64, FetchError> {
        let mut file = tokio::fs::File::from_std(file);
        let size = self.0.place.fetch(name, &mut file).await?;
        let written = async {
            file.flush().await?;
            file.sync_all().await
        };
        written.await?;
        Ok(size)
    }
}

/// Whether a name is one of those that a block gives its snapshots, of whatever datacenter and host.
pub fn is_one(block: &Snapshot, name: &str) -> bool {
    let file = block.places.iter().any(|place| place.file.as_deref() == Some(name));
    let name = name.strip_suffix(".age").unwrap_or(name);
    file || match block.names {
        Names::Dated => {
            let rest = name.strip_prefix(block.name.as_str()).and_then(|rest| rest.strip_prefix('.'));
            rest.and_then(|rest| rest.split_once('.')).is_some_and(|(datacenter, _)| {
                Series { names: block.names, block: &block.name, datacenter, host: "" }.made(name).is_some()
            })
        }
        Names::Enterprise => name.starts_with("consul-") && name.ends_with(".snap"),
        Names::Pshima => name.contains(".consul.snapshot.") && name.ends_with(".tar.gz"),
    }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stored").field(&self.shown()).finish()
    }
}
