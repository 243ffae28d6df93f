//! Elapsed time, on two axes.

use std::time::Duration;

/// One instant, read on two axes of elapsed time. Neither steps, and where no machine is
/// asleep both run at the same rate.
///
/// What must not last too long is measured by the axis on which more has passed, what must not
/// be too short by the one on which less has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Time that the machine was awake, since some origin.
    pub awake: Duration,
    /// Time, also that in which the machine was asleep, since some origin.
    pub whole: Duration,
}

impl Stamp {
    /// How long ago `earlier` was at most.
    pub fn longest_since(self, earlier: Self) -> Duration {
        let (awake, whole) = self.both_since(earlier);
        awake.max(whole)
    }

    /// How long ago `earlier` was at least.
    pub fn shortest_since(self, earlier: Self) -> Duration {
        let (awake, whole) = self.both_since(earlier);
        awake.min(whole)
    }

    fn both_since(self, earlier: Self) -> (Duration, Duration) {
        (self.awake.saturating_sub(earlier.awake), self.whole.saturating_sub(earlier.whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_slept_has_waited_less_than_it_has_held() {
        let at =
            |awake, whole| Stamp { awake: Duration::from_secs(awake), whole: Duration::from_secs(whole) };
        let (before, after) = (at(10, 20), at(13, 50));
        assert_eq!(after.longest_since(before), Duration::from_secs(30));
        assert_eq!(after.shortest_since(before), Duration::from_secs(3));
        assert_eq!(before.longest_since(after), Duration::ZERO);
    }
}
