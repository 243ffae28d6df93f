//! Output: data to stdout, everything else to stderr, colour only on a terminal.

use std::io::{IsTerminal as _, Write as _};

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

    /// Whether stderr is shown in colours.
    pub(crate) fn colours_err(&self) -> bool {
        self.err
    }

    /// Writes data. A reader that has left is no failure.
    pub(crate) fn data(text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        let written = out
            .write_all(text.as_bytes())
            .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
        match written.and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::Said(Exit::Failed)),
            Err(error) => Err(Failure::new(Exit::Failed, format!("cannot write to stdout: {error}"))),
            Ok(()) => Ok(()),
        }
    }

    /// Writes data as JSON.
    pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot show this as JSON: {error}")))?;
        Self::data(&text)
    }

    /// Says something to the person at the terminal.
    pub(crate) fn say(&self, text: &str) {
        // Nobody reads stderr: then nobody misses it.
        drop(writeln!(std::io::stderr().lock(), "{}", text.trim_end()));
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
            Err(_) => "0",
        };
        paint(self.out, colour, status)
    }

    /// A heading of data.
    pub(crate) fn heading(&self, text: &str) -> String {
        paint(self.out, "1", text)
    }
}

fn paint(colour: bool, code: &str, text: &str) -> String {
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// A table without rules, as wide as its content; the last column may be long.
pub(crate) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
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
