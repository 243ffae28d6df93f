//! What a reload changes, in words.

use std::collections::BTreeMap;

use lictor_core::CheckName;

use crate::model::Config;

/// Names that are listed before it is only said how many more there are.
const LISTED: usize = 5;

/// The difference between two configurations in one line, such as `1 watcher added
/// (shop), remedy reconnect changed`; `nothing changed` when there is none.
pub fn difference(old: &Config, new: &Config) -> String {
    let mut parts = Vec::new();
    for kind in ["node", "http", "status_page", "consul", "agent", "alerts", "cluster"] {
        match (old.blocks.get(kind), new.blocks.get(kind)) {
            (None, Some(_)) => parts.push(format!("{kind} block added")),
            (Some(_), None) => parts.push(format!("{kind} block removed")),
            (Some(before), Some(after)) if before != after => parts.push(format!("{kind} block changed")),
            _ => {}
        }
    }
    for (kind, one, many) in [
        ("watch", "watcher", "watchers"),
        ("check", "check", "checks"),
        ("rule", "rule", "rules"),
        ("remedy", "remedy", "remedies"),
        ("notify", "notifier", "notifiers"),
        ("route", "route", "routes"),
        ("maintenance", "maintenance window", "maintenance windows"),
        ("service", "service", "services"),
        ("replicate", "replication", "replications"),
        ("snapshot", "block of snapshots", "blocks of snapshots"),
    ] {
        let (before, after) = (named(old, kind), named(new, kind));
        let added = after.keys().copied().filter(|name| !before.contains_key(name)).collect();
        let removed = before.keys().copied().filter(|name| !after.contains_key(name)).collect();
        let other = |(name, digest): &(&&str, &&str)| before.get(*name).is_some_and(|old| old != *digest);
        let changed = after.iter().filter(other).map(|(name, _)| *name).collect();
        for (names, what) in [(added, "added"), (removed, "removed"), (changed, "changed")] {
            parts.extend(part(&names, one, many, what));
        }
    }
    let kept = named(old, "route").into_keys().eq(named(new, "route").into_keys());
    if kept && old.blocks.get("routes") != new.blocks.get("routes") {
        parts.push("routes in another order".to_owned());
    }
    if parts.is_empty() { "nothing changed".to_owned() } else { parts.join(", ") }
}

impl Config {
    /// The digest of a watcher's block: another one means that the watcher has to be
    /// started anew.
    pub fn watch_digest(&self, name: &CheckName) -> Option<&str> {
        self.blocks.get(&format!("watch {name}")).map(String::as_str)
    }
}

fn named<'a>(config: &'a Config, kind: &str) -> BTreeMap<&'a str, &'a str> {
    let name = |(key, digest): (&'a String, &'a String)| {
        let name = key.strip_prefix(kind)?.strip_prefix(' ')?;
        Some((name, digest.as_str()))
    };
    config.blocks.iter().filter_map(name).collect()
}

fn part(names: &Vec<&str>, one: &str, many: &str, what: &str) -> Option<String> {
    match names.as_slice() {
        [] => None,
        [name] if what == "changed" => Some(format!("{one} {name} changed")),
        [name] => Some(format!("1 {one} {what} ({name})")),
        names => {
            let listed = names.get(..LISTED.min(names.len())).unwrap_or_default().join(", ");
            let more = names.len().saturating_sub(LISTED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            Some(format!("{} {many} {what} ({listed}{more})", names.len()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parsed;

    fn watch(name: &str, within: &str) -> String {
        format!("watch \"heartbeat\" \"{name}\" {{\n within = \"{within}\"\n}}\n")
    }

    fn changes(old: &str, new: &str) -> String {
        difference(&parsed(old).config, &parsed(new).config)
    }

    #[test]
    fn comments_layout_and_order_are_no_change() {
        let old = watch("a", "1m") + &watch("b", "1m");
        let new = format!("# comment\n\n{}{}", watch("b", "1m").replace(" = ", "  =  "), watch("a", "1m"));
        assert_eq!(changes(&old, &new), "nothing changed");
    }

    #[test]
    fn every_change_is_told() {
        let rule =
            "rule \"r\" {\n on = check.b == \"critical\"\n act \"exec\" {\n command = [\"x\"]\n }\n}\n";
        let old = watch("a", "1m") + &watch("b", "1m") + "http {\n port = 1\n}\n" + rule;
        let new = watch("b", "1m")
            + &watch("c", "1m")
            + "agent {}\nhttp {\n port = 2\n}\n"
            + &rule.replace("\"x\"", "\"y\"");
        assert_eq!(
            changes(&old, &new),
            "http block changed, agent block added, 1 watcher added (c), 1 watcher removed (a), rule r changed"
        );
    }

    #[test]
    fn long_lists_are_cut() {
        let all: String = (0..8).map(|n| watch(&format!("w{n}"), "1m")).collect();
        assert_eq!(changes("", &all), "8 watchers added (w0, w1, w2, w3, w4 and 3 more)");
        assert_eq!(
            changes(&all, &all.replace("1m", "2m")),
            "8 watchers changed (w0, w1, w2, w3, w4 and 3 more)"
        );
    }

    #[test]
    fn a_replication_is_told_by_its_name() {
        let one = "consul {}\nreplicate \"r\" {\n prefixes = [\"a@dc1\"]\n}\n";
        assert_eq!(changes("consul {}", one), "1 replication added (r)");
        assert_eq!(changes(one, &one.replace("a@", "b@")), "replication r changed");
    }

    #[test]
    fn a_watcher_has_a_digest_of_its_own() {
        let config = parsed(&watch("a", "1m")).config;
        let name = CheckName::new("a").unwrap();
        assert_eq!(config.watch_digest(&name).map(str::len), Some(64));
        assert_eq!(config.watch_digest(&CheckName::new("b").unwrap()), None);
    }
}
