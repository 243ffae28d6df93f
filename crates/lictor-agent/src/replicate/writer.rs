//! Transactions to one destination: each write under the guard of what was read, all under the token of the term.

use std::collections::HashMap;
use std::sync::Arc;

use lictor_consul::{Client, Encoded, Error, Guard, Index, Operation, OperationErrorKind, Put, Query};
use lictor_core::replicate::{Delete, Write};

use super::term::Fence;

/// Bytes that a transaction has besides its operations.
const BRACKETS: usize = 2;

/// One thing to be done at the destination.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// A key is written.
    Set { write: Write, key: String, value: Encoded, flags: u64 },
    /// A key is deleted.
    Delete { delete: Delete, key: String },
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was done, at this index.
    Done(u64),
    /// Somebody else was there first.
    Conflict,
    /// It will not be taken as it is.
    Refused(String),
    /// It may have been done, or not.
    Unclear(String),
    /// Another node does this now.
    Fenced,
}

/// Writes to one destination. Cheap to clone.
#[derive(Clone)]
pub(super) struct Writer {
    client: Client,
    fence: Option<Arc<Fence>>,
}

impl Job {
    fn key(&self) -> &str {
        match self {
            Self::Set { key, .. } | Self::Delete { key, .. } => key,
        }
    }

    fn operation(&self) -> Operation {
        match self {
            Self::Set { write, key, value, flags } => {
                Operation::cas_encoded(key.as_str(), value.clone(), Index(write.guard)).flags(*flags)
            }
            Self::Delete { delete, key } => Operation::delete_cas(key.as_str(), Index(delete.guard)),
        }
    }

    pub(super) fn suffix(&self) -> &str {
        match self {
            Self::Set { write, .. } => &write.suffix,
            Self::Delete { delete, .. } => &delete.suffix,
        }
    }
}

/// Jobs for one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    jobs: Vec<Job>,
    bytes: usize,
}

impl Batch {
    pub(super) const fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}

impl Writer {
    pub(super) const fn new(client: Client, fence: Option<Arc<Fence>>) -> Self {
        Self { client, fence }
    }

    /// Adds a job; gives the batch that was full before it.
    pub(super) fn add(&self, batch: &mut Batch, job: Job) -> Option<Batch> {
        let own = job.operation().encoded_len();
        let reserved = self.fence.as_ref().map_or(0, |fence| fence.operation().encoded_len());
        let operations =
            self.client.limits().transaction_operations.saturating_sub(usize::from(self.fence.is_some()));
        let full = batch.jobs.len() >= operations.max(1)
            || batch.bytes + own + reserved + BRACKETS > self.client.limits().transaction_bytes;
        let before = (full && !batch.is_empty()).then(|| std::mem::take(batch));
        batch.jobs.push(job);
        batch.bytes += own;
        before
    }

    /// Does what can be done of a batch, and says of each job what became of it.
    pub(super) async fn send(self, batch: Batch) -> Vec<(Job, Fate)> {
        let mut left = vec![batch.jobs];
        let mut over = Vec::new();
        while let Some(jobs) = left.pop() {
            if jobs.is_empty() {
                continue;
            }
            if self.fence.as_ref().is_some_and(|fence| !fence.holds()) {
                over.extend(jobs.into_iter().map(|job| (job, Fate::Fenced)));
                continue;
            }
            match self.try_all(&jobs).await {
                Ok(indexes) => over.extend(jobs.into_iter().map(|job| {
                    let index = indexes.get(job.key()).copied().unwrap_or_default();
                    (job, Fate::Done(index))
                })),
                Err(Error::RolledBack { errors, .. }) => {
                    let own = usize::from(self.fence.is_some());
                    let mut fates: HashMap<usize, Fate> = HashMap::new();
                    let mut fenced = false;
                    for error in errors {
                        match error.operation.checked_sub(own) {
                            None => fenced = true,
                            Some(place) => drop(fates.insert(place, fate(error.kind, error.message))),
                        }
                    }
                    let mut again = Vec::new();
                    let named = fates.keys().any(|place| *place < jobs.len());
                    if !named && !fenced {
                        let why = "the transaction was refused, and nothing of it is named".to_owned();
                        over.extend(jobs.into_iter().map(|job| (job, Fate::Unclear(why.clone()))));
                        continue;
                    }
                    for (place, job) in jobs.into_iter().enumerate() {
                        match fates.remove(&place) {
                            _ if fenced => over.push((job, Fate::Fenced)),
                            Some(fate) => over.push((job, fate)),
                            None => again.push(job),
                        }
                    }
                    left.push(again);
                }
                Err(error) if is_too_large(&error) && jobs.len() > 1 => {
                    let mut first = jobs;
                    let second = first.split_off(first.len() / 2);
                    left.extend([second, first]);
                }
                Err(error) if is_too_large(&error) => {
                    for job in jobs {
                        let fate = self.alone(&job).await;
                        over.push((job, fate));
                    }
                }
                Err(error) => {
                    let why = error.to_string();
                    over.extend(jobs.into_iter().map(|job| (job, Fate::Unclear(why.clone()))));
                }
            }
        }
        over
    }

    /// One transaction; gives the indexes of what was written.
    async fn try_all(&self, jobs: &[Job]) -> Result<HashMap<String, u64>, Error> {
        let fence = self.fence.iter().map(|fence| fence.operation());
        let operations: Vec<Operation> = fence.chain(jobs.iter().map(Job::operation)).collect();
        let answer = self.client.txn().run(&operations).await?;
        Ok(answer.value.into_iter().map(|pair| (pair.key, pair.modify_index.0)).collect())
    }

    /// Writes a value that is too large for a transaction by a request of its own.
    async fn alone(&self, job: &Job) -> Fate {
        let Job::Set { write, key, value, flags } = job else {
            return Fate::Refused("it does not fit into a transaction".to_owned());
        };
        let value = value.decode();
        if value.len() > self.client.limits().value_bytes {
            let (length, limit) = (value.len(), self.client.limits().value_bytes);
            return Fate::Refused(format!("its value has {length} bytes; the destination takes {limit}"));
        }
        let put = Put { flags: *flags, guard: Guard::Index(Index(write.guard)) };
        match self.client.kv().put_with(key, value.clone(), &put).await {
            Ok(false) => Fate::Conflict,
            Ok(true) => {
                match self.client.kv().get(key, &Query::new().consistent()).await.map(|read| read.value) {
                    Ok(Some(pair)) if pair.value == value => Fate::Done(pair.modify_index.0),
                    Ok(_) => Fate::Conflict,
                    Err(error) => Fate::Unclear(error.to_string()),
                }
            }
            Err(error)
                if !error.may_have_happened()
                    && matches!(error, Error::Status { .. } | Error::Invalid { .. }) =>
            {
                Fate::Refused(error.to_string())
            }
            Err(error) => Fate::Unclear(error.to_string()),
        }
    }
}

fn fate(kind: OperationErrorKind, message: String) -> Fate {
    match kind {
        OperationErrorKind::IndexIsStale | OperationErrorKind::Absent | OperationErrorKind::Exists => {
            Fate::Conflict
        }
        _ => Fate::Refused(message),
    }
}

fn is_too_large(error: &Error) -> bool {
    matches!(error, Error::Status { status: 413, .. } | Error::Invalid { .. })
}
