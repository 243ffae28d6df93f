//! What is in a place, for people: also where no agent runs and Consul is gone.

use std::fs::File;

use jiff::Timestamp;
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
    pub modified: Timestamp,
}

/// A snapshot of a block that is there, of whatever datacenter or host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What it is called there.
    pub name: String,
    /// When it was begun, as its name says; of one that takes the place of the one before, when it was put.
    pub at: Timestamp,
    /// The datacenter or the host in its name, if there is one.
    pub of: Option<String>,
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

    /// The snapshots of a block that are there, the oldest first.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub async fn taken(&self, block: &Snapshot) -> Result<Vec<Taken>, PlaceError> {
        let one = |file: StoredFile| {
            let (at, of) = match &self.0.settings.file {
                Some(own) if *own == file.name => (file.modified, None),
                Some(_) => return None,
                None => read(block, &file.name)?,
            };
            Some(Taken { name: file.name, at, of })
        };
        let mut all: Vec<Taken> = self.list().await?.into_iter().filter_map(one).collect();
        all.sort_by_key(|taken| taken.at);
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

/// What a name says that a block gives its snapshots: when it was begun, and of what.
fn read(block: &Snapshot, name: &str) -> Option<(Timestamp, Option<String>)> {
    let bare = name.strip_suffix(".age").unwrap_or(name);
    let of = match block.names {
        Names::Dated => {
            let rest = bare.strip_prefix(block.name.as_str())?.strip_prefix('.')?;
            Some(rest.split_once('.')?.0)
        }
        Names::Enterprise => None,
        Names::Pshima => Some(bare.rsplit('/').next()?.rsplit_once(".consul.snapshot.")?.0),
    };
    let part = of.unwrap_or_default();
    let series = Series { names: block.names, block: &block.name, datacenter: part, host: part };
    let made = series.made(name)?;
    Some((Timestamp::from_millisecond(made.as_unix_millis()).ok()?, of.map(str::to_owned)))
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stored").field(&self.shown()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_name_says_when_and_of_what_it_was_taken() {
        let text = "consul {}\nsnapshot \"consul\" {\n place \"folder\" \"here\" {\n path = \"/b\"\n }\n}";
        let loaded = lictor_config::parse_in("x.hcl", text, &BTreeMap::<String, String>::new()).unwrap();
        let mut block = Snapshot::clone(loaded.config.snapshots.values().next().unwrap());
        let said = |block: &Snapshot, name: &str| {
            read(block, name).map(|(at, of)| format!("{at} {}", of.unwrap_or_default()))
        };
        let dated = said(&block, "consul.dc2.20261102T090507Z.snap.age");
        assert_eq!(dated.as_deref(), Some("2026-11-02T09:05:07Z dc2"));
        assert_eq!(said(&block, "shop.dc2.20261102T090507Z.snap"), None);
        assert_eq!(said(&block, "consul.dc2.snap"), None);
        block.names = Names::Enterprise;
        let numbered = said(&block, "consul-1793610307089000000.snap");
        assert_eq!(numbered.as_deref(), Some("2026-11-02T09:05:07.089Z "));
        block.names = Names::Pshima;
        let hosts = said(&block, "2026/11/2/a.b.consul.snapshot.1793610307.tar.gz");
        assert_eq!(hosts.as_deref(), Some("2026-11-02T09:05:07Z a.b"));
        assert_eq!(said(&block, "2026/11/3/a.b.consul.snapshot.1793610307.tar.gz"), None);
    }
}
