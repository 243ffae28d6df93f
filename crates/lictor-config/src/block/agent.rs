//! `agent { … }`: limits over all remedies of the node.

use lictor_core::{Limits, Mode};

use crate::code::Code;
use crate::problem::Draft;
use crate::reader::Reader;
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};

pub(super) static BLOCK: BlockType =
    BlockType { name: "agent", labels: &[], repeats: false, bodies: Bodies::One(&SCHEMA) };

/// `mode`, of the whole agent or of one remedy.
pub(super) const MODE: Attribute = Attribute::new(
    "mode",
    Kind::Word(&["act", "observe"]),
    "`observe` decides and records what would be done, but does nothing.",
)
.default("act");

static SCHEMA: Schema = Schema {
    doc: "What holds for all rules and remedies of this node together.",
    groups: &[&[
        MODE,
        Attribute::new("max_in_flight", Kind::Whole(1, 10_000), "At most so many actions run at once.")
            .default("16"),
        Attribute::new(
            "hold_above",
            Kind::Percent,
            "While more than this share of all targets is bad at once, no new run starts: the fault is \
             then elsewhere.",
        ),
        Attribute::new("allow_reboot", Kind::Flag, "Whether `act \"reboot\"` may restart this machine.")
            .default("false"),
    ]],
    blocks: &[],
    values: &[],
    example: r#"agent {
  mode       = "observe"
  hold_above = "50%"
}"#,
};

pub(super) fn mode(reader: &Reader<'_>) -> Mode {
    if reader.word("mode") == Some("observe") { Mode::Observe } else { Mode::Act }
}

pub(super) fn decode(reader: &Reader<'_>) -> (Mode, Limits) {
    let hold = reader.percent("hold_above").and_then(|percent| {
        crate::value::exact(percent.round()).and_then(|percent| u8::try_from(percent).ok())
    });
    let scope = &reader.decoder.scope;
    if scope.reboot && !scope.token {
        let message = "anybody on this machine may have it restarted: the listener asks for no token";
        let draft = Draft::warning(Code::OpenReboot, reader.span("allow_reboot"), message);
        reader.decoder.add(draft.help("set token_file in the block http"));
    }
    let limits = Limits { in_flight: reader.count_or_default("max_in_flight"), hold_above_percent: hold };
    (mode(reader), limits)
}

#[cfg(test)]
mod tests {
    use crate::testing::{mistakes, parsed};
    use insta::assert_snapshot;
    use lictor_core::{Limits, Mode};

    #[test]
    fn limits_have_the_defaults_of_the_core() {
        let plan = parsed("").config.plan;
        assert_eq!((plan.mode, plan.limits), (Mode::Act, Limits::default()));
        let plan = parsed("agent {}").config.plan;
        assert_eq!((plan.mode, plan.limits), (Mode::Act, Limits::default()));
        let plan = parsed("agent {\n mode = \"observe\"\n max_in_flight = 2\n hold_above = \"33.4%\"\n}")
            .config
            .plan;
        assert_eq!(plan.mode, Mode::Observe);
        assert_eq!((plan.limits.in_flight.get(), plan.limits.hold_above_percent), (2, Some(33)));
    }

    #[test]
    fn who_may_restart_the_machine_shows_a_token() {
        let warned = |http: &str| {
            let loaded = parsed(&format!("agent {{\n allow_reboot = true\n}}\n{http}"));
            loaded.warnings.iter().map(crate::Problem::one_line).find(|line| line.contains("LIC0909"))
        };
        assert_snapshot!(warned("").unwrap(), @"x.hcl:2:17: anybody on this machine may have it restarted: the listener asks for no token (set token_file in the block http) [LIC0909]");
        assert!(warned("http {\n port = 1\n}").is_some());
        assert_eq!(warned("http {\n token_file = \"/t\"\n}"), None);
    }

    #[test]
    fn its_mistakes() {
        let text =
            "agent {\n mode = \"observ\"\n max_in_flight = 0\n hold_above = \"120%\"\n}\nagent \"x\" {}";
        assert_snapshot!(mistakes(text), @r#"
        2:9: `mode` cannot be `observ` (did you mean `observe`?) [LIC0306]
        3:18: `max_in_flight` is a whole number from 1 to 10000, not 0 [LIC0302]
        4:15: `hold_above` is between 0% and 100%, not 120% [LIC0302]
        6:1: `agent` has no label, not 1 (write agent { … }) [LIC0205]
        "#);
    }
}
