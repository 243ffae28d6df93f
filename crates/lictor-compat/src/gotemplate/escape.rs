//! How values are made harmless for the places where they stand in a page.

use crate::push;
/// What takes the place of a value that could do harm where it stands.
const HARMLESS: &str = "ZgotmplZ";

/// Between tags, and in quotes as the value of an attribute.
pub(super) fn html(text: &str) -> String {
    references(text, false)
}

/// As the value of an attribute without quotes.
pub(super) fn unquoted(text: &str) -> String {
    if text.is_empty() { HARMLESS.to_owned() } else { references(text, true) }
}

fn references(text: &str, blanks: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        let special = match character {
            '"' | '\'' | '+' => true,
            '\t' | '\n' | '\x0b' | '\x0c' | '\r' | ' ' | '=' | '`' => blanks,
            _ => false,
        };
        match character {
            '\0' => escaped.push_str(if blanks { "&#xfffd;" } else { "\u{fffd}" }),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            _ if special => push(&mut escaped, format_args!("&#{};", u32::from(character))),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// As a part of a style: words, numbers and colours, nothing that loads or ends anything.
pub(super) fn style(text: &str) -> String {
    let unsafe_character = |character: char| {
        matches!(
            character,
            '\0' | '"' | '\'' | '(' | ')' | '/' | ';' | '@' | '[' | '\\' | ']' | '`' | '{' | '}' | '<' | '>'
        )
    };
    let word = |character: &char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    let words: String = text.chars().filter(word).collect::<String>().to_ascii_lowercase();
    let harmful = text.contains(unsafe_character)
        || text.contains("--")
        || words.contains("expression")
        || words.contains("mozbinding");
    if harmful { HARMLESS.to_owned() } else { text.to_owned() }
}

/// As the beginning of an address: none that is a program.
pub(super) fn address_start(text: &str) -> String {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| !scheme.contains('/'));
    let safe =
        |scheme: &str| ["http", "https", "mailto"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if scheme.is_none_or(safe) { text.to_owned() } else { format!("#{HARMLESS}") }
}

/// As a part of an address that may have signs of its own.
pub(super) fn address(text: &str) -> String {
    percent(text, true)
}

/// As a part of an address that has a meaning only as a whole.
pub(super) fn query(text: &str) -> String {
    percent(text, false)
}

fn percent(text: &str, keeps_signs: bool) -> String {
    let bytes = text.as_bytes();
    let mut escaped = String::with_capacity(text.len());
    for (place, byte) in bytes.iter().enumerate() {
        let hex = |offset: usize| bytes.get(place + offset).is_some_and(u8::is_ascii_hexdigit);
        let kept = match byte {
            b'-' | b'.' | b'_' | b'~' => true,
            b'!' | b'#' | b'$' | b'&' | b'*' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@'
            | b'[' | b']' => keeps_signs,
            b'%' => keeps_signs && hex(1) && hex(2),
            _ => byte.is_ascii_alphanumeric(),
        };
        if kept {
            escaped.push(char::from(*byte));
        } else {
            push(&mut escaped, format_args!("%{byte:02x}"));
        }
    }
    escaped
}

/// As the name of an attribute: none that means anything special.
pub(super) fn name(text: &str, plain: impl Fn(&str) -> bool) -> String {
    let lower = text.to_ascii_lowercase();
    let harmless =
        lower.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !lower.is_empty() && plain(&lower);
    if harmless { lower } else { HARMLESS.to_owned() }
}
