//! Secrets: values that cannot be printed.

use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;

/// A value that must not be shown. It may lie in a file, which is read each time it is
/// needed, so that a rotated secret is taken up without a reload.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Source);

#[derive(Clone, PartialEq, Eq)]
enum Source {
    Value(String),
    File(PathBuf),
}

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read.
    #[error("cannot read the secret in `{path}`: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file has more than 64 KiB.
    #[error("the secret in `{path}` has more than 64 KiB", path = path.display())]
    Large {
        /// The file.
        path: PathBuf,
    },
    /// The file holds something that is not UTF-8.
    #[error("the secret in `{path}` is not UTF-8", path = path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
}

const LIMIT: u64 = 64 * 1024;

impl Secret {
    /// A secret that is known.
    pub fn value(text: impl Into<String>) -> Self {
        Self(Source::Value(text.into()))
    }

    /// A secret that lies in a file; a final line break is not part of it.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// The text, if it stands in the configuration itself.
    pub(crate) fn known(&self) -> Option<&str> {
        match &self.0 {
            Source::Value(text) => Some(text),
            Source::File(_) => None,
        }
    }

    /// The text itself. Keep it no longer than needed.
    ///
    /// # Errors
    /// Names the file that could not be read.
    pub fn reveal(&self) -> Result<String, SecretError> {
        let path = match &self.0 {
            Source::Value(text) => return Ok(text.clone()),
            Source::File(path) => path,
        };
        let failed = |source| SecretError::Read { path: path.clone(), source };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > LIMIT {
            return Err(SecretError::Large { path: path.clone() });
        }
        let Ok(mut text) = String::from_utf8(bytes) else {
            return Err(SecretError::NotText { path: path.clone() });
        };
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        Ok(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}
