//! Whose the copies are: one store's, for as long as it shows that it is alive.

use tokio::time::{Instant, sleep};

use super::{Mirror, MirrorError, MirrorState};
use crate::kv::{Expect, KvError, Op, Pair, Revision};
use crate::wire::{self, Canary, Owner};

/// The record that shows that records can be read.
const META: &str = "meta";

/// So often is it looked whether the other one is alive before it is held for dead: about
/// once a second. Looks are counted, not time, so that a machine that was asleep has not
/// waited.
const LOOKS: u32 = 35;

impl Mirror {
    /// Makes `self` ours, and gives what it said before. That of another store, or of a twin
    /// of this one, is taken over when that has shown no life for long enough.
    pub(super) async fn claim(&mut self) -> Result<(Revision, Option<Owner>), MirrorError> {
        self.canary().await?;
        let key = self.own_key();
        let (op, before) = match self.kv.get(&key).await? {
            None => (Op::create(&key, self.owner(0, false)?), None),
            Some(pair) => {
                let before: Owner = wire::decode(&pair.value)?;
                // An earlier process with this store cannot have written of commits that
                // this one does not know; a copy of the disk that is alive can.
                let ours = before.lineage == self.store.lineage()
                    && (before.writer == self.writer || before.revision <= self.began);
                if !ours {
                    self.outlast(&pair, &before).await?;
                }
                self.highest.0 = self.highest.0.max(before.highest_run);
                self.highest.1 = self.highest.1.max(before.highest_incident);
                self.inherited = usize::try_from(before.open).unwrap_or(usize::MAX);
                (Op::replace(&key, self.owner(self.inherited, false)?, pair.revision), Some(before))
            }
        };
        let created = op.expect() == Expect::Absent;
        match self.kv.txn(&[op]).await {
            Ok(written) => {
                self.rival = false;
                self.shown();
                let owned = written.first().copied().flatten().ok_or(MirrorError::Hidden { key })?;
                Ok((owned, before))
            }
            // It was not there for us, and yet it is.
            Err(KvError::Conflict { .. }) if created && self.kv.get(&key).await?.is_none() => {
                Err(MirrorError::Hidden { key })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the other one has shown no life for so long that it is held for dead.
    ///
    /// One that says that it has stopped is not waited for, unless it was seen alive before:
    /// then two machines have one name, and the other may just be starting again.
    async fn outlast(&mut self, rival: &Pair, owner: &Owner) -> Result<(), MirrorError> {
        if owner.stopped && !self.rival {
            return Ok(());
        }
        if !self.rival {
            let node = self.store.node();
            let wait = self.pulse.silence.as_secs();
            let why = format!(
                "it takes up to {wait} s to see whether the store that wrote last for `{node}` is gone"
            );
            self.state.send_replace(if self.store.confirmed() {
                MirrorState::Behind { why }
            } else {
                MirrorState::Unconfirmed { why }
            });
        }
        for _ in 0..LOOKS {
            sleep(self.pulse.silence / LOOKS).await;
            match self.kv.get(&rival.key).await? {
                Some(seen) if seen.revision == rival.revision => {}
                Some(seen) => {
                    self.rival = true;
                    let lineage = wire::decode::<Owner>(&seen.value)?.lineage;
                    return Err(MirrorError::Duplicate { node: self.store.node(), lineage });
                }
                None => return Err(KvError::Conflict { key: rival.key.clone() }.into()),
            }
        }
        Ok(())
    }

    /// `self` was written: that was a sign of life.
    pub(super) fn shown(&mut self) {
        self.told = self.highest;
        self.beats += 1;
        self.beat_at = Instant::now() + self.pulse.beat;
    }

    /// Reads the record that shows that records can be read; makes it when there is none.
    async fn canary(&self) -> Result<(), MirrorError> {
        if self.kv.get(META).await?.is_some() {
            return Ok(());
        }
        let canary = Canary { made_by: self.store.node(), generation: 1 };
        match self.kv.txn(&[Op::create(META, wire::encode(&canary)?)]).await {
            Ok(_) | Err(KvError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        match self.kv.get(META).await? {
            Some(_) => Ok(()),
            None => Err(MirrorError::Hidden { key: META.to_owned() }),
        }
    }

    /// What `self` is to say. No two are the same: writing what is there already is no sign
    /// of life.
    pub(super) fn owner(&self, open: usize, stopped: bool) -> Result<Vec<u8>, MirrorError> {
        let owner = Owner {
            lineage: self.store.lineage(),
            writer: self.writer.clone(),
            revision: *self.store.commits().borrow(),
            at: self.now(),
            reads: wire::VERSION,
            open: open as u64,
            highest_run: self.highest.0,
            highest_incident: self.highest.1,
            beat: self.beats,
            stopped,
        };
        Ok(wire::encode(&owner)?)
    }
}
