//! `watch "disk"`: space and inodes of file systems.

use super::{judgement, watch};
use crate::code::Code;
use crate::model::{Disk, WatchKind};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

pub(super) static SCHEMA: Schema = Schema {
    doc: "Space and inodes of file systems, as `df` shows them.",
    groups: &[
        &[
            Attribute::new("paths", Kind::Texts, "Paths on the file systems.")
                .default_words("every mounted one that lies on a device"),
            Attribute::new("warn_used", Kind::Percent, "Used space above this is a warning.").default("85%"),
            Attribute::new("critical_used", Kind::Percent, "Used space above this is critical.")
                .default("95%"),
            Attribute::new(
                "critical_available",
                Kind::Size(1, u64::MAX),
                "Less available than this is critical.",
            ),
            Attribute::new("critical_inodes", Kind::Percent, "Used inodes above this are critical.")
                .default("98%"),
        ],
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[
        ("used_percent", "Used space of the file system that is nearest to a limit."),
        ("available_bytes", "What is available on it."),
        ("inodes_used_percent", "Its used inodes."),
        ("mount", "Where it is mounted (text)."),
        ("used_percent:*", "Used space of each file system by its path, if several are looked at."),
        ("available_bytes:*", "What is available on each."),
    ],
    example: r#"watch "disk" "space" {
  paths              = ["/", "/var"]
  critical_available = "2GiB"
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let (warn, critical) = (reader.percent("warn_used"), reader.percent("critical_used"));
    if let (Some(warn), Some(critical)) = (warn, critical)
        && warn > critical
    {
        let name = if reader.is_set("warn_used") { "warn_used" } else { "critical_used" };
        let message = format!(
            "`warn_used` is {warn}% and `critical_used` {critical}%, so there would never be a warning"
        );
        reader.decoder.add(Draft::new(Code::Combination, reader.span(name), message));
    }
    let mut paths = Vec::new();
    for text in reader.texts("paths") {
        if !text.is.starts_with('/') {
            let draft =
                Draft::new(Code::Address, text.span, format!("`{}` is not an absolute path", text.is));
            reader.decoder.add(draft.help("begin it with `/`"));
        }
        paths.push(text.is.into());
    }
    let disk = Disk {
        paths,
        critical_available_bytes: reader.size("critical_available"),
        critical_inodes_percent: reader.percent("critical_inodes")?,
        warn_used_percent: warn?,
        critical_used_percent: critical?,
    };
    Some(WatchKind::Disk(disk))
}

#[cfg(test)]
mod tests {
    use crate::model::{Disk, WatchKind};
    use crate::testing::{mistakes, watch};
    use insta::assert_snapshot;

    fn disk(lines: &str) -> Disk {
        match watch(&format!("watch \"disk\" \"x\" {{\n{lines}\n}}")).kind {
            WatchKind::Disk(disk) => disk,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn limits_have_defaults() {
        let found = disk("");
        assert!(found.paths.is_empty());
        let limits = (found.warn_used_percent, found.critical_used_percent, found.critical_inodes_percent);
        assert_eq!((limits, found.critical_available_bytes), ((85.0, 95.0, 98.0), None));
        let found = disk(
            "paths = \"/var\"\nwarn_used = 70\ncritical_used = \"80.5%\"\ncritical_available = \"1GiB\"",
        );
        assert_eq!((found.warn_used_percent, found.critical_used_percent), (70.0, 80.5));
        assert_eq!((found.paths.len(), found.critical_available_bytes), (1, Some(1 << 30)));
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "disk" "a" {
  paths              = ["var"]
  warn_used          = "96%"
  critical_available = "lots"
  critical_inodes    = "101%"
}
"#), @r#"
        3:25: `var` is not an absolute path (begin it with `/`) [LIC0305]
        4:24: `warn_used` is 96% and `critical_used` 95%, so there would never be a warning [LIC0207]
        5:24: `critical_available` is not a size (write bytes, or a number and one of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB) [LIC0307]
        6:24: `critical_inodes` is between 0% and 100%, not 101% [LIC0302]
        "#);
    }
}
