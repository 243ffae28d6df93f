//! Making inputs: a file of the corpus, changed in a few places.

use std::fs;
use std::path::Path;

use crate::Error;
use crate::random::Random;

/// No input is longer, in bytes.
const LONGEST: usize = 256 * 1024;

/// One chunk is repeated less often than two to the power of this: enough to overflow the
/// stack of a parser that recurses unchecked. All powers are equally likely, so most are small.
const DOUBLINGS: usize = 16;

/// Values at the edges of number types, as text parsers meet them.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "255",
    "65536",
    "2147483648",
    "4294967296",
    "9223372036854775808",
    "18446744073709551616",
    "1e999",
    "-0.0",
    "NaN",
];

/// Characters that text parsers trip over: none, many bytes, right to left, a byte order mark.
const CHARACTERS: &[&str] = &["\0", "\u{e9}", "\u{1f980}", "\u{202e}", "\u{feff}", "\r\n", "\u{2028}"];

/// What the inputs of one target are made from.
#[derive(Debug)]
pub(crate) struct Source {
    files: Vec<Vec<u8>>,
    dictionary: &'static [&'static str],
}

impl Source {
    /// Reads a target's corpus, in the order of the names; a target may have none.
    pub(crate) fn read(corpus: &Path, dictionary: &'static [&'static str]) -> Result<Self, Error> {
        let mut paths = Vec::new();
        if corpus.is_dir() {
            for entry in fs::read_dir(corpus).map_err(Error::file("list", corpus))? {
                paths.push(entry.map_err(Error::file("list", corpus))?.path());
            }
        }
        paths.sort();
        let files = paths
            .iter()
            .map(|path| fs::read(path).map_err(Error::file("read", path)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { files, dictionary })
    }

    /// Input number `number` of a run: the files as they are come first, then changed ones.
    pub(crate) fn input(&self, seed: u64, number: u64) -> Vec<u8> {
        if let Some(file) = usize::try_from(number).ok().and_then(|number| self.files.get(number)) {
            return file.clone();
        }
        let mut random = Random::new(seed, number);
        let mut bytes = match random.below(16) {
            0 => (0..random.below(64)).map(|_| random.byte()).collect(),
            _ => random.choose(&self.files).cloned().unwrap_or_default(),
        };
        for _ in 0..=random.below(8) {
            self.change(&mut bytes, &mut random);
            bytes.truncate(LONGEST);
        }
        bytes
    }

    /// Changes one place.
    fn change(&self, bytes: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(64)).min(bytes.len());
        match random.below(12) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            3 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.byte();
                }
            }
            4 => insert(bytes, at, &[random.byte()]),
            5 => {
                let chunk = bytes.get(at..end).unwrap_or_default().to_vec();
                let to = random.below(bytes.len() + 1);
                insert(bytes, to, &chunk);
            }
            6 => {
                // Nesting: few bytes, very often.
                let end = (at + 1 + random.below(4)).min(bytes.len());
                let chunk = bytes.get(at..end).unwrap_or_default();
                let most = 1 << random.below(DOUBLINGS);
                let often = (LONGEST / chunk.len().max(1)).min(random.below(most));
                let chunk = chunk.repeat(often);
                insert(bytes, at, &chunk);
            }
            7 => {
                let number = random.choose(NUMBERS).copied().unwrap_or_default();
                replace(bytes, at, end, number.as_bytes());
            }
            8 => {
                let character = random.choose(CHARACTERS).copied().unwrap_or_default();
                insert(bytes, at, character.as_bytes());
            }
            9 => {
                // The start of this one and the end of another.
                let other = random.choose(&self.files).map_or(&[][..], Vec::as_slice);
                let from = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(other.get(from..).unwrap_or_default());
            }
            10 => {
                let word = random.choose(self.dictionary).copied().unwrap_or_default();
                replace(bytes, at, end, word.as_bytes());
            }
            _ => {
                let word = random.choose(self.dictionary).copied().unwrap_or_default();
                insert(bytes, at, word.as_bytes());
            }
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, chunk: &[u8]) {
    replace(bytes, at, at, chunk);
}

fn replace(bytes: &mut Vec<u8>, at: usize, end: usize, chunk: &[u8]) {
    bytes.splice(at..end, chunk.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source { files: vec![b"watch {}".to_vec(), b"rule {}".to_vec()], dictionary: &["node", "${"] }
    }

    #[test]
    fn the_corpus_is_tried_as_it_is_before_it_is_changed() {
        assert_eq!(source().input(9, 0), b"watch {}");
        assert_eq!(source().input(9, 1), b"rule {}");
        assert_ne!(source().input(9, 2), source().input(9, 3));
    }

    #[test]
    fn an_input_depends_on_seed_and_number_alone() {
        for number in 0..500 {
            assert_eq!(source().input(1, number), source().input(1, number));
        }
        assert!((2..50).any(|number| source().input(1, number) != source().input(2, number)));
    }

    #[test]
    fn inputs_are_cut_short_nested_deeply_and_never_longer_than_the_limit() {
        let inputs: Vec<_> = (2..5000).map(|number| source().input(4, number)).collect();
        assert!(inputs.iter().any(Vec::is_empty));
        assert!(
            inputs.iter().any(|input| input.windows(1000).any(|run| run.iter().all(|byte| *byte == b'{')))
        );
        assert!(inputs.iter().any(|input| input.windows(2).any(|two| two == b"${")));
        assert!(inputs.iter().all(|input| input.len() <= LONGEST));
    }

    #[test]
    fn a_target_without_a_corpus_still_gets_inputs() {
        let dir = tempfile::tempdir().unwrap();
        let source = Source::read(&dir.path().join("none"), &[]).unwrap();
        assert!((0..100).any(|number| !source.input(1, number).is_empty()));
    }
}
