//! The settings in Consul's key-value store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::{Map, Value};

use super::checks::{Blacklist, CheckRef, Expression, LONGEST, Listed, THRESHOLD, Thresholds};
use super::notifiers::{Kind, Notifier, Setting, Shape};
use super::profiles::{Chosen, DEFAULT_PROFILE, Profile, Receiver, Selection, Told, receivers};
use super::remark::{Remark, bool_of, int_of};
use crate::gojson::member;

/// What all keys of the old program begin with.
pub const PREFIX: &str = "consul-alerts/";

/// The part below the prefix that holds the settings.
pub const CONFIG: &str = "config/";

/// Longest name of a profile, a notifier or an entity that is kept.
const NAME_LIMIT: usize = 512;

/// The longest time from one reminder to the next, minutes: ten years.
const LONGEST_INTERVAL: u32 = 5_256_000;

/// All settings. They depend on the keys that exist now and on nothing else: what a deleted
/// key said is its default again.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Whether checks are looked at.
    pub checks_enabled: bool,
    /// How long a change must last.
    pub thresholds: Thresholds,
    /// What is not looked at.
    pub blacklist: Blacklist,
    /// Whether handlers of events are called.
    pub events_enabled: bool,
    /// Programs that are called for each event.
    pub handlers: Vec<String>,
    /// The profiles.
    pub profiles: BTreeMap<String, Profile>,
    /// Which of them counts.
    pub selection: Selection,
    /// Every notifier, also those that are off.
    pub notifiers: BTreeMap<Kind, Notifier>,
    /// Programs that tell, by name.
    pub customs: BTreeMap<String, String>,
    /// What cannot be used.
    pub remarks: Vec<Remark>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            checks_enabled: true,
            thresholds: Thresholds::default(),
            blacklist: Blacklist::default(),
            events_enabled: true,
            handlers: Vec::new(),
            profiles: BTreeMap::new(),
            selection: Selection::default(),
            notifiers: Kind::ALL.into_iter().map(|kind| (kind, Notifier::new(kind))).collect(),
            customs: BTreeMap::new(),
            remarks: Vec::new(),
        }
    }
}

impl Settings {
    /// Reads all keys that begin with `prefix` (see [`PREFIX`]); others, and what lies below
    /// the prefix beside the settings, are not looked at.
    pub fn read<'a>(prefix: &str, pairs: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut settings = Self::default();
        let mut keys: BTreeMap<&str, &[u8]> = BTreeMap::new();
        for (key, value) in pairs {
            if let Some(rest) = key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix(CONFIG)) {
                keys.insert(rest, value);
            }
        }
        for (rest, value) in keys {
            // Consul's page makes such keys for folders.
            if rest.is_empty() || rest.ends_with('/') {
                continue;
            }
            let key = format!("{prefix}{CONFIG}{rest}");
            let text = String::from_utf8_lossy(value);
            if matches!(text, std::borrow::Cow::Owned(_)) && !rest.starts_with("checks/blacklist/") {
                settings.remarks.push(Remark::new(&key, "is not UTF-8", "it is left out"));
                continue;
            }
            Entry { settings: &mut settings, key: &key, text: text.trim() }.read(rest);
        }
        settings.look_over(prefix);
        settings
    }

    /// A notifier, as it is without a profile.
    pub fn notifier(&self, kind: Kind) -> Option<&Notifier> {
        self.notifiers.get(&kind)
    }

    /// Who is told of a check in this status.
    pub fn told(&self, check: &CheckRef<'_>) -> Told<'_> {
        let name = self.selection.of(check);
        let found = self.profiles.get_key_value(name);
        Told {
            profile: found.map_or("", |(name, _)| name),
            interval: found.map_or(0, |(_, profile)| profile.interval),
            to: self.receivers(found.map(|(_, profile)| profile)),
        }
    }

    /// Who tells for a profile; without one, everybody.
    pub fn receivers(&self, profile: Option<&Profile>) -> Vec<Receiver> {
        receivers(profile, &self.notifiers, &self.customs)
    }

    /// Finds what only shows when all is read.
    fn look_over(&mut self, prefix: &str) {
        let mut remarks = Vec::new();
        let mut seen = BTreeSet::new();
        for (entity, name) in self.selection.names() {
            if !self.profiles.contains_key(name) && name != DEFAULT_PROFILE && seen.insert((entity, name)) {
                let key = format!("{prefix}{CONFIG}notif-selection/{entity}");
                let why = format!("selects the profile `{name}`, which does not exist");
                remarks.push(Remark::new(&key, &why, "everybody is told, without reminders"));
            }
        }
        for (name, profile) in &self.profiles {
            let key = format!("{prefix}{CONFIG}notif-profiles/{name}");
            for receiver in profile.list.keys() {
                if Kind::named(receiver).is_none() && !self.customs.contains_key(receiver) {
                    let why = format!("lists `{receiver}`, which is no notifier");
                    remarks.push(Remark::new(&key, &why, "it tells nobody"));
                }
            }
            if profile.list.is_empty() && !profile.overrides.is_empty() {
                let why = "has VarOverrides without a NotifList";
                remarks.push(Remark::new(&key, why, "they do not count, as before"));
            }
        }
        for (kind, why) in [
            (Kind::Hipchat, "is a service that no longer exists"),
            (Kind::Influxdb, "was written for InfluxDB 0.8, which no longer exists"),
        ] {
            if self.notifiers.get(&kind).is_some_and(|notifier| notifier.enabled) {
                let key = format!("{prefix}{CONFIG}notifiers/{}/enabled", kind.name());
                remarks.push(Remark::new(&key, why, "nothing is sent there"));
            }
        }
        self.remarks.extend(remarks);
    }
}

/// A key that is being read.
struct Entry<'a> {
    settings: &'a mut Settings,
    key: &'a str,
    text: &'a str,
}

impl Entry<'_> {
    fn read(mut self, rest: &str) {
        let parts: Vec<&str> = rest.split('/').collect();
        match parts.as_slice() {
            ["checks", "enabled"] => self.flag(|settings| &mut settings.checks_enabled, true),
            ["events", "enabled"] => self.flag(|settings| &mut settings.events_enabled, true),
            ["events", "handlers"] => {
                if let Some(handlers) = self.list("no handler is called") {
                    self.settings.handlers = handlers;
                }
            }
            ["checks", "change-threshold"] => self.global_threshold(),
            ["checks", "single" | "check" | "service" | "node", .., "change-threshold"] => {
                self.threshold(rest);
            }
            ["checks", "blacklist", "single", _, _, _, ..] => {
                let path = rest.strip_prefix("checks/blacklist/single/").unwrap_or_default();
                self.settings.blacklist.single.insert(path.to_owned());
            }
            ["checks", "blacklist", entity] => self.blacklist(entity),
            ["checks", "blacklist", entity, ..] => {
                let name = rest.strip_prefix("checks/blacklist/").and_then(|rest| rest.split_once('/'));
                match (self.listed(entity), name) {
                    (Some(listed), Some((_, name))) => {
                        listed.exact.insert(name.to_owned());
                    }
                    _ => self.unknown(),
                }
            }
            ["notif-profiles", ..] => {
                let name = rest.strip_prefix("notif-profiles/").unwrap_or_default();
                self.profile(name);
            }
            ["notif-selection", entity] => self.selection(entity),
            ["notif-selection", entity, ..] => {
                let name = rest.strip_prefix("notif-selection/").and_then(|rest| rest.split_once('/'));
                let profile = self.text.to_owned();
                match (self.chosen(entity), name) {
                    (Some(chosen), Some((_, name))) => {
                        chosen.exact.insert(name.to_owned(), profile);
                    }
                    _ => self.unknown(),
                }
            }
            ["notifiers", "custom", ..] => {
                let name = rest.strip_prefix("notifiers/custom/").unwrap_or_default();
                if self.text.is_empty() {
                    self.remark("names no program", "it tells nobody");
                } else {
                    self.settings.customs.insert(name.to_owned(), self.text.to_owned());
                }
            }
            ["notifiers", kind, field] => match Kind::named(kind) {
                Some(kind) => self.notifier(kind, field),
                None => self.unknown(),
            },
            _ => self.unknown(),
        }
    }

    fn remark(&mut self, why: &str, instead: &str) {
        self.settings.remarks.push(Remark::new(self.key, why, instead));
    }

    fn unknown(&mut self) {
        self.remark("is no setting of consul-alerts", "it is left out");
    }

    fn flag(&mut self, place: fn(&mut Settings) -> &mut bool, default: bool) {
        match bool_of(self.text) {
            Some(yes) => *place(self.settings) = yes,
            None => self.remark("is neither true nor false", &format!("it is {default}")),
        }
    }

    fn list(&mut self, instead: &str) -> Option<Vec<String>> {
        let list = serde_json::from_str(self.text).ok();
        if list.is_none() {
            self.remark("is no JSON array of texts", instead);
        }
        list
    }

    /// A number of seconds, at most as many as are possible.
    fn seconds(&mut self) -> Option<i64> {
        let seconds = int_of(self.text)?;
        if seconds > LONGEST {
            self.remark("is more than ten years", &format!("it is {LONGEST}"));
        }
        Some(seconds.min(LONGEST))
    }

    fn global_threshold(&mut self) {
        match self.seconds().map(u64::try_from) {
            Some(Ok(seconds)) => self.settings.thresholds.global = Duration::from_secs(seconds),
            Some(Err(_)) | None => {
                let instead = format!("it is {}", THRESHOLD.as_secs());
                self.remark("is no number of seconds", &instead);
            }
        }
    }

    fn threshold(&mut self, rest: &str) {
        let inner = rest.strip_prefix("checks/").and_then(|rest| rest.strip_suffix("/change-threshold"));
        let Some((level, name)) = inner.and_then(|inner| inner.split_once('/')) else {
            return self.unknown();
        };
        let Some(seconds) = self.seconds() else {
            return self.remark("is no number of seconds", "what is less specific counts");
        };
        let thresholds = &mut self.settings.thresholds;
        let level = match level {
            "single" => &mut thresholds.single,
            "check" => &mut thresholds.check,
            "service" => &mut thresholds.service,
            _ => &mut thresholds.node,
        };
        level.insert(name.to_owned(), seconds);
    }

    fn listed(&mut self, entity: &str) -> Option<&mut Listed> {
        let blacklist = &mut self.settings.blacklist;
        match entity {
            "nodes" => Some(&mut blacklist.nodes),
            "services" => Some(&mut blacklist.services),
            "checks" => Some(&mut blacklist.checks),
            "status" => Some(&mut blacklist.status),
            _ => None,
        }
    }

    fn blacklist(&mut self, entity: &str) {
        if self.listed(entity).is_none() {
            return self.unknown();
        }
        for pattern in self.list("nothing is left out by it").unwrap_or_default() {
            match Expression::new(&pattern) {
                Ok(expression) => {
                    if let Some(listed) = self.listed(entity) {
                        listed.patterns.push(expression);
                    }
                }
                Err(why) => {
                    self.remark(
                        &format!("has `{pattern}`, which is no regular expression: {why}"),
                        "it fits nothing",
                    );
                }
            }
        }
    }

    fn chosen(&mut self, entity: &str) -> Option<&mut Chosen> {
        let selection = &mut self.settings.selection;
        match entity {
            "services" => Some(&mut selection.services),
            "checks" => Some(&mut selection.checks),
            "hosts" => Some(&mut selection.hosts),
            "status" => Some(&mut selection.status),
            _ => None,
        }
    }

    fn selection(&mut self, entity: &str) {
        if self.chosen(entity).is_none() {
            return self.unknown();
        }
        let Ok(Ordered(pairs)) = serde_json::from_str(self.text) else {
            return self.remark("is no JSON object of texts", "it selects nothing");
        };
        for (pattern, profile) in pairs {
            match Expression::new(&pattern) {
                Ok(expression) => {
                    if let Some(chosen) = self.chosen(entity) {
                        chosen.patterns.push((expression, profile.trim().to_owned()));
                    }
                }
                Err(why) => {
                    self.remark(
                        &format!("has `{pattern}`, which is no regular expression: {why}"),
                        "it fits nothing",
                    );
                }
            }
        }
    }

    fn notifier(&mut self, kind: Kind, name: &str) {
        let fallback = Notifier::new(kind);
        let field = kind.fields().iter().find(|field| field.key == name);
        let value = match (name, field) {
            ("enabled", _) => match bool_of(self.text) {
                Some(enabled) => {
                    if let Some(notifier) = self.settings.notifiers.get_mut(&kind) {
                        notifier.enabled = enabled;
                    }
                    return;
                }
                None => {
                    let instead = format!("it is {}", fallback.enabled);
                    return self.remark("is neither true nor false", &instead);
                }
            },
            (_, None) => return self.unknown(),
            (_, Some(field)) => match field.shape {
                Shape::Text(_) => Ok(Setting::Text(self.text.to_owned())),
                Shape::Number(default) => int_of(self.text)
                    .map(Setting::Number)
                    .ok_or(("is no whole number", format!("it is {default}"))),
                Shape::Flag => bool_of(self.text)
                    .map(Setting::Flag)
                    .ok_or(("is neither true nor false", "it is false".to_owned())),
                Shape::List => serde_json::from_str(self.text)
                    .map(Setting::List)
                    .map_err(|_error| ("is no JSON array of texts", "it is empty".to_owned())),
                Shape::Map => serde_json::from_str(self.text)
                    .map(Setting::Map)
                    .map_err(|_error| ("is no JSON object of texts", "it is empty".to_owned())),
            },
        };
        match (value, field, self.settings.notifiers.get_mut(&kind)) {
            (Ok(value), Some(field), Some(notifier)) => notifier.set(field.key, value),
            (Err((why, instead)), ..) => self.remark(why, &instead),
            (Ok(_), ..) => {}
        }
    }

    fn profile(&mut self, name: &str) {
        if name.len() > NAME_LIMIT {
            return self.remark("has too long a name", "it is left out");
        }
        let object: Map<String, Value> = match serde_json::from_str(self.text) {
            Ok(object) => object,
            Err(_) => return self.remark("is no JSON object", "everybody is told, without reminders"),
        };
        let mut profile = Profile::default();
        match member(&object, "Interval") {
            None | Some(Value::Null) => {}
            Some(value) => match value.as_i64().map(|minutes| u32::try_from(minutes.max(0))) {
                Some(Ok(minutes)) if minutes <= LONGEST_INTERVAL => profile.interval = minutes,
                Some(_) => {
                    profile.interval = LONGEST_INTERVAL;
                    let instead = format!("it is {LONGEST_INTERVAL}");
                    self.remark("has an Interval of more than ten years", &instead);
                }
                None => self
                    .remark("has an Interval that is no whole number of minutes", "there are no reminders"),
            },
        }
        match member(&object, "NotifList") {
            None | Some(Value::Null) => {}
            Some(Value::Object(list)) => {
                for (receiver, value) in list {
                    let on = value.as_bool().or_else(|| value.as_str().and_then(bool_of));
                    if on.is_none() {
                        let why = format!("says neither true nor false of `{receiver}` in its NotifList");
                        self.remark(&why, "it is false");
                    }
                    profile.list.insert(receiver.clone(), on.unwrap_or(false));
                }
            }
            Some(_) => self.remark("has a NotifList that is no object", "everybody is told"),
        }
        match member(&object, "VarOverrides") {
            None | Some(Value::Null) => {}
            Some(Value::Object(overrides)) => self.overrides(overrides, &mut profile),
            Some(_) => self.remark("has VarOverrides that are no object", "they are left out"),
        }
        for other in object.keys() {
            if !["Interval", "NotifList", "VarOverrides"]
                .iter()
                .any(|known| other.eq_ignore_ascii_case(known))
            {
                self.remark(&format!("has `{other}`, which means nothing"), "it is left out");
            }
        }
        self.settings.profiles.insert(name.to_owned(), profile);
    }

    fn overrides(&mut self, overrides: &Map<String, Value>, profile: &mut Profile) {
        for (name, value) in overrides {
            let kind = Kind::ALL.into_iter().find(|kind| name.eq_ignore_ascii_case(kind.name()));
            let (Some(kind), Value::Object(fields)) = (kind, value) else {
                if !value.is_null() && !name.eq_ignore_ascii_case("custom") {
                    self.remark(
                        &format!("has VarOverrides for `{name}` that mean nothing"),
                        "they are left out",
                    );
                }
                continue;
            };
            profile.written.set(kind.name(), fields.clone());
            let mut found = BTreeMap::new();
            for (json, value) in fields {
                let field = kind
                    .fields()
                    .iter()
                    .find(|field| !field.json.is_empty() && json.eq_ignore_ascii_case(field.json));
                let setting = field
                    .and_then(|field| setting_of(field.shape, value).map(|setting| (field.key, setting)));
                match setting {
                    Some((key, setting)) => {
                        found.insert(key, setting);
                    }
                    None if value.is_null() => {}
                    None => {
                        let why = format!("has VarOverrides for `{name}` in which `{json}` means nothing");
                        self.remark(&why, "it is left out");
                    }
                }
            }
            if !found.is_empty() {
                profile.overrides.insert(kind, found);
            }
        }
    }
}

fn setting_of(shape: Shape, value: &Value) -> Option<Setting> {
    match shape {
        Shape::Text(_) => value.as_str().map(|text| Setting::Text(text.to_owned())),
        Shape::Number(_) => value.as_i64().map(Setting::Number),
        Shape::Flag => value.as_bool().map(Setting::Flag),
        Shape::List => serde_json::from_value(value.clone()).ok().map(Setting::List),
        Shape::Map => serde_json::from_value(value.clone()).ok().map(Setting::Map),
    }
}

/// A JSON object of texts in the order in which it is written.
struct Ordered(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Ordered;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Ordered, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Ordered(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
#[path = "kv_tests.rs"]
mod tests;
