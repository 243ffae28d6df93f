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
use crate::kind::Kind;
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

/// Whether records of this kind are compared.
#[must_use]
pub fn compares(kind: Kind) -> bool {
    [
        Kind::KVS,
        Kind::REGISTER,
        Kind::SESSION,
        Kind::ACL_TOKEN,
        Kind::ACL_POLICY,
        Kind::ACL_ROLE,
        Kind::ACL_BINDING_RULE,
        Kind::ACL_AUTH_METHOD,
        Kind::CONFIG_ENTRY,
        Kind::INTENTION,
        Kind::PREPARED_QUERY,
        Kind::CA_ROOT,
    ]
    .contains(&kind)
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
    let mut things = Things::new(entries);

    let mut summary = Summary::default();
    after.read(limits, |record| {
        let Some(item) = Item::of(record) else { return ControlFlow::Continue(()) };
        let totals = summary.of_mut(item.what);
        let how = match things.see(item.identity(&keys), item.content(&keys)) {
            None => {
                totals.added += 1;
                How::Added
            }
            Some(aspects) if aspects == Aspects::default() => {
                totals.same += 1;
                return ControlFlow::Continue(());
            }
            Some(aspects) => {
                totals.changed += 1;
                How::Changed(aspects)
            }
        };
        visit(&Change { what: item.what, name: item.name(), how })
    })?;

    let mut removed = 0;
    for what in things.unseen() {
        summary.of_mut(what).removed += 1;
        removed += 1;
    }
    if removed == 0 {
        return Ok(summary);
    }
    before.read(limits, |record| {
        let Some(item) = Item::of(record) else { return ControlFlow::Continue(()) };
        if !things.see_first(item.identity(&keys)) {
            return ControlFlow::Continue(());
        }
        visit(&Change { what: item.what, name: item.name(), how: How::Removed })
    })?;
    Ok(summary)
}

/// The things of the first snapshot, in the order of their identities. One may be there more than once, which
/// is not so in what Consul writes.
struct Things(Vec<Entry>);

impl Things {
    fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable_by_key(|entry| (entry.identity, entry.content));
        entries.dedup_by_key(|entry| (entry.identity, entry.content));
        Self(entries)
    }

    /// The first entry of a thing, which knows whether it was seen.
    fn first(&mut self, identity: u128) -> Option<&mut Entry> {
        let place = self.0.partition_point(|entry| entry.identity < identity);
        self.0.get_mut(place).filter(|entry| entry.identity == identity)
    }

    /// Notes that a thing is there still, and gives in what it differs; nothing if it was not there.
    fn see(&mut self, identity: u128, content: Content) -> Option<Aspects> {
        let search = |entry: &Entry| (entry.identity, entry.content);
        let is_same = self.0.binary_search_by_key(&(identity, content), search).is_ok();
        let first = self.first(identity)?;
        first.seen = true;
        Some(if is_same { Aspects::default() } else { first.content.differs(&content) })
    }

    /// Whether a thing is there and was not seen before; now it was.
    fn see_first(&mut self, identity: u128) -> bool {
        self.first(identity).is_some_and(|first| !std::mem::replace(&mut first.seen, true))
    }

    /// What was not seen.
    fn unseen(&self) -> impl Iterator<Item = What> {
        let groups = self.0.chunk_by(|one, other| one.identity == other.identity);
        groups.filter_map(|group| group.first()).filter(|first| !first.seen).map(|first| first.what)
    }
}
