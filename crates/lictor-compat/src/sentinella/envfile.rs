//! Files of `NAME=value` lines, as systemd reads them for `EnvironmentFile=`.

use std::collections::BTreeMap;

/// The variables of a file; of one that stands there twice, the last.
///
/// As systemd does it: comments begin with `#` or `;`, values may be quoted in part or whole, a
/// backslash takes the next character as it is (within double quotes only what a shell would), one at
/// the end of a line joins it with the next, and a line without `=` is nothing. `export ` before a
/// name, which systemd does not know, is left out.
pub fn variables(text: &str) -> BTreeMap<String, String> {
    let mut reading = Reading::default();
    for c in text.chars() {
        reading.take(c);
    }
    reading.end();
    reading.found
}

#[derive(Default)]
struct Reading {
    found: BTreeMap<String, String>,
    at: At,
    name: String,
    value: String,
    /// The length up to which the end of the value is not blanks that mean nothing.
    kept: usize,
}

#[derive(Clone, Copy, Default)]
enum At {
    #[default]
    Line,
    Comment,
    CommentEscape,
    Name,
    /// Before a value, or between its quoted parts.
    Value,
    Plain,
    PlainEscape,
    Single,
    Double,
    DoubleEscape,
}

impl Reading {
    fn take(&mut self, c: char) {
        let line_ends = matches!(c, '\n' | '\r');
        self.at = match self.at {
            At::Line => match c {
                '#' | ';' => At::Comment,
                _ if c.is_ascii_whitespace() => At::Line,
                _ => {
                    self.name.push(c);
                    At::Name
                }
            },
            At::Comment | At::CommentEscape if line_ends => At::Line,
            At::Comment if c == '\\' => At::CommentEscape,
            At::Comment | At::CommentEscape => At::Comment,
            At::Name if line_ends => {
                self.name.clear();
                At::Line
            }
            At::Name if c == '=' => At::Value,
            At::Name => {
                self.name.push(c);
                At::Name
            }
            At::Value | At::Plain if line_ends => {
                self.end();
                At::Line
            }
            At::Value => match c {
                '\'' => At::Single,
                '"' => At::Double,
                '\\' => At::PlainEscape,
                _ if c.is_ascii_whitespace() => At::Value,
                _ => self.keep(c, At::Plain),
            },
            At::Plain => match c {
                '\\' => At::PlainEscape,
                _ if c.is_ascii_whitespace() => {
                    self.value.push(c);
                    At::Plain
                }
                _ => self.keep(c, At::Plain),
            },
            At::PlainEscape if c == '\n' => At::Plain,
            At::PlainEscape => self.keep(c, At::Plain),
            At::Single if c == '\'' => At::Value,
            At::Single => self.keep(c, At::Single),
            At::Double => match c {
                '"' => At::Value,
                '\\' => At::DoubleEscape,
                _ => self.keep(c, At::Double),
            },
            At::DoubleEscape if c == '\n' => At::Double,
            At::DoubleEscape => {
                if !matches!(c, '"' | '\\' | '`' | '$') {
                    self.value.push('\\');
                }
                self.keep(c, At::Double)
            }
        };
    }

    fn keep(&mut self, c: char, then: At) -> At {
        self.value.push(c);
        self.kept = self.value.len();
        then
    }

    /// The value is whole.
    fn end(&mut self) {
        let (name, mut value) = (std::mem::take(&mut self.name), std::mem::take(&mut self.value));
        value.truncate(std::mem::take(&mut self.kept));
        if matches!(self.at, At::Line | At::Comment | At::CommentEscape | At::Name) {
            return;
        }
        let name = name.trim();
        let name = name.strip_prefix("export ").map_or(name, str::trim_start);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.is_empty() && name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
            self.found.insert(name.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::variables;

    fn read(text: &str) -> Vec<(String, String)> {
        variables(text).into_iter().collect()
    }

    #[track_caller]
    fn check(text: &str, wanted: &[(&str, &str)]) {
        let wanted: Vec<_> =
            wanted.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(read(text), wanted, "{text:?}");
    }

    #[test]
    fn lines_are_names_and_values() {
        check("A=1\nB = two words \n\nC=\n", &[("A", "1"), ("B", "two words"), ("C", "")]);
        check("A=1\r\nB=2", &[("A", "1"), ("B", "2")]);
        check("A=1\nA=2", &[("A", "2")]);
        check("export A=1", &[("A", "1")]);
    }

    #[test]
    fn quotes_hold_a_value_together() {
        check("A=\"x y \"\nB=' #z'\nC=\"a\"'b'", &[("A", "x y "), ("B", " #z"), ("C", "ab")]);
        check("A=\"1\\\"2\\\\3\\n\"", &[("A", "1\"2\\3\\n")]);
        check("A='1\\2'", &[("A", "1\\2")]);
        check("A=it's", &[("A", "it's")]);
        check("URLS=\"http://a/\nhttp://b/\"", &[("URLS", "http://a/\nhttp://b/")]);
    }

    #[test]
    fn a_backslash_joins_lines() {
        check("A=1 \\\n2\nB=3", &[("A", "1 2"), ("B", "3")]);
        // As systemd has it since version 254.
        check("# no \\\nA=1\nB=2", &[("A", "1"), ("B", "2")]);
    }

    #[test]
    fn comments_and_lines_of_nothing_are_left_out() {
        check("# A=1\n; B=2\n C=3 # no comment\nnothing\n1X=2\nA B=2\n", &[("C", "3 # no comment")]);
        check("A", &[]);
        check("A=\"open", &[("A", "open")]);
    }
}
