//! How snapshots are called, which are kept, and whether one is oddly large or small.

mod names;

use std::collections::BTreeSet;

pub use names::{Names, Series};

use crate::time::Wall;

const DAY: i64 = 86_400_000;

/// How many snapshots are kept: whatever one of the rules keeps stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// So many of the newest; 0 keeps all.
    pub last: u32,
    /// The newest of each of so many days that have one, by UTC.
    pub daily: u32,
    /// The same of weeks, which begin on Monday.
    pub weekly: u32,
    /// The same of months.
    pub monthly: u32,
}

impl Keep {
    /// Everything.
    pub const ALL: Self = Self { last: 0, daily: 0, weekly: 0, monthly: 0 };

    /// Which of these need not be kept, by their places in the list; the oldest first.
    ///
    /// The newest one always stays.
    pub fn superseded(&self, made: &[Wall]) -> Vec<usize> {
        if self.last == 0 {
            return Vec::new();
        }
        let mut newest_first: Vec<usize> = (0..made.len()).collect();
        let at = |index: &usize| made.get(*index).map_or(0, |wall| wall.as_unix_millis());
        newest_first.sort_by_key(|index| std::cmp::Reverse((at(index), *index)));
        let mut kept: BTreeSet<usize> = newest_first.iter().take(self.last as usize).copied().collect();
        for (count, period) in
            [(self.daily, day as fn(i64) -> i64), (self.weekly, week), (self.monthly, month)]
        {
            let mut latest = None;
            let mut found = 0;
            for index in &newest_first {
                let this = period(at(index));
                if found < count && latest != Some(this) {
                    kept.insert(*index);
                    found += 1;
                }
                latest = Some(this);
            }
        }
        newest_first.into_iter().rev().filter(|index| !kept.contains(index)).collect()
    }
}

/// The number of a day.
fn day(millis: i64) -> i64 {
    millis.div_euclid(DAY)
}

/// The number of a week: 1 January 1970 was a Thursday.
fn week(millis: i64) -> i64 {
    (day(millis) + 3).div_euclid(7)
}

/// The number of a month, in the calendar that began anew each 400 years on 1 March.
fn month(millis: i64) -> i64 {
    // Days since 1 March of the year 0; 146,097 of them are 400 years.
    let days = day(millis) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    (era * 400 + year_of_era) * 12 + (5 * day_of_year + 2) / 153
}

/// That a snapshot is much larger or smaller than the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// Bytes of the one before.
    pub before: u64,
    /// Bytes of this one.
    pub now: u64,
}

impl Jump {
    /// Below so many bytes of difference nothing is odd: an empty cluster doubles with its first keys.
    pub const SMALL: u64 = 1 << 20;

    /// Whether it is one: `limit` hundredths of the one before, more or less.
    pub fn of(before: u64, now: u64, limit: u32) -> Option<Self> {
        let apart = before.abs_diff(now);
        let odd = apart >= Self::SMALL && u128::from(apart) * 100 > u128::from(before) * u128::from(limit);
        odd.then_some(Self { before, now })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keep(last: u32, daily: u32, weekly: u32, monthly: u32) -> Keep {
        Keep { last, daily, weekly, monthly }
    }

    /// Noon of days since 1970.
    fn days(days: impl IntoIterator<Item = i64>) -> Vec<Wall> {
        days.into_iter().map(|day| Wall::from_unix_millis(day * DAY + DAY / 2)).collect()
    }

    #[test]
    fn the_newest_ones_stay_in_whatever_order_they_are_listed() {
        let made = days([3, 1, 5, 2, 4]);
        assert_eq!(keep(2, 0, 0, 0).superseded(&made), [1, 3, 0]);
        assert_eq!(keep(9, 0, 0, 0).superseded(&made), [0_usize; 0]);
        assert_eq!(Keep::ALL.superseded(&made), [0_usize; 0]);
    }

    #[test]
    fn of_each_day_week_and_month_the_newest_stays() {
        // Each hour of 100 days from 1 January 2024 (a Monday), which is day 19,723.
        let begin = 19_723 * DAY;
        let made: Vec<Wall> =
            (0..100 * 24).map(|hour| Wall::from_unix_millis(begin + hour * 3_600_000)).collect();
        let left = |keep: Keep| {
            let gone: BTreeSet<usize> = keep.superseded(&made).into_iter().collect();
            (0..made.len()).filter(|index| !gone.contains(index)).collect::<Vec<_>>()
        };
        assert_eq!(left(keep(3, 0, 0, 0)), [2_397, 2_398, 2_399]);
        // 9 April is the last day; the last hours of the days before it.
        assert_eq!(left(keep(1, 3, 0, 0)), [97 * 24 + 23, 98 * 24 + 23, 99 * 24 + 23]);
        // The week of 8 April, and Sundays.
        assert_eq!(left(keep(1, 0, 3, 0)), [90 * 24 + 23, 97 * 24 + 23, 99 * 24 + 23]);
        // January has 31 days, February 29, March 31.
        assert_eq!(left(keep(1, 0, 0, 9)), [30 * 24 + 23, 59 * 24 + 23, 90 * 24 + 23, 99 * 24 + 23]);
    }

    #[test]
    fn months_change_with_the_first_day() {
        // 28 February 1900, 1 March 1900; 29 February 2000, 1 March 2000; 31 December 2025, 1 January 2026.
        for (last, first) in [(-25_509, -25_508), (11_016, 11_017), (20_453, 20_454)] {
            assert_eq!(month(last * DAY) + 1, month(first * DAY), "{last}");
            assert_eq!(month(last * DAY), month((last - 20) * DAY), "{last}");
        }
    }

    #[test]
    fn a_jump_is_told_by_its_share_and_not_for_little() {
        let mib = 1 << 20;
        assert_eq!(Jump::of(10 * mib, 15 * mib, 50), None);
        assert_eq!(Jump::of(10 * mib, 16 * mib, 50), Some(Jump { before: 10 * mib, now: 16 * mib }));
        assert_eq!(Jump::of(10 * mib, 4 * mib, 50), Some(Jump { before: 10 * mib, now: 4 * mib }));
        assert_eq!(Jump::of(10, 10_000, 50), None);
        assert_eq!(Jump::of(0, 2 * mib, 50), Some(Jump { before: 0, now: 2 * mib }));
    }

    proptest! {
        #[test]
        fn the_newest_is_never_removed_and_nothing_newer_than_what_is_kept_by_number(
            made in prop::collection::vec(0_i64..4_000 * DAY, 1..200),
            last in 1_u32..10, daily in 0_u32..10, weekly in 0_u32..10, monthly in 0_u32..10,
        ) {
            let made: Vec<Wall> = made.into_iter().map(Wall::from_unix_millis).collect();
            let keep = keep(last, daily, weekly, monthly);
            let gone = keep.superseded(&made);
            let left: Vec<Wall> = (0..made.len()).filter(|index| !gone.contains(index)).map(|index| made[index]).collect();
            prop_assert_eq!(left.iter().max(), made.iter().max());
            prop_assert!(left.len() >= made.len().min(last as usize));
            prop_assert!(left.len() <= (last + daily + weekly + monthly) as usize);
            // What is left is not thinned further.
            prop_assert_eq!(keep.superseded(&left), Vec::<usize>::new());
            prop_assert!(gone.is_sorted_by_key(|index| made[*index]));
        }
    }
}
