//! How much old programs logged, and where to.

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// What cannot be gone on with.
    Err,
    /// What should not be.
    Warn,
    /// What happens.
    Info,
    /// Everything.
    Debug,
    /// More than that.
    Trace,
}

impl LogLevel {
    /// The level of this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "ERR" => Some(Self::Err),
            "WARN" => Some(Self::Warn),
            "INFO" => Some(Self::Info),
            "DEBUG" => Some(Self::Debug),
            "TRACE" => Some(Self::Trace),
            _ => None,
        }
    }

    /// Its name in a line of the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Err => "ERR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }
}

/// The number of a facility, as RFC 3164 has it.
pub(crate) fn facility(name: &str) -> Option<u8> {
    let wanted = name.to_ascii_uppercase();
    FACILITIES.iter().find(|(name, _)| *name == wanted).map(|(_, number)| *number)
}

/// Facilities by their names; an old manual calls the usual one `LOCAL`.
const FACILITIES: &[(&str, u8)] = &[
    ("KERN", 0),
    ("USER", 1),
    ("MAIL", 2),
    ("DAEMON", 3),
    ("AUTH", 4),
    ("SYSLOG", 5),
    ("LPR", 6),
    ("NEWS", 7),
    ("UUCP", 8),
    ("CRON", 9),
    ("AUTHPRIV", 10),
    ("FTP", 11),
    ("LOCAL", 16),
    ("LOCAL0", 16),
    ("LOCAL1", 17),
    ("LOCAL2", 18),
    ("LOCAL3", 19),
    ("LOCAL4", 20),
    ("LOCAL5", 21),
    ("LOCAL6", 22),
    ("LOCAL7", 23),
];
