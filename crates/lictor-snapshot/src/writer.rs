//! Writing an archive that Consul takes.

use std::io::{self, Read, Write};

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

use crate::meta::Meta;
use crate::tar::{BLOCK, header};

/// Why an archive was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The state has another length than [`Meta::size`]; the archive begins with it.
    #[error("the state has {found} bytes, and {said} were promised")]
    Size {
        /// What was promised, in bytes.
        said: u64,
        /// What came, in bytes; if it is one more than promised, at least that.
        found: u64,
    },
    /// The state did not come.
    #[error("the state cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The archive could not be written.
    #[error("the archive cannot be written: {0}")]
    Write(#[source] io::Error),
    /// What the snapshot says of itself could not be put into words.
    #[error("`meta.json` cannot be written: {0}")]
    Meta(#[source] serde_json::Error),
}

/// Writes an archive as Consul does: members in its order, mode 0600, owner 0, the end of the tar exactly 1024
/// bytes. `modified` is the time of the members in seconds since 1970.
///
/// # Errors
/// If `state` has not as many bytes as `meta` says, or something cannot be read or written.
pub fn write<W: Write>(out: W, meta: &Meta, state: impl Read, modified: u64) -> Result<W, WriteError> {
    let mut gzip = GzBuilder::new().write(out, Compression::default());
    // What Raft keeps in its own folder has no place in an archive.
    let meta = Meta { crc: None, ..meta.clone() };
    let bytes = meta.write().map_err(WriteError::Meta)?;
    member(&mut gzip, "meta.json", &bytes, modified)?;

    gzip.write_all(&header("state.bin", meta.size, modified)).map_err(WriteError::Write)?;
    let sum = copy(&mut gzip, meta.size, state)?;
    pad(&mut gzip, meta.size)?;

    let sums = format!("{}  meta.json\n{}  state.bin\n", hex(&Sha256::digest(&bytes)), hex(&sum));
    member(&mut gzip, "SHA256SUMS", sums.as_bytes(), modified)?;
    gzip.write_all(&[0; 2 * BLOCK]).map_err(WriteError::Write)?;
    gzip.finish().map_err(WriteError::Write)
}

fn member(out: &mut impl Write, name: &str, bytes: &[u8], modified: u64) -> Result<(), WriteError> {
    let size = bytes.len() as u64;
    out.write_all(&header(name, size, modified)).map_err(WriteError::Write)?;
    out.write_all(bytes).map_err(WriteError::Write)?;
    pad(out, size)
}

fn pad(out: &mut impl Write, size: u64) -> Result<(), WriteError> {
    let zeros = size.next_multiple_of(BLOCK as u64) - size;
    io::copy(&mut io::repeat(0).take(zeros), out).map_err(WriteError::Write)?;
    Ok(())
}

/// Copies the state, and gives its sum.
fn copy(out: &mut impl Write, said: u64, mut state: impl Read) -> Result<[u8; 32], WriteError> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    let mut found = 0;
    loop {
        let read = match state.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(WriteError::Read(error)),
        };
        found += read as u64;
        if found > said {
            break;
        }
        let piece = piece.get(..read).unwrap_or_default();
        hash.update(piece);
        out.write_all(piece).map_err(WriteError::Write)?;
    }
    if found == said { Ok(hash.finalize().into()) } else { Err(WriteError::Size { said, found }) }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}
