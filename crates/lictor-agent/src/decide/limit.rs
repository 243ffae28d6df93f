//! How long what is ordered may take.

use std::time::Duration;

use lictor_core::{Effect, Order, Plan, StepKind};

/// How long an action may take whose step is gone.
const ORPHAN_LIMIT: Duration = Duration::from_secs(60);

/// The time limit of an effect under a plan; [`Duration::MAX`] is none.
pub(super) fn limit(plan: &Plan, effect: &Effect) -> Duration {
    let (Effect::Prepare(Order { remedy, step, definition, .. })
    | Effect::Act(Order { remedy, step, definition, .. })
    | Effect::Inspect(Order { remedy, step, definition, .. })
    | Effect::Abort(Order { remedy, step, definition, .. })) = effect;
    let remedy = plan.remedies.get(remedy);
    let changed = remedy.is_none_or(|remedy| remedy.definition != *definition);
    if changed && matches!(effect, Effect::Inspect(_)) {
        // Its shim holds a program to the limit it was begun under, which nobody else knows any
        // more: it is waited for until it has ended, or the deadline of its run aborts it.
        return Duration::MAX;
    }
    let step = remedy.and_then(|remedy| remedy.steps.iter().find(|one| one.name == *step));
    match step.map(|step| &step.kind) {
        Some(StepKind::Act { limit, .. }) => *limit,
        Some(StepKind::Wait { .. }) | None => ORPHAN_LIMIT,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use lictor_core::{
        ActionName, Boot, Captures, Mode, Notes, OnFailure, Remedy, RemedyName, Repeatability, RunId, Step,
        StepName, Target,
    };

    use super::*;

    const OWN: Duration = Duration::from_secs(7);

    /// A plan with one remedy of one step, whose limit is [`OWN`].
    fn plan(definition: &str) -> Plan {
        let step = Step {
            name: StepName::new("copy").unwrap(),
            kind: StepKind::Act {
                action: ActionName::new("copy").unwrap(),
                repeat: Repeatability::Idempotent,
                limit: OWN,
                verify: None,
                prepare: false,
            },
            attempts: NonZeroU32::MIN,
            next: None,
            skip_when: None,
            backoff: Duration::ZERO,
            backoff_max: Duration::ZERO,
            on_failure: OnFailure::Fail,
        };
        let remedy = Remedy {
            on: Vec::new(),
            until: None,
            guard: None,
            target: Target::new("target").unwrap(),
            lease: None,
            cooldown: Duration::ZERO,
            budget: None,
            escalate: None,
            defer: true,
            give_up_after: None,
            mode: Mode::Act,
            deadline: Duration::from_secs(3_600),
            cancel: None,
            on_cancel: None,
            definition: definition.to_owned(),
            steps: vec![step],
        };
        Plan { remedies: [(RemedyName::new("sync").unwrap(), remedy)].into(), ..Plan::default() }
    }

    fn order() -> Order {
        Order {
            run: RunId(1),
            step: StepName::new("copy").unwrap(),
            attempt: 1,
            action: None,
            target: Target::new("target").unwrap(),
            remedy: RemedyName::new("sync").unwrap(),
            definition: "old".to_owned(),
            lease: None,
            notes: Notes::default(),
            captures: Captures::default(),
            change: None,
            since: Boot::from_millis(0),
        }
    }

    #[test]
    fn a_step_has_its_own_limit() {
        for effect in [Effect::Act(order()), Effect::Inspect(order()), Effect::Abort(order())] {
            assert_eq!(limit(&plan("old"), &effect), OWN);
        }
    }

    #[test]
    fn what_is_looked_at_is_not_held_to_the_limit_of_a_definition_it_was_not_begun_under() {
        for plan in [plan("new"), Plan::default()] {
            assert_eq!(limit(&plan, &Effect::Inspect(order())), Duration::MAX);
        }
    }

    #[test]
    fn what_is_stopped_is_not_waited_for_without_a_limit() {
        assert_eq!(limit(&Plan::default(), &Effect::Abort(order())), ORPHAN_LIMIT);
    }
}
