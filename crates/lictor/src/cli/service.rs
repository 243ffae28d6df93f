//! The words of `lictor service`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Service {
    /// Check whether a resource is as it should be here: an active node runs it, a standby does not
    #[command(
        subcommand,
        after_help = "Prints one line of JSON, and ends with 0 (passing), 1 (warning, or it cannot be told) or\n2 (critical), as Consul and Nagios want it. docs/powerconsul.md says what is expected when."
    )]
    Check(Check),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Check {
    /// Check a unit of systemd, or an init script
    #[command(
        after_help = "Example:\n  lictor service check service -s apache2 -S web --cluster-key cluster/production"
    )]
    Service {
        /// The local service
        #[arg(long, short, value_name = "NAME")]
        service: String,
        #[command(flatten)]
        common: CheckArgs,
    },
    /// Check several together: all must run, or none
    Servicegroup {
        /// The local services, parted by commas
        #[arg(long, short, value_name = "NAMES", value_delimiter = ',', required = true)]
        service: Vec<String>,
        #[command(flatten)]
        common: CheckArgs,
    },
    /// Check whether a user's crontab runs something
    Crontab {
        /// The user
        #[arg(long, short, value_name = "NAME")]
        user: String,
        /// What a line of it must have
        #[arg(long, short, value_name = "TEXT")]
        pattern: Option<String>,
        #[command(flatten)]
        common: CheckArgs,
    },
    /// Check processes with check_procs of Nagios
    Process {
        /// Its arguments
        #[arg(long, short, value_name = "ARGS", allow_hyphen_values = true)]
        nagiosargs: String,
        #[command(flatten)]
        common: CheckArgs,
    },
}

/// What all checks take.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The service in Consul
    #[arg(long, short = 'S', value_name = "NAME")]
    pub(crate) consulservice: String,
    /// Where in Consul it lies who is active [default: as ~/.powerconsul.conf says, or nowhere]
    #[arg(long, value_name = "PREFIX")]
    pub(crate) cluster_key: Option<String>,
    /// What is expected counts as so while this file exists and is not too old
    #[arg(long, short = 'F', value_name = "PATH")]
    pub(crate) noopfile: Option<String>,
    /// The same while a process has this in its line of `ps aux`
    #[arg(long, short = 'P', value_name = "TEXT")]
    pub(crate) procstr: Option<String>,
    /// The same while such a line matches this from its start
    #[arg(long, short = 'R', value_name = "REGEX")]
    pub(crate) procre: Option<String>,
    /// As a standby that runs while no active node passes: exchange the roles
    #[arg(long, short = 'U')]
    pub(crate) updatekv: bool,
}
