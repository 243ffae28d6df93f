//! What a change of the keys changed, in words.

use std::collections::BTreeSet;

use lictor_compat::consul_alerts::{PREFIX, Settings};

use super::live::Keys;

/// Keys that are named before it is only said how many more there are.
const LISTED: usize = 5;

/// What the agent says when a reload leaves the configuration as it was.
const UNCHANGED: &str = "nothing changed";

/// What changed, where `difference` is that of the configurations. Not all keys are part of the one
/// that is made of them: where they leave it as it was, they are named themselves.
pub(super) fn in_words(before: &Keys, after: &Keys, difference: String) -> String {
    let (old, new) = (settings(before), settings(after));
    let mut parts = Vec::new();
    if old.checks_enabled != new.checks_enabled {
        let again = "checks are looked at again";
        let what = if new.checks_enabled { again } else { "no check is looked at any more" };
        parts.push(format!("{what} (checks/enabled)"));
    }
    if old.events_enabled != new.events_enabled {
        let again = "events are handled again";
        let what = if new.events_enabled { again } else { "no event is handled any more" };
        parts.push(format!("{what} (events/enabled)"));
    }
    if difference != UNCHANGED {
        parts.insert(0, difference);
    } else if parts.is_empty() {
        parts = named(before, after);
    }
    if parts.is_empty() { UNCHANGED.to_owned() } else { parts.join(", ") }
}

fn settings(keys: &Keys) -> Settings {
    Settings::read(PREFIX, keys.iter().map(|(key, value)| (key.as_str(), &**value)))
}

/// The keys that are others.
fn named(before: &Keys, after: &Keys) -> Vec<String> {
    let all: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let others: Vec<_> = all.into_iter().filter(|key| before.get(*key) != after.get(*key)).collect();
    let name = |key: &&String| key.strip_prefix(PREFIX).unwrap_or(key).to_owned();
    let mut parts: Vec<_> = others.iter().take(LISTED).map(name).collect();
    if others.len() > LISTED {
        parts.push(format!("{} more keys", others.len() - LISTED));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pairs: &[(&str, &str)]) -> Keys {
        let pair = |(key, value): &(&str, &str)| (format!("{PREFIX}config/{key}"), value.as_bytes().to_vec());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_change_is_told_as_what_it_is() {
        let said = |before: &[(&str, &str)], after: &[(&str, &str)], difference: &str| {
            in_words(&keys(before), &keys(after), difference.to_owned())
        };
        let off = [("checks/enabled", "false")];
        assert_eq!(said(&[], &off, UNCHANGED), "no check is looked at any more (checks/enabled)");
        assert_eq!(said(&off, &[], UNCHANGED), "checks are looked at again (checks/enabled)");
        assert_eq!(
            said(&off, &[("events/enabled", "0")], "1 route changed"),
            "1 route changed, checks are looked at again (checks/enabled), no event is handled any more \
             (events/enabled)"
        );
        let handlers = [("events/handlers", "[]"), ("checks/enabled", "true")];
        assert_eq!(said(&[], &handlers, UNCHANGED), "config/checks/enabled, config/events/handlers");
        assert_eq!(said(&handlers, &handlers, UNCHANGED), UNCHANGED);
        let many: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"].map(|key| (key, "")).to_vec();
        assert_eq!(
            said(&[], &many, UNCHANGED),
            "config/a, config/b, config/c, config/d, config/e, 2 more keys"
        );
    }
}
