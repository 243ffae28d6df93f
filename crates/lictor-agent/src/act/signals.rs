//! The signals a shim minds.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use signal_hook::{flag, low_level::pipe};

/// TERM, INT and QUIT ask for the program to be stopped; CHLD says that it may have ended;
/// HUP, meant for the agent when it is sent by name, is taken and does nothing.
#[derive(Debug)]
pub(super) struct Signals {
    stop: Arc<AtomicBool>,
    wake: UnixStream,
}

impl Signals {
    /// Minds the signals from now on, for as long as the process lives.
    pub(super) fn new() -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
            // The flag first: who is woken finds it set.
            flag::register(signal.as_raw(), Arc::clone(&stop))?;
            pipe::register(signal.as_raw(), waker.try_clone()?)?;
        }
        for signal in [Signal::CHILD, Signal::HUP] {
            pipe::register(signal.as_raw(), waker.try_clone()?)?;
        }
        Ok(Self { stop, wake })
    }

    /// Whether somebody asked for the program to be stopped.
    pub(super) fn stop_asked(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Forgets what woke us; look at everything afterwards.
    pub(super) fn clear(&self) {
        let mut bytes = [0; 64];
        while (&self.wake).read(&mut bytes).is_ok_and(|count| count > 0) {}
    }
}

impl AsFd for Signals {
    /// Can be read when a signal has come since the last [`Signals::clear`].
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
