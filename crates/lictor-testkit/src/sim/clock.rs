//! The clocks of a simulated machine.

use std::time::Duration;

use lictor_core::lease::Stamp;

/// True time since a play began, in microseconds.
pub(super) type Micros = u64;

/// Where all clocks begin: some time after their origin.
const ORIGIN: u64 = 100_000_000_000;

/// Two clocks that run at rates of their own; one stands while the machine sleeps.
#[derive(Debug)]
pub(super) struct Clock {
    ppm: [i64; 2],
    /// By how many hundredths a sleep is longer on the clock that counts it.
    oversleeps: u64,
    slept: Micros,
    asleep: Option<Micros>,
}

impl Clock {
    /// The clocks of the machine with this number, too fast by so many millionths.
    pub(super) const fn new(number: usize, ppm: [i64; 2]) -> Self {
        let oversleeps = if number.is_multiple_of(2) { 20 } else { 0 };
        Self { ppm, oversleeps, slept: 0, asleep: None }
    }

    pub(super) fn read(&self, now: Micros) -> Stamp {
        let slept = self.slept + self.asleep.map_or(0, |since| now - since);
        let shown = |passed: Micros, ppm: i64| {
            let passed = i128::from(passed) * i128::from(1_000_000 + ppm) / 1_000_000;
            Duration::from_micros(ORIGIN + u64::try_from(passed).unwrap_or_default())
        };
        let [awake, whole] = self.ppm;
        let whole = shown(now + slept * self.oversleeps / 100, whole);
        Stamp { awake: shown(now - slept, awake), whole }
    }

    /// How long the faster clock takes for a time, a little more.
    pub(super) fn lasts(&self, time: Duration) -> Micros {
        let rate = 1_000_000 + self.ppm.into_iter().max().unwrap_or_default();
        let micros = i128::try_from(time.as_micros()).unwrap_or(i128::MAX / 1_000_000) * 1_000_000;
        u64::try_from(micros / i128::from(rate)).unwrap_or(u64::MAX) + 1
    }

    pub(super) fn fall_asleep(&mut self, now: Micros) {
        self.asleep.get_or_insert(now);
    }

    pub(super) fn wake_up(&mut self, now: Micros) {
        if let Some(since) = self.asleep.take() {
            self.slept += now - since;
        }
    }
}
