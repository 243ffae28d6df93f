//! Waiting for the world: polling with a deadline, the one place where the test kit sleeps.

use std::thread;
use std::time::{Duration, Instant};

/// How long to rest between two looks.
const POLL: Duration = Duration::from_millis(10);

/// Calls `look` until it gives a value, and gives that; `None` when `within` has passed without one.
///
/// `look` is called at least once, and once more after the deadline, so that a machine that was
/// paused in between does not fail for having had no chance to look.
pub fn until<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = now() + within;
    loop {
        let late = now() >= deadline;
        if let Some(found) = look() {
            return Some(found);
        }
        if late {
            return None;
        }
        rest();
    }
}

#[expect(clippy::disallowed_methods, reason = "the test kit watches real processes in real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a process that starts gives no event to wait on")]
fn rest() {
    thread::sleep(POLL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_was_found() {
        let mut looks = 0;
        let found = until(Duration::from_secs(5), || {
            looks += 1;
            (looks == 3).then_some("it")
        });
        assert_eq!((found, looks), (Some("it"), 3));
    }

    #[test]
    fn gives_up_at_the_deadline() {
        let mut looks = 0;
        let found: Option<()> = until(Duration::ZERO, || {
            looks += 1;
            None
        });
        assert_eq!((found, looks), (None, 1));
    }
}
