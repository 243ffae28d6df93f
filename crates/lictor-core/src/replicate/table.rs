//! A sorted map from keys to what is known of them, small enough for a million of them.
//!
//! Entries lie in chunks, each with the text of its keys in one piece: one costs 32 bytes and its text, and keys that come in
//! order are found without a search.

/// Entries of a chunk.
const FULL: usize = 512;

/// Bytes of text of a chunk after which another one is begun.
const MUCH: usize = 1 << 20;

/// Bytes of the longest key that is kept.
pub(super) const LONGEST: usize = u16::MAX as usize;

/// What is known of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// A checksum of value and flags of the copy.
    pub(super) content: u64,
    /// The index of the source's key that is known to have this content; 0: none.
    pub(super) origin: u64,
    /// When the copy was last changed.
    pub(super) index: u64,
    pub(super) marks: u8,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    content: u64,
    origin: u64,
    index: u64,
    at: u32,
    length: u16,
    marks: u8,
}

#[derive(Debug, Default)]
struct Chunk {
    entries: Vec<Entry>,
    text: Vec<u8>,
    /// Bytes of the text that belong to no entry any more.
    waste: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// None of them is empty.
    chunks: Vec<Chunk>,
    length: usize,
    /// Behind the entry that was last looked for.
    next: (usize, usize),
}

impl Entry {
    const fn known(&self) -> Known {
        Known { content: self.content, origin: self.origin, index: self.index, marks: self.marks }
    }

    const fn set(&mut self, known: Known) {
        (self.content, self.origin, self.index, self.marks) =
            (known.content, known.origin, known.index, known.marks);
    }
}

impl Chunk {
    fn key(&self, entry: &Entry) -> &[u8] {
        let at = entry.at as usize;
        self.text.get(at..at + usize::from(entry.length)).unwrap_or_default()
    }

    fn last(&self) -> &[u8] {
        self.entries.last().map(|entry| self.key(entry)).unwrap_or_default()
    }

    fn find(&self, key: &[u8]) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| self.key(entry).cmp(key))
    }

    fn insert(&mut self, place: usize, key: &[u8], known: Known) {
        let at = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        let length = u16::try_from(key.len()).unwrap_or(u16::MAX);
        self.text.extend_from_slice(key);
        let mut entry = Entry { content: 0, origin: 0, index: 0, at, length, marks: 0 };
        entry.set(known);
        self.entries.insert(place.min(self.entries.len()), entry);
    }

    /// Its second half.
    fn split(&mut self) -> Self {
        let mut second = Self::default();
        for entry in self.entries.split_off(self.entries.len() / 2) {
            let key = self.key(&entry).to_vec();
            second.insert(usize::MAX, &key, entry.known());
        }
        self.tidy();
        second
    }

    /// Lets go of text that belongs to nothing.
    fn tidy(&mut self) {
        let mut text = Vec::with_capacity(self.text.len().saturating_sub(self.waste));
        for index in 0..self.entries.len() {
            let Some(entry) = self.entries.get(index) else { break };
            let at = u32::try_from(text.len()).unwrap_or(u32::MAX);
            text.extend_from_slice(self.key(entry));
            if let Some(entry) = self.entries.get_mut(index) {
                entry.at = at;
            }
        }
        text.shrink_to_fit();
        (self.text, self.waste) = (text, 0);
    }
}

impl Table {
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// What is known of a key. Cheap when it is the one behind the one that was asked for before.
    pub(super) fn get(&mut self, key: &str) -> Option<Known> {
        let (chunk, entry) = self.find(key.as_bytes()).ok()?;
        Some(self.chunks.get(chunk)?.entries.get(entry)?.known())
    }

    /// Notes what is known of a key, of at most [`LONGEST`] bytes.
    pub(super) fn set(&mut self, key: &str, known: Known) {
        let key = key.as_bytes();
        match self.find(key) {
            Ok((chunk, entry)) => {
                let entry = self.chunks.get_mut(chunk).and_then(|chunk| chunk.entries.get_mut(entry));
                if let Some(entry) = entry {
                    entry.set(known);
                }
            }
            Err((number, place)) => {
                self.length += 1;
                self.next = (number, place + 1);
                let behind = number + 1 == self.chunks.len()
                    && self.chunks.get(number).is_some_and(|chunk| place == chunk.entries.len());
                let Some(chunk) = self.chunks.get_mut(number) else {
                    self.chunks.push(Chunk::default());
                    if let Some(chunk) = self.chunks.last_mut() {
                        chunk.insert(0, key, known);
                    }
                    self.next = (self.chunks.len() - 1, 1);
                    return;
                };
                let full = chunk.entries.len() >= FULL || chunk.text.len() >= MUCH;
                if full && behind {
                    chunk.entries.shrink_to_fit();
                    chunk.text.shrink_to_fit();
                    let mut chunk = Chunk::default();
                    chunk.insert(0, key, known);
                    self.chunks.push(chunk);
                    self.next = (number + 1, 1);
                    return;
                }
                chunk.insert(place, key, known);
                if full {
                    let second = chunk.split();
                    self.chunks.insert(number + 1, second);
                    self.next = (0, 0);
                }
            }
        }
    }

    /// Forgets a key.
    pub(super) fn remove(&mut self, key: &str) {
        if let Ok((number, place)) = self.find(key.as_bytes())
            && let Some(chunk) = self.chunks.get_mut(number)
        {
            let entry = chunk.entries.remove(place);
            chunk.waste += usize::from(entry.length);
            self.length -= 1;
            if chunk.entries.is_empty() {
                self.chunks.remove(number);
            } else if chunk.waste * 2 > chunk.text.len() {
                chunk.tidy();
            }
            self.next = (number, place);
        }
    }

    /// Looks at each, and has it changed; those for which `keep` says no are forgotten.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&str, &mut Known) -> bool) {
        let mut left = 0;
        for chunk in &mut self.chunks {
            let text = std::mem::take(&mut chunk.text);
            let mut waste = 0;
            chunk.entries.retain_mut(|entry| {
                let at = entry.at as usize;
                let key = text.get(at..at + usize::from(entry.length)).unwrap_or_default();
                let mut known = entry.known();
                // They came as text.
                let kept = keep(str::from_utf8(key).unwrap_or_default(), &mut known);
                entry.set(known);
                waste += if kept { 0 } else { usize::from(entry.length) };
                kept
            });
            chunk.text = text;
            chunk.waste += waste;
            if chunk.waste * 2 > chunk.text.len() {
                chunk.tidy();
            }
            left += chunk.entries.len();
        }
        self.chunks.retain(|chunk| !chunk.entries.is_empty());
        self.length = left;
        self.next = (0, 0);
    }

    /// All keys in order, with what is known of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Known)> {
        self.chunks.iter().flat_map(|chunk| {
            let each = |entry: &Entry| (str::from_utf8(chunk.key(entry)).unwrap_or_default(), entry.known());
            chunk.entries.iter().map(each)
        })
    }

    /// Where a key is, or would be.
    fn find(&mut self, key: &[u8]) -> Result<(usize, usize), (usize, usize)> {
        let found = self.is_next(key).map_or_else(|| self.search(key), Ok);
        if let Ok((chunk, entry)) = found {
            self.next = (chunk, entry + 1);
        }
        found
    }

    fn is_next(&self, key: &[u8]) -> Option<(usize, usize)> {
        let (number, place) = self.next;
        let chunk = self.chunks.get(number)?;
        let (number, chunk, place) = match place < chunk.entries.len() {
            true => (number, chunk, place),
            false => (number + 1, self.chunks.get(number + 1)?, 0),
        };
        (chunk.key(chunk.entries.get(place)?) == key).then_some((number, place))
    }

    fn search(&self, key: &[u8]) -> Result<(usize, usize), (usize, usize)> {
        let number = self.chunks.partition_point(|chunk| chunk.last() < key);
        match self.chunks.get(number) {
            Some(chunk) => match chunk.find(key) {
                Ok(place) => Ok((number, place)),
                Err(place) => Err((number, place)),
            },
            // Behind all of them.
            None => match self.chunks.last() {
                Some(last) => Err((number - 1, last.entries.len())),
                None => Err((0, 0)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn known(content: u64) -> Known {
        Known { content, ..Known::default() }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(String, u64),
        Remove(String),
        Drop(u64),
        Rows(u16, u8),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let key = || "[ab/é]{0,4}";
        let step = prop_oneof![
            6 => (key(), any::<u64>()).prop_map(|(key, content)| Step::Set(key, content)),
            3 => key().prop_map(Step::Remove),
            1 => (2_u64..5).prop_map(Step::Drop),
            2 => (0_u16..2_000, 1_u8..4).prop_map(|(first, step)| Step::Rows(first, step)),
        ];
        proptest::collection::vec(step, 1..60)
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_map(steps in steps()) {
            let (mut table, mut model) = (Table::default(), BTreeMap::new());
            for step in steps {
                match step {
                    Step::Set(key, content) => {
                        table.set(&key, known(content));
                        model.insert(key, content);
                    }
                    Step::Remove(key) => {
                        table.remove(&key);
                        model.remove(&key);
                    }
                    Step::Drop(share) => {
                        table.retain(|_, known| !known.content.is_multiple_of(share));
                        model.retain(|_, content| !content.is_multiple_of(share));
                    }
                    // As a listing brings them.
                    Step::Rows(first, step) => for number in (first..first + 700).step_by(step.into()) {
                        let key = format!("row/{number:05}");
                        prop_assert_eq!(table.get(&key).map(|known| known.content), model.get(&key).copied());
                        table.set(&key, known(number.into()));
                        model.insert(key, number.into());
                    },
                }
                prop_assert_eq!(table.len(), model.len());
            }
            let found: Vec<_> = table.iter().map(|(key, known)| (key.to_owned(), known.content)).collect();
            prop_assert_eq!(found, model.clone().into_iter().collect::<Vec<_>>());
            for (key, content) in model {
                prop_assert_eq!(table.get(&key), Some(known(content)));
            }
        }
    }

    #[test]
    fn rows_in_order_fill_the_chunks() {
        let mut table = Table::default();
        for number in 0..10_000 {
            table.set(&format!("{number:06}"), known(number));
        }
        assert_eq!(table.chunks.len(), 10_000_usize.div_ceil(FULL));
        assert!(size_of::<Entry>() <= 32);
    }
}
