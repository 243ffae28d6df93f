//! Times in which something was so, and whether two of them overlap.

use crate::history::{Call, History, Kind};

/// A time in which something was so for certain: positions in the history, and the times there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) from: usize,
    pub(super) to: usize,
    /// What is said of it.
    pub(super) name: String,
}

impl Interval {
    /// From the beginning of a call to its end. Of one whose end nobody knows only the beginning is certain.
    pub(super) fn of(history: &History, call: &Call, name: String) -> Option<Self> {
        match history.outcome(call) {
            Kind::Ok => Some(Self { from: call.invoke, to: call.end?, name }),
            Kind::Fail => None,
            Kind::Info | Kind::Invoke => Some(Self { from: call.invoke, to: call.invoke, name }),
        }
    }
}

/// Pairs of intervals that overlap: each with the one before it that lasts longest.
pub(super) fn overlaps(mut intervals: Vec<Interval>) -> Vec<(Interval, Interval)> {
    intervals.sort_by_key(|interval| (interval.from, interval.to));
    let mut found = Vec::new();
    let mut longest: Option<Interval> = None;
    for interval in intervals {
        match &longest {
            Some(before) if before.to > interval.from => found.push((before.clone(), interval.clone())),
            _ => {}
        }
        if longest.as_ref().is_none_or(|before| before.to < interval.to) {
            longest = Some(interval);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(intervals: &[(usize, usize)]) -> Vec<((usize, usize), (usize, usize))> {
        let of = |(from, to): &(usize, usize)| Interval { from: *from, to: *to, name: String::new() };
        let pairs = overlaps(intervals.iter().map(of).collect());
        pairs.into_iter().map(|(one, other)| ((one.from, one.to), (other.from, other.to))).collect()
    }

    #[test]
    fn what_overlaps_is_found_in_whatever_order_it_comes() {
        assert_eq!(found(&[(5, 7), (0, 4)]), []);
        assert_eq!(found(&[(3, 9), (0, 4)]), [((0, 4), (3, 9))]);
        assert_eq!(found(&[(0, 20), (1, 2), (5, 6)]), [((0, 20), (1, 2)), ((0, 20), (5, 6))]);
        assert_eq!(found(&[(0, 20), (7, 7)]), [((0, 20), (7, 7))], "a moment within");
        assert_eq!(found(&[(0, 0), (1, 5)]), []);
    }
}
