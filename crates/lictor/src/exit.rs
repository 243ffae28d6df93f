//! Exit codes and what is said before them. The table is in `docs/exit-codes.md`.

use std::process::ExitCode;

use crate::output::Terminal;

/// How the program ends, when not well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// What was asked for failed, or the answer is no.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is wrong.
    Config = 3,
    /// The agent cannot be reached.
    Unreachable = 4,
    /// There is no such thing.
    NotFound = 5,
    /// It is not in a state for that.
    Conflict = 6,
    /// The agent wants a token, or another one.
    Denied = 7,
    /// The state directory or the address is in use, or cannot be used.
    Unavailable = 8,
}

impl Exit {
    /// Every code, with what it means.
    #[cfg(test)]
    pub(crate) const ALL: [(Self, &'static str); 8] = [
        (Self::Failed, "what was asked for failed, or the answer is no"),
        (Self::Usage, "the command line is wrong"),
        (Self::Config, "the configuration is wrong"),
        (Self::Unreachable, "the agent cannot be reached"),
        (Self::NotFound, "there is no such thing"),
        (Self::Conflict, "it is not in a state for that"),
        (Self::Denied, "the agent wants a token, or another one"),
        (Self::Unavailable, "the state directory or the address is in use, or cannot be used"),
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Said in one line, with the way out in another.
    Plain {
        /// How the program ends.
        exit: Exit,
        /// What was attempted, on what, and why it failed.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// Mistakes in a configuration, each with its place.
    Config(Box<lictor_config::Failure>),
    /// Everything was said already.
    Said(Exit),
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self::Plain { exit, message: message.into(), help: None }
    }

    #[must_use]
    pub(crate) fn help(self, text: impl Into<String>) -> Self {
        match self {
            Self::Plain { exit, message, .. } => Self::Plain { exit, message, help: Some(text.into()) },
            other @ (Self::Config(_) | Self::Said(_)) => other,
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Plain { exit, .. } | Self::Said(exit) => *exit,
            Self::Config(_) => Exit::Config,
        }
    }

    /// What went wrong, in one line.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Plain { message, .. } => message.clone(),
            Self::Config(failure) => failure.to_string(),
            Self::Said(_) => String::new(),
        }
    }

    pub(crate) fn show(&self, terminal: &Terminal) {
        match self {
            Self::Plain { message, help, .. } => {
                terminal.say(&format!("{} {message}", terminal.bad("error:")));
                if let Some(help) = help {
                    terminal.say(&format!("{} {help}", terminal.strong("help:")));
                }
            }
            Self::Config(failure) => terminal.say(&terminal.diagnostics(failure)),
            Self::Said(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_manual_is_this_one() {
        let manual = include_str!("../../../docs/exit-codes.md");
        for (exit, meaning) in Exit::ALL {
            let row = format!("| {} | {meaning} |", exit as u8);
            assert!(manual.contains(&row), "docs/exit-codes.md lacks `{row}`");
        }
    }
}
