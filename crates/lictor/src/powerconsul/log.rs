//! The log files, where they were and as they were.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use lictor_agent::text::visible;

/// A file that would become larger is put aside; one such is kept.
const LARGEST: u64 = 10 << 20;

/// Longest name or text in a line, characters.
const LONGEST: usize = 64 << 10;

/// One file.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    part: &'static str,
}

impl Log {
    /// The file of this name, below the directory of a part of the program.
    pub(super) fn new(dir: &Path, part: &'static str, name: &str) -> Self {
        let name = format!("{}.log", safe(name));
        let below = if name == "config.log" { dir.to_owned() } else { dir.join(part) };
        Self { path: below.join(name), part }
    }

    pub(super) fn info(&self, about: &str, method: &str, text: &str) {
        self.write("INFO", about, method, text);
    }

    pub(super) fn error(&self, about: &str, method: &str, text: &str) {
        self.write("ERROR", about, method, text);
    }

    fn write(&self, level: &str, about: &str, method: &str, text: &str) {
        let now = jiff::Zoned::now().strftime("%d-%m-%Y %H:%M:%S");
        // One line, whatever is in a name or an output.
        let (about, text) = (visible(about, LONGEST), visible(text, LONGEST));
        let line =
            format!("{now} powerconsul.{} - {level}: ConsulService[{about}].{method}: {text}\n", self.part);
        // A check must not fail because a disk is full; what it came to is told to Consul.
        append(&self.path, &line, LARGEST).ok();
    }
}

/// A name in which no part of a path can hide.
pub(super) fn safe(name: &str) -> String {
    name.replace(['/', '\0'], "_").trim_start_matches('.').to_owned()
}

fn append(path: &Path, line: &str, largest: u64) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o750).create(dir)?;
    }
    let length = fs::metadata(path).map_or(0, |file| file.len());
    if length + line.len() as u64 > largest {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".1");
        fs::rename(path, aside)?;
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    file.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_full_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("check/a.log");
        for line in ["1234\n", "5678\n", "9\n"] {
            append(&path, line, 10).unwrap();
        }
        let read = |name: &str| fs::read_to_string(dir.path().join("check").join(name)).unwrap();
        assert_eq!((read("a.log.1").as_str(), read("a.log").as_str()), ("1234\n5678\n", "9\n"));
    }

    #[test]
    fn a_line_says_when_and_about_what() {
        let dir = tempfile::tempdir().unwrap();
        Log::new(dir.path(), "trigger", "../web.critical").info("web", "run", "a\nb\n");
        let line = fs::read_to_string(dir.path().join("trigger/_web.critical.log")).unwrap();
        let (when, rest) = line.split_at(19);
        assert_eq!(rest, " powerconsul.trigger - INFO: ConsulService[web].run: a\\nb\n");
        assert!(when.chars().all(|letter| letter.is_ascii_digit() || "-: ".contains(letter)), "{when}");
    }
}
