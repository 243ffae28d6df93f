//! Putting a file: at once, or in parts that are gone on with after a kill.
//!
//! Each upload has a token of its own, which the object carries. By it we know our object again when an answer was
//! lost or this process was killed: what is there under the name is then ours, and not somebody else's that was there
//! before.

mod parts;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use object_store::path::Path as Key;
use object_store::{PutMode, PutOptions, PutResult};
use tokio::time::{sleep, timeout};

use super::journal::{Journal, Note};
use super::source::Source;
use super::{Look, Objects, refused};
use crate::error::PlaceError;
use crate::limits;
use crate::place::{Put, Stored};
use crate::wire::Pauses;

/// One call of [`put`].
struct Upload<'a> {
    objects: &'a Objects,
    name: &'a str,
    key: Key,
    how: Put,
    source: Source,
    journal: Journal,
    note: Note,
    progress: &'a (dyn Fn(u64) + Sync),
    /// What is done, for messages.
    tried: String,
}

pub(super) async fn put(
    objects: &Objects,
    name: &str,
    file: &Path,
    how: Put,
    journal: Option<&Path>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Stored, PlaceError> {
    let tried = format!("put `{name}`");
    let key = objects.key(name, &tried)?;
    let source = Source::open(file).await.map_err(|source| PlaceError::File {
        place: objects.shown().to_owned(),
        tried: tried.clone(),
        path: file.to_owned(),
        source,
    })?;
    let note = Note {
        place: objects.shown().to_owned(),
        name: name.to_owned(),
        file: source.identity,
        token: format!("{:032x}", rand::random::<u128>()),
        upload: None,
        parts: BTreeMap::new(),
    };
    let journal = Journal::new(journal);
    let mut upload = Upload { objects, name, key, how, source, journal, note, progress, tried };
    upload.take_up().await;
    let done = Box::pin(upload.run()).await;
    upload.close(&done).await;
    done
}

impl Upload<'_> {
    /// Goes on with what the journal tells of, if it is the same; else that is cleared away.
    async fn take_up(&mut self) {
        let note = match self.journal.read().await {
            Ok(Some(note)) => note,
            Ok(None) => return,
            Err(error) => return self.go_without(&error),
        };
        let same =
            (&note.place, &note.name, note.file) == (&self.note.place, &self.note.name, self.note.file);
        if same {
            self.note = note;
        } else if let Some(upload) = note.upload.filter(|_| note.place == self.note.place) {
            match self.objects.key(&note.name, &self.tried) {
                Ok(key) => self.abort(&key, &upload).await,
                // No name that was ever put.
                Err(error) => tracing::warn!(%error, "a journal is not heeded"),
            }
        }
    }

    async fn run(&mut self) -> Result<Stored, PlaceError> {
        if self.how == Put::New || self.note.upload.is_some() {
            match self.objects.look(self.name, &self.tried).await? {
                Look::Found(found) if found.token.as_ref() == Some(&self.note.token) => {
                    return Ok(found.stored);
                }
                Look::Found(_) if self.how == Put::New => return Err(self.exists()),
                Look::Found(_) | Look::Nothing | Look::Hidden => {}
            }
        }
        if self.source.identity.size <= limits::PART { self.at_once().await } else { self.in_parts().await }
    }

    /// What is left of it: nothing, unless another call may go on with it.
    async fn close(&mut self, done: &Result<Stored, PlaceError>) {
        match done {
            Err(error) if error.is_temporary() && self.journal.is_kept() => return,
            Err(_) => {
                if let Some(upload) = self.note.upload.take() {
                    self.abort(&self.key, &upload).await;
                }
            }
            Ok(_) => {}
        }
        if let Err(error) = self.journal.remove().await {
            self.go_without(&error);
        }
    }

    async fn at_once(&mut self) -> Result<Stored, PlaceError> {
        self.save().await;
        let mode = if self.how == Put::New { PutMode::Create } else { PutMode::Overwrite };
        let mut pauses = Pauses::default();
        loop {
            let part = self.source.read(0).await.map_err(|error| self.unreadable(error))?;
            self.unchanged().await?;
            let attributes = self.objects.marked(&self.note.token);
            let options = PutOptions { mode: mode.clone(), attributes, ..PutOptions::default() };
            let error = match self.objects.store.put_opts(&self.key, part.payload(), options).await {
                Ok(stored) => {
                    (self.progress)(self.source.identity.size);
                    return self.settled(stored).await;
                }
                Err(error) => error,
            };
            if let Some(answer) = self.whose(&error).await {
                return answer;
            }
            match pauses.next() {
                // Two put it at once, and the other one has failed, too.
                Some(pause) if refused(&error, &[409, 412]) => sleep(pause).await,
                _ => return Err(self.told(&error)),
            }
        }
    }

    /// After a failure: what is there under the name may be this upload all the same, or somebody else's. `None` if
    /// the failure stands.
    async fn whose(&self, error: &object_store::Error) -> Option<Result<Stored, PlaceError>> {
        let taken = self.how == Put::New && refused(error, &[409, 412]);
        match self.objects.look(self.name, &self.tried).await {
            Ok(Look::Found(found)) if found.token.as_ref() == Some(&self.note.token) => {
                (self.progress)(found.stored.size);
                Some(Ok(found.stored))
            }
            // Where we may not look it may be ours: that it is not new is what is known.
            Ok(Look::Found(_) | Look::Hidden) if taken => Some(Err(self.exists())),
            Ok(Look::Found(_) | Look::Hidden | Look::Nothing) | Err(_) => None,
        }
    }

    /// Looks whether what was put is there, and whole.
    async fn settled(&self, put: PutResult) -> Result<Stored, PlaceError> {
        let size = self.source.identity.size;
        let stored = Stored { size, etag: put.e_tag, version: put.version };
        let why = match self.objects.look(self.name, &self.tried).await {
            Ok(Look::Found(found)) if found.token.as_ref().is_some_and(|token| *token != self.note.token) => {
                match self.how {
                    // The server knows no conditions, and somebody else was faster or slower.
                    Put::New => return Err(self.exists()),
                    Put::Replace => return Ok(stored),
                }
            }
            Ok(Look::Found(found)) if found.stored.size != size => {
                format!("it has {} bytes there, and the file has {size}", found.stored.size)
            }
            Ok(Look::Nothing) => "the server says that it has it, and then that it has not".to_owned(),
            // The server has said that it has it.
            Ok(Look::Found(_) | Look::Hidden) | Err(_) => return Ok(stored),
        };
        Err(self.other(why))
    }

    /// Writes down how far it is. Without a journal an upload goes on as well.
    async fn save(&mut self) {
        if let Err(error) = self.journal.write(&self.note).await {
            self.go_without(&error);
        }
    }

    fn go_without(&mut self, error: &io::Error) {
        let path = self.journal.path();
        tracing::warn!(journal = %path.display(), %error, "the journal of an upload cannot be used; it is not gone on with after a kill");
        self.journal = Journal::new(None);
    }

    /// Has the server forget an upload, so that its parts cost nothing. If that fails they are left to the server's
    /// own rules.
    async fn abort(&self, key: &Key, upload: &str) {
        let error =
            match timeout(limits::RETRY_FOR, self.objects.store.abort_multipart(key, &upload.to_owned()))
                .await
            {
                Ok(Err(error)) if !refused(&error, &[404]) => {
                    self.objects.told(&error, "abort an upload", self.name).to_string()
                }
                Err(late) => late.to_string(),
                Ok(Ok(()) | Err(_)) => return,
            };
        tracing::warn!(
            place = self.objects.shown(),
            name = self.name,
            error,
            "parts of an upload that was given up cannot be removed"
        );
    }

    async fn unchanged(&self) -> Result<(), PlaceError> {
        match self.source.is_unchanged().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.changed()),
            Err(error) => Err(self.unreadable(error)),
        }
    }

    fn told(&self, error: &object_store::Error) -> PlaceError {
        self.objects.told(error, &self.tried, self.name)
    }

    fn exists(&self) -> PlaceError {
        PlaceError::Exists { place: self.objects.shown().to_owned(), name: self.name.to_owned() }
    }

    fn changed(&self) -> PlaceError {
        let what = self.source.path.display().to_string();
        PlaceError::Changed { place: self.objects.shown().to_owned(), tried: self.tried.clone(), what }
    }

    fn other(&self, why: String) -> PlaceError {
        PlaceError::Other { place: self.objects.shown().to_owned(), tried: self.tried.clone(), why }
    }

    fn unreadable(&self, source: io::Error) -> PlaceError {
        if source.kind() == io::ErrorKind::UnexpectedEof {
            return self.changed();
        }
        let (place, tried) = (self.objects.shown().to_owned(), self.tried.clone());
        PlaceError::File { place, tried, path: self.source.path.clone(), source }
    }
}
