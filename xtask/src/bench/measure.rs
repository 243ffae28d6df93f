//! Repeating a measurement and taking its median.

use std::fmt;

use crate::error::Error;

/// How often each thing is measured: the least that gives a median worth the name.
pub(crate) const RUNS: usize = 5;

/// The results of one measurement repeated, in one unit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    sorted: Vec<f64>,
    unit: &'static str,
}

impl Sample {
    /// Orders the results; `None` unless there are [`RUNS`] or more, all of them numbers.
    pub(crate) fn new(mut results: Vec<f64>, unit: &'static str) -> Option<Self> {
        if results.len() < RUNS || results.iter().any(|result| !result.is_finite()) {
            return None;
        }
        results.sort_by(f64::total_cmp);
        Some(Self { sorted: results, unit })
    }

    /// The middle result, or the mean of the two in the middle.
    pub(crate) fn median(&self) -> f64 {
        let middle = self.sorted.len() / 2;
        let at = |index: usize| self.sorted.get(index).copied().unwrap_or(f64::NAN);
        if self.sorted.len().is_multiple_of(2) {
            f64::midpoint(at(middle - 1), at(middle))
        } else {
            at(middle)
        }
    }
}

impl fmt::Display for Sample {
    /// `3330 /s (3201 to 3412)`: the median, and how far the runs lie apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let low = self.sorted.first().copied().unwrap_or(f64::NAN);
        let high = self.sorted.last().copied().unwrap_or(f64::NAN);
        write!(f, "{} {} ({} to {})", figure(self.median()), self.unit, figure(low), figure(high))
    }
}

/// Measures [`RUNS`] times; each run returns its figure in `unit`.
pub(crate) fn measure(
    unit: &'static str,
    mut run: impl FnMut() -> Result<f64, Error>,
) -> Result<Sample, Error> {
    let results = (0..RUNS).map(|_| run()).collect::<Result<Vec<_>, _>>()?;
    sample(results, unit)
}

/// Measures ours and the peer in turn, so that whatever the machine does
/// meanwhile (frequency, neighbours) falls on both.
pub(crate) fn measure_both(
    unit: &'static str,
    mut ours: impl FnMut() -> Result<f64, Error>,
    mut peer: impl FnMut() -> Result<f64, Error>,
) -> Result<(Sample, Sample), Error> {
    let (mut of_ours, mut of_peer) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        of_ours.push(ours()?);
        of_peer.push(peer()?);
    }
    Ok((sample(of_ours, unit)?, sample(of_peer, unit)?))
}

fn sample(results: Vec<f64>, unit: &'static str) -> Result<Sample, Error> {
    let what = format!("{results:?}");
    Sample::new(results, unit).ok_or(Error::Answer { of: "a measurement", what })
}

/// Three significant digits are what a median of five is good for.
fn figure(value: f64) -> String {
    let decimals = match value.abs() {
        magnitude if magnitude >= 100.0 => 0,
        magnitude if magnitude >= 10.0 => 1,
        magnitude if magnitude >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wild_run_does_not_move_the_median() {
        let sample = Sample::new(vec![10.0, 11.0, 900.0, 9.0, 10.5], "ms").unwrap();
        assert_eq!(sample.median(), 10.5);
        assert_eq!(sample.to_string(), "10.5 ms (9.00 to 900)");
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let sample = Sample::new(vec![1.0, 2.0, 3.0, 5.0, 6.0, 7.0], "s").unwrap();
        assert_eq!(sample.median(), 4.0);
    }

    #[test]
    fn fewer_than_five_runs_or_a_run_without_a_number_are_no_sample() {
        assert_eq!(Sample::new(vec![1.0; 4], "s"), None);
        assert_eq!(Sample::new(vec![1.0, 2.0, f64::NAN, 3.0, 4.0], "s"), None);
    }

    #[test]
    fn ours_and_the_peer_are_measured_in_turn() {
        let order = std::cell::RefCell::new(String::new());
        let note = |who: char| {
            order.borrow_mut().push(who);
            Ok(1.0)
        };
        measure_both("s", || note('o'), || note('p')).unwrap();
        assert_eq!(order.into_inner(), "opopopopop");
    }
}
