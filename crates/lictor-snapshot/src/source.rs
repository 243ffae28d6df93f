//! Files that hold a state, recognised by what is in them.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;

use crate::archive::{self, Limits};
use crate::meta::{Crc64, Meta};
use crate::pshima::ENCRYPTED;
use crate::seal::{self, Keys};
use crate::state::{self, Record, RecordReader};
use crate::tar::Tar;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An archive of Consul: what `consul snapshot save` writes.
    Archive,
    /// `state.bin` alone, as it lies in Raft's folder.
    State,
    /// An archive of consul-snapshot: a tar of JSON files in gzip.
    ConsulSnapshot,
    /// What consul-snapshot wrote in its first version: one list of keys in gzip.
    ConsulSnapshotV1,
    /// What consul-snapshot encrypted.
    Encrypted,
}

impl Shape {
    /// Whether it holds keys in JSON, and no state of Consul: see [`crate::pshima`].
    #[must_use]
    pub fn is_backup(self) -> bool {
        match self {
            Self::Archive | Self::State => false,
            Self::ConsulSnapshot | Self::ConsulSnapshotV1 | Self::Encrypted => true,
        }
    }
}

/// A file, or bytes, whose shape is known. It can be read more than once.
#[derive(Clone, Debug)]
pub struct Source {
    origin: Origin,
    shape: Shape,
    meta: Option<Meta>,
    /// What opens it, if it is sealed and there is something that does.
    keys: Option<Keys>,
    /// Where it is counted how much of it is read.
    count: Option<Arc<AtomicU64>>,
}

#[derive(Clone, Debug)]
enum Origin {
    File(PathBuf),
    Bytes(Arc<[u8]>),
}

/// Why a file is none that can be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened or read.
    #[error("{path:?} cannot be opened: {source}")]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("it is no snapshot: {what}")]
    Other {
        /// What it seems to be.
        what: &'static str,
        /// How many bytes were looked at.
        seen: usize,
    },
    /// What lies beside `state.bin` cannot be understood.
    #[error("{path:?}, which belongs to the state, cannot be understood: {source}")]
    Meta {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// It is sealed, and cannot be opened.
    #[error(transparent)]
    Sealed(#[from] seal::OpenError),
}

/// Why records could not all be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The archive is not sound.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The state cannot be decoded.
    #[error(transparent)]
    State(#[from] state::Error),
    /// The state is longer or shorter than `meta.json` says, or has another sum.
    #[error("the state is not what `meta.json` beside it was written for: {0}")]
    Meta(String),
    /// It holds no records, but keys in JSON: see [`crate::pshima`].
    #[error("it is a backup of consul-snapshot, which holds keys and no state")]
    NoState,
    /// Whoever looks at the records has seen enough.
    #[error("not all records were read")]
    Stopped,
}

impl ReadError {
    /// What `consul snapshot inspect` of 1.8 says, as far as it can be told: see
    /// [`archive::Error::consul_text`].
    #[must_use]
    pub fn consul_text(&self) -> Option<String> {
        match self {
            Self::Open(OpenError::Other { seen, .. }) => Some(archive::not_gzip(*seen)),
            Self::Archive(error) => error.consul_text(),
            Self::Open(_) | Self::State(_) | Self::Meta(_) | Self::NoState | Self::Stopped => None,
        }
    }
}

/// What was read, when all of it was.
#[derive(Clone, Debug)]
pub struct Whole {
    /// What the snapshot says of itself; a `state.bin` alone may say nothing.
    pub meta: Option<Meta>,
    /// The index in the state's header.
    pub last_index: u64,
    /// How many records there are.
    pub records: u64,
    /// How long the state is, in bytes.
    pub state_bytes: u64,
}

impl Source {
    /// As [`open_with`](Self::open_with), without keys.
    ///
    /// # Errors
    /// If it is none of the [`Shape`]s.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(path, &Keys::default())
    }

    /// Looks at the beginning of a file. A file that is called `state.bin` is a state; if `meta.json` lies
    /// beside it, it is read too. One that is sealed is opened with the keys, and is what is in it.
    ///
    /// # Errors
    /// If it is none of the [`Shape`]s, or if it is sealed and none of the keys opens it.
    pub fn open_with(path: impl AsRef<Path>, keys: &Keys) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let failed = |source| OpenError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let named_state = path.file_name().is_some_and(|name| name.eq_ignore_ascii_case("state.bin"));
        let found = match Self::find(Origin::File(path.to_owned()), keys) {
            // Its name says what it is meant to be; what is wrong with it is told when it is read.
            Err(OpenError::Other { .. }) if named_state => {
                let origin = Origin::File(path.to_owned());
                Self { origin, shape: Shape::State, meta: None, keys: None, count: None }
            }
            found => found?,
        };
        // What is sealed may have come from anywhere.
        let beside = found.shape == Shape::State && found.keys.is_none();
        Ok(Self { meta: if beside { meta_beside(path)? } else { None }, ..found })
    }

    /// As [`open`](Self::open), of bytes.
    ///
    /// # Errors
    /// If they are none of the [`Shape`]s.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Result<Self, OpenError> {
        Self::find(Origin::Bytes(bytes.into()), &Keys::default())
    }

    fn find(origin: Origin, keys: &Keys) -> Result<Self, OpenError> {
        let told = |unknown| match unknown {
            Unknown::Sealed => {
                OpenError::Other { what: "it is sealed twice: open it first", seen: usize::MAX }
            }
            Unknown::Other { what, seen } => OpenError::Other { what, seen },
            Unknown::Read(source) => OpenError::Open { path: origin.path(), source },
        };
        let (shape, keys) = match recognise(origin.open()?) {
            Err(Unknown::Sealed) => {
                let plain = seal::open(keys, origin.open()?)?;
                (recognise(plain).map_err(told)?, Some(keys.clone()))
            }
            found => (found.map_err(told)?, None),
        };
        Ok(Self { origin, shape, meta: None, keys, count: None })
    }

    /// What it is.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Whether it was sealed, and is opened while it is read.
    #[must_use]
    pub fn was_sealed(&self) -> bool {
        self.keys.is_some()
    }

    /// The same, whose bytes are counted as they are read: those that the file has, also where they are sealed.
    #[must_use]
    pub fn counted(&self, count: Arc<AtomicU64>) -> Self {
        Self { count: Some(count), ..self.clone() }
    }

    /// How many bytes the file has; of one that is gone nobody knows it.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        match &self.origin {
            Origin::File(path) => Some(path.metadata().ok()?.len()),
            Origin::Bytes(bytes) => u64::try_from(bytes.len()).ok(),
        }
    }

    /// Its bytes, from the first one; of what was sealed those that are in it.
    ///
    /// # Errors
    /// If the file cannot be opened any more.
    pub fn bytes(&self) -> Result<Box<dyn Read + Send>, OpenError> {
        let bytes = self.origin.open()?;
        let bytes = match &self.count {
            Some(count) => Box::new(Counted { bytes, count: Arc::clone(count) }),
            None => bytes,
        };
        Ok(match &self.keys {
            Some(keys) => Box::new(seal::open(keys, bytes)?),
            None => bytes,
        })
    }

    /// Gives each record to `visit`, and checks all there is to check. What `visit` does counts only when
    /// this has come back without an error: that the bytes are damaged may be seen only at their end.
    ///
    /// # Errors
    /// If something is wrong, or `visit` broke off.
    pub fn read(
        &self,
        limits: &Limits,
        mut visit: impl FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<Whole, ReadError> {
        let input = self.bytes()?;
        let stopped = Cell::new(false);
        let mut decode = |input: &mut dyn Read| {
            let mut reader = RecordReader::with_limit(input, limits.record)?;
            while let Some(record) = reader.next()? {
                if visit(&record).is_break() {
                    stopped.set(true);
                    break;
                }
            }
            Ok((reader.last_index(), reader.records(), reader.bytes()))
        };
        let whole =
            |meta, (last_index, records, state_bytes)| Whole { meta, last_index, records, state_bytes };
        match self.shape {
            Shape::Archive => {
                // Who has seen enough does not wait for the sums.
                let result = archive::read(input, limits, |_, state| match decode(state) {
                    Ok(_) if stopped.get() => Err(state::Error::Read(io::Error::other("stopped"))),
                    decoded => decoded,
                });
                let sound = if stopped.get() { return Err(ReadError::Stopped) } else { result? };
                Ok(whole(Some(sound.meta), sound.state))
            }
            Shape::State => {
                let mut summed = Summed { input: input.take(limits.state), sum: Crc64::new(), bytes: 0 };
                let decoded = decode(&mut summed);
                if stopped.get() {
                    return Err(ReadError::Stopped);
                }
                if decoded.is_err() {
                    // The rest is read for its sum only: if that is wrong it is the better reason.
                    io::copy(&mut (&mut summed).take(limits.unread), &mut io::sink()).unwrap_or_default();
                }
                if let Some(meta) = &self.meta {
                    summed.check(meta).map_err(ReadError::Meta)?;
                }
                Ok(whole(self.meta.clone(), decoded?))
            }
            Shape::ConsulSnapshot | Shape::ConsulSnapshotV1 | Shape::Encrypted => Err(ReadError::NoState),
        }
    }
}

/// Bytes that are counted.
struct Counted<R> {
    bytes: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(room)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Origin {
    fn open(&self) -> Result<Box<dyn Read + Send>, OpenError> {
        match self {
            Self::File(path) => match File::open(path) {
                Ok(file) => Ok(Box::new(file)),
                Err(source) => Err(OpenError::Open { path: path.clone(), source }),
            },
            Self::Bytes(bytes) => Ok(Box::new(Cursor::new(Arc::clone(bytes)))),
        }
    }

    /// Its name; none of bytes.
    fn path(&self) -> PathBuf {
        match self {
            Self::File(path) => path.clone(),
            Self::Bytes(_) => PathBuf::new(),
        }
    }
}

/// `meta.json` beside a state, if there is one.
fn meta_beside(state: &Path) -> Result<Option<Meta>, OpenError> {
    let path = state.with_file_name("meta.json");
    let mut bytes = Vec::new();
    match File::open(&path).and_then(|file| file.take(1 << 20).read_to_end(&mut bytes)) {
        Ok(_) => Meta::read(&bytes).map(Some).map_err(|source| OpenError::Meta { path, source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenError::Open { path, source }),
    }
}

enum Unknown {
    /// It is known when it is opened.
    Sealed,
    Other {
        what: &'static str,
        seen: usize,
    },
    Read(io::Error),
}

/// Tells by the first bytes, and in gzip by what is in it first.
fn recognise(input: impl Read) -> Result<Shape, Unknown> {
    let mut begin = Vec::new();
    let mut input = BufReader::new(input);
    (&mut input).take(1024).read_to_end(&mut begin).map_err(Unknown::Read)?;
    // Even if it was cut off after its first byte.
    if begin.starts_with(&[0x1f, 0x8b]) || begin == [0x1f] {
        return Ok(in_gzip(Cursor::new(begin).chain(input)));
    }
    if begin.starts_with(ENCRYPTED) {
        return Ok(Shape::Encrypted);
    }
    if seal::is_sealed(&begin) {
        return Err(Unknown::Sealed);
    }
    if let Some((0x80..=0x8f | 0xde | 0xdf, rest)) = begin.split_first()
        && rest.windows(9).take(16).any(|bytes| bytes == b"LastIndex")
    {
        return Ok(Shape::State);
    }
    let what = match &begin[..] {
        [] => "it is empty",
        [b'{' | b'[', ..] => "it looks like JSON",
        [b'<', ..] => "it looks like a web page",
        bytes if bytes.get(257..262) == Some(b"ustar") => "it is a tar that is not in gzip",
        _ => "it is neither an archive of Consul nor a backup of consul-snapshot",
    };
    Err(Unknown::Other { what, seen: begin.len() })
}

/// What gzip holds. What cannot be told, because it is damaged, is taken for an archive: reading that tells
/// best what is wrong.
fn in_gzip(input: impl Read) -> Shape {
    let mut begin = Vec::new();
    let mut plain = MultiGzDecoder::new(input);
    if (&mut plain).take(512).read_to_end(&mut begin).is_err() && begin.is_empty() {
        return Shape::Archive;
    }
    if matches!(begin.trim_ascii_start(), [b'[', ..] | [b'n', b'u', b'l', b'l', ..]) {
        return Shape::ConsulSnapshotV1;
    }
    let mut tar = Tar::new(Cursor::new(begin).chain(plain));
    while let Ok(Some(header)) = tar.next() {
        // consul-snapshot packs a folder, in which its files lie.
        let mut parts = header.name.rsplit(|byte| *byte == b'/');
        let (name, folder) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match name {
            b"meta.json" if !matches!(folder, b"" | b"." | b"..") => return Shape::ConsulSnapshot,
            name if name.starts_with(b"consul.") && name.ends_with(b".json") => return Shape::ConsulSnapshot,
            _ if header.is_file => return Shape::Archive,
            _ => {}
        }
    }
    Shape::Archive
}

/// Sums up what passes.
struct Summed<R> {
    input: R,
    sum: Crc64,
    bytes: u64,
}

impl<R: Read> Summed<R> {
    fn check(&self, meta: &Meta) -> Result<(), String> {
        if meta.size != self.bytes {
            return Err(format!("it has {} bytes, not {}", self.bytes, meta.size));
        }
        match &meta.crc {
            Some(crc) if *crc != STANDARD.encode(self.sum.finish()) => {
                Err("its CRC is another one".to_owned())
            }
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(room)?;
        self.sum.update(room.get(..read).unwrap_or_default());
        self.bytes += read as u64;
        Ok(read)
    }
}

/// The value of a key: its exact bytes, or nothing if there is no such key.
///
/// # Errors
/// If the snapshot is not sound: a value out of a damaged file is worse than none.
pub fn get(source: &Source, limits: &Limits, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
    let mut found = None;
    source.read(limits, |record| {
        if let Some(kv) = crate::view::Kv::of(record)
            && kv.key == key
        {
            found = Some(kv.value.to_vec());
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
