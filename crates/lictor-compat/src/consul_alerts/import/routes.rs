//! The blocks `route`.

use super::super::checks::Blacklist;
use super::super::kv::Settings;
use super::super::profiles::{Chosen, DEFAULT_PROFILE, Profile};
use super::Names;
use crate::hcl::{Writer, list, pattern, quoted, selector};

/// Writes the routes in the order in which profiles were selected: by service, by check, by node,
/// and by status.
pub(super) fn blocks(settings: &Settings, names: &Names, out: &mut Writer) {
    let selection = &settings.selection;
    let routes = Routes { settings, names };
    routes.chosen(&selection.services, "service_id", out);
    routes.chosen(&selection.checks, "check_id", out);
    routes.chosen(&selection.hosts, "node", out);
    routes.by_status(out);
}

struct Routes<'a> {
    settings: &'a Settings,
    names: &'a Names,
}

impl Routes<'_> {
    fn chosen(&self, chosen: &Chosen, label: &str, out: &mut Writer) {
        // What has an empty profile is left to what comes after.
        let mut left: Vec<String> = Vec::new();
        for (name, profile) in &chosen.exact {
            if profile.is_empty() {
                left.push(selector(name));
            } else {
                self.one(label, &selector(name), &[], profile, out);
            }
        }
        for (expression, profile) in &chosen.patterns {
            let found = pattern(expression.as_str());
            if profile.is_empty() {
                left.push(found);
            } else {
                self.one(label, &found, &left, profile, out);
            }
        }
    }

    fn one(&self, label: &str, selector: &str, left: &[String], profile: &str, out: &mut Writer) {
        let place = |out: &mut Writer, value: &str| {
            if label == "node" { out.set(label, value) } else { out.labels(&[(label, value.to_owned())]) }
        };
        out.block("route", |out| {
            out.comment(&format!("Profile {profile}."));
            place(out, selector);
            let told = self.told_statuses(&["critical", "warning", "unknown"]);
            if told.len() < 3 {
                out.set("status", &list(&told));
            }
            self.profile(self.settings.profiles.get(profile), !self.hides("passing"), out);
            if !left.is_empty() {
                out.block("not", |out| place(out, &list(left)));
            }
        });
    }

    /// What no service, check or node selects.
    fn by_status(&self, out: &mut Writer) {
        let selected = |status: &str| {
            let name = self.settings.selection.status.of(status);
            name.unwrap_or(DEFAULT_PROFILE).to_owned()
        };
        let over = selected("passing");
        let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
        for status in ["critical", "warning", "unknown"] {
            let profile = selected(status);
            match groups.iter_mut().find(|(found, _)| *found == profile) {
                Some((_, statuses)) => statuses.push(status),
                None => groups.push((profile, vec![status])),
            }
        }
        let last = groups.len() - 1;
        let whole = groups.len() == 1 && self.told_statuses(&["critical", "warning", "unknown"]).len() == 3;
        for (place, (profile, statuses)) in groups.iter().enumerate() {
            let told = self.told_statuses(statuses);
            if told.is_empty() {
                out.comment(&format!("Profile {profile}: all of its statuses are on the blacklist."));
                continue;
            }
            out.block("route", |out| {
                out.comment(&format!("Profile {profile}."));
                if !whole {
                    out.set("status", &list(&told));
                }
                let found = self.settings.profiles.get(profile);
                let hears = self.hears_of_the_end(found, self.settings.profiles.get(&over));
                self.profile(found, hears && !self.hides("passing"), out);
                if place < last {
                    out.set("continue", "true");
                }
            });
        }
    }

    fn profile(&self, profile: Option<&Profile>, resolved: bool, out: &mut Writer) {
        let to = self.settings.receivers(profile);
        let to: Vec<_> =
            to.iter().filter_map(|receiver| self.names.get(receiver)).map(|name| quoted(name)).collect();
        out.set("to", &list(&to));
        let interval = profile.map_or(0, |profile| profile.interval);
        if interval > 0 {
            out.set("remind_every", &quoted(&format!("{interval}m")));
        }
        if !resolved {
            out.set("resolved", "false");
        }
    }

    /// Whether somebody of a profile is among those whom the profile for `passing` tells.
    fn hears_of_the_end(&self, profile: Option<&Profile>, over: Option<&Profile>) -> bool {
        let end = self.settings.receivers(over);
        let all = self.settings.receivers(profile);
        all.is_empty() || all.iter().any(|receiver| end.iter().any(|other| other.name() == receiver.name()))
    }

    fn hides(&self, status: &str) -> bool {
        let Blacklist { status: listed, .. } = &self.settings.blacklist;
        listed.has(status)
    }

    fn told_statuses(&self, statuses: &[&str]) -> Vec<String> {
        statuses.iter().filter(|status| !self.hides(status)).map(|status| quoted(status)).collect()
    }
}
