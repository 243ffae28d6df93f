//! What can go wrong in a command of the project.

use std::io;
use std::path::{Path, PathBuf};

/// A failure, told to whoever ran the command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The program is not there or may not be run.
    #[error("cannot run `{command}`: {source}")]
    Start {
        /// What was to be run.
        command: String,
        /// Why it could not be.
        source: io::Error,
    },
    /// The program ended with something other than success.
    #[error("`{command}`: {status}{said}")]
    Failed {
        /// What was run.
        command: String,
        /// Its exit status or signal.
        status: String,
        /// The end of its output when it ran quietly, after a colon.
        said: String,
    },
    /// The program was ended because it took too long.
    #[error("`{command}` took longer than {seconds} s and was ended")]
    Late {
        /// What was run.
        command: String,
        /// Its time limit.
        seconds: u64,
    },
    /// A file or directory could not be read or written.
    #[error("cannot {verb} {}: {source}", path.display())]
    File {
        /// What was attempted.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another program's answer has not the form we know.
    #[error("cannot understand the answer of {of}: {what}")]
    Answer {
        /// Who answered.
        of: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The command did its work, and the result is bad news already told.
    #[error("{0}")]
    Verdict(String),
}

impl Error {
    /// For `map_err` after a file operation.
    pub(crate) fn file(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { verb, path, source }
    }
}
