//! Backups of consul-snapshot: no snapshots, but keys in JSON.
//!
//! A tar in gzip of a folder with `consul.kv.TIME.json`, `consul.pq.TIME.json`, `consul.acl.TIME.json` and
//! `meta.json`, which holds the sums of the three; that program never checks them, this one does. Its first
//! version wrote one list of keys in gzip. Either may be encrypted: `v0:`, 32 bytes of salt, 12 of nonce, and
//! AES-256-GCM with a key that scrypt made of a password.

mod crypt;
mod list;
#[cfg(test)]
mod tests;

pub use crypt::Password;

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::archive::Limits;
use crate::source::{OpenError, Shape, Source};
use crate::tar::{Tar, TarError};
use crate::writer::hex;
pub(crate) use crypt::PREFIX as ENCRYPTED;

/// A key with its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The key.
    pub key: Cow<'a, str>,
    /// The value; any bytes.
    pub value: Vec<u8>,
    /// A number that goes with the value. consul-snapshot saves it and forgets it when it restores.
    pub flags: u64,
}

impl std::fmt::Debug for Pair<'_> {
    /// Leaves the value out: it may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pair({}, {} bytes)", self.key, self.value.len())
    }
}

/// What a backup says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BackupMeta {
    /// The version of the program that wrote it.
    pub consul_snapshot_version: String,
    /// The node it asked.
    pub node_name: String,
    /// When it began, in seconds since 1970.
    pub start_time: i64,
    /// When it was done, in seconds since 1970.
    pub end_time: i64,
    #[serde(rename = "KVSha256")]
    kv_sha256: String,
    #[serde(rename = "PQSha256")]
    pq_sha256: String,
    #[serde(rename = "ACLSha256")]
    acl_sha256: String,
}

/// A backup that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// What it says of itself; nothing in the first version.
    pub meta: Option<BackupMeta>,
    /// How many keys there are.
    pub keys: u64,
    /// How many prepared queries. They are counted and not read: nothing can be done with them.
    pub queries: u64,
    /// How many tokens of the old kind; likewise.
    pub tokens: u64,
}

/// Why a backup cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It is something else.
    #[error("it is a snapshot of Consul and no backup of consul-snapshot")]
    Snapshot,
    /// It is encrypted, and there is no password.
    #[error("the backup is encrypted: the password it was made with is needed (CRYPTO_PASSWORD)")]
    NoPassword,
    /// It cannot be decrypted.
    #[error("the backup cannot be decrypted: the password is another one, or the file is damaged")]
    Decrypt,
    /// What is encrypted is larger than is allowed.
    #[error("the encrypted backup is larger than the {limit} bytes that are allowed")]
    TooLarge {
        /// What is allowed, in bytes.
        limit: u64,
    },
    /// What it holds is damaged, or is not what it should be.
    #[error("{part} cannot be read: {source}")]
    Read {
        /// Which file in it.
        part: String,
        /// Why.
        source: io::Error,
    },
    /// Its tar is damaged.
    #[error("what is compressed in the backup is not a tar, or a damaged one")]
    Tar,
    /// A file is not what the sum was made of.
    #[error("the sum of {part} is wrong: it is not what was saved")]
    Sum {
        /// Which file in it.
        part: &'static str,
    },
    /// A file is missing.
    #[error("{part} is missing from the backup")]
    Missing {
        /// Which file.
        part: &'static str,
    },
    /// A file comes twice.
    #[error("{part} is in the backup twice")]
    Twice {
        /// Which file.
        part: &'static str,
    },
}

/// What an encrypted backup may have, in bytes: it is decrypted in memory, because only its end says whether it is
/// the right one.
const ENCRYPTED_LIMIT: u64 = 2 << 30;

/// Gives each key to `visit`. What that does counts only when this has come back without an error: sums are
/// known at the end.
///
/// # Errors
/// If the backup is damaged, or is none.
pub fn read(
    source: &Source,
    password: Option<&Password>,
    limits: &Limits,
    mut visit: impl FnMut(Pair<'_>),
) -> Result<Backup, BackupError> {
    match source.shape() {
        Shape::Encrypted => {
            let password = password.ok_or(BackupError::NoPassword)?;
            let mut bytes = Vec::new();
            source
                .bytes()?
                .take(ENCRYPTED_LIMIT + 1)
                .read_to_end(&mut bytes)
                .map_err(|source| BackupError::Read { part: "the backup".to_owned(), source })?;
            if bytes.len() as u64 > ENCRYPTED_LIMIT {
                return Err(BackupError::TooLarge { limit: ENCRYPTED_LIMIT });
            }
            let plain = Source::from_bytes(crypt::decrypt(bytes, password)?)?;
            match plain.shape() {
                // Nobody encrypts twice.
                Shape::Encrypted => Err(BackupError::Snapshot),
                _ => read(&plain, None, limits, visit),
            }
        }
        Shape::ConsulSnapshot => read_tar(source.bytes()?, limits, &mut visit),
        Shape::ConsulSnapshotV1 => {
            let plain = MultiGzDecoder::new(BufReader::new(source.bytes()?)).take(limits.state);
            let (keys, _) = read_list(plain, limits, "the list of keys", |input, row| {
                list::pairs(input, row, &mut visit)
            })?;
            Ok(Backup { meta: None, keys, queries: 0, tokens: 0 })
        }
        Shape::Archive | Shape::State => Err(BackupError::Snapshot),
    }
}

const KEYS: &str = "the list of keys";
const QUERIES: &str = "the list of prepared queries";
const TOKENS: &str = "the list of tokens";
const META: &str = "`meta.json`";

fn read_tar(
    input: impl Read,
    limits: &Limits,
    visit: &mut impl FnMut(Pair<'_>),
) -> Result<Backup, BackupError> {
    let broken = |error| match error {
        TarError::Header => BackupError::Tar,
        TarError::Read(source) => BackupError::Read { part: "the backup".to_owned(), source },
    };
    let mut tar = Tar::new(MultiGzDecoder::new(BufReader::new(input)));
    let mut found: BTreeMap<&'static str, (u64, String)> = BTreeMap::new();
    let mut meta = None;
    while let Some(header) = tar.next().map_err(broken)? {
        if !header.is_file {
            continue;
        }
        let name = header.name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let part = match name {
            b"meta.json" => META,
            name if name.starts_with(b"consul.kv.") => KEYS,
            name if name.starts_with(b"consul.pq.") => QUERIES,
            name if name.starts_with(b"consul.acl.") => TOKENS,
            _ => continue,
        };
        if found.contains_key(part) || part == META && meta.is_some() {
            return Err(BackupError::Twice { part });
        }
        if part == META {
            let mut bytes = Vec::new();
            let read = (&mut tar).take(1 << 20).read_to_end(&mut bytes);
            let parsed = read.and_then(|_| Ok(serde_json::from_slice(&bytes)?));
            meta = Some(parsed.map_err(|source| BackupError::Read { part: META.to_owned(), source })?);
            continue;
        }
        let content = (&mut tar).take(limits.state);
        let read = read_list(content, limits, part, |input, row| match part {
            KEYS => list::pairs(input, row, &mut *visit),
            _ => list::count(input, row),
        })?;
        found.insert(part, read);
    }
    // Gzip's own sum comes with the end of its bytes.
    io::copy(&mut tar.into_input().take(limits.state), &mut io::sink())
        .map_err(TarError::Read)
        .map_err(broken)?;
    let meta: BackupMeta = meta.ok_or(BackupError::Missing { part: META })?;
    let sums = [(KEYS, &meta.kv_sha256), (QUERIES, &meta.pq_sha256), (TOKENS, &meta.acl_sha256)];
    for (part, said) in sums {
        match found.get(part) {
            Some((_, sum)) if *sum != said.to_ascii_lowercase() => return Err(BackupError::Sum { part }),
            None if part == KEYS || !said.is_empty() => return Err(BackupError::Missing { part }),
            _ => {}
        }
    }
    let count = |part| found.get(part).map_or(0, |(count, _)| *count);
    Ok(Backup { keys: count(KEYS), queries: count(QUERIES), tokens: count(TOKENS), meta: Some(meta) })
}

/// Reads a list in JSON to its end, and gives how many rows it has and its sum.
fn read_list<R: Read>(
    input: R,
    limits: &Limits,
    part: &str,
    read: impl FnOnce(&mut Bounded<R>, &list::Row) -> io::Result<u64>,
) -> Result<(u64, String), BackupError> {
    let row = list::Row::default();
    let mut bounded =
        Bounded { input, hash: Sha256::new(), since: Rc::clone(&row.since), limit: limits.record as u64 };
    let result = read(&mut bounded, &row).and_then(|rows| {
        row.since.set(0);
        io::copy(&mut bounded, &mut io::sink())?;
        Ok(rows)
    });
    let rows = result.map_err(|source| BackupError::Read { part: part.to_owned(), source })?;
    Ok((rows, hex(&bounded.hash.finalize())))
}

/// Hashes what passes, and ends it if a row is too large.
struct Bounded<R> {
    input: R,
    hash: Sha256,
    /// Bytes since the last row was done with.
    since: Rc<Cell<u64>>,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.since.get() > self.limit {
            let error = format!("an entry is larger than {} bytes", self.limit);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        let read = self.input.read(room)?;
        self.hash.update(room.get(..read).unwrap_or_default());
        self.since.set(self.since.get() + read as u64);
        Ok(read)
    }
}
