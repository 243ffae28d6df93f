//! The file that is put.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use object_store::PutPayload;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use crate::limits;

/// What is given to a connection at a time: small enough to see from one to the next that something moves.
const PIECE: usize = 64 * 1024;

/// A file that is read in parts.
#[derive(Clone, Debug)]
pub(super) struct Source {
    file: Arc<File>,
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    buffers: Buffers,
}

/// What tells whether a file is the one that it was. A file that is written anew in place differs by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Size in bytes.
    pub(super) size: u64,
    device: u64,
    inode: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Identity {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let (device, inode) = (metadata.dev(), metadata.ino());
        let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
        Ok(Self { size: metadata.len(), device, inode, seconds, nanoseconds })
    }

    /// How large its parts are, the last one aside.
    pub(super) fn part(&self) -> u64 {
        let needed = self.size.div_ceil(limits::PARTS);
        needed.max(limits::PART).next_multiple_of(1024 * 1024)
    }

    /// How many parts it has.
    pub(super) fn parts(&self) -> u64 {
        self.size.div_ceil(self.part()).max(1)
    }

    /// Where a part begins, and how long it is.
    pub(super) fn extent(&self, part: u64) -> (u64, u64) {
        let start = part * self.part();
        (start, self.part().min(self.size.saturating_sub(start)))
    }
}

impl Source {
    pub(super) async fn open(path: &Path) -> io::Result<Self> {
        let asked = path.to_owned();
        let (file, identity) = blocking(move || {
            let file = File::open(asked)?;
            let identity = Identity::of(&file)?;
            Ok((file, identity))
        })
        .await?;
        Ok(Self { file: Arc::new(file), path: path.to_owned(), identity, buffers: Buffers::default() })
    }

    /// Whether it is still what it was when it was opened.
    pub(super) async fn is_unchanged(&self) -> io::Result<bool> {
        let (file, identity) = (Arc::clone(&self.file), self.identity);
        blocking(move || Ok(Identity::of(&file)? == identity)).await
    }

    /// One part of it, in memory.
    pub(super) async fn read(&self, part: u64) -> io::Result<Piece> {
        let file = Arc::clone(&self.file);
        let (start, length) = self.identity.extent(part);
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let mut buffer = self.buffers.take();
        let bytes = blocking(move || {
            buffer.resize(length, 0);
            file.read_exact_at(&mut buffer, start)?;
            Ok(buffer.freeze())
        })
        .await?;
        Ok(Piece { bytes, buffers: self.buffers.clone() })
    }
}

/// Part of a file, in a buffer that is used again when nobody needs it any more.
#[derive(Debug)]
pub(super) struct Piece {
    bytes: Bytes,
    buffers: Buffers,
}

impl Piece {
    pub(super) fn payload(&self) -> PutPayload {
        let length = self.bytes.len();
        let pieces = (0..length).step_by(PIECE);
        PutPayload::from_iter(pieces.map(|start| self.bytes.slice(start..length.min(start + PIECE))))
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // A connection that was given up may still hold a part of it: then it goes when that does.
        if let Ok(buffer) = std::mem::take(&mut self.bytes).try_into_mut() {
            self.buffers.give_back(buffer);
        }
    }
}

/// Buffers that were used. An allocator keeps large ones for each of its threads, which is much more than the few that
/// are needed at a time.
#[derive(Clone, Debug, Default)]
struct Buffers(Arc<Mutex<Vec<BytesMut>>>);

impl Buffers {
    fn take(&self) -> BytesMut {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give_back(&self, buffer: BytesMut) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(size: u64) -> Identity {
        Identity { size, device: 0, inode: 0, seconds: 0, nanoseconds: 0 }
    }

    #[test]
    fn parts_cover_a_file_and_are_never_too_many() {
        for size in [0, 1, limits::PART, limits::PART + 1, 40 * 1024 * 1024, 1 << 30, 1 << 40] {
            let file = of(size);
            let parts = file.parts();
            assert!(parts <= limits::PARTS, "{size}");
            let ends: Vec<(u64, u64)> = [0, parts - 1].map(|part| file.extent(part)).to_vec();
            assert_eq!(ends[0].0, 0);
            assert_eq!(ends[1].0 + ends[1].1, size);
            assert!(parts == 1 || ends[1].1 > 0, "{size}");
        }
        assert_eq!(of(limits::PART).parts(), 1);
        assert_eq!(of(limits::PART + 1).parts(), 2);
    }
}
