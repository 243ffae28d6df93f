//! Why a drill did not go well.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use lictor_snapshot::Kind;
use lictor_snapshot::source::ReadError;

use super::compared::Difference;
use super::folder::mebibytes;
use super::server::Version;
use super::{Drilled, Step};

/// Why a drill did not go well. [`Self::blames_snapshot`] tells whether that says something of the snapshot.
///
/// What a server said is shown with its last lines; no value of a key and no secret is among what is shown here.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The snapshot cannot be read.
    #[error("the snapshot is not sound: {0}")]
    Unsound(#[source] ReadError),
    /// It is no archive of Consul.
    #[error("only an archive of Consul can be restored, and this is none")]
    NoArchive,
    /// The program is none that is known.
    #[error("`{}` is no Consul that can be used: {why}", program.display())]
    Program {
        /// Which.
        program: PathBuf,
        /// What it did when it was asked for its version.
        why: String,
    },
    /// The program does not know all kinds of records, and would end.
    #[error("`{}` is Consul {version}, which does not know records of the kind {}: use one at least as new as the servers that wrote the snapshot", program.display(), listed(kinds))]
    TooOld {
        /// Which.
        program: PathBuf,
        /// Its version.
        version: Version,
        /// What it does not know.
        kinds: Vec<Kind>,
    },
    /// There is no room.
    #[error("no folder has room for the drill, which takes {}: {}", mebibytes(*needs), places(tried))]
    NoRoom {
        /// Bytes of files.
        needs: u64,
        /// Where it was tried, and what was in the way.
        tried: Vec<(PathBuf, io::Error)>,
    },
    /// There is too little memory for one more server.
    #[error("the drill's server takes some {} of memory, and {} are available", mebibytes(*needs), mebibytes(*available))]
    NoMemory {
        /// Bytes that it takes.
        needs: u64,
        /// Bytes that there are.
        available: u64,
    },
    /// Something in the folder cannot be done.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The server ended by itself.
    #[error("while {step}, the drill's server ended: {status}{said}")]
    Ended {
        /// What was being done.
        step: Step,
        /// How.
        status: ExitStatus,
        /// Its last lines.
        said: String,
    },
    /// The server refused something.
    #[error("while {step}, the drill's server failed: {source}{said}")]
    Refused {
        /// What was being done.
        step: Step,
        /// What it answered.
        source: Box<lictor_consul::Error>,
        /// Its last lines.
        said: String,
    },
    /// It took too long.
    #[error("the drill was not over within {limit:?}: it was still {step}{said}")]
    TimedOut {
        /// The limit.
        limit: Duration,
        /// What was being done.
        step: Step,
        /// The server's last lines.
        said: String,
    },
    /// What the server saved again cannot be read.
    #[error("what was restored and saved again is not sound: {0}")]
    UnsoundAfter(#[source] ReadError),
    /// The server does not have what was restored.
    #[error("{} of what was restored {} not as in the snapshot: {}", .0.total, if .0.total == 1 { "is" } else { "are" }, named(.0))]
    Differs(Box<Differing>),
    /// All is done, but the folder is left.
    #[error("the drill is over, but its folder {}, which holds all secrets, cannot be removed: {source}", folder.display())]
    Left {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What a server does not have as the snapshot has it.
#[derive(Debug)]
pub struct Differing {
    /// How many things.
    pub total: u64,
    /// The first of them.
    pub first: Vec<Difference>,
    /// What was found apart from that.
    pub drilled: Drilled,
}

impl DrillError {
    /// Whether it says something of the snapshot: it is damaged, or a server does not take it, or not all of it. Otherwise there
    /// was no drill, and the snapshot may be as good as any.
    #[must_use]
    pub fn blames_snapshot(&self) -> bool {
        match self {
            Self::Unsound(_) | Self::NoArchive | Self::UnsoundAfter(_) | Self::Differs(_) => true,
            Self::Ended { step, .. } | Self::Refused { step, .. } => *step != Step::Starting,
            Self::Program { .. }
            | Self::TooOld { .. }
            | Self::NoRoom { .. }
            | Self::NoMemory { .. }
            | Self::Io { .. }
            | Self::TimedOut { .. }
            | Self::Left { .. } => false,
        }
    }

    pub(super) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

fn listed(kinds: &[Kind]) -> String {
    let names: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    names.join(", ")
}

fn places(tried: &[(PathBuf, io::Error)]) -> String {
    let places: Vec<String> =
        tried.iter().map(|(place, error)| format!("{}: {error}", place.display())).collect();
    places.join("; ")
}

fn named(differing: &Differing) -> String {
    let shown: Vec<String> = differing.first.iter().map(ToString::to_string).collect();
    let mut text = shown.join(", ");
    let more = differing.total.saturating_sub(differing.first.len() as u64);
    if more > 0 {
        // Writing to a text does not fail.
        write!(text, " and {more} more").unwrap_or_default();
    }
    text
}
