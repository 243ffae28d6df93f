//! What opens sealed files.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use age::secrecy::{ExposeSecret as _, SecretString};
use age::{DecryptError, Identity, scrypt, x25519};
use age_core::format::{FileKey, Stanza};

use super::{Passphrase, Recipient, Recipients};

/// The most work that a passphrase may be, as a power of two: some seconds and a gigabyte. The `age` program makes 18 of it.
pub(super) const MOST_WORK: u8 = 20;

/// Of so many files it is remembered what a passphrase made of them: a file is read more than once.
const REMEMBERED: usize = 4;

/// Identities and passphrases. Any of them opens what was sealed to it. `Debug` shows how many there are.
#[derive(Clone, Default)]
pub struct Keys {
    identities: Vec<x25519::Identity>,
    passphrases: Vec<Passphrase>,
    /// The work of a passphrase is done once for each file, also by those who have a clone.
    known: Arc<Mutex<VecDeque<Known>>>,
}

/// What a passphrase made of a file's first lines.
struct Known {
    args: Vec<String>,
    body: Vec<u8>,
    key: FileKey,
}

impl Keys {
    /// Takes the content of an identity file, as `age-keygen` writes it: one `AGE-SECRET-KEY-1…` on a line; what begins with `#`
    /// and empty lines are left out. Says how many there were.
    ///
    /// # Errors
    /// If a line is something else, or there is no identity; then none is taken.
    pub fn add_identities(&mut self, content: &str) -> Result<usize, IdentityError> {
        if content.starts_with("age-encryption.org/") || content.starts_with("-----BEGIN AGE ") {
            return Err(IdentityError::Sealed);
        }
        let mut found = Vec::new();
        for (number, line) in (1..).zip(content.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            found.push(line.parse().map_err(|_says_little: &str| match line.starts_with("age1") {
                true => IdentityError::Public { line: number },
                false => IdentityError::Line { line: number },
            })?);
        }
        if found.is_empty() {
            return Err(IdentityError::None);
        }
        let count = found.len();
        self.identities.append(&mut found);
        Ok(count)
    }

    /// Takes a passphrase.
    pub fn add_passphrase(&mut self, passphrase: Passphrase) {
        self.passphrases.push(passphrase);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty() && self.passphrases.is_empty()
    }

    /// To whom a file is sealed that these keys open: the recipients that belong to the identities, or who knows the first
    /// passphrase. Nobody if there is no key.
    #[must_use]
    pub fn recipients(&self) -> Option<Recipients> {
        let recipients = self.identities.iter().map(|identity| Recipient(identity.to_public()));
        match Recipients::keys(recipients) {
            Ok(recipients) => Some(recipients),
            Err(_none) => self.passphrases.first().cloned().map(Recipients::passphrase),
        }
    }

    /// How many identities there are.
    pub(super) fn identities(&self) -> usize {
        self.identities.len()
    }

    /// How many passphrases there are.
    pub(super) fn passphrases(&self) -> usize {
        self.passphrases.len()
    }

    fn remembered(&self, stanza: &Stanza) -> Option<FileKey> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|known| known.args == stanza.args && known.body == stanza.body)?;
        Some(FileKey::new(Box::new(*found.key.expose_secret())))
    }

    fn remember(&self, stanza: &Stanza, key: &FileKey) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.truncate(REMEMBERED - 1);
        known.push_front(Known {
            args: stanza.args.clone(),
            body: stanza.body.clone(),
            key: FileKey::new(Box::new(*key.expose_secret())),
        });
    }

    /// Tries each passphrase; gives the last error if none is right.
    fn by_passphrase(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if let Some(key) = self.remembered(stanza) {
            return Some(Ok(key));
        }
        let mut last = None;
        for Passphrase(words) in &self.passphrases {
            let mut identity = scrypt::Identity::new(SecretString::from(words.expose_secret()));
            identity.set_max_work_factor(MOST_WORK);
            match identity.unwrap_stanza(stanza)? {
                Ok(key) => {
                    self.remember(stanza, &key);
                    return Some(Ok(key));
                }
                // Another passphrase may be right, and only that.
                Err(error @ DecryptError::DecryptionFailed) => last = Some(Err(error)),
                Err(error) => return Some(Err(error)),
            }
        }
        last
    }
}

impl Identity for Keys {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        let found = self.identities.iter().find_map(|identity| identity.unwrap_stanza(stanza));
        found.or_else(|| self.by_passphrase(stanza))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} identities, {} passphrases)", self.identities.len(), self.passphrases.len())
    }
}

/// Why a text is no identity file. No message has anything of what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// There is nothing in it.
    #[error(
        "there is no identity in it: one is a line that begins with `AGE-SECRET-KEY-1`, as `age-keygen` writes it"
    )]
    None,
    /// A line is something else.
    #[error(
        "line {line} is no identity that is known here: one begins with `AGE-SECRET-KEY-1` and has 74 characters"
    )]
    Line {
        /// Which, from 1.
        line: usize,
    },
    /// A line has the other half.
    #[error(
        "line {line} is a recipient, to which files are sealed; what opens them begins with `AGE-SECRET-KEY-1`"
    )]
    Public {
        /// Which, from 1.
        line: usize,
    },
    /// It is sealed itself.
    #[error("it is sealed itself: open it first with `age -d`")]
    Sealed,
}
