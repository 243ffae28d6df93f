//! The words of `lictor service`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCandidates;

use super::{Agent, Watched};
use crate::complete;

#[derive(Debug, Subcommand)]
pub(crate) enum Service {
    /// List the services of this node and where each runs
    #[command(after_help = "Example:\n  lictor service list")]
    List {
        #[command(flatten)]
        how: Watched,
    },
    /// Show where a service runs, who holds its lease, and what is under way
    #[command(
        after_help = "Examples:\n  lictor service status\n  lictor service status web --watch\n  lictor service status web --format json | jq -r .active\n\nThe exit code is 0 when each runs on one node for all that this one can tell, and 1 when one runs\nnowhere, or that is in doubt."
    )]
    Status {
        /// The service [default: all of them]
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::services))]
        name: Option<String>,
        #[command(flatten)]
        how: Watched,
    },
    /// Have a service stop where it runs and start on another node
    #[command(
        visible_alias = "start-primary",
        after_help = "Examples:\n  lictor service switchover web --check\n  lictor service switchover web\n  lictor service switchover web --to node2 --timeout 1m\n  lictor service switchover web --force --timeout 5s\n\nFirst the other node says whether it can run the service; until then nothing is changed. The nodes\ndo it by themselves, whatever becomes of this command. Of two who ask at once, the second is told\nwho was first (exit code 6)."
    )]
    Switchover(Switchover),
    /// Have a node take over a service whose node is gone; nothing is taken from a node that still renews its lease
    #[command(
        after_help = "Example:\n  lictor service failover web --to node2\n\nThe node takes the service when it was given back, or when its lease has run out: then the node that\nran it has stopped it, or its guard has. This cannot be hurried: a node that does not answer may\nwell be running it."
    )]
    Failover(Moved),
    /// Start a service that runs nowhere, on this node or on another one
    #[command(
        after_help = "Examples:\n  lictor service start web\n  lictor service start web --to node2\n\nThat it runs already is no failure, unless --to names another node."
    )]
    Start(Moved),
    /// Stop a service wherever it runs, and keep it stopped until somebody starts it
    #[command(after_help = "Example:\n  lictor service stop web")]
    Stop(Asked),
    /// Stop and start a service on this node, which runs it and goes on holding its lease
    #[command(after_help = "Example:\n  lictor service restart web")]
    Restart(One),
    /// Have a service run on this node: a switchover to here
    #[command(after_help = "Example:\n  lictor service promote web")]
    Promote(Asked),
    /// Have a service run on another node than this one: a switchover away from here
    #[command(after_help = "Example:\n  lictor service demote web")]
    Demote(Asked),
    /// Have no node take a service over by itself for a while
    #[command(
        after_help = "Example:\n  lictor service pause web --for 1h --why \"new disks in node1\"\n\nIt ends by itself, and is shown wherever the service is. What people ask for is done meanwhile."
    )]
    Pause(Pause),
    /// End a pause now
    #[command(after_help = "Example:\n  lictor service resume web")]
    Resume(One),
    /// Show what has happened to a service, as this node has seen it
    #[command(after_help = "Example:\n  lictor service history web --limit 100")]
    History {
        /// The service
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::services))]
        name: String,
        /// So many of the latest
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
        #[command(flatten)]
        agent: Agent,
    },
    /// Prepare this machine for a service: bind its units to the lease, and make the first record of the lease
    #[command(
        after_help = "Examples:\n  lictor service init web --print\n  lictor service init web\n  lictor service init web --init-script\n\nTo be done on each node of the service, and again when its units change. What is as it should be\nstays untouched."
    )]
    Init(Init),
    /// Check whether a resource is as it should be here: an active node runs it, a standby does not
    #[command(
        subcommand,
        after_help = "Prints one line of JSON, and ends with 0 (passing), 1 (warning, or it cannot be told) or\n2 (critical), as Consul and Nagios want it. docs/powerconsul.md says what is expected when."
    )]
    Check(Check),
    /// What an init script asks: `lictor service NAME VERB`
    #[command(hide = true)]
    Script(Script),
}

/// One service.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The service
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::services))]
    pub(crate) name: String,
    /// Who wants it [default: the user and this machine]
    #[arg(long, value_name = "WHO")]
    pub(crate) by: Option<String>,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

/// Something that the nodes of a service are asked to do.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    #[command(flatten)]
    pub(crate) one: One,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// The same, with a node that is to run it.
#[derive(Debug, Args)]
pub(crate) struct Moved {
    #[command(flatten)]
    pub(crate) one: One,
    /// The node that is to run it [default: this one]
    #[arg(long, value_name = "NODE")]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Args)]
pub(crate) struct Switchover {
    #[command(flatten)]
    pub(crate) one: One,
    /// The node that is to run it [default: the first one in `nodes` that does not]
    #[arg(long, value_name = "NODE")]
    pub(crate) to: Option<String>,
    /// Only tell what would stop it, as far as this node can see
    #[arg(long)]
    pub(crate) check: bool,
    /// When the node that runs it does not answer, have it taken over once its lease has run out
    #[arg(long, conflicts_with_all = ["check", "no_wait"])]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// How long is waited.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Waiting {
    /// How long it may take until the service is being stopped or taken, or nothing is changed, besides the length of the
    /// lease where that may have to run out first; each step after that is waited for as long [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Ask for it and wait for nothing
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    pub(crate) one: One,
    /// How long, such as 1h
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) lasting: Duration,
    /// What for
    #[arg(long, value_name = "TEXT")]
    pub(crate) why: String,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) one: One,
    /// Where the files are written to, as if it were the root of the file system
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) root: PathBuf,
    /// Show the files and do nothing
    #[arg(long)]
    pub(crate) print: bool,
    /// Replace files that are there and say something else
    #[arg(long)]
    pub(crate) force: bool,
    /// Write an init script as well, /etc/init.d/NAME
    #[arg(long)]
    pub(crate) init_script: bool,
    /// Write a definition for Consul as well: the service, with a check that passes where it runs
    #[arg(long, value_name = "DIR")]
    pub(crate) consul_definitions: Option<PathBuf>,
}

/// What an init script passes on.
#[derive(Debug, Args)]
pub(crate) struct Script {
    /// The service
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// What is to be done
    #[arg(value_enum, value_name = "VERB")]
    pub(crate) verb: Verb,
    #[command(flatten)]
    pub(crate) agent: Agent,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// The words of an init script, as powerconsul's knew them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verb {
    /// Start it here, unless another node runs it.
    Start,
    /// Stop it here, unless this node is the one that runs it.
    Stop,
    /// Restart it here, where it runs.
    Restart,
    /// Show how it stands.
    Status,
    /// Have it run here.
    StartPrimary,
    /// What Consul starts when the key `…/promote` changes.
    Promote,
    /// What Consul starts when the key `…/demote` changes.
    Demote,
}

pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    lictor_config::duration(text).filter(|span| !span.is_zero()).ok_or("no duration such as 30s, 90m or 1h")
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
