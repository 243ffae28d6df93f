//! The command line of alerts, their queue and silences.

use clap::{Args, Subcommand};
use clap_complete::ArgValueCandidates;

use super::{Agent, Alerts, Watched};
use crate::complete;

/// `lictor alerts`, with or without a word after it.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct AlertsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<Alerts>,
    #[command(flatten)]
    pub(crate) list: AlertList,
}

#[derive(Debug, Args)]
pub(crate) struct AlertList {
    /// Only those that fit: LABEL=VALUE, LABEL!=VALUE or LABEL=/PATTERN/ (can be repeated)
    #[arg(value_name = "MATCHER", value_parser = matcher)]
    pub(crate) matchers: Vec<String>,
    /// Only those of this status
    #[arg(long, value_name = "STATUS", value_parser = ["critical", "warning", "unknown", "passing"])]
    pub(crate) status: Option<String>,
    #[command(flatten)]
    pub(crate) how: Watched,
}

/// The agent reads matchers. A word without a sign was meant to be a command.
fn matcher(text: &str) -> Result<String, &'static str> {
    if text.contains(['=', '~']) {
        return Ok(text.to_owned());
    }
    Err("neither a command, which comes before the options, nor a matcher such as node=web1")
}

/// Some messages of the queue.
#[derive(Debug, Args)]
pub(crate) struct Choice {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Who wants it
    #[arg(long, env = "USER", hide_env_values = true, value_name = "WHO")]
    pub(crate) by: Option<String>,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// One message, such as d7
    #[arg(value_name = "MESSAGE")]
    pub(crate) delivery: Option<String>,
    /// All messages of a notifier
    #[arg(long, value_name = "NOTIFIER")]
    pub(crate) notifier: Option<String>,
    /// All messages
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Ack {
    /// The subject of an alert; or its title or check, when only one has that
    #[arg(value_name = "SUBJECT")]
    pub(crate) subject: String,
    /// So long at most, such as 2h [default: until it is over]
    #[arg(long = "for", value_name = "DURATION")]
    pub(crate) lasting: Option<String>,
    /// What is to be said of it
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// Who looks after it
    #[arg(long, env = "USER", hide_env_values = true, value_name = "WHO")]
    pub(crate) by: Option<String>,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Args)]
pub(crate) struct Unack {
    /// The subject of an alert; or its title or check, when only one has that
    #[arg(value_name = "SUBJECT")]
    pub(crate) subject: String,
    /// Who says so
    #[arg(long, env = "USER", hide_env_values = true, value_name = "WHO")]
    pub(crate) by: Option<String>,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Args)]
pub(crate) struct Forget {
    /// The node that is gone for good
    #[arg(value_name = "NODE")]
    pub(crate) node: String,
    /// Who wants it
    #[arg(long, env = "USER", hide_env_values = true, value_name = "WHO")]
    pub(crate) by: Option<String>,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Silence {
    /// Tell nobody of some alerts for a while
    #[command(
        after_help = "Examples:\n  lictor silence add node=web1 --for 2h --comment \"new disks\"\n  lictor silence add 'service=/^web/' 'check!=disk,swap' --for 30m\n\nAll matchers must fit. A value fits what is the same, /PATTERN/ is a pattern that is found somewhere in it, and of\nseveral values with commas between them one must fit. Labels are node, service, check, datacenter, source, tag and\nwhatever a source gives: `lictor alerts --format json` shows them. A value that has a comma or begins with a slash is\nput in quotation marks: 'path=\"/srv\"'."
    )]
    Add(SilenceAdd),
    /// List the silences in force
    List {
        #[command(flatten)]
        how: Watched,
    },
    /// End a silence now
    #[command(after_help = "Example:\n  lictor silence end s3")]
    End {
        /// The silence, such as s3
        #[arg(add = ArgValueCandidates::new(complete::silences))]
        id: String,
        #[command(flatten)]
        agent: Agent,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SilenceAdd {
    /// Which alerts: LABEL=VALUE, LABEL!=VALUE or LABEL=/PATTERN/ (can be repeated)
    #[arg(value_name = "MATCHER", required = true)]
    pub(crate) matchers: Vec<String>,
    /// So long, such as 90m, 2h or 1d
    #[arg(long = "for", value_name = "DURATION")]
    pub(crate) lasting: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// Who wants it
    #[arg(long, env = "USER", hide_env_values = true, value_name = "WHO")]
    pub(crate) by: Option<String>,
    #[command(flatten)]
    pub(crate) agent: Agent,
}
