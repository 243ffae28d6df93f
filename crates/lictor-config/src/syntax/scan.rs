//! A first look at HCL text: where its statements end, and mistakes that the parser
//! would report far from where they were made, or not survive.

use std::ops::Range;

use crate::code::Code;
use crate::problem::Draft;
use crate::source::Span;

/// Brackets are nested at most so deep.
pub(crate) const DEPTH: usize = 64;
/// At most so many things stand in one pair of brackets.
pub(crate) const WIDTH: usize = 10_000;

/// What the first look found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The statements of the file: attributes and blocks outside of any other.
    pub(crate) statements: Vec<Range<usize>>,
    /// What is wrong already.
    pub(crate) problems: Vec<Draft>,
}

struct Bracket {
    at: usize,
    what: u8,
    indent: usize,
    things: usize,
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    file: usize,
    at: usize,
    open: Vec<Bracket>,
    /// The first closing brace that is indented otherwise than its partner's line.
    odd: Option<usize>,
    found: Scan,
}

/// Looks over a text.
pub(crate) fn scan(file: usize, text: &str) -> Scan {
    let found = Scan::default();
    let mut scanner =
        Scanner { text, bytes: text.as_bytes(), file, at: 0, open: Vec::new(), odd: None, found };
    scanner.run();
    let mut found = scanner.found;
    if found.problems.iter().any(|problem| problem.code() == Code::Open) {
        // A text left open swallows brackets: what they lack is its fault.
        found.problems.retain(|problem| problem.code() != Code::Bracket);
    }
    found
}

impl Scanner<'_> {
    fn run(&mut self) {
        let mut statement = 0;
        while let Some(byte) = self.peek(0) {
            let more = match byte {
                b'#' => self.line_comment(),
                b'/' if self.peek(1) == Some(b'/') => self.line_comment(),
                b'/' if self.peek(1) == Some(b'*') => self.comment(),
                b'"' => self.quoted(),
                b'<' if self.peek(1) == Some(b'<') => self.heredoc(),
                b'{' | b'[' | b'(' => self.opens(byte),
                b'}' | b']' | b')' => self.closes(byte),
                b',' | b'=' | b':' => self.separates(),
                _ => {
                    self.at += 1;
                    true
                }
            };
            if byte == b'\n' && self.open.is_empty() {
                self.found.statements.push(statement..self.at);
                statement = self.at;
            }
            if !more {
                self.found.statements.clear();
                return;
            }
        }
        self.found.statements.push(statement..self.bytes.len());
        self.unclosed(0);
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn problem(&mut self, code: Code, range: Range<usize>, message: impl Into<String>) -> Option<&mut Draft> {
        self.found.problems.push(Draft::new(code, Span::new(self.file, range), message));
        self.found.problems.last_mut()
    }

    fn line_comment(&mut self) -> bool {
        self.at = self.line_end(self.at);
        true
    }

    fn line_end(&self, from: usize) -> usize {
        let rest = self.bytes.get(from..).unwrap_or_default();
        rest.iter().position(|byte| *byte == b'\n').map_or(self.bytes.len(), |length| from + length)
    }

    fn comment(&mut self) -> bool {
        let from = self.at;
        let rest = self.text.get(from + 2..).unwrap_or_default();
        if let Some(length) = rest.find("*/") {
            self.at = from + 2 + length + 2;
            return true;
        }
        self.problem(Code::Open, from..from + 2, "this comment is never closed");
        self.at = self.bytes.len();
        false
    }

    fn quoted(&mut self) -> bool {
        let from = self.at;
        self.at += 1;
        let mut told = false;
        while let Some(byte) = self.peek(0) {
            match byte {
                b'"' => {
                    self.at += 1;
                    return true;
                }
                b'\n' => break,
                b'\\' if self.peek(1) != Some(b'\n') => self.at += 2,
                b'$' | b'%' if self.peek(1) == Some(byte) && self.peek(2) == Some(b'{') => self.at += 3,
                b'$' | b'%' if self.peek(1) == Some(b'{') => {
                    if !told {
                        self.interpolation();
                        told = true;
                    }
                    self.skip_template();
                }
                _ => self.at += 1,
            }
        }
        self.at = self.at.min(self.bytes.len());
        let draft = self.problem(Code::Open, from..self.at, "this text is not closed on its line");
        if let Some(draft) = draft {
            let help = "add the closing `\"`; longer texts stand between `<<END` and a line with `END`";
            *draft = draft.clone().help(help).label("it begins here");
        }
        true
    }

    fn interpolation(&mut self) {
        let shown: String = self.text.get(self.at..).unwrap_or_default().chars().take(2).collect();
        let doubled = shown.chars().take(1).chain(shown.chars()).collect::<String>();
        let draft = self.problem(
            Code::Interpolation,
            self.at..self.at + 2,
            format!("texts are not templates: `{shown}` would have no effect"),
        );
        if let Some(draft) = draft {
            *draft = draft.clone().help(format!("write `{doubled}` to mean the characters themselves"));
        }
    }

    /// Passes over `${ … }` up to its end or that of the line, with the texts in it.
    fn skip_template(&mut self) {
        let mut depth = 0_usize;
        let mut inner = false;
        while let Some(byte) = self.peek(0).filter(|byte| *byte != b'\n') {
            match byte {
                b'\\' => self.at += 1,
                b'"' => inner = !inner,
                b'{' if !inner => depth += 1,
                b'}' if !inner => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 && byte == b'}' && !inner {
                return;
            }
        }
    }

    /// `<<WORD` or `<<-WORD` up to a line that holds only the word.
    fn heredoc(&mut self) -> bool {
        let from = self.at;
        let line = self.text.get(from + 2..self.line_end(from)).unwrap_or_default();
        let word = line.trim_start_matches('-').trim();
        if word.is_empty() || !word.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
            self.at += 2;
            return true;
        }
        let mut told = false;
        let mut at = self.line_end(from);
        while at < self.bytes.len() {
            let end = self.line_end(at + 1);
            let line = self.text.get(at + 1..end).unwrap_or_default();
            if line.trim() == word {
                self.at = end;
                return true;
            }
            if !told && let Some(offset) = template_mark(line) {
                self.at = at + 1 + offset;
                self.interpolation();
                told = true;
            }
            at = end;
        }
        let message = format!("this text is never closed: no line holds only `{word}`");
        self.problem(Code::Open, from..from + 2 + line.trim_end().len(), message);
        self.at = self.bytes.len();
        false
    }

    fn opens(&mut self, what: u8) -> bool {
        self.count();
        if self.open.len() == DEPTH {
            let message = format!("brackets are nested more than {DEPTH} deep");
            self.problem(Code::Limit, self.at..self.at + 1, message);
            return false;
        }
        let indent = self.indent(self.at);
        self.open.push(Bracket { at: self.at, what, indent, things: 0 });
        self.at += 1;
        true
    }

    /// The width of the white space that begins the line of that place.
    fn indent(&self, at: usize) -> usize {
        let before = self.bytes.get(..at).unwrap_or_default();
        let line = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let rest = self.bytes.get(line..).unwrap_or_default();
        rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
    }

    fn closes(&mut self, what: u8) -> bool {
        let partner = match what {
            b'}' => b'{',
            b']' => b'[',
            _ => b'(',
        };
        let Some(depth) = self.open.iter().rposition(|bracket| bracket.what == partner) else {
            let shown = char::from(what);
            self.problem(Code::Bracket, self.at..self.at + 1, format!("this `{shown}` closes nothing"));
            self.at += 1;
            return true;
        };
        self.unclosed(depth + 1);
        if let Some(bracket) = self.open.pop() {
            let indent = self.indent(self.at);
            let first = self.text.get(..self.at).is_some_and(|before| {
                before.rsplit('\n').next().is_some_and(|line| line.chars().all(char::is_whitespace))
            });
            if first && indent != bracket.indent && self.odd.is_none() {
                self.odd = Some(bracket.at);
            }
        }
        self.at += 1;
        true
    }

    /// Reports the outermost bracket above `depth` that is still open, and forgets them.
    fn unclosed(&mut self, depth: usize) {
        let Some(bracket) = self.open.get(depth) else { return };
        // A brace whose partner is indented otherwise is the likelier culprit.
        let at = self.odd.filter(|odd| *odd > bracket.at).unwrap_or(bracket.at);
        let shown = char::from(self.bytes.get(at).copied().unwrap_or(bracket.what));
        self.open.truncate(depth);
        let message = if at == self.odd.unwrap_or(usize::MAX) {
            format!("this `{shown}` seems to lack its closing bracket")
        } else {
            format!("this `{shown}` is never closed")
        };
        self.problem(Code::Bracket, at..at + 1, message);
    }

    fn separates(&mut self) -> bool {
        let fits = self.count();
        self.at += 1;
        fits
    }

    fn count(&mut self) -> bool {
        let Some(bracket) = self.open.last_mut() else { return true };
        bracket.things += 1;
        let (at, fits) = (bracket.at, bracket.things <= WIDTH);
        if !fits {
            let message = format!("more than {WIDTH} things between this bracket and its partner");
            self.problem(Code::Limit, at..at + 1, message);
        }
        fits
    }
}

/// Where a line of a heredoc begins a template.
fn template_mark(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if matches!(byte, b'$' | b'%') {
            if bytes.get(at + 1) == Some(byte) && bytes.get(at + 2) == Some(&b'{') {
                at += 2;
            } else if bytes.get(at + 1) == Some(&b'{') {
                return Some(at);
            }
        }
        at += 1;
    }
    None
}
