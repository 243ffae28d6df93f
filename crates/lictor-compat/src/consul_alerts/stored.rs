//! The records of the old program as they lie in Consul together.

use std::collections::BTreeMap;

use super::message::Message;
use super::state::{CHECKS, CheckState, REMINDERS, check_key, reminder_key, reminder_of};

/// What was found, by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// The states of checks.
    pub states: BTreeMap<String, CheckState>,
    /// The reminders.
    pub reminders: BTreeMap<String, Message>,
    /// What is no record, and why.
    pub unusable: BTreeMap<String, String>,
}

impl Stored {
    /// Reads what lies below `prefix` (see [`PREFIX`](super::PREFIX)); the settings, the lock and
    /// all that is neither a state nor a reminder are not looked at.
    pub fn read<'a>(prefix: &str, pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut stored = Self::default();
        for (key, value) in pairs {
            let Some(rest) = key.strip_prefix(prefix) else { continue };
            let taken = if rest.starts_with(CHECKS) {
                stored.state(prefix, key, value)
            } else if rest.starts_with(REMINDERS) {
                stored.reminder(prefix, key, value)
            } else {
                continue;
            };
            if let Err(why) = taken {
                stored.unusable.insert(key.to_owned(), why);
            }
        }
        stored
    }

    /// The reminder of a check.
    pub fn reminder_of(&self, prefix: &str, state: &CheckState) -> Option<&Message> {
        let check = &state.health_check;
        self.reminders.get(&reminder_key(prefix, &check.node, &check.check_id))
    }

    fn state(&mut self, prefix: &str, key: &str, value: &[u8]) -> Result<(), String> {
        not_a_folder(key)?;
        let state = CheckState::from_json(value).map_err(|why| why.to_string())?;
        if check_key(prefix, &state.health_check.as_ref()) != key {
            return Err("the stored record is of another check than its key".to_owned());
        }
        self.states.insert(key.to_owned(), state);
        Ok(())
    }

    fn reminder(&mut self, prefix: &str, key: &str, value: &[u8]) -> Result<(), String> {
        not_a_folder(key)?;
        let message = Message::from_json(value).map_err(|why| why.to_string())?;
        if reminder_of(prefix, key) != Some((&message.node, &message.check_id)) {
            return Err("the stored record is of another check than its key".to_owned());
        }
        self.reminders.insert(key.to_owned(), message);
        Ok(())
    }
}

/// Consul's page makes keys for folders.
fn not_a_folder(key: &str) -> Result<(), String> {
    if key.ends_with('/') { Err("it is a folder".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "consul-alerts/";

    fn read(pairs: &[(&str, &str)]) -> Stored {
        let keys: Vec<_> = pairs.iter().map(|(key, value)| (format!("{PREFIX}{key}"), *value)).collect();
        Stored::read(PREFIX, keys.iter().map(|(key, value)| (key.as_str(), value.as_bytes())))
    }

    #[test]
    fn states_and_reminders_are_found_by_their_keys() {
        let stored = read(&[
            ("checks/n1/_/mem", r#"{"Current":"critical","HealthCheck":{"Node":"n1","CheckID":"mem"}}"#),
            (
                "checks/n1/web1/a/b",
                r#"{"Current":"passing","HealthCheck":{"Node":"n1","CheckID":"a/b","ServiceID":"web1"}}"#,
            ),
            ("reminders/n1/a/b", r#"{"Node":"n1","CheckId":"a/b","ServiceId":"web1","Status":"warning"}"#),
            ("config/checks/enabled", "true"),
            ("leader", ""),
        ]);
        assert!(stored.unusable.is_empty(), "{:?}", stored.unusable);
        let current: Vec<_> = stored.states.values().map(|state| state.current.as_str()).collect();
        assert_eq!(current, ["critical", "passing"]);
        let reminders: Vec<_> =
            stored.states.values().map(|state| stored.reminder_of(PREFIX, state).is_some()).collect();
        assert_eq!(reminders, [false, true]);
    }

    #[test]
    fn what_is_no_record_is_named_with_its_reason() {
        let stored = read(&[
            ("checks/", ""),
            ("reminders//", r#"{"Node":""}"#),
            ("checks/n1/_/mem", "{"),
            ("checks/n1/_/cpu", r#"{"HealthCheck":{"Node":"n2","CheckID":"cpu"}}"#),
            ("reminders/n1/mem", r#"{"Node":"n1","CheckId":"cpu"}"#),
        ]);
        assert!(stored.states.is_empty() && stored.reminders.is_empty());
        let said: Vec<_> = stored.unusable.iter().map(|(key, why)| format!("{key}: {why}")).collect();
        let expected = [
            "consul-alerts/checks/: it is a folder",
            "consul-alerts/checks/n1/_/cpu: the stored record is of another check than its key",
            "consul-alerts/checks/n1/_/mem: the stored record is damaged: EOF while parsing an object at line 1 column 1",
            "consul-alerts/reminders//: it is a folder",
            "consul-alerts/reminders/n1/mem: the stored record is of another check than its key",
        ];
        assert_eq!(said, expected);
    }
}
