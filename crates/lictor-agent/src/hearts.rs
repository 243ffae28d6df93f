//! The calls that come in by HTTP, handed to the heartbeat watchers.

use futures::future::BoxFuture;
use lictor_core::{CheckName, Sample};

use crate::inbox::Gone;
use crate::watch::Watchers;
use crate::web::{Caller, Heartbeats};

impl Heartbeats for Watchers {
    fn expects(&self, check: &CheckName) -> Option<Caller> {
        self.heartbeat_token(check).map(|token| token.map_or(Caller::Any, Caller::Holder))
    }

    fn beat(&self, check: CheckName, sample: Sample) -> BoxFuture<'_, Result<(), Gone>> {
        Box::pin(async move {
            // The caller has shown it to the web already.
            let own = self.heartbeat_token(&check).flatten().and_then(|secret| secret.reveal().ok());
            let taken = self.heartbeat(&check, own.as_deref(), sample.status, &sample.summary).await;
            taken.map_err(|_late| Gone)
        })
    }
}
