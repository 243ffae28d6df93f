//! What the desk remembers, as records: in the local store, and one code for any other home.

use std::collections::BTreeMap;

use lictor_core::alert::{Row, RowKey, digest};
use lictor_store::kv::{MAX_OPERATIONS, Op};
use lictor_store::wire::{self, AlertRow};
use lictor_store::{Kv, KvError};
use tracing::error;

/// Where the records lie.
const PREFIX: &str = "alerts/";

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
}

impl Batch {
    pub(super) fn take(&mut self, rows: Vec<Row>, gone: Vec<RowKey>) {
        self.rows.extend(rows.into_iter().map(|row| (row.key(), Some(row))));
        self.rows.extend(gone.into_iter().map(|key| (key, None)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The records.
#[derive(Clone, Debug)]
pub(super) struct Kept(Kv);

impl Kept {
    pub(super) const fn new(kv: Kv) -> Self {
        Self(kv)
    }

    /// All rows. What cannot be read is kept aside.
    pub(super) async fn load(&self) -> Result<Vec<Row>, KvError> {
        let listing = self.0.list(PREFIX).await?;
        let mut rows = Vec::new();
        for pair in listing.pairs {
            match wire::decode::<AlertRow>(&pair.value).and_then(Row::try_from) {
                Ok(row) => rows.push(row),
                Err(why) => {
                    error!(record = %pair.key, %why, "a record of the alerts cannot be read; it is kept aside");
                    let kept = format!("{ASIDE}{}", pair.key);
                    let ops = [Op::put(kept, pair.value), Op::delete(pair.key)];
                    self.0.txn(&ops).await?;
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
            ops.push((value.len(), Op::put(place(&row.key()), value)));
        }
        let gone =
            batch.rows.iter().filter(|(_, row)| row.is_none()).map(|(key, _)| (0, Op::delete(place(key))));
        ops.extend(gone);
        let mut some = Vec::new();
        let mut size = 0;
        for (bytes, op) in ops {
            if !some.is_empty() && (some.len() == MAX_OPERATIONS || size + bytes > BYTES) {
                self.0.txn(&some).await?;
                some.clear();
                size = 0;
            }
            size += bytes;
            some.push(op);
        }
        self.0.txn(&some).await.map(drop)
    }
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
