//! `watch "heartbeat"`: something that must call in every so often.

use std::time::Duration;

use super::judgement;
use crate::model::{Heartbeat, WatchKind};
use crate::reader::Reader;
use crate::schema::{Attribute, Kind, LONGEST, Schema};

pub(super) static SCHEMA: Schema = Schema {
    doc: "Something that must call in (`POST /v1/heartbeat/NAME`): passing from one call until `within` \
          has gone by without the next, then critical.",
    groups: &[
        &[
            Attribute::new(
                "within",
                Kind::Duration(Duration::from_secs(1), LONGEST),
                "It must call in within this time of its last call.",
            )
            .required(),
            Attribute::new(
                "token",
                Kind::Secret,
                "What the caller must show, in place of the listener's token.",
            ),
        ],
        judgement::WATCHED,
        judgement::COMMON,
    ],
    blocks: &[],
    values: &[("silent_seconds", "Time since the last call.")],
    example: r#"watch "heartbeat" "backup" {
  within = "26h"
}"#,
};

pub(super) fn decode(reader: &Reader<'_>) -> Option<WatchKind> {
    let (within, token) = (reader.duration_if("within"), reader.secret("token"));
    Some(WatchKind::Heartbeat(Heartbeat { within: within?, token }))
}

#[cfg(test)]
mod tests {
    use crate::model::WatchKind;
    use crate::testing::{mistakes, parsed};
    use insta::assert_snapshot;
    use lictor_core::CheckName;

    #[test]
    fn it_reports_its_own_silence() {
        let config = parsed("watch \"heartbeat\" \"b\" {\n within = \"26h\"\n token_file = \"/t\"\n}").config;
        let name = CheckName::new("b").unwrap();
        assert_eq!(config.plan.checks[&name].stale_after, None);
        let WatchKind::Heartbeat(heartbeat) = &config.watches[&name].kind else { panic!() };
        assert_eq!((heartbeat.within.as_secs(), heartbeat.token.is_some()), (26 * 3_600, true));
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes("watch \"heartbeat\" \"a\" {\n}\nwatch \"heartbeat\" \"b\" {\n within = \"0s\"\n every = \"1s\"\n}"), @r#"
        1:1: `within` of `watch "heartbeat" "a"` is missing (add `within = …`, a duration such as "10s") [LIC0203]
        4:11: `within` is between 1s and 3650d, not 0s [LIC0302]
        5:2: unknown attribute `every` in `watch "heartbeat" "b"` (known here: `alert`, `depends_on`, `fail_after`, `flap`, `for`, `grace`, `group`, `pass_after`, `tell_changes`, `token`, `token_credential`, `token_env`, `token_file`, `within`) [LIC0201]
        "#);
    }
}
