//! The story of an incident as Markdown (CommonMark with the extensions that code hosts have): for tickets and reviews.
//! Nothing in it that a program has said is markup, a link or the name of anybody who would be notified.

use super::story::{Kind, Line, Story};

/// A story as a document.
pub(super) fn document(story: &Story, node: &str) -> String {
    let mut text = String::new();
    let mut put = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    put(&format!("# Incident {}: {}", story.id, plain(&story.check)));
    put("");
    put(&format!("- Node: {}", plain(node)));
    put(&format!("- Status: {} (at worst {})", story.status, story.worst));
    let until = story.closed.as_deref().unwrap_or("still open");
    put(&format!("- From {} until {until} ({})", story.opened, plain(&story.when)));
    put(&format!("- Said: {}", plain(&story.summary)));
    if story.escalated {
        put("- A person is needed");
    }
    if !story.told.is_empty() {
        put(&format!("- Who knows: {}", plain(&story.told.join(", "))));
    }
    for chapter in &story.chapters {
        put("");
        put(&format!("## {}", chapter.kind.title()));
        put("");
        for line in &chapter.lines {
            entry(line, chapter.kind, &mut put);
        }
    }
    if story.more {
        put("");
        put("More has happened than is told here.");
    }
    if let Some(why) = &story.why {
        put("");
        put("## Why");
        put("");
        block(why, "", &mut put);
    }
    text
}

fn entry(line: &Line, kind: Kind, put: &mut impl FnMut(&str)) {
    let mark = match (kind, line.entry.tone) {
        (_, "bad") => "**",
        _ => "",
    };
    put(&format!("- {} {mark}{}{mark}", line.entry.utc, plain(&line.entry.text)));
    if let Some(output) = &line.output {
        put("");
        block(output, "  ", put);
        put("");
    }
}

/// A block of text as it is; its fence is longer than any in it.
fn block(text: &str, indent: &str, put: &mut impl FnMut(&str)) {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    put(&format!("{indent}{fence}text"));
    for line in text.lines() {
        put(&format!("{indent}{line}"));
    }
    put(&format!("{indent}{fence}"));
}

/// A text in one line in which nothing is markup. A name after `@` would notify somebody, so that gets a character without
/// width; so does what would become a link.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut last = [' '; 3];
    for c in text.chars() {
        let c = if c.is_whitespace() { ' ' } else { c };
        let escapes =
            matches!(c, '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '#' | '+' | '!')
                || matches!(c, '|' | '~' | '&' | '$' | '^' | '=' | ':' | '@')
                || (c == '.' && last.iter().all(|c| c.eq_ignore_ascii_case(&'w')));
        if escapes {
            plain.push('\\');
        }
        plain.push(c);
        if c == '@' {
            plain.push_str("&#8203;");
        }
        last = [last[1], last[2], c];
    }
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_is_no_markup() {
        assert_eq!(plain("**b** <i> [x](y)"), r"\*\*b\*\* \<i\> \[x\](y)");
        assert_eq!(plain("http://a.b www.c.d"), r"http\://a.b www\.c.d");
        assert_eq!(plain("# a\n- b"), r"\# a - b");
        assert_eq!(plain("ask @all &amp;"), r"ask \@&#8203;all \&amp;");
    }

    #[test]
    fn a_fence_is_longer_than_any_inside() {
        let mut lines = Vec::new();
        block("a\n````\n# b", "  ", &mut |line: &str| lines.push(line.to_owned()));
        assert_eq!(lines, ["  `````text", "  a", "  ````", "  # b", "  `````"]);
    }
}
