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
