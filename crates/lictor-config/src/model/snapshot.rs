//! Snapshots of Consul that are taken regularly, and where they are kept.

use std::path::PathBuf;
use std::time::Duration;

use lictor_core::SnapshotName;
use lictor_core::snapshot::Keep;
pub use lictor_core::snapshot::Names;
use url::Url;

use super::Calendar;
use crate::secret::Secret;

/// `snapshot "NAME" { … }`: snapshots that are taken of all that a datacenter of Consul knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name, the same on all nodes.
    pub name: SnapshotName,
    /// When one is taken.
    pub when: When,
    /// Whether any server may answer, also one without a leader.
    pub stale: bool,
    /// Where they are kept; each gets every one.
    pub places: Vec<Place>,
    /// What they are encrypted with before they leave the machine.
    pub encrypt: Option<Encrypt>,
    /// Where one lies while it is checked and sent; `None`: in the folder of the state.
    pub scratch: Option<PathBuf>,
    /// How old the newest one may become; `None`: nobody is told of its age.
    pub max_age: Option<Duration>,
    /// By how many hundredths one may be larger or smaller than the one before.
    pub max_change: u32,
    /// After so many failures in a row another node may try.
    pub max_failures: u32,
    /// The service of Consul under which it says how it stands.
    pub service: Option<String>,
    /// After how long a service is removed whose agent is gone; `None`: never.
    pub deregister_after: Option<Duration>,
    /// A key that is locked by a session, too, while this node works: for programs that know nothing of the lease.
    pub lock: Option<String>,
    /// A key of Consul that gets the time of each one, seconds since 1970, for programs that ask there.
    pub stamp: Option<String>,
    /// When and by what they are tried.
    pub drill: Option<Drill>,
    /// What they are called.
    pub names: Names,
}

/// When something is done again.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// So long after the last time.
    Every(Duration),
    /// At times of a calendar.
    At(Calendar),
}

impl Eq for When {}

impl When {
    /// When it is due after it was done then.
    pub fn after(&self, last: jiff::Timestamp) -> Option<jiff::Timestamp> {
        match self {
            Self::Every(pause) => last.checked_add(*pause).ok(),
            Self::At(calendar) => calendar.next(last),
        }
    }
}

/// What snapshots are encrypted with, in the format of age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encrypt {
    /// To everybody who has the key of one of these: `age1…`.
    Recipients(Vec<String>),
    /// With a passphrase.
    Passphrase(Secret),
}

/// Snapshots are restored into a server of Consul that is thrown away, and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drill {
    /// When.
    pub when: When,
    /// The program; `None`: `consul` in the search path.
    pub consul: Option<PathBuf>,
    /// Keys that decrypt what was encrypted to recipients: a file as age writes it.
    pub identity: Option<Secret>,
    /// How long it may take.
    pub limit: Duration,
}

/// `place "KIND" "NAME" { … }`: where snapshots are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name, unique in its block.
    pub name: String,
    /// What stays there.
    pub keep: Keep,
    /// One name for all: each takes the place of the one before, and nothing is removed.
    pub file: Option<String>,
    /// Whether what was sent is read again and compared.
    pub read_back: bool,
    /// Where it is.
    pub at: PlaceKind,
}

/// Where a place is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceKind {
    /// A folder.
    Folder(PathBuf),
    /// S3, or what speaks like it.
    S3(S3),
    /// Azure Blob Storage.
    Azure(Azure),
    /// Google Cloud Storage.
    Google(Google),
}

/// A bucket of S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3 {
    /// The bucket.
    pub bucket: String,
    /// What names in it begin with, without a `/` at the end.
    pub prefix: String,
    /// The region by which requests are signed.
    pub region: String,
    /// Where it is, if not where Amazon has the region.
    pub endpoint: Option<Url>,
    /// Whether the bucket stands in the path and not in the host's name.
    pub path_style: bool,
    /// By what right.
    pub credentials: S3Credentials,
    /// Encryption by the server.
    pub encryption: S3Encryption,
    /// Whether the server is asked to check a sum of what is sent.
    pub checksum: bool,
}

/// By what right a bucket is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum S3Credentials {
    /// A key of its own.
    Keys(S3Keys),
    /// What AWS_ACCESS_KEY_ID and the other variables say, when it is used.
    Environment,
    /// A role, taken with a key.
    Role {
        /// Its ARN.
        role: String,
        /// What the session is called.
        session: String,
        /// Where the role is asked for.
        sts: Option<Url>,
        /// With which key; `None`: that of the environment.
        keys: Option<S3Keys>,
    },
    /// A role, taken with a token in a file.
    WebIdentity {
        /// Its ARN.
        role: String,
        /// What the session is called.
        session: String,
        /// Where the role is asked for.
        sts: Option<Url>,
        /// The file, which is read anew each time.
        token_file: PathBuf,
    },
    /// What the machine's metadata address gives to whoever asks.
    Machine {
        /// Where that is, if not at the usual address.
        endpoint: Option<Url>,
    },
}

/// A key of AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Keys {
    /// Which one.
    pub access_key: Secret,
    /// What requests are signed with.
    pub secret_key: Secret,
    /// Of keys that are valid for a while.
    pub session_token: Option<Secret>,
}

/// Encryption by the server of S3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum S3Encryption {
    /// What the bucket says.
    #[default]
    Bucket,
    /// With keys of S3.
    Aes256,
    /// With a key of KMS; `None`: that of the account.
    Kms(Option<String>),
}

/// A container of Azure Blob Storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Azure {
    /// The storage account.
    pub account: String,
    /// The container.
    pub container: String,
    /// What names in it begin with, without a `/` at the end.
    pub prefix: String,
    /// Where it is, if not where Azure has the account.
    pub endpoint: Option<Url>,
    /// By what right.
    pub credentials: AzureCredentials,
}

/// By what right a container is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AzureCredentials {
    /// The key of the account.
    Key(Secret),
    /// A shared access signature.
    Sas(Secret),
    /// A registered application.
    Client {
        /// Its directory.
        tenant: String,
        /// Its identifier.
        client: String,
        /// Its secret.
        secret: Secret,
    },
    /// The identity of the machine.
    Machine,
}

/// A bucket of Google Cloud Storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Google {
    /// The bucket.
    pub bucket: String,
    /// What names in it begin with, without a `/` at the end.
    pub prefix: String,
    /// Where it is, if not where Google has it.
    pub endpoint: Option<Url>,
    /// By what right.
    pub credentials: GoogleCredentials,
}

/// By what right a bucket is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GoogleCredentials {
    /// The key of a service account, as Google gives it: a JSON text.
    Key(Secret),
    /// The account of the machine.
    Machine,
}
