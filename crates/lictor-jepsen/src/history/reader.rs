//! Histories are read whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::edn::{Edn, EdnError, Parser};
use super::{Op, text};

/// How the entries are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A line of JSON for each.
    #[default]
    Json,
    /// A map of EDN for each, or one vector of them.
    Edn,
}

/// A history could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be.
    #[error("cannot read the history {}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A line is not an entry.
    #[error("line {line}: {error}")]
    Json {
        /// Which one, from 1.
        line: usize,
        /// Why.
        #[source]
        error: serde_json::Error,
    },
    /// The last line has no end and is no entry: whoever wrote it was broken off.
    #[error(
        "line {line} is cut off, the run ended while it was written: take that line away to judge the rest"
    )]
    Cut {
        /// Which one, from 1.
        line: usize,
    },
    /// The text is not EDN.
    #[error(transparent)]
    Edn(#[from] EdnError),
    /// A value of EDN is not an entry.
    #[error("line {line}: {what}")]
    Entry {
        /// Where it ends, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

impl Format {
    /// What a file of that name is: EDN if it ends in `.edn`, else JSON.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        match path.extension() {
            Some(ending) if ending.eq_ignore_ascii_case("edn") => Self::Edn,
            _ => Self::Json,
        }
    }
}

/// Reads the entries of a file; its name says the format.
///
/// # Errors
/// If it cannot be read, or a line is no entry.
pub fn read_path(path: impl AsRef<Path>) -> Result<Vec<Op>, ReadError> {
    let path = path.as_ref();
    let text = fs::read_to_string(path).map_err(|error| ReadError::Io { path: path.to_owned(), error })?;
    read(&text, Format::of(path))
}

/// Reads the entries of a text. Those of EDN without an index have their position as one.
///
/// # Errors
/// If a line is no entry.
pub fn read(text: &str, format: Format) -> Result<Vec<Op>, ReadError> {
    match format {
        Format::Json => json(text),
        Format::Edn => edn(text),
    }
}

fn json(text: &str) -> Result<Vec<Op>, ReadError> {
    let mut ops = Vec::new();
    for (number, line) in text.split_inclusive('\n').enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line) {
            Ok(op) => ops.push(op),
            Err(error) if error.is_eof() && !line.ends_with('\n') => {
                return Err(ReadError::Cut { line: number + 1 });
            }
            Err(error) => return Err(ReadError::Json { line: number + 1, error }),
        }
    }
    Ok(ops)
}

fn edn(content: &str) -> Result<Vec<Op>, ReadError> {
    let mut parser = Parser::new(content);
    let mut ops = Vec::new();
    while let Some(value) = parser.next()? {
        let entries = match value {
            Edn::List(entries) => entries,
            entry => vec![entry],
        };
        for entry in entries {
            let position = ops.len() as u64;
            let op = text::from_edn(&entry, position)
                .map_err(|what| ReadError::Entry { line: parser.line(), what })?;
            ops.push(op);
        }
    }
    Ok(ops)
}
