//! `rule "NAME" { … }`: a remedy of one step.

use lictor_core::{ActionName, OnFailure, Remedy, RemedyName, Step, StepName};

use super::step::{self, Attempts};
use super::{act, starting};
use crate::code::Code;
use crate::model::Action;
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};
use crate::syntax::canonical;
use crate::syntax::tree::Block;

pub(super) static BLOCK: BlockType =
    BlockType { name: "rule", labels: &["NAME"], repeats: true, bodies: Bodies::One(&SCHEMA) };

/// The name of the only step of a rule.
const STEP: &str = "act";

static SCHEMA: Schema = Schema {
    doc: "When this happens, do that: a remedy of one step, which is named `act`.",
    groups: &[
        starting::ATTRIBUTES,
        step::TRYING,
        &[Attribute::new(
            "on_failure",
            Kind::Word(&["fail", "park"]),
            "What happens when it has failed: the run fails, or waits for a person.",
        )
        .default("fail")],
        step::ACTING,
    ],
    blocks: &[&act::BLOCK],
    values: &[],
    example: r#"watch "http" "web" {
  url = "http://127.0.0.1/"
}

rule "restart-web" {
  on       = check.web == "critical"
  cooldown = "5m"
  budget   = "3 in 1h"
  act "exec" {
    command = ["systemctl", "restart", "nginx.service"]
  }
  verify = check.web == "passing"
}"#,
};

/// A rule or remedy with the actions of its steps.
pub(super) type Decoded = (RemedyName, Remedy, Vec<(ActionName, Action)>);

pub(super) fn decode(decoder: &Decoder<'_>, block: &Block) -> Option<Decoded> {
    let label = block.labels.first()?;
    let reader = Reader::new(decoder, block, &SCHEMA);
    let name = starting::name(&reader, label);
    if !reader.has_block("act") {
        let draft = Draft::new(Code::Missing, reader.head, format!("{} does nothing", reader.place()));
        decoder.add(draft.help("add an `act` block"));
    }
    let acted = step::acting(&reader, &label.is, STEP);
    let (on_failure, attempts) = (on_failure(&reader), step::attempts(&reader));
    let Attempts { attempts, backoff, backoff_max } = attempts;
    let mut action = None;
    let particular = acted.zip(on_failure).and_then(|((kind, named), on_failure)| {
        action = Some(named);
        let name = StepName::new(STEP).ok()?;
        let target = action.as_ref().and_then(|(_, action)| action.target()).map(str::to_owned);
        let steps = vec![Step {
            name,
            kind,
            attempts,
            next: None,
            skip_when: None,
            backoff,
            backoff_max,
            on_failure,
        }];
        step::not_restarted_twice(&reader, action.as_ref(), attempts);
        let reboots = matches!(action, Some((_, Action::Reboot(_))));
        Some(starting::Particular {
            steps,
            on_cancel: None,
            definition: canonical::digest(block),
            target,
            reboots,
        })
    });
    let (name, remedy) = starting::decode(&reader, name, particular)?;
    Some((name, remedy, action.into_iter().collect()))
}

fn on_failure(reader: &Reader<'_>) -> Option<OnFailure> {
    match reader.word("on_failure") {
        Some("park") => Some(OnFailure::Park),
        Some(_) => Some(OnFailure::Fail),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::model::Action;
    use crate::testing::{mistakes, parsed};
    use insta::assert_snapshot;
    use lictor_core::{Condition, Mode, OnFailure, Remedy, RemedyName, Repeatability, StepKind, Trigger};

    const WATCH: &str =
        "watch \"exec\" \"w\" {\n command = [\"true\"]\n match \"odd\" {\n contains = \"odd\"\n }\n}\n";

    fn rule(lines: &str) -> Remedy {
        let text = format!("{WATCH}rule \"r\" {{\n{lines}\n act \"exec\" {{\n command = [\"x\"]\n }}\n}}");
        parsed(&text).config.plan.remedies.values().next().unwrap().clone()
    }

    #[test]
    fn a_rule_is_a_remedy_of_one_step() {
        let found = rule("on = check.w == \"critical\"");
        assert_eq!((found.steps.len(), found.steps[0].name.as_str()), (1, "act"));
        assert_eq!(
            (found.target.as_str(), found.cooldown.as_secs(), found.deadline.as_secs()),
            ("r", 60, 3_600)
        );
        assert_eq!((found.defer, found.give_up_after.unwrap().get()), (true, 3));
        assert_eq!((found.budget, found.escalate, found.guard, found.cancel), (None, None, None, None));
        let StepKind::Act { action, repeat, limit, verify, .. } = &found.steps[0].kind else { panic!() };
        assert_eq!((action.as_str(), *repeat, limit.as_secs()), ("r/act", Repeatability::Neither, 30));
        assert!(verify.is_none() && found.steps[0].on_failure == OnFailure::Fail);
        assert_eq!(found.definition.len(), 64);
    }

    #[test]
    fn its_action_is_found_by_name() {
        let text = format!(
            "{WATCH}rule \"r\" {{\n on = check.w == \"critical\"\n act \"exec\" {{\n command = [\"x\"]\n }}\n}}"
        );
        let config = parsed(&text).config;
        let (name, action) = config.actions.iter().next().unwrap();
        assert!(name.as_str() == "r/act" && matches!(action, Action::Exec(_)));
    }

    #[test]
    fn only_conditions_are_deferred() {
        assert!(!rule("on = match.w.odd").defer);
        assert!(!rule("on = [match.exec.w.odd, changed(value.w.x)]").defer);
        assert!(rule("on = match.w.odd || value.w.x > 5").defer);
        assert!(!rule("on = check.w == \"critical\"\ndefer = false").defer);
        let found = rule("on = match.w.odd || value.w.x > 5");
        assert!(matches!(found.on[0], Trigger::Match { .. }) && matches!(found.on[1], Trigger::When(_)));
    }

    #[test]
    fn everything_can_be_said() {
        let text = format!(
            "{WATCH}{}",
            r#"
rule "r" {
  on            = check.w == "critical"
  guard         = !(value.w.x > 5)
  target        = "web"
  budget        = "3 in 1h"
  escalate      = remedy.last
  give_up_after = 0
  mode          = "observe"
  deadline      = "5m"
  cancel_when   = check.w != "critical"
  verify        = check.w == "passing"
  on_failure    = "park"
  attempts      = 3
  backoff       = "1s"
  repeat        = "idempotent"
  act "exec" {
    command = ["x"]
  }
}
rule "last" {
  on = no_data(check.w)
  act "exec" {
    command = ["y"]
  }
}
"#
        );
        let remedies = parsed(&text).config.plan.remedies.clone();
        let found = &remedies[&RemedyName::new("r").unwrap()];
        assert_eq!((found.target.as_str(), found.give_up_after, found.mode), ("web", None, Mode::Observe));
        assert!(matches!(found.guard, Some(Condition::Not(_))));
        assert_eq!(found.cancel.as_ref().unwrap().to_string(), "check.w != \"critical\"");
        assert_eq!(found.budget.map(|budget| (budget.runs.get(), budget.per.as_secs())), Some((3, 3_600)));
        assert_eq!((found.escalate.as_ref().unwrap().as_str(), found.deadline.as_secs()), ("last", 300));
        let step = &found.steps[0];
        assert_eq!((step.attempts.get(), step.backoff.as_secs(), &step.on_failure), (3, 1, &OnFailure::Park));
        assert!(matches!(step.kind, StepKind::Act { repeat: Repeatability::Idempotent, .. }));
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(&format!("{WATCH}{}", r#"
rule "a" {
  on       = check.v == "critical"
  guard    = match.w.odd
  budget   = "3 per hour"
  escalate = remedy.b
  repeat   = "verifiable"
  settle   = "5s"
}
rule "no good" {
  act "exce" {
  }
  on_failure = step.other
}
rule "c" {
  on = []
  act "exec" {
    command = ["x"]
  }
  act "exec" {
    command = ["y"]
  }
}
"#)), @r#"
        8:1: `rule "a"` does nothing (add an `act` block) [LIC0203]
        9:20: no watcher or check is named `v` (known here: `w`) [LIC0401]
        10:14: a match is an event and never holds, so it cannot be a condition or part of one (events can only start something: put it into `on`, alone, in a list, or joined by `||`) [LIC0502]
        11:14: `3 per hour` is not a budget (write how many in which time, such as "3 in 1h") [LIC0307]
        12:21: no rule or remedy is named `b` (known here: `a`, `c`, `no good`) [LIC0401]
        16:6: a name has letters, digits, `_`, `-`, `.`, `:`, `@` and `/`, not ' ' [LIC0303]
        17:7: unknown kind `exce` of `act` (did you mean `exec`?) [LIC0208]
        19:16: `on_failure` is one of "fail", "park", not a reference [LIC0206]
        22:8: nothing is in this list (name what starts it) [LIC0203]
        26:3: `rule "c"` has more than one `act` (each step does one thing; write a remedy with several steps; first here: x.hcl:23:3) [LIC0204]
        "#);
    }

    #[test]
    fn escalation_ends() {
        let rule = |name: &str, next: &str| {
            format!(
                "rule \"{name}\" {{\n on = check.w == \"critical\"\n escalate = remedy.{next}\n act \"exec\" {{\n command = [\"x\"]\n }}\n}}\n"
            )
        };
        assert_snapshot!(mistakes(&format!("{WATCH}{}{}", rule("a", "b"), rule("b", "a"))), @"7:6: these escalate to each other in a circle: a → b → a [LIC0402]");
        assert_snapshot!(mistakes(&format!("{WATCH}{}", rule("a", "a"))), @"7:6: these escalate to each other in a circle: a → a [LIC0402]");
    }

    #[test]
    fn an_argument_may_come_from_the_line_that_starts_it() {
        let text = |regex: &str, on: &str, command: &str| {
            format!(
                "watch \"exec\" \"w\" {{\n command = [\"true\"]\n match \"refused\" {{\n regex = \"{regex}\"\n }}\n}}\n\
                 rule \"ban\" {{\n on = {on}\n act \"exec\" {{\n command = {command}\n }}\n}}"
            )
        };
        let (regex, on) = ("refused (?P<address>[0-9.]+)", "match.w.refused");
        let config = parsed(&text(regex, on, "[\"ban\", \"--\", capture.address]")).config;
        let Some(Action::Exec(command)) = config.actions.values().next() else { panic!() };
        assert_eq!((command.argv.len(), command.captured.as_slice()), (3, &[(2, "address".to_owned())][..]));
        assert_snapshot!(mistakes(&text(regex, on, "[\"ban\", capture.adress]")), @"10:28: the pattern `refused` of `w` has no group `adress` (did you mean `address`?) [LIC0401]");
        assert_snapshot!(mistakes(&text(regex, on, "[capture.address]")), @"10:13: the program cannot come from a line (name a program) [LIC0206]");
        assert_snapshot!(mistakes(&text(regex, "check.w == \"critical\"", "[\"ban\", capture.address]")), @"10:28: no line starts this, so nothing is captured as `address` (let a match start it: on = match.WATCHER.PATTERN) [LIC0401]");
        assert_snapshot!(mistakes(&text(regex, on, "[\"ban\", match.address]")), @r#"10:20: `command` is a list of program and arguments such as ["systemctl", "restart", "x"], not a reference [LIC0206]"#);
    }

    #[test]
    fn a_condition_may_end_elsewhere_than_it_begins() {
        let found = rule("on = value.w.x > 90\n until = value.w.x < 80");
        assert_eq!(found.until.unwrap().to_string(), "value.w.x < 80");
    }
}
