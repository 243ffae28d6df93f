//! Time as an argument: two clocks, read by the caller and passed in.

use std::fmt;
use std::time::Duration;

/// Milliseconds on the boot-time axis: it counts while the machine is up, also
/// suspended, and never steps. The agent carries it over reboots (time spent
/// switched off is not counted), so values stored before a reboot still compare.
/// Every duration the core measures is measured on this axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Boot(u64);

impl Boot {
    /// The instant `millis` milliseconds after the origin of the axis.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the origin of the axis.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The first instant that is at least `by` later; stops at the end of the axis instead
    /// of wrapping.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        let by = u64::try_from(by.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(by))
    }

    /// The instant `by` earlier; stops at the origin.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(by))
    }

    /// How long ago `earlier` was; zero if it is not in the past.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z by the machine's wall clock, which may
/// step in either direction. For display and calendars only, never for durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(i64);

impl Wall {
    /// The instant `millis` milliseconds after the Unix epoch.
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_unix_millis(self) -> i64 {
        self.0
    }
}

/// One instant, read on both clocks at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now {
    /// For durations.
    pub boot: Boot,
    /// For people.
    pub wall: Wall,
}

/// A duration as a person writes it, `2h 5m` or `1.5s`: at most two units, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis < 1_000 {
            return write!(f, "{millis}ms");
        }
        if millis < 60_000 {
            let (whole, tenths) = (millis / 1_000, millis % 1_000 / 100);
            return if tenths == 0 { write!(f, "{whole}s") } else { write!(f, "{whole}.{tenths}s") };
        }
        let seconds = self.0.as_secs();
        let (large, small, units) = match seconds {
            ..3_600 => (seconds / 60, seconds % 60, ("m", "s")),
            3_600..86_400 => (seconds / 3_600, seconds % 3_600 / 60, ("h", "m")),
            86_400.. => (seconds / 86_400, seconds % 86_400 / 3_600, ("d", "h")),
        };
        if small == 0 {
            write!(f, "{large}{}", units.0)
        } else {
            write!(f, "{large}{} {small}{}", units.0, units.1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_a_person_writes_them() {
        let shown = |millis| Span(Duration::from_millis(millis)).to_string();
        assert_eq!(shown(0), "0ms");
        assert_eq!(shown(999), "999ms");
        assert_eq!(shown(1_500), "1.5s");
        assert_eq!(shown(60_000), "1m");
        assert_eq!(shown(3_900_000), "1h 5m");
        assert_eq!(shown(90_000_000), "1d 1h");
    }

    #[test]
    fn what_is_later_by_a_part_of_a_millisecond_is_really_later() {
        let by = Duration::from_micros(1_000_500);
        let from = Boot::from_millis(7);
        assert!(from.after(by).since(from) >= by);
    }

    #[test]
    fn the_boot_axis_saturates_at_both_ends() {
        assert_eq!(Boot::from_millis(5).since(Boot::from_millis(9)), Duration::ZERO);
        assert_eq!(Boot::from_millis(u64::MAX).after(Duration::MAX).as_millis(), u64::MAX);
    }
}
