//! The line protocol of InfluxDB.

use std::fmt::Write as _;

use lictor_core::Status;
use lictor_core::alert::{Item, Message, label};

/// A point for each alert: what it is about as tags, how it stands as fields, and the time of the
/// message, milliseconds. The same message written twice is the same points.
pub(super) fn points(measurement: &str, message: &Message) -> String {
    message.items.iter().map(|item| point(measurement, message, item) + "\n").collect()
}

fn point(measurement: &str, message: &Message, item: &Item) -> String {
    let mut line = escaped(measurement, ", ");
    let tags = [
        ("check", item.label(label::CHECK)),
        ("cluster", &message.cluster),
        ("datacenter", item.label(label::DATACENTER)),
        ("key", item.key.as_str()),
        ("node", item.label(label::NODE)),
        ("service", item.label(label::SERVICE)),
    ];
    for (name, value) in tags {
        // A tag cannot be empty.
        if !value.is_empty() {
            write!(line, ",{name}={}", escaped(value, ",= ")).ok();
        }
    }
    let level = match item.status {
        Status::Passing => 0,
        Status::Warning => 1,
        Status::Critical => 2,
        Status::Unknown => 3,
    };
    let texts = [
        ("status", item.status.as_str()),
        ("tells", item.tells.as_str()),
        ("incident", &item.incident),
        ("output", item.output.trim_end()),
        ("notes", item.notes.trim_end()),
    ];
    write!(line, " level={level}i").ok();
    for (name, value) in texts {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        write!(line, ",{name}=\"{}\"", value.replace(['\r', '\0'], "")).ok();
    }
    write!(line, " {}", message.at.as_unix_millis()).ok();
    line
}

/// A name or the value of a tag: these characters get a backslash, and line breaks become blanks. A
/// backslash at the end would escape what follows.
fn escaped(text: &str, special: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim_end_matches('\\').chars() {
        let c = if c.is_control() { ' ' } else { c };
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::sampled::message;
    use super::*;

    #[test]
    fn nothing_that_a_check_printed_ends_a_field_or_a_line() {
        let mut message = message(1);
        let item = &mut message.items[0];
        item.output = "a \"quoted\" \\ word\nand a line, x=1".to_owned();
        item.labels.insert("node".to_owned(), "web 1,a=b\\".to_owned());
        let line = points("m x", &message);
        assert!(line.starts_with("m\\ x,"), "{line}");
        assert!(line.contains(",node=web\\ 1\\,a\\=b,service=shop "), "{line}");
        assert!(line.contains("output=\"a \\\"quoted\\\" \\\\ word\nand a line, x=1\""), "{line}");
    }
}
