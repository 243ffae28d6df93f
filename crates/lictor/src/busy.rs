//! What takes long is shown on the last line of the terminal while it lasts, for whoever waits for it.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use lictor_agent::text::one_line;
use lictor_core::Span;
use tokio::time::Instant;

/// Goes back to the beginning of a terminal's line, and empties it.
pub(crate) const CLEAR: &str = "\r\u{1b}[K";

/// What is done sooner is not shown.
const SOON: Duration = Duration::from_secs(1);

/// How often it is shown how far it is.
pub(crate) const EVERY: Duration = Duration::from_millis(250);

/// Characters of what is being done: more might not fit into a line, which then could not be emptied.
const LONGEST: usize = 45;

/// Something that is being done. It is shown after a second, and no more when this is dropped; where nobody sits at the
/// terminal it is not shown at all.
pub(crate) struct Busy {
    state: Arc<State>,
    shows: Option<JoinHandle<()>>,
}

struct State {
    now: Mutex<Now>,
    over: Condvar,
}

struct Now {
    what: String,
    far: Box<dyn Fn() -> Option<String> + Send>,
    over: bool,
}

impl Busy {
    /// Something of which nobody knows how far it is.
    pub(crate) fn with(what: impl Into<String>) -> Self {
        Self::so_far(what, || None)
    }

    /// `far` says how far it is, in words.
    pub(crate) fn so_far(what: impl Into<String>, far: impl Fn() -> Option<String> + Send + 'static) -> Self {
        let now = Now { what: what.into(), far: Box::new(far), over: false };
        let state = Arc::new(State { now: Mutex::new(now), over: Condvar::new() });
        let shows = io::stderr().is_terminal().then(|| {
            let state = Arc::clone(&state);
            std::thread::Builder::new().name("busy".to_owned()).spawn(move || state.show()).ok()
        });
        Self { state, shows: shows.flatten() }
    }

    /// Something else is being done from now on.
    pub(crate) fn now(&self, what: impl Into<String>) {
        self.state.now.lock().unwrap_or_else(PoisonError::into_inner).what = what.into();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.state.now.lock().unwrap_or_else(PoisonError::into_inner).over = true;
        self.state.over.notify_all();
        // The line is empty when this has come back. A thread that has panicked shows nothing more.
        drop(self.shows.take().map(JoinHandle::join));
    }
}

impl State {
    fn show(&self) {
        let begun = Instant::now();
        let mut line = None;
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        while !now.over {
            let waited = self.over.wait_timeout(now, EVERY).unwrap_or_else(PoisonError::into_inner);
            now = waited.0;
            if !now.over && begun.elapsed() >= SOON {
                let words = words(&now.what, (now.far)(), begun.elapsed());
                line.get_or_insert(Line).write(&words);
            }
        }
    }
}

fn words(what: &str, far: Option<String>, took: Duration) -> String {
    let took = Span(Duration::from_secs(took.as_secs()));
    let far = far.map_or_else(String::new, |far| format!("{far}, "));
    format!("{} … {far}{took}", one_line(what, LONGEST))
}

/// So many bytes, for whoever waits for them.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// The last line of the terminal. When it is dropped, it is empty.
pub(crate) struct Line;

impl Line {
    pub(crate) fn write(&self, text: &str) {
        // Nobody reads it: then nobody misses it.
        drop(write!(io::stderr().lock(), "{CLEAR}{text}"));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.write("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_how_far_and_for_how_long() {
        let took = Duration::from_millis(61_700);
        assert_eq!(words("checking a.snap", None, took), "checking a.snap … 1m 1s");
        let far = Some(mebibytes(12_000_000));
        assert_eq!(words("saving a.snap", far, took), "saving a.snap … 12 MiB, 1m 1s");
        assert!(words(&"x".repeat(100), None, took).chars().count() < 60);
    }
}
