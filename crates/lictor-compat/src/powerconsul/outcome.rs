//! What a check puts out: one line of JSON.

use serde_json::{Map, Value};

use super::pyjson::dumps;

/// Longest line, bytes: Consul keeps the last 4 KiB of an output, and half a line would say nothing.
const LONGEST: usize = 4_000;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is as expected.
    Passing,
    /// Something is not as it should be.
    Warning,
    /// It is not as expected.
    Critical,
    /// It cannot be told. Consul has no word for that and shows a warning; triggers leave it alone.
    Unknown,
}

/// The line of a check.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What it came to.
    pub verdict: Verdict,
    /// Whether the resource should run; `None` if that cannot be told.
    pub expects: Option<bool>,
    /// Whether something is agreed on about the service.
    pub clustered: bool,
    /// What was looked at, and what there is to say of it.
    pub members: Map<String, Value>,
}

impl Verdict {
    /// The exit status.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Passing => 0,
            Self::Warning | Self::Unknown => 1,
            Self::Critical => 2,
        }
    }

    /// The word in the line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }
}

impl Outcome {
    /// The line. Where it would be too long for Consul, what there is to say is cut, and what it came to stays.
    #[must_use]
    pub fn line(&self) -> String {
        let mut room = LONGEST;
        let mut line = self.line_with(&self.members);
        while line.len() > LONGEST && room > 0 {
            room /= 2;
            let members = self.members.iter().map(|(name, value)| (name.clone(), shortened(value, room)));
            line = self.line_with(&members.collect());
        }
        line
    }

    fn line_with(&self, members: &Map<String, Value>) -> String {
        let mut members = members.clone();
        members.insert("code".to_owned(), self.verdict.code().into());
        members.insert("state".to_owned(), self.verdict.as_str().into());
        members.insert("expects".to_owned(), self.expects.into());
        members.insert("clustered".to_owned(), self.clustered.into());
        dumps(&Value::Object(members))
    }
}

/// The same with texts of at most so many characters, and lists of at most so many members.
fn shortened(value: &Value, room: usize) -> Value {
    match value {
        Value::String(text) if text.chars().count() > room => {
            Value::String(text.chars().take(room).chain("...".chars()).collect())
        }
        Value::Array(items) => items.iter().take(room).map(|item| shortened(item, room)).collect(),
        other => other.clone(),
    }
}

/// Whether what a check put out says that it could not tell, in a line of [`Outcome`] whose code is no success.
#[must_use]
pub fn says_unknown(output: &str) -> bool {
    output.lines().any(|line| {
        let value: Result<Value, _> = serde_json::from_str(line.trim());
        let is = |value: &Value, name: &str, wanted: Value| value.get(name) == Some(&wanted);
        let failed = |value: &Value| is(value, "code", 1.into()) || is(value, "code", 2.into());
        value.is_ok_and(|value| is(&value, "state", "unknown".into()) && failed(&value))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(verdict: Verdict, expects: Option<bool>) -> Outcome {
        let members = json!({ "type": "service", "service": "apache2" });
        let Value::Object(members) = members else { panic!("it is one") };
        Outcome { verdict, expects, clustered: false, members }
    }

    #[test]
    fn the_line_has_the_old_members() {
        assert_eq!(
            outcome(Verdict::Passing, Some(true)).line(),
            r#"{"clustered": false, "code": 0, "expects": true, "service": "apache2", "state": "passing", "type": "service"}"#
        );
    }

    #[test]
    fn what_a_check_came_to_fits_into_what_consul_keeps_of_its_output() {
        let mut long = outcome(Verdict::Unknown, None);
        let texts: Vec<Value> = (0..500).map(|number| format!("ü{number}").repeat(50).into()).collect();
        for (name, value) in [("error", "x".repeat(1 << 20).into()), ("remarks", Value::from(texts))] {
            long.members.insert(name.to_owned(), value);
        }
        let line = long.line();
        assert!(line.len() <= LONGEST && says_unknown(&line), "{} bytes: {line}", line.len());
        assert!(line.contains(r#""service": "apache2""#) && line.contains(r#""error": "xxx"#), "{line}");
        let kept = outcome(Verdict::Critical, Some(true));
        assert!(!kept.line().contains("..."));
    }

    #[test]
    fn bug_13_a_check_that_cannot_tell_says_so() {
        let line = outcome(Verdict::Unknown, None).line();
        assert!(says_unknown(&line) && says_unknown(&format!("Host must match!\n{line}\n")));
        assert_eq!(Verdict::Unknown.code(), 1);
        // As `lictor service check` ends where its arguments make no sense.
        assert!(says_unknown(&line.replace("\"code\": 1", "\"code\": 2")));
        for known in
            ["", "HTTP GET: 500", r#"{"state": "unknown"}"#, &outcome(Verdict::Warning, Some(true)).line()]
        {
            assert!(!says_unknown(known), "{known}");
        }
    }
}
