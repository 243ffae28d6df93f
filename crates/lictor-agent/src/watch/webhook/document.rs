//! Any JSON document: the word in it that says how it is.

use std::time::Duration;

use lictor_core::{Sample, Span, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text::one_line;
use crate::watch::value::{self, Measured as _};

/// Of the word, characters that are kept.
const WORD: usize = 128;

/// What words mean.
pub(super) struct Words<'a> {
    pub(super) pointer: Option<&'a str>,
    pub(super) critical: &'a [String],
    pub(super) warning: &'a [String],
    pub(super) passing: &'a [String],
}

/// What was said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    status: String,
    summary: String,
    word: Option<String>,
}

impl Said {
    fn new(status: Status, summary: impl Into<String>, word: Option<String>) -> Self {
        Self { status: status.as_str().to_owned(), summary: summary.into(), word }
    }

    /// What follows from it, given when it expires and how long ago it was said.
    pub(super) fn sample(&self, expire: Option<(Duration, Duration)>) -> Sample {
        if let Some((limit, silent)) = expire.filter(|(limit, silent)| silent > limit) {
            let (limit, silent) = (Span(limit), Span(silent));
            let summary =
                format!("nobody has called for {silent}, more than {limit}; then: {}", self.summary);
            return Sample::new(Status::Unknown, summary);
        }
        let mut sample = Sample::new(self.status.parse().unwrap_or_default(), self.summary.clone());
        if let Some(word) = &self.word {
            sample.text(&value::STATUS, word.clone());
        }
        sample
    }
}

/// What a document says, and the lines in which patterns are looked for.
pub(super) fn read(words: &Words<'_>, lines: &[String], body: &[u8]) -> Result<(Said, Vec<String>), String> {
    let document: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let lines = if lines.is_empty() {
        vec![document.to_string()]
    } else {
        lines.iter().filter_map(|pointer| document.pointer(pointer).and_then(text)).collect()
    };
    let Some(pointer) = words.pointer else {
        return Ok((Said::new(Status::Passing, "called", None), lines));
    };
    let Some(word) = document.pointer(pointer).and_then(text) else {
        let why = format!("the document has neither a text nor a number at {pointer}");
        return Ok((Said::new(Status::Unknown, why, None), lines));
    };
    let means = |known: &[String]| known.contains(&word);
    let shown = one_line(&word, WORD);
    let said = |status| Said::new(status, format!("{pointer} says `{shown}`"), Some(shown.clone()));
    let said = if means(words.critical) {
        said(Status::Critical)
    } else if means(words.warning) {
        said(Status::Warning)
    } else if means(words.passing) {
        said(Status::Passing)
    } else {
        let why = format!("{pointer} says `{shown}`, which is none of the words that are known");
        Said::new(Status::Unknown, why, Some(shown))
    };
    Ok((said, lines))
}

/// A plain value as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
