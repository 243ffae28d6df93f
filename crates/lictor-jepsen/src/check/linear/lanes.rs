//! Which of the operations that are open are done: a bit for each lane.
//!
//! Operations are put into lanes so that no two of a lane are open at the same time. All that ended before the end that
//! has to be kept next is done, and nothing is done that began after it, so the lanes say all.

use std::fmt::Debug;
use std::hash::Hash;

/// A bit for each lane.
pub(super) trait Lanes: Clone + Eq + Hash + Debug {
    /// How many there are.
    const COUNT: usize;

    /// None is set.
    fn none() -> Self;

    /// Whether one is set.
    fn has(&self, lane: u16) -> bool;

    /// Sets or clears one.
    fn put(&mut self, lane: u16, value: bool);
}

macro_rules! word {
    ($word:ty) => {
        impl Lanes for $word {
            const COUNT: usize = <$word>::BITS as usize;

            fn none() -> Self {
                0
            }

            fn has(&self, lane: u16) -> bool {
                self & (1 << lane) != 0
            }

            fn put(&mut self, lane: u16, value: bool) {
                *self = *self & !(1 << lane) | <$word>::from(value) << lane;
            }
        }
    };
}

word!(u64);
word!(u128);

/// For whoever has very many clients on one key.
pub(super) type Many = [u64; 16];

impl Lanes for Many {
    const COUNT: usize = 1024;

    fn none() -> Self {
        [0; 16]
    }

    fn has(&self, lane: u16) -> bool {
        self[usize::from(lane) / 64].has(lane % 64)
    }

    fn put(&mut self, lane: u16, value: bool) {
        self[usize::from(lane) / 64].put(lane % 64, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets_and_clears<L: Lanes>() {
        let mut lanes = L::none();
        for lane in 0..u16::try_from(L::COUNT).unwrap() {
            lanes.put(lane, true);
            assert!(lanes.has(lane));
            let next = (lane + 1) % u16::try_from(L::COUNT).unwrap();
            assert!(!lanes.has(next));
            lanes.put(lane, false);
            assert_eq!(lanes, L::none());
        }
    }

    #[test]
    fn each_lane_is_set_and_cleared_alone() {
        sets_and_clears::<u64>();
        sets_and_clears::<u128>();
        sets_and_clears::<[u64; 16]>();
    }
}
