//! Tells the service manager how things stand: readiness, reloads, watchdog.

use std::net::SocketAddr;
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

/// systemd's notification socket, if there is one.
#[derive(Debug)]
pub(crate) struct ServiceManager {
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// Looks whether a service manager wants to be told.
    pub(crate) fn from_env() -> Self {
        Self { watchdog: sd_notify::watchdog_enabled() }
    }

    /// How often the decide loop has to show that it lives, and how. Twice as often as
    /// systemd asks for.
    pub(crate) fn watchdog(&self) -> Option<(Duration, Box<dyn Fn() + Send>)> {
        self.watchdog.map(|limit| {
            let ping: Box<dyn Fn() + Send> = Box::new(|| tell(&[NotifyState::Watchdog]));
            (limit / 2, ping)
        })
    }

    /// Everything is in place.
    pub(crate) fn ready(&self, address: &SocketAddr) {
        let status = format!("watching; page on http://{address}/");
        tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    /// A reload begins.
    pub(crate) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => debug!(%error, "cannot tell the service manager the time"),
        }
    }

    /// A reload is over.
    pub(crate) fn reloaded(&self) {
        tell(&[NotifyState::Ready]);
    }

    /// The agent stops.
    pub(crate) fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "cannot notify the service manager");
    }
}
