//! How long everything about a lease may take.

use std::time::Duration;

use crate::time::Span;

/// The longest length of a lease: a record that asks for more is not one of ours.
pub const LONGEST: Duration = Duration::from_secs(3_600);

/// One million: drifts are parts of it.
const MILLION: u128 = 1_000_000;

/// The times of a lease, not yet checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often the holder renews it, and how often an observer looks.
    pub renew: Duration,
    /// R: after so long a request is given up.
    pub request: Duration,
    /// H: how long the holder may believe in it, from before the renewal was sent.
    pub belief: Duration,
    /// G + S: how long something may still go on that was begun under the lease, once the
    /// belief in it has ended.
    pub margin: Duration,
    /// L: how long an observer waits without seeing a change.
    pub length: Duration,
    /// r: by how many millionths a clock may run too fast or too slow. The same on all nodes:
    /// unlike the length it is not in the record, and an observer whose clock is worse than the
    /// holder thinks would come too early.
    pub drift_ppm: u32,
}

/// The times of a lease that keep two nodes from acting at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params(Timing);

/// Why a lease cannot have these times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParamsError {
    /// Two nodes could act at once: `(belief + margin)(1 + drift) > length (1 - drift)`.
    TooShort {
        /// The length it has.
        length: Duration,
        /// The length it must have.
        needed: Duration,
    },
    /// A holder that renews in time would lose it all the same.
    Breathless {
        /// How long the holder may believe in it.
        belief: Duration,
        /// What it must be longer than: a renewal's turn and its time limit.
        needed: Duration,
    },
    /// One that must be something is nothing.
    Zero {
        /// Which.
        what: &'static str,
    },
    /// It is longer than an hour.
    TooLong {
        /// The length it has.
        length: Duration,
    },
    /// No clock is that bad.
    Drift {
        /// The drift, in millionths.
        ppm: u32,
    },
}

impl std::fmt::Display for ParamsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooShort { length, needed } => write!(
                f,
                "a lease of {} lets two nodes act at once; it takes {needed:?} at least",
                Span(*length)
            ),
            Self::Breathless { belief, needed } => write!(
                f,
                "a holder that believes in its lease for {} cannot renew it in time; it takes more than {}",
                Span(*belief),
                Span(*needed)
            ),
            Self::Zero { what } => write!(f, "the {what} of a lease must be more than nothing"),
            Self::TooLong { length } => {
                write!(f, "a lease of {} is longer than an hour", Span(*length))
            }
            Self::Drift { ppm } => write!(f, "a clock that is wrong by {ppm} millionths measures nothing"),
        }
    }
}

impl std::error::Error for ParamsError {}

impl Params {
    /// For a lease that must outlast the election of a Consul leader, also with Consul's default
    /// `raft_multiplier` of 5: renewed every 5 s, believed in for 24 s, taken over after 32 s.
    pub const STEADY: Self = Self(Timing {
        renew: Duration::from_secs(5),
        request: Duration::from_secs(2),
        belief: Duration::from_secs(24),
        margin: Duration::from_secs(2),
        length: Duration::from_secs(32),
        drift_ppm: 5_000,
    });

    /// For a lease that is to be taken over soon, and under which nothing has to be stopped:
    /// renewed every second, believed in for 3.5 s, taken over after 4 s, so that a crash is
    /// followed by another holder within 6 s. It does not outlast the election of a Consul leader.
    pub const BRISK: Self = Self(Timing {
        renew: Duration::from_secs(1),
        request: Duration::from_secs(1),
        belief: Duration::from_millis(3_500),
        margin: Duration::from_millis(200),
        length: Duration::from_secs(4),
        drift_ppm: 5_000,
    });

    /// Checks the times.
    ///
    /// # Errors
    /// When two nodes could act at once, or the lease could not be kept.
    pub fn new(timing: Timing) -> Result<Self, ParamsError> {
        let Timing { renew, request, belief, margin, length, drift_ppm } = timing;
        let given = [("renewal", renew), ("time limit", request), ("belief", belief), ("length", length)];
        if let Some((what, _)) = given.into_iter().find(|(_, time)| time.is_zero()) {
            return Err(ParamsError::Zero { what });
        }
        if drift_ppm >= 500_000 {
            return Err(ParamsError::Drift { ppm: drift_ppm });
        }
        if length > LONGEST {
            return Err(ParamsError::TooLong { length });
        }
        let turn = renew.saturating_add(request);
        if belief <= turn {
            return Err(ParamsError::Breathless { belief, needed: turn });
        }
        let needed = needed(belief.saturating_add(margin), drift_ppm);
        if length < needed {
            return Err(ParamsError::TooShort { length, needed });
        }
        Ok(Self(timing))
    }

    /// How often the holder renews it, and how often an observer looks.
    pub const fn renew(&self) -> Duration {
        self.0.renew
    }

    /// After how long a request is given up.
    pub const fn request(&self) -> Duration {
        self.0.request
    }

    /// How long the holder may believe in it.
    pub const fn belief(&self) -> Duration {
        self.0.belief
    }

    /// How long something may still go on once the belief has ended.
    pub const fn margin(&self) -> Duration {
        self.0.margin
    }

    /// How long an observer waits without seeing a change.
    pub const fn length(&self) -> Duration {
        self.0.length
    }

    /// By how many millionths a clock may run too fast or too slow.
    pub const fn drift_ppm(&self) -> u32 {
        self.0.drift_ppm
    }

    /// The pause after a request that failed.
    pub(super) fn pause(&self) -> Duration {
        self.0.renew / 5
    }
}

/// The shortest length that is safe: `held (1 + r) / (1 - r)`, rounded up to a millisecond.
fn needed(held: Duration, drift_ppm: u32) -> Duration {
    let drift = u128::from(drift_ppm);
    let nanos = held.as_nanos().saturating_mul(MILLION + drift).div_ceil(MILLION - drift);
    Duration::from_millis(u64::try_from(nanos.div_ceil(MILLION)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Timing)) -> String {
        let mut timing = Params::STEADY.0;
        change(&mut timing);
        Params::new(timing).unwrap_err().to_string()
    }

    #[test]
    fn the_leases_that_are_used_are_safe() {
        assert_eq!(Params::new(Params::STEADY.0), Ok(Params::STEADY));
        assert_eq!(Params::new(Params::BRISK.0), Ok(Params::BRISK));
    }

    #[test]
    fn a_lease_under_which_two_could_act_is_refused() {
        // (24 + 2) * 1.005 / 0.995 = 26.2613…
        let tight = |millis| Timing { length: Duration::from_millis(millis), ..Params::STEADY.0 };
        assert!(Params::new(tight(26_262)).is_ok());
        assert!(Params::new(tight(26_261)).is_err());
        assert_eq!(
            refused(|timing| timing.margin = Duration::from_secs(8)),
            "a lease of 32s lets two nodes act at once; it takes 32.322s at least"
        );
        assert_eq!(
            refused(|timing| timing.drift_ppm = 110_000),
            "a lease of 32s lets two nodes act at once; it takes 32.427s at least"
        );
    }

    #[test]
    fn a_lease_that_cannot_be_kept_is_refused() {
        assert_eq!(
            refused(|timing| timing.belief = Duration::from_secs(7)),
            "a holder that believes in its lease for 7s cannot renew it in time; it takes more than 7s"
        );
        assert_eq!(
            refused(|timing| timing.renew = Duration::ZERO),
            "the renewal of a lease must be more than nothing"
        );
        assert_eq!(
            refused(|timing| timing.length = Duration::from_secs(3_700)),
            "a lease of 1h 1m is longer than an hour"
        );
        assert_eq!(
            refused(|timing| timing.drift_ppm = 1_000_000),
            "a clock that is wrong by 1000000 millionths measures nothing"
        );
        assert!(
            refused(|timing| timing.belief = Duration::MAX).starts_with("a lease of 32s lets two"),
            "nothing overflows"
        );
    }
}
