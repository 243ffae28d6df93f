//! A BitTorrent tracker over HTTP, whose behaviour is changed while it runs.

use std::net::Ipv4Addr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::ports;
use crate::standin::{Reply, Request, Standin, lock};

/// How long a hanging tracker keeps a request, unless its mode is changed before.
const HANG: Duration = Duration::from_secs(90);

/// What a tracker does with an announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Takes it, and knows no peers.
    Ok,
    /// Takes it with a warning message.
    Warning(String),
    /// Answers a failure reason.
    Failure(String),
    /// Answers status 500.
    Broken,
    /// Accepts the connection and does not answer.
    Hang,
    /// Refuses connections.
    Closed,
}

/// A tracker on loopback. Dropping it ends it.
#[derive(Debug)]
pub struct Tracker {
    server: Standin,
    shared: Arc<Shared>,
    passkey: String,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    announces: u64,
}

impl Tracker {
    /// A tracker that works, on an address of its own: its host is an IP address.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn start() -> Self {
        Self::start_on(ports::loopback())
    }

    /// A tracker that works, on this address; at 127.0.0.1 it can be called `localhost`.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn start_on(ip: Ipv4Addr) -> Self {
        let state = Mutex::new(State { mode: Mode::Ok, announces: 0 });
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        let passkey = format!("{:032x}", rand::random::<u128>());
        let (answering, path) = (Arc::clone(&shared), format!("/{passkey}/announce"));
        let server = Standin::start_on(ip, move |request| answering.answer(&request, &path));
        Self { server, shared, passkey }
    }

    /// Changes what it does from the next announcement on; a hanging one is then answered too.
    ///
    /// # Panics
    /// If it was closed and its port is taken by now.
    pub fn set(&self, mode: Mode) {
        let closed = mode == Mode::Closed;
        lock(&self.shared.state).mode = mode;
        self.shared.changed.notify_all();
        if closed { self.server.stop() } else { self.server.again() }
    }

    /// The announce URL, which holds the passkey.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_as(&self.server.address().ip().to_string())
    }

    /// The announce URL under another name of its address.
    #[must_use]
    pub fn url_as(&self, host: &str) -> String {
        format!("http://{host}:{}/{}/announce", self.server.address().port(), self.passkey)
    }

    /// Its host as in [`Self::url`].
    #[must_use]
    pub fn host(&self) -> String {
        self.server.address().ip().to_string()
    }

    /// What must never be shown.
    #[must_use]
    pub fn passkey(&self) -> &str {
        &self.passkey
    }

    /// Announcements received so far, answered or not.
    #[must_use]
    pub fn announces(&self) -> u64 {
        lock(&self.shared.state).announces
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        lock(&self.shared.state).mode = Mode::Closed;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn answer(&self, request: &Request, path: &str) -> Option<Reply> {
        if request.path != path {
            return Some(Reply::text(404, "no such tracker"));
        }
        let mut state = lock(&self.state);
        state.announces += 1;
        if state.mode == Mode::Hang {
            let hanging = self.changed.wait_timeout_while(state, HANG, |state| state.mode == Mode::Hang);
            state = hanging.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _timeout)| state);
        }
        let text = |key: &str, text: &str| format!("{}:{key}{}:{text}", key.len(), text.len());
        // The interval that a client keeps to unless it is told to announce.
        let rest = "8:intervali1800e12:min intervali1e5:peers0:";
        match &state.mode {
            Mode::Ok => Some(Reply::text(200, format!("d{rest}e"))),
            Mode::Warning(why) => Some(Reply::text(200, format!("d{rest}{}e", text("warning message", why)))),
            Mode::Failure(why) => Some(Reply::text(200, format!("d{}e", text("failure reason", why)))),
            Mode::Broken => Some(Reply::text(500, "broken")),
            Mode::Hang | Mode::Closed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    fn announce(tracker: &Tracker) -> String {
        let Ok(mut stream) = TcpStream::connect(tracker.server.address()) else {
            return "refused".to_owned();
        };
        let request =
            format!("GET /{}/announce?x=1 HTTP/1.1\r\nConnection: close\r\n\r\n", tracker.passkey());
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_tracker_does_what_it_is_set_to() {
        let tracker = Tracker::start();
        assert!(announce(&tracker).ends_with("d8:intervali1800e12:min intervali1e5:peers0:e"));
        tracker.set(Mode::Failure("not known".to_owned()));
        assert!(announce(&tracker).ends_with("d14:failure reason9:not knowne"));
        tracker.set(Mode::Broken);
        assert!(announce(&tracker).starts_with("HTTP/1.1 500 "));
        tracker.set(Mode::Closed);
        assert_eq!(announce(&tracker), "refused");
        tracker.set(Mode::Warning("soon".to_owned()));
        assert!(announce(&tracker).ends_with("15:warning message4:soone"));
        assert_eq!(tracker.announces(), 4);
    }
}
