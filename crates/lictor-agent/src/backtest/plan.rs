//! What of a plan can be played.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lictor_core::{CheckName, CheckSource, Condition, Plan, Remedy, StepKind, Trigger};

/// A plan as it is played.
#[derive(Clone, Debug)]
pub struct Played {
    /// The plan.
    pub plan: Arc<Plan>,
    /// What therefore says less than it seems.
    pub notes: Vec<String>,
}

impl Played {
    /// A plan over the past: nobody looks at anything but what is known, so silence means nothing;
    /// what is done is not seen in the past, so it is taken as having worked.
    pub(super) fn of_the_past(plan: &Plan, known: &BTreeSet<CheckName>) -> Self {
        let mut plan = alone(plan);
        for check in plan.checks.values_mut() {
            check.stale_after = None;
            check.grace = Duration::ZERO;
        }
        let told = told(&plan, known);
        let mut notes = Vec::new();
        for (name, remedy) in &mut plan.remedies {
            let missing = |condition: &Condition| -> Vec<CheckName> {
                condition.checks().into_iter().filter(|check| !told.contains(check)).collect()
            };
            let dark = |trigger: &Trigger| match trigger {
                Trigger::When(condition) => !missing(condition).is_empty(),
                Trigger::Match { source: check, .. } | Trigger::Changed { check, .. } => {
                    !told.contains(check)
                }
            };
            if !remedy.on.is_empty() && remedy.on.iter().all(dark) {
                notes.push(format!(
                    "`{name}` cannot start: no source says anything of {}",
                    listed(remedy, &told)
                ));
            } else if let Some(guard) = &remedy.guard {
                let missing = missing(guard);
                if !missing.is_empty() {
                    let names: Vec<_> = missing.iter().map(|check| format!("`{check}`")).collect();
                    notes.push(format!(
                        "the guard of `{name}` cannot be told without {}, and holds it back: see --assume",
                        names.join(", ")
                    ));
                }
            }
            for step in &mut remedy.steps {
                match &mut step.kind {
                    StepKind::Act { verify, .. } => *verify = None,
                    StepKind::Wait { condition, .. } if !missing(condition).is_empty() => {
                        *condition = Condition::All(Vec::new());
                    }
                    StepKind::Wait { .. } => {}
                }
            }
        }
        Self { plan: Arc::new(plan), notes }
    }

    /// A plan for a test: as it is, but for leases, which a single node always holds. What the test
    /// does not mention is not looked at, and its silence means nothing.
    pub(super) fn of_a_test(plan: &Plan, mentioned: &BTreeSet<CheckName>) -> Arc<Plan> {
        let mut plan = alone(plan);
        for (_, check) in plan.checks.iter_mut().filter(|(name, _)| !mentioned.contains(*name)) {
            check.stale_after = None;
        }
        Arc::new(plan)
    }
}

/// The plan of a node that shares nothing with others.
fn alone(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for remedy in plan.remedies.values_mut() {
        remedy.lease = None;
    }
    plan
}

/// The checks of which something is known: those that are, and what is made of them.
fn told(plan: &Plan, known: &BTreeSet<CheckName>) -> BTreeSet<CheckName> {
    let mut told = known.clone();
    loop {
        let of_known = |source: &CheckSource| match source {
            CheckSource::Checks { of, .. } => of.iter().any(|member| told.contains(member)),
            CheckSource::Watcher => false,
        };
        let more =
            plan.checks.iter().filter(|(name, check)| !told.contains(*name) && of_known(&check.source));
        let more: Vec<_> = more.map(|(name, _)| name.clone()).collect();
        if more.is_empty() {
            return told;
        }
        told.extend(more);
    }
}

fn listed(remedy: &Remedy, told: &BTreeSet<CheckName>) -> String {
    let mut names = BTreeSet::new();
    for trigger in &remedy.on {
        match trigger {
            Trigger::When(condition) => names.extend(condition.checks()),
            Trigger::Match { source: check, .. } | Trigger::Changed { check, .. } => {
                names.insert(check.clone());
            }
        }
    }
    let names: Vec<_> =
        names.iter().filter(|name| !told.contains(*name)).map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
