//! The command line of the mesh of peers.

use clap::{Args, Subcommand};

use super::Watched;

/// `lictor peers`, with or without a word after it.
#[derive(Debug, Args)]
pub(crate) struct PeersArgs {
    #[command(subcommand)]
    pub(crate) command: Option<Peers>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Peers {
    /// Show how the peers of an agent stand: who sees whom, and since when
    #[command(
        after_help = "Examples:\n  lictor peers status\n  lictor peers status --watch\n  lictor peers status --address http://node2:8510\n  lictor peers status --format json | jq '.peers[] | select(.status != \"passing\")'\n\nThe exit code is 0 when all is well: each peer is, all see each other, and they can be found."
    )]
    Status(PeersStatus),
}

#[derive(Debug, Args)]
pub(crate) struct PeersStatus {
    #[command(flatten)]
    pub(crate) how: Watched,
}
