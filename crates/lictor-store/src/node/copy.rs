//! Copies of the whole store: made while it is in use, checked, and put in the place of a store.
//!
//! A copy is a state file like any other. What has happened since it was made is not in it, so it is never gone on with as if
//! nothing had: what is put in the place of a store gets a history of its own (its *lineage*), may not act before Consul
//! was asked, and each run that was under way waits for a person.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use lictor_core::{Event, Now, Row, RowKey, Run, RunId, RunState, Wall, What};
use redb::{
    Database, Key, ReadTransaction, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    Table, TableDefinition, Value,
};

use super::apply::{Held, Tables};
use super::batch::Batch;
use super::disk;
use super::error::{OpenError, StoreError, guarded};
use super::lock::Lock;
use super::open::{self, Place, Present, StateFile};
use super::sum::unseal;
use super::tables::{self, ACTS, KV, LEDGER, META, PAST, POSITIONS, ROWS, SUBJECTS};
use super::{Anchor, NodeStore};
use crate::wire::Live;

/// Who restores as root leaves nothing that the agent's user cannot open.
fn give_to_owner(dir: &Path, path: &Path) -> io::Result<()> {
    let (dir, file) = (fs::metadata(dir)?, fs::metadata(path)?);
    match (dir.uid(), dir.gid()) == (file.uid(), file.gid()) {
        true => Ok(()),
        false => chown(path, Some(dir.uid()), Some(dir.gid())),
    }
}

/// What a copy holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The node that wrote it.
    pub node: String,
    /// The history it is from.
    pub lineage: String,
    /// The commit it is of.
    pub commit: u64,
    /// When that was; not known of a store that never recorded anything.
    pub at: Option<Wall>,
    /// How many entries of the past it has.
    pub entries: u64,
    /// The runs that were under way, or waited for a person.
    pub runs: Vec<RunId>,
    /// How many incidents were open.
    pub incidents: usize,
}

/// Why a copy was not made, is not sound, or was not put in place.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The state directory cannot be had.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file cannot be made, read or written.
    #[error("cannot {what} `{path}`: {source}", path = path.display())]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// What is in the copy is not what it should be.
    #[error("the copy is not sound: {0}")]
    Unsound(#[source] StoreError),
}

impl NodeStore {
    /// Writes all there is at one moment into a new file, readable by its owner only, and has it on disk when this comes back. The
    /// store is used on meanwhile. It blocks on the disk for as long as that takes.
    ///
    /// # Errors
    /// If the file is there already or cannot be written, or the store cannot be read; then there is no file.
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let database = self.shared.database()?;
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        drop(made.map_err(redb::Error::Io)?);
        let copied = copy(&database, path);
        if copied.is_err() && fs::remove_file(path).is_err() {
            // Why there is no copy is the better thing to tell.
        }
        copied
    }
}

/// As [`NodeStore::copy_to`], of the state directory of an agent that does not run, into a file that is there and empty.
///
/// # Errors
/// If an agent has the directory, there is no state in it, or as for that.
pub fn copy_of(dir: &Path, to: &Path) -> Result<(), CopyError> {
    let path = dir.join("state.redb");
    // Nothing is made where there is nothing.
    fs::metadata(&path).map_err(|source| CopyError::Io { what: "read", path: path.clone(), source })?;
    let _lock = Lock::take(dir)?;
    let place = Place { path, maker: disk::real() };
    let (file, _present) = open::existing(&place).map_err(CopyError::Unsound)?;
    copy(&file.database, to).map_err(CopyError::Unsound)
}

fn copy(from: &Database, path: &Path) -> Result<(), StoreError> {
    let (to, _fence) = disk::open(&disk::real(), path)?;
    guarded(|| {
        let read = from.begin_read()?;
        let txn = to.begin_write()?;
        {
            let mut tables = Tables::open(&txn)?;
            carry(&read, META, &mut tables.meta)?;
            carry(&read, ROWS, &mut tables.rows)?;
            carry(&read, POSITIONS, &mut tables.positions)?;
            carry(&read, LEDGER, &mut tables.ledger)?;
            carry(&read, SUBJECTS, &mut tables.subjects)?;
            carry(&read, KV, &mut tables.kv)?;
            carry(&read, PAST, &mut tables.past)?;
            carry(&read, ACTS, &mut tables.acts)?;
        }
        Ok(txn.commit()?)
    })
}

/// Copies a table.
fn carry<K: Key + 'static, V: Value + 'static>(
    read: &ReadTransaction,
    definition: TableDefinition<'_, K, V>,
    table: &mut Table<'_, K, V>,
) -> Result<(), StoreError> {
    let Some(from) = tables::optional(read, definition)? else { return Ok(()) };
    for found in from.iter()? {
        let (key, value) = found?;
        table.insert(key.value(), value.value())?;
    }
    Ok(())
}

fn each<K: Key + 'static, V: Value + 'static>(
    read: &ReadTransaction,
    table: TableDefinition<'_, K, V>,
    mut visit: impl for<'a> FnMut(K::SelfType<'a>, V::SelfType<'a>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let Some(table) = tables::optional(read, table)? else { return Ok(()) };
    for found in table.iter()? {
        let (key, value) = found?;
        visit(key.value(), value.value())?;
    }
    Ok(())
}

/// Reads a copy to its end: every row, every entry of the past, every shared record, with their sums. The file must be the caller's
/// own: opening it may write to it.
///
/// # Errors
/// If it is no copy, is damaged, or was written by a newer program.
pub fn check_copy(path: &Path) -> Result<Copied, CopyError> {
    let place = Place { path: path.to_owned(), maker: disk::real() };
    let (file, present) = open::existing(&place).map_err(CopyError::Unsound)?;
    read_all(&file).map_err(CopyError::Unsound)?;
    Ok(Copied::of(&file, &present))
}

/// What opening does not read.
fn read_all(file: &StateFile) -> Result<(), StoreError> {
    guarded(|| {
        let read = file.database.begin_read()?;
        let mut entries = 0;
        each(&read, LEDGER, |seq, bytes| {
            entries += 1;
            tables::event(seq, bytes).map(drop)
        })?;
        if entries != file.live.entries {
            let why = format!("it has {entries} entries of the past, not the {} recorded", file.live.entries);
            return Err(StoreError::Damaged { why });
        }
        each(&read, KV, |key, bytes| unseal(key.as_bytes(), bytes).map(drop))?;
        each(&read, ACTS, |number, bytes| super::acts::entry(number, bytes).map(drop))?;
        each(&read, PAST, |key, bytes| super::past::checks(key, bytes).map(drop))?;
        read.open_table(SUBJECTS)?.len()?;
        Ok(())
    })
}

impl Copied {
    fn of(file: &StateFile, present: &Present) -> Self {
        let mut runs: Vec<RunId> = under_way(present).map(|run| run.id).collect();
        runs.sort_unstable();
        let open = |row: &&Row| matches!(row, Row::Incident(incident) if incident.closed.is_none());
        Self {
            node: file.made.node.clone(),
            lineage: file.made.lineage.clone(),
            commit: file.live.commit,
            at: anchor(&file.live).map(|anchor| anchor.wall),
            entries: file.live.entries,
            runs,
            incidents: present.rows.iter().filter(open).count(),
        }
    }
}

fn under_way(present: &Present) -> impl Iterator<Item = &Run> {
    present.rows.iter().filter_map(|row| match row {
        Row::Run(run) if !run.ended() => Some(run),
        _ => None,
    })
}

fn anchor(live: &Live) -> Option<Anchor> {
    live.anchor.clone().map(Into::into)
}

/// A copy that lies in a state directory, checked, and has not taken the place of what is there yet. It has the directory's lock.
/// Dropping it leaves everything as it was.
pub struct Restoring {
    /// Given back last.
    young: Young,
    place: Place,
    copied: Copied,
    _lock: Lock,
}

/// A file that is removed unless it gets its name.
struct Young(PathBuf);

impl Drop for Young {
    fn drop(&mut self) {
        // It is not there any more when it got its name; the next one writes over it otherwise.
        fs::remove_file(&self.0).unwrap_or_default();
    }
}

/// What was put in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Where the store is kept that was there before, if there was one.
    pub kept: Option<PathBuf>,
    /// The history that begins with it.
    pub lineage: String,
    /// The runs that wait for a person now.
    pub parked: Vec<RunId>,
}

impl Restoring {
    /// Takes a copy into a state directory, and reads it to its end there.
    ///
    /// # Errors
    /// If an agent has the directory, there is no room, or the copy is not sound.
    pub fn begin(dir: &Path, mut copy: impl Read) -> Result<Self, CopyError> {
        open::directory(dir)?;
        let lock = Lock::take(dir)?;
        let young = Young(dir.join("state.redb.restoring"));
        let failed =
            |what| move |source| CopyError::Io { what, path: dir.join("state.redb.restoring"), source };
        let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&young.0);
        let mut file = opened.map_err(failed("make"))?;
        io::copy(&mut copy, &mut file).map_err(failed("copy into"))?;
        for path in [&young.0, &dir.join("lock")] {
            give_to_owner(dir, path).map_err(failed("give the agent's user"))?;
        }
        file.sync_all().map_err(failed("write"))?;
        drop(file);
        let copied = check_copy(&young.0)?;
        let place = Place { path: dir.join("state.redb"), maker: disk::real() };
        Ok(Self { young, place, copied, _lock: lock })
    }

    /// What the copy holds.
    #[must_use]
    pub fn copied(&self) -> &Copied {
        &self.copied
    }

    /// Whether there is a store that it would take the place of.
    #[must_use]
    pub fn replaces(&self) -> bool {
        fs::symlink_metadata(&self.place.path).is_ok()
    }

    /// Puts it in place. What was there is kept beside it. Until this has come back, what was there is there, or all of this.
    /// `of` says when the copy was made, for people who wonder why a run waits for them.
    ///
    /// # Errors
    /// If something cannot be written; then what was there is there.
    pub fn put(self, wall: Wall, of: &str) -> Result<Restored, CopyError> {
        let path = &self.place.path;
        let failed = |what| move |source| CopyError::Io { what, path: path.clone(), source };
        let (lineage, parked) = begin_anew(&self.young.0, wall, of).map_err(CopyError::Unsound)?;
        File::open(&self.young.0).and_then(|file| file.sync_all()).map_err(failed("write"))?;
        let kept = match self.replaces() {
            // A second name first: there is never a moment without a store.
            true => {
                let kept = open::free_name(path, "replaced").map_err(failed("keep"))?;
                fs::hard_link(path, &kept).map_err(failed("keep"))?;
                Some(kept)
            }
            false => None,
        };
        let put = fs::rename(&self.young.0, path).and_then(|()| open::sync_directory(path));
        put.map_err(failed("put something in the place of"))?;
        Ok(Restored { kept, lineage, parked })
    }
}

/// Begins a history with a copy.
fn begin_anew(path: &Path, wall: Wall, of: &str) -> Result<(String, Vec<RunId>), StoreError> {
    let place = Place { path: path.to_owned(), maker: disk::real() };
    let (StateFile { database, mut made, mut live, .. }, present) = open::existing(&place)?;
    let (batch, parked) = anew(&present, anchor(&live), wall, of);
    made.lineage = open::lineage();
    made.confirmed = false;
    guarded(|| {
        let mut txn = database.begin_write()?;
        txn.set_quick_repair(true);
        let mut tables = Tables::open(&txn)?;
        live.commit += 1;
        live.clean = false;
        tables.apply(&batch, &mut live, &mut Held::of(&present.rows))?;
        tables.write_meta(&made, &live)?;
        drop(tables);
        Ok(txn.commit()?)
    })?;
    Ok((made.lineage, parked))
}

/// What must not be gone on with as if it was still so.
fn anew(present: &Present, anchor: Option<Anchor>, wall: Wall, of: &str) -> (Batch, Vec<RunId>) {
    let mut batch = Batch::default();
    let at = Now { boot: anchor.map(|anchor| anchor.axis).unwrap_or_default(), wall };
    let event = |run: Option<&Run>, what| Event {
        at,
        incident: run.and_then(|run| run.incident),
        run: run.map(|run| run.id),
        what,
    };
    let command = format!("state restored from a copy of {of}");
    batch.note(event(None, What::Commanded { command }));
    // Lines since then were read already, or are not there any more.
    for (watcher, _) in &present.positions {
        batch.forget_position(watcher.clone());
    }
    let mut parked = Vec::new();
    for row in &present.rows {
        match row {
            Row::Reading(name, _) => batch.remove(RowKey::Reading(name.clone())),
            Row::Run(run) if !run.ended() => {
                parked.push(run.id);
                if matches!(run.state, RunState::Parked { .. }) {
                    continue;
                }
                let why = format!(
                    "it was at step `{}` in a copy of {of}; what was done since is not known",
                    run.step
                );
                let state = RunState::Parked { why: why.clone(), attempt: attempt(&run.state) };
                batch.note(event(Some(run), What::Parked { remedy: run.remedy.clone(), why }));
                batch.put(Row::Run(Run { state, ..run.clone() }));
            }
            _ => {}
        }
    }
    parked.sort_unstable();
    (batch, parked)
}

/// The attempt that a run is at.
fn attempt(state: &RunState) -> u32 {
    match state {
        RunState::Preparing { attempt, .. }
        | RunState::Acting { attempt, .. }
        | RunState::Inspecting { attempt, .. }
        | RunState::Verifying { attempt, .. }
        | RunState::BackingOff { attempt, .. }
        | RunState::Queued { attempt }
        | RunState::Waiting { attempt, .. }
        | RunState::Parked { attempt, .. } => *attempt,
        RunState::Ended(..) => 1,
    }
}
