//! As much of Python as an init script needs: names, texts and signs, each with its line.

use thiserror::Error;

/// A part of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

/// What a part is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name or a number.
    Word(String),
    /// A text.
    Text(String),
    /// A text with values put in.
    Formatted,
    /// Any other character.
    Sign(char),
}

/// A program that ends within a text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: a text that begins here does not end")]
pub(super) struct Unended {
    /// Where the text begins.
    pub(super) line: usize,
}

/// Takes a program apart. Comments and the ends of lines are left out.
pub(super) fn tokens(program: &str) -> Result<Vec<Token>, Unended> {
    let mut reader = Reader { rest: program, line: 1 };
    let mut found = Vec::new();
    while let Some(token) = reader.next()? {
        found.push(token);
    }
    Ok(found)
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Option<Token>, Unended> {
        loop {
            let Some(first) = self.rest.chars().next() else { return Ok(None) };
            if first == '#' {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.skip(end);
            } else if first.is_whitespace() || first == '\\' {
                self.skip(first.len_utf8());
            } else {
                break;
            }
        }
        let line = self.line;
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let end = self.rest.find(|letter| !is_word(letter)).unwrap_or(self.rest.len());
        let (word, behind) = self.rest.split_at(end);
        let prefix = word.to_lowercase();
        let opens = behind.starts_with(['"', '\'']);
        let kind = if opens && prefix.len() <= 2 && prefix.chars().all(|letter| "rubf".contains(letter)) {
            self.skip(end);
            let text = self.text(prefix.contains('r'))?;
            if prefix.contains('f') { Kind::Formatted } else { Kind::Text(text) }
        } else if end > 0 {
            let word = word.to_owned();
            self.skip(end);
            Kind::Word(word)
        } else {
            let sign = self.rest.chars().next().unwrap_or_default();
            self.skip(sign.len_utf8());
            Kind::Sign(sign)
        };
        Ok(Some(Token { line, kind }))
    }

    /// A text from its opening quote on.
    fn text(&mut self, raw: bool) -> Result<String, Unended> {
        let line = self.line;
        let quote = self.rest.chars().next().unwrap_or_default();
        let triple = quote.to_string().repeat(3);
        let is_long = self.rest.starts_with(&triple);
        let end = if is_long { triple } else { quote.to_string() };
        self.skip(end.len());
        let mut text = String::new();
        loop {
            if self.rest.starts_with(&end) {
                self.skip(end.len());
                return Ok(text);
            }
            let Some(letter) = self.rest.chars().next() else { return Err(Unended { line }) };
            if letter == '\n' && !is_long {
                return Err(Unended { line });
            }
            self.skip(letter.len_utf8());
            if letter != '\\' {
                text.push(letter);
                continue;
            }
            let Some(next) = self.rest.chars().next() else { return Err(Unended { line }) };
            self.skip(next.len_utf8());
            match next {
                _ if raw => text.extend(['\\', next]),
                '\n' => {}
                'n' => text.push('\n'),
                't' => text.push('\t'),
                '\\' | '\'' | '"' => text.push(next),
                other => text.extend(['\\', other]),
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        self.line += passed.matches('\n').count();
        self.rest = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_taken_apart() {
        let program = "# process(\nx.f(a='b', # c\n  u\"d\\n\", r'\\e', '''g\n'h''', f'{i}')";
        let shown: Vec<String> = tokens(program)
            .unwrap()
            .into_iter()
            .map(|token| match token.kind {
                Kind::Word(word) => format!("{}:{word}", token.line),
                Kind::Text(text) => format!("{}:{text:?}", token.line),
                Kind::Formatted => format!("{}:formatted", token.line),
                Kind::Sign(sign) => sign.to_string(),
            })
            .collect();
        assert_eq!(
            shown.join(" "),
            r#"2:x . 2:f ( 2:a = 2:"b" , 3:"d\n" , 3:"\\e" , 3:"g\n'h" , 4:formatted )"#
        );
        assert_eq!(tokens("a\n'b\n"), Err(Unended { line: 2 }));
        assert_eq!(tokens("a\n'''b\n"), Err(Unended { line: 2 }));
    }
}
