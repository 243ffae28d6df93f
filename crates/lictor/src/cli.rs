//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::output::Format;
use crate::telemetry::LogFormat;

/// Keeps services alive without a person awake.
#[derive(Debug, Parser)]
#[command(
    name = "lictor",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Try it:  lictor dev\n\nLong flags may have one dash (-format json). Exit codes: docs/exit-codes.md."
)]
pub(crate) struct Cli {
    /// Show no colours (also: NO_COLOR)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Try Lictor on this machine: no configuration, no root, and a service to break
    Dev(Dev),
    /// Run the agent
    #[command(
        after_help = "Examples:\n  lictor run --config /etc/lictor.d\n  lictor run --config base.hcl --config local.hcl\n\nHUP reloads the configuration; INT, QUIT and TERM stop the agent."
    )]
    Run(Run),
    /// Check a configuration and show every mistake in it
    #[command(
        after_help = "Examples:\n  lictor validate /etc/lictor.d\n  lictor validate --format json lictor.hcl"
    )]
    Validate(Validate),
    /// Show how things stand
    #[command(
        after_help = "Examples:\n  lictor status\n  lictor status --watch\n  lictor status --format json | jq '.checks[] | select(.status != \"passing\")'"
    )]
    Status(Status),
    /// List incidents, or show one with its timeline
    #[command(after_help = "Examples:\n  lictor incidents --open\n  lictor incidents i5")]
    Incidents(Incidents),
    /// Show what was seen, decided and done
    #[command(
        after_help = "Examples:\n  lictor events --limit 100\n  lictor events --follow\n  lictor events --incident i5 --format json"
    )]
    Events(Events),
    /// Explain an incident or a check: what it is judged by and why remedies did or did not start.
    /// With a configuration: what a connection monitor in it stands for
    #[command(
        after_help = "Examples:\n  lictor explain i5\n  lictor explain shop\n  lictor explain torrents --config /etc/lictor.d"
    )]
    Explain(Explain),
    /// Show and steer remedies and their runs
    #[command(subcommand)]
    Remedy(Remedy),
    /// Show or remove what is kept of connection monitors, here and in Consul
    #[command(subcommand)]
    State(State),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  lictor completions bash > /etc/bash_completion.d/lictor")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Where the agent is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Agent {
    /// Address of the agent
    #[arg(long, env = "LICTOR_HTTP_ADDR", default_value = "http://127.0.0.1:8510", value_name = "URL")]
    pub(crate) address: String,
    /// Token to show to the agent
    #[arg(long, env = "LICTOR_HTTP_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// File with the token to show to the agent
    #[arg(long, env = "LICTOR_HTTP_TOKEN_FILE", value_name = "FILE", conflicts_with = "token")]
    pub(crate) token_file: Option<PathBuf>,
    /// How the answer is shown
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// What is logged: error, warn, info, debug, trace; also per part
    #[arg(long, env = "LICTOR_LOG", default_value = "info", value_name = "LEVEL")]
    pub(crate) log_level: String,
    /// How it is logged
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Port of the page; another free one is taken if it is in use
    #[arg(long, default_value_t = 8510)]
    pub(crate) port: u16,
    /// Where the state lies [default: lictor/dev in $XDG_STATE_HOME or ~/.local/state]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Print the configuration that it runs with, and end
    #[arg(long)]
    pub(crate) print_config: bool,
    /// What is logged besides the events
    #[arg(long, env = "LICTOR_LOG", default_value = "warn", value_name = "LEVEL")]
    pub(crate) log_level: String,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// File or directory of *.hcl and *.json (can be repeated)
    #[arg(long, short, env = "LICTOR_CONFIG", default_value = "/etc/lictor.d", value_name = "PATH")]
    pub(crate) config: Vec<PathBuf>,
    /// Act although the store is new and Consul has not confirmed what it knows of this node
    #[arg(long)]
    pub(crate) new_node: bool,
    #[command(flatten)]
    pub(crate) logs: Logs,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Files or directories
    #[arg(default_value = "/etc/lictor.d", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// How mistakes are shown
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// Show every check, also those that pass
    #[arg(long, short)]
    pub(crate) all: bool,
    /// Show it anew whenever something changes
    #[arg(long, short)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Incidents {
    /// One incident, with its timeline
    #[arg(value_name = "INCIDENT")]
    pub(crate) id: Option<String>,
    /// Only open ones
    #[arg(long)]
    pub(crate) open: bool,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on as they happen
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// So many of the latest
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) limit: u32,
    /// Only those of an incident
    #[arg(long, value_name = "INCIDENT")]
    pub(crate) incident: Option<String>,
    /// Only those of a run
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Only those about a check
    #[arg(long, value_name = "CHECK")]
    pub(crate) check: Option<String>,
    /// Only of this kind, such as transition (can be repeated)
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Vec<String>,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// A check, or an incident such as i5; with --config a connection monitor
    #[arg(value_name = "INCIDENT|CHECK|MONITOR")]
    pub(crate) what: String,
    /// Write out a connection monitor of this configuration (can be repeated); no agent is asked
    #[arg(long, short, value_name = "PATH")]
    pub(crate) config: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Subcommand)]
pub(crate) enum State {
    /// List the connection monitors whose state is kept
    List {
        #[command(flatten)]
        agent: Agent,
    },
    /// Remove the state of a connection monitor that is not configured any more
    Forget {
        /// The monitor
        name: String,
        #[command(flatten)]
        agent: Agent,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Remedy {
    /// List remedies and their runs
    List {
        #[command(flatten)]
        agent: Agent,
    },
    /// Show a remedy, or a run such as r17 with its timeline
    #[command(after_help = "Examples:\n  lictor remedy show reconnect\n  lictor remedy show r17")]
    Show {
        /// A remedy, or a run
        #[arg(value_name = "REMEDY|RUN")]
        what: String,
        #[command(flatten)]
        agent: Agent,
    },
    /// Start a remedy now; cooldown, budget and guard are set aside
    Start {
        /// The remedy
        remedy: String,
        #[command(flatten)]
        agent: Agent,
    },
    /// Cancel a run; its clean-up step is still done
    Cancel {
        /// The run
        run: String,
        #[command(flatten)]
        agent: Agent,
    },
    /// Try the step of a parked run again
    Retry {
        /// The run
        run: String,
        #[command(flatten)]
        agent: Agent,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }
}
