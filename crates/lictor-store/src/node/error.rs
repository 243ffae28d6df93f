//! What can go wrong with the local store.

use std::cell::Cell;
use std::io;
use std::panic;
use std::path::PathBuf;
use std::sync::Once;

use crate::wire::WireError;

/// Why the store could not be opened. A damaged file is not among these: it is moved
/// aside and reported as a [`Warning`](super::Warning).
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the state in `{dir}` is in use by process {holder}", dir = dir.display())]
    InUse {
        /// The state directory.
        dir: PathBuf,
        /// The process id the holder wrote into the lock file, or `?`.
        holder: String,
    },
    /// A newer program wrote it; starting over would forget what that one knows.
    #[error("the state in `{path}` was written by a newer version: {why}", path = path.display())]
    Newer {
        /// The state file.
        path: PathBuf,
        /// Which version.
        why: String,
    },
    /// The directory or a file in it cannot be used.
    #[error("cannot {what} `{path}`: {source}", path = path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// Why the store could not read or record something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk under the state directory is full. Only an urgent batch can be recorded
    /// until there is space again.
    #[error("cannot record: the disk under the state directory is full")]
    Full,
    /// The disk failed.
    #[error("cannot use the state file: {source}")]
    Io {
        /// Why.
        source: io::Error,
    },
    /// The file holds something it should not.
    #[error("the state file is damaged: {why}")]
    Damaged {
        /// What is wrong.
        why: String,
    },
    /// A value was written by a newer program.
    #[error("the state file has something newer in it: {0}")]
    Newer(WireError),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the same may work later without anybody's help with the data.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Full | Self::Io { .. } => true,
            Self::Damaged { .. } | Self::Newer(_) | Self::Closed => false,
        }
    }
}

impl From<WireError> for StoreError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Newer { .. } => Self::Newer(error),
            WireError::Damaged { why } => Self::Damaged { why },
        }
    }
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::Io(source) => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                    Self::Damaged { why: source.to_string() }
                }
                _ => Self::Io { source },
            },
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
                Self::Io { source: io::Error::other(error.to_string()) }
            }
            other => Self::Damaged { why: other.to_string() },
        }
    }
}

macro_rules! from_parts {
    ($($part:ident),*) => {$(
        impl From<redb::$part> for StoreError {
            fn from(error: redb::$part) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

from_parts!(CommitError, CompactionError, DatabaseError, StorageError, TableError, TransactionError);

thread_local! {
    /// Whether a panic of this thread is expected and becomes an error.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// From here on an expected panic is not printed; any other is, as before.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !EXPECTED.get() {
                before(info);
            }
        }));
    });
}

/// Runs what may panic on a damaged file, and says so as an error.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    quiet();
    let outer = EXPECTED.replace(true);
    let result = panic::catch_unwind(panic::AssertUnwindSafe(work));
    EXPECTED.set(outer);
    result.unwrap_or_else(|panic| {
        let why = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or_default();
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        Err(StoreError::Damaged { why: format!("its parts do not fit together ({why})") })
    })
}
