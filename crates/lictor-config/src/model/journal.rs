//! The systemd journal as a source of lines.

use std::path::PathBuf;
use std::time::Duration;

/// `watch "journal"`: records of the systemd journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Only of these units, with their suffix. Empty: of any.
    pub units: Vec<String>,
    /// Only with one of these syslog identifiers. Empty: with any or none.
    pub identifiers: Vec<String>,
    /// Only this severe or worse.
    pub priority: Option<&'static str>,
    /// Only with these fields, in order of their names.
    pub fields: Vec<(String, String)>,
    /// Of this user, by name or number: then `units` are of the user's own service manager.
    pub user: Option<String>,
    /// Only of the kernel.
    pub kernel: bool,
    /// Where the journal's files lie, when they are not this machine's own.
    pub directory: Option<PathBuf>,
    /// Where reading begins when it is not known how far it came.
    pub from: JournalFrom,
    /// Records older than this are only counted. `None`: they are looked at like all others.
    pub max_age: Option<Duration>,
    /// Time between two looks at whether the journal has grown. `None`: journald tells.
    pub wake: Option<Duration>,
    /// What to run in place of `journalctl`.
    pub command: Option<Vec<String>>,
}

/// Where reading a journal begins for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalFrom {
    /// With what is written from then on.
    End,
    /// With the oldest record there is.
    Start,
    /// With the first record of the latest boot.
    Boot,
}
