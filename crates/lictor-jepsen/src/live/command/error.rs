//! Why a command could not be carried out.

use std::io;
use std::path::PathBuf;

use super::super::cell::CellError;
use super::super::nemesis::fault::Fault;
use super::super::runner::RunError;
use super::super::scratch::ScratchError;
use super::super::workload::Kind;
use super::super::world::disk::DiskError;
use crate::command;
use crate::history::HistoryError;

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There are no namespaces for it.
    #[error(transparent)]
    Cell(#[from] CellError),
    /// It was told to be in namespaces of its own, and is not.
    #[error("--inside is for the process that `run` starts: leave it out")]
    NotEnclosed,
    /// A scratch directory cannot be handled.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// The disk of an earlier run cannot be thawed.
    #[error("cannot thaw what an earlier run left: {0}")]
    Disk(#[from] DiskError),
    /// The control groups of machines cannot be removed.
    #[error("cannot remove the control groups of machines that were killed: {0}")]
    Sweep(io::Error),
    /// The run could not be made.
    #[error(transparent)]
    Run(#[from] RunError),
    /// What was written down is no history.
    #[error("the history of the run is not well formed: {0}")]
    History(#[from] HistoryError),
    /// There is no Consul.
    #[error("there is no program of Consul {0}: name one by --consul")]
    NoConsul(String),
    /// There is no Lictor.
    #[error(
        "there is no program of Lictor {0}: build one by `cargo build -p lictor`, or name one by --lictor"
    )]
    NoLictor(String),
    /// A workload is for another target.
    #[error("the workload `{0}` is for --target {1}")]
    OtherTarget(Kind, &'static str),
    /// A workload boots machines, which only root may.
    #[error("the workload `{0}` boots machines: that needs root")]
    NotRoot(Kind),
    /// A fault is done to agents, and there are none.
    #[error("the fault `{0}` is done to agents: it is for --target lictor")]
    NoAgents(Fault),
    /// A directory cannot be made.
    #[error("cannot make the directory {}: {source}; name another by --dir", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was seen cannot be judged, or not be told.
    #[error(transparent)]
    Judge(#[from] command::CommandError),
    /// The program cannot do several things at a time.
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
}

impl CommandError {
    /// What the program exits with, which is no verdict: 64 for a wrong command line, 71 for what this machine refuses,
    /// 74 for what cannot be written, or what [`command::CommandError`] says.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NotEnclosed
            | Self::NoConsul(_)
            | Self::NoLictor(_)
            | Self::OtherTarget(..)
            | Self::NoAgents(_) => 64,
            Self::NotRoot(_)
            | Self::Cell(_)
            | Self::Scratch(_)
            | Self::Disk(_)
            | Self::Sweep(_)
            | Self::Run(_)
            | Self::Runtime(_) => 71,
            Self::History(_) | Self::Directory { .. } | Self::File { .. } => 74,
            Self::Judge(error) => error.exit_code(),
        }
    }
}
