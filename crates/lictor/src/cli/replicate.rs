//! The command line of what is copied between datacenters.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

use super::{Agent, Watched};
use crate::complete;
use crate::output::Format;

/// `lictor replicate`.
#[derive(Debug, Subcommand)]
pub(crate) enum Replicate {
    /// Copy without an agent, once or until it is stopped: what a configuration says, or the command line
    #[command(
        after_help = "Examples:\n  lictor replicate run config/@dc1 --to dc2 --dry-run\n  lictor replicate run config/@dc1:backup/ --once --delete\n  lictor replicate run --config /etc/lictor.d --name config --once\n\nFor what is given here Consul is reached as by its own program: CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN and the others.\nWhere an agent copies the block, this waits until it does not; with --once it says who does, and ends."
    )]
    Run(ReplicateRun),
    /// Show what is copied, how far it is, and what is held back
    #[command(
        after_help = "Examples:\n  lictor replicate status\n  lictor replicate status --watch\n  lictor replicate status shop --format json"
    )]
    Status {
        /// Only what this block copies
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::copies))]
        name: Option<String>,
        #[command(flatten)]
        how: Watched,
    },
    /// Have deletes done that are held back
    #[command(
        after_help = "Example:\n  lictor replicate approve shop 5f0c93a1\n\n`lictor replicate status` shows them and what they are called."
    )]
    Approve(Word),
    /// Have keys stay whose deletes are held back, until the source has them again
    #[command(
        after_help = "Example:\n  lictor replicate discard shop 5f0c93a1\n\n`lictor replicate status` shows them and what they are called."
    )]
    Discard(Word),
}

/// What is copied by hand, and how.
#[derive(Debug, Args)]
pub(crate) struct ReplicateRun {
    /// SOURCE@DATACENTER or SOURCE@DATACENTER:DESTINATION; without one it is what the configuration says
    #[arg(value_name = "PREFIX")]
    pub(crate) prefixes: Vec<String>,
    /// File or directory of *.hcl and *.json [default: LICTOR_CONFIG, or /etc/lictor.d] (can be repeated)
    #[arg(long, short, value_name = "PATH", conflicts_with = "prefixes")]
    pub(crate) config: Vec<PathBuf>,
    /// Only this block of the configuration; with a PREFIX, the name of its lease [default: by-hand]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// A datacenter it is copied to [default: that of the Consul agent] (can be repeated)
    #[arg(long, value_name = "DATACENTER", requires = "prefixes")]
    pub(crate) to: Vec<String>,
    /// Take sources and destinations for folders
    #[arg(long, requires = "prefixes")]
    pub(crate) folder: bool,
    /// Leave keys of the source alone that begin so (can be repeated)
    #[arg(long, value_name = "PREFIX", requires = "prefixes")]
    pub(crate) exclude: Vec<String>,
    /// Delete keys that only a destination has
    #[arg(long, requires = "prefixes")]
    pub(crate) delete: bool,
    /// How many may be deleted without --approve: a share, `10%`, or a number
    #[arg(long, value_name = "LIMIT", requires = "delete")]
    pub(crate) delete_limit: Option<String>,
    /// Delete what was held back under this id (can be repeated)
    #[arg(long, value_name = "ID")]
    pub(crate) approve: Vec<String>,
    /// End when everything was copied
    #[arg(long)]
    pub(crate) once: bool,
    /// Write nothing: say what would be done, and end
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How the outcome is shown
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// What is logged: error, warn, info, debug, trace; also per part
    #[arg(long, env = "LICTOR_LOG", default_value = "warn", value_name = "LEVEL")]
    pub(crate) log_level: String,
}

/// A person's word on what is held back.
#[derive(Debug, Args)]
pub(crate) struct Word {
    /// The block
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::copies))]
    pub(crate) name: String,
    /// What the deletes are called
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// Who says so
    #[arg(long, env = "USER", hide_env_values = true, value_name = "WHO")]
    pub(crate) by: Option<String>,
    #[command(flatten)]
    pub(crate) agent: Agent,
}
