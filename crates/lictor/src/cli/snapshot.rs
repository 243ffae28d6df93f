//! The command line of Consul's snapshots.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::Agent;
use super::service::duration;
use super::snapshot_agent::{SnapshotAgent, SnapshotFetch, SnapshotList, SnapshotStatus, SnapshotTake};
use crate::output::Format;

/// `lictor snapshot`.
#[derive(Debug, Subcommand)]
pub(crate) enum Snapshot {
    /// Save a snapshot: it gets its name when it was checked and decoded to its end
    #[command(
        after_help = "Examples:\n  lictor snapshot save backup.snap\n  lictor snapshot save -stale -datacenter dc2 backup.snap\n  lictor snapshot save --encrypt-to age1... backup.snap.age\n\nConsul is reached as by its own program: CONSUL_HTTP_ADDR, CONSUL_HTTP_TOKEN and the others. With `-` it\ngoes to the standard output when it was found sound."
    )]
    Save(SnapshotSave),
    /// Put what a snapshot holds in the place of everything that Consul knows, or only put keys back
    #[command(
        after_help = "Examples:\n  lictor snapshot restore --dry-run backup.snap\n  lictor snapshot restore backup.snap\n  lictor snapshot restore --only config/web/ backup.snap\n  lictor snapshot restore --yes --no-backup backup.snap\n\nIt shows what becomes another and asks. What there was is kept beside it first, as before-TIME-backup.snap, or with\n--only as before-TIME-keys.json for `consul kv import`. With --only each write is bound to what was read: a key that\nsomebody else changes meanwhile is left alone and told. More than 64 keys are not changed at once."
    )]
    Restore(SnapshotRestore),
    /// Show what a snapshot holds, as `consul snapshot inspect` does
    #[command(
        after_help = "Examples:\n  lictor snapshot inspect backup.snap\n  lictor snapshot inspect -kvdetails -kvdepth 1 -kvfilter config/ backup.snap\n  lictor snapshot inspect -format consul-1.8 backup.snap\n\nIt is decoded to its end: one that Consul would take and that would kill its servers is told. Also what Raft keeps\n(state.bin with meta.json beside it) is read, and backups of consul-snapshot."
    )]
    Inspect(SnapshotInspect),
    /// Print each record as a line of JSON
    #[command(
        after_help = "Examples:\n  lictor snapshot decode backup.snap | jq 'select(.Type == \"KVS\") | .Data.Key'\n  lictor snapshot decode --hide secrets/ backup.snap\n\nTokens, private keys and whatever is called a secret are hidden. Values of keys are not: --hide names those that are."
    )]
    Decode(SnapshotDecode),
    /// Check files and whole folders of them: sums, structure, each record
    #[command(
        after_help = "Examples:\n  lictor snapshot verify backup.snap\n  lictor snapshot verify /var/backups/consul"
    )]
    Verify(SnapshotVerify),
    /// Show what is different between two snapshots
    #[command(after_help = "Example:\n  lictor snapshot diff monday.snap tuesday.snap")]
    Diff(SnapshotDiff),
    /// Print the value of a key in a snapshot, its exact bytes
    #[command(after_help = "Example:\n  lictor snapshot get backup.snap config/web/port")]
    Get(SnapshotGet),
    /// Take snapshots regularly and send them to the places that a configuration names, without an agent of Lictor
    #[command(
        after_help = "Examples:\n  lictor snapshot agent --config /etc/lictor.d\n  lictor snapshot agent --once consul\n\nOf the configuration only the blocks `snapshot`, `consul` and `node` count. Of several such programs and agents one works.\nWith --once it takes one now, whoever else does, sends it everywhere, and ends.\n\nIn the place of `consul snapshot agent` it takes that program's flags and files: -help, with one dash, lists them."
    )]
    Agent(SnapshotAgent),
    /// Show how the snapshots of an agent stand: how old, where, when the next one is due
    #[command(
        after_help = "Examples:\n  lictor snapshot status\n  lictor snapshot status consul --format json"
    )]
    Status(SnapshotStatus),
    /// Have an agent take a snapshot now, or try the newest one
    #[command(after_help = "Examples:\n  lictor snapshot take consul\n  lictor snapshot take --drill consul")]
    Take(SnapshotTake),
    /// List what is in the places that a configuration names
    #[command(
        after_help = "Examples:\n  lictor snapshot list\n  lictor snapshot list --place elsewhere --format json\n\nNo agent need run, and Consul need not be there."
    )]
    List(SnapshotList),
    /// Fetch a snapshot from a place that a configuration names
    #[command(
        after_help = "Examples:\n  lictor snapshot fetch latest\n  lictor snapshot fetch latest /tmp/now.snap --place elsewhere\n  lictor snapshot fetch consul.dc1.20261122T193000Z.snap\n\nNo agent need run, and Consul need not be there."
    )]
    Fetch(SnapshotFetch),
    /// Restore a snapshot into a throw-away Consul server, save it again and compare: the proof that it can be restored
    #[command(
        after_help = "Examples:\n  lictor snapshot drill backup.snap\n  lictor snapshot drill --consul /opt/consul/consul backup.snap\n  lictor snapshot drill --format json backup.snap | jq .restore_ms\n\nThe server runs for some seconds on this machine, on loopback, in a folder that only you can look\ninto and that is removed at the end. It knows nobody, and nobody else reaches it. The exit code is 1\nwhen something is not as it is in the snapshot, or the drill did not come about."
    )]
    Drill(SnapshotDrill),
    /// Save and restore what Lictor itself remembers on this node
    #[command(subcommand)]
    State(SnapshotState),
}

/// `lictor snapshot state`.
#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotState {
    /// Save all that the agent remembers, while it runs: it gets its name when it was read to its end
    #[command(
        after_help = "Examples:\n  lictor snapshot state save node1.state\n  lictor snapshot state save --encrypt-to age1... node1.state.age\n  lictor snapshot state save --state-dir /var/lib/lictor node1.state\n\nThe running agent is asked for it; of one that does not run, --state-dir names the directory."
    )]
    Save(SnapshotStateSave),
    /// Put a saved state in the place of that in a state directory, of an agent that does not run
    #[command(
        after_help = "Examples:\n  lictor snapshot state restore --dry-run node1.state\n  lictor snapshot state restore node1.state\n\nWhat there was is kept beside it. What was done since the state was saved is not in it: runs that were under way\nwait for a person (`lictor remedy list`), and lines are read from now on."
    )]
    Restore(SnapshotStateRestore),
}

/// Lictor's state that is to be saved.
#[derive(Debug, Args)]
pub(crate) struct SnapshotStateSave {
    /// The file
    pub(crate) file: PathBuf,
    /// State directory of an agent that does not run
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) seal: SnapshotSeal,
    #[command(flatten)]
    pub(crate) agent: Agent,
}

/// Lictor's state that is to be restored.
#[derive(Debug, Args)]
pub(crate) struct SnapshotStateRestore {
    /// The file
    pub(crate) file: PathBuf,
    /// State directory of the agent
    #[arg(long, value_name = "DIR", default_value = "/var/lib/lictor")]
    pub(crate) state_dir: PathBuf,
    /// Go on without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// Only show what would be restored
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) keys: SnapshotKeys,
}

/// How Consul is reached.
#[derive(Debug, Args)]
pub(crate) struct SnapshotReach {
    /// The datacenter [default: that of the agent]
    #[arg(long, value_name = "DATACENTER")]
    pub(crate) datacenter: Option<String>,
    /// Address of Consul
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http_addr: Option<String>,
    /// File with the token
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// How long a snapshot may be on its way
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m")]
    pub(crate) timeout: Duration,
}

/// A snapshot that is to be saved.
#[derive(Debug, Args)]
pub(crate) struct SnapshotSave {
    /// The file; `-` for the standard output
    pub(crate) file: PathBuf,
    /// Take the answer of any server, also of one without a leader
    #[arg(long)]
    pub(crate) stale: bool,
    #[command(flatten)]
    pub(crate) reach: SnapshotReach,
    /// Put these into the file's name, before its last dot: version, dc, node, status (with commas between them)
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    pub(crate) append_filename: Vec<SnapshotPart>,
    #[command(flatten)]
    pub(crate) seal: SnapshotSeal,
}

/// A snapshot that is to be restored.
#[derive(Debug, Args)]
pub(crate) struct SnapshotRestore {
    /// The snapshot
    pub(crate) file: PathBuf,
    /// Only put keys back that begin so, `/` for all (can be repeated); also from a backup of consul-snapshot
    #[arg(long, value_name = "PREFIX")]
    pub(crate) only: Vec<String>,
    /// Delete the keys that begin so and that the file does not have
    #[arg(long, requires = "only")]
    pub(crate) delete: bool,
    /// With --only, leave keys alone that begin so: Lictor's own records are none to go back (can be repeated)
    #[arg(long, value_name = "PREFIX", default_value = "lictor/", requires = "only")]
    pub(crate) leave: Vec<String>,
    /// Go on without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// Do not keep what there was
    #[arg(long)]
    pub(crate) no_backup: bool,
    /// Only show what would become another
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) reach: SnapshotReach,
    #[command(flatten)]
    pub(crate) keys: SnapshotKeys,
    #[command(flatten)]
    pub(crate) secret: SnapshotSecret,
}

/// A part of a file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SnapshotPart {
    /// Consul's version.
    Version,
    /// The datacenter.
    Dc,
    /// The agent's node.
    Node,
    /// Whether that server is the leader or a follower.
    Status,
}

/// What is shown of a snapshot.
#[derive(Debug, Args)]
pub(crate) struct SnapshotInspect {
    /// The snapshot
    pub(crate) file: PathBuf,
    /// Show keys, too, by the first parts of their names
    #[arg(long)]
    pub(crate) kvdetails: bool,
    /// How many parts
    #[arg(long, value_name = "PARTS", default_value_t = 2)]
    pub(crate) kvdepth: usize,
    /// Only keys that begin so
    #[arg(long, value_name = "PREFIX", default_value = "")]
    pub(crate) kvfilter: String,
    /// `pretty`, `json`, or `consul-1.8` for the five lines of the old Consul
    #[arg(long, value_name = "FORMAT", default_value = "pretty")]
    pub(crate) format: String,
    #[command(flatten)]
    pub(crate) keys: SnapshotKeys,
    #[command(flatten)]
    pub(crate) secret: SnapshotSecret,
}

/// What opens a file that is sealed.
#[derive(Debug, Args)]
pub(crate) struct SnapshotKeys {
    /// File with identities of age, to open what is sealed to them (can be repeated) [default:
    /// LICTOR_SNAPSHOT_IDENTITY_FILE]
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Vec<PathBuf>,
    /// File with the passphrase that a file is sealed with [default: LICTOR_SNAPSHOT_PASSPHRASE_FILE]
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// To whom a file is sealed.
#[derive(Debug, Args)]
pub(crate) struct SnapshotSeal {
    /// Seal it to this recipient of age (can be repeated): only whoever has the identity of one of them opens it
    #[arg(long, value_name = "RECIPIENT")]
    pub(crate) encrypt_to: Vec<String>,
    /// Seal it with the passphrase in this file
    #[arg(long, value_name = "FILE", conflicts_with = "encrypt_to")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// What encrypted a backup of consul-snapshot.
#[derive(Debug, Args)]
pub(crate) struct SnapshotSecret {
    /// File with the password of a backup of consul-snapshot [default: CRYPTO_PASSWORD]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

/// What is printed of a snapshot.
#[derive(Debug, Args)]
pub(crate) struct SnapshotDecode {
    /// The snapshot
    pub(crate) file: PathBuf,
    /// Show secrets
    #[arg(long)]
    pub(crate) reveal: bool,
    /// Hide values of keys that begin so (can be repeated)
    #[arg(long, value_name = "PREFIX")]
    pub(crate) hide: Vec<String>,
    #[command(flatten)]
    pub(crate) keys: SnapshotKeys,
}

/// What is checked.
#[derive(Debug, Args)]
pub(crate) struct SnapshotVerify {
    /// A snapshot, or a folder
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) keys: SnapshotKeys,
    #[command(flatten)]
    pub(crate) secret: SnapshotSecret,
    /// How the outcome is shown
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// What is compared.
#[derive(Debug, Args)]
pub(crate) struct SnapshotDiff {
    /// The older one
    pub(crate) before: PathBuf,
    /// The newer one
    pub(crate) after: PathBuf,
    #[command(flatten)]
    pub(crate) keys: SnapshotKeys,
    /// How the outcome is shown; as JSON each change is a line of its own before it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

/// A key of a snapshot.
#[derive(Debug, Args)]
pub(crate) struct SnapshotGet {
    /// The snapshot
    pub(crate) file: PathBuf,
    /// The key
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) keys: SnapshotKeys,
    #[command(flatten)]
    pub(crate) secret: SnapshotSecret,
}

/// A snapshot that is to be tried.
#[derive(Debug, Args)]
pub(crate) struct SnapshotDrill {
    /// The snapshot
    pub(crate) file: PathBuf,
    /// The program `consul`, at least as new as the servers that wrote the snapshot [default: the one in PATH]
    #[arg(long, value_name = "PATH")]
    pub(crate) consul: Option<PathBuf>,
    /// Where the server has its folder [default: in memory (/dev/shm, /run) if there is room, else in TMPDIR]
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
    /// How long it may take [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) limit: Option<Duration>,
    /// How the outcome is shown
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}
