//! Deletes: what only the destination has is looked for at the source once more, and once more by its name.

use lictor_consul::{Error, Query};
use lictor_core::replicate::{Deletes, Hold, Listing};
use tracing::{debug, warn};

use super::copy::{Copying, Ended};
use super::writer::{Batch, Fate, Job};

/// Keys that one transaction asks for.
const ASKED: usize = 64;

/// Bytes of their names. In JSON one may take six for each, of 512 KiB in all.
const BYTES: usize = 64 << 10;

impl Copying {
    /// Does what is due of the deletes.
    pub(super) async fn delete(&mut self) -> Result<(), Ended> {
        let now = self.clock.boot();
        let done = match self.copier.deletes(self.settings.confirm) {
            Deletes::List(at) if at <= now => self.list().await,
            Deletes::Prove(at) if at <= now => self.prove().await,
            Deletes::Nothing | Deletes::List(_) | Deletes::Prove(_) => return Ok(()),
        };
        self.publish();
        match done {
            Ok(()) => Ok(()),
            Err(error) => {
                self.fail(&format!("the source, which is asked before anything is deleted: {error}"))
            }
        }
    }

    /// Lists the keys of the source once more.
    async fn list(&mut self) -> Result<(), Error> {
        let mut listing = Listing::default();
        if let Some(canary) = &self.settings.canary {
            let found = self.source.client.kv().get(canary, &Query::new().consistent()).await;
            let missing = match found {
                Ok(found) => found.value.is_none(),
                Err(error) if error.is_denied() => true,
                Err(error) => return Err(error),
            };
            listing.canary = missing.then(|| canary.clone());
        }
        let query = Query::new().consistent();
        let mut keys = self.source.client.kv().key_rows(&self.source.prefix, &query).await?;
        listing.filtered = keys.meta().filtered_by_acls == Some(true);
        self.copier.begin_listing();
        let copier = &mut self.copier;
        while keys.next(|key| copier.listed(key)).await? {}
        let before = self.copier.held().map(|held| held.id.clone());
        self.copier.end_listing(&listing, self.clock.boot());
        self.approve().await;
        if let Some(held) = self.copier.held().filter(|held| before.as_ref() != Some(&held.id)) {
            let why = words(&held.why);
            warn!(prefix = %self.prefix, id = held.id, keys = held.keys, why, "deletes are held back");
        }
        Ok(())
    }

    /// Takes a word that was given before.
    async fn approve(&mut self) {
        let Some(id) = self.copier.held().map(|held| held.id.clone()) else { return };
        if !self.takes(&id) {
            return;
        }
        self.copier.approve(&id);
        if !self.settings.dry_run
            && let Err(error) = self.notes.write_now(&self.copier, self.clock.now().wall).await
        {
            warn!(prefix = %self.prefix, %error, "a person's word could not be noted");
        }
    }

    /// Asks the source for each of them by its name, and deletes what is not there.
    async fn prove(&mut self) -> Result<(), Error> {
        let suffixes = self.copier.to_prove(self.clock.boot());
        if self.settings.dry_run {
            for suffix in &suffixes {
                debug!(key = self.copier.rule().copy_of(suffix), "would be deleted");
            }
            let would = suffixes.len() as u64;
            self.state.send_modify(|state| state.would.delete = would);
            self.copier.end_proof(true);
            return Ok(());
        }
        let mut complete = true;
        for some in groups(&suffixes, self.copier.rule().source.len()) {
            let origins: Vec<String> =
                some.iter().map(|suffix| self.copier.rule().origin_of(suffix)).collect();
            let names: Vec<&str> = origins.iter().map(String::as_str).collect();
            let absent = match self.source.client.txn().absent(&names, &Query::new().consistent()).await {
                Ok(absent) => absent,
                Err(error) => {
                    self.copier.end_proof(false);
                    return Err(error);
                }
            };
            let (mut batch, mut batches) = (Batch::default(), Vec::new());
            for (suffix, absent) in some.iter().zip(absent) {
                let Some(delete) = self.copier.proven(suffix, absent) else {
                    if !absent {
                        let key = self.copier.rule().origin_of(suffix);
                        debug!(key, "a list did not have it, and it is there: its copy stays");
                    }
                    continue;
                };
                let key = self.copier.rule().copy_of(suffix);
                batches.extend(self.writer.add(&mut batch, Job::Delete { delete, key }));
            }
            batches.push(batch);
            for batch in batches.into_iter().filter(|batch| !batch.is_empty()) {
                for (job, fate) in self.writer.clone().send(batch).await {
                    complete &= self.deleted(job, fate).await?;
                }
            }
        }
        self.copier.end_proof(complete);
        self.at.due |= !complete;
        Ok(())
    }

    /// Whether that is known to be over.
    async fn deleted(&mut self, job: Job, fate: Fate) -> Result<bool, Error> {
        let Job::Delete { delete, key } = job else { return Ok(true) };
        match fate {
            Fate::Done(_) => {
                debug!(key, "deleted, as at the source");
                self.copier.deleted(&delete);
            }
            Fate::Conflict | Fate::Unclear(_) => {
                self.look(&delete.suffix).await?;
                return Ok(false);
            }
            Fate::Refused(why) => {
                if !self.copier.refused().contains_key(&delete.suffix) {
                    warn!(key, why, "a key is not deleted; it is tried again");
                }
                self.copier.refuse_delete(&delete, &why, self.clock.boot());
            }
            Fate::Fenced => self.at.fenced = true,
        }
        Ok(true)
    }
}

/// As many as one transaction asks for; each name is longer by so much.
fn groups(suffixes: &[String], more: usize) -> Vec<&[String]> {
    let mut groups = Vec::new();
    let mut rest = suffixes;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |suffix: &&String| {
            bytes += suffix.len() + more;
            bytes <= BYTES
        };
        let count = rest.iter().take(ASKED).take_while(fits).count().max(1);
        let (group, others) = rest.split_at(count);
        groups.push(group);
        rest = others;
    }
    groups
}

/// Why deletes are held back, in words.
pub fn words(hold: &Hold) -> String {
    use lictor_core::replicate::Limit;
    match hold {
        Hold::Empty => "the source has no keys at all".to_owned(),
        Hold::Many { deletes, of, limit: Limit::Percent(share) } => {
            format!("{deletes} of {of} keys are more than {share} %")
        }
        Hold::Many { deletes, of, limit: Limit::Keys(most) } => {
            format!("{deletes} of {of} keys are more than {most}")
        }
        Hold::WentBack => {
            "the index of the source went back: it was restored, or it is another one".to_owned()
        }
        Hold::Filtered => "the source leaves out what its token may not read".to_owned(),
        Hold::Canary(key) => {
            format!("the key {key}, which the token must be able to read, is not to be seen")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_do_not_fit_together_are_asked_for_apart() {
        let suffixes: Vec<String> = [10, 60_000, 10_000, 70_000, 1].map(|length| "x".repeat(length)).into();
        let sizes = |more| groups(&suffixes, more).iter().map(|group| group.len()).collect::<Vec<_>>();
        assert_eq!(sizes(0), [2, 1, 1, 1]);
        assert_eq!(sizes(70_000), [1, 1, 1, 1, 1]);
        let many = vec![String::new(); 130];
        assert_eq!(groups(&many, 3).iter().map(|group| group.len()).collect::<Vec<_>>(), [64, 64, 2]);
    }
}
