//! The command line.

mod alerts;
mod peers;
mod probe;
mod replicate;
mod service;
mod snapshot;
mod snapshot_agent;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::{ArgValueCandidates, Shell};

use crate::complete;
use crate::output::Format;
use crate::telemetry::LogFormat;
pub(crate) use alerts::{Ack, AlertList, AlertsArgs, Choice, Forget, Silence, SilenceAdd, Unack};
pub(crate) use peers::{Peers, PeersArgs, PeersStatus};
pub(crate) use probe::Probe;
pub(crate) use replicate::{Replicate, ReplicateRun, Word};
pub(crate) use service::{
    Asked, Check, CheckArgs, Init, Moved, One, Pause, Script, Service, Switchover, Verb, Waiting,
};

pub(crate) use snapshot::{
    Snapshot, SnapshotDecode, SnapshotDiff, SnapshotDrill, SnapshotGet, SnapshotInspect, SnapshotKeys,
    SnapshotPart, SnapshotReach, SnapshotRestore, SnapshotSave, SnapshotSeal, SnapshotSecret, SnapshotState,
    SnapshotStateRestore, SnapshotStateSave, SnapshotVerify,
};
pub(crate) use snapshot_agent::{
    SnapshotAgent, SnapshotConfig, SnapshotFetch, SnapshotList, SnapshotStatus, SnapshotTake,
};

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
    /// Play the past through a configuration: what would have fired, been held back and done
    #[command(
        after_help = "Examples:\n  journalctl -o export --since -7d | lictor backtest --config new.hcl -\n  lictor backtest --config new.hcl --journal --from -7d\n  lictor backtest --config new.hcl --as app-log --events /var/log/app.log*\n  lictor backtest --config new.hcl --prometheus http://127.0.0.1:9090 --from -1d --step 15s\n\nA SOURCE is what `journalctl -o export` or `-o json` wrote, a .journal file, a directory with such files, or a\nlog whose lines begin with a time; also compressed with gzip, and `-` for the standard input. Several are played\ntogether, in the order of their times. Records of a journal go to every journal watcher that would have got them,\nthe lines of a log to the file watcher that reads it. No action is carried out: each is taken as done."
    )]
    Backtest(Backtest),
    /// Run the tests of rules that lie beside them in files *.test.hcl
    #[command(
        after_help = "Examples:\n  lictor test /etc/lictor.d\n  lictor test shop.test.hcl --run restart\n\nWhat may stand in a test: docs/reference/rule-tests.md."
    )]
    Test(Test),
    /// Show how things stand
    #[command(
        after_help = "Examples:\n  lictor status\n  lictor status --watch\n  lictor status --format json | jq '.checks[] | select(.status != \"passing\")'"
    )]
    Status(Status),
    /// Show how things stand live, on the whole terminal
    #[command(
        after_help = "Examples:\n  lictor top\n  ssh -t web1 lictor top\n\nKeys: 1 to 9 and Tab choose what is listed, Enter shows all of a line, / filters, ? helps, q ends."
    )]
    Top(Top),
    /// List incidents, or show one with its timeline
    #[command(
        after_help = "Examples:\n  lictor incidents --open\n  lictor incidents --open --watch\n  lictor incidents i5"
    )]
    Incidents(Incidents),
    /// Show what was seen, decided and done
    #[command(
        after_help = "Examples:\n  lictor events --limit 100\n  lictor events --follow\n  lictor events --incident i5 --format json"
    )]
    Events(Events),
    /// Show who asked for what, when, from where, and what became of it
    #[command(
        after_help = "Examples:\n  lictor audit\n  lictor audit --limit 500 --format json\n  lictor audit verify\n\nEvery request to an agent that would change something is in it, also one that was refused. Each entry names the\nhash of the one before; `verify` says where that does not fit: docs/http.md."
    )]
    Audit(Audit),
    /// Explain an incident or a check: what it is judged by and why remedies did or did not start.
    /// With a configuration: what a connection monitor in it stands for
    #[command(
        after_help = "Examples:\n  lictor explain i5\n  lictor explain shop\n  lictor explain torrents --config /etc/lictor.d"
    )]
    Explain(Explain),
    /// Show and steer remedies and their runs
    #[command(subcommand)]
    Remedy(Remedy),
    /// Show what is wrong and who was told, steer what waits to be told, and try notifiers
    #[command(
        after_help = "Examples:\n  lictor alerts\n  lictor alerts --status critical node=web1\n  lictor alerts --watch\n  lictor alerts queue\n  lictor alerts retry --notifier ops\n  lictor alerts ack 'disk on web1' --for 2h"
    )]
    Alerts(AlertsArgs),
    /// Tell nobody of some alerts for a while
    #[command(subcommand)]
    Silence(Silence),
    /// Answer what is asked of this machine: how URLs stand and how full its disks are
    #[command(
        after_help = "Examples:\n  lictor probe --url http://127.0.0.1:8080/health\n  lictor probe --auth-file /etc/lictor/probe.users --volume / --volume /srv\n  PORT=5988 URLS='http://a/ http://b/' lictor probe --open\n\nGET /status, /disk, or / for both. PORT, URLS, VOLUMES, TIMEOUT and AUTH_FILE in the environment say the same\nas the options, which win. An agent answers the same with a block `probe`: docs/peers.md."
    )]
    Probe(Probe),
    /// Watch the peers that the environment names and tell a chat of Telegram; or show how those of an agent stand
    #[command(
        after_help = "Examples:\n  PEERS_SRV=_sentinella._tcp.example.com TG_TOKEN=... TG_CHAT_ID=... lictor peers\n  lictor peers status\n\nWithout a command the environment says what is done, as for `watcher`: `lictor watcher --help` lists it. An agent\nwith a block `peers` does the same and more: docs/peers.md."
    )]
    Peers(PeersArgs),
    /// Show and steer the services that run on one of several nodes
    #[command(
        subcommand,
        after_help = "Examples:\n  lictor service status web\n  lictor service switchover web --to node2\n  lictor service pause web --for 1h --why \"new disks\"\n\n`lictor service NAME VERB` is taken as well, as an init script calls it: docs/services.md."
    )]
    Service(Service),
    /// Copy keys of Consul between datacenters, show how it stands, and decide about deletes that are held back
    #[command(
        subcommand,
        after_help = "Examples:\n  lictor replicate status\n  lictor replicate approve shop 5f0c93a1\n  lictor replicate run config/@dc1 --to dc2 --dry-run\n\nWhat an agent is copied is said by blocks `replicate`: docs/replicate.md."
    )]
    Replicate(Replicate),
    /// Save, restore, check and compare snapshots of Consul, and show what is in them
    #[command(
        subcommand,
        after_help = "Examples:\n  lictor snapshot save backup.snap\n  lictor snapshot restore --dry-run backup.snap\n  lictor snapshot verify /var/backups/consul\n\nMore: docs/snapshot.md."
    )]
    Snapshot(Snapshot),
    /// Print the configuration of another program as ours
    #[command(subcommand)]
    Import(Import),
    /// Show or remove what is kept of connection monitors, here and in Consul
    #[command(subcommand)]
    State(State),
    /// Have this program take the place of one that it replaces, under its name
    #[command(
        after_help = "Examples:\n  lictor link\n  lictor link consul-replicate\n  lictor link --remove consul-replicate\n\nWithout a name it lists the names. A link to this program is put into the folder; a program that is there stays,\nunless --force has it kept as NAME.before-lictor, and --remove puts that back."
    )]
    Link(Link),
    /// Print what a configuration may have done to units of systemd, a line `VERB UNIT` each
    #[command(hide = true)]
    Units(Units),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  lictor completions bash > /etc/bash_completion.d/lictor")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Whose configuration is printed as ours.
#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// The keys of consul-alerts, from Consul (CONSUL_HTTP_ADDR and the other variables of the consul program) or from a file
    #[command(
        after_help = "Examples:\n  lictor import consul-alerts > alerts.hcl\n  consul kv export consul-alerts/ | lictor import consul-alerts --file -\n\nWhat is marked TODO in it needs a decision; what is marked SECRET is better kept in a file."
    )]
    ConsulAlerts(ImportConsulAlerts),
    /// The environment of sentinèlla: of its probe, its watcher, or of sentinel
    #[command(
        after_help = "Example:\n  lictor import sentinella /etc/sentinella/watcher.env > peers.hcl\n\nThe file has lines NAME=value, as systemd's EnvironmentFile= has them. What is marked TODO in it needs a decision;\nwhat is marked SECRET is better kept in a file."
    )]
    Sentinella(ImportSentinella),
    /// What powerconsul has on a machine: Python init scripts, .powerconsul.conf, service and watch definitions of Consul
    #[command(
        after_help = "Example:\n  lictor import powerconsul /etc/init.d/web ~/.powerconsul.conf /etc/consul/*.json > services.hcl\n\nWhat is marked TODO in it needs a decision."
    )]
    Powerconsul(ImportPowerconsul),
    /// The settings of consul-replicate: its flags, the files that they name, and the environment
    #[command(
        after_help = "Examples:\n  lictor import consul-replicate -config=/etc/consul-replicate.hcl > replicate.hcl\n  lictor import consul-replicate -prefix=global@dc1:backup\n\nWhat is marked TODO in it needs a decision. Secrets are not printed: files are named into which they belong."
    )]
    ConsulReplicate(ImportArguments),
    /// The settings of the snapshot agent of Consul Enterprise: its flags, and the files that they name
    #[command(
        after_help = "Examples:\n  lictor import consul-snapshot-agent -config-dir=/etc/consul-snapshot.d > snapshot.hcl\n  lictor import consul-snapshot-agent -interval=30m -local-path=/var/backups/consul\n\nWhat is marked TODO in it needs a decision. Secrets are not printed: files are named into which they belong."
    )]
    ConsulSnapshotAgent(ImportArguments),
    /// The environment of consul-snapshot
    #[command(
        after_help = "Example:\n  lictor import consul-snapshot /etc/consul-snapshot.env > snapshot.hcl\n\nThe file has lines NAME=value, as systemd's EnvironmentFile= has them. What is marked TODO in it needs a decision.\nSecrets are not printed: files are named into which they belong."
    )]
    ConsulSnapshot(ImportConsulSnapshot),
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The arguments with which it was started, behind its name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportConsulSnapshot {
    /// The environment file; `-` for the standard input
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ImportPowerconsul {
    /// The files
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportSentinella {
    /// The environment file; `-` for the standard input
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ImportConsulAlerts {
    /// Read what `consul kv export` wrote in place of Consul; `-` for the standard input
    #[arg(long, value_name = "FILE", conflicts_with = "http_addr")]
    pub(crate) file: Option<PathBuf>,
    /// Address of Consul
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http_addr: Option<String>,
    /// Where the keys lie
    #[arg(long, default_value = "consul-alerts/", value_name = "PREFIX")]
    pub(crate) prefix: String,
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

/// Where the agent is, for what can be looked at until it is stopped.
#[derive(Debug, Clone, Args)]
pub(crate) struct Watched {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// Show it anew whenever something changes; as JSON in one line each time
    #[arg(long, short)]
    pub(crate) watch: bool,
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
pub(crate) struct Link {
    /// The names
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Where the links lie
    #[arg(long, value_name = "DIR", default_value = "/usr/local/bin")]
    pub(crate) dir: PathBuf,
    /// Keep a program that is there as NAME.before-lictor
    #[arg(long, conflicts_with = "remove")]
    pub(crate) force: bool,
    /// Remove the links, and put back what was kept
    #[arg(long, requires = "names")]
    pub(crate) remove: bool,
    /// How the list is shown
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// For the rule of polkit in the packages.
#[derive(Debug, Args)]
pub(crate) struct Units {
    /// File or directory of *.hcl and *.json (can be repeated)
    #[arg(long, short, env = "LICTOR_CONFIG", default_value = "/etc/lictor.d", value_name = "PATH")]
    pub(crate) config: Vec<PathBuf>,
    /// Put it into this file in one go, in place of printing it
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Backtest {
    /// File or directory of *.hcl and *.json (can be repeated)
    #[arg(long, short, env = "LICTOR_CONFIG", default_value = "/etc/lictor.d", value_name = "PATH")]
    pub(crate) config: Vec<PathBuf>,
    /// What is played; WATCHER=PATH says which watcher gets the lines of a log
    #[arg(value_name = "SOURCE")]
    pub(crate) sources: Vec<String>,
    /// Play the journal of this machine
    #[arg(long)]
    pub(crate) journal: bool,
    /// Leave out what is older: 2026-11-14, "2026-11-14 12:00", an RFC 3339 time, or -7d
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) from: Option<String>,
    /// Leave out what is newer
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) to: Option<String>,
    /// The watcher that gets the lines of logs, when it does not follow from their paths
    #[arg(long = "as", value_name = "WATCHER")]
    pub(crate) lines_to: Option<String>,
    /// Lines a second, for logs that do not say their times
    #[arg(long, value_name = "LINES")]
    pub(crate) at_rate: Option<f64>,
    /// Ask this Prometheus for what its watchers would have seen; `configured`: the one each names
    #[arg(long, value_name = "URL")]
    pub(crate) prometheus: Option<String>,
    /// Time between two looks of those watchers [default: their own]
    #[arg(long, value_name = "DURATION", requires = "prometheus")]
    pub(crate) step: Option<String>,
    /// Take as given what no source says: check.NAME=STATUS or value.NAME.VALUE=SOMETHING (can be repeated)
    #[arg(long, value_name = "ASSUMPTION")]
    pub(crate) assume: Vec<String>,
    /// How long each action takes
    #[arg(long, value_name = "DURATION", default_value = "0s")]
    pub(crate) action_takes: String,
    /// A rule, remedy or step (remedy/step) whose actions fail (can be repeated)
    #[arg(long, value_name = "NAME")]
    pub(crate) fail: Vec<String>,
    /// Show all that happens, in order
    #[arg(long)]
    pub(crate) events: bool,
    /// How the outcome is shown; as JSON each event is a line of its own before it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Files of tests, or directories with such files
    #[arg(default_value = "/etc/lictor.d", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only tests whose names match this regular expression
    #[arg(long, value_name = "REGEX")]
    pub(crate) run: Option<String>,
    /// How the outcome is shown
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) how: Watched,
    /// Show every check, also those that pass
    #[arg(long, short)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Top {
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Args)]
pub(crate) struct Incidents {
    /// One incident, with its timeline
    #[arg(value_name = "INCIDENT", add = ArgValueCandidates::new(complete::incidents))]
    pub(crate) id: Option<String>,
    /// Only open ones
    #[arg(long)]
    pub(crate) open: bool,
    #[command(flatten)]
    pub(crate) how: Watched,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Audit {
    #[command(subcommand)]
    pub(crate) command: Option<AuditCommand>,
    /// So many of the latest
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) limit: u32,
    /// Those before this number
    #[arg(long, value_name = "NUMBER")]
    pub(crate) before: Option<u64>,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Look at the whole record, and say where it was touched
    Verify {
        #[command(flatten)]
        agent: Agent,
    },
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
    #[arg(long, value_name = "INCIDENT", add = ArgValueCandidates::new(complete::incidents))]
    pub(crate) incident: Option<String>,
    /// Only those of a run
    #[arg(long, value_name = "RUN", add = ArgValueCandidates::new(complete::runs))]
    pub(crate) run: Option<String>,
    /// Only those about a check
    #[arg(long, value_name = "CHECK", add = ArgValueCandidates::new(complete::checks))]
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
    #[arg(value_name = "INCIDENT|CHECK|MONITOR", add = ArgValueCandidates::new(complete::incidents_and_checks))]
    pub(crate) what: String,
    /// Write out a connection monitor of this configuration (can be repeated); no agent is asked
    #[arg(long, short, value_name = "PATH")]
    pub(crate) config: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Alerts {
    /// List what is wrong, and who was told
    #[command(
        after_help = "Examples:\n  lictor alerts list\n  lictor alerts list 'service=/^web/' 'node!=web3'"
    )]
    List(AlertList),
    /// Show the messages that no notifier has accepted yet
    Queue {
        #[command(flatten)]
        how: Watched,
    },
    /// Try waiting messages at once
    #[command(
        after_help = "Examples:\n  lictor alerts retry d7\n  lictor alerts retry --notifier ops\n  lictor alerts retry --all"
    )]
    Retry(Choice),
    /// Give waiting messages up
    #[command(after_help = "Examples:\n  lictor alerts drop d7\n  lictor alerts drop --notifier ops")]
    Drop(Choice),
    /// Say that somebody looks after an alert: no more reminders until it is over
    #[command(
        after_help = "Examples:\n  lictor alerts ack disk --for 2h --comment \"ordering disks\"\n  lictor alerts ack consul/dc1/web1/shop-1/http"
    )]
    Ack(Ack),
    /// Say that nobody looks after an alert any more
    Unack(Unack),
    /// Forget what a node said last that shared its alerts and is gone for good
    #[command(
        after_help = "Example:\n  lictor alerts forget web7\n\nAny node that shares its alerts can be asked. It refuses when that node was heard of within the\nlast three minutes."
    )]
    Forget(Forget),
    /// Send a message that says that it is a test, and tell what became of it
    #[command(
        after_help = "Example:\n  lictor alerts test ops --config /etc/lictor.d\n\nThe exit code is 0 when it was accepted."
    )]
    Test(TryNotifier),
    /// Show what a notifier would send, without secrets, and send nothing
    #[command(after_help = "Example:\n  lictor alerts preview ops --config /etc/lictor.d --resolved")]
    Preview(TryNotifier),
}

#[derive(Debug, Args)]
pub(crate) struct TryNotifier {
    /// The notifier
    #[arg(value_name = "NOTIFIER")]
    pub(crate) notifier: String,
    /// File or directory of *.hcl and *.json (can be repeated)
    #[arg(long, short, env = "LICTOR_CONFIG", default_value = "/etc/lictor.d", value_name = "PATH")]
    pub(crate) config: Vec<PathBuf>,
    /// Say that it is over in place of wrong
    #[arg(long)]
    pub(crate) resolved: bool,
    /// How it is shown
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
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
        how: Watched,
    },
    /// Show a remedy, or a run such as r17 with its timeline
    #[command(after_help = "Examples:\n  lictor remedy show reconnect\n  lictor remedy show r17")]
    Show {
        /// A remedy, or a run
        #[arg(value_name = "REMEDY|RUN", add = ArgValueCandidates::new(complete::remedies_and_runs))]
        what: String,
        #[command(flatten)]
        how: Watched,
    },
    /// Start a remedy now; cooldown, budget and guard are set aside
    Start {
        /// The remedy
        #[arg(add = ArgValueCandidates::new(complete::remedies))]
        remedy: String,
        #[command(flatten)]
        agent: Agent,
    },
    /// Cancel a run; its clean-up step is still done
    Cancel {
        /// The run
        #[arg(add = ArgValueCandidates::new(complete::runs))]
        run: String,
        #[command(flatten)]
        agent: Agent,
    },
    /// Try the step of a parked run again
    Retry {
        /// The run
        #[arg(add = ArgValueCandidates::new(complete::runs))]
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
