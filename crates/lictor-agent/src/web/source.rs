//! Where the present comes from and where commands go.

use std::sync::Arc;

use futures::future::BoxFuture;
use lictor_config::Secret;
use lictor_core::{CheckName, Command, Refusal, Sample};

use crate::watch::HeartbeatError;
use crate::{Inbox, NoAnswer, View};

/// The decide loop as the web sees it. [`Inbox`] is one; tests make their own.
pub trait Source: Send + Sync {
    /// The present state.
    ///
    /// # Errors
    /// When the agent stops or does not answer in time.
    fn view(&self) -> BoxFuture<'_, Result<Arc<View>, NoAnswer>>;

    /// Asks for something; the answer comes when it is durable.
    ///
    /// # Errors
    /// When the agent stops or does not answer in time.
    fn command(&self, command: Command) -> BoxFuture<'_, Result<Result<String, Refusal>, NoAnswer>>;
}

impl Source for Inbox {
    fn view(&self) -> BoxFuture<'_, Result<Arc<View>, NoAnswer>> {
        Box::pin(Self::view(self))
    }

    fn command(&self, command: Command) -> BoxFuture<'_, Result<Result<String, Refusal>, NoAnswer>> {
        Box::pin(Self::command(self, command))
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

/// Who may call in for a heartbeat check.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Whoever may use the API.
    Any,
    /// Whoever shows this token, or that of the listener.
    Holder(Secret),
}
