//! Pauses that grow.

use std::time::Duration;

/// Pauses that double from a first one up to a longest one. Of each, a random part between a half and
/// the whole is taken, so that many clients that failed together do not come back together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    taken: u32,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, taken: 0 }
    }

    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let doubled = 2_u32.saturating_pow(self.taken);
        self.taken = self.taken.saturating_add(1);
        let whole = self.first.saturating_mul(doubled).min(self.longest);
        whole.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Begins with the first pause again.
    pub(crate) fn reset(&mut self) {
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_over_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for whole in [100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.next().as_millis();
            assert!((whole / 2..=whole).contains(&pause), "{pause} of {whole}");
        }
        for _ in 0..1000 {
            assert!(backoff.next() <= Duration::from_secs(1));
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(100));
    }
}
