//! Seeded choices: the same on every machine and with every version of a crate, so that a seed that is written down
//! repeats a run's choices. When they fall is up to the clock, and what a run finds may differ.

use std::time::Duration;

/// A source of choices: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A source that begins at this number.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another source for what a text names: it does not depend on what was drawn before.
    #[must_use]
    pub fn of(seed: u64, what: &str) -> Self {
        // FNV-1a.
        let hash = what.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self::new(seed ^ hash)
    }

    /// Any number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.roll() % end }
    }

    /// An index into something of that length.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or_default()
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// True in so many of a thousand cases.
    pub fn happens(&mut self, of_thousand: u64) -> bool {
        self.below(1000) < of_thousand
    }

    /// One of these; `None` when there is none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.index(from.len()))
    }

    /// These in another order (Fisher, Yates).
    #[must_use]
    pub fn shuffled<T>(&mut self, mut items: Vec<T>) -> Vec<T> {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
        items
    }

    /// A time between nothing and twice the mean, each as likely.
    pub fn around(&mut self, mean: Duration) -> Duration {
        let most = u64::try_from(mean.as_micros()).unwrap_or(u64::MAX).saturating_mul(2);
        Duration::from_micros(self.below(most.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_choices_and_another_name_others() {
        let drawn = |mut dice: Dice| (0..8).map(|_| dice.roll()).collect::<Vec<_>>();
        assert_eq!(drawn(Dice::of(7, "nemesis")), drawn(Dice::of(7, "nemesis")));
        assert_ne!(drawn(Dice::of(7, "nemesis")), drawn(Dice::of(7, "worker 1")));
        assert_ne!(drawn(Dice::new(7)), drawn(Dice::new(8)));
    }

    #[test]
    fn what_is_shuffled_has_all_it_had() {
        let mut dice = Dice::new(3);
        let mut shuffled = dice.shuffled((0..100).collect());
        assert_ne!(shuffled, (0..100).collect::<Vec<_>>());
        shuffled.sort_unstable();
        assert_eq!(shuffled, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_time_around_a_mean_is_never_more_than_twice_it() {
        let mut dice = Dice::new(5);
        let mean = Duration::from_millis(10);
        let times: Vec<_> = (0..1_000).map(|_| dice.around(mean)).collect();
        assert!(times.iter().all(|&time| time <= 2 * mean));
        let sum: Duration = times.iter().sum();
        assert!(sum > 8 * mean * 100 && sum < 12 * mean * 100, "{sum:?}");
    }
}
