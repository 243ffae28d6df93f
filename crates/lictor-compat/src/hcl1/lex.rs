//! Cutting a text into tokens.

use std::str::Chars;

use super::{Place, SyntaxError};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Word(String),
    Text(String),
    Number(String),
    Assign,
    Colon,
    Comma,
    Open,
    Close,
    OpenList,
    CloseList,
    End,
}

pub(super) struct Lexer<'a> {
    rest: Chars<'a>,
    at: Place,
    json: bool,
}

/// The largest character of an escape that stands for one byte.
const LAST_OF_ONE_BYTE: u32 = 0x7f;

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, json: bool) -> Self {
        Self { rest: text.chars(), at: Place::START, json }
    }

    /// The next token and its place.
    pub(super) fn next(&mut self) -> Result<(Place, Token), SyntaxError> {
        self.skip_blanks()?;
        let at = self.at;
        let Some(first) = self.peek() else { return Ok((at, Token::End)) };
        let token = match first {
            '=' => Token::Assign,
            ',' => Token::Comma,
            '{' => Token::Open,
            '}' => Token::Close,
            '[' => Token::OpenList,
            ']' => Token::CloseList,
            ':' if self.json => Token::Colon,
            '"' => return self.text().map(|text| (at, Token::Text(text))),
            '<' => return self.here_document().map(|text| (at, Token::Text(text))),
            first if is_letter(first) => {
                let word = self.take(|_, next| is_letter(next) || next.is_numeric() || "-.".contains(next));
                return Ok((at, Token::Word(word)));
            }
            first if self.begins_number(first) => {
                let number = self.take(|last, next| {
                    next.is_alphanumeric()
                        || "._".contains(next)
                        || ("+-".contains(next) && matches!(last, None | Some('e' | 'E')))
                });
                return Ok((at, Token::Number(number)));
            }
            other => return self.wrong(format!("`{}` begins nothing here", other.escape_default())),
        };
        self.bump();
        Ok((at, token))
    }

    fn begins_number(&self, first: char) -> bool {
        let mut after = self.rest.clone().skip(1);
        let second = after.next();
        let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        match first {
            '-' => is_digit(second) || (second == Some('.') && is_digit(after.next())),
            '.' => is_digit(second),
            _ => first.is_ascii_digit(),
        }
    }

    fn skip_blanks(&mut self) -> Result<(), SyntaxError> {
        loop {
            let rest = self.rest.as_str();
            if rest.starts_with("/*") {
                // `/*/` does not end it.
                let Some(length) = rest.get(2..).and_then(|rest| rest.find("*/")) else {
                    return self.wrong("the comment does not end");
                };
                self.skip(length + 4);
            } else if rest.starts_with('#') || rest.starts_with("//") {
                self.skip(rest.find('\n').unwrap_or(rest.len()));
            } else if rest.starts_with(char::is_whitespace) {
                self.bump();
            } else {
                return Ok(());
            }
        }
    }

    /// What stands in quotes.
    fn text(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        let endless = || SyntaxError { at: start, why: "the text does not end".to_owned() };
        let mut text = String::new();
        // Between the braces of `${…}` everything stands for itself.
        let mut braces = 0_usize;
        self.bump();
        loop {
            let at = self.at;
            match self.bump().ok_or_else(endless)? {
                '"' if braces == 0 => return Ok(text),
                '\n' if braces == 0 => return Err(endless()),
                '\\' if braces == 0 => text.push(self.escape(at)?),
                '\\' => {
                    text.push('\\');
                    text.push(self.bump().ok_or_else(endless)?);
                }
                '$' if braces == 0 && self.peek() == Some('{') && !self.json => {
                    self.bump();
                    text.push_str("${");
                    braces = 1;
                }
                other => {
                    match other {
                        '{' if braces > 0 => braces += 1,
                        '}' => braces = braces.saturating_sub(1),
                        _ => {}
                    }
                    text.push(other);
                }
            }
        }
    }

    /// The character that an escape stands for, after its backslash.
    fn escape(&mut self, at: Place) -> Result<char, SyntaxError> {
        let wrong = |why: String| SyntaxError { at, why };
        let letter = self.bump();
        let code = match letter {
            Some('a') => 0x07,
            Some('b') => 0x08,
            Some('f') => 0x0c,
            Some('n') => return Ok('\n'),
            Some('r') => return Ok('\r'),
            Some('t') => return Ok('\t'),
            Some('v') => 0x0b,
            Some(same @ ('\\' | '"')) => return Ok(same),
            Some('/') if self.json => return Ok('/'),
            Some('u') => self.unicode()?,
            Some('U') => self.code(0, 16, 8)?,
            Some('x') => one_byte(self.code(0, 16, 2)?),
            Some(digit @ '0'..='7') => one_byte(self.code(digit.to_digit(8).unwrap_or(0), 8, 2)?),
            Some(other) => return Err(wrong(format!("`\\{}` is no escape", other.escape_default()))),
            None => return Err(wrong("the text does not end".to_owned())),
        };
        char::from_u32(code).ok_or_else(|| wrong("the escape is no character".to_owned()))
    }

    /// Four digits, or twice as many of which the first ones stand for half a character.
    fn unicode(&mut self) -> Result<u32, SyntaxError> {
        let high = self.code(0, 16, 4)?;
        let is_half = (0xd800..0xdc00).contains(&high);
        if !(is_half && self.json && self.rest.as_str().starts_with("\\u")) {
            return Ok(high);
        }
        self.skip(2);
        let low = self.code(0, 16, 4)?;
        let low = Some(low).filter(|low| (0xdc00..0xe000).contains(low));
        Ok(low.map_or(high, |low| 0x1_0000 + (high - 0xd800) * 0x400 + (low - 0xdc00)))
    }

    /// So many digits to the base, after what they begin with.
    fn code(&mut self, begin: u32, base: u32, digits: usize) -> Result<u32, SyntaxError> {
        let mut code = begin;
        for _ in 0..digits {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(base)) else {
                return self.wrong("the escape has too few digits");
            };
            self.bump();
            code = code.saturating_mul(base).saturating_add(digit);
        }
        Ok(code)
    }

    /// Lines until one that holds the name that stands behind `<<`.
    fn here_document(&mut self) -> Result<String, SyntaxError> {
        let start = self.at;
        let wrong = |why: String| SyntaxError { at: start, why };
        let no_name =
            || wrong("a here-document begins with `<<NAME` or `<<-NAME` and the end of the line".to_owned());
        let head = self.line();
        let name = head.strip_prefix("<<").ok_or_else(no_name)?.trim_end_matches(['\r', '\n']);
        let (name, indented) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
        if name.is_empty() || !name.chars().all(|c| is_letter(c) || c.is_numeric()) || !head.ends_with('\n') {
            return Err(no_name());
        }
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            if line.trim() == name {
                let indent: String = line.chars().take_while(|c| " \t".contains(*c)).collect();
                let all = lines.iter().all(|line: &&str| line.starts_with(&indent));
                let shown = |line: &str| line.strip_prefix(&indent).unwrap_or(line).to_owned();
                return Ok(if indented && all {
                    lines.into_iter().map(shown).collect()
                } else {
                    lines.concat()
                });
            }
            if !line.ends_with('\n') {
                return Err(wrong(format!("the here-document does not end: no line is `{name}`")));
            }
            lines.push(line);
        }
    }

    /// What is left of the line, and its end.
    fn line(&mut self) -> &'a str {
        let rest = self.rest.as_str();
        let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
        self.skip(length);
        rest.get(..length).unwrap_or(rest)
    }

    /// Characters as long as they go with the one before, of which the first has none.
    fn take(&mut self, goes: impl Fn(Option<char>, char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(next) = self.peek().filter(|next| goes(taken.chars().next_back(), *next)) {
            taken.push(next);
            self.bump();
        }
        taken
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        if next == '\n' {
            self.at = Place { line: self.at.line + 1, column: 1 };
        } else {
            self.at.column += 1;
        }
        Some(next)
    }

    /// Goes over so many bytes.
    fn skip(&mut self, bytes: usize) {
        let end = self.rest.as_str().len().saturating_sub(bytes);
        while self.rest.as_str().len() > end {
            self.bump();
        }
    }

    fn wrong<T>(&self, why: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError { at: self.at, why: why.into() })
    }
}

fn is_letter(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// The code, unless it stands for a byte that is no character by itself.
const fn one_byte(code: u32) -> u32 {
    if code <= LAST_OF_ONE_BYTE { code } else { u32::MAX }
}
