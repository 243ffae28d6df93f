//! When something is to be done again: what is done each so often goes by a clock that nobody sets.

use std::time::Duration;

use futures::future::pending;
use jiff::{SignedDuration, Timestamp};
use lictor_config::When;
use lictor_core::{Boot, Now};
use tokio::time::sleep;

use crate::clock::Clock;

/// Longest wait at a time: the wall clock may be set, and the machine suspended, meanwhile.
const LOOK: Duration = Duration::from_secs(20);

/// So far the wall clock may go back without having been set back.
const BACK: SignedDuration = SignedDuration::from_secs(2);

/// When something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Never.
    Never,
    /// Then, however the wall clock is set meanwhile.
    Boot(Boot),
    /// Then by the wall clock: a calendar means that one.
    Wall(Timestamp),
}

/// How a wait has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// It is due.
    Due,
    /// The wall clock was set back: when it is due is to be asked anew.
    SetBack,
}

/// The wall clock's time.
pub(super) fn wall(now: Now) -> Timestamp {
    stamp(now.wall.as_unix_millis())
}

/// A time of the wall clock; what cannot be one is the beginning.
pub(super) fn stamp(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl Due {
    /// After it was done last. What seems to be of the future was done now.
    pub(super) fn after(when: &When, last: Timestamp, now: Now) -> Self {
        let here = wall(now);
        match when {
            When::Every(pause) => {
                let age = last.duration_until(here).max(SignedDuration::ZERO).unsigned_abs();
                Self::Boot(now.boot.after(pause.saturating_sub(age)))
            }
            When::At(calendar) => calendar.next(last.min(here)).map_or(Self::Never, Self::Wall),
        }
    }

    /// That or a later time.
    pub(super) fn not_before(self, earliest: Option<Boot>, now: Now) -> Self {
        match (self, earliest) {
            (due, None) | (due @ Self::Never, _) => due,
            (Self::Boot(at), Some(earliest)) => Self::Boot(at.max(earliest)),
            (Self::Wall(at), Some(earliest)) if at <= wall(now) => Self::Boot(earliest),
            (due @ Self::Wall(_), Some(_)) => due,
        }
    }

    /// By the wall clock as it is now, for people.
    pub(super) fn shown(self, now: Now) -> Option<Timestamp> {
        match self {
            Self::Never => None,
            Self::Wall(at) => Some(at),
            Self::Boot(at) => wall(now).checked_add(at.since(now.boot)).ok(),
        }
    }

    /// Until then.
    pub(super) async fn wait(self, clock: &Clock) -> Waited {
        let begun = wall(clock.now());
        loop {
            let now = clock.now();
            let left = match self {
                Self::Never => pending().await,
                Self::Boot(at) => at.since(now.boot),
                Self::Wall(_) if wall(now).duration_until(begun) > BACK => return Waited::SetBack,
                Self::Wall(at) => wall(now).duration_until(at).max(SignedDuration::ZERO).unsigned_abs(),
            };
            if left.is_zero() {
                return Waited::Due;
            }
            sleep(left.min(LOOK)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use lictor_core::Wall;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    /// Noon, two days after the start.
    fn noon() -> Now {
        Now {
            boot: Boot::from_millis(0).after(48 * HOUR),
            wall: Wall::from_unix_millis(at("12:00:00").as_millisecond()),
        }
    }

    fn at(time: &str) -> Timestamp {
        format!("2026-11-22T{time}Z").parse().unwrap()
    }

    fn ahead(by: Duration) -> Due {
        Due::Boot(noon().boot.after(by))
    }

    #[test]
    fn what_is_done_each_hour_is_due_an_hour_after_the_last_time_and_at_once_if_that_is_over() {
        let due = |last| Due::after(&When::Every(HOUR), at(last), noon());
        assert_eq!(due("11:45:00"), ahead(HOUR / 4 * 3));
        assert_eq!(due("10:00:00"), ahead(Duration::ZERO));
        // A clock was wrong: it is no older than now.
        assert_eq!(due("19:00:00"), ahead(HOUR));
        assert_eq!(due("11:45:00").shown(noon()), Some(at("12:45:00")));
    }

    #[test]
    fn a_pause_after_a_failure_is_kept_and_makes_nothing_earlier() {
        let soon = noon().boot.after(HOUR / 60);
        let with = |due: Due| due.not_before(Some(soon), noon());
        assert_eq!(with(ahead(Duration::ZERO)), Due::Boot(soon));
        assert_eq!(with(ahead(HOUR)), ahead(HOUR));
        assert_eq!(with(Due::Wall(at("11:00:00"))), Due::Boot(soon));
        assert_eq!(with(Due::Wall(at("13:00:00"))), Due::Wall(at("13:00:00")));
        assert_eq!(with(Due::Never), Due::Never);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_is_set_back_does_not_hold_up_what_is_done_each_so_often() {
        let clock = Clock::fresh();
        let hour = Due::after(&When::Every(Duration::ZERO), wall(clock.now()), clock.now());
        clock.step_wall(-10 * 365 * 86_400_000);
        assert_eq!(hour.wait(&clock).await, Waited::Due);
        let calendar = Due::Wall(wall(clock.now()).checked_add(HOUR).unwrap());
        let waiting = calendar.wait(&clock);
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        clock.step_wall(-86_400_000);
        assert_eq!(waiting.await, Waited::SetBack);
    }
}
