//! The command line of what is copied between datacenters.

use clap::{Args, Subcommand};

use super::Agent;

/// `lictor replicate`.
#[derive(Debug, Subcommand)]
pub(crate) enum Replicate {
    /// Show what is copied, how far it is, and what is held back
    #[command(
        after_help = "Examples:\n  lictor replicate status\n  lictor replicate status shop --format json"
    )]
    Status {
        /// Only what this block copies
        #[arg(value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        agent: Agent,
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

/// A person's word on what is held back.
#[derive(Debug, Args)]
pub(crate) struct Word {
    /// The block
    #[arg(value_name = "NAME")]
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
