//! Opening the state file, and what to do when it cannot be read.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lictor_core::{CheckName, Row};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _};

use super::apply::Tables;
use super::disk::{self, Maker};
use super::error::{OpenError, StoreError, guarded};
use super::past::Grain;
use super::sum::{sum, unseal};
use super::tables::{self, ACTS, META, PAST, POSITIONS, ROWS, SCHEMA};
use crate::wire::{self, Live, Made};

/// Where the state file is and how it is opened.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) maker: Maker,
}

/// The state file, open.
pub(super) struct StateFile {
    pub(super) database: Database,
    pub(super) fence: Arc<AtomicBool>,
    pub(super) made: Made,
    pub(super) live: Live,
}

/// What the file says of the present.
pub(super) struct Present {
    pub(super) rows: Vec<Row>,
    pub(super) positions: Vec<(CheckName, String)>,
}

/// A file that was not usable, and where it was put.
pub(super) struct Aside {
    pub(super) path: PathBuf,
    pub(super) why: String,
}

/// Makes the state directory, readable by its owner only.
pub(super) fn directory(dir: &Path) -> Result<(), OpenError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error("make", dir))
}

/// Opens the state file, or makes one. A file that cannot be read is moved aside first.
pub(super) fn state(place: &Place, node: &str) -> Result<(StateFile, Present, Option<Aside>), OpenError> {
    let path = &place.path;
    let mut aside = None;
    if fs::symlink_metadata(path).is_ok() {
        match existing(place) {
            Ok((file, present)) => return Ok((file, present, None)),
            Err(StoreError::Newer(why)) => {
                return Err(OpenError::Newer { path: path.clone(), why: why.to_string() });
            }
            Err(StoreError::Io { source }) => return Err(io_error("read", path)(source)),
            Err(StoreError::Full) => {
                return Err(io_error("open", path)(io::ErrorKind::StorageFull.into()));
            }
            Err(why @ (StoreError::Damaged { .. } | StoreError::Closed)) => {
                let to = move_aside(path).map_err(io_error("move aside", path))?;
                aside = Some(Aside { path: to, why: why.to_string() });
            }
        }
    }
    let file = fresh(place, node)?;
    Ok((file, Present { rows: Vec::new(), positions: Vec::new() }, aside))
}

/// Opens the file that is there and reads its present.
pub(super) fn existing(place: &Place) -> Result<(StateFile, Present), StoreError> {
    let mut file = database(place)?;
    let size = fs::metadata(&place.path).map_or(0, |meta| meta.len());
    if size > SMALL
        && file.live.bytes.saturating_add(guarded(|| beside(&file))?).saturating_mul(4) < size
        && let Err(error) = guarded(|| compact(&mut file, size))
    {
        // A full disk has no room for the copies that this makes; the next start tries again.
        tracing::warn!(%error, "cannot compact the state file");
        drop(file);
        file = database(place)?;
    }
    let live = &file.live;
    let present = guarded(|| {
        let txn = file.database.begin_read()?;
        let mut rows = Vec::new();
        let mut all = 0;
        for found in txn.open_table(ROWS)?.iter()? {
            let (key, bytes) = found?;
            rows.push(tables::row(key.value(), bytes.value())?);
            all ^= sum(bytes.value());
        }
        if (rows.len() as u64, all) != (live.rows, live.rows_sum) {
            let why = format!("it has {} rows, not the {} that were recorded", rows.len(), live.rows);
            return Err(StoreError::Damaged { why });
        }
        let mut positions = Vec::new();
        for found in txn.open_table(POSITIONS)?.iter()? {
            let (key, bytes) = found?;
            let body = unseal(key.value().as_bytes(), bytes.value())?;
            let position: wire::Position = wire::decode(body)?;
            let watcher = position.watcher.parse().map_err(wire::WireError::damaged)?;
            positions.push((watcher, position.at));
        }
        Ok(Present { rows, positions })
    })?;
    Ok((file, present))
}

/// What the file has besides the ledger, about, bytes: how checks stood and who asked for what. One entry is taken for
/// all of its kind; to look at each would read all of them.
fn beside(file: &StateFile) -> Result<u64, StoreError> {
    let txn = file.database.begin_read()?;
    let mut bytes: u64 = 0;
    if let Some(past) = tables::optional(&txn, PAST)? {
        let mut left = past.len()?;
        for grain in Grain::ALL {
            let Some(last) = past.range(grain.keys())?.next_back() else { continue };
            let many = left.min(grain.kept() as u64);
            left -= many;
            bytes = bytes.saturating_add(many.saturating_mul(last?.1.value().len() as u64));
        }
    }
    if let Some(acts) = tables::optional(&txn, ACTS)?
        && let Some((_, last)) = acts.last()?
    {
        bytes = bytes.saturating_add(acts.len()?.saturating_mul(last.value().len() as u64));
    }
    Ok(bytes)
}

/// Files below this size are not worth compacting, bytes.
const SMALL: u64 = 32 << 20;

/// Gives unused space back to the disk, which redb never does by itself, when more than
/// half of the file is unused.
fn compact(file: &mut StateFile, size: u64) -> Result<(), StoreError> {
    let txn = file.database.begin_write()?;
    let stats = txn.stats()?;
    txn.abort()?;
    let used = stats.allocated_pages().saturating_mul(stats.page_size() as u64);
    if used.saturating_mul(2) < size {
        tracing::info!(used, size, "compacting the state file");
        file.database.compact()?;
    }
    Ok(())
}

/// Opens the file that is there and reads what it says of itself.
pub(super) fn database(place: &Place) -> Result<StateFile, StoreError> {
    // An empty file would be taken for a new one, and one of another program could be
    // written to before it is found out.
    let mut start = [0; MAGIC.len()];
    let is_ours = File::open(&place.path)
        .and_then(|mut file| io::Read::read_exact(&mut file, &mut start))
        .map(|()| start == MAGIC);
    match is_ours {
        Ok(true) => {}
        Ok(false) => return Err(StoreError::Damaged { why: "it is no state file".to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(StoreError::Damaged { why: "it is empty or cut short".to_owned() });
        }
        Err(error) => return Err(redb::Error::Io(error).into()),
    }
    let (database, fence) = disk::open(&place.maker, &place.path)?;
    let (made, live) = guarded(|| {
        let meta = database.begin_read()?.open_table(META)?;
        Ok((tables::meta::<Made>(&meta, "made")?, tables::meta::<Live>(&meta, "live")?))
    })?;
    let (Some(made), Some(live)) = (made, live) else {
        return Err(StoreError::Damaged { why: "it does not say what it is".to_owned() });
    };
    if made.schema > SCHEMA {
        return Err(StoreError::Newer(wire::WireError::Newer { found: made.schema }));
    }
    Ok(StateFile { database, fence, made, live })
}

/// The first bytes of a redb file, from its format description.
const MAGIC: [u8; 9] = *b"redb\x1A\x0A\xA9\x0D\x0A";

/// Makes a new state file under another name first, so that a half-made one is never
/// taken for a damaged one.
fn fresh(place: &Place, node: &str) -> Result<StateFile, OpenError> {
    let path = &place.path;
    let young = path.with_extension("redb.new");
    if let Err(source) = fs::remove_file(&young)
        && source.kind() != io::ErrorKind::NotFound
    {
        return Err(io_error("remove", &young)(source));
    }
    let store_error = |why: StoreError| match why {
        StoreError::Io { source } => io_error("make", &young)(source),
        StoreError::Full => io_error("make", &young)(io::ErrorKind::StorageFull.into()),
        other => io_error("make", &young)(io::Error::other(other.to_string())),
    };
    let made = Made { schema: SCHEMA, lineage: lineage(), node: node.to_owned(), confirmed: false };
    let live = Live { next_seq: 1, kv_revision: 1, ..Live::default() };
    let (database, fence) = disk::open(&place.maker, &young).map_err(store_error)?;
    guarded(|| {
        let mut txn = database.begin_write()?;
        txn.set_quick_repair(true);
        let mut tables = Tables::open(&txn)?;
        tables.write_meta(&made, &live)?;
        drop(tables);
        Ok(txn.commit()?)
    })
    .map_err(store_error)?;
    fs::rename(&young, path).and_then(|()| sync_directory(path)).map_err(io_error("put in place", path))?;
    Ok(StateFile { database, fence, made, live })
}

/// 128 random bits in hexadecimal.
pub(super) fn lineage() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Moves a file to the first free name beside it: `state.redb.unreadable-1`, -2 and so on.
fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let to = free_name(path, "unreadable")?;
    fs::rename(path, &to)?;
    sync_directory(path)?;
    Ok(to)
}

/// The first free name beside a file that says what became of it.
pub(super) fn free_name(path: &Path, what: &str) -> io::Result<PathBuf> {
    let names = (1_u32..).map(|number| path.with_extension(format!("redb.{what}-{number}")));
    let mut free = names.filter(|to| fs::symlink_metadata(to).is_err());
    free.next().ok_or_else(|| io::Error::other("no free name"))
}

pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

pub(super) fn io_error(what: &'static str, path: &Path) -> impl Fn(io::Error) -> OpenError + use<> {
    let path = path.to_path_buf();
    move |source| OpenError::Io { what, path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use lictor_core::Wall;

    use super::super::past::{self, Slot, Stood};
    use super::*;

    #[test]
    fn how_checks_stood_is_no_unused_space() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { path: dir.path().join("state.redb"), maker: disk::real() };
        let file = fresh(&place, "one").unwrap();
        assert_eq!(beside(&file).unwrap(), 0);
        let check = |number: u32| format!("check{number}").parse().unwrap();
        let stood = Stood { passing: 3_600_000, looks: 360, took: 9_000, ..Stood::default() };
        let slot = |number| Slot {
            grain: past::Grain::Hour,
            number,
            checks: (0..1_000).map(|at| (check(at), stood)).collect(),
        };
        let slots: Vec<Slot> = (0..50).map(slot).collect();
        let txn = file.database.begin_write().unwrap();
        past::add(&mut Tables::open(&txn).unwrap().past, &slots, Wall::from_unix_millis(i64::MAX)).unwrap();
        txn.commit().unwrap();
        let txn = file.database.begin_read().unwrap();
        let stored = txn.open_table(PAST).unwrap();
        let real: usize = stored.iter().unwrap().map(|found| found.unwrap().1.value().len()).sum();
        assert_eq!(beside(&file).unwrap(), real as u64);
    }
}
