//! `check "NAME" { … }`: a check over other checks.

use std::collections::BTreeMap;

use lictor_core::{CheckName, CheckPlan, CheckSource};

use super::judgement;
use crate::code::Code;
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};

pub(super) static BLOCK: BlockType =
    BlockType { name: "check", labels: &["NAME"], repeats: true, bodies: Bodies::One(&SCHEMA) };

static SCHEMA: Schema = Schema {
    doc: "A check over other checks. Its status is that of the n-th best of them, in the order passing, \
          warning, unknown, critical: of all of them for `all`, of one for `any`, of `at_least` for `of`.",
    groups: &[
        &[
            Attribute::new("all", Kind::Checks, "Passing when all of these are."),
            Attribute::new("any", Kind::Checks, "Passing when at least one of these is."),
            Attribute::new("at_least", Kind::Whole(1, 10_000), "Passing when so many of `of` are."),
            Attribute::new("of", Kind::Checks, "The checks that `at_least` counts."),
        ],
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[],
    example: r#"watch "tcp" "db1" {
  address = "10.0.0.1:5432"
}

watch "tcp" "db2" {
  address = "10.0.0.2:5432"
}

check "database" {
  any = [check.db1, check.db2]
  for = "30s"
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<CheckPlan> {
    let (source, judged) = (source(reader), judgement::composed(reader, CheckSource::Watcher));
    Some(CheckPlan { source: source?, ..judged })
}

fn source(reader: &Reader<'_>) -> Option<CheckSource> {
    let set: Vec<&str> = ["all", "any", "of"].into_iter().filter(|name| reader.is_set(name)).collect();
    let name = match set.as_slice() {
        [name] => *name,
        [] => {
            let draft = Draft::new(Code::Missing, reader.head, format!("{} names no checks", reader.place()));
            reader.decoder.add(draft.help("add `all`, `any`, or `at_least` with `of`"));
            return None;
        }
        [first, second, ..] => {
            reader.exclude(first, second);
            return None;
        }
    };
    let value = reader.value(name)?;
    let members = reader.decoder.checks(value)?;
    if members.is_empty() {
        reader.decoder.add(Draft::new(Code::Missing, value.span, format!("`{name}` is empty")));
        return None;
    }
    let mut firsts = BTreeMap::new();
    for (member, span) in &members {
        if let Some(first) = firsts.insert(member, *span) {
            let message = format!("`check.{member}` stands twice in `{name}`");
            reader.decoder.add(Draft::new(Code::Twice, *span, message).also(first, "first here"));
        }
    }
    let of: Vec<CheckName> = members.into_iter().map(|(member, _)| member).collect();
    let at_least = match name {
        "all" => of.len(),
        "any" => 1,
        _ => at_least(reader, of.len())?,
    };
    if name != "of" && reader.is_set("at_least") {
        reader.exclude(name, "at_least");
    }
    Some(CheckSource::Checks { at_least, of })
}

fn at_least(reader: &Reader<'_>, of: usize) -> Option<usize> {
    reader.needs("of", "at_least");
    let wanted = usize::try_from(reader.whole("at_least")?).ok()?;
    if wanted > of {
        let message = format!("`at_least` is {wanted}, but `of` names only {of}");
        reader.decoder.add(Draft::new(Code::Range, reader.span("at_least"), message));
        return None;
    }
    Some(wanted)
}

#[cfg(test)]
mod tests {
    use crate::testing::{mistakes, parsed};
    use insta::assert_snapshot;
    use lictor_core::{CheckName, CheckSource};

    const WATCHES: &str = r#"
watch "heartbeat" "a" {
  within = "1m"
}
watch "heartbeat" "b" {
  within = "1m"
}
"#;

    #[test]
    fn a_composite_counts_its_members() {
        let at_least = |body: &str| {
            let text = format!("{WATCHES}check \"c\" {{\n{body}\n}}");
            match &parsed(&text).config.plan.checks[&CheckName::new("c").unwrap()].source {
                CheckSource::Checks { at_least, of } => (*at_least, of.len()),
                CheckSource::Watcher => (0, 0),
            }
        };
        assert_eq!(at_least("all = [check.a, check.b]"), (2, 2));
        assert_eq!(at_least("any = [check.a, check[\"b\"]]"), (1, 2));
        assert_eq!(at_least("at_least = 2\nof = [check.a, check.b]"), (2, 2));
        assert_eq!(at_least("any = check.a"), (1, 1));
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(&format!("{WATCHES}{}", r#"
check "none" {
}
check "two" {
  all = [check.a]
  any = [check.b]
}
check "many" {
  at_least = 3
  of       = [check.a, check.a]
}
check "odd" {
  all   = [check.aa, "b", 5]
  flap  = { changes = 1, within = "10" }
  for   = "-1s"
  grace = "11w 4000d"
}
"#)), @r#"
        9:1: `check "none"` names no checks (add `all`, `any`, or `at_least` with `of`) [LIC0203]
        13:9: `all` and `any` exclude each other (the other one: x.hcl:12:9) [LIC0207]
        16:14: `at_least` is 3, but `of` names only 2 [LIC0302]
        17:24: `check.a` stands twice in `of` (first here: x.hcl:17:15) [LIC0204]
        20:18: no watcher or check is named `aa` (known here: `a`, `b`, `many`, `none`, `odd`, `two`) [LIC0401]
        20:22: text stands where an expression is expected (write it without quotes) [LIC0206]
        20:27: this is a number, not a reference such as check.NAME [LIC0206]
        21:23: `changes` is a whole number from 2 to 1000, not 1 [LIC0302]
        22:11: `for` must not be negative [LIC0302]
        23:11: `grace` is between 0s and 3650d, not 4077d [LIC0302]
        "#);
    }

    #[test]
    fn a_circle_is_named() {
        assert_snapshot!(mistakes(r#"
check "a" {
  all = [check.b]
}
check "b" {
  any = [check.c]
}
check "c" {
  all = [check.b]
}
"#), @"5:7: these checks depend on each other in a circle: b → c → b [LIC0402]");
    }
}
