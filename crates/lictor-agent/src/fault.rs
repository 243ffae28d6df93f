//! Points at which tests kill the agent, and pauses that they shorten. Without the feature
//! `test-faults` there are none.

use lictor_store::Pulse;

/// Kills the process at once (SIGKILL) if `LICTOR_FAULT` is `NAME:N` and this is the N-th
/// time that this point is reached.
#[cfg(feature = "test-faults")]
pub(crate) fn point(name: &str) {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};

    static REACHED: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());
    let Ok(wanted) = std::env::var("LICTOR_FAULT") else { return };
    let Some((point, number)) = wanted.split_once(':') else { return };
    if point != name {
        return;
    }
    let mut reached = REACHED.lock().unwrap_or_else(PoisonError::into_inner);
    let count = reached.entry(name.to_owned()).or_insert(0);
    *count += 1;
    if number.parse() == Ok(*count) {
        let killed = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        panic!("the fault at {wanted} did not kill: {killed:?}");
    }
}

/// Nothing: this is not a build for tests.
#[cfg(not(feature = "test-faults"))]
pub(crate) fn point(_name: &str) {}

/// What no agent may do, and one that is built for tests does when `LICTOR_PLANT` names it. It shows that tests see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    /// `unfenced`: the guard of a service lets it run on when its belief is over.
    Unfenced,
    /// `forgets`: who begins to tell of alerts knows nothing of what was told before.
    Forgets,
    /// `repeats`: a step that was under way when the agent ended is done again, without a look at what became of it.
    Repeats,
    /// `blind`: what others do to copies is not seen.
    Blind,
}

/// Whether this one is planted.
#[cfg(feature = "test-faults")]
pub(crate) fn planted(plant: Plant) -> bool {
    let name = match plant {
        Plant::Unfenced => "unfenced",
        Plant::Forgets => "forgets",
        Plant::Repeats => "repeats",
        Plant::Blind => "blind",
    };
    std::env::var_os("LICTOR_PLANT").is_some_and(|planted| planted == name)
}

/// Nothing is planted: this is not a build for tests.
#[cfg(not(feature = "test-faults"))]
pub(crate) const fn planted(_: Plant) -> bool {
    false
}

/// The pulse of the copies in Consul: `LICTOR_PULSE` is `BEAT:SILENCE` in milliseconds.
#[cfg(feature = "test-faults")]
pub(crate) fn pulse() -> Pulse {
    let Ok(wanted) = std::env::var("LICTOR_PULSE") else { return Pulse::default() };
    let millis = |text: &str| text.parse().map(std::time::Duration::from_millis);
    match wanted.split_once(':').map(|(beat, silence)| (millis(beat), millis(silence))) {
        Some((Ok(beat), Ok(silence))) => Pulse { beat, silence },
        _ => panic!("LICTOR_PULSE is {wanted}"),
    }
}

/// The pulse of the copies in Consul.
#[cfg(not(feature = "test-faults"))]
pub(crate) fn pulse() -> Pulse {
    Pulse::default()
}

/// The times of a lease: with `LICTOR_LEASE` in milliseconds, that length and all others in
/// proportion to it.
#[cfg(feature = "test-faults")]
pub(crate) fn lease() -> lictor_core::lease::Params {
    use std::time::Duration;

    let Ok(wanted) = std::env::var("LICTOR_LEASE") else { return lictor_core::lease::Params::STEADY };
    let Ok(length) = wanted.parse::<u64>() else { panic!("LICTOR_LEASE is {wanted}") };
    let part = |percent: u64| Duration::from_millis(length * percent / 100);
    let timing = lictor_core::lease::Timing {
        renew: part(15),
        request: part(12),
        belief: part(75),
        margin: part(6),
        length: part(100),
        drift_ppm: 5_000,
    };
    match lictor_core::lease::Params::new(timing) {
        Ok(params) => params,
        Err(why) => panic!("LICTOR_LEASE is {wanted}: {why}"),
    }
}

/// The times of a lease.
#[cfg(not(feature = "test-faults"))]
pub(crate) fn lease() -> lictor_core::lease::Params {
    lictor_core::lease::Params::STEADY
}
