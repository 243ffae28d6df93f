//! What happens to the agent and to the world: a script that can be read and played again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lictor_core::{Plan, Span, Status};

use super::dice::Dice;
use super::plans;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Time passes, in milliseconds.
    Pass(u64),
    /// Time passes until so many milliseconds before (or after) the engine wants to be woken.
    PassToWake(i64),
    /// The machine does nothing for so many milliseconds, then goes on.
    Freeze(u64),
    /// A service gets this state.
    Set(usize, Status),
    /// A watcher sees nothing (`true`), or sees again.
    Blind(usize, bool),
    /// A watcher says nothing (`true`), or speaks again.
    Mute(usize, bool),
    /// A watcher measures this.
    Load(usize, u32),
    /// A watcher matches a line.
    Line(usize),
    /// A person retries one of the unfinished runs.
    Retry(usize),
    /// A person cancels one of the unfinished runs.
    Cancel(usize),
    /// A person starts one of the remedies.
    Start(usize),
    /// Something answers for an attempt that was never made.
    Stray(usize),
    /// From now on a commit takes so many milliseconds.
    Store(u64),
    /// The agent is killed when so many more commits have begun, at this stage; it is
    /// back after so many milliseconds.
    KillAtCommit(u32, Stage, u64),
    /// The agent is killed now; a commit in flight arrives or not.
    Kill(bool, u64),
    /// The machine loses power; a commit in flight arrives or not. All that ran is dead.
    PowerCut(bool, u64),
    /// The wall clock is set by so many milliseconds.
    StepWall(i64),
    /// Another plan is put in force; 0 is the first one.
    Reload(usize),
    /// Another plan is taken at the next start.
    Edit(usize),
}

/// Where in a commit the agent dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before anything of it is durable.
    Before,
    /// When it is durable and nothing of it was carried out.
    After,
    /// When half of its effects were carried out.
    During,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = |millis: &u64| Span(Duration::from_millis(*millis));
        let arrives = |yes: &bool| if *yes { "arrives" } else { "is lost" };
        match self {
            Self::Pass(time) => write!(f, "{} pass", span(time)),
            Self::PassToWake(0) => f.write_str("time passes until the engine wants to be woken"),
            Self::PassToWake(by) => {
                write!(f, "time passes until {by}ms from when the engine wants to be woken")
            }
            Self::Freeze(time) => write!(f, "the machine is frozen for {}", span(time)),
            Self::Set(service, status) => write!(f, "service {service} is {status}"),
            Self::Blind(service, true) => write!(f, "watcher c{service} sees nothing"),
            Self::Blind(service, false) => write!(f, "watcher c{service} sees again"),
            Self::Mute(service, true) => write!(f, "watcher c{service} falls silent"),
            Self::Mute(service, false) => write!(f, "watcher c{service} speaks again"),
            Self::Load(service, load) => write!(f, "the load of service {service} is {load}"),
            Self::Line(service) => write!(f, "watcher c{service} matches a line"),
            Self::Retry(run) => write!(f, "a person retries unfinished run #{run}"),
            Self::Cancel(run) => write!(f, "a person cancels unfinished run #{run}"),
            Self::Start(remedy) => write!(f, "a person starts remedy #{remedy}"),
            Self::Stray(run) => write!(f, "an answer for an attempt of run #{run} that was never made"),
            Self::Store(time) => write!(f, "a commit takes {}", span(time)),
            Self::KillAtCommit(commits, stage, down) => {
                let stage = match stage {
                    Stage::Before => "before it is durable",
                    Stage::After => "before its effects",
                    Stage::During => "amid its effects",
                };
                write!(
                    f,
                    "the agent is killed at commit {commits} from now, {stage}; back after {}",
                    span(down)
                )
            }
            Self::Kill(arrived, down) => {
                write!(
                    f,
                    "the agent is killed, the commit in flight {}; back after {}",
                    arrives(arrived),
                    span(down)
                )
            }
            Self::PowerCut(arrived, down) => {
                write!(
                    f,
                    "the power is cut, the commit in flight {}; back after {}",
                    arrives(arrived),
                    span(down)
                )
            }
            Self::StepWall(by) => write!(f, "the wall clock is set by {by}ms"),
            Self::Reload(plan) => write!(f, "plan {plan} is put in force"),
            Self::Edit(plan) => write!(f, "plan {plan} is taken at the next start"),
        }
    }
}

/// Everything that decides a play.
#[derive(Clone, Debug)]
pub struct Script {
    /// What it was made from; also decides what actions do.
    pub seed: u64,
    /// How many services there are.
    pub services: usize,
    /// The first plan and the others.
    pub plans: Vec<Arc<Plan>>,
    /// What happens.
    pub operations: Vec<Operation>,
}

impl Script {
    /// The script of a seed.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let services = 2 + dice.index(2);
        let first = plans::plan(&mut dice, services);
        let mut plans = vec![Arc::new(first)];
        while dice.chance(35) && plans.len() < 4 {
            let from = dice.pick(&plans);
            plans.push(Arc::new(plans::edited(&mut dice, &from)));
        }
        let count = 20 + dice.index(60);
        let operations = (0..count).map(|_| operation(&mut dice, services, plans.len())).collect();
        Self { seed, services, plans, operations }
    }
}

fn operation(dice: &mut Dice, services: usize, plans: usize) -> Operation {
    let service = dice.index(services);
    let down = dice.pick(&[0, 0, 1, 1_000, 10_000, 60_000]);
    match dice.below(100) {
        0..22 => Operation::Pass(pass(dice)),
        22..38 => Operation::PassToWake(dice.pick(&[0, 0, 0, -1, 1, 100])),
        38..40 => Operation::Freeze(dice.pick(&[1, 5_000, 30_000, 3_600_000])),
        40..50 => Operation::Set(
            service,
            dice.pick(&[Status::Critical, Status::Critical, Status::Critical, Status::Warning]),
        ),
        50..57 => Operation::Set(service, Status::Passing),
        57..60 => Operation::Blind(service, dice.chance(60)),
        60..63 => Operation::Mute(service, dice.chance(60)),
        63..66 => Operation::Load(service, dice.pick(&[0, 50, 51, 100])),
        66..69 => Operation::Line(service),
        69..73 => Operation::Retry(dice.index(3)),
        73..76 => Operation::Cancel(dice.index(3)),
        76..78 => Operation::Start(dice.index(4)),
        78..79 => Operation::Stray(dice.index(3)),
        79..82 => Operation::Store(dice.pick(&[0, 0, 1, 100, 7_000])),
        82..89 => {
            let stage = dice.pick(&[Stage::Before, Stage::After, Stage::During]);
            Operation::KillAtCommit(dice.between(1, 3), stage, down)
        }
        89..91 => Operation::Kill(dice.chance(50), down),
        91..93 => Operation::PowerCut(dice.chance(50), down),
        93..95 => Operation::StepWall(dice.pick(&[
            -3_600_000,
            -1,
            1,
            60_000,
            86_400_000,
            i64::MIN / 2,
            i64::MAX / 2,
        ])),
        95..98 => Operation::Reload(dice.index(plans)),
        98 => Operation::Edit(dice.index(plans)),
        _ => Operation::Pass(dice.pick(&[60_000, 120_000])),
    }
}

fn pass(dice: &mut Dice) -> u64 {
    match dice.below(4) {
        0 => dice.pick(&[0, 1, 1_000, 5_000, 10_000, 30_000, 60_000]),
        1 => dice.below(2_000),
        2 => dice.below(10_000),
        _ => dice.below(40_000),
    }
}
