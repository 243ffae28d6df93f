//! How fast a value changes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Boot;

/// Points kept of a value: a window is divided into so many parts.
const PARTS: u32 = 64;

/// The latest of a value that has a rate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Points(VecDeque<(Boot, f64)>);

impl Points {
    /// Adds the latest number and gives the change per second since the oldest one that is not
    /// older than `within`; `None` without an earlier one.
    pub(crate) fn add(&mut self, number: f64, within: Duration, now: Boot) -> Option<f64> {
        if !number.is_finite() {
            return None;
        }
        while self.0.front().is_some_and(|(at, _)| now.since(*at) > within) {
            self.0.pop_front();
        }
        let rate = self.0.front().and_then(|(at, first)| {
            let seconds = now.since(*at).as_secs_f64();
            (seconds > 0.0).then(|| (number - first) / seconds)
        });
        if self.0.back().is_none_or(|(at, _)| now.since(*at) >= within / PARTS) {
            self.0.push_back((now, number));
        }
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(points: &[(u64, f64)]) -> Vec<Option<f64>> {
        let mut kept = Points::default();
        let add = |(second, number): &(u64, f64)| {
            kept.add(*number, Duration::from_secs(60), Boot::from_millis(second * 1_000))
        };
        points.iter().map(add).collect()
    }

    #[test]
    fn a_rate_is_the_change_per_second_over_its_window() {
        assert_eq!(rates(&[(0, 5.0), (10, 25.0), (20, 25.0)]), [None, Some(2.0), Some(1.0)]);
        assert_eq!(rates(&[(0, 5.0), (10, 0.0)]), [None, Some(-0.5)]);
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        assert_eq!(rates(&[(0, 0.0), (50, 100.0), (70, 100.0)]), [None, Some(2.0), Some(0.0)]);
        assert_eq!(rates(&[(0, 0.0), (100, 100.0)]), [None, None]);
    }

    #[test]
    fn a_number_that_is_none_is_left_out_and_few_points_are_kept() {
        assert_eq!(rates(&[(0, 1.0), (5, f64::NAN), (10, 2.0)]), [None, None, Some(0.1)]);
        let mut kept = Points::default();
        for milli in 0..600_000 {
            kept.add(1.0, Duration::from_secs(60), Boot::from_millis(milli));
        }
        assert!(kept.0.len() <= 65, "{}", kept.0.len());
    }
}
