//! What programs and servers said, made fit to be shown. The page, the terminal, the log
//! and what is kept of an output all use these.

use std::fmt::Write as _;

/// A text with control characters and those that reverse or hide text written as escapes,
/// except line breaks and tabs.
pub fn escaped(text: &str) -> String {
    shown(text.chars(), |c| hidden(c) && c != '\n' && c != '\t')
}

/// A text in one line without any of those, and of at most `limit` characters of the
/// original; `…` shows that there was more.
pub fn visible(text: &str, limit: usize) -> String {
    let text = text.trim_end();
    match text.char_indices().nth(limit) {
        Some((end, _)) => shown(text.get(..end).unwrap_or_default().chars(), hidden) + "…",
        None => shown(text.chars(), hidden),
    }
}

/// As [`visible`], but with a blank for each break, and each run of blanks: for lists and
/// logs.
pub fn one_line(text: &str, limit: usize) -> String {
    visible(&text.split_whitespace().collect::<Vec<_>>().join(" "), limit)
}

fn shown(text: impl Iterator<Item = char>, escape: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.size_hint().0);
    for c in text {
        if escape(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// Control characters (C0, DEL and C1), and the format characters of Unicode's "Trojan
/// source" set: bidirectional overrides and isolates, zero-width and line separators, tags.
pub fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Bytes in hexadecimal digits, two each.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown_escaped() {
        assert_eq!(visible("a\u{1b}[2Jb\0\r\nc", 99), r"a\u{1b}[2Jb\u{0}\r\nc");
        assert_eq!(visible("\u{202e}cod.exe\u{200b}", 99), r"\u{202e}cod.exe\u{200b}");
        assert_eq!(visible("\u{9b}2J", 99), r"\u{9b}2J");
        assert_eq!(visible("grün <b>", 99), "grün <b>");
        assert_eq!(visible("trailing\n", 99), "trailing");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(visible("ééé", 2), "éé…");
        assert_eq!(visible("éé", 2), "éé");
    }

    #[test]
    fn where_lines_are_wanted_they_stay() {
        assert_eq!(escaped("a\n\tb\r\u{1b}"), "a\n\tb\\r\\u{1b}");
        assert_eq!(one_line("a\n\n  b\u{1b}\n", 99), r"a b\u{1b}");
    }
}
