//! Signals by their names.

use std::fmt;

use thiserror::Error;

/// A signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    name: &'static str,
    number: i32,
}

/// A text that names no signal.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no signal such as SIGINT")]
pub struct SignalError(String);

impl Signal {
    /// SIGHUP.
    pub const HUP: Self = Self { name: "SIGHUP", number: 1 };
    /// SIGINT.
    pub const INT: Self = Self { name: "SIGINT", number: 2 };

    /// The signal of this name; an empty one, and `SIGNULL`, is none.
    ///
    /// # Errors
    /// If there is no such signal.
    pub fn named(name: &str) -> Result<Option<Self>, SignalError> {
        let wanted = name.to_ascii_uppercase();
        if wanted.is_empty() || wanted == "SIGNULL" || wanted == "SIGNIL" {
            return Ok(None);
        }
        let found = SIGNALS.iter().find(|(known, _)| *known == wanted);
        let (name, number) = *found.ok_or_else(|| SignalError(name.to_owned()))?;
        Ok(Some(Self { name, number }))
    }

    /// Its number on Linux.
    pub const fn number(self) -> i32 {
        self.number
    }

    /// Whether a program can notice it. Some end, stop or break it before it can.
    pub const fn can_be_caught(self) -> bool {
        // SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV and SIGSTOP.
        !matches!(self.number, 4..=9 | 11 | 19)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The names that the old program knew, with their numbers on Linux but for Alpha, MIPS, PA-RISC and SPARC.
const SIGNALS: &[(&str, i32)] = &[
    ("SIGABRT", 6),
    ("SIGALRM", 14),
    ("SIGBUS", 7),
    ("SIGCHLD", 17),
    ("SIGCONT", 18),
    ("SIGFPE", 8),
    ("SIGHUP", 1),
    ("SIGILL", 4),
    ("SIGINT", 2),
    ("SIGIO", 29),
    ("SIGIOT", 6),
    ("SIGKILL", 9),
    ("SIGPIPE", 13),
    ("SIGPROF", 27),
    ("SIGQUIT", 3),
    ("SIGSEGV", 11),
    ("SIGSTOP", 19),
    ("SIGSYS", 31),
    ("SIGTERM", 15),
    ("SIGTRAP", 5),
    ("SIGTSTP", 20),
    ("SIGTTIN", 21),
    ("SIGTTOU", 22),
    ("SIGURG", 23),
    ("SIGUSR1", 10),
    ("SIGUSR2", 12),
    ("SIGWINCH", 28),
    ("SIGXCPU", 24),
    ("SIGXFSZ", 25),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_a_name_in_any_case_and_none_has_none() {
        assert_eq!(Signal::named("SIGINT"), Ok(Some(Signal::INT)));
        assert_eq!(Signal::named("sighup"), Ok(Some(Signal::HUP)));
        assert_eq!(Signal::named("SIGUSR1").unwrap().unwrap().number(), 10);
        for none in ["", "SIGNULL", "SIGNIL"] {
            assert_eq!(Signal::named(none), Ok(None));
        }
    }

    #[test]
    fn another_name_is_an_error() {
        for name in ["INT", "2", "SIGFOO", " SIGINT"] {
            let why = format!("{name:?} is no signal such as SIGINT");
            assert_eq!(Signal::named(name).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn some_cannot_be_caught() {
        let caught = |name| Signal::named(name).unwrap().unwrap().can_be_caught();
        assert!(caught("SIGINT") && caught("SIGTERM") && caught("SIGHUP") && caught("SIGUSR1"));
        assert!(!caught("SIGKILL") && !caught("SIGSTOP") && !caught("SIGSEGV"));
    }
}
