//! A connection monitor, as far as it is more than the blocks it stands for.

use std::time::Duration;

use lictor_core::{CheckName, LeaseName, RemedyName, StepName};

/// `connection_monitor "NAME"`: how its state is kept where others look for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Its name, which is that of its check and of its remedy.
    pub name: String,
    /// Where its keys lie in Consul, with a trailing slash.
    pub prefix: String,
    /// How long they are kept after it was removed.
    pub retain: Duration,
    /// How many nodes have it.
    pub instances: u32,
    /// Whether it acts while Consul cannot be reached.
    pub act_without_consul: bool,
    /// Time from one look to the next.
    pub every: Duration,
    /// How long the connection must be good before torrents are started.
    pub stability: Duration,
    /// The check that says whether it is stable.
    pub check: CheckName,
    /// The check of the tunnel.
    pub vpn: Option<CheckName>,
    /// The check of the public address.
    pub ip: Option<CheckName>,
    /// The remedy.
    pub remedy: RemedyName,
    /// The remedy against leaks.
    pub leak: RemedyName,
    /// What a node holds while it acts, with a `consul` block.
    pub lease: Option<LeaseName>,
    /// The phase that each step of the remedy belongs to; one that is not here to none.
    pub phases: Vec<(StepName, Phase)>,
    /// Pause before the second attempt.
    pub backoff: Duration,
    /// What it stands for, as it would be written; without secrets.
    pub expansion: String,
}

/// A phase of the cure, in the words of the program that had them first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Torrents are being stopped.
    StoppingTorrents,
    /// The workload is being restarted.
    RestartingNomad,
    /// The connection must be good for a while.
    WaitingForStability,
    /// Torrents are being started.
    RestartingTorrents,
}
