//! A file that is sent in parts.

use std::sync::Arc;

use futures::{StreamExt as _, stream};
use object_store::PutMultipartOptions;
use object_store::multipart::PartId;

use super::Upload;
use crate::error::PlaceError;
use crate::limits;
use crate::objects::{Dialect, refused, timed_out};
use crate::place::Stored;
use crate::wire::fault;

/// How often a part is sent that stood still.
const STANDSTILLS: usize = 2;

/// Words of a server that does not know an upload, or its parts, any more.
const FORGOTTEN: [&str; 5] =
    ["InvalidBlobOrBlock", "InvalidBlockList", "InvalidPart", "InvalidPartOrder", "NoSuchUpload"];

/// Why an upload did not come to its end.
enum Broken {
    /// The server does not know it any more.
    Forgotten(PlaceError),
    /// Anything else.
    For(PlaceError),
}

impl Upload<'_> {
    pub(super) async fn in_parts(&mut self) -> Result<Stored, PlaceError> {
        let mut forgotten = false;
        loop {
            match self.once().await {
                Ok(stored) => return Ok(stored),
                Err(Broken::Forgotten(_)) if !forgotten => {
                    forgotten = true;
                    self.note.upload = None;
                    self.note.parts.clear();
                }
                Err(Broken::Forgotten(error) | Broken::For(error)) => return Err(error),
            }
        }
    }

    /// Begins it, or goes on where it was.
    async fn once(&mut self) -> Result<Stored, Broken> {
        let upload = match self.note.upload.clone() {
            Some(upload) => upload,
            None => self.begin().await?,
        };
        self.send(&upload).await?;
        self.complete(&upload).await
    }

    async fn begin(&mut self) -> Result<String, Broken> {
        // Azure hears what an object carries when it is complete.
        let attributes = match self.objects.dialect {
            Dialect::Azure { .. } => object_store::Attributes::new(),
            Dialect::S3 | Dialect::Google => self.objects.marked(&self.note.token),
        };
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let begun = self.objects.store.create_multipart_opts(&self.key, options).await;
        let upload = begun.map_err(|error| Broken::For(self.told(&error)))?;
        self.note.upload = Some(upload.clone());
        self.save().await;
        Ok(upload)
    }

    /// Sends the parts that are not there.
    async fn send(&mut self, upload: &str) -> Result<(), Broken> {
        let file = self.source.identity;
        let at_a_time = (limits::AT_A_TIME as u64 * limits::PART / file.part()).max(1);
        let at_a_time = usize::try_from(at_a_time).unwrap_or(1);
        let missing: Vec<u64> =
            (0..file.parts()).filter(|part| !self.note.parts.contains_key(part)).collect();
        let mut sent: u64 = self.note.parts.keys().map(|&part| file.extent(part).1).sum();
        if sent > 0 {
            (self.progress)(sent);
        }
        let sender = Sender {
            store: Arc::clone(&self.objects.store),
            source: self.source.clone(),
            key: self.key.clone(),
            upload: upload.to_owned(),
        };
        let mut under_way = stream::iter(missing).map(|part| sender.send(part)).buffer_unordered(at_a_time);
        while let Some(done) = under_way.next().await {
            let (part, id) = done.map_err(|failure| self.part_failed(failure))?;
            self.note.parts.insert(part, id);
            self.save().await;
            sent += file.extent(part).1;
            (self.progress)(sent);
        }
        Ok(())
    }

    async fn complete(&mut self, upload: &str) -> Result<Stored, Broken> {
        self.unchanged().await.map_err(Broken::For)?;
        let store = self.objects.completing(self.how, &self.note.token, &self.tried).map_err(Broken::For)?;
        let parts = self.note.parts.values().map(|id| PartId { content_id: id.clone() }).collect();
        match store.complete_multipart(&self.key, &upload.to_owned(), parts).await {
            Ok(put) => {
                // There is nothing to abort any more.
                self.note.upload = None;
                self.settled(put).await.map_err(Broken::For)
            }
            Err(error) => match self.whose(&error).await {
                Some(Ok(stored)) => {
                    self.note.upload = None;
                    Ok(stored)
                }
                Some(Err(taken)) => Err(Broken::For(taken)),
                None => Err(self.failed(&error)),
            },
        }
    }

    fn failed(&self, error: &object_store::Error) -> Broken {
        let told = self.told(error);
        let forgotten = refused(error, &[400, 404])
            && fault::found(error)
                .and_then(|fault| fault.refused(&[400, 404]))
                .is_some_and(|refusal| FORGOTTEN.contains(&&*refusal.code));
        if forgotten { Broken::Forgotten(told) } else { Broken::For(told) }
    }

    fn part_failed(&self, failure: Failure) -> Broken {
        match failure {
            Failure::Source(error) => Broken::For(self.unreadable(error)),
            Failure::Store(error) => self.failed(&error),
        }
    }
}

/// What it takes to send a part.
struct Sender {
    store: Arc<dyn crate::objects::Store>,
    source: crate::objects::source::Source,
    key: object_store::path::Path,
    upload: String,
}

enum Failure {
    Source(std::io::Error),
    Store(object_store::Error),
}

impl Sender {
    /// Sends a part, and gives its number and what the server calls it.
    async fn send(&self, part: u64) -> Result<(u64, String), Failure> {
        let index = usize::try_from(part).map_err(std::io::Error::other).map_err(Failure::Source)?;
        let mut standstills = 0;
        loop {
            let piece = self.source.read(part).await.map_err(Failure::Source)?;
            match self.store.put_part(&self.key, &self.upload, index, piece.payload()).await {
                Ok(sent) => return Ok((part, sent.content_id)),
                Err(error) if timed_out(&error) && standstills < STANDSTILLS => standstills += 1,
                Err(error) => return Err(Failure::Store(error)),
            }
        }
    }
}
