//! What is known of the peers, over a restart: a record for each in the store of this machine.

use std::collections::{BTreeMap, BTreeSet};

use lictor_core::peers::Known;
use lictor_store::kv::{Kv, KvError, MAX_OPERATIONS, Op};
use lictor_store::wire::{self, WireError};
use tracing::warn;

const PLACE: &str = "peers/";

/// The records.
pub(super) struct Keep {
    kv: Kv,
    /// As they were written last.
    written: BTreeMap<String, Vec<u8>>,
    /// The keys of those that a newer program wrote: they are left to it.
    newer: BTreeSet<String>,
    /// It was said that they cannot be written.
    failed: bool,
}

impl Keep {
    /// The records, and what is in them. What cannot be read is said and left out: it is looked at anew.
    pub(super) async fn open(kv: Kv) -> (Self, Vec<Known>) {
        let mut keep = Self { kv, written: BTreeMap::new(), newer: BTreeSet::new(), failed: false };
        let mut known = Vec::new();
        match keep.kv.list(PLACE).await {
            Err(why) => warn!(%why, "what was known of the peers cannot be read"),
            Ok(listing) => {
                for pair in listing.pairs {
                    match wire::decode::<wire::Peer>(&pair.value).and_then(Known::try_from) {
                        Ok(peer) => known.push(peer),
                        Err(why @ WireError::Newer { .. }) => {
                            warn!(key = pair.key, %why, "what a newer version knew of a peer is left as it is");
                            keep.newer.insert(pair.key);
                            continue;
                        }
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
            let key = format!("{PLACE}{}", peer.peer.id);
            if self.newer.contains(&key) {
                continue;
            }
            let value = wire::encode(&wire::Peer::from(peer));
            let value = value.map_err(|why| KvError::Refused { why: why.to_string() })?;
            meant.insert(key, value);
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

#[cfg(test)]
mod tests {
    use lictor_core::peers::Peer;
    use lictor_store::{NodeStore, Options};

    use super::*;

    fn known(id: &str) -> Known {
        let peer = Peer { id: id.to_owned(), host: id.to_owned(), addresses: Vec::new() };
        Known { peer, stood: None, verdict: None, told: false, vanished: None }
    }

    async fn values(kv: &Kv) -> Vec<String> {
        let pairs = kv.list(PLACE).await.unwrap().pairs;
        pairs.into_iter().map(|pair| String::from_utf8(pair.value).unwrap()).collect()
    }

    #[tokio::test]
    async fn what_a_newer_version_wrote_is_left_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let kv = Kv::embedded(NodeStore::open(Options::new(dir.path(), "n1")).unwrap().store);
        let newer = r#"{"v":2,"peer":"a:1","more":true}"#;
        let damaged = r#"{"v":1,"peer":7}"#;
        kv.txn(&[Op::put("peers/a:1", newer), Op::put("peers/b:1", damaged)]).await.unwrap();
        let (mut keep, read) = Keep::open(kv.clone()).await;
        assert!(read.is_empty());
        keep.put(vec![known("a:1"), known("b:1")]).await;
        let after = values(&kv).await;
        assert_eq!(after[0], newer);
        assert!(after[1].starts_with(r#"{"v":1,"peer":"b:1""#), "{after:?}");
        keep.put(Vec::new()).await;
        assert_eq!(values(&kv).await, [newer], "also when nobody is watched");
    }
}
