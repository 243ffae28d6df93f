//! What may stand in a file of tests.

use std::time::Duration;

use crate::schema::{Attribute, BlockType, Bodies, Kind, LONGEST, Schema};

/// A whole file of tests.
pub(crate) static TOP: Schema = Schema {
    doc: "A file of tests, whose name ends in `.test.hcl` (or `.test.json`), lies beside what it tests. \
          `lictor test` plays each test with a configuration of its own in virtual time.",
    groups: &[&[
        Attribute::new(
            "config",
            Kind::Texts,
            "The configuration: a file or directory, or several, by their paths from this file.",
        )
        .required(),
        Attribute::new("env", Kind::Values, "Environment variables that the configuration asks for."),
    ]],
    blocks: &[&TEST],
    values: &[],
    example: "",
};

pub(super) static TEST: BlockType =
    BlockType { name: "test", labels: &["NAME"], repeats: true, bodies: Bodies::One(&IN_TEST) };

pub(super) static IN_TEST: Schema = Schema {
    doc: "One test. Actions are not carried out: each is taken as done at once, if nothing else is said.",
    groups: &[&[
        Attribute::new("fail", Kind::Texts, "Rules, remedies, or steps (`remedy/step`) whose actions fail."),
        Attribute::new("takes", Kind::Duration(Duration::ZERO, LONGEST), "How long each action takes.")
            .default("0s"),
    ]],
    blocks: &[&AT, &EXPECT],
    values: &[],
    example: "",
};

static AT: BlockType =
    BlockType { name: "at", labels: &["TIME"], repeats: true, bodies: Bodies::One(&IN_AT) };

pub(super) static IN_AT: Schema = Schema {
    doc: "What watchers see so long after the beginning of the test. Times go forward in the file.",
    groups: &[&[Attribute::new("silent", Kind::Texts, "Watchers that say nothing more from now on.")]],
    blocks: &[&READ, &OBSERVE],
    values: &[],
    example: "",
};

static READ: BlockType =
    BlockType { name: "read", labels: &["WATCHER"], repeats: true, bodies: Bodies::One(&IN_READ) };

pub(super) static IN_READ: Schema = Schema {
    doc: "Lines that a watcher with `match` blocks reads.",
    groups: &[&[Attribute::new("lines", Kind::Texts, "The lines.").required()]],
    blocks: &[],
    values: &[],
    example: "",
};

static OBSERVE: BlockType =
    BlockType { name: "observe", labels: &["WATCHER"], repeats: true, bodies: Bodies::One(&IN_OBSERVE) };

pub(super) static IN_OBSERVE: Schema = Schema {
    doc: "A result of a watcher, from now on at each of its looks (`every`).",
    groups: &[&[
        Attribute::new(
            "status",
            Kind::Word(&["passing", "warning", "critical", "unknown"]),
            "What it saw; the check is judged by it as ever.",
        )
        .default("passing"),
        Attribute::new("values", Kind::Values, "Numbers and texts that it reports."),
        Attribute::new("once", Kind::Flag, "Say so only once.").default("false"),
    ]],
    blocks: &[],
    values: &[],
    example: "",
};

static EXPECT: BlockType =
    BlockType { name: "expect", labels: &["TIME"], repeats: true, bodies: Bodies::One(&IN_EXPECT) };

pub(super) static IN_EXPECT: Schema = Schema {
    doc: "What must have happened since the `expect` before it, or since the beginning. Lists are whole and in order: \
          `ran = []` says that nothing ran. What is not written is not looked at.",
    groups: &[&[
        Attribute::new("ran", Kind::Texts, "Rules and remedies that started."),
        Attribute::new(
            "did",
            Kind::Texts,
            "Actions that were begun: of a rule by its name, of a remedy as `remedy/step`.",
        ),
        Attribute::new(
            "held_back",
            Kind::Values,
            "What was held back, and by what: `guard`, `cooldown`, `budget`, `busy`, `gave_up`, `fleet`.",
        ),
        Attribute::new("failed", Kind::Texts, "Rules and remedies whose runs ended badly."),
        Attribute::new("parked", Kind::Texts, "Rules and remedies whose runs wait for a person."),
        Attribute::new("escalated", Kind::Texts, "Rules and remedies that said that a person is needed."),
        Attribute::new("checks", Kind::Values, "How checks are judged at this time."),
    ]],
    blocks: &[],
    values: &[],
    example: "",
};
