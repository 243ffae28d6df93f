//! `SHA256SUMS`: lines of a sum in hexadecimal digits, blanks and a name.

use sha2::{Digest, Sha256};

/// A SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sums(pub(super) [u8; 32]);

impl Sums {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// What is wrong with the sums.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumsError {
    /// A line is not what a line is.
    #[error("line {line} of `SHA256SUMS` is not a sum and a name")]
    Line {
        /// Which one, counted from 1.
        line: usize,
    },
    /// A file is listed that does not belong there.
    #[error("`SHA256SUMS` lists {name:?}, which does not belong into a snapshot")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// The content is not what the sum was made of: the file is damaged.
    #[error("the sum of `{name}` is wrong: it is not what was saved")]
    Wrong {
        /// The file's name.
        name: &'static str,
    },
    /// A file is not listed.
    #[error("`SHA256SUMS` does not list `{name}`")]
    Unlisted {
        /// The file's name.
        name: &'static str,
    },
}

/// Checks what is listed against what was read. A member that is not there has the sum of nothing; one that
/// was not read to its end is not checked.
pub(super) fn check(
    listed: Option<&[u8]>,
    meta: Option<&Sums>,
    state: Option<Option<&Sums>>,
) -> Result<(), SumsError> {
    let nothing = Sums::of(&[]);
    let mut files = [
        ("meta.json", Some(meta.unwrap_or(&nothing)), false),
        ("state.bin", state.unwrap_or(Some(&nothing)), false),
    ];
    for (at, line) in lines(listed.unwrap_or_default()).enumerate() {
        let (sum, name) = read(line).ok_or(SumsError::Line { line: at + 1 })?;
        let file = files.iter_mut().find(|(known, ..)| known.as_bytes() == name);
        let Some((name, found, seen)) = file else {
            return Err(SumsError::Unknown { name: String::from_utf8_lossy(name).into_owned() });
        };
        if found.is_some_and(|found| found.0 != sum) {
            return Err(SumsError::Wrong { name });
        }
        *seen = true;
    }
    match files.iter().find(|(.., seen)| !seen) {
        Some((name, ..)) => Err(SumsError::Unlisted { name }),
        None => Ok(()),
    }
}

/// Lines without their ends; what follows the last end is one only if there is something.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|byte| *byte == b'\n').filter({
        let empty = bytes.is_empty();
        move |_| !empty
    })
}

fn read(line: &[u8]) -> Option<([u8; 32], &[u8])> {
    let (digits, rest) = line.split_at_checked(64)?;
    let name = rest.strip_prefix(b" ")?.trim_ascii();
    if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
        return None;
    }
    let mut sum = [0; 32];
    for (byte, pair) in sum.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().try_fold(0, |byte, digit| Some(byte << 4 | hex(*digit)?))?;
    }
    Some((sum, name))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(lines: &[(&Sums, &str)]) -> Vec<u8> {
        let hex = |sum: &Sums| sum.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        lines.iter().map(|(sum, name)| format!("{}  {name}\n", hex(sum))).collect::<String>().into_bytes()
    }

    #[test]
    fn the_order_of_the_lines_does_not_matter() {
        let (meta, state) = (Sums::of(b"meta"), Sums::of(b"state"));
        for lines in
            [[(&meta, "meta.json"), (&state, "state.bin")], [(&state, "state.bin"), (&meta, "meta.json")]]
        {
            assert_eq!(check(Some(&list(&lines)), Some(&meta), Some(Some(&state))), Ok(()));
        }
    }

    #[test]
    fn each_fault_is_told_by_its_file() {
        let (meta, state) = (Sums::of(b"meta"), Sums::of(b"state"));
        let check = |bytes: &[u8]| check(Some(bytes), Some(&meta), Some(Some(&state))).unwrap_err();
        let both = [(&meta, "meta.json"), (&meta, "state.bin")];
        assert_eq!(check(&list(&both)), SumsError::Wrong { name: "state.bin" });
        assert_eq!(check(&list(&both[..1])), SumsError::Unlisted { name: "state.bin" });
        assert_eq!(check(b""), SumsError::Unlisted { name: "meta.json" });
        assert_eq!(check(&list(&[(&meta, "x")])), SumsError::Unknown { name: "x".to_owned() });
        assert_eq!(check(b"abc  meta.json\n"), SumsError::Line { line: 1 });
        assert_eq!(check(b"\n"), SumsError::Line { line: 1 });
    }
}
