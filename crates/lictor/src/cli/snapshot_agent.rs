//! The command line of snapshots that are taken regularly, and of the places they are in.

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::{Agent, Watched};
use crate::complete;
use crate::output::Format;

/// Snapshots that are taken without an agent of Lictor.
#[derive(Debug, Args)]
pub(crate) struct SnapshotAgent {
    /// Only this block of the configuration
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) config: SnapshotConfig,
    /// Take one now, send it, remove what need not stay, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// What is logged: error, warn, info, debug, trace; also per part
    #[arg(long, env = "LICTOR_LOG", default_value = "info", value_name = "LEVEL")]
    pub(crate) log_level: String,
}

/// Where the blocks `snapshot` are.
#[derive(Debug, Args)]
pub(crate) struct SnapshotConfig {
    /// File or directory of *.hcl and *.json [default: LICTOR_CONFIG, or /etc/lictor.d] (can be repeated)
    #[arg(long, short, value_name = "PATH")]
    pub(crate) config: Vec<PathBuf>,
}

/// How the snapshots of an agent stand.
#[derive(Debug, Args)]
pub(crate) struct SnapshotStatus {
    /// Only this block
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::snapshots))]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) how: Watched,
}

/// A snapshot that an agent is to take.
#[derive(Debug, Args)]
pub(crate) struct SnapshotTake {
    /// The block
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::snapshots))]
    pub(crate) name: String,
    /// Have the newest one restored into a throw-away server instead, and compared
    #[arg(long)]
    pub(crate) drill: bool,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

/// What is in the places.
#[derive(Debug, Args)]
pub(crate) struct SnapshotList {
    /// Only the places of this block
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Only this place
    #[arg(long, value_name = "PLACE")]
    pub(crate) place: Option<String>,
    #[command(flatten)]
    pub(crate) config: SnapshotConfig,
    /// How it is shown
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// What is fetched from a place.
#[derive(Debug, Args)]
pub(crate) struct SnapshotFetch {
    /// What it is called there; `latest` for the newest one
    #[arg(value_name = "WHAT")]
    pub(crate) what: String,
    /// The file it is written into [default: its name, here]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The block, if there are several
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// The place [default: the first one that has it]
    #[arg(long, value_name = "PLACE")]
    pub(crate) place: Option<String>,
    /// For `latest`: of which datacenter, if there are several [default: that of the block `consul`]
    #[arg(long, value_name = "NAME")]
    pub(crate) datacenter: Option<String>,
    #[command(flatten)]
    pub(crate) config: SnapshotConfig,
}
