//! One node copies to a destination at a time: the lease, and the record that fences who held it before.

use std::sync::Arc;
use std::time::Duration;

use lictor_consul::{Client, Error, Index, Operation, Query};
use lictor_store::wire;
use lictor_store::wire::Term;

use crate::lease::Lease;

/// What proves to the destination that this node is still the one that copies.
pub(super) struct Fence {
    lease: Lease,
    token: u64,
    key: String,
    index: Index,
}

impl Fence {
    /// Writes the record of the term, which ends that of whoever copied before.
    ///
    /// # Errors
    /// Why it could not be written; whether it was is not known.
    pub(super) async fn begin(
        client: &Client,
        key: String,
        lease: Lease,
        token: u64,
        node: &str,
    ) -> Result<Option<Arc<Self>>, String> {
        let sure = Query::new().consistent();
        let before = client.kv().get(&key, &sure).await.map_err(said)?.value;
        let known = before.as_ref().and_then(|pair| wire::decode::<Term>(&pair.value).ok());
        if known.is_some_and(|term| term.token > token) {
            return Ok(None);
        }
        // Another number each time: what is there already would change nothing, and end nobody's term.
        let term = Term { holder: node.to_owned(), token, number: rand::random() };
        let value = wire::encode(&term).map_err(|error| error.to_string())?;
        let index = before.map_or(Index::ZERO, |pair| pair.modify_index);
        if !client.kv().cas(&key, value.clone(), index).await.map_err(said)? {
            return Err("another node has begun a term at the same time".to_owned());
        }
        let now = client.kv().get(&key, &sure).await.map_err(said)?.value;
        match now.filter(|pair| pair.value == value) {
            Some(pair) => Ok(Some(Arc::new(Self { lease, token, key, index: pair.modify_index }))),
            None => Err("another node has begun a term at the same time".to_owned()),
        }
    }

    /// Whether this node may write now, for all it knows.
    pub(super) fn holds(&self) -> bool {
        self.lease.believes() == Some(self.token)
    }

    /// What is sent with each write.
    pub(super) fn operation(&self) -> Operation {
        Operation::check_index(self.key.as_str(), self.index)
    }

    /// Until the lease is lost.
    pub(super) async fn lost(&self) {
        let mut state = self.lease.state();
        while self.holds() {
            // The belief ends without a word when nothing answers.
            drop(tokio::time::timeout(Duration::from_millis(500), state.changed()).await);
        }
    }
}

fn said(error: Error) -> String {
    error.to_string()
}
