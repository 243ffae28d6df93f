//! `watch "file"`: lines that are appended to files.

use super::{judgement, multiline, watch};
use crate::code::Code;
use crate::model::{File, Missing, WatchKind};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};
use crate::syntax::tree::Text;

/// Files of one watcher, in words.
const MOST: &str = "1,000";

pub(super) static SCHEMA: Schema = Schema {
    doc: "Lines that are appended to files: passing while they are read. Files are followed by name over rotation \
          (by renaming, copying and truncating, or compressing with gzip), truncation and removal. How far it came is \
          kept, so that nothing is missed or read twice over a restart of the agent: what a rotation took away \
          meanwhile is read from the file it was moved to, next to the followed one. Of a line the first 64 KiB \
          are looked at, and it is looked at when it is complete. A file that cannot be read gives no data.",
    groups: &[
        &[
            Attribute::new(
                "path",
                Kind::Texts,
                "The file, or several; in each part of a path `*`, `?` and `[…]` stand for what they stand for in \
                 a shell. At most 1,000 files, without compressed ones.",
            )
            .required(),
            Attribute::new(
                "from",
                Kind::Word(&["end", "start"]),
                "Where reading begins the first time a path is followed: with what is written from then on, or with the \
                 first line. A file that comes later is always read from its first line.",
            )
            .default("end"),
            Attribute::new(
                "missing",
                Kind::Word(&["passing", "warning", "critical"]),
                "What it means that there is no file.",
            )
            .default("warning"),
            multiline::ATTRIBUTE,
        ],
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[&watch::MATCH],
    values: &[
        ("lines", "Lines read since the agent started; with `multiline`, records."),
        ("matched", "How many of them matched a pattern."),
        ("files", "Files that are followed."),
        ("skipped", "Bytes of lines beyond their first 64 KiB."),
        ("gaps", "How often the rest of a file was gone before it was read."),
    ],
    example: r#"watch "file" "shop-log" {
  path = "/var/log/shop/*.log"
  multiline {
    continue = "^[ \\t]"
  }
  match "out-of-memory" {
    contains = "OutOfMemoryError"
  }
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let written = reader.texts("path");
    if written.is_empty() && reader.is_set("path") {
        let draft = Draft::new(Code::Missing, reader.span("path"), "`path` is empty");
        reader.decoder.add(draft.help("name at least one file"));
    }
    let paths: Vec<String> = written.into_iter().filter_map(|text| path(reader, text)).collect();
    let missing = match reader.word("missing") {
        Some("passing") => Missing::Passing,
        Some("critical") => Missing::Critical,
        Some(_) | None => Missing::Warning,
    };
    let from_start = reader.word("from") == Some("start");
    let file = File { paths, from_start, missing, multiline: multiline::decode(reader) };
    (!file.paths.is_empty()).then_some(WatchKind::File(file))
}

fn path(reader: &Reader<'_>, text: Text) -> Option<String> {
    let wrong = |message: String, help: &str| {
        let draft = Draft::new(Code::Address, text.span, message);
        reader.decoder.add(draft.help(help.to_owned()));
    };
    let shown = text.is.escape_debug();
    if !text.is.starts_with('/') {
        wrong(format!("`{shown}` is not an absolute path"), "begin it with `/`");
    } else if text.is.contains('\0') {
        wrong(format!("`{shown}` cannot be a path"), "take the zero byte out");
    } else if text.is.ends_with('/') || text.is.split('/').any(|part| matches!(part, "." | "..")) {
        wrong(
            format!("`{shown}` is not the path of a file"),
            "write it without `.`, `..` and a `/` at its end",
        );
    } else if text.is.contains("**") {
        let help = format!("name the directories that hold the files, {MOST} files at most");
        wrong(format!("`{shown}` has `**`: directories are not searched"), &help);
    } else if [".gz", ".bz2", ".xz", ".zst"].iter().any(|ending| text.is.ends_with(ending)) {
        wrong(
            format!("`{shown}` is a compressed file, to which nothing is appended"),
            "name the file that is written to; what became of it is found by itself",
        );
    } else {
        return Some(text.is);
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::model::{File, Joined, Missing, WatchKind};
    use crate::testing::{mistakes, watch};
    use insta::assert_snapshot;

    fn file(lines: &str) -> File {
        match watch(&format!("watch \"file\" \"x\" {{\n{lines}\n}}")).kind {
            WatchKind::File(file) => file,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_path_or_several() {
        let found = file("path = \"/var/log/syslog\"");
        assert_eq!(found.paths, ["/var/log/syslog"]);
        assert_eq!((found.from_start, found.missing), (false, Missing::Warning));
        assert!(found.multiline.is_none());
        let found = file("path = [\"/a/*.log\", \"/b\"]\nfrom = \"start\"\nmissing = \"critical\"");
        assert_eq!((found.paths.len(), found.from_start, found.missing), (2, true, Missing::Critical));
    }

    #[test]
    fn records_of_several_lines() {
        let found = file("path = \"/a\"\nmultiline {\n start = \"^[0-9]\"\n}").multiline.unwrap();
        assert!(matches!(&found.by, Joined::Start(regex) if regex.is_match("2 x")));
        assert_eq!((found.max_lines, found.flush_after), (100, Duration::from_secs(1)));
        let text = "path = \"/a\"\nmultiline = { continue = \"^ \", max_lines = 9, flush_after = \"5s\" }";
        let found = file(text).multiline.unwrap();
        assert!(matches!(&found.by, Joined::Continue(_)));
        assert_eq!((found.max_lines, found.flush_after), (9, Duration::from_secs(5)));
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "file" "a" {
  path    = ["var/log/x", "/var/**/x", "/var/../x", "/var/log/", "/var/log/x.gz"]
  from    = "now"
  missing = "bad"
}
watch "file" "b" {
  path      = []
  multiline = "x"
}
watch "file" "c" {
  path = "/x"
  multiline {
    max_lines = 1
  }
}
watch "file" "d" {
  path = "/x"
  multiline {
    start    = "("
    continue = "x"
  }
}
"#), @r#"
        3:14: `var/log/x` is not an absolute path (begin it with `/`) [LIC0305]
        3:27: `/var/**/x` has `**`: directories are not searched (name the directories that hold the files, 1,000 files at most) [LIC0305]
        3:40: `/var/../x` is not the path of a file (write it without `.`, `..` and a `/` at its end) [LIC0305]
        3:53: `/var/log/` is not the path of a file (write it without `.`, `..` and a `/` at its end) [LIC0305]
        3:66: `/var/log/x.gz` is a compressed file, to which nothing is appended (name the file that is written to; what became of it is found by itself) [LIC0305]
        4:13: `from` cannot be `now` (known here: `end`, `start`) [LIC0306]
        5:13: `missing` cannot be `bad` (known here: `critical`, `passing`, `warning`) [LIC0306]
        8:15: `path` is empty (name at least one file) [LIC0203]
        9:15: `multiline` is an object (write multiline = { continue = "^[ \\t]|^Caused by: " }) [LIC0206]
        13:3: `multiline` does not say which lines belong together (add `start` or `continue`) [LIC0203]
        14:17: `max_lines` is a whole number from 2 to 10000, not 1 [LIC0302]
        21:16: `start` and `continue` exclude each other (the other one: x.hcl:20:16) [LIC0207]
        "#);
    }
}
