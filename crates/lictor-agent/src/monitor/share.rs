//! A record among its keys in Consul: who wrote them last, and how ours are written.

use std::collections::BTreeMap;

use lictor_store::kv::{Expect, Kv, KvError, Listing, Op, Revision};
use serde::{Deserialize, Serialize};

use super::record::{PAUSED, Record, STATE, WRITER};

/// Further parts of a list that is too long for one key.
const LISTS: &str = "remediation/stopped_torrents/";

/// Bytes of values in one transaction, with room for keys and base64.
const BYTES: usize = 300_000;

/// Operations in one transaction besides the last two.
const OPERATIONS: usize = 56;

/// Who wrote a record: the value of [`WRITER`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Writer {
    pub(super) v: u32,
    /// Which monitor.
    #[serde(default)]
    pub(super) monitor: String,
    pub(super) node: String,
    /// Which store of that node.
    pub(super) lineage: String,
    /// Another one in each write, so that each write shows.
    pub(super) seq: u64,
}

/// Who wrote last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// Nobody: there is nothing.
    Nobody,
    /// This store.
    Us,
    /// Another Lictor, or an earlier store of this node.
    Lictor(Writer),
    /// A program that does not say who it is: qbitcheck, or a person.
    Another,
}

impl std::fmt::Display for Last {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::Us => f.write_str("this node"),
            Self::Lictor(writer) => f.write_str(&writer.node),
            Self::Another => f.write_str("another program"),
        }
    }
}

/// The keys of a monitor as they were last seen or written.
#[derive(Debug)]
pub(super) struct Share {
    kv: Kv,
    monitor: String,
    node: String,
    lineage: String,
    keys: BTreeMap<String, (Vec<u8>, Revision)>,
    seq: u64,
}

impl Share {
    pub(super) fn new(kv: Kv, monitor: String, node: String, lineage: String) -> Self {
        Self { kv, monitor, node, lineage, keys: BTreeMap::new(), seq: 0 }
    }

    pub(super) fn kv(&self) -> &Kv {
        &self.kv
    }

    /// Reads all of it.
    pub(super) async fn load(&mut self) -> Result<(), KvError> {
        let listing = self.kv.list("").await?;
        self.seen(listing);
        Ok(())
    }

    /// Takes in what is there.
    pub(super) fn seen(&mut self, listing: Listing) {
        self.keys = listing.pairs.into_iter().map(|pair| (pair.key, (pair.value, pair.revision))).collect();
        self.seq = self.seq.max(self.writer().map_or(0, |writer| writer.seq));
    }

    fn writer(&self) -> Option<Writer> {
        self.keys.get(WRITER).and_then(|(value, _)| serde_json::from_slice(value).ok())
    }

    /// Who wrote last. Each of our writes is one transaction with [`WRITER`] in it, so a key
    /// that was written after that was written by somebody else.
    pub(super) fn last(&self) -> Last {
        let recorded = || self.keys.iter().filter(|(key, _)| is_record(key));
        if recorded().next().is_none() {
            return Last::Nobody;
        }
        let Some((writer, (_, at))) = self.writer().zip(self.keys.get(WRITER)) else { return Last::Another };
        if recorded().any(|(_, (_, revision))| revision.0 > at.0) {
            Last::Another
        } else if writer.node == self.node && writer.lineage == self.lineage && writer.monitor == self.monitor
        {
            Last::Us
        } else {
            Last::Lictor(writer)
        }
    }

    /// When the record was last written, by whomever.
    pub(super) fn newest(&self) -> Revision {
        let written = self.keys.iter().filter(|(key, _)| is_record(key) || *key == WRITER);
        written.map(|(_, (_, revision))| *revision).max_by_key(|revision| revision.0).unwrap_or_default()
    }

    /// What is recorded, and which keys of it cannot be read.
    pub(super) fn record(&self, now: f64) -> (Record, Vec<String>) {
        let keys = self.keys.iter().map(|(key, (value, _))| (key.clone(), value.clone())).collect();
        Record::read(&keys, now)
    }

    /// Whether a person stopped the monitor from acting.
    pub(super) fn paused(&self) -> bool {
        self.keys.get(PAUSED).is_some_and(|(value, _)| {
            let word = String::from_utf8_lossy(value).trim().trim_matches('"').to_ascii_lowercase();
            matches!(word.as_str(), "true" | "1" | "yes" | "on" | "paused")
        })
    }

    /// Whether a record differs from what is there in more than what only counts.
    pub(super) fn differs(&self, wanted: &BTreeMap<String, String>) -> bool {
        let counts =
            |key: &str| key.starts_with("state/consecutive_") || key.ends_with("stabilization_checks");
        wanted.iter().any(|(key, value)| !counts(key) && !self.has(key, value))
            || self.surplus(wanted).next().is_some()
    }

    fn has(&self, key: &str, value: &str) -> bool {
        self.keys.get(key).is_some_and(|(there, _)| there == value.as_bytes())
    }

    /// Keys of ours that are not wanted any more.
    fn surplus<'s>(&'s self, wanted: &'s BTreeMap<String, String>) -> impl Iterator<Item = &'s String> {
        self.keys.keys().filter(|key| key.starts_with(LISTS) && !wanted.contains_key(*key))
    }

    /// Writes a record: long lists first, then everything else in one transaction, which is done
    /// only if nobody has written since.
    pub(super) async fn write(&mut self, wanted: &BTreeMap<String, String>) -> Result<(), KvError> {
        let changed: Vec<(&String, &String)> =
            wanted.iter().filter(|(key, value)| key.as_str() != STATE && !self.has(key, value)).collect();
        let put = |(key, value): &(&String, &String)| Op::put(key.as_str(), value.as_bytes());
        let (lists, rest): (Vec<_>, Vec<_>) = changed.iter().partition(|(key, _)| key.starts_with(LISTS));
        // Nor are the lists touched after somebody else has written.
        let guard = self.keys.get(WRITER).map(|(_, revision)| Op::unchanged(WRITER, *revision));
        for list in &lists {
            let ops: Vec<Op> = guard.iter().cloned().chain([put(list)]).collect();
            self.kv.txn(&ops).await?;
        }
        let surplus: Vec<String> = self.surplus(wanted).cloned().collect();
        let mut ops: Vec<Op> = rest.iter().map(put).collect();
        ops.extend(surplus.iter().map(Op::delete));
        let size: usize = rest.iter().map(|(key, value)| key.len() + value.len()).sum();
        if size > BYTES || ops.len() > OPERATIONS {
            let why = format!("the record is too large: {size} bytes, {} keys", ops.len());
            return Err(KvError::Refused { why });
        }
        let writer = Writer {
            v: 1,
            monitor: self.monitor.clone(),
            node: self.node.clone(),
            lineage: self.lineage.clone(),
            seq: self.seq + 1,
        };
        let value =
            serde_json::to_vec(&writer).map_err(|error| KvError::Refused { why: error.to_string() })?;
        let expect = self.keys.get(WRITER).map_or(Expect::Absent, |(_, revision)| Expect::At(*revision));
        ops.push(Op::Put { key: WRITER.to_owned(), value, expect });
        // The phase last: who reads while this is torn by a program that writes key by key
        // trusts it last as well.
        if let Some(state) = wanted.get(STATE) {
            ops.push(Op::put(STATE, state.as_bytes()));
        }
        let written = self.kv.txn(&ops).await?;
        self.seq = writer.seq;
        for (op, revision) in ops.into_iter().zip(written) {
            match op {
                Op::Put { key, value, .. } => {
                    self.keys.insert(key, (value, revision.unwrap_or_default()));
                }
                Op::Delete { key, .. } => drop(self.keys.remove(&key)),
                Op::Check { .. } => {}
            }
        }
        for (key, value) in lists {
            // Written before the rest, so not after the writer.
            self.keys.insert(key.clone(), (value.as_bytes().to_vec(), Revision::default()));
        }
        Ok(())
    }
}

/// Whether a key is one that shows who wrote last: not a person's, nor one of ours alone (further
/// parts of a list are written before the rest).
fn is_record(key: &str) -> bool {
    let parts = ["state/", "remediation/", "stability/", "vpn/"];
    parts.iter().any(|part| key.starts_with(part)) && key != WRITER && !key.starts_with(LISTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(kv: &Kv, node: &str) -> Share {
        Share::new(kv.clone(), "sp".into(), node.into(), format!("lineage of {node}"))
    }

    fn record(attempt: u32) -> BTreeMap<String, String> {
        Record { attempt, stable: Some(true), ..Record::default() }.keys()
    }

    #[tokio::test]
    async fn who_wrote_last_is_seen() {
        let kv = Kv::memory();
        let (mut one, mut two) = (share(&kv, "one"), share(&kv, "two"));
        one.load().await.unwrap();
        assert_eq!(one.last(), Last::Nobody);
        one.write(&record(1)).await.unwrap();
        assert_eq!(one.last(), Last::Us);
        one.load().await.unwrap();
        assert_eq!(one.last(), Last::Us);
        two.load().await.unwrap();
        assert_eq!(two.last().to_string(), "one");
        // A program that knows nothing of us writes one key.
        kv.txn(&[Op::put("state/connection_state", "unstable")]).await.unwrap();
        one.load().await.unwrap();
        assert_eq!(one.last(), Last::Another);
        one.write(&record(1)).await.unwrap();
        one.load().await.unwrap();
        assert_eq!(one.last(), Last::Us);
    }

    #[tokio::test]
    async fn what_another_wrote_meanwhile_is_not_overwritten() {
        let kv = Kv::memory();
        let (mut one, mut two) = (share(&kv, "one"), share(&kv, "two"));
        one.write(&record(1)).await.unwrap();
        two.load().await.unwrap();
        two.write(&record(2)).await.unwrap();
        assert!(matches!(one.write(&record(3)).await, Err(KvError::Conflict { .. })));
        one.load().await.unwrap();
        assert_eq!(one.record(1e9).0.attempt, 2);
        one.write(&record(3)).await.unwrap();
    }

    #[tokio::test]
    async fn counting_alone_is_no_reason_to_write_and_what_is_written_is_known() {
        let kv = Kv::memory();
        let mut one = share(&kv, "one");
        one.write(&record(1)).await.unwrap();
        assert!(!one.differs(&record(1)));
        assert!(one.differs(&record(2)));
        let counted = Record { attempt: 1, stable: Some(true), failures: 7, ..Record::default() }.keys();
        assert!(!one.differs(&counted));
        kv.txn(&[Op::put(PAUSED, "true")]).await.unwrap();
        one.load().await.unwrap();
        assert!(one.paused());
        assert_eq!(one.last(), Last::Us, "a person's key is no part of the record");
    }
}
