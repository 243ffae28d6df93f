//! What can be wrong with an archive, in our words and in Consul's.

use std::fmt;
use std::io::{self, ErrorKind};

use flate2::bufread::MultiGzDecoder;

use super::SumsError;
use crate::state;

/// A part of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What stands before a member.
    Header,
    /// `meta.json`.
    Meta,
    /// `state.bin`.
    State,
    /// `SHA256SUMS`.
    Sums,
    /// What stands behind the last member.
    End,
}

/// Why an archive is not sound.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is not one byte.
    #[error("the file is empty")]
    Empty,
    /// It does not begin as gzip does.
    #[error("it is not gzip, as a snapshot of Consul is")]
    NotGzip {
        /// How many bytes were looked at: Consul has other words for less than ten.
        seen: usize,
    },
    /// It ends too early.
    #[error("the file is cut off: it ends {}", part.within())]
    Cut {
        /// Where.
        part: Part,
        /// Whether not even gzip's first bytes are whole.
        at_begin: bool,
    },
    /// Gzip finds its own bytes damaged.
    #[error("the file is damaged {}: {source}", part.within())]
    Damaged {
        /// Where.
        part: Part,
        /// What gzip says.
        source: io::Error,
    },
    /// The bytes did not come.
    #[error("the file cannot be read {}: {source}", part.within())]
    Read {
        /// Where.
        part: Part,
        /// Why.
        source: io::Error,
    },
    /// There is no tar in it, or a damaged one.
    #[error("what is compressed in the file is not a tar, or a damaged one")]
    Header,
    /// Something is in it that does not belong there.
    #[error("there is a member {name:?} in it, which does not belong into a snapshot")]
    Unexpected {
        /// Its name.
        name: String,
    },
    /// A member comes twice. Consul takes the two as one.
    #[error("`{part}` is in it twice")]
    Twice {
        /// Which.
        part: Part,
    },
    /// A member is a folder, a link or the like.
    #[error("`{part}` in it is not a file")]
    NotAFile {
        /// Which.
        part: Part,
    },
    /// A member is missing.
    #[error("`{part}` is missing from it")]
    Missing {
        /// Which.
        part: Part,
    },
    /// A member is larger than is allowed.
    #[error("`{part}` is larger than the {limit} bytes that are allowed")]
    TooLarge {
        /// Which.
        part: Part,
        /// What is allowed, in bytes.
        limit: u64,
    },
    /// `meta.json` cannot be understood.
    #[error("`meta.json` cannot be understood: {0}")]
    Meta(#[source] serde_json::Error),
    /// The format is one that is not known.
    #[error("`meta.json` is of version {version} of Raft's format, and only 0 and 1 are known")]
    Version {
        /// Which.
        version: u8,
    },
    /// The state is not as long as `meta.json` says. Consul finds out only when it restores.
    #[error("`state.bin` has {found} bytes, and `meta.json` says {said}")]
    Size {
        /// What `meta.json` says, in bytes.
        said: u64,
        /// What there is, in bytes.
        found: u64,
    },
    /// The sums are not right.
    #[error(transparent)]
    Sums(SumsError),
    /// There is more behind the end of the tar than belongs there.
    #[error(
        "{}{bytes} bytes follow the end of the tar: Consul would refuse it (GNU tar and others pad to 10240; \
         Consul takes 1024 zeros at the end and not one more)",
        if *counted { "" } else { "more than " }
    )]
    Unread {
        /// How many bytes.
        bytes: u64,
        /// Whether that is all of them.
        counted: bool,
    },
    /// The state cannot be decoded. With the right sums Consul would try, and die of it.
    #[error("{error}{}", if *sums_known { "; the sums are right, so it was saved like that: a server that restores it may die" } else { "" })]
    State {
        /// What is wrong.
        #[source]
        error: state::Error,
        /// Whether the sums were checked, and are right.
        sums_known: bool,
    },
}

impl Error {
    /// Sorts an error that came from below gzip.
    pub(super) fn read(part: Part, source: io::Error) -> Self {
        match source.kind() {
            ErrorKind::UnexpectedEof => Self::Cut { part, at_begin: false },
            ErrorKind::InvalidData | ErrorKind::InvalidInput => Self::Damaged { part, source },
            _ => Self::Read { part, source },
        }
    }

    /// Why gzip's first bytes are not whole.
    pub(super) fn begin<R: io::BufRead>(mut decoder: MultiGzDecoder<R>) -> Self {
        match io::Read::read(&mut decoder, &mut [0]) {
            Ok(_) => Self::NotGzip { seen: usize::MAX },
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                Self::Cut { part: Part::Header, at_begin: true }
            }
            Err(error) => Self::read(Part::Header, error),
        }
    }

    /// What `consul snapshot inspect` of 1.8 says, without the words that precede it in every case
    /// (`Error verifying snapshot: `). Nothing where Consul takes the archive, or where its
    /// words cannot be told from here.
    #[must_use]
    pub fn consul_text(&self) -> Option<String> {
        let inside = |text: &str| Some(format!("failed to read snapshot file: {text}"));
        let integrity = |text: String| {
            Some(format!("failed to read snapshot file: failed checking integrity of snapshot: {text}"))
        };
        match self {
            Self::Empty => Some(not_gzip(0)),
            Self::NotGzip { seen } => Some(not_gzip(*seen)),
            Self::Cut { at_begin: true, .. } => {
                Some("failed to decompress snapshot: unexpected EOF".to_owned())
            }
            Self::Cut { part: Part::End, .. } => Some("unexpected EOF".to_owned()),
            Self::Cut { part, .. } => inside(&format!("{}: unexpected EOF", part.consul_verb())),
            Self::Header => inside("failed reading snapshot: archive/tar: invalid tar header"),
            Self::Unexpected { name } => inside(&format!("unexpected file {} in snapshot", go_quoted(name))),
            Self::Missing { part: Part::Sums } => integrity("file missing for \"meta.json\"".to_owned()),
            Self::Missing { part } => integrity(format!("hash check failed for \"{part}\"")),
            Self::Sums(SumsError::Wrong { name }) => integrity(format!("hash check failed for {name:?}")),
            Self::Sums(SumsError::Unlisted { name }) => integrity(format!("file missing for {name:?}")),
            Self::Sums(SumsError::Unknown { name }) => {
                integrity(format!("list missing hash for {}", go_quoted(name)))
            }
            Self::Unread { bytes, counted: true } => {
                Some(format!("{bytes} unread uncompressed bytes remain"))
            }
            Self::Damaged { .. }
            | Self::Read { .. }
            | Self::Twice { .. }
            | Self::NotAFile { .. }
            | Self::TooLarge { .. }
            | Self::Meta(_)
            | Self::Version { .. }
            | Self::Size { .. }
            | Self::Sums(SumsError::Line { .. })
            | Self::Unread { counted: false, .. }
            | Self::State { .. } => None,
        }
    }
}

/// Text in quotation marks as Go writes it.
fn go_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' | '\r' | '\t' => quoted.extend(letter.escape_default()),
            '\0'..='\u{1f}' | '\u{7f}' => quoted.extend(format!("\\x{:02x}", u32::from(letter)).chars()),
            letter if letter.is_control() => quoted.extend(format!("\\u{:04x}", u32::from(letter)).chars()),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// What Consul says of so many bytes that are no gzip.
pub(crate) fn not_gzip(bytes: usize) -> String {
    let what = match bytes {
        0 => "EOF",
        1..10 => "unexpected EOF",
        _ => "gzip: invalid header",
    };
    format!("failed to decompress snapshot: {what}")
}

impl Part {
    /// Where in the file, after a verb.
    fn within(self) -> String {
        match self {
            Self::Header => "before one of its members".to_owned(),
            Self::End => "behind its last member".to_owned(),
            part => format!("within `{part}`"),
        }
    }

    /// What Consul failed to do when it stops there.
    fn consul_verb(self) -> &'static str {
        match self {
            Self::Header | Self::End => "failed reading snapshot",
            Self::Meta => "failed to read snapshot metadata",
            Self::State => "failed to read or write snapshot data",
            Self::Sums => "failed to read snapshot hashes",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Meta => "meta.json",
            Self::State => "state.bin",
            Self::Sums => "SHA256SUMS",
            Self::End => "end",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_as_go_does() {
        assert_eq!(go_quoted("a\"b\\\n\0\u{1b}\u{7f}ü\u{85}"), r#""a\"b\\\n\x00\x1b\x7fü\u0085""#);
    }
}
