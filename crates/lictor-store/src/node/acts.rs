//! The record of acts: who asked for what, when and from where, as a chain of hashes.
//!
//! Each entry names the SHA-256 of the one before, and the file's own word names that of the last one. So an entry that was
//! changed, taken out, put in or put elsewhere is found, and so is the end cut off; what was removed because there were too
//! many leaves its hash behind. Who may write the whole file can write a whole chain: what protects against that is a copy of the
//! last hash elsewhere.

use lictor_core::Now;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, Table};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::NodeStore;
use super::error::{StoreError, guarded};
use super::sum::{seal, unseal};
use super::tables::{self, ACTS, META};
use super::writer::Work;
use crate::wire::{self, ActChain, ActEntry, Live};

/// Entries that are kept; one has some 3 KiB at most, mostly 400 bytes.
pub const ACTS_KEPT: u64 = 20_000;

/// Breaks of a chain that are told.
const BREAKS: usize = 20;

/// Something that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// When.
    pub at: Now,
    /// Who, as they say.
    pub by: String,
    /// The address it came from.
    pub from: String,
    /// What it came by, such as `page` or `cli`.
    pub door: String,
    /// What was asked for.
    pub what: String,
    /// With which words.
    pub detail: String,
    /// What became of it.
    pub end: ActEnd,
    /// What was answered.
    pub said: String,
    /// The number of the entry whose end this is.
    pub of: Option<u64>,
}

/// What became of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActEnd {
    /// It is about to be done; an entry of its own says what became of it.
    Begun,
    /// It was done.
    Done,
    /// It was not let in, or is not possible.
    Refused,
    /// It was tried and did not work.
    Failed,
    /// It was taken, and what becomes of it was not known yet.
    Unclear,
}

/// An act with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActRecord {
    /// Its number, from 1.
    pub number: u64,
    /// The act.
    pub act: Act,
    /// Its hash, in hexadecimal.
    pub hash: String,
    /// That of the entry before.
    pub before: String,
}

/// What a look at the whole chain found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActsVerified {
    /// Entries that are there.
    pub entries: u64,
    /// The number of the first one; 0 if there is none.
    pub first: u64,
    /// The number of the last one; 0 if there is none.
    pub last: u64,
    /// The hash of the last one, as the entries give it.
    pub hash: String,
    /// Up to here entries were removed because there were too many; 0 if none was.
    pub cut: u64,
    /// Where it is broken: a number, and how.
    pub breaks: Vec<(u64, String)>,
}

impl NodeStore {
    /// Records an act; gives its number.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub async fn record_act(&self, act: Act) -> Result<u64, StoreError> {
        let (reply, answer) = oneshot::channel();
        match self.works.send(Work::Act(Box::new(act), reply)).await {
            Ok(()) => answer.await.unwrap_or(Err(StoreError::Closed)),
            Err(_) => Err(StoreError::Closed),
        }
    }

    /// The latest acts, the newest first, those before a number; what is damaged is left out. It blocks on the disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn acts(&self, before: Option<u64>, limit: usize) -> Result<Vec<ActRecord>, StoreError> {
        let database = self.shared.database()?;
        guarded(|| {
            let Some(table) = tables::optional(&database.begin_read()?, ACTS)? else { return Ok(Vec::new()) };
            let mut acts = Vec::new();
            for found in table.range(..before.unwrap_or(u64::MAX))?.rev() {
                let (number, bytes) = found?;
                if acts.len() == limit {
                    break;
                }
                if let Ok((entry, hash)) = entry(number.value(), bytes.value()) {
                    let before = entry.before.clone();
                    acts.push(ActRecord { number: number.value(), act: entry.act(), hash, before });
                }
            }
            Ok(acts)
        })
    }

    /// Looks at the whole chain. It blocks on the disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn verify_acts(&self) -> Result<ActsVerified, StoreError> {
        let database = self.shared.database()?;
        guarded(|| verify(&database))
    }
}

/// The hash of no entry.
fn nothing() -> String {
    "0".repeat(64)
}

fn hash(number: u64, body: &[u8]) -> String {
    let digest = Sha256::new().chain_update(number.to_be_bytes()).chain_update(body).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads an entry; with its hash.
pub(super) fn entry(number: u64, bytes: &[u8]) -> Result<(ActEntry, String), StoreError> {
    let body = unseal(&number.to_be_bytes(), bytes)?;
    Ok((wire::decode(body)?, hash(number, body)))
}

/// Puts an act at the end of the chain, and removes the first one if there are too many; gives its number.
pub(super) fn append(
    table: &mut Table<'_, u64, &'static [u8]>,
    act: &Act,
    live: &mut Live,
) -> Result<u64, StoreError> {
    let found = match live.acts.take() {
        Some(chain) => chain,
        None => found(table)?,
    };
    let chain = live.acts.insert(found);
    let number = chain.last + 1;
    let body = wire::encode(&ActEntry::new(act, &chain.hash))?;
    table.insert(number, seal(&number.to_be_bytes(), &body).as_slice())?;
    (chain.last, chain.hash) = (number, hash(number, &body));
    while number - chain.cut > ACTS_KEPT {
        let first = chain.cut + 1;
        let removed = table.remove(first)?;
        // Of one that is not there or damaged nothing is known; the chain then shows that it is broken there.
        let known = removed.and_then(|bytes| entry(first, bytes.value()).ok());
        chain.cut_hash = known.map_or_else(nothing, |(_, hash)| hash);
        chain.cut = first;
    }
    Ok(number)
}

/// How far a chain goes by its entries: an older program, which knows nothing of it, leaves them without a word of them.
fn found(table: &Table<'_, u64, &'static [u8]>) -> Result<ActChain, StoreError> {
    let new = ActChain { last: 0, hash: nothing(), cut: 0, cut_hash: nothing() };
    let Some((last, bytes)) = table.last()? else { return Ok(new) };
    // Of one that is damaged nothing is known; the chain then shows that it is broken there.
    let hash = entry(last.value(), bytes.value()).map_or_else(|_damaged| nothing(), |(_, hash)| hash);
    let Some((first, bytes)) = table.first()? else { return Ok(new) };
    let before = entry(first.value(), bytes.value()).map_or_else(|_damaged| nothing(), |(one, _)| one.before);
    Ok(ActChain { last: last.value(), hash, cut: first.value().saturating_sub(1), cut_hash: before })
}

fn verify(database: &Database) -> Result<ActsVerified, StoreError> {
    let txn = database.begin_read()?;
    let live = tables::meta::<Live>(&txn.open_table(META)?, "live")?.unwrap_or_default();
    let chain = live.acts;
    let (cut, mut expected) =
        chain.as_ref().map_or((0, nothing()), |chain| (chain.cut, chain.cut_hash.clone()));
    let mut found = ActsVerified { cut, hash: nothing(), ..ActsVerified::default() };
    let mut next = cut + 1;
    let tell = |found: &mut ActsVerified, number, why: String| {
        if found.breaks.len() < BREAKS {
            found.breaks.push((number, why));
        }
    };
    if let Some(table) = tables::optional(&txn, ACTS)? {
        for stored in table.iter()? {
            let (number, bytes) = stored?;
            let number = number.value();
            if number < next {
                tell(&mut found, number, format!("it should have been removed: entries up to {cut} were"));
                continue;
            }
            let gap = number > next;
            if gap {
                tell(&mut found, next, format!("entries {next} to {} are missing", number - 1));
            }
            found.entries += 1;
            if found.first == 0 {
                found.first = number;
            }
            (found.last, next) = (number, number + 1);
            match entry(number, bytes.value()) {
                Ok((entry, hash)) => {
                    if !gap && entry.before != expected {
                        let before = number - 1;
                        tell(
                            &mut found,
                            number,
                            format!("what it says of entry {before} does not fit that entry"),
                        );
                    }
                    expected = hash;
                }
                Err(error) => {
                    tell(&mut found, number, error.to_string());
                    // What the next one says of it cannot be compared.
                    expected = String::new();
                }
            }
        }
    }
    found.hash.clone_from(&expected);
    let (last, hash) = chain.map_or((0, nothing()), |chain| (chain.last, chain.hash));
    if next <= last {
        tell(&mut found, next, format!("entries {next} to {last} are missing"));
    } else if found.last > last {
        tell(&mut found, last + 1, format!("entries after {last} were not recorded by the store"));
    } else if expected != hash && !expected.is_empty() {
        tell(&mut found, last, "it is not the entry that was recorded last".to_owned());
    }
    Ok(found)
}
