//! The command line.

use thiserror::Error;

use crate::goflags::{FlagError, Words, boolean};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Print the usage. Exit status 0.
    Help,
    /// Print the version. Exit status 0.
    Version,
    /// Take snapshots.
    Backup {
        /// One, and end.
        once: bool,
    },
    /// Put back what a backup has.
    Restore {
        /// Its name, from the root of the bucket.
        path: String,
    },
}

/// A command line that makes no sense: the usage is printed with it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommandError {
    /// There is no command, or none of that name. Exit status 127.
    #[error("the commands are backup, restore and version{}", named(.0))]
    Unknown(String),
    /// Flags of a command make no sense. Exit status 1.
    #[error(transparent)]
    Flags(#[from] FlagError),
    /// `restore` without one path. Exit status 1.
    #[error(
        "restore takes one path, from the root of the bucket: <prefix>/2026/11/22/<host>.consul.snapshot.<time>.tar.gz"
    )]
    Path,
}

fn named(word: &str) -> String {
    if word.is_empty() { String::new() } else { format!(", not {word:?}") }
}

impl CommandError {
    /// How the program ends.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Unknown(_) => 127,
            Self::Flags(_) | Self::Path => 1,
        }
    }
}

impl Request {
    /// Reads the arguments behind the name of the program.
    ///
    /// # Errors
    /// The first mistake.
    pub fn parse<A: AsRef<str>>(arguments: &[A]) -> Result<Self, CommandError> {
        let words: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let is = |names: &'static [&str]| move |word: &&str| names.contains(word);
        if words.iter().any(is(&["-v", "-version", "--version"])) {
            return Ok(Self::Version);
        }
        let asks_help = is(&["-h", "-help", "--help"]);
        match words.as_slice() {
            [first, ..] if asks_help(first) => Ok(Self::Help),
            ["backup" | "restore" | "version", rest @ ..] if rest.iter().any(asks_help) => Ok(Self::Help),
            ["version", ..] => Ok(Self::Version),
            ["backup", rest @ ..] => Ok(Self::Backup { once: once(rest)? }),
            ["restore", path] => Ok(Self::Restore { path: (*path).to_owned() }),
            ["restore", ..] => Err(CommandError::Path),
            other => Err(CommandError::Unknown(other.first().copied().unwrap_or_default().to_owned())),
        }
    }
}

fn once(arguments: &[&str]) -> Result<bool, FlagError> {
    let mut once = false;
    let mut words = Words::new(arguments.iter().copied());
    while let Some((name, value)) = words.flag()? {
        if name != "once" {
            return Err(FlagError::Unknown(name.to_owned()));
        }
        once = boolean(name, value)?;
    }
    Ok(once)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Result<Request, (u8, String)> {
        let words: Vec<_> = line.split_whitespace().collect();
        Request::parse(&words).map_err(|error| (error.code(), error.to_string()))
    }

    #[test]
    fn what_is_asked_for_is_the_first_word() {
        for (line, expected) in [
            ("backup", Request::Backup { once: false }),
            ("backup -once", Request::Backup { once: true }),
            ("backup --once=false", Request::Backup { once: false }),
            (
                "restore backups/2026/1/2/x.tar.gz",
                Request::Restore { path: "backups/2026/1/2/x.tar.gz".into() },
            ),
            ("version", Request::Version),
            ("backup -v", Request::Version),
            ("--help", Request::Help),
            ("backup -h", Request::Help),
        ] {
            assert_eq!(parse(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn a_mistake_ends_it_as_it_did_before() {
        for (line, code, why) in [
            ("", 127, "the commands are backup, restore and version"),
            ("save", 127, "the commands are backup, restore and version, not \"save\""),
            ("backup -twice", 1, "flag provided but not defined: -twice"),
            ("backup now", 1, "cli: extra argument(s): [\"now\"]"),
        ] {
            assert_eq!(parse(line), Err((code, why.to_owned())), "{line}");
        }
        for line in ["restore", "restore a b"] {
            let (code, why) = parse(line).unwrap_err();
            assert!(code == 1 && why.starts_with("restore takes one path"), "{line}: {why}");
        }
    }

    proptest! {
        #[test]
        fn no_arguments_make_it_panic(arguments in prop::collection::vec("(backup|restore|-{0,3}[a-z]{0,5}=?[a-z]{0,5})", 0..5)) {
            drop(Request::parse(&arguments));
        }
    }
}
