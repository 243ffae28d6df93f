//! The end of what a program says, as it says it: bounded, and without secrets on the disk.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use lictor_core::Boot;

use super::claim::OUTPUT;
use super::text::Redactor;

/// How often the file is written anew while the program speaks.
const EVERY: Duration = Duration::from_secs(1);

/// Keeps the end of what is pushed, in memory and in a file.
pub(super) struct Output {
    file: File,
    redactor: Redactor,
    /// The end of what was said, as it was said.
    tail: Vec<u8>,
    /// Whether something was said before the tail.
    cut: bool,
    /// Whether the file lacks something.
    dirty: bool,
    /// When the file was last written.
    saved: Option<Boot>,
}

impl Output {
    /// Writes to `file`, without the secrets.
    pub(super) fn new(file: File, secrets: impl Iterator<Item = String>) -> Self {
        let redactor = Redactor::new(secrets);
        Self { file, redactor, tail: Vec::new(), cut: false, dirty: false, saved: None }
    }

    /// Takes in something that was said.
    pub(super) fn push(&mut self, said: &[u8]) {
        self.dirty = true;
        // Besides what is shown, so much that a secret across the cut is seen whole.
        let keep = OUTPUT + self.redactor.longest();
        let from = said.len().saturating_sub(keep);
        if from > 0 {
            self.tail.clear();
            self.cut = true;
        }
        self.tail.extend_from_slice(said.get(from..).unwrap_or_default());
        // Twice as much as is kept is let in before the front is cut off, so that bytes
        // are moved once each and not with every push.
        if self.tail.len() > 2 * keep {
            self.tail.drain(..self.tail.len() - keep);
            self.cut = true;
        }
    }

    /// When [`Self::save`] wants to be called, if something was said since.
    pub(super) fn due(&self) -> Option<Boot> {
        self.dirty.then(|| self.saved.map_or(Boot::from_millis(0), |saved| saved.after(EVERY)))
    }

    /// Writes the file anew if it is time to.
    pub(super) fn save(&mut self, now: Boot) {
        if self.due().is_some_and(|due| due <= now) {
            self.saved = Some(now);
            self.dirty = false;
            // A disk that is full costs the output, not the outcome.
            self.write().ok();
        }
    }

    /// Writes the file for the last time, durably.
    pub(super) fn close(&mut self) {
        if self.write().is_ok() {
            self.file.sync_data().ok();
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let clean = self.shown();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&clean)?;
        self.file.set_len(clean.len() as u64)
    }

    /// What may be kept of the tail.
    fn shown(&self) -> Vec<u8> {
        let from = if self.cut { self.redactor.longest() } else { 0 };
        let mut clean = self.redactor.clean(&self.tail, from);
        clean.drain(..clean.len().saturating_sub(OUTPUT));
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn shown(secrets: &[&str], said: &[&[u8]]) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output");
        let secrets = secrets.iter().map(|secret| (*secret).to_owned());
        let mut output = Output::new(File::create(&path).unwrap(), secrets);
        for (number, said) in (0..).zip(said) {
            output.push(said);
            output.save(Boot::from_millis(number * 20));
            assert!(output.tail.len() <= 3 * (OUTPUT + output.redactor.longest()));
        }
        output.close();
        fs::read(&path).unwrap()
    }

    #[test]
    fn what_is_short_is_kept_whole() {
        assert_eq!(shown(&[], &[b"one\n", b"two\n"]), b"one\ntwo\n");
        assert_eq!(shown(&[], &[]), b"");
    }

    #[test]
    fn only_the_end_of_what_is_long_is_kept() {
        for piece in [3, 100, 4_096, 65_536] {
            let said: Vec<u8> = (0..20_000_u32).flat_map(u32::to_be_bytes).collect();
            let pieces: Vec<&[u8]> = said.chunks(piece).collect();
            let kept = shown(&[], &pieces);
            assert_eq!(kept, said[said.len() - OUTPUT..], "in pieces of {piece}");
        }
    }

    #[test]
    fn no_part_of_a_secret_of_six_bytes_reaches_the_file_however_it_is_cut() {
        let secret = "correct-horse-battery";
        for length in [1, 7, 15, 64] {
            let line = format!("{}{secret}", ".".repeat(length));
            let said = line.repeat(2_000);
            let pieces: Vec<&[u8]> = said.as_bytes().chunks(999).collect();
            let kept = String::from_utf8(shown(&[secret], &pieces)).unwrap();
            assert!(kept.contains("***") && kept.len() <= OUTPUT, "{}", kept.len());
            for part in ["correct", "battery", "horse-"] {
                assert!(!kept.contains(part), "{part} with {length}");
            }
        }
    }

    #[test]
    fn the_file_is_written_at_once_then_every_second_at_most() {
        let mut output = Output::new(tempfile::tempfile().unwrap(), std::iter::empty());
        assert_eq!(output.due(), None);
        output.push(b"x");
        assert!(output.due().unwrap() <= Boot::from_millis(7_000));
        output.save(Boot::from_millis(7_000));
        assert_eq!(output.due(), None);
        output.push(b"y");
        assert_eq!(output.due(), Some(Boot::from_millis(8_000)));
    }
}
