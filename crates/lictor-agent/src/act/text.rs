//! What a program or server said, made fit to be shown and kept: short, printable and
//! without secrets.

/// Secrets shorter than this are not looked for: they would be found everywhere.
const SHORTEST: usize = 6;

/// What stands in the place of a secret.
const MASK: &[u8] = b"***";

/// Finds secrets in text and takes them out.
#[derive(Clone, Default)]
pub(super) struct Redactor {
    /// Longest first, so that one that contains another is taken whole.
    secrets: Vec<Vec<u8>>,
}

impl Redactor {
    /// Looks for these values; those of fewer than 6 bytes are left out.
    pub(super) fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<Vec<u8>> =
            values.into_iter().map(String::into_bytes).filter(|value| value.len() >= SHORTEST).collect();
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        secrets.dedup();
        Self { secrets }
    }

    /// The length of the longest, bytes.
    pub(super) fn longest(&self) -> usize {
        self.secrets.first().map_or(0, Vec::len)
    }

    /// `text` from its byte `from` on, without secrets: neither one that began before
    /// `from` nor the beginning of one at the very end is left.
    pub(super) fn clean(&self, text: &[u8], from: usize) -> Vec<u8> {
        let mut clean = Vec::with_capacity(text.len().saturating_sub(from));
        let mut at = 0;
        while at < text.len() {
            let rest = text.get(at..).unwrap_or_default();
            let found = self.secrets.iter().find(|secret| rest.starts_with(secret)).map(Vec::len);
            let found = found.or_else(|| self.cut_off(rest));
            match found {
                Some(length) => {
                    at += length;
                    if at > from {
                        clean.extend_from_slice(MASK);
                    }
                }
                None => {
                    if at >= from {
                        clean.extend(rest.first());
                    }
                    at += 1;
                }
            }
        }
        clean
    }

    /// The length of `rest` when it is a secret that the end cut off.
    fn cut_off(&self, rest: &[u8]) -> Option<usize> {
        let begun = |secret: &Vec<u8>| rest.len() >= SHORTEST && secret.starts_with(rest);
        self.secrets.iter().any(begun).then_some(rest.len())
    }
}

/// Text for people: what is not UTF-8 is replaced, what could play tricks is escaped;
/// blanks at the end go.
pub(super) fn printable(bytes: &[u8]) -> String {
    crate::text::escaped(String::from_utf8_lossy(bytes).trim_end())
}

/// The last `most` bytes of a text at most, marked when something was cut.
pub(super) fn end_of(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mark = "\u{2026}";
    let from = text.ceil_char_boundary(text.len() - most.saturating_sub(mark.len()).min(text.len()));
    format!("{mark}{}", text.get(from..).unwrap_or_default())
}

/// The first `most` bytes of a text at most, marked when something was cut.
pub(super) fn start_of(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mark = "\u{2026}";
    let to = text.floor_char_boundary(most.saturating_sub(mark.len()));
    format!("{}{mark}", text.get(..to).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        Redactor::new(secrets.iter().map(|secret| (*secret).to_owned()))
    }

    fn clean(secrets: &[&str], text: &str, from: usize) -> String {
        String::from_utf8(redactor(secrets).clean(text.as_bytes(), from)).unwrap()
    }

    #[test]
    fn a_secret_is_taken_out_wherever_it_stands() {
        assert_eq!(clean(&["hunter2"], "a hunter2b hunter2", 0), "a ***b ***");
        assert_eq!(clean(&["hunter2", "hunter2-long"], "x hunter2-long", 0), "x ***");
        assert_eq!(clean(&["line1\nline2"], "line1\nline2\n", 0), "***\n");
    }

    #[test]
    fn a_secret_that_is_cut_shows_neither_its_end_nor_its_beginning() {
        assert_eq!(clean(&["hunter2"], "hunter2 tail", 3), "*** tail");
        assert_eq!(clean(&["hunter2"], "hunter2 tail", 7), " tail");
        assert_eq!(clean(&["hunter2"], "said hunter", 0), "said ***");
    }

    #[test]
    fn values_too_short_to_be_secrets_are_left_alone() {
        assert_eq!(clean(&["1", "true"], "1 is true", 0), "1 is true");
        assert_eq!(redactor(&["1", "true"]).longest(), 0);
    }

    #[test]
    fn what_could_play_tricks_on_a_terminal_is_escaped() {
        assert_eq!(printable(b"a\x1b[2Jb\x07\tc\r\nd\n\n"), "a\\u{1b}[2Jb\\u{7}\tc\\r\nd");
        assert_eq!(printable(b"\xff\xfe ok \x00"), "\u{fffd}\u{fffd} ok \\u{0}");
        assert_eq!(printable("\u{202e}gpj".as_bytes()), "\\u{202e}gpj");
    }

    #[test]
    fn a_cut_never_splits_a_character_and_is_marked() {
        assert_eq!(end_of("abcdef", 6), "abcdef");
        assert_eq!(end_of("abcdefg", 6), "\u{2026}efg");
        assert_eq!(start_of("abcdefg", 6), "abc\u{2026}");
        let wide = "\u{20ac}".repeat(5);
        for most in 3..15 {
            assert!(end_of(&wide, most).len() <= most);
            assert!(start_of(&wide, most).len() <= most);
        }
    }
}
