//! Text in the colours of [`crate::output::Terminal`], for a screen.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// A line of text. What is no colour of ours is left out: it cannot come from an agent, whose texts are escaped.
pub(super) fn line(text: &str) -> Line<'static> {
    let mut spans = Vec::new();
    let mut style = Style::default();
    for (index, part) in text.split("\u{1b}[").enumerate() {
        let shown = match part.split_once('m') {
            Some((code, rest)) if index > 0 => {
                style = styled(code);
                rest
            }
            _ => part,
        };
        if !shown.is_empty() {
            spans.push(Span::styled(shown.to_owned(), style));
        }
    }
    Line::from(spans)
}

fn styled(code: &str) -> Style {
    code.split(';').fold(Style::default(), |style, part| match part {
        "1" => style.add_modifier(Modifier::BOLD),
        "31" => style.fg(Color::Red),
        "32" => style.fg(Color::Green),
        "33" => style.fg(Color::Yellow),
        "35" => style.fg(Color::Magenta),
        _ => style,
    })
}

/// The text alone.
pub(super) fn plain(text: &str) -> String {
    line(text).spans.iter().map(|span| span.content.as_ref()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_styles_and_nothing_else_is_lost() {
        let shown = line("a \u{1b}[1;31mbad\u{1b}[0m one");
        assert_eq!(shown.spans.len(), 3);
        assert_eq!(shown.spans[1].style, Style::default().fg(Color::Red).add_modifier(Modifier::BOLD));
        assert_eq!(plain("a \u{1b}[1;31mbad\u{1b}[0m one"), "a bad one");
        assert_eq!(plain(r"\u{1b}[2Jm"), r"\u{1b}[2Jm");
    }
}
