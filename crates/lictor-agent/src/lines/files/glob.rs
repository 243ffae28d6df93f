//! Patterns of paths: in each part `*`, `?` and `[…]` stand for what they stand for in a shell.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Entries of directories that one search looks at.
const ENTRIES: usize = 100_000;

/// Endings of files to which nothing is appended.
const PACKED: [&[u8]; 4] = [b".gz", b".bz2", b".xz", b".zst"];

/// Whether a path stands for more than itself.
pub(super) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// The paths of what there is now, in order, compressed files left out. A path that is no pattern
/// is always among them.
pub(super) fn expand(path: &str) -> Vec<PathBuf> {
    if !is_pattern(path) {
        return vec![PathBuf::from(path)];
    }
    let mut found = vec![PathBuf::from("/")];
    let mut left = ENTRIES;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        found = found.iter().flat_map(|dir| below(dir, part, &mut left)).collect();
    }
    let packed = |path: &PathBuf| PACKED.iter().any(|ending| path.as_os_str().as_bytes().ends_with(ending));
    found.retain(|path| !packed(path) && path.symlink_metadata().is_ok_and(|entry| !entry.is_dir()));
    found.sort();
    found
}

/// The directories that a pattern stands for.
pub(super) fn directories(path: &str) -> Vec<PathBuf> {
    let mut left = ENTRIES;
    let mut found = vec![PathBuf::from("/")];
    for part in path.split('/').filter(|part| !part.is_empty()) {
        found = found.iter().flat_map(|dir| below(dir, part, &mut left)).collect();
    }
    found.retain(|path| path.is_dir());
    found
}

fn below(dir: &Path, part: &str, left: &mut usize) -> Vec<PathBuf> {
    if !is_pattern(part) {
        return vec![dir.join(part)];
    }
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.filter_map(Result::ok) {
        if *left == 0 {
            break;
        }
        *left -= 1;
        if fits(part.as_bytes(), entry.file_name().as_bytes()) {
            found.push(entry.path());
        }
    }
    found
}

/// Whether a path is one of those that a pattern of paths stands for, be it there or not.
pub(crate) fn stands_for(pattern: &str, path: &Path) -> bool {
    let mut parts = path.components().skip(1).map(|part| part.as_os_str().as_bytes());
    let mut patterns = pattern.split('/').filter(|part| !part.is_empty());
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if fits(pattern.as_bytes(), part) => {}
            (_, _) => return false,
        }
    }
}

/// Whether a name is one of those that a part of a pattern stands for. A dot at the beginning
/// must be written.
fn fits(part: &[u8], name: &[u8]) -> bool {
    (name.first() != Some(&b'.') || part.first() == Some(&b'.')) && matches(part, name)
}

fn matches(mut part: &[u8], mut name: &[u8]) -> bool {
    // Where to go on when what follows the latest star does not fit.
    let mut again: Option<(&[u8], &[u8])> = None;
    loop {
        let step = match (part.split_first(), name.split_first()) {
            (Some((b'*', rest)), _) => {
                again = Some((rest, name));
                part = rest;
                continue;
            }
            (None, None) => return true,
            (Some((b'?', rest)), Some((_, left))) => Some((rest, left)),
            (Some((b'[', rest)), Some((byte, left))) => match class(rest, *byte) {
                Some((true, rest)) => Some((rest, left)),
                Some((false, _)) => None,
                // Nothing closes it: it stands for itself.
                None => (*byte == b'[').then_some((rest, left)),
            },
            (Some((wanted, rest)), Some((byte, left))) => (wanted == byte).then_some((rest, left)),
            (Some(_), None) | (None, Some(_)) => None,
        };
        match step.or_else(|| {
            let (after, from) = again?;
            let from = from.get(1..)?;
            again = Some((after, from));
            Some((after, from))
        }) {
            Some(next) => (part, name) = next,
            None => return false,
        }
    }
}

/// Whether `[` and what follows it has a byte, and what comes after the `]`.
fn class(part: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let negated = matches!(part.first(), Some(b'!' | b'^'));
    let part = if negated { part.get(1..)? } else { part };
    let end = part.iter().skip(1).position(|byte| *byte == b']')? + 1;
    let (members, rest) = part.split_at(end);
    let mut found = false;
    let mut at = 0;
    while let Some(low) = members.get(at) {
        match (members.get(at + 1), members.get(at + 2)) {
            (Some(b'-'), Some(high)) => {
                found |= (*low..=*high).contains(&byte);
                at += 3;
            }
            _ => {
                found |= *low == byte;
                at += 1;
            }
        }
    }
    Some((found != negated, rest.get(1..)?))
}

/// The name of a file up to its first dot: what its rotated ones begin with, too.
pub(super) fn stem(name: &OsStr) -> &[u8] {
    let bytes = name.as_bytes();
    let end = bytes.iter().skip(1).position(|byte| *byte == b'.').map_or(bytes.len(), |dot| dot + 1);
    bytes.get(..end).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(part: &str, name: &str) -> bool {
        fits(part.as_bytes(), name.as_bytes())
    }

    #[test]
    fn names_fit_as_in_a_shell() {
        let good = [
            ("*", "a"),
            ("*.log", "x.log"),
            ("a*b*c", "a-b-b-c"),
            ("?", "x"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("[a", "[a"),
            (".*", ".x"),
            ("x-[0-9]*", "x-2024"),
            ("**", "x"),
        ];
        for (part, name) in good {
            assert!(fit(part, name), "{part} {name}");
        }
        let bad = [
            ("*", ".x"),
            ("*.log", "x.log.1"),
            ("?", "xy"),
            ("[a-c]", "d"),
            ("[!a]", "a"),
            ("a*b", "a-c"),
            ("", "x"),
        ];
        for (part, name) in bad {
            assert!(!fit(part, name), "{part} {name}");
        }
    }

    #[test]
    fn a_path_that_is_not_there_can_be_one_that_is_meant() {
        let fits = |path: &str| stands_for("/var/log/*/app.log", Path::new(path));
        assert!(fits("/var/log/shop/app.log"));
        assert!(
            !fits("/var/log/app.log") && !fits("/var/log/shop/x/app.log") && !fits("var/log/shop/app.log")
        );
    }

    #[test]
    fn many_stars_take_no_time() {
        assert!(!fit(&"a*".repeat(40), &("a".repeat(200) + "b").replace('b', "c").replace('a', "x")));
        assert!(!fit(&("*a".repeat(20) + "b"), &"a".repeat(250)));
    }

    #[test]
    fn paths_are_found_through_directories_and_compressed_files_are_not() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["one/a.log", "one/b.txt", "two/c.log", "two/d.log.gz", "two/.e.log"] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let found = expand(&format!("{}/*/*.log*", dir.path().display()));
        let names: Vec<_> = found.iter().map(|path| path.strip_prefix(dir.path()).unwrap()).collect();
        assert_eq!(names, [Path::new("one/a.log"), Path::new("two/c.log")]);
        assert_eq!(expand("/no/such/file"), [Path::new("/no/such/file")]);
        assert!(expand("/no/such/*").is_empty());
    }

    #[test]
    fn a_stem_ends_at_the_first_dot() {
        for (name, wanted) in
            [("app.log", "app"), ("syslog", "syslog"), (".hidden.log", ".hidden"), (".x", ".x")]
        {
            assert_eq!(stem(OsStr::new(name)), wanted.as_bytes());
        }
    }
}
