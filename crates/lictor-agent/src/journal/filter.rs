//! Which records a watcher wants.
//!
//! A unit is known by what journald itself notes of a sender (`_SYSTEMD_UNIT`), and by what the service
//! manager and journald say of the unit: nothing that another unit writes can pass for it.
//! `journalctl --unit` also takes what any process of root claims to say of the unit; that is
//! left out here.

use std::collections::BTreeSet;
use std::fs;

use lictor_config::Journal;

use super::own::Own;
use super::record::Record;

/// Words of journalctl for severities, worst first.
const PRIORITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// What only journald itself sends: it says so when it drops what a unit writes.
const JOURNALD: &str = "driver";

/// Where the manager of a user's units runs.
const MANAGER: &str = "init.scope";

/// Which records a `watch "journal"` wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Fields and their values. Of the groups one must hold, of a group everything; it has no field twice.
    groups: Vec<Vec<(String, String)>>,
    /// Of these one; empty: any or none.
    identifiers: Vec<String>,
    /// This severe or worse.
    priority: Option<u8>,
    /// Whose records are left out.
    own: Option<Own>,
}

impl Filter {
    /// What is configured.
    ///
    /// # Errors
    /// When there is no such user on this machine, whose number is then not known.
    pub fn new(journal: &Journal) -> Result<Self, String> {
        let uid = journal.user.as_deref().map(uid).transpose()?;
        Ok(Self::of(journal, uid, Own::new()))
    }

    /// The same with the number of the configured user.
    pub(crate) fn of(journal: &Journal, uid: Option<u32>, own: Own) -> Self {
        let Journal { units, identifiers, priority, fields, kernel, .. } = journal;
        let mut groups = match uid {
            _ if units.is_empty() => vec![Vec::new()],
            None => units.iter().flat_map(|unit| of_unit(unit)).collect(),
            Some(uid) => units.iter().flat_map(|unit| of_user_unit(unit, uid)).collect::<Vec<_>>(),
        };
        let user = uid.filter(|_| units.is_empty()).map(|uid| pair("_UID", &uid.to_string()));
        // `--dmesg` would be of this boot only.
        let kernel = kernel.then(|| pair("_TRANSPORT", "kernel"));
        let more: Vec<_> = fields.iter().cloned().chain(user).chain(kernel).collect();
        groups.retain_mut(|group| more.iter().all(|(name, value)| add(group, name, value)));
        let ours = own.unit.as_ref().is_some_and(|own| units.contains(own));
        // Another unit's records are not ours, and we are not the kernel.
        let own =
            (more.iter().all(|(name, _)| name != "_TRANSPORT") && (ours || units.is_empty())).then(|| {
                // Whoever wants this unit gets what others write in it.
                let unit = own.unit.filter(|_| !ours);
                Own { unit, ..own }
            });
        let priority = priority.and_then(|word| PRIORITIES.iter().position(|other| *other == word));
        let priority = priority.and_then(|number| u8::try_from(number).ok());
        Self { groups, identifiers: identifiers.clone(), priority, own }
    }

    /// The fields that it looks at, which the record's decoder must keep.
    pub fn names(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> =
            self.groups.iter().flatten().map(|(name, _)| name.clone()).collect();
        let more = [
            ("SYSLOG_IDENTIFIER", !self.identifiers.is_empty()),
            ("PRIORITY", self.priority.is_some()),
            ("_SYSTEMD_UNIT", self.own.is_some()),
        ];
        names.extend(more.into_iter().filter(|(_, looks)| *looks).map(|(name, _)| name.to_owned()));
        names
    }

    /// Whether the watcher wants this record: it is what journalctl would give it, and not our own.
    pub fn accepts(&self, record: &Record) -> bool {
        let has = |name: &str, value: &str| record.fields(name).any(|other| other == value.as_bytes());
        self.groups.iter().any(|group| group.iter().all(|(name, value)| has(name, value)))
            && (self.identifiers.is_empty()
                || self.identifiers.iter().any(|one| has("SYSLOG_IDENTIFIER", one)))
            && self.priority.is_none_or(|most| record.priority().is_some_and(|priority| priority <= most))
            && !self.own.as_ref().is_some_and(|own| own.wrote(record))
    }

    pub(crate) fn groups(&self) -> &[Vec<(String, String)>] {
        &self.groups
    }

    /// One of these must have sent it; with none, whoever did.
    pub(crate) fn identifiers(&self) -> &[String] {
        &self.identifiers
    }

    /// This severe it must be, or worse.
    pub(crate) fn priority(&self) -> Option<u8> {
        self.priority
    }

    /// Whose records are left out, if it cannot be said otherwise that there are none.
    pub(crate) fn own(&self) -> Option<&Own> {
        self.own.as_ref()
    }
}

/// The number of a user.
///
/// # Errors
/// When it is not known on this machine.
pub fn uid(user: &str) -> Result<u32, String> {
    if let Ok(number) = user.parse() {
        return Ok(number);
    }
    let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = known.lines().find_map(|line| {
        let mut parts = line.split(':');
        (parts.next() == Some(user)).then(|| parts.nth(1)?.parse().ok()).flatten()
    });
    number.ok_or_else(|| format!("there is no user `{user}` in /etc/passwd; write the user's number"))
}

fn of_unit(unit: &str) -> Vec<Vec<(String, String)>> {
    let mut groups = vec![
        vec![pair("_SYSTEMD_UNIT", unit)],
        vec![pair("UNIT", unit), pair("_PID", "1")],
        vec![pair("OBJECT_SYSTEMD_UNIT", unit), pair("_TRANSPORT", JOURNALD)],
    ];
    groups.extend(unit.ends_with(".slice").then(|| vec![pair("_SYSTEMD_SLICE", unit)]));
    groups
}

fn of_user_unit(unit: &str, uid: u32) -> Vec<Vec<(String, String)>> {
    let user = pair("_UID", &uid.to_string());
    vec![
        vec![pair("_SYSTEMD_USER_UNIT", unit), user.clone()],
        vec![pair("USER_UNIT", unit), pair("_SYSTEMD_USER_UNIT", MANAGER), user],
        vec![
            pair("OBJECT_SYSTEMD_USER_UNIT", unit),
            pair("OBJECT_UID", &uid.to_string()),
            pair("_TRANSPORT", JOURNALD),
        ],
    ]
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Restricts a group further; whether it can hold then. To journalctl two values of one field are a choice.
fn add(group: &mut Vec<(String, String)>, name: &str, value: &str) -> bool {
    match group.iter().find(|(other, _)| other == name) {
        Some((_, other)) => other == value,
        None => {
            group.push(pair(name, value));
            true
        }
    }
}

#[cfg(test)]
mod tests;
