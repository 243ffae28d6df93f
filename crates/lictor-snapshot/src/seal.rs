//! Sealed files: encrypted in the format of age, so that its program opens what was sealed here, and the other way
//! round. The format is that of `age-encryption.org/v1`.
//!
//! A file is sealed either to recipients (`age1…`), whose identities (`AGE-SECRET-KEY-1…`) need not be on this machine, or
//! with a passphrase. It comes in pieces of 64 KiB, each authenticated by itself; the last one is marked. So what is
//! given out while it is opened is what was sealed, and one that was cut off is known when its end comes.

mod keys;
mod layer;
mod opened;

pub use keys::{IdentityError, Keys};
pub use opened::{Broken, OpenError, Opened, SealedTo, is_sealed, open};

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use age::secrecy::{ExposeSecret as _, SecretString};
use age::{EncryptError, Encryptor, scrypt, x25519};
use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::rand::SystemRandom;
use bech32::FromBase32 as _;

/// What is read at a time.
const PIECE: usize = 64 << 10;

/// How much work a passphrase is, as a power of two: what the `age` program takes; some 256 MiB and a second.
const WORK: u8 = 18;

/// Characters of something wrong that are shown.
const SHOWN: usize = 80;

/// To whom files are sealed.
#[derive(Clone)]
pub struct Recipients(To);

#[derive(Clone)]
enum To {
    /// At least one.
    Keys(Vec<Recipient>),
    Passphrase(Passphrase),
}

impl Recipients {
    /// Whoever has the identity of one of these opens it.
    ///
    /// # Errors
    /// If there is none.
    pub fn keys(recipients: impl IntoIterator<Item = Recipient>) -> Result<Self, RecipientError> {
        let recipients = Vec::from_iter(recipients);
        if recipients.is_empty() { Err(RecipientError::None) } else { Ok(Self(To::Keys(recipients))) }
    }

    /// As [`keys`](Self::keys), from their texts.
    ///
    /// # Errors
    /// If there is none, or one that is no recipient.
    pub fn parse(texts: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, RecipientError> {
        let recipients: Result<Vec<_>, _> = texts.into_iter().map(|text| text.as_ref().parse()).collect();
        Self::keys(recipients?)
    }

    /// Whoever knows this opens it.
    #[must_use]
    pub fn passphrase(passphrase: Passphrase) -> Self {
        Self(To::Passphrase(passphrase))
    }
}

impl fmt::Debug for Recipients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            To::Keys(keys) => f.debug_tuple("Recipients").field(keys).finish(),
            To::Passphrase(passphrase) => f.debug_tuple("Recipients").field(passphrase).finish(),
        }
    }
}

/// Somebody to whom files are sealed: the public half of a pair that `age-keygen` made. It is no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(x25519::Recipient);

impl FromStr for Recipient {
    type Err = RecipientError;

    fn from_str(text: &str) -> Result<Self, RecipientError> {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("age-secret-key-") {
            return Err(RecipientError::Secret);
        }
        let shown = || text.chars().take(SHOWN).collect();
        if lower.starts_with("ssh-") {
            return Err(RecipientError::Kind { text: shown() });
        }
        let recipient: x25519::Recipient = text.parse().map_err(|_says_little: &str| {
            // Recipients of plugins and of later versions have a name and then the digit.
            match lower.strip_prefix("age1").is_some_and(|rest| rest.contains('1')) {
                true => RecipientError::Kind { text: shown() },
                false => RecipientError::Text { text: shown() },
            }
        })?;
        if !can_be_sealed_to(text) {
            return Err(RecipientError::Weak { text: shown() });
        }
        Ok(Self(recipient))
    }
}

/// Whether a secret can be shared with a recipient: some numbers make the same of everything.
fn can_be_sealed_to(text: &str) -> bool {
    let share = || {
        let (_, digits, _) = bech32::decode(text).ok()?;
        let public = UnparsedPublicKey::new(&X25519, Vec::<u8>::from_base32(&digits).ok()?);
        let own = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).ok()?;
        agree_ephemeral(own, public, (), |_shared| Ok(())).ok()
    };
    share().is_some()
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why nothing can be sealed to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipientError {
    /// Nobody is named.
    #[error("no recipient is named: a file that is sealed to nobody could never be opened")]
    None,
    /// It is no recipient at all.
    #[error(
        "{text:?} is no recipient: one is `age1` and 58 characters, as `age-keygen` prints it; is a part missing?"
    )]
    Text {
        /// What it is.
        text: String,
    },
    /// It is one of another kind.
    #[error(
        "{text:?} is a recipient of a kind that is not known here: take a pair that `age-keygen` makes (`age1` and 58 characters)"
    )]
    Kind {
        /// What it is.
        text: String,
    },
    /// It is the other half.
    #[error(
        "it is a secret key, and should stay where it is: `age-keygen -y FILE` prints the recipient that belongs to it"
    )]
    Secret,
    /// Everybody could open it.
    #[error(
        "{text:?} is a recipient that nobody has the secret of: what is sealed to it would be open to all"
    )]
    Weak {
        /// What it is.
        text: String,
    },
}

/// Words that a file is sealed with. `Debug` shows three asterisks, and there is no `Display`.
#[derive(Clone)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// Takes the text as it is.
    ///
    /// # Errors
    /// If it is empty.
    pub fn new(text: impl Into<String>) -> Result<Self, PassphraseError> {
        let text = text.into();
        if text.is_empty() { Err(PassphraseError) } else { Ok(Self(SecretString::from(text))) }
    }

    /// What a file has, without the end of its line.
    ///
    /// # Errors
    /// If it is empty.
    pub fn from_file(content: &str) -> Result<Self, PassphraseError> {
        Self::new(content.trim_end_matches(['\n', '\r']))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(***)")
    }
}

/// A passphrase is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the passphrase is empty: anybody would guess it")]
pub struct PassphraseError;

/// Why something was not sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// What is to be sealed does not come.
    #[error("what is to be sealed cannot be read: {0}")]
    Read(#[source] io::Error),
    /// What is sealed cannot be written.
    #[error("the sealed file cannot be written: {0}")]
    Write(#[source] io::Error),
    /// The recipients are refused.
    #[error("it cannot be sealed to these recipients: {0}")]
    Recipients(#[source] EncryptError),
}

/// Seals all there is in `input`, and says how many bytes that were. `output` has everything when this has come back without an
/// error, and is flushed; what it has after an error is cut off, and known as that.
///
/// # Errors
/// If something cannot be read or written.
pub fn seal(to: &Recipients, mut input: impl Read, output: impl Write) -> Result<u64, SealError> {
    let encryptor = match &to.0 {
        To::Keys(keys) => {
            Encryptor::with_recipients(keys.iter().map(|Recipient(key)| key as &dyn age::Recipient))
        }
        To::Passphrase(Passphrase(words)) => {
            let mut recipient = scrypt::Recipient::new(SecretString::from(words.expose_secret()));
            recipient.set_work_factor(WORK);
            Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
        }
    };
    let mut sealed =
        encryptor.map_err(SealError::Recipients)?.wrap_output(output).map_err(SealError::Write)?;
    let (mut piece, mut all) = (vec![0; PIECE], 0);
    loop {
        let read = match input.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(SealError::Read(error)),
        };
        sealed.write_all(piece.get(..read).unwrap_or_default()).map_err(SealError::Write)?;
        all += read as u64;
    }
    sealed.finish().and_then(|mut output| output.flush()).map_err(SealError::Write)?;
    Ok(all)
}
