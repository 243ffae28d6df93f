//! What is noted before something is changed. Notes are exported as they are.

use std::collections::BTreeMap;

use lictor_core::{Order, StepName};
use serde::{Deserialize, Serialize};

use crate::qbittorrent::Hash;

/// The version of the notes that are written, and the only one there is.
const VERSION: u32 = 1;

/// Torrents that a step chose, each with whether it ran whatever the queue says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen(BTreeMap<Hash, bool>);

#[derive(Serialize, Deserialize)]
struct Torrents {
    v: u32,
    torrents: Vec<Torrent>,
}

#[derive(Serialize, Deserialize)]
struct Torrent {
    /// Its hash.
    h: String,
    /// Whether it was forced.
    f: bool,
}

impl Chosen {
    /// What this step noted at an earlier attempt, or just now.
    pub(super) fn of_step(order: &Order, step: &StepName) -> Option<Self> {
        Self::parse(&order.notes.get(step)?.text)
    }

    /// Reads a note; `None` when it is none of torrents. What is no hash is left out.
    fn parse(text: &str) -> Option<Self> {
        let note: Torrents = serde_json::from_str(text).ok().filter(|note: &Torrents| note.v == VERSION)?;
        Some(Self(note.torrents.into_iter().filter_map(|one| Some((Hash::new(&one.h)?, one.f))).collect()))
    }

    /// The note.
    pub(super) fn to_text(&self) -> String {
        let torrents =
            self.0.iter().map(|(hash, forced)| Torrent { h: hash.as_str().to_owned(), f: *forced });
        let note = Torrents { v: VERSION, torrents: torrents.collect() };
        serde_json::to_string(&note).unwrap_or_default()
    }

    /// Chooses one more. Whoever was forced when it was chosen first stays so: stopping it took
    /// that away.
    pub(super) fn add(&mut self, hash: Hash, forced: bool) {
        *self.0.entry(hash).or_default() |= forced;
    }

    /// Chooses all that another step chose.
    pub(super) fn extend(&mut self, other: Self) {
        for (hash, forced) in other.0 {
            self.add(hash, forced);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Hash, bool)> {
        self.0.iter().map(|(hash, forced)| (hash, *forced))
    }

    pub(super) fn hashes(&self) -> impl Iterator<Item = &Hash> {
        self.0.keys()
    }

    pub(super) fn is_forced(&self, hash: &Hash) -> bool {
        self.0.get(hash).copied().unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Hash, bool)> for Chosen {
    fn from_iter<I: IntoIterator<Item = (Hash, bool)>>(all: I) -> Self {
        let mut chosen = Self::default();
        for (hash, forced) in all {
            chosen.add(hash, forced);
        }
        chosen
    }
}

/// The port that peers connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Port {
    v: u32,
    pub(super) port: u16,
}

impl Port {
    pub(super) const fn new(port: u16) -> Self {
        Self { v: VERSION, port }
    }

    /// What this step noted.
    pub(super) fn of_step(order: &Order) -> Option<Self> {
        let text = &order.notes.get(&order.step)?.text;
        serde_json::from_str(text).ok().filter(|note: &Self| note.v == VERSION)
    }

    /// The note.
    pub(super) fn to_text(self) -> String {
        serde_json::to_string(&self).unwrap_or_default()
    }

    /// The port it is moved to in between.
    pub(super) const fn next(self) -> u16 {
        match self.port.checked_add(1) {
            Some(next) => next,
            None => self.port - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(digit: u8) -> Hash {
        Hash::new(&format!("{digit:x}").repeat(40)).unwrap()
    }

    #[test]
    fn a_note_is_written_as_it_is_read() {
        let chosen: Chosen = [(hash(2), true), (hash(1), false)].into_iter().collect();
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let text = format!(r#"{{"v":1,"torrents":[{{"h":"{one}","f":false}},{{"h":"{two}","f":true}}]}}"#);
        assert_eq!(chosen.to_text(), text);
        assert_eq!(Chosen::parse(&text), Some(chosen));
        assert_eq!(Port::new(6881).to_text(), r#"{"v":1,"port":6881}"#);
    }

    #[test]
    fn a_note_of_another_kind_or_version_is_none() {
        for text in ["", "{}", r#"{"v":1,"port":7}"#, r#"{"v":2,"torrents":[]}"#, "[]"] {
            assert_eq!(Chosen::parse(text), None, "{text}");
        }
        let odd = r#"{"v":1,"torrents":[{"h":"all","f":false}]}"#;
        assert_eq!(Chosen::parse(odd), Some(Chosen::default()));
    }

    #[test]
    fn who_was_forced_when_it_was_chosen_first_stays_so() {
        let mut chosen: Chosen = [(hash(1), true), (hash(2), false)].into_iter().collect();
        chosen.extend([(hash(1), false), (hash(3), true)].into_iter().collect());
        assert_eq!(chosen.iter().map(|(_, forced)| forced).collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn the_last_port_moves_down() {
        assert_eq!(Port::new(6881).next(), 6882);
        assert_eq!(Port::new(65_535).next(), 65_534);
    }
}
