//! Archives: a tar in gzip, of `meta.json`, `state.bin` and `SHA256SUMS`, in any order.
//!
//! An archive is read in one pass, without a file in between: what is hashed is decoded on the way. So
//! whoever decodes sees the state before it is known to be sound, and must not act on it until [`read`]
//! has come back.

mod error;
mod sums;

pub(crate) use error::not_gzip;
pub use error::{Error, Part};
pub use sums::SumsError;

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use crate::meta::{HIGHEST_VERSION, Meta};
use crate::state;
use crate::tar::{Header, Tar, TarError};
use sums::Sums;

/// What is read of the compressed bytes at once.
const PIECE: usize = 64 * 1024;

/// `meta.json` and `SHA256SUMS` may have as much, in bytes. Real ones have some hundred.
const SMALL: u64 = 1024 * 1024;

/// What may follow the tar until it is not counted any more, in bytes.
const COUNTED: u64 = 16 * 1024 * 1024;

/// How much is taken from an archive that may be hostile. Gzip makes a thousand bytes of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What `state.bin` may have, in bytes. It must also have what `meta.json` says.
    pub state: u64,
    /// What a record may have, in bytes.
    pub record: usize,
    /// Who decodes may stop early; so many bytes more are read then to tell whether the sums are
    /// right. If that is not enough, [`Error::State`] says that they are not known.
    pub unread: u64,
}

impl Default for Limits {
    /// 16 GiB of state, records of 64 MiB, 256 MiB more for the sums.
    fn default() -> Self {
        Self { state: 16 << 30, record: state::RECORD_LIMIT, unread: 256 << 20 }
    }
}

/// An archive that was read to its end and is sound.
#[derive(Clone, Debug)]
pub struct Sound<T> {
    /// What it says of itself.
    pub meta: Meta,
    /// What was made of its state.
    pub state: T,
}

/// Reads an archive to its end. `decode` is given the state when it comes, and what is known of it if
/// `meta.json` came before, as it does from Consul.
///
/// # Errors
/// If the archive is not sound. That its bytes are damaged is said before what `decode` says of them.
pub fn read<R: Read, T>(
    input: R,
    limits: &Limits,
    decode: impl FnOnce(Option<&Meta>, &mut dyn Read) -> Result<T, state::Error>,
) -> Result<Sound<T>, Error> {
    let mut input = BufReader::with_capacity(PIECE, input);
    check_begin(&mut input)?;
    let decoder = MultiGzDecoder::new(input);
    if decoder.header().is_none() {
        return Err(Error::begin(decoder));
    }
    let mut archive = Archive { tar: Tar::new(decoder), limits, found: Found::default() };
    let mut decode = Some(decode);
    let mut decoded = None;
    loop {
        let header = archive.tar.next().map_err(|error| match error {
            TarError::Header => Error::Header,
            TarError::Read(error) => Error::read(Part::Header, error),
        })?;
        let Some(header) = header else { break };
        match archive.member(&header)? {
            Part::Meta => archive.read_meta(&header)?,
            Part::State => {
                if let Some(decode) = decode.take() {
                    decoded = Some(archive.read_state(&header, decode)?);
                }
            }
            Part::Sums => archive.found.sums = Some(archive.small(Part::Sums, &header)?),
            Part::Header | Part::End => {}
        }
    }
    archive.finish(decoded)
}

/// That there is something, and that it is gzip.
fn check_begin(input: &mut impl BufRead) -> Result<(), Error> {
    let begin = loop {
        match input.fill_buf() {
            Ok(begin) => break begin,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::read(Part::Header, error)),
        }
    };
    match begin {
        [] => Err(Error::Empty),
        [0x1f, 0x8b, ..] | [0x1f] => Ok(()),
        begin => Err(Error::NotGzip { seen: begin.len() }),
    }
}

struct Archive<'a, R> {
    tar: Tar<R>,
    limits: &'a Limits,
    found: Found,
}

/// What was met so far.
#[derive(Default)]
struct Found {
    meta: Option<(Meta, Sums)>,
    /// The size and the sum; no sum if it was not read to its end.
    state: Option<(u64, Option<Sums>)>,
    sums: Option<Vec<u8>>,
}

impl<R: Read> Archive<'_, R> {
    /// Which part a member is.
    fn member(&self, header: &Header) -> Result<Part, Error> {
        let (part, twice) = match &header.name[..] {
            b"meta.json" => (Part::Meta, self.found.meta.is_some()),
            b"state.bin" => (Part::State, self.found.state.is_some()),
            b"SHA256SUMS" => (Part::Sums, self.found.sums.is_some()),
            name => return Err(Error::Unexpected { name: String::from_utf8_lossy(name).into_owned() }),
        };
        if twice {
            return Err(Error::Twice { part });
        }
        if header.is_file { Ok(part) } else { Err(Error::NotAFile { part }) }
    }

    fn read_meta(&mut self, header: &Header) -> Result<(), Error> {
        let bytes = self.small(Part::Meta, header)?;
        let meta = Meta::read(&bytes).map_err(Error::Meta)?;
        if meta.version > HIGHEST_VERSION {
            return Err(Error::Version { version: meta.version });
        }
        if let Some((found, _)) = &self.found.state {
            check_size(&meta, *found)?;
        }
        self.found.meta = Some((meta, Sums::of(&bytes)));
        Ok(())
    }

    fn read_state<T>(
        &mut self,
        header: &Header,
        decode: impl FnOnce(Option<&Meta>, &mut dyn Read) -> Result<T, state::Error>,
    ) -> Result<Result<T, state::Error>, Error> {
        let meta = self.found.meta.as_ref().map(|(meta, _)| meta);
        if let Some(meta) = meta {
            check_size(meta, header.size)?;
        }
        if header.size > self.limits.state {
            return Err(Error::TooLarge { part: Part::State, limit: self.limits.state });
        }
        let mut hashed = Hashed { input: &mut self.tar, hash: Sha256::new(), failed: None, read: 0 };
        let decoded = decode(meta, &mut hashed);
        let left = (header.size - hashed.read).min(self.limits.unread);
        io::copy(&mut (&mut hashed).take(left), &mut io::sink()).unwrap_or_default();
        if let Some(error) = hashed.failed {
            return Err(Error::read(Part::State, error));
        }
        let whole = hashed.read == header.size;
        let sum = whole.then(|| Sums(hashed.hash.finalize().into()));
        self.found.state = Some((header.size, sum));
        match decoded {
            Err(error) if !whole => Err(Error::State { error, sums_known: false }),
            decoded => Ok(decoded),
        }
    }

    /// Reads a small member whole.
    fn small(&mut self, part: Part, header: &Header) -> Result<Vec<u8>, Error> {
        if header.size > SMALL {
            return Err(Error::TooLarge { part, limit: SMALL });
        }
        let mut bytes = Vec::new();
        self.tar.read_to_end(&mut bytes).map_err(|error| Error::read(part, error))?;
        Ok(bytes)
    }

    /// Looks at what is there when the tar is over.
    fn finish<T>(self, decoded: Option<Result<T, state::Error>>) -> Result<Sound<T>, Error> {
        let meta = self.found.meta.as_ref().map(|(_, sum)| sum);
        let state = self.found.state.as_ref().map(|(_, sum)| sum.as_ref());
        let listed = sums::check(self.found.sums.as_deref(), meta, state);
        if self.found.sums.is_none() {
            return Err(Error::Missing { part: Part::Sums });
        }
        // A missing member is told by its name and not by its sum, which Consul does.
        let meta = self.found.meta.map(|(meta, _)| meta).ok_or(Error::Missing { part: Part::Meta })?;
        let decoded = decoded.ok_or(Error::Missing { part: Part::State })?;
        listed.map_err(Error::Sums)?;
        // Gzip's own sum comes with the end of its bytes.
        let mut after = self.tar.into_input().take(COUNTED);
        let more = io::copy(&mut after, &mut io::sink()).map_err(|error| Error::read(Part::End, error))?;
        if more > 0 {
            return Err(Error::Unread { bytes: more, counted: more < COUNTED });
        }
        let state = decoded.map_err(|error| Error::State { error, sums_known: true })?;
        Ok(Sound { meta, state })
    }
}

fn check_size(meta: &Meta, found: u64) -> Result<(), Error> {
    if meta.size == found { Ok(()) } else { Err(Error::Size { said: meta.size, found }) }
}

/// Hashes what passes, and keeps the error if one does.
struct Hashed<R> {
    input: R,
    hash: Sha256,
    read: u64,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = &self.failed {
            return Err(io::Error::new(error.kind(), error.to_string()));
        }
        match self.input.read(room) {
            Ok(read) => {
                self.hash.update(room.get(..read).unwrap_or_default());
                self.read += read as u64;
                Ok(read)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                self.failed = Some(error);
                Err(copy)
            }
        }
    }
}
