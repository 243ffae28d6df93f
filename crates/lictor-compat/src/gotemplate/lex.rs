//! Cutting a template into text and actions, and actions into tokens.

use super::Fault;

/// A piece of a template.
#[derive(Debug)]
pub(super) enum Segment {
    Text { at: usize, text: String },
    Action { at: usize, tokens: Vec<Token> },
}

/// A word or sign inside an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) at: usize,
    /// Whether blanks stand before it.
    pub(super) spaced: bool,
    pub(super) word: Word,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Name(String),
    Field(String),
    Variable(String),
    Text(String),
    Int(i64),
    Float(f64),
    Dot,
    Pipe,
    Open,
    Close,
    Comma,
    Declares,
    Assigns,
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

/// Cuts a template.
pub(super) fn cut(source: &str) -> Result<Vec<Segment>, Fault> {
    let mut segments = Vec::new();
    let mut rest = Reader { source, at: 0 };
    let mut trims = false;
    loop {
        let start = rest.at;
        let text = rest.until(OPEN);
        let opens = rest.take(OPEN);
        let at = rest.at - if opens { OPEN.len() } else { 0 };
        let trims_before = opens && rest.left().starts_with('-') && blank_at(rest.left(), 1);
        let mut shown = text;
        if trims {
            shown = shown.trim_start_matches(BLANKS);
        }
        if trims_before {
            shown = shown.trim_end_matches(BLANKS);
            rest.skip(1);
        }
        if !shown.is_empty() {
            segments.push(Segment::Text { at: start, text: shown.to_owned() });
        }
        if !opens {
            return Ok(segments);
        }
        let comment = rest.left().trim_start_matches(BLANKS);
        // A comment begins right behind the braces, or behind the sign that trims.
        if comment.starts_with("/*") && (trims_before || rest.left().starts_with("/*")) {
            trims = rest.comment(at)?;
            continue;
        }
        let (tokens, trims_after) = rest.action(at)?;
        trims = trims_after;
        segments.push(Segment::Action { at, tokens });
    }
}

fn blank_at(text: &str, place: usize) -> bool {
    text.get(place..).is_some_and(|rest| rest.starts_with(BLANKS))
}

struct Reader<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn left(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.left().starts_with(text);
        if found {
            self.skip(text.len());
        }
        found
    }

    /// What stands before `text`, or all.
    fn until(&mut self, text: &str) -> &'a str {
        let left = self.left();
        let end = left.find(text).unwrap_or(left.len());
        self.skip(end);
        left.get(..end).unwrap_or_default()
    }

    fn word(&mut self, fits: fn(char) -> bool) -> &'a str {
        let left = self.left();
        let end = left.find(|character| !fits(character)).unwrap_or(left.len());
        self.skip(end);
        left.get(..end).unwrap_or_default()
    }

    /// The end of an action: whether it trims what follows.
    fn closes(&mut self, spaced: bool) -> Option<bool> {
        if spaced && self.take("-}}") {
            return Some(true);
        }
        self.take(CLOSE).then_some(false)
    }

    fn comment(&mut self, at: usize) -> Result<bool, Fault> {
        self.word(|character| BLANKS.contains(&character));
        self.until("*/");
        if !self.take("*/") {
            return Err(Fault::new(at, "this comment does not end: `*/` is missing"));
        }
        let spaced = !self.word(|character| BLANKS.contains(&character)).is_empty();
        let trims = self.closes(spaced).filter(|trims| *trims || !spaced);
        trims.ok_or_else(|| Fault::new(at, "a comment must be alone in its braces"))
    }

    fn action(&mut self, at: usize) -> Result<(Vec<Token>, bool), Fault> {
        let mut tokens = Vec::new();
        loop {
            let spaced = !self.word(|character| BLANKS.contains(&character)).is_empty();
            if let Some(trims) = self.closes(spaced) {
                return Ok((tokens, trims));
            }
            let start = self.at;
            let Some(first) = self.left().chars().next() else {
                return Err(Fault::new(at, "this action does not end: `}}` is missing"));
            };
            let word = self.token(first)?;
            tokens.push(Token { at: start, spaced, word });
        }
    }

    fn token(&mut self, first: char) -> Result<Word, Fault> {
        let at = self.at;
        let second = self.left().chars().nth(1);
        let word = match first {
            '|' => self.sign(1, Word::Pipe),
            '(' => self.sign(1, Word::Open),
            ')' => self.sign(1, Word::Close),
            ',' => self.sign(1, Word::Comma),
            '=' => self.sign(1, Word::Assigns),
            ':' if second == Some('=') => self.sign(2, Word::Declares),
            '"' => Word::Text(self.quoted()?),
            '`' => Word::Text(self.raw()?),
            '\'' => Word::Int(self.character()?),
            '.' if !second.is_some_and(|next| next.is_ascii_digit()) => {
                self.skip(1);
                match self.word(is_letter) {
                    "" => Word::Dot,
                    name => Word::Field(self.terminated(at, name)?.to_owned()),
                }
            }
            '$' => {
                self.skip(1);
                let name = self.word(is_letter);
                Word::Variable(format!("${}", self.terminated(at, name)?))
            }
            '+' | '-' | '.' | '0'..='9' => self.number()?,
            letter if is_letter(letter) => {
                let name = self.word(is_letter);
                Word::Name(self.terminated(at, name)?.to_owned())
            }
            other => return Err(Fault::new(at, format!("`{other}` means nothing here"))),
        };
        Ok(word)
    }

    fn sign(&mut self, bytes: usize, word: Word) -> Word {
        self.skip(bytes);
        word
    }

    /// A name must not run into something else.
    fn terminated(&self, at: usize, name: &'a str) -> Result<&'a str, Fault> {
        let left = self.left();
        let ends = left.is_empty()
            || left.starts_with(BLANKS)
            || left.starts_with(['.', ',', '|', ':', '=', ')', '('])
            || left.starts_with(CLOSE);
        ends.then_some(name).ok_or_else(|| {
            let next = left.chars().next().unwrap_or_default();
            Fault::new(at, format!("`{name}` is followed by `{next}`, which belongs to no name"))
        })
    }

    fn number(&mut self) -> Result<Word, Fault> {
        let at = self.at;
        let mut length = 0;
        let left = self.left();
        let mut before = ' ';
        let unsigned = left.strip_prefix(['+', '-']).unwrap_or(left);
        let hex = unsigned.starts_with("0x") || unsigned.starts_with("0X");
        for character in left.chars() {
            let exponent = if hex { matches!(before, 'p' | 'P') } else { matches!(before, 'e' | 'E') };
            let sign = matches!(character, '+' | '-') && (length == 0 || exponent);
            if !sign && character != '.' && character != '_' && !character.is_ascii_alphanumeric() {
                break;
            }
            length += character.len_utf8();
            before = character;
        }
        self.skip(length);
        let text = left.get(..length).unwrap_or_default();
        number(text).ok_or_else(|| Fault::new(at, format!("`{text}` is no number that can be used here")))
    }

    fn raw(&mut self) -> Result<String, Fault> {
        let at = self.at;
        self.skip(1);
        let text = self.until("`").replace('\r', "");
        if self.take("`") {
            Ok(text)
        } else {
            Err(Fault::new(at, "this text does not end: a backtick is missing"))
        }
    }

    fn quoted(&mut self) -> Result<String, Fault> {
        let at = self.at;
        self.skip(1);
        let mut bytes = Vec::new();
        loop {
            let Some(character) = self.left().chars().next().filter(|next| *next != '\n') else {
                return Err(Fault::new(at, "this text does not end: `\"` is missing"));
            };
            match character {
                '"' => {
                    self.skip(1);
                    return String::from_utf8(bytes)
                        .map_err(|_error| Fault::new(at, "this text is not UTF-8"));
                }
                '\\' => self.escape('"', &mut bytes)?,
                other => {
                    self.skip(other.len_utf8());
                    bytes.extend(other.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
    }

    /// `'a'` is the number of the character.
    fn character(&mut self) -> Result<i64, Fault> {
        let at = self.at;
        let wrong = || Fault::new(at, "between `'` must be one character; text is written in `\"`");
        self.skip(1);
        let mut bytes = Vec::new();
        match self.left().chars().next().ok_or_else(wrong)? {
            '\'' | '\n' => return Err(wrong()),
            '\\' => self.escape('\'', &mut bytes)?,
            other => {
                self.skip(other.len_utf8());
                bytes.extend(other.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        if !self.take("'") {
            return Err(wrong());
        }
        match (std::str::from_utf8(&bytes).ok().and_then(|text| text.chars().next()), bytes.first()) {
            (Some(character), _) => Ok(i64::from(u32::from(character))),
            (None, Some(byte)) => Ok(i64::from(*byte)),
            (None, None) => Err(wrong()),
        }
    }

    /// What a backslash begins.
    fn escape(&mut self, quote: char, bytes: &mut Vec<u8>) -> Result<(), Fault> {
        let at = self.at;
        let wrong = |what: &str| Fault::new(at, format!("`\\{what}` is no escape"));
        self.skip(1);
        let kind = self.left().chars().next().ok_or_else(|| wrong(""))?;
        self.skip(kind.len_utf8());
        let simple = match kind {
            'a' => Some(7),
            'b' => Some(8),
            'f' => Some(12),
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            'v' => Some(11),
            '\\' => Some(b'\\'),
            _ if kind == quote => u8::try_from(kind).ok(),
            _ => None,
        };
        if let Some(byte) = simple {
            bytes.push(byte);
            return Ok(());
        }
        let (length, radix) = match kind {
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => {
                self.at -= 1;
                (3, 8)
            }
            other => return Err(wrong(&other.to_string())),
        };
        let digits =
            self.left().get(..length).filter(|digits| digits.chars().all(|digit| digit.is_digit(radix)));
        let number = digits.and_then(|digits| u32::from_str_radix(digits, radix).ok());
        let number = number.ok_or_else(|| wrong(&kind.to_string()))?;
        self.skip(length);
        if matches!(kind, 'u' | 'U') {
            let character = char::from_u32(number).ok_or_else(|| wrong(&kind.to_string()))?;
            bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            bytes.push(u8::try_from(number).map_err(|_error| wrong(&kind.to_string()))?);
        }
        Ok(())
    }
}

fn is_letter(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

/// A number as Go writes it; imaginary ones and hexadecimal fractions are not taken.
fn number(text: &str) -> Option<Word> {
    let (minus, digits) = match text.strip_prefix(['+', '-']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let plain = digits.replace('_', "").to_ascii_lowercase();
    let radix =
        |prefix: &str, radix: u32| plain.strip_prefix(prefix).map(|digits| (digits.to_owned(), radix));
    let octal =
        plain.strip_prefix('0').filter(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    let (digits, radix) = radix("0x", 16)
        .or_else(|| radix("0o", 8))
        .or_else(|| radix("0b", 2))
        .or_else(|| octal.map(|digits| (digits.to_owned(), 8)))
        .unwrap_or_else(|| (plain.clone(), 10));
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let sign = if minus { "-" } else { "" };
    if let Ok(whole) = i64::from_str_radix(&format!("{sign}{digits}"), radix) {
        return Some(Word::Int(whole));
    }
    let fraction =
        radix == 10 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'+' | b'-'));
    let value: f64 =
        format!("{sign}{digits}").parse().ok().filter(|value: &f64| fraction && value.is_finite())?;
    Some(Word::Float(value))
}
