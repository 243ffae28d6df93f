//! The values of attributes by their types.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use lictor_core::Budget;
use regex::{Regex, RegexBuilder};
use url::Url;

use crate::code::Code;
use crate::model::Limit;
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::Kind;
use crate::source::Span;
use crate::syntax::tree::{Is, Text, Value};
use crate::units::{self, Written};

/// A compiled pattern may use at most this much memory, bytes.
const REGEX_SIZE: usize = 1 << 20;

/// Arguments by their place, and the groups of which they are what was captured.
type Captured = Vec<(usize, String)>;

/// A part of something: by hundredths, or by how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    Percent(u8),
    Number(u64),
}

impl Reader<'_> {
    fn error<T>(&self, code: Code, span: Span, message: impl Into<String>, help: &str) -> Option<T> {
        let draft = Draft::new(code, span, message);
        self.decoder.add(if help.is_empty() { draft } else { draft.help(help) });
        None
    }

    fn wrong<T>(&self, name: &str, value: &Value) -> Option<T> {
        self.mismatch(name, value);
        None
    }

    /// A text as it is.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.text_at(name).map(|text| text.is)
    }

    /// A text with its place; not empty.
    pub(crate) fn text_at(&self, name: &str) -> Option<Text> {
        let value = self.value(name)?;
        match &value.is {
            Is::Text(text) if text.is_empty() => {
                self.error(Code::Missing, value.span, format!("`{name}` is empty"), "")
            }
            Is::Text(text) => Some(Text { is: text.clone(), span: value.span }),
            _ => self.wrong(name, value),
        }
    }

    /// A text that may be empty.
    pub(crate) fn body_text(&self, name: &str) -> Option<String> {
        let value = self.value(name)?;
        if let Is::Text(text) = &value.is { Some(text.clone()) } else { self.wrong(name, value) }
    }

    /// True or false; the default if it is not set.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.flag_if(name).unwrap_or_else(|| self.default(name) == Some("true"))
    }

    /// True or false, if it is set.
    pub(crate) fn flag_if(&self, name: &str) -> Option<bool> {
        let value = self.value(name)?;
        if let Is::Flag(flag) = value.is { Some(flag) } else { self.wrong(name, value) }
    }

    /// A whole number, if it is set.
    pub(crate) fn whole(&self, name: &str) -> Option<u64> {
        let Kind::Whole(low, high) = self.attribute(name).kind else { return None };
        let default = || self.default(name).and_then(|text| text.parse().ok());
        let Some(value) = self.value(name) else { return default() };
        let Is::Number(number) = value.is else {
            self.mismatch(name, value);
            return default();
        };
        let Some(whole) = exact(number).filter(|whole| (low..=high).contains(whole)) else {
            let message = format!("`{name}` is a whole number from {low} to {high}, not {number}");
            self.error::<()>(Code::Range, value.span, message, "");
            return default();
        };
        Some(whole)
    }

    /// A whole number of at least one, if it is set.
    pub(crate) fn count(&self, name: &str) -> Option<NonZeroU32> {
        self.whole(name).and_then(|whole| u32::try_from(whole).ok()).and_then(NonZeroU32::new)
    }

    /// A whole number of at least one, with a default.
    pub(crate) fn count_or_default(&self, name: &str) -> NonZeroU32 {
        self.count(name).unwrap_or(NonZeroU32::MIN)
    }

    /// A duration with a default.
    pub(crate) fn duration(&self, name: &str) -> Duration {
        let default = || self.default(name).and_then(units::duration).unwrap_or_default();
        self.duration_if(name).unwrap_or_else(default)
    }

    /// A duration, if it is set.
    pub(crate) fn duration_if(&self, name: &str) -> Option<Duration> {
        let Kind::Duration(low, high) = self.attribute(name).kind else { return None };
        let value = self.value(name)?;
        let forms = "write a number and a unit, or several: 500ms, 10s, 5m, 2h, 7d, 1h 30m";
        let text = match &value.is {
            Is::Text(text) => text,
            Is::Number(number) => {
                let message = format!("`{name}` is a duration and needs a unit");
                return self.error(
                    Code::Duration,
                    value.span,
                    message,
                    &format!("write \"{number}s\" for seconds"),
                );
            }
            _ => return self.wrong(name, value),
        };
        if text.trim_start().starts_with('-') {
            return self.error(Code::Range, value.span, format!("`{name}` must not be negative"), "");
        }
        let Some(found) = units::duration(text) else {
            return self.error(Code::Duration, value.span, format!("`{text}` is not a duration"), forms);
        };
        if !(low..=high).contains(&found) {
            let (low, high, found) = (Written(low), Written(high), Written(found));
            let message = format!("`{name}` is between {low} and {high}, not {found}");
            return self.error(Code::Range, value.span, message, "");
        }
        Some(found)
    }

    /// A size in bytes, if it is set or has a default.
    pub(crate) fn size(&self, name: &str) -> Option<u64> {
        let Kind::Size(low, high) = self.attribute(name).kind else { return None };
        let default = || self.default(name).and_then(units::size);
        let Some(value) = self.value(name) else { return default() };
        let found = match &value.is {
            Is::Text(text) => units::size(text),
            Is::Number(number) => exact(*number),
            _ => return self.wrong(name, value),
        };
        match found {
            Some(found) if (low..=high).contains(&found) => Some(found),
            Some(found) => {
                let message = format!("`{name}` is between {low} and {high} bytes, not {found}");
                self.error(Code::Range, value.span, message, "")
            }
            None => {
                let help = "write bytes, or a number and one of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB";
                self.error(Code::Amount, value.span, format!("`{name}` is not a size"), help)
            }
        }
    }

    /// A percentage, if it is set or has a default.
    pub(crate) fn percent(&self, name: &str) -> Option<f64> {
        let default = || self.default(name).and_then(units::percent);
        let Some(value) = self.value(name) else { return default() };
        let found = match &value.is {
            Is::Text(text) => units::percent(text),
            Is::Number(number) => Some(*number),
            _ => return self.wrong(name, value),
        };
        match found {
            Some(found) if (0.0..=100.0).contains(&found) => Some(found),
            Some(found) => self.error(
                Code::Range,
                value.span,
                format!("`{name}` is between 0% and 100%, not {found}%"),
                "",
            ),
            None => {
                self.error(Code::Amount, value.span, format!("`{name}` is not a percentage"), "write \"85%\"")
            }
        }
    }

    /// `10%` or a number, if it is set or has a default: the number behind the sign, or the one without.
    pub(crate) fn share(&self, name: &str) -> Option<Share> {
        let default = || self.default(name).and_then(units::share).map(Share::Percent);
        let Some(value) = self.value(name) else { return default() };
        let help = "write whole hundredths such as \"10%\", or a number without quotes";
        match &value.is {
            Is::Text(text) => match units::share(text) {
                Some(share) => Some(Share::Percent(share)),
                None => self.error(Code::Amount, value.span, format!("`{text}` is not a share"), help),
            },
            Is::Number(number) => match exact(*number) {
                Some(whole) => Some(Share::Number(whole)),
                None => {
                    let message = format!("`{name}` is a whole number, not {number}");
                    self.error(Code::Range, value.span, message, help)
                }
            },
            _ => self.wrong(name, value),
        }
    }

    /// A number, if it is set or has a default.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        let Kind::Number(low, high) = self.attribute(name).kind else { return None };
        let Some(value) = self.value(name) else {
            return self.default(name).and_then(|text| text.parse().ok());
        };
        match value.is {
            Is::Number(number) if (low..=high).contains(&number) => Some(number),
            Is::Number(number) => {
                let message = format!("`{name}` is between {low} and {high}, not {number}");
                self.error(Code::Range, value.span, message, "")
            }
            _ => self.wrong(name, value),
        }
    }

    /// `> 90`, if it is set.
    pub(crate) fn comparison(&self, name: &str) -> Option<Limit> {
        let text = self.text_at(name)?;
        let Some((how, than)) = units::comparison(&text.is) else {
            let help = "write one of <, <=, ==, !=, >=, > and a number, such as \"> 90\"";
            let message = format!("`{}` is not a comparison", text.is);
            return self.error(Code::Amount, text.span, message, help);
        };
        Some(Limit { how, than })
    }

    /// One of a few words, if it is set or has a default.
    pub(crate) fn word(&self, name: &str) -> Option<&'static str> {
        let Kind::Word(words) = self.attribute(name).kind else { return None };
        let Some(value) = self.value(name) else { return self.default(name) };
        let text = match &value.is {
            Is::Text(text) => text.clone(),
            Is::Number(number) => number.to_string(),
            _ => return self.wrong(name, value),
        };
        let found = words.iter().find(|word| **word == text).copied();
        if found.is_none() {
            let draft = Draft::new(Code::Word, value.span, format!("`{name}` cannot be `{text}`"));
            self.decoder.add_near(draft, &text, words.iter().copied());
        }
        found
    }

    /// A path, absolute unless it is looked up.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        let text = self.text_at(name)?;
        let path = PathBuf::from(&text.is);
        if !path.is_absolute() {
            let message = format!("`{name}` must be an absolute path");
            return self.error(Code::Address, text.span, message, "begin it with `/`");
        }
        Some(path)
    }

    /// The path of a file that is read later: a warning if it does not exist now.
    pub(crate) fn file(&self, name: &str) -> Option<PathBuf> {
        let path = self.path(name)?;
        if self.decoder.env.is_missing(&path) {
            let message = format!("there is no file `{}` now", path.display());
            self.decoder.add(Draft::warning(Code::FileMissing, self.span(name), message));
        }
        Some(path)
    }

    /// A URL of http or https.
    pub(crate) fn http_url(&self, name: &str) -> Option<Url> {
        self.http_url_of(name, &self.text_at(name)?, "use `basic_auth` and a file for the password")
    }

    /// The same of a text that stands somewhere in an attribute; `instead` is what to do in place of a
    /// password in it.
    pub(crate) fn http_url_of(&self, name: &str, text: &Text, instead: &str) -> Option<Url> {
        let url = match Url::parse(&text.is) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                // `localhost:8080/x` is read as a scheme and a path.
                let help = format!("write http://{} or https://{}", text.is, text.is);
                let help = if text.is.contains("://") { "use http:// or https://" } else { &help };
                return self.error(
                    Code::Address,
                    text.span,
                    format!("`{name}` is not an http or https URL"),
                    help,
                );
            }
            Ok(url) => url,
            Err(url::ParseError::RelativeUrlWithoutBase) => {
                let help = format!("write http://{0} or https://{0}", text.is);
                return self.error(Code::Address, text.span, format!("`{name}` has no scheme"), &help);
            }
            Err(error) => {
                return self.error(Code::Address, text.span, format!("`{name}` is not a URL: {error}"), "");
            }
        };
        if url.password().is_some() {
            self.decoder.report.hide(text.span);
            return self.error(Code::Address, text.span, format!("`{name}` contains a password"), instead);
        }
        Some(url)
    }

    /// An IP address and port; `port` is used when none is written.
    pub(crate) fn address(&self, name: &str, port: u16) -> Option<SocketAddr> {
        let text = match self.value(name) {
            Some(_) => self.text_at(name)?,
            None => Text { is: self.default(name)?.to_owned(), span: self.head },
        };
        let bare = || {
            let trimmed = text.is.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            trimmed.unwrap_or(&text.is).parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port))
        };
        let localhost = || {
            let rest = text.is.strip_prefix("localhost")?;
            let port = if rest.is_empty() { Some(port) } else { rest.strip_prefix(':')?.parse().ok() };
            port.map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        };
        text.is.parse().ok().or_else(bare).or_else(localhost).or_else(|| {
            let help =
                format!("write an IP address and a port, such as \"127.0.0.1:{port}\" or \"[::1]:{port}\"");
            self.error(Code::Address, text.span, format!("`{}` is not an address", text.is), &help)
        })
    }

    /// A host name or address, and a port.
    pub(crate) fn host_port(&self, name: &str) -> Option<(String, u16)> {
        self.host_port_of(&self.text_at(name)?)
    }

    /// The same of a text that stands somewhere in an attribute.
    pub(crate) fn host_port_of(&self, text: &Text) -> Option<(String, u16)> {
        let (host, port) = text.is.rsplit_once(':').unwrap_or((&text.is, ""));
        let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let bracketed = plain.len() != host.len();
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/[]@?#".contains(c);
        let good = !plain.is_empty() && !plain.contains(odd) && (bracketed || !plain.contains(':'));
        match port.parse::<u16>().ok().filter(|port| *port > 0 && good) {
            Some(port) => Some((plain.to_owned(), port)),
            None => {
                let help = "write host:port, such as \"db.example:5432\" or \"[::1]:22\"";
                self.error(Code::Address, text.span, format!("`{}` is not host and port", text.is), help)
            }
        }
    }

    /// A regular expression.
    pub(crate) fn regex(&self, name: &str) -> Option<Regex> {
        let text = self.text_at(name)?;
        self.pattern(&text)
    }

    /// Compiles a pattern; a mistake is shown at its place within the pattern.
    pub(crate) fn pattern(&self, text: &Text) -> Option<Regex> {
        self.pattern_in(text, 0)
    }

    /// The same for a pattern that is part of a text in the file, so many bytes from its start.
    pub(crate) fn pattern_in(&self, text: &Text, from: usize) -> Option<Regex> {
        let place = |span: &regex_syntax::ast::Span| {
            self.decoder.inside(text.span, from + span.start.offset..from + span.end.offset)
        };
        let (why, span) = match regex_syntax::Parser::new().parse(&text.is) {
            Err(regex_syntax::Error::Parse(error)) => (error.kind().to_string(), place(error.span())),
            Err(regex_syntax::Error::Translate(error)) => (error.kind().to_string(), place(error.span())),
            Err(error) => (error.to_string(), text.span),
            Ok(_) => match RegexBuilder::new(&text.is).size_limit(REGEX_SIZE).build() {
                Ok(regex) => return Some(regex),
                Err(_) => ("the pattern is too large when compiled".to_owned(), text.span),
            },
        };
        self.error(Code::Regex, span, format!("not a regular expression: {why}"), "")
    }

    /// A list of texts; a single text is a list of one.
    pub(crate) fn texts(&self, name: &str) -> Vec<Text> {
        let Some(value) = self.value(name) else { return Vec::new() };
        let items = match &value.is {
            Is::List(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        let text = |item: &Value| match &item.is {
            Is::Text(text) => Some(Text { is: text.clone(), span: item.span }),
            _ => self.wrong(name, item),
        };
        items.iter().filter_map(text).collect()
    }

    /// Program and arguments.
    pub(crate) fn command(&self, name: &str) -> Option<Vec<String>> {
        let value = self.value(name)?;
        if let Is::Text(text) = &value.is {
            let words: Vec<String> = text.split_whitespace().map(|word| format!("{word:?}")).collect();
            let message =
                format!("`{name}` is a list of program and arguments: there is no shell to take it apart");
            return self.error(
                Code::WrongType,
                value.span,
                message,
                &format!("write [{}]", words.join(", ")),
            );
        }
        let Is::List(items) = &value.is else { return self.wrong(name, value) };
        let argv: Vec<Text> = self.texts(name);
        if argv.len() < items.len() {
            return None;
        }
        self.program(argv, value.span)
    }

    /// The same for an act: an argument may be what a line was captured as, `capture.NAME`.
    pub(crate) fn capturing_command(&self, name: &str) -> Option<(Vec<String>, Captured)> {
        let Some(Is::List(items)) = self.value(name).map(|value| &value.is) else {
            return Some((self.command(name)?, Vec::new()));
        };
        let mut groups = Vec::new();
        let mut argv = Vec::new();
        for (at, item) in items.iter().enumerate() {
            match &item.is {
                Is::Text(text) => argv.push(Text { is: text.clone(), span: item.span }),
                Is::Path(names) => {
                    let [root, group] = names.as_slice() else { return self.wrong(name, item) };
                    if root.is != "capture" {
                        return self.wrong(name, item);
                    }
                    if at == 0 {
                        let message = "the program cannot come from a line";
                        return self.error(Code::WrongType, item.span, message, "name a program");
                    }
                    self.decoder.captured.borrow_mut().push(group.clone());
                    groups.push((at, group.is.clone()));
                    argv.push(Text { is: String::new(), span: item.span });
                }
                _ => return self.wrong(name, item),
            }
        }
        Some((self.program(argv, self.span(name))?, groups))
    }

    fn program(&self, argv: Vec<Text>, span: Span) -> Option<Vec<String>> {
        let Some(program) = argv.first() else {
            return self.error(Code::Missing, span, "this list is empty", "name a program");
        };
        if program.is.is_empty() {
            return self.error(Code::Missing, program.span, "the program has no name", "");
        }
        if let Some(null) = argv.iter().find(|word| word.is.contains('\0')) {
            return self.error(Code::WrongType, null.span, "no argument can contain a zero byte", "");
        }
        let path = std::path::Path::new(&program.is);
        if path.is_absolute() && self.decoder.env.is_missing(path) {
            let message = format!("there is no program `{}` now", program.is);
            self.decoder.add(Draft::warning(Code::FileMissing, program.span, message));
        }
        Some(argv.into_iter().map(|word| word.is).collect())
    }

    /// Names and values, in the order in which they are written; names once each.
    pub(crate) fn entries(&self, name: &str) -> Vec<(&Text, &Value)> {
        let Some(value) = self.value(name) else { return Vec::new() };
        let Is::Map(entries) = &value.is else {
            self.mismatch(name, value);
            return Vec::new();
        };
        let mut firsts: BTreeMap<&str, Span> = BTreeMap::new();
        for (entry, _) in entries {
            if let Some(first) = firsts.insert(&entry.is, entry.span) {
                let message = format!("`{}` is set twice in `{name}`", entry.is);
                self.decoder.add(Draft::new(Code::Twice, entry.span, message).also(first, "first here"));
            }
        }
        entries.iter().map(|(name, value)| (name, value)).collect()
    }

    /// Names and patterns.
    pub(crate) fn patterns(&self, name: &str) -> Vec<(String, Regex)> {
        let pattern = |(key, value): (&Text, &Value)| match &value.is {
            Is::Text(text) => {
                let text = Text { is: text.clone(), span: value.span };
                self.pattern(&text).map(|regex| (key.is.clone(), regex))
            }
            _ => self.wrong(name, value),
        };
        self.entries(name).into_iter().filter_map(pattern).collect()
    }

    /// Statuses as inclusive ranges; the default if none is set.
    pub(crate) fn statuses(&self, name: &str) -> Vec<(u16, u16)> {
        let default = || self.default(name).and_then(units::statuses).into_iter().collect();
        let Some(value) = self.value(name) else { return default() };
        let items = match &value.is {
            Is::List(items) => items.as_slice(),
            _ => std::slice::from_ref(value),
        };
        if items.is_empty() {
            self.error::<()>(
                Code::Missing,
                value.span,
                format!("`{name}` is empty"),
                "name at least one status",
            );
        }
        let read = |item: &Value| {
            let found = match &item.is {
                Is::Text(text) => units::statuses(text),
                Is::Number(number) => units::statuses(&number.to_string()),
                _ => return self.wrong(name, item),
            };
            found.or_else(|| {
                let help = "write a status from 100 to 599, or a range such as \"200-299\" or \"2xx\"";
                self.error(Code::Amount, item.span, format!("`{name}` holds no status here"), help)
            })
        };
        items.iter().filter_map(read).collect()
    }

    /// `3 in 1h`, if it is set.
    pub(crate) fn budget(&self, name: &str) -> Option<Budget> {
        let text = self.text_at(name)?;
        let found = units::budget(&text.is);
        if found.is_none_or(|budget| budget.per > crate::schema::LONGEST) {
            let help = "write how many in which time, such as \"3 in 1h\"";
            return self.error(Code::Amount, text.span, format!("`{}` is not a budget", text.is), help);
        }
        found
    }
}

/// The number if it is whole and not negative, and small enough to be exact.
pub(crate) fn exact(number: f64) -> Option<u64> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    if !(0.0..=LIMIT).contains(&number) || number.fract() != 0.0 {
        return None;
    }
    format!("{number:.0}").parse().ok()
}
