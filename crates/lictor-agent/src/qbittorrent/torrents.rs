//! Torrents: which there are, what they do, and what is done to them.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer};
use serde_json::Value;

/// Torrents named in one request.
pub(super) const CHUNK: usize = 500;

/// The hash by which a torrent is named. Never `all`: it has hexadecimal digits only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hash(Arc<str>);

impl Hash {
    /// The hash, if the text is one: 40 or 64 hexadecimal digits.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let hex = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        hex.then(|| Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a torrent does, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// It was stopped (or paused, as older versions say).
    Stopped,
    /// It loads, seeds, waits in the queue, or for peers.
    Running,
    /// Its data are checked or moved; whether it will run afterwards is not told.
    Busy,
    /// It is being restored after a start; what it will be is not known.
    Loading,
    /// It has an error, or its files are missing.
    Broken,
    /// A word that is not known.
    #[default]
    Unknown,
}

impl State {
    /// What a state is called by qBittorrent, in any version.
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "pausedUP" | "pausedDL" | "stoppedUP" | "stoppedDL" => Self::Stopped,
            "uploading" | "downloading" | "stalledUP" | "stalledDL" | "queuedUP" | "queuedDL"
            | "forcedUP" | "forcedDL" | "metaDL" | "forcedMetaDL" => Self::Running,
            "checkingUP" | "checkingDL" | "moving" | "allocating" => Self::Busy,
            "checkingResumeData" => Self::Loading,
            "error" | "missingFiles" => Self::Broken,
            _ => Self::Unknown,
        }
    }

    /// Whether there is something to stop.
    pub(crate) const fn runs(self) -> bool {
        matches!(self, Self::Running | Self::Busy)
    }
}

/// What is kept of a torrent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Torrent {
    pub(crate) state: State,
    /// Its flag says that it runs whatever the queue says.
    force_start: bool,
    /// The word for its state says so.
    called_forced: bool,
    tags: Box<str>,
}

impl Torrent {
    /// Whether it runs whatever the queue says. Telling it to stop takes the flag away at once, and the
    /// word up to 1.5 s later: whoever looks in between must not take it for one like the others.
    pub(crate) const fn is_forced(&self) -> bool {
        self.force_start || self.called_forced
    }

    /// Whether it has a tag.
    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.tags.split(',').any(|other| other.trim() == tag)
    }

    /// Takes over what has changed.
    pub(super) fn change(&mut self, changed: Changed) {
        if let Some(word) = changed.state {
            self.state = State::of(&word);
            self.called_forced = matches!(word.as_str(), "forcedUP" | "forcedDL" | "forcedMetaDL");
        }
        if let Some(forced) = changed.force_start {
            self.force_start = forced;
        }
        if let Some(tags) = changed.tags {
            self.tags = tags.into();
        }
    }
}

/// What is told of a torrent: all of it, or what has changed. A value of another kind than
/// expected is as if it were not there.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Changed {
    #[serde(default, deserialize_with = "text")]
    state: Option<String>,
    #[serde(default, deserialize_with = "boolean")]
    force_start: Option<bool>,
    #[serde(default, deserialize_with = "text")]
    tags: Option<String>,
}

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

fn boolean<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    Ok(Value::deserialize(from)?.as_bool())
}

/// What is done to torrents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    /// They are stopped.
    Stop,
    /// They are started, in the queue's order.
    Start,
    /// They are started and run whatever the queue says.
    Force,
    /// They are given a tag.
    Tag(&'a str),
    /// A tag is taken off.
    Untag(&'a str),
    /// Their trackers are told of them at once.
    Reannounce,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_never_a_word_with_a_meaning() {
        assert!(Hash::new(&"0aF9".repeat(10)).is_some());
        assert!(Hash::new(&"0a".repeat(32)).is_some());
        for text in ["", "all", "0a|0b", &"g".repeat(40), &"a".repeat(39), &format!("{}|", "a".repeat(39))] {
            assert_eq!(Hash::new(text), None, "{text}");
        }
    }

    #[test]
    fn states_of_all_versions_are_known() {
        let of = |words: &[&str]| words.iter().map(|word| State::of(word)).collect::<Vec<_>>();
        let stopped = ["pausedUP", "pausedDL", "stoppedUP", "stoppedDL"];
        assert_eq!(of(&stopped), [State::Stopped; 4]);
        let running = [
            "uploading",
            "queuedUP",
            "stalledUP",
            "forcedUP",
            "downloading",
            "metaDL",
            "forcedMetaDL",
            "queuedDL",
            "stalledDL",
            "forcedDL",
            "checkingUP",
            "checkingDL",
            "moving",
            "allocating",
        ];
        assert!(running.iter().all(|word| State::of(word).runs()));
        let others = ["error", "missingFiles", "checkingResumeData", "unknown", "pausedForever"];
        assert!(others.iter().all(|word| !State::of(word).runs() && State::of(word) != State::Stopped));
    }

    #[test]
    fn tags_are_told_apart() {
        let mut torrent = Torrent::default();
        let changed: Changed =
            serde_json::from_str(r#"{"tags": "a, lictor stopped", "state": "stoppedUP"}"#).unwrap();
        torrent.change(changed);
        assert!(torrent.has_tag("a") && torrent.has_tag("lictor stopped") && !torrent.has_tag("lictor"));
        assert_eq!(torrent.state, State::Stopped);
        let changed: Changed =
            serde_json::from_str(r#"{"tags": 7, "state": null, "force_start": true}"#).unwrap();
        torrent.change(changed);
        assert!(torrent.has_tag("a") && torrent.is_forced() && torrent.state == State::Stopped);
    }
    #[test]
    fn one_that_is_told_to_stop_is_forced_until_it_is_seen_to_be_stopped() {
        let mut torrent = Torrent::default();
        let mut forced_after = |changed: &str| {
            torrent.change(serde_json::from_str(changed).unwrap());
            torrent.is_forced()
        };
        assert!(forced_after(r#"{"state": "forcedUP", "force_start": true}"#));
        assert!(forced_after(r#"{"force_start": false}"#));
        assert!(!forced_after(r#"{"state": "pausedUP"}"#));
        assert!(!forced_after(r#"{"state": "stalledUP"}"#));
        assert!(forced_after(r#"{"force_start": true}"#));
    }
}
