//! Who is told, and how often.

use std::collections::BTreeMap;

use serde_json::Value;

use super::checks::{CheckRef, Expression};
use super::message::VarOverrides;
use super::notifiers::{Kind, Notifier, Overrides};

/// The profile that counts when nothing else is selected.
pub const DEFAULT_PROFILE: &str = "default";

/// A profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Minutes from one reminder to the next; 0 is none.
    pub interval: u32,
    /// Who is told. Without an entry everybody is; with one, those who are `true`.
    pub list: BTreeMap<String, bool>,
    pub(crate) overrides: BTreeMap<Kind, Overrides>,
    /// `VarOverrides` as they were written.
    pub(crate) written: VarOverrides,
}

impl Profile {
    /// Its settings of notifiers as they were written, for what is stored and given to programs.
    pub const fn var_overrides(&self) -> &VarOverrides {
        &self.written
    }
}

/// Which profile counts for which check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// By the id of the service.
    pub services: Chosen,
    /// By the id of the check.
    pub checks: Chosen,
    /// By the node.
    pub hosts: Chosen,
    /// By the status.
    pub status: Chosen,
}

/// Profiles by name, and by expressions that are found in names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// By the whole name. What is said here ends the search, also when it is empty.
    pub exact: BTreeMap<String, String>,
    /// In the order in which they were written: the first that fits counts.
    pub patterns: Vec<(Expression, String)>,
}

impl Chosen {
    /// The profile for a name.
    pub fn of(&self, name: &str) -> Option<&str> {
        let found = match self.exact.get(name) {
            Some(profile) => Some(profile),
            None => self.patterns.iter().find(|(pattern, _)| pattern.fits(name)).map(|(_, profile)| profile),
        };
        found.map(String::as_str).filter(|profile| !profile.is_empty())
    }
}

impl Selection {
    /// The name of the profile for a check.
    pub fn of(&self, check: &CheckRef<'_>) -> &str {
        self.services
            .of(check.service_id)
            .or_else(|| self.checks.of(check.check_id))
            .or_else(|| self.hosts.of(check.node))
            .or_else(|| self.status.of(check.status))
            .unwrap_or(DEFAULT_PROFILE)
    }

    /// All profiles that can be selected, each with what selects it.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("services", &self.services),
            ("checks", &self.checks),
            ("hosts", &self.hosts),
            ("status", &self.status),
        ];
        all.into_iter().flat_map(|(entity, chosen)| {
            let exact = chosen.exact.values();
            let patterns = chosen.patterns.iter().map(|(_, profile)| profile);
            exact.chain(patterns).filter(|name| !name.is_empty()).map(move |name| (entity, name.as_str()))
        })
    }
}

/// Somebody who tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Receiver {
    /// A notifier with its settings as they are for this profile.
    BuiltIn(Notifier),
    /// A program that reads messages from its standard input.
    Custom {
        /// Its name in profiles.
        name: String,
        /// The program.
        path: String,
    },
}

impl Receiver {
    /// Its name in profiles.
    pub fn name(&self) -> &str {
        match self {
            Self::BuiltIn(notifier) => notifier.kind.name(),
            Self::Custom { name, .. } => name,
        }
    }
}

/// Who is told of a check, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Told<'a> {
    /// The name of the profile.
    pub profile: &'a str,
    /// Minutes from one reminder to the next; 0 is none.
    pub interval: u32,
    /// Who is told.
    pub to: Vec<Receiver>,
}

/// The receivers of a profile; without a profile, everybody.
pub(crate) fn receivers(
    profile: Option<&Profile>,
    notifiers: &BTreeMap<Kind, Notifier>,
    customs: &BTreeMap<String, String>,
) -> Vec<Receiver> {
    let listed = profile.filter(|profile| !profile.list.is_empty());
    let takes = |name: &str| listed.is_none_or(|profile| profile.list.get(name) == Some(&true));
    let built_in = notifiers.values().filter(|notifier| notifier.enabled && takes(notifier.kind.name()));
    let built_in = built_in.map(|notifier| {
        // Without a list the old program did not look at the overrides.
        let overrides = listed.and_then(|profile| profile.overrides.get(&notifier.kind));
        Receiver::BuiltIn(overrides.map_or_else(|| notifier.clone(), |overrides| notifier.with(overrides)))
    });
    let customs = customs.iter().filter(|(name, _)| takes(name));
    let customs = customs.map(|(name, path)| Receiver::Custom { name: name.clone(), path: path.clone() });
    built_in.chain(customs).collect()
}

/// The object under a name of `VarOverrides`.
pub(crate) type Written = serde_json::Map<String, Value>;
