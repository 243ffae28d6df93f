//! The record of what is asked of a service.

use std::time::Duration;

use futures::future::BoxFuture;
use lictor_core::lease::{Revision, Written};
use lictor_core::service::operation::{Operation, Phase, What};
use lictor_store::kv::{self, Kv, KvError, Op, Pair};
use lictor_store::wire;
use tokio::time::timeout;

use crate::lease::shown;

/// Something that a person asks of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// Another one each time.
    pub id: String,
    /// What.
    pub what: What,
    /// The node that holds the lease, as far as is known.
    pub from: Option<String>,
    /// Who asks.
    pub by: String,
    /// How long it may take until the service is being stopped.
    pub deadline: Duration,
}

/// Why something cannot be asked of a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Somebody was faster.
    #[error("{by} has asked for something that is not over yet")]
    Busy {
        /// Who.
        by: String,
    },
    /// The records do not answer as they should.
    #[error("{why}")]
    Records {
        /// How.
        why: String,
    },
}

/// The key of the record, below that of the service.
pub(super) fn key(service: &str) -> String {
    format!("service/{service}/operation")
}

/// What a record says; `None`: nothing that this program can carry on.
pub(super) fn read(pair: &Pair) -> Option<(Operation, Revision)> {
    let operation = wire::decode::<wire::Operation>(&pair.value).and_then(Operation::try_from);
    match operation {
        Ok(operation) => Some((operation, Revision(pair.revision.0))),
        Err(error) => {
            tracing::warn!(key = pair.key, %error, "nothing can be done for what was asked of this service");
            None
        }
    }
}

/// Asks for something, unless something else is not over yet.
///
/// # Errors
/// See [`AskError`].
pub(super) async fn ask(kv: &Kv, service: &str, asking: Asking) -> Result<Operation, AskError> {
    let records = |error: &dyn std::fmt::Display| AskError::Records { why: error.to_string() };
    let key = key(service);
    let present = kv.get(&key).await.map_err(|error| records(&error))?;
    if let Some((operation, _)) = present.as_ref().and_then(read)
        && !operation.is_over()
    {
        return Err(AskError::Busy { by: operation.by });
    }
    let Asking { id, what, from, by, deadline } = asking;
    let operation = Operation { id, what, from, by, deadline, phase: Phase::Asked };
    let value = wire::encode(&wire::Operation::from(&operation)).map_err(|error| records(&error))?;
    let op = match present {
        Some(pair) => Op::replace(key, value, pair.revision),
        None => Op::create(key, value),
    };
    match kv.txn(&[op]).await {
        Ok(_) => Ok(operation),
        Err(KvError::Conflict { .. }) => Err(AskError::Busy { by: "somebody else".to_owned() }),
        Err(error) => Err(records(&error)),
    }
}

/// Writes how far it is, if the record is still from that write.
pub(super) fn note(
    kv: Kv,
    service: &str,
    (operation, expect): (Operation, Revision),
    limit: Duration,
) -> BoxFuture<'static, Written> {
    let key = key(service);
    Box::pin(async move {
        let value = match wire::encode(&wire::Operation::from(&operation)) {
            Ok(value) => value,
            Err(error) => return Written::NotDone { why: shown(&error) },
        };
        let ops = [Op::replace(key, value, kv::Revision(expect.0))];
        match timeout(limit, kv.txn(&ops)).await {
            Ok(Ok(written)) => match written.first().copied().flatten() {
                Some(revision) => Written::Done { revision: Revision(revision.0) },
                None => Written::Unclear { why: "the record has no revision".to_owned() },
            },
            Ok(Err(KvError::Conflict { .. })) => Written::Conflict,
            Ok(Err(error @ KvError::Unknown { .. })) => Written::Unclear { why: shown(&error) },
            Ok(Err(error)) => Written::NotDone { why: shown(&error) },
            Err(_late) => Written::Unclear { why: format!("no answer within {limit:?}") },
        }
    })
}
