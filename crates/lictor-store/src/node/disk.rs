//! The file under the database.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::{Builder, Database, StorageBackend};

use super::error::{StoreError, guarded};

/// Memory for pages of the file, bytes. The rows of 10,000 checks fit.
const CACHE: usize = 2 << 20;

/// Opens a file as storage; tests put a disk with faults here.
pub(super) type Maker = Arc<dyn Fn(&Path) -> io::Result<Box<dyn StorageBackend>> + Send + Sync>;

/// The real disk.
pub(super) fn real() -> Maker {
    Arc::new(|path| {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        Ok(Box::new(FileDisk { file }))
    })
}

/// Opens the database in a file, which is made when missing. Returns it with its fence:
/// once that is set, this handle changes nothing more, so that a handle that failed and
/// is still held by a reader cannot write beside its successor.
pub(super) fn open(maker: &Maker, path: &Path) -> Result<(Database, Arc<AtomicBool>), StoreError> {
    let fence = Arc::new(AtomicBool::new(false));
    let inner = maker(path).map_err(redb::Error::Io)?;
    let disk = Fenced { inner, fence: fence.clone() };
    let database = guarded(|| Ok(Builder::new().set_cache_size(CACHE).create_with_backend(disk)?))?;
    Ok((database, fence))
}

/// A plain file. It is not locked here: the lock file beside it is.
#[derive(Debug)]
struct FileDisk {
    file: File,
}

impl StorageBackend for FileDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
}

#[derive(Debug)]
struct Fenced {
    inner: Box<dyn StorageBackend>,
    fence: Arc<AtomicBool>,
}

impl Fenced {
    fn pass(&self) -> io::Result<()> {
        if self.fence.load(Ordering::SeqCst) {
            return Err(io::Error::other("the file was opened anew"));
        }
        Ok(())
    }
}

impl StorageBackend for Fenced {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.pass().and_then(|()| self.inner.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.pass().and_then(|()| self.inner.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.pass().and_then(|()| self.inner.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}
