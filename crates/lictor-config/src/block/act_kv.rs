//! `act "kv"`: write or delete a key.

use lictor_core::Repeatability;

use crate::code::Code;
use crate::model::{Action, KvAction};
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, Schema};

pub(super) static SCHEMA: Schema = Schema {
    doc: "Writes or deletes a key: in Consul when there is a `consul` block, otherwise in the local store.",
    groups: &[&[
        Attribute::new("key", Kind::Text, "The key, as it is: not under our prefix.").required(),
        Attribute::new("value", Kind::Secret, "The value."),
        Attribute::new("delete", Kind::Flag, "Delete the key instead of writing it.").default("false"),
    ]],
    blocks: &[],
    values: &[],
    example: r#"watch "heartbeat" "job" {
  within = "1h"
}

rule "job" {
  on = check.job == "critical"
  act "kv" {
    key   = "services/job/maintenance"
    value = "on"
  }
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<(Action, Repeatability)> {
    let key = reader.text_at("key");
    if let Some(key) = key.as_ref().filter(|key| key.is.starts_with('/') || key.is.len() > 512) {
        let draft = Draft::new(Code::Name, key.span, format!("`{}` is not a key", key.is));
        reader.decoder.add(draft.help("a key has at most 512 bytes and does not begin with `/`"));
    }
    let (value, delete) = (reader.quiet_secret("value"), reader.flag("delete"));
    if delete {
        if reader.is_set("value") {
            reader.exclude("value", "delete");
        }
    } else if !reader.is_set("value") {
        let draft = Draft::new(Code::Missing, reader.head, "neither a value to write nor `delete`");
        reader.decoder.add(draft.help("add value = \"…\" or delete = true"));
    }
    let value = if delete { None } else { Some(value?) };
    Some((Action::Kv(KvAction { key: key?.is, value }), Repeatability::Idempotent))
}

#[cfg(test)]
mod tests {
    use crate::model::Action;
    use crate::testing::{mistakes, parsed};
    use insta::assert_snapshot;

    fn rule(lines: &str) -> String {
        format!(
            "watch \"heartbeat\" \"h\" {{\n within = \"1m\"\n}}\nrule \"r\" {{\n on = check.h == \"critical\"\n act \"kv\" {{\n{lines}\n}}\n}}"
        )
    }

    #[test]
    fn it_writes_or_deletes() {
        let value = |lines: &str| {
            let loaded = parsed(&rule(lines));
            assert!(loaded.warnings.is_empty(), "a value is rarely a secret");
            let Action::Kv(action) = loaded.config.actions.into_values().next().unwrap() else { panic!() };
            action.value.map(|value| value.reveal().unwrap())
        };
        assert_eq!(value("key = \"a/b\"\nvalue = \"on\""), Some("on".to_owned()));
        assert_eq!(value("key = \"a/b\"\ndelete = true"), None);
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(&rule("key = \"/a\"")), @r#"
        6:2: neither a value to write nor `delete` (add value = "…" or delete = true) [LIC0203]
        7:7: `/a` is not a key (a key has at most 512 bytes and does not begin with `/`) [LIC0303]
        "#);
        assert_snapshot!(mistakes(&rule("key = \"a\"\nvalue = \"x\"\ndelete = true")), @"9:10: `value` and `delete` exclude each other (the other one: x.hcl:8:9) [LIC0207]");
    }
}
