//! A place, whatever it is.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::io::AsyncWrite;

use crate::error::PlaceError;
use crate::objects::Objects;
use crate::settings::Settings;
use crate::{azure, folder, google, name, s3};

/// What is to become of something that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It stays, and nothing is put: [`PlaceError::Exists`].
    New,
    /// It is replaced at once, when the new file is there whole.
    Replace,
}

/// What was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its size in bytes.
    pub size: u64,
    /// The server's tag of the content, if it has one.
    pub etag: Option<String>,
    /// Its version, where versions are kept.
    pub version: Option<String>,
}

/// Something that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What it was put as: the prefix is not part of it.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was put, by the clock of the place.
    pub modified: Timestamp,
}

/// Where files are kept. Cheap to clone; clones share connections and what they were given to log in with.
#[derive(Clone)]
pub struct Place(Arc<Kind>);

enum Kind {
    Folder(folder::Folder),
    Objects(Box<Objects>),
}

impl Place {
    /// Checks the settings. Nothing is asked of the place.
    ///
    /// # Errors
    /// [`PlaceError::Settings`] and [`PlaceError::File`] if they cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, PlaceError> {
        let kind = match settings {
            Settings::Folder(settings) => Kind::Folder(folder::Folder::new(settings)?),
            Settings::S3(settings) => Kind::Objects(Box::new(s3::place(settings)?)),
            Settings::Azure(settings) => Kind::Objects(Box::new(azure::place(settings)?)),
            Settings::Google(settings) => Kind::Objects(Box::new(google::place(settings)?)),
        };
        Ok(Self(Arc::new(kind)))
    }

    /// How it is named in messages and metrics: `s3://bucket/prefix`, `/var/backups/consul`. It has no secret.
    #[must_use]
    pub fn shown(&self) -> &str {
        match &*self.0 {
            Kind::Folder(folder) => folder.shown(),
            Kind::Objects(objects) => objects.shown(),
        }
    }

    /// Puts a file there. `progress` is told how many bytes of it are there so far.
    ///
    /// `journal` is a file in which it is written down how far an upload is, so that the next call for the same file,
    /// name and place goes on with it after this process was killed. It is made and removed here; what it says of
    /// another file is not heeded, and that one's upload is given up. Without one, and in a folder, a call begins anew;
    /// then a call that is dropped may leave parts in a bucket that no listing shows and that are paid for.
    ///
    /// # Errors
    /// [`PlaceError::Exists`] if it was to be new and is not; others if it could not be put. After an error
    /// that [is temporary](PlaceError::is_temporary) the journal stays, for another call.
    pub async fn put(
        &self,
        name: &str,
        file: &Path,
        how: Put,
        journal: Option<&Path>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Stored, PlaceError> {
        self.check(name)?;
        match &*self.0 {
            Kind::Folder(folder) => folder.put(name, file, how, progress).await,
            Kind::Objects(objects) => objects.put(name, file, how, journal, progress).await,
        }
    }

    /// What is there, in the order of the names. Hidden files, links and what could not have been put here are left
    /// out.
    ///
    /// # Errors
    /// [`PlaceError::TooMany`] beyond [`limits::NAMES`](crate::limits::NAMES); others if it could not be listed.
    pub async fn list(&self) -> Result<Vec<Kept>, PlaceError> {
        let mut kept = match &*self.0 {
            Kind::Folder(folder) => folder.list().await?,
            Kind::Objects(objects) => objects.list().await?,
        };
        kept.retain(|kept| name::fault(&kept.name).is_none());
        kept.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(kept)
    }

    /// Writes to `to` what is there under a name, and gives its size in bytes. A connection that breaks is made again
    /// where it was; what is written after an error is not the whole.
    ///
    /// # Errors
    /// [`PlaceError::NotFound`] if it is not there; [`PlaceError::Changed`] if it is replaced meanwhile; others if it
    /// could not be read or written to its end.
    pub async fn fetch(
        &self,
        name: &str,
        to: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<u64, PlaceError> {
        self.check(name)?;
        match &*self.0 {
            Kind::Folder(folder) => folder.fetch(name, to).await,
            Kind::Objects(objects) => objects.fetch(name, to).await,
        }
    }

    /// The size in bytes of what is there under a name; `None` if nothing is.
    ///
    /// # Errors
    /// If it cannot be told.
    pub async fn size(&self, name: &str) -> Result<Option<u64>, PlaceError> {
        self.check(name)?;
        match &*self.0 {
            Kind::Folder(folder) => folder.size(name).await,
            Kind::Objects(objects) => objects.size(name).await,
        }
    }

    /// Removes what is there under a name; it is no error if nothing is.
    ///
    /// # Errors
    /// If it could not be removed.
    pub async fn remove(&self, name: &str) -> Result<(), PlaceError> {
        self.check(name)?;
        match &*self.0 {
            Kind::Folder(folder) => folder.remove(name).await,
            Kind::Objects(objects) => objects.remove(name).await,
        }
    }

    fn check(&self, name: &str) -> Result<(), PlaceError> {
        match name::fault(name) {
            None => Ok(()),
            Some(why) => Err(PlaceError::Name { place: self.shown().to_owned(), name: name.to_owned(), why }),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.shown()).finish()
    }
}
