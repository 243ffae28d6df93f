//! When a watcher looks: spread by its name, so that many watchers do not look at once.

use std::time::Duration;

/// Every watcher looks for the first time within this of its start: all have an answer
/// within ten seconds of the start of the agent.
const FIRST_WITHIN: Duration = Duration::from_secs(9);

/// An interval up to this is kept from the first look on.
const REGULAR: Duration = Duration::from_secs(10);

/// The start of a watcher's schedule; the same name and interval always give the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    /// From the watcher's start to its first look: less than `every` and less than 9 s.
    pub(super) first: Duration,
    /// From the first look to the second; from then on it is `every`. A long interval is
    /// shortened once, to between half and all of it, so that watchers which had to share
    /// the first 9 s drift apart, and none is silent for longer than its interval.
    pub(super) second: Duration,
}

impl Spread {
    pub(super) fn of(name: &str, every: Duration) -> Self {
        let bits = mix(fnv(name));
        let (low, high) = (share(bits & u64::from(u32::MAX)), share(bits >> 32));
        let first = every.min(FIRST_WITHIN).mul_f64(high);
        let second = if every <= REGULAR { every } else { every.mul_f64(0.5 + low / 2.0) };
        Self { first, second }
    }
}

/// 32 bits as a share of one: 0 or more, less than 1.
fn share(bits: u64) -> f64 {
    // 32 bits always fit the 53 of a double.
    f64::from(u32::try_from(bits).unwrap_or(u32::MAX)) / (f64::from(u32::MAX) + 1.0)
}

/// FNV-1a, 64 bits.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finalizer of SplitMix64: FNV alone hardly moves the upper bits for names that differ at their end.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn names(count: u32) -> impl Iterator<Item = String> {
        (0..count).map(|n| format!("shop-{n}"))
    }

    #[test]
    fn first_looks_are_spread_evenly_over_nine_seconds() {
        let mut seconds = [0_u32; 9];
        for name in names(10_000) {
            let first = Spread::of(&name, 60 * SECOND).first;
            seconds[usize::try_from(first.as_secs()).unwrap()] += 1;
        }
        for count in seconds {
            assert!((1_000..1_220).contains(&count), "{seconds:?}");
        }
    }

    #[test]
    fn a_short_interval_is_not_waited_for_twice() {
        for name in names(1_000) {
            let spread = Spread::of(&name, 2 * SECOND);
            assert!(spread.first < 2 * SECOND);
            assert_eq!(spread.second, 2 * SECOND);
        }
    }

    #[test]
    fn watchers_of_a_long_interval_drift_apart_after_the_first_look() {
        let hour = 3_600 * SECOND;
        let mut last = [0_u32; 6];
        for name in names(6_000) {
            let second = Spread::of(&name, hour).second;
            assert!(second >= hour / 2 && second <= hour);
            let part = (second - hour / 2).as_secs() / 300;
            last[usize::try_from(part).unwrap()] += 1;
        }
        for count in last {
            assert!((850..1_150).contains(&count), "{last:?}");
        }
    }

    #[test]
    fn the_same_name_always_has_the_same_place() {
        assert_eq!(Spread::of("shop", SECOND), Spread::of("shop", SECOND));
        assert_ne!(Spread::of("shop", SECOND), Spread::of("shop2", SECOND));
    }
}
