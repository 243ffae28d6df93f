//! Whether this node may still tell what it is about to tell.

use std::fmt;
use std::sync::Arc;

use lictor_core::alert::Message;
use tokio::sync::watch;
use tracing::warn;

use super::ask::Asks;
use super::inbox::Seat;
use super::predecessor::Guard;
use crate::lease::{Lease, LeaseState};

/// One term of one node as the one that tells. Clones are the same.
#[derive(Clone)]
pub(super) struct Fence {
    pub(super) lease: Lease,
    pub(super) token: u64,
    pub(super) guard: Option<Arc<dyn Guard>>,
    pub(super) asks: Asks,
}

impl Fence {
    /// Whether this node may tell now: to be asked immediately before each message.
    pub(super) fn holds(&self) -> bool {
        self.lease.believes() == Some(self.token) && self.guard.as_ref().is_none_or(|guard| guard.holds())
    }

    /// Waits until it may no more, and says why.
    pub(super) async fn lost(&self) -> String {
        let mut state = self.lease.state();
        let mut guard = self.guard.as_ref().map(|guard| guard.changes());
        loop {
            let now = state.borrow_and_update().clone();
            if let Some(guard) = &mut guard {
                guard.mark_unchanged();
            }
            if !self.holds() {
                return match now {
                    LeaseState::Held { .. } => "this node does not hold what it must hold".to_owned(),
                    LeaseState::Other { holder } => format!("{holder} holds the lease"),
                    LeaseState::Unknown { why } => why,
                };
            }
            tokio::select! {
                _ = state.changed() => {}
                () = changed(guard.as_mut()) => {}
            }
        }
    }

    /// For readers.
    pub(super) const fn seat(&self) -> Seat {
        Seat::Ours { token: self.token }
    }

    /// What was sent when this node was perhaps no longer the one that tells: whoever is sees to it
    /// that the receivers do not stay with it.
    pub(super) async fn late(&self, message: &Message) {
        warn!(message = message.id, "a message was sent too late; the node that tells now is told so");
        if let Err(why) = self.asks.late(message).await {
            warn!(message = message.id, %why, "that could not be recorded: its receivers may believe what is past");
        }
    }
}

/// The next change of what must be held besides; never where there is nothing.
pub(super) async fn changed(guard: Option<&mut watch::Receiver<bool>>) {
    if let Some(guard) = guard
        && guard.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fence").field("token", &self.token).finish_non_exhaustive()
    }
}
