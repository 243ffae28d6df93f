//! The system log: datagrams as RFC 3164 has them, to a socket of this machine.

use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use jiff::Zoned;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// Where the system log listens.
const SOCKET: &str = "/dev/log";

/// No message is longer, in bytes; what is beyond is cut off.
const LONGEST: usize = 8 * 1024;

/// The system log. It may come and go: what cannot be sent is lost, and told of when it is back.
#[derive(Debug)]
pub(crate) struct Syslog {
    path: PathBuf,
    facility: u8,
    name: String,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    socket: Option<UnixDatagram>,
    lost: u64,
}

/// How bad a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Severity {
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
}

impl Severity {
    /// As the old program had it: what happens is a notice.
    const fn of(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warning,
            Level::INFO => Self::Notice,
            Level::DEBUG => Self::Info,
            Level::TRACE => Self::Debug,
        }
    }
}

impl Syslog {
    /// The system log of this machine, for messages of this facility under this name.
    pub(crate) fn new(facility: u8, name: &str) -> Self {
        Self { path: SOCKET.into(), facility, name: name.to_owned(), line: Mutex::default() }
    }

    /// Whether it can be reached now.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn reach(&self) -> io::Result<()> {
        self.connect().map(drop)
    }

    fn connect(&self) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.path)?;
        // A log that does not read must not hold up what is logged.
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    fn send(&self, severity: Severity, message: &str) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if line.lost > 0 {
            let lost = format!("messages that could not be sent before this one: {}", line.lost);
            if self.datagram(&mut line, Severity::Warning, &lost).is_ok() {
                line.lost = 0;
            }
        }
        if self.datagram(&mut line, severity, message).is_err() {
            line.lost += 1;
        }
    }

    fn datagram(&self, line: &mut Line, severity: Severity, message: &str) -> io::Result<()> {
        let priority = u32::from(self.facility) * 8 + severity as u32;
        let at = Zoned::now().strftime("%b %e %H:%M:%S").to_string();
        let text = format!("<{priority}>{at} {}[{}]: {message}", self.name, std::process::id());
        let cut = text.floor_char_boundary(LONGEST);
        let bytes = text.as_bytes().get(..cut).unwrap_or_default();
        if let Some(socket) = &line.socket {
            match socket.send(bytes) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                // It was started anew, and listens at another socket of the same name.
                Err(_) => line.socket = None,
            }
        }
        let socket = line.socket.insert(self.connect()?);
        socket.send(bytes).map(drop)
    }
}

/// A layer that has the system log take what is logged. Time and level are in the datagram, not in its words.
pub(crate) fn layer<S>(syslog: Syslog) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fmt::layer().without_time().with_level(false).with_target(false).with_ansi(false).with_writer(syslog)
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = Message<'a>;

    fn make_writer(&'a self) -> Message<'a> {
        Message { syslog: self, severity: Severity::Notice }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Message<'a> {
        Message { syslog: self, severity: Severity::of(*of.level()) }
    }
}

/// One message: it is written at once.
#[derive(Debug)]
pub(crate) struct Message<'a> {
    syslog: &'a Syslog,
    severity: Severity,
}

impl Write for Message<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.syslog.send(self.severity, text.trim_end_matches('\n'));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use regex::Regex;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// A log behind another socket.
    fn log_at(path: &Path, facility: u8, name: &str) -> Syslog {
        Syslog { path: path.to_owned(), ..Syslog::new(facility, name) }
    }

    fn listen(path: &Path) -> UnixDatagram {
        let log = UnixDatagram::bind(path).unwrap();
        log.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        log
    }

    /// The next message, with time and process id left out.
    fn next(log: &UnixDatagram) -> String {
        let mut bytes = vec![0; 2 * LONGEST];
        let length = log.recv(&mut bytes).unwrap();
        let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
        let stamp = Regex::new(r"^(<\d+>)[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (\S+)\[\d+\]").unwrap();
        stamp.replace(&text, "$1$2").into_owned()
    }

    #[test]
    fn each_level_has_its_severity() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = listen(&path);
        let subscriber = tracing_subscriber::registry().with(layer(log_at(&path, 16, "replicate")));
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!("a");
            tracing::warn!(key = "x", "b");
            tracing::info!("c");
            tracing::debug!("d");
            tracing::trace!("e");
        });
        assert_eq!(next(&log), "<131>replicate: a");
        assert_eq!(next(&log), "<132>replicate: b key=\"x\"");
        assert_eq!(next(&log), "<133>replicate: c");
        assert_eq!(next(&log), "<134>replicate: d");
        assert_eq!(next(&log), "<135>replicate: e");
    }

    #[test]
    fn a_log_that_comes_back_gets_messages_again_and_is_told_how_many_were_lost() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let syslog = log_at(&path, 23, "x");
        assert!(syslog.reach().is_err());
        syslog.send(Severity::Error, "lost");
        let log = listen(&path);
        assert!(syslog.reach().is_ok());
        syslog.send(Severity::Error, "one");
        assert_eq!(next(&log), "<188>x: messages that could not be sent before this one: 1");
        assert_eq!(next(&log), "<187>x: one");
        drop(log);
        std::fs::remove_file(&path).unwrap();
        let log = listen(&path);
        syslog.send(Severity::Error, "two");
        assert_eq!(next(&log), "<187>x: two");
    }

    #[test]
    fn a_log_that_does_not_read_holds_nobody_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = listen(&path);
        let syslog = log_at(&path, 16, "x");
        for number in 0..10_000 {
            syslog.send(Severity::Info, &format!("{number}"));
        }
        assert_eq!(next(&log), "<134>x: 0");
    }

    #[test]
    fn what_is_too_long_is_cut_between_two_characters() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let log = listen(&path);
        log_at(&path, 16, "x").send(Severity::Info, &"é".repeat(LONGEST));
        assert!(next(&log).ends_with('é'));
    }
}
