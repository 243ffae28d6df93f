//! Where `act "kv"` writes: Consul's KV, or the local store of a node without Consul.

use std::sync::Arc;

use futures::future::BoxFuture;
use lictor_consul::Client;
use lictor_store::NodeStore;
use lictor_store::kv::{Kv, KvError, Op};

use crate::act::{Keys, KeysError};

/// The keys in Consul, or those of the store where there is none.
pub(crate) fn of(consul: Option<&Client>, store: &NodeStore) -> Arc<dyn Keys> {
    let kv = match consul {
        // The keys are as the configuration has them: not under our prefix.
        Some(client) => Kv::consul(client.clone(), ""),
        None => Kv::embedded(store.clone()),
    };
    Arc::new(Shared(kv))
}

#[derive(Debug)]
struct Shared(Kv);

impl Keys for Shared {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Vec<u8>>, KeysError>> {
        Box::pin(async move {
            let found = self.0.get(key).await.map_err(refused)?;
            Ok(found.map(|pair| pair.value))
        })
    }

    fn put<'a>(&'a self, key: &'a str, value: Vec<u8>) -> BoxFuture<'a, Result<(), KeysError>> {
        Box::pin(async move { self.0.txn(&[Op::put(key, value)]).await.map(drop).map_err(refused) })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KeysError>> {
        Box::pin(async move { self.0.txn(&[Op::delete(key)]).await.map(drop).map_err(refused) })
    }
}

fn refused(error: KvError) -> KeysError {
    let why = error.to_string();
    match error {
        KvError::Unknown { .. } => KeysError::Unclear(why),
        KvError::Conflict { .. }
        | KvError::Unavailable { .. }
        | KvError::Denied { .. }
        | KvError::Refused { .. } => KeysError::Refused(why),
    }
}
