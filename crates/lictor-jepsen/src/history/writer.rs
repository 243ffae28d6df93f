//! A history is written while it comes into being.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::reader::Format;
use super::{Op, text};

/// Appends entries to a file. It gives the indexes, so whoever shares it holds one total order.
///
/// Entries are handed to the system when the buffer is full, at [`Writer::flush`] and at [`Writer::finish`]; only the
/// last one waits until they are on the disk.
#[derive(Debug)]
pub struct Writer {
    out: BufWriter<File>,
    path: PathBuf,
    format: Format,
    next: u64,
    last: u64,
    line: String,
}

/// A history could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is such a file, and it may be the only record of a run.
    #[error("the history {} is there already: remove it or choose another place", .0.display())]
    Exists(PathBuf),
    /// The system refused it.
    #[error("cannot write the history {}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

impl Writer {
    /// Begins a history in a new file.
    ///
    /// # Errors
    /// If there is such a file, or it cannot be made.
    pub fn create(path: impl AsRef<Path>, format: Format) -> Result<Self, WriteError> {
        let path = path.as_ref().to_owned();
        match File::create_new(&path) {
            Ok(file) => {
                let out = BufWriter::with_capacity(1 << 16, file);
                Ok(Self { out, path, format, next: 0, last: 0, line: String::new() })
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(WriteError::Exists(path)),
            Err(error) => Err(WriteError::Io { path, error }),
        }
    }

    /// Appends an entry under the next index, which is returned.
    ///
    /// A time before that of the entry before it becomes that one's: it was taken by someone who then had to wait for
    /// its turn. The call that an entry announces is made after this returned, so that nothing is taken to
    /// be earlier than it was.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&mut self, mut op: Op) -> Result<u64, WriteError> {
        (op.index, op.time) = (self.next, op.time.max(self.last));
        self.line.clear();
        text::put(&mut self.line, &op, self.format);
        self.line.push('\n');
        let written = self.out.write_all(self.line.as_bytes());
        self.done(written)?;
        (self.next, self.last) = (op.index + 1, op.time);
        Ok(op.index)
    }

    /// Hands all entries to the system, so that others can read them.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        let flushed = self.out.flush();
        self.done(flushed)
    }

    /// Writes the rest and waits until all of it is on the disk.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(mut self) -> Result<(), WriteError> {
        self.flush()?;
        let synced = self.out.get_ref().sync_all();
        self.done(synced)
    }

    fn done(&self, result: io::Result<()>) -> Result<(), WriteError> {
        result.map_err(|error| WriteError::Io { path: self.path.clone(), error })
    }
}
