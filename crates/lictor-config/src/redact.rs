//! The text of a file as it may be shown beside a mistake.

use crate::source::{Source, Span};

/// What a name is anywhere in the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Only an attribute that never holds a secret.
    Plain,
    /// A block.
    Block,
    /// Anything else.
    Other,
}

/// The text with an asterisk in place of every byte that must not be shown; lines and
/// offsets stay. Of a file that could not be read to its end (`broken`) nobody knows what
/// is secret, so nothing is shown there but names, labels and what is no text.
pub(crate) fn redacted(
    source: &Source,
    file: usize,
    hidden: &[Span],
    broken: bool,
    known: fn(&str) -> Known,
) -> String {
    let mut bytes = source.text.clone().into_bytes();
    for span in hidden.iter().filter(|span| span.file == file) {
        let quoted = source.text.get(span.start..span.end).is_some_and(|text| text.starts_with('"'));
        let edge = usize::from(quoted);
        cover(&mut bytes, span.start + edge, span.end.saturating_sub(edge));
    }
    if broken {
        let mut at = 0;
        let mut heredoc: Option<String> = None;
        for line in source.text.split_inclusive('\n') {
            match &heredoc {
                Some(end) if line.trim() == end => heredoc = None,
                Some(_) => cover(&mut bytes, at, at + line.len()),
                None => {
                    cover_line(&mut bytes, line, at, known);
                    heredoc = heredoc_end(line);
                }
            }
            at += line.len();
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn cover(bytes: &mut [u8], start: usize, end: usize) {
    for byte in bytes.get_mut(start..end).unwrap_or_default() {
        if !matches!(byte, b'\n' | b'\r') {
            *byte = b'*';
        }
    }
}

/// The word that ends a text that begins on this line as `<<WORD`.
fn heredoc_end(line: &str) -> Option<String> {
    let (_, word) = line.rsplit_once("<<")?;
    let word = word.trim_start_matches('-').trim();
    let is_word = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    is_word.then(|| word.to_owned())
}

/// Covers the texts of one line, judged by this line alone: a text left open further up
/// must not turn the rest inside out.
fn cover_line(bytes: &mut [u8], mut line: &str, mut at: usize, known: fn(&str) -> Known) {
    while let Some(inner) = cover_part(bytes, line, at, known) {
        // What follows a brace is judged like a line of its own.
        at += inner;
        line = line.get(inner..).unwrap_or_default();
    }
}

/// Covers a line up to its first opening brace, and says where what follows that begins.
fn cover_part(bytes: &mut [u8], line: &str, at: usize, known: fn(&str) -> Known) -> Option<usize> {
    let (name, rest) = first_name(line);
    let assigns = rest.trim_start().starts_with(['=', ':']);
    let is = name.map(known);
    if is == Some(Known::Other) && !assigns {
        // Perhaps no name at all but the middle of a text.
        cover(bytes, at, at + line.len());
        return None;
    }
    if is == Some(Known::Other) || (is == Some(Known::Block) && assigns && !rest.contains('{')) {
        // A secret, or a name that is misspelt: nothing after it is shown.
        let value = rest.len() - rest.trim_start_matches([' ', '\t', '=', ':']).len();
        cover(bytes, at + line.len() - rest.len() + value, at + line.len());
        return None;
    }
    let mut labels = is == Some(Known::Block);
    let mut open: Option<usize> = None;
    let mut escaped = false;
    for (offset, byte) in line.bytes().enumerate() {
        match (byte, open) {
            (b'"', None) => open = Some(offset + 1),
            (b'"', Some(start)) if !escaped => {
                let after = line.get(offset + 1..).unwrap_or_default().trim_start();
                if !labels && !after.starts_with(':') {
                    cover(bytes, at + start, at + offset);
                }
                open = None;
            }
            (b'{', None) => return Some(offset + 1),
            (b'=' | b':' | b'[' | b'(' | b',', None) => labels = false,
            _ => {}
        }
        escaped = byte == b'\\' && open.is_some() && !escaped;
    }
    if let Some(start) = open {
        cover(bytes, at + start, at + line.len());
    }
    None
}

/// The name a line begins with, in quotes or not, and what follows it.
fn first_name(line: &str) -> (Option<&str>, &str) {
    let text = line.trim_start();
    if let Some((name, rest)) = text.strip_prefix('"').and_then(|text| text.split_once('"')) {
        return if rest.trim_start().starts_with([':', '=']) { (Some(name), rest) } else { (None, text) };
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (Some(name).filter(|name| !name.is_empty()), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str) -> String {
        let source = Source::new("x.hcl", text);
        redacted(&source, 0, &[], true, |name| match name {
            "url" | "every" => Known::Plain,
            "watch" | "http" => Known::Block,
            _ => Known::Other,
        })
    }

    #[test]
    fn what_is_marked_is_covered_and_nothing_moves() {
        let source = Source::new("x.hcl", "a = \"geheim\" b = geheim\n");
        let hidden = [Span::new(0, 4..12), Span::new(0, 17..23), Span::new(1, 0..3)];
        let shown = redacted(&source, 0, &hidden, false, |_| Known::Plain);
        assert_eq!(shown, "a = \"******\" b = ******\n");
    }

    #[test]
    fn of_a_broken_file_only_what_cannot_be_a_secret_is_shown() {
        assert_eq!(broken("watch \"http\" \"shop\" {\n"), "watch \"http\" \"shop\" {\n");
        assert_eq!(broken("  token = hunter2\n"), "  token = *******\n");
        assert_eq!(broken("  token hunter2\n"), "***************\n");
        assert_eq!(broken("  token \"hunter2\"\n"), "*****************\n");
        assert_eq!(broken("hunter2\n"), "*******\n");
        assert_eq!(broken("  tokn = \"hunter2\"\n"), "  tokn = *********\n");
        assert_eq!(broken("every = 5 url = \"hunter2\""), "every = 5 url = \"*******\"");
        assert_eq!(broken("url = \"hunter2\n"), "url = \"*******\n");
        assert_eq!(broken("http { token = hunter2 }"), "http { token = *********");
        assert_eq!(broken("http = hunter2"), "http = *******");
        assert_eq!(broken("{\"token\": \"hunter2\"}"), "{\"token\": **********");
        assert_eq!(broken("{\"http\": {\"url\": \"hunter2\"}}"), "{\"http\": {\"url\": \"*******\"}}");
        assert_eq!(broken("\"token\": \"hunter2\","), "\"token\": **********");
        assert_eq!(broken("  \"hunter\\\"2\",\n"), "  \"*********\",\n");
        assert_eq!(broken("url = <<END\nhunter2\nEND\nevery = 5"), "url = <<END\n*******\nEND\nevery = 5");
    }
}
