//! Where the present comes from and where commands go.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use lictor_config::Secret;
use lictor_core::service::operation::Operation;
use lictor_core::{CheckName, Command, Refusal, Sample, alert};
use lictor_store::Act;
use serde::Serialize;

use crate::alert::{AlertView, DeskInbox};
use crate::replicate::{CopyView, OrderError, Replication};
use crate::service::{AskError, Asking, Made, Pause, ServiceView, Services};
use crate::snapshot::{SnapshotOrderError, SnapshotView, Snapshots};
use crate::watch::{HeartbeatError, WebhookError, WebhookTaken};
use crate::{Gone, Inbox, NoAnswer, View};

/// The decide loop as the web sees it. [`Inbox`] is one; tests make their own.
pub trait Source: Send + Sync {
    /// The present state.
    ///
    /// # Errors
    /// When the agent stops or does not answer in time.
    fn view(&self) -> BoxFuture<'_, Result<Arc<View>, NoAnswer>>;

    /// Asks for something; the answer comes when it is durable. Who asks is recorded with what is decided.
    ///
    /// # Errors
    /// When the agent stops or does not answer in time.
    fn command(
        &self,
        command: Command,
        act: Option<Act>,
    ) -> BoxFuture<'_, Result<Result<String, Refusal>, NoAnswer>>;
}

impl Source for Inbox {
    fn view(&self) -> BoxFuture<'_, Result<Arc<View>, NoAnswer>> {
        Box::pin(Self::view(self))
    }

    fn command(
        &self,
        command: Command,
        act: Option<Act>,
    ) -> BoxFuture<'_, Result<Result<String, Refusal>, NoAnswer>> {
        Box::pin(Self::command_of(self, command, act))
    }
}

/// The alerts as the web sees them. [`DeskInbox`] is one; tests make their own.
pub trait Alerts: Send + Sync {
    /// The present state.
    ///
    /// # Errors
    /// When the agent stops or does not answer in time.
    fn view(&self) -> BoxFuture<'_, Result<Arc<AlertView>, NoAnswer>>;

    /// Asks for something; the answer comes when it is durable.
    ///
    /// # Errors
    /// When the agent stops or does not answer in time.
    fn command(&self, command: alert::Command) -> BoxFuture<'_, Result<Result<String, Refusal>, NoAnswer>>;

    /// Removes what a node said last that shared these alerts and is gone for good, as somebody wants.
    ///
    /// # Errors
    /// When the agent stops or does not answer in time.
    fn forget(&self, node: String, by: String) -> BoxFuture<'_, Result<Result<String, Refusal>, NoAnswer>>;

    /// Hands in what a source says.
    ///
    /// # Errors
    /// When the agent stops.
    fn input(&self, input: alert::Input) -> BoxFuture<'_, Result<(), Gone>>;
}

impl Alerts for DeskInbox {
    fn view(&self) -> BoxFuture<'_, Result<Arc<AlertView>, NoAnswer>> {
        Box::pin(Self::view(self))
    }

    fn command(&self, command: alert::Command) -> BoxFuture<'_, Result<Result<String, Refusal>, NoAnswer>> {
        Box::pin(Self::command(self, command))
    }

    fn forget(&self, node: String, by: String) -> BoxFuture<'_, Result<Result<String, Refusal>, NoAnswer>> {
        Box::pin(Self::forget(self, node, by))
    }

    fn input(&self, input: alert::Input) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(Self::input(self, input))
    }
}

/// Takes in the calls of what must call in.
pub trait Heartbeats: Send + Sync {
    /// What a caller for this check must show. `None`: no heartbeat watcher has the name.
    fn expects(&self, check: &CheckName) -> Option<Caller>;

    /// A call came in, of one who may call.
    ///
    /// # Errors
    /// When the agent stops or is too busy, or the watcher is gone since it was asked for.
    fn beat(&self, check: CheckName, sample: Sample) -> BoxFuture<'_, Result<(), HeartbeatError>>;
}

/// Takes in what others say is wrong.
pub trait Webhooks: Send + Sync {
    /// What a caller for this check must show. `None`: no webhook watcher has the name.
    fn expects(&self, check: &CheckName) -> Option<Caller>;

    /// A call came in, of one who may call.
    ///
    /// # Errors
    /// When it is not understood, the agent stops or is too busy, or the watcher is gone since it was
    /// asked for.
    fn call(&self, check: CheckName, body: Bytes) -> BoxFuture<'_, Result<WebhookTaken, WebhookError>>;
}

/// Who may call in for a heartbeat or webhook check.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Whoever may use the API.
    Any,
    /// Whoever shows this token, or that of the listener.
    Holder(Secret),
}

/// The connection monitors of the agent, and the state that is kept of those it ever had.
pub trait Kept: Send + Sync {
    /// How each monitor stands.
    fn monitors(&self) -> Vec<MonitorState>;

    /// Whose state is kept, here and in Consul.
    ///
    /// # Errors
    /// Why that cannot be said.
    fn list(&self) -> BoxFuture<'_, Result<Vec<KeptState>, String>>;

    /// Removes the state of a monitor that is not configured any more.
    fn forget<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Forgotten>;
}

/// What became of a wish to forget something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// It is gone; what was removed, in words.
    Done(String),
    /// There is no such thing.
    Unknown(String),
    /// It is still in use.
    InUse(String),
    /// It could not be done.
    Failed(String),
}

/// How a connection monitor stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MonitorState {
    /// Its name.
    pub name: String,
    /// `stable` or `unstable`; none as long as nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<&'static str>,
    /// The phase of the cure; `None` when nothing is under way.
    pub phase: &'static str,
    /// Whether it gave up, and only waits for the connection or a person.
    pub given_up: bool,
    /// `ours`, `other` or `unknown`: who may act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acts: Option<&'static str>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acts_text: Option<String>,
    /// Why its state is not in Consul as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
    /// Torrents that it has stopped.
    pub stopped_torrents: usize,
    /// `running`, `stopped`, `error` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpn: Option<String>,
    /// The public address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<String>,
    /// Where that is and whose.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub place: BTreeMap<String, String>,
}

/// State that is kept of a monitor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct KeptState {
    /// The monitor.
    pub name: String,
    /// Where its keys lie in Consul.
    pub prefix: String,
    /// Whether it is in the configuration.
    pub configured: bool,
    /// When it is removed, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// How many keys there are; none when Consul cannot say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<usize>,
}

/// For an agent that has none.
impl Kept for () {
    fn monitors(&self) -> Vec<MonitorState> {
        Vec::new()
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<KeptState>, String>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn forget<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Forgotten> {
        Box::pin(async move { Forgotten::Unknown(format!("no state of a monitor `{name}` is kept here")) })
    }
}

/// The clustered services as the web sees them. [`Services`] is one; tests make their own.
pub trait Clustered: Send + Sync {
    /// How all of them stand, by name.
    fn all(&self) -> Vec<ServiceView>;

    /// How one of them stands; `None`: this node has none of that name.
    fn one(&self, name: &str) -> Option<ServiceView>;

    /// Asks the nodes of a service for something.
    ///
    /// # Errors
    /// See [`AskError`].
    fn ask<'a>(&'a self, name: &'a str, asking: Asking) -> BoxFuture<'a, Result<Operation, AskError>>;

    /// Restarts the units of a service here. It goes on when nobody waits for it any more.
    ///
    /// # Errors
    /// They do not run here, or do not any more. Why, in words.
    fn restart<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), String>>;

    /// From now on, and until it ends, nobody takes a service over by itself.
    ///
    /// # Errors
    /// See [`AskError`].
    fn pause<'a>(&'a self, name: &'a str, pause: &'a Pause) -> BoxFuture<'a, Result<(), AskError>>;

    /// Ends a pause.
    ///
    /// # Errors
    /// See [`AskError`].
    fn resume<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), AskError>>;

    /// Makes the first record of a lease, if there is none.
    ///
    /// # Errors
    /// See [`AskError`].
    fn init<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Made, AskError>>;
}

impl Clustered for Services {
    fn all(&self) -> Vec<ServiceView> {
        Self::all(self)
    }

    fn one(&self, name: &str) -> Option<ServiceView> {
        Self::one(self, name)
    }

    fn ask<'a>(&'a self, name: &'a str, asking: Asking) -> BoxFuture<'a, Result<Operation, AskError>> {
        Box::pin(async move {
            match self.service(name) {
                Some(service) => service.ask(asking).await,
                None => Err(AskError::Records { why: format!("this node has no service {name} any more") }),
            }
        })
    }

    fn restart<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            match self.service(name) {
                Some(service) => service.restart().await,
                None => Err(format!("this node has no service {name} any more")),
            }
        })
    }

    fn pause<'a>(&'a self, name: &'a str, pause: &'a Pause) -> BoxFuture<'a, Result<(), AskError>> {
        Box::pin(Self::pause(self, name, pause))
    }

    fn resume<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), AskError>> {
        Box::pin(Self::resume(self, name))
    }

    fn init<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Made, AskError>> {
        Box::pin(Self::init(self, name))
    }
}

/// What is copied between datacenters, as the web sees it. [`Replication`] is one; tests make their own.
pub trait Replicated: Send + Sync {
    /// How all copies of this node stand.
    fn all(&self) -> Vec<CopyView>;

    /// Has what is held back of a block under this id deleted, or stay.
    ///
    /// # Errors
    /// See [`OrderError`].
    fn answer<'a>(
        &'a self,
        name: &'a str,
        id: &'a str,
        approve: bool,
    ) -> BoxFuture<'a, Result<(), OrderError>>;
}

impl Replicated for Replication {
    fn all(&self) -> Vec<CopyView> {
        Self::all(self)
    }

    fn answer<'a>(
        &'a self,
        name: &'a str,
        id: &'a str,
        approve: bool,
    ) -> BoxFuture<'a, Result<(), OrderError>> {
        Box::pin(Self::answer(self, name, id, approve))
    }
}

/// The snapshots of Consul as the web sees them. [`Snapshots`] is one; tests make their own.
pub trait Snapshotted: Send + Sync {
    /// How those of all blocks stand, by name.
    fn all(&self) -> Vec<SnapshotView>;

    /// Has one taken now; in words, what was done.
    ///
    /// # Errors
    /// See [`SnapshotOrderError`].
    fn take<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String, SnapshotOrderError>>;

    /// Has the newest one tried now; in words, what came of it.
    ///
    /// # Errors
    /// See [`SnapshotOrderError`].
    fn drill<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String, SnapshotOrderError>>;
}

impl Snapshotted for Snapshots {
    fn all(&self) -> Vec<SnapshotView> {
        Self::all(self)
    }

    fn take<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String, SnapshotOrderError>> {
        Box::pin(Self::take(self, name))
    }

    fn drill<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String, SnapshotOrderError>> {
        Box::pin(Self::drill(self, name))
    }
}
