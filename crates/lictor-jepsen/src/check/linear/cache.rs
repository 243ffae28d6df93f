//! Where the search has been.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Remembers configurations, each with how often what nobody knows of was made use of.
///
/// One that has used no more of each has nothing to lose against one that has: only the least are kept.
#[derive(Debug)]
pub(super) struct Cache<K> {
    plain: HashSet<K, Mix>,
    /// What was used, where there is something to use.
    used: HashMap<K, Vec<Used>, Mix>,
    /// How many are in `used`.
    count: usize,
}

/// How many are kept of one configuration. What is forgotten may be looked at once more.
const LEAST: usize = 256;

/// How many of each class of operations without an end were used.
pub(super) type Used = Box<[u16]>;

impl<K: Eq + Hash> Cache<K> {
    pub(super) fn new() -> Self {
        Self { plain: HashSet::default(), used: HashMap::default(), count: 0 }
    }

    /// Notes a configuration. False if it need not be looked at.
    pub(super) fn insert(&mut self, key: K, used: &Used) -> bool {
        if used.is_empty() {
            return self.plain.insert(key);
        }
        let least = self.used.entry(key).or_default();
        let covers = |one: &[u16], other: &[u16]| one.iter().zip(other).all(|(one, other)| one <= other);
        if least.iter().any(|known| covers(known, used)) {
            return false;
        }
        let before = least.len();
        least.retain(|known| !covers(used, known));
        if least.len() == LEAST {
            least.swap_remove(0);
        }
        least.push(used.clone());
        self.count = self.count + least.len() - before;
        true
    }

    /// Roughly how many bytes it takes. `classes` is the length of each `used`.
    pub(super) fn bytes(&self, classes: usize) -> usize {
        let key = size_of::<K>() + 1;
        self.plain.capacity() * key
            + self.used.capacity() * (key + size_of::<Vec<Used>>())
            + self.count * (size_of::<Used>() + 2 * classes + 16)
    }
}

type Mix = BuildHasherDefault<Mixer>;

/// Multiplies and folds. The keys are ours, so that nobody can aim at a collision.
#[derive(Debug, Default)]
pub(super) struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..piece.len()].copy_from_slice(piece);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xff51_afd7_ed55_8ccd;
        #[expect(clippy::cast_possible_truncation, reason = "both halves are folded")]
        let folded = product as u64 ^ (product >> 64) as u64;
        self.0 = folded.rotate_left(23);
    }

    fn write_u128(&mut self, word: u128) {
        #[expect(clippy::cast_possible_truncation, reason = "both halves are written")]
        for half in [word as u64, (word >> 64) as u64] {
            self.write_u64(half);
        }
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_used_more_of_the_unknown_is_not_looked_at_again() {
        let mut cache = Cache::new();
        let used = |used: [u16; 2]| -> Used { used.into() };
        assert!(cache.insert(1, &used([1, 0])));
        assert!(!cache.insert(1, &used([1, 1])));
        assert!(cache.insert(1, &used([0, 2])));
        assert!(cache.insert(2, &used([1, 1])), "another configuration");
        assert!(cache.insert(1, &used([0, 0])));
        assert_eq!(cache.count, 2, "the least stands for the others");
        assert!(!cache.insert(1, &used([0, 0])));
    }

    #[test]
    fn without_anything_unknown_it_is_a_set() {
        let mut cache = Cache::new();
        assert!(cache.insert((1, 2), &Used::default()));
        assert!(!cache.insert((1, 2), &Used::default()));
        assert!(cache.insert((2, 1), &Used::default()));
    }
}
