//! Names and numbers that identify things; a value that exists is valid.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// The text is empty.
    Empty,
    /// The text has more than 128 bytes.
    Long,
    /// The first character that is not allowed.
    Character(char),
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name must not be empty"),
            Self::Long => f.write_str("a name has at most 128 bytes"),
            Self::Character(found) => {
                write!(f, "a name has letters, digits, `_`, `-`, `.`, `:`, `@` and `/`, not {found:?}")
            }
        }
    }
}

impl std::error::Error for NameError {}

fn check(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > 128 {
        return Err(NameError::Long);
    }
    let odd = |c: &char| !(c.is_ascii_alphanumeric() || "_-.:@/".contains(*c));
    text.chars().find(odd).map_or(Ok(()), |c| Err(NameError::Character(c)))
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name, if the text is one: 1 to 128 bytes of ASCII letters, digits and `_-.:@/`.
            ///
            /// # Errors
            /// Says what is wrong with the text.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check(text).map(|()| Self(text.into()))
            }

            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    )*};
}

names! {
    /// A check, unique on its node; a watcher has the name of the check it feeds.
    CheckName;
    /// A remedy or a rule (a rule is a remedy of one step).
    RemedyName;
    /// A step, unique in its remedy.
    StepName;
    /// An action of the plan: the agent knows what it does.
    ActionName;
    /// What a remedy works on; at most one run at a time has it.
    Target;
    /// A number or text that a watcher reports beside the status, such as `used_percent`.
    ValueName;
    /// A pattern of a watcher that reports matches.
    PatternName;
    /// What one of several nodes holds at a time: only that one acts.
    LeaseName;
    /// What runs on one of several nodes at a time.
    ServiceName;
    /// What is copied from one datacenter of Consul to others.
    ReplicateName;
    /// The name of what snapshots are taken of, the same on all nodes.
    SnapshotName;
    /// A notifier.
    NotifierName;
    /// A route of alerts.
    RouteName;
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident($prefix:literal);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;
            /// Reads the number with or without its prefix.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.strip_prefix($prefix).unwrap_or(text).parse().map(Self)
            }
        }
    )*};
}

numbers! {
    /// One run of a remedy, counted per node from 1; shown as `r17`.
    RunId("r");
    /// One incident, counted per node from 1; shown as `i5`.
    IncidentId("i");
    /// One message to one notifier, counted from 1; shown as `d9`.
    DeliveryId("d");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_nothing_that_needs_quoting() {
        assert!(CheckName::new("disk.root-1_a@host:9/x").is_ok());
        assert_eq!(CheckName::new(""), Err(NameError::Empty));
        assert_eq!(CheckName::new("a b"), Err(NameError::Character(' ')));
        assert_eq!(CheckName::new("caf\u{e9}"), Err(NameError::Character('\u{e9}')));
        assert_eq!(CheckName::new(&"x".repeat(129)), Err(NameError::Long));
    }

    #[test]
    fn numbers_are_read_as_they_are_shown() {
        assert_eq!("r17".parse::<RunId>(), Ok(RunId(17)));
        assert_eq!("17".parse::<RunId>(), Ok(RunId(17)));
        assert_eq!(RunId(17).to_string(), "r17");
        assert!("i17".parse::<RunId>().is_err());
    }
}
