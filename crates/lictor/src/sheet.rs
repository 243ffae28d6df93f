//! Lists: as tables of text, and line by line in `lictor top`.

use crate::output::table_of;

/// A list with a heading for each column. Cells may have colours of [`crate::output::Terminal`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Sheet {
    pub(crate) header: Vec<String>,
    pub(crate) lines: Vec<Line>,
}

/// A line of a list.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) about: About,
    pub(crate) cells: Vec<String>,
    /// What else is to be known of it.
    pub(crate) more: Option<String>,
}

/// What a line is about, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Check(String),
    Incident(String),
    Remedy(String),
    Run(String),
    Service(String),
    /// All that there is to say of it is in the line.
    Itself(String),
}

impl Sheet {
    pub(crate) fn new<const N: usize>(
        header: [&str; N],
        lines: impl IntoIterator<Item = (About, [String; N])>,
    ) -> Self {
        let line = |(about, cells): (About, [String; N])| Line { about, cells: cells.into(), more: None };
        Self { header: header.map(str::to_owned).into(), lines: lines.into_iter().map(line).collect() }
    }

    /// As a table of text.
    pub(crate) fn text(self) -> String {
        table_of(self.header, self.lines.into_iter().map(|line| line.cells))
    }
}
