//! The one writer: a thread that makes batches durable, several at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lictor_core::Wall;
use redb::{Database, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use super::acts::{self, Act};
use super::apply::{Held, Tables};
use super::batch::{Batch, Committed, NotRecorded};
use super::error::{StoreError, guarded};
use super::lock::Lock;
use super::open::{self, Place};
use super::past::{self, Slot};
use super::prune::{LedgerLimits, Pruner};
use super::reserve::Reserve;
use super::shared;
use super::{Health, Shared};
use crate::kv::{self, KvError, Op, Revision, Written};
use crate::wire::{Live, Made};

/// Requests waiting for the writer. The agent has one batch in flight; the rest are notes
/// and shared records of the API. When it is full, who asks waits.
pub(super) const QUEUE: usize = 64;

/// One request.
pub(super) enum Work {
    /// Record a batch.
    Commit(Batch, oneshot::Sender<Result<Committed, NotRecorded>>),
    /// Change shared records.
    Kv(Vec<Op>, oneshot::Sender<Result<Written, KvError>>),
    /// Add to how checks stood.
    Past(Arc<Vec<Slot>>, Wall, oneshot::Sender<Result<(), StoreError>>),
    /// Record what somebody asked for.
    Act(Box<Act>, oneshot::Sender<Result<u64, StoreError>>),
    /// Say that the node may act.
    Confirm(oneshot::Sender<Result<(), StoreError>>),
    /// Note that this is the end of an orderly stop.
    Clean(oneshot::Sender<Result<(), StoreError>>),
    /// Close the file and give the lock back.
    Close(oneshot::Sender<()>),
}

/// What a request gets when the transaction it is in is durable.
enum Answer {
    Committed(Committed),
    Kv(Result<Written, KvError>),
    Act(u64),
    Done,
}

/// The state of the writer thread.
pub(super) struct Writer {
    pub(super) place: Place,
    pub(super) shared: Arc<Shared>,
    pub(super) lock: Lock,
    pub(super) reserve: Reserve,
    pub(super) limits: LedgerLimits,
    pub(super) made: Made,
    pub(super) live: Live,
    pub(super) held: Held,
    pub(super) pruner: Pruner,
    pub(super) fence: Arc<AtomicBool>,
}

impl Writer {
    /// Serves requests until it is told to close or nobody can ask any more.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Work>) {
        let mut closing = None;
        while let Some(first) = queue.blocking_recv() {
            let mut works = vec![first];
            while works.len() < QUEUE
                && let Ok(work) = queue.try_recv()
            {
                works.push(work);
            }
            if let Some(at) = works.iter().position(|work| matches!(work, Work::Close(_))) {
                queue.close();
                let mut rest = works.split_off(at).into_iter();
                if let Some(Work::Close(reply)) = rest.next() {
                    closing = Some(reply);
                }
                rest.for_each(|work| refuse(work, &|| StoreError::Closed));
            }
            self.turn(works);
            if closing.is_some() {
                break;
            }
        }
        // The last to let go of the file closes it in order. A reader that still has it
        // must not write to it once the lock is given back.
        self.shared.set_database(None);
        self.fence.store(true, Ordering::SeqCst);
        drop(self.lock);
        if let Some(reply) = closing {
            answered(reply.send(()));
        }
        while let Some(work) = queue.blocking_recv() {
            refuse(work, &|| StoreError::Closed);
        }
    }

    /// One transaction for all that waits.
    fn turn(&mut self, works: Vec<Work>) {
        let works = if self.reserve.restore() { works } else { refuse_usual(works, &|| StoreError::Full) };
        if works.is_empty() {
            return;
        }
        match self.attempt(&works) {
            Ok(answers) => self.recorded(works, answers),
            Err((why, answers)) => self.failed(works, why, answers),
        }
    }

    /// Writes all of them into one durable transaction. On failure the answers are given
    /// too when all was written but the last step failed: it may be durable even so.
    fn attempt(&mut self, works: &[Work]) -> Result<Vec<Answer>, (StoreError, Option<Vec<Answer>>)> {
        let database = match self.shared.database() {
            Ok(database) => database,
            Err(_) => self.reopen().map_err(|why| (why, None))?,
        };
        let mut live = self.live.clone();
        let mut made = self.made.clone();
        let (held, pruner, limits) = (&mut self.held, &mut self.pruner, &self.limits);
        let written = guarded(|| {
            let mut txn = database.begin_write()?;
            txn.set_quick_repair(true);
            let answers = write(&txn, works, &mut live, &mut made, (held, pruner, limits))?;
            Ok((txn, answers))
        });
        let (txn, answers) = written.map_err(|why| (why, None))?;
        match guarded(|| Ok(txn.commit()?)) {
            Ok(()) => {
                self.live = live;
                self.made = made;
                Ok(answers)
            }
            Err(why) => Err((why, Some(answers))),
        }
    }

    fn recorded(&mut self, works: Vec<Work>, answers: Vec<Answer>) {
        let pending = self.shared.pending();
        for work in &works {
            if let (Some(pending), Work::Commit(batch, _)) = (&pending, work) {
                pending.note(&batch.rows);
            }
        }
        self.shared.published(&self.live, &self.made);
        self.shared.set_health(if self.reserve.held() { Health::Good } else { Health::Full });
        for (work, answer) in works.into_iter().zip(answers) {
            match (work, answer) {
                (Work::Commit(_, reply), Answer::Committed(committed)) => {
                    answered(reply.send(Ok(committed)));
                }
                (Work::Kv(_, reply), Answer::Kv(outcome)) => answered(reply.send(outcome)),
                (Work::Act(_, reply), Answer::Act(number)) => answered(reply.send(Ok(number))),
                (Work::Past(.., reply) | Work::Confirm(reply) | Work::Clean(reply), Answer::Done) => {
                    answered(reply.send(Ok(())));
                }
                (work, _) => refuse(work, &|| StoreError::Closed),
            }
        }
    }

    /// After a failure the file is opened anew: that shows what became of the transaction.
    fn failed(&mut self, works: Vec<Work>, why: StoreError, answers: Option<Vec<Answer>>) {
        let attempted = self.live.commit + 1;
        tracing::warn!(error = %why, "cannot record");
        let full = matches!(why, StoreError::Full);
        let given = full && self.reserve.release();
        self.shared.set_health(if full { Health::Full } else { Health::Failing(why.to_string()) });
        if let Err(error) = self.reopen() {
            tracing::warn!(%error, "cannot open the state file again");
            return lost(works, &why, answers.is_some());
        }
        if let Some(answers) = answers
            && self.live.commit == attempted
        {
            return self.recorded(works, answers);
        }
        if given {
            let urgent = refuse_usual(works, &|| StoreError::Full);
            if urgent.is_empty() {
                return;
            }
            match self.attempt(&urgent) {
                Ok(answers) => self.recorded(urgent, answers),
                Err((why, _)) => {
                    refuse_all(urgent, &why);
                    if let Err(error) = self.reopen() {
                        tracing::warn!(%error, "cannot open the state file again");
                    }
                }
            }
        } else {
            refuse_all(works, &why);
        }
    }

    fn reopen(&mut self) -> Result<Arc<Database>, StoreError> {
        self.fence.store(true, Ordering::SeqCst);
        self.shared.set_database(None);
        let file = open::database(&self.place)?;
        self.fence = file.fence;
        self.held = guarded(|| Held::read(&file.database))?;
        self.pruner = Pruner::default();
        self.live = file.live;
        self.made = file.made;
        let database = Arc::new(file.database);
        self.shared.set_database(Some(database.clone()));
        Ok(database)
    }
}

/// Writes the requests in their order.
fn write(
    txn: &WriteTransaction,
    works: &[Work],
    live: &mut Live,
    made: &mut Made,
    (held, pruner, limits): (&mut Held, &mut Pruner, &LedgerLimits),
) -> Result<Vec<Answer>, StoreError> {
    let mut tables = Tables::open(txn)?;
    live.commit += 1;
    // How checks stood and who asked for what is nothing that a start goes on with.
    if !works.iter().all(|work| matches!(work, Work::Past(..) | Work::Act(..))) {
        live.clean = false;
    }
    let first = live.next_seq;
    let mut answers = Vec::with_capacity(works.len());
    for work in works {
        answers.push(match work {
            Work::Commit(batch, _) => {
                let seqs = tables.apply(batch, live, held)?;
                live.clean = false;
                Answer::Committed(Committed { commit: live.commit, seqs })
            }
            Work::Kv(ops, _) => {
                let next = Revision(live.kv_revision + 1);
                let outcome = kv::apply(&mut tables.kv, ops, next)?;
                if outcome.is_ok() && ops.iter().any(|op| !matches!(op, Op::Check { .. })) {
                    live.kv_revision = next.0;
                }
                Answer::Kv(outcome)
            }
            Work::Past(slots, now, _) => {
                past::add(&mut tables.past, slots, *now)?;
                Answer::Done
            }
            Work::Act(act, _) => Answer::Act(acts::append(&mut tables.acts, act, live)?),
            Work::Confirm(_) => {
                made.confirmed = true;
                Answer::Done
            }
            Work::Clean(_) => {
                live.clean = true;
                Answer::Done
            }
            Work::Close(_) => Answer::Done,
        });
    }
    pruner.step(limits, live.next_seq - first, &mut tables, live, held)?;
    tables.write_meta(made, live)?;
    Ok(answers)
}

/// Turns away what may not use the reserve; gives back the rest.
fn refuse_usual(works: Vec<Work>, why: &dyn Fn() -> StoreError) -> Vec<Work> {
    let urgent = |work: &Work| matches!(work, Work::Commit(batch, _) if batch.urgent);
    let (urgent, usual): (Vec<_>, Vec<_>) = works.into_iter().partition(urgent);
    usual.into_iter().for_each(|work| refuse(work, why));
    urgent
}

/// Answers when not even the file can be opened any more: if the transaction was about to
/// become durable, nobody knows whether it did.
fn lost(works: Vec<Work>, why: &StoreError, unsure: bool) {
    let (shared, rest): (Vec<_>, Vec<_>) =
        works.into_iter().partition(|work| unsure && matches!(work, Work::Kv(..)));
    for work in shared {
        if let Work::Kv(_, reply) = work {
            answered(reply.send(Err(shared::unknown(why))));
        }
    }
    refuse_all(rest, why);
}

fn refuse_all(works: Vec<Work>, why: &StoreError) {
    let same = || match why {
        StoreError::Full => StoreError::Full,
        StoreError::Closed => StoreError::Closed,
        StoreError::Io { source } => {
            StoreError::Io { source: std::io::Error::new(source.kind(), source.to_string()) }
        }
        StoreError::Newer(error) => StoreError::Newer(error.clone()),
        StoreError::Damaged { why } => StoreError::Damaged { why: why.clone() },
    };
    works.into_iter().for_each(|work| refuse(work, &same));
}

fn refuse(work: Work, why: &dyn Fn() -> StoreError) {
    match work {
        Work::Commit(batch, reply) => {
            answered(reply.send(Err(NotRecorded { why: why(), batch: Box::new(batch) })));
        }
        Work::Kv(_, reply) => answered(reply.send(Err(shared::unavailable(&why())))),
        Work::Act(_, reply) => answered(reply.send(Err(why()))),
        Work::Past(.., reply) | Work::Confirm(reply) | Work::Clean(reply) => answered(reply.send(Err(why()))),
        Work::Close(reply) => answered(reply.send(())),
    }
}

/// Who asked may have gone: that is its own affair.
fn answered<T>(sent: Result<(), T>) {
    drop(sent);
}
