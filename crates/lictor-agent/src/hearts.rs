//! The calls that come in by HTTP, handed to the heartbeat watchers.

use futures::future::BoxFuture;
use lictor_core::{CheckName, Sample};

use crate::watch::{HeartbeatError, Watchers};
use crate::web::{Caller, Heartbeats};

impl Heartbeats for Watchers {
    fn expects(&self, check: &CheckName) -> Option<Caller> {
        self.heartbeat_token(check).map(|token| token.map_or(Caller::Any, Caller::Holder))
    }

    fn beat(&self, check: CheckName, sample: Sample) -> BoxFuture<'_, Result<(), HeartbeatError>> {
        Box::pin(async move { self.heartbeat(&check, sample.status, &sample.summary).await })
    }
}
