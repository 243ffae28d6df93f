//! The commands `run` and `clean`.

mod error;
mod program;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use lictor_consul::Consistency;
use lictor_testkit::host;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

pub use self::error::CommandError;
use self::program::{in_path, whole};
use super::cell;
use super::nemesis::fault::{Fault, FaultError};
use super::nemesis::schedule::Order;
use super::runner::{self, Plan, Played};
use super::say::Say;
use super::scratch::{self, Scratch};
use super::workload::{Kind, Wishes, Workload};
use super::world::disk;
use super::world::server::Setup;
use super::world::{self, Places, agent};
use crate::check::{Finding, Judgement, Outcome, Verdict};
use crate::command;
use crate::history::History;

/// The history, in the directory of a run.
const HISTORY: &str = "history.jsonl";

/// What the run was to be, in the directory of a run.
const MADE: &str = "run.json";

/// What was found of it, in the directory of a run.
const JUDGED: &str = "verdict.json";

/// The logs of the servers, in the directory of a run.
const LOGS: &str = "nodes";

/// Makes a run: servers on hosts of their own, clients that work on them, faults that are done to them.
#[derive(Args, Clone, Debug)]
#[command(args_override_self = true)]
pub struct Run {
    /// What is tested
    #[arg(long, value_enum, default_value_t = Target::Consul)]
    target: Target,
    /// What the clients do: register, versioned, multi, set, append, lock, fenced-lock, leader, session; and of Lictor:
    /// failover, alerts, remedy, replication, peers, snapshots [default: register, or failover]
    #[arg(long)]
    workload: Option<Kind>,
    /// What is done to the hosts meanwhile: names of faults with commas between them, or none
    #[arg(long, default_value = "none", value_parser = faults)]
    nemesis: Faults,
    /// How many hosts, with a server of Consul on each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=99))]
    nodes: u16,
    /// How many seconds the clients work
    #[arg(long, default_value_t = 120)]
    time: u64,
    /// What all that is drawn begins with; any number if not given
    #[arg(long)]
    seed: Option<u64>,
    /// How many seconds a fault is at work, and how many there is none
    #[arg(long, default_value_t = 10)]
    interval: u64,
    /// How faults follow each other: fixed, random, mixed
    #[arg(long, default_value_t = Order::Fixed)]
    schedule: Order,
    /// How sure reads are
    #[arg(long, value_enum, default_value_t = Reads::Consistent)]
    reads: Reads,
    /// How many clients; three for each server if not given, one for each agent
    #[arg(long)]
    clients: Option<u16>,
    /// How many operations a key sees before another takes its place
    #[arg(long, default_value_t = 300)]
    per_key: u32,
    /// How many milliseconds a client rests between two operations, on average; as the workload wants it if not given
    #[arg(long)]
    rest: Option<u64>,
    /// How many other keys are written before
    #[arg(long, default_value_t = 0)]
    ballast: u32,
    /// How many seconds the servers have for themselves after the faults
    #[arg(long)]
    settle: Option<u64>,
    /// Consul's raft_multiplier: 1 has the quickest elections, 5 is Consul's default
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=10))]
    raft_multiplier: u8,
    /// More of the servers' configuration, in Consul's HCL
    #[arg(long, default_value = "")]
    server_config: String,
    /// The program of Consul; looked for in PATH if not given
    #[arg(long, env = "LICTOR_CONSUL_BIN")]
    consul: Option<PathBuf>,
    /// The program of Lictor; looked for beside this one and in PATH if not given
    #[arg(long, env = "LICTOR_BIN")]
    lictor: Option<PathBuf>,
    /// NAME=VALUE in the environment of agents and guards, such as what plants a fault in a build for tests (can be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    agent_env: Vec<(String, String)>,
    /// Where the run is kept: its history, the logs of the servers. A directory that does not exist
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where the data of the servers lies meanwhile
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
    /// Say nothing while it is under way
    #[arg(long, short)]
    quiet: bool,
    /// The scratch directory of the process that runs this one in namespaces of its own
    #[arg(long, hide = true)]
    inside: Option<PathBuf>,
}

/// Removes what killed runs left over.
#[derive(Args, Clone, Debug)]
pub struct Clean {
    /// Where the data of the servers lay
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    scratch: PathBuf,
}

/// What is tested.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Target {
    /// Servers of Consul.
    Consul,
    /// Agents of Lictor, with a server of Consul each.
    Lictor,
}

/// How sure reads are.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Reads {
    /// The leader makes sure that it still leads.
    Consistent,
    /// The leader answers without asking the others.
    Default,
    /// Any server answers.
    Stale,
}

/// The faults of a run.
#[derive(Clone, Debug)]
struct Faults(Vec<Fault>);

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code, which the inner process gave.
    Code(u8),
    /// The history was judged so.
    Judged(Judgement),
}

impl Run {
    /// Carries it out: in namespaces of its own, unless it is in them already.
    ///
    /// # Errors
    /// If it cannot be made to its end.
    pub fn execute(&self) -> Result<Ended, CommandError> {
        match &self.inside {
            Some(scratch) => many()?.block_on(self.inside(scratch)),
            // The process that waits has one thread: what it starts ends with that one.
            None => one()?.block_on(self.outside()),
        }
    }

    /// Makes what the inner process needs, has it do the run, and clears up after it.
    async fn outside(&self) -> Result<Ended, CommandError> {
        let say = Say { quiet: self.quiet };
        let consul = self.consul()?;
        let lictor = self.fits()?;
        // In there it will be called root in any case.
        if self.kind() == Kind::Failover && !rustix::process::geteuid().is_root() {
            return Err(CommandError::NotRoot(self.kind()));
        }
        clean(&self.scratch, say).await?;
        let seed = self.seed.unwrap_or_else(|| rand::random_range(0..1_000_000_000));
        let dir = self.dir.clone().unwrap_or_else(|| self.named(seed));
        make(&dir)?;
        let scratch = Scratch::make(&self.scratch)?;
        let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
        let mut add = |name: &str, value: OsString| args.extend([name.into(), value]);
        add("--seed", seed.to_string().into());
        add("--dir", dir.into_os_string());
        add("--consul", consul.into_os_string());
        if let Some(lictor) = lictor {
            add("--lictor", lictor.into_os_string());
        }
        add("--inside", scratch.path().into());
        let rescue = async || {
            if let Err(error) = disk::rescue(scratch.path()).await {
                say.line(&format!("a disk cannot be thawed, and what writes to it cannot end: {error}"));
            }
        };
        let ended = cell::enclose(&args, scratch.path(), rescue).await;
        disk::rescue(scratch.path()).await?;
        sweep(scratch.path())?;
        scratch.remove()?;
        Ok(Ended::Code(ended?))
    }

    /// Makes the run.
    async fn inside(&self, scratch: &Path) -> Result<Ended, CommandError> {
        // What follows changes mounts and networks: nobody else's.
        if !cell::is_inside() {
            return Err(CommandError::NotEnclosed);
        }
        let say = Say { quiet: self.quiet };
        let dir = self.dir.clone().unwrap_or_default();
        let mut plan = self.plan()?;
        let workload = self.kind().workload(self.wishes(plan.actors, scratch));
        plan.setup.datacenters = workload.datacenters();
        let logs = dir.join(LOGS);
        say.line(&format!("seed {}; kept in {}", plan.seed, dir.display()));
        say.line(&format!(
            "{} clients of {} hosts: {} for {} s, then {} s of rest",
            plan.actors,
            plan.nodes,
            self.kind(),
            plan.time.as_secs(),
            plan.settle.as_secs()
        ));
        write(&dir.join(MADE), &self.describe(&plan, &checks(&*workload, &plan)))?;
        let places = Places { scratch, logs: &logs };
        let played = runner::play(&plan, &workload, places, &dir.join(HISTORY), say).await?;
        let [ok, fail, info] = played.tally.sums();
        say.line(&format!("{ok} ok, {fail} failed, {info} unknown; judging"));
        let history = History::open(dir.join(HISTORY))?;
        let mut outcomes = command::judge_run(&dir, &history)?.outcomes;
        outcomes.push(sound(&played));
        let judgement = Judgement::of(outcomes);
        write(&dir.join(JUDGED), &json!(judgement))?;
        let page = command::page(&dir, &history, &judgement)?;
        say.line(&format!("the page about it: {}", page.display()));
        Ok(Ended::Judged(judgement))
    }

    /// What is needed to know and to repeat the run.
    fn describe(&self, plan: &Plan, checks: &[String]) -> Value {
        let faults: Vec<_> = plan.faults.iter().map(ToString::to_string).collect();
        let nemesis = if faults.is_empty() { "none".to_owned() } else { faults.join(",") };
        let reads = self.reads.to_possible_value().map(|value| value.get_name().to_owned());
        let rest = self.rest.map(|rest| format!(" --rest {rest}")).unwrap_or_default();
        // As a shell reads it.
        let more = match self.server_config.as_str() {
            "" => String::new(),
            more => format!(" --server-config '{}'", more.replace('\'', r"'\''")),
        };
        let target = self.target.name();
        let planted: String =
            self.agent_env.iter().map(|(name, value)| format!(" --agent-env {name}={value}")).collect();
        let command = format!(
            "lictor-jepsen run --target {target} --workload {} --nemesis {nemesis} --nodes {} --time {} --seed {} \
             --interval {} --schedule {} --reads {} --clients {} --per-key {} --ballast {} --settle {} \
             --raft-multiplier {}{rest}{more}{planted}",
            self.kind(),
            plan.nodes,
            plan.time.as_secs(),
            plan.seed,
            plan.interval.as_secs(),
            plan.order,
            reads.clone().unwrap_or_default(),
            plan.actors,
            self.per_key,
            plan.ballast,
            plan.settle.as_secs(),
            self.raft_multiplier,
        );
        json!({
            "target": target,
            "workload": self.kind().to_string(),
            "nemesis": faults,
            "schedule": plan.order.to_string(),
            "nodes": plan.nodes,
            "clients": plan.actors,
            "reads": reads,
            "seconds": plan.time.as_secs(),
            "seed": plan.seed,
            "checks": checks,
            "started": jiff::Timestamp::now().to_string(),
            "command": command,
        })
    }

    fn plan(&self) -> Result<Plan, CommandError> {
        let (faults, nodes) = (self.nemesis.0.clone(), usize::from(self.nodes));
        // Who has lost its leader finds another one within 20 s, with Consul's own timing.
        let settle = self.settle.unwrap_or(if faults.is_empty() { 2 } else { 30 });
        Ok(Plan {
            nodes,
            actors: self
                .clients
                .map_or(if self.kind().tests_lictor() { nodes } else { 3 * nodes }, usize::from),
            time: Duration::from_secs(self.time),
            settle: Duration::from_secs(settle),
            faults,
            order: self.schedule,
            interval: Duration::from_secs(self.interval.max(1)),
            ballast: self.ballast,
            rest: self.rest.map(Duration::from_millis),
            seed: self.seed.unwrap_or_default(),
            setup: Setup {
                program: self.consul()?,
                raft_multiplier: self.raft_multiplier,
                more: self.server_config.clone(),
                datacenters: 1,
            },
            agents: self.fits()?.map(|program| agent::Setup { program, environment: self.agent_env.clone() }),
        })
    }

    /// What the clients do.
    fn kind(&self) -> Kind {
        self.workload.unwrap_or(match self.target {
            Target::Consul => Kind::Register,
            Target::Lictor => Kind::Failover,
        })
    }

    /// The program of Lictor, if that is tested; workload and faults have to be for the target.
    fn fits(&self) -> Result<Option<PathBuf>, CommandError> {
        let kind = self.kind();
        match (self.target, kind.tests_lictor()) {
            (Target::Lictor, true) => self.lictor().map(Some),
            (Target::Consul, false) => match self.nemesis.0.iter().find(|fault| fault.needs_agents()) {
                Some(&fault) => Err(CommandError::NoAgents(fault)),
                None => Ok(None),
            },
            (Target::Consul, true) => Err(CommandError::OtherTarget(kind, Target::Lictor.name())),
            (Target::Lictor, false) => Err(CommandError::OtherTarget(kind, Target::Consul.name())),
        }
    }

    fn wishes(&self, actors: usize, scratch: &Path) -> Wishes {
        let reads = match self.reads {
            Reads::Consistent => Consistency::Consistent,
            Reads::Default => Consistency::Default,
            Reads::Stale => Consistency::Stale,
        };
        Wishes {
            actors,
            nodes: self.nodes.into(),
            faults: !self.nemesis.0.is_empty(),
            // Of several at a time each may spare others.
            spared: self.schedule != Order::Mixed && self.nemesis.0.iter().all(|fault| fault.spares_most()),
            left: world::left(scratch),
            reads,
            per_key: self.per_key.max(1),
        }
    }

    /// The program of Consul, by its whole path.
    fn consul(&self) -> Result<PathBuf, CommandError> {
        match &self.consul {
            Some(named) => whole(named).map_err(CommandError::NoConsul),
            None => in_path("consul").ok_or_else(|| CommandError::NoConsul("in PATH".to_owned())),
        }
    }

    /// The program of Lictor, by its whole path.
    fn lictor(&self) -> Result<PathBuf, CommandError> {
        if let Some(named) = &self.lictor {
            return whole(named).map_err(CommandError::NoLictor);
        }
        let beside = std::env::current_exe().ok().map(|own| own.with_file_name("lictor"));
        let found = beside.filter(|program| program.is_file()).or_else(|| in_path("lictor"));
        found.ok_or_else(|| CommandError::NoLictor("beside this one or in PATH".to_owned()))
    }

    /// Where a run is kept that nobody named a directory for.
    fn named(&self, seed: u64) -> PathBuf {
        let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S");
        PathBuf::from(format!("jepsen-runs/{now}-{}-{seed}", self.kind()))
    }
}

impl Clean {
    /// Carries it out.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn execute(&self) -> Result<Ended, CommandError> {
        let removed = one()?.block_on(clean(&self.scratch, Say { quiet: false }))?;
        Say { quiet: false }.line(&match removed {
            0 => "nothing is left of killed runs".to_owned(),
            1 => "that was all: 1 directory".to_owned(),
            more => format!("that was all: {more} directories"),
        });
        Ok(Ended::Code(0))
    }
}

/// What judges a run, besides its servers' logs.
fn checks(workload: &dyn Workload, plan: &Plan) -> Vec<String> {
    let mut checks = workload.checks();
    let may_fail = workload.never_ok().join("+");
    checks.push(format!("stats:may_fail={may_fail}"));
    if !plan.faults.is_empty() {
        // The last calls begin when the servers have settled: what they are answered counts.
        checks.push(format!("available:settle=1,may_fail={may_fail}"));
    }
    checks
}

/// What the run itself says, whatever the clients saw.
fn sound(played: &Played) -> Outcome {
    let finding = |text: &String| Finding::new(text.as_str(), Vec::new());
    let findings = played.falls.iter().chain(&played.findings).map(finding).collect::<Vec<_>>();
    let (verdict, summary) = if !played.falls.is_empty() {
        (Verdict::Invalid, "servers or agents ended by themselves")
    } else if !played.well {
        (Verdict::Unknown, "the hosts did not get well after the faults")
    } else if played.stopped {
        (Verdict::Unknown, "it was stopped before its time")
    } else {
        (Verdict::Valid, "it was made to its end")
    };
    Outcome::new("run", verdict, summary).with(findings)
}

fn write(path: &Path, value: &Value) -> Result<(), CommandError> {
    let written = fs::write(path, format!("{value:#}\n"));
    written.map_err(|source| CommandError::File { path: path.to_owned(), source })
}

/// Removes what the machines of a run leave outside of its scratch directory when they are killed with it.
fn sweep(scratch: &Path) -> Result<(), CommandError> {
    host::sweep(scratch).map_err(CommandError::Sweep)
}

/// Removes the scratch directories of runs that were killed; gives how many there were.
async fn clean(parent: &Path, say: Say) -> Result<usize, CommandError> {
    let abandoned = scratch::abandoned(parent)?;
    for dir in &abandoned {
        say.line(&format!("{} is left of a run that was killed: it is removed", dir.display()));
        disk::rescue(dir).await?;
        sweep(dir)?;
        scratch::remove(dir)?;
    }
    Ok(abandoned.len())
}

fn make(dir: &Path) -> Result<(), CommandError> {
    let failed = |source| CommandError::Directory { path: dir.to_owned(), source };
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    // Not one that exists: it may be the only record of another run.
    fs::create_dir(dir).map_err(failed)
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Target {
    const fn name(self) -> &'static str {
        match self {
            Self::Consul => "consul",
            Self::Lictor => "lictor",
        }
    }
}

fn faults(text: &str) -> Result<Faults, FaultError> {
    let names = text.split(',').map(str::trim).filter(|name| !matches!(*name, "" | "none"));
    names.map(str::parse).collect::<Result<_, _>>().map(Faults)
}

fn one() -> Result<Runtime, CommandError> {
    Builder::new_current_thread().enable_all().build().map_err(CommandError::Runtime)
}

fn many() -> Result<Runtime, CommandError> {
    Builder::new_multi_thread().enable_all().build().map_err(CommandError::Runtime)
}

#[cfg(test)]
mod tests {
    use super::super::nemesis::fault::Part;
    use super::super::nemesis::who::Who;
    use super::*;

    #[test]
    fn faults_are_named_with_commas_between_them() {
        let named = |text| faults(text).map(|faults| faults.0);
        assert_eq!(named("none"), Ok(vec![]));
        assert_eq!(
            named("kill-all, pause-one"),
            Ok(vec![Fault::Kill(Part::Host, Who::All), Fault::Pause(Part::Host, Who::One)])
        );
        assert!(named("kill-all,kill-cat").is_err());
    }

    #[test]
    fn a_directory_of_another_run_is_not_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("runs/1");
        make(&run).unwrap();
        assert!(make(&run).unwrap_err().to_string().starts_with("cannot make the directory "));
    }
}
