//! What became of the things in a snapshot by the time of another one.
//!
//! The first snapshot is read twice and the second one once. What is held is 64 bytes for each thing of
//! the first one, whatever its size. Indexes are not compared, nor is what a check printed: both change
//! without anything having happened. Nor does it count whether a field that says nothing is there, so that
//! snapshots of different versions of Consul can be compared.

mod digest;
mod item;
mod report;

pub use item::What;
pub use report::{Summary, Totals};

use std::ops::ControlFlow;

use crate::archive::Limits;
use crate::source::{ReadError, Source};
use digest::Keys;
use item::{Content, Item};

/// Something that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is.
    pub what: What,
    /// What it is called: a key; a node; `node/service`; `node/check`; the ID of a session or a root; the
    /// name of a policy, a role, a method or a query; the accessor of a token; `kind/name` of a config
    /// entry; `source => destination` of an intention. It need not be UTF-8.
    pub name: Vec<u8>,
    /// What became of it.
    pub how: How,
}

/// What became of a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another one.
    Changed(Aspects),
}

/// In what a thing is another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aspects {
    /// The value of a key; of other things everything that is compared.
    pub content: bool,
    /// The flags of a key.
    pub flags: bool,
    /// The session that holds a key.
    pub session: bool,
}

/// A thing of the first snapshot.
#[derive(Clone, Copy)]
struct Entry {
    identity: u128,
    content: Content,
    what: What,
    seen: bool,
}

/// Compares two snapshots. Each change is given to `visit` as soon as it is known: first what was added
/// or changed, in the order of the second snapshot, then what was removed, in the order of the first. They
/// count only when this has come back without an error.
///
/// # Errors
/// If one of the snapshots is not sound, or `visit` broke off.
pub fn compare(
    before: &Source,
    after: &Source,
    limits: &Limits,
    mut visit: impl FnMut(&Change) -> ControlFlow<()>,
) -> Result<Summary, ReadError> {
    let keys = Keys::new();
    let mut entries = Vec::new();
    before.read(limits, |record| {
        if let Some(item) = Item::of(record) {
            let (identity, content) = (item.identity(&keys), item.content(&keys));
            entries.push(Entry { identity, content, what: item.what, seen: false });
        }
        ControlFlow::Continue(())
    })?;
    entries.sort_by_key(|entry| entry.identity);
    entries.dedup_by(|later, earlier| {
        let same = later.identity == earlier.identity;
        if same {
            // What comes last is what a restore leaves.
            *earlier = *later;
        }
        same
    });

    let mut summary = Summary::default();
    after.read(limits, |record| {
        let Some(item) = Item::of(record) else { return ControlFlow::Continue(()) };
        let totals = summary.of_mut(item.what);
        let found = entries.binary_search_by_key(&item.identity(&keys), |entry| entry.identity);
        let how = match found.ok().and_then(|place| entries.get_mut(place)) {
            None => {
                totals.added += 1;
                How::Added
            }
            Some(entry) => {
                entry.seen = true;
                let aspects = entry.content.differs(&item.content(&keys));
                if aspects == Aspects::default() {
                    totals.same += 1;
                    return ControlFlow::Continue(());
                }
                totals.changed += 1;
                How::Changed(aspects)
            }
        };
        visit(&Change { what: item.what, name: item.name(), how })
    })?;

    for entry in entries.iter().filter(|entry| !entry.seen) {
        summary.of_mut(entry.what).removed += 1;
    }
    if entries.iter().all(|entry| entry.seen) {
        return Ok(summary);
    }
    before.read(limits, |record| {
        let Some(item) = Item::of(record) else { return ControlFlow::Continue(()) };
        let found = entries.binary_search_by_key(&item.identity(&keys), |entry| entry.identity);
        match found.ok().and_then(|place| entries.get_mut(place)) {
            Some(entry) if !entry.seen => {
                entry.seen = true;
                visit(&Change { what: item.what, name: item.name(), how: How::Removed })
            }
            _ => ControlFlow::Continue(()),
        }
    })?;
    Ok(summary)
}
