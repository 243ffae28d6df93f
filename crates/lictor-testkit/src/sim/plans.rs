//! Plans by chance: few names and few different times, so that things meet.

use std::num::NonZeroU32;
use std::time::Duration;

use lictor_core::{
    ActionName, Budget, CheckName, CheckPlan, CheckSource, Compare, Condition, Counting, Flap, Limits, Mode,
    OnFailure, PatternName, Plan, Remedy, RemedyName, Repeatability, Status, Step, StepKind, StepName,
    Target, Trigger, ValueName, Verify,
};

use super::dice::Dice;

/// The remedy that others escalate to; it has no trigger of its own.
pub(super) const PAGE: &str = "page";

/// A name that is known to be one.
pub(super) fn name<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Display,
{
    match text.parse() {
        Ok(name) => name,
        Err(error) => panic!("`{text}` is no name: {error}"),
    }
}

fn n(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

/// The check over a service.
pub(super) fn check(service: usize) -> CheckName {
    name(&format!("c{service}"))
}

/// The number that every watcher reports.
pub(super) fn load() -> ValueName {
    name("load")
}

/// The pattern that every watcher may match.
pub(super) fn pattern() -> PatternName {
    name("oom")
}

/// A plan over so many services.
pub(super) fn plan(dice: &mut Dice, services: usize) -> Plan {
    let mut plan = Plan { limits: limits(dice), mode: mode(dice, 6), ..Plan::default() };
    for service in 0..services {
        plan.checks.insert(check(service), watched(dice));
    }
    for composite in 0..dice.index(3) {
        let made = composed(dice, &plan);
        plan.checks.insert(name(&format!("k{composite}")), made);
    }
    let names: Vec<_> = plan.checks.keys().cloned().collect();
    for number in 0..1 + dice.index(3) {
        plan.remedies.insert(name(&format!("r{number}")), remedy(dice, &names, number));
    }
    plan.remedies.insert(name(PAGE), page(dice, &names));
    plan
}

/// The same plan after somebody edited it.
pub(super) fn edited(dice: &mut Dice, plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for _ in 0..1 + dice.index(3) {
        let names: Vec<_> = plan.checks.keys().cloned().collect();
        let remedies: Vec<RemedyName> =
            plan.remedies.keys().filter(|one| one.as_str() != PAGE).cloned().collect();
        match dice.below(9) {
            0 => plan.mode = mode(dice, 40),
            1 => plan.limits = limits(dice),
            2 if remedies.len() > 1 => {
                plan.remedies.remove(&dice.pick(&remedies));
            }
            3 => {
                let number = dice.index(3);
                plan.remedies.insert(name(&format!("r{number}")), remedy(dice, &names, number));
            }
            4 => {
                if let Some(edited) = plan.remedies.get_mut(&dice.pick(&remedies)) {
                    edited.mode = mode(dice, 50);
                    edited.cooldown = cooldown(dice);
                    edited.budget = budget(dice);
                }
            }
            5 => {
                if let Some(edited) = plan.remedies.get_mut(&dice.pick(&remedies)) {
                    edited.on = triggers(dice, &names);
                }
            }
            6 => {
                if let Some(edited) = plan.remedies.get_mut(&dice.pick(&remedies)) {
                    edited.steps = steps(dice, &names);
                    edited.on_cancel = on_cancel(dice, &edited.steps);
                    edited.definition = definition(edited);
                }
            }
            7 => {
                let watched_names: Vec<_> =
                    names.iter().filter(|name| name.as_str().starts_with('c')).cloned().collect();
                plan.checks.insert(dice.pick(&watched_names), watched(dice));
            }
            _ => {
                // A composite is the one thing that can go without leaving a hole.
                let composites: Vec<_> =
                    names.iter().filter(|name| name.as_str().starts_with('k')).cloned().collect();
                if let Some(gone) = composites.last() {
                    if dice.chance(50) {
                        plan.checks.remove(gone);
                    } else {
                        let mut rest = plan.clone();
                        rest.checks.remove(gone);
                        plan.checks.insert(gone.clone(), composed(dice, &rest));
                    }
                }
            }
        }
    }
    plan
}

fn limits(dice: &mut Dice) -> Limits {
    let hold_above_percent = if dice.chance(20) { Some(dice.pick(&[0, 33, 50, 99, 100])) } else { None };
    Limits { in_flight: n(dice.pick(&[1, 1, 2, 16])), hold_above_percent }
}

fn mode(dice: &mut Dice, observes: u64) -> Mode {
    if dice.chance(observes) { Mode::Observe } else { Mode::Act }
}

fn watched(dice: &mut Dice) -> CheckPlan {
    let stale_after =
        if dice.chance(60) { Some(dice.millis(&[5_000, 10_000, 15_000, 30_000])) } else { None };
    CheckPlan {
        source: CheckSource::Watcher,
        fail_after: n(dice.pick(&[1, 1, 2, 3])),
        pass_after: n(dice.pick(&[1, 1, 2])),
        bad_for: dice.millis(&[0, 0, 0, 1, 5_000, 10_000]),
        grace: dice.millis(&[0, 0, 1, 10_000, 30_000]),
        stale_after,
        flap: flap(dice),
        tell: if dice.chance(20) { vec![load()] } else { Vec::new() },
        rates: Vec::new(),
        patterns: counting(dice).map(|counting| (pattern(), counting)).into_iter().collect(),
        group: None,
    }
}

fn counting(dice: &mut Dice) -> Option<Counting> {
    let within = dice.millis(&[1_000, 10_000, 60_000]);
    match dice.index(8) {
        0 => Some(Counting::AtLeast { lines: n(dice.between(1, 3)), within }),
        1 => Some(Counting::AbsentFor(within)),
        _ => None,
    }
}

fn flap(dice: &mut Dice) -> Option<Flap> {
    let flap = Flap { changes: n(dice.between(1, 4)), within: dice.millis(&[0, 10_000, 30_000, 60_000]) };
    dice.chance(25).then_some(flap)
}

fn composed(dice: &mut Dice, plan: &Plan) -> CheckPlan {
    let names: Vec<_> = plan.checks.keys().cloned().collect();
    let mut of: Vec<CheckName> = names.iter().filter(|_| dice.chance(60)).cloned().collect();
    if of.is_empty() {
        of.push(dice.pick(&names));
    }
    let at_least = 1 + dice.index(of.len());
    CheckPlan { source: CheckSource::Checks { at_least, of }, ..watched(dice) }
}

fn cooldown(dice: &mut Dice) -> Duration {
    dice.millis(&[0, 0, 1, 5_000, 10_000, 60_000])
}

fn deadline(dice: &mut Dice) -> Duration {
    let corner = dice.chance(8);
    dice.millis(if corner { &[0, 1, 1_000] } else { &[10_000, 20_000, 60_000, 120_000, 600_000] })
}

fn budget(dice: &mut Dice) -> Option<Budget> {
    let budget = Budget { runs: n(dice.between(1, 3)), per: dice.millis(&[1, 30_000, 60_000, 300_000]) };
    dice.chance(40).then_some(budget)
}

fn remedy(dice: &mut Dice, checks: &[CheckName], number: usize) -> Remedy {
    let steps = steps(dice, checks);
    let mut remedy = Remedy {
        on: triggers(dice, checks),
        until: if dice.chance(10) { Some(condition(dice, checks, 1)) } else { None },
        guard: if dice.chance(25) { Some(condition(dice, checks, 1)) } else { None },
        target: name::<Target>(dice.pick(&["t0", "t0", "t1", "t2"])),
        lease: None,
        cooldown: cooldown(dice),
        budget: budget(dice),
        escalate: if dice.chance(50) { Some(name(PAGE)) } else { None },
        // Always the same of one name, so that what was deferred is known over a reload.
        defer: number != 2,
        give_up_after: if dice.chance(25) { Some(n(dice.between(1, 3))) } else { None },
        mode: mode(dice, 8),
        deadline: deadline(dice),
        cancel: if dice.chance(20) { Some(condition(dice, checks, 1)) } else { None },
        on_cancel: on_cancel(dice, &steps),
        steps,
        definition: String::new(),
    };
    remedy.definition = definition(&remedy);
    remedy
}

fn page(dice: &mut Dice, checks: &[CheckName]) -> Remedy {
    Remedy { on: Vec::new(), target: name("pager"), escalate: None, ..remedy(dice, checks, 0) }
}

fn definition(remedy: &Remedy) -> String {
    format!("{:?} {:?} {:?}", remedy.steps, remedy.cancel, remedy.on_cancel)
}

fn on_cancel(dice: &mut Dice, steps: &[Step]) -> Option<StepName> {
    dice.chance(50).then(|| steps.get(dice.index(steps.len())).map(|step| step.name.clone())).flatten()
}

fn triggers(dice: &mut Dice, checks: &[CheckName]) -> Vec<Trigger> {
    let one = |dice: &mut Dice| match dice.below(10) {
        0 => Trigger::Match { source: check(dice.index(2)), pattern: pattern() },
        1 => Trigger::Changed { check: check(dice.index(2)), value: load(), from: None, to: None },
        _ => Trigger::When(condition(dice, checks, 2)),
    };
    let mut on = vec![one(dice)];
    if dice.chance(25) {
        on.push(one(dice));
    }
    on
}

fn condition(dice: &mut Dice, checks: &[CheckName], depth: u32) -> Condition {
    let check = dice.pick(checks);
    match dice.below(if depth == 0 { 8 } else { 11 }) {
        0..4 => Condition::Is { check, status: Status::Critical },
        4 => Condition::Is { check, status: Status::Unknown },
        5 => Condition::Is { check, status: Status::Passing },
        6 => Condition::Not(Box::new(Condition::Is { check, status: Status::Passing })),
        7 => {
            let op = dice.pick(&[Compare::Greater, Compare::LessOrEqual]);
            Condition::Value { check, value: load(), op, number: 50.0 }
        }
        8 => Condition::Not(Box::new(condition(dice, checks, depth - 1))),
        9 => Condition::All(vec![condition(dice, checks, depth - 1), condition(dice, checks, depth - 1)]),
        _ => Condition::Any(vec![condition(dice, checks, depth - 1), condition(dice, checks, depth - 1)]),
    }
}

fn steps(dice: &mut Dice, checks: &[CheckName]) -> Vec<Step> {
    let count = dice.pick(&[1, 1, 2, 3, 4]);
    (0..count).map(|number| step(dice, checks, number, count)).collect()
}

fn step(dice: &mut Dice, checks: &[CheckName], number: u32, count: u32) -> Step {
    let rest = u64::from(count - number - 1);
    let later = |dice: &mut Dice, percent: u64| {
        let step = (rest > 0 && dice.chance(percent)).then(|| u64::from(number) + 1 + dice.below(rest));
        step.map(|step| name(&format!("s{step}")))
    };
    let on_failure = match dice.below(10) {
        0..5 => OnFailure::Fail,
        5 => OnFailure::Park,
        _ => OnFailure::GoTo {
            step: name(&format!("s{}", dice.below(u64::from(count)))),
            visits: dice.between(0, 2),
            then: later(dice, 30),
        },
    };
    let kind = if dice.chance(75) { act(dice, checks, number) } else { wait(dice, checks) };
    Step {
        name: name(&format!("s{number}")),
        kind,
        next: later(dice, 20),
        skip_when: dice.chance(20).then(|| condition(dice, checks, 1)),
        attempts: n(dice.pick(&[1, 1, 2, 3])),
        backoff: dice.millis(&[0, 1, 1_000, 5_000]),
        backoff_max: dice.millis(&[0, 1_000, 5_000, 10_000]),
        on_failure,
    }
}

fn act(dice: &mut Dice, checks: &[CheckName], number: u32) -> StepKind {
    let repeat = dice.pick(&[Repeatability::Idempotent, Repeatability::Verifiable, Repeatability::Neither]);
    let verify = Verify {
        condition: if dice.chance(70) {
            Condition::Is { check: dice.pick(checks), status: Status::Passing }
        } else {
            condition(dice, checks, 1)
        },
        within: dice.millis(&[0, 1_000, 8_000, 10_000, 30_000]),
        settle: dice.millis(&[8_000, 10_000, 15_000]),
    };
    let action: ActionName = name(&format!("a{number}"));
    let limit = dice.millis(&[1_000, 5_000, 5_000, 30_000]);
    let prepare = dice.chance(30);
    StepKind::Act { action, repeat, limit, verify: dice.chance(50).then_some(verify), prepare }
}

fn wait(dice: &mut Dice, checks: &[CheckName]) -> StepKind {
    StepKind::Wait {
        condition: condition(dice, checks, 1),
        hold: dice.millis(&[0, 1, 5_000, 10_000]),
        deadline: dice.millis(&[0, 1, 5_000, 10_000, 60_000]),
    }
}
