//! A thin typed client of Consul's HTTP API.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use lictor_consul::{Client, Config, Index, Operation, Query};
//!
//! let config = Config::from_env(|name| std::env::var(name).ok())?;
//! let consul = Client::new(config)?;
//!
//! // A value, and a write only if nobody wrote in between.
//! let answer = consul.kv().get("deploy/version", &Query::new().consistent()).await?;
//! let index = answer.value.map_or(Index::ZERO, |pair| pair.modify_index);
//! if !consul.kv().cas("deploy/version", "42", index).await? {
//!     println!("somebody else was faster");
//! }
//!
//! // Several writes, all or none.
//! let operations = [
//!     Operation::set("deploy/by", "me"),
//!     Operation::check_not_exists("deploy/frozen"),
//! ];
//! consul.txn().run(&operations).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What an error means
//!
//! [`Error::retry`] says what to do next and [`Error::may_have_happened`] whether a write that failed
//! may nevertheless be applied, now or some seconds later: after a time-out, a broken connection and
//! every 5xx. The client repeats by itself only what certainly changed nothing, a bounded number of
//! times within the request's one time limit, and [`Meta::attempts`] tells how often.
//!
//! No answer makes it panic, wait for ever or fill the memory: see [`Limits`].
//!
//! # What an answer means
//!
//! - That a key does not exist is an answer, not an error, and has an index to wait for.
//! - An empty list is no proof of emptiness: what a token may not read is left out without a word, and
//!   for seconds after all servers restarted only [`Consistency::Consistent`] reads are complete.
//! - Indexes go back when a snapshot is restored. [`Watch`] tells, and [`Cursor`] in a loop of one's own.
//!
//! # How it connects
//!
//! http, https and unix sockets; HTTP/1.1, so that each request has a connection to itself; no proxy
//! and no redirects. Consul allows one address 200 connections: watch prefixes, not keys, and share a
//! [`Client`]. It needs a tokio runtime with time and I/O.

mod address;
mod agent;
mod attempts;
mod backoff;
mod catalog;
mod client;
mod config;
mod cursor;
mod encoded;
mod env;
mod error;
mod event;
mod find_limits;
mod health;
mod health_rows;
mod kv;
mod kv_by_txn;
mod kv_rows;
mod listing;
mod meta;
mod operation;
mod query;
mod raw;
mod request;
mod rows;
mod secret;
mod session;
mod snapshot;
mod status;
mod transport;
mod txn;
mod watch;
mod wire;

pub use address::Address;
pub use agent::{Agent, AgentConfig, AgentInfo, CheckKind, Maintenance, Member, NewCheck, NewService};
pub use catalog::{
    Catalog, CatalogService, Deregistration, NodeServices, RegisteredCheck, RegisteredService, Registration,
};
pub use client::Client;
pub use config::{Auth, Config, ConfigError, Limits, Tls};
pub use cursor::{Cause, Cursor};
pub use encoded::{Encoded, NotEncoded};
pub use error::{Call, Error, Retry};
pub use event::{Audience, Event, Events};
pub use health::{Check, Health, Node, Service, ServiceHealth, Status};
pub use kv::{Guard, Kv, Pair, Put};
pub use kv_rows::{KeyRows, PairRow, PairRows};
pub use meta::{Answer, Index, Meta};
pub use operation::Operation;
pub use query::{Consistency, Query};
pub use raw::RawRequests;
pub use rows::Rows;
pub use secret::Secret;
pub use session::{Behavior, NewSession, Session, SessionId, Sessions};
pub use snapshot::{Archive, Snapshots};
pub use status::{Cluster, Operator, RaftConfiguration, RaftServer, ServerHealth, ServersHealth};
pub use txn::{OperationError, OperationErrorKind, Txn};
pub use watch::{Change, Watch};

impl Client {
    /// The key/value store.
    #[must_use]
    pub fn kv(&self) -> Kv<'_> {
        Kv::new(self)
    }

    /// Transactions of the key/value store.
    #[must_use]
    pub fn txn(&self) -> Txn<'_> {
        Txn::new(self)
    }

    /// Sessions, which hold keys.
    #[must_use]
    pub fn session(&self) -> Sessions<'_> {
        Sessions::new(self)
    }

    /// The checks of nodes and services.
    #[must_use]
    pub fn health(&self) -> Health<'_> {
        Health::new(self)
    }

    /// Nodes and services.
    #[must_use]
    pub fn catalog(&self) -> Catalog<'_> {
        Catalog::new(self)
    }

    /// The agent that is asked.
    #[must_use]
    pub fn agent(&self) -> Agent<'_> {
        Agent::new(self)
    }

    /// User events.
    #[must_use]
    pub fn event(&self) -> Events<'_> {
        Events::new(self)
    }

    /// What the asked agent knows of the cluster.
    #[must_use]
    pub fn status(&self) -> Cluster<'_> {
        Cluster::new(self)
    }

    /// What an operator of the cluster sees.
    #[must_use]
    pub fn operator(&self) -> Operator<'_> {
        Operator::new(self)
    }

    /// Snapshots of the whole state.
    #[must_use]
    pub fn snapshot(&self) -> Snapshots<'_> {
        Snapshots::new(self)
    }

    /// Requests this client has no method for.
    #[must_use]
    pub fn raw(&self) -> RawRequests<'_> {
        RawRequests::new(self)
    }
}
