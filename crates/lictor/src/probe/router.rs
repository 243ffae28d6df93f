//! `router`: one request on standard input, its answer on standard output. For socket activation
//! (`Accept=yes`) and programs of the kind of inetd.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lictor_agent::Tasks;
use lictor_agent::probe::{HEAD, Site, Sources, is_whole};
use lictor_compat::sentinella::Probe as Told;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};

use super::{line, settings};
use crate::command::run::runtime;
use crate::exit::{Exit, Failure};
use crate::output::Terminal;
use crate::telemetry::{self, LogFormat};

pub(super) const USAGE: &str = "Answers one request on standard input as `probe` does, on standard output.

Usage: router

The environment is that of `probe`: URLS, VOLUMES, TIMEOUT, AUTH_FILE.";

/// How long the head of the request may take to come, and the answer to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is written at once: a pipe that can be written to takes so much without waiting.
const PIECE: usize = 4_096;

/// Whether what is said would be read as the answer: inetd makes stderr the connection, too.
pub(super) fn stderr_is_the_connection() -> bool {
    is_one_socket(io::stdin(), io::stderr())
}

/// Whether these are one socket; what cannot be looked at is none.
fn is_one_socket(one: impl AsFd, other: impl AsFd) -> bool {
    let (Ok(one), Ok(other)) = (fstat(one), fstat(other)) else { return false };
    FileType::from_raw_mode(one.st_mode) == FileType::Socket
        && (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

pub(super) fn run(told: Told, terminal: &Terminal) -> Result<(), Failure> {
    let mute = stderr_is_the_connection();
    telemetry::start(if mute { "off" } else { "warn" }, LogFormat::Text, terminal.colours_err())?;
    let failed = |what: &str, error: io::Error| Failure::new(Exit::Failed, format!("cannot {what}: {error}"));
    let head = read(io::stdin(), deadline()).map_err(|error| failed("read the request", error))?;
    if !head.contains(&b'\n') && head.len() <= HEAD {
        // Whoever connected has left without a word.
        return Ok(());
    }
    let said = *terminal;
    let tell = move |url: &str, code: u16| {
        if !mute {
            said.say(&line(&said, url, code));
        }
    };
    let sources = Sources { told: Arc::new(tell), ..Sources::none() };
    let runtime = runtime()?;
    let answer = runtime.block_on(async {
        let site = Site::new(settings(told), sources, &Tasks::new());
        let site = site.map_err(|why| Failure::new(Exit::Config, why))?;
        Ok(site.once(&head).await)
    });
    // Looks that hang are not waited for.
    runtime.shutdown_background();
    match write(io::stdout(), &answer?, deadline()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| failed("write the answer", error)),
    }
}

fn deadline() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "there is no agent and no runtime here")]
    let now = Instant::now();
    now + PATIENCE
}

/// Reads a head: to its end, or the end of what comes. One that is too large is not read further.
fn read(from: impl AsFd, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut piece = [0; 1_024];
    while !is_whole(&bytes) && bytes.len() <= HEAD {
        wait(&from, PollFlags::IN, deadline)?;
        let count = match rustix::io::read(&from, &mut piece) {
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => continue,
            other => other?,
        };
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
    Ok(bytes)
}

fn write(to: impl AsFd, bytes: &[u8], deadline: Instant) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        wait(&to, PollFlags::OUT, deadline)?;
        let piece = rest.get(..rest.len().min(PIECE)).unwrap_or_default();
        match rustix::io::write(&to, piece) {
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Waits until something can be read or written, or has ended.
fn wait(what: &impl AsFd, wanted: PollFlags, deadline: Instant) -> io::Result<()> {
    loop {
        #[expect(clippy::disallowed_methods, reason = "there is no agent and no runtime here")]
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let left = Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(what, wanted)], Some(&left)) {
            Err(rustix::io::Errno::INTR) | Ok(0) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_connection_is_known_by_each_of_its_descriptors() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(is_one_socket(&ours, ours.try_clone().unwrap()));
        assert!(!is_one_socket(&ours, &theirs));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(!is_one_socket(&file, &file), "what is no connection may be written to");
        assert!(!is_one_socket(&ours, &file));
    }
}
