//! Opening what is sealed.

use std::fmt;
use std::io::{self, BufRead, Chain, Cursor, ErrorKind, Read};

use age::stream::StreamReader;
use age::{DecryptError, Decryptor, Identity};

pub use super::layer::is_sealed;

use super::keys::{Keys, MOST_WORK};
use super::layer::Layer;

/// What stands before the sealed bytes may have, in bytes: enough for four hundred recipients.
const HEAD: u64 = 64 << 10;

/// How the first line goes on in the only version there is.
const V1: &[u8] = b"age-encryption.org/v1\n";

/// How each line begins that names somebody to whom it is sealed.
const TO: &[u8] = b"-> ";

/// To what a file is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedTo {
    /// To recipients, whose identities open it.
    Recipients,
    /// With a passphrase.
    Passphrase,
}

impl fmt::Display for SealedTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recipients => "sealed to recipients: an identity file of one of them opens it",
            Self::Passphrase => "sealed with a passphrase, which opens it",
        })
    }
}

/// Why a sealed file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It does not come.
    #[error("the sealed file cannot be read: {0}")]
    Read(#[source] io::Error),
    /// It is something else.
    #[error("it is not sealed, or not as the `age` program does it")]
    Other,
    /// It is of another version.
    #[error(
        "it is sealed in another version of age's format than 1, which is the only one that is known here"
    )]
    Version,
    /// There is no key of the kind that it wants.
    #[error("it is {to}, and none was given")]
    NoKey {
        /// What opens it.
        to: SealedTo,
    },
    /// It is sealed to others.
    #[error(
        "none of the {} opens it: it was sealed to others, or its first lines are damaged",
        if *identities == 1 { "one identity".to_owned() } else { format!("{identities} identities") }
    )]
    OtherIdentity {
        /// How many were tried.
        identities: usize,
    },
    /// It is sealed with another passphrase.
    #[error("the passphrase is another one than it was sealed with, or its first lines are damaged")]
    OtherPassphrase,
    /// It is sealed to what is not known here.
    #[error(
        "it is sealed to recipients of kinds that are not known here ({kinds}): the `age` program may open it"
    )]
    Kind {
        /// Which.
        kinds: String,
    },
    /// Somebody wants much work done.
    #[error(
        "its passphrase is too much work (2^{work}; at most 2^{MOST_WORK} is done here): the `age` program may open it"
    )]
    Work {
        /// How much, as a power of two.
        work: u8,
    },
    /// Its first lines are not as they were written.
    #[error("its first lines are damaged, or were changed: take another copy")]
    Damaged,
    /// It ends in its first lines.
    #[error("it is cut off in its first lines: take another copy")]
    Cut,
}

impl OpenError {
    /// Whether it may be sound, and another key would tell.
    #[must_use]
    pub fn wants_key(&self) -> bool {
        match self {
            Self::NoKey { .. }
            | Self::OtherIdentity { .. }
            | Self::OtherPassphrase
            | Self::Kind { .. }
            | Self::Work { .. } => true,
            Self::Read(_) | Self::Other | Self::Version | Self::Damaged | Self::Cut => false,
        }
    }
}

/// What is wrong with what was sealed; it is in the [`io::Error`] that [`Opened`] gives, whose kind is
/// [`InvalidData`](ErrorKind::InvalidData) or [`UnexpectedEof`](ErrorKind::UnexpectedEof).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A piece is not what was sealed.
    #[error("what was sealed is damaged, or was changed: take another copy")]
    Damaged,
    /// The last piece is missing.
    #[error("the sealed file is cut off: take another copy")]
    Cut,
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        let kind = match broken {
            Broken::Damaged => ErrorKind::InvalidData,
            Broken::Cut => ErrorKind::UnexpectedEof,
        };
        Self::new(kind, broken)
    }
}

/// What is in a sealed file, opened while it is read. What comes is what was sealed; that it is all of it is known only when the
/// end comes without an error.
pub struct Opened<R: Read> {
    stream: StreamReader<Chain<Cursor<Vec<u8>>, Layer<R>>>,
    broken: Option<Broken>,
}

impl<R: Read> fmt::Debug for Opened<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("broken", &self.broken).finish_non_exhaustive()
    }
}

/// Opens a sealed file, in bytes or in text.
///
/// # Errors
/// If it is none, if none of the keys opens it, or if what stands before the sealed bytes is damaged.
pub fn open<R: Read>(keys: &Keys, input: R) -> Result<Opened<R>, OpenError> {
    let mut input = Layer::new(input).map_err(sorted)?;
    let head = head(&mut input)?;
    let to = Sealed::to(&head)?;
    let decryptor =
        Decryptor::new_buffered(Cursor::new(head).chain(input)).map_err(|error| to.told(error, keys))?;
    if let Some(error) = to.missing(keys) {
        return Err(error);
    }
    let stream = decryptor.decrypt(std::iter::once(keys as &dyn Identity));
    Ok(Opened { stream: stream.map_err(|error| to.told(error, keys))?, broken: None })
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        // It stays broken, whoever tries again.
        if let Some(broken) = self.broken {
            return Err(broken.into());
        }
        self.stream.read(room).map_err(|error| {
            self.broken = match error.kind() {
                ErrorKind::InvalidData => Some(Broken::Damaged),
                ErrorKind::UnexpectedEof => Some(Broken::Cut),
                _ => return error,
            };
            self.broken.map_or(error, io::Error::from)
        })
    }
}

/// What stands before the sealed bytes. It is looked for here first: so that no file makes anybody read for long.
fn head(input: &mut impl BufRead) -> Result<Vec<u8>, OpenError> {
    let mut head = Vec::new();
    let mut input = input.take(HEAD);
    loop {
        let begin = head.len();
        input.read_until(b'\n', &mut head).map_err(sorted)?;
        let line = head.get(begin..).unwrap_or_default();
        if begin == 0 && line != V1 {
            return Err(match line {
                line if V1.starts_with(line) => OpenError::Cut,
                line if is_sealed(line) => OpenError::Version,
                _ => OpenError::Other,
            });
        }
        if !line.ends_with(b"\n") {
            return Err(if head.len() as u64 == HEAD { OpenError::Damaged } else { OpenError::Cut });
        }
        if line.starts_with(b"---") {
            return Ok(head);
        }
    }
}

fn sorted(error: io::Error) -> OpenError {
    match error.kind() {
        ErrorKind::InvalidData => OpenError::Damaged,
        ErrorKind::UnexpectedEof => OpenError::Cut,
        _ => OpenError::Read(error),
    }
}

/// To whom it is sealed, as its first lines say.
struct Sealed {
    /// The kinds of recipients.
    kinds: Vec<String>,
}

impl Sealed {
    fn to(head: &[u8]) -> Result<Self, OpenError> {
        let lines = head.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(TO));
        let kind = |line: &[u8]| line.split(|byte| *byte == b' ').next().map(<[u8]>::to_vec);
        // Programs put some in that nobody knows, to see that others do not mind.
        let kinds = lines.filter_map(kind).filter(|kind| !kind.ends_with(b"-grease"));
        let kinds: Vec<_> =
            kinds.map(|kind| String::from_utf8_lossy(&kind).escape_debug().collect()).collect();
        if kinds.is_empty() { Err(OpenError::Damaged) } else { Ok(Self { kinds }) }
    }

    fn is_to(&self, kind: &str) -> bool {
        self.kinds.iter().any(|known| known == kind)
    }

    /// That there is no key that could open it.
    fn missing(&self, keys: &Keys) -> Option<OpenError> {
        let to = match (self.is_to("scrypt"), self.is_to("X25519")) {
            (true, _) if keys.passphrases() == 0 => SealedTo::Passphrase,
            (false, true) if keys.identities() == 0 => SealedTo::Recipients,
            (false, false) => return Some(self.unknown()),
            _ => return None,
        };
        Some(OpenError::NoKey { to })
    }

    fn unknown(&self) -> OpenError {
        let mut kinds = self.kinds.clone();
        kinds.sort_unstable();
        kinds.dedup();
        OpenError::Kind { kinds: kinds.join(", ").chars().take(super::SHOWN).collect() }
    }

    fn told(&self, error: DecryptError, keys: &Keys) -> OpenError {
        match error {
            DecryptError::Io(error) => sorted(error),
            DecryptError::NoMatchingKeys => OpenError::OtherIdentity { identities: keys.identities() },
            DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => OpenError::OtherPassphrase,
            DecryptError::ExcessiveWork { required, .. } => OpenError::Work { work: required },
            DecryptError::UnknownFormat => OpenError::Version,
            DecryptError::InvalidHeader | DecryptError::InvalidMac => OpenError::Damaged,
        }
    }
}
