//! The alerts of an Alertmanager: its webhook of version 4.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use lictor_core::{Boot, Sample, Status};
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::text::one_line;
use crate::watch::look::cut;
use crate::watch::value::{self, Measured as _, float};

/// Alerts that are kept: more of them say nothing new.
const ALERTS: usize = 1_000;

/// Alerts that are named in a summary.
const NAMED: usize = 3;

/// Of a name or fingerprint, bytes that are kept.
const NAME: usize = 128;

/// Of what describes an alert, characters that are shown.
const SHOWN: usize = 200;

/// Of each label and annotation, bytes that stand in a line.
const LABEL: usize = 1_024;

/// Which alerts count, and for what.
pub(super) struct Rules<'a> {
    pub(super) matchers: &'a [(String, Regex)],
    pub(super) severity: &'a str,
    pub(super) warning: &'a [String],
}

/// What fires, by its fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Alerts {
    firing: BTreeMap<String, Alert>,
    /// Alerts that fire but were too many to be kept, in the last call.
    left_out: usize,
    /// What was not told of again for too long, since the last call.
    expired: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Alert {
    name: String,
    critical: bool,
    /// What is said about it.
    about: String,
    /// The group it was told of in.
    group: String,
    /// When it was last told of, milliseconds of the boot axis.
    at: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    version: String,
    #[serde(default)]
    group_key: String,
    #[serde(default)]
    receiver: String,
    #[serde(default)]
    truncated_alerts: u64,
    alerts: Vec<Told>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    status: Word,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    fingerprint: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Firing,
    Resolved,
}

impl Alerts {
    pub(super) fn firing(&self) -> usize {
        self.firing.len() + self.left_out
    }

    /// Takes in a call; gives a line for each alert that began or ceased to fire.
    pub(super) fn take(&mut self, rules: &Rules<'_>, body: &[u8], now: u64) -> Result<Vec<String>, String> {
        let payload: Payload = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if payload.version != "4" {
            let version = one_line(&payload.version, 20);
            return Err(format!("it is of version `{version}`, and only 4 is known"));
        }
        let group = cut(&format!("{}/{}", payload.receiver, payload.group_key), 2 * NAME).to_owned();
        self.expired.clear();
        self.left_out = 0;
        let mut lines = Vec::new();
        let mut listed = std::collections::BTreeSet::new();
        for told in &payload.alerts {
            let id = told.id();
            listed.insert(id.clone());
            if told.status == Word::Resolved {
                // Whatever is matched now: it was counted once.
                if self.firing.remove(&id).is_some() {
                    lines.push(told.line());
                }
                continue;
            }
            if !told.matches(rules.matchers) {
                self.firing.remove(&id);
                continue;
            }
            let alert = told.alert(rules, &group, now);
            if self.firing.len() >= ALERTS && !self.firing.contains_key(&id) {
                self.left_out += 1;
            } else if self.firing.insert(id, alert).is_none() {
                lines.push(told.line());
            }
        }
        // A group is told of whole: what is not in it any more was silenced or taken away.
        if payload.truncated_alerts == 0 {
            self.firing.retain(|id, alert| alert.group != group || listed.contains(id));
        }
        Ok(lines)
    }

    /// Forgets what was not told of for so long.
    pub(super) fn forget(&mut self, expire: Duration, now: u64) {
        let now = Boot::from_millis(now);
        let expired = &mut self.expired;
        self.firing.retain(|_, alert| {
            let keep = now.since(Boot::from_millis(alert.at)) <= expire;
            if !keep && expired.len() < NAMED {
                expired.push(alert.name.clone());
            }
            keep
        });
    }

    /// As bad as the worst of them.
    pub(super) fn sample(&self) -> Sample {
        let critical = |alert: &&Alert| alert.critical;
        let worst = self.firing.values().find(critical).or_else(|| self.firing.values().next());
        let (status, mut summary) = match worst {
            None if self.expired.is_empty() => (Status::Passing, "no alert fires".to_owned()),
            // Silence does not mean that it is over: perhaps the Alertmanager is gone.
            None => (Status::Unknown, "nobody says whether an alert fires".to_owned()),
            Some(worst) => {
                let status = if worst.critical { Status::Critical } else { Status::Warning };
                let alike: Vec<&Alert> =
                    self.firing.values().filter(|alert| alert.critical == worst.critical).collect();
                let named: Vec<String> = alike.iter().take(NAMED).map(|alert| alert.told()).collect();
                let rest = self.firing().saturating_sub(named.len());
                let more = if rest > 0 { format!("; {rest} more") } else { String::new() };
                (status, format!("{}{more}", named.join("; ")))
            }
        };
        if !self.expired.is_empty() {
            let names = self.expired.join(", ");
            write!(summary, "; not told of for too long, and so not counted any more: {names}").ok();
        }
        if self.left_out > 0 {
            write!(summary, "; of more than {ALERTS} alerts only so many are looked at").ok();
        }
        let mut sample = Sample::new(status, summary);
        sample.number(&value::FIRING, float(self.firing() as u64));
        if let Some(worst) = worst {
            sample.text(&value::ALERT, worst.name.clone());
        }
        sample
    }
}

impl Alert {
    fn told(&self) -> String {
        if self.about.is_empty() { self.name.clone() } else { format!("{}: {}", self.name, self.about) }
    }
}

impl Told {
    /// What tells it from others; older versions send no fingerprint.
    fn id(&self) -> String {
        if !self.fingerprint.is_empty() {
            return cut(&self.fingerprint, NAME).to_owned();
        }
        let labels: Vec<String> = self.labels.iter().map(|(name, text)| format!("{name}={text:?}")).collect();
        let hash = <sha2::Sha256 as sha2::Digest>::digest(labels.join(","));
        hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// A label that is not there is an empty one, as an Alertmanager has it.
    fn matches(&self, matchers: &[(String, Regex)]) -> bool {
        matchers.iter().all(|(name, pattern)| pattern.is_match(self.label(name)))
    }

    fn alert(&self, rules: &Rules<'_>, group: &str, now: u64) -> Alert {
        let name = one_line(self.label("alertname"), NAME);
        let about = ["summary", "message", "description"].iter().find_map(|name| self.annotations.get(*name));
        let severity = self.label(rules.severity);
        Alert {
            name: if name.is_empty() { "an alert".to_owned() } else { name },
            critical: !rules.warning.iter().any(|word| word == severity),
            about: about.map_or_else(String::new, |text| one_line(text, SHOWN)),
            group: group.to_owned(),
            at: now,
        }
    }

    /// One line about it: `firing NAME label="…" … ; annotation="…" …`. What stands between quotes has
    /// none of its own, so no text can pass itself off as another label.
    fn line(&self) -> String {
        let mut line = match self.status {
            Word::Firing => "firing ".to_owned(),
            Word::Resolved => "resolved ".to_owned(),
        };
        line.push_str(&one_line(self.label("alertname"), NAME));
        let add = |line: &mut String, (name, text): (&String, &String)| {
            write!(line, " {}={:?}", one_line(name, NAME), cut(text, LABEL)).ok();
        };
        self.labels.iter().for_each(|label| add(&mut line, label));
        line.push_str(" ;");
        self.annotations.iter().for_each(|annotation| add(&mut line, annotation));
        line
    }
}
