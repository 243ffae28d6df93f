//! `cargo xtask test --long`: the tests that go by dice, for hours and with other dice than before.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use crate::error::Error;
use crate::lint::cargo;
use crate::setup::{self, Host, Tools};
use crate::stages::Stages;
use crate::suites::Need;
use crate::test::{environment, hermetic};
use crate::workspace::Workspace;

/// How often something happens to the three machines, unless it is said.
pub(crate) const FAULTS: u64 = 1_000;

/// Time for one of them, at the most.
const FAULT: Duration = Duration::from_secs(60);

/// Time for any of the others, which take some minutes.
const STAGE: Duration = Duration::from_secs(2 * 60 * 60);

/// Seeds have so many numbers behind them: two runs play no history twice.
const APART: u64 = 1_000_000;

/// How the simulators begin to say what is wrong: `seed 7: n1 is dead, and nobody has told`.
const FAILED_SEED: &str = "seed ";

/// What is asked of a long run.
pub(crate) struct Plan {
    /// The same dice as in the run that printed it.
    pub(crate) seed: Option<u64>,
    /// How often something happens to the three machines.
    pub(crate) faults: u64,
    /// Only the stages with this in their names.
    pub(crate) only: Option<String>,
    /// Succeed although some cannot run here.
    pub(crate) partial: bool,
}

/// Tests that are run together.
struct Stage {
    name: &'static str,
    package: &'static str,
    /// Which of its test programs.
    target: &'static [&'static str],
    /// Their names begin so.
    tests: &'static str,
    needs: &'static [Need],
    /// What the environment says to them.
    asks: fn(&Dice) -> Vec<(&'static str, u64)>,
}

/// What decides what happens.
struct Dice {
    seed: u64,
    faults: u64,
}

impl Dice {
    /// The first of the seeds that are this run's own.
    const fn first(&self) -> u64 {
        self.seed.saturating_mul(APART)
    }

    /// So many seeds of the simulator.
    fn plays(&self, count: u64) -> Vec<(&'static str, u64)> {
        vec![("LICTOR_SIM_FIRST", self.first()), ("LICTOR_SIM_SEEDS", count)]
    }

    /// A long test with this seed.
    fn long(&self) -> Vec<(&'static str, u64)> {
        vec![("LICTOR_LONG", 1), ("LICTOR_SEED", self.seed)]
    }
}

const IT: &[&str] = &["--test", "it"];
const CONSUL: Need = Need::Tool("LICTOR_CONSUL_BIN");
const FLEET: &[Need] = &[
    Need::Root,
    Need::Tool("LICTOR_NSPAWN_BIN"),
    Need::Tool("LICTOR_DBUS_BIN"),
    Need::Tool("LICTOR_IP_BIN"),
    Need::Tool("LICTOR_FAKETIME_BIN"),
    CONSUL,
];

/// All of them, the quick ones first.
const STAGES: &[Stage] = &[
    Stage {
        name: "simulated engine",
        package: "lictor-testkit",
        target: IT,
        tests: "engine::",
        needs: &[],
        asks: |dice| dice.plays(ENGINE),
    },
    Stage {
        name: "simulated lease",
        package: "lictor-testkit",
        target: IT,
        tests: "lease::",
        needs: &[],
        asks: |dice| dice.plays(LEASE),
    },
    Stage {
        name: "simulated service",
        package: "lictor-testkit",
        target: IT,
        tests: "service::",
        needs: &[],
        asks: |dice| dice.plays(SERVICE),
    },
    Stage {
        name: "simulated peers",
        package: "lictor-testkit",
        target: IT,
        tests: "peers::",
        needs: &[],
        asks: |dice| dice.plays(PEERS),
    },
    Stage {
        name: "large fleets of peers",
        package: "lictor-testkit",
        target: IT,
        tests: "peers_big::",
        needs: &[],
        asks: Dice::long,
    },
    Stage {
        name: "contract of the alerts",
        package: "lictor-core",
        target: &["--lib"],
        tests: "alert::desk::tests::contract::whoever_was_told",
        needs: &[],
        asks: |dice| vec![("LICTOR_FIRST_SEED", dice.first()), ("LICTOR_SEEDS", CONTRACT)],
    },
    Stage {
        name: "alerts through a flaky webhook",
        package: "lictor",
        target: IT,
        tests: "alerts_long::",
        needs: &[],
        asks: Dice::long,
    },
    Stage {
        name: "monitor killed in each step",
        package: "lictor",
        target: IT,
        tests: "monitor_faults::",
        needs: &[CONSUL],
        asks: Dice::long,
    },
    Stage {
        name: "faults of those who share alerts",
        package: "lictor",
        target: IT,
        tests: "together::whatever_befalls",
        needs: &[CONSUL],
        asks: |dice| vec![("LICTOR_ROUNDS", 200), ("LICTOR_SEED", dice.seed)],
    },
    Stage {
        name: "10,000 shared alerts",
        package: "lictor",
        target: IT,
        tests: "together_long::",
        needs: &[CONSUL],
        asks: Dice::long,
    },
    Stage {
        name: "servers of a source start again",
        package: "lictor-agent",
        target: IT,
        tests: "replicate_faults::while_the_servers",
        needs: &[CONSUL],
        asks: |dice| vec![("LICTOR_ROUNDS", 100), ("LICTOR_KEYS", 150_000), ("LICTOR_SEED", dice.seed)],
    },
    Stage {
        name: "replication killed again and again",
        package: "lictor",
        target: IT,
        tests: "replicate_trouble::killed",
        needs: &[CONSUL],
        asks: |dice| vec![("LICTOR_ROUNDS", 200), ("LICTOR_SEED", dice.seed)],
    },
    Stage {
        name: "faults of a mesh",
        package: "lictor",
        target: IT,
        tests: "mesh::long::",
        needs: &[Need::Root, Need::Tool("LICTOR_IP_BIN")],
        asks: Dice::long,
    },
    Stage {
        name: "each step of a switchover",
        package: "lictor",
        target: IT,
        tests: "fleet::steps::",
        needs: FLEET,
        asks: Dice::long,
    },
    Stage {
        name: "faults of three machines",
        package: "lictor",
        target: IT,
        tests: "fleet::a_service_survives",
        needs: FLEET,
        asks: |dice| vec![("LICTOR_FAULTS", dice.faults), ("LICTOR_SEED", dice.seed)],
    },
];

/// Plays of the simulated engine: some minutes, as of each of these.
const ENGINE: u64 = 100_000;

/// Plays of the simulated lease.
const LEASE: u64 = 100_000;

/// Plays of a simulated service.
const SERVICE: u64 = 30_000;

/// Plays of simulated peers.
const PEERS: u64 = 100_000;

/// Seeds of the contract of the alerts.
const CONTRACT: u64 = 100_000;

impl Stage {
    /// What cargo is told, without what the tests are told.
    fn command(&self) -> Vec<&'static str> {
        [&["test", "--release", "--package", self.package], self.target].concat()
    }

    /// What is run, with all that it is told but the tools.
    fn line(&self, dice: &Dice) -> String {
        let asks: Vec<_> = (self.asks)(dice).iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (asks, command) = (asks.join(" "), self.command().join(" "));
        format!("{asks} cargo {command} {} -- --nocapture --test-threads 1", self.tests)
    }

    /// What a person types to run it again as it was.
    fn again(&self, dice: &Dice) -> String {
        format!(
            "cargo xtask test --long --seed {} --faults {} --only '{}'",
            dice.seed, dice.faults, self.name
        )
    }

    fn deadline(&self, dice: &Dice) -> Duration {
        let faults = u32::try_from(dice.faults).unwrap_or(u32::MAX);
        if self.tests.starts_with("fleet::a_") {
            STAGE.saturating_add(FAULT.saturating_mul(faults))
        } else {
            STAGE
        }
    }

    fn run(
        &self,
        workspace: &Workspace,
        environment: &[(String, String)],
        dice: &Dice,
    ) -> Result<String, Error> {
        println!("{}", self.line(dice));
        let tool = cargo(workspace).args(self.command()).arg(self.tests);
        let tool = hermetic(environment, tool.args(["--", "--nocapture", "--test-threads", "1"]));
        let tool =
            (self.asks)(dice).into_iter().fold(tool.deadline(self.deadline(dice)), |tool, (name, value)| {
                tool.env(name, value.to_string())
            });
        let (lines, result) =
            tool.forward(|line| line.starts_with("test result: ") || line.starts_with(FAILED_SEED));
        let passed = |line: &String| line.split_once("ok. ")?.1.split_once(" passed")?.0.parse::<u64>().ok();
        match (result, lines.iter().filter_map(passed).sum::<u64>()) {
            // A name that fits no test any more must not look like a success.
            (Ok(()), 0) => Err(Error::Verdict(format!("no test has a name with `{}`", self.tests))),
            (Ok(()), passed) => Ok(format!("{passed} passed")),
            (Err(error), _) => {
                let seed = lines.into_iter().find(|line| line.starts_with(FAILED_SEED));
                Err(seed.map_or(error, Error::Verdict))
            }
        }
        .inspect_err(|_| println!("again: {}", self.again(dice)))
    }
}

/// Runs all of them one after the other, in release.
pub(crate) fn long(workspace: &Workspace, plan: &Plan) -> Result<(), Error> {
    let host = Host::here();
    let mut stages = Stages::start();
    // Of a length that people can type.
    let seed = plan.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish() % APART);
    let dice = Dice { seed, faults: plan.faults };
    println!("seed {seed}; the same again: cargo xtask test --long --seed {seed} --faults {}", plan.faults);

    let mut tools = Tools::default();
    stages.run("setup", || {
        tools = setup::setup(workspace, &host)?;
        Ok(format!("{} tools", tools.found.len()))
    });
    let environment = environment(&host, &tools);
    let chosen = |stage: &&Stage| plan.only.as_ref().is_none_or(|only| stage.name.contains(only.as_str()));
    let chosen: Vec<&Stage> = STAGES.iter().filter(chosen).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = STAGES.iter().map(|stage| stage.name).collect();
        return Err(Error::Verdict(format!("there is no such stage; there are: {}", names.join(", "))));
    }
    let mut commands: Vec<_> = chosen.iter().map(|stage| stage.command()).collect();
    commands.sort_unstable();
    commands.dedup();
    let built = stages.run("build in release", || {
        commands.iter().try_for_each(|command| cargo(workspace).args(command).arg("--no-run").run())?;
        Ok(String::new())
    });
    for stage in chosen {
        match stage.needs.iter().find_map(|need| need.unmet(&host, &tools)) {
            Some(why) => stages.left_out(stage.name, why),
            None if built => {
                stages.run(stage.name, || stage.run(workspace, &environment, &dice));
            }
            None => stages.left_out(stage.name, "it is not built".to_owned()),
        }
    }
    let verdict = stages.close(plan.partial);
    println!("seed {seed}, {} faults", plan.faults);
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    const DICE: Dice = Dice { seed: 7, faults: 12 };

    #[test]
    fn a_stage_is_run_again_by_one_command_with_all_it_was_told() {
        let stage = STAGES.iter().find(|stage| stage.name == "faults of three machines").unwrap();
        assert_eq!(
            stage.again(&DICE),
            "cargo xtask test --long --seed 7 --faults 12 --only 'faults of three machines'"
        );
        assert_eq!(
            stage.line(&DICE),
            "LICTOR_FAULTS=12 LICTOR_SEED=7 cargo test --release --package lictor --test it \
             fleet::a_service_survives -- --nocapture --test-threads 1"
        );
        assert_eq!(stage.deadline(&DICE), STAGE + FAULT * 12);
    }

    #[test]
    fn two_runs_share_no_seed() {
        let most =
            STAGES.iter().flat_map(|stage| (stage.asks)(&DICE)).filter(|(name, _)| name.ends_with("SEEDS"));
        assert!(most.clone().count() >= 5 && most.clone().all(|(_, count)| count < APART));
        assert_eq!(DICE.first(), 7 * APART);
    }

    #[test]
    fn each_stage_is_named_once() {
        let mut names: Vec<&str> = STAGES.iter().map(|stage| stage.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STAGES.len());
    }
}
