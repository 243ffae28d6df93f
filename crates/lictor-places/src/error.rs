//! What can go wrong with a place.

use std::io;
use std::path::PathBuf;

/// Why something was not done. The message names the place, what was tried, the cause (in the server's own words, on
/// one line) and the way out where there is one; it holds no secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// A setting cannot be used: nothing was asked of the place.
    #[error("{place}: {setting} {why}")]
    Settings {
        /// The place, as it is shown.
        place: String,
        /// Which setting.
        setting: &'static str,
        /// What is wrong with it: `is …`, `needs …`.
        why: String,
    },
    /// Nothing can have this name.
    #[error("{place}: `{}` cannot be a name there: {why}", name.escape_debug())]
    Name {
        /// The place, as it is shown.
        place: String,
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something has the name already, and it was to be new.
    #[error("{place}: there is a `{name}` already, and it is left as it is")]
    Exists {
        /// The place, as it is shown.
        place: String,
        /// The name.
        name: String,
    },
    /// What was asked for is not there.
    #[error("{place}: cannot {tried}: {what} is not there{}", said(why))]
    NotFound {
        /// The place, as it is shown.
        place: String,
        /// What was tried.
        tried: String,
        /// What is missing: the object, the bucket, the folder.
        what: String,
        /// What the server says of it, if anything.
        why: String,
    },
    /// The place does not let us.
    #[error("{place}: cannot {tried}: refused: {why}")]
    Denied {
        /// The place, as it is shown.
        place: String,
        /// What was tried.
        tried: String,
        /// What the server says of it, and what may be looked at.
        why: String,
    },
    /// The place does not let us because our clock, or its own, is wrong.
    #[error("{place}: cannot {tried}: {why}; set the clock of this machine, best by NTP")]
    Clock {
        /// The place, as it is shown.
        place: String,
        /// What was tried.
        tried: String,
        /// By how much, or what the server says of it.
        why: String,
    },
    /// There is no room left.
    #[error("{place}: cannot {tried}: there is no room left: {why}; make room there, or keep fewer")]
    NoSpace {
        /// The place, as it is shown.
        place: String,
        /// What was tried.
        tried: String,
        /// What the server or the operating system says of it.
        why: String,
    },
    /// No connection could be made.
    #[error("{place}: cannot {tried}: cannot connect: {why}")]
    Unreachable {
        /// The place, as it is shown.
        place: String,
        /// What was tried.
        tried: String,
        /// The innermost cause.
        why: String,
    },
    /// The server stopped answering, or taking what was sent.
    #[error("{place}: cannot {tried}: nothing moved for {seconds} s")]
    TimedOut {
        /// The place, as it is shown.
        place: String,
        /// What was tried.
        tried: String,
        /// The limit.
        seconds: u64,
    },
    /// A connection broke, or an answer ended early.
    #[error("{place}: cannot {tried}: the connection broke: {why}")]
    Cut {
        /// The place, as it is shown.
        place: String,
        /// What was tried.
        tried: String,
        /// The innermost cause.
        why: String,
    },
    /// The server is at fault, or has too much to do.
    #[error("{place}: cannot {tried}: the server fails: {why}")]
    Server {
        /// The place, as it is shown.
        place: String,
        /// What was tried.
        tried: String,
        /// What it says.
        why: String,
    },
    /// What was read or sent became something else meanwhile.
    #[error("{place}: cannot {tried}: {what} changed meanwhile")]
    Changed {
        /// The place, as it is shown.
        place: String,
        /// What was tried.
        tried: String,
        /// What changed.
        what: String,
    },
    /// There is more than is ever listed.
    #[error("{place}: there are more than {limit} names; give what is kept here a prefix of its own")]
    TooMany {
        /// The place, as it is shown.
        place: String,
        /// The limit.
        limit: usize,
    },
    /// A file of this machine cannot be used.
    #[error("{place}: cannot {tried}: {}: {source}", path.display())]
    File {
        /// The place, as it is shown.
        place: String,
        /// What was tried.
        tried: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Anything else.
    #[error("{place}: cannot {tried}: {why}")]
    Other {
        /// The place, as it is shown.
        place: String,
        /// What was tried.
        tried: String,
        /// What the server says, or what makes no sense.
        why: String,
    },
}

impl PlaceError {
    /// Whatever a fetch is written to does not take it.
    pub(crate) fn unwritten(place: &str, tried: &str, source: &io::Error) -> Self {
        let (place, tried) = (place.to_owned(), tried.to_owned());
        Self::Other { place, tried, why: format!("what was read cannot be written: {source}") }
    }

    /// Whether the same may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Cut { .. } | Self::Server { .. } => true,
            Self::Settings { .. }
            | Self::Name { .. }
            | Self::Exists { .. }
            | Self::NotFound { .. }
            | Self::Denied { .. }
            | Self::Clock { .. }
            | Self::NoSpace { .. }
            | Self::Changed { .. }
            | Self::TooMany { .. }
            | Self::File { .. }
            | Self::Other { .. } => false,
        }
    }
}

/// What a server says, set apart; nothing when it says nothing.
fn said(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {why}") }
}

/// Most characters of a foreign text that are shown.
const SHOWN: usize = 300;

/// A foreign text on one line, without control characters, and not longer than can be read.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(SHOWN) {
        None => line,
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
    }
}

/// The last words of an error: its innermost cause.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    one_line(&error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_text_is_one_short_line() {
        assert_eq!(one_line("  Access\r\n\tdenied\u{1b}[31m. "), "Access denied [31m.");
        let long = one_line(&"ä".repeat(1000));
        assert_eq!(long.chars().count(), SHOWN + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn a_message_names_place_deed_and_cause() {
        let error = PlaceError::NotFound {
            place: "s3://bucket/prefix".to_owned(),
            tried: "fetch `a`".to_owned(),
            what: "the bucket".to_owned(),
            why: String::new(),
        };
        assert_eq!(error.to_string(), "s3://bucket/prefix: cannot fetch `a`: the bucket is not there");
        assert!(!error.is_temporary());
    }
}
