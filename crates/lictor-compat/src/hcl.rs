//! Writing configuration.

use std::time::Duration;

use crate::push;

/// A configuration that is being written.
#[derive(Default)]
pub(crate) struct Writer {
    text: String,
    depth: usize,
    /// Names and values that wait for being aligned, each with a comment behind it.
    pending: Vec<(String, String, &'static str)>,
}

impl Writer {
    pub(crate) fn comment(&mut self, text: &str) {
        self.flush();
        for line in text.lines() {
            self.line(&format!("# {line}"));
        }
    }

    pub(crate) fn blank(&mut self) {
        self.flush();
        if !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.pending.push((name.to_owned(), value.to_owned(), ""));
    }

    /// A value that opens something.
    pub(crate) fn secret(&mut self, name: &str, value: &str) {
        self.pending.push((name.to_owned(), quoted(value), " # SECRET"));
    }

    /// What is written already and opens something.
    pub(crate) fn secret_written(&mut self, name: &str, value: &str) {
        self.pending.push((name.to_owned(), value.to_owned(), " # SECRET"));
    }

    /// `set`, unless it is empty.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.set(name, &quoted(value));
        }
    }

    pub(crate) fn labels(&mut self, labels: &[(&str, String)]) {
        if !labels.is_empty() {
            let inner: Vec<_> = labels.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            self.set("labels", &format!("{{ {} }}", inner.join(", ")));
        }
    }

    pub(crate) fn block(&mut self, head: &str, body: impl FnOnce(&mut Self)) {
        self.flush();
        let start = self.text.len();
        self.line(&format!("{head} {{"));
        let inside = self.text.len();
        self.depth += 1;
        body(self);
        self.flush();
        self.depth -= 1;
        if self.text.len() == inside {
            self.text.truncate(start);
            self.line(&format!("{head} {{}}"));
        } else {
            self.line("}");
        }
        if self.depth == 0 {
            self.text.push('\n');
        }
    }

    pub(crate) fn end(mut self) -> String {
        self.flush();
        let end = self.text.trim_end().len();
        self.text.truncate(end);
        self.text.push('\n');
        self.text
    }

    fn line(&mut self, text: &str) {
        let indent = "  ".repeat(self.depth);
        self.text.push_str(&indent);
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let width = pending.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        for (name, value, after) in pending {
            self.line(&format!("{name:width$} = {value}{after}"));
        }
    }
}

/// A text in quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown = String::from("\"");
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => shown.push_str("\\\""),
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            '$' | '%' if characters.peek() == Some(&'{') => {
                shown.push(character);
                shown.push(character);
            }
            control if control.is_control() => {
                push(&mut shown, format_args!("\\u{:04x}", u32::from(control)));
            }
            other => shown.push(other),
        }
    }
    shown.push('"');
    shown
}

/// A list of what is written already.
pub(crate) fn list(values: &[String]) -> String {
    format!("[{}]", values.join(", "))
}

/// Exactly this text.
pub(crate) fn selector(text: &str) -> String {
    // Between two `/` it would be a pattern.
    if text.len() > 1 && text.starts_with('/') && text.ends_with('/') {
        return quoted(&format!("/^{}$/", regex::escape(text)));
    }
    quoted(text)
}

/// What a regular expression is found in.
pub(crate) fn pattern(expression: &str) -> String {
    let inner = if expression.is_empty() { "(?:)" } else { expression };
    quoted(&format!("/{inner}/"))
}

/// A duration, in the largest unit of which it has a whole number.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match (time.subsec_millis(), seconds) {
        (0, 0) => "0s".to_owned(),
        (0, _) if seconds.is_multiple_of(3_600) => format!("{}h", seconds / 3_600),
        (0, _) if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        (0, _) => format!("{seconds}s"),
        (_, _) => format!("{}ms", time.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_one_unit() {
        for (millis, shown) in [
            (0, "0s"),
            (250, "250ms"),
            (1_500, "1500ms"),
            (45_000, "45s"),
            (90_000, "90s"),
            (1_800_000, "30m"),
            (259_200_000, "72h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), shown);
        }
    }
}
