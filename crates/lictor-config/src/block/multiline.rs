//! `multiline { … }` of a watcher that reads lines.

use std::time::Duration;

use crate::code::Code;
use crate::model::{Joined, Multiline};
use crate::problem::Draft;
use crate::reader::{Reader, as_body};
use crate::schema::{Attribute, Kind, Schema};

pub(super) const ATTRIBUTE: Attribute = Attribute::new(
    "multiline",
    Kind::Object(&SCHEMA),
    "How several lines make one record, such as a stack trace.",
)
.default_words("each line is one");

static SCHEMA: Schema = Schema {
    doc: "How several lines make one record, which patterns are then looked for in as a whole: `^` and `$` are \
          the beginning and the end of each of its lines, `.` is any character but a line break (any at all with \
          `(?s)`). A record also ends after `max_lines` lines or 64 KiB; what would have gone on with it is the \
          next one.",
    groups: &[&[
        Attribute::new(
            "start",
            Kind::Regex,
            "A line that matches begins a record, all others go on with it.",
        ),
        Attribute::new(
            "continue",
            Kind::Regex,
            "A line that matches goes on with a record, all others begin one.",
        ),
        Attribute::new("max_lines", Kind::Whole(2, 10_000), "Lines of one record at most.").default("100"),
        Attribute::new(
            "flush_after",
            Kind::Duration(Duration::from_millis(100), Duration::from_secs(3_600)),
            "Without a further line for so long a record is over.",
        )
        .default("1s"),
    ]],
    blocks: &[],
    values: &[],
    example: r#"multiline = { continue = "^[ \\t]|^Caused by: " }"#,
};

/// What is set of it.
pub(super) fn decode(reader: &Reader<'_>) -> Option<Multiline> {
    let value = reader.value("multiline")?;
    let Some(body) = as_body(value) else {
        let draft = Draft::new(Code::WrongType, value.span, "`multiline` is an object");
        reader.decoder.add(draft.help(format!("write {}", SCHEMA.example)));
        return None;
    };
    let inner = Reader::over(reader.decoder, &body, &SCHEMA, value.span, "multiline".to_owned());
    if inner.exclude("start", "continue") {
        return None;
    }
    let by = match (inner.is_set("start"), inner.is_set("continue")) {
        (true, _) => inner.regex("start").map(Joined::Start),
        (false, true) => inner.regex("continue").map(Joined::Continue),
        (false, false) => {
            let message = "`multiline` does not say which lines belong together";
            let draft = Draft::new(Code::Missing, value.span, message);
            reader.decoder.add(draft.help("add `start` or `continue`"));
            None
        }
    };
    let max_lines = inner.whole("max_lines").and_then(|lines| u32::try_from(lines).ok());
    Some(Multiline { by: by?, max_lines: max_lines?, flush_after: inner.duration("flush_after") })
}
