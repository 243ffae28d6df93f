//! How a [`Client`](crate::Client) reaches Consul, and what it may take.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::address::Address;
use crate::query::Consistency;
use crate::secret::Secret;

/// How a [`Client`](crate::Client) reaches Consul. [`Config::from_env`] reads the environment of the
/// `consul` program.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where the agent listens.
    pub address: Address,
    /// The token sent with every request, as a header.
    pub token: Option<Secret>,
    /// User and password of HTTP basic authentication, for a proxy before the agent.
    pub auth: Option<Auth>,
    /// The datacenter that is asked; the agent's own if unset.
    pub datacenter: Option<String>,
    /// The namespace (Consul Enterprise).
    pub namespace: Option<String>,
    /// The admin partition (Consul Enterprise).
    pub partition: Option<String>,
    /// The consistency of reads that ask for none themselves.
    pub consistency: Consistency,
    /// How the server is known and the client makes itself known.
    pub tls: Tls,
    /// What a request may take.
    pub limits: Limits,
}

/// User and password of HTTP basic authentication.
#[derive(Clone, Debug)]
pub struct Auth {
    /// The user's name.
    pub user: String,
    /// The password, if the user has one.
    pub password: Option<Secret>,
}

/// How an https server is known and the client makes itself known.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// A file of certificates (PEM) of authorities to trust. With this or `ca_dir`, no other
    /// authority is trusted; without both, the system's are.
    pub ca_file: Option<PathBuf>,
    /// A directory of such files. Ignored if `ca_file` is set, as the `consul` program does.
    pub ca_dir: Option<PathBuf>,
    /// The client's certificate chain (PEM), for servers that ask for one.
    pub client_cert: Option<PathBuf>,
    /// The private key (PEM) to `client_cert`; may be in the same file.
    pub client_key: Option<PathBuf>,
    /// The DNS name the server's certificate must have, if it is not the address's host: often
    /// `server.dc1.consul`.
    pub server_name: Option<String>,
    /// Whether any certificate of any server is taken. Then nobody knows who answers.
    pub skip_verify: bool,
}

/// What a request may take. Nothing waits, reads or repeats without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time limit of making a connection, TLS included.
    pub connect: Duration,
    /// Time limit of a whole request, from the call to the last byte of the answer, attempts
    /// included. A blocking query has this on top of the time it may be held. A list that is read row by
    /// row ([`Kv::rows`](crate::Kv::rows)) has it up to the answer's head and then for each piece.
    ///
    /// A server without a leader holds requests for 7 s before it says so.
    pub answer: Duration,
    /// Time limit of a whole snapshot, in either direction.
    pub transfer: Duration,
    /// The longest pause between two pieces of a snapshot.
    pub stall: Duration,
    /// Largest answer that is read, in bytes; of a list that is read row by row
    /// ([`Kv::rows`](crate::Kv::rows)), the largest row. Snapshots, which are streamed, are not limited.
    pub answer_bytes: usize,
    /// Largest value that is written, in bytes. Consul's own default for `kv_max_value_size`; a
    /// larger value is refused here, not sent. [`Client::find_limits`](crate::Client::find_limits) asks
    /// for this and the two below.
    pub value_bytes: usize,
    /// Most operations in one transaction. 64 is Consul's limit up to 1.12; later ones allow 128.
    pub transaction_operations: usize,
    /// Largest transaction, in bytes of its JSON. Consul's own default for `txn_max_req_len`.
    pub transaction_bytes: usize,
    /// How often a request is sent at most. Only what certainly changed nothing is sent again: reads,
    /// and writes that were refused (no connection, too many requests). 1 never repeats.
    pub attempts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            answer: Duration::from_secs(10),
            transfer: Duration::from_mins(10),
            stall: Duration::from_secs(30),
            answer_bytes: 64 << 20,
            value_bytes: 512 << 10,
            transaction_operations: 64,
            transaction_bytes: 512 << 10,
            attempts: 3,
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The address is not one.
    #[error("the address `{address}` cannot be used: {reason}")]
    Address {
        /// As it was given, without a password.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A variable of the environment has a value it cannot have.
    #[error("the variable {name} {reason}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {expected}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What should be there.
        expected: &'static str,
    },
    /// A setting cannot be used.
    #[error("{setting} {reason}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client cannot be made.
    #[error("cannot set up HTTP: {cause}")]
    Http {
        /// The innermost cause.
        cause: String,
        /// Why.
        source: reqwest::Error,
    },
}
