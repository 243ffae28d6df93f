//! The record of a connection monitor in Consul: the keys that qbitcheck's monitor keeps there,
//! in its words, and those we add. Each value is plain text that is also JSON where it is no
//! bare word, so that either program reads what the other wrote.

use std::collections::BTreeMap;

use lictor_config::Phase;
use serde_json::{Value, json};

/// Longest list of torrents in one key, bytes; longer ones are split. Consul takes 512 KiB in
/// base64 in one transaction, with all other keys.
const CHUNK: usize = 200_000;

/// Chunks of a list that are read at most: some 350,000 torrents.
const CHUNKS: usize = 100;

/// The key that says the phase: written last.
pub(super) const STATE: &str = "remediation/state";
/// The key that says who wrote all of it: ours alone.
pub(super) const WRITER: &str = "remediation/writer";
/// The key by which a person stops a monitor from acting.
pub(super) const PAUSED: &str = "control/paused";
/// The list of torrents; its further parts have `/0001` and so on.
const TORRENTS: &str = "remediation/stopped_torrents";

/// Where a monitor stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Record {
    /// Whether the connection is stable; `None` as long as nobody knows.
    pub(crate) stable: Option<bool>,
    /// Since when, seconds since 1970.
    pub(crate) changed: Option<f64>,
    /// Bad looks in a row.
    pub(crate) failures: u64,
    /// Good looks in a row.
    pub(crate) stable_checks: u64,
    /// The phase of the cure; `None`: nothing is under way.
    pub(crate) phase: Option<Phase>,
    /// When the cure was started.
    pub(crate) started: Option<f64>,
    /// Looks while waiting for stability.
    pub(crate) stabilization_checks: u64,
    /// Since when the connection has been good without a break.
    pub(crate) steady_since: Option<f64>,
    /// `running`, `stopped`, `error` or `unknown`.
    pub(crate) vpn: Option<String>,
    /// Since when.
    pub(crate) vpn_changed: Option<f64>,
    /// The public address.
    pub(crate) ip: Option<String>,
    /// Since when.
    pub(crate) ip_changed: Option<f64>,
    /// Where it is and whose.
    pub(crate) place: BTreeMap<String, String>,
    /// The run, as others may call it.
    pub(crate) id: Option<String>,
    /// The attempt at the last cure, from 1.
    pub(crate) attempt: u32,
    /// Since when the phase lasts.
    pub(crate) phase_started: Option<f64>,
    /// When the next attempt may be made.
    pub(crate) next_attempt: Option<f64>,
    /// What failed last.
    pub(crate) last_error: Option<String>,
    /// What was stopped, as hash and whether it was forced.
    pub(crate) torrents: Option<Stopped>,
    /// The note of the restart, as the action wrote it.
    pub(crate) nomad: Option<Value>,
    /// Whether it has given up and only waits for the connection.
    pub(crate) given_up: bool,
    /// The step it is at, as this program names it.
    pub(crate) step: Option<String>,
    /// What that step noted before it acted.
    pub(crate) note: Option<String>,
}

/// Torrents that we stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// Hash, and whether it was force-started.
    pub(crate) torrents: BTreeMap<String, bool>,
    /// Whether all of them were seen to be stopped.
    pub(crate) confirmed: bool,
}

impl Stopped {
    /// The torrents of a note of `act "qbittorrent"`.
    pub(crate) fn of_note(text: &str) -> Option<BTreeMap<String, bool>> {
        let value: Value = serde_json::from_str(text).ok()?;
        let listed = value.get("torrents")?.as_array()?.iter().filter_map(|one| {
            let hash = one.get("h")?.as_str().filter(|hash| is_hash(hash))?;
            Some((hash.to_ascii_lowercase(), one.get("f").and_then(Value::as_bool).unwrap_or(false)))
        });
        Some(listed.collect())
    }

    /// The same as such a note.
    pub(crate) fn note(&self) -> String {
        json!({ "v": 1, "torrents": listed(self.torrents.iter()) }).to_string()
    }
}

fn is_hash(text: &str) -> bool {
    (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn listed<'t>(torrents: impl Iterator<Item = (&'t String, &'t bool)>) -> Vec<Value> {
    torrents.map(|(hash, forced)| json!({ "h": hash, "f": forced })).collect()
}

/// The word for a phase.
pub(crate) const fn word(phase: Option<Phase>) -> &'static str {
    match phase {
        None => "None",
        Some(Phase::StoppingTorrents) => "stopping_torrents",
        Some(Phase::RestartingNomad) => "restarting_nomad",
        Some(Phase::WaitingForStability) => "waiting_for_stability",
        Some(Phase::RestartingTorrents) => "restarting_torrents",
    }
}

impl Record {
    /// The keys below the monitor's prefix, without [`WRITER`].
    pub(crate) fn keys(&self) -> BTreeMap<String, String> {
        let time = |time: Option<f64>| time.map_or_else(|| "None".to_owned(), |time| format!("{time:.3}"));
        let mut keys = BTreeMap::new();
        let mut put = |key: &str, value: String| drop(keys.insert(key.to_owned(), value));
        if let Some(stable) = self.stable {
            put("state/connection_state", if stable { "stable" } else { "unstable" }.to_owned());
            put("state/last_state_change_time", time(self.changed));
        }
        put("state/consecutive_failures", self.failures.to_string());
        put("state/consecutive_stable_checks", self.stable_checks.to_string());
        put(STATE, word(self.phase).to_owned());
        put("remediation/start_time", time(self.started));
        put("remediation/stabilization_checks", self.stabilization_checks.to_string());
        put("stability/start_time", time(self.steady_since));
        put("vpn/vpn_status", self.vpn.clone().unwrap_or_else(|| "unknown".to_owned()));
        put("vpn/last_vpn_status_change", time(self.vpn_changed));
        put("vpn/public_ip", self.ip.clone().unwrap_or_else(|| "None".to_owned()));
        put("vpn/last_public_ip_change", time(self.ip_changed));
        put("vpn/public_ip_details", json!(self.place).to_string());
        put("remediation/id", self.id.clone().unwrap_or_else(|| "None".to_owned()));
        put("remediation/attempt", self.attempt.to_string());
        put("remediation/phase_start_time", time(self.phase_started));
        put("remediation/next_attempt_time", time(self.next_attempt));
        put("remediation/last_error", self.last_error.clone().unwrap_or_else(|| "None".to_owned()));
        put("remediation/given_up", self.given_up.to_string());
        put("remediation/step", self.step.clone().unwrap_or_else(|| "None".to_owned()));
        put("remediation/note", self.note.clone().unwrap_or_else(|| "None".to_owned()));
        put("remediation/nomad", self.nomad.as_ref().map_or_else(|| "None".to_owned(), Value::to_string));
        for (key, value) in self.lists() {
            keys.insert(key, value);
        }
        keys
    }

    /// The list of torrents, in as many keys as it takes.
    fn lists(&self) -> Vec<(String, String)> {
        let Some(stopped) = &self.torrents else { return vec![(TORRENTS.to_owned(), "None".to_owned())] };
        let all: Vec<_> = stopped.torrents.iter().collect();
        // `{"f":false,"h":"<40>"},` and some room.
        let each = CHUNK / 64;
        let chunks = all.chunks(each.max(1)).count().max(1);
        let chunk = |index: usize| {
            let part = all.chunks(each.max(1)).nth(index).unwrap_or_default();
            json!({
                "v": 1,
                "torrents": listed(part.iter().copied()),
                "confirmed": stopped.confirmed,
                "parts": chunks,
            })
            .to_string()
        };
        let key =
            |index: usize| if index == 0 { TORRENTS.to_owned() } else { format!("{TORRENTS}/{index:04}") };
        (0..chunks).map(|index| (key(index), chunk(index))).collect()
    }

    /// Reads the keys below a prefix. What cannot be read is left out and told.
    pub(crate) fn read(keys: &BTreeMap<String, Vec<u8>>, now: f64) -> (Self, Vec<String>) {
        let mut reader = Reader { keys, now, odd: Vec::new() };
        let record = reader.record();
        (record, reader.odd)
    }
}

struct Reader<'k> {
    keys: &'k BTreeMap<String, Vec<u8>>,
    now: f64,
    odd: Vec<String>,
}

impl Reader<'_> {
    fn record(&mut self) -> Record {
        let stable = self.text("state/connection_state").and_then(|word| match word.as_str() {
            "stable" => Some(true),
            "unstable" => Some(false),
            _ => self.strange("state/connection_state"),
        });
        let phase = self.text(STATE).and_then(|word| match word.as_str() {
            "stopping_torrents" => Some(Phase::StoppingTorrents),
            "restarting_nomad" => Some(Phase::RestartingNomad),
            "waiting_for_stability" => Some(Phase::WaitingForStability),
            "restarting_torrents" => Some(Phase::RestartingTorrents),
            _ => self.strange(STATE),
        });
        let place = match self.json("vpn/public_ip_details") {
            Some(Value::Object(entries)) => entries
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
                .collect(),
            _ => BTreeMap::new(),
        };
        Record {
            stable,
            changed: self.time("state/last_state_change_time"),
            failures: self.whole("state/consecutive_failures"),
            stable_checks: self.whole("state/consecutive_stable_checks"),
            phase,
            started: self.time("remediation/start_time"),
            stabilization_checks: self.whole("remediation/stabilization_checks"),
            steady_since: self.time("stability/start_time"),
            vpn: self.text("vpn/vpn_status"),
            vpn_changed: self.time("vpn/last_vpn_status_change"),
            ip: self.text("vpn/public_ip"),
            ip_changed: self.time("vpn/last_public_ip_change"),
            place,
            id: self.text("remediation/id"),
            attempt: u32::try_from(self.whole("remediation/attempt")).unwrap_or(u32::MAX),
            phase_started: self.time("remediation/phase_start_time"),
            next_attempt: self.later("remediation/next_attempt_time"),
            last_error: self.text("remediation/last_error"),
            torrents: self.torrents(),
            nomad: self.json("remediation/nomad"),
            given_up: self.text("remediation/given_up").is_some_and(|word| word == "true"),
            step: self.text("remediation/step"),
            note: self.text("remediation/note"),
        }
    }

    fn strange<T>(&mut self, key: &str) -> Option<T> {
        self.odd.push(key.to_owned());
        None
    }

    /// A word, bare or as JSON; `None`, `null` and nothing are no word.
    fn text(&mut self, key: &str) -> Option<String> {
        let bytes = self.keys.get(key)?;
        let Ok(text) = std::str::from_utf8(bytes) else { return self.strange(key) };
        let text = text.trim();
        let word = match serde_json::from_str::<Value>(text) {
            Ok(Value::String(word)) => word,
            Ok(Value::Null) => return None,
            Ok(_) | Err(_) => text.to_owned(),
        };
        (!word.is_empty() && word != "None" && word != "null").then_some(word)
    }

    fn number(&mut self, key: &str) -> Option<f64> {
        let text = self.text(key)?;
        let time = text.parse::<f64>().ok().or_else(|| {
            let time: jiff::Timestamp = text.parse().ok()?;
            Some(time.as_duration().as_secs_f64())
        });
        match time.filter(|time| time.is_finite() && *time >= 0.0) {
            Some(time) => Some(time),
            None => self.strange(key),
        }
    }

    /// A time of the past: one of the future was written by a clock that was ahead.
    fn time(&mut self, key: &str) -> Option<f64> {
        let now = self.now;
        self.number(key).map(|time| time.min(now))
    }

    /// A time that may be to come, within a day.
    fn later(&mut self, key: &str) -> Option<f64> {
        let now = self.now;
        self.number(key).map(|time| time.min(now + 86_400.0))
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded before")]
    fn whole(&mut self, key: &str) -> u64 {
        self.number(key).map_or(0, |number| number.min(1e15) as u64)
    }

    fn json(&mut self, key: &str) -> Option<Value> {
        let text = self.text(key)?;
        match serde_json::from_str(&text) {
            Ok(value) => Some(value),
            Err(_) => self.strange(key),
        }
    }

    fn torrents(&mut self) -> Option<Stopped> {
        let first = self.json(TORRENTS)?;
        let part = |value: &Value| Stopped::of_note(&value.to_string());
        let Some(mut torrents) = part(&first) else { return self.strange(TORRENTS) };
        let mut confirmed = first.get("confirmed").and_then(Value::as_bool).unwrap_or(false);
        let parts = first.get("parts").and_then(Value::as_u64).unwrap_or(1);
        for index in 1..usize::try_from(parts).unwrap_or(CHUNKS).min(CHUNKS) {
            let key = format!("{TORRENTS}/{index:04}");
            match self.json(&key).as_ref().and_then(part) {
                Some(more) => torrents.extend(more),
                None => {
                    // What is listed is stopped again; what is not may still be found by its tag.
                    confirmed = false;
                    self.odd.push(key);
                }
            }
        }
        Some(Stopped { torrents, confirmed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(of: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        of.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    fn full() -> Record {
        Record {
            stable: Some(false),
            changed: Some(1_763_389_603.123),
            failures: 3,
            stable_checks: 0,
            phase: Some(Phase::WaitingForStability),
            started: Some(1_763_389_604.0),
            stabilization_checks: 7,
            steady_since: Some(1_763_389_700.5),
            vpn: Some("running".into()),
            vpn_changed: Some(1_763_389_600.0),
            ip: Some("203.0.113.7".into()),
            ip_changed: Some(1_763_389_600.25),
            place: [("city".to_owned(), "Utrecht \"x\"".to_owned())].into(),
            id: Some("0a1b2c3d/r17".into()),
            attempt: 2,
            phase_started: Some(1_763_389_650.0),
            next_attempt: None,
            last_error: Some("no answer".into()),
            torrents: Some(Stopped { torrents: [("ab".repeat(20), true)].into(), confirmed: true }),
            nomad: Some(json!({"v": 1, "job": "media"})),
            given_up: false,
            step: Some("waiting_for_stability".into()),
            note: None,
        }
    }

    fn bytes(keys: BTreeMap<String, String>) -> BTreeMap<String, Vec<u8>> {
        keys.into_iter().map(|(key, value)| (key, value.into_bytes())).collect()
    }

    #[test]
    fn the_words_are_those_of_the_program_that_had_them_first() {
        let keys = full().keys();
        let is = |key: &str| keys.get(key).map_or("", String::as_str);
        assert_eq!(is("state/connection_state"), "unstable");
        assert_eq!(is("state/last_state_change_time"), "1763389603.123");
        assert_eq!(is("state/consecutive_failures"), "3");
        assert_eq!(is("remediation/state"), "waiting_for_stability");
        assert_eq!(is("stability/start_time"), "1763389700.500");
        assert_eq!(is("vpn/public_ip"), "203.0.113.7");
        assert_eq!(is("vpn/public_ip_details"), r#"{"city":"Utrecht \"x\""}"#);
        let none = Record::default().keys();
        assert_eq!(none.get("remediation/state").unwrap(), "None");
        assert_eq!(none.get("remediation/start_time").unwrap(), "None");
        assert!(!none.contains_key("state/connection_state"), "nobody knows yet");
    }

    #[test]
    fn what_was_written_is_read() {
        for record in [full(), Record { vpn: Some("unknown".into()), ..Record::default() }] {
            let (read, odd) = Record::read(&bytes(record.keys()), 1_800_000_000.0);
            assert_eq!((read, odd), (record, Vec::new()));
        }
    }

    #[test]
    fn other_notations_are_read_too() {
        let written = keys(&[
            ("state/connection_state", "\"stable\""),
            ("state/last_state_change_time", "2025-11-17T14:26:43Z"),
            ("state/consecutive_failures", "2.0"),
            ("remediation/state", "null"),
            ("remediation/start_time", ""),
            ("stability/start_time", "9999999999"),
            ("vpn/public_ip_details", r#"{"city":"Utrecht","lat":52.1,"organization":"AS1 X"}"#),
        ]);
        let (read, odd) = Record::read(&written, 1_800_000_000.0);
        assert!(odd.is_empty(), "{odd:?}");
        assert_eq!((read.stable, read.changed, read.failures), (Some(true), Some(1_763_389_603.0), 2));
        assert_eq!((read.phase, read.started), (None, None));
        assert_eq!(read.steady_since, Some(1_800_000_000.0), "a clock was ahead");
        assert_eq!(read.place.len(), 2);
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_told() {
        let mut written = keys(&[
            ("state/connection_state", "wobbly"),
            ("remediation/state", "dancing"),
            ("remediation/start_time", "yesterday"),
            ("remediation/stopped_torrents", "[1"),
            ("remediation/nomad", "{"),
            ("state/consecutive_failures", "-3"),
        ]);
        written.insert("vpn/public_ip".into(), vec![0xff, 0xfe]);
        let (read, odd) = Record::read(&written, 1.0);
        assert_eq!(read, Record::default());
        assert_eq!(odd.len(), 7, "{odd:?}");
    }

    #[test]
    fn a_long_list_is_split_and_put_together() {
        let torrents = (0..9_000_u32).map(|n| (format!("{n:040x}"), n % 7 == 0)).collect();
        let stopped = Stopped { torrents, confirmed: true };
        let record = Record { torrents: Some(stopped.clone()), ..full() };
        let mut keys = bytes(record.keys());
        assert!(keys.values().all(|value| value.len() <= CHUNK + 100));
        assert_eq!(keys.keys().filter(|key| key.starts_with(TORRENTS)).count(), 3);
        assert_eq!(Record::read(&keys, 2e9).0.torrents, Some(stopped));
        keys.remove("remediation/stopped_torrents/0001");
        let (torn, odd) = Record::read(&keys, 2e9);
        assert_eq!((torn.torrents.unwrap().confirmed, odd.len()), (false, 1));
    }

    #[test]
    fn what_is_no_hash_is_no_torrent() {
        let note =
            r#"{"torrents":[{"h":"all"},{"h":"AB12AB12ab12ab12ab12ab12ab12ab12ab12ab12"},{"f":true}]}"#;
        let listed = Stopped::of_note(note).unwrap();
        assert_eq!(listed.into_iter().collect::<Vec<_>>(), [("ab12".repeat(10), false)]);
    }
}
