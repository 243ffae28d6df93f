//! `watch "swap"`: whether there is some, and how much of it is used.

use super::limits::{self, Order};
use super::{judgement, watch};
use crate::code::Code;
use crate::model::{Swap, WatchKind};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

pub(super) static SCHEMA: Schema = Schema {
    doc: "The swap of this machine: how much of it is used, and whether what should be active is.",
    groups: &[
        &[
            Attribute::new("warn_used", Kind::Percent, "More used than this is a warning.").default("80%"),
            Attribute::new("critical_used", Kind::Percent, "More used than this is critical.").default("95%"),
            Attribute::new("present", Kind::Flag, "Whether it is critical that no swap is active.")
                .default("false"),
            Attribute::new(
                "paths",
                Kind::Texts,
                "Files or devices that must be active, each by its path as `/proc/swaps` has it.",
            ),
        ],
        watch::SCHEDULE,
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[
        ("active", "How many files and devices are active."),
        ("missing", "How many of `paths` are not."),
        ("used_percent", "What is used, if there is any swap."),
        ("used_bytes", "The same."),
        ("total_bytes", "What there is."),
    ],
    example: r#"watch "swap" "swap" {
  paths = ["/swapfile"]
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let (warn, critical) = (reader.percent("warn_used"), reader.percent("critical_used"));
    limits::ordered(reader, "%", ("warn_used", warn), ("critical_used", critical), Order::Rising);
    let mut paths = Vec::new();
    for text in reader.texts("paths") {
        if !text.is.starts_with('/') {
            let draft =
                Draft::new(Code::Address, text.span, format!("`{}` is not an absolute path", text.is));
            reader.decoder.add(draft.help("begin it with `/`"));
        }
        paths.push(text.is.into());
    }
    Some(WatchKind::Swap(Swap {
        warn_used_percent: warn?,
        critical_used_percent: critical?,
        present: reader.flag("present"),
        paths,
    }))
}

#[cfg(test)]
mod tests {
    use crate::model::WatchKind;
    use crate::testing::{mistakes, watch};
    use insta::assert_snapshot;

    #[test]
    fn a_machine_without_swap_is_well_unless_it_is_said_to_have_some() {
        let WatchKind::Swap(swap) = watch("watch \"swap\" \"s\" {}").kind else { panic!() };
        assert_eq!((swap.present, swap.warn_used_percent, swap.paths.len()), (false, 80.0, 0));
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(r#"
watch "swap" "a" {
  critical_used = "70%"
  paths         = ["swapfile"]
}
"#), @r#"
        3:19: `warn_used` is 80% and `critical_used` 70%, so there would never be a warning (set `warn_used` too: it is 80% unless it is set) [LIC0207]
        4:20: `swapfile` is not an absolute path (begin it with `/`) [LIC0305]
        "#);
    }
}
