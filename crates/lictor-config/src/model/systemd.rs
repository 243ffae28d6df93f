//! Units of systemd, and what is done to this machine.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The most bytes the name of a unit has.
const LONGEST: usize = 255;

/// The kinds of units; a name that ends in none of them is that of a service.
const SUFFIXES: [&str; 11] = [
    "service",
    "socket",
    "target",
    "timer",
    "mount",
    "automount",
    "swap",
    "path",
    "slice",
    "scope",
    "device",
];

/// The name of a unit, such as `nginx.service`: one unit, neither a template nor a pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnitName(String);

/// Why a text is not the name of a unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitNameError {
    /// Nothing, or nothing before the suffix.
    #[error("the name of a unit is not empty")]
    Empty,
    /// Too long for systemd.
    #[error("the name of a unit has at most 255 bytes")]
    Long,
    /// A path or a pattern, perhaps.
    #[error("the name of a unit has letters, digits, `:`, `-`, `_`, `.`, `@` and `\\`, not {0:?}")]
    Letter(char),
    /// It would be taken for an option.
    #[error("the name of a unit does not begin with `-`")]
    Dash,
    /// `name@.service`.
    #[error("`{0}` is a template: name one of its instances, as in `getty@tty1.service`")]
    Template(String),
}

impl UnitName {
    /// Takes a name; one without a suffix is that of a service.
    ///
    /// # Errors
    /// When it is not the name of one unit.
    pub fn new(text: &str) -> Result<Self, UnitNameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.@\\".contains(c);
        if let Some(wrong) = text.chars().find(|c| !allowed(*c)) {
            return Err(UnitNameError::Letter(wrong));
        }
        let known = |(_, suffix): &(&str, &str)| SUFFIXES.contains(suffix);
        let name = match text.rsplit_once('.').filter(known) {
            Some(_) => text.to_owned(),
            None if text.is_empty() => return Err(UnitNameError::Empty),
            None => format!("{text}.service"),
        };
        let unit = Self(name);
        match unit.split().0 {
            "" => Err(UnitNameError::Empty),
            _ if unit.0.len() > LONGEST => Err(UnitNameError::Long),
            stem if stem.starts_with('-') => Err(UnitNameError::Dash),
            stem if stem.ends_with('@') => Err(UnitNameError::Template(unit.0)),
            _ => Ok(unit),
        }
    }

    /// With its suffix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its suffix without the dot, such as `service`.
    pub fn kind(&self) -> &str {
        self.split().1
    }

    fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('.').unwrap_or((&self.0, ""))
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which systemd is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SystemdBus {
    /// That of the machine.
    #[default]
    System,
    /// That of a user, by name or number; `None`: the user that the agent runs as.
    User(Option<String>),
    /// The one behind this socket.
    Socket(PathBuf),
}

impl fmt::Display for SystemdBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::User(None) => f.write_str("user"),
            Self::User(Some(user)) => write!(f, "user:{user}"),
            Self::Socket(path) => write!(f, "unix:path={}", path.display()),
        }
    }
}

/// `watch "unit"`: the state of a unit, as systemd tells of each change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The unit.
    pub unit: UnitName,
    /// Which systemd it belongs to.
    pub bus: SystemdBus,
    /// How it should be.
    pub expect: UnitExpect,
}

/// How a unit should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitExpect {
    /// Running, or in force.
    Active,
    /// Stopped.
    Inactive,
    /// Anything but failed: for what a timer starts.
    NotFailed,
}

/// `act "systemd"`: something done to a unit, by a job whose result is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemdAction {
    /// The unit.
    pub unit: UnitName,
    /// Which systemd it belongs to.
    pub bus: SystemdBus,
    /// What is done.
    pub verb: UnitVerb,
    /// Whether the count of failed starts is set back first.
    pub reset_failed: bool,
}

/// What is done to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitVerb {
    /// Start it, if it does not run.
    Start,
    /// Stop it, if it runs.
    Stop,
    /// Stop it and start it.
    Restart,
    /// Have it read its configuration again.
    Reload,
    /// The same, or a restart if it cannot do that.
    ReloadOrRestart,
    /// Restart it if it runs.
    TryRestart,
    /// Forget that it failed.
    ResetFailed,
}

impl UnitVerb {
    /// All of them, as they are written.
    pub const WORDS: &'static [&'static str] =
        &["start", "stop", "restart", "reload", "reload-or-restart", "try-restart", "reset-failed"];

    /// By its word.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "start" => Self::Start,
            "stop" => Self::Stop,
            "restart" => Self::Restart,
            "reload" => Self::Reload,
            "reload-or-restart" => Self::ReloadOrRestart,
            "try-restart" => Self::TryRestart,
            "reset-failed" => Self::ResetFailed,
            _ => return None,
        })
    }

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Reload => "reload",
            Self::ReloadOrRestart => "reload-or-restart",
            Self::TryRestart => "try-restart",
            Self::ResetFailed => "reset-failed",
        }
    }
}

/// `act "signal"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalAction {
    /// Its name without `SIG`.
    pub signal: &'static str,
    /// Its number.
    pub number: i32,
    /// The process.
    pub to: SignalTo,
}

/// The process that gets a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalTo {
    /// The main process of a unit.
    Unit(UnitName, SystemdBus),
    /// The one whose number is in this file.
    PidFile(PathBuf),
    /// The only one of this name (`comm`, at most 15 bytes).
    Name(String),
}

/// `act "swap"`: have a swap file in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwapAction {
    /// The file.
    pub file: PathBuf,
    /// How large it is made when it is missing, bytes; `None`: it is not made.
    pub size: Option<u64>,
}

/// `act "reboot"`: restart this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reboot {
    /// Not within this time of its start.
    pub min_uptime: Duration,
    /// Whether the state outlives a restart where that cannot be seen.
    pub state_is_durable: bool,
}

impl Reboot {
    /// What all that restart this machine work on: they share a cooldown.
    pub const TARGET: &'static str = "this-machine";

    /// At most once in this time.
    pub const ONCE_IN: Duration = Duration::from_secs(24 * 60 * 60);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Result<String, String> {
        UnitName::new(text).map(|unit| unit.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_without_a_suffix_is_that_of_a_service() {
        assert_eq!(name("nginx"), Ok("nginx.service".to_owned()));
        assert_eq!(name("nginx.service"), Ok("nginx.service".to_owned()));
        assert_eq!(name("backup.timer"), Ok("backup.timer".to_owned()));
        assert_eq!(name("org.example.app"), Ok("org.example.app.service".to_owned()));
        assert_eq!(name("getty@tty1"), Ok("getty@tty1.service".to_owned()));
        assert_eq!(name(r"dev-disk\x2dby.swap"), Ok(r"dev-disk\x2dby.swap".to_owned()));
        assert_eq!(UnitName::new("a.b.mount").unwrap().kind(), "mount");
    }

    #[test]
    fn what_is_no_name_of_one_unit_is_refused() {
        for text in ["", ".service", "-a", "--now.service", "a/b", "nginx*", "a b", "x@", "x@.service", "a\n"]
        {
            assert!(name(text).is_err(), "{text:?}");
        }
        assert!(name(&"x".repeat(250)).is_err());
    }

    #[test]
    fn each_verb_has_a_word() {
        for word in UnitVerb::WORDS {
            assert_eq!(UnitVerb::from_word(word).map(UnitVerb::as_str), Some(*word));
        }
    }
}
