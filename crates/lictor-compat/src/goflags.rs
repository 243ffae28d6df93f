//! Flags as Go's programs read them: `-name`, `--name`, `-name=value`, `-name value`, and `-name=false`.

use thiserror::Error;

/// Flags that make no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FlagError {
    /// Only dashes, or no name.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// There is no such flag.
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    /// It needs a value, and nothing follows.
    #[error("flag needs an argument: -{0}")]
    NoValue(String),
    /// It cannot have this value.
    #[error("invalid value {value:?} for flag -{flag}: {why}")]
    Value {
        /// The flag.
        flag: String,
        /// What it was given.
        value: String,
        /// What is wrong with that.
        why: String,
    },
    /// It is neither true nor false.
    #[error("invalid boolean value {value:?} for -{flag}: it is neither true nor false")]
    Boolean {
        /// The flag.
        flag: String,
        /// What it was given.
        value: String,
    },
    /// Words that belong to no flag.
    #[error("cli: extra argument(s): {0:?}")]
    Extra(Vec<String>),
}

/// The arguments behind the name of a program, flag by flag.
pub(crate) struct Words<I> {
    rest: I,
}

impl<'a, I: Iterator<Item = &'a str>> Words<I> {
    pub(crate) fn new(arguments: I) -> Self {
        Self { rest: arguments }
    }

    /// The name of the next flag, and its value if that stands behind a `=`; `None` at the end.
    pub(crate) fn flag(&mut self) -> Result<Option<(&'a str, Option<&'a str>)>, FlagError> {
        let Some(argument) = self.rest.next() else { return Ok(None) };
        let Some(flag) = argument.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
            return Err(extra(std::iter::once(argument).chain(&mut self.rest)));
        };
        if flag == "-" {
            let mut rest = (&mut self.rest).peekable();
            return if rest.peek().is_none() { Ok(None) } else { Err(extra(rest)) };
        }
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        if flag.is_empty() || flag.starts_with(['-', '=']) {
            return Err(FlagError::Syntax(argument.to_owned()));
        }
        Ok(Some(match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        }))
    }

    /// The value of a flag that needs one: what stood behind its `=`, else the next word.
    pub(crate) fn value(&mut self, flag: &str, value: Option<&'a str>) -> Result<&'a str, FlagError> {
        value.or_else(|| self.rest.next()).ok_or_else(|| FlagError::NoValue(flag.to_owned()))
    }
}

fn extra<'a>(words: impl IntoIterator<Item = &'a str>) -> FlagError {
    FlagError::Extra(words.into_iter().map(str::to_owned).collect())
}

/// Yes without a value, or any of the words that Go reads.
pub(crate) fn boolean(flag: &str, value: Option<&str>) -> Result<bool, FlagError> {
    let Some(value) = value else { return Ok(true) };
    truth(value).ok_or_else(|| FlagError::Boolean { flag: flag.to_owned(), value: value.to_owned() })
}

/// What a word means that Go takes for true or false.
pub(crate) fn truth(word: &str) -> Option<bool> {
    match word {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}
