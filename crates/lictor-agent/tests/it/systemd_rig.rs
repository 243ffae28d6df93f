//! What the tests of units share: a booted host, seen and changed over its own bus.
#![cfg(test)]

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use lictor_agent::act::Prepared;
use lictor_config::{
    Action, SystemdAction, SystemdBus, Unit, UnitExpect, UnitName, UnitVerb, Watch, WatchKind,
};
use lictor_core::Outcome;
use lictor_testkit::host::{Host, Options};

use crate::act_bench::{Bench, order};
use crate::follow_rig::Follow;
use crate::nomad_rig::noted;
use crate::watch_rig::{LONG, watch};

/// A limit that is run into.
pub(crate) const BRIEF: Duration = Duration::from_secs(2);

/// A service that runs until it is stopped.
pub(crate) const SLEEPER: &str = "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n";

/// The bus of a host.
pub(crate) fn bus(host: &Host) -> SystemdBus {
    SystemdBus::Socket(host.outside("/run/dbus/system_bus_socket"))
}

pub(crate) fn unit(name: &str) -> UnitName {
    UnitName::new(name).unwrap()
}

fn watching(name: &str, bus: SystemdBus) -> Watch {
    watch(WatchKind::Unit(Box::new(Unit { unit: unit(name), bus, expect: UnitExpect::Active })), LONG)
}

/// Follows a unit.
pub(crate) async fn follow(name: &str, bus: SystemdBus) -> Follow {
    Follow::new(watching(name, bus)).await
}

/// An agent whose only action does that to a unit.
pub(crate) struct Doer {
    pub(crate) bench: Bench,
}

impl Doer {
    pub(crate) fn new(name: &str, bus: SystemdBus, verb: UnitVerb) -> Self {
        Self::with(SystemdAction { unit: unit(name), bus, verb, reset_failed: false })
    }

    pub(crate) fn with(action: SystemdAction) -> Self {
        Self { bench: Bench::new(Action::Systemd(Box::new(action))) }
    }

    /// What is noted before.
    pub(crate) async fn note(&mut self) -> String {
        match self.bench.prepare(&order(), LONG).await {
            Prepared::Note(note) => note,
            Prepared::Over(outcome) => panic!("nothing was noted: {outcome:?}"),
        }
    }

    /// Notes and does it.
    pub(crate) async fn act(&mut self, limit: Duration) -> Outcome {
        let note = self.note().await;
        self.bench.act(&noted(&note), limit).await
    }
}

/// Does something to a unit of a host.
pub(crate) async fn does(host: &Host, verb: UnitVerb, name: &str) -> Outcome {
    Doer::new(name, bus(host), verb).act(LONG).await
}

/// The main process of a unit, by its number in the host.
pub(crate) fn main_pid(host: &Host, name: &str) -> String {
    host.ok(&["systemctl", "show", "--property=MainPID", "--value", name]).trim().to_owned()
}

/// Set for a test that runs again within a host.
const INSIDE: &str = "LICTOR_TEST_INSIDE";

/// Boots a host with these units that run until they are stopped, and `mine.service` for each user, and
/// runs a test of this program again in there. Whether this is in there.
pub(crate) fn again_inside(test: &str, units: &[&str]) -> bool {
    again_inside_with(test, units, Vec::new())
}

/// The same with more programs.
pub(crate) fn again_inside_with(test: &str, units: &[&str], mut programs: Vec<PathBuf>) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = env::current_exe().unwrap();
    let name = program.file_name().unwrap().to_str().unwrap().to_owned();
    programs.push(program);
    let host = Host::with(&Options { programs, ..Options::default() });
    host.write("/etc/systemd/user/mine.service", SLEEPER);
    units.iter().for_each(|name| host.unit(name, SLEEPER));
    let inside = format!("{INSIDE}=1");
    let program = format!("/usr/local/bin/{name}");
    let argv = ["env", &inside, &program, "--exact", test, "--nocapture"];
    let output = host.run(&argv);
    assert!(output.code == 0 && output.stdout.contains("1 passed"), "{}\n{}", output.stdout, output.stderr);
    print!("{}", output.stdout);
    false
}

/// Runs a command in here that must succeed, and gives what it prints.
pub(crate) fn run(argv: &[&str]) -> String {
    let output = Command::new(argv[0]).args(&argv[1..]).output().unwrap();
    assert!(output.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
