//! `remedy "NAME" { … }`: steps that cure something.

use std::collections::BTreeMap;

use super::rule::Decoded;
use super::{starting, step};
use crate::code::Code;
use crate::model::{Action, Reboot};
use crate::problem::Draft;
use crate::reader::{Decoder, Reader};
use crate::schema::{Attribute, BlockType, Bodies, Kind, Schema};
use crate::syntax::canonical;
use crate::syntax::tree::{Block, Text};

pub(super) static BLOCK: BlockType =
    BlockType { name: "remedy", labels: &["NAME"], repeats: true, bodies: Bodies::One(&SCHEMA) };

/// A remedy has at most so many steps.
const STEPS: usize = 1_000;

static SCHEMA: Schema = Schema {
    doc: "Steps that cure something, one after the other. A run of them survives a restart of the agent, \
          and no step is repeated blindly.",
    groups: &[
        starting::ATTRIBUTES,
        &[Attribute::new(
            "on_cancel",
            Kind::Step,
            "The step that a cancelled run still goes through, with those after it.",
        )],
    ],
    blocks: &[&step::BLOCK],
    values: &[],
    example: r#"watch "http" "connection" {
  url = "http://127.0.0.1:8000/v1/publicip/ip"
}

remedy "reconnect" {
  on = check.connection == "critical"

  step "restart" {
    act "exec" {
      command = ["docker", "restart", "vpn"]
    }
  }

  step "settle" {
    wait_for = check.connection == "passing"
    hold     = "10m"
    deadline = "1h"
  }
}"#,
};

pub(super) fn decode(decoder: &Decoder<'_>, block: &Block) -> Option<Decoded> {
    let label = block.labels.first()?;
    let reader = Reader::new(decoder, block, &SCHEMA);
    let name = starting::name(&reader, label);
    let blocks = reader.blocks("step");
    let names: Vec<Text> = blocks.iter().filter_map(|block| block.labels.first().cloned()).collect();
    if !reader.has_block("step") {
        let draft = Draft::new(Code::Missing, reader.head, format!("{} has no steps", reader.place()));
        decoder.add(draft.help("add step \"NAME\" { … }, or write a rule"));
    }
    let mut firsts = BTreeMap::new();
    for name in &names {
        if let Some(first) = firsts.insert(name.is.as_str(), name.span) {
            let message = format!("the step `{}` is defined twice in this remedy", name.is);
            let draft = Draft::new(Code::Twice, name.span, message).label("again here");
            decoder.add(draft.also(first, "first here"));
        }
    }
    if names.len() > STEPS {
        let message = format!("{} has more than {STEPS} steps", reader.place());
        decoder.add(Draft::new(Code::Limit, reader.head, message));
        return None;
    }
    let decoded: Vec<_> = blocks
        .iter()
        .zip(&names)
        .map(|(block, name)| {
            let reader = Reader::over(decoder, &block.body, step_schema(), block.head(), block.title());
            step::decode(&reader, &label.is, name, &names)
        })
        .collect();
    let on_cancel = starting::on_cancel(&reader, &names);
    let mut actions = Vec::new();
    let decoded: Option<Vec<step::Decoded>> = decoded.into_iter().collect();
    let particular = decoded.filter(|steps| !steps.is_empty()).zip(on_cancel).map(|(decoded, on_cancel)| {
        let mut steps = Vec::new();
        for one in decoded {
            steps.push(one.step);
            actions.extend(one.action);
        }
        let reboots = actions.iter().any(|(_, action)| matches!(action, Action::Reboot(_)));
        let target = reboots.then(|| Reboot::TARGET.to_owned());
        starting::Particular { steps, on_cancel, definition: canonical::digest(block), target, reboots }
    });
    let (name, remedy) = starting::decode(&reader, name, particular)?;
    Some((name, remedy, actions))
}

fn step_schema() -> &'static Schema {
    match step::BLOCK.bodies {
        Bodies::One(schema) => schema,
        Bodies::Kinds(_) => &SCHEMA,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{mistakes, parsed, warnings};
    use insta::assert_snapshot;
    use lictor_core::{OnFailure, Remedy, Repeatability, StepKind};

    const WATCH: &str = "watch \"exec\" \"w\" {\n command = [\"true\"]\n}\n";

    fn remedy(body: &str) -> Remedy {
        parsed(&format!("{WATCH}remedy \"r\" {{\n on = check.w == \"critical\"\n{body}\n}}"))
            .config
            .plan
            .remedies
            .values()
            .next()
            .unwrap()
            .clone()
    }

    #[test]
    fn steps_act_or_wait() {
        let found = remedy(
            r#"
  cancel_when = check.w == "passing"
  on_cancel   = step.back
  step "stop" {
    act "http" {
      url = "http://127.0.0.1/stop"
    }
    attempts   = 5
    backoff    = "1s"
    verify     = no_data(check.w)
    on_failure = step.back
  }
  step "settle" {
    wait_for = check.w == "passing" && value.w.load < 5
    hold     = "1h"
    on_failure = step.stop
    on_failure_visits = 2
  }
  step "back" {
    act "kv" {
      key    = "stopped"
      delete = true
    }
    on_failure = "park"
  }
"#,
        );
        let names: Vec<&str> = found.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["stop", "settle", "back"]);
        assert_eq!(found.on_cancel.unwrap().as_str(), "back");
        assert_eq!(found.cancel.unwrap().to_string(), "check.w == \"passing\"");
        let StepKind::Act { action, repeat, verify, .. } = &found.steps[0].kind else { panic!() };
        assert_eq!((action.as_str(), *repeat), ("r/stop", Repeatability::Verifiable));
        let verify = verify.as_ref().unwrap();
        assert_eq!(
            (verify.condition.to_string(), verify.settle.as_secs()),
            ("check.w == \"unknown\"".to_owned(), 10)
        );
        let StepKind::Wait { condition, hold, deadline } = &found.steps[1].kind else { panic!() };
        assert_eq!(condition.to_string(), "(check.w == \"passing\" && value.w.load < 5)");
        assert_eq!((hold.as_secs(), deadline.as_secs()), (3_600, 7_200));
        let OnFailure::GoTo { step, visits, .. } = &found.steps[1].on_failure else { panic!() };
        assert_eq!((step.as_str(), *visits), ("stop", 2));
        let StepKind::Act { repeat, .. } = found.steps[2].kind else { panic!() };
        assert_eq!((repeat, &found.steps[2].on_failure), (Repeatability::Idempotent, &OnFailure::Park));
        assert!(found.deadline.as_secs() > 7_200, "the steps need longer than an hour");
    }

    #[test]
    fn the_definition_is_what_is_written_not_how() {
        let written = |text: &str| remedy(text).definition;
        let one = written("step \"a\" {\n wait_for = check.w == \"passing\"\n hold = \"5s\"\n}");
        let same = written(
            "# why\nstep \"a\" {\n  hold = \"5s\" # long\n\n wait_for = (check.w  ==  \"passing\")\n}",
        );
        let other = written("step \"a\" {\n wait_for = check.w == \"passing\"\n hold = \"6s\"\n}");
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_eq!(
            one, "3e1ddcd62e57eecdecf264aaba955671834fac5b67be1aeae463447f3a88a699",
            "runs of yesterday go on"
        );
    }

    #[test]
    fn its_mistakes() {
        assert_snapshot!(mistakes(&format!("{WATCH}{}", r#"
remedy "a" {
  on = check.w == "critical"
}
remedy "b" {
  on        = check.w == "critical"
  on_cancel = step.end
  step "one/two" {
    wait_for = check.w == "passing"
    timeout  = "5s"
    hold     = "1h"
    deadline = "5m"
  }
  step "both" {
    wait_for = check.w == "passing"
    act "exec" {
      command = ["x"]
    }
  }
  step "none" {
    on_failure_visits = 2
  }
  step "ende" {
    act "exec" {
      command = ["x"]
    }
    hold       = "5s"
    backoff    = "5s"
    on_failure = "stop"
  }
  step "ende" {
    act "exec" {
      command = ["x"]
    }
    on_failure = check.w
  }
}
"#)), @r#"
        5:1: `remedy "a"` has no steps (add step "NAME" { … }, or write a rule) [LIC0203]
        10:20: no step here is named `end` (did you mean `ende`?) [LIC0401]
        11:8: the name of a step has no `/` [LIC0303]
        13:16: `timeout` is for a step that acts; this one waits [LIC0207]
        15:16: `deadline` is shorter than `hold`, 1h [LIC0207]
        18:16: `step "both"` both acts and waits (make two steps of it) [LIC0207]
        23:3: `step "none"` does nothing (add an `act` block or `wait_for`) [LIC0203]
        24:25: `on_failure_visits` needs `on_failure` to name a step [LIC0207]
        30:18: `hold` needs `wait_for` [LIC0207]
        32:18: `on_failure` cannot be `stop` (write "fail", "park" or step.NAME) [LIC0306]
        34:8: the step `ende` is defined twice in this remedy (first here: x.hcl:26:8) [LIC0204]
        38:18: `check.w` is not step.NAME [LIC0206]
        "#);
    }

    #[test]
    fn a_deadline_that_no_run_can_meet_is_told() {
        let text = format!(
            "{WATCH}remedy \"r\" {{\n on = check.w == \"critical\"\n deadline = \"1h\"\n step \"s\" {{\n wait_for = check.w == \"passing\"\n hold = \"2h\"\n }}\n}}"
        );
        assert_snapshot!(warnings(&text), @r#"
        LIC0906

          ⚠ no run can succeed: its steps hold for 2h in all
           ╭─[x.hcl:6:13]
         5 │  on = check.w == "critical"
         6 │  deadline = "1h"
           ·             ──┬─
           ·               ╰── here
         7 │  step "s" {
           ╰────
        "#);
    }
}
