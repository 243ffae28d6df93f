//! Output: data to stdout, everything else to stderr, colour only on a terminal.

use std::io::{IsTerminal as _, Write as _};

use lictor_agent::text::{escaped, hidden};
use lictor_core::Status;
use serde::Serialize;

use crate::exit::{Exit, Failure};

/// What stdout and stderr can show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    out: bool,
    err: bool,
}

/// How data is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: what the HTTP interface answers.
    Json,
}

impl Terminal {
    pub(crate) fn new(no_color: bool) -> Self {
        let wanted = !no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colour = |is_terminal: bool| wanted && !dumb && is_terminal;
        Self { out: colour(std::io::stdout().is_terminal()), err: colour(std::io::stderr().is_terminal()) }
    }

    /// One that has colours, for what is drawn with them.
    pub(crate) const fn painted() -> Self {
        Self { out: true, err: true }
    }

    /// Whether stdout is shown in colours.
    pub(crate) fn colours_out(&self) -> bool {
        self.out
    }

    /// Whether stderr is shown in colours.
    pub(crate) fn colours_err(&self) -> bool {
        self.err
    }

    /// Writes data. A reader that has left is no failure.
    pub(crate) fn data(text: &str) -> Result<(), Failure> {
        let mut text = fit(text);
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Self::write(&text)
    }

    fn write(text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::Said(Exit::Failed)),
            Err(error) => Err(Failure::new(Exit::Failed, format!("cannot write to stdout: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    /// Writes a part of a line of data, for whoever watches it become whole.
    pub(crate) fn part(text: &str) -> Result<(), Failure> {
        Self::write(&fit(text))
    }

    /// Writes data as JSON.
    pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
        Self::json_text(serde_json::to_string_pretty(value))
    }

    /// Writes data as JSON in one line.
    pub(crate) fn json_line(value: &impl Serialize) -> Result<(), Failure> {
        Self::json_text(serde_json::to_string(value))
    }

    fn json_text(text: serde_json::Result<String>) -> Result<(), Failure> {
        let text =
            text.map_err(|error| Failure::new(Exit::Failed, format!("cannot show this as JSON: {error}")))?;
        Self::data(&ascii_tricks(&text))
    }

    /// Says something to the person at the terminal.
    pub(crate) fn say(&self, text: &str) {
        // Nobody reads stderr: then nobody misses it.
        drop(writeln!(std::io::stderr().lock(), "{}", fit(text.trim_end())));
    }

    /// A problem with its place in the text.
    pub(crate) fn diagnostic(&self, problem: &lictor_config::Problem) -> String {
        let theme = if self.err { miette::GraphicalTheme::unicode() } else { miette::GraphicalTheme::none() };
        let handler = miette::GraphicalReportHandler::new_themed(theme).with_links(false);
        let mut text = String::new();
        match handler.render_report(&mut text, problem) {
            Ok(()) => text,
            Err(_unshown) => problem.to_string(),
        }
    }

    /// Every problem, then how many there are.
    pub(crate) fn diagnostics(&self, failure: &lictor_config::Failure) -> String {
        let mut shown: Vec<_> =
            failure.warnings.iter().chain(&failure.errors).map(|problem| self.diagnostic(problem)).collect();
        shown.push(format!("{} {failure}", self.bad("error:")));
        shown.join("\n")
    }

    pub(crate) fn strong(&self, text: &str) -> String {
        paint(self.err, "1", text)
    }

    pub(crate) fn bad(&self, text: &str) -> String {
        paint(self.err, "1;31", text)
    }

    pub(crate) fn good(&self, text: &str) -> String {
        paint(self.err, "1;32", text)
    }

    pub(crate) fn faint(&self, text: &str) -> String {
        paint(self.err, "2", text)
    }

    /// A word of data in the colour of a status.
    pub(crate) fn status(&self, status: &str) -> String {
        let colour = match status.parse() {
            Ok(Status::Passing) => "32",
            Ok(Status::Warning) => "33",
            Ok(Status::Critical) => "31",
            Ok(Status::Unknown) => "35",
            // The terminal's own. Like this every cell of a column, and its heading, have as
            // many characters that are not seen: else a table would not be straight.
            Err(_) => "39",
        };
        paint(self.out, colour, status)
    }

    /// A word of data that says whether something went well.
    pub(crate) fn verdict(&self, good: bool, text: &str) -> String {
        paint(self.out, if good { "32" } else { "31" }, text)
    }

    /// What must not be overlooked among data.
    pub(crate) fn alarm(&self, text: &str) -> String {
        paint(self.out, "1;31", text)
    }

    /// A heading of data.
    pub(crate) fn heading(&self, text: &str) -> String {
        paint(self.out, "1", text)
    }
}

/// A text without anything that plays tricks on a terminal; only colours are let through.
/// What an agent says has not even those: see [`crate::client::typed`].
fn fit(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\u{1b}') {
        let (before, escape) = rest.split_at(at);
        shown.push_str(&escaped(before));
        let end = escape.char_indices().skip(2).find(|(_, c)| !c.is_ascii_digit() && *c != ';');
        let colour = end.filter(|(_, c)| *c == 'm' && escape.starts_with("\u{1b}["));
        let (taken, after) = escape.split_at(colour.map_or(1, |(end, _)| end + 1));
        shown.push_str(&if colour.is_some() { taken.to_owned() } else { escaped(taken) });
        rest = after;
    }
    shown + &escaped(rest)
}

/// JSON in which what plays tricks on a terminal is written as `\uXXXX`: the same value.
pub(crate) fn ascii_tricks(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if hidden(c) && c != '\n' {
            let mut units = [0; 2];
            shown.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            shown.push(c);
        }
    }
    shown
}

fn paint(colour: bool, code: &str, text: &str) -> String {
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// A table without rules, as wide as its content; the last column may be long.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    table_of(header.map(str::to_owned), rows)
}

/// The same for rows of any length.
pub(crate) fn table_of<R: Into<comfy_table::Row>>(
    header: impl Into<comfy_table::Row>,
    rows: impl IntoIterator<Item = R>,
) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_reach_a_terminal() {
        let text = "\u{1b}[1;31mbad\u{1b}[0m \u{1b}[2J\u{1b}]0;title\u{7} \u{9b}2J \u{202e}a\n\tb\u{1b}";
        let shown = fit(text);
        assert_eq!(
            shown,
            "\u{1b}[1;31mbad\u{1b}[0m \\u{1b}[2J\\u{1b}]0;title\\u{7} \\u{9b}2J \\u{202e}a\n\tb\\u{1b}"
        );
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({ "said": "\u{1b}[2J\u{9b}\u{202e}\u{e0041}\u{7f}\n" });
        let shown = ascii_tricks(&serde_json::to_string_pretty(&value).unwrap());
        assert!(shown.chars().all(|c| c == '\n' || !hidden(c)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
