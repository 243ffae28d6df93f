//! What is known of the peers, over a restart: a record for each in the store of this machine.

use std::collections::BTreeMap;

use lictor_core::peers::Known;
use lictor_store::kv::{Kv, KvError, MAX_OPERATIONS, Op};
use lictor_store::wire;
use tracing::warn;

const PLACE: &str = "peers/";

/// The records.
pub(super) struct Keep {
    kv: Kv,
    /// As they were written last.
    written: BTreeMap<String, Vec<u8>>,
    /// It was said that they cannot be written.
    failed: bool,
}

impl Keep {
    /// The records, and what is in them. What cannot be read is said and left out: it is looked at anew.
    pub(super) async fn open(kv: Kv) -> (Self, Vec<Known>) {
        let mut keep = Self { kv, written: BTreeMap::new(), failed: false };
        let mut known = Vec::new();
        match keep.kv.list(PLACE).await {
            Err(why) => warn!(%why, "what was known of the peers cannot be read"),
            Ok(listing) => {
                for pair in listing.pairs {
                    match wire::decode::<wire::Peer>(&pair.value).and_then(Known::try_from) {
                        Ok(peer) => known.push(peer),
                        Err(why) => warn!(key = pair.key, %why, "what was known of a peer cannot be read"),
                    }
                    keep.written.insert(pair.key, pair.value);
                }
            }
        }
        (keep, known)
    }

    /// Writes what differs.
    pub(super) async fn put(&mut self, known: Vec<Known>) {
        let result = self.write(known).await;
        if let Err(why) = &result
            && !self.failed
        {
            warn!(%why, "what is known of the peers cannot be recorded; a restart may repeat what was told");
        }
        self.failed = result.is_err();
    }

    async fn write(&mut self, known: Vec<Known>) -> Result<(), KvError> {
        let mut meant = BTreeMap::new();
        for peer in &known {
            let value = wire::encode(&wire::Peer::from(peer));
            let value = value.map_err(|why| KvError::Refused { why: why.to_string() })?;
            meant.insert(format!("{PLACE}{}", peer.peer.id), value);
        }
        let mut ops: Vec<Op> =
            self.written.keys().filter(|key| !meant.contains_key(*key)).map(Op::delete).collect();
        let changed = meant.into_iter().filter(|(key, value)| self.written.get(key) != Some(value));
        ops.extend(changed.map(|(key, value)| Op::put(key, value)));
        for some in ops.chunks(MAX_OPERATIONS) {
            self.kv.txn(some).await?;
            for op in some {
                match op {
                    Op::Put { key, value, .. } => drop(self.written.insert(key.clone(), value.clone())),
                    op => drop(self.written.remove(op.key())),
                }
            }
        }
        Ok(())
    }
}
