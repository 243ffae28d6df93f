//! What consul-snapshot encrypted with a password.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::BackupError;

/// How an encrypted backup begins.
pub(crate) const PREFIX: &[u8] = b"v0:";

const SALT: usize = 32;

/// A password. `Debug` shows three asterisks; there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Takes the text as it is.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(***)")
    }
}

/// Decrypts bytes in their place.
pub(super) fn decrypt(mut bytes: Vec<u8>, password: &Password) -> Result<Vec<u8>, BackupError> {
    let head = PREFIX.len() + SALT + NONCE_LEN;
    let (head, sealed) = bytes.split_at_mut_checked(head).ok_or(BackupError::Decrypt)?;
    let (salt, nonce) = head.split_at(PREFIX.len() + SALT);
    let salt = salt.get(PREFIX.len()..).unwrap_or_default();
    let key = key(password, salt).ok_or(BackupError::Decrypt)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_says_nothing| BackupError::Decrypt)?;
    let plain =
        key.open_in_place(nonce, Aad::empty(), sealed).map_err(|_says_nothing| BackupError::Decrypt)?.len();
    let head = head.len();
    drop(bytes.drain(..head));
    bytes.truncate(plain);
    Ok(bytes)
}

/// The key that scrypt makes of a password; takes 16 MiB and some 50 ms on purpose.
fn key(password: &Password, salt: &[u8]) -> Option<LessSafeKey> {
    let mut key = [0; 32];
    let params = scrypt::Params::new(14, 8, 1).ok()?;
    scrypt::scrypt(password.0.as_bytes(), salt, &params, &mut key).ok()?;
    UnboundKey::new(&AES_256_GCM, &key).ok().map(LessSafeKey::new)
}

/// Encrypts as that program does; for tests.
#[cfg(test)]
pub(super) fn encrypt(plain: &[u8], password: &Password) -> Vec<u8> {
    let (salt, nonce) = ([7; SALT], [9; NONCE_LEN]);
    let mut sealed = plain.to_vec();
    key(password, &salt)
        .unwrap()
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed)
        .unwrap();
    [PREFIX, &salt, &nonce, &sealed].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encrypted_is_decrypted_with_its_password_only() {
        let (right, wrong) = (Password::new("right"), Password::new("wrong"));
        let sealed = encrypt(b"plain", &right);
        assert_eq!(decrypt(sealed.clone(), &right).unwrap(), b"plain");
        assert!(matches!(decrypt(sealed, &wrong), Err(BackupError::Decrypt)));
    }

    #[test]
    fn what_is_cut_off_or_damaged_is_refused() {
        let password = Password::new("p");
        let sealed = encrypt(b"plain", &password);
        for length in [0, 3, 46, 47, sealed.len() - 1] {
            let cut = sealed[..length].to_vec();
            assert!(matches!(decrypt(cut, &password), Err(BackupError::Decrypt)), "{length}");
        }
        let mut damaged = sealed;
        damaged[50] ^= 1;
        assert!(matches!(decrypt(damaged, &password), Err(BackupError::Decrypt)));
    }

    #[test]
    fn a_password_prints_nothing_of_itself() {
        assert_eq!(format!("{:?}", Password::new("hunter2")), "Password(***)");
    }
}
