//! Where a service is on this machine: its units and its files.

use std::fmt;
use std::path::{Path, PathBuf};

/// The longest name: that of its socket must fit into an address.
const LONGEST: usize = 64;

/// What is of this boot only. Only root writes there.
const RUN: &str = "/run/lictor";

/// Where a service is on this machine. All of it follows from the service's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(String);

/// A name from which no names of units and files can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// It is empty or too long.
    #[error("the name of a service has 1 to {LONGEST} bytes")]
    Length,
    /// It would be taken for an option or a hidden file.
    #[error("the name of a service begins with a letter or a digit")]
    Start,
    /// It would mean something else in a path or a unit.
    #[error("the name of a service has letters, digits, `_`, `-` and `.`, not {0:?}")]
    Letter(char),
}

impl Place {
    /// The place of the service with this name.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn new(name: &str) -> Result<Self, PlaceError> {
        let odd = |c: &char| !(c.is_ascii_alphanumeric() || "_-.".contains(*c));
        if let Some(odd) = name.chars().find(odd) {
            return Err(PlaceError::Letter(odd));
        }
        if name.is_empty() || name.len() > LONGEST {
            return Err(PlaceError::Length);
        }
        match name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            true => Ok(Self(name.to_owned())),
            false => Err(PlaceError::Start),
        }
    }

    /// The service's name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The unit of its guard.
    pub fn guard_unit(&self) -> String {
        format!("lictor-guard@{}.service", self.0)
    }

    /// The slice in which all of its processes are, and nothing else.
    pub fn slice(&self) -> String {
        // A dash in the name of a slice begins a slice within: ours is written as systemd-escape(1) does it.
        format!("lictor-{}.slice", self.0.replace('-', r"\x2d"))
    }

    /// The control group of that slice, from that of all units on.
    pub(crate) fn group(&self) -> PathBuf {
        Path::new("lictor.slice").join(self.slice())
    }

    /// The environment of its units: under which token they run.
    pub fn environment(&self) -> PathBuf {
        Path::new(RUN).join("service").join(format!("{}.env", self.0))
    }

    /// What was begun with its units and is not over.
    pub(crate) fn begun(&self) -> PathBuf {
        Path::new(RUN).join("service").join(format!("{}.begun", self.0))
    }

    /// Where its guard hears.
    pub(crate) fn socket(&self) -> PathBuf {
        Path::new(RUN).join("guard").join(format!("{}.sock", self.0))
    }

    /// Where the agent hears its guard.
    pub(crate) fn agent_socket(&self) -> PathBuf {
        Path::new(RUN).join("guard").join(format!("{}.agent", self.0))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_a_service_has_here_follows_from_its_name() {
        let place = Place::new("web-shop.eu").unwrap();
        assert_eq!(place.guard_unit(), "lictor-guard@web-shop.eu.service");
        assert_eq!(place.slice(), r"lictor-web\x2dshop.eu.slice");
        assert_eq!(place.group(), Path::new(r"lictor.slice/lictor-web\x2dshop.eu.slice"));
        assert_eq!(place.environment(), Path::new("/run/lictor/service/web-shop.eu.env"));
    }

    #[test]
    fn a_name_that_would_mean_something_else_is_refused() {
        for (name, error) in [
            ("", PlaceError::Length),
            ("..", PlaceError::Start),
            ("-x", PlaceError::Start),
            ("a/b", PlaceError::Letter('/')),
            ("a@b", PlaceError::Letter('@')),
            ("a b", PlaceError::Letter(' ')),
            ("a%i", PlaceError::Letter('%')),
        ] {
            assert_eq!(Place::new(name), Err(error), "{name:?}");
        }
        assert_eq!(Place::new(&"x".repeat(65)), Err(PlaceError::Length));
        assert!(Place::new(&"x".repeat(64)).is_ok());
    }
}
