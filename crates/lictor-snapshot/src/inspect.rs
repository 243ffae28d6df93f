//! What is in a state: how many records of which kind, and how large; keys by their first parts.

mod render;

pub use render::{Format, UnknownFormat};

use std::collections::HashMap;

use crate::kind::Kind;
use crate::state::Record;
use crate::view::Kv;

/// Which keys are counted, and by how many of their parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvDetails {
    /// Parts between slashes by which keys are put together; a key with fewer stands for itself.
    pub depth: usize,
    /// Only keys that begin with it are counted.
    pub filter: Vec<u8>,
}

impl Default for KvDetails {
    /// All keys by their first two parts, as Consul has it.
    fn default() -> Self {
        Self { depth: 2, filter: Vec::new() }
    }
}

/// How many records, and how large they are together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub count: u64,
    /// Bytes in `state.bin`.
    pub bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// Counts records. Its memory does not grow with them, except for the groups of keys if these are asked
/// for.
#[derive(Clone, Debug)]
pub struct Inspection {
    kinds: [Count; 256],
    details: Option<KvDetails>,
    groups: HashMap<Vec<u8>, Count>,
}

impl Inspection {
    /// Counts kinds, and keys too if `details` are given.
    #[must_use]
    pub fn new(details: Option<KvDetails>) -> Self {
        Self { kinds: [Count::default(); 256], details, groups: HashMap::new() }
    }

    /// Counts a record.
    pub fn add(&mut self, record: &Record<'_>) {
        if let Some(count) = self.kinds.get_mut(usize::from(record.kind.byte())) {
            count.add(record.size);
        }
        if let Some(details) = &self.details
            && let Some(kv) = Kv::of(record)
            && kv.key.starts_with(&details.filter)
        {
            let group = first_parts(kv.key, details.depth);
            // Most keys belong to a group that is there: only a new one is copied.
            match self.groups.get_mut(group) {
                Some(count) => count.add(record.size),
                None => drop(self.groups.insert(group.to_vec(), Count { count: 1, bytes: record.size })),
            }
        }
    }

    /// The kinds there are, largest first.
    #[must_use]
    pub fn kinds(&self) -> Vec<(Kind, Count)> {
        let mut kinds: Vec<_> =
            (0..=u8::MAX).map(Kind::new).zip(self.kinds).filter(|(_, count)| count.count > 0).collect();
        kinds.sort_by_cached_key(|(kind, count)| (std::cmp::Reverse(count.bytes), kind.to_string()));
        kinds
    }

    /// How much there is of a kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> Count {
        self.kinds.get(usize::from(kind.byte())).copied().unwrap_or_default()
    }

    /// The kinds that an open Consul of this version (major, minor) does not take. One is enough: its server
    /// dies of the restore (seen with 1.8.7, also with kinds that are [ignorable](Kind::is_ignorable)).
    #[must_use]
    pub fn refused_by(&self, version: (u16, u16)) -> Vec<Kind> {
        self.kinds().into_iter().map(|(kind, _)| kind).filter(|kind| !kind.restored_by(version)).collect()
    }

    /// Groups of keys, largest first.
    #[must_use]
    pub fn groups(&self) -> Vec<(&[u8], Count)> {
        let mut groups: Vec<_> = self.groups.iter().map(|(key, count)| (&key[..], *count)).collect();
        groups.sort_by_key(|(key, count)| (std::cmp::Reverse(count.bytes), *key));
        groups
    }

    /// All records together.
    #[must_use]
    pub fn total(&self) -> Count {
        sum(self.kinds.iter())
    }

    /// All keys that were counted in groups.
    #[must_use]
    pub fn groups_total(&self) -> Count {
        sum(self.groups.values())
    }
}

fn sum<'a>(counts: impl Iterator<Item = &'a Count>) -> Count {
    counts.fold(Count::default(), |all, one| Count {
        count: all.count + one.count,
        bytes: all.bytes + one.bytes,
    })
}

/// The first parts of a key, without the slash behind them.
fn first_parts(key: &[u8], depth: usize) -> &[u8] {
    if depth == 0 {
        return &[];
    }
    let mut slashes = key.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    match slashes.nth(depth - 1) {
        Some((end, _)) => key.get(..end).unwrap_or(key),
        None => key,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::StateBuilder;
    use crate::state::RecordReader;

    fn inspect(state: &[u8], details: Option<KvDetails>) -> Inspection {
        let mut inspection = Inspection::new(details);
        let mut reader = RecordReader::new(state).unwrap();
        while let Some(record) = reader.next().unwrap() {
            inspection.add(&record);
        }
        inspection
    }

    fn groups(depth: usize, filter: &str) -> Vec<(String, u64)> {
        let state =
            StateBuilder::new(1).kv("a", b"").kv("a/b/c", b"").kv("a/b/d", b"").kv("a//x", b"").finish();
        let inspection = inspect(&state, Some(KvDetails { depth, filter: filter.into() }));
        let mut groups: Vec<_> = inspection
            .groups()
            .into_iter()
            .map(|(key, count)| (String::from_utf8(key.to_vec()).unwrap(), count.count))
            .collect();
        groups.sort();
        groups
    }

    fn named(groups: &[(&str, u64)]) -> Vec<(String, u64)> {
        groups.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect()
    }

    #[test]
    fn keys_are_put_together_by_their_first_parts() {
        assert_eq!(groups(1, ""), named(&[("a", 4)]));
        assert_eq!(groups(2, ""), named(&[("a", 1), ("a/", 1), ("a/b", 2)]));
        assert_eq!(groups(3, ""), named(&[("a", 1), ("a//x", 1), ("a/b/c", 1), ("a/b/d", 1)]));
        assert_eq!(groups(0, ""), named(&[("", 4)]));
        assert_eq!(groups(2, "a/b"), named(&[("a/b", 2)]));
        assert_eq!(groups(2, "z"), []);
    }

    #[test]
    fn everything_is_counted_once() {
        let state = StateBuilder::new(1).kv("a", b"1").kv("b", b"22").finish();
        let inspection = inspect(&state, None);
        assert_eq!(inspection.total(), Count { count: 2, bytes: state.len() as u64 });
        assert_eq!(inspection.of(Kind::KVS), inspection.total());
        assert_eq!(inspection.groups_total(), Count::default());
    }
}
