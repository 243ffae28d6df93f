//! What the two local backends have in common: transactions over one ordered space of keys.

use std::time::Duration;

use tokio::sync::watch::Receiver;
use tokio::time::{Instant, timeout_at};

use super::{Expect, KvError, Listing, Op, Revision, Written};

/// An ordered space of keys that one transaction at a time may change.
pub(crate) trait Space {
    /// Why it can fail.
    type Error;
    /// When a key was last written.
    fn revision(&self, key: &str) -> Result<Option<Revision>, Self::Error>;
    /// Writes a key.
    fn put(&mut self, key: &str, value: &[u8], revision: Revision) -> Result<(), Self::Error>;
    /// Deletes a key, if it is there.
    fn delete(&mut self, key: &str) -> Result<(), Self::Error>;
}

/// Does all operations under a new revision, or none. The outer error is the space's own.
pub(crate) fn apply<S: Space>(
    space: &mut S,
    ops: &[Op],
    revision: Revision,
) -> Result<Result<Written, KvError>, S::Error> {
    for op in ops {
        let holds = match (op.expect(), space.revision(op.key())?) {
            (Expect::Anything, _) | (Expect::Absent, None) => true,
            (Expect::At(expected), Some(found)) => expected == found,
            (Expect::Absent, Some(_)) | (Expect::At(_), None) => false,
        };
        if !holds {
            return Ok(Err(KvError::Conflict { key: op.key().to_owned() }));
        }
    }
    let mut written = Vec::with_capacity(ops.len());
    for op in ops {
        written.push(match op {
            Op::Put { key, value, .. } => {
                space.put(key, value, revision)?;
                Some(revision)
            }
            Op::Delete { key, .. } => {
                space.delete(key)?;
                None
            }
            Op::Check { .. } => None,
        });
    }
    Ok(Ok(written))
}

/// Waits for a change under a prefix; `changes` tells of every change anywhere.
pub(super) async fn watch(
    mut changes: Receiver<u64>,
    since: Revision,
    wait: Duration,
    list: impl Fn() -> Result<Listing, KvError>,
) -> Result<Listing, KvError> {
    let deadline = Instant::now() + wait;
    changes.mark_unchanged();
    let first = list()?;
    if first.revision != since {
        return Ok(first);
    }
    loop {
        match timeout_at(deadline, changes.changed()).await {
            // Nobody writes any more, or nobody has written.
            Ok(Err(_)) | Err(_) => return list(),
            Ok(Ok(())) => {}
        }
        let now = list()?;
        if now.pairs != first.pairs {
            return Ok(now);
        }
    }
}
