//! The agent's clock: the one place that reads the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use lictor_core::lease::Stamp;
use lictor_core::{Boot, Now, Wall};
use rustix::time::{ClockId, clock_gettime};

/// Where a new axis begins, milliseconds: ten years from its origin, so that what another machine
/// remembers from before this one was started has a place on it.
const BIRTH: u64 = 10 * 365 * 86_400_000;

/// Reads both clocks. Cheap to clone; clones agree.
///
/// The boot-time axis is carried over reboots: at start it is set so that it goes on
/// where the store's anchor left it, with the machine's time switched off left out.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Added to CLOCK_BOOTTIME to give the axis, milliseconds.
    offset: i64,
    /// Added to the wall clock, milliseconds; not 0 only in tests of clock steps.
    step: AtomicI64,
}

/// Where the axis stood when the store was last written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The kernel's id of that boot.
    pub boot_id: String,
    /// CLOCK_BOOTTIME then, milliseconds.
    pub boot_millis: u64,
    /// The axis then.
    pub axis: Boot,
}

impl Clock {
    /// A clock that goes on from `anchor`; without one a new axis begins, ten years from its origin.
    pub fn resume(anchor: Option<&Anchor>, boot_id: &str) -> Self {
        let boot = boot_millis();
        let axis = match anchor {
            None => BIRTH + boot,
            // The same boot: time has gone on while the agent was away.
            Some(then) if then.boot_id == boot_id => {
                then.axis.as_millis() + boot.saturating_sub(then.boot_millis)
            }
            // Another boot: only the time since it is certain.
            Some(then) => then.axis.as_millis() + boot,
        };
        let offset = i64::try_from(axis).unwrap_or(i64::MAX) - i64::try_from(boot).unwrap_or(i64::MAX);
        Self(Arc::new(Shared { offset, step: AtomicI64::new(0) }))
    }

    /// A clock without a past.
    pub fn fresh() -> Self {
        Self::resume(None, "")
    }

    /// The present time on both clocks.
    pub fn now(&self) -> Now {
        Now {
            boot: self.boot(),
            wall: Wall::from_unix_millis(wall_millis() + self.0.step.load(Ordering::Relaxed)),
        }
    }

    /// The present time on the boot-time axis.
    pub fn boot(&self) -> Boot {
        Boot::from_millis(boot_millis().saturating_add_signed(self.0.offset))
    }

    /// The present time on two axes that no setting and no slewing of a clock touches: for what
    /// other machines rely on. One of them stands while the machine sleeps.
    pub fn stamp(&self) -> Stamp {
        // In this order: if the machine is stopped between two of these, the sum is still that of
        // some instant since the first.
        let boot = read(ClockId::Boottime);
        let monotonic = read(ClockId::Monotonic);
        let awake = read(ClockId::MonotonicRaw);
        // These two are slewed alike and differ by the time asleep.
        Stamp { awake, whole: awake + boot.saturating_sub(monotonic) }
    }

    /// Where the axis stands, to be stored.
    pub fn anchor(&self, boot_id: &str) -> Anchor {
        let boot_millis = boot_millis();
        Anchor {
            boot_id: boot_id.to_owned(),
            boot_millis,
            axis: Boot::from_millis(boot_millis.saturating_add_signed(self.0.offset)),
        }
    }

    /// How long until an instant of the axis; zero when it is past.
    pub fn until(&self, then: Boot) -> Duration {
        then.since(self.boot())
    }

    /// Steps this process's wall clock, for tests of clock steps.
    pub fn step_wall(&self, millis: i64) {
        self.0.step.fetch_add(millis, Ordering::Relaxed);
    }
}

/// The kernel's random id of this boot.
///
/// # Errors
/// When /proc is not mounted.
pub fn boot_id() -> std::io::Result<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned())
}

/// How long this boot has lasted, and so much of it the machine slept.
pub(crate) fn since_boot() -> (Duration, Duration) {
    let awake = read(ClockId::Monotonic);
    (awake, read(ClockId::Boottime).saturating_sub(awake))
}

fn boot_millis() -> u64 {
    u64::try_from(read(ClockId::Boottime).as_millis()).unwrap_or(u64::MAX)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanos)
}

/// Read anew each time, so that what is recorded after the clock was set has the right
/// time.
fn wall_millis() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    let now = SystemTime::now();
    let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    match now.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => -millis(before.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_goes_on_over_a_restart_of_the_agent() {
        let before = Clock::fresh();
        let anchor = before.anchor("one");
        let after = Clock::resume(Some(&anchor), "one");
        let gap = after.boot().since(before.boot());
        assert!(gap < Duration::from_millis(100), "{gap:?}");
    }

    #[test]
    fn the_axis_never_goes_back_over_a_reboot() {
        let anchor = Anchor {
            boot_id: "one".into(),
            boot_millis: u64::MAX / 4,
            axis: Boot::from_millis(7_000_000_000),
        };
        let clock = Clock::resume(Some(&anchor), "two");
        assert!(clock.boot() >= anchor.axis);
    }

    #[test]
    fn both_axes_of_a_stamp_run() {
        let clock = Clock::fresh();
        let before = clock.stamp();
        let started = clock.boot();
        while clock.boot().since(started) < Duration::from_millis(20) {}
        let after = clock.stamp();
        assert!(after.shortest_since(before) >= Duration::from_millis(15), "{before:?} {after:?}");
        assert!(after.longest_since(before) < Duration::from_secs(10), "{before:?} {after:?}");
    }

    #[test]
    fn a_step_of_the_wall_clock_leaves_durations_alone() {
        let clock = Clock::fresh();
        let before = clock.now();
        clock.step_wall(-3_600_000);
        let after = clock.now();
        assert!(after.wall < before.wall);
        assert!(after.boot >= before.boot);
    }
}
