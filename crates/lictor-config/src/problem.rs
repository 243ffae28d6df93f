//! One mistake in a configuration, as it is shown.

use std::fmt;
use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use serde_json::{Value, json};

use crate::code::Code;
use crate::source::{Source, Span};

/// A mistake in a configuration, or something that deserves a warning: where it is, what
/// it is, and the way out. No secret is in it, nor in the lines of source that it shows.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What kind of mistake.
    pub code: Code,
    /// Whether it is only a warning.
    pub warning: bool,
    /// What is wrong, as a lowercase fragment.
    pub message: String,
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The way out.
    pub help: Option<String>,
    labels: Vec<LabeledSpan>,
    source: Option<Arc<NamedSource<String>>>,
}

impl Problem {
    /// The problem in one line: `FILE:LINE:COLUMN: MESSAGE (HELP) [CODE]`.
    pub fn one_line(&self) -> String {
        let Self { file, line, column, message, code, .. } = self;
        let help = self.help.as_ref().map_or_else(String::new, |help| format!(" ({help})"));
        format!("{file}:{line}:{column}: {message}{help} [{code}]")
    }

    /// The problem as JSON: `code`, `severity`, `message`, `file`, `line`, `column`, `help`.
    pub fn to_json(&self) -> Value {
        json!({
            "code": self.code.as_str(),
            "severity": if self.warning { "warning" } else { "error" },
            "message": self.message,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "help": self.help,
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(if self.warning { miette::Severity::Warning } else { miette::Severity::Error })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        // Where no excerpt says which file it is, something else must.
        let said = self.message.contains(&self.file)
            || self.help.as_ref().is_some_and(|help| help.contains(&self.file));
        if self.source.is_some() || said {
            return self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>);
        }
        let help = self.help.as_ref().map_or_else(String::new, |help| format!("{help}; "));
        Some(Box::new(format!("{help}in {}", self.file)))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source.as_ref() as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        (!self.labels.is_empty()).then(|| Box::new(self.labels.iter().cloned()) as Box<_>)
    }
}

/// A problem before its text is at hand.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    code: Code,
    warning: bool,
    message: String,
    span: Span,
    label: &'static str,
    help: Option<String>,
    also: Option<(Span, &'static str)>,
}

impl Draft {
    /// An error.
    pub(crate) fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, warning: false, message, span, label: "here", help: None, also: None }
    }

    /// A warning.
    pub(crate) fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { warning: true, ..Self::new(code, span, message) }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    pub(crate) fn help_if(self, help: Option<String>) -> Self {
        Self { help: help.or(self.help), ..self }
    }

    pub(crate) fn label(self, label: &'static str) -> Self {
        Self { label, ..self }
    }

    /// Names a second place; shown with the first, or in the help when it lies in
    /// another file.
    pub(crate) fn also(self, span: Span, label: &'static str) -> Self {
        Self { also: Some((span, label)), ..self }
    }

    pub(crate) fn is_warning(&self) -> bool {
        self.warning
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    pub(crate) fn span(&self) -> Span {
        self.span
    }

    /// The finished problem; `shown` is the text of its file without secrets.
    pub(crate) fn finish(self, sources: &[Source], shown: Option<Arc<NamedSource<String>>>) -> Problem {
        let Self { code, warning, message, span, label, mut help, also } = self;
        let at = |span: Span| {
            let source = sources.get(span.file);
            let (line, column) = source.map_or((1, 1), |source| source.place(span.start));
            (source.map_or("", |source| source.name.as_str()), line, column)
        };
        let (file, line, column) = at(span);
        let length = |span: Span| {
            let text = sources.get(span.file).and_then(|source| source.text.get(span.start..span.end));
            // A label over several lines hides more than it shows.
            text.map_or(0, |text| text.lines().next().unwrap_or_default().len())
        };
        let mut labels = vec![LabeledSpan::new(Some(label.to_owned()), span.start, length(span))];
        let empty = sources.get(span.file).is_none_or(|source| source.text.is_empty());
        if let Some((other, label)) = also {
            let (file, line, column) = at(other);
            if other.file == span.file {
                labels.push(LabeledSpan::new(Some(label.to_owned()), other.start, length(other)));
            }
            let place = format!("{label}: {file}:{line}:{column}");
            help = Some(help.map_or_else(|| place.clone(), |help| format!("{help}; {place}")));
        }
        let shows =
            !empty && labels.iter().all(|label| is_short_line(sources.get(span.file), label.offset()));
        if !shows {
            labels.clear();
        }
        if !shows && !empty {
            let place = format!("at {file}:{line}:{column}");
            help = Some(help.map_or_else(|| place.clone(), |help| format!("{help}; {place}")));
        }
        let source = shown.filter(|_| shows);
        Problem { code, warning, message, file: file.to_owned(), line, column, help, labels, source }
    }
}

/// The longest line of which an excerpt is shown, in bytes. A label far to the right of a
/// longer one cannot be seen anyway, and miette panics from column 65,536 on.
const SHOWN_LINE: usize = 2_000;

fn is_short_line(source: Option<&Source>, offset: usize) -> bool {
    let Some((before, after)) = source.and_then(|source| source.text.split_at_checked(offset)) else {
        return false;
    };
    let before = before.rsplit('\n').next().unwrap_or_default();
    let after = after.split('\n').next().unwrap_or_default();
    before.len() + after.len() <= SHOWN_LINE
}

#[cfg(test)]
mod tests {
    use crate::testing::{failure, shown};

    #[test]
    fn a_mistake_far_to_the_right_is_shown_without_its_line() {
        let text = format!("{}nonsense = 5\n", " ".repeat(100_000));
        let text = shown(&failure("x.hcl", &text));
        assert!(text.contains("at x.hcl:1:100001"), "{text}");
        assert!(text.len() < 2_000, "{}", text.len());
    }
}
