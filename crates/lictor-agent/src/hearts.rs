//! The calls that come in by HTTP, handed to the watchers that wait for them.

use bytes::Bytes;
use futures::future::BoxFuture;
use lictor_core::{CheckName, Sample};

use crate::watch::{HeartbeatError, Watchers, WebhookError, WebhookTaken};
use crate::web::{Caller, Heartbeats, Webhooks};

impl Heartbeats for Watchers {
    fn expects(&self, check: &CheckName) -> Option<Caller> {
        self.heartbeat_token(check).map(|token| token.map_or(Caller::Any, Caller::Holder))
    }

    fn beat(&self, check: CheckName, sample: Sample) -> BoxFuture<'_, Result<(), HeartbeatError>> {
        Box::pin(async move { self.heartbeat(&check, sample.status, &sample.summary).await })
    }
}

impl Webhooks for Watchers {
    fn expects(&self, check: &CheckName) -> Option<Caller> {
        self.webhook_token(check).map(|token| token.map_or(Caller::Any, Caller::Holder))
    }

    fn call(&self, check: CheckName, body: Bytes) -> BoxFuture<'_, Result<WebhookTaken, WebhookError>> {
        Box::pin(async move { self.webhook(&check, &body).await })
    }
}
