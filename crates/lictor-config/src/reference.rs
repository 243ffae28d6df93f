//! The reference for operators, written from the schema.

use std::fmt::Write as _;

use crate::block::TOP;
use crate::code::Code;
use crate::schema::{Attribute, BlockType, Bodies, Default, Kind, SECRET_ENDINGS, Schema};
use crate::units::Written;

const NOTE: &str = "<!-- Written by `cargo xtask docs` from the schema; do not edit. -->\n";

/// The reference of all blocks and attributes: `docs/reference/configuration.md`.
pub fn reference() -> String {
    let mut out = format!("{NOTE}\n# Configuration reference\n\n{TYPES}\n");
    for block in TOP.blocks {
        write_block(block, 2, &mut out);
    }
    out
}

/// The reference of tests of rules: `docs/reference/rule-tests.md`.
pub fn rule_test_reference() -> String {
    let mut out = format!("{NOTE}\n# Tests of rules\n\n");
    write_schema(&crate::rule_test::TOP, 1, &mut out);
    out.push_str(RULE_TEST);
    out
}

const RULE_TEST: &str = r#"
## Example

```hcl test
config = "lictor.hcl"

test "the shop is restarted when it is down for three looks, and only then" {
  at "0s" {
    observe "web" {}
  }
  at "30s" {
    observe "web" {
      status = "critical"
      values = { status = 503 }
    }
  }
  expect "49s" {
    ran = []
  }
  expect "50s" {
    ran    = ["restart-web"]
    checks = { web = "critical" }
  }
}
```
"#;

/// The reference of all mistakes: `docs/reference/errors.md`.
pub fn errors() -> String {
    let mut out = format!(
        "{NOTE}\n# Mistakes in a configuration\n\nEach mistake that `lictor validate` shows has a code. \
         Codes from LIC0901 on are warnings: the configuration is used all the same.\n"
    );
    for code in Code::ALL {
        let title = code.title();
        writeln!(out, "\n## {code}: {title}\n\n{}", code.advice()).ok();
    }
    out
}

const TYPES: &str = r#"A configuration is one file in HCL, or all files of a directory whose names end in `.hcl` or `.json`, in
lexical order. Blocks may stand in any of them. `node`, `http`, `consul` and `agent` exist once; several files may each say a part of
them. All other blocks have names, which are unique over all files.

In JSON the labels of a block are nested objects, repeated blocks are lists or further keys, and expressions stand in texts:
`{"rule": {"restart": {"on": "check.web == \"critical\"", …}}}`.

## Types

| Type | Written as |
|---|---|
| text | `"…"`, or lines between `<<END` and `END`. Texts are not templates: `${` is written `$${`. |
| duration | `"500ms"`, `"10s"`, `"5m"`, `"2h"`, `"7d"`, `"1w"`, `"1h 30m"`; at most ten years |
| size | bytes, or `"10GiB"`, `"512MB"` and the like |
| percentage | `"85%"` or `85` |
| share | a whole number of hundredths, `"10%"`, or a number of things, `500` |
| comparison | one of `<`, `<=`, `==`, `!=`, `>=`, `>` and a number: `"> 90"` |
| pattern | a regular expression without look-around and back-references; in a text each backslash is written twice |
| word | one of a few texts, which are listed |
| statuses | `200`, `"200-299"`, `"2xx"`, or a list of those |
| budget | `"3 in 1h"` |
| command | `["program", "argument", …]`; there is no shell |
| map | `{ name = "text", "odd name" = "text" }`; may be written as a block |
| selector | `"text"`, which must be the same; `"/…/"`, a pattern that must be found somewhere; or a list of those, of which one must fit. `""` fits what has no such thing. |
| selection | an object or block with the attributes `check`, `service`, `node`, `datacenter`, `source`, `tag`, `labels` and `not` of [`route`](#route-name); all that is written must fit |
| secret | see [Secrets](#secrets) |
| condition, triggers | see [Expressions](#expressions) |
| checks, remedy, step | a reference: `check.NAME`, `remedy.NAME`, `step.NAME`; `check["odd.name"]` for names with dots |

## Secrets

A secret `X` is given by exactly one of four attributes: `X_file` names a file that holds it (read again whenever it is needed, so that
it can be changed without a reload), `X_credential` a credential that systemd passes (`LoadCredential=`), `X_env` an environment
variable, and `X` is the secret itself, which is told as a warning. In a map of secrets a value is the text itself or
`{ file = "/path" }`, `{ credential = "name" }` or `{ env = "NAME" }`. Secrets are never shown, logged, or part of a message.

## Expressions

| Expression | Holds when |
|---|---|
| `check.NAME == "critical"` | the check has that status: `passing`, `warning`, `critical` or `unknown`; also `!=` |
| `no_data(check.NAME)` | the check is `unknown` |
| `value.CHECK.VALUE > 90` | the last value that the check's watcher reported compares so; also `<`, `<=`, `>=`, `==`, `!=` |
| `value.CHECK.VALUE == "text"` | the same for a text; also `!=` |
| `rate(value.CHECK.VALUE, "5m") > 3` | the value has changed so fast over that time, per second |
| `a && b`, `a \|\| b`, `!a`, `(a)` | both, one, not |

A condition over a value that nobody has reported can not be told, and does not hold. Two more expressions are events. They start
something, in `on`, but never hold: alone, in a list `[a, b]`, or joined by `||`.

| Event | Happens when |
|---|---|
| `match.CHECK.PATTERN`, `match.KIND.CHECK.PATTERN` | the watcher read a line that its `match` block of that name describes |
| `changed(value.CHECK.VALUE)` | the value is another than before |
| `changed(value.CHECK.VALUE, 1)`, `changed(value.CHECK.VALUE, 0, 1)` | it is this now, or was the one and is the other; a text may stand for a number |

In the `command` of `act "exec"`, `capture.NAME` is what the named group of the pattern captured in the line that started it.
"#;

fn write_block(block: &BlockType, level: usize, out: &mut String) {
    let hashes = "#".repeat(level);
    match &block.bodies {
        Bodies::One(schema) => {
            let form = block.form().replace(" { … }", "");
            writeln!(out, "\n{hashes} `{form}`\n").ok();
            write_schema(schema, level, out);
        }
        Bodies::Kinds(kinds) => {
            for (kind, schema) in *kinds {
                let form = block.form().replace("KIND", kind).replace(" { … }", "");
                writeln!(out, "\n{hashes} `{form}`\n").ok();
                write_schema(schema, level, out);
            }
        }
    }
}

fn write_schema(schema: &Schema, level: usize, out: &mut String) {
    writeln!(out, "{}\n", schema.doc).ok();
    if !schema.example.is_empty() {
        writeln!(out, "```hcl\n{}\n```\n", schema.example).ok();
    }
    if schema.attributes().next().is_some() {
        out.push_str("| Attribute | Type | Default | Meaning |\n|---|---|---|---|\n");
    }
    for attribute in schema.attributes() {
        write_attribute(attribute, attribute.name, out);
        if let Kind::Object(inner) = attribute.kind {
            for part in inner.attributes() {
                write_attribute(part, &format!("{}.{}", attribute.name, part.name), out);
            }
        }
    }
    if !schema.values.is_empty() {
        let values: Vec<String> =
            schema.values.iter().map(|(name, doc)| format!("| `{name}` | {doc} |")).collect();
        writeln!(out, "\n| Value | Meaning |\n|---|---|\n{}", values.join("\n")).ok();
    }
    for block in schema.blocks {
        // What several kinds share is described where it stands first.
        let told = format!("`{}`\n", block.form().replace(" { … }", ""));
        if out.contains(&told)
            || block.kinds().next().is_some_and(|kind| out.contains(&format!("`{} \"{kind}\"`", block.name)))
        {
            writeln!(out, "\nMay hold `{}` blocks, see above.", block.name).ok();
        } else {
            write_block(block, level + 1, out);
        }
    }
}

fn write_attribute(attribute: &Attribute, name: &str, out: &mut String) {
    let kind = match attribute.kind {
        Kind::Word(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(" "),
        other => other.title().to_owned(),
    };
    let default = match attribute.default {
        Default::Required => "required".to_owned(),
        Default::Unset => String::new(),
        Default::Value(value) => format!("`{value}`"),
        Default::Words(words) => words.to_owned(),
    };
    let range = match attribute.kind {
        Kind::Whole(low, high) => format!(" From {low} to {high}."),
        Kind::Number(low, high) => format!(" From {low} to {high}."),
        Kind::Duration(low, high) if !low.is_zero() || high != crate::schema::LONGEST => {
            let high = if high == crate::schema::LONGEST {
                String::new()
            } else {
                format!(", at most {}", Written(high))
            };
            format!(" At least {}{high}.", Written(low))
        }
        _ => String::new(),
    };
    let shown = if matches!(attribute.kind, Kind::Secret) {
        SECRET_ENDINGS.iter().map(|ending| format!("`{name}{ending}`")).collect::<Vec<_>>().join(" ")
    } else {
        format!("`{name}`")
    };
    let doc = attribute.doc.split_whitespace().collect::<Vec<_>>().join(" ");
    writeln!(out, "| {shown} | {kind} | {default} | {doc}{range} |").ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::visit;
    use crate::units;

    #[test]
    fn every_default_is_a_value_of_its_type() {
        let mut seen = 0;
        visit(&TOP, &mut |schema| {
            for attribute in schema.attributes() {
                let Default::Value(text) = attribute.default else { continue };
                let good = match attribute.kind {
                    Kind::Flag => matches!(text, "true" | "false"),
                    Kind::Whole(low, high) => text.parse().is_ok_and(|whole| (low..=high).contains(&whole)),
                    Kind::Duration(low, high) => {
                        units::duration(text).is_some_and(|found| (low..=high).contains(&found))
                    }
                    Kind::Size(low, high) => {
                        units::size(text).is_some_and(|found| (low..=high).contains(&found))
                    }
                    Kind::Percent => units::percent(text).is_some(),
                    Kind::Share => units::share(text).is_some(),
                    Kind::Number(low, high) => {
                        text.parse().is_ok_and(|number: f64| (low..=high).contains(&number))
                    }
                    Kind::Comparison => units::comparison(text).is_some(),
                    Kind::Statuses => units::statuses(text).is_some(),
                    Kind::Address => text.parse::<std::net::SocketAddr>().is_ok(),
                    Kind::Word(words) => words.contains(&text),
                    Kind::OnFailure => text == "fail",
                    Kind::Text => !text.is_empty(),
                    other => panic!("{} has a default of the type {}", attribute.name, other.title()),
                };
                assert!(good, "{}: {text}", attribute.name);
                seen += 1;
            }
        });
        assert!(seen > 20, "the search found {seen}");
    }

    #[test]
    fn every_attribute_is_described_once() {
        visit(&TOP, &mut |schema| {
            let mut names = std::collections::BTreeSet::new();
            for attribute in schema.attributes() {
                assert!(names.insert(attribute.name), "{} stands twice", attribute.name);
                assert!(attribute.doc.ends_with('.'), "{}: a sentence ends with a full stop", attribute.name);
            }
        });
    }
}
