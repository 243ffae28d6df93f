//! The guard of a service: a small process that kills the service when the belief under which it runs is over.
//!
//! It is this program, started by PID 1 as `lictor guard NAME` in the unit `lictor-guard@NAME.service`. It has
//! no runtime and no threads: one loop around `poll(2)`. The agent tells it what is believed; it tells
//! PID 1 that it lives, and only while the belief holds. So these kill the service, each without the others:
//!
//! ```text
//! the agent    a planned stop, or a kill, while it lives
//! the guard    one write to the kernel when the belief is over, whatever the agent does
//! PID 1        when the guard is frozen (its watchdog), killed, or has ended: `lictor guard NAME --kill`,
//!              and a stop of the units, which are bound to it
//! ```
//!
//! The guard is begun by a start of the service, and by nothing else: one that a bound unit pulls in, restarted
//! by systemd or started by a person, is told no first belief and ends, and the unit does not start.

pub(super) mod slice;
pub(super) mod words;

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::Duration;

use lictor_core::lease::{Belief, Stamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mm::{MlockAllFlags, mlockall};

use super::place::{Place, PlaceError};
use crate::clock::Clock;
use crate::fault::{self, Plant};
use slice::{Slice, pause};
use words::{Answer, ROOM, Said};

/// PID 1 hears of it so often: its watchdog has five times that.
const PING: Duration = Duration::from_millis(100);

/// One that is not told by then when it is to end is not wanted.
const BEGIN: Duration = Duration::from_secs(2);

/// A belief cannot be from later than now, but the clocks are not all read in the same instant.
const SKEW: Duration = Duration::from_millis(100);

/// For so long `--kill` kills what PID 1 runs because the units have ended: their ExecStopPost=.
const AFTER: Duration = Duration::from_millis(200);

/// Why a guard ended otherwise than in order.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The command line.
    #[error("usage: lictor guard NAME [--kill]; it is for lictor-guard@NAME.service")]
    Usage,
    /// The name.
    #[error(transparent)]
    Name(PlaceError),
    /// It cannot do its work here.
    #[error("cannot {0}: {1}")]
    Cannot(&'static str, io::Error),
    /// Nobody has begun it.
    #[error(
        "nobody said within {} s until when {place} may run: it is started by the agent, and by nothing else",
        BEGIN.as_secs()
    )]
    NotBegun {
        /// The service.
        place: Place,
    },
    /// It did what it is for.
    #[error("the belief in token {token} is over: all of {place} was killed")]
    Killed {
        /// The service.
        place: Place,
        /// The token under which it ran.
        token: u64,
    },
    /// It tried to.
    #[error("the belief in token {token} is over, but something of {place} may be alive: {error}")]
    Alive {
        /// The service.
        place: Place,
        /// The token under which it ran.
        token: u64,
        /// Why.
        error: io::Error,
    },
}

/// Runs a guard until it is told that the service has stopped. `args` are those after `guard`; `say` is told what
/// a person should know while it runs.
///
/// Call it first of all, before threads, a runtime or anything else exists.
///
/// # Errors
/// It was not begun, or it has killed the service: see [`GuardError`].
pub fn main(args: impl Iterator<Item = OsString>, say: impl Fn(&str)) -> Result<(), GuardError> {
    let words: Vec<OsString> = args.collect();
    let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    let (name, kills) = match words.as_deref() {
        Some([name]) => (name, false),
        Some([name, "--kill"]) => (name, true),
        Some(_) | None => return Err(GuardError::Usage),
    };
    let place = Place::new(name).map_err(GuardError::Name)?;
    let slice = Slice::of(&place).map_err(|error| GuardError::Cannot("find control groups", error))?;
    if kills {
        return kill(&slice);
    }
    let guarding = Guarding::begin(place, slice)?;
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    if let Err(error) = mlockall(flags) {
        // Some containers do not let anybody. It is late then only where memory is short.
        say(&format!("the memory of the guard is not locked: {error}"));
    }
    guarding.run()
}

/// What PID 1 runs when a guard has ended, however it did.
fn kill(slice: &Slice) -> Result<(), GuardError> {
    let failed = |error| GuardError::Cannot("kill all of it", error);
    let found = slice.kill().map_err(failed)?;
    let in_order = env::var_os("SERVICE_RESULT").is_some_and(|result| result == "success");
    if found || !in_order {
        let clock = Clock::fresh();
        let since = clock.stamp();
        while clock.stamp().longest_since(since) < AFTER {
            pause(Duration::from_millis(5)).map_err(failed)?;
            slice.kill().map_err(failed)?;
        }
    }
    Ok(())
}

struct Guarding {
    place: Place,
    slice: Slice,
    socket: UnixDatagram,
    first: First,
    clock: Clock,
    since: Stamp,
    /// Until when the service may run; `None` before it was begun.
    belief: Option<Belief>,
    pinged: Stamp,
}

/// What a datagram has it do.
enum Next {
    GoOn,
    End,
}

impl Guarding {
    fn begin(place: Place, slice: Slice) -> Result<Self, GuardError> {
        let cannot = |what| move |error| GuardError::Cannot(what, error);
        let first = First::new().map_err(cannot("tell PID 1"))?;
        let socket = bind(&place.socket()).map_err(cannot("open its socket"))?;
        // What runs now runs without a guard. It also has all of the way gone once, so that it is in memory.
        slice.kill().map_err(cannot("kill what is left of it"))?;
        let clock = Clock::fresh();
        let since = clock.stamp();
        Ok(Self { place, slice, socket, first, clock, since, belief: None, pinged: Stamp::default() })
    }

    fn run(mut self) -> Result<(), GuardError> {
        let watched = self.watch();
        let Some(Belief { token, .. }) = self.belief else { return watched };
        // However it ended: from here on nobody would kill them in time.
        let place = self.place;
        match self.slice.kill() {
            Ok(true) if watched.is_ok() => Err(GuardError::Killed { place, token }),
            Ok(_) => watched,
            Err(error) => Err(GuardError::Alive { place, token, error }),
        }
    }

    /// Ends when the service may not run any more.
    fn watch(&mut self) -> Result<(), GuardError> {
        let cannot = |error| GuardError::Cannot("hear what is believed", error);
        let mut bytes = [0; ROOM];
        loop {
            let now = self.clock.stamp();
            let left = match self.belief {
                Some(_) if fault::planted(Plant::Unfenced) => BEGIN,
                Some(belief) => belief.left(now),
                None => BEGIN.saturating_sub(now.longest_since(self.since)),
            };
            match self.belief {
                Some(_) if left.is_zero() => return Ok(()),
                None if left.is_zero() => return Err(GuardError::NotBegun { place: self.place.clone() }),
                Some(_) | None => {}
            }
            let mut wait = left;
            if self.belief.is_some() {
                let ping = PING.saturating_sub(now.longest_since(self.pinged));
                if ping.is_zero() {
                    self.first.ping();
                    self.pinged = now;
                }
                wait = left.min(if ping.is_zero() { PING } else { ping });
            }
            let wait = Timespec::try_from(wait).map_err(|error| cannot(io::Error::other(error)))?;
            match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&wait)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(cannot(error.into())),
            }
            // One at a time: whoever says very much does not keep it from its clock.
            match self.socket.recv_from(&mut bytes) {
                Ok((count, from)) => {
                    let said = bytes.get(..count).and_then(Said::read);
                    if let Some(said) = said
                        && let Next::End = self.hears(said, &from).map_err(cannot)?
                    {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(cannot(error)),
            }
        }
    }

    fn hears(&mut self, said: Said, from: &SocketAddr) -> io::Result<Next> {
        let now = self.clock.stamp();
        match said {
            Said::Begin { number, belief } => {
                let same = self.belief.is_none_or(|before| before.token == belief.token);
                if !same || !belief.holds(now) || is_ahead(belief, now) {
                    self.answer(from, Answer::Refuses, number);
                    return Ok(Next::GoOn);
                }
                if self.belief.replace(belief).is_none() {
                    self.first.ready()?;
                    self.pinged = now;
                }
                self.answer(from, self.standing(now), number);
            }
            Said::Until(belief) => {
                if let Some(own) = &mut self.belief
                    && own.token == belief.token
                    && !is_ahead(belief, now)
                {
                    *own = belief;
                }
            }
            Said::Over => return Ok(Next::End),
            Said::Ask { number } => self.answer(from, self.standing(now), number),
        }
        Ok(Next::GoOn)
    }

    fn standing(&self, now: Stamp) -> Answer {
        let guards = |belief: Belief| Answer::Guards { token: belief.token, left: belief.left(now) };
        self.belief.map_or(Answer::Waits, guards)
    }

    /// One that does not get it asks again.
    fn answer(&self, to: &SocketAddr, answer: Answer, number: u64) {
        drop(self.socket.send_to_addr(answer.to_text(number).as_bytes(), to));
    }
}

/// Whether it would have begun later than now, and so would end later than it may.
fn is_ahead(belief: Belief, now: Stamp) -> bool {
    let Stamp { awake, whole } = belief.since;
    awake > now.awake + SKEW || whole > now.whole + SKEW
}

/// A socket that only we can write to, in place of what a guard before left there.
pub(super) fn bind(path: &Path) -> io::Result<UnixDatagram> {
    if let Some(dir) = path.parent() {
        // What is above is nobody's secret.
        dir.parent().map_or(Ok(()), fs::create_dir_all)?;
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let socket = UnixDatagram::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The way to PID 1, as sd_notify(3) describes it.
struct First {
    socket: UnixDatagram,
    to: SocketAddr,
}

impl First {
    fn new() -> io::Result<Self> {
        let to = env::var_os("NOTIFY_SOCKET").ok_or_else(|| io::Error::other("it is not run by systemd"))?;
        let to = match to.as_encoded_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(&to)?,
        };
        let socket = UnixDatagram::unbound()?;
        // A PID 1 that does not read must not keep us from our clock.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, to })
    }

    fn ready(&self) -> io::Result<()> {
        self.socket.send_to_addr(b"READY=1\nWATCHDOG=1", &self.to).map(drop)
    }

    /// One that is lost is followed by another; when none comes through, PID 1 does our work.
    fn ping(&self) {
        drop(self.socket.send_to_addr(b"WATCHDOG=1", &self.to));
    }
}

#[cfg(test)]
mod tests;
