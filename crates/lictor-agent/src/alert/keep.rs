//! What the desk remembers, as records: in the local store, or in Consul where several nodes
//! share one desk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lictor_core::Now;
use lictor_core::alert::{Row, RowKey, Silence, digest};
use lictor_store::kv::{MAX_OPERATIONS, Op, Pair, Revision};
use lictor_store::wire::{self, AlertRow};
use lictor_store::{Kv, KvError};
use tracing::error;

use super::predecessor::Records;
use crate::fault::{self, Plant};

/// Where the records lie.
const PREFIX: &str = "alerts/";

/// Of a shared desk, the record of who tells: each commit rests on it, and is refused when another
/// node has written it since.
const TERM: &str = "alerts/.term";

/// Where a record is put that cannot be read.
const ASIDE: &str = "alerts.unreadable/";

/// Of a transaction, bytes of values: in base64, with keys, they stay below what Consul takes.
const BYTES: usize = 300 << 10;

/// Longest key of a case in a record's key; longer ones are cut and told apart by a digest.
const LONGEST: usize = 400;

/// What is to be recorded.
#[derive(Debug, Default)]
pub(super) struct Batch {
    rows: BTreeMap<RowKey, Option<Row>>,
    beside: Vec<Op>,
}

impl Batch {
    pub(super) fn take(&mut self, rows: Vec<Row>, gone: Vec<RowKey>) {
        self.rows.extend(rows.into_iter().map(|row| (row.key(), Some(row))));
        self.rows.extend(gone.into_iter().map(|key| (key, None)));
    }

    /// What is written when the rows are.
    pub(super) fn then(&mut self, ops: impl IntoIterator<Item = Op>) {
        self.beside.extend(ops);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.beside.is_empty()
    }
}

/// The records.
#[derive(Clone)]
pub(super) struct Kept {
    kv: Kv,
    /// Of a shared desk, when our term began.
    term: Option<Revision>,
    /// Who wants to know what is recorded.
    records: Option<Arc<dyn Records>>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("kv", &self.kv).field("term", &self.term).finish_non_exhaustive()
    }
}

impl Kept {
    /// The records of a desk that no other node shares.
    pub(super) const fn local(kv: Kv) -> Self {
        Self { kv, term: None, records: None }
    }

    /// Begins a term: from now on no other node's desk can record anything, until one begins its own.
    pub(super) async fn begin(
        kv: Kv,
        term: &wire::Term,
        may: impl Fn() -> bool,
        records: Option<Arc<dyn Records>>,
    ) -> Result<Self, KvError> {
        let found = kv.get(TERM).await?;
        if !may() {
            // Another node may have begun since it was looked at.
            return Err(KvError::Unavailable { why: "the lease has ended".to_owned() });
        }
        let value = wire::encode(term).map_err(|why| refused(&why))?;
        let op = match found {
            Some(pair) => Op::replace(TERM, value, pair.revision),
            None => Op::create(TERM, value),
        };
        let written = kv.txn(&[op]).await?;
        let Some(revision) = written.first().copied().flatten() else {
            return Err(KvError::Unknown { why: "the record of the term has no revision".to_owned() });
        };
        Ok(Self { kv, term: Some(revision), records })
    }

    /// All rows. What cannot be read is kept aside. Of a shared desk, times are put on our axis.
    pub(super) async fn load(&self, now: Now) -> Result<Vec<Row>, KvError> {
        if fault::planted(Plant::Forgets) {
            return Ok(Vec::new());
        }
        let Some(began) = self.term else {
            let mut rows = self.rows(self.kv.list(PREFIX).await?.pairs).await?;
            for row in &mut rows {
                if let Row::Silence(silence) = row {
                    go_on(silence, now);
                }
            }
            return Ok(rows);
        };
        // What Consul may not show it leaves out: only with the record of the term it is all.
        let mut pairs = self.kv.list(PREFIX).await?.pairs;
        if !pairs.iter().any(|pair| pair.key == TERM && pair.revision == began) {
            let why = format!("the list of records lacks `{TERM}` as we wrote it: may the token read it?");
            return Err(KvError::Unavailable { why });
        }
        pairs.retain(|pair| pair.key != TERM);
        let mut rows = self.rows(pairs).await?;
        rows.iter_mut().for_each(|row| row.rebase(now));
        Ok(rows)
    }

    /// The rows of a shared desk as they are now, to be looked at.
    pub(super) async fn look(kv: &Kv, now: Now) -> Result<Vec<Row>, KvError> {
        let mut rows = Vec::new();
        for pair in kv.list(PREFIX).await?.pairs {
            // The node that tells says what cannot be read.
            rows.extend(wire::decode::<AlertRow>(&pair.value).and_then(Row::try_from).ok());
        }
        rows.iter_mut().for_each(|row| row.rebase(now));
        Ok(rows)
    }

    /// The silences of a shared desk, when they differ from what they were at `since`.
    pub(super) async fn silences(
        kv: &Kv,
        since: Revision,
        wait: Duration,
        now: Now,
    ) -> Result<(Vec<Silence>, Revision), KvError> {
        let listing = kv.watch(&format!("{PREFIX}silence/"), since, wait).await?;
        let rows = listing.pairs.iter().filter_map(|pair| {
            let mut row = wire::decode::<AlertRow>(&pair.value).and_then(Row::try_from).ok()?;
            row.rebase(now);
            if let Row::Silence(silence) = row { Some(silence) } else { None }
        });
        Ok((rows.collect(), listing.revision))
    }

    async fn rows(&self, pairs: Vec<Pair>) -> Result<Vec<Row>, KvError> {
        let mut rows = Vec::new();
        for pair in pairs {
            match wire::decode::<AlertRow>(&pair.value).and_then(Row::try_from) {
                Ok(row) => rows.push(row),
                Err(why) => {
                    error!(record = %pair.key, %why, "a record of the alerts cannot be read; it is kept aside");
                    let kept = format!("{ASIDE}{}", pair.key);
                    let ops = [Op::put(kept, pair.value), Op::delete(pair.key)];
                    self.txn(&ops).await?;
                }
            }
        }
        Ok(rows)
    }

    /// Records a batch, in transactions of what one takes. Cases come first and what is no more
    /// comes last: wherever it breaks off, a message is rather sent again than lost.
    pub(super) async fn commit(&self, batch: &Batch) -> Result<(), KvError> {
        let mut ops = Vec::new();
        for row in batch.rows.values().flatten() {
            let value = wire::encode(&AlertRow::from(row)).map_err(|why| refused(&why))?;
            ops.push(Op::put(place(&row.key()), value));
        }
        let gone = batch.rows.iter().filter(|(_, row)| row.is_none());
        ops.extend(gone.map(|(key, _)| Op::delete(place(key))));
        ops.extend(batch.beside.iter().cloned());
        for some in in_parts(ops, self.most()) {
            self.txn(&some).await?;
        }
        if let Some(records) = &self.records {
            let rows: Vec<_> = batch.rows.values().flatten().cloned().collect();
            let gone: Vec<_> =
                batch.rows.iter().filter(|(_, row)| row.is_none()).map(|(key, _)| key.clone()).collect();
            records.leave(&rows, &gone);
        }
        Ok(())
    }

    /// Removes all rows.
    pub(super) async fn clear(&self) -> Result<(), KvError> {
        let pairs = self.kv.list(PREFIX).await?.pairs;
        let ops = pairs.into_iter().map(|pair| Op::delete(pair.key)).collect();
        for some in in_parts(ops, self.most()) {
            self.txn(&some).await?;
        }
        Ok(())
    }

    /// Whether an error means that another node's term has begun.
    pub(super) fn is_over(&self, error: &KvError) -> bool {
        self.term.is_some() && matches!(error, KvError::Conflict { key } if key == TERM)
    }

    const fn most(&self) -> usize {
        if self.term.is_some() { MAX_OPERATIONS - 1 } else { MAX_OPERATIONS }
    }

    async fn txn(&self, ops: &[Op]) -> Result<(), KvError> {
        let Some(term) = self.term else { return self.kv.txn(ops).await.map(drop) };
        let fenced: Vec<_> = std::iter::once(Op::unchanged(TERM, term)).chain(ops.iter().cloned()).collect();
        self.kv.txn(&fenced).await.map(drop)
    }
}

/// Has a silence go on from now for what is left of it by the wall clock, by which people say until when: what the machine
/// was off for counts.
fn go_on(silence: &mut Silence, now: Now) {
    let age = now.wall.as_unix_millis().saturating_sub(silence.from.wall.as_unix_millis());
    let Ok(age) = u64::try_from(age) else { return };
    let left = silence.lasting.saturating_sub(Duration::from_millis(age));
    let ends = now.boot.after(left);
    silence.from.boot = ends.before(silence.lasting);
    if silence.ends() != ends {
        // It began before the axis did.
        (silence.from, silence.lasting) = (now, left);
    }
}

/// Cuts a list of operations to what one transaction takes.
pub(super) fn in_parts(ops: Vec<Op>, most: usize) -> Vec<Vec<Op>> {
    let mut parts: Vec<Vec<Op>> = Vec::new();
    let mut size = 0;
    for op in ops {
        let bytes = if let Op::Put { value, .. } = &op { value.len() } else { 0 };
        match parts.last_mut().filter(|part| part.len() < most && size + bytes <= BYTES) {
            Some(part) => part.push(op),
            None => {
                parts.push(vec![op]);
                size = 0;
            }
        }
        size += bytes;
    }
    parts
}

fn refused(why: &wire::WireError) -> KvError {
    KvError::Refused { why: why.to_string() }
}

fn place(key: &RowKey) -> String {
    match key {
        RowKey::Case(subject) => {
            let text = subject.as_str();
            match text.get(..LONGEST) {
                Some(head) => format!("{PREFIX}case/{head}-{:016x}", digest(text)),
                None => format!("{PREFIX}case/{text}"),
            }
        }
        RowKey::Delivery(id) => format!("{PREFIX}delivery/{:012}", id.0),
        RowKey::Silence(id) => format!("{PREFIX}silence/{:016x}", digest(id)),
        RowKey::Counters => format!("{PREFIX}counters"),
    }
}
